"""The JSON of cases: what REST and the live stream give of one, its parts, its timeline and its notices."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from console.models import AlertOut, Answer, Severity, Text

CaseStatus = Literal["reported", "opened", "dispatched", "handling", "fed_back", "verified", "closed", "void", "merged"]
Origin = Literal["alert", "desk", "phone", "api"]
Resolution = Literal["", "on_spot", "followed_up"]


class PartOut(Answer):
    """What one unit was called to a case for."""

    unit: str = Field(description="Code of the unit", examples=["police"])
    task: str
    called_at: AwareDatetime
    called_by: str
    checked_in_at: AwareDatetime | None
    done_at: AwareDatetime | None = Field(description="When it was done, or withdrawn; null: the case waits for it")
    done_note: str = Field(description="What was done, or why it was withdrawn")
    withdrawn: bool


class CaseOut(Answer):
    """What people handle: a unit, a deadline, an outcome."""

    id: int
    number: str = Field(description="What people say on the phone", examples=["PG-20261122-0007"])
    category: str
    title: Text
    severity: Severity
    status: CaseStatus
    area: str | None
    unit: str | None = Field(description="The unit responsible; null: unclear")
    owner: str | None = Field(description="The account's name that has taken it")
    terminal: str | None = Field(description="Code of the dispatched terminal")
    lon: float | None
    lat: float | None
    opened_at: AwareDatetime
    due_at: AwareDatetime
    closed_at: AwareDatetime | None
    outcome: str
    origin: Origin = Field(description="How it came to the centre")
    resolution: Resolution = Field(description="Said with the feedback; empty: not yet, or not said")
    supervision: int = Field(ge=0, le=3, description="0 none, 1 urged, 2 letter, 3 second letter")
    overdue_reason: str = Field(description="Why it is past its present deadline; empty: nobody has said")
    extension_asked: AwareDatetime | None = Field(description="The deadline that was asked for; null: none is pending")
    reopened: int = Field(description="How often it was reopened")
    merged_into: int | None = Field(description="Id of the case that goes on for it; null: it is not merged")
    parts: list[PartOut] = Field(description="The units that were called to it, each with its own part")
    version: int = Field(description="Send it back with an action; a newer one means somebody else was faster")
    overdue: bool


class CasePage(Answer):
    """A page of cases, newest first."""

    items: list[CaseOut]
    next: int | None = Field(description="Give it as `before` for the next page; null: this was the last")


class EntryOut(Answer):
    """One step in a case's life; the entries form a hash chain."""

    seq: int
    at: AwareDatetime
    actor: str
    action: str
    note: str
    data: dict[str, Any]


class NoticeOut(Answer):
    """A message that was sent because of a case, and what became of it."""

    id: int
    channel: str = Field(examples=["terminal"])
    target: str = Field(description="A device's or a unit's code")
    reason: str = Field(description="Why it was sent")
    created: AwareDatetime
    attempts: int
    sent_at: AwareDatetime | None
    failed_at: AwareDatetime | None
    acked_at: AwareDatetime | None
    accepted: bool | None
    error: str
    via: str = Field(description="What the contact is called, or its service")
    held_until: AwareDatetime | None = Field(description="Until when quiet hours hold or held it")
    digest: int | None = Field(description="The digest in which it goes or went")


class PossibleAction(Answer):
    """A step that this account may take now."""

    action: str = Field(examples=["dispatch"])
    zh: str
    en: str
    needs: list[str] = Field(description="Fields of the order; a trailing ? means it may be left out")


class CaseDetail(Answer):
    """A case with its whole story."""

    case: CaseOut
    entries: list[EntryOut]
    alerts: list[AlertOut]
    notices: list[NoticeOut]
    actions: list[PossibleAction]
