"""Several workers: every area is somebody's and nobody else's, and a new one is picked up without a restart."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool

from devices.codecs import subscriptions
from devices.registry import Device
from devices.site_folder import SiteFolder, read_folder
from server.shards import Shard
from store.registry import add_device, load_shares, load_site, save_site
from tests.conftest import WorkerProcess

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"
STREETS = ("990101001000", "990101101000", "990101102000", "990101103000")
NEW_STREET, UNKNOWN_STREET = "990101104000", "990101109000"
COMMITTED = "pg_xact_commit_timestamp(xmin)"
PER_DEVICE = "FROM fixes GROUP BY device"


@given(st.integers(1, 9), st.sets(st.integers(0, 60), max_size=30))
def test_every_area_is_exactly_one_workers(count: int, given: set[int]) -> None:
    numbers = {f"{number:012d}": number for number in given}
    shards = [Shard(index, count) for index in range(count)]
    owned = [shard.shares(numbers) for shard in shards]
    assert sorted(code for shares in owned for code in shares) == sorted(numbers)
    subscribed = [f for shard in shards for f in shard.filters(numbers)[0]]
    assert len(subscribed) == len(set(subscribed))
    assert set(subscribed) == set(subscriptions(sorted(numbers)) if count > 1 else subscriptions())
    assert len({shard.client("w") for shard in shards}) == count
    for shard in shards:
        wanted, unwanted = shard.filters(numbers)
        assert not set(wanted) & set(unwanted)


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "0/0", "0/4 ", "a/b"])
def test_a_shard_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected INDEX/COUNT"):
        Shard.parse(text)


def over_streets() -> SiteFolder:
    """The example, its terminals spread over four streets."""
    folder = read_folder(EXAMPLE)
    spread = [
        replace(device, share=STREETS[i % 4] if device.kind == "terminal" else device.share)
        for i, device in enumerate(folder.devices)
    ]
    return replace(folder, devices=tuple(spread))


@pytest.fixture
async def three(database_url: str, mqtt_url: str, tmp_path: Path) -> AsyncIterator[dict[str, WorkerProcess]]:
    """The two of two, and a whole one with another name; none is started yet. What others left at the broker is none of
    theirs."""
    made, name = {}, f"test-{uuid.uuid4().hex[:8]}"
    for shard, called in {"0/2": name, "1/2": name, "0/1": f"{name}-whole"}.items():
        folder = tmp_path / shard.replace("/", "-")
        folder.mkdir()
        made[shard] = WorkerProcess(database_url, mqtt_url, folder)
        made[shard].env |= {"PATROLGRID_SHARD": shard, "PATROLGRID_WORKER": called}
    yield made
    for worker in made.values():
        if worker.process is not None and worker.process.returncode is None:
            await worker.end(signal.SIGKILL)


@pytest.fixture
def workers(three: dict[str, WorkerProcess]) -> list[WorkerProcess]:
    return [three["0/2"], three["1/2"]]


@pytest.fixture
def whole(three: dict[str, WorkerProcess]) -> WorkerProcess:
    return three["0/1"]


def client(mqtt_url: str) -> aiomqtt.Client:
    url = urlsplit(mqtt_url)
    return aiomqtt.Client(url.hostname or "", url.port or 1883)


def subscribed_to(worker: WorkerProcess, share: str) -> bool:
    """Whether a running worker says that it has subscribed to a new area."""
    whole_lines = worker.log.read_text().split("\n")[:-1]
    said = [json.loads(line) for line in whole_lines if '"mqtt_subscribed"' in line]
    return any(f"pg/v1/{share}/+/fix" in each["new"] for each in said)


async def fetch(pool: AsyncConnectionPool, query: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        return await (await conn.execute(query.encode())).fetchall()


async def out_of_order(pool: AsyncConnectionPool) -> int:
    """Fixes that were committed before an earlier one of the same device."""
    earlier = f"{COMMITTED} < lag({COMMITTED}) OVER (PARTITION BY device ORDER BY at)"
    ((count,),) = await fetch(
        pool, f"SELECT count(*) FILTER (WHERE earlier) FROM (SELECT {earlier} AS earlier FROM fixes) f"
    )
    return int(count)


async def taken(worker: WorkerProcess) -> int:
    """How many messages a worker has taken in."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{worker.port}/metrics")).text
    return sum(int(float(n)) for n in re.findall(r"^patrolgrid_messages_total\{.*\} ([0-9.e+]+)$", text, re.MULTILINE))


async def test_two_workers_cover_all_areas_once(
    pool: AsyncConnectionPool, workers: list[WorkerProcess], mqtt_url: str
) -> None:
    folder = over_streets()
    async with pool.connection() as conn:
        await save_site(conn, folder)
        numbers = await load_shares(conn)
        site = await load_site(conn)
    parts = [Shard(index, 2).site(site, numbers) for index in range(2)]
    devices = [{d.code for d in part.registry.devices} for part in parts]
    assert devices[0] | devices[1] == {d.code for d in site.registry.devices}
    assert not devices[0] & devices[1]
    assert sorted(p for part in parts for p in part.plans) == sorted(site.plans)
    await asyncio.gather(*(worker.start() for worker in workers))
    terminals = [device for device in folder.devices if device.kind == "terminal"]
    begun = time.time() - 60
    async with client(mqtt_url) as terminal:
        for second in range(30):
            for device in terminals:
                fix = {"t": begun + second, "lon": 118.95, "lat": 31.48}
                await terminal.publish(f"pg/v1/{device.share}/{device.code}/fix", json.dumps(fix), qos=1)
            if second == 10:  # from here on nobody's fixes can be all in one transaction
                async with asyncio.timeout(60):
                    while await fetch(pool, "SELECT count(DISTINCT device) FROM fixes") != [(len(terminals),)]:
                        await asyncio.sleep(0.1)
        wanted = 30 * len(terminals)
        async with asyncio.timeout(60):
            while await fetch(pool, "SELECT count(*) FROM fixes") != [(wanted,)]:
                await asyncio.sleep(0.1)
        counts = [await taken(worker) for worker in workers]
        assert sum(counts) == wanted  # none by both
        assert min(counts) > 0
    ((fewest,),) = await fetch(pool, f"SELECT min(n) FROM (SELECT count(DISTINCT {COMMITTED}) n {PER_DEVICE}) f")
    assert fewest > 1
    assert await out_of_order(pool) == 0


async def test_of_a_new_area_nothing_is_lost_once_its_worker_has_subscribed(
    pool: AsyncConnectionPool, workers: list[WorkerProcess], mqtt_url: str
) -> None:
    async with pool.connection() as conn:
        await save_site(conn, over_streets())
    await asyncio.gather(*(worker.start() for worker in workers))
    begun, sent = int(time.time()) - 3_000, 0

    async def go_on_sending() -> None:
        nonlocal sent
        async with client(mqtt_url) as terminal:
            while True:
                fix = {"t": begun + sent, "lon": 118.95, "lat": 31.48}
                await terminal.publish(f"pg/v1/{NEW_STREET}/T901/fix", json.dumps(fix), qos=1)
                sent += 1  # acknowledged
                await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(go_on_sending())
        async with asyncio.timeout(30):
            while sent < 20:
                await asyncio.sleep(0.02)
            name = {"name": "新终端", "name_en": "New terminal", "kind": "terminal", "role": "patrol"}
            device = Device(code="T901", area=NEW_STREET, share=NEW_STREET, **name)  # type: ignore[arg-type]
            async with pool.connection() as conn:
                await add_device(conn, device)
            while not (said := [worker for worker in workers if subscribed_to(worker, NEW_STREET)]):
                await asyncio.sleep(0.02)
            certain = sent + 1  # one may be on its way
            while sent < certain + 100:
                await asyncio.sleep(0.02)
        sending.cancel()
    query = f"""
        SELECT extract(epoch FROM f.at)::int - {begun} FROM fixes f JOIN devices d ON d.id = f.device
        WHERE d.code = 'T901' ORDER BY 1"""
    async with asyncio.timeout(30):
        while {*range(certain, sent)} - (stored := {number for (number,) in await fetch(pool, query)}):
            await asyncio.sleep(0.1)
    assert min(stored) >= 20, "what came before the area was known is gone, as docs/operating.md says"
    assert await out_of_order(pool) == 0
    assert len([worker for worker in workers if subscribed_to(worker, NEW_STREET)]) == len(said) == 1


async def test_a_whole_worker_beside_them_hears_unknown_areas_and_doubles_nothing(
    pool: AsyncConnectionPool, workers: list[WorkerProcess], whole: WorkerProcess, mqtt_url: str
) -> None:
    folder = over_streets()
    async with pool.connection() as conn:
        await save_site(conn, folder)
    await asyncio.gather(*(worker.start() for worker in workers))
    terminals = [device for device in folder.devices if device.kind == "terminal"]
    rejects = f"SELECT topic, reason, times FROM rejects WHERE topic LIKE '%{UNKNOWN_STREET}%' ORDER BY topic"
    alerts = "SELECT count(*) FROM alerts WHERE rule = 'sos'"
    begun = int(time.time()) - 600
    async with client(mqtt_url) as terminal:

        async def say(topic: str, at: float) -> None:
            await terminal.publish(topic, json.dumps({"t": at, "lon": 118.95, "lat": 31.48}), qos=1)

        await say(f"pg/v1/{UNKNOWN_STREET}/T001/fix", begun)
        await whole.start()
        for device in terminals:
            await say(f"pg/v1/{device.share}/{device.code}/fix", begun)
        await say(f"pg/v1/{UNKNOWN_STREET}/T002/fix", begun)
        await say(f"pg/v1/{UNKNOWN_STREET}/X001/fix", begun)
        await say(f"pg/v1/{terminals[0].share}/{terminals[0].code}/sos", time.time())
        async with asyncio.timeout(30):
            while sum([await taken(worker) for worker in workers]) < len(terminals) + 1:
                await asyncio.sleep(0.1)
            while await taken(whole) < len(terminals) + 3:
                await asyncio.sleep(0.1)
            while await fetch(pool, alerts) != [(1,)]:
                await asyncio.sleep(0.1)
    assert await fetch(pool, rejects) == [
        (f"pg/v1/{UNKNOWN_STREET}/T002/fix", "wrong_area", 1),
        (f"pg/v1/{UNKNOWN_STREET}/X001/fix", "unknown_device", 1),
    ], "and what came before is gone, as docs/operating.md says"
    stored = f"SELECT count(*) FROM fixes WHERE at = to_timestamp({begun})"
    assert await fetch(pool, stored) == [(len(terminals),)]
    await asyncio.sleep(2)  # in which both have looked at the call for help
    assert await fetch(pool, alerts) == [(1,)]
