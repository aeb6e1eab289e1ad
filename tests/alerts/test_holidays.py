"""Working days of known years, of years that the centre adds, and of those that nobody has told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.deadline import reckon
from alerts.holidays import KNOWN_YEARS, HolidayError, add_holidays, is_known, is_working_day, read_holidays
from devices.site import moment

NEXT = KNOWN_YEARS[1] + 1


@pytest.fixture(autouse=True)
def as_installed() -> Iterator[None]:
    yield
    add_holidays({})


def written(folder: Path, text: str) -> Path:
    file = folder / "holidays.csv"
    file.write_text(text, "utf-8")
    return file


def test_holidays_and_made_up_days_are_the_published_ones() -> None:
    assert not is_working_day(date(2026, 2, 17))  # Spring Festival, a Tuesday
    assert is_working_day(date(2026, 2, 14))  # a Saturday that is made up


@given(st.dates(date(KNOWN_YEARS[0], 1, 1), date(KNOWN_YEARS[1], 12, 31)))
def test_known_years_are_never_a_guess(day: date) -> None:
    guessed: set[int] = set()
    is_working_day(day, guessed)
    assert not guessed


@given(st.dates(date(NEXT, 1, 1), date(2100, 12, 31)))
def test_unknown_years_are_a_guess_that_keeps_the_days_of_the_law(day: date) -> None:
    guessed: set[int] = set()
    works = is_working_day(day, guessed)
    assert guessed == {day.year}
    assert works == (day.weekday() < 5 and f"{day:%m-%d}" not in ("01-01", "05-01", "05-02", "10-01", "10-02", "10-03"))


def test_a_file_makes_a_year_known(tmp_path: Path) -> None:
    opened = moment(1_800_000_000_000_000)  # 15 January 2027, a Friday
    friday, saturday = date(2027, 1, 15), date(2027, 1, 16)
    assert reckon(opened, "1wd").guessed_years == (2027,)
    add_holidays(read_holidays(written(tmp_path, "\ufeffday,works,name\r\n2027-01-16,yes,调休\r\n2027-01-18,no,\r\n")))
    found = reckon(opened, "1wd")
    assert (is_known(2027), found.guessed_years) == (True, ())
    assert (is_working_day(friday), is_working_day(saturday), is_working_day(date(2027, 1, 18))) == (True, True, False)
    assert not is_known(2028)


def test_a_file_corrects_a_year_that_is_built_in() -> None:
    add_holidays({date(2026, 11, 30): False})
    assert not is_working_day(date(2026, 11, 30))
    assert not is_working_day(date(2026, 10, 1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected the columns day and works"),
        ("date,works\n2027-01-01,no\n", "expected the columns day and works, found date, works"),
        ("day,works\n2027-13-01,no\n", "line 2: day '2027-13-01'"),
        ("day,works\n2027-01-01,maybe\n", "line 2: works 'maybe': expected yes or no"),
        ("day,works\n2027-01-01,no\n2027-01-01,yes\n", "line 3: 2027-01-01 is there twice"),
        ("day,works\n2027-01-01\n", "line 2: works None"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(HolidayError, match=said.replace("(", r"\(")):
        read_holidays(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HolidayError, match=r"nowhere\.csv"):
        read_holidays(tmp_path / "nowhere.csv")
