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

ALL = {"viewer", "operator", "unit", "supervisor", "admin"}
STAFF = ALL - {"viewer"}
DESK = {"operator", "supervisor", "admin"}
PUBLIC: set[str] = ALL | {"nobody"}

RULES: dict[tuple[str, str], set[str]] = {
    ("POST", "/api/v1/session"): PUBLIC,
    ("DELETE", "/api/v1/session"): PUBLIC,
    ("GET", "/api/v1/me"): ALL,
    ("POST", "/api/v1/me/password"): ALL,
    ("GET", "/api/v1/site"): ALL,
    ("GET", "/api/v1/devices"): ALL,
    ("GET", "/api/v1/positions"): ALL,
    ("GET", "/api/v1/devices/{code}/track"): STAFF,
    ("GET", "/api/v1/alerts"): ALL,
    ("GET", "/api/v1/alerts/{alert_id}"): ALL,
    ("POST", "/api/v1/alerts/{alert_id}/acknowledge"): STAFF,
    ("POST", "/api/v1/alerts/{alert_id}/void"): DESK,
    ("GET", "/api/v1/cases"): ALL,
    ("POST", "/api/v1/cases"): STAFF,
    ("GET", "/api/v1/cases/{case_id}"): ALL,
    ("POST", "/api/v1/cases/{case_id}/actions"): STAFF,
    ("GET", "/api/v1/rejects"): DESK,
    ("POST", "/api/v1/rejects/{reject_id}/replay"): DESK,
    ("GET", "/api/v1/live"): ALL,
    ("GET", "/api/v1/openapi.json"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/login"): PUBLIC,
    ("GET", "/static"): PUBLIC,
    ("GET", "/"): ALL,  # the others are sent to /login
}


def routes(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of everything the app answers."""
    found = set()
    for route in iter_route_contexts(app.routes):
        methods = getattr(route, "methods", None) or {"GET"}
        found |= {(method, str(route.path)) for method in methods - {"HEAD"}}
    return found


def test_every_route_has_a_rule(app: FastAPI) -> None:
    assert routes(app) == set(RULES)


async def ask(person: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Response:
    """Ask for things that do not exist, with an empty body: who may ask is told so, and nothing is changed."""
    address = path.format(code="T1", alert_id=10**9, case_id=10**9, reject_id=10**9)
    return await person.request(method, address, **({"json": {}} if method == "POST" else {}), **more)


def problem(method: str, path: str, who: str, answer: httpx.Response) -> str | None:
    """What is wrong with an answer, if anything."""
    told = f"{who} {method} {path}: {answer.status_code} {answer.text[:200]}"
    if path == "/" and who == "nobody":
        return None if (answer.status_code, answer.headers["location"]) == (303, "/login") else told
    if who in RULES[method, path]:
        failed = answer.status_code >= 500 and path not in ("/api/v1/live", "/readyz")
        return told if failed or answer.status_code in (401, 403) else None
    expected = (401, "not_logged_in") if who == "nobody" else (403, "forbidden")
    error = answer.json()["error"]
    return None if (answer.status_code, error["code"]) == expected and error["zh"] and error["en"] else told


@pytest.mark.parametrize("who", ["nobody", *sorted(ALL)])
async def test_every_route_for_a_role(app: FastAPI, client: Clients, who: str) -> None:
    app.state.desk.live.close()  # a stream has no end: with its hub closed it answers 503 to whom it would let in
    problems = []
    for method, path in sorted(RULES):
        logs_out = (method, path) == ("DELETE", "/api/v1/session")
        person = client(None if who == "nobody" or logs_out else who)
        problems.append(problem(method, path, who, await ask(person, method, path)))
    assert not [p for p in problems if p]


async def test_a_one_time_password_opens_nothing_but_its_own_change(
    app: FastAPI, client: Clients, one_time: str
) -> None:
    app.state.desk.live.close()
    cookie = {"Cookie": f"patrolgrid_session={one_time}"}
    for method, path in sorted(RULES):
        if RULES[method, path] is PUBLIC:
            continue
        answer = await ask(client(None), method, path, headers=cookie)
        if path in ("/api/v1/me", "/api/v1/me/password"):
            assert answer.status_code in (200, 422), path
        elif path == "/":
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
