"""A site as a folder of plain files that people edit: read, checked and written.

The format is described column by column in ``docs/site.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import tomli_w

from devices.registry import Device, Kind
from devices.site import Area, Level, Unit
from devices.site_checks import problems
from devices.site_contents import (
    AREAS,
    CATEGORIES,
    CONTACTS,
    DEVICES,
    DUTY,
    FILES,
    OPTIONAL,
    PLANS,
    RULES,
    SITE,
    SUPERVISORS,
    UNITS,
    ZONES,
    SiteError,
    SiteErrors,
    SiteFolder,
)
from devices.site_csv import Row, Table, number_text, read_table, write_table
from devices.site_geojson import read_zones, write_zones
from devices.site_plans import plan_table, read_plans
from devices.site_text import decode_text, json_text, parse_toml, shown

__all__ = ["SiteError", "SiteErrors", "SiteFolder", "check_folder", "read_folder", "write_folder"]

TABLES: Final = {
    AREAS: Table(AREAS, ("code", "name", "name_en", "level", "parent"), optional=("parent",)),
    UNITS: Table(UNITS, ("code", "name", "name_en", "area", "contacts"), optional=("contacts",)),
    DEVICES: Table(
        DEVICES,
        (
            *("code", "kind", "role", "name", "name_en", "area", "share", "unit", "interval"),
            *("lon", "lat", "aliases", "active", "properties"),
        ),
        optional=("role", "unit", "interval", "lon", "lat", "aliases", "active", "properties"),
    ),
    CATEGORIES: Table(
        CATEGORIES,
        (
            *("code", "name", "name_en", "severity", "high", "medium", "low", "remind", "supervise"),
            *("ownership", "callback"),
        ),
        optional=("severity", "high", "medium", "low", "remind", "supervise", "ownership", "callback"),
    ),
    DUTY: Table(DUTY, ("category", "area", "unit")),
    SUPERVISORS: Table(
        SUPERVISORS,
        ("area", "unit", "name", "name_en", "account", "office"),
        optional=("unit", "account", "office"),
    ),
    CONTACTS: Table(
        CONTACTS,
        ("to", "address", "name", "severity", "kinds", "quiet", "digest"),
        optional=("name", "severity", "kinds", "quiet", "digest"),
    ),
}
_RULE_HEADER: Final = re.compile(r"^[ \t]*\[\[[ \t]*rule[ \t]*\]\]", re.MULTILINE)

Content = TypeVar("Content")


def read_folder(path: Path, judge: Callable[[SiteFolder], list[SiteError]] = problems) -> SiteFolder:
    """The site in a folder, read and checked as a whole. Other files in the folder are left alone.

    ``judge`` says what is wrong with the contents; who knows more than this package does (what a rule means) may give
    its own, so that all of it is shown at once.

    Raises:
        SiteErrors: everything that is wrong, each with file, line or feature, and what to do. While a file cannot be
            read at all, the references between the files are not judged.
    """
    if not path.is_dir():
        raise SiteErrors([SiteError(str(path), "", f"is no folder: a site is a folder with {', '.join(FILES)}")])
    reader = _Reader(path)
    site = reader.read(SITE, _site) or {}
    rows = {file: reader.read(file, _table_reader(table)) or [] for file, table in TABLES.items()}
    rules, rule_lines = reader.read(RULES, _rules) or ((), ())
    plans, plan_lines = reader.read(PLANS, read_plans) or ((), ())
    folder = SiteFolder(
        name=site.get("name", ""),
        name_en=site.get("name_en", ""),
        areas=tuple(_area(row) for row in rows[AREAS]),
        units=tuple(_unit(row) for row in rows[UNITS]),
        devices=tuple(_device(row) for row in rows[DEVICES]),
        zones=reader.read(ZONES, read_zones) or (),
        plans=plans,
        rules=rules,
        duties=_cells(DUTY, rows),
        categories=_cells(CATEGORIES, rows),
        supervisors=_cells(SUPERVISORS, rows),
        contacts=_cells(CONTACTS, rows),
        lines={
            RULES: rule_lines,
            PLANS: plan_lines,
            **{file: tuple(row.line for row in found) for file, found in rows.items()},
        },
    )
    reader.finish(folder, judge)
    return folder


def check_folder(folder: SiteFolder) -> None:
    """Check a site that did not come from files.

    Raises:
        SiteErrors: everything that is wrong.
    """
    if found := problems(folder):
        raise SiteErrors(found)


def write_folder(folder: SiteFolder, path: Path) -> None:
    """Write a site's files into a folder, which is made when it is missing; present files are replaced.

    What is written is read again as the same site.

    Raises:
        SiteErrors: the site is not in order; nothing is written then.
        OSError: a file cannot be written.
    """
    check_folder(folder)
    cells: dict[str, list[list[str]]] = {
        AREAS: [[a.code, a.name, a.name_en, a.level, a.parent] for a in folder.areas],
        UNITS: [[u.code, u.name, u.name_en, u.area, " ".join(u.contacts)] for u in folder.units],
        DEVICES: [_device_cells(device) for device in folder.devices],
        **{
            file: [[record[column] for column in TABLES[file].columns] for record in records]
            for file, records in (
                (CATEGORIES, folder.categories),
                (DUTY, folder.duties),
                (SUPERVISORS, folder.supervisors),
                (CONTACTS, folder.contacts),
            )
        },
    }
    files = {
        SITE: tomli_w.dumps({"name": folder.name, "name_en": folder.name_en}).encode(),
        **{file: write_table(TABLES[file], rows) for file, rows in cells.items()},
        ZONES: write_zones(folder.zones),
        PLANS: tomli_w.dumps({"plan": [plan_table(plan) for plan in folder.plans]}).encode(),
        RULES: tomli_w.dumps({"rule": list(folder.rules)}).encode(),
    }
    path.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (path / file).write_bytes(content)


class _Reader:
    """Reads the files one after another and collects what is wrong, so that all of it can be shown at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unread: list[SiteError] = []  # why files could not be read at all
        self.partly: list[SiteError] = []  # what is wrong within files

    def read(self, file: str, parse: Callable[[str, list[SiteError]], Content]) -> Content | None:
        """What ``parse`` makes of the file; None when it cannot be read."""
        try:
            return parse(decode_text(file, (self.path / file).read_bytes()), self.partly)
        except FileNotFoundError:
            if file in OPTIONAL:
                return None
            problem = f"is missing in {self.path}: a site folder has {', '.join(FILES)}"
            self.unread.append(SiteError(file, "", problem))
        except OSError as error:
            self.unread.append(SiteError(file, "", f"cannot be read: {error.strerror}"))
        except SiteErrors as errors:
            self.unread += errors.errors
        except SiteError as error:
            self.unread.append(error)
        return None

    def finish(self, folder: SiteFolder, judge: Callable[[SiteFolder], list[SiteError]]) -> None:
        """Raise SiteErrors for what was found while reading and what is wrong with the whole.

        One per place: a part that could not be read was left empty, and the checks would complain of that as well.
        """
        found = self.unread + self.partly
        if not self.unread:
            places = {(error.file, error.where) for error in found}
            found += [error for error in judge(folder) if (error.file, error.where) not in places]
        if found:
            raise SiteErrors(sorted(found, key=lambda error: FILES.index(error.file)))


def _table_reader(table: Table) -> Callable[[str, list[SiteError]], list[Row]]:
    return lambda text, errors: read_table(table, text, errors)


def _site(text: str, errors: list[SiteError]) -> dict[str, str]:
    table = parse_toml(SITE, text)
    for key, value in table.items():
        if key not in ("name", "name_en"):
            errors.append(SiteError(SITE, key[:40], "is unknown: the file has name and name_en"))
        elif not isinstance(value, str):
            errors.append(SiteError(SITE, key, f'{shown(value)} is not text: put it in quotes, {key} = "…"'))
    return {key: value.strip() for key, value in table.items() if isinstance(value, str)}


def _rules(text: str, errors: list[SiteError]) -> tuple[tuple[dict[str, Any], ...], tuple[int, ...]]:
    """The rules and their lines, which the parser does not tell; no lines where one is not written as ``[[rule]]``."""
    table = parse_toml(RULES, text)
    unknown = "is unknown: the file has [[rule]] tables only"
    errors += [SiteError(RULES, key[:40], unknown) for key in table if key != "rule"]
    found = table.get("rule", [])
    if not isinstance(found, list):
        raise SiteError(RULES, "rule", "is no list: begin each rule with [[rule]], in double brackets")
    lines = tuple(text.count("\n", 0, match.start()) + 1 for match in _RULE_HEADER.finditer(text))
    for index, rule in enumerate(found):
        if not isinstance(rule, dict):
            raise SiteError(RULES, f"record {index + 1}", f"{shown(rule)} is no table: begin each rule with [[rule]]")
    return tuple(found), lines if len(lines) == len(found) else ()


def _cells(file: str, rows: dict[str, list[Row]]) -> tuple[dict[str, str], ...]:
    """The records of a table whose cells are all plain text here."""
    return tuple({column: row.text(column) for column in TABLES[file].columns} for row in rows[file])


def _area(row: Row) -> Area:
    level = cast("Level", row.text("level"))  # this and the kinds below are checked with everything else in site_checks
    return Area(row.text("code"), row.text("name"), row.text("name_en"), level, row.text("parent"))


def _unit(row: Row) -> Unit:
    texts = (row.text("code"), row.text("name"), row.text("name_en"), row.text("area"))
    return Unit(*texts, contacts=row.words("contacts"))


def _device(row: Row) -> Device:
    # An unknown place stays at the default, one NaN object, so that two readings of one file are equal.
    numbers: dict[str, Any] = {
        column: value for column in ("lon", "lat", "interval") if (value := row.number(column)) is not None
    }
    return Device(
        code=row.text("code"),
        kind=cast("Kind", row.text("kind")),
        name=row.text("name"),
        name_en=row.text("name_en"),
        area=row.text("area"),
        share=row.text("share"),
        unit=row.text("unit"),
        role=row.text("role"),
        aliases=row.words("aliases"),
        active=row.truth("active", default=True),
        properties=row.table("properties"),
        **numbers,
    )


def _device_cells(device: Device) -> list[str]:
    cells = {
        **{column: str(getattr(device, column)) for column in ("code", "kind", "name", "name_en", "area", "share")},
        "role": device.role,
        "unit": device.unit,
        "interval": number_text(device.interval),
        "lon": number_text(device.lon),
        "lat": number_text(device.lat),
        "aliases": " ".join(device.aliases),
        "active": "true" if device.active else "false",
        "properties": json_text(device.properties) if device.properties else "",
    }
    return [cells[column] for column in TABLES[DEVICES].columns]
