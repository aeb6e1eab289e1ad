"""docs/api.md and its Chinese version: every route is named with who may use it, and the commands run as they stand."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from console.app import ConsoleServer

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["api.md", "api.zh-CN.md"]
ROLES = {"viewer", "operator", "unit", "supervisor", "admin"}
GRID = {"grid"}
WHO = {
    "everybody": ROLES | GRID | {"nobody"},
    "all roles": ROLES,
    "all roles, grid": ROLES | GRID,
    "all but viewer": ROLES - {"viewer"},
    "all but viewer, grid": (ROLES - {"viewer"}) | GRID,
    "operator, supervisor, admin": {"operator", "supervisor", "admin"},
    "supervisor, admin": {"supervisor", "admin"},
    "所有人": ROLES | GRID | {"nobody"},
    "各角色": ROLES,
    "各角色、网格员": ROLES | GRID,
    "除观察员外": ROLES - {"viewer"},
    "除观察员外、网格员": (ROLES - {"viewer"}) | GRID,
    "值班员、督办员、管理员": {"operator", "supervisor", "admin"},
    "督办员、管理员": {"supervisor", "admin"},
}
ROW = re.compile(r"^\| (GET|POST|DELETE|PUT|PATCH) \| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_every_route_is_in_the_table(app: FastAPI, rules: dict[tuple[str, str], set[str]], page: str) -> None:
    rows = {(method, path): WHO[who] for method, path, who, _ in ROW.findall((DOCS / page).read_text("utf-8"))}
    described = {(m.upper(), path) for path, item in app.openapi()["paths"].items() for m in item}
    assert set(rows) == described
    assert rows == {route: rules[route] for route in described}


def test_both_languages_have_the_same_commands() -> None:
    english, chinese = (BLOCK.findall((DOCS / page).read_text("utf-8")) for page in PAGES)
    assert english == chinese


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="the page's commands need curl and jq")
async def test_the_commands_run_as_they_stand(
    server: ConsoleServer, find: Callable[..., Awaitable[Any]], move: Callable[..., Awaitable[None]], tmp_path: Path
) -> None:
    await find()
    blocks = BLOCK.findall((DOCS / PAGES[0]).read_text("utf-8"))
    assert len(blocks) == 11
    script = "\necho ----\n".join(blocks)
    given = {"BASE": f"http://127.0.0.1:{server.port}", "NAME": "first", "PASSWORD": "a long enough phrase"}
    await _become_operator(server)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        cwd=tmp_path,
        env={**os.environ, **given, "no_proxy": "*"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    ended = asyncio.create_task(process.communicate())
    while not ended.done():  # somebody walks while the stream is watched
        await move("T1", 118.88, 31.47)
        await asyncio.wait([ended], timeout=0.3)
    output, errors = (part.decode() for part in await ended)
    assert process.returncode == 0, errors + output
    log_in, lists, filtered, pages, taken, silence, case, candidates, once, stream, refusal = output.split("----\n")
    assert json.loads(log_in)["name"] == "first"
    assert taken.startswith("first\n")
    assert "first 基站割接" in silence and silence.endswith("\nfirst\n")
    assert "北岸有人垂钓 / Angling on the north shore" in lists
    assert re.search(r"^PG-\d{8}-0001$", pages, re.MULTILINE)
    assert filtered.strip() == "Fishing ban: North shore"
    assert re.search(r"^T1 [0-9.]+ m, [0-9.]+ s, 80 %, fit$", candidates, re.MULTILINE)
    assert re.search(r"^opened$", case, re.MULTILINE)
    assert "first report 电话举报" in case
    first, again, similar = once.splitlines()
    assert first == again and similar.startswith("PG-") and similar.endswith("m away, reported by 1")
    assert 'event: positions\ndata: [{"device":"T1"' in stream
    assert json.loads(refusal)["code"] == "not_found"


async def _become_operator(server: ConsoleServer) -> None:
    """The one account of this test whose password is known."""
    app = server.config.app
    assert isinstance(app, FastAPI)
    async with app.state.desk.pool.connection() as conn:
        await conn.execute("UPDATE accounts SET role = 'operator' WHERE name = 'first'")
