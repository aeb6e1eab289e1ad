"""Who reported what: one row for each report, with the case that goes on for the one it was made to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from alerts.case import Origin
from store.photos import Attachment

_SELECT: Final = (
    "SELECT r.id, r.case_id, r.home, h.number AS home_number, r.seq, r.account, coalesce(a.name, e.actor) AS by,"
    " coalesce(nullif(a.display, ''), e.actor) AS display, r.name, r.contact, r.origin, r.at, r.received, r.lon, r.lat,"
    " r.accuracy, e.note, e.data -> 'attachments' AS photos, coalesce((e.data -> 'on_spot')::boolean, false) AS on_spot"
    " FROM reporters r JOIN entries e ON e.case_id = r.home AND e.seq = r.seq JOIN cases h ON h.id = r.home"
    " LEFT JOIN accounts a ON a.id = r.account"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody without an account who reported something, as far as it was said."""

    name: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Reporter:
    """One report of a case. ``case_id`` is the case that goes on, ``home`` the one that was reported.

    ``by`` is the account that sent it, ``name`` and ``contact`` a caller's. ``at`` is when it was seen. Accuracy in
    metres, None where the place was pointed out.
    """

    id: int
    case_id: int
    home: int
    home_number: str
    seq: int
    account: int | None
    by: str
    display: str
    name: str
    contact: str
    origin: Origin
    at: datetime
    received: datetime
    lon: float | None
    lat: float | None
    accuracy: float | None
    note: str
    on_spot: bool
    photos: tuple[Attachment, ...]


async def add_reporter(
    conn: AsyncConnection,
    case_id: int,
    seq: int,
    *,
    account: int | None,
    origin: Origin,
    at: datetime,
    received: datetime,
    lon: float | None,
    lat: float | None,
    accuracy: float | None = None,
    caller: Caller | None = None,
) -> int:
    """Note who reported a case in the entry ``seq``, just written; the row's id."""
    caller = caller or Caller()
    cursor = await conn.execute(
        "INSERT INTO reporters (case_id, home, seq, account, name, contact, origin, at, received, lon, lat, accuracy)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (
            *(case_id, case_id, seq, account, caller.name, caller.contact, origin, at, received, lon, lat),
            accuracy,
        ),
    )
    return int((await cursor.fetchone() or (0,))[0])


async def case_reporters(conn: AsyncConnection, case_id: int) -> list[Reporter]:
    """Those who reported a case or one that was merged into it, oldest first."""
    return await _read(conn, "WHERE r.case_id = %s ORDER BY r.id", (case_id,))


async def own_reports(
    conn: AsyncConnection, account: int, limit: int, before: int | None
) -> tuple[list[Reporter], int | None]:
    """What an account reported, newest first; and ``before`` for the next page, None at the end."""
    found = await _read(
        conn,
        "WHERE r.account = %s AND r.id < %s ORDER BY r.id DESC LIMIT %s",
        (account, 2**63 - 1 if before is None else before, limit + 1),
    )
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def own_report(conn: AsyncConnection, account: int, report_id: int) -> Reporter | None:
    """One of them; None when there is none, or it is somebody else's."""
    return next(iter(await _read(conn, "WHERE r.id = %s AND r.account = %s", (report_id, account))), None)


async def has_reported(conn: AsyncConnection, case_id: int, name: str) -> bool:
    """Whether the account of this name reported a case, or one that was merged into it."""
    cursor = await conn.execute(
        "SELECT 1 FROM reporters r JOIN accounts a ON a.id = r.account"
        " WHERE a.name = %s AND %s IN (r.case_id, r.home) LIMIT 1",
        (name, case_id),
    )
    return await cursor.fetchone() is not None


async def counted(conn: AsyncConnection, case_ids: Sequence[int]) -> dict[int, int]:
    """How many reported each of these cases; one that nobody did is left out."""
    cursor = await conn.execute(
        "SELECT case_id, count(*) FROM reporters WHERE case_id = ANY(%s) GROUP BY case_id", (list(case_ids),)
    )
    return dict(await cursor.fetchall())


async def forget_callers(conn: AsyncConnection, now: datetime, kept_for: timedelta) -> int:
    """Blank the names and contacts of callers whose case ended that long ago; how many. The reports stay."""
    async with conn.transaction():
        cursor = await conn.execute(
            "UPDATE reporters r SET name = '', contact = '' FROM cases c WHERE c.id = r.case_id"
            " AND (r.name <> '' OR r.contact <> '') AND c.closed_at < %s",
            (now - kept_for,),
        )
        return cursor.rowcount


async def _read(conn: AsyncConnection, rest: str, arguments: Sequence[object]) -> list[Reporter]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"{_SELECT} {rest}", arguments)
        return [_reporter(row) for row in await cursor.fetchall()]


def _reporter(row: dict[str, Any]) -> Reporter:
    photos = tuple(Attachment(**photo) for photo in row.pop("photos") or ())
    return Reporter(photos=photos, **row)
