"""What is asked of a backtest and what it answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from console.models import Answer, Text
from console.orders import Moment, Order

Wish = Annotated[str, Field(min_length=1, max_length=100)]


class NewBacktest(Order):
    """A rule, other thresholds for it, and the history to try them on."""

    rule: str = Field(max_length=40, examples=["fishing_ban"])
    since: Moment
    until: Moment
    set: dict[Wish, Wish] = Field(
        default_factory=dict, max_length=20, description="Threshold → value: a number, or a time such as 5m"
    )


class BacktestAlert(Answer):
    """An alert that a rule would have made."""

    subject: str
    zone: str
    area: str | None
    first_seen: AwareDatetime
    last_seen: AwareDatetime
    lon: float | None
    lat: float | None
    score: float
    sentence: Text
    evidence: dict[str, Any] | None = Field(description="As of an alert: null where it shows a track you may not see")


class Thresholds(Answer):
    """A rule's settings, the detector's defaults left out."""

    settings: dict[str, Any]
    clear_after: float


class BacktestResult(Answer):
    """The present rule beside the proposed one. ``kept`` are alerts of both."""

    detector: str
    readings: int
    counts: dict[Literal["present", "proposed", "kept", "added", "gone"], int]
    present: Thresholds
    proposed: Thresholds
    kept: list[BacktestAlert]
    added: list[BacktestAlert]
    gone: list[BacktestAlert]


class BacktestOut(Answer):
    """A backtest that was asked for."""

    id: int
    rule: str
    set: dict[str, str] = Field(validation_alias="wishes", description="The thresholds to try")
    since: AwareDatetime
    until: AwareDatetime
    asked_by: str
    asked_at: AwareDatetime
    state: Literal["waiting", "running", "done", "failed"]
    progress: float = Field(ge=0, le=1)
    error: str = Field(description="Why it failed; else empty")


class BacktestDetail(BacktestOut):
    """With what it showed, once it is done."""

    result: BacktestResult | None


class BacktestPage(Answer):
    """The newest first."""

    items: list[BacktestOut]
    next: int | None = Field(description="Give it as `before` for the next page; null: this was the last")


class Threshold(Answer):
    """A threshold that may be tried."""

    name: str
    label: Text
    unit: str = Field(description="Empty where there is none")
    value: Any = Field(description="What the rule has now")


class RuleThresholds(Answer):
    """What a rule's detector can be set to."""

    rule: str
    detector: str
    thresholds: list[Threshold]
