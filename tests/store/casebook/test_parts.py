"""The chain in the store: it comes back as it went in, the units are told, and the timeline proves it all."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from psycopg import AsyncConnection

from alerts.case import LATER, SYSTEM, Actor, Case, Refused
from alerts.chain import offers
from alerts.duty import DutyMatrix
from devices.site import Site
from store.casebook import act, case_entries, case_notices, get_case, list_cases, report_case
from store.database import open_pool
from store.entries import append, first, lock_book
from store.evidence import verify_all

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
OPERATOR, SUPERVISOR = Actor("zhang", "operator"), Actor("wang", "supervisor")
FISHERY, POLICE, CENTRE = (Actor(unit, "unit", unit) for unit in ("fishery", "police", "centre"))
EVERYBODY = [OPERATOR, SUPERVISOR, FISHERY, POLICE, CENTRE, SYSTEM]


async def report(conn: AsyncConnection, site: Site, duty: DutyMatrix, category: str = "fishing") -> Case:
    case = await report_case(
        conn, actor=OPERATOR, category=category, title="下网", severity="low", lon=118.88, lat=31.47,
        site=site, duty=duty, now=NOW,
    )  # fmt: skip
    return await act(conn, case.id, "open", OPERATOR, now=NOW)


async def test_each_unit_is_told_its_own_part_and_its_part_is_kept(
    conn: AsyncConnection, site: Site, duty: DutyMatrix
) -> None:
    case = await report(conn, site, duty)
    case = await act(conn, case.id, "assign", OPERATOR, data={"unit": "police"}, now=NOW)
    called = await act(
        conn,
        case.id,
        "whistle",
        OPERATOR,
        note="联合处置",
        data={"units": ("fishery", "centre"), "tasks": {"fishery": "带快艇"}},
        now=NOW + timedelta(microseconds=1),
    )
    assert await get_case(conn, case.id) == called
    told = [n for n in await case_notices(conn, case.id) if "吹哨" in n.reason]
    assert [(n.target, n.body["text"]["zh"].split("。")[0]) for n in told] == [("fishery", "吹哨：带快艇")] * 2
    there = await act(conn, case.id, "check_in", FISHERY, now=NOW + timedelta(minutes=1))
    assert await get_case(conn, case.id) == there
    withdrawn = await act(conn, case.id, "withdraw_part", SUPERVISOR, note="够了", data={"unit": "centre"}, now=NOW)
    assert await get_case(conn, case.id) == withdrawn
    assert [c.id for c in (await list_cases(conn, involved="fishery"))[0]] == [case.id]
    assert (await list_cases(conn, involved="centre"))[0] == []
    assert (await verify_all(conn)).good


async def test_a_part_that_was_changed_behind_the_timeline_is_found(
    conn: AsyncConnection, site: Site, duty: DutyMatrix
) -> None:
    case = await report(conn, site, duty)
    await act(conn, case.id, "whistle", OPERATOR, note="联合处置", data={"units": ("police",)}, now=NOW)
    await conn.execute("UPDATE case_parts SET done_at = now(), done_note = '好了'")
    (fault,) = (await verify_all(conn)).faults
    assert (fault.kind, fault.number) == ("row", case.number)
    assert "parts" in fault.en


async def test_a_timeline_from_before_these_fields_is_still_whole(
    conn: AsyncConnection, site: Site, duty: DutyMatrix
) -> None:
    """Cases of the version before have first entries that know nothing of origin, parts and the like."""
    case = await report(conn, site, duty)
    for action, origin in (("report", "desk"), ("raise", "alert")):
        old = await conn.execute(
            "INSERT INTO cases (number, category, title, title_en, severity, status, opened_at, due_at, origin)"
            " VALUES (%s, 'c', 't', 't', 'low', 'opened', %s, %s, %s) RETURNING id",
            (f"PG-{action}", NOW, NOW, origin),
        )
        (case_id,) = await old.fetchone() or (0,)
        row = await get_case(conn, case_id)
        assert row is not None
        async with conn.transaction():
            await lock_book(conn)
            kept = {name: value for name, value in first(row)["set"].items() if name not in LATER}
            await append(conn, case_id, action, "system", NOW, data={"set": kept})
    assert (await verify_all(conn)).good
    await conn.execute("UPDATE cases SET supervision = 2 WHERE id = %s", (case.id,))
    await conn.execute("UPDATE cases SET origin = 'phone' WHERE number = 'PG-raise'")
    assert [fault.kind for fault in (await verify_all(conn)).faults] == ["row", "row"]


async def test_merging_into_what_does_not_go_on_is_refused(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> None:
    first, second, third = [await report(conn, site, duty) for _ in range(3)]
    merged = await act(conn, second.id, "merge", OPERATOR, note="同一件", data={"into": first.id}, now=NOW)
    assert await get_case(conn, second.id) == merged
    for into, code in ((second.id, "ended"), (999, "wrong_value"), (third.id, "wrong_value")):
        with pytest.raises(Refused) as refused:
            await act(conn, third.id, "merge", OPERATOR, note="x", data={"into": into}, now=NOW)
        assert refused.value.code == code
    split = await act(conn, second.id, "split", OPERATOR, note="不是", now=NOW)
    assert await get_case(conn, second.id) == split


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_people_do_the_row_is_what_was_decided_and_the_timeline_proves_it(
    conn: AsyncConnection, site: Site, duty: DutyMatrix, seed: int
) -> None:
    chance, at = Random(seed), NOW
    other = await report(conn, site, duty, "other")
    case = await report(conn, site, duty)
    taken: set[str] = set()
    for _ in range(70):
        at += timedelta(minutes=chance.choice([1, 1, 1, 600]))
        ways = [(offer.action, who) for who in EVERYBODY for offer in offers(case, who, at)]
        ways = [way for way in ways if way[0] not in ("void", "note")] or [("note", OPERATOR)]
        action, actor = chance.choice(ways)
        given: dict[str, Any] = {
            "unit": chance.choice(["fishery", "police", "centre"]),
            "units": tuple(chance.sample(["fishery", "police", "centre"], 2)),
            "terminal": chance.choice(["T1", "T2"]),
            "outcome": "劝离",
            "until": "2wd",
            "into": other.id,
            "resolution": "on_spot",
            "participants": ("渔政", "公安"),
        }
        try:
            case = await act(conn, case.id, action, actor, note="说明", version=case.version, data=given, now=at)
        except Refused:
            continue
        taken.add(action)
        assert await get_case(conn, case.id) == case
    assert len(taken) > 12, taken
    assert (await verify_all(conn)).good


async def test_of_fifty_who_write_at_once_one_is_heard_and_nothing_is_lost(
    database_url: str, conn: AsyncConnection, site: Site, duty: DutyMatrix
) -> None:
    case = await report(conn, site, duty)
    case = await act(conn, case.id, "whistle", OPERATOR, note="来", data={"units": ("police", "centre")}, now=NOW)
    orders: list[tuple[str, Actor, dict[str, Any]]] = [
        ("check_in", POLICE, {}),
        ("check_in", CENTRE, {}),
        ("withdraw_part", OPERATOR, {"unit": "police"}),
        ("dispatch", OPERATOR, {"terminal": "T1"}),
        ("urge", SUPERVISOR, {}),
    ]
    async with open_pool(database_url, max_size=20) as pool:

        async def write(n: int) -> Case | Refused:
            action, actor, data = orders[n % len(orders)]
            async with pool.connection() as own:
                try:
                    return await act(own, case.id, action, actor, note="x", version=case.version, data=data, now=NOW)
                except Refused as refused:
                    return refused

        results = await asyncio.wait_for(asyncio.gather(*(write(n) for n in range(50))), 60)
    (won,) = [r for r in results if isinstance(r, Case)]
    lost = [r for r in results if isinstance(r, Refused)]
    assert len(lost) == 49 and {r.code for r in lost} == {"stale"}
    last = (await case_entries(conn, case.id))[-1]
    assert all(last.actor in r.zh for r in lost), "they are told who was faster"
    assert await get_case(conn, case.id) == won
    assert (await verify_all(conn)).good
