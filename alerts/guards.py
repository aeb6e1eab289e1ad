"""What the transition table cannot say in a row: the state of parts, deadlines and supervision that an action needs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from alerts.case import SUPERVISION_NAMES, Actor, Case, Refused

Guard = Callable[[Case, Actor, datetime], None]


def _explained(case: Case, actor: Actor, now: datetime) -> None:
    if case.overdue(now) and not case.overdue_reason.strip():
        raise Refused(
            "overdue_unexplained",
            "事件已逾期，请先说明逾期原因",
            "the case is overdue: explain why before it goes on",
        )


def _whole(case: Case, actor: Actor, now: datetime) -> None:
    undone = [part.unit for part in case.parts if part.undone]
    if undone:
        names = ", ".join(undone)
        raise Refused(
            "parts_undone",
            f"协办单位 {names} 的分工尚未办结，请等其办结，或说明原因后撤回分工",
            f"the parts of {names} are not done: wait for them, or withdraw them with a reason",
        )


def _feedback(case: Case, actor: Actor, now: datetime) -> None:
    """What is only reported has nobody who handles it: whoever reported it may say that it is solved, nobody else."""
    if (case.status == "reported") != (actor.role == "grid"):
        zh, en = "事件尚未处置", "it is not being handled"
        if actor.role == "grid":
            zh, en = "事件已由他人处置", "others handle it by now"
        raise Refused("state", f"{zh}，不能由您反馈结果", f"{en}: the result is not yours to feed back")
    _whole(case, actor, now)
    _explained(case, actor, now)


def _late(case: Case, actor: Actor, now: datetime) -> None:
    if not case.overdue(now):
        raise Refused("not_overdue", "事件没有逾期，无须说明", "the case is not overdue: there is nothing to explain")


def _asks_once(case: Case, actor: Actor, now: datetime) -> None:
    if case.extension_asked is not None:
        raise Refused(
            "already_asked", "已有延期申请待批", "an extension was asked for already and is not yet decided on"
        )


def _asked(case: Case, actor: Actor, now: datetime) -> None:
    if case.extension_asked is None:
        raise Refused("not_asked", "没有待批的延期申请", "no extension was asked for")


def _supervised(level: int) -> Guard:
    """Steps of supervision come in order, none twice."""

    def check(case: Case, actor: Actor, now: datetime) -> None:
        if case.supervision != level:
            is_now, needed = SUPERVISION_NAMES[case.supervision], SUPERVISION_NAMES[level]
            raise Refused(
                "supervision",
                f"事件现为“{is_now.zh}”，“{needed.zh}”之后才是这一步",
                f"its supervision is at: {is_now.en}; this step follows: {needed.en}",
            )

    return check


def _unclear(case: Case, actor: Actor, now: datetime) -> None:
    if case.unit is not None:
        raise Refused(
            "owner_known",
            f"事件已归 {case.unit}，权属不清的事件才联合认定",
            f"the case is {case.unit}'s already; a joint decision is for cases whose ownership is unclear",
        )


def _away(case: Case, actor: Actor, now: datetime) -> None:
    part = case.part(actor.unit)
    if part is not None and not part.undone:
        raise Refused("part_over", "本单位的分工已结束", "the part of your unit is over")
    if part is not None and part.checked_in_at is not None:
        raise Refused("checked_in", "本单位已报到", "your unit has checked in already")


def _there(case: Case, actor: Actor, now: datetime) -> None:
    part = case.part(actor.unit)
    if part is not None and not part.undone:
        raise Refused("part_over", "本单位的分工已结束", "the part of your unit is over")
    if part is not None and part.checked_in_at is None:
        raise Refused("not_checked_in", "请先报到，再办结分工", "check in first")


def _some_undone(case: Case, actor: Actor, now: datetime) -> None:
    if not any(part.undone for part in case.parts):
        raise Refused("no_part", "没有未办结的分工", "there is no part that is not done")


GUARDS: Final[dict[str, Guard]] = {
    "decide_owner": _unclear,
    "feedback": _feedback,
    "close": _explained,
    "explain_overdue": _late,
    "ask_extension": _asks_once,
    "grant_extension": _asked,
    "refuse_extension": _asked,
    "urge": _supervised(0),
    "letter": _supervised(1),
    "second_letter": _supervised(2),
    "check_in": _away,
    "part_done": _there,
    "withdraw_part": _some_undone,
}
"""By action: raises Refused when the case is not as the action needs it."""
