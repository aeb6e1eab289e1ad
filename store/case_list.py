"""The list of cases: newest first, by whatever a desk asks for, page by page.

Built for a million cases of which most have ended: each question that few cases answer has an index of its own, the
others are answered by reading from the newest down. Which is which depends on the values asked for, so the statement is
planned anew each time.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from alerts.case import Case
from alerts.rules import Severity
from alerts.transitions import FINAL, Status
from store.cases import CASE_SELECT, case_of

LEAST_TEXT: Final = 2  # letters that are searched for: a single one is in too many titles
_NOT_ENDED: Final = "c.status NOT IN ('closed', 'void', 'merged')"  # as the partial indexes say it
_ORDER: Final = "ORDER BY c.opened_at DESC, c.id DESC LIMIT %s"
_WORDS: Final = "c.title || ' ' || c.title_en"
_NUMBER: Final = re.compile(r"(?:pg-?)?([0-9][0-9-]+)", re.IGNORECASE)


class Where:
    """Conditions on ``c`` with their arguments, all of which must hold."""

    def __init__(self) -> None:
        self.terms: list[str] = ["true"]
        self.arguments: list[object] = []

    def add(self, term: str, *arguments: object) -> None:
        """One more. ``term`` is a fixed text of the caller's, never anybody's input."""
        self.terms.append(term)
        self.arguments += arguments

    def one_of(self, column: str, values: Collection[str]) -> None:
        """``column`` is any of ``values``. A single one is asked for by equality, which keeps an index in order."""
        wanted = sorted(values)
        if len(wanted) == 1:
            self.add(f"{column} = %s", wanted[0])
        else:
            self.add(f"{column} = ANY(%s)", wanted)

    def __str__(self) -> str:
        return " AND ".join(self.terms)


async def list_cases(
    conn: AsyncConnection,
    *,
    status: Status | Collection[Status] | None = None,
    unit: str | None = None,
    involved: str | None = None,
    areas: Collection[str] | None = None,
    categories: Collection[str] | None = None,
    severities: Collection[Severity] | None = None,
    supervision: int | None = None,
    overdue: bool | None = None,
    text: str | None = None,
    limit: int = 100,
    before: int | None = None,
    now: datetime | None = None,
) -> tuple[list[Case], int | None]:
    """Cases, the newest first, and what to give as ``before`` for the next page, or None.

    ``unit`` "" asks for the queue of those whose ownership is unclear; ``involved`` for those of a unit and those in
    which it has a part. ``areas`` are area codes; ``supervision`` is the least level. ``overdue`` True asks for those
    not ended and past their deadline, False for all others. ``text`` is a part of the title, or the beginning or the
    end of the number, with or without "PG-"; shorter than :data:`LEAST_TEXT` letters it finds nothing.
    """
    where = Where()
    if status is not None:
        _by_status(where, {status} if isinstance(status, str) else set(status))
    if unit == "":
        where.add("c.unit IS NULL")
    elif unit is not None:
        where.add("c.unit = %s", unit)
    for column, values in (("c.area", areas), ("c.category", categories), ("c.severity", severities)):
        if values is not None:
            where.one_of(column, values)
    if supervision:
        where.add("c.supervision > 0 AND c.supervision >= %s", supervision)
    if overdue is not None:
        late = f"(c.due_at < %s AND {_NOT_ENDED})"
        where.add(late if overdue else f"NOT {late}", now or datetime.now(UTC))
    if text is not None:
        _by_text(where, text.strip())
    if before is not None:
        cursor = await conn.execute("SELECT opened_at FROM cases WHERE id = %s", (before,))
        row = await cursor.fetchone()
        if row is None:
            return [], None
        where.add("(c.opened_at, c.id) < (%s, %s)", row[0], before)
    found = await _read(conn, where, involved, limit + 1)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def _by_status(where: Where, wanted: set[Status]) -> None:
    where.one_of("c.status", wanted)
    if not wanted & FINAL:
        where.add(_NOT_ENDED)  # says nothing new to us, but names the index that holds only these


def _by_text(where: Where, text: str) -> None:
    title = f"letter_pairs({_WORDS}) @> letter_pairs(%s) AND position(lower(%s) IN lower({_WORDS})) > 0"
    number = _NUMBER.fullmatch(text)
    if len(text) < LEAST_TEXT:
        where.add("false")
    elif number is None:
        where.add(title, text, text)
    else:
        where.add(
            f"(c.number LIKE %s OR reverse(c.number) LIKE %s OR ({title}))",
            *(f"PG-{number[1]}%", f"{number[1][::-1]}%", text, text),
        )


async def _read(conn: AsyncConnection, where: Where, involved: str | None, limit: int) -> list[Case]:
    statement, arguments = f"{CASE_SELECT} WHERE {where} {_ORDER}", [*where.arguments, limit]
    if involved is not None:
        # Its own and those of its parts are looked for by an index each: one condition with "or" would need to read on
        # from the newest case down until enough of a small unit's were found.
        own = f"SELECT c.id FROM cases c WHERE c.unit = %s AND {where} {_ORDER}"  # noqa: S608 - see Where
        joined = "case_parts p JOIN cases c ON c.id = p.case_id"
        parts = f"SELECT c.id FROM {joined} WHERE p.unit = %s AND NOT p.withdrawn AND {where} {_ORDER}"  # noqa: S608
        statement = f"{CASE_SELECT} WHERE c.id IN (({own}) UNION ({parts})) {_ORDER}"
        arguments = [*(involved, *where.arguments, limit) * 2, limit]
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement.encode(), arguments, prepare=False)
        return [case_of(row) for row in await cursor.fetchall()]
