"""The duty matrix (职责清单): who is responsible for which kind of event where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from alerts.categories import ANY, Categories
from alerts.supervisors import Supervisor
from detectors.base import Sentence
from devices.site import Site

__all__ = ["ANY", "Duty", "DutyMatrix", "DutyProblem", "Resolved"]

_NOTES: Final = frozenset({"hole", "only_any"})

ProblemKind = Literal[
    "unreadable",
    "wrong_cell",
    "conflict",
    "repeated",
    "unknown_area",
    "unknown_unit",
    "unknown_category",
    "hole",
    "only_any",
]


class Duty(NamedTuple):
    """One row: ``unit`` handles events of ``category`` in ``area`` and everything below it."""

    category: str
    area: str
    unit: str


@dataclass(frozen=True, slots=True)
class DutyProblem:
    """Something in the matrix that somebody should mend, in words.

    ``file`` and ``row`` (as a spreadsheet counts, from 1) say where it stands; "" and 0 where it stands nowhere.
    """

    kind: ProblemKind
    category: str
    area: str
    zh: str
    en: str
    file: str = ""
    row: int = 0

    @property
    def note(self) -> bool:
        """Worth knowing, and no reason to refuse the matrix."""
        return self.kind in _NOTES

    @property
    def place(self) -> str:
        """``duty.csv, row 7: ``, as far as it is known."""
        return f"{self.file}{f', row {self.row}' if self.row else ''}: " if self.file else ""

    @property
    def place_zh(self) -> str:
        """The same in Chinese."""
        return f"{self.file}{f' 第 {self.row} 行' if self.row else ''}：" if self.file else ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Who is responsible, and the row that says so."""

    duty: Duty
    how: Literal["own", "above", "any"]  # for this very area, for one above it, or for any kind

    @property
    def why(self) -> Sentence:
        """The row in words."""
        category, area, unit = self.duty
        zh = {"own": "职责清单本辖区条目", "above": "职责清单上级辖区条目", "any": "职责清单兜底条目"}[self.how]
        en = {"own": "row of this area", "above": "row of an area above", "any": "row for any kind"}[self.how]
        return Sentence(f"{zh}：{category} × {area} → {unit}", f"{en}: {category} × {area} → {unit}")


class DutyMatrix:
    """Immutable. Of rows that contradict each other the first counts; :meth:`problems` names them.

    It carries what else is said by kind and area: the kinds of event, and who supervises.
    """

    def __init__(
        self,
        rows: Iterable[tuple[str, str, str]],
        categories: Categories | None = None,
        supervisors: Iterable[Supervisor] = (),
    ) -> None:
        self.rows = tuple(Duty(*row) for row in rows)
        self.categories = categories or Categories()
        self.supervisors = tuple(supervisors)
        self._unit: dict[tuple[str, str], str] = {}
        for row in self.rows:
            self._unit.setdefault((row.category, row.area), row.unit)

    def unit_for(self, category: str, area: str | None, site: Site) -> str | None:
        """The unit responsible; None when ownership is unclear. :meth:`resolve` says by which row."""
        found = self.resolve(category, area, site)
        return found.duty.unit if found else None

    def resolve(self, category: str, area: str | None, site: Site) -> Resolved | None:
        """Who is responsible, and why; None when ownership is unclear.

        The rows of the category itself go first, from the area up its parents: the most specific area wins. Only when
        none of them has the category do the rows of any category ("*") count, again from the area up.
        """
        lineage = site.lineage(area or "")
        for wanted in (category, ANY):
            for place in lineage:
                unit = self._unit.get((wanted, place))
                if unit is not None and unit in site.units:
                    how: Literal["own", "above", "any"] = "above" if place != area else "own"
                    return Resolved(Duty(wanted, place, unit), "any" if wanted == ANY != category else how)
        return None

    def problems(
        self, site: Site, categories: Iterable[str] = (), *, file: str = "", lines: Sequence[int] = ()
    ) -> list[DutyProblem]:
        """Conflicts, unknown codes, and holes: the uppermost areas in which a category has no unit.

        ``categories`` are those that rules and reports can bring, beside the ones in the rows and the site's kinds.
        ``lines`` are the rows of the ``file``, in the order of :attr:`rows`.
        """
        return [*self.wrong_rows(site, file, lines), *self.holes(site, categories)]

    def holes(self, site: Site, categories: Iterable[str] = ()) -> list[DutyProblem]:
        """The uppermost areas in which a category has no unit, and categories in use that have no row of their own."""
        found: list[DutyProblem] = []
        used = set(categories)
        own = {row.category for row in self.rows}
        roots = [area for area in site.areas if len(site.lineage(area)) == 1]
        below = _below(site)
        for category in sorted((own | used | set(self.categories.kinds)) - {ANY}):
            holes = [hole for root in roots if (hole := self._hole(category, root, site, below))]
            found += holes
            if category in used - own and not holes:
                zh = f"规则使用的事项“{category}”没有自己的条目，按“*”条目归口"
                en = f"category {category!r} of the rules has no row of its own: the rows for any category take it"
                found.append(DutyProblem("only_any", category, "", zh, en))
        return found

    def _hole(self, category: str, root: str, site: Site, below: dict[str, list[str]]) -> DutyProblem | None:
        """What under ``root`` has no unit. Rows hold downwards, so where the top has one nothing is open."""
        if self.unit_for(category, root, site) is not None:
            return None
        open_, seen = 0, [root]
        while seen:
            open_ += 1
            seen += [area for area in below.get(seen.pop(), ()) if self.unit_for(category, area, site) is None]
        where = site.areas[root]
        more = ("", "")
        if open_ > 1:
            below_it = "1 area below it" if open_ == 2 else f"{open_ - 1} areas below it"
            more = (f"，其下另有 {open_ - 1} 个辖区也没有", f", nor in {below_it}")
        zh = f"事项“{category}”在{where.name}（{root}）没有责任单位{more[0]}"
        en = f"category {category!r} has no unit in {where.name_en} ({root}){more[1]}"
        return DutyProblem("hole", category, root, zh, en)

    def wrong_rows(self, site: Site, file: str = "", lines: Sequence[int] = ()) -> Iterator[DutyProblem]:
        """Rows that contradict or repeat an earlier one, or name what there is not."""
        first: dict[tuple[str, str], int] = {}
        for index, (category, area, unit) in enumerate(self.rows):
            line = lines[index] if index < len(lines) else 0
            for kind, zh, en in self._wrong(category, area, unit, site):
                yield DutyProblem(kind, category, area, zh, en, file, line)
            before = first.setdefault((category, area), index)
            if before != index:
                yield self._twice(before, index, file, lines)

    def _wrong(self, category: str, area: str, unit: str, site: Site) -> Iterator[tuple[ProblemKind, str, str]]:
        if self.categories and category != ANY and category not in self.categories:
            yield "unknown_category", f"没有事项“{category}”", f"there is no kind {category!r}"
        if area not in site.areas:
            yield "unknown_area", f"辖区 {area} 不存在", f"there is no area {area}"
        if unit not in site.units:
            yield "unknown_unit", f"单位 {unit} 不存在", f"there is no unit {unit!r}"

    def _twice(self, before: int, index: int, file: str, lines: Sequence[int]) -> DutyProblem:
        category, area, unit = self.rows[index]
        first = self.rows[before].unit
        line = lines[index] if index < len(lines) else 0
        at_zh, at = (f"（第 {lines[before]} 行）", f" (row {lines[before]})") if before < len(lines) else ("", "")
        if first == unit:
            zh, en = f"与前面的条目重复{at_zh}", f"repeats an earlier row{at}"
            return DutyProblem(
                "repeated", category, area, f"“{category}”在 {area} {zh}", f"{category!r} in {area} {en}", file, line
            )
        zh = f"事项“{category}”在 {area} 同时归 {first}{at_zh}和 {unit}，以 {first} 为准"
        en = f"category {category!r} in {area} belongs to both {first!r}{at} and {unit!r}; {first!r} counts"
        return DutyProblem("conflict", category, area, zh, en, file, line)


def _below(site: Site) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for area in site.areas.values():
        found.setdefault(area.parent, []).append(area.code)
    return found
