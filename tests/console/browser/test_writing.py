"""What somebody writes into the form of a step stays, with its caret, whatever happens to the case meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from alerts.case import Actor
from store.casebook import act

pytestmark = pytest.mark.browser
TASK = "input[name='task.police']"


@dataclass
class Writer:
    """The page of a case, and a rival who acts on it too."""

    ground: Any
    desk: Any
    case_id: int

    @property
    def page(self) -> Page:
        page: Page = self.desk.page
        return page

    async def begin(self) -> None:
        """Half a task for the police."""
        await self.page.click("[data-action=whistle]")
        await self.page.check("input[name='units.police']")
        await self.page.click(TASK)
        await self.page.keyboard.type("half a ")

    async def interrupt(self) -> None:
        """The rival writes a note."""
        async with self.ground.pool.connection() as conn:
            await act(conn, self.case_id, "note", Actor("rival", "admin"), note="meanwhile")


@pytest.fixture
async def writer(ground: Any, open_page: Any) -> Writer:
    case_id = await ground.alert()
    desk = await open_page()
    await desk.log_in()
    await desk.page.goto(f"{ground.address}/#/case/{case_id}")
    return Writer(ground, desk, case_id)


async def test_what_is_begun_stays_while_somebody_looks_elsewhere(writer: Writer) -> None:
    await writer.begin()
    await writer.page.locator("h2").first.click()
    await writer.interrupt()
    await expect(writer.page.locator(".story")).to_contain_text("meanwhile")
    await expect(writer.page.locator("input[name='units.police']")).to_be_checked()
    await expect(writer.page.locator(TASK)).to_have_value("half a ")


async def test_nobody_is_interrupted_and_the_case_as_it_is_now_is_acted_on(writer: Writer) -> None:
    page = writer.page
    await writer.begin()
    await writer.interrupt()
    await expect(page.locator(".story")).to_contain_text("meanwhile")
    await page.keyboard.type("sentence")
    await expect(page.locator(TASK)).to_have_value("half a sentence")
    await page.fill("textarea[name=note]", "a crowd gathers")
    await page.click("#action-send")
    await expect(page.locator("#case-parts [data-unit=police]")).to_contain_text("half a sentence")
    assert writer.desk.complaints == []


async def test_a_late_answer_leaves_what_was_begun_meanwhile(writer: Writer) -> None:
    page = writer.page
    held: list[tuple[Route, Any]] = []

    async def hold(route: Route) -> None:
        held.append((route, await route.fetch()))

    async def taken() -> bool:
        return bool(held)

    await page.route("**/actions", hold, times=1)
    await page.click("[data-action=note]")
    await page.fill("textarea[name=note]", "on a slow line")
    await page.click("#action-send")
    await writer.desk.until(taken, "the note written")
    await writer.begin()
    ((slow, answer),) = held
    await slow.fulfill(response=answer)
    await expect(page.locator("#toasts")).to_contain_text("Note")
    await page.keyboard.type("sentence")
    await page.locator("h2").first.click()
    await writer.interrupt()
    await expect(page.locator(".story")).to_contain_text("meanwhile")
    await expect(page.locator(TASK)).to_have_value("half a sentence")
    assert writer.desk.complaints == []


async def test_a_case_that_cannot_be_read_again_stays_and_says_so(writer: Writer) -> None:
    page = writer.page
    trouble = page.locator("#case-panel > .note.bad")

    async def refuse(route: Route) -> None:
        await route.fulfill(status=502, body="no upstream")

    await writer.begin()
    await page.route(f"**/cases/{writer.case_id}", refuse, times=1)
    await writer.interrupt()
    await expect(trouble).to_contain_text("502")
    await page.keyboard.type("sentence")
    await expect(page.locator(TASK)).to_have_value("half a sentence")
    await trouble.locator("button").click()
    await expect(page.locator(".story")).to_contain_text("meanwhile")
    await expect(trouble).to_have_count(0)
    await expect(page.locator(TASK)).to_have_value("half a sentence")
    assert [found for found in writer.desk.complaints if "502" not in found] == []
