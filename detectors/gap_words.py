"""What is said of a quota of patrols: still missing, missed, done after all."""

from __future__ import annotations

from detectors.base import Sentence
from detectors.quotas import Done, Quota
from detectors.wording import clock, span
from devices.readings import SECOND


def still_missing(quota: Quota, done: Done, closes: int, at: int, apart: float) -> Sentence:
    """Before the window closes (UTC µs); ``apart`` in s."""
    plan, zone, end = quota.plan, quota.zone, clock(closes)
    lacks = plan.visits - len(done.times)
    rest = span((closes - at) / SECOND)
    needed = lacks * plan.stay + (lacks - 1) * apart
    zh, en = ("", "")
    if quota.course is not None:
        zh, en = f"，本次已走{done.share:.0%}", f", {done.share:.0%} of the next is walked"
    elif needed * SECOND > closes - at:
        zh, en = "，按规定时长已来不及", ", which is no longer possible"
    return Sentence(
        f"“{plan.name}”：{zone.name}应巡护{plan.visits}次{_each(quota).zh}，还差{lacks}次{zh}，距{end.zh}截止还有{rest.zh}。",
        f"{plan.name_en}: {zone.name_en} still lacks {lacks} of {plan.visits} patrols{_each(quota).en}{en}, with"
        f" {rest.en} left until {end.en}.",
    )


def missed(quota: Quota, done: Done, closes: int) -> Sentence:
    """When the window has closed (UTC µs)."""
    plan, zone, end = quota.plan, quota.zone, clock(closes)
    return Sentence(
        f"“{plan.name}”：{zone.name}到{end.zh}只巡护了{len(done.times)}次，应为{plan.visits}次{_each(quota).zh}。",
        f"{plan.name_en}: {zone.name_en} had {len(done.times)} of {plan.visits} patrols{_each(quota).en} by {end.en}.",
    )


def done_after_all(quota: Quota, done: Done, told: str) -> Sentence:
    """The last patrol was made; ``told`` says what was said before ("warned" or "missed")."""
    plan, zone = quota.plan, quota.zone
    last = clock(done.times[plan.visits - 1])
    if told == "missed":
        return Sentence(
            f"“{plan.name}”：后到的数据表明，{zone.name}的{plan.visits}次巡护已按时完成，最后一次在{last.zh}。",
            f"{plan.name_en}: data that came later show that the {plan.visits} patrols of {zone.name_en} were made in"
            f" time, the last at {last.en}.",
        )
    return Sentence(
        f"“{plan.name}”：{zone.name}的{plan.visits}次巡护已完成，最后一次在{last.zh}。",
        f"{plan.name_en}: the {plan.visits} patrols of {zone.name_en} are done, the last at {last.en}.",
    )


def _each(quota: Quota) -> Sentence:
    """How much one patrol is, where that says something."""
    if quota.course is not None:
        return Sentence(f"（每次走完{quota.plan.share:.0%}）", f" (of {quota.plan.share:.0%} of the line each)")
    if quota.plan.stay <= 0:
        return Sentence("", "")
    least = span(quota.plan.stay)
    return Sentence(f"（每次至少{least.zh}）", f" (of {least.en} each)")
