"""How a case moves on: who may do what with it now, what that makes of it, and why not. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from alerts.case import Actor, Case, Entry, Refused, Wish, actor_words, check_note
from alerts.effects import EFFECTS
from alerts.guards import GUARDS
from alerts.transitions import ACTION_NAMES, FINAL, ROLE_NAMES, STATUS_NAMES, TRANSITIONS, Need, Transition
from detectors.base import Sentence


@dataclass(frozen=True, slots=True)
class Offer:
    """An action that an actor may take on a case now, and what it takes."""

    action: str
    zh: str
    en: str
    needs: tuple[Need, ...]


def act(case: Case, action: str, actor: Actor, wish: Wish, now: datetime) -> Case:
    """The case after ``action``; its version grows when anything but the timeline changes.

    Raises:
        Refused: no such action, not this role, not this unit's case, not from this status, not as things stand, or
            something is missing.
    """
    row = _permitted(case, action, actor, now)
    check_note(wish.note, needed="note" in row.needs)
    for text in (wish.unit, wish.terminal, wish.until, *wish.units):
        check_note(text or "", needed=False)
    changed: dict[str, Any] = {"status": row.target or case.status}
    changed["closed_at"] = now if row.target in FINAL else None if row.target else case.closed_at
    effect = EFFECTS.get(action)
    if effect is not None:
        changed |= effect(case, actor, wish, now)
    after = replace(case, **changed)
    return after if after == case else replace(after, version=case.version + 1)


def said(action: str, wish: Wish) -> dict[str, Any]:
    """What was wished and is worth an entry's data beside what it changed: in whose words a deadline was stated, …"""
    needs = {need.removesuffix("?") for need in TRANSITIONS[action].needs}
    told: dict[str, Any] = {}
    for name in ("until", "participants", "units"):
        value = getattr(wish, name)
        if name in needs and value:
            told[name] = list(value) if isinstance(value, tuple) else value
    if action == "withdraw_part":
        told["unit"] = wish.unit
    return told


def offers(case: Case, actor: Actor, now: datetime) -> list[Offer]:
    """What ``actor`` may do with ``case`` now, in the table's order."""
    found = []
    for action, row in TRANSITIONS.items():
        try:
            _permitted(case, action, actor, now)
        except Refused:
            continue
        found.append(Offer(action, row.zh, row.en, row.needs))
    return found


def stale(case: Case, version: int, since: list[Entry]) -> Refused:
    """The refusal to act on what somebody saw before others changed it; ``since`` are the entries that did."""
    if not since:
        return Refused(
            "stale", "事件版本不符，请刷新后再操作", "this is not the version of the case: look again before you act"
        )
    names = [ACTION_NAMES.get(entry.action, Sentence(entry.action, entry.action)) for entry in since]
    actors = [actor_words(entry.actor) for entry in since]
    zh = "；".join(f"{by.zh} {n.zh}" for by, n in zip(actors, names, strict=True))
    en = "; ".join(f"{by.en}: {n.en}" for by, n in zip(actors, names, strict=True))
    status = STATUS_NAMES[case.status]
    return Refused(
        "stale",
        f"事件在您查看之后已有变化（{zh}），现为“{status.zh}”，请按最新情况处理",
        f"the case has changed since you saw it ({en}) and is now {status.en}: look again before you act",
    )


def _permitted(case: Case, action: str, actor: Actor, now: datetime) -> Transition:
    row = TRANSITIONS.get(action)
    if row is None:
        raise Refused("no_such_action", f"没有“{action}”这个操作", f"there is no action {action!r}")
    if actor.role not in row.roles:
        role, may = ROLE_NAMES[actor.role], [ROLE_NAMES[r] for r in row.roles]
        zh, en = "、".join(r.zh for r in may), ", ".join(r.en for r in may)
        raise Refused(
            "role", f"{role.zh}不能{row.zh}，须由{zh}操作", f"the role {role.en} may not {row.en}; this is for: {en}"
        )
    if actor.role == "unit":
        _check_unit(case, row, actor.unit)
    if case.status not in row.sources:
        status, expected = STATUS_NAMES[case.status], [STATUS_NAMES[s] for s in row.sources]
        zh, en = "、".join(s.zh for s in expected), ", ".join(s.en for s in expected)
        raise Refused(
            "state",
            f"事件当前{status.zh}，只有{zh}的事件才能{row.zh}",
            f"the case is {status.en}; to {row.en} it must be: {en}",
        )
    guard = GUARDS.get(action)
    if guard is not None:
        guard(case, actor, now)
    return row


def _check_unit(case: Case, row: Transition, unit: str | None) -> None:
    owns, called = unit is not None and unit == case.unit, unit in case.called
    if row.whose == "part" and not called:
        raise Refused("other_unit", "本单位在事件中没有分工", "your unit has no part in this case")
    if row.whose == "owner" and not owns and called:
        raise Refused(
            "other_unit",
            f"{row.zh}须由主办单位操作，协办单位只能办理自己的分工",
            f"to {row.en} is for the unit whose case it is; yours has a part in it",
        )
    if not (owns or called):
        raise Refused("other_unit", "事件不归本单位办理", "the case does not belong to your unit")
