"""Triage: findings and the present alerts of the same fingerprints → what changes. Pure.

One episode is one alert. A finding that overlaps a known alert of its fingerprint, or follows or precedes it by at most
the rule's ``clear_after``, belongs to that alert whatever its state. One that lies wholly inside what the alert already
spans tells nothing new and changes nothing: spans only grow, so what was triaged once can be triaged again for ever.

A finding that joins two alerts proves them to be one episode: the one that began later goes into the other. An alert
that people called false takes no part in that: they have judged the one, not the other.

A finding that ``ends`` its episode clears the alert, unless that has been seen to go on after it. Its own stretch
counts as part of the episode, so that nothing from before the end brings the alert back; live alerts that it joins are
one by then, as with any finding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from alerts.alert import Alert, alert_from, fingerprint, rearmed
from alerts.rules import SEVERITIES, Rule
from detectors.base import Finding
from devices.site import moment

Step = Literal["raised", "recorded", "extended", "promoted", "reopened", "ended", "merged"]
"""raised: a new alert · recorded: new, but history · extended: more of a known episode · promoted: an episode known
from history turns out to go on now · reopened: a cleared one goes on after all · ended: a finding says it is over ·
merged: it turned out to be part of another one."""


@dataclass(frozen=True, slots=True)
class Change:
    """``alert`` as it is to be stored; its id is 0 when it is new. ``rule`` is that of the last finding in it."""

    alert: Alert
    rule: Rule
    step: Step
    ended: bool = False  # it is over, whatever else became of it in the same go
    into: datetime | None = None  # merged: the episode, with the same fingerprint, of the alert that has taken it in

    @property
    def news(self) -> bool:
        """Whether people are to be told that something is happening now."""
        return self.step in ("raised", "promoted", "reopened")


def triage(found: Sequence[tuple[Rule, Finding]], current: Iterable[Alert], now: datetime) -> list[Change]:
    """Fold ``found``, in the given order, into the alerts.

    ``current`` must hold every alert of these fingerprints that :func:`reach` of the findings touches, except those
    merged into others. One change per alert comes back, in the order in which the alerts were first touched, the merged
    ones last; for findings that are already known, none.
    """
    book: dict[str, list[Alert]] = {}
    for alert in current:
        book.setdefault(alert.fingerprint, []).append(alert)
    changes: dict[_Key, Change] = {}
    for rule, finding in found:
        alerts = book.setdefault(fingerprint(rule, finding), [])
        change = _ended(rule, finding, alerts, changes) if finding.ends else _place(rule, finding, alerts, changes, now)
        if change is None:
            continue
        key = _key(change.alert)
        alerts[:] = [alert for alert in alerts if alert.episode != change.alert.episode] + [change.alert]
        changes[key] = _joined(changes.get(key), change)
    return sorted(changes.values(), key=lambda change: change.step == "merged")


def reach(rule: Rule, finding: Finding) -> tuple[datetime, datetime]:
    """The stretch in which an alert must lie, in part, to be of the finding's episode."""
    slack = timedelta(seconds=rule.clear_after)
    return moment(finding.since) - slack, moment(finding.until) + slack


_Key = tuple[str, datetime]


def _key(alert: Alert) -> _Key:
    return alert.fingerprint, alert.episode


def _ended(rule: Rule, finding: Finding, alerts: list[Alert], changes: dict[_Key, Change]) -> Change | None:
    since, until = moment(finding.since), moment(finding.until)
    near = [(gap, alert) for alert in alerts if alert.live and (gap := _gap(alert, since, until)) <= rule.clear_after]
    near = [(gap, alert) for gap, alert in near if alert.last_seen <= until]  # otherwise it has gone on since
    if not near:
        return None
    one, *rest = sorted((alert for _, alert in near), key=lambda alert: alert.episode)
    whole, _ = _taken_in(one, rest, rule, alerts, changes)
    return Change(replace(whole, state="cleared", last_seen=until, ending=finding.sentence), rule, "ended", ended=True)


def _place(
    rule: Rule, finding: Finding, alerts: list[Alert], changes: dict[_Key, Change], now: datetime
) -> Change | None:
    since, until = moment(finding.since), moment(finding.until)
    live = now - until <= timedelta(seconds=rule.live_within)
    if any(alert.first_seen <= since and until <= alert.last_seen for alert in alerts):
        return None
    near = [(gap, alert) for alert in alerts if (gap := _gap(alert, since, until)) <= rule.clear_after]
    if not near:
        alert = alert_from(rule, finding, now, historical=not live)
        return Change(alert, rule, "raised" if live else "recorded")
    # Between one that was called false and others: the nearer, then the one still watched, then the later.
    _, known = min(near, key=lambda p: (p[0], not p[1].live, -p[1].last_seen.timestamp()))
    if known.state == "void":
        return _extended(known, rule, finding, now, live=live)
    one, *rest = sorted((alert for _, alert in near if alert.state != "void"), key=lambda alert: alert.episode)
    if not rest:
        return _extended(one, rule, finding, now, live=live)
    return _merge(one, rest, rule, finding, alerts, changes, now, live=live)


def _merge(
    one: Alert,
    rest: list[Alert],
    rule: Rule,
    finding: Finding,
    alerts: list[Alert],
    changes: dict[_Key, Change],
    now: datetime,
    *,
    live: bool,
) -> Change:
    """``rest`` turn out to be part of ``one``, which the finding then extends."""
    whole, told = _taken_in(one, rest, rule, alerts, changes)
    change = _extended(whole, rule, finding, now, live=live)
    if told and not one.live and change.step == "extended":  # the news was of a part, and is now of the whole
        return replace(change, step="promoted" if one.historical else "reopened")
    return change


def _taken_in(
    one: Alert, rest: list[Alert], rule: Rule, alerts: list[Alert], changes: dict[_Key, Change]
) -> tuple[Alert, bool]:
    """``one`` with the ``rest`` in it, which are marked as merged; and whether any of these was news in this go."""
    whole, told = one, False
    for other in rest:
        whole = _united(whole, other)
        alerts.remove(other)
        before = changes.pop(_key(other), None)
        told = told or (before is not None and before.news)
        if other.id:  # what was never stored leaves no trace
            changes[_key(other)] = Change(replace(other, state="cleared"), rule, "merged", into=one.episode)
    return whole, told


def _united(one: Alert, other: Alert) -> Alert:
    """Two alerts as one: it is what the later part of it is, and whoever has taken over a part has taken it over."""
    newer = other if other.last_seen >= one.last_seen else one
    lives = [alert for alert in (one, other) if alert.live]
    if newer.live or (newer.historical and lives):
        state_of = next((alert for alert in lives if alert.state == "acknowledged"), lives[0])
    else:
        state_of = newer
    told = [alert.raised_at for alert in (one, other) if not alert.historical]
    return replace(
        newer,
        id=one.id,
        episode=one.episode,
        raised_at=min(told, default=one.raised_at),
        first_seen=min(one.first_seen, other.first_seen),
        last_seen=newer.last_seen,
        count=one.count + other.count,
        score=max(one.score, other.score),
        severity=max(one.severity, other.severity, key=SEVERITIES.index),
        state=state_of.state,
        historical=one.historical and other.historical,
        acked_by=state_of.acked_by,
        acked_at=state_of.acked_at,
        armed_at=state_of.armed_at,
        suppressed=state_of.suppressed,
        ending=state_of.ending,
        area=one.area if one.id else other.area,
        case_id=one.case_id or other.case_id,
        group_key=one.group_key,
        group_id=one.group_id,
    )


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
        return Change(replace(rearmed(grown, now), raised_at=now), rule, "promoted")
    # Cleared too early, e.g. while its terminal was out of reach. Only what is not quiet by the same measure comes
    # back, or calls for help anew, and never by a replay: that lies inside the known span.
    quiet = now - until > timedelta(seconds=rule.clear_after)
    news = not quiet or (live and rule.calls_for_help)
    if alert.state == "cleared" and not alert.historical and goes_on and news:
        return Change(rearmed(grown, now), rule, "reopened")
    return Change(grown, rule, "extended")


def _joined(before: Change | None, after: Change) -> Change:
    """What two changes of one alert in one go amount to."""
    if before is None:
        return after
    step = after.step
    if before.step == "raised" or (before.step == "recorded" and step == "promoted"):
        step = "raised"
    elif before.step == "recorded" or step == "extended" or (before.news and step == "ended"):
        step = before.step
    return replace(after, step=step, ended=after.ended or (before.ended and after.step == "extended"))
