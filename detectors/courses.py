"""What a patrol is to follow, as marks in order: places every 20 m along a line, or checkpoints. And who passed which.

A mark of a line is passed by whoever comes within the plan's corridor of it, at a fix or on the straight way between
two fixes that lie close enough in time. A mark that is a checkpoint is passed by whoever is in it for the plan's
``stay``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from detectors.geo import Floats, Plane, ZoneIndex, plane_of, widened
from devices.readings import SECOND
from devices.site import Plan, Site, Zone
from devices.site_plans import is_line

Ints = NDArray[np.int64]

STEP: Final = 20.0  # m between two marks of a line
JOIN: Final = 120.0  # s between two fixes, at most, to take the way between them for straight
HOLD: Final = 60.0  # s of fixes outside that end a stay
CHUNK: Final = 1 << 20  # distances at once


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The marks of one plan, or of one line zone of a quota, on a plane in metres."""

    plan: Plan
    zones: tuple[Zone, ...]  # one line, or checkpoints
    plane: Plane
    x: Floats  # marks, in their order
    y: Floats
    shapes: tuple[BaseGeometry, ...]  # of the checkpoints, in degrees; () for a line
    length: float  # m of the line; 0 for checkpoints

    @property
    def is_line(self) -> bool:
        return not self.shapes

    @property
    def is_ring(self) -> bool:
        """Whether the line ends where it begins."""
        return self.is_line and bool(np.hypot(self.x[0] - self.x[-1], self.y[0] - self.y[-1]) <= 2 * STEP)

    @property
    def zone(self) -> str:
        """The line's code; "" for checkpoints."""
        return self.zones[0].code if self.is_line else ""

    @property
    def needed(self) -> int:
        """How many marks make it complete."""
        return max(1, int(np.ceil(self.plan.share * len(self.x) - 1e-9)))

    def like(self, other: Course | None) -> bool:
        """Whether another course asks for the same."""
        return other is not None and (self.plan, self.zones) == (other.plan, other.zones)

    def distance(self, lon: Floats, lat: Floats) -> Floats:
        """Metres from places, shape (n,), to the nearest mark; to a line that is right to half a step."""
        x, y = self.plane.xy(lon, lat)
        nearest = [np.hypot(x[i] - self.x, y[i] - self.y).min() for i in range(len(x))]
        return np.array(nearest, np.float64)


def line_course(plan: Plan, zone: Zone) -> Course:
    """The course along a line zone."""
    plane = plane_of(zone.geometry)
    flat = shapely.transform(zone.geometry, lambda places: np.column_stack(plane.xy(places[:, 0], places[:, 1])))
    count = max(1, round(flat.length / STEP))
    along = np.linspace(0.0, flat.length, count + 1)
    marks = shapely.get_coordinates(shapely.line_interpolate_point(np.array(flat, dtype=object), along))
    return Course(plan, (zone,), plane, marks[:, 0], marks[:, 1], (), float(flat.length))


def route_course(plan: Plan, site: Site) -> Course | None:
    """The course of a route; None where the site lacks what the plan names."""
    zones = tuple(site.zones[code] for code in plan.zones if code in site.zones)
    if len(zones) != len(plan.zones) or not zones:
        return None
    if is_line(zones[0]):
        return line_course(plan, zones[0])
    shapes = tuple(zone.geometry for zone in zones)
    plane = plane_of(shapely.GeometryCollection(shapes))
    middles = shapely.get_coordinates(shapely.point_on_surface(shapes))
    x, y = plane.xy(middles[:, 0], middles[:, 1])
    return Course(plan, zones, plane, x, y, shapes, 0.0)


@dataclass(frozen=True, slots=True)
class Track:
    """Placed fixes of one device in order of time, columns of shape (n,)."""

    at: Ints  # UTC µs
    lon: Floats
    lat: Floats


def ways(course: Course, track: Track, device: Ints | None = None) -> tuple[Floats, Floats, Floats, Floats]:
    """For each fix the way to it, in metres on the course's plane: x and y from where, x and y of the fix itself. After
    a long pause, and at the first fix (of a device, where ``device`` parts them), it is the place alone."""
    x, y = course.plane.xy(track.lon, track.lat)
    if not len(x):
        return x, y, x, y
    pause = np.diff(track.at)
    joined = (pause > 0) & (pause <= int(JOIN * SECOND))
    if device is not None:
        joined &= np.diff(device) == 0
    joined = np.append(False, joined)
    return np.where(joined, np.append(0.0, x[:-1]), x), np.where(joined, np.append(0.0, y[:-1]), y), x, y


def passed(course: Course, track: Track) -> tuple[Ints, Ints]:
    """Which fix passed which mark: (fix, mark) pairs, in order. On the way between two fixes: at the second."""
    return _passed_line(course, track) if course.is_line else _passed_checkpoints(course, track)


def _passed_line(course: Course, track: Track) -> tuple[Ints, Ints]:
    from_x, from_y, x, y = ways(course, track)
    reach = course.plan.corridor
    west, east = course.x.min() - reach, course.x.max() + reach
    south, north = course.y.min() - reach, course.y.max() + reach
    near = np.flatnonzero(
        (np.maximum(x, from_x) >= west)
        & (np.minimum(x, from_x) <= east)
        & (np.maximum(y, from_y) >= south)
        & (np.minimum(y, from_y) <= north)
    )
    found: list[tuple[Ints, Ints]] = []
    size = max(1, CHUNK // len(course.x))
    for begin in range(0, len(near), size):
        some = near[begin : begin + size]
        fix, mark = np.nonzero(within(course, from_x[some], from_y[some], x[some], y[some], reach))
        found.append((some[fix], mark))
    empty = np.zeros(0, np.int64)
    return np.concatenate([empty, *(f for f, _ in found)]), np.concatenate([empty, *(m for _, m in found)])


def within(course: Course, x0: Floats, y0: Floats, x1: Floats, y1: Floats, reach: float) -> NDArray[np.bool_]:
    """Whether ways from (x0, y0) to (x1, y1), shape (n,), come within ``reach`` m of the marks: shape (n, marks)."""
    run, rise = (x1 - x0)[:, None], (y1 - y0)[:, None]
    to_x, to_y = course.x[None, :] - x0[:, None], course.y[None, :] - y0[:, None]
    square = np.maximum(run * run + rise * rise, 1e-9)
    along = np.clip((to_x * run + to_y * rise) / square, 0.0, 1.0)
    return np.asarray((to_x - along * run) ** 2 + (to_y - along * rise) ** 2 <= reach * reach)


def _passed_checkpoints(course: Course, track: Track) -> tuple[Ints, Ints]:
    found = []
    for mark, shape in enumerate(course.shapes):
        for first, last in stays(shape, track):
            if track.at[last] - track.at[first] >= int(course.plan.stay * SECOND):
                done = first + int(np.searchsorted(track.at[first:], track.at[first] + int(course.plan.stay * SECOND)))
                found.append((done, mark))
    pairs = np.array(sorted(found), np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def stays(shape: BaseGeometry, track: Track) -> list[tuple[int, int]]:
    """The stays inside, as indices of their first and last fix. GPS noise may show fixes outside in between: a stay is
    over only when they last more than :data:`HOLD` s, from the first of them to the next one inside, however far apart
    the fixes are; or after a pause of more than :data:`JOIN` s."""
    inside = np.flatnonzero(shapely.intersects_xy(shape, track.lon, track.lat))
    if not len(inside):
        return []
    follows = track.at[inside[:-1] + 1]
    over = track.at[inside[1:]] - follows > int(HOLD * SECOND)
    over |= follows - track.at[inside[:-1]] > int(JOIN * SECOND)
    begins, ends = inside[np.append(True, over)], inside[np.append(over, True)]
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def in_order(marks: Sequence[int]) -> int:
    """How many marks were passed in their order, at best: the longest rising sequence in what was passed.

    Source: patience sorting (Schensted 1961), O(n log n).

    >>> in_order([0, 1, 1, 5, 2, 3]), in_order([3, 2, 1, 0])
    (4, 1)
    """
    tails: list[int] = []
    for mark in marks:
        place = bisect_left(tails, mark)
        tails[place : place + 1] = [mark]
    return len(tails)


class Courses:
    """Several courses, and which fixes lie near which."""

    def __init__(self, courses: Iterable[Course]) -> None:
        self.courses = tuple(courses)
        self._index = ZoneIndex([_area(course) for course in self.courses])

    def near(self, lon: Floats, lat: Floats) -> tuple[Ints, Ints]:
        """For places of shape (n,): sorted (place, course) pairs of the courses in whose corridor they lie."""
        place, course = self._index.pairs(lon, lat)
        return place.astype(np.int64), course.astype(np.int64)


def _area(course: Course) -> Zone:
    if course.is_line:
        area = widened(course.zones[0].geometry, course.plan.corridor)
    else:
        area = shapely.union_all([shapely.buffer(shape, 1e-7) for shape in course.shapes])
    return Zone(course.plan.code, "patrol", "", "", "", area)
