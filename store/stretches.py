"""Readings out of the store: stretches for the detectors, last positions and tracks for the console.

Times are UTC µs (int) throughout, as in the arrays. Every query is bounded in time and in rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import timedelta
from typing import Any, Final

import numpy as np
from psycopg import AsyncConnection

from detectors.base import Batch
from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, Rows, joined_rows, rows
from devices.site import micros, moment
from store.copy_in import from_arrays

MOST_ROWS: Final = 5_000_000
"""Rows of one kind in one stretch (fixes: about 1 GB while it is read); ask for shorter stretches beyond."""

# A connection keeps, for good, a buffer as large as the largest row it was ever sent: arrays of so many fixes take one
# of 2 MB, those of a whole slice one of 64.
_AS_ARRAYS: Final = b"""
    SELECT array_agg(device), array_agg(at), array_agg(received), array_agg(lon), array_agg(lat), array_agg(speed),
           array_agg(heading), array_agg(accuracy), array_agg(battery), array_agg(flags)
    FROM (SELECT f.*, row_number() OVER () / 10000 AS part FROM (%s) AS f) AS f
    GROUP BY part"""
# The arrays lie in memory anyway; by default what is more than 8 MB is written to disk first, and that takes longer.
_IN_MEMORY: Final = b"SET LOCAL hash_mem_multiplier = 1000"
_FIXES: Final = (
    _AS_ARRAYS
    % b"""
    SELECT * FROM fixes
    WHERE at >= %(since)s AND at < %(until)s AND (%(devices)s::int[] IS NULL OR device = ANY(%(devices)s))
    LIMIT %(limit)s"""
)
_SIGHTINGS: Final = b"""
    SELECT device, (extract(epoch FROM at) * 1000000)::int8, (extract(epoch FROM received) * 1000000)::int8,
           label, count, confidence, track, lon, lat, snapshot
    FROM sightings
    WHERE at >= %(since)s AND at < %(until)s AND (%(devices)s::int[] IS NULL OR device = ANY(%(devices)s))
    LIMIT %(limit)s"""
_SAMPLES: Final = b"""
    SELECT device, (extract(epoch FROM at) * 1000000)::int8, (extract(epoch FROM received) * 1000000)::int8,
           quantity, value
    FROM samples
    WHERE at >= %(since)s AND at < %(until)s AND (%(devices)s::int[] IS NULL OR device = ANY(%(devices)s))
    LIMIT %(limit)s"""
_LATE_ALARMS: Final = (
    _AS_ARRAYS
    % b"""
    SELECT * FROM fixes
    WHERE received >= %(since)s AND at < %(since)s AND flags & 33 <> 0  -- Flag.SOS | Flag.MAN_DOWN
        AND (%(devices)s::int[] IS NULL OR device = ANY(%(devices)s))
    LIMIT %(limit)s"""
)
_LATE: Final = """
    SELECT device, (extract(epoch FROM min(at)) * 1000000)::int8, (extract(epoch FROM max(at)) * 1000000)::int8
    FROM {kind}
    WHERE received >= %(since)s AND received - at > interval '1 hour'  -- as the index {kind}_late has it
        AND (%(devices)s::int[] IS NULL OR device = ANY(%(devices)s))
    GROUP BY device"""
_LAST_BEFORE: Final = (
    _AS_ARRAYS
    % b"""
    SELECT f.* FROM unnest(%(devices)s::int[]) AS d (id), LATERAL (
        SELECT * FROM fixes WHERE device = d.id AND at < %(before)s AND at >= %(since)s ORDER BY at DESC LIMIT 1
    ) AS f"""
)
_FIRST_AFTER: Final = (
    _AS_ARRAYS
    % b"""
    SELECT f.* FROM unnest(%(devices)s::int[]) AS d (id), LATERAL (
        SELECT * FROM fixes WHERE device = d.id AND at >= %(since)s AND at < %(until)s ORDER BY at LIMIT 1
    ) AS f"""
)
_LAST_POSITIONS: Final = (
    _AS_ARRAYS
    % b"""
    SELECT * FROM last_positions
    WHERE %(received_after)s::timestamptz IS NULL OR received > %(received_after)s"""
)
POINT: Final = np.dtype([(name, FIX[name]) for name in ("at", "lon", "lat", "speed", "flags")])
"""What a track is made of: the columns of the index ``fixes_track``."""
# Ordered as the index is, and of its columns alone: no page of the table is read where a vacuum has been.
_TRACK: Final = b"""
    SELECT array_agg(at), array_agg(lon), array_agg(lat), array_agg(speed), array_agg(flags)
    FROM (SELECT at, lon, lat, speed, flags FROM fixes
          WHERE device = %(device)s AND at >= %(since)s AND at < %(until)s AND flags & 16 = 0  -- Flag.NO_POSITION
          ORDER BY at LIMIT %(limit)s) AS f"""
_NEWEST: Final = (
    b"SELECT max(received) FROM sightings WHERE at >= now() - %s::interval",
    b"SELECT max(received) FROM samples WHERE at >= now() - %s::interval",
)


class StretchTooLong(ValueError):
    """A stretch holds too many rows of one kind; the message says how many, and which."""


FEW: Final = 50_000
"""Readings of a slice that may be followed by a longer one."""
SHORTEST, LONGEST = SECOND, 24 * 3600 * SECOND  # µs of a slice
KINDS: Final = frozenset({"fixes", "sightings", "samples"})


async def stretch(
    conn: AsyncConnection,
    since: int,
    until: int,
    devices: Sequence[int] | None = None,
    kinds: Collection[str] = KINDS,
    most: int = MOST_ROWS,
) -> Batch:
    """The stored readings with ``since <= at < until`` (UTC µs), of all devices or of those with these ids.

    Each kind of ``kinds`` is ordered by time and device, the others are empty. Memory is about 200 bytes a fix while it
    is read.

    Raises:
        StretchTooLong: more than ``most`` rows of one kind; take :func:`stretches`.
    """
    values = {
        "since": moment(since),
        "until": moment(until),
        "devices": None if devices is None else [int(d) for d in devices],
        "limit": most + 1,
    }
    batch = Batch(
        await _fixes(conn, _FIXES, values) if "fixes" in kinds else rows(FIX),
        await _fetched(conn, SIGHTING, _SIGHTINGS, values) if "sightings" in kinds else rows(SIGHTING),
        await _fetched(conn, SAMPLE, _SAMPLES, values) if "samples" in kinds else rows(SAMPLE),
    )
    for kind, found in (("fixes", batch.fixes), ("sightings", batch.sightings), ("samples", batch.samples)):
        if len(found) > most:
            raise StretchTooLong(f"more than {most} {kind} from {moment(since)} to {moment(until)}: ask for less")
    return batch


async def stretches(
    conn: AsyncConnection,
    since: int,
    until: int,
    devices: Sequence[int] | None = None,
    kinds: Collection[str] = KINDS,
    seconds: float = 600.0,
    limit: int = MOST_ROWS,
) -> AsyncIterator[Batch]:
    """The same in slices of event time, in order, the first of so many seconds and none with more than ``limit``
    readings of a kind, but for what is of one and the same moment; see :func:`next_slice`. Those without a reading are
    left out.

    Raises:
        StretchTooLong: more than :data:`MOST_ROWS` readings of a kind at one moment.
    """
    begin, length = since, max(1, int(seconds * SECOND))
    while begin < until:
        end = min(begin + length, until)
        moment_alone = end - begin == 1
        try:
            batch = await stretch(conn, begin, end, devices, kinds, MOST_ROWS if moment_alone else limit)
        except StretchTooLong:
            if moment_alone:
                raise
            length = max(1, (end - begin) // 8)
            continue
        if len(batch):
            yield batch
        begin, length = end, next_slice(length, len(batch))


def next_slice(length: int, found: int) -> int:
    """How long (µs) a slice to read when one of ``length`` held ``found`` readings: longer where little is stored, and
    shorter where much is, so that neither memory nor whoever waits for the reader suffers."""
    return max(length // 2, SHORTEST) if found > FEW else min(length * 2, LONGEST)


async def late_alarms(
    conn: AsyncConnection, since: int, devices: Sequence[int] | None = None, limit: int = 10_000
) -> Rows:
    """The calls for help received at or after a moment (UTC µs) that say they are older than it.

    They are not in a stretch of event time that begins there, and must not be overlooked for that.
    """
    return await _fixes(conn, _LATE_ALARMS, {"since": moment(since), "devices": devices, "limit": limit})


async def late_spans(
    conn: AsyncConnection, since: int, devices: Sequence[int] | None = None
) -> dict[str, list[tuple[int, int, int]]]:
    """By kind, whose readings that were received at or after a moment (UTC µs) were more than an hour old by then: the
    device's id, and the first and last moment (UTC µs) that they are of."""
    values = {"since": moment(since), "devices": devices}
    return {
        kind: await (await conn.execute(_LATE.format(kind=kind).encode(), values)).fetchall() for kind in sorted(KINDS)
    }


async def newest_received(conn: AsyncConnection) -> int | None:
    """When (UTC µs, our clock) the newest reading was received; None without readings.

    Looked for among the last positions and among the sightings and samples of recent event time, so that it costs
    milliseconds: a reading hours late that was received after all others may be missed.
    """
    found = [await _one(conn, b"SELECT max(received) FROM last_positions")]
    for query in _NEWEST:
        for age in ("1 hour", "1 day", "30 days", "100 years"):
            newest = await _one(conn, query, (age,))
            if newest is not None:
                found.append(newest)
                break
    return max((micros(f) for f in found if f is not None), default=None)


async def last_positions(conn: AsyncConnection, received_after: int | None = None) -> Rows:
    """The newest fix with a place of each device, shape (n,) of FIX; all, or those received after a moment (UTC µs)."""
    after = None if received_after is None else moment(received_after)
    return await _fixes(conn, _LAST_POSITIONS, {"received_after": after})


async def last_before(conn: AsyncConnection, devices: Sequence[int], before: int, days: int = 7) -> Rows:
    """The last fix of each device (id) before a moment (UTC µs), shape (n,) of FIX, within so many days."""
    since = moment(before) - timedelta(days=days)
    return await _fixes(conn, _LAST_BEFORE, {"devices": list(devices), "before": moment(before), "since": since})


async def first_after(conn: AsyncConnection, devices: Sequence[int], since: int, days: int = 7) -> Rows:
    """The first fix of each device (id) at or after a moment (UTC µs), shape (n,) of FIX, within so many days."""
    until = moment(since) + timedelta(days=days)
    return await _fixes(conn, _FIRST_AFTER, {"devices": list(devices), "since": moment(since), "until": until})


async def track(conn: AsyncConnection, device: int, since: int, until: int, limit: int = 100_000) -> Rows:
    """One device's fixes with a place and ``since <= at < until`` (UTC µs), in order of time, the first ``limit``: rows
    of :data:`POINT`."""
    values = {"device": int(device), "since": moment(since), "until": moment(until), "limit": limit}
    return await _gathered(conn, POINT, _TRACK, values)


async def _fixes(conn: AsyncConnection, query: bytes, values: dict[str, Any]) -> Rows:
    fixes = await _gathered(conn, FIX, query, values)
    return fixes.take(np.lexsort((fixes["device"], fixes["at"])))


async def _gathered(conn: AsyncConnection, dtype: np.dtype[Any], query: bytes, values: dict[str, Any]) -> Rows:
    """Rows of ``dtype`` from a query that gathers its columns into arrays, which may come in several rows."""
    async with conn.cursor(binary=True) as cursor:
        await cursor.execute(_IN_MEMORY)
        await cursor.execute(query, values)
        result, names = cursor.pgresult, dtype.names or ()
        parts = range(result.ntuples) if result else ()
        columns = ([result.get_value(part, i) for i in range(len(names))] for part in parts if result)
        return joined_rows(dtype, (from_arrays(column, dtype) for column in columns))


async def _fetched(conn: AsyncConnection, dtype: np.dtype[Any], query: bytes, values: dict[str, Any]) -> Rows:
    async with conn.cursor(binary=True) as cursor:
        await cursor.execute(query, values)
        found = rows(dtype, await cursor.fetchall())
    return found.take(np.lexsort((found["device"], found["at"])))


async def _one(conn: AsyncConnection, query: bytes, values: tuple[Any, ...] = ()) -> Any:
    found = await (await conn.execute(query, values)).fetchone()
    return found[0] if found else None
