"""The outbox: leased once, sent at least once, tried again with pauses, given up with the reason."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg import AsyncConnection

from alerts.case import Actor
from alerts.duty import DutyMatrix
from alerts.notice import MOST_ATTEMPTS, Notice, Permanent, Temporary, contact_key
from devices.site import Site
from store.casebook import act, case_notices, record_command_ack, report_case
from store.database import open_pool
from store.notices import enqueue, enqueue_to_unit
from store.outbox import due_notices, mark_failed, mark_sent

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
OPERATOR = Actor("zhang", "operator")
BODY = {"title": {"zh": "题", "en": "t"}, "text": {"zh": "文", "en": "x"}}


async def put(conn: AsyncConnection, dedupe: str = "d", **more: Any) -> int | None:
    given: dict[str, Any] = {"channel": "apprise", "target": "fishery", "reason": "r", "body": BODY, **more}
    return await enqueue(conn, dedupe=dedupe, **given)


async def due_again(conn: AsyncConnection) -> None:
    """Let every pause and lease be over."""
    await conn.execute("UPDATE notices SET next_try = now() - interval '1 second'")


async def row(conn: AsyncConnection, notice: int, column: str) -> Any:
    cursor = await conn.execute(f"SELECT {column} FROM notices WHERE id = %s", (notice,))
    found = await cursor.fetchone()
    assert found is not None
    return found[0]


async def test_one_notice_per_reason(conn: AsyncConnection, site: Site) -> None:
    first = await put(conn)
    assert first is not None
    assert await put(conn) is None
    assert await put(conn, "other") is not None


async def test_a_unit_gets_one_notice_per_contact_and_the_address_is_found_when_it_is_sent(
    conn: AsyncConnection, site: Site
) -> None:
    async def tell(unit: str) -> int:
        return await enqueue_to_unit(conn, unit, reason="r", body=BODY, dedupe="u", case_id=None)

    assert await tell("fishery") == 2
    assert await tell("fishery") == 0
    assert await tell("police") == 0, "it has no contacts"
    assert sorted(n.address for n in await due_notices(conn)) == ["json://127.0.0.1:9/a", "json://127.0.0.1:9/b"]
    cursor = await conn.execute("SELECT notices::text FROM notices")
    assert "127.0.0.1" not in str(await cursor.fetchall())


async def test_a_contact_that_was_taken_out_has_no_address(conn: AsyncConnection, site: Site) -> None:
    await put(conn, contact=contact_key("json://127.0.0.1:9/a"))
    await put(conn, "gone", contact=contact_key("json://127.0.0.1:9/z"))
    assert [n.address for n in await due_notices(conn)] == ["json://127.0.0.1:9/a", ""]


async def test_senders_at_once_get_each_notice_once(database_url: str, conn: AsyncConnection, site: Site) -> None:
    for n in range(40):
        await put(conn, f"d{n}")
    async with open_pool(database_url, min_size=8, max_size=8) as pool:

        async def lease() -> list[Notice]:
            async with pool.connection() as own:
                return await due_notices(own, 7)

        leased = await asyncio.gather(*(lease() for _ in range(8)))
    ids = [n.id for notices in leased for n in notices]
    assert len(ids) == len(set(ids)) == 40
    assert await due_notices(conn) == []


async def test_a_sender_that_died_is_followed_by_another_after_the_lease(conn: AsyncConnection, site: Site) -> None:
    notice = await put(conn)
    (first,) = await due_notices(conn, lease=0.3)
    assert (first.id, first.attempts) == (notice, 1)
    assert await due_notices(conn) == []
    await asyncio.sleep(0.35)
    (second,) = await due_notices(conn)
    assert (second.id, second.attempts) == (notice, 2)
    await mark_failed(conn, first, Temporary("late"))  # the first was only slow: the second has it now
    assert await row(conn, first.id, "error") == ""
    await mark_sent(conn, first)
    assert await row(conn, first.id, "sent_at") is not None
    await due_again(conn)
    assert await due_notices(conn) == []


async def test_a_temporary_failure_waits_and_a_permanent_one_ends(conn: AsyncConnection, site: Site) -> None:
    for dedupe in ("a", "b"):
        await put(conn, dedupe)
    passing, final = await due_notices(conn)
    await mark_failed(conn, passing, Temporary("busy"))
    await mark_failed(conn, final, Permanent("no such address"))
    assert await row(conn, passing.id, "failed_at") is None
    wait = (await row(conn, passing.id, "next_try") - await row(conn, passing.id, "now()")).total_seconds()
    assert 2.0 < wait <= 5.0
    assert await row(conn, final.id, "failed_at") is not None
    assert await row(conn, final.id, "error") == "no such address"
    await due_again(conn)
    assert [n.id for n in await due_notices(conn)] == [passing.id]


async def test_attempts_have_an_end_also_when_senders_die(conn: AsyncConnection, site: Site) -> None:
    told, silent = await put(conn, "told"), await put(conn, "silent")
    assert told is not None and silent is not None
    for _ in range(MOST_ATTEMPTS):
        await due_again(conn)
        for notice in await due_notices(conn):
            if notice.id == told:
                await mark_failed(conn, notice, Temporary("busy"))
    await due_again(conn)
    assert await due_notices(conn) == []
    assert await row(conn, told, "failed_at") is not None and await row(conn, told, "error") == "busy"
    assert await row(conn, silent, "failed_at") is not None
    assert f"{MOST_ATTEMPTS} times" in await row(conn, silent, "error")


@pytest.fixture
async def ordered(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> int:
    """The id of a case for which T1 was ordered out; the notices to its unit are sent."""
    case = await report_case(
        conn,
        actor=OPERATOR,
        category="fishing",
        title="t",
        severity="low",
        lon=118.88,
        lat=31.47,
        site=site,
        duty=duty,
        now=NOW,
    )
    await act(conn, case.id, "open", OPERATOR, now=NOW)
    await act(conn, case.id, "dispatch", OPERATOR, data={"terminal": "T1"}, now=NOW)
    await conn.execute("UPDATE notices SET sent_at = now() WHERE channel = 'apprise'")
    return case.id


async def test_a_command_goes_to_the_terminals_own_topic(conn: AsyncConnection, ordered: int) -> None:
    (notice,) = await due_notices(conn)
    assert (notice.channel, notice.target, notice.address) == ("terminal", "T1", "320118100000/T1")


@pytest.mark.parametrize("what", ["void", "other"])
async def test_a_command_that_is_no_longer_needed_is_not_sent(conn: AsyncConnection, ordered: int, what: str) -> None:
    if what == "void":
        await act(conn, ordered, "void", OPERATOR, note="误报", now=NOW)
    else:
        await act(conn, ordered, "dispatch", OPERATOR, data={"terminal": "T2"}, now=NOW)
    targets = [n.target for n in await due_notices(conn) if n.channel == "terminal"]
    assert targets == ([] if what == "void" else ["T2"])
    notice = next(n for n in await case_notices(conn, ordered) if n.target == "T1")
    assert notice.failed_at is not None and "no longer needs" in notice.error


async def test_an_answer_that_is_quicker_than_the_sender_counts_as_sent(conn: AsyncConnection, ordered: int) -> None:
    from devices.readings import CommandAck
    from devices.site import micros

    (notice,) = await due_notices(conn)
    await record_command_ack(conn, CommandAck("T1", micros(NOW), micros(NOW), str(notice.id), True), NOW)
    await mark_sent(conn, notice)
    await due_again(conn)
    assert [n for n in await due_notices(conn) if n.channel == "terminal"] == []


async def test_a_command_is_leased_for_a_shorter_time_than_a_message(conn: AsyncConnection, ordered: int) -> None:
    await put(conn)
    leased = {n.channel: n.id for n in await due_notices(conn)}
    until = {channel: await row(conn, notice, "next_try - now()") for channel, notice in leased.items()}
    assert 10 < until["terminal"].total_seconds() <= 15 < 100 < until["apprise"].total_seconds() <= 120
