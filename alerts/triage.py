"""Triage: findings and the present alerts of the same fingerprints → what changes. Pure.

One episode is one alert. A finding that overlaps a known alert of its fingerprint, or follows or precedes it by at most
the rule's ``clear_after``, belongs to that alert whatever its state. One that lies wholly inside what the alert already
spans tells nothing new and changes nothing: spans only grow, so what was triaged once can be triaged again for ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from alerts.alert import Alert, alert_from, fingerprint
from alerts.rules import Rule
from detectors.base import Finding
from devices.site import moment

Step = Literal["raised", "recorded", "extended", "promoted", "reopened"]
"""raised: a new alert · recorded: new, but history · extended: more of a known episode · promoted: an episode known
from history turns out to go on now · reopened: a cleared one goes on after all."""


@dataclass(frozen=True, slots=True)
class Change:
    """``alert`` as it is to be stored; its id is 0 when it is new. ``rule`` is that of the last finding in it."""

    alert: Alert
    rule: Rule
    step: Step

    @property
    def news(self) -> bool:
        """Whether people are to be told that something is happening now."""
        return self.step in ("raised", "promoted", "reopened")


def triage(found: Sequence[tuple[Rule, Finding]], current: Iterable[Alert], now: datetime) -> list[Change]:
    """Fold ``found``, in the given order, into the alerts.

    ``current`` must hold every alert of these fingerprints that :func:`reach` of the findings touches. One change per
    alert comes back, in the order in which the alerts were first touched; for findings that are already known, none.
    """
    book: dict[str, list[Alert]] = {}
    for alert in current:
        book.setdefault(alert.fingerprint, []).append(alert)
    changes: dict[tuple[str, datetime], Change] = {}
    for rule, finding in found:
        alerts = book.setdefault(fingerprint(rule, finding), [])
        change = _place(rule, finding, alerts, now)
        if change is None:
            continue
        key = (change.alert.fingerprint, change.alert.episode)
        alerts[:] = [alert for alert in alerts if alert.episode != change.alert.episode] + [change.alert]
        before = changes.get(key)
        changes[key] = change if before is None else replace(change, step=_joined(before.step, change.step))
    return list(changes.values())


def reach(rule: Rule, finding: Finding) -> tuple[datetime, datetime]:
    """The stretch in which an alert must lie, in part, to be of the finding's episode."""
    slack = timedelta(seconds=rule.clear_after)
    return moment(finding.since) - slack, moment(finding.until) + slack


def _place(rule: Rule, finding: Finding, alerts: list[Alert], now: datetime) -> Change | None:
    since, until = moment(finding.since), moment(finding.until)
    live = now - until <= timedelta(seconds=rule.live_within)
    if any(alert.first_seen <= since and until <= alert.last_seen for alert in alerts):
        return None
    near = [(gap, alert) for alert in alerts if (gap := _gap(alert, since, until)) <= rule.clear_after]
    if not near:
        alert = alert_from(rule, finding, now, historical=not live)
        return Change(alert, rule, "raised" if live else "recorded")
    # Between two alerts that a late finding joins: the nearer, then the one still watched, then the later.
    _, known = min(near, key=lambda p: (p[0], p[1].state not in ("open", "acknowledged"), -p[1].last_seen.timestamp()))
    return _extended(known, rule, finding, now, live=live)


def _gap(alert: Alert, since: datetime, until: datetime) -> float:
    """Seconds between the alert's span and the finding's; 0 when they touch."""
    return max(0.0, (since - alert.last_seen).total_seconds(), (alert.first_seen - until).total_seconds())


def _extended(alert: Alert, rule: Rule, finding: Finding, now: datetime, *, live: bool) -> Change:
    until = moment(finding.until)
    goes_on = until > alert.last_seen
    grown = replace(
        alert,
        first_seen=min(alert.first_seen, moment(finding.since)),
        last_seen=max(alert.last_seen, until),
        count=alert.count + 1,
        score=max(alert.score, finding.score),
    )
    if until >= alert.last_seen:
        grown = replace(grown, sentence=finding.sentence, evidence=finding.evidence)
        if math.isfinite(finding.lon) and math.isfinite(finding.lat):
            grown = replace(grown, lon=finding.lon, lat=finding.lat)
    if alert.state == "cleared" and alert.historical and live:
        return Change(replace(grown, state="open", historical=False, raised_at=now), rule, "promoted")
    # Cleared too early, e.g. while its terminal was out of reach. Only what is not quiet by the same measure comes
    # back, and never by a replay: that lies inside the known span.
    quiet = now - until > timedelta(seconds=rule.clear_after)
    if alert.state == "cleared" and not alert.historical and goes_on and not quiet:
        return Change(replace(grown, state="open", acked_by=None, acked_at=None), rule, "reopened")
    return Change(grown, rule, "extended")


def _joined(before: Step, after: Step) -> Step:
    """What two steps of one alert in one go amount to."""
    if before == "recorded":
        return "raised" if after == "promoted" else "recorded"
    return before if after == "extended" else after
