"""The page for phones: it opens without a server, keeps what is reported, and sends it once when the server is back."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Browser, BrowserContext, Page, expect
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.app import create_app
from console.auth import COOKIE
from console.intake import Intake
from store.media import Media

pytestmark = pytest.mark.browser
Pool = AsyncConnectionPool[AsyncConnection]
NAME, PASSWORD = "grid", "a long enough phrase"  # as tests/console/conftest.py makes them
HERE = {"latitude": 31.4701, "longitude": 118.8802, "accuracy": 9.0}
TOO_WIDE = """() => [...document.querySelectorAll("body *")]
  .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".unseen, svg"))
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`)"""
TOO_SMALL = """() => [...document.querySelectorAll("button, a, label.button, label.check")]
  .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 44)
  .map((e) => `${e.tagName}#${e.id}.${e.className} ${e.getBoundingClientRect().height}`)"""


def photo(size: tuple[int, int] = (3000, 2000)) -> dict[str, Any]:
    file = io.BytesIO()
    tags = Image.Exif()
    tags[0x0110] = "secret camera"
    Image.effect_noise(size, 60).convert("RGB").save(file, "JPEG", exif=tags, quality=90)
    return {"name": "IMG_1.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}


@dataclass
class Fault:
    """What goes wrong before the server, as a middleware: of a new report the answer breaks off, or is a refusal; the
    answer with the own ones is late."""

    lose: int = 0
    refusal: dict[str, Any] | None = None
    lost: int = 0
    late: asyncio.Event | None = None

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            wanted = scope["type"] == "http" and (scope["method"], scope["path"]) == ("POST", "/api/v1/reports")
            if self.late and scope["type"] == "http" and (scope["method"], scope["path"]) == ("GET", "/api/v1/reports"):
                answer: list[Message] = []
                await app(scope, receive, _into(answer))
                await self.late.wait()
                for message in answer:
                    await send(message)
            elif wanted and self.refusal is not None:
                await JSONResponse(self.refusal, 422)(scope, receive, send)
            elif wanted and self.lost < self.lose:
                self.lost += 1
                await app(scope, receive, _nowhere)  # it is taken in, and nobody hears of it
                await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"999")]})
                await send({"type": "http.response.body", "body": b'{"report": {', "more_body": True})
                raise ConnectionResetError("the line broke")
            else:
                await app(scope, receive, send)

        return faulty


def _into(answer: list[Message]) -> Send:
    async def send(message: Message) -> None:
        answer.append(message)

    return send


async def _nowhere(message: Message) -> None:
    """Where an answer goes that is lost."""


@dataclass
class Place:
    """The server, which can be switched off and on again at one address."""

    start: Callable[[], Awaitable[None]]
    stop: Callable[[], Awaitable[None]]
    address: str
    media: Media
    session: str
    fault: Fault


@pytest.fixture
async def place(
    pool: Pool, database_url: str, tokens: dict[str, str], no_cases: None, serve: Any, tmp_path: Path
) -> AsyncIterator[Place]:
    async with pool.connection() as conn:
        await conn.execute(
            "INSERT INTO sessions (token_hash, account, expires) SELECT %s, id, now() + interval '1 day' FROM accounts"
            " WHERE name = %s ON CONFLICT (token_hash) DO UPDATE SET expires = excluded.expires",
            (sha256(tokens[NAME].encode()).digest(), NAME),
        )
    media, running, fault = Media(tmp_path / "media"), AsyncExitStack(), Fault()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    async def start() -> None:
        app = create_app(pool, database_url=database_url, mqtt_url="mqtt://unused", intake=Intake(media))
        app.add_middleware(fault)
        await running.enter_async_context(serve(app, [_bound(port)]))

    await start()
    try:
        yield Place(start, running.aclose, f"http://127.0.0.1:{port}", media, tokens[NAME], fault)
    finally:
        await running.aclose()


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made


@asynccontextmanager
async def phone(browser: Browser, place: Place, language: str = "zh-CN", **more: Any) -> AsyncIterator[Page]:
    """A grid worker's page, whose service worker has everything."""
    context: BrowserContext = await browser.new_context(
        locale=language,
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        has_touch=True,
        is_mobile=True,
        geolocation=HERE,
        permissions=["geolocation"],
        reduced_motion="reduce",
        **more,
    )
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await context.add_cookies([{"name": COOKIE, "value": place.session, "url": place.address}])
    await page.goto(place.address)
    await expect(page).to_have_url(f"{place.address}/report")
    await expect(page.locator("#report-form")).to_be_visible()
    await page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    yield page
    await context.close()
    assert faults == []


async def counts(pool: Pool) -> tuple[int, int, int]:
    """Cases, reporters, entries that show a picture."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT (SELECT count(*) FROM cases), (SELECT count(*) FROM reporters),"
            " (SELECT count(*) FROM case_attachments)"
        )
        found: Any = await cursor.fetchone()
    return found


async def fill_in(page: Page, note: str, *, with_photo: bool = True) -> None:
    await page.click("[data-kind=fishing]")
    await expect(page.locator("#where[data-how=gps]")).to_be_visible()
    if with_photo:
        await page.set_input_files("[data-add=files]", [photo()])
        await expect(page.locator(".thumb")).to_have_count(1)
    await page.fill("#note", note)


async def test_offline_it_is_kept_and_online_it_is_sent_once(browser: Browser, place: Place, pool: Pool) -> None:
    async with phone(browser, place) as page:
        await place.stop()
        await page.reload()
        await fill_in(page, "北岸两人下网")
        await page.click("#send")
        await expect(page.locator("#waiting article")).to_have_count(1)
        await expect(page.locator("#line")).to_have_text("离线")
        await expect(page.locator("#waiting-count")).to_have_text("1")
        await page.click("#tab-new")
        await fill_in(page, "又一处", with_photo=False)
        await page.click("#send")
        await expect(page.locator("#waiting article")).to_have_count(2)
        await page.reload()  # the page may be closed and opened again
        await page.click("#tab-own")
        await expect(page.locator("#waiting article")).to_have_count(2)
        assert await counts(pool) == (0, 0, 0)
        await place.start()
        await expect(page.locator("#own .item")).to_have_count(2)
        await expect(page.locator("#waiting article")).to_have_count(0)
        await expect(page.locator("#line")).to_have_text("在线")
        assert await counts(pool) == (2, 2, 1)
        async with pool.connection() as conn:
            cursor = await conn.execute("SELECT encode(sha256, 'hex'), width, height FROM attachments")
            (found,) = await cursor.fetchall()
        assert found[1:] == (1600, 1067), "made smaller on the phone"
        assert b"secret camera" not in place.media.read(found[0])
        await page.reload()
        await expect(page.locator("#tab-own .badge")).to_have_count(0)
        assert await counts(pool) == (2, 2, 1), "and nothing is sent again"


async def test_an_answer_that_is_lost_on_the_way_makes_no_second_case(
    browser: Browser, place: Place, pool: Pool
) -> None:
    async with phone(browser, place) as page:
        place.fault.lose = 2
        await fill_in(page, "答复丢失", with_photo=False)
        await page.click("#send")
        await expect(page.locator("#own .item")).to_have_count(1)
        await expect(page.locator("#waiting article")).to_have_count(0)
        assert place.fault.lost == 2
        assert await counts(pool) == (1, 1, 0)


async def test_what_was_reported_already_is_offered_as_the_same(browser: Browser, place: Place, pool: Pool) -> None:
    async with phone(browser, place, "en-GB") as page:
        for n in range(2):
            await page.click("#tab-new")
            await fill_in(page, f"look {n}", with_photo=False)
            if n:
                await expect(page.locator(".same .one")).to_contain_text("reported by 1")
                await expect(page.locator(".history")).to_contain_text("fishing 1")
                await page.click(".same .one button")
                await expect(page.locator(".same .one button")).to_have_attribute("aria-pressed", "true")
            await page.click("#send")
            await expect(page.locator("#own .item")).to_have_count(n + 1)
        assert await counts(pool) == (1, 2, 0)
        await expect(page.locator("#own .item").first).to_contain_text("Reported by 2 people")
        await page.locator("#own .item").first.click()
        sheet = page.locator("dialog.sheet")
        await sheet.locator("textarea").fill("still there")
        await sheet.locator("[data-add=files]").set_input_files([photo((400, 300))])
        await expect(sheet.locator(".thumb")).to_have_count(1)
        await sheet.locator("#add-note").click()
        await expect(page.locator("#toasts")).to_contain_text("Added to the report PG-")
        await page.locator("#own .item").first.click()
        await expect(page.locator("dialog.sheet .added")).to_contain_text("still there")
        shown = page.locator("dialog.sheet .added img")
        await expect(shown).to_have_js_property("complete", True)
        assert await shown.evaluate("picture => picture.naturalWidth") == 400


async def test_what_the_server_refuses_stays_with_the_reason(browser: Browser, place: Place, pool: Pool) -> None:
    async with phone(browser, place) as page:
        await fill_in(page, "被拒绝", with_photo=False)
        error = {"code": "wrong_value", "zh": "类别已停用", "en": "The kind is no longer used"}
        place.fault.refusal = {"error": error}
        await page.click("#send")
        refused = page.locator("#waiting article[data-state=refused]")
        await expect(refused).to_contain_text("类别已停用")
        place.fault.refusal = None
        await refused.locator("button").first.click()
        await expect(page.locator("#own .item")).to_have_count(1)
        assert await counts(pool) == (1, 1, 0)


async def test_a_log_in_that_has_ended_loses_nothing(browser: Browser, place: Place, pool: Pool) -> None:
    async with phone(browser, place) as page:
        async with pool.connection() as conn:
            await conn.execute(
                "UPDATE sessions SET expires = now() FROM accounts a WHERE a.id = account AND a.name = %s", (NAME,)
            )
        await fill_in(page, "登录失效", with_photo=False)
        await page.click("#send")
        await expect(page.locator(".note.warn a")).to_have_attribute("href", "/login")
        await expect(page.locator("#waiting article")).to_have_count(1)
        await page.click(".note.warn a")
        await page.fill("[name=name]", NAME)
        await page.fill("[name=password]", PASSWORD)
        await page.click("button[type=submit]")
        await expect(page).to_have_url(f"{place.address}/report")
        await page.click("#tab-own")
        await expect(page.locator("#own .item")).to_have_count(1)
        assert await counts(pool) == (1, 1, 0)


async def test_what_is_sent_while_the_list_is_being_read_is_in_it(browser: Browser, place: Place, pool: Pool) -> None:
    async with phone(browser, place) as page:
        place.fault.late = asyncio.Event()
        async with page.expect_request("**/api/v1/reports"):
            await page.click("#tab-own")
        await page.click("#tab-new")
        await fill_in(page, "读列表时上报", with_photo=False)
        async with page.expect_response(lambda answer: answer.request.method == "POST" and answer.ok):
            await page.click("#send")
        await expect(page.locator(".toast")).to_be_visible()
        place.fault.late.set()
        # Well before the minute after which it is read in any case.
        await expect(page.locator("#own .item")).to_have_count(1, timeout=30_000)


async def test_the_place_by_map_or_typed_when_the_phone_gives_none(browser: Browser, place: Place) -> None:
    async with phone(browser, place) as page:
        await page.click("#place-type")
        await page.fill("dialog [name=lat]", "31.5")
        await page.fill("dialog [name=lon]", "118,9")
        await page.click("dialog button[type=submit]")
        await expect(page.locator("#where[data-how=typed]")).to_contain_text("118.90000°E 31.50000°N")
        await page.click("#place-on-map")
        await expect(page.locator("#place-map[aria-busy=false]")).to_be_visible()
        await page.locator("#place-map canvas").click(position={"x": 195, "y": 300})
        await page.click("#place-here")
        await expect(page.locator("#where[data-how=map]")).to_be_visible()
        assert "31.50000" not in (await page.locator("#where").text_content() or "")
        await page.context.clear_permissions()
        await page.click("#place-gps")
        await expect(page.locator("#where")).to_contain_text("没有定位权限")


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_everything_can_be_touched_and_nothing_overflows(browser: Browser, place: Place, scheme: str) -> None:
    async with phone(browser, place, color_scheme=scheme) as page:
        for language in ("zh-CN", "en"):
            await expect(page.locator("html")).to_have_attribute("lang", language)
            await fill_in(page, "long words about it " * 20)
            assert await page.evaluate(TOO_WIDE) == [] == await page.evaluate(TOO_SMALL)
            await page.click("#send")
            await expect(page.locator("#own .item").first).to_be_visible()
            assert await page.evaluate(TOO_WIDE) == [] == await page.evaluate(TOO_SMALL)
            await page.click("#tab-new")
            await page.click("#language")
