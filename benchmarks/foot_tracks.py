"""Real tracks on foot and in vans, as the fixes of as many terminals around the example's lake, and a site for them."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely

from alerts.rules import Rule, rule_from
from detectors.geo import Floats, Plane
from devices.readings import FIX, NAN, SAMPLE, SECOND, Rows, rows
from devices.registry import Device, Registry
from devices.site import CHINA, Plan, Site, Zone, moment
from devices.site_folder import read_folder

EXAMPLE: Final = Path(__file__).parents[1] / "examples" / "shijiu"
DATA: Final = Path(__file__).parent / "data" / "foot_tracks_dev.csv.gz"
BEGIN: Final = 1_781_049_600 * SECOND  # 2026-06-10 08:00 at the site
SPREAD: Final = 3 * 3600.0  # s over which the tracks begin
LATE: Final = 0.5  # s from a fix to its reception
EVERY: Final = 5.0  # s between fixes that a terminal promises
NEAR_LEG: Final = 15.0  # s: over longer legs no receiver's speed can be told from the places


class WrongTracks(ValueError):
    """A file that does not hold tracks; the message says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Track:
    """One track: s from its start, metres east and north of its own origin, whether on foot; shape (n,)."""

    name: str
    t: Floats
    x: Floats
    y: Floats
    foot: np.ndarray[Any, np.dtype[np.bool_]]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return float(self.t[-1] - self.t[0])

    @property
    def speed(self) -> Floats:
        """What a receiver would have reported, m/s: over the legs before and after that are short enough."""
        leg = np.diff(self.t)
        pace = np.hypot(np.diff(self.x), np.diff(self.y)) / np.maximum(leg, 0.001)
        pace = np.where((leg > 0) & (leg <= NEAR_LEG), pace, np.nan)
        before, after = np.append(np.nan, pace), np.append(pace, np.nan)
        both = np.where(np.isnan(before), after, np.where(np.isnan(after), before, (before + after) / 2))
        return np.asarray(both, np.float64)


def read_tracks(path: Path = DATA) -> list[Track]:
    """The tracks of a CSV file (or ``.csv.gz``) with the columns track, t, x, y, truth, each in order of time.

    Raises:
        WrongTracks: a column is missing, or a number is none: file, line and value are named.
        OSError: it cannot be read.
    """
    text = partial(gzip.open, path, "rt") if path.suffix == ".gz" else path.open
    found: dict[str, list[tuple[float, float, float, bool]]] = {}
    with text(encoding="utf-8-sig", newline="") as lines:
        table = csv.DictReader(lines)
        if missing := {"track", "t", "x", "y", "truth"} - set(table.fieldnames or ()):
            raise WrongTracks(f"{path}: no column {', '.join(sorted(missing))}: expected track, t, x, y, truth")
        for row in table:
            try:
                numbers = float(row["t"]), float(row["x"]), float(row["y"])
            except (TypeError, ValueError) as error:
                raise WrongTracks(f"{path}, line {table.line_num}: {error}") from error
            found.setdefault(row["track"], []).append((*numbers, row["truth"] == "OnFoot"))
    tracks = []
    for name, told in found.items():
        t, x, y, foot = (np.array(column) for column in zip(*sorted(set(told)), strict=True))
        if len(t) > 1:
            tracks.append(Track(name, t, x, y, foot))
    return tracks


@dataclass(frozen=True, slots=True)
class Ground:
    """Tracks as readings: one terminal for each, in order; its restricted zone, and when it sets out (UTC µs)."""

    tracks: list[Track]
    site: Site
    fixes: Rows
    samples: Rows
    begin: list[int]


def ground(tracks: list[Track]) -> Ground:
    """Each track set down at a place of its own on the shore; each with a plan that is the line it goes, and with a
    restricted zone whose edge crosses it in the middle. At its end a terminal says that it is switched off."""
    example = read_folder(EXAMPLE)
    (lake,) = [zone.geometry for zone in example.zones if zone.kind == "water"]
    codes = [f"F{number:04d}" for number in range(1, len(tracks) + 1)]
    zones = [zone for zone in example.zones if zone.kind not in ("restricted", "patrol")]
    plans, fixes, farewells, begins = [], [], [], []
    for number, (track, code) in enumerate(zip(tracks, codes, strict=True)):
        shore = lake.exterior.interpolate(number / len(tracks), normalized=True)
        plane = Plane(shore.x, shore.y)
        begin = BEGIN + round(number * SPREAD / len(tracks) * 1000) * 1000
        begins.append(begin)
        fixes += _fixes(track, number + 1, begin, plane)
        end = begin + round(track.seconds * SECOND) + SECOND
        farewells.append((number + 1, end, end + round(LATE * SECOND), "online", 0.0))
        line, fence = _line(track, plane), _fence(track, plane)
        others = [other for other in codes if other != code]
        zones.append(Zone(f"L-{code}", "patrol", code, code, "", line))
        zones.append(Zone(f"R-{code}", "restricted", code, code, "", fence, properties={"allowed": others}))
        opens, closes = (f"{moment(at).astimezone(CHINA):%H:%M}" for at in (begin, end + 120 * SECOND))
        names = f"R-{code}", "route", code, code, "", (f"L-{code}",)
        plans.append(Plan(*names, opens=opens, closes=closes, who=(code,)))  # type: ignore[arg-type]
    devices = [
        Device(code, "terminal", code, code, "", "", role="patrol", interval=EVERY, id=number)
        for number, code in enumerate(codes, 1)
    ]
    site = Site(example.areas, zones, example.units, Registry(devices), plans=plans)
    return Ground(tracks, site, rows(FIX, fixes), rows(SAMPLE, farewells), begins)


def rules_for(kinds: set[str]) -> list[Rule]:
    """The example's rules of these detectors; of one without a rule there, its defaults."""
    rules = [rule for row in read_folder(EXAMPLE).rules if (rule := rule_from(row)).detector in kinds]
    missing = sorted(kinds - {rule.detector for rule in rules})
    return rules + [Rule(kind, kind, kind, kind, "low", kind, open_case=False) for kind in missing]


def _fixes(track: Track, device: int, begin: int, plane: Plane) -> list[tuple[Any, ...]]:
    lon, lat = (np.round(column, 7).tolist() for column in plane.lonlat(track.x, track.y))
    at = (begin + np.round((track.t - track.t[0]) * 1000).astype(np.int64) * 1000).tolist()
    told = zip(at, lon, lat, track.speed.tolist(), strict=True)
    return [(device, t, t + round(LATE * SECOND), x, y, v, NAN, NAN, NAN, 0) for t, x, y, v in told]


def _line(track: Track, plane: Plane) -> shapely.LineString:
    """The way it goes, within 5 m."""
    way = shapely.LineString(np.column_stack([track.x, track.y]))
    if way.length < 1.0:  # it stood: a line of a metre
        way = shapely.LineString([(track.x[0], track.y[0]), (track.x[0] + 1.0, track.y[0])])
    return shapely.transform(way.simplify(5.0), lambda xy: np.column_stack(plane.lonlat(xy[:, 0], xy[:, 1])))


def _fence(track: Track, plane: Plane) -> shapely.Polygon:
    """What lies beyond the middle of the way, across its longer extent, and 200 m more to three sides."""
    east = np.ptp(track.x) >= np.ptp(track.y)
    edge = float(np.median(track.x if east else track.y))
    west, south, right, top = track.x.min() - 200, track.y.min() - 200, track.x.max() + 200, track.y.max() + 200
    box = shapely.box(edge, south, right, top) if east else shapely.box(west, edge, right, top)
    return shapely.transform(box, lambda xy: np.column_stack(plane.lonlat(xy[:, 0], xy[:, 1])))
