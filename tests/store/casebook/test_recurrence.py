"""What is seen on after its case was closed: a closed case hides nothing that goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from alerts.alert import Alert
from alerts.case import Actor, Case
from alerts.duty import DutyMatrix
from alerts.rules import Rule
from alerts.suppression import Silence
from detectors.base import Finding
from devices.site import Site
from store.casebook import act, case_entries, case_notices, get_alert, get_case, record_findings, upkeep
from store.evidence import verify_all
from store.silences import end_silence, make_silence

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)  # a Friday, 10:30 at the site
FISHING = Rule("fishing_ban", "禁渔区垂钓", "Fishing", "fishing_ban", "medium", "fishing", clear_after=600)
SOS = Rule("sos", "一键求助", "SOS", "sos", "high", "sos", deadline="30m", dispatch="nearest", clear_after=600)
OPERATOR, CHIEF = Actor("zhang", "operator"), Actor("li", "supervisor")
Make = Callable[..., Finding]
Record = Callable[..., Any]


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def record(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> Record:
    async def run(rule: Rule, finding: Finding, seconds: float) -> list[Alert]:
        return await record_findings(conn, [(rule, finding)], site=site, duty=duty, now=later(seconds))

    return run


async def closed(conn: AsyncConnection, case_id: int, at: datetime) -> Case:
    """The case after people took it all the way."""
    case = await get_case(conn, case_id)
    assert case is not None
    steps: list[tuple[str, dict[str, Any]]] = [
        *([("explain_overdue", {})] if case.overdue(at) else []),
        *([("dispatch", {})] if case.status == "opened" else []),
        *([("accept", {})] if case.status in ("opened", "dispatched") else []),
        *(("feedback", {}), ("verify", {}), ("close", {"outcome": "劝离"})),
    ]
    for action, data in steps:
        case = await act(conn, case_id, action, CHIEF, note="好", data=data, now=at)
    return case


async def the_case(conn: AsyncConnection, alert: Alert) -> Case:
    case = await get_case(conn, alert.case_id or 0)
    assert case is not None
    return case


async def test_what_goes_on_opens_its_closed_case_again(conn: AsyncConnection, record: Record, finding: Make) -> None:
    (alert,) = await record(FISHING, finding(-60, 0), 0)
    before = await closed(conn, alert.case_id or 0, later(300))
    await record(FISHING, finding(100, 290), 310)
    assert (await the_case(conn, alert)).status == "closed", "that was before it was closed"
    (again,) = await record(FISHING, finding(300, 420), 430)
    assert again.case_id == alert.case_id
    case = await the_case(conn, alert)
    assert (case.status, case.reopened, case.outcome, case.supervision) == ("opened", 1, "", 0)
    assert case.due_at == datetime(2026, 11, 23, 2, 37, 10, tzinfo=UTC), "one working day, from now"
    assert case.due_at > before.due_at
    entry = (await case_entries(conn, case.id))[-1]
    assert (entry.action, entry.actor, entry.data["alert"], entry.data["until"]) == (
        "reopen",
        "system",
        alert.id,
        "1wd",
    )
    assert "结案后仍有检出（2026-11-20 10:37:00）" in entry.data["zh"]
    assert "seen after the close (2026-11-20 10:37:00)" in entry.data["en"]
    assert [n.target for n in await case_notices(conn, case.id) if "重新立案" in n.reason] == ["fishery"] * 2
    await record(FISHING, finding(430, 500), 510)
    assert (await the_case(conn, alert)).reopened == 1, "it is open already"
    assert (await verify_all(conn)).good


async def test_one_that_had_cleared_and_comes_back_opens_it_again_and_sends_the_nearest(
    conn: AsyncConnection, site: Site, duty: DutyMatrix, record: Record, finding: Make, place: Any
) -> None:
    await place("T2", 118.885, 31.47)
    (alert,) = await record(SOS, finding(-60, 0, kind="sos", subject="T1"), 0)
    await act(conn, alert.case_id or 0, "accept", CHIEF, now=later(5))
    await closed(conn, alert.case_id or 0, later(300))
    await upkeep(conn, [SOS], later(650), site=site, duty=duty)
    gone = await get_alert(conn, alert.id)
    assert gone is not None and gone.state == "cleared"
    await place("T2", 118.885, 31.47, age=-640)
    (back,) = await record(SOS, finding(580, 640, kind="sos", subject="T1"), 660)
    assert (back.state, back.acked_by) == ("open", None), "it waits for somebody again"
    case = await the_case(conn, alert)
    assert (case.status, case.terminal, case.reopened) == ("dispatched", "T2", 1)
    assert case.due_at == later(660 + 30 * 60), "the rule's own deadline"
    entries = {e.action: e.data for e in await case_entries(conn, case.id)}
    assert entries["reopen"]["deadline_by"] == "rule"
    assert [e.action for e in await case_entries(conn, case.id)][-3:] == ["reopen", "dispatch", "alert_reopened"]


async def test_what_is_kept_silent_opens_it_when_it_is_told(
    conn: AsyncConnection, site: Site, duty: DutyMatrix, record: Record, finding: Make
) -> None:
    (alert,) = await record(FISHING, finding(-60, 0), 0)
    await closed(conn, alert.case_id or 0, later(10))
    asked = Silence(OPERATOR.name, later(20), "演练", later(20), later(7200), rule=FISHING.code)
    silence = await make_silence(conn, asked, OPERATOR, [FISHING], None)
    await upkeep(conn, [FISHING], later(30), site=site, duty=duty)
    await record(FISHING, finding(30, 60), 70)
    assert (await the_case(conn, alert)).status == "closed"
    await end_silence(conn, silence.id, OPERATOR, later(80))
    await upkeep(conn, [FISHING], later(90), site=site, duty=duty)
    assert (await the_case(conn, alert)).status == "opened"


async def test_what_was_called_a_false_alarm_stays_so_and_a_new_episode_has_its_own_case(
    conn: AsyncConnection, record: Record, finding: Make
) -> None:
    (alert,) = await record(FISHING, finding(-60, 0), 0)
    await act(conn, alert.case_id or 0, "void", OPERATOR, note="稻草人", now=later(10))
    await record(FISHING, finding(10, 60), 70)
    assert (await the_case(conn, alert)).status == "void"
    (other,) = await record(FISHING, finding(800, 860), 870)
    assert other.id != alert.id
    assert (await the_case(conn, other)).status == "opened"


STEPS = st.lists(
    st.tuples(st.sampled_from(["see", "see", "close", "silence", "speak", "keep"]), st.integers(1, 500)),
    min_size=4,
    max_size=25,
)
_subjects = count()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_no_closed_case_hides_what_was_seen_since(
    conn: AsyncConnection, site: Site, duty: DutyMatrix, finding: Make, record: Record, steps: list[tuple[str, int]]
) -> None:
    """Whatever is found, closed, silenced and told, in any order: what is told and seen is in no closed case."""
    subject, at, silence = f"S{next(_subjects)}", 0.0, 0
    rule = replace(FISHING, code=f"fishing {subject}")  # a silence of its own
    ids: set[int] = set()
    for step, seconds in steps:
        at += seconds
        if step == "see":
            ids |= {a.id for a in await record(rule, finding(at - seconds / 2, at - 1, subject=subject), at)}
        elif step == "close":
            for case in [await the_case(conn, a) for a in await _alerts(conn, ids) if a.case_id is not None]:
                if case.status != "closed":
                    await closed(conn, case.id, later(at))
        elif step == "silence" and not silence:
            asked = Silence("zhang", later(at), "演练", later(at), later(at + 90_000), rule=rule.code)
            silence = (await make_silence(conn, asked, OPERATOR, [rule], None)).id
        elif step == "speak" and silence:
            await end_silence(conn, silence, OPERATOR, later(at))
            silence = 0
        await upkeep(conn, [rule], later(at), site=site, duty=duty)
        for alert in await _alerts(conn, ids):
            if alert.live and alert.suppressed is None:
                its = await the_case(conn, alert)
                assert its.status != "closed" or (its.closed_at or NOW) >= alert.last_seen, step
    if silence:
        await end_silence(conn, silence, OPERATOR, later(at))


async def _alerts(conn: AsyncConnection, ids: set[int]) -> list[Alert]:
    found = [await get_alert(conn, number) for number in sorted(ids)]
    return [alert for alert in found if alert is not None]
