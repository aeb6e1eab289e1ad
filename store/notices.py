"""The outbox: what is to be sent is written in the transaction that decided it, and sent at least once afterwards.

Sending is in :mod:`store.outbox`; here notices are put in, one for each contact that hears of it, and read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from alerts.contacts import PERSON
from alerts.notice import Notice
from store.contacts import find_contacts
from store.database import announce

NOTICE_COLUMNS: Final = (
    "id, case_id, channel, target, reason, body, attempts, created, sent_at, failed_at, acked_at, accepted, error,"
    " severity, contact, via, held_until, gathers, digest"
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
    via: str = "",
    severity: str = "",
) -> int | None:
    """Put a notice into the outbox in the present transaction; its id, or None when ``dedupe`` is there already."""
    cursor = await conn.execute(
        "INSERT INTO notices (case_id, channel, target, reason, body, dedupe, contact, via, severity)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (dedupe) DO NOTHING RETURNING id",
        (case_id, channel, target, reason, Jsonb(dict(body)), dedupe, contact, via, severity),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    await announce(conn, kind="notice", id=row[0])
    return int(row[0])


async def enqueue_to_unit(
    conn: AsyncConnection,
    unit: str,
    *,
    reason: str,
    body: Mapping[str, Any],
    dedupe: str,
    case_id: int | None,
    severity: str = "",
) -> int:
    """One notice for each contact of a unit that hears of such a case; how many.

    One that fails does not send to the others again. ``unit`` may also be "@" and a person's name. ``severity`` is of
    what the notice tells, where that is not the case's.
    """
    cursor = await conn.execute("SELECT severity, category FROM cases WHERE id = %s", (case_id,))
    of_case, category = await cursor.fetchone() or ("", "")
    severity = severity or of_case
    made = 0
    for contact in (await find_contacts(conn, [unit]))[unit]:
        if not contact.hears(severity, category):
            continue
        one = await enqueue(
            conn,
            channel="apprise",
            target=unit,
            reason=reason,
            body=body,
            dedupe=f"{dedupe}|{contact.key}",
            case_id=case_id,
            contact=contact.key,
            via=contact.label,
            severity=severity,
        )
        made += one is not None
    return made


async def enqueue_to_person(
    conn: AsyncConnection,
    person: Mapping[str, str],
    *,
    reason: str,
    body: Mapping[str, Any],
    dedupe: str,
    case_id: int | None,
    but: str | None = None,
) -> int:
    """To a named person's own contacts, and to those of the office, unless that is ``but``; how many.

    ``person`` has name, account and office, as the entries of supervision name people. Contacts are found by account or
    by name. An address that several of the people have hears it once for each ``dedupe``.
    """
    names = dict.fromkeys(name for name in (person["account"], person["name"]) if name)
    targets = [f"{PERSON}{name}" for name in names]
    targets += [person["office"]] if person["office"] and person["office"] != but else []
    made = 0
    for target in targets:
        made += await enqueue_to_unit(conn, target, reason=reason, body=body, dedupe=dedupe, case_id=case_id)
    return made


async def case_notices(conn: AsyncConnection, case_id: int) -> list[Notice]:
    """All notices of a case, oldest first, without addresses."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {NOTICE_COLUMNS} FROM notices WHERE case_id = %s ORDER BY id", (case_id,))  # noqa: S608
        return [Notice(**row) for row in await cursor.fetchall()]
