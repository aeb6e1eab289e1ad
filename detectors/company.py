"""Two terminals that go the same way together: their places at whole minutes, compared between all that move.

Each device's place at a *beat* (every other full minute) is interpolated between the fixes around it. A beat is judged
when it is complete (:class:`detectors.waiting.EventClock`). Only who has moved since the beat before, at a walking
pace, is compared: whoever rests together at a station costs nothing and is never found.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.geo import DEGREE, Floats, Ids
from detectors.legs import NEVER, Legs, Mask, Times
from devices.readings import SECOND

BEAT: Final = 120  # s
BRIDGE: Final = 90.0  # s between two fixes at most, to interpolate between them
PATIENCE: Final = BRIDGE + 30.0  # s of event time after which a beat is complete
MOVED: Final = 40.0  # m from beat to beat, well beyond what a resting receiver shows
PACE: Final = 4.0  # m/s: faster goes who is driven, and two officers in one vehicle are usual
MOST: Final = 120.0  # m apart at most, however poor the receivers; half as far again, both moving, they have parted
UNKNOWN_ACCURACY: Final = 8.0  # m

Places: TypeAlias = tuple[Times, Times, Floats, Floats, Floats]
"""Columns: the beat (UTC µs), the device, longitude, latitude and accuracy (m)."""


class Beat(NamedTuple):
    """A pair on the way at one beat, and how far it came since the beat before."""

    at: int
    apart: float  # m
    error: float  # m by which two receivers in one place may tell different places: root of the sum of squares
    moved: float  # m
    lon: float
    lat: float


class Pair(NamedTuple):
    """A pair that is to be told now: its last beats."""

    devices: tuple[int, int]
    since: int
    beats: tuple[Beat, ...]
    apart: float  # m on average
    limit: float  # m


@dataclass(slots=True)
class Chain:
    """A pair that has been seen together: the last beats on the way, and in which bucket of the clock it was told."""

    begin: int
    beats: deque[Beat]
    told: int | None = None


@dataclass(slots=True)
class Walking:
    """Places that wait for their beat to be complete; of each device that of the last beat; the pairs."""

    waiting: list[Places] = field(default_factory=list)
    beat: Times = field(default_factory=lambda: np.empty(0, np.int64))
    lon: Floats = field(default_factory=lambda: np.empty(0))
    lat: Floats = field(default_factory=lambda: np.empty(0))
    moves: Mask = field(default_factory=lambda: np.empty(0, bool))  # on the way at that beat
    judged: int = NEVER  # all beats before it are
    pairs: dict[tuple[int, int], Chain] = field(default_factory=dict)

    def add(self, legs: Legs) -> None:
        """Note the places at beats that these fixes pass."""
        beat = legs.at // (BEAT * SECOND) * (BEAT * SECOND)
        passed = np.flatnonzero((legs.at_before < beat) & (legs.seconds <= BRIDGE) & (beat >= self.judged))
        if len(passed):
            beat, before = beat[passed], legs.at_before[passed]
            share = (beat - before) / (legs.at[passed] - before)
            lon, lat = legs.lon_before[passed], legs.lat_before[passed]
            lon, lat = lon + share * (legs.lon[passed] - lon), lat + share * (legs.lat[passed] - lat)
            accuracy = legs.accuracy[passed]
            accuracy[np.isnan(accuracy)] = UNKNOWN_ACCURACY
            self.waiting.append((beat, legs.device[passed], lon, lat, accuracy))

    def take(self, before: int) -> Iterator[Places]:
        """The places of each complete beat, in order."""
        if before <= self.judged or not self.waiting:
            self.judged = max(self.judged, before)
            return
        self.judged = before
        columns = [np.concatenate(column) for column in zip(*self.waiting, strict=True)]
        due = columns[0] < before
        self.waiting = [] if due.all() else [_some(columns, ~due)]
        for at in np.unique(columns[0][due]).tolist():
            yield _some(columns, columns[0] == at)

    def grow(self, size: int) -> None:
        """Make room for devices."""
        missing = size - len(self.beat)
        if missing > 0:
            self.beat = np.append(self.beat, np.full(missing, NEVER))
            self.lon, self.lat = (np.append(c, np.full(missing, np.nan)) for c in (self.lon, self.lat))
            self.moves = np.append(self.moves, np.zeros(missing, bool))


@dataclass(frozen=True, slots=True)
class Company:
    """``beats`` in a row within ``near`` m (or twice the sum of the accuracies, where receivers are poor), on average
    no farther apart than ``errors`` times what the receivers' own errors explain (or ``mean`` m), over ``way`` m, are
    one person's doing. Two people rarely stay so close for so long."""

    beats: int
    near: float
    mean: float
    errors: float
    way: float
    renew: int  # µs
    longest: int  # µs
    rest: int  # µs of standing about that two may take together in between

    def find(self, state: Walking, frontier: int, fit: Mask, crew: Times) -> Iterator[Pair]:
        """The pairs to be told. ``fit`` by device: a terminal that may be compared; ``crew``: equal ones go together
        (-1: alone)."""
        for places in state.take(frontier):
            yield from self._judge(state, places, fit, crew)

    def _judge(self, state: Walking, places: Places, fit: Mask, crew: Times) -> Iterator[Pair]:
        beats, device, lon, lat, accuracy = places
        at = int(beats[0])
        moved = _metres(state.lon[device], state.lat[device], lon, lat)
        moves = (state.beat[device] == at - BEAT * SECOND) & (moved >= MOVED) & fit[device]
        state.beat[device], state.lon[device], state.lat[device], state.moves[device] = beats, lon, lat, moves
        self._part(state, at)
        here = np.flatnonzero(moves & (moved <= PACE * BEAT))
        one, other = (here[k] for k in self._near(lon[here], lat[here], accuracy[here]))
        apart = _metres(lon[one], lat[one], lon[other], lat[other])
        error = np.hypot(accuracy[one], accuracy[other])
        strangers = (crew[device[one]] < 0) | (crew[device[one]] != crew[device[other]])
        for k in np.flatnonzero((apart <= self._limit(accuracy[one], accuracy[other])) & strangers).tolist():
            i, j = int(one[k]), int(other[k])
            pair = min(int(device[i]), int(device[j])), max(int(device[i]), int(device[j]))
            middle = float(lon[i] + lon[j]) / 2, float(lat[i] + lat[j]) / 2
            beat = Beat(at, float(apart[k]), float(error[k]), float(moved[i] + moved[j]) / 2, *middle)
            yield from self._together(state, pair, beat)

    def _limit(self, accuracy: Floats, other: Floats) -> Floats:
        """How far apart (m) two receivers of these accuracies may be to be in one place."""
        return np.clip(2 * (accuracy + other), self.near, MOST)

    def _near(self, lon: Floats, lat: Floats, accuracy: Floats) -> tuple[Ids, Ids]:
        """Index pairs of the places that may be in one, each once, in order, and few others.

        Bands of latitude, twice as high as MOST and laid out twice, hold every such pair in one of the layouts; within
        a band places are swept from west to east.
        """
        none = np.empty(0, np.intp)
        if len(lon) < 2:
            return none, none
        y = lat * (DEGREE / MOST)
        x = lon * (DEGREE / MOST * np.cos(np.radians(float(np.abs(lat).max()))))  # never too far apart
        found: list[NDArray[np.int64]] = []
        for band in (np.floor(y / 2), np.floor(y / 2 + 0.5)):
            line = (band - band.min()) * (float(np.ptp(x)) + 4) + x - x.min()
            order = np.argsort(line)
            line, index, ahead = line[order], np.arange(len(x) - 1), 1
            while len(index):
                index = index[index + ahead < len(x)]
                east = line[index + ahead] - line[index]
                index, east = index[east <= 1.01], east[east <= 1.01]
                one, other = order[index], order[index + ahead]
                # Left out at once: in a dense crowd they are many times as many as those that are near.
                near = np.hypot(east, y[one] - y[other]) <= 1.01 / MOST * self._limit(accuracy[one], accuracy[other])
                one, other = one[near], other[near]
                found.append(np.minimum(one, other) * len(x) + np.maximum(one, other))
                ahead += 1
        both = np.unique(np.concatenate(found)) if found else none
        return both // len(x), both % len(x)

    def _part(self, state: Walking, at: int) -> None:
        """Forget pairs whose two have gone different ways, or of which nothing was seen for long."""
        if not state.pairs:
            return
        one, other = np.array(list(state.pairs), np.int64).T
        moving = state.moves[one] & state.moves[other] & (state.beat[one] == at) & (state.beat[other] == at)
        far = moving & (_metres(state.lon[one], state.lat[one], state.lon[other], state.lat[other]) > 1.5 * MOST)
        for (pair, chain), gone in zip(list(state.pairs.items()), far.tolist(), strict=True):
            if gone or at - chain.beats[-1].at > self.rest:
                del state.pairs[pair]

    def _together(self, state: Walking, pair: tuple[int, int], beat: Beat) -> Iterator[Pair]:
        chain = state.pairs.get(pair)
        if chain is None or beat.at - chain.beats[-1].at > self.rest:
            chain = state.pairs[pair] = Chain(beat.at - BEAT * SECOND, deque(maxlen=self.beats))
        chain.beats.append(beat)
        if len(chain.beats) < self.beats:
            return
        apart = sum(b.apart for b in chain.beats) / self.beats
        limit = max(self.mean, self.errors * sum(b.error for b in chain.beats) / self.beats)
        if apart > limit or sum(b.moved for b in chain.beats) < self.way:
            return
        bucket = beat.at // self.renew
        if chain.told != bucket:
            chain.told = bucket
            yield Pair(pair, max(chain.begin, beat.at - self.longest), tuple(chain.beats), apart, limit)


def _some(columns: Sequence[NDArray[Any]], which: Mask) -> Places:
    beat, device, lon, lat, accuracy = (column[which] for column in columns)
    return beat, device, lon, lat, accuracy


def _metres(lon1: Floats, lat1: Floats, lon2: Floats, lat2: Floats) -> Floats:
    return np.asarray(DEGREE * np.hypot((lon2 - lon1) * np.cos(np.radians((lat1 + lat2) / 2)), lat2 - lat1))
