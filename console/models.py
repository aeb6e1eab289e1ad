"""The JSON that the REST interface and the live stream give; what is taken in is in ``orders``.

Times are ISO 8601 in UTC, places degrees WGS-84.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Severity = Literal["low", "medium", "high"]
Role = Literal["viewer", "operator", "unit", "supervisor", "admin", "grid"]
AlertState = Literal["open", "acknowledged", "cleared", "void"]


class Answer(BaseModel):
    """Base of everything that is sent out."""

    model_config = ConfigDict(from_attributes=True, json_schema_serialization_defaults_required=True)


class Text(Answer):
    """One sentence in both languages."""

    zh: str = Field(description="Chinese", examples=["禁渔区内有人垂钓"])
    en: str = Field(description="English", examples=["Angling in the no-fishing zone"])


class ErrorBody(Answer):
    """Why a request was refused."""

    code: str = Field(description="Short and stable, for programs", examples=["not_found"])
    zh: str = Field(description="For people, Chinese", examples=["找不到该事件，或者不在您的辖区内"])
    en: str = Field(description="For people, English", examples=["There is no such case, or it is outside your area"])


class Error(Answer):
    """The form of every error."""

    error: ErrorBody


class Me(Answer):
    """The account that is logged in."""

    name: str = Field(examples=["operator"])
    display: str = Field(description="How the account is shown to people", examples=["值班员"])
    role: Role
    unit: str | None = Field(description="Code of the unit it belongs to")
    area: str | None = Field(description="It sees this area and those below; null: everything")
    one_time: bool = Field(description="The password must be changed before anything else")


class AreaOut(Answer):
    """One node of the tree district → street → community → grid."""

    code: str = Field(examples=["320118100000"])
    name: str
    name_en: str
    level: Literal["district", "street", "community", "grid"]
    parent: str = Field(description="Code of the area above, empty at the top")


class UnitOut(Answer):
    """A department or team that handles cases."""

    code: str
    name: str
    name_en: str
    area: str


class RuleOut(Answer):
    """A rule that raises alerts."""

    code: str = Field(examples=["fishing_ban"])
    name: str
    name_en: str
    severity: Severity


class ZoneProperties(Answer):
    """What a zone is beside its outline."""

    code: str
    kind: Literal["no_fishing", "restricted", "patrol", "checkpoint", "crowd_watch", "water"]
    name: str
    name_en: str
    area: str
    capacity: int = Field(description="Persons; 0 where it has none")
    season: dict[str, str] | None = Field(description="first, last (MM-DD), opens, closes (HH:MM); null: always")


class ZoneFeature(Answer):
    """One zone as a GeoJSON feature."""

    type: Literal["Feature"] = "Feature"
    id: str
    geometry: dict[str, Any] = Field(description="GeoJSON geometry, WGS-84")
    properties: ZoneProperties


class ZoneCollection(Answer):
    """Zones as a GeoJSON feature collection."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[ZoneFeature]


class PlanOut(Answer):
    """What patrols are to do in each of a plan's windows."""

    code: str
    kind: Literal["quota", "route"]
    name: str
    name_en: str
    area: str
    zones: list[str] = Field(description="Codes of the zones to visit, or of the line or the checkpoints to follow")
    visits: int = Field(description="Of a quota: visits of each zone in a window")
    stay: float = Field(description="Seconds of one visit")
    opens: str = Field(description="HH:MM, site time", examples=["08:00"])
    closes: str = Field(description="HH:MM; before opens: on the next day; the same: 24 hours")
    days: list[int] = Field(description="ISO weekdays on which a window opens, 1 is Monday")
    who: list[str] = Field(description="Codes or roles of devices; empty: any terminal")
    share: float = Field(description="Part of a line, or of the checkpoints, that is to be covered")
    ordered: bool
    corridor: float = Field(description="Metres to either side of a line that count as on it")


class SiteOut(Answer):
    """The place: everything a map needs before the first position."""

    name: str
    name_en: str
    tile_url: str = Field(description="Raster tiles {z}/{x}/{y}; empty: only the outlines")
    tile_attribution: str
    bounds: tuple[float, float, float, float] | None = Field(
        description="west, south, east, north; null: nothing known"
    )
    zones: ZoneCollection
    plans: list[PlanOut]
    areas: list[AreaOut]
    units: list[UnitOut]
    rules: list[RuleOut]


class DeviceOut(Answer):
    """A registered terminal, camera, sensor or vessel."""

    id: int
    code: str = Field(examples=["T001"])
    kind: Literal["terminal", "camera", "sensor", "vessel"]
    role: str = Field(description="Terminals: patrol, police, boat")
    name: str
    name_en: str
    area: str
    unit: str = Field(description="Code of its unit, empty where it has none")
    interval: float = Field(description="Seconds between messages it promises; 0: no promise")
    lon: float | None = Field(description="Where a fixed device stands")
    lat: float | None
    active: bool


class Position(Answer):
    """The newest known position of one device. Unknown numbers are null."""

    device: str = Field(description="The device's code", examples=["T001"])
    at: AwareDatetime = Field(description="The device's clock")
    received: AwareDatetime = Field(description="The server's clock")
    lon: float | None
    lat: float | None
    speed: float | None = Field(description="Metres per second")
    heading: float | None = Field(description="Degrees clockwise from north")
    accuracy: float | None = Field(description="Metres")
    battery: float | None = Field(description="Percent")
    flags: int = Field(
        description="1 SOS, 2 backfill, 4 from GCJ-02, 8 from BD-09, 16 no position, 32 man down, 64 doubted"
    )


class Track(Answer):
    """Where a device was. Each look at one is recorded with the name of who looked."""

    device: str
    points: list[tuple[float, float, float, float | None]] = Field(
        description="[lon, lat, epoch seconds, metres per second or null], oldest first"
    )
    suspect: list[int] = Field(description="Which of the points are doubted: their places in `points`, from 0")


class SuppressionOut(Answer):
    """What keeps an alert from being told."""

    by: Literal["silence", "maintenance", "inhibition"]
    id: int = Field(description="The id of the silence, the maintenance window, or the other alert")
    reason: Text


class AlertOut(Answer):
    """Findings of one episode, deduplicated."""

    id: int
    rule: str
    kind: str = Field(examples=["fishing_ban"])
    subject: str = Field(description="A device's code, or what stands for the thing seen")
    zone: str = Field(description="A zone's code, or empty")
    severity: Severity
    state: AlertState
    historical: bool = Field(description="Found in late data: recorded, never alerted as now")
    raised_at: AwareDatetime
    first_seen: AwareDatetime
    last_seen: AwareDatetime
    count: int = Field(description="Findings in it")
    lon: float | None
    lat: float | None
    score: float = Field(ge=0, le=1, description="How sure")
    sentence: Text
    area: str | None
    case_id: int | None
    acked_by: str | None
    acked_at: AwareDatetime | None
    armed_at: AwareDatetime = Field(description="Since when it waits for somebody: raised, seen again, or told at last")
    escalated_at: AwareDatetime | None = Field(description="When its severity rose last")
    ending: Text | None = Field(description="What said that it is over; null: nothing did")
    suppressed: SuppressionOut | None = Field(description="Why it is not told; null: it is. Of one that is over: was")
    group_id: int | None = Field(description="The first alert of its group; null: its rule makes no groups")
    members: int | None = Field(None, description="In a list by groups: how many of its group were asked for")
    merged_into: int | None = Field(description="The alert of the same episode that has taken it in")


class AlertEventOut(Answer):
    """Something that happened to an alert since it was raised."""

    at: AwareDatetime
    actor: str
    what: str = Field(examples=["acknowledged", "escalated", "suppressed", "released", "ended", "merged"])
    note: str
    told: Text = Field(description="What the system says of it; empty where it says nothing")


class AlertDetail(AlertOut):
    """An alert with what it rests on, and what happened to it."""

    events: list[AlertEventOut] = Field(description="Oldest first")

    evidence: dict[str, Any] | None = Field(
        description='{"geojson": FeatureCollection, "numbers": {…}}; null where it shows a track you may not see'
    )


class AlertPage(Answer):
    """A page of alerts, newest first."""

    items: list[AlertOut]
    next: int | None = Field(description="Give it as `before` for the next page; null: this was the last")


class RejectOut(Answer):
    """A message that could not be taken in, kept with its reason."""

    id: int
    topic: str
    payload: str = Field(description="As UTF-8 text where it is such, else in hex after `hex:`")
    reason: str = Field(examples=["not_json"])
    detail: str
    received: AwareDatetime
    last_seen: AwareDatetime
    times: int
    replayed_at: AwareDatetime | None


class RejectPage(Answer):
    """A page of rejects, newest first."""

    items: list[RejectOut]
    next: int | None = Field(description="Give it as `before` for the next page; null: this was the last")


class RejectNews(Answer):
    """What the live stream says of a new reject."""

    id: int
    reason: str
    topic: str


class Health(Answer):
    """The process answers."""

    ok: bool


class Check(Answer):
    """One thing that readiness rests on."""

    name: str
    ok: bool
    detail: str


class Readiness(Answer):
    """Whether work can be done."""

    ready: bool
    checks: list[Check]
