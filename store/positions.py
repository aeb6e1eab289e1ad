"""Last positions: the newest fix with a place of each device, kept beside the fixes.

To move one costs the server half as much as to store a fix. Where a device reports several times a second, or many
batches are waiting, they are moved once a second for all of these. A process that is killed meanwhile may leave some
behind; :func:`catch_up` moves those.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from psycopg import AsyncConnection

from devices.readings import FIX, Flag, Rows, rows
from store.copy_in import COLUMNS, array
from store.database import announce

EVERY: Final = 1.0
"""Seconds that a position may wait while more readings are there."""
_ALARM: Final = int(Flag.SOS | Flag.MAN_DOWN)
_NO_POSITION: Final = int(Flag.NO_POSITION)  # 16 in the SQL below

_NEWEST: Final = b"""unnest(%b::int4[], %b::timestamptz[], %b::timestamptz[], %b::float8[], %b::float8[],
                     %b::float4[], %b::float4[], %b::float4[], %b::float4[], %b::int2[])"""
# Equal times: the same fix, which has an alarm now; that a detector does not believe it (64, SUSPECT) is not forgotten.
_MOVE: Final = (
    b"""
UPDATE last_positions AS p SET
    at = n.at, received = n.received, lon = n.lon, lat = n.lat, speed = n.speed, heading = n.heading,
    accuracy = n.accuracy, battery = n.battery,
    flags = n.flags | CASE n.at WHEN p.at THEN p.flags & 64::int2 ELSE 0::int2 END
FROM """
    + _NEWEST
    + b""" AS n (device, at, received, lon, lat, speed, heading, accuracy, battery, flags)
WHERE p.device = n.device AND n.at >= p.at"""
)
_ADD: Final = b"""
INSERT INTO last_positions AS p (device, at, received, lon, lat, speed, heading, accuracy, battery, flags)
SELECT * FROM %s
ON CONFLICT (device) DO UPDATE SET
    at = excluded.at, received = excluded.received, lon = excluded.lon, lat = excluded.lat, speed = excluded.speed,
    heading = excluded.heading, accuracy = excluded.accuracy, battery = excluded.battery,
    flags = excluded.flags | CASE excluded.at WHEN p.at THEN p.flags & 64::int2 ELSE 0::int2 END
WHERE excluded.at >= p.at"""
_ADD_NEWEST: Final = _ADD % _NEWEST
_ADD_SUSPECTS: Final = (
    _ADD
    % b"""(
    SELECT DISTINCT ON (f.device) f.* FROM fixes f
    JOIN unnest(%(device)s::int4[], %(at)s::timestamptz[]) AS s (device, at) USING (device, at)
    WHERE f.at BETWEEN %(first)s AND %(last)s AND flags & 16 = 0 ORDER BY f.device, f.at DESC
) AS suspect"""
)
_ADD_LEFT_BEHIND: Final = (
    _ADD
    % b"""(
    SELECT f.* FROM devices d LEFT JOIN last_positions l ON l.device = d.id, LATERAL (
        SELECT * FROM fixes
        WHERE device = d.id AND at > coalesce(l.at, '-infinity') AND flags & 16 = 0 ORDER BY at DESC LIMIT 1) AS f
) AS newer"""
)


class Positions:
    """When last positions are moved: with each batch, but at most once in :data:`EVERY` while there is ``more``.

    Attributes:
        owed: rows of FIX that are stored and not moved yet, the newest of each device. Whoever calls :meth:`move` sets
            it to what that returned once the transaction is committed.
    """

    def __init__(self, more: Callable[[], bool] = lambda: False) -> None:
        """``more`` says whether other readings are here already, with which what is owed will be moved."""
        self.owed = rows(FIX)
        self._more = more
        self._moved = 0.0  # monotonic

    async def move(self, conn: AsyncConnection, fixes: Rows) -> Rows:
        """In the transaction that stores ``fixes``: move last positions, if it is time. What is then owed.

        A call for help is never kept waiting.
        """
        placed = fixes[fixes["flags"] & _NO_POSITION == 0]
        due = np.concatenate([self.owed, placed])
        due = due[np.lexsort((due["at"], due["device"]))]
        due = due[np.append(due["device"][1:] != due["device"][:-1], True)] if len(due) else due
        now = time.monotonic()
        if not len(due) or (now - self._moved < EVERY and self._more() and not (placed["flags"] & _ALARM).any()):
            return due
        columns = [array(due, c) for c in COLUMNS]
        moved = await conn.execute(_MOVE, columns)
        if moved.rowcount < len(due):  # one is a device's first, or late; an upsert of all costs a fifth more
            await conn.execute(_ADD_NEWEST, columns)
        await announce(conn, kind="positions")
        self._moved = now
        return rows(FIX)


async def move_to_suspects(conn: AsyncConnection, values: Mapping[str, object]) -> None:
    """Let last positions be these stored fixes where none is newer: they were marked after they were stored.

    ``values``: device and at, lists of ids and moments, and the first and the last of these.
    """
    await conn.execute(_ADD_SUSPECTS, values)


async def catch_up(conn: AsyncConnection) -> int:
    """Move the last positions that a killed process left behind its fixes; how many."""
    moved = (await conn.execute(_ADD_LEFT_BEHIND)).rowcount
    if moved:
        await announce(conn, kind="positions")
    return moved
