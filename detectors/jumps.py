"""A track that goes on elsewhere than anybody could have gone: jumps, judged against reported speed and accuracy.

Whole columns are looked at once for steps that are too long; only devices with such a step are followed fix by fix. A
jump counts once ``confirm`` fixes over ``settle`` s lie over there. What comes back towards where it was is an outlier
of the receiver (multipath, a reflection) and is forgotten. Within ``WARM`` s of switching on or of a gap the receiver
may first repeat the place from before; then the way since the fix before the gap counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from detectors.geo import DEGREE, Floats
from detectors.legs import NEVER, Legs, Spot
from devices.readings import SECOND, Rows

UNKNOWN_ACCURACY: Final = 20.0  # m
PULL: Final = 1.0  # m/s² of mean speed that a leg allows beyond twice the reported speed: a car that sped up and braked
SLACK: Final = 5.0  # m/s
GAP: Final = 120.0  # s without a fix, after which a receiver begins anew
WARM: Final = 120.0  # s in which a receiver that begins anew may be wrong

RESUMED: Final = np.dtype([("at", "<i8"), ("left", "<i8"), ("lon", "<f8"), ("lat", "<f8"), ("accuracy", "<f8")])
NOT_YET: Final = np.array((NEVER, NEVER, np.nan, np.nan, np.nan), RESUMED)


class Jump(NamedTuple):
    """A confirmed jump: the last fix over here, and those over there."""

    device: int
    before: Spot
    over: list[Spot]
    metres: float
    seconds: float
    allowed: float  # m/s

    @property
    def implied(self) -> float:
        """Metres per second that it would have taken."""
        return self.metres / self.seconds


@dataclass(slots=True)
class Jumping:
    """Jumps that are not confirmed yet, by device, and since when each receiver has been on without a gap."""

    pending: dict[int, tuple[Spot, list[Spot]]] = field(default_factory=dict)
    resumed: Rows = field(default_factory=lambda: np.empty(0, RESUMED))


@dataclass(frozen=True, slots=True)
class Jumps:
    """``far``: metres beyond the accuracy from which a step is looked at; ``longest``: s of a leg at most, and to
    confirm a jump."""

    far: float
    confirm: int
    settle: float
    longest: float

    def find(self, state: Jumping, legs: Legs, limit: Floats) -> Iterator[Jump]:
        """The jumps that these fixes confirm. ``limit`` by device: metres per second that its bearer can do at most."""
        missing = len(limit) - len(state.resumed)
        if missing > 0:
            state.resumed = np.append(state.resumed, np.full(missing, NOT_YET))
        long = legs.metres > self.far
        if state.pending or long.any():
            for device in sorted({*legs.device[long].tolist(), *state.pending}):
                yield from self._follow(state, legs, device, float(limit[device]))
        again = np.flatnonzero(~(legs.seconds <= GAP))
        if len(again):
            begun = np.empty(len(again), RESUMED)
            begun["at"], begun["left"] = legs.at[again], legs.at_before[again]
            begun["lon"], begun["lat"] = legs.lon_before[again], legs.lat_before[again]
            begun["accuracy"] = legs.shifted(legs.accuracy, legs.known.columns["accuracy"])[again]
            state.resumed[legs.device[again]] = begun

    def _follow(self, state: Jumping, legs: Legs, device: int, limit: float) -> Iterator[Jump]:
        """One device, fix by fix."""
        row = state.resumed[device]
        begun, left = int(row["at"]), Spot(int(row["left"]), row["lon"], row["lat"], math.nan, row["accuracy"])
        for i in legs.of(device):
            now, before = legs.spot(i), legs.before(i)
            if not legs.seconds[i] <= GAP:
                begun, left = now.at, before._replace(speed=math.nan)
            if device in state.pending:
                jump = self._go_on(state, device, now, limit)
                if jump is not None:
                    yield jump
            elif self._too_far(before, now, limit):
                cold = now.at - begun <= WARM * SECOND and now.at > begun
                if not cold or (left.at > NEVER and self._too_far(left, now, limit)):
                    state.pending[device] = (before, [now])

    def _go_on(self, state: Jumping, device: int, now: Spot, limit: float) -> Jump | None:
        """One more fix of a device that has jumped."""
        origin, over = state.pending[device]
        whole = metres(origin, over[0])
        if metres(origin, now) < 0.5 * whole or now.at - over[0].at > self.longest * SECOND:
            del state.pending[device]
            return None
        over.append(now)
        if len(over) < self.confirm or now.at - over[0].at < self.settle * SECOND:
            return None
        del state.pending[device]
        seconds = (over[0].at - origin.at) / SECOND
        return Jump(device, origin, over, whole, seconds, allowed(origin, over[0], limit))

    def _too_far(self, before: Spot, now: Spot, limit: float) -> bool:
        seconds = (now.at - before.at) / SECOND
        if not 0 < seconds <= self.longest:
            return False
        beyond = metres(before, now) - 2 * (_accuracy(before) + _accuracy(now))
        return beyond > self.far and beyond > allowed(before, now, limit) * seconds


def allowed(before: Spot, now: Spot, limit: float) -> float:
    """Metres per second that a leg may have had at most: what the bearer can do, and, where it reports a speed, twice
    that and as much more as the leg leaves time to speed up and brake in."""
    reported = max(before.speed, now.speed) if math.isfinite(before.speed) and math.isfinite(now.speed) else 0.0
    if reported <= 0.3:  # a device that always says 0 says nothing
        return limit
    return min(limit, 2 * reported + PULL * (now.at - before.at) / SECOND + SLACK)


def metres(a: Spot, b: Spot) -> float:
    """Metres from one fix to another."""
    return DEGREE * math.hypot((b.lon - a.lon) * math.cos(math.radians(b.lat)), b.lat - a.lat)


def _accuracy(fix: Spot) -> float:
    return fix.accuracy if math.isfinite(fix.accuracy) else UNKNOWN_ACCURACY
