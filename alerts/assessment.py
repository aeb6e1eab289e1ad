"""Assessment: the figures that are published of units and areas, each by a stated formula. Pure.

A period is ``since <= t < until``. Void and merged cases count nowhere. The formulas, in words in docs/assessment.md:

- ``found``: cases opened in the period; ``on_spot`` and ``followed_up``: those of them solved so
- ``at_source``: of ``found``, those closed by the unit that had them first; ``source_share`` = at_source / closed of
  found
- ``due``: cases whose deadline lies in the period; ``closure_rate`` = of due, those closed by its end / due;
  ``on_time_rate`` = of due, those closed by their deadline / due
- ``closed``: cases closed in the period; ``handling_mean`` and ``handling_p90``: hours from opening to closing of these
- ``overdue``: cases whose deadline had passed by the end of the period, and that were not closed by then
- ``reopened``: how often a case was opened again in the period
- ``dissuasions``: fishing cases closed in the period that were solved on the spot
- ``visits``: stays of a patrol in a patrol or checkpoint zone that began in the period; ``patrols``: the rounds they
  make, one ending where its terminal visits nothing for two hours

What was closed after a period is not closed in it: else each period would look worse than the one before, whose cases
had longer to be closed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from alerts.case import Entry
from detectors.base import Sentence

By = Literal["unit", "area"]
FISHING: Final = "illegal_fishing"  # the category of the lake's cases
ROUND_ENDS: Final = timedelta(hours=2)
_UNCOUNTED: Final = ("void", "merged")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the assessment needs to know of one case, from its row or from its timeline."""

    case_id: int
    category: str
    status: str
    area: str | None
    unit: str | None
    first_unit: str | None  # the first that had it
    resolution: str
    opened_at: datetime
    due_at: datetime
    closed_at: datetime | None
    reopened_at: tuple[datetime, ...] = ()

    def closed_by(self, moment: datetime) -> bool:
        """Whether it was closed before a moment, and has stayed so."""
        return self.closed_at is not None and self.closed_at < moment


@dataclass(frozen=True, slots=True)
class Rounds:
    """What patrols did for one unit in one area."""

    unit: str | None
    area: str | None
    patrols: int
    visits: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one unit or area in one period. A rate without a denominator is None; hours likewise."""

    patrols: int = 0
    visits: int = 0
    found: int = 0
    on_spot: int = 0
    followed_up: int = 0
    at_source: int = 0
    due: int = 0
    closed: int = 0
    overdue: int = 0
    reopened: int = 0
    dissuasions: int = 0
    source_share: float | None = None
    closure_rate: float | None = None
    on_time_rate: float | None = None
    handling_mean: float | None = None
    handling_p90: float | None = None


NAMES: Final[dict[str, Sentence]] = {
    "patrols": Sentence("巡护次数", "patrols made"),
    "visits": Sentence("到访次数", "visits"),
    "found": Sentence("发现隐患", "hazards found"),
    "on_spot": Sentence("当场解决", "solved on the spot"),
    "followed_up": Sentence("跟踪解决", "followed up"),
    "at_source": Sentence("就地化解", "solved at source"),
    "due": Sentence("应结案", "due to be closed"),
    "closed": Sentence("已结案", "closed"),
    "overdue": Sentence("逾期未结", "overdue"),
    "reopened": Sentence("重新立案", "reopened"),
    "dissuasions": Sentence("湖区劝离", "dissuasions at the lake"),
    "source_share": Sentence("就地化解率", "share solved at source"),
    "closure_rate": Sentence("结案率", "closure rate"),
    "on_time_rate": Sentence("按期结案率", "on-time rate"),
    "handling_mean": Sentence("平均办理时长", "mean handling time"),
    "handling_p90": Sentence("九成办理时长", "90 % handled within"),
}
"""What each figure is called, in the order in which they are shown."""
RATES: Final = ("source_share", "closure_rate", "on_time_rate")
HOURS: Final = ("handling_mean", "handling_p90")


def facts_from(entries: Sequence[Entry]) -> Facts:
    """The facts of a case by its timeline alone, oldest entry first.

    Raises:
        ValueError: the timeline does not begin with what the case was.
    """
    row: dict[str, Any] = {}
    first_unit: str | None = None
    reopened: list[datetime] = []
    for entry in entries:
        row |= entry.data.get("set", {})
        first_unit = first_unit or row.get("unit")
        if entry.action == "reopen":
            reopened.append(entry.at)
    if "opened_at" not in row:
        raise ValueError(f"the timeline of case {entries[0].case_id if entries else '?'} does not say what it began as")
    moments = {name: None if row.get(name) is None else datetime.fromisoformat(row[name]) for name in _MOMENTS}
    assert moments["opened_at"] is not None
    assert moments["due_at"] is not None
    return Facts(
        case_id=entries[0].case_id,
        category=row["category"],
        status=row["status"],
        area=row.get("area"),
        unit=row.get("unit"),
        first_unit=first_unit,
        resolution=row.get("resolution", ""),
        opened_at=moments["opened_at"],
        due_at=moments["due_at"],
        closed_at=moments["closed_at"],
        reopened_at=tuple(reopened),
    )


_MOMENTS: Final = ("opened_at", "due_at", "closed_at")


def figures(facts: Iterable[Facts], rounds: Iterable[Rounds], since: datetime, until: datetime) -> Figures:
    """The figures of cases and rounds that belong together, in ``since <= t < until``."""
    cases = [case for case in facts if case.status not in _UNCOUNTED]
    found = [case for case in cases if since <= case.opened_at < until]
    due = [case for case in cases if since <= case.due_at < until]
    closed = [case for case in cases if case.closed_at is not None and since <= case.closed_at < until]
    at_source = [case for case in found if case.status == "closed" and case.unit == case.first_unit]
    hours = sorted((c.closed_at - c.opened_at).total_seconds() / 3600 for c in closed if c.closed_at is not None)
    done = list(rounds)
    return Figures(
        patrols=sum(part.patrols for part in done),
        visits=sum(part.visits for part in done),
        found=len(found),
        on_spot=sum(case.resolution == "on_spot" for case in found),
        followed_up=sum(case.resolution == "followed_up" for case in found),
        at_source=len(at_source),
        due=len(due),
        closed=len(closed),
        overdue=sum(case.due_at < until and not case.closed_by(until) for case in cases),
        reopened=sum(since <= at < until for case in cases for at in case.reopened_at),
        dissuasions=sum(case.category == FISHING and case.resolution == "on_spot" for case in closed),
        source_share=_share(len(at_source), sum(case.status == "closed" for case in found)),
        closure_rate=_share(sum(case.closed_by(until) for case in due), len(due)),
        on_time_rate=_share(sum(c.closed_at is not None and c.closed_at <= c.due_at for c in due), len(due)),
        handling_mean=math.fsum(hours) / len(hours) if hours else None,
        handling_p90=hours[math.ceil(0.9 * len(hours)) - 1] if hours else None,  # the nearest rank
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def by_unit(
    facts: Iterable[Facts], rounds: Iterable[Rounds], since: datetime, until: datetime
) -> dict[str | None, Figures]:
    """The figures of each unit; None: cases and patrols of no unit."""
    return _grouped(facts, rounds, lambda part: [part.unit], since, until)


def by_area(
    facts: Iterable[Facts],
    rounds: Iterable[Rounds],
    lineage: Callable[[str], Sequence[str]],
    since: datetime,
    until: datetime,
) -> dict[str | None, Figures]:
    """The figures of each area with all that lies in it; ``lineage`` gives an area and its parents."""

    def areas(part: Facts | Rounds) -> Sequence[str | None]:
        return [None] if part.area is None else lineage(part.area)

    return _grouped(facts, rounds, areas, since, until)


def _grouped(
    facts: Iterable[Facts],
    rounds: Iterable[Rounds],
    groups: Callable[[Facts | Rounds], Sequence[str | None]],
    since: datetime,
    until: datetime,
) -> dict[str | None, Figures]:
    parts: dict[str | None, tuple[list[Facts], list[Rounds]]] = {}
    for case in facts:
        for group in groups(case):
            parts.setdefault(group, ([], []))[0].append(case)
    for done in rounds:
        for group in groups(done):
            parts.setdefault(group, ([], []))[1].append(done)
    return {group: figures(*both, since, until) for group, both in parts.items()}


@dataclass(frozen=True, slots=True)
class WeakPoint:
    """A figure that got worse, or is bad, and by how much; ``weight`` orders them."""

    group: str | None
    figure: str
    before: float | None
    now: float
    sentence: Sentence
    weight: float


ENOUGH: Final = 5  # cases, or patrols, below which a rate says nothing
WORSE_RATE: Final = 0.05  # a rate this much lower than in the period before
LONGER: Final = 1.2  # a handling time this many times that of the period before
LOW_RATE: Final = 0.9  # a rate below it is a weak point of itself
FEWER: Final = 0.8  # patrols fewer than this part of those of the period before


def weak_points(
    now: Mapping[str | None, Figures], before: Mapping[str | None, Figures], names: Mapping[str | None, Sentence]
) -> list[WeakPoint]:
    """What got worse against the period before, the worst first. ``names`` are those of the groups."""
    found: list[WeakPoint] = []
    for group in {**now, **before}:
        present, past = now.get(group, Figures()), before.get(group, Figures())
        name = names.get(group, Sentence(str(group), str(group)))
        found += _rates(group, name, present, past)
        found += _times(group, name, present, past)
        found += _patrols(group, name, present, past)
        if present.overdue > past.overdue:
            more = present.overdue - past.overdue
            said = Sentence(
                f"{name.zh}：逾期未结{present.overdue}件，比上期多{more}件",
                f"{name.en}: {present.overdue} overdue, {more} more than in the period before",
            )
            found.append(WeakPoint(group, "overdue", past.overdue, present.overdue, said, float(more)))
    return sorted(found, key=lambda point: -point.weight)


def _rates(group: str | None, name: Sentence, now: Figures, past: Figures) -> Iterable[WeakPoint]:
    for figure in ("closure_rate", "on_time_rate"):
        present, before = getattr(now, figure), getattr(past, figure)
        if present is None or now.due < ENOUGH:
            continue
        called = NAMES[figure]
        if before is not None and past.due >= ENOUGH and present < before - WORSE_RATE:
            said = Sentence(
                f"{name.zh}：{called.zh}{present:.1%}，比上期（{before:.1%}）低{(before - present) * 100:.1f}个百分点",
                f"{name.en}: {called.en} {present:.1%}, {(before - present) * 100:.1f} points below the {before:.1%} of"
                " the period before",
            )
            yield WeakPoint(group, figure, before, present, said, (before - present) * now.due)
        elif present < LOW_RATE:
            said = Sentence(
                f"{name.zh}：{called.zh}仅{present:.1%}（应结{now.due}件）",
                f"{name.en}: {called.en} only {present:.1%} of {now.due} due",
            )
            yield WeakPoint(group, figure, before, present, said, (LOW_RATE - present) * now.due)


def _times(group: str | None, name: Sentence, now: Figures, past: Figures) -> Iterable[WeakPoint]:
    present, before = now.handling_mean, past.handling_mean
    if present is None or before is None or min(now.closed, past.closed) < ENOUGH or present < before * LONGER:
        return
    said = Sentence(
        f"{name.zh}：平均办理时长{present:.1f}小时，上期为{before:.1f}小时",
        f"{name.en}: mean handling time {present:.1f} h against {before:.1f} h in the period before",
    )
    yield WeakPoint(group, "handling_mean", before, present, said, (present / before - 1) * now.closed)


def _patrols(group: str | None, name: Sentence, now: Figures, past: Figures) -> Iterable[WeakPoint]:
    if past.patrols < ENOUGH or now.patrols >= past.patrols * FEWER:
        return
    said = Sentence(
        f"{name.zh}：巡护{now.patrols}次，上期为{past.patrols}次",
        f"{name.en}: {now.patrols} patrols against {past.patrols} in the period before",
    )
    yield WeakPoint(group, "patrols", past.patrols, now.patrols, said, float(past.patrols - now.patrols))


def as_row(one: Figures) -> dict[str, Any]:
    """The figures as plain values, rounded as they are shown: rates to four places, hours to two."""
    row = asdict(one)
    for name in RATES:
        row[name] = None if row[name] is None else round(row[name], 4)
    for name in HOURS:
        row[name] = None if row[name] is None else round(row[name], 2)
    return row


def agree(one: Figures, other: Figures) -> list[str]:
    """The names of the figures in which two reckonings differ."""
    return [field.name for field in fields(Figures) if getattr(one, field.name) != getattr(other, field.name)]


def without_rounds(one: Figures) -> Figures:
    """The figures of cases alone."""
    return replace(one, patrols=0, visits=0)
