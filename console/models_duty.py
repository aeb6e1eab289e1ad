"""The JSON of the duty matrix, of the queue of cases that are nobody's, and of letters of supervision."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from console.models import Answer, Text
from console.models_cases import CaseOut
from console.orders import Note, Order

TableName = Literal["duty", "categories", "supervisors"]
StepName = Literal["urge", "letter", "second_letter"]
Code = Annotated[str, Field(min_length=1, max_length=100)]


class DutyOut(Answer):
    """One row: the unit handles events of this kind in this area and below it."""

    position: int = Field(description="Its place in the matrix")
    category: str = Field(description="A kind of event; `*`: any that has no row of its own", examples=["fishing"])
    category_name: Text
    area: str
    area_name: Text
    unit: str
    unit_name: Text


class DutyPage(Answer):
    """A page of the matrix, in its order."""

    items: list[DutyOut]
    next: int | None = Field(description="Give it as `before` for the next page; null: this was the last")


class DutyAnswer(Answer):
    """Who is responsible for one kind in one area."""

    unit: str | None = Field(description="Null: nobody, a case would be of unclear ownership")
    unit_name: Text | None
    how: Literal["own", "above", "any"] | None = Field(
        description="A row of the area, of one above it, or for any kind"
    )
    why: Text | None


class DutyChangeOut(Answer):
    """One line that is or would be other than it was."""

    table: TableName
    what: Literal["added", "changed", "removed"]
    key: list[str] = Field(description="Kind and area; or the kind; or area, unit and name of a supervisor")
    before: str
    after: str


class DutyProblemOut(Answer):
    """Something in the matrix that somebody should mend."""

    kind: str = Field(examples=["conflict"])
    note: bool = Field(description="Worth knowing, and no reason to refuse the file")
    category: str
    area: str
    file: str = Field(description="Empty: it stands in no file")
    row: int = Field(description="As a spreadsheet counts, from 1; 0: in no row")
    text: Text


class DutyPreview(Answer):
    """What an import or a change of a row made of the matrix, or would make of it."""

    applied: bool = Field(description="False: a dry run, nothing was changed")
    refused: bool = Field(description="True: as it is, the file cannot be imported")
    added: int
    changed: int
    removed: int
    changes: list[DutyChangeOut] = Field(description="At most the first 1000")
    problems: list[DutyProblemOut] = Field(description="At most the first 1000")


class DutyCheck(Answer):
    """What is wrong with the present matrix."""

    errors: int
    notes: int
    problems: list[DutyProblemOut]


class DutyRecord(DutyChangeOut):
    """A change that was made, for good."""

    id: int
    at: AwareDatetime
    actor: str
    how: Literal["site", "import", "edit", "decision"]
    case_id: int | None = Field(description="The case whose joint decision was to be remembered")


class DutyRecordPage(Answer):
    """A page of changes, the newest first."""

    items: list[DutyRecord]
    next: int | None = Field(description="Give it as `before` for the next page; null: this was the last")


class DutyOrder(Order):
    """One row as it is to be."""

    category: str = Field(min_length=1, max_length=60, examples=["fishing"])
    area: Code
    unit: Code | None = Field(description="Null: take the row away")
    dry_run: bool = False


# ── Nobody's ────────────────────────────────────────────────────────────────────────────────────────────────────────
class DeclinedOut(Answer):
    """A unit that sent the case back."""

    unit: str
    unit_name: Text
    by: str = Field(description="The account")
    at: AwareDatetime
    why: str


class SuggestionOut(Answer):
    """A unit that the case could be given to."""

    unit: str
    unit_name: Text
    score: float = Field(description="The higher the likelier; only to compare those of one case")
    why: list[Text]


class UnclearOut(Answer):
    """A case that is nobody's."""

    case: CaseOut
    since: AwareDatetime = Field(description="When it came into the queue")
    until: AwareDatetime = Field(description="When it should be decided; those who decide are reminded from then on")
    limit: str = Field(description="The time for that", examples=["4wh"])
    overdue: bool
    declined: list[DeclinedOut]
    suggestions: list[SuggestionOut] = Field(description="The likeliest first")
    remember: list[str] = Field(description="Areas for which the decision can be remembered, the finest first")


class UnclearPage(Answer):
    """A page of the queue, the oldest first."""

    items: list[UnclearOut]
    next: int | None = Field(description="Give it as `before` for the next page; null: this was the last")


class OwnerDecision(Order):
    """Whose a case is, by joint decision."""

    unit: Code
    participants: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        min_length=1, max_length=20, description="Units by code, others by name", examples=[["police", "街道办"]]
    )
    reason: Note
    remember: Code | None = Field(None, description="An area for which the duty matrix is to say so from now on")
    version: int = Field(description="The case's version that the decision was made on")


# ── Letters ─────────────────────────────────────────────────────────────────────────────────────────────────────────
class LetterOut(Answer):
    """A step of supervision of a case: an urging, a letter or a second one."""

    seq: int = Field(description="The entry of the case's timeline")
    step: StepName
    number: str = Field(examples=["PG-20261122-0007-D2"])
    at: AwareDatetime
    by: str = Field(description="The account; system: by time")
    title: Text
    to: Text = Field(description="The unit it was sent to")
    supervisors: list[Text]
    answer_by: AwareDatetime | None


class LetterDetail(LetterOut):
    """The letter whole."""

    text: Text = Field(description="Plain text, as it is printed")
