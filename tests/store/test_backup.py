"""A dump of the database, restored as deploy/README.md says, is the same database and goes on working."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg_pool import AsyncConnectionPool

from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, Rows, rows
from devices.site_folder import read_folder
from server.services import Services
from store.database import migrate, open_pool
from store.heat import count_hours
from store.readings import write_batch
from store.registry import load_site, save_site
from store.stretches import track

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"
T0 = time.time_ns() // 1000 - 30 * 3600 * SECOND  # two days, so two chunks of the hypertable


def fixes(*numbers: int) -> Rows:
    """Fixes of three devices in turn, three minutes after each other."""
    times = [T0 + n * 180 * SECOND for n in numbers]
    return rows(
        FIX, [(1 + n % 3, at, at, 118.88, 31.47, 1.5, 90.0, 5.0, 80.0, 0) for n, at in zip(numbers, times, strict=True)]
    )


async def write(pool: AsyncConnectionPool, fixes: Rows) -> None:
    async with pool.connection() as conn:
        await write_batch(conn, fixes=fixes, sightings=rows(SIGHTING), samples=rows(SAMPLE))


def counts(url: str) -> dict[str, int]:
    """Rows of every table."""
    with psycopg.connect(url) as conn:
        names = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        return {name: conn.execute(f'SELECT count(*) FROM "{name}"'.encode()).fetchone()[0] for (name,) in names}  # type: ignore[index]


async def test_a_restored_dump_goes_on(
    services: Services, pool: AsyncConnectionPool, database_url: str, tmp_path: Path
) -> None:
    async with pool.connection() as conn:
        await save_site(conn, read_folder(EXAMPLE))
    await write(pool, fixes(*range(540)))
    async with pool.connection() as conn:
        await count_hours(conn, 30)
    postgres, port = services.postgres(), urlsplit(database_url).port or 0
    restored = f"test_{uuid.uuid4().hex[:12]}"
    environment = os.environ | {"PGPASSWORD": postgres.password, "PGHOST": "127.0.0.1", "PGPORT": str(port)}

    def client(program: str, *words: str, given: bytes = b"") -> bytes:
        command = [postgres.binaries / program, "-U", "patrolgrid", *words]
        return subprocess.run(command, input=given, env=environment, check=True, capture_output=True).stdout

    dump = client("pg_dump", "-Fc", urlsplit(database_url).path[1:])
    url = postgres.create_database(port, restored)
    try:
        client("psql", "-c", "CREATE EXTENSION timescaledb", restored)  # the image has made it in its own
        client("psql", "-c", "SELECT timescaledb_pre_restore()", restored)
        client("pg_restore", "-d", restored, given=dump)
        client("psql", "-c", "SELECT timescaledb_post_restore()", restored)

        assert counts(url) == counts(database_url)
        await migrate(url)
        async with open_pool(url, max_size=2) as again:
            await write(again, fixes(*range(530, 543)))  # ten of them are known
            async with again.connection() as conn:
                site = await load_site(conn)
                found = await track(conn, 1, T0, T0 + 30 * 3600 * SECOND)
                chunks = await (await conn.execute("SELECT count(*) FROM show_chunks('fixes')")).fetchone()
        assert "C01" in {device.code for device in site.registry.devices}
        assert len(found) == 181
        assert chunks is not None
        assert chunks[0] >= 2
    finally:
        postgres.drop_database(port, restored)
