"""The heat map: how many terminals were where, rolled up by hour into cells of 100 m when an hour is over.

A day of 2,000 terminals is 35 million fixes, which take seconds to add up. Rolled up it is still up to three million
cells, which take a second as rows, so the cells of an hour and area are packed into one value, and added up here.
Fixes that come for an hour that is over leave a mark in the transaction that stores them, and the hour is counted
again.

*Cells.* Row ``y`` is ``floor(lat / HIGH)``. Each row is cut along its middle into columns of the same 100 m: ``x`` is
``floor(lon / wide)``. So a cell is the same place for ever. Beyond 85 degrees north and south there are none.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection

from detectors.geo import DEGREE
from devices.readings import SECOND, Rows
from devices.site import moment

CELL: Final = 100.0  # metres
HIGH: Final = CELL / DEGREE  # degrees of latitude
HOUR: Final = 3600 * SECOND
SETTLE: Final = 120  # seconds after an hour in which its last fixes are still on their way
GATHER: Final = 600
"""Seconds from one count of an hour to the next: what comes late comes in hundreds of batches, and each count reads the
whole hour."""
_COUNTING: Final = 0x70617467_68656174  # an advisory lock: one process counts at a time

_MARK: Final = b"INSERT INTO heat_late (hour) SELECT unnest(%s::timestamptz[])"

# A fix of an hour that was over when it came left a mark. So of the hours before the first chunk was made those without
# one are empty, and need not be looked for in what a new site has just sent; the last of them is, as two clocks are
# compared here. A restored database has new chunks of old fixes, but its counted hours were restored as well; one from
# before 0017 lost its counted hours with it, and marks were struck out before, or not made at all.
_NOTHING_BEFORE: Final = b"""
INSERT INTO heat_hours (hour, counted_at)
SELECT hour, now()
FROM (SELECT min(range_start) AS first, min(chunk_creation_time) AS made
      FROM timescaledb_information.chunks WHERE hypertable_name = 'fixes') AS chunks,
     generate_series(date_trunc('hour', greatest(first, now() - %(days)s * interval '1 day'), 'UTC'),
                     date_trunc('hour', made, 'UTC') - interval '2 hours', '1 hour') AS hour
WHERE NOT EXISTS (SELECT FROM heat_hours) AND hour NOT IN (SELECT hour FROM heat_late)
  AND made >= (SELECT applied_at FROM schema_migrations WHERE name = '0017_heat_packed.sql')
ON CONFLICT DO NOTHING"""

# Newest first, so that after an update of an old database the map of yesterday is there at once.
_DUE: Final = b"""
WITH bounds AS (
    SELECT date_trunc('hour', greatest(min(range_start), now() - %(days)s * interval '1 day'), 'UTC') AS first,
           date_trunc('hour', now() - %(settle)s * interval '1 s', 'UTC') AS open
    FROM timescaledb_information.chunks WHERE hypertable_name = 'fixes'
    HAVING count(*) > 0)  -- a site that has heard nothing yet has nothing to count
SELECT hour FROM (
    SELECT hour FROM bounds, generate_series(first, open - interval '1 hour', '1 hour') AS hour
    EXCEPT SELECT hour FROM heat_hours
    UNION SELECT DISTINCT late.hour FROM bounds, heat_late late LEFT JOIN heat_hours known USING (hour)
    WHERE late.hour < open
      AND (known.counted_at IS NULL OR known.counted_at <= now() - %(gather)s * interval '1 s')) due
ORDER BY hour DESC LIMIT %(most)s"""

# flags: 16 is NO_POSITION, 64 SUSPECT. Counted by device first: a terminal is one, however often it reports. A number
# with a point is a numeric in SQL, and takes many times as long as a float8.
_COUNT: Final = b"""
INSERT INTO heat (hour, area, cells)
SELECT %(hour)s, area, string_agg(int4send(y) || int4send(x) || int4send(devices) || int4send(fixes), '')
FROM (SELECT y, x, area, count(*)::int AS devices, sum(n)::int AS fixes
      FROM (SELECT device, y, count(*) AS n,
                   floor(lon / (%(high)s / cos(radians((y + 0.5::float8) * %(high)s))))::int AS x
            FROM (SELECT device, lon, floor(lat / %(high)s)::int AS y FROM fixes
                  WHERE at >= %(hour)s AND at < %(hour)s + interval '1 hour'
                    AND flags & 80 = 0 AND abs(lat) < 85) AS placed
            GROUP BY device, y, x) AS cells
      JOIN devices ON devices.id = device AND devices.kind = 'terminal'
      GROUP BY y, x, area) AS counted
GROUP BY area"""

_HEAT: Final = b"""
SELECT cells FROM heat
WHERE hour >= %(since)s AND hour < %(until)s AND (%(areas)s::text[] IS NULL OR area = ANY(%(areas)s))"""

_SPAN: Final = 1024  # cells to the side of the square that is added up as a grid: 102 km
_AT_ONCE: Final = 256  # packed values in memory at a time


class Box(NamedTuple):
    """A stretch of the map, degrees."""

    west: float
    south: float
    east: float
    north: float


EVERYWHERE: Final = Box(-180.0, -85.0, 180.0, 85.0)


class Heat(NamedTuple):
    """Cells as columns of shape (n,), those with most first."""

    lon: NDArray[np.float64]  # of their middles, degrees
    lat: NDArray[np.float64]
    devices: NDArray[np.int64]  # terminals, added up over the hours
    fixes: NDArray[np.int64]


async def mark_late(conn: AsyncConnection, fixes: Rows, now: int) -> None:
    """Within the transaction that stores ``fixes``, of dtype FIX: note those of hours that were over ``now`` (UTC µs).

    A mark is a row of its own, so that nobody waits for who is counting.
    """
    open_since = now // HOUR * HOUR
    if len(fixes) and fixes["at"].min() < open_since:
        hours = np.unique(fixes["at"][fixes["at"] < open_since] // HOUR) * HOUR
        await conn.execute(_MARK, ([moment(hour) for hour in hours.tolist()],))


async def count_hours(conn: AsyncConnection, days: int, most: int = 4, gather: float = GATHER) -> list[datetime]:
    """Roll up hours that are over and not counted yet, or marked; at most so many, each in a transaction of its own.

    Returns those that were counted; none while another process is at it. ``days`` is how far back it goes, ``gather``
    the least seconds from one count of an hour to the next.
    """
    values = {"days": days, "settle": SETTLE, "most": most, "gather": gather}
    async with conn.transaction():
        await conn.execute(_NOTHING_BEFORE, values)
        due = [hour for (hour,) in await (await conn.execute(_DUE, values)).fetchall()]
    counted = []
    for hour in due:
        async with conn.transaction():
            mine = await (await conn.execute("SELECT pg_try_advisory_xact_lock(%s)", (_COUNTING,))).fetchone()
            if mine != (True,):
                break
            await _count(conn, hour)
            counted.append(hour)
    return counted


async def _count(conn: AsyncConnection, hour: datetime) -> None:
    # Only marks that are seen before the count are struck out: what commits later keeps its own.
    seen = await (await conn.execute("SELECT id FROM heat_late WHERE hour = %s", (hour,))).fetchall()
    await conn.execute("DELETE FROM heat WHERE hour = %s", (hour,))
    # The planner takes five million fixes for thousands, and would sort them on the disk.
    await conn.execute("SET LOCAL enable_sort = off")
    await conn.execute(_COUNT, {"hour": hour, "high": HIGH})
    await conn.execute("DELETE FROM heat_late WHERE id = ANY(%s)", ([number for (number,) in seen],))
    await conn.execute(
        "INSERT INTO heat_hours (hour, counted_at) VALUES (%s, now())"
        " ON CONFLICT (hour) DO UPDATE SET counted_at = excluded.counted_at",
        (hour,),
    )


async def heat(
    conn: AsyncConnection,
    since: datetime,
    until: datetime,
    box: Box = EVERYWHERE,
    areas: Collection[str] | None = None,
    limit: int = 50_000,
) -> Heat:
    """The ``limit`` warmest cells of the whole hours that begin from ``since`` to before ``until``, with their middle
    in ``box``; only of devices in ``areas``, or of all."""
    total = _Sum()
    async with conn.cursor(binary=True) as cursor:
        values = {"since": since, "until": until, "areas": None if areas is None else sorted(areas)}
        await cursor.execute(_HEAT, values)
        while packed := await cursor.fetchmany(_AT_ONCE):
            total.add(np.frombuffer(b"".join(cells for (cells,) in packed), ">i4").reshape(-1, 4))
    y, x, devices, fixes = total.cells()
    lat = np.asarray((y + 0.5) * HIGH, np.float64)
    lon = np.asarray((x + 0.5) * HIGH / np.cos(np.radians(lat)), np.float64)
    inside = (lon >= box.west) & (lon <= box.east) & (lat >= box.south) & (lat <= box.north)
    chosen = np.flatnonzero(inside)
    if len(chosen) > limit:
        chosen = chosen[np.argpartition(-devices[chosen], limit)[:limit]]
    chosen = chosen[np.lexsort((x[chosen], y[chosen], -devices[chosen]))]
    return Heat(lon[chosen], lat[chosen], devices[chosen], fixes[chosen])


class _Sum:
    """Cells of many hours added up: those around the middle of the first in a grid, the few beyond it one by one."""

    def __init__(self, span: int = _SPAN) -> None:
        self._span = span
        self._corner: tuple[int, int] | None = None  # y and x of the grid's first cell
        self._grid = np.zeros((2, 0))  # devices and fixes
        self._beyond: list[NDArray[np.int64]] = []

    def add(self, packed: NDArray[np.int32]) -> None:
        """Take cells, shape (n, 4): y, x, devices, fixes."""
        if not len(packed):
            return
        y, x = packed[:, 0].astype(np.int64), packed[:, 1].astype(np.int64)
        if self._corner is None:
            some = slice(None, None, max(1, len(y) // 1000))
            self._corner = int(np.median(y[some])) - self._span // 2, int(np.median(x[some])) - self._span // 2
            self._grid = np.zeros((2, self._span**2))
        row, column = y - self._corner[0], x - self._corner[1]
        near = (row.view(np.uint64) < self._span) & (column.view(np.uint64) < self._span)  # what is negative is huge
        if not near.all():
            self._beyond.append(packed[~near].astype(np.int64))
            row, column, packed = row[near], column[near], packed[near]
        key = row * self._span + column
        for total, counts in zip(self._grid, packed.T[2:], strict=True):
            total += np.bincount(key, counts, self._span**2)

    def cells(self) -> tuple[NDArray[np.int64], ...]:
        """y, x, devices and fixes of all cells, shape (n,) each."""
        south, west = self._corner or (0, 0)
        key = np.flatnonzero(self._grid[1])
        near = np.stack([south + key // self._span, west + key % self._span, *self._grid[:, key].astype(np.int64)])
        if not self._beyond:
            return tuple(near)
        beyond = np.concatenate(self._beyond)
        places, which = np.unique(beyond[:, :2], axis=0, return_inverse=True)
        counts = [np.bincount(which.ravel(), beyond[:, k], len(places)).astype(np.int64) for k in (2, 3)]
        return tuple(np.concatenate([near, np.stack([*places.T, *counts])], axis=1))


async def hours_counted(conn: AsyncConnection, since: datetime, until: datetime) -> int:
    """How many of the hours that begin from ``since`` to before ``until`` have been counted."""
    cursor = await conn.execute("SELECT count(*) FROM heat_hours WHERE hour >= %s AND hour < %s", (since, until))
    return int((await cursor.fetchone() or (0,))[0])
