"""Several workers: every area is somebody's and nobody else's, and a new one is picked up without a restart."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
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
NEW_STREET = "990101104000"


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
async def workers(database_url: str, mqtt_url: str, tmp_path: Path) -> AsyncIterator[list[WorkerProcess]]:
    both = []
    for index in range(2):
        (tmp_path / str(index)).mkdir()
        worker = WorkerProcess(database_url, mqtt_url, tmp_path / str(index))
        worker.env["PATROLGRID_SHARD"] = f"{index}/2"
        both.append(worker)
    yield both
    for worker in both:
        if worker.process is not None and worker.process.returncode is None:
            await worker.end(signal.SIGKILL)


async def fetch(pool: AsyncConnectionPool, query: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as conn:
        return await (await conn.execute(query.encode())).fetchall()


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
    url = urlsplit(mqtt_url)
    begun = time.time() - 60
    async with aiomqtt.Client(url.hostname or "", url.port or 1883) as client:
        for second in range(30):
            for device in terminals:
                fix = {"t": begun + second, "lon": 118.95, "lat": 31.48}
                await client.publish(f"pg/v1/{device.share}/{device.code}/fix", json.dumps(fix), qos=1)
        wanted = 30 * len(terminals)
        async with asyncio.timeout(60):
            while await fetch(pool, "SELECT count(*) FROM fixes") != [(wanted,)]:
                await asyncio.sleep(0.1)
        counts = [await taken(worker) for worker in workers]
        assert sum(counts) == wanted  # none by both
        assert min(counts) > 0

        code, share = "T901", NEW_STREET
        name = {"name": "新终端", "name_en": "New terminal", "kind": "terminal", "role": "patrol"}
        async with pool.connection() as conn:
            await add_device(conn, Device(code=code, area=share, share=share, **name))  # type: ignore[arg-type]
        query = "SELECT count(*) > 0 FROM fixes f JOIN devices d ON d.id = f.device WHERE d.code = 'T901'"
        async with asyncio.timeout(30):
            while await fetch(pool, query) != [(True,)]:
                fix = {"t": time.time(), "lon": 118.95, "lat": 31.48}
                await client.publish(f"pg/v1/{share}/{code}/fix", json.dumps(fix), qos=1)
                await asyncio.sleep(0.3)
