"""A map of one case as a drawing of lines: where it was, who was sent and how they came, the zones around. Pure.

Distances are true along both axes around the middle of the map: longitude is shortened by the cosine of its latitude,
which over some kilometres is off by less than the width of a line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from reportlab.graphics.shapes import Circle, Drawing, Group, Line, Path, Polygon, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor, white
from shapely.geometry.base import BaseGeometry

from alerts.case_file import Track
from alerts.pdf_text import INK, MUTED, drawable, font, width
from devices.readings import SECOND
from devices.site import CHINA, Site, moment

METRES_PER_DEGREE: Final = 111_195.0
Anchor = Literal["start", "middle", "end"]
GAP: Final = 300 * SECOND
"""Between two fixes farther apart nobody knows the way: such a stretch is dashed."""
LEAST: Final = 400.0  # metres that the map shows at least
COLOURS: Final = tuple(HexColor(code) for code in ("#1f5fbf", "#a23b9e", "#0f7b6c", "#b35900", "#6b4ec2"))
_ZONES: Final = {  # outline, filling, dashes
    "water": (HexColor("#9cc3e0"), HexColor("#e3f0f9"), None),
    "no_fishing": (HexColor("#c8323c"), HexColor("#fbeaea"), (4, 2)),
    "restricted": (HexColor("#c8323c"), HexColor("#fbeaea"), (1, 2)),
    "crowd_watch": (HexColor("#b07b12"), HexColor("#fbf3e0"), (4, 2)),
    "patrol": (HexColor("#7d8b99"), None, (6, 3)),
    "checkpoint": (HexColor("#7d8b99"), None, None),
}
_NAMES: Final = {"water": HexColor("#3f7fae")}  # of names, where the outline is too pale to be read
_PLACE, _ALERT, _FRAME = HexColor("#c8102e"), HexColor("#e07b00"), HexColor("#8a949e")
_MOST_NAMES: Final = 8
_NEAR: Final = 20.0  # metres within which an alert's place is the case's


@dataclass(frozen=True, slots=True)
class View:
    """A stretch of the earth on a sheet of ``width`` × ``height`` points: its middle in degrees, metres per point."""

    lon: float
    lat: float
    scale: float
    width: float
    height: float

    def points(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places in degrees, shape (n,), as points on the sheet, shape (n, 2)."""
        east = (lon - self.lon) * METRES_PER_DEGREE * math.cos(math.radians(self.lat))
        north = (lat - self.lat) * METRES_PER_DEGREE
        return np.column_stack([east / self.scale + self.width / 2, north / self.scale + self.height / 2])

    def point(self, lon: float, lat: float) -> tuple[float, float]:
        """One place."""
        ((x, y),) = self.points(np.array([lon]), np.array([lat]))
        return float(x), float(y)

    def degrees(self, x: float, y: float) -> tuple[float, float]:
        """The place of a point."""
        north = METRES_PER_DEGREE * math.cos(math.radians(self.lat))
        return (
            self.lon + (x - self.width / 2) * self.scale / north,
            self.lat + (y - self.height / 2) * self.scale / METRES_PER_DEGREE,
        )


def case_map(
    place: tuple[float, float] | None,
    alerts: Sequence[tuple[float, float]],
    tracks: Sequence[Track],
    site: Site,
    size: tuple[float, float],
    lang: str,
) -> Drawing | None:
    """The map, ``size`` in points; None when nothing of the case has a place. Places are (lon, lat), degrees WGS-84."""
    view = _view(place, alerts, tracks, size)
    if view is None:
        return None
    drawing = Drawing(*size)
    drawing.add(_box(0, 0, *size, white, None))
    drawing.add(_zones(view, site, lang))
    for number, track in enumerate(tracks):
        drawing.add(_track(view, track, COLOURS[number % len(COLOURS)]))
    for lon, lat in alerts:
        if place is None or math.dist(view.point(lon, lat), view.point(*place)) * view.scale > _NEAR:
            x, y = view.point(lon, lat)
            corners = [x, y + 4.5, x - 4, y - 2.5, x + 4, y - 2.5]
            drawing.add(Polygon(corners, fillColor=_ALERT, strokeColor=white, strokeWidth=0.7))
    if place is not None:
        drawing.add(_pin(*view.point(*place)))
    for part in _frame(view, lang):
        drawing.add(part)
    return drawing


def _view(
    place: tuple[float, float] | None,
    alerts: Sequence[tuple[float, float]],
    tracks: Sequence[Track],
    size: tuple[float, float],
) -> View | None:
    lons = np.concatenate([[p[0] for p in (*alerts, *([place] if place else []))], *(t.lon for t in tracks)])
    lats = np.concatenate([[p[1] for p in (*alerts, *([place] if place else []))], *(t.lat for t in tracks)])
    if not len(lons):
        return None
    lon, lat = float(lons.min() + lons.max()) / 2, float(lats.min() + lats.max()) / 2
    east = float(np.ptp(lons)) * METRES_PER_DEGREE * math.cos(math.radians(lat))
    north = float(np.ptp(lats)) * METRES_PER_DEGREE
    scale = max(max(east, LEAST) * 1.3 / size[0], max(north, LEAST / 2) * 1.4 / size[1])
    return View(lon, lat, scale, *size)


def _zones(view: View, site: Site, lang: str) -> Group:
    """The zones in view, large ones below, with the names of some of them."""
    group = Group()
    west, south = view.degrees(0, 0)
    east, north = view.degrees(view.width, view.height)
    named: list[tuple[float, float, float]] = []
    parts = [(zone, shapely.clip_by_rect(zone.geometry, west, south, east, north)) for zone in site.zones.values()]
    seen = [(zone, part) for zone, part in parts if not part.is_empty]
    for zone, part in sorted(seen, key=lambda pair: -pair[0].geometry.area):
        edge, filling, dashes = _ZONES[zone.kind]
        for shape, closed in _shapes(view, part):
            shape.fillColor = filling if closed else None
            shape.strokeColor, shape.strokeWidth = edge, 0.8
            if dashes:
                shape.strokeDashArray = dashes
            group.add(shape)
    for zone, part in sorted(seen, key=lambda pair: pair[0].geometry.area):
        name = drawable(zone.name if lang == "zh" else zone.name_en)
        x, y = view.point(*part.representative_point().coords[0])
        half = width(name, 6.5) / 2
        x = min(max(x, half + 6), view.width - half - 6)
        y = min(max(y, 24.0), view.height - 14)
        clear = all(abs(x - a) > half + other or abs(y - b) > 9 for a, b, other in named)
        if clear and len(named) < _MOST_NAMES:
            named.append((x, y, half))
            group.add(_text(x, y, name, 6.5, _NAMES.get(zone.kind, _ZONES[zone.kind][0]), anchor="middle"))
    return group


def _shapes(view: View, geometry: BaseGeometry) -> Iterator[tuple[Path, bool]]:
    """A geometry as paths: each polygon with its holes one, each line one; and whether it is a polygon."""
    for part in shapely.get_parts(geometry):
        if part.geom_type == "Point":
            continue
        closed, path = part.geom_type == "Polygon", Path()
        for ring in [part.exterior, *part.interiors] if closed else [part]:
            places = np.asarray(ring.coords)
            for number, (x, y) in enumerate(view.points(places[:, 0], places[:, 1]).round(2).tolist()):
                (path.lineTo if number else path.moveTo)(x, y)
            if closed:
                path.closePath()
        yield path, closed


def _track(view: View, track: Track, colour: Color) -> Group:
    """A track: known stretches as lines, gaps dashed, where it begins and ends with the time, and times between."""
    group = Group()
    if not len(track.at):
        return group
    points = view.points(track.lon, track.lat)
    breaks = np.flatnonzero(np.diff(track.at) > GAP) + 1
    for stretch in np.split(np.arange(len(points)), breaks):
        if len(stretch) > 1:
            line = shapely.LineString(points[stretch]).simplify(0.25)
            corners = np.asarray(line.coords).round(2).ravel().tolist()
            group.add(PolyLine(corners, strokeColor=colour, strokeWidth=1.6, strokeLineJoin=1))
    for n in breaks.tolist():
        ends = [*points[n - 1].tolist(), *points[n].tolist()]
        group.add(Line(*ends, strokeColor=colour, strokeWidth=0.8, strokeDashArray=(2, 2)))
    labelled: list[tuple[float, float]] = []
    for n in _marks(track.at):
        x, y = points[n].tolist()
        if n not in (0, len(points) - 1) and any(math.hypot(x - a, y - b) < 26 for a, b in labelled):
            continue
        labelled.append((x, y))
        first = n == 0
        group.add(Circle(x, y, 2.6, fillColor=white if first else colour, strokeColor=colour, strokeWidth=1.2))
        left = x > view.width - 40
        anchor: Anchor = "end" if left else "start"
        group.add(_text(x + (-5 if left else 5), y + 3, _clock(moment(int(track.at[n]))), 6.5, colour, anchor=anchor))
    return group


def _marks(at: NDArray[np.int64]) -> Iterable[int]:
    """The first fix, the last, and up to five between at even times."""
    between = np.searchsorted(at, np.linspace(at[0], at[-1], 7)[1:-1])
    return dict.fromkeys([0, len(at) - 1, *np.clip(between, 0, len(at) - 1).tolist()])


def _pin(x: float, y: float) -> Group:
    """Where it happened."""
    group = Group(Circle(x, y, 7, fillColor=None, strokeColor=_PLACE, strokeWidth=1.4))
    group.add(Circle(x, y, 2.8, fillColor=_PLACE, strokeColor=white, strokeWidth=0.8))
    for dx, dy in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        ends = (x + 7 * dx, y + 7 * dy, x + 11 * dx, y + 11 * dy)
        group.add(Line(*ends, strokeColor=_PLACE, strokeWidth=1.4))
    return group


def _frame(view: View, lang: str) -> Iterator[Any]:
    """The edge, the corners' places, north, and how long so many metres are."""
    yield _box(0, 0, view.width, view.height, None, _FRAME)
    corners: tuple[tuple[float, float, Anchor], ...] = ((0.0, view.height, "start"), (view.width, 0.0, "end"))
    for x, y, anchor in corners:
        lon, lat = view.degrees(x, y)
        inset = 4 if anchor == "start" else -4
        yield _text(x + inset, y - 9 if y else 4, f"{lon:.5f}, {lat:.5f}", 6, MUTED, anchor=anchor)
    top = view.height - 10
    right = view.width - 14
    yield Polygon(
        [right, top, right - 4, top - 12, right, top - 9, right + 4, top - 12], fillColor=INK, strokeColor=None
    )
    yield _text(right, top - 20, "北" if lang == "zh" else "N", 7, INK, anchor="middle")
    metres = _round(view.scale * 90)
    long = metres / view.scale
    yield _box(8, 8, long, 3, INK, INK)
    yield _box(8, 8, long / 2, 3, white, INK)
    shown = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    yield _text(8 + long + 4, 7, shown, 6.5, INK)


def _box(x: float, y: float, wide: float, high: float, filling: Color | None, edge: Color | None) -> Rect:
    rect = Rect(x, y, wide, high)
    rect.fillColor, rect.strokeColor, rect.strokeWidth = filling, edge, 0.7
    return rect


def _round(metres: float) -> float:
    """1, 2 or 5 times a power of ten, not above."""
    power: float = 10 ** math.floor(math.log10(metres))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= metres)


def _text(x: float, y: float, text: str, size: float, colour: Color, anchor: Anchor = "start") -> Group:
    """Letters with a white edge, to be read on any ground."""
    name = font().fontName
    group = Group()
    for dx, dy in ((-0.6, 0), (0.6, 0), (0, -0.6), (0, 0.6)):
        group.add(String(x + dx, y + dy, text, fontName=name, fontSize=size, fillColor=white, textAnchor=anchor))
    group.add(String(x, y, text, fontName=name, fontSize=size, fillColor=colour, textAnchor=anchor))
    return group


def _clock(at: datetime) -> str:
    return f"{at.astimezone(CHINA):%H:%M}"
