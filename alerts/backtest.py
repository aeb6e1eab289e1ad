"""A rule against another form of itself over the same history: what would be alerted more, and what less. Pure."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

from alerts.alert import Alert
from alerts.opening import area_of
from alerts.rules import Rule, RuleError, build_detector
from alerts.triage import triage
from detectors import DETECTORS
from detectors.base import Finding
from devices.site import Site, moment

_DURATION: Final = re.compile(r"([0-9.]+)(s|m|h|d)")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
PROPOSED: Final = "-proposed"  # after the rule's code, while both run side by side


def proposed_from(rule: Rule, wishes: Mapping[str, str]) -> Rule:
    """The rule with other thresholds, given as people write them: ``dwell`` = ``5m``, ``ratio`` = ``0.8``.

    A name is one of the detector's fields, or ``clear_after`` of the rule.

    Raises:
        RuleError: no such field, or a value that it does not take; names the field and what there is.
    """
    fields = {field.name: field for field in dataclasses.fields(DETECTORS[rule.detector]) if field.init}  # type: ignore[arg-type]
    settings, clear_after = dict(rule.settings), rule.clear_after
    for name, text in wishes.items():
        if name == "clear_after":
            clear_after = _number(rule, name, text)
        elif name in fields:
            settings[name] = _value(rule, fields[name], text)
        else:
            known = ", ".join([*fields, "clear_after"])
            unknown = f"no such threshold; there are {known}", f"没有这个阈值；有：{known}"
            raise RuleError(rule.code, name, text, *unknown)
    proposed = replace(rule, settings=settings, clear_after=clear_after)
    build_detector(proposed)
    return proposed


def _value(rule: Rule, field: dataclasses.Field[Any], text: str) -> Any:
    """``text`` in the type of the field."""
    name, present = field.name, rule.settings.get(field.name, field.default)
    if isinstance(present, bool):
        if text not in ("true", "false"):
            raise RuleError(rule.code, name, text, "expected true or false", "应为 true 或 false")
        return text == "true"
    if isinstance(present, int | float):
        number = _number(rule, name, text)
        if field.type == "int" and not number.is_integer():
            raise RuleError(rule.code, name, text, "expected a whole number", "应为整数")
        return int(number) if isinstance(present, int) and number.is_integer() else number
    if isinstance(present, tuple | list):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _number(rule: Rule, name: str, text: str) -> float:
    duration = _DURATION.fullmatch(text)
    try:
        number = float(duration[1]) * _SECONDS[duration[2]] if duration else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        expected = "expected a number, or a time such as 30s, 5m, 2h, 1d", "应为数，或 30s、5m、2h、1d 这样的时间"
        raise RuleError(rule.code, name, text, *expected)
    return number


def moment_from(text: str, now: datetime) -> datetime:
    """A moment as people write it: ``7d`` or ``12h`` before ``now``, or ISO 8601 with a zone.

    Raises:
        ValueError: neither.
    """
    if duration := _DURATION.fullmatch(text):
        return now - timedelta(seconds=float(duration[1]) * _SECONDS[duration[2]])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(f"{text!r}: expected a time before now such as 7d or 12h, or 2026-11-22T08:00:00+08:00")
    return at.astimezone(UTC)


class Book:
    """The alerts that findings of one rule make, each judged at its own moment."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._alerts: dict[str, dict[datetime, Alert]] = {}
        self._numbers = count(1)

    def take(self, findings: Iterable[Finding]) -> None:
        """Triage findings in the order given."""
        for finding in findings:
            key = f"{finding.subject}|{finding.zone}"
            episodes = self._alerts.setdefault(key, {})
            for change in triage([(self.rule, finding)], list(episodes.values()), moment(finding.until)):
                if change.step == "merged":
                    episodes.pop(change.alert.episode, None)
                else:  # with a number: of alerts without one triage does not say that they were taken in
                    number = change.alert.id or next(self._numbers)
                    episodes[change.alert.episode] = replace(change.alert, id=number)

    def alerts(self, since: datetime) -> list[Alert]:
        """Those that were still going on at ``since`` or began later, in order of their beginning."""
        everything = (alert for episodes in self._alerts.values() for alert in episodes.values())
        return sorted(
            (alert for alert in everything if alert.last_seen >= since),
            key=lambda alert: (alert.first_seen, alert.subject, alert.zone),
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Alerts of the present rule and of the proposed one. ``kept`` are those of the proposed rule that overlap one of
    the same subject and zone, give or take the rule's ``clear_after``."""

    kept: list[Alert]
    added: list[Alert]
    gone: list[Alert]


def compare(present: Sequence[Alert], proposed: Sequence[Alert], slack: float) -> Comparison:
    """Which alerts stay, come and go; ``slack`` in seconds."""
    kept = [alert for alert in proposed if any(_same(alert, other, slack) for other in present)]
    added = [alert for alert in proposed if not any(_same(alert, other, slack) for other in present)]
    gone = [alert for alert in present if not any(_same(alert, other, slack) for other in proposed)]
    return Comparison(kept, added, gone)


def _same(one: Alert, other: Alert, slack: float) -> bool:
    if (one.subject, one.zone) != (other.subject, other.zone):
        return False
    room = timedelta(seconds=slack)
    return one.first_seen <= other.last_seen + room and other.first_seen <= one.last_seen + room


def as_json(alert: Alert, site: Site) -> dict[str, Any]:
    """An alert of a backtest as plain JSON; its evidence is its numbers and what can be drawn."""
    placed = math.isfinite(alert.lon) and math.isfinite(alert.lat)
    return {
        "subject": alert.subject,
        "zone": alert.zone,
        "area": area_of(site, alert.zone, alert.subject),
        "first_seen": alert.first_seen.isoformat(),
        "last_seen": alert.last_seen.isoformat(),
        "lon": alert.lon if placed else None,
        "lat": alert.lat if placed else None,
        "score": round(alert.score, 3),
        "sentence": {"zh": alert.sentence.zh, "en": alert.sentence.en},
        "evidence": dict(alert.evidence),
    }
