"""An alert: the findings of one episode, with a state that people and time change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from alerts.case import Actor, Refused, check_note
from alerts.rules import Rule, Severity
from alerts.severity import Rise, risen
from alerts.suppression import About, Suppression
from detectors.base import Finding, Sentence
from devices.site import CHINA, Site, moment

AlertState = Literal["open", "acknowledged", "cleared", "void"]

STATE_NAMES: Final[dict[AlertState, Sentence]] = {
    "open": Sentence("未确认", "open"),
    "acknowledged": Sentence("已确认", "acknowledged"),
    "cleared": Sentence("已解除", "cleared"),
    "void": Sentence("误报", "void"),
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One row of ``alerts``. ``id`` is 0 before it is stored. Place in degrees WGS-84, NaN when unknown."""

    rule: str
    kind: str
    subject: str
    zone: str
    severity: Severity
    state: AlertState
    historical: bool  # found too late to be alerted as now
    episode: datetime  # since of the first finding; with the fingerprint the unique key
    raised_at: datetime
    first_seen: datetime
    last_seen: datetime
    count: int  # findings that told something new
    lon: float
    lat: float
    score: float
    sentence: Sentence
    evidence: Mapping[str, Any]
    area: str | None = None
    case_id: int | None = None
    acked_by: str | None = None
    acked_at: datetime | None = None
    armed_at: datetime | None = None  # since when it waits for somebody: raised, reopened or told again
    escalated_at: datetime | None = None  # when its severity rose last
    ending: Sentence | None = None  # what said that it is over; None: it goes on, or was quiet for too long
    suppressed: Suppression | None = None  # why it is not told; of one that is over: why it was not
    group_key: str = ""  # what alerts of one group have in common; "": its rule makes no groups
    group_id: int | None = None  # the first alert of its group
    merged_into: int | None = None  # the alert of the same episode that has taken it in
    id: int = 0

    @property
    def live(self) -> bool:
        """Whether it goes on, as far as is known."""
        return self.state in ("open", "acknowledged")

    @property
    def about(self) -> About:
        """What decides whether it is told."""
        return About(self.id, self.rule, self.kind, self.subject, self.zone, self.area, self.severity)

    @property
    def fingerprint(self) -> str:
        """What findings of one thing have in common: ``rule|subject|zone``."""
        return f"{self.rule}|{self.subject}|{self.zone}"


def fingerprint(rule: Rule, finding: Finding) -> str:
    """The fingerprint of the alert that a finding belongs to."""
    return f"{rule.code}|{finding.subject}|{finding.zone}"


def alert_from(rule: Rule, finding: Finding, now: datetime, *, historical: bool) -> Alert:
    """The alert that a first finding makes; an historical one is cleared from the start."""
    return Alert(
        rule=rule.code,
        kind=finding.kind,
        subject=finding.subject,
        zone=finding.zone,
        severity=rule.severity,
        state="cleared" if historical else "open",
        historical=historical,
        episode=moment(finding.since),
        raised_at=now,
        first_seen=moment(finding.since),
        last_seen=moment(finding.until),
        count=1,
        lon=finding.lon,
        lat=finding.lat,
        score=finding.score,
        sentence=finding.sentence,
        evidence=finding.evidence,
        armed_at=now,
    )


def acknowledge(alert: Alert, actor: Actor, now: datetime) -> Alert:
    """Somebody has seen it and looks after it; lasts until the alert clears.

    Raises:
        Refused: the role may not, or the alert is not open.
    """
    _may(actor, ("operator", "unit", "supervisor", "admin"), "确认预警", "acknowledge alerts")
    if alert.state != "open":
        raise _wrong_state(alert, "确认", "acknowledged")
    return replace(alert, state="acknowledged", acked_by=actor.name, acked_at=now)


def void(alert: Alert, actor: Actor, note: str) -> Alert:
    """It was a false alarm. Further findings of the same episode do not bring it back.

    Raises:
        Refused: the role may not, it is void already, or no reason is given.
    """
    _may(actor, ("operator", "supervisor", "admin"), "作废预警", "void alerts")
    if alert.state == "void":
        raise _wrong_state(alert, "作废", "voided")
    if alert.merged_into is not None:
        into = alert.merged_into
        raise Refused("state", f"该预警已并入预警 {into}，请处理后者", f"it was merged into alert {into}: void that")
    check_note(note, needed=True)
    return replace(alert, state="void")


def cleared(alert: Alert) -> Alert:
    """Nothing was found for so long that it is over."""
    return replace(alert, state="cleared")


def rearmed(alert: Alert, now: datetime) -> Alert:
    """It was over, or is found to go on only now: it waits for somebody again, whoever had taken it before."""
    return replace(
        alert, state="open", historical=False, acked_by=None, acked_at=None, ending=None, suppressed=None, armed_at=now
    )


def escalated(alert: Alert, rule: Rule, now: datetime) -> tuple[Alert, Rise | None]:
    """The alert with the severity that is its own by now, and the step that made it rise; None when it stays."""
    if alert.suppressed is not None or alert.historical:
        return alert, None
    armed = alert.armed_at or alert.raised_at
    severity, step = risen(alert.severity, rule.escalate, state=alert.state, count=alert.count, armed_at=armed, now=now)
    return (replace(alert, severity=severity, escalated_at=now), step) if step else (alert, None)


def group_key(rule: Rule, zone: str, area: str | None, site: Site) -> str:
    """What the alerts of one group have in common: the rule, and the zone or the area of the rule's level.

    An area without one of that level above it stands for itself; so does what belongs to no area. "": no groups.
    """
    if rule.group == "none":
        return ""
    if rule.group == "site":
        return f"{rule.code}|"
    if rule.group == "zone":
        return f"{rule.code}|zone|{zone}"
    lineage = site.lineage(area or "")
    of_level = (code for code in lineage if site.areas[code].level == rule.group)
    return f"{rule.code}|area|{next(of_level, area or '')}"


def site_clock(at: datetime) -> str:
    """A moment as people at the site read it."""
    return f"{at.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"


def _may(actor: Actor, roles: tuple[str, ...], zh: str, en: str) -> None:
    if actor.role not in roles:
        raise Refused("role", f"您的角色（{actor.role}）不能{zh}", f"the role {actor.role!r} may not {en}")


def _wrong_state(alert: Alert, zh: str, en: str) -> Refused:
    state = STATE_NAMES[alert.state]
    return Refused("state", f"预警当前为“{state.zh}”，不能{zh}", f"the alert is {state.en}, it cannot be {en}")
