"""Last positions: the newest fix with a place of each device, kept beside the fixes.

To move one costs the server half as much as to store a fix. While messages wait they are therefore moved once a second
for all batches of it. A process that ends meanwhile leaves some behind; :func:`catch_up` moves those.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from psycopg import AsyncConnection

from devices.readings import FIX, Flag, Rows, joined_rows, rows
from devices.site import moment
from store.copy_in import COLUMNS, array
from store.database import announce

EVERY: Final = 1.0
"""Seconds that a position may wait while more readings are there."""
WITHIN: Final = timedelta(days=2)
"""How old a fix may be that is still looked for after a process has ended."""
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
# Each fix looked up by its key. As a plain join, by figures that know nothing of the newest fixes, the server may take
# those between first and last for one, and go through all that are named for each of them: seconds.
_ADD_STORED: Final = (
    _ADD
    % b"""(
    SELECT DISTINCT ON (f.device) f.*
    FROM unnest(%(device)s::int4[], %(at)s::timestamptz[]) AS s (device, at), LATERAL (
        SELECT * FROM fixes
        WHERE device = s.device AND at = s.at AND at BETWEEN %(first)s AND %(last)s AND flags & 16 = 0
        LIMIT 1) AS f
    ORDER BY f.device, f.at DESC
) AS stored"""
)
# Sorted at the end, so that no row is locked before all have been looked at, and writers lock in the same order. The
# bound is for devices that never sent a fix, who would else be looked for in every day that is stored.
_ADD_LEFT_BEHIND: Final = (
    _ADD
    % b"""(
    SELECT f.* FROM devices d LEFT JOIN last_positions l ON l.device = d.id, LATERAL (
        SELECT * FROM fixes
        WHERE device = d.id AND at > coalesce(l.at, '-infinity') AND at > now() - %(within)s AND flags & 16 = 0
        ORDER BY at DESC LIMIT 1) AS f
    ORDER BY d.id
) AS newer"""
)


class Positions:
    """When last positions are moved: with each batch, but at most once in :data:`EVERY` while there is ``more``.

    Attributes:
        owed: rows of FIX that are stored and not moved yet, the newest of each device.
    """

    def __init__(self, more: Callable[[], bool] = lambda: False) -> None:
        """``more`` says whether other readings are here already, with which what is owed will be moved."""
        self.owed = rows(FIX)
        self._more = more
        self._moved = 0.0  # monotonic

    async def move(self, conn: AsyncConnection, fixes: Rows) -> Rows:
        """In the transaction that stores ``fixes``: move last positions, if it is time. What is owed once that is
        committed, for :meth:`committed`.

        A call for help is never kept waiting.
        """
        due = _newest(fixes)
        if len(self.owed):
            due = _newest(joined_rows(FIX, [self.owed, due]))
        waits = time.monotonic() - self._moved < EVERY and self._more() and not (fixes["flags"] & _ALARM).any()
        if not len(due) or waits:
            return due
        columns = [array(due, c) for c in COLUMNS]
        moved = await conn.execute(_MOVE, columns)
        if moved.rowcount < len(due):  # one is a device's first, or late; an upsert of all costs a fifth more
            await conn.execute(_ADD_NEWEST, columns)
        await announce(conn, kind="positions")
        return rows(FIX)

    def committed(self, owed: Rows) -> None:
        """The transaction of :meth:`move` is committed, with this still owed."""
        self.owed = owed
        if not len(owed):
            self._moved = time.monotonic()


def _newest(fixes: Rows) -> Rows:
    """Of those with a place the newest of each device, the last of equals; ordered by device."""
    which = np.flatnonzero(fixes["flags"] & _NO_POSITION == 0)
    device, at = fixes["device"][which], fixes["at"][which]
    if ((device[1:] < device[:-1]) | ((device[1:] == device[:-1]) & (at[1:] < at[:-1]))).any():
        order = np.lexsort((at, device))  # of a batch that is stored they come sorted
        which, device = which[order], device[order]
    last = np.ones(len(device), bool)
    last[:-1] = device[1:] != device[:-1]
    return fixes.take(which[last])


async def move_to_known(conn: AsyncConnection, fixes: Rows) -> None:
    """Let last positions be the stored fixes of the same devices and moments, where none is newer: of a batch that may
    have been stored before by who was killed in the middle of it."""
    newest = _newest(fixes)
    await move_to_stored(conn, newest["device"].tolist(), [moment(at) for at in newest["at"].tolist()])


async def move_to_stored(conn: AsyncConnection, device: Sequence[int], at: Sequence[datetime]) -> None:
    """Let last positions be these stored fixes, named by device id and time, where none is newer."""
    if at:
        await conn.execute(_ADD_STORED, {"device": device, "at": at, "first": min(at), "last": max(at)})
        await announce(conn, kind="positions")


async def catch_up(conn: AsyncConnection, within: timedelta = WITHIN) -> int:
    """Move the last positions that are behind the fixes ``within`` this time, in a transaction of its own; how many.

    Rows stay locked until its end, and a writer waits for them.
    """
    async with conn.transaction():
        moved = (await conn.execute(_ADD_LEFT_BEHIND, {"within": within})).rowcount
        if moved:
            await announce(conn, kind="caught_up")
    return moved
