"""One place and the people in it: how full it is by each measure, and since when it has been too full."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Final, NamedTuple

from detectors.usual import Usual
from devices.site import Zone

LEVELS: Final = (0.83, 1.08, 1.54, 3.59, 5.38)  # persons/m²: where Fruin's levels of service of a queue, A to F, meet
SMOOTH: Final = 3  # beats: one miscount neither begins nor ends a crowd
AGAINST: Final = ("density", "capacity", "growth", "usual")  # the first that holds is told


@dataclass(frozen=True, slots=True)
class Count:
    """One camera's newest count of one zone."""

    at: int
    people: int
    lon: float
    lat: float


class Measured(NamedTuple):
    """A place by one measure: its share of the limit, below which share it is over, and the numbers."""

    load: float
    release: float
    numbers: dict[str, float]


@dataclass(slots=True)
class Excess:
    """Being too full by one measure."""

    rise: int | None = None  # UTC µs: at the limit or above since then, short dips aside
    over: int = 0  # when it was last at the limit or above

    def follow(self, load: float, release: float, at: int, hold: int) -> None:
        """One more look; ``load`` and ``release`` are shares of the limit."""
        if load >= 1:
            self.rise = at if self.rise is None else self.rise
            self.over = at
        elif load < release or at - self.over > hold:
            self.rise = None


@dataclass(frozen=True, slots=True)
class Measures:
    """The limits. Times in µs."""

    ratio: float
    release: float  # of the capacity, or of ``dense``
    dense: float
    growth: float
    growth_within: int
    window: int  # over which people are averaged before and after they have grown
    beat: int
    sigmas: float
    odd_least: float


@dataclass(slots=True)
class Gathering:
    """One zone: its cameras' newest counts, the people of the last minutes, and by what it is too full."""

    usual: Usual
    counts: dict[int, Count] = field(default_factory=dict)  # by camera
    recent: deque[tuple[int, int]] = field(default_factory=deque)  # (beat, people)
    excess: dict[str, Excess] = field(default_factory=lambda: {against: Excess() for against in AGAINST})

    @property
    def calm(self) -> bool:
        """It is not too full by any measure."""
        return all(excess.rise is None for excess in self.excess.values())

    @property
    def quiet(self) -> bool:
        """Nobody is counted here, and nothing goes on."""
        return not self.counts and self.calm

    def fresh(self, at: int, limit: int) -> dict[int, Count]:
        """The counts not older than ``limit`` µs at a moment; the others are forgotten."""
        self.counts = {camera: count for camera, count in self.counts.items() if at - count.at <= limit}
        return self.counts

    def forget(self) -> None:
        """Nobody counts here any more."""
        self.recent.clear()
        for excess in self.excess.values():
            excess.rise = None

    def people(self, at: int, counted: int, limits: Measures) -> int:
        """The people at a beat (UTC µs) in which so many were counted: the median of the last beats."""
        self.recent.append((at, counted))
        while self.recent[0][0] < at - limits.growth_within - limits.window:
            self.recent.popleft()
        latest = [self.recent[-i][1] for i in range(1, min(SMOOTH, len(self.recent)) + 1)]
        return round(median(latest))

    def measure(self, zone: Zone, people: int, area: float, at: int, limits: Measures) -> dict[str, Measured]:
        """The zone with so many people at a beat (UTC µs), by each measure that can be taken."""
        self.usual.add(at - 1, people)
        found = {}
        if zone.capacity:
            found["capacity"] = Measured(people / zone.capacity / limits.ratio, limits.release / limits.ratio, {})
            # As many more can only have come where there are as many: most of the time there is nothing to look at.
            many = people >= limits.growth * zone.capacity or self.excess["growth"].rise is not None
            if many and (grown := self._grown(at, limits)) is not None:
                found["growth"] = _growth(grown, zone.capacity, limits)
        if area > 0:
            numbers = {"limit_density": limits.dense}
            found["density"] = Measured(people / area / limits.dense, limits.release / limits.ratio, numbers)
        if (usual := self._unusual(zone, people, at, limits)) is not None:
            found["usual"] = usual
        return found

    def _grown(self, at: int, limits: Measures) -> float | None:
        """By how many the people have grown; None while that is not known."""
        then = at - limits.growth_within
        before = [n for t, n in self.recent if t <= then]
        now = [n for t, n in self.recent if t > at - limits.window]
        enough = limits.window / limits.beat / 2
        return None if len(before) < enough or len(now) < enough else median(now) - median(before)

    def _unusual(self, zone: Zone, people: int, at: int, limits: Measures) -> Measured | None:
        """Against what is usual here at this hour of the week: None while that is not known."""
        expected = self.usual.expect(at - 1)
        if expected is None:
            return None
        floor = max(math.sqrt(max(1.0, expected.middle)), 0.05 * zone.capacity)
        sigmas = expected.sigmas(people, floor)
        numbers = {"usual_people": expected.middle, "usual_spread": max(expected.spread, floor), "sigmas": sigmas,
                   "limit_sigmas": limits.sigmas, "learned_from": expected.values}  # fmt: skip
        return Measured(sigmas / limits.sigmas if people >= limits.odd_least else 0.0, 0.5, numbers)


def _growth(grown: float, capacity: int, limits: Measures) -> Measured:
    limit = limits.growth * capacity
    numbers = {"grown_by": grown, "grown_within_s": limits.growth_within / 1e6, "limit_grown_by": limit}
    return Measured(grown / limit, 0.5, numbers)


def density_step(density: float) -> int:
    """Fruin's level of service of a queue, 0 (A: free) to 5 (F: bodies touch), of persons per m².

    >>> density_step(0.5), density_step(4.0), density_step(6.0)
    (0, 4, 5)
    """
    return bisect_right(LEVELS, density)
