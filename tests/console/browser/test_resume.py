"""A log-in that ends while somebody writes: after the next one they are where they were, with what they had begun."""

from __future__ import annotations

from typing import Any

from playwright.async_api import expect

WORDS = "两人已收竿离开，正在登记"


async def test_what_was_begun_is_there_after_the_next_log_in(ground: Any, open_page: Any) -> None:
    case_id = await ground.alert()
    desk = await open_page()
    page = desk.page
    await desk.log_in()
    await page.goto(f"{ground.address}/#/case/{case_id}")
    await page.click(".actions [data-action=note]")
    await page.fill("#action-form [name=note]", WORDS)
    async with ground.pool.connection() as conn:
        await conn.execute("DELETE FROM sessions")
    await page.wait_for_url("**/login")
    await desk.log_in()
    await expect(page).to_have_url(f"{ground.address}/#/case/{case_id}")
    await expect(page.locator("#action-form [name=note]")).to_have_value(WORDS)
    await page.click("#action-send")
    await expect(page.locator(".story li").first).to_contain_text(WORDS)
    assert not [said for said in desk.complaints if "401" not in said], "that the log-in has ended is no fault"
    await page.reload()
    await desk.case_is("opened")
    await expect(page.locator("#action-form")).to_have_count(0)


async def test_nobody_else_gets_it(ground: Any, open_page: Any) -> None:
    case_id = await ground.alert()
    async with ground.pool.connection() as conn:
        await conn.execute(
            "INSERT INTO accounts (name, display, password_hash, role)"
            " SELECT 'second', 'Second', password_hash, 'operator' FROM accounts WHERE name = %s",
            (ground.name,),
        )
    desk = await open_page()
    page = desk.page
    await desk.log_in()
    await page.goto(f"{ground.address}/#/case/{case_id}")
    await page.click(".actions [data-action=note]")
    await page.fill("#action-form [name=note]", WORDS)
    async with ground.pool.connection() as conn:
        await conn.execute("DELETE FROM sessions")
    await page.wait_for_url("**/login")
    await desk.log_in(name="second")
    await expect(page).to_have_url(f"{ground.address}/")
    await page.goto(f"{ground.address}/#/case/{case_id}")
    await desk.case_is("opened")
    await expect(page.locator("#action-form")).to_have_count(0)
