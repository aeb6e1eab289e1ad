"""The figures of units and areas, as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from console.models import Answer, Text

Share = Field(ge=0, le=1, description="Null where there is nothing to divide by")


class FiguresOut(Answer):
    """Each by the formula in docs/assessment.md."""

    patrols: int
    visits: int
    found: int
    on_spot: int
    followed_up: int
    at_source: int
    due: int
    closed: int
    overdue: int
    reopened: int
    dissuasions: int
    source_share: float | None = Share
    closure_rate: float | None = Share
    on_time_rate: float | None = Share
    handling_mean: float | None = Field(description="Hours")
    handling_p90: float | None = Field(description="Hours")


class AssessedGroup(Answer):
    """One unit or area, beside the period before."""

    code: str | None = Field(description="Null: what is nobody's")
    name: Text
    now: FiguresOut
    before: FiguresOut


class WeakPointOut(Answer):
    """What got worse, or is bad."""

    group: str | None
    figure: str
    before: float | None
    now: float
    sentence: Text


class AssessmentOut(Answer):
    """The figures of a period."""

    title: Text
    since: AwareDatetime
    until: AwareDatetime
    as_of: AwareDatetime = Field(description="A case that is reopened later changes its period's figures")
    by: Literal["unit", "area"]
    total: AssessedGroup
    groups: list[AssessedGroup]
    weak_points: list[WeakPointOut] = Field(description="The worst first")
