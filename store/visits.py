"""Visits as stored: one row per stay of a device in a zone, written when it begins and again when it ends."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import AsyncConnection

from detectors.visits import Visit
from devices.site import micros, moment


async def write_visits(conn: AsyncConnection, visits: Sequence[Visit]) -> None:
    """Store visits in the order in which they were told; one told again changes nothing, one that ended is ended."""
    newest = {(v.device, v.zone, v.entered): v for v in visits}
    if not newest:
        return
    columns = list(zip(*newest.values(), strict=True))
    await conn.execute(
        'INSERT INTO visits (device, zone, entered, "left")'
        " SELECT * FROM unnest(%s::int[], %s::text[], %s::timestamptz[], %s::timestamptz[])"
        ' ON CONFLICT (device, zone, entered) DO UPDATE SET "left" = excluded."left"'
        ' WHERE excluded."left" IS NOT NULL AND visits."left" IS DISTINCT FROM excluded."left"',
        (
            list(columns[0]),
            list(columns[1]),
            [moment(at) for at in columns[2]],
            [None if at is None else moment(at) for at in columns[3]],
        ),
    )


async def visits_spanning(conn: AsyncConnection, since: int) -> list[Visit]:
    """The visits that had begun and not ended at ``since`` (UTC µs), by device."""
    cursor = await conn.execute(
        'SELECT device, zone, entered, "left" FROM visits WHERE entered <= %s AND ("left" IS NULL OR "left" > %s)'
        " ORDER BY device, zone, entered",
        (moment(since), moment(since)),
    )
    return [
        Visit(device, zone, micros(entered), None if left is None else micros(left))
        for device, zone, entered, left in await cursor.fetchall()
    ]
