"""Reminders, supervision and the queue of cases that are nobody's, on the real database and by its clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.case import Actor, Case, Refused
from alerts.categories import Categories, category_from
from alerts.duty import Duty, DutyMatrix
from alerts.duty_change import DutyBook
from alerts.letter import NoLetter, as_text, letter_of
from alerts.supervisors import Supervisor
from devices.site import CHINA, Site
from store.cases import act, get_case, report_case
from store.duties import list_duty_changes, load_book, load_places, save_book
from store.entries import case_entries
from store.notices import case_notices
from store.ownership import decide_owner, get_unclear, list_unclear
from store.supervision import Taken, remind_and_supervise

Pool = AsyncConnectionPool[AsyncConnection]
DISTRICT, LAKE, TOWN = "320118000000", "320118100000", "320118101000"
OPENED = datetime(2026, 11, 18, 15, 19, tzinfo=CHINA)  # a Wednesday
DESK = Actor("desk", "operator")
CHIEF = Actor("chief", "supervisor")
FISHERY = Actor("fisher", "unit", "fishery")
POLICE = Actor("officer", "unit", "police")
KINDS = (
    {"code": "fishing", "name": "违规垂钓", "name_en": "Angling", "low": "2wd"},
    {"code": "noise", "name": "噪声", "name_en": "Noise", "low": "2wd"},
    {"code": "smell", "name": "异味", "name_en": "Smell", "low": "2wd", "ownership": "1wh", "callback": "2wh"},
    {"code": "sos", "name": "求助", "name_en": "SOS", "high": "30m", "remind": "-", "supervise": "0h 30m"},
)
BOOK = DutyBook(
    (Duty("fishing", LAKE, "fishery"), Duty("sos", DISTRICT, "centre")),
    tuple(category_from(kind) for kind in KINDS),
    (
        Supervisor(LAKE, "", "赵某", "Zhao", office="police"),
        Supervisor(DISTRICT, "", "王某", "Wang", account="wang", office="centre"),
    ),
)


@pytest.fixture
async def ground(conn: AsyncConnection, site: Site) -> DutyMatrix:
    """The site's places as loaded ones, with kinds, duties and supervisors; its units all have a contact."""
    for table in ("areas", "units"):
        await conn.execute(f"UPDATE {table} SET position = 0".encode())
    await conn.execute("UPDATE units SET contacts = ARRAY['json://127.0.0.1:9/' || code]")
    async with conn.transaction():
        await save_book(conn, BOOK, actor="test", how="import", before=await load_book(conn))
    return BOOK.matrix()


Report = Callable[..., Any]


@pytest.fixture
def report(conn: AsyncConnection, site: Site, ground: DutyMatrix) -> Report:
    async def make(category: str = "fishing", **other: Any) -> Case:
        given = {"severity": "low", "lon": 118.88, "lat": 31.47, "now": OPENED, "title": "北岸有人垂钓", **other}
        return await report_case(conn, actor=DESK, category=category, site=site, duty=ground, **given)

    return make


async def steps(conn: AsyncConnection, case: Case) -> list[tuple[str, str]]:
    return [(e.action, f"{e.at.astimezone(CHINA):%m-%d %H:%M}") for e in await case_entries(conn, case.id)]


async def test_a_case_that_nobody_handles(conn: AsyncConnection, report: Report) -> None:
    case = await report()
    assert case.due_at == datetime(2026, 11, 20, 15, 19, tzinfo=CHINA)
    for minutes in range(0, 60 * 24 * 9, 30):
        await remind_and_supervise(conn, OPENED + timedelta(minutes=minutes))
    assert await steps(conn, case) == [
        ("report", "11-18 15:19"),
        ("remind", "11-19 15:19"),
        ("remind", "11-20 11:49"),
        ("overdue", "11-20 15:19"),
        ("urge", "11-20 15:19"),
        ("letter", "11-23 15:19"),
        ("second_letter", "11-25 15:19"),
    ]
    after = await get_case(conn, case.id)
    assert after is not None
    assert after.supervision == 3
    told = [(n.target, n.reason) for n in await case_notices(conn, case.id)]
    assert [target for target, _ in told] == [
        *("fishery", "fishery", "fishery"),  # reminded twice, told that it is overdue
        *("fishery", "police"),  # urged; the lake's supervisor has the police station's contacts
        *("fishery", "police"),
        *("fishery", "police", "centre"),  # a second letter goes one step up as well
    ]
    assert all("/" in reason for _, reason in told)
    row = await (await conn.execute("SELECT check_at FROM cases WHERE id = %s", (case.id,))).fetchone()
    assert row == (None,), "it is not looked at again before it changes"


async def test_many_workers_at_once_do_each_step_once(conn: AsyncConnection, pool: Pool, report: Report) -> None:
    cases = [await report() for _ in range(6)]

    async def look(now: datetime) -> list[Taken]:
        async with pool.connection() as own:
            return await remind_and_supervise(own, now)

    late = OPENED + timedelta(days=4)
    taken = [each for found in await asyncio.gather(*(look(late) for _ in range(6))) for each in found]
    assert len(taken) == 4 * len(cases)
    for case in cases:
        assert [a for a, _ in await steps(conn, case)] == ["report", "remind", "remind", "overdue", "urge"]
        told = [n.target for n in await case_notices(conn, case.id)]
        assert told == ["fishery", "fishery", "police"], "a reminder that comes too late is recorded, not sent"


async def test_by_hand_is_not_repeated_and_what_is_given_back_in_time_is_left_alone(
    conn: AsyncConnection, report: Report
) -> None:
    case, quick = await report(), await report()
    early = OPENED + timedelta(hours=1)
    await act(conn, case.id, "urge", CHIEF, note="领导关注", now=early)
    for action, actor in (("open", DESK), ("dispatch", DESK), ("accept", FISHERY), ("feedback", FISHERY)):
        await act(conn, quick.id, action, actor, note="已劝离", now=early)
    await act(conn, quick.id, "verify", DESK, note="满意", now=early)
    await act(conn, quick.id, "close", DESK, data={"outcome": "劝离"}, now=early)
    for hours in range(24 * 9):
        await remind_and_supervise(conn, OPENED + timedelta(hours=hours))
    done = [action for action, _ in await steps(conn, case)]
    assert done == ["report", "urge", "remind", "remind", "overdue", "letter", "second_letter"]
    assert [action for action, _ in await steps(conn, quick)][-1] == "close"


async def fed_back(conn: AsyncConnection, report: Report, category: str = "fishing") -> Case:
    """A case that its unit has fed back one hour after it was reported, on Wednesday at 16:19."""
    case, at = await report(category), OPENED + timedelta(hours=1)
    if case.unit is None:
        await act(conn, case.id, "assign", DESK, data={"unit": "fishery"}, now=at)
    for action, actor in (("open", DESK), ("dispatch", DESK), ("accept", FISHERY), ("feedback", FISHERY)):
        await act(conn, case.id, action, actor, note="已劝离", now=at)
    return case


async def test_what_is_fed_back_is_not_forgotten_before_it_is_closed(conn: AsyncConnection, report: Report) -> None:
    case = await fed_back(conn, report)
    for hours in range(2, 53):
        await remind_and_supervise(conn, OPENED + timedelta(hours=hours))
    verified = OPENED + timedelta(hours=53)
    await act(conn, case.id, "verify", DESK, note="满意", now=verified)
    for hours in range(53, 24 * 6):
        await remind_and_supervise(conn, OPENED + timedelta(hours=hours))
    await act(conn, case.id, "explain_overdue", DESK, note="回访人员休假", now=OPENED + timedelta(days=6))
    await act(conn, case.id, "close", DESK, data={"outcome": "劝离"}, now=OPENED + timedelta(days=6))
    for hours in range(24 * 6, 24 * 9):
        await remind_and_supervise(conn, OPENED + timedelta(hours=hours))
    # One working day for the call-back, then each working day; the same again for the close, over the weekend.
    assert (await steps(conn, case))[5:] == [
        ("callback_reminder", "11-19 16:19"),
        ("callback_reminder", "11-20 16:19"),
        ("verify", "11-20 20:19"),
        ("callback_reminder", "11-24 09:19"),
        ("explain_overdue", "11-24 15:19"),
        ("close", "11-24 15:19"),
    ]
    reminders = [e for e in await case_entries(conn, case.id) if e.action == "callback_reminder"]
    assert ["called back" in e.data["en"] or "verified and" in e.data["en"] for e in reminders] == [False, False, True]
    assert [e.data["named"][0]["name"] for e in reminders] == ["赵某"] * 3
    told = [n.target for n in await case_notices(conn, case.id) if "回访" in n.reason]
    assert told == ["police"] * 3, "the contacts of the lake's supervisor"


async def test_a_kind_says_how_long_the_desk_may_take(conn: AsyncConnection, report: Report) -> None:
    case, nobodys = await fed_back(conn, report, "smell"), await report("smell")
    for minutes in range(60, 60 * 19, 10):
        await remind_and_supervise(conn, OPENED + timedelta(minutes=minutes))
    assert (await steps(conn, nobodys))[-1] == ("ownership_reminder", "11-18 16:19"), "one working hour"
    assert (await steps(conn, case))[-1] == ("callback_reminder", "11-19 09:19"), "two, of which one is tomorrow's"


async def test_a_change_of_the_kinds_reaches_what_waits_for_the_call_back(
    conn: AsyncConnection, report: Report
) -> None:
    case = await fed_back(conn, report)
    await remind_and_supervise(conn, OPENED + timedelta(hours=2))
    soon = DutyBook(BOOK.duties, tuple(category_from({**kind, "callback": "30m"}) for kind in KINDS), BOOK.supervisors)
    async with conn.transaction():
        await save_book(conn, soon, actor="test", how="import", before=await load_book(conn))
    await remind_and_supervise(conn, OPENED + timedelta(hours=2))
    assert (await steps(conn, case))[-1] == ("callback_reminder", "11-18 17:19")


@pytest.mark.parametrize(
    ("given", "due", "reminded"),
    [
        ({}, "11-26 09:00", ["11-24 18:00", "11-25 14:24"]),
        ({"until": "4wh"}, "11-24 13:00", ["11-24 11:00", "11-24 12:12"]),
        ({"until": "2026-11-25T09:00:00+08:00"}, "11-25 09:00", ["11-24 13:30", "11-24 16:12"]),
    ],
)
async def test_a_reopened_case_gets_its_kinds_time_anew(
    conn: AsyncConnection, report: Report, given: dict[str, str], due: str, reminded: list[str]
) -> None:
    case = await fed_back(conn, report)
    await act(conn, case.id, "verify", DESK, note="满意", now=OPENED + timedelta(hours=2))
    await act(conn, case.id, "close", DESK, data={"outcome": "劝离"}, now=OPENED + timedelta(hours=2))
    monday = datetime(2026, 11, 23, 20, 0, tzinfo=CHINA)
    again = await act(conn, case.id, "reopen", CHIEF, note="又来了", data=given, now=monday)
    assert f"{again.due_at.astimezone(CHINA):%m-%d %H:%M}" == due, "two working days from Tuesday 09:00"
    entry = (await case_entries(conn, case.id))[-1]
    assert (entry.data["until"], entry.data.get("deadline_by")) == (
        given.get("until", "2wd"),
        None if given else "category",
    )
    for minutes in range(0, 60 * 24 * 3, 6):
        await remind_and_supervise(conn, monday + timedelta(minutes=minutes))
    assert [at for action, at in await steps(conn, case) if action == "remind"] == reminded


async def test_an_extension_begins_anew(conn: AsyncConnection, report: Report) -> None:
    case = await report()
    await remind_and_supervise(conn, OPENED + timedelta(days=1, hours=3))
    for action in ("open", "dispatch"):
        await act(conn, case.id, action, DESK, now=OPENED + timedelta(days=1, hours=4))
    asked = OPENED + timedelta(days=1, hours=5)
    until = "2026-11-30T15:19:00+08:00"
    await act(conn, case.id, "ask_extension", FISHERY, note="需要船只", data={"until": until}, now=asked)
    await act(conn, case.id, "grant_extension", CHIEF, now=asked)
    for hours in range(30, 24 * 13):
        await remind_and_supervise(conn, OPENED + timedelta(hours=hours))
    done = await steps(conn, case)
    assert [a for a, _ in done].count("remind") == 3, "one for the first deadline, two for the second"
    assert ("overdue", "11-30 15:19") in done
    assert ("urge", "11-30 15:19") in done


async def test_the_letter_says_what_was_known_and_never_changes(
    conn: AsyncConnection, report: Report, site: Site
) -> None:
    case = await report()
    for days in (1, 2, 3, 5, 6):
        await remind_and_supervise(conn, OPENED + timedelta(days=days, hours=1))
    entries = await case_entries(conn, case.id)
    (seq,) = [entry.seq for entry in entries if entry.action == "letter"]
    places, kinds = await load_places(conn), Categories(BOOK.categories)
    letter = letter_of(entries, seq, places, kinds)
    assert letter.number == f"{case.number}-D2"
    zh, en = as_text(letter, "zh"), as_text(letter, "en")
    for words in (
        "督办函",
        case.number,
        "渔政队：",
        "违规垂钓",
        "2026-11-20 15:19（2 个工作日）",
        "已逾期：3 天 1 小时",
    ):
        assert words in zh
    for words in ("Letter of supervision", "Fishery:", "Angling", "2026-11-20 15:19 (2 working days)", "3 d 1 h"):
        assert words in en
    assert "督办人：赵某" in zh
    assert "请于 2026-11-25 16:19 前办结" in zh
    assert "催办" in zh.split("此前办理情况")[1]
    await act(conn, case.id, "assign", DESK, data={"unit": "police"}, now=OPENED + timedelta(days=7))
    await act(conn, case.id, "explain_overdue", POLICE, note="刚接手", now=OPENED + timedelta(days=7))
    again = letter_of(await case_entries(conn, case.id), seq, places, kinds)
    assert again == letter
    with pytest.raises(NoLetter):
        letter_of(entries, 1, places, kinds)


async def test_a_letter_before_the_deadline_does_not_call_the_case_overdue(
    conn: AsyncConnection, report: Report, site: Site
) -> None:
    case = await report()
    await act(conn, case.id, "open", DESK, now=OPENED)
    await act(conn, case.id, "ask_extension", DESK, note="会商", data={"until": "1wd"}, now=OPENED)
    await act(conn, case.id, "grant_extension", CHIEF, now=OPENED)
    await act(conn, case.id, "urge", CHIEF, note="请快", now=OPENED + timedelta(hours=1))
    entries = await case_entries(conn, case.id)
    letter = letter_of(entries, entries[-1].seq, await load_places(conn), Categories(BOOK.categories))
    zh, en = as_text(letter, "zh"), as_text(letter, "en")
    assert "逾期" not in zh
    assert "overdue" not in en.lower()
    assert "请快" in zh
    assert "办结时限：2026-11-23 15:19\n" in zh, "two working days was the length of the first deadline"


async def test_where_nobody_is_named_the_supervisors_accounts_are(conn: AsyncConnection, report: Report) -> None:
    await conn.execute("DELETE FROM supervisors")
    await conn.execute(
        "INSERT INTO accounts (name, display, password_hash, role, area)"
        " SELECT name, name, '', 'supervisor', area FROM (VALUES ('all', NULL), ('lake', %s), ('gone', NULL))"
        " AS given (name, area)",
        (LAKE,),
    )
    await conn.execute("UPDATE accounts SET active = false WHERE name = 'gone'")
    lake, nowhere = await report(), await report("sos", lon=None, lat=None)
    await act(conn, nowhere.id, "assign", DESK, data={"unit": "centre"}, now=OPENED)
    for case in (lake, nowhere):
        await act(conn, case.id, "urge", CHIEF, note="x", now=OPENED)
    named = [(await case_entries(conn, case.id))[-1].data["named"] for case in (lake, nowhere)]
    assert [[person["account"] for person in people] for people in named] == [["lake"], ["all"]]
    await conn.execute("DELETE FROM accounts")


# ── Nobody's ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_queue_of_what_is_nobodys(
    conn: AsyncConnection, report: Report, site: Site, ground: DutyMatrix
) -> None:
    before = [await report(), await report()]
    for old in before:
        await act(conn, old.id, "assign", DESK, data={"unit": "fishery"}, now=OPENED)
    case = await report("noise", now=OPENED + timedelta(minutes=1))
    assert case.unit is None
    for action, data in (("open", {}), ("assign", {"unit": "police"}), ("dispatch", {})):
        await act(conn, case.id, action, DESK, data=data, now=OPENED + timedelta(minutes=2))
    await act(conn, case.id, "decline", POLICE, note="不属公安职责", now=OPENED + timedelta(minutes=3))
    found, more = await list_unclear(conn, site=site, duty=ground)
    assert ([each.case.id for each in found], more) == ([case.id], None)
    (queued,) = found
    (sent_back,) = queued.declined
    assert (sent_back.unit, sent_back.by, sent_back.why) == ("police", "officer", "不属公安职责")
    assert queued.since == OPENED + timedelta(minutes=3)
    assert queued.until == datetime(2026, 11, 19, 10, 22, tzinfo=CHINA), "four working hours"
    assert [s.unit for s in queued.suggestions] == ["fishery", "centre"], "who sent it back is not suggested"
    assert "500 米内办理过其他事件 2 件" in queued.suggestions[0].why[0].zh
    assert (await list_unclear(conn, site=site, duty=ground, areas=[TOWN])) == ([], None)
    assert await get_unclear(conn, before[0].id, site=site, duty=ground) is None


async def test_who_decides_is_reminded_until_it_is_decided(conn: AsyncConnection, report: Report) -> None:
    case = await report("noise")
    for hours in range(24 * 3):
        await remind_and_supervise(conn, OPENED + timedelta(hours=hours, minutes=1))
    # In time 4 working hours from Wednesday 15:19 end on Thursday 10:19; then once each working day.
    assert await steps(conn, case) == [
        ("report", "11-18 15:19"),
        ("ownership_reminder", "11-19 10:20"),
        ("ownership_reminder", "11-20 10:20"),
    ]
    assert [n.target for n in await case_notices(conn, case.id)] == ["police", "police"]


async def test_a_joint_decision_is_recorded_told_and_remembered(
    conn: AsyncConnection, report: Report, site: Site, ground: DutyMatrix
) -> None:
    case = await report("noise")
    decision = {"unit": "centre", "participants": ["police", "fishery", "街道办"], "reason": "属综合治理"}
    with pytest.raises(Refused, match="is neither the case's"):
        await decide_owner(conn, case.id, CHIEF, **decision, remember=TOWN)
    with pytest.raises(Refused, match="role"):
        await decide_owner(conn, case.id, DESK, **decision)
    assert (await get_case(conn, case.id) or case).unit is None, "a decision is taken whole or not at all"
    after = await decide_owner(conn, case.id, CHIEF, **decision, remember=DISTRICT, version=case.version, now=OPENED)
    assert after.unit == "centre"
    entries = await case_entries(conn, case.id)
    assert [e.action for e in entries] == ["report", "decide_owner", "note"]
    assert sorted(entries[1].data["participants"]) == sorted(decision["participants"])
    assert entries[2].data["remembered"] == ["noise", DISTRICT, "centre"]
    assert {n.target for n in await case_notices(conn, case.id)} == {"centre", "police", "fishery"}
    assert Duty("noise", DISTRICT, "centre") in (await load_book(conn)).duties
    (change, *_), _ = await list_duty_changes(conn)
    assert (change.actor, change.how, change.case_id, change.key) == ("chief", "decision", case.id, ["noise", DISTRICT])
    assert (await load_book(conn)).matrix().unit_for("noise", LAKE, await load_places(conn)) == "centre"
    with pytest.raises(Refused, match="already"):
        await decide_owner(conn, case.id, CHIEF, **decision)
    assert datetime.now(UTC) - change.at < timedelta(minutes=5)
