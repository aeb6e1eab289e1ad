"""A worker from its start: it says what it lacks, waits for its site, and takes over a changed one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiomqtt
import httpx
import pytest
from psycopg_pool import AsyncConnectionPool

from benchmarks.wire import Wire
from devices.registry import Device
from devices.site_folder import read_folder
from store.registry import add_device, deactivate_device, save_site

if TYPE_CHECKING:
    from tests.conftest import WorkerProcess

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"
SHARE = "990101001000"


@pytest.fixture
async def terminal(mqtt_url: str) -> AsyncIterator[aiomqtt.Client]:
    """A device's connection to the broker."""
    url = urlsplit(mqtt_url)
    async with aiomqtt.Client(url.hostname or "", url.port or 1883) as client:
        yield client


async def ready(worker: WorkerProcess) -> tuple[int, Any]:
    """Status and body of /readyz; 0 while nothing answers."""
    try:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{worker.port}/readyz")
    except httpx.TransportError:
        return 0, {}
    return answer.status_code, answer.json()


async def fetch(pool: AsyncConnectionPool, query: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        return await (await conn.execute(query.encode())).fetchall()


async def test_without_the_schema_it_ends_and_says_what_to_do(
    empty_database_url: str, worker_process: WorkerProcess
) -> None:
    env = worker_process.env | {"PATROLGRID_DATABASE_URL": empty_database_url}
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("patrolgrid"), "worker", env=env, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert b"patrolgrid migrate" in said.replace(b"\n", b"")
    assert b"Traceback" not in said


async def test_it_waits_for_its_site_and_takes_over_a_changed_one(
    pool: AsyncConnectionPool, worker_process: WorkerProcess, terminal: aiomqtt.Client
) -> None:
    starting = asyncio.create_task(worker_process.start())
    async with asyncio.timeout(60):
        while (found := await ready(worker_process))[0] != 503:
            await asyncio.sleep(0.05)
    assert [check["name"] for check in found[1]["checks"]] == ["site"]
    assert worker_process.process is not None
    niceness = os.getpriority(os.PRIO_PROCESS, worker_process.process.pid)
    assert niceness == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5), "the broker goes first"
    async with pool.connection() as conn:
        await save_site(conn, read_folder(EXAMPLE))
    await starting

    async def publish(code: str) -> None:
        fix = {"t": time.time(), "lon": 118.95, "lat": 31.48}
        await terminal.publish(f"pg/v1/{SHARE}/{code}/fix", json.dumps(fix), qos=1)

    await publish("T900")
    query = "SELECT reason FROM rejects"
    async with asyncio.timeout(20):
        while await fetch(pool, query) != [("unknown_device",)]:
            await asyncio.sleep(0.05)
    newcomer = Device(
        code="T900",
        kind="terminal",
        role="patrol",
        name="新终端",
        name_en="New terminal",
        area="990101101201",
        share=SHARE,
    )
    async with pool.connection() as conn:
        await add_device(conn, newcomer)
    query = "SELECT count(*) > 0 FROM last_positions p JOIN devices d ON d.id = p.device WHERE d.code = 'T900'"
    async with asyncio.timeout(30):
        while await fetch(pool, query) != [(True,)]:
            await publish("T900")
            await asyncio.sleep(0.3)
    async with asyncio.timeout(30):  # the detectors read the past again for the changed site
        while (await ready(worker_process))[0] != 200:
            await asyncio.sleep(0.05)


async def test_a_lost_connection_alone_does_not_make_it_read_the_past_again(
    pool: AsyncConnectionPool, worker_process: WorkerProcess, database_url: str
) -> None:
    async with pool.connection() as conn:
        await save_site(conn, read_folder(EXAMPLE))
    wire = Wire(database_url)
    await wire.mend()
    worker_process.env["PATROLGRID_DATABASE_URL"] = wire.url
    try:
        await worker_process.start()
        await wire.cut()
        await wire.mend()
        async with asyncio.timeout(60):
            while "site_unchanged" not in (said := worker_process.log.read_text()):
                await asyncio.sleep(0.1)
        assert said.count("watch_primed") == 1
        async with pool.connection() as conn:
            await deactivate_device(conn, "T003")
        async with asyncio.timeout(60):
            while worker_process.log.read_text().count("watch_primed") < 2:
                await asyncio.sleep(0.1)
    finally:
        await wire.cut()


async def test_shards_and_everything_do_not_go_together(
    pool: AsyncConnectionPool, worker_process: WorkerProcess
) -> None:
    async with pool.connection() as conn:
        await save_site(conn, read_folder(EXAMPLE))
    env = worker_process.env | {"PATROLGRID_SUBSCRIBE_ALL": "true", "PATROLGRID_SHARD": "0/2"}
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("patrolgrid"), "worker", env=env, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert b"PATROLGRID_SUBSCRIBE_ALL is for a lone worker" in said.replace(b"\n", b"")
    assert b"Traceback" not in said
