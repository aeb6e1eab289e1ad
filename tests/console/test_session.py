"""Log in and out, the cookie, one-time passwords, throttling, and orders from other sites."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from console.app import create_app
from console.throttle import Throttle
from store.accounts import create_account

Clients = Callable[[str | None], httpx.AsyncClient]
Pool = AsyncConnectionPool[AsyncConnection]
PASSWORD = "a long enough phrase"


async def log_in(client: httpx.AsyncClient, name: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/v1/session", json={"name": name, "password": password})


async def test_log_in_and_out(client: Clients) -> None:
    person = client(None)
    assert (await person.get("/api/v1/me")).status_code == 401
    answer = await log_in(person, "viewer")
    about = {"name": "viewer", "display": "Viewer", "role": "viewer", "unit": None, "area": None, "one_time": False}
    assert answer.json() == about
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("patrolgrid_session=")
    assert {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert (await person.get("/api/v1/me")).json() == answer.json()
    left = await person.delete("/api/v1/session")
    assert left.status_code == 204
    assert 'patrolgrid_session=""' in left.headers["set-cookie"]
    token = cookie.split(";")[0].removeprefix("patrolgrid_session=")
    person.cookies.set("patrolgrid_session", token, domain="desk")
    assert (await person.get("/api/v1/me")).status_code == 401, "the session itself has ended, not only the cookie"
    assert (await person.delete("/api/v1/session")).status_code == 204, "twice is no error"


async def test_behind_https_the_cookie_is_secure(pool: Pool, database_url: str, tokens: dict[str, str]) -> None:
    app = create_app(pool, database_url=database_url, mqtt_url="mqtt://127.0.0.1", secure_cookie=True, session_hours=1)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://desk") as person:
        answer = await log_in(person, "viewer")
        assert {"Secure", "Max-Age=3600"} <= set(answer.headers["set-cookie"].split("; "))
        assert answer.headers["strict-transport-security"]


@pytest.mark.parametrize(
    ("name", "password"), [("viewer", "wrong password"), ("nobody at all", PASSWORD), ("\x00", "x")]
)
async def test_wrong_name_and_wrong_password_are_told_alike(client: Clients, name: str, password: str) -> None:
    answer = await log_in(client(None), name, password)
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert error == {
        "code": "wrong_password",
        "zh": "用户名或密码不正确",
        "en": "the name or the password is wrong",
    }
    assert "set-cookie" not in answer.headers


async def test_blanks_belong_to_a_password(client: Clients, pool: Pool) -> None:
    async with pool.connection() as conn:
        await create_account(conn, name="blank", display="", role="operator", password=" blank at both ")
    assert (await log_in(client(None), "blank", "blank at both")).status_code == 401
    person = client(None)
    assert (await log_in(person, " blank ", " blank at both ")).status_code == 200, "those around a name do not"
    answer = await person.post("/api/v1/me/password", json={"old": " blank at both ", "new": "another one  "})
    assert answer.status_code == 200
    assert (await log_in(client(None), "blank", "another one")).status_code == 401
    assert (await log_in(client(None), "blank", "another one  ")).status_code == 200


async def test_an_expired_session_is_none(client: Clients, pool: Pool) -> None:
    person = client(None)
    await log_in(person, "operator")
    assert (await person.get("/api/v1/me")).status_code == 200
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE sessions SET expires = now() - %s WHERE expires < now() + '13 hours'", (timedelta(0),)
        )
    answer = await person.get("/api/v1/me")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "not_logged_in")


async def test_a_deactivated_account_is_out_at_once(client: Clients, pool: Pool) -> None:
    person = client(None)
    async with pool.connection() as conn:
        await create_account(conn, name="temp", display="", role="operator", password=PASSWORD)
    await log_in(person, "temp")
    async with pool.connection() as conn:
        await conn.execute("UPDATE accounts SET active = false WHERE name = 'temp'")
    assert (await person.get("/api/v1/me")).status_code == 401
    assert (await log_in(person, "temp")).status_code == 401


async def test_one_time_password(client: Clients, pool: Pool) -> None:
    first, second = "abcd-efgh-ijkm-nopq", "a phrase of my own"
    async with pool.connection() as conn:
        await create_account(conn, name="fresh", display="", role="operator", password=first, one_time=True)
    person = client(None)
    assert (await log_in(person, "fresh", first)).json()["one_time"] is True
    refused = await person.get("/api/v1/cases")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "password_change_required")
    assert (await person.get("/")).headers["location"] == "/login"

    async def change(old: str, new: str) -> httpx.Response:
        return await person.post("/api/v1/me/password", json={"old": old, "new": new})

    assert (await change("not the old one", second)).status_code == 422
    assert (await change(first, first)).json()["error"]["code"] == "same_password"
    assert (await change(first, "fresh-fresh")).json()["error"]["code"] == "weak_password"
    assert (await change(first, "short")).json()["error"]["code"] == "weak_password"
    changed = await change(first, second)
    assert (changed.status_code, changed.json()["one_time"]) == (200, False)
    assert (await person.get("/api/v1/cases")).status_code == 200, "this session goes on"
    assert (await log_in(person, "fresh", first)).status_code == 401
    assert (await log_in(person, "fresh", second)).status_code == 200


async def test_a_one_time_password_is_good_once(client: Clients, pool: Pool) -> None:
    async with pool.connection() as conn:
        await create_account(conn, name="once", display="", role="operator", password="abcd-efgh-ijkm", one_time=True)
    assert (await log_in(client(None), "once", "abcd-efgh-ijkm")).status_code == 200
    again = await log_in(client(None), "once", "abcd-efgh-ijkm")
    assert (again.status_code, again.json()["error"]["code"]) == (401, "one_time_used")


async def test_one_name_is_throttled(client: Clients, pool: Pool) -> None:
    async with pool.connection() as conn:  # guessed nine times already
        await conn.execute("INSERT INTO login_failures (name, failures, last) VALUES ('guessed', 9, now())")
    answers = [await log_in(client(None), "guessed", f"guess {n}") for n in range(3)]
    assert answers[0].status_code == 401
    last = answers[-1]
    assert (last.status_code, last.json()["error"]["code"]) == (429, "too_many_tries")
    assert 1 <= int(last.headers["retry-after"]) <= 60


async def test_one_address_is_throttled_whatever_the_names(app: FastAPI, client: Clients) -> None:
    app.state.desk.failures = Throttle(2, 60)
    assert [(await log_in(client(None), "viewer")).status_code for _ in range(3)] == [200] * 3, "only failures count"
    assert [(await log_in(client(None), f"n{n}")).status_code for n in range(3)] == [401, 401, 429]
    answer = await log_in(client(None), "viewer")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://other.desk"},
    ],
)
async def test_orders_from_other_sites_are_refused(client: Clients, headers: dict[str, str]) -> None:
    for person in (client("admin"), client(None)):
        for method, path in (("POST", "/api/v1/session"), ("DELETE", "/api/v1/session"), ("POST", "/api/v1/cases")):
            answer = await person.request(method, path, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "other_site")
    assert (await client("admin").get("/api/v1/me", headers=headers)).status_code == 200, (
        "reading is the cookie's matter"
    )


async def test_orders_from_our_pages_are_taken(client: Clients) -> None:
    for headers in ({"Origin": "http://desk"}, {"Sec-Fetch-Site": "same-origin", "Origin": "http://desk"}):
        answer = await client("operator").post("/api/v1/cases", headers=headers, json={})
        assert answer.status_code == 422, "understood, only empty"


def test_wrong_values_stop_the_start(pool: Any, database_url: str) -> None:
    with pytest.raises(ValueError, match="session_hours"):
        create_app(pool, database_url=database_url, mqtt_url="mqtt://x", session_hours=0)
    with pytest.raises(ValueError, match="broker address"):
        create_app(pool, database_url=database_url)
    with pytest.raises(ValueError, match="tile address"):
        create_app(pool, database_url=database_url, mqtt_url="mqtt://x", tile_url="tiles")
