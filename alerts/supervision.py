"""Which reminders and which steps of supervision are due: in order, none skipped, none twice. Pure.

Reminders come at shares of the time allowed. When a case is overdue it is said so, once for each deadline, and the
level of supervision rises in steps: urge (催办), letter (督办函), second letter (二次督办函). Each step gives the unit
its time: the letter is counted from the urging, the second from the first, so that an outage of ours never makes two
letters at once. What people do by hand counts as done.

What waits for the desk, an owner or the call-back, has a limit of its own; then those who supervise are reminded of it
each working day, until it is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from alerts.categories import AT_ONCE, Plan
from alerts.deadline import reckon, share

StepName = Literal["remind", "overdue", "urge", "letter", "second_letter"]
LEVELS: Final[tuple[StepName, ...]] = ("urge", "letter", "second_letter")
"""The steps of supervision; a case's level is how many of them were taken."""
WATCHED: Final = ("reported", "opened", "dispatched", "handling")
"""Statuses in which somebody still has to do what the deadline is for; later ones wait for the desk alone."""
AWAITING: Final = ("fed_back", "verified")
"""Statuses in which a case waits for the desk: for the call-back, then for its close."""
AGAIN: Final = "1wd"
"""How often those who supervise the desk are reminded of a case that waits for it."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something to be done now. ``percent`` is the share of the time that has gone, of a reminder; else 0."""

    name: StepName
    due: datetime
    percent: int = 0


@dataclass(frozen=True, slots=True)
class Clock:
    """What counts of a case. ``since`` is when its present deadline was set; ``stepped_at`` the last step's time."""

    since: datetime
    due_at: datetime
    working: bool = False  # whether the deadline counts working time
    reminded: int = 0  # reminders given for this deadline
    overdue: bool = False  # whether it was said that this deadline has passed
    level: int = 0
    stepped_at: datetime | None = None


def next_step(clock: Clock, plan: Plan) -> Step | None:
    """What comes next and when; None when nothing does by itself any more."""
    if clock.reminded < len(plan.remind) and clock.since < clock.due_at:  # not so when it was reopened late
        percent = plan.remind[clock.reminded]
        return Step("remind", share(clock.since, clock.due_at, percent, working=clock.working), percent)
    if not clock.overdue:
        return Step("overdue", clock.due_at)
    if clock.level < len(plan.supervise):
        gap = plan.supervise[clock.level]
        after = max(clock.due_at, clock.stepped_at or clock.due_at)
        return Step(LEVELS[clock.level], after if gap == AT_ONCE else reckon(after, gap).at)
    return None


def steps_due(clock: Clock, plan: Plan, now: datetime) -> Iterator[Step]:
    """What is to be done now, in order."""
    while (step := next_step(clock, plan)) is not None and step.due <= now:
        yield step
        clock = after(clock, step, now)


def after(clock: Clock, step: Step, now: datetime) -> Clock:
    """The clock once a step was taken."""
    if step.name == "remind":
        return replace(clock, reminded=clock.reminded + 1)
    if step.name == "overdue":
        return replace(clock, overdue=True)
    return replace(clock, level=LEVELS.index(step.name) + 1, stepped_at=now)


def waits_until(since: datetime, limit: str, reminded_at: datetime | None) -> datetime:
    """When those who supervise the desk are reminded next of a case that has waited for it ``since``."""
    return reckon(since, limit).at if reminded_at is None else reckon(reminded_at, AGAIN).at
