"""The figures by their formulas, at the edges of a period, and what a digest compares with what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerts.assessment import Facts, Figures, Rounds, agree, figures, weak_points
from alerts.digest import digest, period, stretches
from detectors.base import Sentence
from devices.registry import Registry
from devices.site import CHINA, Site

SINCE = datetime(2026, 11, 16, tzinfo=CHINA)
UNTIL = SINCE + timedelta(days=7)
NAMES: dict[str | None, Sentence] = {"fishery": Sentence("渔政", "Fishery")}


def case(
    opened: float, due: float, closed: float | None = None, *, status: str = "", resolution: str = "", number: int = 1
) -> Facts:
    """A case with its moments in days after the beginning of the week."""
    at = [SINCE + timedelta(days=day) for day in (opened, due)]
    ended = None if closed is None else SINCE + timedelta(days=closed)
    state = status or ("handling" if ended is None else "closed")
    return Facts(number, "illegal_fishing", state, None, "fishery", "fishery", resolution, at[0], at[1], ended)


def test_what_is_closed_after_the_period_was_overdue_at_its_end() -> None:
    late = case(1, 3, closed=9)
    assert figures([late], [], SINCE, UNTIL).overdue == 1
    assert figures([late], [], SINCE, UNTIL).closure_rate == 0
    after = figures([late], [], UNTIL, UNTIL + timedelta(days=7))
    assert (after.overdue, after.due, after.closed, after.closure_rate) == (0, 0, 1, None)


def test_what_is_closed_late_but_in_the_period_is_closed_and_not_on_time() -> None:
    week = figures([case(1, 3, closed=4), case(1, 3, closed=3)], [], SINCE, UNTIL)
    assert (week.overdue, week.closure_rate, week.on_time_rate) == (0, 1, 0.5)


def test_the_beginning_belongs_to_the_period_and_the_end_does_not() -> None:
    week = figures([case(0, 0, closed=0), case(7, 7, closed=7)], [], SINCE, UNTIL)
    assert (week.found, week.due, week.closed, week.overdue) == (1, 1, 1, 0)


def test_void_and_merged_cases_count_nowhere() -> None:
    gone = [case(1, 2, closed=3, status="void"), case(1, 2, closed=3, status="merged")]
    assert figures(gone, [], SINCE, UNTIL) == Figures()


def test_nine_in_ten_by_the_nearest_rank() -> None:
    week = figures([case(0, 6, closed=hours / 24) for hours in range(1, 11)], [], SINCE, UNTIL)
    assert week.handling_p90 is not None
    assert week.handling_mean is not None
    assert (round(week.handling_p90, 6), round(week.handling_mean, 6)) == (9, 5.5)


@given(
    st.lists(st.tuples(st.floats(-30, 30), st.floats(0, 5), st.one_of(st.none(), st.floats(0, 20))), max_size=20),
    st.floats(0, 40),
)
def test_a_period_that_is_over_looks_the_same_however_late_one_looks(
    drawn: list[tuple[float, float, float | None]], later: float
) -> None:
    """What closes after the end changes neither the rates nor what was overdue then: weeks can be compared."""
    cases = [case(opened, opened + due, None if took is None else opened + took) for opened, due, took in drawn]
    then = [one if one.closed_by(UNTIL) else replace(one, closed_at=None, status="handling") for one in cases]
    now, at_its_end = (figures(some, [], SINCE, UNTIL) for some in (cases, then))
    assert set(agree(now, at_its_end)) <= {"at_source", "source_share"}


def test_a_running_period_is_compared_with_the_same_part_of_the_one_before() -> None:
    as_of = SINCE + timedelta(days=2, hours=3)
    assert stretches(SINCE, UNTIL, as_of) == (
        (SINCE, as_of),
        (SINCE - timedelta(days=7), as_of - timedelta(days=7)),
    )
    assert stretches(SINCE, UNTIL, UNTIL + timedelta(days=1))[0] == (SINCE, UNTIL)
    assert stretches(SINCE, UNTIL, SINCE - timedelta(days=1))[0] == (SINCE, SINCE)


def test_nothing_is_overdue_before_its_deadline() -> None:
    """A week is looked at on Tuesday, with a case that is due on Friday."""
    as_of = (SINCE + timedelta(days=1)).astimezone(UTC)
    facts: tuple[list[Facts], list[Rounds]] = ([case(0.5, 4)], [])
    found = digest(Site([], [], [], Registry([])), "unit", SINCE, UNTIL, facts, ([], []), as_of)
    assert found.running
    assert (found.total.now.found, found.total.now.due, found.total.now.overdue) == (1, 0, 0)
    assert found.total.now.closure_rate is None
    assert found.weak == []


def test_weak_points_are_named_the_worst_first() -> None:
    before = Figures(due=10, closed=10, closure_rate=0.99, on_time_rate=0.98, handling_mean=10.0, overdue=1)
    now = Figures(due=10, closed=9, closure_rate=0.7, on_time_rate=0.95, handling_mean=12.5, overdue=3)
    points = weak_points({"fishery": now}, {"fishery": before}, NAMES)
    assert {point.figure for point in points} == {"closure_rate", "handling_mean", "overdue"}
    assert [point.weight for point in points] == sorted((point.weight for point in points), reverse=True)
    told = {point.figure: point.sentence for point in points}
    assert told["closure_rate"].zh == "渔政：结案率70.0%，比上期（99.0%）低29.0个百分点"
    assert told["overdue"].en == "Fishery: 3 overdue, 2 more than in the period before"


def test_too_few_cases_say_nothing() -> None:
    few = Figures(due=4, closed=4, closure_rate=0.0, on_time_rate=0.0, handling_mean=99.0)
    assert weak_points({"fishery": few}, {"fishery": Figures(due=9, closed=9, handling_mean=1.0)}, NAMES) == []


def test_a_unit_that_patrols_less_is_named() -> None:
    points = weak_points({"fishery": Figures(patrols=7)}, {"fishery": Figures(patrols=10)}, NAMES)
    assert [point.sentence.zh for point in points] == ["渔政：巡护7次，上期为10次"]
    assert weak_points({"fishery": Figures(patrols=9)}, {"fishery": Figures(patrols=10)}, NAMES) == []
    assert weak_points({"fishery": Figures(patrols=0)}, {"fishery": Figures(patrols=4)}, NAMES) == []
    stopped = weak_points({}, {"fishery": Figures(patrols=14)}, NAMES)
    assert [point.now for point in stopped] == [0]


def test_a_week_begins_on_monday_at_the_site() -> None:
    assert period("week", date(2026, 11, 22)) == (SINCE, UNTIL)
    assert period("day", date(2026, 11, 22)) == (SINCE + timedelta(days=6), UNTIL)
