"""Deadlines: plain time ("30m", "4h"), or working time by China's calendar of holidays and make-up days ("4wh", "2wd").

Working days are counted as the centres do: a report at 15:19 on a working day with two working days is due at 15:19 two
working days later. One outside working time counts from the next 09:00 at which work starts. Working hours ("wh") are
those from 09:00 to 18:00 of working days. On which days people work is in :mod:`alerts.holidays`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

import structlog

from alerts.holidays import KNOWN_YEARS, is_working_day
from devices.site import CHINA

log = structlog.get_logger()

WORK_STARTS: Final = time(9)
WORK_ENDS: Final = time(18)
_FORM: Final = re.compile(r"([1-9][0-9]{0,4})(m|h|wd|wh)")
_MOST: Final = {"wd": 250, "wh": 250 * 9}  # a year
_told: set[int] = set()  # years without calendar data of which the log already speaks


class DeadlineError(ValueError):
    """A deadline that is none of the forms."""

    def __init__(self, deadline: str, problem: str) -> None:
        super().__init__(f"deadline {deadline!r}: {problem}")
        self.deadline, self.problem = deadline, problem


@dataclass(frozen=True, slots=True)
class Due:
    """When something is due. In ``guessed_years``, without a published calendar, working days were guessed."""

    at: datetime
    guessed_years: tuple[int, ...] = ()


def parse_deadline(deadline: str) -> tuple[int, str]:
    """Number and unit ("m", "h", "wh" or "wd").

    Raises:
        DeadlineError: it has another form, or is more than a year of working time.
    """
    match = _FORM.fullmatch(deadline)
    if match is None:
        raise DeadlineError(deadline, 'expected minutes "30m", hours "4h", working hours "4wh" or working days "2wd"')
    number, unit = int(match[1]), match[2]
    if number > _MOST.get(unit, number):
        raise DeadlineError(deadline, f"at most {_MOST[unit]}{unit}, which is a year")
    return number, unit


def in_working_time(deadline: str) -> bool:
    """Whether a deadline counts working time. Raises DeadlineError for a form that is none."""
    return parse_deadline(deadline)[1] in _MOST


def words(deadline: str) -> tuple[str, str]:
    """A deadline in Chinese and English.

    >>> words("2wd")
    ('2 个工作日', '2 working days')
    """
    number, unit = parse_deadline(deadline)
    zh, en = {"m": ("分钟", "minute"), "h": ("小时", "hour"), "wh": ("个工作小时", "working hour")}.get(
        unit, ("个工作日", "working day")
    )
    return f"{number} {zh}", f"{number} {en}{'' if number == 1 else 's'}"


def due(opened: datetime, deadline: str) -> datetime:
    """When a case opened at ``opened`` (aware) is due, as UTC. Raises DeadlineError for a form that is none."""
    return reckon(opened, deadline).at


def reckon(opened: datetime, deadline: str) -> Due:
    """Like :func:`due`, and says which years had to be guessed.

    Raises:
        DeadlineError: the deadline has none of the forms.
    """
    number, unit = parse_deadline(deadline)
    if unit in ("m", "h"):
        return Due(opened.astimezone(UTC) + (timedelta(minutes=number) if unit == "m" else timedelta(hours=number)))
    guessed: set[int] = set()
    at = _in_working_time(opened.astimezone(CHINA), guessed)
    if unit == "wh":
        at = _work_on(at, timedelta(hours=number), guessed)
    else:
        for _ in range(number):
            at = _next_working_day(at, guessed)
    for year in guessed - _told:
        log.warning("no_holiday_calendar", year=year, taken="Monday to Friday", known=f"{KNOWN_YEARS}")
        _told.add(year)
    return Due(at.astimezone(UTC), tuple(sorted(guessed)))


def share(since: datetime, until: datetime, percent: int, *, working: bool) -> datetime:
    """The moment, as UTC, at which ``percent`` of the time from ``since`` to ``until`` has gone.

    With ``working`` only working time counts, so that nobody is reminded on a Sunday night; where there is none
    between the two, all time does.
    """
    worked = working_time(since, until) if working else timedelta(0)
    if not worked:
        return since.astimezone(UTC) + (until - since) * percent / 100
    return _work_on(_in_working_time(since.astimezone(CHINA), set()), worked * percent / 100, set()).astimezone(UTC)


def working_time(since: datetime, until: datetime) -> timedelta:
    """How much working time lies between two moments; none when ``until`` comes first."""
    begin, end = since.astimezone(CHINA), until.astimezone(CHINA)
    total, day = timedelta(0), begin.date()
    while day <= end.date():
        if is_working_day(day):
            first = max(begin, datetime.combine(day, WORK_STARTS, CHINA))
            last = min(end, datetime.combine(day, WORK_ENDS, CHINA))
            total += max(last - first, timedelta(0))
        day += timedelta(days=1)
    return total


def _work_on(at: datetime, amount: timedelta, guessed: set[int]) -> datetime:
    """The moment after so much more work, from a moment in working time. What ends with the day is due at its end."""
    while amount > (rest := datetime.combine(at.date(), WORK_ENDS, CHINA) - at):
        amount -= rest
        at = datetime.combine(_next_working_day(at, guessed).date(), WORK_STARTS, CHINA)
    return at + amount


def _in_working_time(at: datetime, guessed: set[int]) -> datetime:
    """The moment itself when people are at work, else the next start of work."""
    if is_working_day(at.date(), guessed):
        if at.time() < WORK_STARTS:
            return datetime.combine(at.date(), WORK_STARTS, CHINA)
        if at.time() < WORK_ENDS:
            return at
    return datetime.combine(_next_working_day(at, guessed).date(), WORK_STARTS, CHINA)


def _next_working_day(at: datetime, guessed: set[int]) -> datetime:
    at += timedelta(days=1)
    while not is_working_day(at.date(), guessed):
        at += timedelta(days=1)
    return at
