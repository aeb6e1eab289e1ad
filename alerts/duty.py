"""The duty matrix (职责清单): who is responsible for which kind of event where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from devices.site import Site

ANY: Final = "*"
"""The category of a row that takes what no other row names."""


class Duty(NamedTuple):
    """One row: ``unit`` handles events of ``category`` in ``area`` and everything below it."""

    category: str
    area: str
    unit: str


@dataclass(frozen=True, slots=True)
class DutyProblem:
    """Something in the matrix that somebody should mend, in words."""

    kind: Literal["conflict", "unknown_area", "unknown_unit", "hole"]
    category: str
    area: str
    zh: str
    en: str


class DutyMatrix:
    """Immutable. Of rows that contradict each other the first counts; :meth:`problems` names them."""

    def __init__(self, rows: Iterable[tuple[str, str, str]]) -> None:
        self.rows = tuple(Duty(*row) for row in rows)
        self._unit: dict[tuple[str, str], str] = {}
        for row in self.rows:
            self._unit.setdefault((row.category, row.area), row.unit)

    def unit_for(self, category: str, area: str | None, site: Site) -> str | None:
        """The unit responsible; None when ownership is unclear.

        The rows of the category itself go first, from the area up its parents: the most specific area wins. Only when
        none of them has the category do the rows of any category ("*") count, again from the area up.
        """
        lineage = site.lineage(area or "")
        for wanted in (category, ANY):
            for place in lineage:
                unit = self._unit.get((wanted, place))
                if unit is not None and unit in site.units:
                    return unit
        return None

    def problems(self, site: Site, categories: Iterable[str] = ()) -> list[DutyProblem]:
        """Conflicts, unknown codes, and holes: the uppermost areas in which a category has no unit.

        ``categories`` are those that rules and reports can bring, beside the ones in the rows.
        """
        found = [*self._wrong_rows(site)]
        named = {row.category for row in self.rows} | set(categories)
        for category in sorted(named - {ANY}):
            holes = {area for area in site.areas if self.unit_for(category, area, site) is None}
            for area in sorted(holes):
                if not holes & set(site.lineage(area)[1:]):
                    where = site.areas[area]
                    zh = f"事项“{category}”在{where.name}（{area}）没有责任单位"
                    en = f"category {category!r} has no unit in {where.name_en} ({area})"
                    found.append(DutyProblem("hole", category, area, zh, en))
        return found

    def _wrong_rows(self, site: Site) -> Iterable[DutyProblem]:
        for category, area, unit in self.rows:
            first = self._unit[category, area]
            if first != unit:
                zh = f"事项“{category}”在 {area} 同时归 {first} 和 {unit}，以 {first} 为准"
                en = f"category {category!r} in {area} belongs to both {first!r} and {unit!r}; {first!r} counts"
                yield DutyProblem("conflict", category, area, zh, en)
            if area not in site.areas:
                zh, en = f"辖区 {area} 不存在", f"there is no area {area}"
                yield DutyProblem("unknown_area", category, area, zh, en)
            if unit not in site.units:
                zh, en = f"单位 {unit} 不存在", f"there is no unit {unit!r}"
                yield DutyProblem("unknown_unit", category, area, zh, en)
