"""A backtest is asked for over REST, runs beside the console, and shows what it found."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from console.app import create_app
from server.backtest_jobs import BacktestJobs
from server.services import Addresses
from store.backtests import ask_backtest, end_backtest, get_backtest, note_progress, take_backtest

Clients = Callable[[str | None], httpx.AsyncClient]
Pool = AsyncConnectionPool[AsyncConnection]
NOW = datetime.now(UTC).replace(microsecond=0)
ORDER = {
    "rule": "sos",
    "since": (NOW - timedelta(hours=2)).isoformat(),
    "until": NOW.isoformat(),
    "set": {"repeat": "1m"},
}


@pytest.fixture
async def app(pool: Pool, database_url: str, tokens: dict[str, str], mqtt_url: str) -> FastAPI:
    """A console that runs backtests as a real one does."""
    assert Path(sys.executable).with_name("patrolgrid").exists()
    jobs = BacktestJobs(Addresses(database_url=database_url, mqtt_url=mqtt_url))
    return create_app(pool, database_url=database_url, mqtt_url=mqtt_url, start_backtests=jobs.start)


async def test_it_runs_and_its_result_is_there(client: Clients) -> None:
    asked = await client("operator").post("/api/v1/backtests", json=ORDER)
    assert asked.status_code == 202, asked.text
    number = asked.json()["id"]
    async with asyncio.timeout(60):
        while (found := (await client("operator").get(f"/api/v1/backtests/{number}")).json())["state"] != "done":
            assert found["state"] != "failed", found["error"]
            await asyncio.sleep(0.2)
    assert found["progress"] == 1
    assert found["result"]["proposed"]["settings"]["repeat"] == 60
    assert found["result"]["counts"]["added"] == len(found["result"]["added"])
    listed = (await client("supervisor").get("/api/v1/backtests")).json()["items"]
    assert [item["id"] for item in listed] == [number]


async def test_its_evidence_is_shown_as_that_of_an_alert(client: Clients, pool: Pool) -> None:
    """A round of the town, walked by a terminal of the lake: its line is not for the town's desk."""
    walked = {"type": "Feature", "geometry": None, "properties": {"part": "walked", "device": "T1"}}
    alert = {
        "subject": "R 2026-11-22 08:00",
        "zone": "market",
        "area": "320118101000",
        "first_seen": ORDER["since"],
        "last_seen": ORDER["until"],
        "lon": None,
        "lat": None,
        "score": 0.9,
        "sentence": {"zh": "", "en": ""},
        "evidence": {"geojson": {"type": "FeatureCollection", "features": [walked]}, "numbers": {}},
    }
    side = {"settings": {}, "clear_after": 300.0}
    counts = {"present": 1, "proposed": 1, "kept": 1, "added": 0, "gone": 0}
    result = {"detector": "route", "readings": 1, "counts": counts, "present": side, "proposed": side}
    async with pool.connection() as conn:
        number = await ask_backtest(conn, "route", {}, NOW - timedelta(hours=1), NOW, "op")
        await end_backtest(conn, number, result={**result, "kept": [alert], "added": [], "gone": []})
    for who, shown in (("operator", True), ("town_operator", False)):
        answer = await client(who).get(f"/api/v1/backtests/{number}")
        assert answer.status_code == 200, answer.text
        (kept,) = answer.json()["result"]["kept"]
        assert (kept["evidence"] is not None) is shown, who


async def test_what_can_be_tried(client: Clients) -> None:
    rules = (await client("operator").get("/api/v1/backtests/thresholds")).json()
    sos = next(rule for rule in rules if rule["rule"] == "sos")
    assert next(t for t in sos["thresholds"] if t["name"] == "repeat") == {
        "name": "repeat",
        "label": {"zh": "同一次求救的间隔", "en": "calls closer than this are one"},
        "unit": "s",
        "value": 300,
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rule": "nothing"}, "There is no rule"),
        ({"set": {"repeet": "1m"}}, "repeat"),
        ({"set": {"repeat": "soon"}}, "such as 30s"),
        ({"since": NOW.isoformat()}, "past"),
        ({"since": (NOW - timedelta(days=200)).isoformat()}, "92 days"),
    ],
)
async def test_what_cannot_be_run_is_refused_with_the_reason(
    client: Clients, change: dict[str, object], said: str
) -> None:
    answer = await client("operator").post("/api/v1/backtests", json=ORDER | change)
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["error"]["en"]


async def test_who_may(client: Clients) -> None:
    for role, status in (("viewer", 403), ("unit", 403), (None, 401)):
        assert (await client(role).post("/api/v1/backtests", json=ORDER)).status_code == status
    assert (await client("operator").get("/api/v1/backtests/999999")).status_code == 404


async def test_one_runs_at_a_time_and_an_abandoned_one_makes_room(pool: Pool) -> None:
    span = (NOW - timedelta(hours=1), NOW)
    async with pool.connection() as conn:
        first = await ask_backtest(conn, "sos", {}, *span, "op")
        second = await ask_backtest(conn, "sos", {}, *span, "op")
        taken = await take_backtest(conn)
        assert taken is not None
        assert taken.id == first
        assert await take_backtest(conn) is None
        await note_progress(conn, first, 0.5)
        await conn.execute("UPDATE backtests SET seen_at = now() - interval '10 minutes' WHERE id = %s", (first,))
        taken = await take_backtest(conn)
        assert taken is not None
        assert taken.id == second
        await end_backtest(conn, second, error="why")
        states = [found.state for n in (first, second) if (found := await get_backtest(conn, n))]
    assert states == ["failed", "failed"]
