"""The zones of a site as GeoJSON: what QGIS, geojson.io and MapLibre read and write."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import shapely
from shapely.geometry.base import BaseGeometry

from devices.site import Season, Zone, ZoneKind
from devices.site_contents import ZONES, SiteError, SiteErrors, place
from devices.site_text import json_text, parse_json, shown

RESERVED: Final = ("code", "kind", "name", "name_en", "area", "capacity", "season", "hours")
"""The properties with a meaning of their own; all others are kept in ``Zone.properties``."""

_DAYS: Final = re.compile(r"(\d\d-\d\d)\.\.(\d\d-\d\d)", re.ASCII)
_HOURS: Final = re.compile(r"(\d\d:\d\d)\.\.(\d\d:\d\d)", re.ASCII)
_ALWAYS: Final = ("00:00", "00:00")
_WGS84: Final = re.compile(r"(CRS84|EPSG:{1,2}(4326|4490)\b|WGS ?84\b)", re.IGNORECASE)
_NOTHING: Final = shapely.Polygon()


class _Broken(ValueError):
    """A geometry that is none."""


def read_zones(text: str, errors: list[SiteError]) -> tuple[Zone, ...]:
    """The zones of a FeatureCollection.

    A feature that is partly wrong is returned all the same; what is wrong with it is added to ``errors``.

    Raises:
        SiteErrors: the file as a whole is no FeatureCollection in WGS-84.
    """
    try:
        features = _features(text)
    except SiteError as error:
        raise SiteErrors([error]) from error
    return tuple(_zone(number, feature, errors) for number, feature in enumerate(features, 1))


def _features(text: str) -> list[Any]:
    try:
        collection = parse_json(text)
    except ValueError as error:
        raise SiteError(ZONES, "", f"is no JSON: {error}") from error
    if not isinstance(collection, dict) or collection.get("type") != "FeatureCollection":
        raise SiteError(ZONES, "", 'is no GeoJSON FeatureCollection: it must begin with {"type": "FeatureCollection"')
    crs = _crs_name(collection.get("crs"))
    if crs is not None and not (isinstance(crs, str) and _WGS84.search(crs)):
        raise SiteError(ZONES, "crs", f"{shown(crs)} is not WGS-84: export the file as EPSG:4326")
    features = collection.get("features")
    if not isinstance(features, list):
        raise SiteError(ZONES, "features", f"{shown(features)} is no list of features")
    return features


def _crs_name(crs: object) -> object:
    """The name in the ``crs`` member of the older GeoJSON, as map tools still write it."""
    properties = crs.get("properties") if isinstance(crs, dict) else None
    return properties.get("name") if isinstance(properties, dict) else crs


class _Feature:
    """One feature whose parts are read as what they should be; what is wrong goes to ``errors``."""

    def __init__(self, number: int, raw: object, errors: list[SiteError]) -> None:
        self._spot = f"feature {number}"
        self._errors = errors
        self._name = ""
        self.raw: dict[str, Any] = raw if isinstance(raw, dict) else {}
        found = self.raw.get("properties")
        self.properties: dict[str, Any] = found if isinstance(found, dict) else {}
        if isinstance(self.properties.get("code"), str):
            self._name = self.properties["code"].strip()
        if self.raw.get("type") != "Feature":
            self.wrong("type", f"{shown(self.raw.get('type'))} is not 'Feature'")
        elif not isinstance(found, dict):
            self.wrong("properties", f"are missing: a zone needs {', '.join(RESERVED[:5])}")

    def wrong(self, part: str, problem: str) -> None:
        self._errors.append(SiteError(ZONES, place(self._spot, self._name, part), problem))

    def text(self, key: str) -> str:
        value = self.properties.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = shown(value)  # map tools turn a code of digits into a number
        if value is not None and not isinstance(value, str):
            self.wrong(key, f"{shown(value)} is not text")
        return value.strip() if isinstance(value, str) else ""

    def capacity(self) -> int:
        value = self.properties.get("capacity")
        if value is None:
            return 0
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self.wrong("capacity", f"{shown(value)} is no whole number of persons")
        return 0

    def season(self) -> Season | None:
        try:
            return read_season(self.text("season"), self.text("hours"))
        except ValueError as error:
            self.wrong("season", str(error))
            return None

    def geometry(self) -> BaseGeometry:
        try:
            return _geometry(self.raw.get("geometry"))
        except _Broken as error:
            self.wrong("geometry", str(error))
            return _NOTHING


def _zone(number: int, raw: object, errors: list[SiteError]) -> Zone:
    """The zone of one feature; a part that cannot be read is noted and left empty."""
    feature = _Feature(number, raw, errors)
    return Zone(
        code=feature.text("code"),
        kind=cast("ZoneKind", feature.text("kind")),  # checked with everything else in site_checks
        name=feature.text("name"),
        name_en=feature.text("name_en"),
        area=feature.text("area"),
        geometry=feature.geometry(),
        capacity=feature.capacity(),
        season=feature.season(),
        properties={key: value for key, value in feature.properties.items() if key not in RESERVED},
    )


def read_season(days: str, hours: str) -> Season | None:
    """``03-01..06-30`` and ``18:00..06:00``; either may be "" for always, both "" is None.

    >>> read_season("03-01..06-30", "")
    Season(first='03-01', last='06-30', opens='00:00', closes='00:00')

    Raises:
        ValueError: a text of another form, with the form that is expected.
    """
    if not days and not hours:
        return None
    in_days = _DAYS.fullmatch(days or "01-01..12-31")
    in_hours = _HOURS.fullmatch(hours or "00:00..00:00")
    if in_days is None:
        raise ValueError(f"{shown(days)} is no season: write first and last day like 03-01..06-30")
    if in_hours is None:
        raise ValueError(f"hours {shown(hours)}: write them like 18:00..06:00")
    return Season(in_days[1], in_days[2], in_hours[1], in_hours[2])


def _geometry(raw: object) -> BaseGeometry:
    kind = raw.get("type") if isinstance(raw, dict) else None
    coordinates = raw.get("coordinates") if isinstance(raw, dict) else None
    if not isinstance(coordinates, list):
        raise _Broken("is missing: draw a Polygon, MultiPolygon or LineString")
    if kind == "Polygon":
        return _polygon(coordinates)
    if kind == "MultiPolygon":
        return shapely.MultiPolygon([_polygon(part) for part in _list(coordinates, "a MultiPolygon's part")])
    if kind == "LineString":
        line = _positions(coordinates, "a line")
        if len(line) < 2:
            raise _Broken(f"a line of {len(line)} positions: it needs at least 2")
        return shapely.LineString(line)
    raise _Broken(f"type {shown(kind)}: a zone is a Polygon, a MultiPolygon or a LineString")


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _Broken(f"{what} is {shown(value)}: expected a list that is not empty")
    return value


def _polygon(raw: object) -> shapely.Polygon:
    rings = [_positions(ring, "a ring") for ring in _list(raw, "a polygon")]
    for ring in rings:
        if len(ring) < 4:
            raise _Broken(f"a ring of {len(ring)} positions: it needs at least 4, the last the same as the first")
        if ring[0] != ring[-1]:
            raise _Broken(f"the ring that begins at {_spot(ring[0])} ends at {_spot(ring[-1])}: close it")
    return shapely.Polygon(rings[0], rings[1:])


def _positions(raw: object, what: str) -> list[tuple[float, float]]:
    return [_position(position) for position in _list(raw, what)]


def _position(raw: object) -> tuple[float, float]:
    """Longitude and latitude; a height that a map tool added is left out, a site is flat."""
    if not isinstance(raw, list) or not 2 <= len(raw) <= 4:
        raise _Broken(f"{shown(raw)} is no position: write [longitude, latitude]")
    for value in raw[:2]:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
            raise _Broken(f"{shown(raw)}: {shown(value)} is no number of degrees")
        if abs(value) > 1e9:
            raise _Broken(f"{shown(raw)} is no position in degrees: export the file as EPSG:4326 (WGS-84)")
    return float(raw[0]), float(raw[1])


def _spot(position: tuple[float, float]) -> str:
    return f"[{position[0]}, {position[1]}]"


def write_zones(zones: Iterable[Zone]) -> bytes:
    """A FeatureCollection with a line for each zone, so that a change of one shows as a change of one line."""
    features = [json_text(feature(zone)) for zone in zones]
    body = ",\n".join(features)
    return f'{{"type": "FeatureCollection", "features": [\n{body}\n]}}\n'.encode()


def feature(zone: Zone) -> dict[str, Any]:
    """A zone as a GeoJSON feature; properties that say nothing are left out."""
    properties: dict[str, Any] = {
        "code": zone.code,
        "kind": zone.kind,
        "name": zone.name,
        "name_en": zone.name_en,
        "area": zone.area,
    }
    if zone.capacity:
        properties["capacity"] = zone.capacity
    if zone.season is not None:
        properties["season"] = f"{zone.season.first}..{zone.season.last}"
        if (zone.season.opens, zone.season.closes) != _ALWAYS:
            properties["hours"] = f"{zone.season.opens}..{zone.season.closes}"
    geometry: Mapping[str, Any] = zone.geometry.__geo_interface__
    return {"type": "Feature", "properties": {**properties, **zone.properties}, "geometry": dict(geometry)}
