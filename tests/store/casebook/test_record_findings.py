"""Findings become alerts and cases, once each, whoever records them and however often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import AsyncConnection

from alerts.case import Actor
from alerts.duty import DutyMatrix
from alerts.rules import Rule
from detectors.base import Finding
from devices.site import Site
from store.alert_list import Asked
from store.alerts import insert_alert
from store.casebook import (
    acknowledge_alert,
    acknowledge_alerts,
    case_alerts,
    case_entries,
    case_notices,
    clear_quiet,
    get_alert,
    get_case,
    list_alerts,
    list_cases,
    record_findings,
    upkeep,
    void_alert,
)
from store.database import RESUMED, listen, open_pool
from store.evidence import verify_all

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
FISHING = Rule("fishing_ban", "禁渔区垂钓", "Fishing in the ban zone", "fishing_ban", "high", "fishing", deadline="2wd")
SOS = Rule("sos", "一键求助", "SOS", "sos", "high", "sos", deadline="30m", dispatch="nearest")
QUIET = Rule("quiet", "终端静默", "Silence", "silence", "low", "silence", open_case=False)
OPERATOR = Actor("zhang", "operator")
Make = Callable[..., Finding]


@pytest.fixture
def record(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> Callable[..., Any]:
    async def run(*found: tuple[Rule, Finding], now: datetime = NOW) -> Any:
        return await record_findings(conn, list(found), site=site, duty=duty, now=now)

    return run


async def test_a_finding_makes_an_alert_and_a_case_with_unit_deadline_entry_and_notices(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    (alert,) = await record((FISHING, finding()))
    assert (alert.state, alert.area, alert.count) == ("open", "320118100000", 1)
    stored = await get_alert(conn, alert.id)
    assert stored == alert
    case = await get_case(conn, alert.case_id)
    assert case is not None
    assert (case.number, case.category, case.status, case.unit) == ("PG-20261120-0001", "fishing", "opened", "fishery")
    assert (case.title.zh, case.title.en) == ("禁渔区垂钓：北岸禁渔区", "Fishing in the ban zone: North shore")
    assert case.due_at == datetime(2026, 11, 24, 2, 30, tzinfo=UTC)  # two working days after Friday 10:30
    (entry,) = await case_entries(conn, case.id)
    assert (entry.seq, entry.actor, entry.action) == (1, "system", "raise")
    assert (entry.data["zh"], entry.data["alert"]) == (alert.sentence.zh, alert.id)
    assert [a.id for a in await case_alerts(conn, case.id)] == [alert.id]
    notices = await case_notices(conn, case.id)
    assert [(n.channel, n.target) for n in notices] == [("apprise", "fishery")] * 2
    assert "职责清单" in notices[0].reason and "duty matrix" in notices[0].reason
    assert "127.0.0.1" not in str(notices), "a contact's address is a secret and stays out of the outbox"


async def test_fifty_writers_of_one_episode_make_one_alert_and_one_case(
    database_url: str, site: Site, duty: DutyMatrix, finding: Make
) -> None:
    async with open_pool(database_url, max_size=50) as pool:

        async def write(n: int) -> None:
            # each writer saw the episode cut in another way, and another thing besides
            found = [(FISHING, finding(-300 + n, -100 + n)), (SOS, finding(-1, 0, kind="sos", subject="T1", zone=""))]
            async with pool.connection() as conn:
                await record_findings(conn, found if n % 2 else found[::-1], site=site, duty=duty, now=NOW)

        await asyncio.gather(*(write(n) for n in range(50)))
        async with pool.connection() as conn:
            alerts, _ = await list_alerts(conn)
            cases, _ = await list_cases(conn)
            await conn.commit()
            report = await verify_all(conn)
    assert sorted(a.rule for a in alerts) == ["fishing_ban", "sos"]
    fishing = next(a for a in alerts if a.rule == "fishing_ban")
    assert (fishing.first_seen, fishing.last_seen) == (NOW - timedelta(seconds=300), NOW - timedelta(seconds=51))
    assert sorted(c.number for c in cases) == ["PG-20261120-0001", "PG-20261120-0002"]
    assert report.good and report.cases == 2


async def test_fifty_writers_of_fifty_episodes_give_fifty_numbers_in_a_row(
    database_url: str, site: Site, duty: DutyMatrix, finding: Make
) -> None:
    async with open_pool(database_url, max_size=50) as pool:

        async def write(n: int) -> None:
            async with pool.connection() as conn:
                found = [(FISHING, finding(subject=f"track-{n}"))]
                await record_findings(conn, found, site=site, duty=duty, now=NOW)

        await asyncio.gather(*(write(n) for n in range(50)))
        async with pool.connection() as conn:
            cases, rest = await list_cases(conn)
            await conn.commit()
            assert (await verify_all(conn)).good
    assert rest is None
    assert sorted(c.number for c in cases) == [f"PG-20261120-{n:04d}" for n in range(1, 51)]


async def test_fifty_writers_of_overlapping_spans_in_any_order_make_one_alert_and_one_case_per_episode(
    database_url: str, site: Site, duty: DutyMatrix, finding: Make
) -> None:
    """Several fingerprints, of which each writer has other pieces in another order, some that join two alerts; groups
    with one case; while two others do the upkeep and people acknowledge. Then all of it again, as after a restart."""
    crowd = Rule(*("crowd", "聚集", "Crowd", "crowd", "high", "crowd"), group="street", group_case=True)
    rules = [FISHING, SOS, crowd]
    pieces = [(FISHING, finding(-900 + 100 * n, -840 + 100 * n, subject=who)) for who in "abc" for n in range(10)]
    pieces += [(crowd, finding(-60 + n, -50 + n, zone="market", subject=f"m{n % 4}")) for n in range(8)]
    pieces += [(SOS, finding(-1 - n, 0, kind="sos", subject="T1", zone="")) for n in range(5)]

    async with open_pool(database_url, max_size=54) as pool:

        async def write(n: int) -> None:
            mine = Random(n).sample(pieces, k=30)
            async with pool.connection() as conn:
                for begin in range(0, 30, 7):
                    await record_findings(conn, mine[begin : begin + 7], site=site, duty=duty, now=NOW)

        async def keep() -> None:
            async with pool.connection() as conn:
                for _ in range(10):
                    await upkeep(conn, rules, NOW, site=site, duty=duty)
                    open_ones, _ = await list_alerts(conn, Asked(states=["open"]), limit=3)
                    await conn.commit()
                    await acknowledge_alerts(conn, [alert.id for alert in open_ones], OPERATOR, NOW)

        await asyncio.gather(*(write(n) for n in range(50)), keep(), keep())
        async with pool.connection() as conn:
            await record_findings(conn, pieces, site=site, duty=duty, now=NOW)
            alerts, _ = await list_alerts(conn, limit=500)
            await conn.commit()
            assert await record_findings(conn, pieces, site=site, duty=duty, now=NOW) == []
            assert (await list_alerts(conn, limit=500))[0] == alerts
            await conn.commit()
            report = await verify_all(conn)
            cursor = await conn.execute(
                "SELECT count(*) FROM alerts a WHERE merged_into IS NOT NULL AND (state <> 'cleared' OR NOT EXISTS"
                " (SELECT FROM alerts w WHERE w.id = a.merged_into AND w.fingerprint = a.fingerprint))"
            )
            assert await cursor.fetchone() == (0,)
    spans = sorted((a.rule, a.subject, a.first_seen, a.last_seen) for a in alerts if a.rule == "fishing_ban")
    whole = (NOW - timedelta(seconds=900), NOW + timedelta(seconds=60))
    assert spans == [("fishing_ban", who, *whole) for who in "abc"]
    assert sorted(a.subject for a in alerts if a.rule == "crowd") == ["m0", "m1", "m2", "m3"]
    assert len([a for a in alerts if a.rule == "sos"]) == 1
    assert len({a.case_id for a in alerts if a.rule == "crowd"}) == 1, "one group, one case"
    assert len({a.group_id for a in alerts if a.rule == "crowd"}) == 1
    assert all(a.case_id is not None and a.merged_into is None for a in alerts)
    assert report.good


async def test_fifty_writers_of_one_group_make_one_group_with_one_case(
    database_url: str, site: Site, duty: DutyMatrix, finding: Make
) -> None:
    """Each writes an alert of its own, so only the group's lock lets one see the others."""
    crowd = Rule(*("crowd", "聚集", "Crowd", "crowd", "high", "crowd"), group="street", group_case=True)
    async with open_pool(database_url, min_size=50, max_size=50) as pool:
        await pool.wait()

        async def write(n: int) -> None:
            async with pool.connection() as conn:
                found = [(crowd, finding(zone="market", subject=f"square-{n}"))]
                await record_findings(conn, found, site=site, duty=duty, now=NOW)

        await asyncio.gather(*(write(n) for n in range(50)))
        async with pool.connection() as conn:
            alerts, _ = await list_alerts(conn)
            (page,), rest = await list_alerts(conn, grouped=True)
            await conn.commit()
            assert (await verify_all(conn)).good
    assert len(alerts) == 50 and rest is None and page.id == alerts[0].id
    assert {a.group_id for a in alerts} == {min(a.id for a in alerts)}
    assert len({a.case_id for a in alerts}) == 1 and alerts[0].case_id is not None


async def test_the_same_findings_again_change_nothing(record: Any, conn: AsyncConnection, finding: Make) -> None:
    found = [(FISHING, finding(s, s + 30)) for s in (-200, -180, -100, -60)]
    (first,) = await record(*found)
    assert first.count == 4
    assert await record(*found) == []
    assert await record(*found[2:], now=NOW + timedelta(seconds=5)) == []
    assert await get_alert(conn, first.id) == first


async def test_a_cleared_alert_seen_again_by_a_replay_stays_cleared_and_a_new_episode_is_a_new_alert(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    (alert,) = await record((FISHING, finding(-60, 0)))
    later = NOW + timedelta(seconds=FISHING.clear_after + 1)
    (cleared,) = await clear_quiet(conn, [FISHING], later)
    assert (cleared.id, cleared.state) == (alert.id, "cleared")
    assert await clear_quiet(conn, [FISHING], later) == []
    assert await record((FISHING, finding(-60, 0)), now=later) == []
    (new,) = await record((FISHING, finding(600, 610)), now=NOW + timedelta(seconds=610))
    assert new.id != alert.id and new.case_id != alert.case_id
    entries = await case_entries(conn, alert.case_id)
    assert [e.action for e in entries] == ["raise", "alert_cleared"]


async def test_an_alert_cleared_too_early_goes_on_as_the_same_one(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    (alert,) = await record((FISHING, finding(-60, 0)))
    await acknowledge_alert(conn, alert.id, OPERATOR, NOW)
    await clear_quiet(conn, [FISHING], NOW + timedelta(seconds=301))
    (again,) = await record((FISHING, finding(250, 320)), now=NOW + timedelta(seconds=330))
    assert (again.id, again.state, again.case_id, again.acked_by) == (alert.id, "open", alert.case_id, None)
    entries = await case_entries(conn, alert.case_id)
    assert [e.action for e in entries] == ["raise", "alert_acknowledged", "alert_cleared", "alert_reopened"]


async def test_a_void_alert_grows_but_stays_void(record: Any, conn: AsyncConnection, finding: Make) -> None:
    (alert,) = await record((FISHING, finding(-60, 0)))
    await void_alert(conn, alert.id, OPERATOR, "树影", NOW)
    (grown,) = await record((FISHING, finding(5, 20)), now=NOW + timedelta(seconds=20))
    assert (grown.id, grown.state, grown.count) == (alert.id, "void", 2)


async def test_history_is_recorded_without_a_case_and_becomes_one_when_it_goes_on(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    (old,) = await record((FISHING, finding(-2000, -1000)))
    assert (old.historical, old.state, old.case_id) == (True, "cleared", None)
    (other,) = await record((FISHING, finding(-9000, -8000)))
    (live,) = await record((FISHING, finding(-990, -20)))
    assert (live.id, live.historical, live.state) == (old.id, False, "open")
    assert live.case_id is not None
    assert (await get_alert(conn, other.id)).historical


async def test_a_rule_that_opens_no_case(record: Any, conn: AsyncConnection, finding: Make) -> None:
    (alert,) = await record((QUIET, finding(kind="silence", subject="T2", zone="")))
    assert alert.case_id is None and alert.area == "320118100000"
    assert (await list_cases(conn))[0] == []


async def test_nobodys_category_goes_into_the_queue_of_unclear_ownership(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    rule = replace(FISHING, code="other", category="noise")
    (alert,) = await record((rule, finding()))
    unclear, _ = await list_cases(conn, unit="")
    assert [c.id for c in unclear] == [alert.case_id]
    assert await case_notices(conn, alert.case_id) == []


async def test_the_nearest_free_terminal_is_sent_with_a_command(
    record: Any, conn: AsyncConnection, finding: Make, place: Any
) -> None:
    await place("T1", 118.88, 31.47)  # calls for help itself
    await place("T2", 118.8801, 31.47, age=5000)  # nobody knows where it is
    await place("T3", 118.8802, 31.47, flags=1)  # in distress as well
    await place("T4", 118.885, 31.47, age=12)
    await place("T5", 118.89, 31.47)
    (alert,) = await record((SOS, finding(-1, 0, kind="sos", subject="T1", zone="")))
    case = await get_case(conn, alert.case_id)
    assert case is not None and (case.status, case.terminal, case.version) == ("dispatched", "T4", 2)
    notice = next(n for n in await case_notices(conn, case.id) if n.channel == "terminal")
    assert notice.target == "T4"
    assert notice.body["do"] == "goto" and (notice.body["lon"], notice.body["lat"]) == (118.88, 31.47)
    assert notice.body["case"] == case.number and notice.body["zh"] and notice.body["en"]
    entry = (await case_entries(conn, case.id))[-1]
    assert entry.action == "dispatch" and "474 米" in entry.data["zh"] and entry.data["age"] == 12
    # the next SOS gets the next terminal: T4 is busy, and T1 waits for help though its next fix calls for none
    (second,) = await record((SOS, finding(-1, 0, kind="sos", subject="T2", zone="")))
    assert (await get_case(conn, second.case_id)).terminal == "T5"
    (third,) = await record((SOS, finding(-1, 0, kind="sos", subject="T3", zone="")))
    left = await get_case(conn, third.case_id)
    assert (left.status, left.terminal) == ("opened", None)
    assert (await case_entries(conn, third.case_id))[-1].action == "nobody_near"


async def test_an_sos_without_a_place_still_makes_a_case(record: Any, conn: AsyncConnection, finding: Make) -> None:
    nowhere = float("nan")
    (alert,) = await record((SOS, finding(kind="sos", subject="T1", zone="", lon=nowhere, lat=nowhere)))
    case = await get_case(conn, alert.case_id)
    assert case is not None and (case.lon, case.lat, case.status) == (None, None, "opened")
    assert np.isnan((await get_alert(conn, alert.id)).lon)


async def test_evidence_that_no_column_takes_is_kept_as_far_as_it_can_be(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    odd = {"numbers": {"a": float("nan"), "b": np.float32(1.5), "c": np.array([1, 2])}, "label": "x\x00y\ud800"}
    (alert,) = await record((FISHING, finding(evidence=odd)))
    kept = (await get_alert(conn, alert.id)).evidence
    assert kept == {"numbers": {"a": None, "b": 1.5, "c": [1, 2]}, "label": "x\ufffdy?"}


async def test_everything_is_one_transaction(
    conn: AsyncConnection, site: Site, duty: DutyMatrix, finding: Make
) -> None:
    wrong = replace(FISHING, code="wrong", deadline="soon")  # never passes rule_from; here it fails half way
    with pytest.raises(ValueError, match="soon"):
        await record_findings(conn, [(FISHING, finding()), (wrong, finding())], site=site, duty=duty, now=NOW)
    for table in ("alerts", "cases", "entries", "ledger", "notices", "case_numbers"):
        assert await (await conn.execute(f"SELECT count(*) FROM {table}")).fetchone() == (0,), table


async def test_the_unique_key_refuses_what_gets_past_the_lock(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    (alert,) = await record((FISHING, finding()))
    with pytest.raises(psycopg.errors.UniqueViolation):
        await insert_alert(conn, alert)


async def test_more_findings_than_one_transaction_takes(record: Any, conn: AsyncConnection, finding: Make) -> None:
    found = [(QUIET, finding(s, s + 5, subject=f"T{n}", zone="")) for s in (-50, -20) for n in range(250)]
    assert len(await record(*found)) == 250
    alerts, before = await list_alerts(conn, limit=200)
    more, end = await list_alerts(conn, limit=200, before=before)
    assert end is None and len({a.id for a in [*alerts, *more]}) == 250
    assert {a.count for a in [*alerts, *more]} == {2}
    assert len(await clear_quiet(conn, [], NOW + timedelta(hours=1))) == 250  # also when their rule is gone


async def test_listeners_are_told_when_it_is_committed(
    database_url: str, record: Any, conn: AsyncConnection, finding: Make
) -> None:
    events: list[tuple[str, int]] = []
    ready = asyncio.Event()

    async def hear() -> None:
        async for event in listen(database_url):
            if event == RESUMED:
                ready.set()
            else:
                events.append((event["kind"], event["id"]))
            if {"alert", "case", "notice"} <= {kind for kind, _ in events}:
                return

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.wait_for(hear(), 20))
        await ready.wait()
        (alert,) = await record((FISHING, finding()))
    assert ("alert", alert.id) in events and ("case", alert.case_id) in events


async def test_what_may_be_seen_by_area_and_by_unit(record: Any, conn: AsyncConnection, finding: Make) -> None:
    (lake,) = await record((FISHING, finding()))
    crowd = replace(FISHING, code="crowd", category="crowd")
    (town,) = await record((crowd, finding(zone="market")))

    async def seen(**limits: Any) -> set[int]:
        return {a.id for a in (await list_alerts(conn, Asked(**limits)))[0]}

    assert await seen() == {lake.id, town.id}
    assert await seen(scopes=["320118100000"]) == {lake.id}
    assert await seen(unit="police") == {town.id}
    assert await seen(scopes=["320118100000"], unit="police") == {lake.id, town.id}
    assert await seen(scopes=[]) == set()
    assert await seen(rules=["crowd"], states=["open"]) == {town.id}
    cases, _ = await list_cases(conn, areas=["320118101000"])
    assert [c.id for c in cases] == [town.case_id]
    assert (await list_cases(conn, unit="police", status="opened"))[0] == cases
    assert (await list_cases(conn, overdue=True, now=NOW + timedelta(days=9)))[0] != []
    assert (await list_cases(conn, overdue=True, now=NOW))[0] == []
