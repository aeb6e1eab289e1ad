"""The heat map over REST: whole hours, the account's area, and nobody's name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from store.heat import count_hours

Pool = AsyncConnectionPool[AsyncConnection]


@pytest.fixture
async def yesterday(move: Callable[..., Awaitable[None]], pool: Pool) -> None:
    """A terminal at the lake and one in town two hours ago, counted."""
    for code, lon, lat in (("T1", 118.88, 31.47), ("T1", 118.8801, 31.47), ("T2", 118.95, 31.40)):
        await move(code, lon, lat, ago=7200)
    async with pool.connection() as conn:
        await count_hours(conn, days=1, most=50)


async def test_cells_of_the_last_day(client: Any, yesterday: None) -> None:
    found = (await client("operator").get("/api/v1/heat")).json()
    assert (found["hours"], found["cell"], found["cut"]) == (24, 100.0, False)
    assert 1 <= found["counted"] <= 24
    assert sorted((round(x, 2), round(y, 2)) for x, y, *_ in found["cells"]) == [(118.88, 31.47), (118.95, 31.4)]
    assert set(found) == {"since", "until", "hours", "counted", "cell", "cells", "cut"}, "it names nobody"


async def test_an_account_with_an_area_sees_its_own(client: Any, yesterday: None) -> None:
    found = (await client("town_operator").get("/api/v1/heat")).json()
    assert [round(cell[0], 2) for cell in found["cells"]] == [118.95]


async def test_a_box_and_a_stretch(client: Any, yesterday: None) -> None:
    now = datetime.now(UTC)
    lake = {"box": "118.8,31.4,118.9,31.5"}
    found = (await client("admin").get("/api/v1/heat", params=lake)).json()
    assert [round(cell[0], 2) for cell in found["cells"]] == [118.88]
    before = {"until": (now - timedelta(hours=5)).isoformat()}
    assert (await client("admin").get("/api/v1/heat", params=before)).json()["cells"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": "2026-01-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"},
        {"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:30:00Z"},
        *({"box": box} for box in ("", "1,2,3", "a,b,c,d", "118.9,31.4,118.8,31.5", "nan,0,1,1", "0,0,1,91")),
    ],
)
async def test_what_makes_no_sense_is_refused(client: Any, wrong: dict[str, str]) -> None:
    answer = await client("admin").get("/api/v1/heat", params=wrong)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "wrong_value")
