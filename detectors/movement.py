"""Whether a boat's movement is that of one fishing: features of its track around a fix, and their weights.

A track is looked at on a grid of 30 s back from the fix (and for the judgement with hindsight on from it), on which its
places are interpolated. So fixes every second and every six minutes, early and doubled ones are treated alike, and the
noise of a place does not become speed. The weights are in ``movement.toml``; ``benchmarks/fit_fishing.py`` fits them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.geo import DEGREE, Floats, Ids
from devices.readings import SECOND

STEP: Final = 30  # s, of the grid
HISTORY: Final = 3600  # s: what lies further back than this does not count
HINDSIGHT: Final = 600  # s that the judgement with hindsight looks ahead
PAUSE: Final = 1800  # s: a longer pause between two fixes parts a track
SLOWEST_CRUISE: Final = 1.5  # m/s: who has not gone faster within the hour is taken to be able to
FAR: Final = 5000.0  # m: farther off is not told apart

Flags = NDArray[np.bool_]


class Track(NamedTuple):
    """Fixes as columns of shape (n,), by boat and time, each moment of a boat once."""

    boat: NDArray[np.int64]
    at: NDArray[np.int64]  # UTC µs
    lon: Floats
    lat: Floats

    @classmethod
    def of(cls, boat: NDArray[Any], at: NDArray[np.int64], lon: Floats, lat: Floats) -> Track:
        """From fixes in any order; without those that have no place, and only the first of a boat's moment."""
        placed = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat))
        order = placed[np.lexsort((at[placed], boat[placed]))]
        return cls(boat[order].astype(np.int64), at[order], lon[order], lat[order]).once()

    def once(self) -> Track:
        """Without the repetitions of a boat's moment."""
        new = np.append(True, (np.diff(self.boat) != 0) | (np.diff(self.at) != 0))[: len(self.at)]
        return self if new.all() else Track(*(column[new] for column in self))

    def find(self, boat: NDArray[Any], at: NDArray[np.int64]) -> Ids:
        """Where in the track these fixes are, shape (k,); each must be in it."""
        first = int(self.at.min())
        wide = int(self.at.max()) - first + 1
        key = self.boat * wide + (self.at - first)
        return np.searchsorted(key, boat.astype(np.int64) * wide + (at - first))


class Grid(NamedTuple):
    """Steps of the tracks around k fixes; the nearest in time comes first. Where nothing is known, ``known`` is False
    and the rest 0."""

    speed: Floats  # (k, steps), m/s
    known: Flags
    x: Floats  # (k, steps): metres east and north of the fix, at the far end of each step
    y: Floats

    @property
    def mean(self) -> Floats:
        """(k, steps): the mean speed of the first steps, up to and with each."""
        count = np.cumsum(self.known, axis=1)
        return np.asarray(np.cumsum(self.speed, axis=1) / np.maximum(count, 1))


def features(track: Track, fixes: Ids, *, history: int = HISTORY, hindsight: bool = False) -> dict[str, Floats]:
    """What is known of the movement at some fixes of a track (indices, shape (k,)): each of shape (k,), NaN where
    nothing is. Speeds in m/s, distances in m; a pace is a speed by the boat's own cruising speed. ``history`` (s): how
    far back is looked, at least ten minutes.
    """
    back = _grid(track, fixes, -history)
    cruise = np.maximum(_quantile(back, 1800, 0.98), SLOWEST_CRUISE)
    steady = np.maximum(_quantile(back, history, 0.90), SLOWEST_CRUISE)
    mean = _with_unknown(back)
    found = {
        "fastest_1min": _fastest(back, 60),
        "fastest_5min": _fastest(back, 300),
        "fastest_10min": _fastest(back, 600),
        "pace_now": mean[:, 0] / steady,
        "pace_5min": mean[:, _last(back, 300)] / cruise,
        "straight_10min": _straight(back, mean, 600),
        "old_places": _nearest_old(back),
        "roamed": _roamed(back, history // 2),
    }
    if hindsight:
        top = np.maximum(_quantile(back, history, 0.98), SLOWEST_CRUISE)
        ahead = _grid(track, fixes, HINDSIGHT)
        coming = _with_unknown(ahead)
        found |= {
            "pace_next": coming[:, 0] / cruise,
            "pace_next_2min": coming[:, _last(ahead, 120)] / top,
            "pace_around": (mean[:, _last(back, 300)] + coming[:, _last(ahead, 300)]) / 2 / top,
        }
    return found


def _grid(track: Track, fixes: Ids, reach: int) -> Grid:
    """The steps up to ``reach`` s from each fix, back in time where it is negative."""
    pause = np.append(True, (np.diff(track.boat) != 0) | (np.diff(track.at) > PAUSE * SECOND))[: len(track.at)]
    run = np.cumsum(pause) - 1
    # One ascending key for all: each run from its own beginning, runs apart from each other by more than any reach.
    head, tail = np.flatnonzero(pause), np.append(np.flatnonzero(pause)[1:], len(run)) - 1
    wide = int((track.at[tail] - track.at[head]).max(initial=0)) + (HISTORY + HINDSIGHT) * 2 * SECOND
    key = run * wide + (track.at - track.at[head[run]])
    mine = key[fixes]
    if reach < 0:  # only what lies within reach may count, so that no older fix matters
        edge = key[np.maximum(np.searchsorted(key, mine + reach * SECOND), head[run[fixes]])]
    else:
        edge = key[np.minimum(np.searchsorted(key, mine + reach * SECOND, "right") - 1, tail[run[fixes]])]
    steps = np.arange(1, abs(reach) // STEP + 1) * (STEP * SECOND) * (1 if reach > 0 else -1)
    wanted = mine[:, None] + steps
    known = wanted >= edge[:, None] if reach < 0 else wanted <= edge[:, None]
    wanted = np.where(known, wanted, mine[:, None])
    lon, lat = np.interp(wanted, key, track.lon), np.interp(wanted, key, track.lat)
    lon0, lat0 = track.lon[fixes][:, None], track.lat[fixes][:, None]
    x, y = (lon - lon0) * DEGREE * np.cos(np.radians(lat0)), (lat - lat0) * DEGREE
    dx, dy = np.diff(x, axis=1, prepend=0.0), np.diff(y, axis=1, prepend=0.0)
    return Grid(np.where(known, np.hypot(dx, dy) / STEP, 0.0), known, x, y)


def _last(grid: Grid, seconds: int) -> int:
    """The last step of so many seconds, if it is looked so far."""
    return int(min(seconds // STEP, grid.speed.shape[1])) - 1


def _with_unknown(grid: Grid) -> Floats:
    return np.where(grid.known[:, :1], grid.mean, np.nan)


def _fastest(grid: Grid, seconds: int) -> Floats:
    fastest = grid.speed[:, : seconds // STEP].max(axis=1)
    return np.where(grid.known[:, 0], fastest, np.nan)


def _quantile(grid: Grid, seconds: int, share: float) -> Floats:
    """Of the known speeds; known steps come first, and the unknown are 0, so they sort before them."""
    steps = _last(grid, seconds) + 1
    count = grid.known[:, :steps].sum(axis=1)
    ordered = np.sort(np.where(grid.known[:, :steps], grid.speed[:, :steps], -1.0), axis=1)
    place = steps - count + share * np.maximum(count - 1, 0)
    low = np.minimum(place.astype(int), steps - 1)
    rows, high = np.arange(len(low)), np.minimum(low + 1, steps - 1)
    value = ordered[rows, low] + (place - low) * (ordered[rows, high] - ordered[rows, low])
    return np.where(count > 0, value, np.nan)


def _straight(grid: Grid, mean: Floats, seconds: int) -> Floats:
    """How far it has come by how far it has gone: 1 for a straight line, 0 for a circle."""
    steps = _last(grid, seconds) + 1
    last = np.maximum(grid.known[:, :steps].sum(axis=1) - 1, 0)
    rows = np.arange(len(last))
    gone = mean[:, steps - 1] * STEP * (last + 1)
    come = np.hypot(grid.x[rows, last], grid.y[rows, last])
    return np.where(
        gone > 0.05 * STEP * (last + 1), come / np.maximum(gone, 1e-9), np.where(np.isnan(gone), np.nan, 1.0)
    )


def _nearest_old(grid: Grid) -> Floats:
    """Metres to the nearest of its places of 20 minutes ago and more: who works along a line comes back to it."""
    old = slice(1200 // STEP - 1, None)
    away = np.where(grid.known[:, old], np.hypot(grid.x[:, old], grid.y[:, old]), FAR)
    return np.asarray(np.minimum(away.min(axis=1, initial=FAR), FAR))


def _roamed(grid: Grid, seconds: int) -> Floats:
    """Metres to the farthest of its places of so many seconds, as far as it has been followed. Not a matter of the
    weights: a boat at its berth moves as little as one at its net."""
    steps = slice(0, max(1, seconds // STEP))
    return np.asarray(np.hypot(grid.x[:, steps], grid.y[:, steps]).max(axis=1))  # 0 where nothing is known


# ── The weights ─────────────────────────────────────────────────────────────────────────────────────────────────────
OFFSET: Final[Mapping[str, float]] = {"fastest": 0.15, "pace": 0.05, "old": 10.0}
"""Features are taken as log(x + offset): differences of small values are noise. By the name's first word; another
feature is taken as it is."""


def scaled(name: str, values: Any) -> Floats:
    """A feature on the scale on which its weight is piecewise linear."""
    offset = OFFSET.get(name.split("_")[0])
    plain = np.asarray(values, np.float64)
    return plain if offset is None else np.log(plain + offset)


@dataclass(frozen=True, slots=True)
class Model:
    """A sum of one curve for each feature: the log-odds that the boat is fishing.

    Each curve is given by points (value of the feature, log-odds), linear in between on the feature's own scale and
    level beyond; an unknown feature adds nothing.
    """

    base: float
    curves: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]

    @property
    def hindsight(self) -> bool:
        """Whether it looks ahead."""
        return any(name in ("pace_next", "pace_next_2min", "pace_around") for name in self.curves)

    def log_odds(self, found: Mapping[str, Floats]) -> Floats:
        """Of fixes whose :func:`features` are given, shape (k,): above 0 it rather fishes."""
        total = np.full(len(next(iter(found.values()))), self.base)
        for name, (at, weight) in self.curves.items():
            added = np.interp(scaled(name, found[name]), scaled(name, at), weight)
            total += np.where(np.isfinite(added), added, 0.0)
        return total


@cache
def model(name: str = "causal") -> Model:
    """The shipped model: ``causal`` looks back only, ``hindsight`` also ten minutes ahead."""
    table = tomllib.loads(files("detectors").joinpath("movement.toml").read_text("utf-8"))[name]
    curves = {key: (tuple(curve["at"]), tuple(curve["adds"])) for key, curve in table["curves"].items()}
    return Model(table["base"], curves)
