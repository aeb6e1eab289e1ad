"""The list of cases: newest first, by whatever a desk asks for, page by page.

Built for a million cases of which most have ended: each question that few cases answer has an index of its own, the
others are answered by reading from the newest down. Which is which depends on the values asked for, so the statement is
planned anew each time.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from alerts.case import Case
from alerts.rules import Severity
from alerts.transitions import OPEN, Status
from devices.site import CHINA
from store.cases import CASE_SELECT, case_of

LEAST_TEXT: Final = 2  # letters that are searched for: a single one is in too many titles
_NOT_ENDED: Final = "c.status NOT IN ('closed', 'void', 'merged')"  # as the partial indexes say it
_ORDER: Final = "ORDER BY c.opened_at DESC, c.id DESC LIMIT %s"
_WORDS: Final = "c.title || ' ' || c.title_en"
_NEWEST_FEW: Final = 2_000  # cases, whose titles are looked through first
_NEWEST: Final = 10_000  # and so many where the few promise that it fills the page, before the index is asked
_NEWEST_OF_UNIT: Final = 1_000  # they lie farther apart: each is read by itself
Source = tuple[str, list[object]]
"""What follows FROM: conditions, order and limit, with their arguments."""
_STRETCH: Final = 6  # letters of a text that the index is asked for
_BEGINS: Final = re.compile(r"(?:pg-?)?((?:20[0-9]{6}|(?<=pg-)20[0-9]{2}(?:[0-9]{2})?)(?:-[0-9]*)?)", re.IGNORECASE)
_SLACK: Final = timedelta(days=7)  # what came late may have been opened before the day on which it got its number
_ENDS: Final = re.compile(r"[0-9-]+")


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
    if before is not None:
        cursor = await conn.execute("SELECT opened_at FROM cases WHERE id = %s", (before,))
        row = await cursor.fetchone()
        if row is None:
            return [], None
        where.add("(c.opened_at, c.id) < (%s, %s)", row[0], before)
    found = await _find(conn, where, involved, text, limit + 1)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def _by_status(where: Where, wanted: set[Status]) -> None:
    """All that have not ended are asked for in the words of the index that holds only these."""
    if wanted == set(OPEN):
        where.add(_NOT_ENDED)
    else:
        where.one_of("c.status", wanted)


async def _find(conn: AsyncConnection, where: Where, involved: str | None, text: str | None, limit: int) -> list[Case]:
    words = "" if text is None else text.strip()
    if text is not None and len(words) < LEAST_TEXT:
        return []
    begins = _BEGINS.fullmatch(words)
    if begins is not None:
        since, until = _span(begins[1])
        where.add("c.number LIKE %s", f"PG-{begins[1]}%")
        where.add("c.opened_at >= %s AND c.opened_at < %s", since - _SLACK, until)
    elif words:
        return await _with_text(conn, where, involved, words, limit)
    return await _read(conn, *_source(where, involved, limit))


async def _with_text(conn: AsyncConnection, where: Where, involved: str | None, text: str, limit: int) -> list[Case]:
    """Those whose title holds the text, or whose number ends with it: first among the newest, then among all.

    A word that is in many titles is soon found so often; only a rare one is worth asking the index, and only for a rare
    one is that fast. The planner cannot tell the two apart: it takes the pairs of a word for independent of each other.
    """
    said = _said(text)
    few, many = (_NEWEST_FEW, _NEWEST) if involved is None else (_NEWEST_OF_UNIT, _NEWEST_OF_UNIT)
    seen, found = await _among(conn, _source(where, involved, few), said)
    if seen == few and few < many and len(found) * many >= limit * few:  # so many more are likely to fill the page
        found = await _first_among(conn, _source(where, involved, many), said, limit)
    if seen == few and len(found) < limit:
        found = await _by_index(conn, where, involved, text, limit)
    return await _read(conn, f"WHERE c.id = ANY(%s) {_ORDER}", [found, limit])


def _said(text: str) -> Where:
    """That the title of ``c`` holds the text, or its number ends with it."""
    said = Where()
    # Lowering the letters of a title takes longer than all the rest, and Chinese has none to lower.
    caseless = text.lower() == text.upper()
    holds = f"position(%s IN {_WORDS}) > 0" if caseless else f"position(lower(%s) IN lower({_WORDS})) > 0"
    if _ENDS.fullmatch(text):
        said.add(f"(reverse(c.number) LIKE %s OR {holds})", f"{text[::-1]}%", text)
    else:
        said.add(holds, text)
    return said


async def _among(conn: AsyncConnection, source: Source, said: Where) -> tuple[int, list[int]]:
    """How many cases the source has, and the ids of those of which it is said."""
    cursor = await conn.execute(
        f"SELECT count(*), array_agg(c.id ORDER BY c.opened_at DESC, c.id DESC) FILTER (WHERE {said})"  # noqa: S608
        f" FROM (SELECT c.* FROM cases c {source[0]}) c".encode(),
        (*said.arguments, *source[1]),
        prepare=False,
    )
    seen, found = await cursor.fetchone() or (0, None)
    return seen, found or []


async def _first_among(conn: AsyncConnection, source: Source, said: Where, limit: int) -> list[int]:
    """The ids of the first of the source of which it is said; it is read no further than needed."""
    cursor = await conn.execute(
        f"SELECT c.id FROM (SELECT c.* FROM cases c {source[0]}) c WHERE {said} {_ORDER}".encode(),  # noqa: S608
        (*source[1], *said.arguments, limit),
        prepare=False,
    )
    return [case_id for (case_id,) in await cursor.fetchall()]


async def _by_index(conn: AsyncConnection, where: Where, involved: str | None, text: str, limit: int) -> list[int]:
    """The ids of the newest that the indexes of words and of numbers find, each asked by itself."""
    pairs = f"letter_pairs({_WORDS}) @> letter_pairs(%s) AND position(lower(%s) IN lower({_WORDS})) > 0"
    ways: list[tuple[str, tuple[str, ...]]] = [(pairs, (_rarest(text), text))]
    if _ENDS.fullmatch(text):
        ways.append(("reverse(c.number) LIKE %s", (f"{text[::-1]}%",)))
    queries: list[str] = []
    arguments: list[object] = []
    for way, given in ways:
        for join, whose, unit in _whose(involved):
            # Without an order or a limit the planner has no reason to read from the newest on instead.
            queries.append(f"SELECT c.id, c.opened_at FROM {join} WHERE {whose} AND {where} AND {way}")  # noqa: S608
            arguments += [*unit, *where.arguments, *given]
    cursor = await conn.execute(
        f"WITH c AS MATERIALIZED ({' UNION '.join(queries)}) SELECT c.id FROM c {_ORDER}".encode(),  # noqa: S608
        (*arguments, limit),
        prepare=False,
    )
    return [case_id for (case_id,) in await cursor.fetchall()]


def _span(digits: str) -> tuple[datetime, datetime]:
    """When a case may have been opened whose number begins with a year, a month or a day. No such day: never."""
    given = digits.partition("-")[0]
    year, month, day = int(given[:4]), int(given[4:6] or 0), int(given[6:8] or 0)
    try:
        since = datetime(year, month or 1, day or 1, tzinfo=CHINA)
        if day:
            return since, since + timedelta(days=1)
        return since, since.replace(year=year + 1) if not month else (since + timedelta(days=31)).replace(day=1)
    except (ValueError, OverflowError):
        return datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _rarest(text: str) -> str:
    """A stretch of a few letters, which the index is asked for: the one with most digits and Chinese letters in it.

    Each pair more is one more list to read, and those of English words are in nearly all titles.
    """
    begins = range(max(1, len(text) - _STRETCH + 1))
    stretches = [text[begin : begin + _STRETCH] for begin in begins]
    return max(stretches, key=lambda stretch: sum(letter.isdigit() or not letter.isascii() for letter in stretch))


def _whose(involved: str | None) -> list[tuple[str, str, tuple[str, ...]]]:
    """Where cases are read from, by which condition with which arguments: all, or a unit's own and those of its parts.

    One condition with "or" would need to read on from the newest case down until enough of a small unit's were found.
    """
    if involved is None:
        return [("cases c", "true", ())]
    parts = "case_parts p JOIN cases c ON c.id = p.case_id"
    return [("cases c", "c.unit = %s", (involved,)), (parts, "p.unit = %s AND NOT p.withdrawn", (involved,))]


def _source(where: Where, involved: str | None, limit: int) -> Source:
    """The conditions, the order and the limit, with their arguments."""
    if involved is None:
        return f"WHERE {where} {_ORDER}", [*where.arguments, limit]
    own = [f"(SELECT c.id FROM {join} WHERE {whose} AND {where} {_ORDER})" for join, whose, _ in _whose(involved)]  # noqa: S608
    return f"WHERE c.id IN ({' UNION '.join(own)}) {_ORDER}", [*(involved, *where.arguments, limit) * 2, limit]


async def _read(conn: AsyncConnection, source: str, arguments: Sequence[object]) -> list[Case]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"{CASE_SELECT} {source}".encode(), arguments, prepare=False)
        return [case_of(row) for row in await cursor.fetchall()]
