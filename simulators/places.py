"""The lake world's ground: metres around the site's middle, the shore, and the ways people and boats take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from devices.registry import Device
from devices.site import Area, Zone

Line = NDArray[np.float64]
"""A way, shape (k, 2), metres east and north of the frame's origin, k ≥ 2."""
Spot = tuple[float, float]

Some = TypeVar("Some", float, NDArray[np.float64])

METRES_PER_DEGREE: Final = math.radians(6_371_008.8)
BANK: Final = 12.0  # the path on the bank runs so many metres from the water's edge
OFFSHORE: Final = 150.0  # boats on patrol keep so far from the bank
DRAUGHT: Final = 8.0  # no boat goes nearer to the bank
ROUTE: Final = 2_400.0  # length of a shore round where the site draws none; twice that for a boat
STATION: Final = 60.0  # metres from a round to its station
SHORT: Final = 200.0  # a shorter piece of shore is no round


class NoLake(ValueError):
    """The site has no water to walk along."""


class Frame:
    """Degrees WGS-84 to metres in a plane that touches the sphere at (lon, lat), and back; within 0.1 % over 20 km."""

    def __init__(self, lon: float, lat: float) -> None:
        self.lon, self.lat = lon, lat
        self.east = METRES_PER_DEGREE * math.cos(math.radians(lat))

    def metres(self, geometry: BaseGeometry) -> BaseGeometry:
        """The geometry in metres."""
        return shapely.transform(
            geometry, lambda c: (c - [self.lon, self.lat]) * [self.east, METRES_PER_DEGREE], include_z=False
        )

    def spot(self, lon: float, lat: float) -> Spot:
        """One place in metres."""
        return (lon - self.lon) * self.east, (lat - self.lat) * METRES_PER_DEGREE

    def degrees(self, x: Some, y: Some) -> tuple[Some, Some]:
        """(lon, lat) of one place, or of arrays of them."""
        return self.lon + x / self.east, self.lat + y / METRES_PER_DEGREE


class Ground:
    """The lake, its bank and the ways along it. Built once from the site; immutable."""

    def __init__(self, areas: Sequence[Area], zones: Sequence[Zone], devices: Sequence[Device]) -> None:
        water = [z.geometry for z in zones if z.kind == "water" and isinstance(z.geometry, Polygon | MultiPolygon)]
        if not water:
            raise NoLake("the site has no polygon zone of kind 'water': the lake world needs one")
        middle = _largest(shapely.union_all(water)).centroid
        self.frame = Frame(middle.x, middle.y)
        self.lake = _largest(self.frame.metres(shapely.union_all(water)))
        self.navigable = _inside(self.lake, DRAUGHT)
        self.bank = _ring(self.lake.buffer(BANK))
        self.fairway = _ring(_inside(self.lake, OFFSHORE))
        self.zones = {z.code: self.frame.metres(z.geometry) for z in zones}
        self._patrol_zones = [z for z in zones if z.kind == "patrol"]
        on_foot = [self.zones[z.code] for z in self._patrol_zones if z.properties.get("by") != "boat"]
        self.walks = [line for line in on_foot if line.geom_type == "LineString"] or [self.bank]
        self._areas = {a.code: a for a in areas}
        self._villages = sorted({d.area for d in devices if d.kind == "terminal"})
        self._homes = self._village_spots(devices)
        for shape in (self.lake, self.navigable, *self.zones.values()):
            shapely.prepare(shape)

    # ── Routes ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def route(self, device: Device, *, afloat: bool) -> Line:
        """A patrol's round: its area's patrol zone for boats or for people on foot, a line or the shore in a polygon.

        An area without one gets the stretch of shore, or of water, that lies nearest.
        """
        shore = self.fairway if afloat else self.bank
        zones = [z for z in self._patrol_zones if (z.properties.get("by") == "boat") == afloat]
        shapes = [self.zones[z.code] for z in zones if self._related(z.area, device.area)]
        if lines := [s for s in shapes if s.geom_type == "LineString"]:
            return np.asarray(max(lines, key=lambda s: s.length).coords)
        pieces = [p for s in shapes for p in _lines(shore.intersection(s))]
        longest = max(pieces, key=lambda p: p.length, default=None)
        if longest is not None and longest.length > SHORT:
            return np.asarray(longest.coords)
        home = self._homes.get(device.area) or self._share(device.area)
        return self._around(shore, home, ROUTE * 2 if afloat else ROUTE)

    def inland(self, spot: Spot, distance: float) -> Spot:
        """The place ``distance`` metres further from the water than a place near the bank."""
        edge = self.lake.exterior.interpolate(self.lake.exterior.project(Point(spot)))
        away = np.array([spot[0] - edge.x, spot[1] - edge.y])
        away /= max(float(np.hypot(*away)), 1e-9)
        if self.lake.contains(Point(spot)):
            away = -away
        return float(spot[0] + distance * away[0]), float(spot[1] + distance * away[1])

    def station(self, route: Line) -> Spot:
        """Where the patrols of a route rest: inland of its middle."""
        middle = LineString(route).interpolate(0.5, normalized=True)
        return self.inland((middle.x, middle.y), STATION)

    def harbour(self, route: Line) -> Spot:
        """Where the boat of a route lies: close to the bank, near the route's beginning."""
        return self._nearest(self.navigable.exterior, (float(route[0, 0]), float(route[0, 1])))

    # ── Ways ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def on_foot(self, here: Spot, there: Spot) -> Line:
        """A way over land: straight where the lake does not lie between, else along the bank the shorter way round.

        A goal in the water is replaced by the nearest place on the bank.
        """
        goal = self._nearest(self.bank, there) if self.lake.contains(Point(there)) else there
        if not self.lake.intersects(LineString([here, goal])):
            return np.array([here, goal])
        return np.vstack([here, self._round(self.bank, here, goal), goal])

    def by_boat(self, here: Spot, there: Spot) -> Line:
        """A way over water: straight where no land lies between, else by the fairway.

        A goal on land is replaced by the nearest place with enough water under the boat.
        """
        goal = there if self.navigable.contains(Point(there)) else self._nearest(self.navigable.exterior, there)
        if self.lake.covers(LineString([here, goal])):
            return np.array([here, goal])
        return np.vstack([here, self._round(self.fairway, here, goal), goal])

    def beside(self, spot: Spot, metres: float) -> Spot:
        """The place on the bank's path so many metres along it (clockwise round the lake) from a place."""
        found = self.bank.interpolate((self.bank.project(Point(spot)) + metres) % self.bank.length)
        return float(found.x), float(found.y)

    def afloat(self, spot: Spot) -> bool:
        """Whether a boat can be there."""
        return bool(self.navigable.contains(Point(spot)))

    def bank_spots(self, zone: str, every: float = 10.0, offset: float = 3.0) -> Line:
        """Places at the water's edge within a zone, ``offset`` metres on land, shape (n, 2) with n ≥ 0."""
        ring = _ring(self.lake.buffer(offset))
        points = shapely.line_interpolate_point(ring, np.arange(0.0, ring.length, every))
        inside = shapely.covers(self.zones[zone], points)
        return shapely.get_coordinates(points[inside])

    def water_spots(self, zone: str, every: float = 60.0, offshore: float = 60.0) -> Line:
        """Places on the water within a zone at least ``offshore`` metres from the bank, on a grid, shape (n, 2)."""
        area = self.zones[zone].intersection(self.lake.buffer(-offshore))
        if area.is_empty:
            return np.empty((0, 2))
        west, south, east, north = area.bounds
        step = max(every, math.sqrt(area.area / 4_000.0))
        grid = np.stack(np.meshgrid(np.arange(west, east, step), np.arange(south, north, step)), axis=-1).reshape(-1, 2)
        return np.asarray(grid[shapely.contains_xy(area, grid[:, 0], grid[:, 1])])

    def distance(self, zone: str, spot: Spot) -> float:
        """Metres from a place to a zone, 0 within it."""
        return float(self.zones[zone].distance(Point(spot)))

    # ── Parts ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _round(self, ring: LineString, here: Spot, there: Spot) -> Line:
        start, end = ring.project(Point(here)), ring.project(Point(there))
        ahead = (end - start) % ring.length
        piece = _arc(ring, start, ahead) if ahead <= ring.length / 2 else _arc(ring, end, ring.length - ahead)[::-1]
        return np.asarray(piece)

    def _around(self, ring: LineString, spot: Point, length: float) -> Line:
        length = min(length, ring.length / 2)
        return _arc(ring, (ring.project(spot) - length / 2) % ring.length, length)

    @staticmethod
    def _nearest(line: BaseGeometry, spot: Spot) -> Spot:
        found = line.interpolate(line.project(Point(spot)))
        return float(found.x), float(found.y)

    def _village_spots(self, devices: Sequence[Device]) -> dict[str, Point]:
        """The middle of the fixed devices of an area: as near as the site tells where a village lies."""
        found: dict[str, list[Spot]] = {}
        for d in devices:
            if not math.isnan(d.lon):
                found.setdefault(d.area, []).append(self.frame.spot(d.lon, d.lat))
        return {area: Point(np.mean(spots, axis=0)) for area, spots in found.items()}

    def _share(self, area: str) -> Point:
        """Without any hint: the villages stand around the lake at equal distances, in the order of their codes."""
        number = self._villages.index(area) if area in self._villages else 0
        return self.bank.interpolate((number + 0.5) / max(len(self._villages), 1), normalized=True)

    def _related(self, one: str, other: str) -> bool:
        return one in self._lineage(other) or other in self._lineage(one)

    def _lineage(self, area: str) -> list[str]:
        """The area and its parents up to the community: a patrol zone of a whole street is nobody's round."""
        found: list[str] = []
        while area in self._areas and area not in found and self._areas[area].level in ("grid", "community"):
            found.append(area)
            area = self._areas[area].parent
        return found


def _largest(shape: BaseGeometry) -> Polygon:
    parts = [p for p in getattr(shape, "geoms", [shape]) if isinstance(p, Polygon)]
    return max(parts, key=lambda p: p.area, default=Polygon())


def _inside(lake: Polygon, margin: float) -> Polygon:
    """The lake without its margin; on a pond too narrow for it, with as much margin as leaves some water."""
    while (inner := _largest(lake.buffer(-margin))).is_empty:
        margin /= 2
    return inner


def _ring(shape: BaseGeometry) -> LineString:
    return LineString(_largest(shape).exterior.simplify(1.0).coords)


def _lines(shape: BaseGeometry) -> list[LineString]:
    """The lines of an intersection; pieces that a ring's seam has cut are joined."""
    merged = shapely.line_merge(shape) if shape.geom_type == "MultiLineString" else shape
    return [g for g in getattr(merged, "geoms", [merged]) if isinstance(g, LineString) and not g.is_empty]


def _arc(ring: LineString, start: float, length: float) -> Line:
    """The part of a closed ring from ``start`` over ``length`` metres, across its seam where need be."""
    start %= ring.length
    end = start + length
    if end <= ring.length:
        return np.asarray(substring(ring, start, end).coords)
    before = np.asarray(substring(ring, start, ring.length).coords)
    after = np.asarray(substring(ring, 0.0, end - ring.length).coords)
    return np.vstack([before, after[1:]])
