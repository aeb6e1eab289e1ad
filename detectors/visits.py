"""Visits: a device's stays in zones, from its fixes, with hysteresis against GPS noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.geo import Floats, Ids, ZoneIndex, short_distance
from detectors.thresholds import check_above, check_from, check_order
from devices.readings import SECOND, VISIT, Rows, raw, rows
from devices.site import Site, ZoneKind

KINDS: Final[tuple[ZoneKind, ...]] = ("patrol", "checkpoint", "restricted", "no_fishing")
NEVER: Final = -(1 << 62)

PAIR: Final = np.dtype([
    ("key", "<i8"),      # device * number of zones + zone: the table is sorted by it
    ("entered", "<i8"),  # UTC µs; NEVER while outside
    ("inside", "?"),     # where the present run of fixes lies
    ("begin", "<i8"),    # its first fix
    ("settled", "?"),    # it has lasted long enough to count
])  # fmt: skip
RUN: Final = np.dtype([
    ("pair", "<i8"), ("inside", "?"), ("begin", "<i8"), ("settled", "?"),
    ("gap", "?"), ("previous", "<i8"),  # whether a long pause lies before it, and the fix before that
])  # fmt: skip


class Visit(NamedTuple):
    """A device's stay in a zone; the same (device, zone, entered) is told again when it is left."""

    device: int  # id
    zone: str  # code
    entered: int  # UTC µs of the first fix inside
    left: int | None  # UTC µs of the first fix outside, or of the last one before a long gap; None while inside


class Track(NamedTuple):
    """Fixes as columns of shape (n,), by device and time."""

    device: NDArray[np.int64]
    at: NDArray[np.int64]
    lon: Floats
    lat: Floats


@dataclass(slots=True)
class State:
    """What the fold knows: the pairs of device and zone that are inside, or on the way in."""

    index: ZoneIndex
    site: Site
    newest: NDArray[np.int64]  # by device id: its newest fix, UTC µs
    pairs: Rows = field(default_factory=lambda: np.empty(0, PAIR))


@dataclass(frozen=True)
class Visits:
    """Entering and leaving zones of the kinds in :data:`KINDS`.

    A device is inside once its fixes have lain in the zone for ``settle`` s without one outside, since the first of
    them; outside likewise. A pause of more than ``lost`` s between two fixes ends a visit at the last fix before it. A
    line or point zone holds what is within ``reach`` m of it. Fixes without a place, or with an accuracy worse than
    ``accuracy`` m, are left out. A fix not newer than its device's newest is left out too: late fixes are a new fold of
    that stretch.

    To go on after a restart: ``start`` with the stored visits and the last positions, then feed the fixes with ``at >=
    since``, for a ``since`` at least :attr:`memory` seconds before the newest fix whose visits were stored.

    >>> import shapely
    >>> from devices.readings import FIX, rows
    >>> from devices.registry import Registry
    >>> from devices.site import Zone
    >>> zone = Zone("K", "checkpoint", "打卡点", "Checkpoint", "", shapely.box(118.0, 31.0, 118.001, 31.001))
    >>> site, visits = Site([], [zone], [], Registry([])), Visits()
    >>> lon = [117.9, 118.0005, 118.0005, 118.0005, 117.9, 117.9, 117.9]
    >>> fixes = [(1, i * 15 * SECOND, 0, x, 31.0005, 1, 0, 5, 80, 0) for i, x in enumerate(lon)]
    >>> visits.step(visits.start(site), rows(FIX, fixes), site)
    [Visit(device=1, zone='K', entered=15000000, left=None), Visit(device=1, zone='K', entered=15000000, left=60000000)]
    """

    settle: float = 20.0  # s
    lost: float = 600.0  # s
    reach: float = 30.0  # m
    accuracy: float = 100.0  # m

    def __post_init__(self) -> None:
        check_from(self, 0, "settle")
        check_above(self, 0, "lost", "reach", "accuracy")
        check_order(self, "settle", "lost")

    @property
    def memory(self) -> float:
        """Seconds of fixes that, with the stored visits, make a fresh state as good as one that never stopped."""
        return self.settle + self.lost

    def start(
        self, site: Site, visits: Iterable[Visit] = (), since: int = NEVER, last_positions: Rows | None = None
    ) -> State:
        """A fresh state, before any fix.

        ``visits`` are the stored ones, left or not; those count that span ``since`` (UTC µs), from where fixes will be
        fed. ``last_positions`` (of dtype FIX) tell of the devices that have been quiet since before then.
        """
        index = ZoneIndex([zone for kind in KINDS for zone in site.zones_of(kind)], self.reach)
        state = State(index, site, np.full(site.registry.size, NEVER))
        order = {zone.code: i for i, zone in enumerate(index.zones)}
        inside = sorted(
            (visit.device * len(order) + order[visit.zone], visit.entered)
            for visit in visits
            if visit.zone in order and visit.entered <= since and (visit.left is None or visit.left > since)
        )
        state.pairs = np.array([(key, entered, True, entered, True) for key, entered in inside], PAIR)
        if last_positions is not None:
            quiet = last_positions[last_positions["at"] < since]
            state.newest = _longer(state.newest, int(quiet["device"].max(initial=-1)) + 1)
            state.newest[quiet["device"]] = quiet["at"]
        return state

    def step(self, state: State, fixes: Rows, site: Site) -> list[Visit]:
        """Fold fixes, in any order, into ``state``; returns the visits that began or ended, in order of device, zone
        and time. ``site`` may be newer than at ``start`` and know more devices and other zones."""
        if state.site is not site:
            self._move(state, site)
        track = self._useful(state, fixes)
        if not len(track.at) or not state.index.zones:
            return []
        first = np.append(True, track.device[1:] != track.device[:-1])
        previous = np.where(first, state.newest[track.device], np.append(NEVER, track.at[:-1]))
        last = np.append(first[1:], True)
        state.newest[track.device[last]] = track.at[last]
        row, key, inside = self._sequences(state, track)
        return self._fold(state, key, track.at[row], previous[row], inside) if len(row) else []

    def adopt(self, state: State, other: State, devices: Iterable[int], begun: Iterable[Visit] = ()) -> None:
        """Take what ``other``, a state of the same site, knows of some devices (ids) in place of what ``state`` does,
        and of further ones when the visits that still last were entered."""
        zones, chosen = max(len(state.index.zones), 1), list(devices)
        kept = state.pairs[~np.isin(state.pairs["key"] // zones, chosen)]
        taken = other.pairs[np.isin(other.pairs["key"] // zones, chosen)]
        pairs = np.append(kept, taken)
        state.pairs = pairs[np.argsort(pairs["key"])]
        order = {zone.code: i for i, zone in enumerate(state.index.zones)}
        for visit in begun:
            pair = state.pairs["key"] == visit.device * zones + order[visit.zone]
            state.pairs["entered"][pair & (state.pairs["entered"] > NEVER)] = visit.entered

    # ── Which fixes, which zones ────────────────────────────────────────────────────────────────────────────────────
    def _useful(self, state: State, fixes: Rows) -> Track:
        """By device and time, each moment once: placed, exact enough, newer than what is known."""
        device, at = fixes["device"].astype(np.int64), fixes["at"]
        state.newest = _longer(state.newest, int(device.max(initial=-1)) + 1)
        good = np.isfinite(fixes["lon"]) & np.isfinite(fixes["lat"]) & ~(fixes["accuracy"] > self.accuracy)
        which = np.flatnonzero(good & (at > state.newest[device]))
        device, at = device[which], at[which]
        earlier = (device[1:] < device[:-1]) | ((device[1:] == device[:-1]) & (at[1:] <= at[:-1]))
        if earlier.any():  # the pipeline's batches come sorted
            order = np.lexsort((at, device))
            order = order[np.append(True, (np.diff(device[order]) != 0) | (np.diff(at[order]) != 0))]
            which, device, at = which[order], device[order], at[order]
        return Track(device, at, fixes["lon"][which], fixes["lat"][which])

    def _sequences(self, state: State, track: Track) -> tuple[Ids, NDArray[np.int64], NDArray[np.bool_]]:
        """The fixes of each pair that matters, one pair after the other: fix index, key, whether it lies inside."""
        zones, device = len(state.index.zones), track.device
        hit, zone = state.index.pairs(track.lon, track.lat)
        hit_key = device[hit] * zones + zone
        begin_of = np.searchsorted(device, state.pairs["key"] // zones)
        present = device[np.minimum(begin_of, len(device) - 1)] == state.pairs["key"] // zones
        keys = _distinct(np.append(hit_key, state.pairs["key"][present]))
        begin = np.searchsorted(device, keys // zones, "left")
        count = np.searchsorted(device, keys // zones, "right") - begin
        start = np.cumsum(count) - count
        pair = np.repeat(np.arange(len(keys)), count)
        row = np.arange(len(pair)) + (begin - start)[pair]
        inside = np.zeros(len(row), bool)
        # A hit is the fix's place in its device's sequence, within the pair's part.
        part = np.searchsorted(keys, hit_key)
        inside[start[part] + hit - begin[part]] = True
        return row, keys[pair], inside

    # ── Runs of fixes on one side ───────────────────────────────────────────────────────────────────────────────────
    def _fold(
        self,
        state: State,
        key: NDArray[np.int64],
        at: NDArray[np.int64],
        previous: NDArray[np.int64],
        inside: NDArray[np.bool_],
    ) -> list[Visit]:
        """Fold the sequences of all pairs, columns of shape (n,); ``previous`` is the device's fix before."""
        first = np.append(True, key[1:] != key[:-1])
        known = self._known(state, key[first])
        pair = np.cumsum(first) - 1
        gap = (previous > NEVER) & (at - previous > int(self.lost * SECOND))
        # The first fix of a pair goes on with the run that it finds, if it lies on the same side.
        found = (known["begin"] > NEVER)[pair] & (known["inside"][pair] == inside)
        goes_on = np.where(first, found, inside == np.append(False, inside[:-1])) & ~gap
        head = np.flatnonzero(first | ~goes_on)
        tail = np.append(head[1:], len(at)) - 1
        runs = np.empty(len(head), RUN)
        runs["pair"], runs["inside"], runs["gap"], runs["previous"] = (
            pair[head],
            inside[head],
            gap[head],
            previous[head],
        )
        runs["begin"] = np.where(goes_on[head], known["begin"][pair[head]], at[head])
        runs["settled"] = at[tail] - runs["begin"] >= int(self.settle * SECOND)
        runs["settled"] |= goes_on[head] & known["settled"][pair[head]]
        visits = self._tell(state, runs, known)
        latest = np.flatnonzero(np.append(runs["pair"][1:] != runs["pair"][:-1], True))
        for column in ("inside", "begin", "settled"):
            known[column] = runs[column][latest]
        self._keep(state, known)
        return visits

    def _tell(self, state: State, runs: Rows, known: Rows) -> list[Visit]:
        """The visits that the runs begin and end; notes in ``known`` when each pair was entered."""
        visits, zones = [], state.index.zones
        keys, entered_at = known["key"], known["entered"]
        turning = _turning(runs, entered_at > NEVER)
        for i, run in zip(turning.tolist(), runs.take(turning).tolist(), strict=True):
            pair, inside, begin, settled, gap, previous = run
            device, zone = divmod(int(keys[pair]), len(zones))
            code, entered = zones[zone].code, int(entered_at[pair])
            if gap and entered > NEVER:
                before = runs[i - 1] if i and runs["pair"][i - 1] == pair else known[pair]
                left = previous if before["inside"] else int(before["begin"])
                visits.append(Visit(device, code, entered, left))
                entered = NEVER
            if settled and inside and entered == NEVER:
                entered = begin
                visits.append(Visit(device, code, entered, None))
            elif settled and not inside and entered > NEVER:
                visits.append(Visit(device, code, entered, begin))
                entered = NEVER
            entered_at[pair] = entered
        return visits

    def _known(self, state: State, keys: NDArray[np.int64]) -> Rows:
        """What is known of pairs, shape (k,); for a new one: outside, no run yet."""
        known = np.empty(len(keys), PAIR)
        known["key"], known["entered"], known["begin"], known["inside"], known["settled"] = (
            keys,
            NEVER,
            NEVER,
            False,
            False,
        )
        place = np.searchsorted(state.pairs["key"], keys)
        there = place < len(state.pairs)
        there[there] = state.pairs["key"][place[there]] == keys[there]
        raw(known)[there] = raw(state.pairs).take(place[there])
        return known

    def _keep(self, state: State, known: Rows) -> None:
        """Put pairs back; one that is outside with nothing on the way in is forgotten."""
        pairs = state.pairs
        place = np.searchsorted(pairs["key"], known["key"])
        there = place < len(pairs)
        there[there] = pairs["key"][place[there]] == known["key"][there]
        keep = (known["entered"] > NEVER) | known["inside"]
        raw(pairs)[place[there & keep]] = raw(known).compress(there & keep)
        gone, new = place[there & ~keep], raw(known).compress(~there & keep)
        if len(gone) or len(new):  # seldom: somebody comes to a zone or has left it
            stays = np.ones(len(pairs), bool)
            stays[gone] = False
            kept = np.concatenate([raw(pairs).compress(stays), new])
            state.pairs = kept.take(np.argsort(kept.view(PAIR)["key"])).view(PAIR)

    def _move(self, state: State, site: Site) -> None:
        """Take a changed site: the pairs of zones that are still there stay."""
        old, state.site = state.index.zones, site
        state.index = ZoneIndex([zone for kind in KINDS for zone in site.zones_of(kind)], self.reach)
        order = {zone.code: i for i, zone in enumerate(state.index.zones)}
        moved = np.array([order.get(zone.code, -1) for zone in old], np.int64)
        device, zone = np.divmod(state.pairs["key"], max(len(old), 1))
        there = moved[zone] >= 0 if len(old) else np.zeros(0, bool)
        state.pairs = state.pairs[there]
        state.pairs["key"] = device[there] * len(order) + moved[zone[there]]
        state.pairs = state.pairs[np.argsort(state.pairs["key"])]
        state.newest = _longer(state.newest, site.registry.size)


def visit_rows(visits: Sequence[Visit]) -> Rows:
    """Visits as rows of dtype VISIT, in the same order, for :class:`detectors.base.Batch`: ``left`` 0 while inside."""
    return rows(VISIT, [(v.device, v.zone, v.entered, v.left or 0) for v in visits])


def arrived(fixes: Rows, device: int, lon: float, lat: float, within: float = 50.0) -> int | None:
    """When (UTC µs) a device first came within so many metres of a place, by these fixes; None if it did not.

    For a dispatched terminal: feed each batch until it says when.
    """
    own = fixes[fixes["device"] == device]
    near = own["at"][short_distance(own["lon"], own["lat"], lon, lat) <= within]
    return int(near.min()) if len(near) else None


def _turning(runs: Rows, entered: NDArray[np.bool_]) -> Ids:
    """The runs, shape (n,), that can begin or end a visit: settled on another side than was settled before, or after a
    gap. ``entered`` says of each pair whether it is inside at first. All others need no look of their own."""
    settled = np.flatnonzero(runs["settled"])
    pair, inside = runs["pair"][settled], runs["inside"][settled]
    same = np.append(False, pair[1:] == pair[:-1])
    turns = np.zeros(len(runs), bool)
    turns[settled] = inside != np.where(same, np.append(False, inside[:-1]), entered[pair])
    if runs["gap"].any():
        turns |= np.isin(runs["pair"], runs["pair"][runs["gap"]]) & (runs["settled"] | runs["gap"])
    return np.flatnonzero(turns)


def _distinct(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    keys = np.sort(keys)
    return keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys


def _longer(newest: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    missing = size - len(newest)
    return newest if missing <= 0 else np.append(newest, np.full(missing, NEVER))
