"""Retention on real chunks."""

from __future__ import annotations

import asyncio

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, rows
from devices.site import micros
from store.readings import apply_retention, write_batch
from store.rejects import Reject

DAY = 86_400 * SECOND
AGES = (0, 10, 40, 100)  # days


async def fill(conn: AsyncConnection) -> None:
    for table in ("fixes", "sightings", "samples", "rejects", "visits"):
        await conn.execute(f"TRUNCATE {table}".encode())
    row = await (await conn.execute("SELECT now()")).fetchone()
    assert row is not None
    now = micros(row[0])
    await write_batch(
        conn,
        rows(FIX, [(1, now - d * DAY, now, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0) for d in AGES]),
        rows(SIGHTING, [(1, now - d * DAY, now, "net", 1, 0.5, "", 1.0, 2.0, "ref") for d in AGES]),
        rows(SAMPLE, [(1, now - d * DAY, now, "smoke", 1.0) for d in AGES]),
        [Reject("t", b"%d" % d, now - d * DAY, "not_json") for d in AGES],
    )
    for d in AGES:
        await conn.execute(
            "INSERT INTO visits VALUES (1, 'z', now() - %s * interval '1 day', now() - %s * interval '1 day')", (d, d)
        )
    await conn.execute("INSERT INTO visits VALUES (1, 'still inside', now() - interval '200 days', NULL)")
    await conn.commit()


async def counted(conn: AsyncConnection, query: str) -> int:
    row = await (await conn.execute(query.encode())).fetchone()
    assert row is not None
    return int(row[0])


async def test_what_is_too_old_goes(pool: AsyncConnectionPool) -> None:
    async with pool.connection() as conn:
        await fill(conn)
        removed = await apply_retention(conn, fix_days=90, snapshot_days=30, reject_days=20)
        assert removed == (3, 1, 1, 2)
        for table in ("fixes", "sightings", "samples"):
            assert await counted(conn, f"SELECT count(*) FROM {table}") == 3
        assert await counted(conn, "SELECT count(*) FROM sightings WHERE snapshot <> ''") == 2
        assert await counted(conn, "SELECT count(*) FROM visits") == 4
        assert await counted(conn, "SELECT count(*) FROM rejects") == 2
        await conn.commit()
        assert await apply_retention(conn, fix_days=90, snapshot_days=30, reject_days=20) == (0, 0, 0, 0)


async def test_a_locked_table_is_left_for_the_next_time(pool: AsyncConnectionPool) -> None:
    async with pool.connection() as conn, pool.connection() as other:
        await fill(conn)
        async with other.transaction():
            await other.execute("SELECT count(*) FROM fixes")  # a reader holds its chunks
            removed = await asyncio.wait_for(apply_retention(conn, 90, 30, 90), 20)
        assert removed.chunks == 2
        assert await counted(conn, "SELECT count(*) FROM fixes") == 4
        await conn.commit()
        assert (await apply_retention(conn, 90, 30, 90)).chunks == 1
