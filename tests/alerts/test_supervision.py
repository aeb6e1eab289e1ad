"""Reminders and supervision: whenever they are looked for, each comes once, in order, and none is left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.categories import Plan
from alerts.deadline import share, working_time
from alerts.holidays import is_working_day
from alerts.supervision import LEVELS, Clock, Step, after, next_step, steps_due
from devices.site import CHINA

OPENED = datetime(2026, 11, 18, 15, 19, tzinfo=CHINA)  # a Wednesday
DUE = datetime(2026, 11, 20, 15, 19, tzinfo=CHINA)
CLOCK = Clock(since=OPENED, due_at=DUE, working=True)
ORDER = ["remind", "remind", "overdue", "urge", "letter", "second_letter"]


def walk(clock: Clock, plan: Plan, looks: list[datetime]) -> list[tuple[datetime, Step]]:
    """What is done when somebody looks at these moments."""
    found = []
    for now in looks:
        for step in steps_due(clock, plan, now):
            found.append((now, step))
            clock = after(clock, step, now)
    return found


def test_the_steps_of_a_case_that_nobody_handles() -> None:
    looks = [OPENED + timedelta(minutes=10 * n) for n in range(6 * 24 * 14)]
    found = walk(CLOCK, Plan(), looks)
    assert [step.name for _, step in found] == ORDER
    due = [step.due.astimezone(CHINA).strftime("%m-%d %H:%M") for _, step in found]
    # Two working days are 18 hours of work: half of them end on Thursday 15:19, 80 % on Friday 11:43.
    assert due[:4] == ["11-19 15:19", "11-20 11:43", "11-20 15:19", "11-20 15:19"]
    assert due[4] == "11-23 15:19", "one working day after it was urged, over the weekend"
    assert due[5] == "11-25 15:19", "two after the letter"


def test_after_an_outage_the_unit_still_gets_its_time_between_two_letters() -> None:
    late = DUE + timedelta(days=30)
    assert [step.name for step in steps_due(CLOCK, Plan(), late)] == ["remind", "remind", "overdue", "urge"]


def test_what_was_done_by_hand_is_not_done_again() -> None:
    urged = Clock(OPENED, DUE, working=True, reminded=2, level=1, stepped_at=OPENED + timedelta(hours=1))
    assert [step.name for step in steps_due(urged, Plan(), DUE)] == ["overdue"]
    letter = next_step(Clock(OPENED, DUE, True, 2, True, 1, OPENED), Plan())
    assert letter is not None
    assert letter.name == "letter"
    assert letter.due.astimezone(CHINA) == datetime(2026, 11, 23, 15, 19, tzinfo=CHINA), "counted from the deadline"


def test_a_kind_without_supervision_is_only_called_overdue() -> None:
    assert [s.name for s in steps_due(CLOCK, Plan(remind=(), supervise=()), DUE)] == ["overdue"]
    assert next_step(Clock(OPENED, DUE, overdue=True), Plan(remind=(), supervise=())) is None


plans = st.builds(
    Plan,
    st.lists(st.integers(1, 99), max_size=5, unique=True).map(lambda p: tuple(sorted(p))),
    st.lists(st.sampled_from(["0h", "30m", "4h", "4wh", "1wd", "2wd"]), max_size=3).map(tuple),
)
spans = st.integers(1, 20 * 24 * 60).map(lambda m: timedelta(minutes=m))
moments = st.datetimes(datetime(2025, 1, 1), datetime(2026, 10, 1)).map(lambda d: d.replace(tzinfo=UTC))  # noqa: DTZ001


@given(
    opened=moments,
    span=spans,
    plan=plans,
    working=st.booleans(),
    looks=st.lists(st.integers(0, 40 * 24 * 60), max_size=40),
)
def test_never_skipped_never_twice_in_order(
    opened: datetime, span: timedelta, plan: Plan, working: bool, looks: list[int]
) -> None:
    clock = Clock(opened, opened + span, working)
    times = [opened + timedelta(minutes=m) for m in sorted(looks)]
    # Looking often enough at the end brings everything that was left.
    far = opened + timedelta(days=400)
    found = walk(clock, plan, [*times, *[far + timedelta(days=20 * n) for n in range(5)]])
    expected = ["remind"] * len(plan.remind) + ["overdue", *LEVELS[: len(plan.supervise)]]
    assert [step.name for _, step in found] == expected
    assert [step.percent for _, step in found if step.name == "remind"] == list(plan.remind)
    for now, step in found:
        assert step.due <= now
        assert step.name == "remind" or step.due >= clock.due_at
    reminders = [step.due for _, step in found if step.name == "remind"]
    assert reminders == sorted(reminders)
    assert all(opened <= due <= clock.due_at for due in reminders)


@given(
    opened=moments, span=spans, plan=plans, looks=st.lists(st.integers(0, 40 * 24 * 60), max_size=20), hand=st.data()
)
def test_by_hand_and_by_time_together_make_each_step_once(
    opened: datetime, span: timedelta, plan: Plan, looks: list[int], hand: st.DataObject
) -> None:
    clock, taken = Clock(opened, opened + span), []
    for minute in sorted(looks):
        now = opened + timedelta(minutes=minute)
        for step in steps_due(clock, plan, now):
            taken.append(step.name)
            clock = after(clock, step, now)
        if clock.level < 3 and hand.draw(st.booleans()):  # a supervisor takes the next step
            step = Step(LEVELS[clock.level], now)
            taken.append(step.name)
            clock = after(clock, step, now)
    steps = [name for name in taken if name in LEVELS]
    assert steps == list(LEVELS[: len(steps)])
    assert taken.count("overdue") <= 1
    assert taken.count("remind") <= len(plan.remind)


@given(opened=moments, span=spans, percent=st.integers(1, 99))
def test_a_share_of_working_time_is_in_working_time(opened: datetime, span: timedelta, percent: int) -> None:
    until = opened + span
    at = share(opened, until, percent, working=True)
    assert opened <= at <= until
    if worked := working_time(opened, until):
        assert abs(working_time(opened, at) - worked * percent / 100) < timedelta(seconds=1)
        assert is_working_day(at.astimezone(CHINA).date())


@pytest.mark.parametrize(("percent", "minutes"), [(50, 15), (80, 24)])
def test_half_an_hour_is_shared_by_the_clock(percent: int, minutes: int) -> None:
    assert share(OPENED, OPENED + timedelta(minutes=30), percent, working=False) == OPENED + timedelta(minutes=minutes)
