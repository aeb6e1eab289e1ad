"""Whether a site makes sense: codes, references, places, outlines, seasons. All that is wrong is found in one go."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterable, Iterator
from datetime import date, time
from typing import Any, Final, get_args

import shapely
from shapely.geometry.base import BaseGeometry

from devices.registry import Device, Kind
from devices.site import Area, Level, Plan, Season, Unit, Zone, ZoneKind
from devices.site_contents import AREAS, DEVICES, DUTY, PLANS, RULES, SITE, UNITS, ZONES, SiteError, SiteFolder
from devices.site_geojson import RESERVED
from devices.site_plans import plan_problems
from devices.site_text import plain_problem, shown, text_problem

AREA_CODE: Final = re.compile(r"[0-9]{12}(-[0-9A-Z]{2,4})?")
CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ALIAS: Final = re.compile(r"[^\s+#]{1,200}")
_CONTACT: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
LEVELS: Final[tuple[str, ...]] = get_args(Level)
KINDS: Final[tuple[str, ...]] = get_args(Kind)
ZONE_KINDS: Final[tuple[str, ...]] = get_args(ZoneKind)
ROLES: Final = ("patrol", "police", "boat")
LINES_TOO: Final = ("patrol", "checkpoint", "restricted")  # zones that may be a line to walk or to cross
MOST_PERSONS: Final = 10_000_000
LONGEST_INTERVAL: Final = 30 * 86400.0  # seconds
_RULE_TEXTS: Final = ("code", "name", "name_en", "detector", "severity", "category")

Problem = tuple[str, str]
"""The part of a record, and what is wrong with it."""


def problems(folder: SiteFolder) -> list[SiteError]:
    """Everything that is wrong with a site's contents, in the order of the files; empty when nothing is."""
    found = [
        SiteError(SITE, part, problem)
        for part, value in (("name", folder.name), ("name_en", folder.name_en))
        if (problem := text_problem(value))
    ]
    if not folder.areas:
        found.append(SiteError(AREAS, "", "has no area: a site has at least one"))
    areas, units = {area.code: area for area in folder.areas}, {unit.code for unit in folder.units}
    found += _table(folder, AREAS, ((a.code, _area(a, areas)) for a in folder.areas))
    found += _table(folder, UNITS, ((u.code, _unit(u, areas)) for u in folder.units))
    found += _table(folder, DEVICES, ((d.code, _device(d, areas, units)) for d in folder.devices))
    found += _address_problems(folder)
    found += _table(folder, DUTY, ((_duty_name(d), _duty(d, areas, units)) for d in folder.duties), "area")
    found += _table(folder, ZONES, ((z.code, _zone(z, areas)) for z in folder.zones))
    zones, devices = {z.code: z for z in folder.zones}, {d.code: d for d in folder.devices}
    found += _table(folder, PLANS, ((p.code, _plan(p, areas, zones, devices)) for p in folder.plans))
    found += _table(folder, RULES, ((str(r.get("code", "")), _rule(r)) for r in folder.rules))
    return found


def _table(
    folder: SiteFolder, file: str, records: Iterable[tuple[str, Iterable[Problem]]], key: str = "code"
) -> Iterator[SiteError]:
    """The records' own problems, and keys that are there twice."""
    seen: dict[str, int] = {}
    for index, (name, found) in enumerate(records):
        for part, problem in found:
            yield SiteError(file, folder.where(file, index, name, part), problem)
        first = seen.setdefault(name, index)
        if name and first != index:
            problem = f"{shown(name)} is already used at {folder.where(file, first)}: make it unique"
            yield SiteError(file, folder.where(file, index, name, key), problem)


def _named(code: str, name: str, name_en: str, pattern: re.Pattern[str], form: str) -> Iterator[Problem]:
    if not pattern.fullmatch(code):
        yield "code", f"{shown(code)} is no code: {form}" if code else f"is empty: {form}"
    for part, value in (("name", name), ("name_en", name_en)):
        problem = text_problem(value)
        if problem:
            yield part, problem


_AREA_FORM: Final = "12 digits, for a grid with a suffix like -01"
_CODE_FORM: Final = "1-64 letters, digits, '_', '.', '-', beginning with a letter or digit"


def _known(part: str, code: str, codes: Container[str], file: str) -> Iterator[Problem]:
    if not code:
        yield part, f"is empty: give a code of {file}"
    elif code not in codes:
        yield part, f"{shown(code)} is not in {file}: add it there or correct it here"


def _area(area: Area, areas: dict[str, Area]) -> Iterator[Problem]:
    yield from _named(area.code, area.name, area.name_en, AREA_CODE, _AREA_FORM)
    if area.level not in LEVELS:
        yield "level", f"{shown(area.level)} is no level: use one of {', '.join(LEVELS)}"
    elif AREA_CODE.fullmatch(area.code) and ("-" in area.code) != (area.level == "grid"):
        yield "level", f"{area.level} with code {area.code}: a grid's code has a suffix like -01, the others have none"
    if not area.parent:
        return
    parent = areas.get(area.parent)
    if parent is None:
        yield "parent", f"{shown(area.parent)} is not in {AREAS}: add it, or leave the cell of the topmost area empty"
    elif cycle := _cycle(area, areas):
        if area.code == min(cycle):  # once for all that are in it
            yield "parent", f"goes round in a circle: {' → '.join([*cycle, area.code])}"
    elif area.level in LEVELS and parent.level in LEVELS and LEVELS.index(parent.level) >= LEVELS.index(area.level):
        order = " → ".join(LEVELS)
        yield "parent", f"{area.parent} is a {parent.level} and cannot hold a {area.level}: the order is {order}"


def _cycle(area: Area, areas: dict[str, Area]) -> list[str]:
    """The codes from an area up to itself; empty when the way up does not come back to it."""
    way = {area.code: None}  # a set that keeps its order
    parent = area.parent
    while parent in areas and parent not in way:
        way[parent] = None
        parent = areas[parent].parent
    return list(way) if parent == area.code else []


def _unit(unit: Unit, areas: Container[str]) -> Iterator[Problem]:
    yield from _named(unit.code, unit.name, unit.name_en, CODE, _CODE_FORM)
    yield from _known("area", unit.area, areas, AREAS)
    for contact in unit.contacts:
        if text_problem(contact) or not _CONTACT.fullmatch(contact):
            yield "contacts", f"{shown(contact)} is no Apprise address: write it like mailto://… or dingtalk://…"


def _device(device: Device, areas: Container[str], units: Container[str]) -> Iterator[Problem]:
    yield from _named(device.code, device.name, device.name_en, CODE, _CODE_FORM)
    if device.kind not in KINDS:
        yield "kind", f"{shown(device.kind)} is no kind of device: use one of {', '.join(KINDS)}"
    elif device.kind == "terminal" and device.role not in ROLES:
        yield "role", f"{shown(device.role)} is no role of a terminal: use one of {', '.join(ROLES)}"
    elif device.kind != "terminal" and device.role:
        yield "role", f"{shown(device.role)}: only a terminal has a role; leave the cell of a {device.kind} empty"
    yield from _known("area", device.area, areas, AREAS)
    yield from _known("share", device.share, areas, AREAS)
    if device.unit:
        yield from _known("unit", device.unit, units, UNITS)
    if not 0 <= device.interval <= LONGEST_INTERVAL:
        yield "interval", f"{device.interval} s: give the seconds between messages, 0 for no promise, at most 30 days"
    yield from _device_place(device)
    for alias in device.aliases:
        if text_problem(alias) or not _ALIAS.fullmatch(alias):
            yield "aliases", f"{shown(alias)} is no address: no blanks, no '+', no '#', at most 200 characters"
    problem = plain_problem(dict(device.properties), null=True)
    if problem:
        yield "properties", problem


def _device_place(device: Device) -> Iterator[Problem]:
    if math.isnan(device.lon) and math.isnan(device.lat):
        if device.kind in ("camera", "sensor"):
            yield "lon", f"a {device.kind} stands somewhere: give its lon and lat"
    elif math.isnan(device.lon) or math.isnan(device.lat):
        yield "lon", "has only one of lon and lat: give both or none"
    elif problem := place_problem(device.lon, device.lat):
        yield "lon", problem


def place_problem(lon: float, lat: float) -> str | None:
    """Why a longitude and latitude in degrees cannot be a place of a site; None when they can."""
    china_the_wrong_way_round = 3 <= lon <= 54 and 73 <= lat <= 90
    if abs(lon) <= 90 < abs(lat) <= 180 or china_the_wrong_way_round:
        return f"[{lon}, {lat}]: longitude and latitude look swapped; longitude comes first"
    if not (abs(lon) <= 180 and abs(lat) <= 90):
        return f"[{lon}, {lat}] is no place: longitude is within ±180, latitude within ±90 degrees (WGS-84)"
    if lon == 0 and lat == 0:
        return "[0, 0] is in the Atlantic: leave an unknown place empty"
    return None


def _zone(zone: Zone, areas: Container[str]) -> Iterator[Problem]:
    yield from _named(zone.code, zone.name, zone.name_en, CODE, _CODE_FORM)
    if zone.kind not in ZONE_KINDS:
        yield "kind", f"{shown(zone.kind)} is no kind of zone: use one of {', '.join(ZONE_KINDS)}"
    elif zone.kind not in LINES_TOO and zone.geometry.geom_type == "LineString":
        yield "geometry", f"a LineString cannot be a {zone.kind} zone: draw a Polygon"
    elif zone.kind == "crowd_watch" and not zone.capacity:
        yield "capacity", "is missing: a crowd_watch zone needs the number of persons it holds"
    yield from _known("area", zone.area, areas, AREAS)
    if not 0 <= zone.capacity <= MOST_PERSONS:
        yield "capacity", f"{shown(zone.capacity)} persons: at least 1, at most {MOST_PERSONS}"
    if zone.season is not None and (problem := season_problem(zone.season)):
        yield "season", problem
    if problem := outline_problem(zone.geometry):
        yield "geometry", problem
    for key in RESERVED:
        if key in zone.properties:
            yield "properties", f"{key!r} has a meaning of its own and cannot be a further property"
    if problem := plain_problem(dict(zone.properties), null=True):
        yield "properties", problem


def _plan(plan: Plan, areas: Container[str], zones: dict[str, Zone], devices: dict[str, Device]) -> Iterator[Problem]:
    yield from _named(plan.code, plan.name, plan.name_en, CODE, _CODE_FORM)
    yield from _known("area", plan.area, areas, AREAS)
    yield from plan_problems(plan, zones, devices, ROLES)


def outline_problem(geometry: BaseGeometry) -> str | None:
    """Why a zone's geometry cannot be used; None when it can."""
    if geometry.is_empty:
        return "is empty: draw it again"
    for lon, lat in shapely.get_coordinates(geometry).tolist():
        if problem := place_problem(lon, lat):
            return problem
    if not shapely.is_valid(geometry):
        reason = shapely.is_valid_reason(geometry)
        return f"the outline crosses or touches itself or has no extent ({reason}): draw it again"
    if geometry.geom_type != "LineString" and not geometry.area > 0:
        return "has no area: draw it again"
    return None


def season_problem(season: Season) -> str | None:
    """Why a season's days or hours are none; None when they are good."""
    for day in (season.first, season.last):
        try:
            date.fromisoformat(f"2024-{day}")  # a leap year: 29 February may begin or end a season
        except ValueError:
            return f"{shown(day)} is no day of the year: write month and day like 03-01"
    for hour in (season.opens, season.closes):
        try:
            time.fromisoformat(hour)
        except ValueError:
            return f"{shown(hour)} is no time of day: write it like 18:00, from 00:00 to 23:59"
    return None


def _address_problems(folder: SiteFolder) -> Iterator[SiteError]:
    """Every code and alias must lead to one device."""
    owners = {device.code: device.code for device in reversed(folder.devices)}
    for index, device in enumerate(folder.devices):
        for alias in device.aliases:
            owner = owners.setdefault(alias, device.code)
            if owner != device.code or alias == device.code or device.aliases.count(alias) > 1:
                problem = f"{shown(alias)} is already an address of {owner}: make it unique"
                yield SiteError(DEVICES, folder.where(DEVICES, index, device.code, "aliases"), problem)
                break


def _duty_name(duty: dict[str, str]) -> str:
    return f"{duty['category']} {duty['area']}".strip()


def _duty(duty: dict[str, str], areas: Container[str], units: Container[str]) -> Iterator[Problem]:
    if problem := text_problem(duty["category"]):
        yield "category", problem
    yield from _known("area", duty["area"], areas, AREAS)
    yield from _known("unit", duty["unit"], units, UNITS)


def _rule(rule: dict[str, Any]) -> Iterator[Problem]:
    """The shape alone; what a rule's fields may be is known to ``alerts.rules``."""
    for part in _RULE_TEXTS:
        if problem := text_problem(rule.get(part, "")):
            yield part, problem
    if not isinstance(rule.get("settings", {}), dict):
        yield "settings", f"{shown(rule['settings'])} is no table: write [rule.settings]"
    for part, value in rule.items():
        if part not in _RULE_TEXTS and (problem := text_problem(part) or plain_problem(value, null=False)):
            yield part, problem
