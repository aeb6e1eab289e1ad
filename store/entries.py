"""The timelines: entries are only ever appended, each chained to the one before and to the ledger over all cases.

The book is one lock for all who change a case or write an entry, held to the end of their transaction. Under it cases
are read, decided on and changed, numbers are given, terminals are chosen, and the ledger grows by one line at a time.
Being one, and taken after any lock on alerts, it leaves nobody waiting in a circle, even who takes several steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from alerts.case import Case, Entry, difference, recorded
from alerts.evidence import START, entry_hash, ledger_hash, plain
from detectors.base import Sentence

_BOOK: Final = 0x70617467_626F6F6B  # any number that nothing else uses as an advisory lock


async def lock_book(conn: AsyncConnection) -> None:
    """Be the only one to change cases and write entries until the transaction ends. Lock no alert after it."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_BOOK,))


async def append(
    conn: AsyncConnection,
    case_id: int,
    action: str,
    actor: str,
    now: datetime,
    *,
    note: str = "",
    told: Sentence | None = None,
    data: Mapping[str, Any] | None = None,
) -> Entry:
    """Write one entry; the book must be locked.

    ``told`` is what the system has to say, kept in ``data`` as zh and en, and as the note where nobody wrote one.

    Raises:
        alerts.evidence.NotEvidence: ``data`` cannot be kept unchanged.
    """
    content = dict(data or {})
    if told is not None:
        content |= {"zh": told.zh, "en": told.en}
        note = note or f"{told.zh} / {told.en}"
    content = plain(content)
    seq, prev_hash, position, head = await _heads(conn, case_id)
    hashed = entry_hash(
        prev_hash=prev_hash, case_id=case_id, seq=seq, at=now, actor=actor, action=action, note=note, data=content
    )
    await conn.execute(
        "WITH entry AS (INSERT INTO entries (case_id, seq, at, actor, action, note, data, prev_hash, hash)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s))"
        " INSERT INTO ledger (position, case_id, seq, entry_hash, hash) VALUES (%s, %s, %s, %s, %s)",
        (
            *(case_id, seq, now, actor, action, note, Jsonb(content), prev_hash, hashed),
            *(position, case_id, seq, hashed, ledger_hash(head, hashed)),
        ),
    )
    return Entry(case_id, seq, now, actor, action, note, content, prev_hash, hashed)


async def _heads(conn: AsyncConnection, case_id: int) -> tuple[int, bytes, int, bytes]:
    """Where the next entry goes: its seq and the hash it follows, its line in the ledger and the hash that follows."""
    cursor = await conn.execute(
        "SELECT e.seq, e.hash, l.position, l.hash FROM (VALUES (1)) AS one"
        " LEFT JOIN LATERAL (SELECT seq, hash FROM entries WHERE case_id = %s ORDER BY seq DESC LIMIT 1) e ON true"
        " LEFT JOIN LATERAL (SELECT position, hash FROM ledger ORDER BY position DESC LIMIT 1) l ON true",
        (case_id,),
    )
    seq, prev_hash, position, head = await cursor.fetchone() or (None,) * 4
    return (seq or 0) + 1, prev_hash or START, (position or 0) + 1, head or START


def first(case: Case, **more: Any) -> dict[str, Any]:
    """The data of a case's first entry: everything it began with."""
    return {"set": recorded(case), **more}


def step(before: Case, after: Case, **more: Any) -> dict[str, Any]:
    """The data of a later entry: what it changed, where it changed anything."""
    changed = difference(before, after)
    return {**({"set": changed} if changed else {}), **more}


async def case_entries(conn: AsyncConnection, case_id: int) -> list[Entry]:
    """The timeline of one case, oldest first."""
    return await _read(conn, "WHERE case_id = %s ORDER BY seq", (case_id,))


async def entries_since(conn: AsyncConnection, case_id: int, version: int) -> list[Entry]:
    """The entries that changed the case after it had this version."""
    return await _read(
        conn, "WHERE case_id = %s AND (data #>> '{set,version}')::int > %s ORDER BY seq", (case_id, version)
    )


async def _read(conn: AsyncConnection, where: str, arguments: tuple[object, ...]) -> list[Entry]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"SELECT case_id, seq, at, actor, action, note, data, prev_hash, hash FROM entries {where}",  # noqa: S608 - fixed texts
            arguments,
        )
        return [Entry(**row) for row in await cursor.fetchall()]
