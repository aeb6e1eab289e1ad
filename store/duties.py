"""The duty matrix in the database with the kinds of event and the supervisors: read, changed whole or by the row.

Every change is recorded line by line with who made it, and announced (kind ``site``), so that workers and consoles
take it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from alerts.case import Refused
from alerts.categories import ANY, COLUMNS, Category, category_from
from alerts.duty import Duty, DutyProblem
from alerts.duty_change import DutyBook, DutyChange, Proposal, changes, propose, with_row
from alerts.duty_file import DutyTables
from alerts.supervisors import Supervisor
from devices.registry import Registry
from devices.site import Area, Site, Unit
from store.database import announce
from store.site_lock import lock_site

How = Literal["site", "import", "edit", "decision"]


class DutyRefused(ValueError):
    """A file that cannot be the matrix: its problems, notes left out. Nothing was changed."""

    def __init__(self, problems: Sequence[DutyProblem]) -> None:
        self.problems = tuple(problem for problem in problems if not problem.note)
        super().__init__("; ".join(f"{problem.place}{problem.en}" for problem in self.problems[:3]))


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """One line of the matrix, the kinds or the supervisors that was changed."""

    id: int
    at: datetime
    actor: str
    how: How
    case_id: int | None
    tab: str
    what: str
    key: list[str]
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class DutyRow:
    """A row of the matrix with its place in it."""

    position: int
    category: str
    area: str
    unit: str


async def load_book(conn: AsyncConnection) -> DutyBook:
    """Everything that is said by kind and area, in the order of its files."""
    duties = await _rows(conn, "SELECT category, area, unit FROM duties WHERE position IS NOT NULL ORDER BY position")
    kinds, people = await load_kinds(conn), await load_supervisors(conn)
    return DutyBook(tuple(Duty(**row) for row in duties), tuple(kinds), tuple(people))


async def load_kinds(conn: AsyncConnection) -> list[Category]:
    """The kinds of event, in the order of their file."""
    columns = ", ".join(COLUMNS)
    return [category_from(row) for row in await _rows(conn, f"SELECT {columns} FROM categories ORDER BY position")]  # noqa: S608


async def load_supervisors(conn: AsyncConnection) -> list[Supervisor]:
    """Who supervises, in the order of the file."""
    query = (
        "SELECT area, coalesce(unit, '') AS unit, name, name_en, account, coalesce(office, '') AS office"
        " FROM supervisors ORDER BY position"
    )
    return [Supervisor(**row) for row in await _rows(conn, query)]


async def save_book(
    conn: AsyncConnection, book: DutyBook, *, actor: str, how: How, before: DutyBook, case_id: int | None = None
) -> list[DutyChange]:
    """Make this the book, record what changed from ``before``, and announce it; the site must be locked."""
    tables = book.tables()
    await conn.execute("DELETE FROM duties")
    await conn.execute("DELETE FROM categories")
    await conn.execute("DELETE FROM supervisors")
    async with conn.cursor() as cursor:
        for table, name in (("duty", "duties"), ("categories", "categories"), ("supervisors", "supervisors")):
            rows = [{**row, "position": position} for position, row in enumerate(tables[table])]
            if rows:
                columns = ", ".join(rows[0])
                values = ", ".join(
                    f"nullif(%({each})s, '')" if (table, each) in _OR_NONE else f"%({each})s" for each in rows[0]
                )
                await cursor.executemany(f"INSERT INTO {name} ({columns}) VALUES ({values})", rows)  # noqa: S608 - names of ours
        found = changes(before, book)
        await cursor.executemany(
            "INSERT INTO duty_changes (actor, how, case_id, tab, what, key, before, after)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [(actor, how, case_id, c.table, c.what, list(c.key), c.before, c.after) for c in found],
        )
    if before.categories != book.categories:  # other reminders and steps may be due
        await conn.execute("UPDATE cases SET check_at = '-infinity' WHERE status NOT IN ('closed', 'void', 'merged')")
    await announce(conn, kind="site")
    return found


_OR_NONE = {("supervisors", "unit"), ("supervisors", "office")}


async def import_duties(
    conn: AsyncConnection, given: DutyTables, *, actor: str, merge: bool = False, dry_run: bool = False
) -> Proposal:
    """Take the tables of a file over, all of them or nothing; what changes and what is to be noted.

    Each table that the file has replaces the present one; with ``merge`` its lines are added to it. With ``dry_run``
    nothing is changed, and problems are returned instead of raised.

    Raises:
        DutyRefused: something in the file is wrong.
    """
    async with conn.transaction():
        await lock_site(conn, "shared" if dry_run else "exclusive")
        present = await load_book(conn)
        proposal = propose(present, given, await load_places(conn), await used_categories(conn), merge=merge)
        if dry_run:
            return proposal
        if proposal.refused:
            raise DutyRefused(proposal.problems)
        await save_book(conn, proposal.book, actor=actor, how="import", before=present)
        return proposal


async def put_duty(
    conn: AsyncConnection,
    category: str,
    area: str,
    unit: str | None,
    *,
    actor: str,
    how: How = "edit",
    case_id: int | None = None,
    dry_run: bool = False,
) -> list[DutyChange]:
    """Say who is responsible for a kind in an area; with ``unit`` None, that nobody is by a row of its own.

    Raises:
        Refused: there is no such kind, area or unit, or no such row to take away.
    """
    async with conn.transaction():
        await lock_site(conn, "shared" if dry_run else "exclusive")
        present, site = await load_book(conn), await load_places(conn)
        if unit is None and not any(row[:2] == (category, area) for row in present.duties):
            raise Refused(
                "not_found", f"没有“{category}”在 {area} 的条目", f"there is no row for {category!r} in {area}"
            )
        if unit is not None:
            _check(present, site, category, area, unit)
        after = with_row(present, category, area, unit)
        if dry_run:
            return changes(present, after)
        return await save_book(conn, after, actor=actor, how=how, before=present, case_id=case_id)


def _check(present: DutyBook, site: Site, category: str, area: str, unit: str) -> None:
    if not category.strip() or len(category) > 60:
        raise Refused("wrong_value", "请填写事项，最多 60 字", "a kind is needed, of at most 60 characters")
    matrix = present.matrix()
    if matrix.categories and category != ANY and category not in matrix.categories:
        raise Refused("wrong_value", f"没有事项“{category}”", f"there is no kind {category!r}")
    if area not in site.areas:
        raise Refused("wrong_value", f"没有辖区“{area}”", f"there is no area {area!r}")
    if unit not in site.units:
        raise Refused("wrong_value", f"没有单位“{unit}”", f"there is no unit {unit!r}")


async def duty_problems(conn: AsyncConnection) -> list[DutyProblem]:
    """What is wrong with the matrix as it is, and its holes."""
    matrix, site = (await load_book(conn)).matrix(), await load_places(conn)
    return matrix.problems(site, await used_categories(conn))


async def list_duties(
    conn: AsyncConnection,
    *,
    category: str | None = None,
    areas: Sequence[str] | None = None,
    unit: str | None = None,
    limit: int = 100,
    after: int = -1,
) -> tuple[list[DutyRow], int | None]:
    """Rows in their order from the one after the position ``after``, and where the next page begins, or None."""
    async with conn.cursor(row_factory=class_row(DutyRow)) as cursor:
        await cursor.execute(
            "SELECT position, category, area, unit FROM duties WHERE position > %(after)s"
            " AND (%(category)s::text IS NULL OR category = %(category)s)"
            " AND (%(unit)s::text IS NULL OR unit = %(unit)s)"
            " AND (%(areas)s::text[] IS NULL OR area = ANY(%(areas)s)) ORDER BY position LIMIT %(limit)s",
            {
                "after": after,
                "category": category,
                "unit": unit,
                "limit": limit + 1,
                "areas": None if areas is None else list(areas),
            },
        )
        found = await cursor.fetchall()
    return found[:limit], found[limit - 1].position if len(found) > limit else None


async def list_duty_changes(
    conn: AsyncConnection, limit: int = 100, before: int | None = None
) -> tuple[list[ChangeRecord], int | None]:
    """What was changed, the newest first, and what to give as ``before`` for the next page, or None."""
    async with conn.cursor(row_factory=class_row(ChangeRecord)) as cursor:
        await cursor.execute(
            "SELECT id, at, actor, how, case_id, tab, what, key, before, after FROM duty_changes"
            " WHERE %(before)s::bigint IS NULL OR id < %(before)s ORDER BY id DESC LIMIT %(limit)s",
            {"before": before, "limit": limit + 1},
        )
        found = await cursor.fetchall()
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def load_places(conn: AsyncConnection) -> Site:
    """The site's areas and units alone: who is responsible rests on no more."""
    areas = await _rows(
        conn,
        "SELECT code, name, name_en, level, coalesce(parent, '') AS parent FROM areas"
        " WHERE position IS NOT NULL ORDER BY position",
    )
    units = await _rows(
        conn, "SELECT code, name, name_en, area FROM units WHERE position IS NOT NULL ORDER BY position"
    )
    return Site([Area(**row) for row in areas], [], [Unit(**row) for row in units], Registry(()))


async def used_categories(conn: AsyncConnection) -> set[str]:
    """The kinds that the site's active rules can bring."""
    rows = await _rows(conn, "SELECT body ->> 'category' AS category FROM rules WHERE active AND position IS NOT NULL")
    return {row["category"] for row in rows}


async def _rows(conn: AsyncConnection, query: str) -> list[dict[str, Any]]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query.encode())
        return await cursor.fetchall()
