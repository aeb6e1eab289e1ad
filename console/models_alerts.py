"""The JSON of silences, maintenance and of acknowledging many alerts at once, in and out."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from console.models import AlertOut, Answer, ErrorBody
from console.orders import Moment, Note, Order

Code = Annotated[str, Field(min_length=1, max_length=200)]


class NewSilence(Order):
    """What is to be kept silent: alerts that fit everything that is named, and at least one thing is."""

    reason: Note
    starts: Moment | None = Field(None, description="Left out: now")
    ends: Moment = Field(description="At most 30 days later")
    rule: Code | None = None
    kind: Code | None = Field(None, description="The kind of detector", examples=["silence"])
    subject: Code | None = Field(None, description="As in an alert: a device's code, or what stands for the thing seen")
    zone: Code | None = None
    area: Code | None = Field(None, description="This area and everything in it")


class NewWindow(Order):
    """Planned work on devices, in zones or areas: any of them will do, and at least one is named."""

    reason: Note
    starts: Moment
    ends: Moment = Field(description="Of the first time, where it repeats")
    devices: list[Code] = Field([], max_length=500)
    zones: list[Code] = Field([], max_length=500)
    areas: list[Code] = Field([], max_length=500, description="These areas and everything in them")
    weekly: bool = Field(False, description="At the same time in every week")
    repeats_until: Moment | None = Field(None, description="It begins no more after; null: until it is ended")


class Arranged(Answer):
    """Who arranged it, why and for when."""

    id: int
    created_by: str
    created_at: AwareDatetime
    reason: str
    starts: AwareDatetime
    ends: AwareDatetime
    ended_by: str | None = Field(description="Who ended it before its time")
    ended_at: AwareDatetime | None
    on: bool = Field(description="Whether it holds now")


class SilenceOut(Arranged):
    """Alerts that fit everything that is named here are recorded and not told."""

    rule: str | None
    kind: str | None
    subject: str | None
    zone: str | None
    area: str | None


class WindowOut(Arranged):
    """Alerts about any of these are recorded and not told while there is work."""

    devices: list[str]
    zones: list[str]
    areas: list[str]
    weekly: bool
    repeats_until: AwareDatetime | None


class SilencePage(Answer):
    """A page of silences, newest first."""

    items: list[SilenceOut]
    next: int | None = Field(description="Give it as `before` for the next page; null: this was the last")


class WindowPage(Answer):
    """A page of maintenance windows, newest first."""

    items: list[WindowOut]
    next: int | None = Field(description="Give it as `before` for the next page; null: this was the last")


class AcknowledgeMany(Order):
    """Alerts that somebody takes over in one go."""

    ids: list[Annotated[int, Field(ge=1, le=2**63 - 1)]] = Field(min_length=1, max_length=500)


class RefusedOne(Answer):
    """One of many that was refused, and why."""

    id: int
    error: ErrorBody


class Acknowledged(Answer):
    """What became of many: each is in one of the lists."""

    done: list[AlertOut]
    refused: list[RefusedOne]
