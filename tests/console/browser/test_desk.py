"""What the desk does beside the short way of a case: units called in, supervision, silences, owners, backtests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

from store.backtests import ask_backtest, end_backtest
from store.casebook import get_case, list_cases

pytestmark = pytest.mark.browser


async def act(page: Page, action: str) -> None:
    """Open an action's form, which the person then fills in."""
    await page.click(f"[data-action={action}]")


async def test_a_case_calls_units_and_is_supervised(ground: Any, open_page: Any) -> None:
    """Whistle with a task, an extension asked for and refused, an urging with its letter, all by clicking."""
    case_id = await ground.alert()
    desk = await open_page()
    page = desk.page
    await desk.log_in()
    await page.goto(f"{ground.address}/#/case/{case_id}")
    await desk.case_is("opened")
    await act(page, "whistle")
    await page.click("#action-send")  # nobody is chosen: the form says so and nothing is sent
    await expect(page.locator("#case-parts")).to_have_count(0)
    await page.check("input[name='units.police']")
    await page.fill("input[name='task.police']", "close the road")
    await page.fill("textarea[name=note]", "a crowd gathers")
    await page.click("#action-send")
    part = page.locator("#case-parts [data-unit=police]")
    await expect(part).to_have_attribute("data-stage", "called")
    await expect(part).to_contain_text("close the road")

    await act(page, "ask_extension")
    await page.select_option("select[name=until_span]", "2wd")
    await page.fill("textarea[name=note]", "the boat's owner is away")
    await page.click("#action-send")
    await expect(page.locator("#case-standing")).to_contain_text("Extension asked")
    await act(page, "refuse_extension")
    await page.fill("textarea[name=note]", "send somebody")
    await page.click("#action-send")
    await expect(page.locator("#case-standing")).to_have_count(0)

    await act(page, "urge")
    await page.fill("textarea[name=note]", "today, please")
    await page.click("#action-send")
    await expect(page.locator("#case-standing")).to_contain_text("Urged")
    await expect(page.locator("#case-letters a")).to_have_count(1)
    await act(page, "withdraw_part")
    await page.select_option("select[name=unit]", "police")
    await page.fill("textarea[name=note]", "no longer needed")
    await page.click("#action-send")
    await expect(part).to_have_attribute("data-stage", "withdrawn")
    async with ground.pool.connection() as conn:
        case = await get_case(conn, case_id)
    assert case is not None
    assert (case.supervision, case.extension_asked) == (1, None)
    assert desk.complaints == []


async def test_two_reports_become_one_case_and_two_again(ground: Any, open_page: Any) -> None:
    desk = await open_page()
    page = desk.page
    await desk.log_in()
    numbers = []
    for title in ("rubbish at the jetty", "rubbish by the boats"):
        made = await page.evaluate(
            """async (title) => (await (await fetch("/api/v1/cases", { method: "POST",
              headers: { "Content-Type": "application/json" },
              body: JSON.stringify({ category: "environment", title, lon: 118.88, lat: 31.47 }) })).json())""",
            title,
        )
        numbers.append((made["id"], made["number"]))
    (kept, kept_number), (merged, _) = numbers
    await page.goto(f"{ground.address}/#/case/{merged}")
    await expect(page.locator("#case-similar")).to_contain_text("rubbish at the jetty")
    await act(page, "merge")
    await page.check(f"#similar-choices input[value='{kept}']")
    await page.fill("textarea[name=note]", "the same heap")
    await page.click("#action-send")
    await desk.case_is("merged")
    await page.click("#case-standing a")
    await expect(page.locator(".case-head")).to_contain_text(kept_number)
    reporters = page.locator("#case-reporters")
    await expect(reporters).to_contain_text("Merged into this one")
    await page.evaluate(  # somebody else reports it, while the page is open
        """(same) => fetch("/api/v1/reports", { method: "POST",
          headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
          body: JSON.stringify({ category: "environment", note: "it smells", lon: 118.88, lat: 31.47,
            same_as: same }) })""",
        kept,
    )
    await expect(reporters).to_contain_text("it smells")
    await page.goto(f"{ground.address}/#/case/{merged}")
    await act(page, "split")
    await page.fill("textarea[name=note]", "two heaps after all")
    await page.click("#action-send")
    await desk.case_is("reported")
    assert desk.complaints == []


async def test_cases_are_filtered_and_nobodys_case_gets_an_owner(ground: Any, open_page: Any) -> None:
    await ground.alert()
    desk = await open_page()
    page = desk.page
    await desk.log_in()
    await page.evaluate(
        """() => fetch("/api/v1/cases", { method: "POST", headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ category: "dispute", title: "a fence", lon: 118.95, lat: 31.4 }) })"""
    )
    await page.click("#tabs [data-tab=cases]")
    cards = page.locator("#case-list .case-card")
    await expect(cards).to_have_count(2)
    await page.fill("#cases-panel input[type=search]", "fence")
    await expect(cards).to_have_count(1)
    await page.fill("#cases-panel input[type=search]", "")
    await expect(cards).to_have_count(2)
    await page.locator("#cases-panel .several summary").nth(2).click()
    await page.locator("#cases-panel .several").nth(2).locator("label", has_text="High").click()
    await page.keyboard.press("Escape")
    await expect(cards).to_have_count(1)
    await expect(cards).not_to_contain_text("a fence")

    await page.goto(f"{ground.address}/#/ownership")
    row = page.locator("#ownership-list > li", has_text="a fence")
    await row.locator("button.primary").click()
    await page.select_option("dialog select[name=unit]", "police")
    await page.check("dialog input[name='participants.police']")
    await page.fill("dialog textarea", "by the map of 1998")
    await page.click("#ask-send")  # one participant is no joint decision
    await expect(page.locator("dialog")).to_have_count(1)
    await page.fill("dialog input[name=participants_others]", "Street office")
    await page.click("#ask-send")
    await expect(row).to_have_count(0)
    async with ground.pool.connection() as conn:
        found, _ = await list_cases(conn, status=None, unit="police", areas=None, overdue=None, limit=5, before=None)
    assert [case.title.en for case in found] == ["a fence"]
    assert desk.complaints == []


async def test_alerts_are_picked_and_silenced(ground: Any, open_page: Any) -> None:
    await ground.alert()
    desk = await open_page()
    page = desk.page
    await desk.log_in()
    card = page.locator("#alert-list .alert-card")
    await card.locator(".card-open").click()
    await card.locator(".evidence .row button").first.click()
    await page.fill("dialog textarea", "a fishing match with a permit")
    await page.click("#ask-send")
    await expect(page.locator("#toasts")).to_contain_text("silent")
    await page.select_option("#alert-filter", "all")
    await expect(card).to_have_count(1)
    await page.click("#alert-pick")
    await page.click("#pick-bar button >> nth=0")
    await page.click("#pick-send")
    await expect(card).to_contain_text(f"Acknowledged by {ground.name}")
    await page.goto(f"{ground.address}/#/silences")
    rows = page.locator("#silence-list tbody tr")
    await expect(rows).to_contain_text("a fishing match with a permit")
    await rows.locator("button").click()
    await expect(page.locator("#silence-list")).to_contain_text("None")
    assert desk.complaints == []


def backtest_result(now: datetime) -> dict[str, Any]:
    """One alert kept, two added at one place, one gone where an added one stands, and one added that has no place."""

    def alert(step: float | None, zh: str, en: str) -> dict[str, Any]:
        lon, lat = (None, None) if step is None else (118.88 + step, 31.47)
        marks = [{"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [lon, 31.471]}}]
        return {
            "subject": "C1",
            "zone": "ban",
            "area": "320118100000",
            "score": 0.9,
            "first_seen": now.isoformat(),
            "last_seen": now.isoformat(),
            "lon": lon,
            "lat": lat,
            "sentence": {"zh": zh, "en": en},
            "evidence": {
                "geojson": {"type": "FeatureCollection", "features": marks if step is not None else []},
                "numbers": {"dwell_s": 320.0},
            },
        }

    return {
        "detector": "fishing_ban",
        "readings": 1200,
        "present": {"settings": {"dwell": 600}, "clear_after": 300.0},
        "proposed": {"settings": {"dwell": 300}, "clear_after": 300.0},
        "kept": [alert(0, "照旧", "As before")],
        "added": [
            alert(0.004, "多出一条", "One more"),
            alert(0.004, "又一条", "Another"),
            alert(None, "无处", "Nowhere"),
        ],
        "gone": [alert(0.004, "不再报", "No longer")],
        "counts": {"present": 2, "proposed": 4, "kept": 1, "added": 3, "gone": 1},
    }


async def asked_backtest(ground: Any, now: datetime, result: dict[str, Any]) -> int:
    async with ground.pool.connection() as conn:
        number: int = await ask_backtest(conn, "fishing_ban", {"dwell": "5m"}, now - timedelta(days=1), now, "chief")
        await end_backtest(conn, number, result=result)
    return number


async def rendered(page: Page, layer: str) -> list[dict[str, Any]]:
    """What the map shows of a layer, in order of its properties."""
    found: list[dict[str, Any]] = await page.evaluate("layer => window.patrolgrid.rendered(layer)", layer)
    return sorted(found, key=lambda mark: str(mark["properties"]))


def looks(marks: list[dict[str, Any]]) -> set[tuple[str, int, str, bool]]:
    """(side, slot, count, chosen) of each sign."""
    return {tuple(mark["properties"][name] for name in ("side", "slot", "count", "chosen")) for mark in marks}


async def test_a_backtest_is_seen_on_the_map(ground: Any, open_page: Any) -> None:
    """Where a live alert and its case stand as well: a sign for each side at each place, above everything else."""
    await ground.alert()
    now = datetime.now(UTC)
    number = await asked_backtest(ground, now, backtest_result(now))
    desk = await open_page(size=(1440, 900))
    page = desk.page
    await desk.log_in()
    await page.goto(f"{ground.address}/#/backtests")
    await expect(page.locator("#thresholds input[name=dwell]")).to_be_visible()
    await expect(page.locator("#thresholds label", has=page.locator("[name=dwell]"))).to_contain_text("with gear s")
    assert await rendered(page, "backtest-sign") == []
    await page.click(f"#backtest-list a[href='#/backtests/{number}']")
    rows = page.locator("#backtest-rows li")
    await expect(rows).to_have_count(3)
    await expect(rows.first).to_contain_text("One more")
    await expect(page.locator("#backtest-result")).to_contain_text("with gear: 600 → 300 s")

    async def signs(*wanted: tuple[str, int, str, bool]) -> list[dict[str, Any]]:
        async def there() -> list[dict[str, Any]]:
            marks = await rendered(page, "backtest-sign")
            return marks if looks(marks) == set(wanted) else []

        found: list[dict[str, Any]] = await desk.until(there, f"the signs {wanted}")
        return found

    unchosen = (("added", 0, "×2", False), ("gone", 1, "", False), ("kept", 0, "", False))
    marks = {mark["properties"]["side"]: mark for mark in await signs(*unchosen)}
    inks = {side: await sign_inks(desk, mark) for side, mark in marks.items()}
    assert inks == {"added": "+", "gone": "−", "kept": "="}

    await click_sign(page, marks["added"])
    chosen = page.locator("#backtest-rows li.chosen")
    await expect(chosen).to_contain_text("One more")
    await expect(chosen).to_contain_text("5 min")
    await signs(("added", 0, "×2", True), *unchosen[1:])
    (proof,) = await desk.until(lambda: rendered(page, "evidence-points"), "the evidence")
    marks = {mark["properties"]["side"]: mark for mark in await rendered(page, "backtest-sign")}
    assert abs(proof["x"] - marks["added"]["x"]) < 2
    assert proof["y"] < marks["added"]["y"]  # where the evidence is, not where the alert is
    await click_sign(page, marks["added"])  # the other alert of the same sign
    await expect(chosen).to_contain_text("Another")
    await click_sign(page, marks["gone"])
    await expect(chosen).to_contain_text("No longer")
    await signs(unchosen[0], ("gone", 1, "", True), *unchosen[2:])
    await page.click("#language")  # the same in other words
    await expect(chosen).to_contain_text("不再报")
    await page.click("[data-side=kept]")
    await expect(rows).to_contain_text("照旧")
    await signs(*unchosen)
    assert await rendered(page, "evidence-points") == []

    await rows.locator("button").click()
    await desk.until(lambda: rendered(page, "evidence-points"), "the evidence")
    await page.click(".back[href='#/']")

    async def gone() -> bool:
        return not await rendered(page, "backtest-sign") and not await rendered(page, "evidence-points")

    await desk.until(gone, "nothing of the backtest on the map")
    assert await rendered(page, "alert-ring") != []
    assert desk.complaints == []


async def click_sign(page: Page, mark: dict[str, Any]) -> None:
    box = await page.locator("#map").bounding_box()
    assert box is not None
    await page.mouse.click(box["x"] + mark["x"] + 26 * mark["properties"]["slot"], box["y"] + mark["y"])


async def sign_inks(desk: Any, mark: dict[str, Any]) -> str:
    """Which sign the pixels show: its bars have the colour of the halo around the signs, the page's darkest."""
    pixels = await desk.colours(mark["x"] + 26 * mark["properties"]["slot"], mark["y"], 12)
    dark = [sum(pixel) < 120 for pixel in pixels]
    row = [all(dark[12 * y + 2 : 12 * y + 10]) for y in range(12)]
    column = [all(dark[12 * y + x] for y in range(2, 10)) for x in range(12)]
    bars = sum(here and not before for before, here in zip([False, *row], row, strict=False))
    return {(1, True): "+", (1, False): "−", (2, False): "="}.get((bars, any(column)), f"{bars} bars")


async def test_a_backtest_without_alerts_says_so(ground: Any, open_page: Any) -> None:
    now = datetime.now(UTC)
    result = backtest_result(now) | {"kept": [], "added": [], "gone": []}
    result["counts"] = dict.fromkeys(result["counts"], 0)
    number = await asked_backtest(ground, now, result)
    desk = await open_page()
    await desk.log_in()
    await desk.page.goto(f"{ground.address}/#/backtests/{number}")
    await expect(desk.page.locator("#backtest-result")).to_contain_text("Neither would have raised an alert")
    assert desk.complaints == []


async def test_the_duty_matrix_is_read_checked_and_previewed(ground: Any, open_page: Any) -> None:
    desk = await open_page()
    page = desk.page
    await desk.log_in()
    await page.goto(f"{ground.address}/#/duties")
    rows = page.locator("#duty-table tbody tr")
    await expect(rows).to_have_count(2)
    await page.click("#duty-check")
    await expect(page.locator("#duty-answer .note")).to_be_visible()
    file = "kind,area,unit\nfire,320118000000,police\n".replace("kind", "category")
    await page.set_input_files("#duty-file", {"name": "duty.csv", "mimeType": "text/csv", "buffer": file.encode()})
    await expect(page.locator("#duty-preview")).to_contain_text("1 rows would be added, 0 changed, 2 removed")
    await page.check("#duty-preview input[type=checkbox]")
    await expect(page.locator("#duty-preview")).to_contain_text("1 rows would be added, 0 changed, 0 removed")
    await page.click("#duty-preview button:not(.primary)")
    await expect(rows).to_have_count(2)
    assert desk.complaints == []


async def test_a_viewer_is_offered_nothing_that_a_viewer_may_not(ground: Any, open_page: Any) -> None:
    case_id = await ground.alert()
    async with ground.pool.connection() as conn:
        await conn.execute(
            "INSERT INTO accounts (name, display, password_hash, role)"
            " SELECT 'looker', 'Looker', password_hash, 'viewer' FROM accounts WHERE name = %s ON CONFLICT DO NOTHING",
            (ground.name,),
        )
    desk = await open_page()
    page = desk.page
    await desk.log_in(name="looker")
    await page.click("#desk")
    await expect(page.locator(".desk-menu a")).to_have_text(["Duty matrix", "Assessment"])
    await expect(page.locator("#alert-pick")).to_have_count(0)
    await page.goto(f"{ground.address}/#/backtests")
    await expect(page.locator("#desk-panel")).not_to_be_visible()
    await page.goto(f"{ground.address}/#/case/{case_id}")
    await desk.case_is("opened")
    await expect(page.locator(".actions button")).to_have_count(0)
    assert desk.complaints == []
