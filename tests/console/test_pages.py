"""The pages and their files: who is sent to the log-in, and what a browser may keep."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from console.pages import STATIC

Clients = Callable[[str | None], httpx.AsyncClient]


async def test_the_map_is_for_those_who_are_logged_in(client: Clients) -> None:
    answer = await client(None).get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert answer.headers["cache-control"] == "no-store", "or the browser would go on sending people to the log-in"
    answer = await client("viewer").get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.content == (STATIC / "index.html").read_bytes()


async def test_the_log_in_is_for_everybody(client: Clients) -> None:
    for who in (None, "viewer"):
        answer = await client(who).get("/login")
        assert answer.content == (STATIC / "login.html").read_bytes()


@pytest.mark.parametrize("path", ["/login", "/static/favicon.svg", "/static/login.js"])
async def test_files_are_kept_but_asked_about(client: Clients, path: str) -> None:
    first = await client(None).get(path)
    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-cache"
    again = await client(None).get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    changed = await client(None).get(path, headers={"If-None-Match": '"older"'})
    assert changed.status_code == 200


async def test_modules_have_a_type_that_browsers_run(client: Clients) -> None:
    for path in sorted(STATIC.rglob("*.js"))[:5] + sorted(STATIC.rglob("*.mjs"))[:2]:
        answer = await client(None).get(f"/static/{path.relative_to(STATIC).as_posix()}")
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8", path


async def test_large_files_are_packed(client: Clients) -> None:
    large = max(STATIC.rglob("*.js"), key=lambda path: path.stat().st_size)
    address = f"/static/{large.relative_to(STATIC).as_posix()}"
    answer = await client(None).get(address)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == large.read_bytes()


@pytest.mark.parametrize("path", ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "nothing.js", ""])
async def test_nothing_else_is_given_out(client: Clients, path: str) -> None:
    answer = await client("admin").get(f"/static/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
