"""An order through real broker and worker: one terminal never answers, one refuses, the third takes it and arrives."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiomqtt
import pytest
from psycopg_pool import AsyncConnectionPool

from devices.site_folder import read_folder
from store.casebook import case_entries, list_cases
from store.evidence import verify_all
from store.registry import save_site

if TYPE_CHECKING:
    from alerts.case import Case, Entry
    from tests.conftest import WorkerProcess

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"
LON, LAT = 118.95, 31.48
HELP, DUMB, BUSY, GOOD = "T001", "T002", "T003", "T004"
EAST = {HELP: 0.0, DUMB: 0.002, BUSY: 0.004, GOOD: 0.006}  # degrees from the place, growing


class Terminals:
    """Four handsets: they say where they are, and answer orders each in its own way."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.share: dict[str, str] = {d.code: d.share for d in read_folder(EXAMPLE).devices if d.code in EAST}
        self.east = dict(EAST)
        self.heard: list[tuple[str, str]] = []

    async def say(self, code: str, leaf: str, content: dict[str, Any]) -> None:
        await self.client.publish(f"pg/v1/{self.share[code]}/{code}/{leaf}", json.dumps(content), qos=1)

    async def walk(self) -> None:
        """Say where they are, again and again."""
        while True:
            for code, east in self.east.items():
                await self.say(code, "fix", {"t": time.time(), "lon": LON + east, "lat": LAT, "bat": 80})
            await asyncio.sleep(0.4)

    async def obey(self) -> None:
        """Answer orders: one terminal is dumb, one is busy, the third goes there."""
        for code, share in self.share.items():
            await self.client.subscribe(f"pg/v1/{share}/{code}/command", qos=1)
        async for message in self.client.messages:
            code = str(message.topic).split("/")[3]
            assert isinstance(message.payload, bytes)
            order = json.loads(message.payload)
            self.heard.append((code, order["do"]))
            if code == DUMB and order["do"] == "goto":
                continue
            answer = {"id": order["id"], "t": time.time(), "ok": code != BUSY}
            await self.say(code, "command/ack", {**answer, "note": "在押送"} if code == BUSY else answer)
            if code == GOOD:
                self.east[code] = 0.0001  # 10 m


@pytest.fixture
async def terminals(mqtt_url: str) -> AsyncIterator[Terminals]:
    url = urlsplit(mqtt_url)
    async with aiomqtt.Client(url.hostname or "", url.port or 1883) as client:
        found = Terminals(client)
        tasks = [asyncio.create_task(found.walk()), asyncio.create_task(found.obey())]
        yield found
        while tasks := [task for task in tasks if not task.done()]:
            for task in tasks:
                task.cancel()  # again, where a timeout within swallows it (Python 3.11)
            await asyncio.wait(tasks, timeout=1)


async def the_case(pool: AsyncConnectionPool, *statuses: str) -> Case:
    """The one case of the call for help, once it has one of these statuses."""
    async with asyncio.timeout(40):
        while True:
            async with pool.connection() as conn:
                found, _ = await list_cases(conn, categories=["sos"])
            if len(found) == 1 and found[0].status in statuses:
                return found[0]
            await asyncio.sleep(0.1)


def of_recall(entry: Entry) -> bool:
    return entry.action == "recall" or entry.data.get("en") == "in answer to being called back"


def recall_answered(entries: list[Entry]) -> bool:
    return any(e.actor == f"terminal:{DUMB}" and of_recall(e) for e in entries)


async def test_a_call_for_help_finds_the_one_who_comes(
    pool: AsyncConnectionPool, worker_process: WorkerProcess, terminals: Terminals
) -> None:
    async with pool.connection() as conn:
        await save_site(conn, read_folder(EXAMPLE))
    worker_process.env["PATROLGRID_DISPATCH_PATIENCE"] = "2"
    await worker_process.start()
    async with asyncio.timeout(30):
        while True:
            async with pool.connection() as conn:
                cursor = await conn.execute("SELECT count(*) FROM last_positions")
                if await cursor.fetchone() == (4,):
                    break
            await asyncio.sleep(0.1)
    await terminals.say(HELP, "sos", {"t": time.time(), "lon": LON, "lat": LAT, "kind": "sos"})
    case = await the_case(pool, "handling")
    assert case.terminal == GOOD
    went = [code for code, do in terminals.heard if do == "goto"]
    assert went == [DUMB, BUSY, GOOD], "never the one who calls, none twice"
    assert [code for code, do in terminals.heard if do == "recall"] == [DUMB], "who was passed over is called back"
    async with asyncio.timeout(30):
        while True:
            async with pool.connection() as conn:
                entries = await case_entries(conn, case.id)
            if {"arrive", "recall"} <= {e.action for e in entries} and recall_answered(entries):
                break
            await asyncio.sleep(0.1)
    steps = [(e.action, e.data.get("why")) for e in entries if not of_recall(e)]
    assert steps == [
        ("raise", None),
        ("dispatch", None),
        ("reoffer", "silent"),
        ("command_refused", None),
        ("reoffer", "refused"),
        ("command_accepted", None),
        ("accept", None),
        ("arrive", None),
    ]
    offered = {e.data["from"]: e.at for e in entries if e.action == "reoffer"}
    sent = next(e.at for e in entries if e.action == "dispatch")
    assert 2.0 <= (offered[DUMB] - sent).total_seconds() < 10.0
    async with pool.connection() as conn:
        await conn.set_autocommit(True)
        assert (await verify_all(conn)).good
        await conn.set_autocommit(False)
