"""Every failure has one form, in both languages, and gives nothing away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from console.app import create_app
from console.guard import LARGEST_BODY
from console.throttle import Throttle

Clients = Callable[[str | None], httpx.AsyncClient]
JSON = {"Content-Type": "application/json"}


def check(answer: httpx.Response, status: int, code: str) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    error: dict[str, str] = answer.json()["error"]
    assert set(error) == {"code", "zh", "en"}
    assert error["code"] == code
    assert any("\u4e00" <= letter <= "\u9fff" for letter in error["zh"]), error
    assert error["en"].isprintable()
    assert answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    return error


async def test_unknown_addresses_and_methods(client: Clients) -> None:
    check(await client("admin").get("/api/v1/nothing"), 404, "not_found")
    check(await client(None).get("/nothing"), 404, "not_found")
    check(await client("admin").put("/api/v1/me"), 405, "wrong_method")
    check(await client(None).get("/api/v1/me"), 401, "not_logged_in")


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"", ["body"]),
        (b"{", ["1"]),  # where the JSON breaks
        (b"[]", ["body"]),
        (b"null", ["body"]),
        (b'{"name": "x"}', ["password"]),
        (b"{}", ["name", "password"]),
        (b'{"name": 5, "password": "x"}', ["name"]),
        (b'{"name": "", "password": "x"}', ["name"]),
        (b'{"name": "x", "password": "x", "role": "admin"}', ["role"]),
        (b"\xff\xfe", []),
    ],
)
async def test_bodies_that_are_none(client: Clients, body: bytes, names: list[str]) -> None:
    answer = await client(None).post("/api/v1/session", content=body, headers=JSON)
    status = 400 if answer.status_code == 400 else 422
    error = check(answer, status, "bad_request" if status == 400 else "wrong_value")
    for name in names:
        assert name in error["en"]
        assert name in error["zh"]


async def test_a_form_is_no_json(client: Clients) -> None:
    answer = await client(None).post("/api/v1/session", content=b'{"name":"x","password":"y"}')
    check(answer, 422, "wrong_value")
    check(await client(None).post("/api/v1/session", data={"name": "x", "password": "y"}), 422, "wrong_value")


async def test_huge_bodies(client: Clients) -> None:
    huge = b" " * (LARGEST_BODY + 1)
    check(await client(None).post("/api/v1/session", content=huge, headers=JSON), 413, "too_large")

    async def without_length() -> AsyncIterator[bytes]:
        for _ in range(2 + LARGEST_BODY // 1000):
            yield b" " * 1000

    check(await client(None).post("/api/v1/session", content=without_length(), headers=JSON), 413, "too_large")


@pytest.mark.parametrize(
    "path", ["duties?unit=%00", "duties?area=a%00", "alerts?zone=%00", "notices?unit=x%00", "cases?q=%00"]
)
async def test_what_no_text_can_hold_is_refused_in_any_address(client: Clients, path: str) -> None:
    answer = await client("admin").get(f"/api/v1/{path}")
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "wrong_value"


HOUR = "2026-06-01T08:00:00+08:00"


@pytest.mark.parametrize(
    ("path", "order", "names"),
    [
        ("reports/similar", {"category": "a\0", "lon": 118.88, "lat": 31.47}, "category"),
        ("silences", {"subject": "T1\0", "reason": "x", "ends": HOUR}, "subject"),
        ("maintenance", {"devices": ["T1\0"], "reason": "x", "starts": HOUR, "ends": HOUR}, "devices"),
        ("cases/1/actions", {"action": "whistle", "version": 1, "tasks": {"police\0": "x"}}, "tasks"),
        ("backtests", {"rule": "sos", "since": HOUR, "until": HOUR, "set": {"repeat\0": "1m"}}, "set"),
    ],
)
async def test_what_no_text_can_hold_is_refused_in_any_order(
    client: Clients, path: str, order: dict[str, Any], names: str
) -> None:
    error = check(await client("admin").post(f"/api/v1/{path}", json=order), 422, "wrong_value")
    assert f"{names}：含有无法使用的字符" in error["zh"]
    assert f"{names}: it holds a character that is not taken" in error["en"]


async def test_a_password_may_hold_anything(client: Clients) -> None:
    answer = await client(None).post("/api/v1/session", json={"name": "operator", "password": "a\0b"})
    check(answer, 401, "wrong_password")


async def test_every_answer_has_the_security_headers(client: Clients) -> None:
    for path in ("/", "/login", "/static/favicon.svg", "/healthz", "/api/v1/me"):
        headers = (await client("viewer").get(path)).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "img-src 'self' data: blob: https://t.example;" in policy
        assert "worker-src 'self' blob:" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


async def test_a_failure_of_ours_gives_nothing_away(app: FastAPI, client: Clients) -> None:
    def broken() -> list[tuple[str, bool, str]]:
        raise RuntimeError("password of the database: hunter2")

    app.state.desk.checks = broken
    error = check(await client(None).get("/readyz"), 500, "internal")
    assert "hunter2" not in str(error)
    assert error["en"].split()[-1] in error["zh"], "the number under which the log has it"


@pytest.fixture
async def away(unused_tcp_port: int, sent: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A console whose database cannot be reached."""
    url = f"postgresql://127.0.0.1:{unused_tcp_port}/none"
    pool = AsyncConnectionPool[AsyncConnection](url, open=False, min_size=0, max_size=1, timeout=0.3)
    await pool.open(wait=False)
    app = create_app(pool, database_url=url, publish=sent.publish)
    app.state.desk.failures = Throttle(1, 60)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client:
        yield client
    await pool.close()


async def test_without_a_database(away: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.api.probes._PATIENCE", 0.3)
    cookie = {"Cookie": "patrolgrid_session=anything"}
    answer = await away.get("/api/v1/me", headers=cookie)
    check(answer, 503, "database_unreachable")
    assert answer.headers["retry-after"] == "3"
    for _ in range(2):  # nobody has guessed wrong meanwhile
        check(await away.post("/api/v1/session", json={"name": "a", "password": "b"}), 503, "database_unreachable")
    assert (await away.get("/healthz")).json() == {"ok": True}
    ready = await away.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"][0] == {"name": "database", "ok": False, "detail": "PoolTimeout"}
    metrics = (await away.get("/metrics")).text
    assert "patrolgrid_open_alerts NaN" in metrics, "an old number would say that all is well"
    assert (await away.get("/login")).status_code == 200


async def test_readiness_includes_what_else_runs_here(app: FastAPI, client: Clients) -> None:
    app.state.desk.checks = lambda: [("worker", False, "no broker since 02:11")]
    answer = await client(None).get("/readyz")
    assert answer.status_code == 503
    assert {"name": "worker", "ok": False, "detail": "no broker since 02:11"} in answer.json()["checks"]


@pytest.mark.usefixtures("no_cases")
async def test_metrics(client: Clients, find: Any) -> None:
    await find()

    def count(route: str, status: str, method: str = "GET") -> float:
        labels = {"method": method, "route": route, "status": status}
        return REGISTRY.get_sample_value("patrolgrid_http_seconds_count", labels) or 0

    before = count("/api/v1/alerts/{alert_id}", "404"), count("unmatched", "404")
    await client("admin").get("/api/v1/alerts/123456")
    await client("admin").get("/api/v1/alerts/1234567")
    await client("admin").get("/made/up/by/a/scanner")
    await client("admin").get("/static/made-up.js")
    assert count("/api/v1/alerts/{alert_id}", "404") == before[0] + 2
    assert count("unmatched", "404") == before[1] + 1
    text = (await client(None).get("/metrics")).text
    assert "patrolgrid_open_alerts 1.0" in text
    assert "scanner" not in text
    assert "123456" not in text
