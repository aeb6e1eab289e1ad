"""What people do at the desk, in a real Chromium on the real server, TimescaleDB, broker and ingest."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Route, expect

from alerts.case import Actor
from store.accounts import create_account
from store.casebook import act, get_case, list_cases

pytestmark = pytest.mark.browser

STEP = 0.0004  # degrees of longitude, about 38 m: a walk of half a minute
ROLE_PATROL = (0x58, 0xD6, 0x8D)  # --role-patrol of the dark theme in tokens.css


def near(colour: list[int], wanted: tuple[int, int, int]) -> bool:
    return all(abs(a - b) <= 12 for a, b in zip(colour, wanted, strict=True))


async def test_from_log_in_to_a_closed_case(ground: Any, open_page: Any) -> None:
    """Log in, see a terminal walk, see an alert arrive, take its case to closed, change the language. No complaints."""
    desk = await open_page()
    page = desk.page
    lon, lat = ground.place
    await desk.log_in()
    await page.evaluate("() => { window.sameDocument = true; }")

    # A terminal appears where it says it is ...
    begun = time.time() - 20
    await ground.fix("T1", lon, lat, begun)
    at = await desk.until(lambda: desk.shown("T1"), "T1 on the map")
    assert (at["lon"], at["lat"]) == (lon, lat)

    async def painted() -> bool:
        pixel = (await desk.shown("T1") or at)["pixel"]
        return any(near(colour, ROLE_PATROL) for colour in await desk.colours(pixel["x"], pixel["y"]))

    await desk.until(painted, "T1 painted in its role's colour at its place")

    # ... and walks on, never ahead of its newest fix.
    await page.evaluate(
        """() => {
          window.seen = [];
          const look = () => { const now = window.patrolgrid.terminal("T1"); window.seen.push([now.lon, now.fix[0]]);
            requestAnimationFrame(look); };
          requestAnimationFrame(look);
        }"""
    )
    await ground.fix("T1", lon + STEP, lat, begun + 15)

    async def arrived() -> bool:
        return bool(abs((await desk.shown("T1") or at)["lon"] - lon - STEP) < 1e-9)

    await desk.until(arrived, "T1 at its second fix")
    seen = await page.evaluate("() => window.seen")
    assert all(shown <= newest + 1e-12 for shown, newest in seen), "the marker ran ahead of the newest fix"
    assert any(lon < shown < lon + STEP for shown, _ in seen), "the marker jumped instead of walking"
    await expect(page.locator("#status-terminals")).to_contain_text("1live")
    await desk.until(painted, "T1 painted at its new place")

    # An alert arrives by itself and leads to its case.
    await expect(page.locator("#alert-list .alert-card")).to_have_count(0)
    case_id = await ground.alert()
    card = page.locator("#alert-list .alert-card")
    await expect(card).to_contain_text("Angling on the north shore")
    await expect(page.locator("#status-alerts")).to_contain_text("1open alerts")
    await card.locator(".acknowledge").click()
    await expect(card).to_contain_text(f"Acknowledged by {ground.name}")
    await card.locator(".card-open").click()
    await expect(card.locator(".evidence")).to_contain_text("10 min")
    await card.locator(".case-link").click()
    await desk.case_is("opened")

    # Its whole chain, by clicking.
    await page.click("[data-action=dispatch]")
    await expect(page.locator("#candidates li", has_text="Terminal T1")).to_contain_text("Fit")
    await page.check("input[name=terminal][value=T1]")
    await page.click("#action-send")
    await desk.case_is("dispatched")
    await page.click("[data-action=accept]")
    await page.click("#action-send")
    await desk.case_is("handling")
    for action, name, text, status in (
        ("feedback", "note", "两人已劝离，鱼竿已收", "fed_back"),
        ("verify", "note", "村里回访，岸边已无人", "verified"),
        ("close", "outcome", "劝离", "closed"),
    ):
        await page.click(f"[data-action={action}]")
        await page.fill(f"textarea[name={name}]", text)
        await page.click("#action-send")
        await desk.case_is(status)
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
    assert desk.complaints == []


async def test_a_press_outlasts_what_others_write(ground: Any, open_page: Any) -> None:
    """What comes in between press and release does not take the button away from under the pointer."""
    case_id = await ground.alert()
    desk = await open_page()
    page = desk.page
    await desk.log_in()
    await page.goto(f"{ground.address}/#/case/{case_id}")
    await page.click("[data-action=note]")
    await page.fill("textarea[name=note]", "from the shore")
    button = await page.locator("#action-send").bounding_box()
    assert button is not None
    await page.mouse.move(button["x"] + button["width"] / 2, button["y"] + button["height"] / 2)
    async with page.expect_response(f"**/cases/{case_id}"):
        await page.mouse.down()
        async with ground.pool.connection() as conn:
            case = await get_case(conn, case_id)
            assert case is not None
            words = {"note": "from the other desk", "version": case.version, "data": {}}
            await act(conn, case_id, "note", Actor("rival", "admin"), **words)
    await page.evaluate("() => new Promise((done) => setTimeout(done, 300))")  # as long as a slow finger rests
    await expect(page.locator(".story")).not_to_contain_text("from the other desk")
    await page.mouse.up()
    await expect(page.locator(".story")).to_contain_text("from the shore")
    await expect(page.locator(".story")).to_contain_text("from the other desk")
    assert desk.complaints == []


@pytest.mark.parametrize("action", ["void", "note"])  # a note does not change the version
async def test_an_answer_that_was_overtaken_is_not_shown(ground: Any, open_page: Any, action: str) -> None:
    """A reading of the case from before a step that is answered after it does not bring the old state back."""
    case_id = await ground.alert()
    desk = await open_page()
    page = desk.page
    await desk.log_in()
    await page.goto(f"{ground.address}/#/case/{case_id}")
    await desk.case_is("opened")
    held: list[tuple[Route, Any]] = []

    async def hold(route: Route) -> None:
        held.append((route, await route.fetch()))

    async def step(action: str, note: str) -> None:
        async with ground.pool.connection() as conn:
            case = await get_case(conn, case_id)
            assert case is not None
            await act(conn, case_id, action, Actor("rival", "admin"), note=note, version=case.version, data={})

    async def asked() -> bool:
        return bool(held)

    await page.route(f"**/cases/{case_id}", hold, times=1)
    await step("note", "a first word")  # the page reads the case anew, and the answer is slow
    await desk.until(asked, "the case read anew")
    await step(action, "a last word")
    await expect(page.locator(".story")).to_contain_text("a last word")
    ((slow, answer),) = held
    await slow.fulfill(response=answer)
    await page.evaluate("() => new Promise((done) => setTimeout(done, 300))")
    await expect(page.locator(".story")).to_contain_text("a last word")
    await desk.case_is("void" if action == "void" else "opened")
    assert desk.complaints == []


async def test_a_one_time_password_is_changed_first(ground: Any, open_page: Any) -> None:
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
    assert desk.complaints == []


async def test_a_wrong_password_is_said_in_words(ground: Any, open_page: Any) -> None:
    desk = await open_page("zh-CN")
    await desk.page.fill("[name=name]", ground.name)
    await desk.page.fill("[name=password]", "wrong")
    await desk.page.click("button[type=submit]")
    await expect(desk.page.locator("#problem")).to_contain_text("密码")
    await desk.page.click("#language")
    await expect(desk.page.locator("button[type=submit]")).to_have_text("Log in")


async def test_a_refused_message_can_be_read_and_sent_again(ground: Any, open_page: Any) -> None:
    desk = await open_page()
    page = desk.page
    await desk.log_in()
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
    assert desk.complaints == []


async def test_somebody_was_faster(ground: Any, open_page: Any) -> None:
    """A stale action is refused by the server; the person reads why, and sees the case as it is now."""
    case_id = await ground.alert()
    desk = await open_page()
    page = desk.page
    await desk.log_in()
    await page.goto(f"{ground.address}/#/case/{case_id}")
    await desk.case_is("opened")

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
    await desk.case_is("void")
    assert [found for found in desk.complaints if "409" not in found] == []


async def test_a_lost_stream_is_said_and_made_good(ground: Any, open_page: Any) -> None:
    desk = await open_page()
    page = desk.page
    async with ground.console() as address:
        port = urlsplit(address).port or 0
        desk.home = address
        await page.goto(f"{address}/login")
        await desk.log_in()
    await expect(page.locator("#status-link[data-look=bad]")).to_contain_text("Cut off")
    await page.set_viewport_size({"width": 390, "height": 844})  # the longest words in the strip
    assert await page.evaluate("() => document.querySelector('.strip').scrollWidth <= innerWidth")
    assert await page.evaluate("() => document.querySelector('main').getBoundingClientRect().right <= innerWidth")
    await page.set_viewport_size({"width": 1280, "height": 800})
    await ground.alert(en="Missed while cut off")
    async with ground.console(port):
        await expect(page.locator("#alert-list")).to_contain_text("Missed while cut off")
        await expect(page.locator("#status-link[data-look=good]")).to_be_attached()
        await page.goto("about:blank")


async def test_a_look_at_a_track_is_said_and_recorded(ground: Any, open_page: Any) -> None:
    lon, lat = ground.place
    now = time.time()
    for ago, step in ((1200, 0), (1140, 1), (30, 4), (5, 5)):
        await ground.fix("T2", lon + step * STEP, lat, now - ago)
    desk = await open_page()
    page = desk.page
    await desk.log_in()
    await desk.until(lambda: desk.shown("T2"), "T2 on the map")
    await page.fill("#find input", "terminal t2")
    await page.keyboard.press("Enter")
    detail = page.locator("#detail")
    await expect(detail).to_contain_text("Each look at a track is recorded")
    for fact in ("Terminal T2", "Police", "4.7 km/h", "±6 m", "77 %"):
        await expect(detail).to_contain_text(fact)
    await page.click("#track")
    await expect(detail).to_contain_text("4 fixes")
    async with ground.pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT a.name, d.code FROM looks l JOIN accounts a ON a.id = l.account JOIN devices d ON d.id = l.device"
        )
        assert await cursor.fetchall() == [(ground.name, "T2")]
    assert desk.complaints == []


async def test_a_case_is_reported_from_the_map(ground: Any, open_page: Any) -> None:
    desk = await open_page("zh-CN")
    page = desk.page
    await desk.log_in()
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
    await desk.case_is("reported")
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
    assert desk.complaints == []
