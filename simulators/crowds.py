"""How many people are in a place: the usual number, and what comes on top of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from devices.site import Zone
from simulators.chance import dice
from simulators.places import Frame
from simulators.truth import Diary


@dataclass(frozen=True, slots=True)
class Surge:
    """More of something than usual: from ``begins`` (tick) growing for ``rise`` s to ``share``, held, and back to 0."""

    begins: int
    rise: int
    holds: int
    falls: int
    share: float

    @property
    def ends(self) -> int:
        """The tick at which all is as before."""
        return self.begins + self.rise + self.holds + self.falls

    def at(self, tick: int) -> float:
        """What it adds at a tick."""
        since = tick - self.begins
        if since <= self.rise:
            return self.share * max(0.0, since / self.rise)
        return self.share * min(1.0, max(0.0, (self.ends - tick) / self.falls))


class Crowd:
    """How many people are in a place: a usual number that wanders, and surges."""

    USUAL = 0.38  # share of the capacity
    WANDER = 0.025  # its standard deviation
    KEEP = math.exp(-1 / 90.0)  # it changes over a minute and a half

    def __init__(self, seed: int, zone: Zone, frame: Frame, usual: float = USUAL) -> None:
        """``usual``: the share of the capacity that is there when nothing happens."""
        middle = zone.geometry.representative_point()
        self.zone, self.spot = zone, frame.spot(middle.x, middle.y)
        self.place = (round(middle.x, 6), round(middle.y, 6))
        self.holds = float(zone.capacity or 100)
        self._usual = usual
        self.people = usual * self.holds
        self._dice = dice(seed, "crowd", zone.code)
        self._wander = 0.0
        self._surges: list[Surge] = []
        self._over = 0  # number of the episode "crowd"
        self._busy = 0  # number of the episode "busy"; -1 while it is the rest of a crowd

    def surge(self, surge: Surge) -> None:
        """Let more people come."""
        self._surges.append(surge)

    def tick(self, tick: int, now: int, diary: Diary) -> None:
        """One second; notes when the place is fuller than it holds."""
        self._wander = self.KEEP * self._wander + math.sqrt(1 - self.KEEP**2) * self._dice.gauss(0.0, 1.0)
        self._surges = [s for s in self._surges if tick <= s.ends]
        share = self._usual + self.WANDER * self._wander + sum(s.at(tick) for s in self._surges)
        self.people = max(0.0, share * self.holds)
        self._note(share, now, diary)

    def _note(self, share: float, now: int, diary: Diary) -> None:
        place = {"zone": self.zone.code}
        if share > 1.0 and not self._over:
            self._over = diary.begin("crowd", now, self.spot, **place, note=f"the place holds {self.holds:.0f}")
            if self._busy > 0:
                diary.drop(self._busy)  # it was no mere full house
            self._busy = -1
        elif self._over and share < 0.95:  # a few who come and go do not end it
            diary.end(self._over, now)
            self._over = 0
        if share > 0.7 and not self._busy:
            self._busy = diary.begin("busy", now, self.spot, **place, note="many people")
        elif self._busy and share < 0.6:
            if self._busy > 0:
                diary.end(self._busy, now)
            self._busy = 0
