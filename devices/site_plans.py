"""Patrol plans as people write them: TOML in, TOML out, and what is wrong with a plan."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, fields
from datetime import time
from typing import Any, Final, get_args

import shapely

from devices.registry import Device
from devices.site import Plan, PlanKind, Zone
from devices.site_contents import DEVICES, PLANS, ZONES, SiteError, place
from devices.site_text import parse_toml, shown

PLAN_KINDS: Final[tuple[str, ...]] = get_args(PlanKind)
VISITED_KINDS: Final = ("patrol", "checkpoint", "restricted", "no_fishing")
"""Zones of which visits are derived."""
LENGTHS: Final = (5.0, 1000.0)  # m, of a corridor
LONGEST_STAY: Final = 86400.0  # s
MOST_VISITS: Final = 100
DEFAULTS: Final = {f.name: f.default for f in fields(Plan) if f.default is not MISSING}
_HEADER: Final = re.compile(r"^[ \t]*\[\[[ \t]*plan[ \t]*\]\]", re.MULTILINE)
_HOUR: Final = re.compile(r"\d\d:\d\d", re.ASCII)
_FORMS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "str": ("text", lambda v: isinstance(v, str)),
    "int": ("a whole number", lambda v: isinstance(v, int) and not isinstance(v, bool)),
    "float": ("a number", lambda v: isinstance(v, int | float) and not isinstance(v, bool)),
    "bool": ("true or false", lambda v: isinstance(v, bool)),
    "tuple[str, ...]": ("a list of texts", lambda v: isinstance(v, list) and all(isinstance(w, str) for w in v)),
    "tuple[int, ...]": ("a list of whole numbers", lambda v: isinstance(v, list) and all(type(w) is int for w in v)),
}
_EMPTY: Final[dict[str, Any]] = {"str": "", "tuple[str, ...]": ()}

Problem = tuple[str, str]


def read_plans(text: str, errors: list[SiteError]) -> tuple[tuple[Plan, ...], tuple[int, ...]]:
    """The plans of a file and their lines; no lines where one is not written as ``[[plan]]``.

    A plan that is partly wrong is returned all the same; what is wrong with it is added to ``errors``.

    Raises:
        SiteError: the file as a whole is no list of plans.
    """
    table = parse_toml(PLANS, text)
    errors += [
        SiteError(PLANS, key[:40], "is unknown: the file has [[plan]] tables only") for key in table if key != "plan"
    ]
    found = table.get("plan", [])
    if not isinstance(found, list):
        raise SiteError(PLANS, "plan", "is no list: begin each plan with [[plan]], in double brackets")
    lines = tuple(text.count("\n", 0, match.start()) + 1 for match in _HEADER.finditer(text))
    lines = lines if len(lines) == len(found) else ()
    for index, row in enumerate(found):
        if not isinstance(row, dict):
            raise SiteError(PLANS, f"record {index + 1}", f"{shown(row)} is no table: begin each plan with [[plan]]")
    spots = [f"line {lines[i]}" if lines else f"record {i + 1}" for i in range(len(found))]
    return tuple(_plan(row, spot, errors) for row, spot in zip(found, spots, strict=True)), lines


def _plan(row: dict[str, Any], spot: str, errors: list[SiteError]) -> Plan:
    name = row.get("code") if isinstance(row.get("code"), str) else ""

    def wrong(part: str, problem: str) -> None:
        errors.append(SiteError(PLANS, place(spot, str(name), part), problem))

    values: dict[str, Any] = {}
    for field in fields(Plan):
        form, fits = _FORMS.get(str(field.type), _FORMS["str"])
        value = row.get(field.name)
        if value is None or not fits(value):
            if value is not None:
                wrong(field.name, f"{shown(value)} is not {form}")
            values[field.name] = DEFAULTS.get(field.name, _EMPTY.get(str(field.type), ""))
        else:
            values[field.name] = tuple(value) if isinstance(value, list) else value
            if field.type == "float":
                values[field.name] = _number(value)
    known = ", ".join(f.name for f in fields(Plan))
    for part in row:
        if part not in values:
            wrong(part[:40], f"no such field; there are {known}")
    return Plan(**values)


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def plan_of(table: Mapping[str, Any]) -> Plan:
    """The plan of a table that :func:`plan_table` made."""
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    return Plan(**values)


def plan_table(plan: Plan) -> dict[str, Any]:
    """A plan as a TOML table; what is as by default is left out."""
    values = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(plan).items()}
    return {k: v for k, v in values.items() if k not in DEFAULTS or getattr(plan, k) != DEFAULTS[k]}


def plan_problems(
    plan: Plan, zones: Mapping[str, Zone], devices: Mapping[str, Device], roles: tuple[str, ...]
) -> Iterator[Problem]:
    """What is wrong with a plan beyond its code, names and area."""
    if plan.kind not in PLAN_KINDS:
        yield "kind", f"{shown(plan.kind)} is no kind of plan: use one of {', '.join(PLAN_KINDS)}"
    yield from _zone_problems(plan, zones)
    for word in plan.who:
        if word not in devices and word not in roles:
            yield "who", f"{shown(word)} is neither in {DEVICES} nor a role ({', '.join(roles)})"
    for part, hour in (("opens", plan.opens), ("closes", plan.closes)):
        if not _clock(hour):
            yield part, f"{shown(hour)} is no time of day: write it like 18:00, from 00:00 to 23:59"
    if not plan.days or len(set(plan.days)) != len(plan.days) or not set(plan.days) <= set(range(1, 8)):
        yield "days", f"{shown(list(plan.days))} are no weekdays: list numbers from 1 (Monday) to 7 (Sunday), each once"
    if not 1 <= plan.visits <= MOST_VISITS or (plan.kind == "route" and plan.visits != 1):
        yield (
            "visits",
            f"{shown(plan.visits)} visits: 1-{MOST_VISITS} for a quota; 1 for a route, with a plan for each round",
        )
    if not 0 <= plan.stay <= LONGEST_STAY:
        yield "stay", f"{plan.stay} s: give the seconds of one visit, at most a day"
    if not 0 < plan.share <= 1:
        yield "share", f"{plan.share}: give the part to be covered, above 0 and up to 1"
    if not LENGTHS[0] <= plan.corridor <= LENGTHS[1]:
        yield "corridor", f"{plan.corridor} m: from {LENGTHS[0]:g} to {LENGTHS[1]:g}"


def _zone_problems(plan: Plan, zones: Mapping[str, Zone]) -> Iterator[Problem]:
    if not plan.zones:
        yield "zones", f"is empty: list codes of {ZONES}"
    if len(set(plan.zones)) != len(plan.zones) and plan.kind == "quota":
        yield "zones", f"{shown(list(plan.zones))}: the same zone twice; raise visits"
    for code in plan.zones:
        if code not in zones:
            yield "zones", f"{shown(code)} is not in {ZONES}: add it there or correct it here"
        elif zones[code].kind not in VISITED_KINDS:
            yield "zones", f"{code} is a {zones[code].kind} zone: a patrol goes to {', '.join(VISITED_KINDS)} zones"
        elif plan.kind == "route" and len(plan.zones) > 1 and is_line(zones[code]):
            yield "zones", f"{code} is a line: a route is one line, or checkpoints with an extent"
    if plan.kind == "route" and len(plan.zones) == 1 and plan.zones[0] in zones and not is_line(zones[plan.zones[0]]):
        yield "zones", f"{plan.zones[0]} is no line: a route is one line, or two checkpoints and more"


def is_line(zone: Zone) -> bool:
    """Whether a zone is walked along and not stayed in."""
    return bool(shapely.get_dimensions(zone.geometry) == 1)


def _clock(hour: str) -> bool:
    try:
        time.fromisoformat(hour)
    except ValueError:
        return False
    return bool(_HOUR.fullmatch(hour))
