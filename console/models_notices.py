"""The JSON of notices and contacts."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from console.models import Answer, Severity, Text

NoticeState = Literal["waiting", "held", "gathered", "sent", "failed"]


class NoticeListed(Answer):
    """A notice: why it was sent, and what became of it."""

    id: int
    case_id: int | None
    number: str | None = Field(description="The case's number", examples=["PG-20261122-0007"])
    channel: str = Field(description="`terminal`: an order by MQTT; `apprise`: to people", examples=["apprise"])
    target: str = Field(description="A device's or a unit's code, or @ and a person's name; @desk: the centre's desk")
    reason: str = Field(description="Why it was sent, in both languages")
    title: Text | None = Field(description="null: an order to a terminal")
    severity: Literal["", "low", "medium", "high"] = Field(description="Of its case when it was made")
    via: str = Field(description="What the contact is called, or its service; never its address", examples=["dingtalk"])
    state: NoticeState = Field(
        description="`held`: by quiet hours; `gathered`: it waits in a digest; `failed`: given up, `error` says why"
    )
    created: AwareDatetime
    attempts: int
    next_try: AwareDatetime | None
    held_until: AwareDatetime | None = Field(description="Until when quiet hours hold or held it")
    sent_at: AwareDatetime | None
    failed_at: AwareDatetime | None
    acked_at: AwareDatetime | None = Field(description="When the terminal answered")
    accepted: bool | None
    error: str = Field(description="What the last attempt met, without any address")
    gathers: bool = Field(description="It is a digest; `digest` as a filter lists what went in it")
    gathered: int = Field(description="How many notices went in it")
    digest: int | None = Field(description="The digest in which it goes or went")


class NoticePage(Answer):
    """A page of notices, newest first."""

    items: list[NoticeListed]
    next: int | None = Field(description="Give it as `before` for the next page; null: this was the last")


class ContactFailure(Answer):
    """Since when a contact takes nothing any more."""

    since: AwareDatetime
    last: AwareDatetime
    times: int = Field(description="Notices that were given up")
    error: str = Field(description="What the last one met")


class ContactOut(Answer):
    """A contact without its address."""

    to: str = Field(description="A unit's code, or @ and a person's name", examples=["fishery"])
    via: str = Field(description="What it is called, or its service", examples=["dingtalk"])
    severity: Severity = Field(description="It hears of cases of at least this severity")
    kinds: list[str] = Field(description="It hears of these kinds; empty: of all")
    quiet: str = Field(description="Its quiet hours, site time; empty: none", examples=["22:00..07:00"])
    most: int | None = Field(description="More messages than this `within` seconds become one; null: never")
    within: int | None = Field(description="Seconds")
    failure: ContactFailure | None = Field(description="null: it works as far as is known")
