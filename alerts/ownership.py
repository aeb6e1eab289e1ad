"""Whose a case could be when the duty matrix does not say, or when who it was given to sent it back. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.case import Case, Entry
from alerts.duty import DutyMatrix
from detectors.base import Sentence
from devices.site import Site

NEAR = 500.0  # metres: what counts as the same place in history
MOST_SUGGESTED = 5


@dataclass(frozen=True, slots=True)
class Declined:
    """A unit that sent the case back, and why in its words."""

    unit: str
    by: str
    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Handled:
    """What a unit has dealt with near a place or in its area: how many cases, the last of them."""

    unit: str
    same_category: bool
    near: bool  # within :data:`NEAR` metres; else only in the same area
    cases: int
    last_number: str
    last_opened: datetime


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A unit that the case could be given to, and what speaks for it, the strongest first."""

    unit: str
    score: float
    why: tuple[Sentence, ...]


def declined(entries: Iterable[Entry]) -> list[Declined]:
    """The units that sent a case back, the last one last."""
    found: list[Declined] = []
    unit: str | None = None
    for entry in entries:
        changed = entry.data.get("set") or {}
        if entry.action == "decline" and unit:
            found.append(Declined(unit, entry.actor, entry.at, entry.note))
        unit = changed.get("unit", unit)
    return found


def unclear_since(entries: Sequence[Entry]) -> datetime:
    """Since when the case is nobody's."""
    return max((e.at for e in entries if "unit" in (e.data.get("set") or {})), default=entries[0].at)


def suggest(
    case: Case, site: Site, duty: DutyMatrix, history: Iterable[Handled], refused: Iterable[str] = ()
) -> list[Suggestion]:
    """Units for a case that is nobody's, the likeliest first; ``refused`` are those that sent it back.

    Most counts who had the same kind at the place, then who is responsible for the kind elsewhere, then who has other
    cases here, then whose own area it is. A unit that sent the case back is not suggested again.
    """
    lineage = site.lineage(case.area or "")
    found: dict[str, list[tuple[float, Sentence]]] = {}
    for handled in history:
        found.setdefault(handled.unit, []).append(_of_history(handled))
    for category, area, unit in duty.rows:
        if category == case.category and area in site.areas:
            where = site.areas[area]
            zh = f"职责清单中同类事项在{where.name}归该单位"
            found.setdefault(unit, []).append(
                (2.0, Sentence(zh, f"has this kind in {where.name_en} by the duty matrix"))
            )
    for each in site.units.values():
        if each.area in lineage:
            where, up = site.areas[each.area], lineage.index(each.area)
            told = Sentence(f"{where.name}的单位", f"a unit of {where.name_en}")
            found.setdefault(each.code, []).append((1.0 / (1 + up), told))
    never = {*refused, *(unit for unit in found if unit not in site.units)}
    ranked = [
        Suggestion(unit, round(_sum(reasons), 3), tuple(why for _, why in sorted(reasons, key=_weight)[:4]))
        for unit, reasons in found.items()
        if unit not in never
    ]
    return sorted(ranked, key=lambda s: (-s.score, s.unit))[:MOST_SUGGESTED]


def _of_history(handled: Handled) -> tuple[float, Sentence]:
    weight = {(True, True): 6.0, (True, False): 3.0, (False, True): 1.5, (False, False): 0.5}[
        handled.same_category, handled.near
    ]
    zh = "同类" if handled.same_category else "其他"
    en = "of this kind" if handled.same_category else "of other kinds"
    where_zh, where = (f"{NEAR:.0f} 米内", f"within {NEAR:.0f} m") if handled.near else ("本辖区", "in this area")
    last = handled.last_number
    return weight * math.sqrt(min(handled.cases, 5)), Sentence(
        f"{where_zh}办理过{zh}事件 {handled.cases} 件，最近 {last}",
        f"had {handled.cases} cases {en} {where}, the last {last}",
    )


def _sum(reasons: list[tuple[float, Sentence]]) -> float:
    """The strongest reason counts whole, each further one half as much: many weak ones do not outdo a strong one."""
    weights = sorted((weight for weight, _ in reasons), reverse=True)
    return math.fsum(weight / (1 << place) for place, weight in enumerate(weights))


def _weight(reason: tuple[float, Sentence]) -> float:
    return -reason[0]
