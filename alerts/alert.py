"""An alert: the findings of one episode, with a state that people and time change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from alerts.case import Actor, Refused, check_note
from alerts.rules import Rule, Severity
from detectors.base import Finding, Sentence
from devices.site import CHINA, moment

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
    id: int = 0

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
    check_note(note, needed=True)
    return replace(alert, state="void")


def cleared(alert: Alert) -> Alert:
    """Nothing was found for so long that it is over."""
    return replace(alert, state="cleared")


def site_clock(at: datetime) -> str:
    """A moment as people at the site read it."""
    return f"{at.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"


def _may(actor: Actor, roles: tuple[str, ...], zh: str, en: str) -> None:
    if actor.role not in roles:
        raise Refused("role", f"您的角色（{actor.role}）不能{zh}", f"the role {actor.role!r} may not {en}")


def _wrong_state(alert: Alert, zh: str, en: str) -> Refused:
    state = STATE_NAMES[alert.state]
    return Refused("state", f"预警当前为“{state.zh}”，不能{zh}", f"the alert is {state.en}, it cannot be {en}")
