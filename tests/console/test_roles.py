"""Every route for every role: allowed or refused. A route without a line here fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from psycopg import AsyncConnection

from store.accounts import create_account, log_in

Clients = Callable[[str | None], httpx.AsyncClient]
Rules = dict[tuple[str, str], set[str]]


def routes(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of everything the app answers."""
    found = set()
    for route in iter_route_contexts(app.routes):
        methods = getattr(route, "methods", None) or {"GET"}
        found |= {(method, str(route.path)) for method in methods - {"HEAD"}}
    return found


def test_every_route_has_a_rule(app: FastAPI, rules: Rules) -> None:
    assert routes(app) == set(rules)


async def ask(person: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Response:
    """Ask for things that do not exist, with an empty body: who may ask is told so, and nothing is changed."""
    address = path.format(
        code="T1",
        sha256="0" * 64,
        report_id=10**9,
        seq=1,
        alert_id=10**9,
        case_id=10**9,
        backtest_id=10**9,
        reject_id=10**9,
        silence_id=10**9,
        window_id=10**9,
    )
    return await person.request(method, address, **({"json": {}} if method == "POST" else {}), **more)


def problem(allowed: set[str], method: str, path: str, who: str, answer: httpx.Response) -> str | None:
    """What is wrong with an answer, if anything."""
    told = f"{who} {method} {path}: {answer.status_code} {answer.text[:200]}"
    if path in ("/", "/assessment") and who not in allowed:
        return None if (answer.status_code, answer.headers["location"]) == (303, "/login") else told
    if who in allowed:
        failed = answer.status_code >= 500 and path not in ("/api/v1/live", "/readyz")
        return told if failed or answer.status_code in (401, 403) else None
    expected = (401, "not_logged_in") if who == "nobody" else (403, "forbidden")
    error = answer.json()["error"]
    return None if (answer.status_code, error["code"]) == expected and error["zh"] and error["en"] else told


@pytest.mark.parametrize("who", ["nobody", "viewer", "operator", "unit", "supervisor", "admin", "grid"])
async def test_every_route_for_a_role(app: FastAPI, client: Clients, rules: Rules, who: str) -> None:
    app.state.desk.live.close()  # a stream has no end: with its hub closed it answers 503 to whom it would let in
    problems = []
    for (method, path), allowed in sorted(rules.items()):
        logs_out = (method, path) == ("DELETE", "/api/v1/session")
        person = client(None if who == "nobody" or logs_out else who)
        problems.append(problem(allowed, method, path, who, await ask(person, method, path)))
    assert not [p for p in problems if p]


async def test_a_one_time_password_opens_nothing_but_its_own_change(
    app: FastAPI, client: Clients, rules: Rules, one_time: str
) -> None:
    app.state.desk.live.close()
    cookie = {"Cookie": f"patrolgrid_session={one_time}"}
    for (method, path), allowed in sorted(rules.items()):
        if "nobody" in allowed:
            continue
        answer = await ask(client(None), method, path, headers=cookie)
        if path in ("/api/v1/me", "/api/v1/me/password"):
            assert answer.status_code in (200, 422), path
        elif path in ("/", "/assessment"):
            assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        else:
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "password_change_required"), path


@pytest.fixture(scope="module")
def one_time(database_url: str, tokens: dict[str, str]) -> str:
    """A session of an admin who has still to change the one-time password."""

    async def prepare() -> str:
        async with await AsyncConnection.connect(database_url) as conn:
            await create_account(
                conn, name="new", display="New", role="admin", password="abcd-efgh-ijkm", one_time=True
            )
            await conn.commit()
            return await log_in(conn, "new", "abcd-efgh-ijkm")

    return asyncio.run(prepare())
