"""The site in the database: its areas, units, devices, zones, plans, rules and duties, out as they went in.

Every row has the place it had in its file. What a later version of the site no longer has is kept without a place, so
that history never names something unknown; it takes part in nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from sys import intern
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.abc import Query
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from shapely.geometry import shape

from alerts.duty import DutyMatrix
from alerts.rules import Rule, rule_from
from devices.registry import Device, Registry
from devices.site import Area, Plan, Season, Site, Unit, Zone
from devices.site_contents import SiteFolder
from devices.site_plans import plan_of
from store.contacts import load_contacts
from store.database import announce
from store.duties import load_book
from store.site_lock import lock_site
from store.site_saving import Saved, save_site

__all__ = [
    "Saved",
    "UnknownDevice",
    "add_device",
    "deactivate_device",
    "load_duty",
    "load_rules",
    "load_site",
    "read_site",
    "save_site",
]

Row = dict[str, Any]

_AT_ONCE: Final = 1_000  # devices read at a time
_COMMON: Final = ("kind", "area", "share", "unit", "role")
_NO_PROPERTIES: Final[Mapping[str, Any]] = {}
_PRESENT: Final = SQL("SELECT * FROM {} WHERE position IS NOT NULL ORDER BY position")


class UnknownDevice(LookupError):
    """There is no device with this code in the site."""


async def load_site(conn: AsyncConnection) -> Site:
    """The site as detectors and the console need it; empty while none was saved.

    Its registry also has the devices that left the site, as inactive ones: their ids stand in stored readings.
    """
    async with conn.transaction():
        await lock_site(conn, "shared")
        facts = await _facts(conn)
        areas, units, zones = await _areas(conn), await _units(conn), await _zones(conn)
        plans = await _plans(conn)
        devices = await _devices(conn, "SELECT * FROM devices ORDER BY id")
    registry = Registry(devices)
    return Site(areas, zones, units, registry, facts.get("name", ""), facts.get("name_en", ""), plans)


async def load_shares(conn: AsyncConnection) -> dict[str, int]:
    """The areas by which work is shared out among workers, each with its number."""
    return dict(await (await conn.execute("SELECT code, number FROM shares ORDER BY number")).fetchall())


async def read_site(conn: AsyncConnection) -> SiteFolder:
    """The site as it was saved, to be written as files again; its name is empty while none was saved."""
    async with conn.transaction():
        await lock_site(conn, "shared")
        facts = await _facts(conn)
        devices = await _devices(conn, _PRESENT.format(Identifier("devices")))
        tables = (await load_book(conn)).tables()
        return SiteFolder(
            name=facts.get("name", ""),
            name_en=facts.get("name_en", ""),
            areas=tuple(await _areas(conn)),
            units=tuple(await _units(conn)),
            devices=tuple(replace(device, id=0) for device in devices),
            zones=tuple(await _zones(conn)),
            plans=tuple(await _plans(conn)),
            rules=tuple(row["body"] for row in await _present(conn, "rules")),
            duties=tuple(tables["duty"]),
            categories=tuple(tables["categories"]),
            supervisors=tuple(tables["supervisors"]),
            contacts=tuple(await load_contacts(conn)),
        )


async def load_rules(conn: AsyncConnection) -> list[Rule]:
    """The site's rules in the order of their file, inactive ones too.

    Raises:
        RuleError: this version does not know a rule that an earlier one saved.
    """
    return [rule_from(row["body"]) for row in await _present(conn, "rules")]


async def load_duty(conn: AsyncConnection) -> DutyMatrix:
    """The site's duty matrix, with the kinds of event and the supervisors."""
    return (await load_book(conn)).matrix()


async def add_device(conn: AsyncConnection, device: Device) -> None:
    """Add one device to the site.

    Raises:
        SiteErrors: it is not in order, or its code or an alias is in use.
    """
    async with conn.transaction():
        await lock_site(conn, "exclusive")
        folder = await read_site(conn)
        await save_site(conn, replace(folder, devices=(*folder.devices, device)))


async def deactivate_device(conn: AsyncConnection, code: str) -> None:
    """From now on, refuse what a device sends; it stays in the site.

    Raises:
        UnknownDevice: there is none with this code.
    """
    async with conn.transaction():
        query = "UPDATE devices SET active = false WHERE code = %s AND position IS NOT NULL RETURNING id"
        if await (await conn.execute(query, (code,))).fetchone() is None:
            raise UnknownDevice(f"there is no device {code!r} in the site")
        await announce(conn, kind="site")


async def _rows(conn: AsyncConnection, query: Query) -> list[Row]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query)
        return await cursor.fetchall()


async def _present(conn: AsyncConnection, table: str) -> list[Row]:
    """The rows that belong to the site now, in the order of their file."""
    return await _rows(conn, _PRESENT.format(Identifier(table)))


async def _devices(conn: AsyncConnection, query: Query) -> list[Device]:
    """Within a transaction: the devices of these rows.

    They stay for as long as the process does, and there may be 100,000. Read all at once, their rows leave as many
    holes between them when they go, and what the process makes from then on lies scattered over those: 8 % of the CPU
    of a message went there.
    """
    async with conn.cursor("devices", row_factory=dict_row) as cursor:
        cursor.itersize = _AT_ONCE
        await cursor.execute(query)
        return [_device(row) async for row in cursor]


async def _facts(conn: AsyncConnection) -> dict[str, str]:
    return {row["key"]: row["value"] for row in await _rows(conn, "SELECT key, value FROM site_facts")}


async def _areas(conn: AsyncConnection) -> list[Area]:
    return [
        Area(row["code"], row["name"], row["name_en"], row["level"], row["parent"] or "")
        for row in await _present(conn, "areas")
    ]


async def _units(conn: AsyncConnection) -> list[Unit]:
    return [
        Unit(row["code"], row["name"], row["name_en"], row["area"], tuple(row["contacts"]))
        for row in await _present(conn, "units")
    ]


async def _zones(conn: AsyncConnection) -> list[Zone]:
    return [
        Zone(
            code=row["code"],
            kind=row["kind"],
            name=row["name"],
            name_en=row["name_en"],
            area=row["area"],
            geometry=shape(row["geometry"]),
            capacity=row["capacity"],
            season=None if row["season"] is None else Season(**row["season"]),
            properties=row["properties"],
        )
        for row in await _present(conn, "zones")
    ]


async def _plans(conn: AsyncConnection) -> list[Plan]:
    return [plan_of(row["body"]) for row in await _present(conn, "plans")]


def _device(row: Row) -> Device:
    # What many devices have in common is one object, or they take twice the memory.
    row |= {name: intern(row[name] or "") for name in _COMMON}
    # An unknown place stays at the default, one NaN object, so that what went in equals what comes out.
    place = {} if row["lon"] is None else {"lon": row["lon"], "lat": row["lat"]}
    return Device(
        code=row["code"],
        kind=row["kind"],
        name=row["name"],
        name_en=row["name_en"],
        area=row["area"],
        share=row["share"],
        unit=row["unit"],
        role=row["role"],
        interval=row["interval_s"],
        aliases=tuple(row["aliases"]),
        active=row["active"],
        properties=row["properties"] or _NO_PROPERTIES,
        id=row["id"],
        **place,
    )
