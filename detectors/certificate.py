"""The certificate of a patrol: what was planned, what was walked, how much of it was covered, and in which order.

A pure function of the plan, one device's fixes and the site: whoever has the same fixes gets the same certificate, also
years later. It is plain JSON, so that it can be hashed and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import shapely

from detectors.courses import JOIN, Course, Ints, Track, in_order, passed, route_course, stays
from detectors.geo import DEGREE, Floats, short_distance
from detectors.wording import point, stamp
from devices.readings import SECOND, Rows
from devices.site import Plan, Site

Result = Literal["complete", "incomplete", "wrong_order", "absent"]
VERSION: Final = 1
SMOOTH: Final = 3.0  # m by which the walked line is simplified
MOST_STAYS: Final = 60  # checkpoints shown as features
ACCURACY: Final = 100.0  # m; fixes that say they are worse are left out, as for visits


class NoCourse(LookupError):
    """The plan names no zones that the site has, or is no route."""


@dataclass(frozen=True, slots=True)
class Patrol:
    """One device's patrol of a course within a window, judged."""

    course: Course
    track: Track
    result: Result
    covered: Ints  # the marks passed, in order
    ordered: int  # how many of them at best in their order
    first: int  # UTC µs of the first and the last fix that passed a mark; 0 without any
    last: int

    @property
    def share(self) -> float:
        """The part of the course that counts: all that was covered, or where order matters what was so in order."""
        return (self.ordered if self.course.plan.ordered else len(self.covered)) / len(self.course.x)


def judge(course: Course, track: Track) -> Patrol:
    """Judge one device's fixes, in order of time."""
    fix, mark = passed(course, track)
    covered = np.flatnonzero(np.bincount(mark, minlength=len(course.x)))
    ordered = in_order(mark.tolist()) if course.plan.ordered else len(covered)
    result: Result = "incomplete" if len(covered) else "absent"
    if len(covered) >= course.needed:
        result = "complete" if ordered >= course.needed else "wrong_order"
    first, last = (int(track.at[fix[0]]), int(track.at[fix.max()])) if len(fix) else (0, 0)
    return Patrol(course, track, result, covered, ordered, first, last)


def certificate(plan: Plan, fixes: Rows, site: Site, window: tuple[int, int] | None = None) -> dict[str, Any]:
    """What one device did of a route.

    ``fixes`` (of dtype FIX, of one device, in any order) may reach beyond ``window`` (UTC µs); without it the plan's
    window that holds the first of them is taken, or all of them.

    Raises:
        NoCourse: the plan is no route, or the site lacks its zones.
    """
    course = route_course(plan, site) if plan.kind == "route" else None
    if course is None:
        raise NoCourse(f"plan {plan.code!r} names no route in this site: {', '.join(plan.zones)}")
    track = track_of(fixes)
    if window is None:
        begin, end = (int(track.at[0]), int(track.at[-1]) + 1) if len(track.at) else (0, 0)
        window = next(plan.windows(begin, begin + 1), (begin, end))
    device = _device(fixes, site)
    return {
        "version": VERSION,
        "plan": plan.code,
        "device": device,
        "opens": stamp(window[0]),
        "closes": stamp(window[1]),
        **describe(judge(course, clipped(track, window))),
    }


def describe(patrol: Patrol) -> dict[str, Any]:
    """A judged patrol in plain JSON: ``result``, ``numbers``, ``stays`` and ``geojson``."""
    course, track = patrol.course, patrol.track
    while_on = clipped(track, (patrol.first, patrol.last + 1))
    walked = short_distance(while_on.lon[:-1], while_on.lat[:-1], while_on.lon[1:], while_on.lat[1:])
    numbers = {
        "covered_share": round(len(patrol.covered) / len(course.x), 4),
        "ordered_share": round(patrol.ordered / len(course.x), 4),
        "needed_share": course.plan.share,
        "course_m": round(course.length, 1),
        "walked_m": round(float(walked.sum()), 1),
        "patrol_s": (patrol.last - patrol.first) / SECOND,
        "fixes": len(while_on.at),
        "longest_gap_s": float(np.diff(while_on.at).max(initial=0)) / SECOND,
        **_deviation(course, while_on),
    }
    return {
        "result": patrol.result,
        "first": stamp(patrol.first) if patrol.first else None,
        "last": stamp(patrol.last) if patrol.last else None,
        "numbers": numbers,
        "stays": [] if course.is_line else _stays(course, track),
        "geojson": {"type": "FeatureCollection", "features": features(patrol)},
    }


def _deviation(course: Course, track: Track) -> dict[str, float]:
    """How far off a line one was at most between its first and its last mark, and for how long in all."""
    if not course.is_line or not len(track.at):
        return {"farthest_m": 0.0, "off_s": 0.0}
    distance = course.distance(track.lon, track.lat)
    pause = np.append(np.diff(track.at), 0)
    off = (distance > course.plan.corridor) & (pause <= int(JOIN * SECOND))
    return {"farthest_m": round(float(distance.max()), 1), "off_s": float(pause[off].sum()) / SECOND}


def _stays(course: Course, track: Track) -> list[dict[str, Any]]:
    """At which checkpoint one was from when to when, in order of time."""
    found = []
    for zone, shape in zip(course.zones, course.shapes, strict=True):
        for first, last in stays(shape, track):
            found.append((int(track.at[first]), int(track.at[last]), zone.code))
    return [
        {"zone": zone, "arrived": stamp(begin), "left": stamp(end), "stay_s": (end - begin) / SECOND}
        for begin, end, zone in sorted(found)
    ]


# ── On the map ──────────────────────────────────────────────────────────────────────────────────────────────────────
def features(patrol: Patrol) -> list[dict[str, Any]]:
    """The planned course, the walked line and the covered parts as GeoJSON features."""
    course = patrol.course
    walked = clipped(patrol.track, (patrol.first, patrol.last + 1))
    found = planned(course)
    if len(walked.at):
        found.append(_lines("walked", walked.lon, walked.lat, _parts(walked)))
    if course.is_line and len(patrol.covered):
        lon, lat = course.plane.lonlat(course.x, course.y)
        runs = np.split(patrol.covered, np.flatnonzero(np.diff(patrol.covered) > 1) + 1)
        found.append(_lines("covered", lon, lat, [(int(run[0]), int(run[-1]) + 1) for run in runs]))
    return found


def planned(course: Course) -> list[dict[str, Any]]:
    """The course as GeoJSON features: its line, or its checkpoints."""
    lon, lat = course.plane.lonlat(course.x, course.y)
    if course.is_line:
        return [_lines("planned", lon, lat, [(0, len(lon))])]
    places = zip(course.zones, lon.tolist(), lat.tolist(), strict=True)
    return [point(x, y, part="planned", zone=zone.code) for zone, x, y in places][:MOST_STAYS]


def _parts(track: Track) -> list[tuple[int, int]]:
    """The stretches without a long pause between two fixes, as ranges."""
    breaks = np.flatnonzero(np.diff(track.at) > int(JOIN * SECOND)) + 1
    return list(pairwise([0, *breaks.tolist(), len(track.at)]))


def _lines(part: str, lon: Floats, lat: Floats, ranges: list[tuple[int, int]]) -> dict[str, Any]:
    """One feature of as many lines as there are ranges; a range of one place is drawn as a short line."""
    lines = []
    for begin, end in ranges:
        places = np.column_stack([lon[begin:end], lat[begin:end]])
        if len(places) > 2:
            places = shapely.get_coordinates(shapely.LineString(places).simplify(SMOOTH / DEGREE))
        drawn = places.round(6).tolist()
        if all(place == drawn[0] for place in drawn):
            drawn = [drawn[0], [round(drawn[0][0] + 1e-6, 6), drawn[0][1]]]
        lines.append(drawn)
    return {
        "type": "Feature",
        "geometry": {"type": "MultiLineString", "coordinates": lines},
        "properties": {"part": part},
    }


# ── Fixes ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def track_of(fixes: Rows) -> Track:
    """The placed fixes that are exact enough, in order of time, each moment once."""
    good = np.isfinite(fixes["lon"]) & np.isfinite(fixes["lat"]) & ~(fixes["accuracy"] > ACCURACY)
    fixes = fixes[good]
    fixes = fixes[np.argsort(fixes["at"], kind="stable")]
    fixes = fixes[np.append(True, np.diff(fixes["at"]) > 0)[: len(fixes)]]
    return Track(fixes["at"].astype(np.int64), fixes["lon"].astype(np.float64), fixes["lat"].astype(np.float64))


def clipped(track: Track, window: tuple[int, int]) -> Track:
    """The fixes with ``window[0] <= at < window[1]`` (UTC µs)."""
    begin, end = np.searchsorted(track.at, window)
    return Track(track.at[begin:end], track.lon[begin:end], track.lat[begin:end])


def _device(fixes: Rows, site: Site) -> str:
    if not len(fixes):
        return ""
    try:
        return site.registry.by_id(int(fixes["device"][0])).code
    except KeyError:
        return f"#{int(fixes['device'][0])}"
