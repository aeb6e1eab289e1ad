"""Held in quiet hours, gathered in a storm, and told to the desk when a contact does not work: in the real outbox."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from alerts.case import Actor
from alerts.contacts import contact_key
from alerts.duty import DutyMatrix
from alerts.notice import MOST_ATTEMPTS, Permanent, Temporary, both
from devices.site import CHINA, Site
from store.casebook import report_case
from store.contacts import contact_failures, save_contacts
from store.notices import enqueue_to_person, enqueue_to_unit
from store.outbox import due_notices, mark_failed, mark_sent

OPERATOR = Actor("zhang", "operator")
EMPTY = dict.fromkeys(("to", "address", "name", "severity", "kinds", "quiet", "digest"), "")
A, B = "json://127.0.0.1:9/a", "json://127.0.0.1:9/b"


async def lines(conn: AsyncConnection, *given: dict[str, str]) -> None:
    await save_contacts(conn, [{**EMPTY, **line} for line in given])


async def tell(conn: AsyncConnection, mark: str, to: str = "fishery", case: int | None = None) -> int:
    body = both((f"题{mark}", "文"), (f"title {mark}", "text"))
    return await enqueue_to_unit(conn, to, reason="r", body=body, dedupe=mark, case_id=case)


async def rows(conn: AsyncConnection, columns: str, where: str = "true") -> list[Any]:
    return await (await conn.execute(f"SELECT {columns} FROM notices WHERE {where} ORDER BY id")).fetchall()


async def later(conn: AsyncConnection, minutes: float) -> None:
    """Let time pass for the outbox."""
    await conn.execute(
        "UPDATE notices SET next_try = next_try - %(by)s, sent_at = sent_at - %(by)s, held_until = held_until - %(by)s",
        {"by": timedelta(minutes=minutes)},
    )


async def send_all(conn: AsyncConnection) -> list[Any]:
    """Send what is due until nothing is."""
    done = []
    while due := await due_notices(conn):
        for notice in due:
            await mark_sent(conn, notice)
        done += due
    return done


@pytest.fixture
async def case(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> Any:
    async def make(severity: Any = "low", category: str = "fishing") -> int:
        made = await report_case(
            conn,
            actor=OPERATOR,
            category=category,
            title="t",
            severity=severity,
            lon=118.88,
            lat=31.47,
            site=site,
            duty=duty,
        )
        await conn.execute("DELETE FROM notices")
        return made.id

    return make


def quiet_now() -> str:
    """Quiet hours in which the present lies."""
    now = datetime.now(CHINA)
    return f"{now - timedelta(hours=1):%H:%M}..{now + timedelta(hours=1):%H:%M}"


# ── Who hears of it ─────────────────────────────────────────────────────────────────────────────────────────────────
async def test_contacts_hear_by_severity_and_kind(conn: AsyncConnection, site: Site, case: Any) -> None:
    await lines(
        conn,
        {"to": "fishery", "address": A, "name": "群", "severity": "high"},
        {"to": "fishery", "address": "json://127.0.0.1:9/c", "kinds": "noise fishing"},
        {"to": "fishery", "kinds": "noise"},  # what remains of units.csv
    )
    low, high = await case("low"), await case("high")
    assert await tell(conn, "1", case=low) == 1
    assert await tell(conn, "2", case=high) == 2
    assert await tell(conn, "3") == 3, "what concerns no case is heard by all"
    found = await rows(conn, "via, severity, contact", "case_id IS NOT NULL")
    assert [(via, severity) for via, severity, _ in found] == [("json", "low"), ("群", "high"), ("json", "high")]
    assert {n.address for n in await due_notices(conn)} == {A, B, "json://127.0.0.1:9/c"}


async def test_people_hear_by_name_or_account_and_their_office_once(conn: AsyncConnection, site: Site) -> None:
    await lines(
        conn,
        {"to": "@wang", "address": "json://127.0.0.1:9/w"},
        {"to": "@王某", "address": "json://127.0.0.1:9/w"},
        {"to": "@李某", "address": A},
    )
    body = both(("题", "文"), ("t", "x"))

    async def hear(name: str, account: str, office: str, but: str | None = None) -> int:
        person = {"name": name, "name_en": "", "account": account, "office": office}
        return await enqueue_to_person(conn, person, reason="r", body=body, dedupe="step", case_id=None, but=but)

    assert await hear("王某", "wang", "") == 1, "the same address under both names"
    assert await hear("李某", "", "fishery") == 2, "his own is one of the office's"
    assert await hear("赵某", "", "fishery") == 0
    assert await hear("赵某", "", "fishery", "fishery") == 0
    assert [target for (target,) in await rows(conn, "target")] == ["@wang", "@李某", "fishery"]
    assert sorted(n.address for n in await due_notices(conn)) == [A, B, "json://127.0.0.1:9/w"]


# ── Quiet hours ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_what_comes_in_quiet_hours_waits_and_high_severity_does_not(
    conn: AsyncConnection, site: Site, case: Any
) -> None:
    await lines(conn, {"to": "fishery", "address": A, "quiet": quiet_now()}, {"to": "fishery", "severity": "high"})
    low, high = await case("low"), await case("high")
    await tell(conn, "low", case=low)
    await tell(conn, "high", case=high)
    assert [n.severity for n in await send_all(conn)] == ["high", "high"]
    ((held, attempts, next_try),) = await rows(conn, "held_until, attempts, next_try", "sent_at IS NULL")
    assert held == next_try and attempts == 0, "waiting is no attempt"
    assert timedelta(minutes=58) < held - datetime.now(CHINA) <= timedelta(minutes=60)
    await lines(conn, {"to": "fishery", "address": A})
    await later(conn, 61)
    (notice,) = await send_all(conn)
    assert notice.address == A and notice.held_until is not None


async def test_a_repeated_attempt_also_waits_for_the_end_of_the_quiet(conn: AsyncConnection, site: Site) -> None:
    await lines(conn, {"to": "@wang", "address": A})
    await tell(conn, "x", to="@wang")
    (notice,) = await due_notices(conn)
    await mark_failed(conn, notice, Temporary("busy"))
    await lines(conn, {"to": "@wang", "address": A, "quiet": quiet_now()})
    await later(conn, 1)
    assert await due_notices(conn) == []
    assert (await rows(conn, "held_until IS NOT NULL"))[0] == (True,)


# ── Storms ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def storm(conn: AsyncConnection, count: int, begin: int = 0, case: int | None = None) -> None:
    for n in range(begin, begin + count):
        await tell(conn, f"storm {n}", to="@wang", case=case)


async def test_a_storm_is_one_message_and_each_notice_says_in_which(conn: AsyncConnection, site: Site) -> None:
    await lines(conn, {"to": "@wang", "address": A, "digest": "5/10m", "name": "王某手机"})
    await storm(conn, 4)
    assert len(await send_all(conn)) == 4, "no storm yet"
    await storm(conn, 30, begin=4)
    assert await send_all(conn) == []
    await later(conn, 1)
    await storm(conn, 6, begin=34)
    (digest,) = await send_all(conn)
    assert digest.gathers and digest.address == A and digest.via == "王某手机"
    assert digest.body["title"]["zh"] == "36 条通知合并"
    assert "· 题storm 4\n" in digest.body["text"]["zh"] and "另有 6 条" in digest.body["text"]["zh"]
    members = await rows(conn, "id, sent_at IS NOT NULL, attempts", f"digest = {digest.id}")
    assert len(members) == 36 and {row[1:] for row in members} == {(True, 0)}
    await storm(conn, 3, begin=40)
    assert await send_all(conn) == [], "the storm goes on"
    await later(conn, 10)
    (last,) = await send_all(conn)
    assert last.body["title"]["en"] == "3 notices in one"
    await later(conn, 11)
    await storm(conn, 2, begin=43)
    assert [n.gathers for n in await send_all(conn)] == [False, False], "it is over"
    assert await rows(conn, "id", "sent_at IS NULL") == []


async def test_in_a_storm_high_severity_goes_at_once(conn: AsyncConnection, site: Site, case: Any) -> None:
    await lines(conn, {"to": "@wang", "address": A, "digest": "3/10m"})
    low, high = await case("low"), await case("high")
    await storm(conn, 10, case=low)
    await storm(conn, 1, begin=10, case=high)
    assert [n.case_id for n in await send_all(conn)] == [high]
    await storm(conn, 5, begin=11, case=high)
    assert await send_all(conn) == []
    await later(conn, 1.1)
    (digest,) = await send_all(conn)
    assert digest.severity == "high" and digest.body["title"]["en"] == "15 notices in one, 5 of high severity"


async def test_a_digest_that_is_tried_again_stays_what_it_was(conn: AsyncConnection, site: Site) -> None:
    await lines(conn, {"to": "@wang", "address": A, "digest": "1/10m"})
    await storm(conn, 3)
    assert await due_notices(conn) == []
    await later(conn, 1)
    (digest,) = await due_notices(conn)
    await mark_failed(conn, digest, Temporary("busy"))
    await storm(conn, 2, begin=3)
    await later(conn, 1)
    (again,) = await due_notices(conn)
    assert (again.id, again.attempts, again.body) == (digest.id, 2, digest.body)
    await mark_sent(conn, again)
    assert len(await rows(conn, "id", f"digest = {digest.id} AND sent_at IS NOT NULL")) == 3
    assert len(await rows(conn, "id", "sent_at IS NULL AND digest IS NOT NULL")) == 2, "those wait in the next"


async def test_a_digest_that_is_given_up_ends_what_it_gathered(conn: AsyncConnection, site: Site) -> None:
    await lines(conn, {"to": "@wang", "address": A, "digest": "1/10m"})
    await storm(conn, 3)
    await due_notices(conn)
    await later(conn, 1)
    (digest,) = await due_notices(conn)
    await mark_failed(conn, digest, Permanent("410 gone"))
    assert await rows(conn, "DISTINCT error, failed_at IS NOT NULL, 1 AS id", "NOT gathers") == [("410 gone", True, 1)]
    await later(conn, 1)
    assert await due_notices(conn) == []


async def test_an_address_of_two_units_has_one_pace(conn: AsyncConnection, site: Site) -> None:
    await lines(
        conn,
        {"to": "police", "address": A, "digest": "2/10m"},
        {"to": "centre", "address": A, "digest": "2/10m"},
    )
    for n in range(2):
        await tell(conn, f"{n}", to="police")
        await tell(conn, f"{n + 2}", to="centre")
    assert await send_all(conn) == []
    await later(conn, 1)
    (digest,) = await send_all(conn)
    assert digest.body["title"]["en"] == "4 notices in one"


# ── Contacts that do not work ───────────────────────────────────────────────────────────────────────────────────────
async def test_the_desk_is_told_once_of_a_contact_that_does_not_work(conn: AsyncConnection, site: Site) -> None:
    await lines(
        conn,
        {"to": "@wang", "address": A, "name": "王某手机"},
        {"to": "@desk", "address": B},
        {"to": "@desk", "address": A},
    )

    async def fail(mark: str, error: Exception) -> None:
        await tell(conn, mark, to="@wang")
        notice = next(n for n in await due_notices(conn) if n.target == "@wang")
        await mark_failed(conn, notice, error)  # type: ignore[arg-type]

    await fail("1", Permanent("401 unauthorised"))
    await fail("2", Permanent("410 gone"))
    told = await rows(conn, "contact, severity, body #>> '{text,en}'", "target = '@desk'")
    assert [(contact, severity) for contact, severity, _ in told] == [(contact_key(B), "medium")], "not by itself"
    assert "401 unauthorised" in told[0][2] and "127.0.0.1" not in str(told)
    failure = (await contact_failures(conn))[contact_key(A)]
    assert (failure.times, failure.error, failure.via) == (2, "410 gone", "王某手机")
    await tell(conn, "3", to="@wang")
    for notice in await due_notices(conn):
        await mark_sent(conn, notice)
    assert await contact_failures(conn) == {}
    await fail("4", Permanent("403"))
    assert len(await rows(conn, "id", "target = '@desk'")) == 2, "told anew after it worked again"


async def test_attempts_that_have_an_end_are_a_failure_of_the_contact_too(conn: AsyncConnection, site: Site) -> None:
    await lines(conn, {"to": "@wang", "address": A})
    await tell(conn, "x", to="@wang")
    for _ in range(MOST_ATTEMPTS):
        await conn.execute("UPDATE notices SET next_try = now() - interval '1 second'")
        assert len(await due_notices(conn)) == 1, "the senders die"
    await conn.execute("UPDATE notices SET next_try = now() - interval '1 second'")
    assert await due_notices(conn) == []
    assert list(await contact_failures(conn)) == [contact_key(A)]
