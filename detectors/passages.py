"""Who passed through a zone faster than his fixes show it: the way between two fixes leads through, no fix lies inside.

Only ways that are long or fast are looked at, so that those on foot cost nothing: they are seen inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from detectors.geo import DEGREE, Floats, Ids, ZoneIndex, plane_of
from devices.readings import SECOND, Rows
from devices.site import Zone

NEVER: Final = -(1 << 62)
FAST: Final = 2.5  # m/s: who is slower is long enough inside to be seen there
FASTEST: Final = 60.0  # m/s: faster goes nobody, such a way is a wrong or a forged place
SHORTEST: Final = 0.1  # of the depth: shorter ways may be the receiver's noise


class Spot(NamedTuple):
    """A fix."""

    at: int  # UTC µs
    lon: float
    lat: float


class Touch(NamedTuple):
    """How a way touches a zone."""

    zone: int  # index
    was: bool  # whether the zone holds its begin
    comes: bool  # and its end


class Passage(NamedTuple):
    """A device's way through a zone, from a fix before it to one behind it."""

    device: int
    zone: Zone
    before: Spot
    behind: Spot
    metres: float  # of the straight way, inside


@dataclass
class Passages:
    """The fold over fixes. ``depth`` is how many metres must lie inside, ``join`` how many seconds the way may take."""

    zones: list[Zone]
    depth: float
    join: float
    accuracy: float
    at: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # newest fix, by device id
    lon: Floats = field(default_factory=lambda: np.empty(0))
    lat: Floats = field(default_factory=lambda: np.empty(0))
    lone: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))  # that fix followed a pause, or none
    entering: dict[tuple[int, str], Spot] = field(default_factory=dict)  # last fix before a fast way in
    unsure: dict[tuple[int, str], Passage] = field(default_factory=dict)  # told when the next fix does not lead back

    def __post_init__(self) -> None:
        self._shapes = np.array([zone.geometry for zone in self.zones], dtype=object)
        self._solid = shapely.area(self._shapes) > 0
        shapely.prepare(self._shapes)
        self._tree = shapely.STRtree(self._shapes)
        self._index = ZoneIndex(self.zones)  # for its box

    def adopt(self, other: Passages) -> None:
        """Go on where another, of the same thresholds, has come to."""
        codes = {zone.code for zone in self.zones}
        self.at, self.lon, self.lat, self.lone = other.at, other.lon, other.lat, other.lone
        self.entering = {key: spot for key, spot in other.entering.items() if key[1] in codes}
        self.unsure = {key: passage for key, passage in other.unsure.items() if key[1] in codes}

    def step(self, fixes: Rows) -> list[Passage]:
        """Take fixes, of dtype FIX and in any order; returns the passages that are sure now. Late ones are left out."""
        if not self.zones or not len(fixes):
            return []
        self._grow(int(fixes["device"].max()) + 1)
        device, at, lon, lat = self._useful(fixes)
        if not len(at):
            return []
        first = np.append(True, device[1:] != device[:-1])
        before_at, before_lon, before_lat = (
            np.where(first, own[device], np.append(new[:1], new[:-1]))
            for own, new in ((self.at, at), (self.lon, lon), (self.lat, lat))
        )
        last = np.flatnonzero(np.append(first[1:], True))
        took = at - before_at
        soon = took <= int(self.join * SECOND)
        # A receiver's first fix after a pause is often far off: a way that begins with it is not believed.
        doubtful = np.where(first, self.lone[device], np.append(False, ~soon[:-1]))
        for own, new in ((self.at, at), (self.lon, lon), (self.lat, lat), (self.lone, ~soon)):
            own[device[last]] = new[last]
        east = (lon - before_lon) * np.cos(np.radians(lat))
        far = np.clip(took * (FAST / SECOND), SHORTEST * self.depth, self.depth) / DEGREE
        square, most = east * east + (lat - before_lat) ** 2, took * (FASTEST / SECOND / DEGREE)
        moved = soon & ~doubtful & (square >= far * far) & (square <= most * most)
        moved &= self._index.near_any(lon, lat, 5_000.0)
        touched = self._through(np.flatnonzero(moved), before_lon, before_lat, lon, lat)
        matter = set(touched)
        if self.unsure:
            waits = np.fromiter((key[0] for key in self.unsure), np.int64)
            matter.update(np.flatnonzero(np.isin(device, waits)).tolist())
        found = []
        due = sorted(matter, reverse=True)
        while due:
            i = due.pop()
            before = Spot(int(before_at[i]), float(before_lon[i]), float(before_lat[i]))
            now = Spot(int(at[i]), float(lon[i]), float(lat[i]))
            found += self._way(int(device[i]), before, now, touched.get(i, ()))
            more = i + 1 < len(at) and not first[i + 1] and any(key[0] == device[i] for key in self.unsure)
            if more and (not due or due[-1] != i + 1):
                due.append(i + 1)  # a passage is sure, or not, by the next fix
        return found

    def _useful(self, fixes: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]:
        """By device and time, each moment once: placed, exact enough, newer than what is known."""
        device, at = fixes["device"].astype(np.int64), fixes["at"]
        good = np.isfinite(fixes["lon"]) & np.isfinite(fixes["lat"]) & ~(fixes["accuracy"] > self.accuracy)
        which = np.flatnonzero(good & (at > self.at[device]))
        device, at = device[which], at[which]
        if ((device[1:] < device[:-1]) | ((device[1:] == device[:-1]) & (at[1:] <= at[:-1]))).any():
            order = np.lexsort((at, device))  # the pipeline's batches come sorted
            again = (np.diff(device[order]) == 0) & (np.diff(at[order]) == 0)
            order = order[np.append(True, ~again)]
            which, device, at = which[order], device[order], at[order]
        return device, at, fixes["lon"][which], fixes["lat"][which]

    def _through(self, ways: Ids, lon0: Floats, lat0: Floats, lon: Floats, lat: Floats) -> dict[int, list[Touch]]:
        """Of some ways (indices) those that touch zones, and how."""
        found: dict[int, list[Touch]] = {}
        if not len(ways):
            return found
        ends = np.stack([lon0[ways], lat0[ways], lon[ways], lat[ways]], axis=1).reshape(-1, 2, 2)
        lines = np.asarray(shapely.linestrings(ends))
        way, zone = self._tree.query(lines)
        touch = shapely.intersects(self._shapes[zone], lines[way])  # the zones are prepared, the ways are not
        way, zone = ways[way[touch]], zone[touch]
        holds = [
            self._solid[zone] & shapely.intersects_xy(self._shapes[zone], x[way], y[way])
            for x, y in ((lon0, lat0), (lon, lat))
        ]
        part = np.flatnonzero(~(holds[0] & holds[1]))  # a way from inside to inside changes nothing
        columns = (column[part].tolist() for column in (way, zone, *holds))
        for i, *how in zip(*columns, strict=True):
            found.setdefault(i, []).append(Touch(*how))
        return found

    def _way(self, device: int, before: Spot, now: Spot, touched: Iterable[Touch]) -> list[Passage]:
        """One long way and the zones that it touches, or the first fix after a passage."""
        sure, wrong = [], set()
        for key in [key for key in self.unsure if key[0] == device]:
            passage = self.unsure.pop(key)
            if self._inside(passage.zone, passage.behind, now) >= self.depth or _holds(passage.zone, now):
                wrong.add(passage.zone.code)  # one fix was, and nobody went through
            else:
                sure.append(passage)
        for index, was, comes in touched:
            zone = self.zones[index]
            if zone.code in wrong:
                continue
            key = (device, zone.code)
            start = self.entering.pop(key, None) if was else before
            if comes:
                if not was:
                    self.entering[key] = before
                elif start is not None:
                    self.entering[key] = start
            elif start is not None and now.at - start.at <= int(self.join * SECOND):
                metres = self._inside(zone, start, now)
                if metres >= self.depth:
                    self.unsure[key] = Passage(device, zone, start, now, metres)
        return sure

    @staticmethod
    def _inside(zone: Zone, one: Spot, other: Spot) -> float:
        """How many metres of the straight way between two fixes lie in a zone; of a zone that is a line, the way if it
        crosses it."""
        way = shapely.LineString([one[1:], other[1:]])
        part = shapely.intersection(way, zone.geometry)
        if part.is_empty:
            return 0.0
        whole = part if zone.geometry.area > 0 else way
        plane = plane_of(way)
        flat = shapely.transform(whole, lambda places: np.column_stack(plane.xy(places[:, 0], places[:, 1])))
        return float(flat.length)

    def _grow(self, size: int) -> None:
        missing = size - len(self.at)
        if missing > 0:
            self.at = np.append(self.at, np.full(missing, NEVER))
            self.lon, self.lat = (np.append(c, np.full(missing, np.nan)) for c in (self.lon, self.lat))
            self.lone = np.append(self.lone, np.ones(missing, bool))


def _holds(zone: Zone, spot: Spot) -> bool:
    return zone.geometry.area > 0 and bool(shapely.intersects_xy(zone.geometry, spot.lon, spot.lat))
