"""What the system says of an alert in a timeline or a notice, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from alerts.alert import Alert, site_clock
from alerts.severity import Rise, Severity
from detectors.base import Sentence
from detectors.wording import span

SEVERITY_NAMES: Final[dict[Severity, Sentence]] = {
    "low": Sentence("低", "low"),
    "medium": Sentence("中", "medium"),
    "high": Sentence("高", "high"),
}


def why_risen(alert: Alert, step: Rise, now: datetime) -> Sentence:
    """What made the severity rise, for the timeline and the notice."""
    waited = span((now - (alert.armed_at or alert.raised_at)).total_seconds())
    reasons = [
        (step.after, f"{waited.zh}无人确认", f"unacknowledged for {waited.en}"),
        (step.count, f"已检出 {alert.count} 次", f"found {alert.count} times"),
        (step.night, "夜间持续", "going on at night"),
    ]
    zh, en = ([r[i] for r in reasons if r[0]] for i in (1, 2))
    name = SEVERITY_NAMES[alert.severity]
    return Sentence(f"{'，'.join(map(str, zh))}，等级升为{name.zh}", f"{' and '.join(map(str, en))}: now {name.en}")


def last_seen(alert: Alert) -> Sentence:
    """Why a quiet alert was cleared."""
    last = site_clock(alert.last_seen)
    return Sentence(f"预警最后一次出现于 {last}，此后未再出现", f"the alert was last seen at {last} and not since")


def merged_away(part: Alert, whole: Alert, numbers: Mapping[int, str]) -> Sentence:
    """For the alert, and its case, that turned out to be part of another. ``numbers``: those of cases by id."""
    zh, en = _its_case(whole, part, numbers)
    return Sentence(
        f"迟到的数据表明这与预警 {whole.id} 是同一件事，已并入该预警{zh}",
        f"late readings show that this is one episode with alert {whole.id}, into which it was merged{en}",
    )


def took_in(part: Alert, whole: Alert, numbers: Mapping[int, str]) -> Sentence:
    """For the alert, and its case, that has taken in another."""
    zh, en = _its_case(part, whole, numbers)
    return Sentence(
        f"迟到的数据表明预警 {part.id} 与本预警是同一件事，已并入本预警{zh}",
        f"late readings show that alert {part.id} is one episode with this one, into which it was merged{en}",
    )


def _its_case(alert: Alert, other: Alert, numbers: Mapping[int, str]) -> tuple[str, str]:
    """A word on the case of an alert that is another than that of ``other``: whether to merge them people decide."""
    if alert.case_id is None or alert.case_id == other.case_id:
        return "", ""
    number = numbers[alert.case_id]
    return (
        f"；其事件为 {number}，是否并案请人工决定",
        f"; its case is {number}, and whether to merge the cases is for people",
    )
