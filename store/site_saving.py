"""Saving a site: all of it or nothing, with history kept and device ids that never change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier, Placeholder
from psycopg.types.json import Json, Jsonb

from devices.registry import Device
from devices.site import Zone
from devices.site_contents import AREAS, DEVICES, PLANS, RULES, UNITS, ZONES, SiteError, SiteErrors, SiteFolder
from devices.site_plans import plan_table
from store.contacts import save_contacts
from store.database import announce
from store.duties import load_book, save_book
from store.site_check import book_of, check_site
from store.site_lock import lock_site

_TABLES: Final = {AREAS: "areas", UNITS: "units", DEVICES: "devices", ZONES: "zones", PLANS: "plans", RULES: "rules"}
_IN_USE: Final = (  # what must be settled before something can leave: its file, what is used and by whom, what to do
    (
        DEVICES,
        SQL(
            "SELECT d.code, string_agg(c.number, ', ' ORDER BY c.id) FROM open_cases c"
            " JOIN devices d ON d.id = c.terminal GROUP BY d.code"
        ),
        "is dispatched for {}: close the case or send another terminal first",
    ),
    (
        UNITS,
        SQL("SELECT unit, string_agg(number, ', ' ORDER BY id) FROM open_cases GROUP BY unit"),
        "handles {}: close the case or assign it to another unit first",
    ),
    (
        UNITS,
        SQL("SELECT unit, string_agg(name, ', ' ORDER BY id) FROM accounts WHERE active GROUP BY unit"),
        "is the unit of the account {}: give the account another unit first",
    ),
    (
        AREAS,
        SQL("SELECT area, string_agg(number, ', ' ORDER BY id) FROM open_cases GROUP BY area"),
        "is the place of {}: close the case first",
    ),
    (
        AREAS,
        SQL("SELECT area, string_agg(name, ', ' ORDER BY id) FROM accounts WHERE active GROUP BY area"),
        "is the area of the account {}: give the account another area first",
    ),
)
_OPEN_CASES: Final = SQL(
    "WITH open_cases AS (SELECT * FROM cases WHERE status NOT IN ('closed', 'void', 'merged')) {query}"
)

Codes = dict[str, tuple[str, ...]]
"""Codes by the file in which they stand, each in the order of its file."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What saving a site changed: what is new in it, and what left it."""

    added: Codes
    left: Codes


async def save_site(conn: AsyncConnection, folder: SiteFolder) -> Saved:
    """Make the database's site this one, in one transaction, and announce it (kind ``site``).

    A device keeps its id for ever, also while it is away; new ones get the next ids without a gap. What is no longer in
    the site stays in the tables for the sake of history; devices among it are inactive and lose their aliases.

    Raises:
        SiteErrors: the site is not in order, a rule cannot run, or something that left is in use; nothing is changed.
    """
    check_site(folder)
    after: Codes = {
        AREAS: tuple(area.code for area in folder.areas),
        UNITS: tuple(unit.code for unit in folder.units),
        DEVICES: tuple(device.code for device in folder.devices),
        ZONES: tuple(zone.code for zone in folder.zones),
        PLANS: tuple(plan.code for plan in folder.plans),
        RULES: tuple(str(rule["code"]) for rule in folder.rules),
    }
    async with conn.transaction():
        await lock_site(conn, "exclusive")
        book = await load_book(conn)
        before = {file: await _codes(conn, table) for file, table in _TABLES.items()}
        left = {file: _without(before[file], after[file]) for file in _TABLES}
        await _refuse(conn, folder, left)
        await _all_leave(conn)
        await _put_site(conn, folder)
        await _put_devices(conn, folder.devices)
        await _put_rules(conn, folder)
        await save_contacts(conn, folder.contacts)
        await save_book(conn, book_of(folder), actor="site load", how="site", before=book)
        await announce(conn, kind="site")
    return Saved({file: _without(after[file], before[file]) for file in _TABLES}, left)


def _without(codes: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    known = set(others)
    return tuple(code for code in codes if code not in known)


async def _codes(conn: AsyncConnection, table: str) -> tuple[str, ...]:
    query = SQL("SELECT code FROM {} WHERE position IS NOT NULL ORDER BY position").format(Identifier(table))
    return tuple(code for (code,) in await (await conn.execute(query)).fetchall())


async def _refuse(conn: AsyncConnection, folder: SiteFolder, left: Codes) -> None:
    """Raise SiteErrors when something that left is still needed, or an address that history holds is given away."""
    found = []
    for file, query, problem in _IN_USE:
        cursor = await conn.execute(_OPEN_CASES.format(query=query))
        users: dict[str, str] = dict(await cursor.fetchall())
        found += [
            SiteError(file, code, f"is no longer in the file, but {problem.format(users[code])}")
            for code in left[file]
            if code in users
        ]
    aliases = {alias: index for index, device in enumerate(folder.devices) for alias in device.aliases}
    codes = [device.code for device in folder.devices]
    cursor = await conn.execute(
        "SELECT code FROM devices WHERE code = ANY(%s) AND code <> ALL(%s)", (list(aliases), codes)
    )
    for (alias,) in await cursor.fetchall():
        where = folder.where(DEVICES, aliases[alias], codes[aliases[alias]], "aliases")
        found.append(SiteError(DEVICES, where, f"{alias!r} is the code of a device that left the site: take another"))
    if found:
        raise SiteErrors(found)


async def _all_leave(conn: AsyncConnection) -> None:
    """Everything leaves the site; what the new one has comes back in the same transaction."""
    for table in ("areas", "units", "zones", "plans"):
        await conn.execute(SQL("UPDATE {} SET position = NULL").format(Identifier(table)))
    await conn.execute("UPDATE rules SET position = NULL, active = false")
    await conn.execute("UPDATE devices SET position = NULL, active = false, aliases = '{}'")


async def _put(conn: AsyncConnection, table: str, key: str, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows or, where their key is there, make the present ones the same; each gets its place in the sequence."""
    if not rows:
        return
    columns = [*rows[0], "position"]
    changed = [column for column in columns if column != key]
    query = SQL(
        "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({values})"
        " ON CONFLICT ({key}) DO UPDATE SET ({changed}) = ROW ({new})"
    ).format(
        table=Identifier(table),
        key=Identifier(key),
        columns=SQL(", ").join(map(Identifier, columns)),
        changed=SQL(", ").join(map(Identifier, changed)),
        values=SQL(", ").join(map(Placeholder, columns)),
        new=SQL(", ").join(Identifier("excluded", column) for column in changed),
    )
    async with conn.cursor() as cursor:
        await cursor.executemany(query, [{**row, "position": index} for index, row in enumerate(rows)])


async def _put_site(conn: AsyncConnection, folder: SiteFolder) -> None:
    for key, value in (("name", folder.name), ("name_en", folder.name_en)):
        await conn.execute(
            "INSERT INTO site_facts (key, value) VALUES (%s, %s)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, Jsonb(value)),
        )
    await _put(conn, "areas", "code", [{**asdict(area), "parent": area.parent or None} for area in folder.areas])
    await _put(conn, "units", "code", [{**asdict(unit), "contacts": list(unit.contacts)} for unit in folder.units])
    await _put(conn, "zones", "code", [_zone_row(zone) for zone in folder.zones])
    plans = [{"code": plan.code, "area": plan.area, "body": Json(plan_table(plan))} for plan in folder.plans]
    await _put(conn, "plans", "code", plans)


def _zone_row(zone: Zone) -> dict[str, Any]:
    return {
        "code": zone.code,
        "kind": zone.kind,
        "name": zone.name,
        "name_en": zone.name_en,
        "area": zone.area,
        "geometry": Jsonb(zone.geometry.__geo_interface__),
        "capacity": zone.capacity,
        "season": None if zone.season is None else Jsonb(asdict(zone.season)),
        "properties": Json(dict(zone.properties)),
    }


async def _put_devices(conn: AsyncConnection, devices: Sequence[Device]) -> None:
    """Known codes keep their ids, and new ones get the next.

    The identity's own sequence would leave gaps at every load, and the detectors' arrays are as long as the highest id.
    """
    ids: dict[str, int] = dict(await (await conn.execute("SELECT code, id FROM devices")).fetchall())
    following = max(ids.values(), default=0) + 1
    new = _without([device.code for device in devices], list(ids))
    ids |= {code: following + number for number, code in enumerate(new)}
    await _put(conn, "devices", "id", [_device_row(device, ids[device.code]) for device in devices])
    if ids:
        await conn.execute("SELECT setval(pg_get_serial_sequence('devices', 'id'), %s)", (max(ids.values()),))
    await conn.execute(  # in the order of the file, and only what is new, so that the numbers have no gaps
        "INSERT INTO shares (code) SELECT code FROM unnest(%s::text[]) WITH ORDINALITY AS s (code, place)"
        " WHERE code NOT IN (SELECT code FROM shares) ORDER BY place",
        (list(dict.fromkeys(device.share for device in devices)),),
    )


def _device_row(device: Device, device_id: int) -> dict[str, Any]:
    return {
        "id": device_id,
        "code": device.code,
        "kind": device.kind,
        "role": device.role,
        "name": device.name,
        "name_en": device.name_en,
        "area": device.area,
        "share": device.share,
        "unit": device.unit or None,
        "interval_s": device.interval,
        "lon": None if math.isnan(device.lon) else device.lon,
        "lat": None if math.isnan(device.lat) else device.lat,
        "aliases": list(device.aliases),
        "active": device.active,
        "properties": Json(dict(device.properties)),
    }


async def _put_rules(conn: AsyncConnection, folder: SiteFolder) -> None:
    rules = [{"code": rule["code"], "body": Json(rule), "active": rule.get("active", True)} for rule in folder.rules]
    await _put(conn, "rules", "code", rules)
