"""The real console on a socket with the real ingest behind it, and Chromium pages that are watched for complaints.

What tests share is on the fixtures (a test module cannot import a conftest here): ``ground`` makes things happen,
``open_page`` gives a ``Desk``, one open page. Waits are on conditions.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

import aiomqtt
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.rules import Rule
from console.app import ConsoleServer, create_app
from detectors.base import Batch, Finding, Sentence
from devices.site import Site, micros
from ingest.listener import Listener
from ingest.pipeline import Pipeline
from store.accounts import create_account
from store.casebook import record_findings
from store.registry import load_duty

expect.set_options(timeout=60_000)  # milliseconds; letters and map are drawn by a processor that others use as well

Pool = AsyncConnectionPool[AsyncConnection]
PATIENCE = 60.0  # seconds
NAME, PASSWORD = "chief", "a lake and four villages"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
BAN = Rule("fishing_ban", "禁渔", "Fishing ban", "fishing_ban", "high", "fishing", live_within=1e9)


@dataclass
class Ground:
    """A console on a socket, the ingest that feeds it, and how to make things happen."""

    pool: Pool
    site: Site
    database_url: str
    mqtt_url: str
    address: str = ""
    name: str = NAME
    place: ClassVar[tuple[float, float]] = (118.88, 31.47)  # of every alert: inside the zone "ban"

    async def publish(self, topic: str, payload: bytes) -> None:
        """As a device would."""
        url = urlsplit(self.mqtt_url)
        async with aiomqtt.Client(url.hostname or "", url.port or 1883) as client:
            await client.publish(topic, payload, qos=1)

    async def fix(self, code: str, lon: float, lat: float, at: float) -> None:
        """A terminal's fix, ``at`` in seconds since 1970."""
        device = self.site.registry.resolve(code)
        assert device is not None
        fix = {"t": at, "lon": lon, "lat": lat, "spd": 1.3, "hdg": 90, "acc": 6, "bat": 77}
        await self.publish(f"pg/v1/{device.share}/{code}/fix", json.dumps(fix).encode())

    async def alert(self, zh: str = "北岸有人垂钓", en: str = "Angling on the north shore") -> int:
        """A finding recorded as the watch does; the id of the case it opened."""
        now = datetime.now(UTC)
        marks = [{"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [*self.place]}}]
        proof = {"geojson": {"type": "FeatureCollection", "features": marks}, "numbers": {"dwell_s": 640.0}}
        since, until = micros(now - timedelta(minutes=11)), micros(now)
        finding = Finding("fishing_ban", "C1", "ban", since, until, *self.place, 0.9, Sentence(zh, en), proof)
        async with self.pool.connection() as conn:
            await conn.set_autocommit(True)
            duty = await load_duty(conn)
            (alert,) = await record_findings(conn, [(BAN, finding)], site=self.site, duty=duty, now=now)
            await conn.set_autocommit(False)
        assert alert.case_id is not None
        return alert.case_id

    @asynccontextmanager
    async def console(self, port: int = 0) -> AsyncIterator[str]:
        """The real app on a socket of this machine; its address."""
        app = create_app(self.pool, database_url=self.database_url, mqtt_url=self.mqtt_url, frame=0.2, beat=0.5)
        server = ConsoleServer(app, port=port)
        task = asyncio.create_task(server.serve())
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def _dropped(_: Batch) -> None:
    """No detectors here: findings are recorded by hand."""


@pytest.fixture
async def ground(pool: Pool, database_url: str, mqtt_url: str, site: Site, no_cases: None) -> AsyncIterator[Ground]:
    async with pool.connection() as conn:
        await conn.execute("TRUNCATE last_positions")
        cursor = await conn.execute("SELECT 1 FROM accounts WHERE name = %s", (NAME,))
        if await cursor.fetchone() is None:
            await create_account(conn, name=NAME, display="值班长", role="admin", password=PASSWORD)
    pipeline = Pipeline(Listener(mqtt_url, "browser-test", linger=0.05), pool, site.registry, hand_on=_dropped)
    ingest = asyncio.create_task(pipeline.run())
    made = Ground(pool, site, database_url, mqtt_url)
    try:
        async with made.console() as made.address:
            yield made
    finally:
        ingest.cancel()
        with suppress(asyncio.CancelledError):
            await ingest


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    program = os.environ.get("PATROLGRID_CHROMIUM", "/usr/bin/chromium")
    async with async_playwright() as driver:
        running = await driver.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield running
        await running.close()


@dataclass
class Desk:
    """One open page, and what it must not do: console errors and warnings, policy breaches, foreign requests."""

    page: Page
    home: str
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        # Chromium on software GL warns of slow read-backs; that is the test's own machine, not the page.
        if message.type in ("error", "warning") and "GPU stall" not in message.text:
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.home}/", "data:", "blob:")):
            self.complaints.append(f"foreign request: {request.url}")

    async def log_in(self, name: str = NAME, password: str = PASSWORD) -> None:
        """By hand, from the log-in page; returns once the map is there and the stream is live."""
        await self.page.fill("[name=name]", name)
        await self.page.fill("[name=password]", password)
        await self.page.click("button[type=submit]")
        await expect(self.page.locator("#map[aria-busy=false]")).to_be_attached()
        await expect(self.page.locator("#status-link[data-look=good]")).to_be_attached()

    async def shown(self, code: str) -> dict[str, Any] | None:
        """Where the map shows a terminal."""
        return await self.page.evaluate("code => window.patrolgrid?.terminal(code) ?? null", code)

    async def case_is(self, status: str) -> None:
        await expect(self.page.locator("#case-status")).to_have_attribute("data-status", status)

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str) -> Any:
        """Ask until the answer is true."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if answer := await condition():
                return answer
            await asyncio.sleep(0.05)
        raise AssertionError(f"not within {PATIENCE} s: {what}")

    async def colours(self, x: float, y: float, size: int = 24) -> list[list[int]]:
        """The pixels of the map around a place, as they are on the screen."""
        box = await self.page.locator("#map").bounding_box()
        assert box is not None
        clip = {"x": box["x"] + x - size / 2, "y": box["y"] + y - size / 2, "width": size, "height": size}
        picture = base64.b64encode(await self.page.screenshot(clip=clip)).decode()  # type: ignore[arg-type]
        return await self.page.evaluate(
            """async (data) => {
              const image = new Image();
              image.src = `data:image/png;base64,${data}`;
              await image.decode();
              const canvas = document.createElement("canvas");
              [canvas.width, canvas.height] = [image.width, image.height];
              const pen = canvas.getContext("2d", { willReadFrequently: true });
              pen.drawImage(image, 0, 0);
              const { data: raw } = pen.getImageData(0, 0, image.width, image.height);
              return Array.from({ length: raw.length / 4 }, (_, n) => [...raw.slice(4 * n, 4 * n + 3)]);
            }""",
            picture,
        )


@pytest.fixture
async def open_page(browser: Browser, ground: Ground) -> Callable[..., Awaitable[Desk]]:
    """``await open_page(language, size, scheme)``: a page at the log-in, in a browser context of its own."""

    async def opened(language: str = "en-GB", size: tuple[int, int] = (1280, 800), scheme: str = "dark") -> Desk:
        context = await browser.new_context(
            locale=language,
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,  # type: ignore[arg-type]
            timezone_id="America/New_York",  # the site's time must not depend on the machine's
            reduced_motion="reduce",
        )
        desk = Desk(await context.new_page(), ground.address)
        desk.watch()
        await desk.page.goto(f"{ground.address}/login")
        return desk

    return opened
