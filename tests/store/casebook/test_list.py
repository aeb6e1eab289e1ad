"""The list of cases says what a plain look at all of them says, whatever is asked, and asks an index for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, get_args

import pytest
from psycopg import AsyncConnection

from alerts.case import Case
from alerts.transitions import FINAL, OPEN, STATUSES, Status
from devices.site import Site
from store.casebook import list_cases
from store.cases import CASE_SELECT, read_cases

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
TITLES = [
    "北岸有人垂钓",
    "垂钓者落水",
    "Fire at the pier",
    "集市聚集 crowd",
    "井盖 7 号缺失",
    "100% 覆盖_测试",
    "İstanbul",
]
TEXTS = ["垂钓", "钓垂", "fire", "PIER", "at the", "7", "7 号", "00", "0007", "PG-20261120-0012", "20261120", "pg-2026"]
TEXTS += ["PG-202611", "%", "_测", "100%", "PG-20251301", "20-00", "  垂钓  ", "北岸有人垂钓的人", "x" * 100]
_FILL = """
INSERT INTO cases (number, category, title, title_en, severity, status, area, unit, opened_at, due_at, closed_at,
    supervision, whistle, merged_into, status_before)
VALUES (%(number)s, %(category)s, %(title)s, %(title)s, %(severity)s, %(status)s, %(area)s, %(unit)s, %(opened_at)s,
    %(due_at)s, %(closed_at)s, %(supervision)s, %(whistle)s, %(into)s, %(before)s) RETURNING id
"""


@pytest.fixture
async def cases(conn: AsyncConnection, site: Site) -> list[Case]:
    """Two hundred of all sorts over five days, some opened at the very same moment, some with a part for the police."""
    chance = Random(11)
    for n in range(200):
        status: Status = chance.choice(get_args(Status)) if n else "opened"
        opened = NOW - timedelta(hours=chance.randrange(120))
        given = {
            "number": f"PG-{opened + timedelta(hours=8):%Y%m%d}-{n:04d}",
            "category": chance.choice(["fishing", "crowd", "sos"]),
            "title": chance.choice(TITLES),
            "severity": chance.choice(["low", "medium", "high"]),
            "status": status,
            "area": chance.choice([None, *site.areas]),
            "unit": chance.choice([None, "fishery", "police", "centre"]),
            "opened_at": opened,
            "due_at": opened + timedelta(days=2),
            "closed_at": NOW if status in FINAL else None,
            "supervision": chance.choice([0, 0, 1, 2, 3]),
            "whistle": chance.random() < 0.2,
            "into": 1 if status == "merged" else None,
            "before": "opened" if status == "merged" else None,
        }
        cursor = await conn.execute(_FILL, given)
        (case_id,) = await cursor.fetchone() or (0,)
        if given["whistle"]:
            await conn.execute(
                "INSERT INTO case_parts (case_id, unit, task, called_at, called_by, withdrawn)"
                " VALUES (%s, 'police', 't', %s, 'o', %s)",
                (case_id, opened, n % 2 == 0),
            )
    return sorted(await read_cases(conn, "", ()), key=lambda case: (case.opened_at, case.id), reverse=True)


def holds(case: Case, text: str) -> bool:
    """Whether somebody who reads the case would say that it matches."""
    text = text.strip().lower()
    if len(text) < 2:
        return False
    number = case.number.lower()
    if text in f"{case.title.zh} {case.title.en}".lower():
        return True
    return number.startswith(text) or number.removeprefix("pg-").startswith(text) or number.endswith(text)


Filter = tuple[str, Callable[[Random], Any], Callable[[Case, Any], bool]]
FILTERS: list[Filter] = [
    ("status", lambda r: r.choice(STATUSES), lambda c, v: c.status == v),
    ("status", lambda r: set(r.sample(STATUSES, 3)), lambda c, v: c.status in v),
    ("status", lambda r: set(OPEN), lambda c, v: c.status in v),
    ("unit", lambda r: r.choice(["", "fishery", "police"]), lambda c, v: (c.unit or "") == v),
    ("involved", lambda r: r.choice(["police", "centre"]), lambda c, v: c.unit == v or v in c.called),
    ("areas", lambda r: ["320118100000"], lambda c, v: c.area in v),
    ("areas", lambda r: ["320118100000", "320118101000"], lambda c, v: c.area in v),
    ("areas", lambda r: [], lambda c, v: False),
    ("categories", lambda r: r.sample(["fishing", "crowd", "x"], 2), lambda c, v: c.category in v),
    ("severities", lambda r: [r.choice(["low", "high"])], lambda c, v: c.severity in v),
    ("supervision", lambda r: r.randrange(4), lambda c, v: c.supervision >= v),
    ("overdue", lambda r: r.random() < 0.5, lambda c, v: v is (c.due_at < NOW and not c.ended)),
    ("text", lambda r: r.choice(TEXTS), holds),
]


async def test_any_filters_together_find_what_a_plain_look_finds(conn: AsyncConnection, cases: list[Case]) -> None:
    chance, found_some = Random(5), 0
    for _ in range(250):
        chosen = {name: (draw(chance), fits) for name, draw, fits in chance.sample(FILTERS, chance.randrange(1, 4))}
        asked = {name: value for name, (value, _) in chosen.items()}
        expected = [c.id for c in cases if all(fits(c, value) for value, fits in chosen.values())]
        page, following = await list_cases(conn, limit=7, now=NOW, **asked)
        seen = [case.id for case in page]
        while following is not None:
            page, following = await list_cases(conn, limit=7, now=NOW, before=following, **asked)
            seen += [case.id for case in page]
        assert seen == expected, asked
        found_some += len(seen) > 0
    assert found_some > 100, "the filters leave nothing: nothing was tested"


@pytest.mark.parametrize("newest", [1000, 100, 4])
async def test_every_text_is_found_among_the_newest_and_by_the_index(
    conn: AsyncConnection, cases: list[Case], monkeypatch: pytest.MonkeyPatch, newest: int
) -> None:
    monkeypatch.setattr("store.case_list._NEWEST", newest)
    monkeypatch.setattr("store.case_list._NEWEST_FEW", max(2, newest // 5))
    monkeypatch.setattr("store.case_list._NEWEST_OF_UNIT", newest // 2)
    for text in TEXTS:
        for involved in (None, "police"):
            mine = [c for c in cases if involved is None or c.unit == involved or involved in c.called]
            found, _ = await list_cases(conn, text=text, involved=involved, limit=50)
            assert [c.id for c in found] == [c.id for c in mine if holds(c, text)][:50], (text, involved)


ANSWERED_BY: list[tuple[dict[str, Any], str]] = [
    ({}, "cases_newest"),
    ({"status": set(OPEN)}, "cases_(not_ended|open)"),
    ({"status": "void"}, "cases_status"),
    ({"unit": "centre"}, "cases_unit"),
    ({"unit": ""}, "cases_unit"),
    ({"areas": ["320118101000"]}, "cases_area"),
    ({"categories": ["rare"]}, "cases_category"),
    ({"involved": "centre"}, "case_parts_"),
]


async def test_the_list_is_answered_by_an_index(
    conn: AsyncConnection, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await conn.execute(
        "INSERT INTO cases (number, category, title, title_en, severity, status, area, unit, opened_at, due_at,"
        " closed_at) SELECT 'PG-' || n, CASE WHEN n % 500 = 0 THEN 'rare' ELSE 'fishing' END, 't', 't', 'low',"
        " CASE WHEN n % 500 = 0 THEN 'void' WHEN n % 100 = 0 THEN 'opened' ELSE 'closed' END,"
        " CASE WHEN n % 500 = 0 THEN '320118101000' ELSE '320118100000' END,"
        " CASE WHEN n % 500 = 0 THEN 'centre' WHEN n % 501 = 0 THEN NULL ELSE 'fishery' END,"
        " now() - n * interval '1 minute', now(), now() FROM generate_series(1, 20000) n"
    )
    await conn.execute(
        "INSERT INTO case_parts (case_id, unit, task, called_at, called_by) SELECT id,"
        " CASE WHEN id % 400 = 0 THEN 'centre' ELSE 'police' END, 't', now(), 'o' FROM cases WHERE id % 4 = 0"
    )
    await conn.execute("ANALYZE cases, case_parts")
    asked_of: list[tuple[str, Any]] = []

    async def note(conn: AsyncConnection, source: str, arguments: Any) -> list[Case]:
        asked_of.append((source, arguments))
        return []

    for asked, index in ANSWERED_BY:
        assert len((await list_cases(conn, **asked))[0]) > 30
        with monkeypatch.context() as patched:
            patched.setattr("store.case_list._read", note)
            await list_cases(conn, **asked)
        source, arguments = asked_of[-1]
        answer = await conn.execute(f"EXPLAIN {CASE_SELECT} {source}".encode(), arguments)
        plan = "\n".join(line for (line,) in await answer.fetchall())
        assert re.search(index, plan), plan
        assert "Seq Scan on cases" not in plan, plan
