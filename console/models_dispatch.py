"""The JSON of dispatch: the terminals that could be sent to a case."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from console.models import Answer, Text


class Unfit(Answer):
    """Why a terminal is not sent by itself; an officer may send it all the same."""

    code: str = Field(
        description="help, no_place, stale, offline, far, busy, involved, battery, suspect or asked", examples=["busy"]
    )
    zh: str = Field(examples=["正在处理其他事件"])
    en: str = Field(examples=["it is on another case"])


class CandidateOut(Answer):
    """A terminal around a case's place, as its last position has it."""

    terminal: str = Field(description="Code of the terminal, for the order", examples=["T001"])
    name: Text
    role: str = Field(description="patrol, police, boat")
    unit: str = Field(description="Code of its unit, empty where it has none")
    distance: float | None = Field(description="Metres; null: its place is not known")
    age: float = Field(description="Seconds since its last position")
    at: AwareDatetime = Field(description="When it was there, by its own clock")
    battery: float | None = Field(description="Percent; null: it does not say")
    busy: str | None = Field(description="Number of the case it is on; null: it is free")
    fit: bool = Field(description="Nothing speaks against it: the first fit one is who would be sent")
    unfit: list[Unfit]


class CandidateList(Answer):
    """The fit ones first, each kind by distance."""

    items: list[CandidateOut]
