"""What a cue sets going, and where on this site, and to whom."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from simulators.chance import dice
from simulators.crowds import Crowd, Surge
from simulators.places import Ground, Spot
from simulators.scenarios import Cue
from simulators.scenes import Scenes
from simulators.sensors import Sensors
from simulators.terminals import Terminals
from simulators.truth import Diary
from simulators.vessels import NetBoats
from simulators.visitors import Visitors
from simulators.wire import Message

WALK = 320.0  # metres along the bank to either side of where a walker is bound to pass
APART = 250.0  # metres between groups of anglers
HIDE = 700.0  # metres that a net boat comes over the water

Began = list[Message] | None
"""The messages with which it begins (a pressed button), or None where the site has no place or nobody for it."""


class Impossible(ValueError):
    """A cue names nothing that can happen in this world."""


class Plot:
    """Begins what a scenario's cues say. Each cue draws from dice of its own, by its number and kind."""

    def __init__(
        self,
        seed: int,
        scenes: Scenes,
        ground: Ground,
        terminals: Terminals,
        visitors: Visitors,
        boats: NetBoats,
        crowds: Sequence[Crowd],
        sensors: Sensors,
        diary: Diary,
    ) -> None:
        self._seed, self._scenes, self._ground, self._diary = seed, scenes, ground, diary
        self._terminals, self._visitors, self._boats = terminals, visitors, boats
        self._crowds = sorted(crowds, key=lambda crowd: (-crowd.holds, crowd.zone.code))
        self._sensors = sensors
        self._counts: dict[str, int] = {}
        self.skipped: dict[str, int] = {}  # what this site had no place or nobody for, and how often
        self._kinds: dict[str, Callable[..., Began]] = {
            "anglers": self._anglers,
            "walker": self._walker,
            "net_boat": self._net_boat,
            "crowd": self._surge,
            "busy": self._surge,
            "sos": self._sos,
            "silence": self._silence,
            "high_water": self._high_water,
            "fire": self._fire,
        }

    def play(self, cue: Cue, tick: int, now: int) -> list[Message]:
        """Begin what ``cue`` says at a tick; returns the messages with which it begins.

        Raises:
            Impossible: the cue names nothing that this world knows.
        """
        if cue.what not in self._kinds:
            raise Impossible(f"unknown cue {cue.what!r}: expected one of {', '.join(self._kinds)}")
        number = self._counts[cue.what] = self._counts.get(cue.what, 0) + 1
        settings: dict[str, Any] = dict(cue.settings)
        began = self._kinds[cue.what](dice(self._seed, "cue", cue.what, number), tick, now, **settings)
        if began is None:
            self.skipped[cue.what] = self.skipped.get(cue.what, 0) + 1
        return began or []

    def _anglers(self, draw: random.Random, tick: int, now: int, *, count: int, lasts: int) -> Began:
        found = self._scenes.bank(draw, now, count, lambda spot: self._visitors.near(spot, APART))
        if found is None:
            return None
        zone, spots = found
        self._visitors.anglers(spots, zone, lasts)
        return []

    def _walker(self, draw: random.Random, tick: int, now: int) -> Began:
        found = self._scenes.bank(draw, now, 1, lambda _: False)
        if found is None:
            return None
        zone, (spot,) = found
        here, there = self._ground.beside(spot, -WALK), self._ground.beside(spot, WALK)
        if draw.random() < 0.5:
            here, there = there, here
        self._visitors.walker(here, there, now, zone, self._diary)
        return []

    def _net_boat(self, draw: random.Random, tick: int, now: int, *, lasts: int) -> Began:
        found = self._scenes.water(draw, now)
        if found is None:
            return None
        zone, spot = found
        self._boats.come(spot, zone, lasts, self._far_off(draw, spot))
        return []

    def _surge(
        self, draw: random.Random, tick: int, now: int, *, share: float, largest: bool = False, **times: int
    ) -> Began:
        if not self._crowds:
            return None
        shape = {"rise": 240, "holds": 420, "falls": 300} | times
        crowd = self._crowds[0] if largest else draw.choice(self._crowds)
        crowd.surge(Surge(tick, share=share, **shape))
        return []

    def _sos(self, draw: random.Random, tick: int, now: int, *, lasts: int, mate: float = 0.0) -> Began:
        for unit in self._terminals.choose(draw.getrandbits(32), mate):
            return self._terminals.press_sos(unit, tick, now, lasts, self._diary)
        return None

    def _silence(self, draw: random.Random, tick: int, now: int, *, lasts: int) -> Began:
        for unit in self._terminals.choose(draw.getrandbits(32)):
            self._terminals.fall_silent(unit, tick, now, lasts, self._diary)
            return []
        return None

    def _high_water(self, draw: random.Random, tick: int, now: int, *, metres: float) -> Began:
        surge = Surge(tick, int(draw.uniform(1800, 3600)), int(draw.uniform(1200, 2400)), 3600, metres)
        return [] if self._sensors.rise(surge, now, self._diary) else None

    def _fire(self, draw: random.Random, tick: int, now: int, *, percent: float) -> Began:
        surge = Surge(tick, int(draw.uniform(40, 120)), int(draw.uniform(120, 400)), 240, percent)
        return [] if self._sensors.burn(surge, draw.random(), now, self._diary) else None

    def _far_off(self, draw: random.Random, spot: Spot) -> Spot:
        """Somewhere on the lake from where a boat comes."""
        for _ in range(30):
            x, y = spot[0] + draw.uniform(-HIDE, HIDE), spot[1] + draw.uniform(-HIDE, HIDE)
            if self._ground.afloat((x, y)):
                return x, y
        return spot
