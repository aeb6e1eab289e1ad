"""What is said of a patrol's window: in the wrong order, incomplete, absent, made good."""

from __future__ import annotations

from detectors.base import Sentence
from detectors.certificate import Patrol
from detectors.wording import clock, device_names
from devices.site import Plan, Site


def wrong_order(patrol: Patrol, device: int, at: int, site: Site) -> Sentence:
    """Enough was covered, but not in its order; known since ``at`` (UTC µs)."""
    plan, name, known = patrol.course.plan, device_names(site, [device]), clock(at)
    covered = len(patrol.covered) / len(patrol.course.x)
    return Sentence(
        f"{name.zh}走了“{plan.name}”的{covered:.0%}，但按规定先后只有{patrol.share:.0%}（应达{plan.share:.0%}），{known.zh}。",
        f"{name.en} covered {covered:.0%} of {plan.name_en}, but only {patrol.share:.0%} in the planned order (needed"
        f" are {plan.share:.0%}), {known.en}.",
    )


def incomplete(patrol: Patrol, device: int, closes: int, site: Site) -> Sentence:
    """The best try of a window that closed (UTC µs) was not enough."""
    plan, name, end = patrol.course.plan, device_names(site, [device]), clock(closes)
    zh, en = ("按先后", " in order") if patrol.result == "wrong_order" else ("", "")
    return Sentence(
        f"“{plan.name}”到{end.zh}仍未完成：{name.zh}{zh}走了{patrol.share:.0%}，应达{plan.share:.0%}。",
        f"{plan.name_en} was not completed by {end.en}: {name.en} covered {patrol.share:.0%}{en}, needed are"
        f" {plan.share:.0%}.",
    )


def absent(plan: Plan, opens: int, closes: int) -> Sentence:
    """Nobody began within a window (UTC µs)."""
    begin, end = clock(opens), clock(closes)
    return Sentence(
        f"“{plan.name}”在{begin.zh}至{end.zh}之间无人执行（应完成{plan.share:.0%}）。",
        f"Nobody was on {plan.name_en} from {begin.en} to {end.en}; needed are {plan.share:.0%}.",
    )


def made_good(plan: Plan, patrol: Patrol, device: int, site: Site) -> Sentence:
    """What was told before no longer holds: the patrol is complete."""
    name, done = device_names(site, [device]), clock(patrol.last)
    return Sentence(
        f"“{plan.name}”已由{name.zh}完成{patrol.share:.0%}（应达{plan.share:.0%}），最后一段在{done.zh}。",
        f"{name.en} has completed {patrol.share:.0%} of {plan.name_en} after all (needed are {plan.share:.0%}), the"
        f" last part at {done.en}.",
    )
