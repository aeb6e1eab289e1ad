"""On which days China works: the published holidays and make-up days, and what the centre has added to them.

The package ``chinese_calendar`` knows the years that were published before its release. The next one is published each
November, so a centre adds it from a file of its own instead of waiting for a release. Of a year that nobody has told,
Monday to Friday are taken without the holidays whose date the law fixes; those of the moon's calendar are not guessed.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final

import chinese_calendar

KNOWN_YEARS: Final = (
    min(chinese_calendar.constants.holidays).year,
    max(chinese_calendar.constants.holidays).year,
)
_BY_LAW: Final = {(1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3)}  # 全国年节及纪念日放假办法, as of 2025
_WORKED: Final = {"yes": True, "no": False}
_added: dict[date, bool] = {}  # of the whole process, as the package's own data are


class HolidayError(ValueError):
    """A file of holidays that cannot be used: names file, line and what was expected."""


def read_holidays(path: Path) -> dict[date, bool]:
    """Whether people work on the days that a CSV file names, in columns ``day`` (2027-01-01) and ``works`` (yes, no).

    Raises:
        HolidayError: there is no such file, a column is missing, or a line is wrong or repeats a day.
    """
    try:
        lines = csv.DictReader(path.read_text("utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise HolidayError(f"{path}: {error}") from error
    if {"day", "works"} - set(lines.fieldnames or ()):
        raise HolidayError(f"{path}: expected the columns day and works, found {', '.join(lines.fieldnames or ())}")
    days: dict[date, bool] = {}
    for row in lines:
        where = f"{path}, line {lines.line_num}"
        try:
            day = date.fromisoformat((row["day"] or "").strip())
        except ValueError as error:
            raise HolidayError(f"{where}: day {row['day']!r}: expected a date as 2027-01-01") from error
        works = _WORKED.get((row["works"] or "").strip())
        if works is None:
            raise HolidayError(f"{where}: works {row['works']!r}: expected yes or no")
        if day in days:
            raise HolidayError(f"{where}: {day} is there twice")
        days[day] = works
    return days


def add_holidays(days: Mapping[date, bool]) -> None:
    """Let these days be as they say, instead of those added before; a year of which there is one counts as known."""
    _added.clear()
    _added.update(days)


def is_known(year: int) -> bool:
    """Whether the holidays of a year are known, and not guessed."""
    return KNOWN_YEARS[0] <= year <= KNOWN_YEARS[1] or any(day.year == year for day in _added)


def is_working_day(day: date, guessed: set[int] | None = None) -> bool:
    """Whether China works on that day. A year of which that is a guess is noted in ``guessed``."""
    if (added := _added.get(day)) is not None:
        return added
    if KNOWN_YEARS[0] <= day.year <= KNOWN_YEARS[1]:
        return _published(day)
    if not is_known(day.year):
        if guessed is not None:
            guessed.add(day.year)
        if (day.month, day.day) in _BY_LAW:
            return False
    return day.weekday() < 5


@lru_cache(maxsize=8192)
def _published(day: date) -> bool:
    """The calendar's word, kept: it searches all its holidays for the known years at each question."""
    return bool(chinese_calendar.is_workday(day))
