"""The figures over HTTP: JSON, CSV, PDF and page agree, and an account counts only what it may see."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pypdfium2
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.case import Actor
from alerts.digest import period
from devices.site import CHINA
from store.cases import act, report_case
from store.registry import load_duty, load_site

Clients = Callable[[str | None], httpx.AsyncClient]
Pool = AsyncConnectionPool[AsyncConnection]
CHIEF = Actor("zhou", "admin")
STEPS = ("open", "assign", "dispatch", "accept", "feedback", "verify", "close")


@pytest.fixture
async def week(pool: Pool, tokens: dict[str, str]) -> str:
    """Two weeks of cases, those of the second closed more slowly; a day of the second."""
    day = datetime.now(UTC) - timedelta(days=10)
    async with pool.connection() as conn:
        await conn.set_autocommit(True)
        site, duty = await load_site(conn), await load_duty(conn)
        cursor = await conn.execute("SELECT count(*) FROM cases WHERE title = '考核用'")
        done = await cursor.fetchone() != (0,)
        monday = period("week", day.astimezone(CHINA).date())[0]
        for number in range(0 if done else 14):
            at = monday + timedelta(days=1 if number < 7 else -6, hours=number % 7)
            case = await report_case(
                conn, actor=CHIEF, category="fishing", title="考核用", severity="low", site=site, duty=duty,
                lon=118.88, lat=31.47, now=at,
            )  # fmt: skip
            hours = 30 if number < 7 else 2
            data = {"unit": "fishery" if number % 2 else "police", "outcome": "好", "resolution": "on_spot"}
            for step in STEPS if number % 7 < 6 else ():
                at += timedelta(hours=hours / 7)
                await act(conn, case.id, step, CHIEF, note="说明", data=data, now=at)
        await conn.set_autocommit(False)
    return f"period=week&date={day.astimezone(CHINA).date().isoformat()}"


async def test_json_csv_pdf_and_page_say_the_same(client: Clients, week: str) -> None:
    boss = client("supervisor")
    plain = (await boss.get(f"/api/v1/assessment?{week}")).json()
    assert plain["total"]["now"]["found"] == 7
    assert plain["total"]["now"]["closed"] == plain["total"]["before"]["closed"] == 6
    assert plain["total"]["now"]["handling_mean"] == pytest.approx(30, abs=0.1)
    assert {group["code"] for group in plain["groups"]} == {"fishery", "police", None} - (
        set() if any(g["code"] is None for g in plain["groups"]) else {None}
    )
    table = (await boss.get(f"/api/v1/assessment/csv?{week}&lang=en")).content
    assert table.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    assert rows[-1]["name"] == "all"
    assert rows[-1]["hazards found"] == "7"
    assert len(rows) == len(plain["groups"]) + 1
    for lang, title in (("zh", "综治工作周报"), ("en", "Weekly digest")):
        page = await boss.get(f"/assessment?{week}&lang={lang}")
        assert page.status_code == 200
        assert title in page.text
        assert "<script" not in page.text
        file = await boss.get(f"/api/v1/assessment/pdf?{week}&lang={lang}")
        assert file.headers["content-type"] == "application/pdf"
        document = pypdfium2.PdfDocument(file.content)
        text = "".join(document[number].get_textpage().get_text_bounded() for number in range(len(document)))
        assert title in text.replace("\r\n", "")
        assert "30.0 h" in text


async def test_what_got_worse_is_named(client: Clients, week: str) -> None:
    plain = (await client("supervisor").get(f"/api/v1/assessment?{week}&by=area")).json()
    assert any(point["figure"] == "handling_mean" for point in plain["weak_points"])
    assert all(point["sentence"]["zh"] and point["sentence"]["en"] for point in plain["weak_points"])
    codes = [group["code"] for group in plain["groups"]]
    assert len(codes) == len(set(codes))


async def test_a_unit_is_shown_its_own(client: Clients, week: str) -> None:
    plain = (await client("unit").get(f"/api/v1/assessment?{week}")).json()
    assert {group["code"] for group in plain["groups"]} <= {"fishery"}


@pytest.mark.parametrize(
    "query",
    [
        "since=2026-01-01T00:00:00Z",
        "since=2026-01-01T00:00:00Z&until=2025-01-01T00:00:00Z",
        "since=2020-01-01T00:00:00Z&until=2026-01-01T00:00:00Z",
        "since=2026-01-01T00:00:00&until=2026-01-02T00:00:00",
        "period=year",
        "date=9999-12-31",
        "date=0001-01-01",
        "since=9999-12-01T00:00:00Z&until=9999-12-31T00:00:00Z",
        "since=0001-01-01T00:00:00%2B08:00&until=0001-01-02T00:00:00Z",
        "date=yesterday",
        "by=person",
    ],
)
async def test_wrong_questions_are_refused(client: Clients, query: str) -> None:
    assert (await client("supervisor").get(f"/api/v1/assessment?{query}")).status_code == 422


async def test_without_a_log_in_there_is_nothing(client: Clients) -> None:
    assert (await client(None).get("/api/v1/assessment")).status_code == 401
    assert (await client(None).get("/assessment")).status_code == 303
