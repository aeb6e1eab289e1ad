"""The live stream over a real socket, fed by the real database."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.alert import Alert
from alerts.case import Actor
from console.app import ConsoleServer
from store.casebook import act
from store.database import announce
from store.positions import catch_up

Find = Callable[..., Awaitable[Alert]]
Move = Callable[..., Awaitable[None]]
Pool = AsyncConnectionPool[AsyncConnection]


class Stream:
    """An open stream: its events as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.beats = 0
        self.ended = asyncio.Event()
        self._events: asyncio.Queue[tuple[str, Any, float]] = asyncio.Queue()

    async def read(self) -> None:
        name = ""
        async for line in self.response.aiter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                self._events.put_nowait((name, json.loads(line[6:]), time.monotonic()))
            elif line.startswith(":"):
                self.beats += 1
        self.ended.set()

    async def next(self, wanted: str, within: float = 4.0) -> Any:
        """The data of the next event of this name; others wait on."""
        async with asyncio.timeout(within):
            others = []
            while (event := await self._events.get())[0] != wanted:
                others.append(event)
        for other in others:
            self._events.put_nowait(other)
        return event[1]

    def waiting(self) -> list[tuple[str, Any, float]]:
        """What has come and was not asked for."""
        found = []
        while not self._events.empty():
            found.append(self._events.get_nowait())
        return found


Open = Callable[[str], AbstractAsyncContextManager[Stream]]


@pytest.fixture
def watch(server: ConsoleServer, tokens: dict[str, str]) -> Open:
    """Open the stream as one of PEOPLE: ``async with watch("operator") as stream``."""

    @asynccontextmanager
    async def opened(who: str) -> AsyncIterator[Stream]:
        address = f"http://127.0.0.1:{server.port}/api/v1/live"
        cookies = {"patrolgrid_session": tokens[who]}
        async with httpx.AsyncClient(timeout=30, cookies=cookies) as client, client.stream("GET", address) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["cache-control"] == "no-store"
            assert "content-encoding" not in response.headers
            stream = Stream(response)
            task = asyncio.create_task(stream.read())
            try:
                yield stream
            finally:
                task.cancel()
                await asyncio.wait([task])

    return opened


async def test_an_alert_and_its_case_arrive_as_rest_gives_them(watch: Open, find: Find, client: Any) -> None:
    async with watch("operator") as stream:
        alert = await find()
        assert await stream.next("alert") == (await client("operator").get("/api/v1/alerts")).json()["items"][0]
        told = await stream.next("case")
        assert told == (await client("operator").get(f"/api/v1/cases/{alert.case_id}")).json()["case"]


async def test_a_fix_arrives_within_two_seconds(watch: Open, move: Move, client: Any) -> None:
    await move("T2", 118.95, 31.40)
    async with watch("operator") as stream:
        begun = time.monotonic()
        await move("T1", 118.881, 31.471)
        frame = await stream.next("positions")
        assert time.monotonic() - begun < 2.0
        assert [p["device"] for p in frame] == ["T1"], "T2 has not moved since"
        listed = (await client("operator").get("/api/v1/positions")).json()
        assert frame[0] == next(p for p in listed if p["device"] == "T1")


async def test_positions_are_gathered_into_frames(watch: Open, move: Move, app: FastAPI) -> None:
    app.state.desk.live._frame = 0.5
    async with watch("operator") as stream:
        end = time.monotonic() + 2.2
        while time.monotonic() < end:
            await move("T1", 118.88, 31.47)
            await move("T3", 118.88, 31.48)
        await asyncio.sleep(0.8)
        frames = [(data, at) for name, data, at in stream.waiting() if name == "positions"]
        assert 3 <= len(frames) <= 7
        assert all(later - sooner > 0.4 for (_, sooner), (_, later) in pairwise(frames))
        assert all(len({p["device"] for p in frame}) == len(frame) for frame, _ in frames), "one newest of each"


async def test_who_sees_what(watch: Open, find: Find, move: Move, site: Any, pool: Pool) -> None:
    async with AsyncExitStack() as stack:
        people = ("viewer", "unit", "town_operator", "lake_police", "supervisor")
        streams = {name: await stack.enter_async_context(watch(name)) for name in people}
        await move("T1", 118.88, 31.47)
        await move("T2", 118.95, 31.40)
        await find(zone="ban", subject="new episode", ago=1)
        await asyncio.sleep(1.0)
        seen = {name: stream.waiting() for name, stream in streams.items()}
    places = {n: {p["device"] for e, d, _ in got if e == "positions" for p in d} for n, got in seen.items()}
    assert places == {
        "viewer": set(),
        "unit": {"T1"},
        "town_operator": {"T2"},
        "lake_police": {"T1", "T2"},  # T2 is its own, T1 in its area
        "supervisor": {"T1", "T2"},
    }
    events = {n: {e for e, _, _ in got if e != "positions"} for n, got in seen.items()}
    assert events == {
        "viewer": {"alert", "case"},
        "unit": {"alert", "case"},
        "town_operator": set(),
        "lake_police": {"alert"},  # the case is the fishery's
        "supervisor": {"alert", "case"},
    }


async def test_the_unit_that_loses_a_case_is_told_to_read_again(watch: Open, find: Find, site: Any, pool: Pool) -> None:
    alert = await find(subject="changes hands", ago=2)
    assert alert.case_id
    async with watch("unit") as fishery, watch("lake_police") as police:
        async with pool.connection() as conn:
            await act(conn, alert.case_id, "assign", Actor("chief", "supervisor"), data={"unit": "police"})
        await fishery.next("resync")
        assert (await police.next("case"))["unit"] == "police"


async def test_a_reject_is_told_to_the_desk_alone(watch: Open, reject: Callable[..., Awaitable[int]]) -> None:
    async with watch("operator") as operator, watch("unit") as unit, watch("town_operator") as town:
        number = await reject("pg/v1/x/T9/fix", b"{", "not_json")
        assert await operator.next("reject") == {"id": number, "reason": "not_json", "topic": "pg/v1/x/T9/fix"}
        assert not unit.waiting()
        assert not town.waiting()


async def test_a_changed_site_is_read_again(watch: Open, client: Any, pool: Pool) -> None:
    assert (await client("viewer").get("/api/v1/site")).json()["name"] == "测试县"
    async with watch("viewer") as stream:
        async with pool.connection() as conn:
            await conn.execute("UPDATE site_facts SET value = '\"新名\"' WHERE key = 'name'")
            await announce(conn, kind="site")
        await stream.next("resync")
        assert (await client("viewer").get("/api/v1/site")).json()["name"] == "新名"
        async with pool.connection() as conn:
            await conn.execute("UPDATE site_facts SET value = '\"测试县\"' WHERE key = 'name'")
            await announce(conn, kind="site")
        await stream.next("resync")


async def test_positions_of_long_ago_that_are_moved_only_now_mean_resync(watch: Open, pool: Pool) -> None:
    async with pool.connection() as conn:
        await conn.execute("CREATE TEMP TABLE one AS SELECT id FROM devices WHERE kind = 'terminal' LIMIT 1")
        await conn.execute("DELETE FROM last_positions WHERE device IN (SELECT id FROM one)")
        await conn.execute(
            "INSERT INTO fixes SELECT id, now() - interval '1 hour', now() - interval '1 hour',"
            " 118.9, 31.4, 0, 0, 5, 80, 0 FROM one"
        )
        await conn.execute("DROP TABLE one")
    async with watch("operator") as stream:
        async with pool.connection() as conn:
            assert await catch_up(conn) >= 1
        await stream.next("resync")


async def test_a_lost_database_connection_means_resync(watch: Open, find: Find, pool: Pool) -> None:
    async with watch("operator") as stream:
        async with pool.connection() as conn:
            cursor = await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query ILIKE 'LISTEN%%'"
            )
            assert len(await cursor.fetchall()) == 1, "one LISTEN connection for the process"
        await stream.next("resync", within=8)
        await find(subject="after the gap", ago=3)
        assert (await stream.next("alert"))["subject"] == "after the gap"


async def test_heart_beats_and_the_end_at_log_out(watch: Open, database_url: str, tokens: dict[str, str]) -> None:
    clients = REGISTRY.get_sample_value("patrolgrid_sse_clients") or 0
    async with await AsyncConnection.connect(database_url, autocommit=True) as conn:
        await conn.execute(
            "INSERT INTO sessions (token_hash, account, expires)"
            " SELECT sha256('leaving'), id, now() + interval '1 hour' FROM accounts WHERE name = 'operator'"
        )
        tokens["leaving"] = "leaving"
        async with watch("leaving") as stream:
            await asyncio.sleep(1.3)
            assert stream.beats >= 2
            assert REGISTRY.get_sample_value("patrolgrid_sse_clients") == clients + 1
            await conn.execute("DELETE FROM sessions WHERE token_hash = sha256('leaving')")
            await asyncio.wait_for(stream.ended.wait(), 3)
    assert REGISTRY.get_sample_value("patrolgrid_sse_clients") == clients


async def test_a_lost_area_takes_effect_on_an_open_stream(
    watch: Open, move: Move, database_url: str, tokens: dict[str, str]
) -> None:
    async with await AsyncConnection.connect(database_url, autocommit=True) as conn, watch("supervisor") as stream:
        await move("T1", 118.88, 31.47)
        assert (await stream.next("positions"))[0]["device"] == "T1"
        await conn.execute("UPDATE accounts SET role = 'viewer' WHERE name = 'supervisor'")
        await asyncio.sleep(1.2)
        stream.waiting()
        await move("T1", 118.89, 31.47)
        await asyncio.sleep(0.8)
        assert stream.waiting() == []
        await conn.execute("UPDATE accounts SET role = 'supervisor' WHERE name = 'supervisor'")


async def test_a_slow_page_is_told_to_read_again(
    app: FastAPI, tokens: dict[str, str], find: Find, pool: Pool, serve: Callable[..., Any]
) -> None:
    app.state.desk.live._backlog = 20
    alert = await find(subject="slow", ago=4)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # or the kernel would take megabytes for the page
    listening.bind(("127.0.0.1", 0))
    async with serve(app, sockets=[listening]) as server:
        page = socket.socket()
        page.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        page.setblocking(False)
        await asyncio.get_running_loop().sock_connect(page, ("127.0.0.1", server.port))
        reader, writer = await asyncio.open_connection(sock=page, limit=1024)
        writer.write(
            f"GET /api/v1/live HTTP/1.1\r\nHost: x\r\nCookie: patrolgrid_session={tokens['operator']}\r\n\r\n".encode()
        )
        assert b"200 OK" in await reader.readline()
        async with pool.connection() as conn:
            await conn.set_autocommit(True)
            for _ in range(600):  # far more than all buffers on the way hold
                await announce(conn, kind="alert", id=alert.id)
            await announce(conn, kind="case", id=alert.case_id)
            await conn.set_autocommit(False)
        await asyncio.sleep(1.5)
        text = b""
        async with asyncio.timeout(10):
            while b"event: resync" not in text:
                text += await reader.read(65536)
        assert text.count(b"event: alert") < 600
        again = await find(subject="heard again", ago=5)
        async with asyncio.timeout(5):
            while b"heard again" not in text:
                text += await reader.read(65536)
        assert again.id
        writer.close()


async def test_open_streams_do_not_hold_up_the_end(app: FastAPI, tokens: dict[str, str], serve: Any) -> None:
    async with serve(app) as server:
        cookies = {"patrolgrid_session": tokens["viewer"]}
        address = f"http://127.0.0.1:{server.port}"
        client = httpx.AsyncClient(base_url=address, timeout=30, cookies=cookies)
        async with client, client.stream("GET", "/api/v1/live") as response:
            stream = Stream(response)
            reading = asyncio.create_task(stream.read())
            begun = time.monotonic()
            server.should_exit = True
            await asyncio.wait_for(stream.ended.wait(), 2)
            await reading
    assert time.monotonic() - begun < 2, "the whole server has ended"


async def test_ready_once_it_listens(server: ConsoleServer) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        async with asyncio.timeout(5):
            while (answer := await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.1)
        checks = {check["name"]: check["ok"] for check in answer.json()["checks"]}
        assert checks == {"database": True, "live": True}
