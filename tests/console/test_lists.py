"""Pages: followed to the end, they give every item exactly once, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

Clients = Callable[[str | None], httpx.AsyncClient]
Pool = AsyncConnectionPool[AsyncConnection]
LAKE, TOWN = "320118100000", "320118101000"

# Several rows of the same moment: the order must not rest on time alone.
ALERTS = """INSERT INTO alerts (rule, kind, subject, zone, fingerprint, episode, severity, state, raised_at, first_seen,
    last_seen, lon, lat, score, sentence_zh, sentence_en, evidence, area)
    SELECT CASE WHEN mod(n, 2) = 0 THEN 'even' ELSE 'odd' END, 'k', n::text, '', n::text, now(), 'low',
        (ARRAY['open', 'cleared', 'void'])[1 + mod(n, 3)], date_trunc('hour', now()) - make_interval(hours => n / 7),
        now(), now(), 118.88, 31.47, 0.5, '', '', '{}', CASE WHEN mod(n, 5) < 2 THEN %s ELSE %s END
    FROM generate_series(1, 53) AS n"""
CASES = """INSERT INTO cases (number, category, title, title_en, severity, status, area, unit, opened_at, due_at)
    SELECT 'PG-' || n, 'c', '', '', 'low', CASE WHEN mod(n, 4) = 0 THEN 'closed' ELSE 'opened' END,
        CASE WHEN mod(n, 5) < 2 THEN %s ELSE %s END, (ARRAY['fishery', 'police', NULL])[1 + mod(n, 3)],
        date_trunc('hour', now()) - make_interval(hours => n / 7),
        now() + make_interval(hours => CASE WHEN mod(n, 2) = 0 THEN 1 ELSE -1 END)
    FROM generate_series(1, 53) AS n"""
REJECTS = """INSERT INTO rejects (digest, topic, payload, reason, detail, received, last_seen)
    SELECT sha256(n::text::bytea), 't/' || n, '\\x00', 'not_json', '', now(),
        date_trunc('hour', now()) - make_interval(hours => n / 7) FROM generate_series(1, 53) AS n"""


@pytest.fixture
async def many(pool: Pool, no_cases: None) -> None:
    """53 alerts, cases and rejects."""
    async with pool.connection() as conn:
        await conn.execute(ALERTS, (TOWN, LAKE))
        await conn.execute(CASES, (TOWN, LAKE))
        await conn.execute(REJECTS.encode())


async def followed(client: httpx.AsyncClient, path: str, **params: Any) -> list[list[dict[str, Any]]]:
    """All pages of a list."""
    pages: list[list[dict[str, Any]]] = []
    before: int | None = None
    while True:
        given = params if before is None else {**params, "before": before}
        answer = await client.get(path, params=given)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()["items"])
        before = answer.json()["next"]
        if before is None:
            return pages
        assert before == pages[-1][-1]["id"]
        assert len(pages) <= 60


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(("path", "time"), [("alerts", "raised_at"), ("cases", "opened_at"), ("rejects", "last_seen")])
async def test_pages_cover_everything_once(client: Clients, path: str, time: str) -> None:
    for limit in (1, 2, 7, 26, 52, 53, 54, 500):
        pages = await followed(client("admin"), f"/api/v1/{path}", limit=limit)
        items = [item for page in pages for item in page]
        assert sorted(item["id"] for item in items) == list(range(1, 54)), limit
        assert [(i[time], i["id"]) for i in items] == sorted(((i[time], i["id"]) for i in items), reverse=True)
        assert all(len(page) == limit for page in pages[:-1])
        assert pages[-1], "no empty page at the end"


@pytest.mark.usefixtures("many")
async def test_pages_of_what_is_asked_for_and_may_be_seen(client: Clients) -> None:
    town = {n for n in range(1, 54) if n % 5 < 2}
    asked: list[tuple[str, str, dict[str, Any], set[int]]] = [
        ("admin", "alerts", {"state": "open"}, {n for n in range(1, 54) if n % 3 == 0}),
        ("admin", "alerts", {"rule": "even", "state": "void"}, {n for n in range(1, 54) if n % 2 == 0 and n % 3 == 2}),
        ("town_operator", "alerts", {}, town),
        ("town_operator", "cases", {}, town),
        ("admin", "cases", {"status": "closed"}, set(range(4, 54, 4))),
        ("admin", "cases", {"unit": "police"}, {n for n in range(1, 54) if n % 3 == 1}),
        ("admin", "cases", {"unit": "-"}, {n for n in range(1, 54) if n % 3 == 2}),
        ("unit", "cases", {}, {n for n in range(1, 54) if n % 3 == 0}),
        ("admin", "cases", {"overdue": "true"}, {n for n in range(1, 54) if n % 2 and n % 4}),
        ("admin", "cases", {"overdue": "false"}, {n for n in range(1, 54) if not (n % 2 and n % 4)}),
    ]
    for who, path, params, expected in asked:
        pages = await followed(client(who), f"/api/v1/{path}", limit=5, **params)
        found = [item["id"] for page in pages for item in page]
        assert len(found) == len(set(found))
        assert set(found) == expected, (who, path, params)


@pytest.mark.usefixtures("no_cases")
@pytest.mark.parametrize("path", ["alerts", "cases", "rejects"])
async def test_an_empty_list_is_one_empty_page(client: Clients, path: str) -> None:
    assert (await client("admin").get(f"/api/v1/{path}")).json() == {"items": [], "next": None}


@pytest.mark.parametrize("path", ["alerts", "cases", "rejects"])
@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 501}, {"limit": "many"}, {"before": 0}, {"before": 2**63}])
async def test_senseless_pages_are_refused(client: Clients, path: str, params: dict[str, Any]) -> None:
    answer = await client("admin").get(f"/api/v1/{path}", params=params)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "wrong_value")
    assert next(iter(params)) in answer.json()["error"]["en"]
