"""The JSON of intake: reports, pictures, what is the same, what happened at a place, who reported a case."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from console.api.categories import CategoryOut
from console.models import Answer, Severity, Text
from console.models_cases import CaseOut, CaseStatus
from console.orders import Lat, Lon, Order, Photos

Source = Literal["desk", "phone", "api"]
Category = Annotated[str, Field(min_length=1, max_length=60, description="The kind of event", examples=["fishing"])]
Accuracy = Annotated[float, Field(ge=0, le=100_000, description="Metres by which the place may be off")]
Seen = Annotated[AwareDatetime, Field(description="When it was seen, by the reporter's clock; null: now")]


class AttachmentOut(Answer):
    """A picture that is kept, without anything but its pixels."""

    sha256: str = Field(description="Its name: the hash of what is kept, 64 hex digits")
    type: Literal["image/jpeg", "image/png", "image/webp"]
    bytes: int
    width: int = Field(description="Pixels, as it is seen")
    height: int


# ── Taken in ────────────────────────────────────────────────────────────────────────────────────────────────────────
class PlaceOrder(Order):
    """What somebody is about to report, and where."""

    category: Category
    lon: Lon
    lat: Lat
    accuracy: Accuracy | None = None
    seen: Seen | None = None


class NewReport(PlaceOrder):
    """What somebody saw."""

    note: str = Field("", max_length=2000, description="In the reporter's own words")
    title: str = Field("", max_length=200, description="Empty: made of the kind and the note")
    severity: Severity | None = Field(None, description="Null: the usual one of the kind")
    origin: Source = Field("api", description="How it came; from a grid worker always by phone")
    caller_name: str = Field("", max_length=60, description="Who called, if it is not the account")
    caller_contact: str = Field("", max_length=100, description="How to reach who called")
    on_spot: bool = Field(False, description="Solved on the spot: only for a grid worker")
    same_as: int | None = Field(None, ge=1, le=2**63 - 1, description="Id of a case of which this is one more report")
    attachments: Photos = ()


class NewReportNote(Order):
    """Something to add to an own report."""

    note: str = Field("", max_length=2000)
    attachments: Photos = ()


# ── Given out ───────────────────────────────────────────────────────────────────────────────────────────────────────
class ReportOut(Answer):
    """A report of the own, and how the case stands."""

    id: int
    case_id: int = Field(description="The case that goes on")
    number: str = Field(description="What people say on the phone")
    category: str
    category_name: Text
    status: CaseStatus = Field(description="Of the case that goes on")
    outcome: str = Field(description="How it was solved; empty while it goes on")
    closed_at: AwareDatetime | None
    reporters: int = Field(description="How many reported the same")
    joined: bool = Field(description="The case was there already, or was merged into another: this is one more report")
    note: str
    on_spot: bool
    at: AwareDatetime = Field(description="When it was seen")
    received: AwareDatetime
    lon: float | None
    lat: float | None
    accuracy: float | None
    attachments: list[AttachmentOut]


class ReportPage(Answer):
    """A page of own reports, newest first."""

    items: list[ReportOut]
    next: int | None = Field(description="Give it as `before` for the next page; null: this was the last")


class OwnNote(Answer):
    """What was added to an own report."""

    at: AwareDatetime
    note: str
    attachments: list[AttachmentOut]


class ReportDetail(Answer):
    """An own report with what was added to it."""

    report: ReportOut
    notes: list[OwnNote] = Field(description="Oldest first")


class SimilarOut(Answer):
    """An open case that may be the same, as anybody who reports may know of it."""

    case_id: int = Field(description="Send it as `same_as`")
    number: str
    category: str
    title: Text | None = Field(description="Null where the account may not see the case")
    status: CaseStatus
    likeness: float = Field(ge=0, le=1, description="1: the same place at the same moment")
    distance: float = Field(description="Metres")
    last: AwareDatetime = Field(description="When somebody saw it last")
    reporters: int = Field(description="How many have reported it; 0: found by a detector")


class KindCount(Answer):
    """How often one kind happened near a place."""

    category: str
    name: Text
    total: int
    open: int = Field(description="Of these not ended yet")
    last: AwareDatetime


class PlaceOut(Answer):
    """What is known of a place before something is reported there."""

    similar: list[SimilarOut] = Field(description="Open cases that may be the same, the likeliest first")
    metres: float = Field(description="How far around the place `kinds` looks")
    since: AwareDatetime = Field(description="How far back")
    kinds: list[KindCount] = Field(description="The most frequent first")


class ReportTaken(Answer):
    """What became of a report."""

    report: ReportOut
    similar: list[SimilarOut] = Field(description="Of a new case: others that may be the same")


class PhotoLimits(Answer):
    """What a picture may be."""

    most: int = Field(description="Pictures of one report")
    bytes: int = Field(description="Of one picture; 0: none are taken")


class ReportForm(Answer):
    """What a page needs to take a report, also later without a line."""

    name: str
    name_en: str
    kinds: list[CategoryOut]
    bounds: tuple[float, float, float, float] | None = Field(description="west, south, east, north")
    shores: dict[str, Any] = Field(description="GeoJSON of waters and no-fishing zones, to know the place by")
    tile_url: str
    tile_attribution: str
    photos: PhotoLimits


# ── For the desk ────────────────────────────────────────────────────────────────────────────────────────────────────
class SimilarCase(Answer):
    """An open case that may be the same as another."""

    case: CaseOut
    likeness: float = Field(ge=0, le=1)
    distance: float = Field(description="Metres")
    last: AwareDatetime
    reporters: int


class SimilarCases(Answer):
    """Those that may be the same, the likeliest first."""

    items: list[SimilarCase]


class NearCase(Answer):
    """A case near a place."""

    case: CaseOut
    distance: float = Field(description="Metres")


class HistoryOut(Answer):
    """What happened at a case's place beside it."""

    metres: float
    since: AwareDatetime
    kinds: list[KindCount] = Field(description="The most frequent first")
    cases: list[NearCase] = Field(description="The newest of those that the account may see, at most 50")


class ReporterOut(Answer):
    """Who reported a case."""

    id: int
    by: str = Field(description="The account that sent it")
    display: str
    name: str = Field(description="Of a caller; empty: none, or not for this account")
    contact: str
    origin: Source
    at: AwareDatetime = Field(description="When it was seen")
    received: AwareDatetime
    lon: float | None
    lat: float | None
    accuracy: float | None
    note: str
    on_spot: bool
    attachments: list[AttachmentOut]
    home: int = Field(description="The case it was made to; another where that was merged into this one")
    home_number: str
    seq: int = Field(description="The entry of that case")


class MergedCase(Answer):
    """A case that was merged into another."""

    id: int
    number: str
    into: int = Field(description="The case it was merged into")


class CaseReporters(Answer):
    """Everybody who reported a case or one that was merged into it."""

    items: list[ReporterOut] = Field(description="Oldest first")
    merged: list[MergedCase] = Field(description="The cases that were merged into it, directly or by way of others")
