"""A small site in the database: a district with two streets, three units, five terminals, a camera, and rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import shapely
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.duty import DutyMatrix
from alerts.rules import Rule
from detectors.base import Finding, Sentence
from devices.registry import Device, Registry
from devices.site import Area, Site, Unit, Zone, micros

DISTRICT, LAKE, TOWN = "320118000000", "320118100000", "320118101000"
AREAS = [
    Area(DISTRICT, "示范区", "District", "district"),
    Area(LAKE, "湖滨街道", "Lakeside", "street", DISTRICT),
    Area(TOWN, "集镇街道", "Town", "street", DISTRICT),
]
UNITS = [
    Unit("fishery", "渔政队", "Fishery", DISTRICT, ("json://127.0.0.1:9/a", "json://127.0.0.1:9/b")),
    Unit("police", "派出所", "Police", TOWN),
    Unit("centre", "综治中心", "Centre", DISTRICT),
]
ZONES = [
    Zone("ban", "no_fishing", "北岸禁渔区", "North shore", LAKE, shapely.box(118.86, 31.46, 118.90, 31.48)),
    Zone("market", "crowd_watch", "集市", "Market", TOWN, shapely.box(118.95, 31.40, 118.96, 31.41), capacity=50),
    Zone("island", "restricted", "湖心岛", "Island", DISTRICT, shapely.box(118.80, 31.40, 118.81, 31.41)),
]
DUTIES = [("fishing", LAKE, "fishery"), ("crowd", TOWN, "police"), ("sos", DISTRICT, "centre")]
NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)  # a Friday, 10:30 at the site
FISHING = Rule("fishing_ban", "禁渔区垂钓", "Fishing in the ban zone", "fishing_ban", "high", "fishing", deadline="2wd")
SOS = Rule("sos", "一键求助", "SOS", "sos", "high", "sos", deadline="30m", dispatch="nearest")
QUIET = Rule("quiet", "终端静默", "Silence", "silence", "low", "silence", open_case=False)


def _devices() -> list[Device]:
    terminals = [
        Device(
            f"T{n}", "terminal", f"终端{n}", f"Terminal {n}", LAKE, LAKE, role="patrol", aliases=(f"owntracks/t{n}/p",)
        )
        for n in range(1, 6)
    ]
    return [*terminals, Device("C1", "camera", "相机1", "Camera 1", LAKE, LAKE, lon=118.88, lat=31.47)]


@pytest.fixture
async def conn(pool: AsyncConnectionPool[AsyncConnection]) -> Any:
    """A connection that is in no transaction between two calls."""
    async with pool.connection() as connection:
        await connection.set_autocommit(True)
        yield connection
        await connection.set_autocommit(False)


@pytest.fixture
async def site(pool: AsyncConnectionPool[AsyncConnection]) -> Site:
    """The site above, stored once per database, its casebook emptied for every test."""
    async with pool.connection() as conn:
        await _empty(conn)
        cursor = await conn.execute("SELECT count(*) FROM areas")
        if await cursor.fetchone() == (0,):
            await _store(conn)
        cursor = await conn.execute("SELECT code, id FROM devices")
        ids = dict(await cursor.fetchall())
    registry = Registry([_with_id(device, ids[device.code]) for device in _devices()])
    return Site(AREAS, ZONES, UNITS, registry, "test")


def _with_id(device: Device, number: int) -> Device:
    from dataclasses import replace

    return replace(device, id=number)


async def _empty(conn: AsyncConnection) -> None:
    for table in ("ledger", "entries"):
        await conn.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    await conn.execute(
        "TRUNCATE ledger, entries, notices, alerts, cases, case_numbers, last_positions, alert_events,"
        " silences, maintenance, contacts, contact_failures RESTART IDENTITY CASCADE"
    )
    for table in ("ledger", "entries"):
        await conn.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


async def _store(conn: AsyncConnection) -> None:
    for a in AREAS:
        await conn.execute(
            "INSERT INTO areas (code, name, name_en, level, parent) VALUES (%s, %s, %s, %s, %s)",
            (a.code, a.name, a.name_en, a.level, a.parent or None),
        )
    for u in UNITS:
        await conn.execute(
            "INSERT INTO units (code, name, name_en, area, contacts) VALUES (%s, %s, %s, %s, %s)",
            (u.code, u.name, u.name_en, u.area, list(u.contacts)),
        )
    for d in _devices():
        await conn.execute(
            "INSERT INTO devices (code, kind, role, name, name_en, area, share, aliases)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (d.code, d.kind, d.role, d.name, d.name_en, d.area, d.share, list(d.aliases)),
        )


@pytest.fixture
def duty() -> DutyMatrix:
    """Fishing at the lake, crowds in town, SOS everywhere; silence nobody's."""
    return DutyMatrix(DUTIES)


@pytest.fixture
def finding() -> Callable[..., Finding]:
    """Findings by seconds relative to NOW."""

    def make(
        since: float = -60.0,
        until: float = 0.0,
        *,
        kind: str = "fishing_ban",
        subject: str = "C1",
        zone: str = "ban",
        lon: float = 118.88,
        lat: float = 31.47,
        score: float = 0.8,
        evidence: dict[str, Any] | None = None,
    ) -> Finding:
        begun, ended = (micros(NOW + timedelta(seconds=s)) for s in (since, until))
        sentence = Sentence(f"看到人员垂钓至 {until:g}", f"people angling until {until:g}")
        return Finding(kind, subject, zone, begun, ended, lon, lat, score, sentence, evidence or {"numbers": {"n": 1}})

    return make


@pytest.fixture
def place(site: Site, pool: AsyncConnectionPool[AsyncConnection]) -> Callable[..., Any]:
    """Put a terminal's last position somewhere, ``age`` seconds before NOW."""

    async def put(code: str, lon: float, lat: float, age: float = 10.0, flags: int = 0) -> None:
        device = site.registry.resolve(code)
        assert device is not None
        at = NOW - timedelta(seconds=age)
        async with pool.connection() as conn:
            await conn.execute(
                "INSERT INTO last_positions VALUES (%s, %s, %s, %s, %s, 'NaN', 'NaN', 'NaN', 'NaN', %s)"
                " ON CONFLICT (device) DO UPDATE SET at = excluded.at, lon = excluded.lon, lat = excluded.lat,"
                " flags = excluded.flags",
                (device.id, at, at, lon, lat, flags),
            )

    return put
