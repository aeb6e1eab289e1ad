"""Contacts in the database: whose they are, and which of them no longer work.

Addresses hold passwords. They leave the database only to be sent to, or into the files of the site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from alerts.contacts import COLUMNS, PERSON, Contact, contact_from, contacts_of

_SELECT: Final = 'SELECT target AS "to", address, name, severity, kinds, quiet, digest FROM contacts'


@dataclass(frozen=True, slots=True)
class Failure:
    """A contact whose last notice was given up: since when, how many were, and why the last one."""

    contact: str
    target: str
    via: str
    since: datetime
    last: datetime
    times: int
    error: str


async def load_contacts(conn: AsyncConnection) -> list[dict[str, str]]:
    """The lines of contacts.csv, in its order."""
    return await _lines(conn, "ORDER BY position", ())


async def save_contacts(conn: AsyncConnection, lines: Sequence[dict[str, str]]) -> None:
    """Make these the lines; the site must be locked."""
    await conn.execute("DELETE FROM contacts")
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO contacts (target, address, name, severity, kinds, quiet, digest, position)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [(*(line[column] for column in COLUMNS), position) for position, line in enumerate(lines)],
        )


async def find_contacts(conn: AsyncConnection, targets: Sequence[str]) -> dict[str, list[Contact]]:
    """The contacts of units and persons, by target."""
    rows = await _lines(conn, "WHERE target = ANY(%s) ORDER BY position", (list(targets),))
    lines = [contact_from(row) for row in rows]
    cursor = await conn.execute("SELECT code, contacts FROM units WHERE code = ANY(%s)", (list(targets),))
    addresses: dict[str, list[str]] = dict(await cursor.fetchall())
    return {
        target: contacts_of(target, addresses.get(target, []), [line for line in lines if line.to == target])
        for target in targets
    }


async def all_contacts(conn: AsyncConnection) -> list[Contact]:
    """Every contact of the site: those of units in the order of their file, then those of persons."""
    cursor = await conn.execute("SELECT code FROM units WHERE position IS NOT NULL ORDER BY position")
    units = [code for (code,) in await cursor.fetchall()]
    people = [line["to"] for line in await load_contacts(conn) if line["to"].startswith(PERSON)]
    found = await find_contacts(conn, [*units, *dict.fromkeys(people)])
    return [contact for each in found.values() for contact in each]


async def note_failure(conn: AsyncConnection, contact: str, target: str, via: str, error: str) -> bool:
    """A notice to a contact was given up; True when it is the first since one was taken, or ever."""
    cursor = await conn.execute(
        "INSERT INTO contact_failures AS f (contact, target, via, since, last, error)"
        " VALUES (%s, %s, %s, now(), now(), %s) ON CONFLICT (contact) DO UPDATE"
        " SET last = now(), times = f.times + 1, error = excluded.error RETURNING times",
        (contact, target, via, error),
    )
    return await cursor.fetchone() == (1,)


async def note_success(conn: AsyncConnection, contact: str) -> None:
    """A contact has taken a notice."""
    await conn.execute("DELETE FROM contact_failures WHERE contact = %s", (contact,))


async def contact_failures(conn: AsyncConnection) -> dict[str, Failure]:
    """The contacts that do not work, by key."""
    async with conn.cursor(row_factory=class_row(Failure)) as cursor:
        await cursor.execute(
            "SELECT contact, target, via, since, last, times, error FROM contact_failures ORDER BY since, contact"
        )
        return {failure.contact: failure for failure in await cursor.fetchall()}


async def _lines(conn: AsyncConnection, where: str, arguments: tuple[object, ...]) -> list[dict[str, Any]]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"{_SELECT} {where}", arguments)
        return await cursor.fetchall()
