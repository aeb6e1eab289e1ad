"""Taking a case through its chain in the real database: entries, versions, notices, two people at once."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from alerts.case import SYSTEM, Actor, Case, Refused
from alerts.duty import DutyMatrix
from devices.readings import CommandAck
from devices.site import Site, micros
from store.casebook import (
    act,
    case_entries,
    case_notices,
    get_case,
    list_cases,
    record_arrivals,
    record_command_ack,
    report_case,
)
from store.database import open_pool
from store.evidence import verify_all

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
OPERATOR, SUPERVISOR = Actor("zhang", "operator"), Actor("wang", "supervisor")
FISHERY, POLICE = Actor("li", "unit", "fishery"), Actor("zhao", "unit", "police")


@pytest.fixture
async def reported(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> Case:
    return await report_case(
        conn,
        actor=OPERATOR,
        category="fishing",
        title="北岸有人下网",
        severity="medium",
        note="村民来电",
        lon=118.88,
        lat=31.47,
        site=site,
        duty=duty,
        now=NOW,
    )


async def _to(conn: AsyncConnection, case: Case, *actions: str, terminal: str | None = None) -> Case:
    """Move a case on by the usual people."""
    usual: dict[str, tuple[Actor, dict[str, Any]]] = {
        "open": (OPERATOR, {}),
        "dispatch": (OPERATOR, {"data": {"terminal": terminal}}),
        "accept": (FISHERY, {}),
        "feedback": (FISHERY, {"note": "已劝离"}),
        "verify": (OPERATOR, {"note": "电话核实"}),
        "close": (OPERATOR, {"data": {"outcome": "劝离两人"}}),
    }
    for action in actions:
        actor, more = usual[action]
        case = await act(conn, case.id, action, actor, version=case.version, now=NOW, **more)
    return case


async def test_a_report_gets_area_unit_deadline_and_entry(conn: AsyncConnection, reported: Case) -> None:
    assert (reported.status, reported.area, reported.unit) == ("reported", "320118100000", "fishery")
    assert reported.due_at == datetime(2026, 11, 23, 2, 30, tzinfo=UTC)  # one working day after Friday
    assert await get_case(conn, reported.id) == reported
    (entry,) = await case_entries(conn, reported.id)
    assert (entry.action, entry.actor, entry.note) == ("report", "zhang", "村民来电")
    assert await case_notices(conn, reported.id) == [], "not yet anybody's work"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"actor": Actor("v", "viewer")}, "role"),
        ({"title": "  "}, "missing"),
        ({"title": "长" * 201}, "too_long"),
        ({"category": ""}, "missing"),
        ({"severity": "huge"}, "wrong_value"),
        ({"lat": None}, "wrong_value"),
        ({"lat": 95.0}, "wrong_value"),
        ({"note": "a\x00"}, "wrong_text"),
    ],
)
async def test_a_wrong_report_is_refused_and_takes_no_number(
    conn: AsyncConnection, site: Site, duty: DutyMatrix, changed: dict[str, Any], code: str
) -> None:
    good: dict[str, Any] = {
        "actor": OPERATOR,
        "category": "c",
        "title": "t",
        "severity": "low",
        "lon": 118.9,
        "lat": 31.5,
    }
    with pytest.raises(Refused) as refused:
        await report_case(conn, site=site, duty=duty, now=NOW, **{**good, **changed})
    assert refused.value.code == code
    right = await report_case(conn, site=site, duty=duty, now=NOW, **good)
    assert right.number == "PG-20261120-0001"
    assert (right.area, right.unit) == (None, None), "outside every zone nobody knows whose it is"


async def test_the_whole_chain_leaves_a_chain_of_evidence(conn: AsyncConnection, reported: Case) -> None:
    closed = await _to(conn, reported, "open", "dispatch", "accept", "feedback", "verify", "close", terminal="T1")
    assert (closed.status, closed.closed_at, closed.outcome, closed.terminal) == ("closed", NOW, "劝离两人", "T1")
    assert await get_case(conn, closed.id) == closed
    entries = await case_entries(conn, closed.id)
    assert [e.action for e in entries] == ["report", "open", "dispatch", "accept", "feedback", "verify", "close"]
    assert [e.seq for e in entries] == list(range(1, 8))
    assert all(e.prev_hash == before.hash for before, e in itertools.pairwise(entries))
    notices = await case_notices(conn, closed.id)
    assert sorted((n.channel, n.target) for n in notices) == [*[("apprise", "fishery")] * 4, ("terminal", "T1")]
    assert (await verify_all(conn)).good


async def test_two_people_at_once_one_wins_and_the_other_is_told(
    database_url: str, conn: AsyncConnection, reported: Case
) -> None:
    opened = await _to(conn, reported, "open")
    start = asyncio.Event()

    async def move(actor: Actor, action: str, **more: Any) -> Case | Refused:
        async with pool.connection() as own:
            await own.execute("SELECT 1")
            await own.rollback()
            await start.wait()
            try:
                return await act(own, opened.id, action, actor, version=opened.version, now=NOW, **more)
            except Refused as refused:
                return refused

    async with open_pool(database_url, max_size=8) as pool:
        tasks = [
            asyncio.create_task(move(OPERATOR, "dispatch")),
            asyncio.create_task(move(SUPERVISOR, "void", note="误报")),
        ]
        await asyncio.sleep(0.2)
        start.set()
        results = await asyncio.gather(*tasks)
    (won,) = [r for r in results if isinstance(r, Case)]
    (lost,) = [r for r in results if isinstance(r, Refused)]
    assert lost.code == "stale"
    assert ("zhang 派遣" if won.status == "dispatched" else "wang 作废") in lost.zh
    assert len(await case_entries(conn, opened.id)) == 3


async def test_a_note_never_makes_anybodys_view_stale(conn: AsyncConnection, reported: Case) -> None:
    noted = await act(conn, reported.id, "note", OPERATOR, note="再次来电", version=1, now=NOW)
    assert noted == reported
    opened = await act(conn, reported.id, "open", SUPERVISOR, version=1, now=NOW)
    again = await act(conn, reported.id, "note", OPERATOR, note="第三次来电", version=1, now=NOW)
    assert again.version == opened.version == 2
    with pytest.raises(Refused, match="wang: open"):
        await act(conn, reported.id, "void", OPERATOR, note="x", version=1, now=NOW)


@pytest.mark.parametrize(
    ("action", "data", "code"),
    [
        ("assign", {"unit": "nobody"}, "wrong_value"),
        ("dispatch", {"terminal": "T99"}, "wrong_value"),
        ("dispatch", {"terminal": "C1"}, "wrong_value"),
    ],
)
async def test_units_and_terminals_must_exist(
    conn: AsyncConnection, reported: Case, action: str, data: dict[str, str], code: str
) -> None:
    opened = await _to(conn, reported, "open")
    with pytest.raises(Refused) as refused:
        await act(conn, opened.id, action, OPERATOR, data=data, now=NOW)
    assert refused.value.code == code
    assert await get_case(conn, opened.id) == opened


async def test_an_unknown_case_is_refused(conn: AsyncConnection, site: Site) -> None:
    with pytest.raises(Refused) as refused:
        await act(conn, 4711, "note", OPERATOR, note="x")
    assert refused.value.code == "not_found"


async def test_a_unit_acts_on_its_own_cases_only(conn: AsyncConnection, reported: Case) -> None:
    sent = await _to(conn, reported, "open", "dispatch")
    with pytest.raises(Refused) as refused:
        await act(conn, sent.id, "accept", POLICE, now=NOW)
    assert refused.value.code == "other_unit"
    moved = await act(conn, sent.id, "assign", OPERATOR, data={"unit": "police"}, now=NOW)
    assert moved.unit == "police"
    assert (await act(conn, sent.id, "accept", POLICE, now=NOW)).status == "handling"


async def test_pages_of_cases_hold_each_once(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> None:
    for n in range(7):
        await report_case(
            conn,
            actor=OPERATOR,
            category="c",
            title=str(n),
            severity="low",
            site=site,
            duty=duty,
            now=NOW + timedelta(seconds=n // 3),  # some at the very same time
        )
    seen: list[int] = []
    before: int | None = None
    while True:
        page, before = await list_cases(conn, limit=3, before=before)
        seen += [case.id for case in page]
        if before is None:
            break
    assert seen == sorted(seen, reverse=True) and len(set(seen)) == 7


async def test_entries_cannot_be_changed_or_taken_away(conn: AsyncConnection, reported: Case) -> None:
    for statement in (
        "UPDATE entries SET note = 'x'",
        "DELETE FROM entries",
        "TRUNCATE entries CASCADE",
        "DELETE FROM ledger",
    ):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            await conn.execute(statement)


@pytest.fixture
async def ordered(conn: AsyncConnection, reported: Case) -> tuple[Case, int]:
    """A case for which T1 was ordered out, and the notice's id."""
    sent = await _to(conn, reported, "open", "dispatch", terminal="T1")
    (notice,) = [n for n in await case_notices(conn, sent.id) if n.channel == "terminal"]
    return sent, notice.id


def ack(notice: int | str, *, device: str = "T1", accepted: bool = True, note: str = "") -> CommandAck:
    return CommandAck(device, micros(NOW), micros(NOW), str(notice), accepted, note)


async def test_an_accepted_command_moves_the_case_on_once(conn: AsyncConnection, ordered: tuple[Case, int]) -> None:
    case, notice = ordered
    after = await record_command_ack(conn, ack(notice), NOW)
    assert after is not None and after.status == "handling"
    assert await record_command_ack(conn, ack(notice), NOW) is None
    entries = await case_entries(conn, case.id)
    assert [e.action for e in entries][-2:] == ["command_accepted", "accept"]
    assert entries[-2].actor == "terminal:T1"
    kept = next(n for n in await case_notices(conn, case.id) if n.id == notice)
    assert (kept.accepted, kept.acked_at) == (True, NOW)


async def test_a_refused_command_stays_with_the_desk(conn: AsyncConnection, ordered: tuple[Case, int]) -> None:
    case, notice = ordered
    after = await record_command_ack(conn, ack(notice, accepted=False, note="电量\x00不足"), NOW)
    assert after is not None and after.status == "dispatched"
    entry = (await case_entries(conn, case.id))[-1]
    assert (entry.action, entry.note) == ("command_refused", "电量\ufffd不足")


async def test_an_answer_by_alias_counts_and_one_by_another_terminal_does_not(
    conn: AsyncConnection, ordered: tuple[Case, int]
) -> None:
    _, notice = ordered
    assert await record_command_ack(conn, ack(notice, device="T2"), NOW) is None
    for nothing in ("", "x", "999999", "1; DROP TABLE cases", "9" * 40):
        assert await record_command_ack(conn, ack(nothing), NOW) is None
    assert (await record_command_ack(conn, ack(notice, device="owntracks/t1/p"), NOW)).status == "handling"  # type: ignore[union-attr]


async def test_a_late_answer_of_a_terminal_that_was_replaced_moves_nothing(
    conn: AsyncConnection, ordered: tuple[Case, int]
) -> None:
    case, notice = ordered
    await act(conn, case.id, "dispatch", OPERATOR, data={"terminal": "T2"}, now=NOW)
    after = await record_command_ack(conn, ack(notice), NOW)
    assert after is not None and (after.status, after.terminal) == ("dispatched", "T2")


async def test_arrival_is_noticed_once_by_the_position(
    conn: AsyncConnection, ordered: tuple[Case, int], place: Any
) -> None:
    case, _ = ordered
    await place("T1", 118.88, 31.47, age=5)  # where it stood before it was sent says nothing
    assert await record_arrivals(conn, NOW + timedelta(seconds=1)) == []
    await place("T1", 118.89, 31.47, age=-30)
    assert await record_arrivals(conn, NOW + timedelta(seconds=31)) == []
    await place("T1", 118.8803, 31.47, age=-60)
    (there,) = await record_arrivals(conn, NOW + timedelta(seconds=61))
    assert there.status == "handling"
    assert await record_arrivals(conn, NOW + timedelta(seconds=62)) == []
    entry = (await case_entries(conn, case.id))[-1]
    assert (entry.action, entry.actor, entry.data["distance"]) == ("arrive", SYSTEM.name, 28)
    assert "T1" in entry.data["zh"] and "T1" in entry.data["en"]


async def test_arrivals_seen_by_two_workers_are_one(
    database_url: str, conn: AsyncConnection, ordered: tuple[Case, int], place: Any
) -> None:
    case, notice = ordered
    await record_command_ack(conn, ack(notice), NOW)
    await place("T1", 118.88, 31.47, age=-10)
    async with open_pool(database_url, min_size=4, max_size=4) as pool:

        async def look() -> list[Case]:
            async with pool.connection() as own:
                return await record_arrivals(own, NOW + timedelta(seconds=11))

        told = await asyncio.gather(*(look() for _ in range(4)))
    assert sum(len(cases) for cases in told) == 1
    assert [e.action for e in await case_entries(conn, case.id)].count("arrive") == 1


async def test_many_people_on_many_cases_never_wait_in_a_circle(
    database_url: str, conn: AsyncConnection, site: Site, duty: DutyMatrix
) -> None:
    cases = [
        await report_case(
            conn, actor=OPERATOR, category="fishing", title=str(n), severity="low", lon=118.88, lat=31.47,
            site=site, duty=duty, now=NOW,
        )
        for n in range(6)
    ]  # fmt: skip
    async with open_pool(database_url, max_size=12) as pool:

        async def work(n: int) -> None:
            for step in range(6):
                async with pool.connection() as own:
                    await act(own, cases[(n + step) % 6].id, "note", OPERATOR, note=f"{n}.{step}", now=NOW)

        await asyncio.wait_for(asyncio.gather(*(work(n) for n in range(12))), 60)
    report = await verify_all(conn)
    assert report.good and report.entries == 6 + 72


async def test_answers_of_several_terminals_in_one_transaction_block_nobody_for_good(
    database_url: str, conn: AsyncConnection, site: Site, duty: DutyMatrix
) -> None:
    """The pipeline records all acks of a batch in the batch's transaction, while people act on the same cases."""
    cases, notices = [], []
    for n in range(4):
        case = await report_case(
            conn, actor=OPERATOR, category="fishing", title=str(n), severity="low", lon=118.88, lat=31.47,
            site=site, duty=duty, now=NOW,
        )  # fmt: skip
        case = await _to(conn, case, "open", "dispatch", terminal=f"T{n + 1}")
        cases.append(case)
        notices += [n.id for n in await case_notices(conn, case.id) if n.channel == "terminal"]
    async with open_pool(database_url, min_size=6, max_size=6) as pool:

        async def answer(order: list[int]) -> None:
            async with pool.connection() as own, own.transaction():
                for n in order:
                    await record_command_ack(own, ack(notices[n], device=f"T{n + 1}"), NOW)
                    await asyncio.sleep(0.01)

        async def remark(n: int) -> None:
            async with pool.connection() as own:
                await act(own, cases[n].id, "note", OPERATOR, note="x", now=NOW)

        work = [answer([0, 1]), answer([3, 2]), *(remark(n) for n in (1, 0, 2, 3))]
        await asyncio.wait_for(asyncio.gather(*work), 30)
    assert {(await get_case(conn, case.id)).status for case in cases} == {"handling"}  # type: ignore[union-attr]
    assert (await verify_all(conn)).good
