"""A change of the duty matrix before it is made: what would be different, and what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from alerts.categories import Categories, Category, WrongCategory, category_from, category_to
from alerts.duty import Duty, DutyMatrix, DutyProblem
from alerts.duty_file import CATEGORIES, DUTY, SUPERVISORS, DutyTables, Line
from alerts.supervisors import Supervisor, supervisor_from, supervisor_problems, supervisor_to
from devices.site import Site

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DutyBook:
    """All that is said by kind and area: who is responsible, the kinds, who supervises. In the order of the files."""

    duties: tuple[Duty, ...] = ()
    categories: tuple[Category, ...] = ()
    supervisors: tuple[Supervisor, ...] = ()

    def matrix(self) -> DutyMatrix:
        """The book to look things up in."""
        return DutyMatrix(self.duties, Categories(self.categories), self.supervisors)

    def tables(self) -> dict[str, list[dict[str, str]]]:
        """The rows of its files."""
        return {
            DUTY: [row._asdict() for row in self.duties],
            CATEGORIES: [category_to(kind) for kind in self.categories],
            SUPERVISORS: [supervisor_to(person) for person in self.supervisors],
        }


@dataclass(frozen=True, slots=True)
class DutyChange:
    """A line that would be other than it is. ``before`` and ``after`` are its cells beside the key; "" for no line."""

    table: str
    what: Literal["added", "changed", "removed"]
    key: tuple[str, ...]
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a file would make of the book."""

    book: DutyBook
    changes: tuple[DutyChange, ...]
    problems: tuple[DutyProblem, ...]

    @property
    def refused(self) -> bool:
        """Whether something is so wrong that nothing of it may be taken over."""
        return any(not problem.note for problem in self.problems)


def propose(present: DutyBook, given: DutyTables, site: Site, used: Iterable[str], *, merge: bool) -> Proposal:
    """What becomes of ``present`` when a file is taken over: each table that it has replaces the present one.

    With ``merge`` the file's lines are added, and replace those with the same key; no line goes. ``used`` are the kinds
    that rules can bring.
    """
    found = list(given.problems)
    if not merge and given.tables.get(DUTY) == []:
        zh, en = "没有任何条目，导入后职责清单将为空", "has no row: nothing would be left of the matrix"
        found.append(DutyProblem("unreadable", "", "", zh, en, _file(given, DUTY)))
    duties = [Duty(**line.cells) for line in given.tables.get(DUTY, ())]
    kinds, people = _read(given, found)
    after = DutyBook(
        _taken(present.duties, duties, _duty_key, given, DUTY, merge=merge),
        _taken(present.categories, kinds, _kind_key, given, CATEGORIES, merge=merge),
        _taken(present.supervisors, people, _person_key, given, SUPERVISORS, merge=merge),
    )
    matrix = after.matrix()
    lines = [line.row for line in given.tables.get(DUTY, ())]
    found += DutyMatrix(duties, matrix.categories).wrong_rows(site, _file(given, DUTY), lines)
    keys = {_duty_key(row) for row in duties}
    kept = [row for row in after.duties if _duty_key(row) not in keys]
    found += DutyMatrix(kept, matrix.categories).wrong_rows(site)
    for person, line in zip(people, given.tables.get(SUPERVISORS, ()), strict=True):
        for column, zh, en in supervisor_problems(person, site.areas, site.units):
            found.append(_wrong_cell(given, SUPERVISORS, line, column, zh, en))
    return Proposal(after, tuple(changes(present, after)), (*found, *matrix.holes(site, used)))


def changes(before: DutyBook, after: DutyBook) -> list[DutyChange]:
    """What differs between two books, by the keys of their lines."""
    found: list[DutyChange] = []
    old, new = _by_key(before), _by_key(after)
    for (table, key), cells in new.items():
        known = old.get((table, key))
        if known != cells:
            what: Literal["added", "changed"] = "added" if known is None else "changed"
            found.append(DutyChange(table, what, key, known or "", cells))
    gone = [(where, cells) for where, cells in old.items() if where not in new]
    return found + [DutyChange(table, "removed", key, cells, "") for (table, key), cells in gone]


def with_row(present: DutyBook, category: str, area: str, unit: str | None) -> DutyBook:
    """The book with this row in place of the one for the same kind and area; with ``unit`` None, without any."""
    row = [] if unit is None else [Duty(category, area, unit)]
    kept = [r for r in present.duties if unit is not None or _duty_key(r) != (category, area)]
    return replace(present, duties=_merged(kept, row, _duty_key))


def _read(given: DutyTables, found: list[DutyProblem]) -> tuple[list[Category], list[Supervisor]]:
    kinds: dict[str, Category] = {}
    for line in given.tables.get(CATEGORIES, ()):
        try:
            kind = category_from(line.cells)
        except WrongCategory as error:
            zh, en = f"“{error.value}”{error.zh}", f"{error.value!r}: {error.en}"
            found.append(_wrong_cell(given, CATEGORIES, line, error.column, zh, en))
            continue
        if kinds.setdefault(kind.code, kind) is not kind:
            zh, en = f"事项“{kind.code}”出现两次", f"the kind {kind.code!r} is there twice"
            found.append(_wrong_cell(given, CATEGORIES, line, "code", zh, en))
    people = [supervisor_from(line.cells) for line in given.tables.get(SUPERVISORS, ())]
    return list(kinds.values()), people


def _wrong_cell(given: DutyTables, table: str, line: Line, column: str, zh: str, en: str) -> DutyProblem:
    return DutyProblem("wrong_cell", "", "", f"{column} 列：{zh}", f"{column}: {en}", _file(given, table), line.row)


def _file(given: DutyTables, table: str) -> str:
    """The file, and the table where it has several."""
    return given.file if len(given.tables) < 2 else f"{given.file}[{table}]"


def _taken(
    present: Sequence[T], new: Sequence[T], key: Callable[[T], object], given: DutyTables, table: str, *, merge: bool
) -> tuple[T, ...]:
    if table not in given.tables:
        return tuple(present)
    return _merged(present, new, key) if merge else tuple(new)


def _merged(present: Sequence[T], new: Sequence[T], key: Callable[[T], object]) -> tuple[T, ...]:
    """The present lines in their places, changed where a new one has their key, then the others that are new."""
    by_key = {key(each): each for each in new}
    known = {key(each) for each in present}
    kept = [by_key.get(key(each), each) for each in present]
    return (*kept, *(each for each in by_key.values() if key(each) not in known))


def _duty_key(row: Duty) -> tuple[str, ...]:
    return row.category, row.area


def _kind_key(kind: Category) -> tuple[str, ...]:
    return (kind.code,)


def _person_key(person: Supervisor) -> tuple[str, ...]:
    return person.area, person.unit, person.name


def _by_key(book: DutyBook) -> dict[tuple[str, tuple[str, ...]], str]:
    found = {(DUTY, _duty_key(row)): row.unit for row in book.duties}
    for kind in book.categories:
        found[CATEGORIES, _kind_key(kind)] = _shown(category_to(kind), ("code",))
    for person in book.supervisors:
        found[SUPERVISORS, _person_key(person)] = _shown(supervisor_to(person), ("area", "unit", "name"))
    return found


def _shown(cells: dict[str, str], key: tuple[str, ...]) -> str:
    return ", ".join(f"{name}={value}" for name, value in cells.items() if value and name not in key)
