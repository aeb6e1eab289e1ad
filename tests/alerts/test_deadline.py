"""Deadlines in plain and in working time, against dates of the published calendar of 2026 and 2025."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from alerts import deadline
from alerts.deadline import DeadlineError, due, parse_deadline, reckon, words, working_time
from alerts.holidays import is_working_day
from devices.site import CHINA


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


def test_plain_time_takes_no_notice_of_nights_and_holidays() -> None:
    opened = at("2026-10-01T23:50")
    assert due(opened, "30m") == opened + timedelta(minutes=30)
    assert due(opened, "4h") == opened + timedelta(hours=4)
    assert due(opened, "4h").tzinfo is UTC


@pytest.mark.parametrize(
    ("opened", "wanted", "why"),
    [
        ("2026-11-18T15:19", "2026-11-20T15:19", "Wednesday to Friday"),
        ("2026-11-19T15:19", "2026-11-23T15:19", "over a weekend"),
        ("2026-11-20T20:00", "2026-11-25T09:00", "after work on Friday: from Monday 09:00"),
        ("2026-11-20T18:00", "2026-11-25T09:00", "work ends at 18:00"),
        ("2026-11-18T07:30", "2026-11-20T09:00", "before work: from 09:00 of the same day"),
        ("2026-11-21T10:00", "2026-11-25T09:00", "Saturday: from Monday 09:00"),
        ("2026-09-29T15:19", "2026-10-08T15:19", "the national holiday of 1 to 7 October"),
        ("2026-02-13T10:00", "2026-02-24T10:00", "Friday before Spring Festival: Saturday the 14th is a make-up day"),
        ("2025-09-26T15:19", "2025-09-29T15:19", "Friday; Sunday 28 September 2025 is a make-up working day"),
        ("2025-09-28T10:00", "2025-09-30T10:00", "a report on a working Sunday"),
        ("2025-12-31T10:00", "2026-01-05T10:00", "New Year 1 to 3 January 2026, Sunday the 4th is worked"),
    ],
)
def test_two_working_days(opened: str, wanted: str, why: str) -> None:
    assert reckon(at(opened), "2wd") == deadline.Due(at(wanted).astimezone(UTC)), why


@pytest.mark.parametrize(
    ("opened", "deadline", "wanted", "why"),
    [
        ("2026-11-18T09:00", "4wh", "2026-11-18T13:00", "within one day"),
        ("2026-11-18T15:19", "4wh", "2026-11-19T10:19", "2 h 41 min today, the rest tomorrow"),
        ("2026-11-18T14:00", "4wh", "2026-11-18T18:00", "what ends with the day is due at its end"),
        ("2026-11-18T07:00", "9wh", "2026-11-18T18:00", "a whole day"),
        ("2026-11-20T17:00", "4wh", "2026-11-23T12:00", "over a weekend"),
        ("2026-09-30T17:00", "2wh", "2026-10-08T10:00", "over the national holiday"),
        ("2026-02-13T17:00", "2wh", "2026-02-14T10:00", "Saturday 14 February 2026 is a make-up day"),
        ("2026-11-21T03:00", "1wh", "2026-11-23T10:00", "at night on a Saturday"),
    ],
)
def test_working_hours(opened: str, deadline: str, wanted: str, why: str) -> None:
    assert due(at(opened), deadline) == at(wanted).astimezone(UTC), why


def test_deadlines_in_words() -> None:
    assert words("2wd") == ("2 个工作日", "2 working days")
    assert words("1wh") == ("1 个工作小时", "1 working hour")
    assert words("30m") == ("30 分钟", "30 minutes")


def test_years_without_a_calendar_are_guessed_and_said_once() -> None:
    deadline._told.clear()
    with structlog.testing.capture_logs() as logs:
        first = reckon(at("2031-11-05T10:00"), "2wd")
        reckon(at("2031-11-10T10:00"), "2wd")
    assert (first.at, first.guessed_years) == (at("2031-11-07T10:00").astimezone(UTC), (2031,))
    assert [(entry["event"], entry["year"]) for entry in logs] == [("no_holiday_calendar", 2031)]


def test_over_the_end_of_the_known_years() -> None:
    found = reckon(at("2026-12-31T15:19"), "2wd")
    assert found.guessed_years == (2027,)
    assert found.at == at("2027-01-05T15:19").astimezone(UTC)  # Friday 1 January is a holiday by law, in any year


@pytest.mark.parametrize(
    "wrong", ["", "2", "0h", "-1h", "1d", "2 wd", "1.5h", "2WD", "1h30m", "999wd", "9999wh", "１h", "123456m"]
)
def test_other_forms_are_refused_with_the_value(wrong: str) -> None:
    with pytest.raises(DeadlineError) as error:
        parse_deadline(wrong)
    assert repr(wrong) in str(error.value)


moments = st.datetimes(datetime(2003, 6, 1), datetime(2040, 1, 1)).map(lambda d: d.replace(tzinfo=CHINA))  # noqa: DTZ001


@given(opened=moments, days=st.integers(1, 40))
def test_a_due_moment_is_in_working_time_and_grows_by_whole_working_days(opened: datetime, days: int) -> None:
    one, more = (due(opened, f"{n}wd").astimezone(CHINA) for n in (days, days + 1))
    assert is_working_day(one.date()) and is_working_day(more.date())
    assert one.time() == more.time()
    assert deadline.WORK_STARTS <= one.time() < deadline.WORK_ENDS
    between = [one.date() + timedelta(days=n) for n in range(1, (more.date() - one.date()).days)]
    assert not any(is_working_day(day) for day in between)
    assert one > opened


@given(a=moments, b=moments)
def test_who_reports_earlier_is_never_due_later(a: datetime, b: datetime) -> None:
    assert due(min(a, b), "2wd") <= due(max(a, b), "2wd")


@given(opened=moments, hours=st.integers(1, 200))
def test_working_hours_are_as_much_work_as_they_say(opened: datetime, hours: int) -> None:
    assert working_time(opened, due(opened, f"{hours}wh")) == timedelta(hours=hours)
