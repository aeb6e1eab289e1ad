"""What is old enough is removed. Whole chunks are dropped, as that is the only cheap way; Apache features alone."""

from __future__ import annotations

from typing import Final, NamedTuple

import structlog
from psycopg import AsyncConnection, errors

log = structlog.get_logger()

_LOCK_TIMEOUT: Final = "2s"  # rather later than in the way of those who write
_AT_ONCE: Final = 10_000  # rows of one transaction


class Removed(NamedTuple):
    """How much was removed."""

    chunks: int
    snapshots: int
    visits: int
    rejects: int


async def apply_retention(conn: AsyncConnection, fix_days: int, snapshot_days: int, reject_days: int) -> Removed:
    """Drop readings, heat map and visits older than ``fix_days``, blank snapshot references, delete rejects.

    Cases are kept. A chunk goes once all of it is too old, so up to a chunk (a day, for samples and the heat map a
    week) is kept longer. Each step is a transaction of its own, so call it outside one. What is locked by others for
    2 s is left for the next time.
    """
    chunks = 0
    for table in ("fixes", "sightings", "samples", "heat"):
        chunks += await _drop_chunks(conn, table, fix_days)
    return Removed(
        chunks,
        await _blank_snapshots(conn, snapshot_days),
        await _delete(conn, "visits", '"left"', fix_days),
        await _delete(conn, "rejects", "last_seen", reject_days),
    )


async def clear_readings(conn: AsyncConnection) -> None:
    """Remove all readings and what is derived from them alone. Alerts and cases stay, with their evidence."""
    await conn.execute("TRUNCATE fixes, sightings, samples, last_positions, visits, heat, heat_hours, heat_late")


async def _drop_chunks(conn: AsyncConnection, table: str, days: int) -> int:
    try:
        async with conn.transaction():
            await conn.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'".encode())
            dropped = await conn.execute(
                "SELECT drop_chunks(%s::regclass, older_than => now() - %s * interval '1 day')", (table, days)
            )
            return dropped.rowcount
    except errors.LockNotAvailable:
        log.warning("retention_postponed", table=table, reason="locked by others")
        return 0


async def _blank_snapshots(conn: AsyncConnection, days: int) -> int:
    """Blank day by day, oldest first, so that a transaction stays short."""
    async with conn.transaction():
        found = await (
            await conn.execute(
                "SELECT min(range_start), now() - %s * interval '1 day' FROM timescaledb_information.chunks"
                " WHERE hypertable_name = 'sightings'",
                (days,),
            )
        ).fetchone()
    begin, end = found or (None, None)
    blanked = 0
    while begin is not None and begin < end:
        async with conn.transaction():
            result = await conn.execute(
                "UPDATE sightings SET snapshot = '' WHERE snapshot <> ''"
                " AND at >= %(begin)s AND at < least(%(begin)s + interval '1 day', %(end)s)",
                {"begin": begin, "end": end},
            )
            blanked += result.rowcount
            step = await (await conn.execute("SELECT %s::timestamptz + interval '1 day'", (begin,))).fetchone()
            begin = step[0] if step else None
    return blanked


async def _delete(conn: AsyncConnection, table: str, column: str, days: int) -> int:
    deleted = 0
    while True:
        async with conn.transaction():
            result = await conn.execute(
                f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table}"  # noqa: S608
                f" WHERE {column} < now() - %s * interval '1 day' LIMIT {_AT_ONCE}))".encode(),
                (days,),
            )
        deleted += result.rowcount
        if result.rowcount < _AT_ONCE:
            return deleted
