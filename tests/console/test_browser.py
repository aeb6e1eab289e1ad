"""The console's pages in a real Chromium, on the real server, TimescaleDB, broker and ingest. Waits are on conditions."""

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
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Route, async_playwright, expect
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.case import Actor
from alerts.rules import Rule
from console.app import ConsoleServer, create_app
from detectors.base import Batch, Finding, Sentence
from devices.site import Site, micros
from ingest.listener import Listener
from ingest.pipeline import Pipeline
from store.accounts import create_account
from store.casebook import act, get_case, list_cases, record_findings
from store.registry import load_duty

pytestmark = pytest.mark.browser
expect.set_options(timeout=60_000)  # milliseconds; the letters and the map are drawn by the processor

Pool = AsyncConnectionPool[AsyncConnection]
PATIENCE = 60.0  # seconds
NAME, PASSWORD = "chief", "a lake and four villages"
ARGUMENTS = (
    "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update"
    " --disable-sync --use-angle=swiftshader --enable-unsafe-swiftshader --ignore-gpu-blocklist"
).split()
BAN = Rule("fishing_ban", "禁渔", "Fishing ban", "fishing_ban", "high", "fishing", live_within=1e9)
LON, LAT = 118.88, 31.47
STEP = 0.0004  # degrees of longitude, about 38 m: a walk of half a minute
ROLE_PATROL = (0x58, 0xD6, 0x8D)  # --role-patrol of the dark theme in tokens.css


@dataclass
class Ground:
    """A console on a socket, the ingest that feeds it, and how to make things happen."""

    pool: Pool
    site: Site
    mqtt_url: str
    address: str

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

    async def alert(self, subject: str = "C1", zh: str = "北岸有人垂钓", en: str = "Angling on the north shore") -> int:
        """A finding recorded as the watch does; the id of the case it opened."""
        now = datetime.now(UTC)
        marks = [{"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [LON, LAT]}}]
        proof = {"geojson": {"type": "FeatureCollection", "features": marks}, "numbers": {"dwell_s": 640.0}}
        since, until = micros(now - timedelta(minutes=11)), micros(now)
        finding = Finding("fishing_ban", subject, "ban", since, until, LON, LAT, 0.9, Sentence(zh, en), proof)
        async with self.pool.connection() as conn:
            await conn.set_autocommit(True)
            duty = await load_duty(conn)
            (alert,) = await record_findings(conn, [(BAN, finding)], site=self.site, duty=duty, now=now)
            await conn.set_autocommit(False)
        assert alert.case_id is not None
        return alert.case_id


@asynccontextmanager
async def console(pool: Pool, database_url: str, mqtt_url: str, port: int = 0) -> AsyncIterator[str]:
    """The real app on a socket of this machine; its address."""
    app = create_app(pool, database_url=database_url, mqtt_url=mqtt_url, frame=0.2, beat=0.5)
    server = ConsoleServer(app, port=port)
    task = asyncio.create_task(server.serve())
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
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
        cursor = await conn.execute("SELECT 1 FROM accounts WHERE name = %s", (NAME,))
        if await cursor.fetchone() is None:
            await create_account(conn, name=NAME, display="值班长", role="admin", password=PASSWORD)
    pipeline = Pipeline(Listener(mqtt_url, "browser-test", linger=0.05), pool, site.registry, hand_on=_dropped)
    ingest = asyncio.create_task(pipeline.run())
    try:
        async with console(pool, database_url, mqtt_url) as address:
            yield Ground(pool, site, mqtt_url, address)
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
class Complaints:
    """What a page must not do: errors and warnings on its console, breaches of the content policy, foreign requests."""

    home: str
    found: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.found.append(f"error: {error}"))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        # Chromium on software GL warns of slow read-backs; that is the test's own machine, not the page.
        if message.type in ("error", "warning") and "GPU stall" not in message.text:
            self.found.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.home}/", "data:", "blob:")):
            self.found.append(f"foreign request: {request.url}")


@dataclass
class Desk:
    """One open page."""

    page: Page
    complaints: Complaints

    async def shown(self, code: str) -> dict[str, Any] | None:
        """Where the map shows a terminal."""
        return await self.page.evaluate("code => window.patrolgrid?.terminal(code) ?? null", code)

    async def status(self, name: str) -> None:
        await expect(self.page.locator("#case-status")).to_have_attribute("data-status", name)


Open = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def open_page(browser: Browser, ground: Ground) -> Open:
    """A page in a fresh browser context, at the log-in."""

    async def opened(language: str = "en-GB", size: tuple[int, int] = (1280, 800), scheme: str = "dark") -> Desk:
        context = await browser.new_context(
            locale=language,
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,  # type: ignore[arg-type]
            timezone_id="America/New_York",  # the site's time must not depend on the machine's
            reduced_motion="reduce",
        )
        page = await context.new_page()
        complaints = Complaints(ground.address)
        complaints.watch(page)
        await page.goto(f"{ground.address}/login")
        return Desk(page, complaints)

    return opened


async def enter(desk: Desk, name: str = NAME, password: str = PASSWORD) -> None:
    """Log in by hand and wait for the map."""
    await desk.page.fill("[name=name]", name)
    await desk.page.fill("[name=password]", password)
    await desk.page.click("button[type=submit]")
    await expect(desk.page.locator("#map[aria-busy=false]")).to_be_attached()
    await expect(desk.page.locator("#status-link[data-look=good]")).to_be_attached()


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Ask until the answer is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if answer := await condition():
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


async def colours(page: Page, x: float, y: float, size: int = 24) -> list[list[int]]:
    """The pixels of the map around a place, as they are on the screen."""
    box = await page.locator("#map").bounding_box()
    assert box is not None
    clip = {"x": box["x"] + x - size / 2, "y": box["y"] + y - size / 2, "width": size, "height": size}
    picture = base64.b64encode(await page.screenshot(clip=clip)).decode()  # type: ignore[arg-type]
    return await page.evaluate(
        """async (data) => {
          const image = new Image();
          image.src = `data:image/png;base64,${data}`;
          await image.decode();
          const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
          const pen = canvas.getContext("2d", { willReadFrequently: true });
          pen.drawImage(image, 0, 0);
          const { data: raw } = pen.getImageData(0, 0, image.width, image.height);
          return Array.from({ length: raw.length / 4 }, (_, n) => [...raw.slice(4 * n, 4 * n + 3)]);
        }""",
        picture,
    )


def near(colour: list[int], wanted: tuple[int, int, int]) -> bool:
    return all(abs(a - b) <= 12 for a, b in zip(colour, wanted, strict=True))


async def test_from_log_in_to_a_closed_case(ground: Ground, open_page: Open) -> None:
    """Log in, see a terminal walk, see an alert arrive, take its case to closed, change the language. No complaints."""
    desk = await open_page()
    page = desk.page
    await enter(desk)
    await page.evaluate("() => { window.sameDocument = true; }")

    # A terminal appears where it says it is ...
    begun = time.time() - 20
    await ground.fix("T1", LON, LAT, begun)
    at = await until(lambda: desk.shown("T1"), "T1 on the map")
    assert (at["lon"], at["lat"]) == (LON, LAT)

    async def painted() -> bool:
        pixel = (await desk.shown("T1") or at)["pixel"]
        return any(near(colour, ROLE_PATROL) for colour in await colours(page, pixel["x"], pixel["y"]))

    await until(painted, "T1 painted in its role's colour at its place")

    # ... and walks on, never ahead of its newest fix.
    await page.evaluate(
        """() => {
          window.seen = [];
          const look = () => { const now = window.patrolgrid.terminal("T1"); window.seen.push([now.lon, now.fix[0]]);
            requestAnimationFrame(look); };
          requestAnimationFrame(look);
        }"""
    )
    await ground.fix("T1", LON + STEP, LAT, begun + 15)

    async def arrived() -> bool:
        return bool(abs((await desk.shown("T1") or at)["lon"] - LON - STEP) < 1e-9)

    await until(arrived, "T1 at its second fix")
    seen = await page.evaluate("() => window.seen")
    assert all(shown <= newest + 1e-12 for shown, newest in seen), "the marker ran ahead of the newest fix"
    assert any(LON < shown < LON + STEP for shown, _ in seen), "the marker jumped instead of walking"
    await expect(page.locator("#status-terminals")).to_contain_text("1live")
    await until(painted, "T1 painted at its new place")

    # An alert arrives by itself and leads to its case.
    await expect(page.locator("#alert-list .alert-card")).to_have_count(0)
    case_id = await ground.alert()
    card = page.locator("#alert-list .alert-card")
    await expect(card).to_contain_text("Angling on the north shore")
    await expect(page.locator("#status-alerts")).to_contain_text("1open alerts")
    await card.locator(".acknowledge").click()
    await expect(card).to_contain_text(f"Acknowledged by {NAME}")
    await card.locator(".card-open").click()
    await expect(card.locator(".evidence")).to_contain_text("10 min")
    await card.locator(".case-link").click()
    await desk.status("opened")

    # Its whole chain, by clicking.
    await page.click("[data-action=dispatch]")
    await page.select_option("select[name=terminal]", "T1")
    await page.click("#action-send")
    await desk.status("dispatched")
    await page.click("[data-action=accept]")
    await page.click("#action-send")
    await desk.status("handling")
    for action, name, text, status in (
        ("feedback", "note", "两人已劝离，鱼竿已收", "fed_back"),
        ("verify", "note", "村里回访，岸边已无人", "verified"),
        ("close", "outcome", "劝离", "closed"),
    ):
        await page.click(f"[data-action={action}]")
        await page.fill(f"textarea[name={name}]", text)
        await page.click("#action-send")
        await desk.status(status)
    await expect(page.locator(".story")).to_contain_text("两人已劝离，鱼竿已收")
    async with ground.pool.connection() as conn:
        case = await get_case(conn, case_id)
    assert case is not None
    assert (case.status, case.outcome, case.terminal) == ("closed", "劝离", "T1")

    # The other language, at once and for good.
    await expect(page.locator(".chain [aria-current=step]")).to_have_text("Closed")
    await page.click("#language")
    await expect(page.locator(".chain [aria-current=step]")).to_have_text("已结案")
    await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    assert await page.evaluate("() => window.sameDocument") is True, "the page was loaded again"
    await page.reload()
    await expect(page.locator("#status-alerts .words")).to_have_text("未确认预警")
    assert desk.complaints.found == []


async def test_a_one_time_password_is_changed_first(ground: Ground, open_page: Open) -> None:
    async with ground.pool.connection() as conn:
        await create_account(
            conn, name="newcomer", display="新人", role="viewer", password="only once 1", one_time=True
        )
    desk = await open_page("zh-CN")
    page = desk.page
    await page.fill("[name=name]", "newcomer")
    await page.fill("[name=password]", "only once 1")
    await page.click("button[type=submit]")
    await expect(page.locator("h2")).to_have_text("请设置新密码")
    await page.reload()  # the one-time password would not let them in again: the session must
    await page.fill("[name=old]", "only once 1")
    await page.fill("[name=new]", "新的密码够长了吧")
    await page.fill("[name=again]", "新的密码不一样的")
    await page.click("button[type=submit]")
    assert await page.evaluate("() => document.querySelector('[name=again]').validity.customError") is True
    await page.fill("[name=new]", "a password of my own")
    await page.fill("[name=again]", "a password of my own")
    await page.click("button[type=submit]")
    await expect(page.locator("#map[aria-busy=false]")).to_be_attached()
    assert await page.locator("#new-case").count() == 0, "a viewer cannot report"
    assert desk.complaints.found == []


async def test_a_wrong_password_is_said_in_words(open_page: Open) -> None:
    desk = await open_page("zh-CN")
    await desk.page.fill("[name=name]", NAME)
    await desk.page.fill("[name=password]", "wrong")
    await desk.page.click("button[type=submit]")
    await expect(desk.page.locator("#problem")).to_contain_text("密码")
    await desk.page.click("#language")
    await expect(desk.page.locator("button[type=submit]")).to_have_text("Log in")


async def test_a_refused_message_can_be_read_and_sent_again(ground: Ground, open_page: Open) -> None:
    desk = await open_page()
    page = desk.page
    await enter(desk)
    await expect(page.locator("#status-refused")).to_contain_text("0refused")
    await ground.publish("pg/v1/320118100000/T1/fix", b"<b>no json</b>")
    await expect(page.locator("#status-refused")).to_contain_text("1refused")
    await page.click("#status-refused")
    row = page.locator("#reject-list details")
    await expect(row).to_have_count(1)
    await row.locator("summary").click()
    await expect(row.locator("pre")).to_have_text("<b>no json</b>")
    await expect(row.locator(".chip").first).to_have_text("Not JSON")
    await ground.publish("pg/v1/320118100000/T9/fix", b'{"t": 1, "lon": 2, "lat": 3}')
    await page.click("#reject-fresh")
    await expect(page.locator("#reject-list details")).to_have_count(2)
    await page.select_option("#reject-filter", "unknown_device")
    await expect(page.locator("#reject-list details")).to_have_count(1)
    await page.select_option("#reject-filter", "not_json")
    await page.locator("#reject-list details .replay").click()  # still open, as it was
    await expect(page.locator("#toasts")).to_contain_text("Sent again")
    await expect(page.locator("#reject-list details")).to_contain_text("2 times")
    assert desk.complaints.found == []


async def test_somebody_was_faster(ground: Ground, open_page: Open) -> None:
    """A stale action is refused by the server; the person reads why, what was written stays, the case is as it is now."""
    case_id = await ground.alert()
    desk = await open_page()
    page = desk.page
    await enter(desk)
    await page.goto(f"{ground.address}/#/case/{case_id}")
    await desk.status("opened")

    async def overtake(route: Route) -> None:
        async with ground.pool.connection() as conn:
            case = await get_case(conn, case_id)
            assert case is not None
            await act(conn, case_id, "void", Actor("rival", "admin"), note="误报", version=case.version, data={})
        await route.continue_()

    await page.route("**/actions", overtake, times=1)
    await page.click("[data-action=dispatch]")
    await page.click("#action-send")
    await expect(page.locator("#toasts .bad")).to_contain_text("look again")
    await desk.status("void")
    assert [found for found in desk.complaints.found if "409" not in found] == []


async def test_a_lost_stream_is_said_and_made_good(
    ground: Ground, open_page: Open, database_url: str, pool: Pool
) -> None:
    desk = await open_page()
    page = desk.page
    async with console(pool, database_url, ground.mqtt_url) as address:
        port = urlsplit(address).port or 0
        desk.complaints.home = address
        await page.goto(f"{address}/login")
        await enter(desk)
    await expect(page.locator("#status-link[data-look=bad]")).to_contain_text("Cut off")
    await ground.alert(en="Missed while cut off")
    async with console(pool, database_url, ground.mqtt_url, port):
        await expect(page.locator("#alert-list")).to_contain_text("Missed while cut off")
        await expect(page.locator("#status-link[data-look=good]")).to_be_attached()
        await page.goto("about:blank")


async def test_a_case_is_reported_from_the_map(ground: Ground, open_page: Open) -> None:
    desk = await open_page("zh-CN")
    page = desk.page
    await enter(desk)
    await page.click("#tabs [data-tab=cases]")
    await page.click("#new-case")
    await page.select_option("select[name=category]", "hazard")
    await page.fill("input[name=title]", "堤上护栏断裂")
    await page.click("#new-case-send")
    await expect(page.locator("#toasts .bad")).to_contain_text("点选位置")
    await page.click("dialog .field-like button")
    box = await page.locator("#map").bounding_box()
    assert box is not None
    await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await expect(page.locator("#new-case-place")).to_contain_text("°E")
    await page.click("#new-case-send")
    await desk.status("reported")
    async with ground.pool.connection() as conn:
        ((case,), _) = await list_cases(conn, status=None, unit=None, areas=None, overdue=None, limit=5, before=None)
    assert (case.category, case.title.zh) == ("hazard", "堤上护栏断裂")
    west, south, east, north = 118.86, 31.39, 118.96, 31.48
    assert case.lon is not None
    assert case.lat is not None
    assert west < case.lon < east
    assert south < case.lat < north
    await page.click(".back")
    await expect(page.locator("#case-list .case-card")).to_contain_text("堤上护栏断裂")
    assert desk.complaints.found == []


@pytest.mark.parametrize("language", ["zh-CN", "en-GB"])
@pytest.mark.parametrize("size", [(390, 844), (1280, 800), (1920, 1080)])
async def test_nothing_is_wider_than_the_screen(
    ground: Ground, open_page: Open, size: tuple[int, int], language: str
) -> None:
    case_id = await ground.alert(zh="很长的一句话" * 30, en="A very long sentence about a shore " * 12)
    await ground.publish("pg/v1/320118100000/T1/fix", b"x" * 600)
    desk = await open_page(language, size)
    await enter(desk)
    for route in ("", "alerts", "cases", f"case/{case_id}", "rejects"):
        await desk.page.goto(f"{ground.address}/#/{route}")
        if route.startswith("case/"):
            await desk.status("opened")
        wide = await desk.page.evaluate(
            """() => [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility({ visibilityProperty: true })
                 && !e.closest("#map, .unseen, .skip, .chain, select, svg"))
                 .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
                 .map((e) => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`)"""
        )
        assert wide == [], f"#/{route} at {size}"
    assert desk.complaints.found == []


async def test_both_themes_can_be_read(ground: Ground, open_page: Open) -> None:
    """WCAG: 4.5:1 for text, 3:1 for marks and edges of controls, in both themes."""
    desk = await open_page()
    for theme in ("dark", "light"):
        await expect(desk.page.locator("html")).to_have_attribute("data-theme", theme)
        worst = await desk.page.evaluate(
            """() => {
              const style = getComputedStyle(document.documentElement);
              const light = (name) => {
                const hex = style.getPropertyValue(name).trim();
                const [r, g, b] = [1, 3, 5].map((n) => parseInt(hex.slice(n, n + 2), 16) / 255)
                  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
              };
              const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
              const pairs = [];
              for (const under of ["--bg", "--surface", "--raised", "--hover"]) {
                for (const ink of ["--text", "--text-2", "--text-3", "--accent", "--high", "--medium", "--low", "--good"]) {
                  if (under !== "--hover" || ink !== "--text-3") pairs.push([ink, under, 4.5]);
                }
                pairs.push(["--control", under, under === "--hover" ? 2.8 : 3]);
              }
              for (const s of ["high", "medium", "low"]) pairs.push([`--${s}`, `--${s}-soft`, 4.5]);
              pairs.push(["--on-accent", "--accent", 4.5], ["--text-2", "--chip", 4.5], ["--good", "--chip", 4.5], ["--map-text", "--map-bg", 4.5],
                ["--map-text", "--map-water", 4.5], ["--map-water-line", "--map-water", 3]);
              for (const mark of ["no-fishing", "restricted", "patrol", "checkpoint", "crowd"]) {
                for (const under of ["--map-bg", "--map-water"]) pairs.push([`--map-${mark}`, under, 3]);
              }
              for (const role of ["patrol", "police", "boat", "other"]) {
                for (const under of ["--map-bg", "--map-water"]) pairs.push([`--role-${role}`, under, 3]);
              }
              return pairs.map(([a, b, least]) => [a, b, ratio(a, b), least]).filter(([, , got, least]) => !(got >= least));
            }"""
        )
        assert worst == [], theme
        await desk.page.click("#theme")
