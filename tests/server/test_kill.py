"""kill -9 of the worker again and again in the middle of a run: nothing acknowledged is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
from psycopg_pool import AsyncConnectionPool

from devices.site_folder import read_folder
from store.registry import save_site

SITE = Path(__file__).parents[2] / "examples" / "shijiu"
SHARE = "990101001000"
TERMINALS = [f"T{n:03d}" for n in range(1, 21)]
ROUNDS = 120  # fixes of each terminal, one a second of event time

BEHIND = """
SELECT count(*) FROM (SELECT device, max(at) AS at FROM fixes WHERE flags & 16 = 0 GROUP BY device) AS newest
LEFT JOIN last_positions USING (device, at) WHERE last_positions.device IS NULL"""


async def publish_all(mqtt_url: str, begin: float) -> int:
    """Publish the whole run, each message acknowledged by the broker before it counts; how many fixes that were."""
    parts = urlsplit(mqtt_url)
    count = 0
    async with aiomqtt.Client(parts.hostname or "", parts.port or 1883) as client:
        for second in range(ROUNDS):
            at = begin + second * 5
            sent = [
                client.publish(
                    f"pg/v1/{SHARE}/{code}/fix",
                    json.dumps({"t": at, "lon": 118.95 + n / 1000, "lat": 31.48 + second / 1e5}),
                    qos=1,
                )
                for n, code in enumerate(TERMINALS)
            ]
            # An angler sits in the ban zone all the time, seen every five seconds by the camera.
            for label in ("person", "rod"):
                seen = {"t": at, "label": label, "track": f"{label}-1", "lon": 118.938, "lat": 31.453, "conf": 0.9}
                sent.append(client.publish(f"pg/v1/{SHARE}/C02/sighting", json.dumps(seen), qos=1))
            await asyncio.gather(*sent)
            count += len(TERMINALS)
            if second == ROUNDS // 2:
                cry = {"t": at + 0.5, "lon": 118.951, "lat": 31.482}
                await client.publish(f"pg/v1/{SHARE}/T001/sos", json.dumps(cry), qos=1)
                await client.publish(f"pg/v1/{SHARE}/T002/fix", b"garbage", qos=1)
                count += 1
            await asyncio.sleep(0.05)
    return count


async def test_a_killed_worker_loses_nothing_and_repeats_nothing(
    worker_process: Any, mqtt_url: str, pool: AsyncConnectionPool
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    async with pool.connection() as conn:
        await save_site(conn, read_folder(SITE))
    worker = worker_process
    worker.env["PATROLGRID_BATCH_SIZE"] = "200"  # many commits, so that a kill has many places to fall
    await worker.start()
    # The run lies in the last ten minutes, so that what it shows is news when it is found.
    publishing = asyncio.create_task(publish_all(mqtt_url, time.time() - ROUNDS * 5))
    for _ in range(4):
        await asyncio.sleep(dice.uniform(0.3, 1.5))
        assert await worker.end(signal.SIGKILL) == -signal.SIGKILL
        await asyncio.sleep(dice.uniform(0.0, 0.5))
        await worker.start()
    published = await publishing
    await _until_stored(pool, published)
    await asyncio.sleep(2)  # for what must not come: a second alert
    async with pool.connection() as conn:
        ((stored, different),) = await (
            await conn.execute("SELECT count(*), count(DISTINCT (device, at)) FROM fixes")
        ).fetchall()
        alerts = await (
            await conn.execute("SELECT rule, count(*), count(DISTINCT case_id) FROM alerts GROUP BY rule")
        ).fetchall()
        rejects = await (await conn.execute("SELECT reason, times FROM rejects")).fetchall()
        ((behind,),) = await (await conn.execute(BEHIND)).fetchall()
        cases = await (await conn.execute("SELECT category, count(*) FROM cases GROUP BY category")).fetchall()
    assert (stored, different) == (published, published)
    assert sorted(alerts) == [("fishing_ban", 1, 1), ("sos", 1, 1)]
    assert sorted(cases) == [("illegal_fishing", 1), ("sos", 1)]
    assert rejects == [("not_json", 1)]
    assert behind == 0, "last positions are those of the newest fixes"
    assert await worker.end(signal.SIGTERM) == 0, worker.log.read_text()[-4000:]


async def _until_stored(pool: AsyncConnectionPool, published: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        async with pool.connection() as conn:
            (fixes,) = await (await conn.execute("SELECT count(*) FROM fixes")).fetchone() or (0,)
            (alerts,) = await (await conn.execute("SELECT count(*) FROM alerts")).fetchone() or (0,)
        if fixes >= published and alerts >= 2:
            return
        await asyncio.sleep(0.2)
