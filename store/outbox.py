"""Sending what is in the outbox: leased for a while, held in quiet hours, gathered in a storm, tried again, given up.

A sender that dies is followed by another after the lease; each lease counts as an attempt, so a notice that kills its
senders ends too. A notice is sent twice only when its sender dies, or loses the database until the lease ends, between
the receiver's taking it and :func:`mark_sent`; or when a receiver takes it without saying so in time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from alerts.contacts import Contact
from alerts.notice import MOST_ATTEMPTS, Notice, Permanent, Temporary, backoff
from alerts.pacing import Lately, digest_body, paced
from store.contact_health import contact_failed
from store.contacts import find_contacts, note_success
from store.database import announce
from store.notices import NOTICE_COLUMNS

LEASE, COMMAND_LEASE = 120.0, 15.0
"""Seconds for which a sender may take, by far the longest it needs: one contact's notices go one after another, at most
:data:`MOST_OF_ONE` in a lease, and each is given 20 s; a command is at the broker within 5 s, and must not wait long
when its sender died."""
MOST_OF_ONE: Final = 5
_PLANNING: Final = 0x70617467_6F757462  # an advisory lock: what a contact got lately is counted by one at a time
_MOST_LOOKED_AT: Final = 500  # that are due, in one reading


async def due_notices(
    conn: AsyncConnection,
    limit: int = 50,
    lease: float | None = None,
    *,
    commands: bool | None = None,
    busy: Collection[str] = (),
) -> list[Notice]:
    """Lease what is due, the urgent first; nobody else gets it while the lease lasts. Commits.

    ``commands`` True: only those to terminals, False: only the others. ``busy`` are contacts that are being sent to
    now and get nothing more meanwhile.
    """
    async with conn.transaction():
        if not await _any_due(conn):
            return []
        if not commands:
            await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_PLANNING,))
        await _give_up(conn)
        due = await _due(conn, commands, busy)
        contacts = await _contacts(conn, due)
        chosen = await _choose(conn, due, contacts, limit)
        return await _lease(conn, chosen, contacts, lease)


async def mark_sent(conn: AsyncConnection, notice: Notice) -> None:
    """The other side has taken it, and with a digest all that it gathers."""
    async with conn.transaction():
        await conn.execute(
            "UPDATE notices SET sent_at = now(), error = '' WHERE (id = %s OR digest = %s) AND sent_at IS NULL",
            (notice.id, notice.id),
        )
        if notice.contact:
            await note_success(conn, notice.contact)
        await _announce(conn, [notice.id])


async def mark_failed(conn: AsyncConnection, notice: Notice, failure: Temporary | Permanent) -> None:
    """Not sent: tried again after a pause, or given up when it never can be or was tried :data:`MOST_ATTEMPTS` times.

    A sender that was so slow that another has leased the notice in the meantime changes nothing.
    """
    given_up = isinstance(failure, Permanent) or notice.attempts >= MOST_ATTEMPTS
    async with conn.transaction():
        cursor = await conn.execute(
            "UPDATE notices SET error = %s, next_try = now() + %s, failed_at = CASE WHEN %s THEN now() END"
            " WHERE id = %s AND attempts = %s AND sent_at IS NULL AND failed_at IS NULL",
            (str(failure), backoff(notice.attempts), given_up, notice.id, notice.attempts),
        )
        if given_up and cursor.rowcount:
            await _given_up(conn, notice.id, notice.contact, notice.target, notice.via, str(failure))
        await _announce(conn, [notice.id])


async def _any_due(conn: AsyncConnection) -> bool:
    """Whether there is anything to look at. Mostly there is not, and this is asked several times a second."""
    cursor = await conn.execute(
        "SELECT EXISTS (SELECT FROM notices"
        " WHERE sent_at IS NULL AND failed_at IS NULL AND digest IS NULL AND next_try <= now())"
    )
    return await cursor.fetchone() == (True,)


async def _give_up(conn: AsyncConnection) -> None:
    """End what has come due again but must not be sent any more."""
    cursor = await conn.execute(
        """
        WITH pointless AS (
            SELECT n.id, CASE WHEN n.attempts >= %s THEN 'tried ' || n.attempts || ' times; ' || n.error
                              WHEN n.body ->> 'do' = 'recall' THEN 'the terminal is on the case again'
                              ELSE 'the case no longer needs this terminal' END AS error
            FROM notices n LEFT JOIN cases c ON c.id = n.case_id LEFT JOIN devices d ON d.code = n.target
            WHERE n.sent_at IS NULL AND n.failed_at IS NULL AND n.digest IS NULL AND n.next_try <= now()
                AND (n.attempts >= %s OR n.channel = 'terminal' AND (n.body ->> 'do' = 'recall')
                     = (c.status IN ('dispatched', 'handling') AND c.terminal IS NOT DISTINCT FROM d.id))
            FOR UPDATE OF n SKIP LOCKED
        )
        UPDATE notices n SET failed_at = now(), error = p.error FROM pointless p WHERE n.id = p.id
        RETURNING n.id, n.contact, n.target, n.via, n.error
        """,
        (MOST_ATTEMPTS, MOST_ATTEMPTS),
    )
    for row in await cursor.fetchall():
        await _given_up(conn, *row)


async def _given_up(conn: AsyncConnection, notice: int, contact: str, target: str, via: str, error: str) -> None:
    """What a digest gathered ends with it, and of a contact that does not work the desk is told."""
    await conn.execute(
        "UPDATE notices SET failed_at = now(), error = %s WHERE digest = %s AND sent_at IS NULL", (error, notice)
    )
    if contact:
        await contact_failed(conn, notice, contact, target, via, error)


async def _due(conn: AsyncConnection, commands: bool | None, busy: Collection[str]) -> list[Notice]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"SELECT {NOTICE_COLUMNS} FROM notices WHERE sent_at IS NULL AND failed_at IS NULL AND digest IS NULL"  # noqa: S608
            " AND next_try <= now() AND (%s::bool IS NULL OR (channel = 'terminal') = %s)"
            " AND (contact = '' OR contact <> ALL(%s))"
            " ORDER BY (severity = 'high') DESC, next_try, id LIMIT %s FOR UPDATE SKIP LOCKED",
            (commands, commands, list(busy), _MOST_LOOKED_AT),
        )
        return [Notice(**row) for row in await cursor.fetchall()]


async def _contacts(conn: AsyncConnection, due: Sequence[Notice]) -> dict[tuple[str, str], Contact]:
    """The contacts of what is due, by target and key; one that the site no longer has is not among them."""
    targets = dict.fromkeys(notice.target for notice in due if notice.contact)
    found = await find_contacts(conn, list(targets)) if targets else {}
    return {(target, contact.key): contact for target, contacts in found.items() for contact in contacts}


async def _choose(
    conn: AsyncConnection, due: Sequence[Notice], contacts: dict[tuple[str, str], Contact], limit: int
) -> list[int]:
    """The ids of what is to be sent now; what has to wait is put off, what is too much is gathered."""
    cursor = await conn.execute("SELECT now()")
    (now,) = await cursor.fetchone() or (None,)
    assert isinstance(now, datetime)
    by_address: dict[str, list[tuple[Contact, Notice]]] = defaultdict(list)
    chosen: list[int] = []
    for notice in due:
        contact = contacts.get((notice.target, notice.contact))
        until = contact.quiet_until(notice.severity, now) if contact else None
        if until is not None:
            await conn.execute(
                "UPDATE notices SET held_until = %s, next_try = %s WHERE id = %s", (until, until, notice.id)
            )
        elif contact is None:
            chosen.append(notice.id)
        else:
            by_address[notice.contact].append((contact, notice))
    for waiting in by_address.values():  # one pace for an address, whoever is reached by it
        chosen += await _paced(conn, waiting[0][0], [notice for _, notice in waiting], now)
    order = {notice.id: place for place, notice in enumerate(due)}
    return sorted(chosen, key=order.__getitem__)[:limit]


async def _paced(conn: AsyncConnection, contact: Contact, waiting: Sequence[Notice], now: datetime) -> list[int]:
    """Of one contact's notices the ids of those that go now. Repeated attempts and digests have had their turn."""
    fresh = sorted((n for n in waiting if not n.attempts and not n.gathers), key=lambda notice: notice.id)
    others = [n.id for n in waiting if n.attempts or n.gathers]
    lately, opened = Lately(), None
    if contact.pace is not None and fresh:
        lately, opened = await _lately(conn, contact, now)
    outlet = paced(fresh, lately, contact.pace, now)
    if outlet.gather and outlet.at is not None:
        await _gather(conn, [notice for notice in fresh if notice.id in outlet.gather], opened, outlet.at)
    return [*others, *outlet.send][:MOST_OF_ONE]


async def _lately(conn: AsyncConnection, contact: Contact, now: datetime) -> tuple[Lately, int | None]:
    """What a contact got within its pace, by whatever unit or person it is reached; and the digest that gathers now."""
    assert contact.pace is not None
    given = {"contact": contact.key, "since": now - contact.pace.within, "now": now}
    cursor = await conn.execute(
        """
        SELECT count(*) FILTER (WHERE severity <> 'high' OR gathers), count(*) FILTER (WHERE severity = 'high'
            AND NOT gathers), min(coalesce(sent_at, %(now)s)), max(coalesce(sent_at, %(now)s)) FILTER (WHERE gathers),
            max(id) FILTER (WHERE gathers)
        FROM notices WHERE contact = %(contact)s AND digest IS NULL AND attempts > 0
            AND (sent_at > %(since)s OR sent_at IS NULL AND failed_at IS NULL)
        """,
        given,
    )
    lesser, high, oldest, digest, last = await cursor.fetchone() or (0, 0, None, None, None)
    cursor = await conn.execute(
        "SELECT (SELECT count(*) FROM notices WHERE digest = %(last)s), (SELECT id FROM notices"
        " WHERE contact = %(contact)s AND gathers AND attempts = 0 AND sent_at IS NULL AND failed_at IS NULL"
        " ORDER BY id DESC LIMIT 1)",
        {**given, "last": last},
    )
    gathered, opened = await cursor.fetchone() or (0, None)
    return Lately(lesser, high, oldest, digest, gathered, opened is not None), opened


async def _gather(conn: AsyncConnection, members: Sequence[Notice], opened: int | None, at: datetime) -> None:
    """Put notices into the digest that gathers, or into a new one, which goes at ``at`` at the latest."""
    first = members[0]
    if opened is None:
        cursor = await conn.execute(
            "INSERT INTO notices (channel, target, reason, body, dedupe, contact, via, next_try, gathers)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, true) RETURNING id",
            (
                *(first.channel, first.target, "短时间内通知过多，合并发送 / too many notices at once, gathered"),
                *(Jsonb(digest_body(members)), f"digest|{first.contact}|{first.id}", first.contact, first.via, at),
            ),
        )
        (opened,) = await cursor.fetchone() or (0,)
    await conn.execute("UPDATE notices SET digest = %s WHERE id = ANY(%s)", (opened, [notice.id for notice in members]))
    await conn.execute(
        "UPDATE notices SET next_try = least(next_try, %s), severity = CASE WHEN %s THEN 'high' ELSE severity END"
        " WHERE id = %s",
        (at, any(notice.severity == "high" for notice in members), opened),
    )
    await _announce(conn, [notice.id for notice in members])


async def _lease(
    conn: AsyncConnection, ids: Sequence[int], contacts: dict[tuple[str, str], Contact], lease: float | None
) -> list[Notice]:
    """Take the notices for a while: those with an address, and digests with what they have gathered by now."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"""
            WITH leased AS (
                UPDATE notices SET attempts = attempts + 1, next_try = now()
                    + make_interval(secs => CASE channel WHEN 'terminal' THEN %s ELSE %s END)
                WHERE id = ANY(%s) RETURNING {NOTICE_COLUMNS}
            )
            SELECT l.*, d.share || '/' || d.code AS terminal FROM leased l
            LEFT JOIN devices d ON l.channel = 'terminal' AND d.code = l.target AND d.active
            ORDER BY l.severity = 'high' DESC, l.id
            """,  # noqa: S608 - the columns are a constant
            (lease or COMMAND_LEASE, lease or LEASE, list(ids)),
        )
        rows = await cursor.fetchall()
    for row in rows:
        if row["gathers"] and row["attempts"] == 1:
            row["body"] = await _gathered(conn, row["id"])
    return [_addressed(row, contacts) for row in rows]


async def _gathered(conn: AsyncConnection, digest: int) -> dict[str, Any]:
    """The body of a digest that goes now; it is the same at later attempts."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {NOTICE_COLUMNS} FROM notices WHERE digest = %s ORDER BY id", (digest,))  # noqa: S608
        body = digest_body([Notice(**row) for row in await cursor.fetchall()])
        await cursor.execute("UPDATE notices SET body = %s WHERE id = %s", (Jsonb(body), digest))
    return body


def _addressed(row: dict[str, Any], contacts: dict[tuple[str, str], Contact]) -> Notice:
    terminal = row.pop("terminal")
    contact = contacts.get((row["target"], row["contact"]))
    return Notice(**row, address=terminal or (contact.address if contact else ""))


async def _announce(conn: AsyncConnection, ids: Sequence[int]) -> None:
    for notice in ids:
        await announce(conn, kind="notice", id=notice)
