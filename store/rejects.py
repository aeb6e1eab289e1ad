"""Messages that could not become readings, kept with their reason until somebody has mended the cause."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection
from psycopg.rows import class_row

from devices.site import moment
from store.database import announce

PAYLOAD_KEPT: Final = 1 << 20
"""Bytes of a payload that are kept; the digest is over all of it."""
PAYLOAD_LISTED: Final = 4096
"""Bytes of a payload in a listing; :func:`get_reject` gives what is kept."""
DETAIL_KEPT: Final = 500  # characters
_ANNOUNCED: Final = 20  # events of one batch: a flood of rejects must not become a flood of events


class Reject(NamedTuple):
    """A message on its way into the store."""

    topic: str
    payload: bytes
    received: int  # UTC µs, our clock
    reason: str  # a short stable code
    detail: str = ""
    repeat: bool = False  # delivered again by the broker (MQTT DUP or retained), so nothing new if it is known

    @property
    def digest(self) -> bytes:
        """sha256 over topic, payload and reason."""
        topic = _storable(self.topic).encode()
        head = f"{len(topic)} {len(self.payload)} ".encode()
        return hashlib.sha256(b"".join((head, topic, self.payload, self.reason.encode()))).digest()


class StoredReject(NamedTuple):
    """A reject as it is in the store."""

    id: int
    topic: str
    payload: bytes
    reason: str
    detail: str
    received: datetime
    last_seen: datetime
    times: int
    replayed_at: datetime | None


_INSERT: Final = """
INSERT INTO rejects AS r (digest, topic, payload, reason, detail, received, last_seen, times)
SELECT * FROM unnest(%s::bytea[], %s::text[], %s::bytea[], %s::text[], %s::text[],
                     %s::timestamptz[], %s::timestamptz[], %s::int[])
ON CONFLICT (digest) DO """
_KNOWN: Final = _INSERT + "NOTHING RETURNING id"
_AGAIN: Final = (
    _INSERT
    + """UPDATE SET times = least(r.times::int8 + excluded.times, 2147483647)::int4,
    last_seen = greatest(r.last_seen, excluded.last_seen), detail = excluded.detail, replayed_at = NULL
RETURNING id"""
)


async def write_rejects(conn: AsyncConnection, rejects: Iterable[Reject]) -> None:
    """Keep rejects, in the caller's transaction, and announce them.

    A message that was sent again raises ``times`` and ``last_seen`` (and is open again if it was replayed); one that
    the broker delivered again changes nothing.
    """
    fresh: dict[bytes, list[Any]] = {}
    repeated: dict[bytes, list[Any]] = {}
    for reject in rejects:
        digest = reject.digest
        group = repeated if reject.repeat else fresh
        row = group.get(digest)
        if row is None:
            group[digest] = _row(reject)
        else:
            row[5] = max(row[5], moment(reject.received))
            row[6] += 1
    ids = await _upsert(conn, _AGAIN, fresh)
    ids += await _upsert(conn, _KNOWN, {d: row for d, row in repeated.items() if d not in fresh})
    for reject_id in sorted(ids)[-_ANNOUNCED:]:
        await announce(conn, kind="reject", id=reject_id)


def _row(reject: Reject) -> list[Any]:
    payload, detail = reject.payload, reject.detail
    if len(payload) > PAYLOAD_KEPT:
        detail = f"{detail} (the first {PAYLOAD_KEPT} of {len(payload)} bytes are kept)"
        payload = payload[:PAYLOAD_KEPT]
    at = moment(reject.received)
    return [_storable(reject.topic), payload, reject.reason, _storable(detail)[:DETAIL_KEPT], at, at, 1]


async def _upsert(conn: AsyncConnection, statement: str, rows: dict[bytes, list[Any]]) -> list[int]:
    if not rows:
        return []
    digests = sorted(rows)  # one order for all workers: no deadlock
    columns = [digests, *([rows[d][i] for d in digests] for i in range(7))]
    return [r[0] for r in await (await conn.execute(statement.encode(), columns)).fetchall()]


def _storable(text: str) -> str:
    """The text with what PostgreSQL refuses (NUL, lone surrogates) written out."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


async def list_rejects(conn: AsyncConnection, limit: int = 100, before: int | None = None) -> list[StoredReject]:
    """Rejects, the last seen first; ``before`` is the id at which the page before ended. At most 1,000.

    Of each payload the first :data:`PAYLOAD_LISTED` bytes.
    """
    async with conn.cursor(binary=True, row_factory=class_row(StoredReject)) as cursor:
        await cursor.execute(
            """SELECT id, topic, substring(payload FOR %(shown)s) AS payload, reason, detail,
                      received, last_seen, times, replayed_at
               FROM rejects
               WHERE %(before)s::bigint IS NULL
                  OR (last_seen, id) < (SELECT last_seen, id FROM rejects WHERE id = %(before)s)
               ORDER BY last_seen DESC, id DESC LIMIT %(limit)s""",
            {"shown": PAYLOAD_LISTED, "before": before, "limit": min(max(limit, 0), 1000)},
        )
        return await cursor.fetchall()


async def get_reject(conn: AsyncConnection, reject_id: int) -> StoredReject | None:
    """One reject with all of its payload that is kept; None when there is none with this id."""
    async with conn.cursor(binary=True, row_factory=class_row(StoredReject)) as cursor:
        await cursor.execute(
            "SELECT id, topic, payload, reason, detail, received, last_seen, times, replayed_at"
            " FROM rejects WHERE id = %s",
            (reject_id,),
        )
        return await cursor.fetchone()


async def mark_replayed(conn: AsyncConnection, reject_ids: Sequence[int]) -> int:
    """Note that these were sent through ingest again; how many there were."""
    result = await conn.execute("UPDATE rejects SET replayed_at = now() WHERE id = ANY(%s)", (list(reject_ids),))
    return result.rowcount
