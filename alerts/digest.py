"""The digest of a day or a week: every unit's or area's figures beside those of the period before. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, Literal

from alerts.assessment import (
    HOURS,
    NAMES,
    RATES,
    By,
    Facts,
    Figures,
    Rounds,
    WeakPoint,
    as_row,
    by_area,
    by_unit,
    figures,
    weak_points,
)
from detectors.base import Sentence
from devices.site import CHINA, Site

Period = Literal["day", "week"]
NOBODY: Final = {"unit": Sentence("权属不清", "ownership unclear"), "area": Sentence("位置不明", "place unknown")}
ALL: Final = Sentence("合计", "all")
TITLES: Final = {"day": Sentence("综治工作日报", "Daily digest"), "week": Sentence("综治工作周报", "Weekly digest")}
MOST_WEAK: Final = 12  # weak points that are named


@dataclass(frozen=True, slots=True)
class Line:
    """One unit or area; ``code`` None gathers what is nobody's."""

    code: str | None
    name: Sentence
    now: Figures
    before: Figures


@dataclass(frozen=True, slots=True)
class Digest:
    """A period's figures by unit or by area, in the site's order, and what got worse."""

    since: datetime
    until: datetime
    by: By
    place: Sentence
    total: Line
    lines: list[Line]
    weak: list[WeakPoint]
    as_of: datetime

    @property
    def running(self) -> bool:
        """Whether the period has not ended yet."""
        return self.as_of < self.until

    @property
    def stand(self) -> Sentence:
        """As of when the figures are, and what they are compared with while the period still runs."""
        at = f"{self.as_of.astimezone(CHINA):%Y-%m-%d %H:%M}"
        if not self.running:
            return Sentence(f"数据截至 {at}", f"as of {at}")
        return Sentence(
            f"数据截至 {at}，本期未结束，与上期同一段比较",
            f"as of {at}, still running, beside the same part of the period before",
        )

    @property
    def title(self) -> Sentence:
        """Daily, weekly, or of any other stretch."""
        days = (self.until - self.since).days
        return TITLES["day"] if days == 1 else TITLES["week"] if days == 7 else Sentence("考核报表", "Assessment")


def period(kind: Period, day: date) -> tuple[datetime, datetime]:
    """The day itself, or the week from Monday that holds it, in site time.

    >>> [f"{at:%m-%d %H:%M}" for at in period("week", date(2026, 11, 22))]
    ['11-16 00:00', '11-23 00:00']
    """
    first = day if kind == "day" else day - timedelta(days=day.weekday())
    since = datetime.combine(first, time(), CHINA)
    return since, since + timedelta(days=1 if kind == "day" else 7)


def stretches(
    since: datetime, until: datetime, as_of: datetime
) -> tuple[tuple[datetime, datetime], tuple[datetime, datetime]]:
    """What of a period has passed, and the same part of the period before: only what is as long can be compared.

    >>> week = period("week", date(2026, 11, 22))
    >>> [[f"{at:%m-%d}" for at in part] for part in stretches(*week, as_of=datetime(2026, 11, 18, tzinfo=CHINA))]
    [['11-16', '11-18'], ['11-09', '11-11']]
    """
    end, length = max(since, min(until, as_of)), until - since
    return (since, end), (since - length, end - length)


def digest(
    site: Site,
    by: By,
    since: datetime,
    until: datetime,
    now: tuple[Sequence[Facts], Sequence[Rounds]],
    before: tuple[Sequence[Facts], Sequence[Rounds]],
    as_of: datetime,
) -> Digest:
    """The digest of ``since <= t < until``, as far as that has passed; ``now`` and ``before`` are facts and rounds of
    the two :func:`stretches`."""
    this, earlier = stretches(since, until, as_of)
    if by == "unit":
        present, past = by_unit(*now, *this), by_unit(*before, *earlier)
        names = {unit.code: Sentence(unit.name, unit.name_en) for unit in site.units.values()}
    else:
        present, past = by_area(*now, site.lineage, *this), by_area(*before, site.lineage, *earlier)
        names = {area.code: Sentence(area.name, area.name_en) for area in site.areas.values()}
    told: dict[str | None, Sentence] = {}
    told.update(names)
    told[None] = NOBODY[by]
    order = {code: place for place, code in enumerate(told)}
    groups = sorted({*present, *past}, key=lambda code: (order.get(code, len(order)), str(code)))
    nothing = Figures()
    lines = [
        Line(code, told.get(code, Sentence(str(code), str(code))), present.get(code, nothing), past.get(code, nothing))
        for code in groups
    ]
    total = Line(None, ALL, figures(*now, *this), figures(*before, *earlier))
    weak = weak_points(present, past, told)[:MOST_WEAK]
    place = Sentence(site.name, site.name_en)
    return Digest(since, until, by, place, total, lines, weak, as_of)


def as_csv(shown: Digest, lang: Literal["zh", "en"]) -> bytes:
    """The figures as CSV with a byte order mark, so that a spreadsheet reads Chinese; rates and hours as numbers."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["code", "name", *(getattr(name, lang) for name in NAMES.values())])
    for line in [*shown.lines, shown.total]:
        row = as_row(line.now)
        writer.writerow([line.code or "", getattr(line.name, lang), *("" if row[n] is None else row[n] for n in NAMES)])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def shown(figure: str, value: float | None) -> str:
    """A figure as people read it; an en dash where there is none."""
    if value is None:
        return "–"
    if figure in RATES:
        return f"{value:.1%}"
    return f"{value:.1f} h" if figure in HOURS else str(value)
