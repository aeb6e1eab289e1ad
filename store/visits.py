"""Visits as stored: one row per stay of a device in a zone, written when it begins and again when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


async def strike_visits(conn: AsyncConnection, visits: Sequence[Visit]) -> None:
    """Remove visits that never took place, as late fixes have shown."""
    if visits:
        await conn.execute(
            "DELETE FROM visits v USING unnest(%s::int[], %s::text[], %s::timestamptz[]) AS s (device, zone, entered)"
            " WHERE (v.device, v.zone, v.entered) = (s.device, s.zone, s.entered)",
            ([v.device for v in visits], [v.zone for v in visits], [moment(v.entered) for v in visits]),
        )


async def visits_within(
    conn: AsyncConnection, since: int, until: int, devices: Sequence[int] | None = None
) -> list[Visit]:
    """The visits of all devices, or of those with these ids, that lie in part in a stretch (UTC µs), in order."""
    cursor = await conn.execute(
        'SELECT device, zone, entered, "left" FROM visits WHERE entered <= %s AND ("left" IS NULL OR "left" > %s)'
        " AND (%s::int[] IS NULL OR device = ANY(%s)) ORDER BY entered, device, zone",
        (moment(until), moment(since), devices, devices),
    )
    return [_visit(row) for row in await cursor.fetchall()]


async def visits_spanning(conn: AsyncConnection, since: int, devices: Sequence[int] | None = None) -> list[Visit]:
    """The visits that had begun and not ended at ``since`` (UTC µs), of all devices or those with these ids."""
    cursor = await conn.execute(
        'SELECT device, zone, entered, "left" FROM visits WHERE entered <= %s AND ("left" IS NULL OR "left" > %s)'
        " AND (%s::int[] IS NULL OR device = ANY(%s)) ORDER BY device, zone, entered",
        (moment(since), moment(since), devices, devices),
    )
    return [_visit(row) for row in await cursor.fetchall()]


def _visit(row: tuple[Any, ...]) -> Visit:
    device, zone, entered, left = row
    return Visit(device, zone, micros(entered), None if left is None else micros(left))
