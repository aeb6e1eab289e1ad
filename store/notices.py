"""The outbox: what is to be sent is written in the transaction that decided it, and sent at least once afterwards.

A sender leases what is due for a while. One that dies is followed by another after the lease; each lease counts as an
attempt, so a notice that kills its senders ends too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from alerts.notice import MOST_ATTEMPTS, Notice, Permanent, Temporary, backoff, contact_key
from store.database import announce

LEASE, COMMAND_LEASE = 120.0, 15.0
"""Seconds for which a sender may take, by far the longest it needs: Apprise sends few at a time and gives each 10 s; a
command is at the broker within 5 s, and must not wait long when its sender died."""

_COLUMNS: Final = (
    "id, case_id, channel, target, reason, body, attempts, created, sent_at, failed_at, acked_at, accepted, error"
)


async def enqueue(
    conn: AsyncConnection,
    *,
    channel: str,
    target: str,
    reason: str,
    body: Mapping[str, Any],
    dedupe: str,
    case_id: int | None = None,
    contact: str = "",
) -> int | None:
    """Put a notice into the outbox in the present transaction; its id, or None when ``dedupe`` is there already."""
    cursor = await conn.execute(
        "INSERT INTO notices (case_id, channel, target, reason, body, dedupe, contact)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (dedupe) DO NOTHING RETURNING id",
        (case_id, channel, target, reason, Jsonb(dict(body)), dedupe, contact),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    await announce(conn, kind="notice", id=row[0])
    return int(row[0])


async def enqueue_to_unit(
    conn: AsyncConnection, unit: str, *, reason: str, body: Mapping[str, Any], dedupe: str, case_id: int | None
) -> int:
    """One notice for each contact of the unit, so that one that fails does not send to the others again; how many."""
    cursor = await conn.execute("SELECT contacts FROM units WHERE code = %s", (unit,))
    row = await cursor.fetchone()
    made = 0
    for url in row[0] if row else ():
        key = contact_key(url)
        one = await enqueue(
            conn,
            channel="apprise",
            target=unit,
            reason=reason,
            body=body,
            dedupe=f"{dedupe}|{key}",
            case_id=case_id,
            contact=key,
        )
        made += one is not None
    return made


async def due_notices(conn: AsyncConnection, limit: int = 50, lease: float | None = None) -> list[Notice]:
    """Lease what is due, the oldest first; nobody else gets it while the lease lasts. Commits."""
    async with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        await _give_up(conn)
        await cursor.execute(
            f"""
            WITH due AS (
                SELECT id FROM notices WHERE sent_at IS NULL AND failed_at IS NULL AND next_try <= now()
                ORDER BY next_try LIMIT %s FOR UPDATE SKIP LOCKED
            ), leased AS (
                UPDATE notices SET attempts = attempts + 1, next_try = now()
                    + make_interval(secs => CASE channel WHEN 'terminal' THEN %s ELSE %s END)
                WHERE id IN (SELECT id FROM due) RETURNING {_COLUMNS}, contact
            )
            SELECT l.*, d.share || '/' || d.code AS terminal, u.contacts FROM leased l
            LEFT JOIN devices d ON l.channel = 'terminal' AND d.code = l.target AND d.active
            LEFT JOIN units u ON l.channel = 'apprise' AND u.code = l.target
            ORDER BY l.id
            """,  # noqa: S608 - the columns are a constant
            (limit, lease or COMMAND_LEASE, lease or LEASE),
        )
        return [_addressed(row) for row in await cursor.fetchall()]


async def _give_up(conn: AsyncConnection) -> None:
    """End what has come due again but must not be sent any more."""
    await conn.execute(
        """
        WITH pointless AS (
            SELECT n.id, CASE WHEN n.attempts >= %s THEN 'tried ' || n.attempts || ' times; ' || n.error
                              ELSE 'the case no longer needs this terminal' END AS error
            FROM notices n LEFT JOIN cases c ON c.id = n.case_id LEFT JOIN devices d ON d.code = n.target
            WHERE n.sent_at IS NULL AND n.failed_at IS NULL AND n.next_try <= now()
                AND (n.attempts >= %s OR n.channel = 'terminal'
                     AND (c.status NOT IN ('dispatched', 'handling') OR c.terminal IS DISTINCT FROM d.id))
            FOR UPDATE OF n SKIP LOCKED
        )
        UPDATE notices n SET failed_at = now(), error = p.error FROM pointless p WHERE n.id = p.id
        """,
        (MOST_ATTEMPTS, MOST_ATTEMPTS),
    )


def _addressed(row: dict[str, Any]) -> Notice:
    terminal, contacts, contact = row.pop("terminal"), row.pop("contacts") or [], row.pop("contact")
    address = terminal or next((url for url in contacts if contact_key(url) == contact), "")
    return Notice(**row, address=address)


async def mark_sent(conn: AsyncConnection, notice: Notice) -> None:
    """The other side has taken it."""
    async with conn.transaction():
        await conn.execute(
            "UPDATE notices SET sent_at = now(), error = '' WHERE id = %s AND sent_at IS NULL", (notice.id,)
        )
        await announce(conn, kind="notice", id=notice.id)


async def mark_failed(conn: AsyncConnection, notice: Notice, failure: Temporary | Permanent) -> None:
    """Not sent: tried again after a pause, or given up when it never can be or was tried :data:`MOST_ATTEMPTS` times.

    A sender that was so slow that another has leased the notice in the meantime changes nothing.
    """
    given_up = isinstance(failure, Permanent) or notice.attempts >= MOST_ATTEMPTS
    async with conn.transaction():
        await conn.execute(
            "UPDATE notices SET error = %s, next_try = now() + %s, failed_at = CASE WHEN %s THEN now() END"
            " WHERE id = %s AND attempts = %s AND sent_at IS NULL",
            (str(failure), backoff(notice.attempts), given_up, notice.id, notice.attempts),
        )
        await announce(conn, kind="notice", id=notice.id)


async def case_notices(conn: AsyncConnection, case_id: int) -> list[Notice]:
    """All notices of a case, oldest first, without addresses."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM notices WHERE case_id = %s ORDER BY id", (case_id,))  # noqa: S608
        return [Notice(**row) for row in await cursor.fetchall()]
