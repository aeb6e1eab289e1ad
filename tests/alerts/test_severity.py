"""Severity rises by steps: never falls, once for each step, whenever and however often one looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.severity import SEVERITIES, Rise, Severity, WrongRise, at_night, risen

NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)  # 12:00 at the site
NIGHT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)  # 23:00


def look(
    severity: Severity, *steps: Rise, state: str = "open", count: int = 1, waited: float = 0.0, now: datetime = NOON
) -> Severity:
    armed = now - timedelta(seconds=waited)
    return risen(severity, steps, state=state, count=count, armed_at=armed, now=now)[0]


def test_with_time_only_while_nobody_has_acknowledged_it() -> None:
    step = Rise("high", after="10m")
    assert look("low", step, waited=599) == "low"
    assert look("low", step, waited=600) == "high"
    assert look("low", step, waited=6000, state="acknowledged") == "low"
    assert (Rise("high", after="90s").wait, Rise("high", after="2h").wait) == (
        timedelta(seconds=90),
        timedelta(hours=2),
    )


def test_with_count_and_at_night_also_when_somebody_has_it() -> None:
    for state in ("open", "acknowledged"):
        assert look("low", Rise("medium", count=5), count=4, state=state) == "low"
        assert look("low", Rise("medium", count=5), count=5, state=state) == "medium"
        assert look("low", Rise("high", night=True), now=NIGHT, state=state) == "high"
        assert look("low", Rise("high", night=True), now=NOON, state=state) == "low"


def test_all_that_a_step_names_must_hold_and_the_highest_step_counts() -> None:
    both = Rise("high", after="10m", night=True)
    assert look("low", both, waited=700, now=NOON) == "low"
    assert look("low", both, waited=10, now=NIGHT) == "low"
    assert look("low", both, waited=700, now=NIGHT) == "high"
    assert look("low", Rise("high", count=2), Rise("medium", count=1), count=3) == "high"


@pytest.mark.parametrize("state", ["cleared", "void"])
def test_what_is_over_rises_no_more(state: str) -> None:
    assert look("low", Rise("high", count=1), state=state) == "low"


@pytest.mark.parametrize(
    ("clock", "night"), [("21:59", False), ("22:00", True), ("00:00", True), ("05:59", True), ("06:00", False)]
)
def test_night_is_from_22_to_6_at_the_site(clock: str, night: bool) -> None:
    assert at_night(datetime.fromisoformat(f"2026-11-20T{clock}:00+08:00").astimezone(UTC)) is night


@pytest.mark.parametrize(
    ("given_", "field"),
    [({"after": "10 min"}, "after"), ({"after": "0m"}, "after"), ({"count": -1}, "count"), ({}, "to")],
)
def test_a_step_that_means_nothing_is_refused(given_: dict[str, object], field: str) -> None:
    with pytest.raises(WrongRise) as wrong:
        Rise("high", **given_)  # type: ignore[arg-type]
    assert wrong.value.field == field


steps = st.lists(
    st.builds(
        Rise,
        st.sampled_from(SEVERITIES),
        st.sampled_from(["", "30s", "10m", "1h"]),
        st.integers(1, 6),
        st.booleans(),
    ),
    max_size=4,
)
looks = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 3), st.sampled_from(["open", "acknowledged"])), max_size=25
)


@given(first=st.sampled_from(SEVERITIES), steps=steps, looks=looks)
def test_it_never_falls_and_is_told_at_most_once_for_each_grade(
    first: Severity, steps: list[Rise], looks: list[tuple[int, int, str]]
) -> None:
    """An alert's life: time passes, findings come, somebody acknowledges, and at any moment somebody looks."""
    severity, now, count, told = first, NOON, 1, []
    for seconds, more, state in looks:
        now, count = now + timedelta(seconds=seconds), count + more
        after, step = risen(severity, steps, state=state, count=count, armed_at=NOON, now=now)
        assert SEVERITIES.index(after) >= SEVERITIES.index(severity)
        assert (step is not None) == (after != severity)
        if step is not None:
            told.append(step)
            assert step.to == after and count >= step.count
            assert not step.after or (state == "open" and now - NOON >= step.wait)
            assert not step.night or at_night(now)
        again = risen(after, steps, state=state, count=count, armed_at=NOON, now=now)
        assert again == (after, None), "the same moment looked at again tells nothing"
        severity = after
    assert len(told) == len({step.to for step in told}) <= 2


@given(steps=steps, cuts=st.lists(st.integers(1, 900), max_size=20))
def test_who_looks_seldom_finds_the_same_severity_in_the_end_as_who_looks_often(
    steps: list[Rise], cuts: list[int]
) -> None:
    """Where night plays no part: that is a state of the moment."""
    lasting = [step for step in steps if not step.night]
    severity, now = SEVERITIES[0], NOON
    for seconds in cuts:
        now += timedelta(seconds=seconds)
        severity, _ = risen(severity, lasting, state="open", count=3, armed_at=NOON, now=now)
    once, _ = risen(SEVERITIES[0], lasting, state="open", count=3, armed_at=NOON, now=now)
    assert once == severity or not cuts
