"""The figures by the rows and by the timelines agree, whatever was done to the cases; and those of a known history."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from psycopg import AsyncConnection

from alerts.assessment import Figures, Rounds, by_area, by_unit, figures, without_rounds
from alerts.case import Actor, Refused
from alerts.duty import DutyMatrix
from alerts.transitions import TRANSITIONS
from devices.site import Site
from store.assessment import case_facts, case_facts_by_entries, rounds_made
from store.cases import act, report_case
from tests.store.casebook.conftest import LAKE, NOW, TOWN

CHIEF = Actor("zhou", "admin")
PLACES = [(118.88, 31.47), (118.955, 31.405), (None, None)]


async def reported(conn: AsyncConnection, site: Site, duty: DutyMatrix, draw: random.Random, at: datetime) -> int:
    lon, lat = draw.choice(PLACES)
    case = await report_case(
        conn,
        actor=CHIEF,
        category=draw.choice(["fishing", "crowd", "illegal_fishing", "litter"]),
        title="有人报告",
        severity=draw.choice(["low", "medium", "high"]),
        site=site,
        duty=duty,
        lon=lon,
        lat=lat,
        now=at,
    )
    return case.id


def wish(draw: random.Random, cases: list[int], at: datetime) -> dict[str, object]:
    return {
        "unit": draw.choice(["fishery", "police", "centre"]),
        "units": ["police", "centre"],
        "outcome": "已处理",
        "resolution": draw.choice(["", "on_spot", "followed_up"]),
        "until": (at + timedelta(days=3)).isoformat(),
        "into": draw.choice(cases),
        "participants": ["渔政队", "派出所"],
    }


STRAIGHT = ["open", "assign", "dispatch", "accept", "explain_overdue", "feedback", "verify", "close"]


async def a_month(conn: AsyncConnection, site: Site, duty: DutyMatrix, seed: int) -> int:
    """Cases over thirty days, each taken some way along the chain, and then by chance; how many were closed once."""
    draw, cases, closings = random.Random(seed), [], 0
    for day in range(30):
        at = NOW - timedelta(days=30 - day)
        cases.append(await reported(conn, site, duty, draw, at))
        for _ in range(12):
            at += timedelta(hours=draw.uniform(0, 2))
            case = draw.choice(cases)
            steps = STRAIGHT if draw.random() < 0.75 else draw.choices(sorted(TRANSITIONS), k=5)
            for action in steps:
                at += timedelta(minutes=draw.uniform(0, 9))
                try:
                    after = await act(conn, case, action, CHIEF, note="说明", data=wish(draw, cases, at), now=at)
                except Refused:
                    continue
                closings += after.status == "closed" and action == "close"
    return closings


async def test_rows_and_timelines_give_the_same_figures(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> None:
    assert await a_month(conn, site, duty, seed=11) > 5
    told = 0
    for days_ago, length in ((30, 30), (20, 7), (10, 1), (3, 10), (60, 20)):
        since = NOW - timedelta(days=days_ago)
        until = since + timedelta(days=length)
        by_row = await case_facts(conn, since, until)
        by_entry = await case_facts_by_entries(conn, since, until)
        assert by_row == by_entry
        assert by_unit(by_row, [], since, until) == by_unit(by_entry, [], since, until)
        told += figures(by_row, [], since, until).closed
    assert told > 5


async def test_a_known_history(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> None:
    draw = random.Random(1)
    first, second, third = [await reported(conn, site, duty, draw, NOW) for _ in range(3)]
    await conn.execute(
        "UPDATE cases SET due_at = opened_at + interval '1 day', category = 'illegal_fishing', area = %s", (LAKE,)
    )
    done = {"outcome": "已劝离", "resolution": "on_spot", "unit": "fishery"}
    for number, (case, hours) in enumerate(((first, 2), (second, 30))):
        for action in STRAIGHT:
            if action == "explain_overdue" and hours < 24:
                continue
            await act(
                conn, case, action, CHIEF, note="劝离", data=done, now=NOW + timedelta(hours=hours, seconds=number)
            )
    await act(conn, third, "void", CHIEF, note="误报", now=NOW)
    since, until = NOW - timedelta(hours=1), NOW + timedelta(days=3)
    facts = await case_facts(conn, since, until)
    found = figures(facts, [], since, until)
    assert (found.found, found.due, found.closed, found.dissuasions, found.on_spot) == (2, 2, 2, 2, 2)
    assert (found.closure_rate, found.on_time_rate) == (1.0, 0.5)
    assert found.handling_mean is not None
    assert 15.9 < found.handling_mean < 16.1
    assert found.handling_p90 is not None
    assert 29.9 < found.handling_p90 < 30.1
    await act(
        conn, first, "reopen", CHIEF, note="又来了", data={"until": (NOW + timedelta(days=9)).isoformat()}, now=until
    )
    later = figures(await case_facts(conn, until, until + timedelta(days=1)), [], until, until + timedelta(days=1))
    assert later.reopened == 1
    # Seen from the day before the second was closed, late: it was overdue then, whatever became of it.
    day = NOW + timedelta(hours=25)
    assert figures(await case_facts(conn, since, day), [], since, day).overdue == 1
    areas = by_area(facts, [], site.lineage, since, until)
    assert areas[LAKE].closed == 2
    assert TOWN not in areas


async def test_rounds_end_where_a_terminal_visits_nothing_for_two_hours(conn: AsyncConnection, site: Site) -> None:
    await conn.execute(
        "INSERT INTO zones (code, kind, name, name_en, area, geometry) VALUES"
        " ('K1', 'checkpoint', '一', 'One', %s, '{}'), ('K2', 'patrol', '二', 'Two', %s, '{}') ON CONFLICT DO NOTHING",
        (LAKE, TOWN),
    )
    await conn.execute("TRUNCATE visits")
    device = site.registry.resolve("T1")
    assert device is not None
    for hours, zone in ((0, "K1"), (0.5, "K2"), (1.5, "K1"), (5, "K1"), (30, "K2")):
        at = NOW + timedelta(hours=hours)
        await conn.execute(
            "INSERT INTO visits VALUES (%s, %s, %s, %s)", (device.id, zone, at, at + timedelta(minutes=5))
        )
    done = await rounds_made(conn, NOW, NOW + timedelta(days=1))
    assert done == [Rounds(None, LAKE, 2, 3), Rounds(None, TOWN, 0, 1)]
    whole = figures([], done, NOW, NOW + timedelta(days=1))
    assert (whole.patrols, whole.visits) == (2, 4)
    assert without_rounds(whole) == Figures()
