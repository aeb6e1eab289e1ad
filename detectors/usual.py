"""What is usual at this hour of the week: a baseline that is a function of the last weeks' readings and nothing else.

A series is cut into *slots* (hours since 1970, whatever the time zone); a slot's value is the median of what was added
in it. Usual for a slot is what was in the same slot of the cycle (a week) and the ``NEAR`` slots before and after it,
in each of the last ``cycles`` cycles: with weeks of hours 5 values a week. Their median is expected, their spread (MAD)
says how much it varies; a value's score is its distance from the expected in spreads. One strange week in three moves
neither.

With ``trend`` the values are taken relative to the median of the day (``DAY`` slots) before each, so that a lake that
rises over weeks stays usual and only what departs from its recent level and daily round is strange.

Cold start: nothing is expected before there are ``LEAST`` values in two cycles or more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from detectors.robust import middle_and_spread
from devices.readings import SECOND

NEAR: Final = 2  # slots before and after
DAY: Final = 24  # slots whose median is the recent level
LEAST: Final = 6  # values, in two cycles or more
MANY: Final = DAY // 2  # values in the day before, to know its level


class Expected(NamedTuple):
    """What a slot should be like. ``spread`` is one robust standard deviation; ``values``: how many it rests on;
    ``low`` and ``high``: between which it usually passes from the slot before to the one after."""

    middle: float
    spread: float
    values: int
    low: float
    high: float

    def sigmas(self, value: float, floor: float) -> float:
        """How many spreads a value lies above what is expected, or (negative) below; a spread is ``floor`` at least."""
        return (value - self.middle) / max(self.spread, floor)

    def beyond(self, value: float, floor: float) -> float:
        """How many spreads a value lies outside what it usually passes within the hour, as where a door opens or shuts
        and the spread says little; 0 within it."""
        return max(0.0, self.low - value, value - self.high) / max(self.spread, floor)


@dataclass(frozen=True, slots=True)
class Cycle:
    """How a baseline is learned: ``slot`` and ``season`` in s (an hour, a week), over so many ``cycles``."""

    slot: float = 3600.0
    season: float = 604_800.0
    cycles: int = 3
    trend: bool = False  # relative to the day before
    rests: bool = False  # a slot without a value between slots with values, at most DAY of them, was 0

    @property
    def period(self) -> int:
        """Slots in a season."""
        return max(1, round(self.season / self.slot))

    @property
    def memory(self) -> float:
        """Seconds of readings on which what is expected rests, at most."""
        return self.slot * (self.cycles * self.period + NEAR + DAY + 2)


class Usual:
    """What one series has been like, slot by slot, and what it should be like now."""

    def __init__(self, cycle: Cycle) -> None:
        self._cycle, self._width = cycle, int(cycle.slot * SECOND)
        self._values: dict[int, float] = {}  # by slot number, in its order
        self._relative: dict[int, float] = {}  # to the day before
        self._slot, self._present = -1, list[float]()
        self._known: tuple[int, Expected | None] = (-1, None)

    def add(self, at: int, value: float) -> None:
        """Take a value in; its time (UTC µs) does not go back."""
        slot = at // self._width
        if slot != self._slot:
            if self._present:
                self._close()
            self._slot = slot
        self._present.append(value)

    def expect(self, at: int) -> Expected | None:
        """What is usual at a moment (UTC µs), in the slot of the last value added, the one before, or later; None while
        too little is known."""
        slot = at // self._width
        if self._present and slot > self._slot:
            self._close()
        if self._known[0] != slot:
            self._known = (slot, self._expect(slot))
        return self._known[1]

    def _close(self) -> None:
        """The present slot is over."""
        slot, values = self._slot, self._values
        if self._cycle.rests and values:
            last = next(reversed(values))
            if slot - last - 1 <= DAY:
                values.update(dict.fromkeys(range(last + 1, slot), 0.0))
        values[slot] = median(self._present)
        self._present = []
        if self._cycle.trend and (level := self._level(slot)) is not None:
            self._relative[slot] = values[slot] - level
        oldest = slot - round(self._cycle.memory / self._cycle.slot)
        for table in (values, self._relative):
            while table and (first := next(iter(table))) < oldest:
                del table[first]

    def _level(self, slot: int) -> float | None:
        """The median of the day before a slot."""
        day = [self._values[s] for s in range(slot - DAY, slot) if s in self._values]
        return median(day) if len(day) >= MANY else None

    def _expect(self, slot: int) -> Expected | None:
        by_cycle = [list(self._alike(slot - n * self._cycle.period)) for n in range(1, self._cycle.cycles + 1)]
        values = [value for cycle in by_cycle for value in cycle]
        if len(values) < LEAST or sum(map(bool, by_cycle)) < 2:
            return None
        middle, spread = middle_and_spread(values)
        level = self._level(slot) if self._cycle.trend else 0.0
        if level is None:
            return None
        way = [middle, *self._way(slot)]
        return Expected(level + middle, spread, len(values), level + min(way), level + max(way))

    def _way(self, slot: int) -> Iterator[float]:
        """The median over the cycles of the slot before, this one and the next, as far as there are any."""
        table = self._relative if self._cycle.trend else self._values
        for beside in (slot - 1, slot, slot + 1):
            before = (beside - n * self._cycle.period for n in range(1, self._cycle.cycles + 1))
            if values := [table[s] for s in before if s in table]:
                yield median(values)

    def _alike(self, slot: int) -> Iterator[float]:
        table = self._relative if self._cycle.trend else self._values
        return (table[s] for s in range(slot - NEAR, slot + NEAR + 1) if s in table)
