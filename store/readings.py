"""Readings into the store: one transaction per batch, idempotent on the natural key.

The natural keys are (device, at) of a fix, (device, at, label, track) of a sighting and (device, quantity, at) of a
sample: what is stored is never stored again. What comes out again is in :mod:`store.stretches`, :mod:`store.rejects`
and :mod:`store.retention`, and can be had from here.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Final, TypeAlias

import numpy as np
import psycopg
from psycopg import AsyncConnection, errors

from detectors.base import Batch
from devices.readings import FIX, CommandAck, Flag, Rows, rows
from devices.site import moment
from store.copy_in import COLUMNS, array
from store.heat import mark_late
from store.lanes import copy_fixes
from store.positions import Positions, move_to_known, move_to_stored
from store.rejects import Reject, StoredReject, get_reject, list_rejects, mark_replayed, write_rejects
from store.retention import Removed, apply_retention
from store.stretches import StretchTooLong, last_positions, newest_received, stretch, stretches, track

__all__ = [
    "Reject",
    "Removed",
    "StoredReject",
    "StretchTooLong",
    "apply_retention",
    "get_reject",
    "last_positions",
    "list_rejects",
    "mark_replayed",
    "mark_suspects",
    "newest_received",
    "one_per_key",
    "stretch",
    "stretches",
    "track",
    "write_batch",
]

RecordAck: TypeAlias = Callable[[AsyncConnection, CommandAck], Awaitable[object]]

ALARM: Final = int(Flag.SOS | Flag.MAN_DOWN)  # 33 in the SQL below
NO_POSITION: Final = int(Flag.NO_POSITION)  # 16 in the SQL below

# Each is looked up by its key, and changed as what it conflicts with: of a join with UPDATE the server may take the way
# that goes through all names for each fix between, and an UPDATE for each name takes twenty times as long as this.
_SUSPECT: Final = b"""
INSERT INTO fixes AS f
SELECT stored.* FROM unnest(%(device)s::int4[], %(at)s::timestamptz[]) AS s (device, at), LATERAL (
    SELECT * FROM fixes
    WHERE device = s.device AND at = s.at AND at BETWEEN %(first)s AND %(last)s AND flags & 64 = 0  -- Flag.SUSPECT
    LIMIT 1) AS stored
ON CONFLICT (device, at) DO UPDATE SET flags = f.flags | 64"""

# A stored fix is left alone, but for two things that must not be swallowed: an alarm, and the place of an alarm that
# had come without one. ``received`` then says when that became known.
_MERGE_FIXES: Final = b"""
INSERT INTO fixes AS f (device, at, received, lon, lat, speed, heading, accuracy, battery, flags)
SELECT * FROM unnest(%b::int4[], %b::timestamptz[], %b::timestamptz[], %b::float8[], %b::float8[],
                     %b::float4[], %b::float4[], %b::float4[], %b::float4[], %b::int2[])
ON CONFLICT (device, at) DO UPDATE SET
    received = excluded.received,
    lon      = CASE WHEN f.flags & 16 > excluded.flags & 16 THEN excluded.lon ELSE f.lon END,
    lat      = CASE WHEN f.flags & 16 > excluded.flags & 16 THEN excluded.lat ELSE f.lat END,
    speed    = CASE WHEN f.flags & 16 > excluded.flags & 16 THEN excluded.speed ELSE f.speed END,
    heading  = CASE WHEN f.flags & 16 > excluded.flags & 16 THEN excluded.heading ELSE f.heading END,
    accuracy = CASE WHEN f.flags & 16 > excluded.flags & 16 THEN excluded.accuracy ELSE f.accuracy END,
    battery  = CASE WHEN f.flags & 16 > excluded.flags & 16 THEN excluded.battery ELSE f.battery END,
    flags    = (CASE WHEN f.flags & 16 > excluded.flags & 16 THEN excluded.flags ELSE f.flags END)
               | ((f.flags | excluded.flags) & 33)
WHERE (excluded.flags & 33 & (~f.flags)) <> 0 OR f.flags & 16 > excluded.flags & 16
RETURNING device, (extract(epoch FROM at) * 1000000)::int8, (extract(epoch FROM received) * 1000000)::int8,
          lon, lat, speed, heading, accuracy, battery, flags"""
_SIGHTINGS: Final = b"""
INSERT INTO sightings (device, at, received, label, count, confidence, track, lon, lat, snapshot)
SELECT * FROM unnest(%b::int4[], %b::timestamptz[], %b::timestamptz[], %s::text[], %b::int4[], %b::float4[],
                     %s::text[], %b::float8[], %b::float8[], %s::text[])
ON CONFLICT DO NOTHING
RETURNING device, (extract(epoch FROM at) * 1000000)::int8, (extract(epoch FROM received) * 1000000)::int8,
          label, count, confidence, track, lon, lat, snapshot"""
_SAMPLES: Final = b"""
INSERT INTO samples (device, at, received, quantity, value)
SELECT * FROM unnest(%b::int4[], %b::timestamptz[], %b::timestamptz[], %s::text[], %b::float8[])
ON CONFLICT DO NOTHING
RETURNING device, (extract(epoch FROM at) * 1000000)::int8, (extract(epoch FROM received) * 1000000)::int8,
          quantity, value"""


async def mark_suspects(conn: AsyncConnection, suspects: Iterable[tuple[int, int]]) -> None:
    """Flag fixes, named by (device id, at in UTC µs), that a detector does not believe. They stay as they are."""
    named = sorted(set(suspects))
    if named:
        device, at = [device for device, _ in named], [moment(at) for _, at in named]
        await conn.execute(_SUSPECT, {"device": device, "at": at, "first": min(at), "last": max(at)})
        await move_to_stored(conn, device, at)


async def write_batch(
    conn: AsyncConnection,
    fixes: Rows,
    sightings: Rows,
    samples: Rows,
    rejects: Iterable[Reject] = (),
    acks: Iterable[CommandAck] = (),
    record_ack: RecordAck | None = None,
    positions: Positions | None = None,
    *,
    parts: Sequence[Rows] = (),
    beside: Sequence[AsyncConnection] = (),
) -> Batch:
    """Store everything in one transaction (a savepoint inside the caller's) and announce it to the listeners.

    Many fixes may be in a second transaction, on a connection ``beside``, which is committed right after the first or
    not at all. Returns what is new: without what was stored before, and a stored fix again where an alarm was added to
    it. Arrays are of the dtypes in :mod:`devices.readings` with places in WGS-84; ``device`` is the id. ``positions``
    says when the last positions are moved, at once unless given. ``parts`` are ``fixes`` as the lanes take them
    (:mod:`store.lanes`), which are then as :func:`one_per_key` leaves them.

    Raises:
        psycopg.DataError, UnicodeError: a value that PostgreSQL cannot hold; nothing was stored.
        psycopg.Error: the database refuses or is away; nothing was stored, unless a connection broke at the commit.
    """
    rejects, acks = list(rejects), list(acks)
    positions = Positions() if positions is None else positions
    if not parts:
        fixes = one_per_key(fixes)
        parts = [fixes]
    lanes = [conn, *beside]

    async def copy_all() -> Rows:
        await copy_fixes(lanes, parts)
        return fixes

    async def merge_fixes() -> Rows:
        new = await _merge_fixes(conn, fixes)
        await move_to_known(conn, fixes)
        return new

    async def write(write_fixes: Callable[[], Awaitable[Rows]], *connections: AsyncConnection) -> Batch:
        async with AsyncExitStack() as stack:
            # Backwards, so that the first, which can be refused, is committed first.
            begun = [await stack.enter_async_context(one.transaction()) for one in reversed(connections)]
            new = Batch(
                await write_fixes() if len(fixes) else fixes,
                await _write_texts(conn, _SIGHTINGS, sightings),
                await _write_texts(conn, _SAMPLES, samples),
            )
            now = time.time_ns() // 1000
            for one in connections:  # each with its own: between the two commits somebody may count
                await mark_late(one, new.fixes, now)
            owed = await positions.move(conn, new.fixes)
            await write_rejects(conn, rejects)
            if record_ack is not None:
                for ack in acks:
                    await record_ack(conn, ack)
        # psycopg passes in silence over the COMMIT of a connection that is known to be lost.
        if any(transaction.status != transaction.Status.COMMITTED for transaction in begun):
            raise psycopg.OperationalError("a connection was lost before its COMMIT could be sent")
        positions.committed(owed)
        return new

    try:
        return await write(copy_all, *lanes)
    except (errors.UniqueViolation, errors.LockNotAvailable):  # COPY knows no ON CONFLICT
        return await write(merge_fixes, conn)


def one_per_key(fixes: Rows) -> Rows:
    """Fixes in order of (device, at), one each: the first that has a place, with the alarm flags of all.

    Sorted by device a batch costs the server half as much, as the index pages of one device lie together.
    """
    if len(fixes) < 2:
        return fixes
    device, at = fixes["device"].astype(np.int64), fixes["at"].copy()
    since, span = int(at.min()), int(at.max()) - int(at.min()) + 1
    if (int(device.max()) + 1) * span < 1 << 62:  # one key sorts several times as fast as two
        key = device * span + (at - since)
        if (key[1:] > key[:-1]).all():
            return fixes  # as they are already
        order = np.argsort(key)
        if (np.diff(key[order]) > 0).all():
            return fixes.take(order)
    placeless = fixes["flags"] & NO_POSITION
    order = np.lexsort((placeless, at, device))
    fixes, device, at = fixes.take(order), device[order], at[order]
    first = np.append(True, (np.diff(device) != 0) | (np.diff(at) != 0))
    alarms = np.bitwise_or.reduceat(fixes["flags"] & ALARM, np.flatnonzero(first))
    fixes = fixes.compress(first)
    fixes["flags"] |= alarms
    return fixes


async def _merge_fixes(conn: AsyncConnection, fixes: Rows) -> Rows:
    """The slower way, for a batch of which some are stored already."""
    async with conn.cursor(binary=True) as cursor:
        await cursor.execute(_MERGE_FIXES, [array(fixes, c) for c in COLUMNS])
        return rows(FIX, await cursor.fetchall())


async def _write_texts(conn: AsyncConnection, statement: bytes, readings: Rows) -> Rows:
    """Sightings or samples: their texts go as lists, their numbers as packed arrays."""
    if not len(readings):
        return readings
    readings = readings[np.lexsort((readings["at"], readings["device"]))]  # one order for all workers: no deadlock
    columns = [
        readings[name].tolist() if readings.dtype[name].hasobject else array(readings, name)
        for name in readings.dtype.names or ()
    ]
    async with conn.cursor(binary=True) as cursor:
        await cursor.execute(statement, columns)
        return rows(readings.dtype, await cursor.fetchall())
