"""A small site with one account of every role, and the console on it: called directly, or over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from socket import socket
from typing import Any

import httpx
import pytest
import shapely
from fastapi import FastAPI
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.alert import Alert
from alerts.rules import Rule, rule_to
from console.app import ConsoleServer, create_app
from console.intake import Intake
from detectors.base import Finding, Sentence
from devices.readings import FIX, SAMPLE, SIGHTING, rows
from devices.registry import Device
from devices.site import Area, Season, Site, Unit, Zone, micros
from devices.site_contents import SiteFolder
from store.accounts import create_account
from store.casebook import record_findings
from store.media import Media
from store.readings import write_batch
from store.registry import load_duty, load_site
from store.rejects import Reject, write_rejects
from store.signing import KeyFile
from store.site_saving import save_site

DISTRICT, LAKE, TOWN, VILLAGE = "320118000000", "320118100000", "320118101000", "320118100201"
PASSWORD = "a long enough phrase"


FISHING = Rule("fishing_ban", "禁渔", "Fishing ban", "fishing_ban", "high", "fishing", live_within=1e9)
CROWD = Rule("crowd", "聚集", "Crowd", "crowd", "medium", "crowd", live_within=1e9)
SOS = Rule("sos", "求助", "SOS", "sos", "high", "sos", open_case=False, live_within=1e9)


def folder() -> SiteFolder:
    """A district of two streets, one with a village; two units; a terminal with each, and one in the village."""

    def terminal(code: str, area: str, share: str, unit: str) -> Device:
        return Device(code, "terminal", f"终端{code}", f"Terminal {code}", area, share, unit, "patrol", 60.0)

    return SiteFolder(
        name="测试县",
        name_en="Test county",
        areas=(
            Area(DISTRICT, "示范区", "District", "district"),
            Area(LAKE, "湖滨街道", "Lakeside", "street", DISTRICT),
            Area(TOWN, "集镇街道", "Town", "street", DISTRICT),
            Area(VILLAGE, "湖滨村", "Lake village", "community", LAKE),
        ),
        units=(
            Unit("fishery", "渔政队", "Fishery", LAKE, ("json://127.0.0.1:9/secret",)),
            Unit("police", "派出所", "Police", TOWN),
        ),
        devices=(
            terminal("T1", LAKE, LAKE, "fishery"),
            terminal("T2", TOWN, TOWN, "police"),
            terminal("T3", VILLAGE, LAKE, ""),
            Device("C1", "camera", "相机", "Camera", LAKE, LAKE, lon=118.88, lat=31.47, aliases=("vendor/c1",)),
            Device("W1", "sensor", "水位计", "Gauge", TOWN, TOWN, lon=118.95, lat=31.40),
        ),
        zones=(
            Zone(
                "ban",
                "no_fishing",
                "北岸禁渔区",
                "North shore",
                LAKE,
                shapely.box(118.86, 31.46, 118.90, 31.48),
                season=Season("03-01", "06-30"),
            ),
            Zone(
                "market", "crowd_watch", "集市", "Market", TOWN, shapely.box(118.94, 31.39, 118.96, 31.41), capacity=50
            ),
        ),
        duties=(
            {"category": "fishing", "area": LAKE, "unit": "fishery"},
            {"category": "crowd", "area": TOWN, "unit": "police"},
        ),
        rules=tuple(rule_to(rule) for rule in (FISHING, CROWD, SOS)),
    )


PEOPLE: dict[str, dict[str, Any]] = {
    "viewer": {"role": "viewer"},
    "operator": {"role": "operator"},
    "unit": {"role": "unit", "unit": "fishery"},
    "supervisor": {"role": "supervisor"},
    "admin": {"role": "admin"},
    "town_operator": {"role": "operator", "area": TOWN},
    "lake_viewer": {"role": "viewer", "area": LAKE},
    "lake_police": {"role": "unit", "unit": "police", "area": LAKE},
    "grid": {"role": "grid", "area": LAKE},
    "town_grid": {"role": "grid", "area": TOWN},
}


@pytest.fixture(scope="module")
def tokens(database_url: str) -> dict[str, str]:
    """The site saved, and a session for each of PEOPLE."""

    async def prepare() -> dict[str, str]:
        async with await AsyncConnection.connect(database_url) as conn:
            await save_site(conn, folder())
            first = await create_account(conn, name="first", display="First", role="viewer", password=PASSWORD)
            return {name: await _person(conn, first.id, name, **given) for name, given in PEOPLE.items()}

    return asyncio.run(prepare())


async def _person(
    conn: AsyncConnection, first: int, name: str, *, role: str, unit: str | None = None, area: str | None = None
) -> str:
    """One of PEOPLE with the first one's password, and a session: hashing a password for each would take seconds."""
    token = f"session-of-{name}"
    await conn.execute(
        "WITH made AS (INSERT INTO accounts (name, display, password_hash, role, unit, area)"
        " SELECT %s, initcap(%s), password_hash, %s, %s, %s FROM accounts WHERE id = %s RETURNING id)"
        " INSERT INTO sessions (token_hash, account, expires) SELECT %s, id, now() + interval '1 day' FROM made",
        (name, name, role, unit, area, first, sha256(token.encode()).digest()),
    )
    return token


ALL = {"viewer", "operator", "unit", "supervisor", "admin"}
STAFF = ALL - {"viewer"}
DESK = {"operator", "supervisor", "admin"}
CHIEF = {"supervisor", "admin"}
KNOWN = ALL | {"grid"}
REPORTERS = STAFF | {"grid"}
PUBLIC: set[str] = KNOWN | {"nobody"}

RULES: dict[tuple[str, str], set[str]] = {
    ("POST", "/api/v1/session"): PUBLIC,
    ("DELETE", "/api/v1/session"): PUBLIC,
    ("GET", "/api/v1/me"): KNOWN,
    ("POST", "/api/v1/me/password"): KNOWN,
    ("GET", "/api/v1/site"): ALL,
    ("GET", "/api/v1/categories"): ALL,
    ("GET", "/api/v1/devices"): ALL,
    ("GET", "/api/v1/positions"): ALL,
    ("GET", "/api/v1/devices/{code}/track"): STAFF,
    ("GET", "/api/v1/heat"): DESK,
    ("GET", "/api/v1/alerts"): ALL,
    ("GET", "/api/v1/alerts/{alert_id}"): ALL,
    ("POST", "/api/v1/alerts/acknowledge"): STAFF,
    ("POST", "/api/v1/alerts/{alert_id}/acknowledge"): STAFF,
    ("POST", "/api/v1/alerts/{alert_id}/void"): DESK,
    ("GET", "/api/v1/silences"): STAFF,
    ("POST", "/api/v1/silences"): DESK,
    ("POST", "/api/v1/silences/{silence_id}/end"): DESK,
    ("GET", "/api/v1/maintenance"): STAFF,
    ("POST", "/api/v1/maintenance"): DESK,
    ("POST", "/api/v1/maintenance/{window_id}/end"): DESK,
    ("GET", "/api/v1/cases"): ALL,
    ("POST", "/api/v1/cases"): STAFF,
    ("GET", "/api/v1/cases/{case_id}"): ALL,
    ("POST", "/api/v1/cases/{case_id}/actions"): STAFF,
    ("GET", "/api/v1/cases/{case_id}/reporters"): ALL,
    ("GET", "/api/v1/cases/{case_id}/similar"): ALL,
    ("GET", "/api/v1/cases/{case_id}/history"): ALL,
    ("POST", "/api/v1/reports"): REPORTERS,
    ("GET", "/api/v1/reports"): REPORTERS,
    ("GET", "/api/v1/reports/form"): REPORTERS,
    ("POST", "/api/v1/reports/similar"): REPORTERS,
    ("GET", "/api/v1/reports/{report_id}"): REPORTERS,
    ("POST", "/api/v1/reports/{report_id}/notes"): REPORTERS,
    ("POST", "/api/v1/attachments"): REPORTERS,
    ("GET", "/api/v1/attachments/{sha256}"): KNOWN,
    ("GET", "/api/v1/cases/{case_id}/candidates"): DESK,
    ("GET", "/api/v1/cases/{case_id}/export"): DESK,
    ("GET", "/api/v1/cases/{case_id}/letters"): ALL,
    ("GET", "/api/v1/cases/{case_id}/letters/{seq}"): ALL,
    ("GET", "/api/v1/cases/{case_id}/letters/{seq}/print"): ALL,
    ("GET", "/api/v1/notices"): STAFF,
    ("GET", "/api/v1/contacts"): DESK,
    ("GET", "/api/v1/ownership"): DESK,
    ("GET", "/api/v1/ownership/{case_id}"): DESK,
    ("POST", "/api/v1/ownership/{case_id}"): CHIEF,
    ("GET", "/api/v1/duties"): ALL,
    ("PUT", "/api/v1/duties"): CHIEF,
    ("GET", "/api/v1/duties/resolve"): ALL,
    ("GET", "/api/v1/duties/check"): DESK,
    ("GET", "/api/v1/duties/changes"): DESK,
    ("GET", "/api/v1/duties/export"): DESK,
    ("POST", "/api/v1/duties/import"): CHIEF,
    ("GET", "/api/v1/backtests"): DESK,
    ("GET", "/api/v1/backtests/thresholds"): DESK,
    ("POST", "/api/v1/backtests"): DESK,
    ("GET", "/api/v1/backtests/{backtest_id}"): DESK,
    ("GET", "/api/v1/assessment"): ALL,
    ("GET", "/api/v1/assessment/csv"): ALL,
    ("GET", "/api/v1/assessment/pdf"): ALL,
    ("GET", "/assessment"): ALL,  # the others are sent to /login
    ("GET", "/api/v1/rejects"): DESK,
    ("POST", "/api/v1/rejects/{reject_id}/replay"): DESK,
    ("GET", "/api/v1/live"): ALL,
    ("GET", "/api/v1/openapi.json"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/login"): PUBLIC,
    ("GET", "/report"): PUBLIC,
    ("GET", "/report-worker.js"): PUBLIC,
    ("GET", "/static"): PUBLIC,
    ("GET", "/"): KNOWN,  # the others are sent to /login
}


@pytest.fixture
def rules() -> dict[tuple[str, str], set[str]]:
    """For every route who may use it: roles, or all of them and "nobody" where no log-in is needed."""
    return RULES


@dataclass
class Sent:
    """What was put on the broker."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)
    failure: Exception | None = None

    async def publish(self, topic: str, payload: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        self.messages.append((topic, payload))


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def media(tmp_path: Path) -> Media:
    """Small pictures only."""
    return Media(tmp_path / "media", most_bytes=200_000, most_pixels=1_000_000)


@pytest.fixture
def key(tmp_path: Path) -> KeyFile:
    """What exports are signed with."""
    return KeyFile(tmp_path / "signing_key.pem")


@pytest.fixture
def app(
    pool: AsyncConnectionPool[AsyncConnection],
    database_url: str,
    tokens: dict[str, str],
    sent: Sent,
    media: Media,
    key: KeyFile,
) -> FastAPI:
    return create_app(
        pool,
        database_url=database_url,
        intake=Intake(media),
        key=key,
        publish=sent.publish,
        frame=0.2,
        beat=0.5,
        tile_url="https://t.example/{z}/{x}/{y}",
    )


Clients = Callable[[str | None], httpx.AsyncClient]


@pytest.fixture
async def client(app: FastAPI, tokens: dict[str, str]) -> AsyncIterator[Clients]:
    """A client for the app itself, with the session of one of PEOPLE; None: nobody's."""
    async with AsyncExitStack() as stack:
        made: dict[str | None, httpx.AsyncClient] = {}
        for name in (None, *PEOPLE):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            cookies = {"patrolgrid_session": tokens[name]} if name else {}
            made[name] = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url="http://desk", cookies=cookies)
            )
        yield made.__getitem__


@asynccontextmanager
async def serving(app: FastAPI, sockets: list[socket] | None = None) -> AsyncIterator[ConsoleServer]:
    """The app on a free port of this machine."""
    server = ConsoleServer(app, port=0)
    task = asyncio.create_task(server.serve(sockets))
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await task


@pytest.fixture
def serve() -> Callable[..., Any]:
    """:func:`serving`, for tests that need more than the plain server."""
    return serving


@pytest.fixture
async def server(app: FastAPI) -> AsyncIterator[ConsoleServer]:
    async with serving(app) as running:
        yield running


@pytest.fixture
async def site(pool: AsyncConnectionPool[AsyncConnection], tokens: dict[str, str]) -> Site:
    async with pool.connection() as conn:
        return await load_site(conn)


@pytest.fixture
async def no_cases(pool: AsyncConnectionPool[AsyncConnection]) -> None:
    """An empty casebook."""
    async with pool.connection() as conn:
        for table in ("ledger", "entries"):
            await conn.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await conn.execute(
            "TRUNCATE ledger, entries, notices, alerts, cases, rejects, alert_events, silences, maintenance"
            " RESTART IDENTITY CASCADE"
        )
        for table in ("ledger", "entries"):
            await conn.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


Find = Callable[..., Awaitable[Alert]]


@pytest.fixture
def find(pool: AsyncConnectionPool[AsyncConnection], site: Site) -> Find:
    """Record a finding as the watch does: ``find(rule, subject, zone, features=[…])``; the alert it made."""

    async def record(
        rule: Rule = FISHING,
        subject: str = "C1",
        zone: str = "ban",
        ago: float = 10.0,
        features: Sequence[dict[str, Any]] = (),
    ) -> Alert:
        until = datetime.now(UTC) - timedelta(seconds=ago)
        finding = Finding(
            kind=rule.detector,
            subject=subject,
            zone=zone,
            since=micros(until - timedelta(seconds=5)),
            until=micros(until),
            lon=118.88,
            lat=31.47,
            score=0.9,
            sentence=Sentence("北岸有人垂钓", "Angling on the north shore"),
            evidence={"geojson": {"type": "FeatureCollection", "features": list(features)}, "numbers": {"people": 3}},
        )
        async with pool.connection() as conn:
            await conn.set_autocommit(True)
            duty = await load_duty(conn)
            found = await record_findings(conn, [(rule, finding)], site=site, duty=duty, now=datetime.now(UTC))
            await conn.set_autocommit(False)
        (alert,) = found
        return alert

    return record


Move = Callable[..., Awaitable[None]]


@pytest.fixture
def move(pool: AsyncConnectionPool[AsyncConnection], site: Site) -> Move:
    """Commit a fix as ingest does: ``move("T1", lon, lat, ago=seconds)``."""

    async def write(code: str, lon: float, lat: float, ago: float = 0.0, speed: float = 1.5) -> None:
        device = site.registry.resolve(code)
        assert device is not None
        received = micros(datetime.now(UTC))
        fix = (device.id, received - int(ago * 1e6), received, lon, lat, speed, 90.0, float("nan"), 80.0, 0)
        async with pool.connection() as conn:
            await write_batch(conn, rows(FIX, [fix]), rows(SIGHTING), rows(SAMPLE))

    return write


@pytest.fixture
def reject(pool: AsyncConnectionPool[AsyncConnection]) -> Callable[..., Awaitable[int]]:
    """Keep a message as a reject, as ingest does: ``reject(topic, payload)``; its id."""

    async def keep(topic: str, payload: bytes, reason: str = "not_json") -> int:
        kept = Reject(topic, payload, micros(datetime.now(UTC)), reason, "made by a test")
        async with pool.connection() as conn:
            await write_rejects(conn, [kept])
            cursor = await conn.execute("SELECT id FROM rejects WHERE digest = %s", (kept.digest,))
            row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    return keep
