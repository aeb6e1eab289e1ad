"""A track that was there before: the same steps, to the digit, in the same order at another time.

A receiver never repeats itself: its error alone, metres that change from fix to fix, makes three steps in a row unique
among billions, seen to 0.1 m. So three successive steps of a moving device are one *figure* of 64 bits; a quarter of
the figures, chosen by their own value (so that the same steps are chosen again), are remembered with device and time.
Steps and not places are compared: a copy shifted in space is found as well as an exact one, also from another device.
One equal figure may be chance; a *chain* of them in the same order is a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.geo import short_distance
from detectors.legs import Legs, Mask, Spot, Times
from devices.readings import SECOND

UNIT: Final = 1e6  # steps per degree: about 0.1 m
LEAST: Final = 2.0  # m of a step: who stands makes no figures
MOST: Final = 50_000.0  # m of a step
GAP: Final = 180.0  # s of a step at most
WIDE: Final = 1 << 22  # a step of x and y units as one number, x * WIDE + y
VARIED: Final = 10  # units by which successive steps must differ: straight lines of a simulator are no figures
MIX: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))
FRESH: Final = 8192  # figures that are not sorted yet
MOST_KEPT: Final = 6_000_000
"""Figures, about 150 MB: what 1,436 terminals leave in a day when all of them walk all day. Beyond that the oldest are
forgotten, so that a busier site remembers a shorter time and not more than the machine has."""
RUNS: Final = 32  # at least, into which those are cut: to merge two large ones takes memory and time in one step
HELD: Final = 7200.0  # s beyond the memory for which figures are kept, for devices whose fixes come late

Hashes = NDArray[np.uint64]
Run = tuple[Hashes, Times, NDArray[np.int32]]  # figures: what they are, when they were here (UTC µs), and whose


class Copy(NamedTuple):
    """A repeated stretch that is to be told now. ``then``: when the original was here, ``source`` whose it was."""

    device: int
    since: int
    fix: Spot
    source: int
    then: int
    suspects: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Chain:
    """Equal figures in order."""

    source: int
    begin: int
    lon: float
    lat: float
    now: int
    then: int
    count: int = 1
    far: float = 0.0
    told: int | None = None
    fixes: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Figures:
    """What is remembered: (hash, at, device) in runs sorted by hash, and a filter that says at once what is new."""

    runs: list[Run] = field(default_factory=list)
    fresh: list[Run] = field(default_factory=list)
    sieve: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(1 << 16, np.uint8))
    step1: Times = field(default_factory=lambda: np.empty(0, np.int64))  # the last two steps by device; 0: none
    step2: Times = field(default_factory=lambda: np.empty(0, np.int64))
    chains: dict[int, Chain] = field(default_factory=dict)

    def grow(self, size: int) -> None:
        """Make room for devices."""
        missing = size - len(self.step1)
        if missing > 0:
            self.step1, self.step2 = (np.append(c, np.zeros(missing, np.int64)) for c in (self.step1, self.step2))

    def known(self, hashes: Hashes) -> Mask:
        """Which may be there: always true for those that are, seldom for others."""
        return np.asarray(np.all([self.sieve[place] & bit for place, bit in self._places(hashes)], axis=0))

    def add(self, hashes: Hashes, at: Times, device: Times, oldest: int, most: int = MOST_KEPT) -> None:
        """Remember some; those before ``oldest`` may go, and the oldest must when they are more than ``most``."""
        self._note(hashes)
        self.fresh.append((hashes, at, device.astype(np.int32)))
        if sum(len(part[0]) for part in self.fresh) < FRESH:
            return
        self.runs.append(_sorted(self.fresh))
        self.fresh = []
        while len(self.runs) > 1 and _alike(self.runs[-2], self.runs[-1], most // RUNS):
            self.runs[-2:] = [_sorted(self.runs[-2:])]
        forgot = self._forget(oldest, most)
        count = sum(len(run[0]) for run in self.runs)
        if forgot or 2 * count > len(self.sieve):
            self.sieve = np.zeros(max(1 << 16, 1 << (4 * count).bit_length()), np.uint8)
            for hashes, _, _ in self.runs:
                self._note(hashes)

    def _forget(self, oldest: int, most: int) -> bool:
        """Drop the runs that end before ``oldest`` and, of more than ``most`` figures, those that end first until there
        are three quarters of that; whether any went."""
        ends, held = np.array([(run[1].max(), len(run[0])) for run in self.runs]).T
        keep = ends >= oldest
        if held.sum() > most:
            newest_first = np.argsort(-ends, kind="stable")
            keep[newest_first] &= np.cumsum(held[newest_first]) <= most * 3 // 4
        self.runs = [run for run, kept in zip(self.runs, keep.tolist(), strict=True) if kept]
        return not keep.all()

    def find(self, value: np.uint64, oldest: int, newest: int) -> tuple[int, int] | None:
        """The newest (at, device) of a figure with ``oldest <= at <= newest``."""
        found: list[tuple[int, int]] = []
        for hashes, at, device in self.runs:
            begin, end = np.searchsorted(hashes, value, "left"), np.searchsorted(hashes, value, "right")
            found += zip(at[begin:end].tolist(), device[begin:end].tolist(), strict=True)
        for hashes, at, device in self.fresh:
            equal = hashes == value
            found += zip(at[equal].tolist(), device[equal].tolist(), strict=True)
        return max((pair for pair in found if oldest <= pair[0] <= newest), default=None)

    def _note(self, hashes: Hashes) -> None:
        for begin in range(0, len(hashes), FRESH):  # places take several times the memory of what is noted
            for place, bit in self._places(hashes[begin : begin + FRESH]):
                np.bitwise_or.at(self.sieve, place, bit)

    def _places(self, hashes: Hashes) -> list[tuple[NDArray[np.intp], NDArray[np.uint8]]]:
        """Two bits of each (a Bloom filter)."""
        found = []
        for shift in (np.uint64(2), np.uint64(33)):
            part = hashes >> shift
            place = (part >> np.uint64(3)).astype(np.intp) & (len(self.sieve) - 1)
            found.append((place, np.left_shift(1, (part & np.uint64(7)).astype(np.uint8)).astype(np.uint8)))
        return found


@dataclass(frozen=True, slots=True)
class Repeats:
    """``figures`` equal ones over ``least`` s and ``way`` m make a copy; of what is ``after`` to ``within`` s old."""

    figures: int
    least: float
    way: float
    after: int  # µs
    within: int  # µs
    renew: int  # µs
    longest: int  # µs; and between two equal figures of one chain

    def find(self, state: Figures, legs: Legs) -> Iterator[Copy]:
        """The copies of which these fixes give something to tell."""
        index, hashes = self._figures(state, legs)
        if not len(index):
            return
        at, device = legs.at[index], legs.device[index]
        maybe = state.known(hashes)
        if int(at.max()) - int(at.min()) >= self.after:  # a long stretch at once may repeat itself
            order = np.argsort(hashes, kind="stable")
            equal = np.append(False, hashes[order][1:] == hashes[order][:-1])
            maybe[order[equal | np.append(equal[1:], False)]] = True
        state.add(hashes, at, device, int(at.max()) - self.within - int(HELD * SECOND))
        for k in np.flatnonzero(maybe).tolist():
            moment = int(at[k])
            match = state.find(hashes[k], moment - self.within, moment - self.after)
            if match is not None:
                yield from self._link(state, int(device[k]), legs.spot(int(index[k])), *match)

    def _figures(self, state: Figures, legs: Legs) -> tuple[NDArray[np.intp], Hashes]:
        """The fixes that end a figure which is to be remembered, and the figures' hashes."""
        moving = (legs.metres >= LEAST) & (legs.metres < MOST) & (legs.seconds <= GAP)
        # Not rounded at the half: seven digits would often lie exactly there.
        x = np.floor((legs.lon - legs.lon_before) * UNIT + 0.53)
        y = np.floor((legs.lat - legs.lat_before) * UNIT + 0.53)
        step = np.where(moving, x * WIDE + y, 0.0).astype(np.int64)
        one = legs.shifted(step, state.step1)
        two = legs.shifted(one, state.step2)
        final = legs.final
        state.step1[legs.device[final]], state.step2[legs.device[final]] = step[final], one[final]
        chosen = np.flatnonzero(_chosen(step))
        some = chosen[(one[chosen] != 0) & (two[chosen] != 0)]
        some = some[_varied(step[some], one[some], two[some])]
        return some, _mixed(step[some], one[some], two[some])

    def _link(self, state: Figures, device: int, fix: Spot, then: int, source: int) -> Iterator[Copy]:
        """One more equal figure."""
        at, chain = fix.at, state.chains.get(device)
        goes_on = chain is not None and chain.source == source and at - chain.now <= self.longest
        if chain is None or not goes_on or not 0 < then - chain.then <= 3 * (at - chain.now) + 10 * SECOND:
            state.chains[device] = Chain(source, at, fix.lon, fix.lat, at, then, fixes=[at])
            return
        chain.now, chain.then, chain.count = at, then, chain.count + 1
        chain.far = max(chain.far, float(short_distance(chain.lon, chain.lat, fix.lon, fix.lat)))
        chain.fixes = [t for t in chain.fixes if t >= at - 2 * self.renew - self.longest]
        chain.fixes.append(at)
        if chain.count < self.figures or at - chain.begin < self.least * SECOND or chain.far < self.way:
            return
        bucket = at // self.renew
        if chain.told == bucket:
            return
        oldest = at - self.longest if chain.told is None else (bucket - 1) * self.renew
        chain.told = bucket
        suspects = tuple((device, t) for t in chain.fixes if t >= oldest)
        yield Copy(device, max(chain.begin, at - self.longest), fix, source, then, suspects)


def _chosen(step: Times) -> Mask:
    """A quarter of the steps, by their own value."""
    return np.asarray((step != 0) & ((step.astype(np.uint64) * MIX[0]) >> np.uint64(62) == 0))


def _mixed(one: Times, two: Times, three: Times) -> Hashes:
    """64 bits of three steps."""
    found = one.astype(np.uint64) * MIX[0]
    found ^= found >> np.uint64(29)
    found = (found + two.astype(np.uint64)) * MIX[1]
    found ^= found >> np.uint64(31)
    found = (found + three.astype(np.uint64)) * MIX[2]
    return np.asarray(found ^ (found >> np.uint64(32)))


def _varied(one: Times, two: Times, three: Times) -> Mask:
    """Whether steps differ, and are not all multiples of ten: a device of five digits repeats its steps by chance."""
    x, y = zip(*(_apart(step) for step in (one, two, three)), strict=True)
    spread = np.maximum(np.ptp(x, axis=0), np.ptp(y, axis=0)) >= VARIED
    return np.asarray(spread & (np.array([*x, *y]) % 10 != 0).any(axis=0))


def _apart(step: Times) -> tuple[Times, Times]:
    x = np.floor_divide(step + WIDE // 2, WIDE)
    return x, step - x * WIDE


def _alike(before: Run, last: Run, most: int) -> bool:
    """Whether two runs are to become one, of ``most`` figures at most."""
    return len(before[0]) < 2 * len(last[0]) <= 2 * (most - len(before[0]))


def _sorted(parts: list[Run]) -> Run:
    """One run of several, a column at a time."""
    hashes = np.concatenate([part[0] for part in parts])
    order = np.argsort(hashes, kind="stable")
    hashes = hashes.take(order)
    at = np.concatenate([part[1] for part in parts]).take(order)
    return hashes, at, np.concatenate([part[2] for part in parts]).take(order)
