"""Silences, inhibition, groups, rising severity, ends and mergers, as they reach alerts and cases in the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from alerts.alert import Alert
from alerts.case import Actor, Refused
from alerts.duty import DutyMatrix
from alerts.rules import Inhibitor, Rule
from alerts.severity import Rise
from alerts.suppression import Silence, Window
from detectors.base import Finding
from devices.site import Site
from store.alert_list import Asked, group_sizes
from store.casebook import (
    acknowledge_alert,
    acknowledge_alerts,
    act,
    alert_events,
    case_entries,
    case_notices,
    get_alert,
    get_case,
    list_alerts,
    list_cases,
    record_findings,
    upkeep,
    void_alert,
)
from store.evidence import verify_all
from store.silences import end_silence, end_window, list_silences, list_windows, make_silence, make_window
from store.upkeep import Upkept

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
LAKE, TOWN = "320118100000", "320118101000"
FISHING = Rule("fishing_ban", "禁渔区垂钓", "Fishing", "fishing_ban", "medium", "fishing", clear_after=3600)
SOS = Rule("sos", "一键求助", "SOS", "sos", "high", "sos", deadline="30m")
QUIET = Rule(
    *("quiet", "终端静默", "Silence", "silence", "low", "silence"),
    open_case=False,
    inhibited_by=(Inhibitor("quiet", "site", "feed"),),
)
CROWD = Rule(*("crowd", "聚集", "Crowd", "crowd", "medium", "crowd"), group="street", group_case=True, clear_after=3600)
OPERATOR = Actor("zhang", "operator")
Make = Callable[..., Finding]


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def record(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> Callable[..., Any]:
    async def run(*found: tuple[Rule, Finding], now: datetime = NOW) -> Any:
        return await record_findings(conn, list(found), site=site, duty=duty, now=now)

    return run


@pytest.fixture
def keep(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> Callable[..., Any]:
    """The upkeep at so many seconds after NOW."""

    async def run(seconds: float, *rules: Rule) -> Any:
        return await upkeep(conn, rules, later(seconds), site=site, duty=duty)

    return run


@pytest.fixture
def silence(conn: AsyncConnection, site: Site) -> Callable[..., Any]:
    async def make(seconds: float = 3600, rules: tuple[Rule, ...] = (), **named: Any) -> Silence:
        made = Silence("zhang", NOW, "演练", NOW, later(seconds), **named)
        return await make_silence(conn, made, OPERATOR, rules, None)

    return make


async def seen(conn: AsyncConnection, alert: Alert) -> Alert:
    found = await get_alert(conn, alert.id)
    assert found is not None
    return found


async def actions(conn: AsyncConnection, alert: Alert) -> list[str]:
    return [entry.action for entry in await case_entries(conn, alert.case_id or 0)]


async def what(conn: AsyncConnection, alert: Alert) -> list[str]:
    return [event.what for event in await alert_events(conn, alert.id)]


# ── Ends ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_finding_that_ends_it_clears_the_alert_with_its_sentence_in_the_case(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    (alert,) = await record((FISHING, finding(-60, 0)))
    end = replace(finding(-60, 20), ends=True)
    (ended,) = await record((FISHING, end), now=later(20))
    assert (await seen(conn, alert)) == ended
    assert (ended.state, ended.ending) == ("cleared", end.sentence)
    entry = (await case_entries(conn, alert.case_id))[-1]
    assert (entry.action, entry.data["zh"], entry.data["alert"]) == ("alert_ended", end.sentence.zh, alert.id)
    assert await record((FISHING, finding(-60, 0)), (FISHING, end), now=later(30)) == []
    assert await actions(conn, alert) == ["raise", "alert_ended"]
    assert await record((FISHING, replace(finding(-60, 0, subject="nobody"), ends=True))) == []


async def test_acknowledged_ended_and_seen_again_is_open_again(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    (alert,) = await record((FISHING, finding(-60, 0)))
    await acknowledge_alert(conn, alert.id, OPERATOR, NOW)
    await record((FISHING, replace(finding(-60, 20), ends=True)), now=later(20))
    (again,) = await record((FISHING, finding(30, 40)), now=later(41))
    stored = await seen(conn, alert)
    assert (again.id, stored.state, stored.acked_by, stored.ending) == (alert.id, "open", None, None)
    assert stored.armed_at == later(41)
    await acknowledge_alert(conn, alert.id, OPERATOR, later(50))
    assert await what(conn, alert) == ["acknowledged", "ended", "reopened", "acknowledged"]


async def test_what_began_and_ended_in_one_batch_has_its_case_all_the_same(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    (alert,) = await record((FISHING, finding(-60, -10)), (FISHING, replace(finding(-60, 0), ends=True)))
    assert (alert.state, alert.case_id is not None) == ("cleared", True)
    assert await actions(conn, alert) == ["raise", "alert_ended"]


# ── Silences and maintenance ────────────────────────────────────────────────────────────────────────────────────────
async def test_a_silenced_alert_is_recorded_and_not_told_until_the_silence_ends(
    record: Any, keep: Any, silence: Any, conn: AsyncConnection, finding: Make
) -> None:
    made = await silence(600, zone="ban")
    (alert,) = await record((FISHING, finding()))
    assert (alert.state, alert.suppressed.by, alert.suppressed.id, alert.case_id) == ("open", "silence", made.id, None)
    assert (await seen(conn, alert)) == alert
    assert (await list_cases(conn))[0] == []
    cursor = await conn.execute("SELECT count(*) FROM notices")
    assert await cursor.fetchone() == (0,)
    await record((FISHING, finding(0, 500)), now=later(500))  # it goes on
    assert (await keep(500, FISHING)).released == []
    (released,) = (await keep(601, FISHING)).released
    told = await seen(conn, alert)
    assert (released.id, told.suppressed, told.raised_at, told.armed_at) == (alert.id, None, later(601), later(601))
    case = await get_case(conn, told.case_id)
    assert case is not None and (case.status, case.unit) == ("opened", "fishery")
    assert len(await case_notices(conn, case.id)) == 2
    assert await what(conn, alert) == ["suppressed", "released"]
    assert (await keep(602, FISHING)).released == []


async def test_what_was_over_before_the_silence_is_never_told(
    record: Any, keep: Any, silence: Any, conn: AsyncConnection, finding: Make
) -> None:
    await silence(7200, rule="fishing_ban")
    (alert,) = await record((FISHING, finding()))
    kept = await keep(3700, FISHING)
    assert [a.id for a in kept.cleared] == [alert.id] and kept.released == []
    assert (await keep(7300, FISHING)).released == []
    stored = await seen(conn, alert)
    assert (stored.state, stored.case_id) == ("cleared", None)
    assert stored.suppressed is not None, "it stays to be seen why it was not told"


async def test_a_silence_ended_early_lets_it_be_told_and_one_made_late_marks_what_is_open(
    record: Any, keep: Any, silence: Any, conn: AsyncConnection, finding: Make
) -> None:
    (alert,) = await record((FISHING, finding()))
    made = await silence(600, rule="fishing_ban", area=LAKE)
    kept = await keep(1, FISHING)
    assert [a.id for a in kept.suppressed] == [alert.id]
    assert (await keep(2, FISHING)).suppressed == []
    ended = await end_silence(conn, made.id, Actor("li", "supervisor"), later(10))
    assert (ended.ended_by, ended.ended_at) == ("li", later(10))
    with pytest.raises(Refused, match="state"):
        await end_silence(conn, made.id, OPERATOR, later(11))
    assert [a.id for a in (await keep(12, FISHING)).released] == [alert.id]
    assert (await seen(conn, alert)).case_id == alert.case_id, "it has its case already"
    assert await actions(conn, alert) == ["raise", "alert_suppressed", "alert_released"]
    assert (await list_silences(conn, now=later(12)))[0] == [ended], "recorded for good"
    assert (await list_silences(conn, now=later(12), current=True))[0] == []


async def test_a_call_for_help_of_high_severity_is_told_in_any_silence(
    record: Any, keep: Any, silence: Any, conn: AsyncConnection, finding: Make
) -> None:
    await silence(600, area="320118000000")
    await make_window(conn, Window("zhang", NOW, "换", NOW, later(600), devices=("T1",)), OPERATOR, None)
    (alert,) = await record((SOS, finding(-1, 0, kind="sos", subject="T1", zone="")))
    assert alert.suppressed is None and alert.case_id is not None
    assert (await keep(5, SOS)).suppressed == []
    with pytest.raises(Refused, match="sos"):
        await silence(600, rules=(SOS,), rule="sos")


async def test_maintenance_of_a_zone_every_week(record: Any, keep: Any, conn: AsyncConnection, finding: Make) -> None:
    window = Window("zhang", NOW, "清淤", NOW, later(1800), zones=("ban",), weekly=True)
    made = await make_window(conn, window, OPERATOR, [LAKE])
    (alert,) = await record((FISHING, finding()))
    assert alert.suppressed is not None and (alert.suppressed.by, alert.suppressed.id) == ("maintenance", made.id)
    week = 7 * 86400
    (again,) = await record((FISHING, finding(week, week + 60)), now=later(week + 60))
    assert again.suppressed is not None
    (told,) = await record((FISHING, finding(week + 86400, week + 86401)), now=later(week + 86401))
    assert told.suppressed is None
    ended = await end_window(conn, made.id, OPERATOR, later(week + 90000))
    (free,) = await record((FISHING, finding(2 * week, 2 * week + 1)), now=later(2 * week + 1))
    assert free.suppressed is None
    assert (await list_windows(conn, now=later(week + 90001), current=False))[0] == [ended]
    assert (await list_windows(conn, areas=[TOWN], now=NOW))[0] == []
    assert (await list_windows(conn, areas=[LAKE], now=NOW))[0] == [ended]


async def test_a_silenced_alert_does_not_grow_more_severe(
    record: Any, keep: Any, silence: Any, conn: AsyncConnection, finding: Make
) -> None:
    rule = replace(FISHING, escalate=(Rise("high", after="1m"),))
    await silence(600, zone="ban")
    (alert,) = await record((rule, finding()))
    assert (await keep(120, rule)).escalated == []
    await keep(601, rule)
    assert (await keep(650, rule)).escalated == [], "its time counts from when it was told"
    assert [a.severity for a in (await keep(662, rule)).escalated] == ["high"]
    assert (await seen(conn, alert)).severity == "high"


# ── Inhibition ──────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_feed_that_is_down_keeps_its_terminals_silent_until_it_is_back(
    record: Any, keep: Any, conn: AsyncConnection, finding: Make
) -> None:
    (early,) = await record((QUIET, finding(kind="silence", subject="T1", zone="")))
    assert early.suppressed is None
    feed, other = await record(
        (QUIET, finding(-30, 1, kind="silence", subject="feed", zone="")),
        (QUIET, finding(-30, 1, kind="silence", subject="T2", zone="")),
        now=later(1),
    )
    assert feed.suppressed is None and other.suppressed.by == "inhibition" and other.suppressed.id == feed.id
    kept = await keep(5, QUIET)
    assert [a.id for a in kept.suppressed] == [early.id], "what was told before the feed was known to be down"
    await record((QUIET, finding(0, 250, kind="silence", subject="T2", zone="")), now=later(250))
    await record(
        (QUIET, replace(finding(-30, 260, kind="silence", subject="feed", zone=""), ends=True)), now=later(260)
    )
    kept = await keep(299, QUIET)
    assert sorted(a.id for a in kept.released) == [early.id, other.id]
    kept = await keep(310, QUIET)
    assert [a.id for a in kept.cleared] == [early.id], "it was quiet for its own clear_after"


# ── Groups ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_crowd_in_several_zones_of_a_street_is_one_group_with_one_case(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    (head,) = await record((CROWD, finding(zone="market", subject="market")))
    one, two = await record(
        (CROWD, finding(10, 20, zone="market", subject="square")),
        (CROWD, finding(10, 20, zone="market", subject="bridge")),
        now=later(20),
    )
    (far,) = await record((CROWD, finding(10, 20, zone="ban", subject="pier")), now=later(20))
    (late,) = await record((CROWD, finding(5000, 5010, zone="market", subject="stage")), now=later(5010))
    assert head.group_id == one.group_id == two.group_id == head.id
    assert head.case_id == one.case_id == two.case_id
    assert (far.group_id, late.group_id) == (far.id, late.id), "another street; and another time"
    assert len({head.case_id, far.case_id, late.case_id}) == 3
    assert await actions(conn, head) == ["raise", "alert_joined", "alert_joined"]
    listed, _ = await list_alerts(conn, grouped=True)
    assert [a.id for a in listed] == [late.id, far.id, two.id] or [a.id for a in listed] == [late.id, two.id, far.id]
    assert await group_sizes(conn, [head.id, far.id], Asked()) == {head.id: 3, far.id: 1}
    pages, before = [], None
    for _ in range(3):
        (page,), before = await list_alerts(conn, grouped=True, limit=1, before=before)
        pages.append(page.id)
    assert before is None and sorted(pages) == sorted(a.id for a in listed)


async def test_a_group_whose_case_has_ended_gets_a_new_one(record: Any, conn: AsyncConnection, finding: Make) -> None:
    (head,) = await record((CROWD, finding(zone="market", subject="market")))
    await act(conn, head.case_id, "void", Actor("li", "supervisor"), note="演练")
    (more,) = await record((CROWD, finding(10, 20, zone="market", subject="square")), now=later(20))
    assert more.group_id == head.id and more.case_id not in (None, head.case_id)


async def test_what_joins_a_group_whose_case_was_fed_back_gets_a_new_one(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    """Nobody is at the new place, and the case would be closed over it."""
    (head,) = await record((CROWD, finding(zone="market", subject="market")))
    case = await get_case(conn, head.case_id)
    assert case is not None
    unit = Actor("wang", "unit", unit=case.unit)
    for action, actor in (("dispatch", OPERATOR), ("accept", unit), ("feedback", unit)):
        await act(conn, case.id, action, actor, note="已疏散", now=NOW)
    (more,) = await record((CROWD, finding(10, 20, zone="market", subject="square")), now=later(20))
    assert more.group_id == head.id and more.case_id not in (None, head.case_id)
    (third,) = await record((CROWD, finding(20, 30, zone="market", subject="bridge")), now=later(30))
    assert third.case_id == more.case_id


async def test_the_group_in_a_list_is_of_those_that_are_asked_for(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    (head,) = await record((CROWD, finding(zone="market", subject="market")))
    (more,) = await record((CROWD, finding(10, 20, zone="market", subject="square")), now=later(20))
    await void_alert(conn, more.id, OPERATOR, "树影", NOW)
    found, _ = await list_alerts(conn, Asked(states=["open"]), grouped=True)
    assert [a.id for a in found] == [head.id]
    assert await group_sizes(conn, [head.id], Asked(states=["open"])) == {head.id: 1}


# ── Severity ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_severity_rises_with_time_count_and_is_told_once_for_each_step(
    record: Any, keep: Any, conn: AsyncConnection, finding: Make
) -> None:
    rule = replace(FISHING, severity="low", escalate=(Rise("medium", count=2), Rise("high", after="10m")))
    (alert,) = await record((rule, finding()))
    (more,) = await record((rule, finding(0, 10)), now=later(10))
    assert (more.severity, more.escalated_at) == ("medium", later(10))
    await record((rule, finding(0, 20)), now=later(20))
    assert (await keep(599, rule)).escalated == []
    assert [a.severity for a in (await keep(600, rule)).escalated] == ["high"]
    assert (await keep(700, rule)).escalated == []
    entries = [e for e in await case_entries(conn, alert.case_id) if e.action == "alert_escalated"]
    assert [e.data["severity"] for e in entries] == ["medium", "high"]
    assert entries[0].data["zh"] == "已检出 2 次，等级升为中"
    assert entries[1].data["en"] == "unacknowledged for 10 min: now high"
    notices = [n for n in await case_notices(conn, alert.case_id) if "等级升为" in n.reason]
    assert len(notices) == 4, "two steps, two contacts"
    assert (await verify_all(conn)).good


async def test_what_rose_is_told_as_severe_as_it_is_now(
    record: Any, keep: Any, conn: AsyncConnection, finding: Make
) -> None:
    """Else quiet hours hold it, and who wants to hear of what is severe does not."""
    rule = replace(FISHING, severity="low", escalate=(Rise("high", after="10m"),))
    await record((rule, finding()))
    await keep(600, rule)
    cursor = await conn.execute("SELECT severity, count(*) FROM notices GROUP BY severity ORDER BY severity")
    assert await cursor.fetchall() == [("high", 2), ("low", 2)], "two contacts"


async def test_while_readings_wait_nothing_clears_and_what_may_be_over_does_not_rise(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    rule = replace(FISHING, clear_after=300, escalate=(Rise("high", after="10m"),))
    await record((rule, finding()))

    async def keep(seconds: float) -> Any:
        return await upkeep(conn, [rule], later(seconds), clear=False)

    assert await keep(700) == Upkept()
    for seconds in (250, 500, 590):
        await record((rule, finding(seconds - 10, seconds)), now=later(seconds))
    assert [a.severity for a in (await keep(700)).escalated] == ["high"]
    assert len((await upkeep(conn, [rule], later(900))).cleared) == 1


async def test_who_has_acknowledged_it_in_time_keeps_it_from_rising(
    record: Any, keep: Any, conn: AsyncConnection, finding: Make
) -> None:
    rule = replace(FISHING, escalate=(Rise("high", after="10m"),))
    (alert,) = await record((rule, finding()))
    await acknowledge_alert(conn, alert.id, OPERATOR, later(60))
    assert (await keep(1200, rule)).escalated == []


async def test_at_night_it_is_raised_as_more_severe(record: Any, conn: AsyncConnection, finding: Make) -> None:
    rule = replace(FISHING, escalate=(Rise("high", night=True),))
    at = 13 * 3600  # 23:30 at the site
    (alert,) = await record((rule, finding(at, at + 1)), now=later(at + 1))
    assert alert.severity == "high"
    case = await get_case(conn, alert.case_id)
    assert case is not None and case.severity == "high"
    assert await actions(conn, alert) == ["raise", "alert_escalated"]


# ── One of two ──────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_two_alerts_that_late_readings_prove_to_be_one_become_one_and_both_cases_are_told(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    rule = replace(FISHING, clear_after=60.0)
    (older,) = await record((rule, finding(-500, -480)))
    (younger,) = await record((rule, finding(-200, -180)))
    assert older.case_id != younger.case_id
    kept, gone = await record((rule, finding(-490, -190)))
    assert (kept.id, gone.id, gone.merged_into) == (older.id, younger.id, older.id)
    stored, away = await seen(conn, older), await seen(conn, younger)
    assert (stored.first_seen, stored.last_seen, stored.count) == (older.first_seen, younger.last_seen, 3)
    assert (away.state, away.merged_into, away.case_id) == ("cleared", older.id, younger.case_id)
    assert (
        (await case_entries(conn, older.case_id))[-1]
        .data["zh"]
        .endswith("；其事件为 PG-20261120-0002，是否并案请人工决定")
    )
    assert "PG-20261120-0001" in (await case_entries(conn, younger.case_id))[-1].data["en"]
    assert await actions(conn, younger) == ["raise", "alert_merged"]
    assert await record((rule, finding(-490, -190)), (rule, finding(-200, -180))) == []
    assert [a.id for a in (await list_alerts(conn))[0]] == [older.id]
    assert {a.id for a in (await list_alerts(conn, Asked(merged=None)))[0]} == {older.id, younger.id}
    with pytest.raises(Refused, match="merged"):
        await void_alert(conn, younger.id, OPERATOR, "x")


async def test_what_goes_on_after_that_goes_on_in_the_one(record: Any, conn: AsyncConnection, finding: Make) -> None:
    rule = replace(QUIET, inhibited_by=(), clear_after=60.0, open_case=False)
    (older,) = await record((rule, finding(-500, -480)))
    await record((rule, finding(-200, -180)))
    await record((rule, finding(-490, -190)))
    (more,) = await record((rule, finding(-180, 0)))
    assert (more.id, more.last_seen) == (older.id, NOW)


# ── Many at once ────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_many_are_acknowledged_at_once_and_each_refusal_has_its_reason(
    record: Any, conn: AsyncConnection, finding: Make
) -> None:
    alerts = await record(*((FISHING, finding(subject=f"C{n}")) for n in range(4)))
    await void_alert(conn, alerts[1].id, OPERATOR, "树影", NOW)
    asked = [alerts[3].id, alerts[1].id, 10**9, alerts[0].id]
    outcomes = dict(await acknowledge_alerts(conn, asked, OPERATOR, later(5)))
    assert list(outcomes) == asked
    states = {n: o.code if isinstance(o, Refused) else o.state for n, o in outcomes.items()}
    assert list(states.values()) == ["acknowledged", "state", "not_found", "acknowledged"]
    assert (await seen(conn, alerts[2])).state == "open"
    assert (await actions(conn, alerts[0]))[-1] == "alert_acknowledged"
    with pytest.raises(ValueError, match="501"):
        await acknowledge_alerts(conn, list(range(501)), OPERATOR)
