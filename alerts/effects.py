"""What each action changes of a case beside its status, from what was wished. Pure; refuses a wish that will not do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from alerts.case import RESOLUTION_NAMES, Actor, Case, Part, Refused, Wish, check_note
from alerts.deadline import DeadlineError, due

Effect = Callable[[Case, Actor, Wish, datetime], dict[str, Any]]

MOST_UNITS: Final = 20  # called by one whistle
MOST_PARTICIPANTS, LEAST_PARTICIPANTS = 20, 2  # of a joint decision
MOST_EXTENSION: Final = timedelta(days=366)


def _assign(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    return {"unit": _given(wish.unit, "指派须指定单位", "assigning needs a unit")}


def _decide_owner(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    unit = _given(wish.unit, "联合认定须指定单位", "the decision needs a unit")
    names = {name.strip() for name in wish.participants} - {""}
    if len(names) < LEAST_PARTICIPANTS:
        raise Refused(
            "missing",
            f"联合认定须写明至少 {LEAST_PARTICIPANTS} 个参与方",
            f"a joint decision needs at least {LEAST_PARTICIPANTS} participants",
        )
    if len(wish.participants) > MOST_PARTICIPANTS:
        raise Refused("too_long", f"参与方最多 {MOST_PARTICIPANTS} 个", f"at most {MOST_PARTICIPANTS} participants")
    check_note("".join(wish.participants), needed=False)
    return {"unit": unit}


def _dispatch(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    if case.status == "dispatched" and not wish.terminal:
        raise Refused(
            "missing", "事件已派遣，改派须指定终端", "it is dispatched already: to send another, name a terminal"
        )
    if wish.terminal and (case.lon is None or case.lat is None):
        raise Refused("no_place", "事件没有位置，无法派遣终端", "the case has no place to send a terminal to")
    if case.unit is None and not wish.terminal:
        raise Refused(
            "missing", "权属不清：请先指派单位，或指定终端", "ownership is unclear: assign a unit or name a terminal"
        )
    return {"terminal": wish.terminal or case.terminal}


def _reoffer(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    return {"terminal": _given(wish.terminal, "改派须指定终端", "offering to another needs a terminal")}


def _nobody_near(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    """Without a terminal a case is its unit's; without a unit it goes back to the desk."""
    return {"terminal": None, "status": case.status if case.unit else "opened"}


def _decline(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    return {"unit": None, "terminal": None, "extension_asked": None}


def _transfer(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    unit = _given(wish.unit, "转办须指定单位", "transferring needs a unit")
    if unit == case.unit:
        raise Refused("wrong_value", f"事件已归 {unit}", f"the case is {unit}'s already")
    return {"unit": unit, "terminal": None, "extension_asked": None}


def _whistle(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    if not wish.units:
        raise Refused("missing", "吹哨须指定单位", "a whistle needs units")
    if len(set(wish.units)) > MOST_UNITS:
        raise Refused("too_long", f"一次最多吹哨 {MOST_UNITS} 个单位", f"at most {MOST_UNITS} units at once")
    for unit in sorted(wish.tasks.keys() - set(wish.units)):
        raise Refused("wrong_value", f"{unit} 有任务但不在吹哨单位中", f"{unit} has a task but is not among the units")
    parts = {part.unit: part for part in case.parts}
    for unit in dict.fromkeys(wish.units):
        if unit == case.unit:
            raise Refused(
                "wrong_value", f"{unit} 是主办单位，无须吹哨", f"the case is {unit}'s own: no need to whistle"
            )
        if unit in parts and parts[unit].undone:
            raise Refused("already_called", f"{unit} 已在协办", f"{unit} has been called already")
        task = (wish.tasks.get(unit) or wish.note).strip()
        check_note(task, needed=True)
        parts[unit] = Part(unit, task, now, actor.name)
    return {"parts": tuple(parts[unit] for unit in sorted(parts))}


def _check_in(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    return _with_part(case, actor.unit, checked_in_at=now)


def _part_done(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    return _with_part(case, actor.unit, done_at=now, done_note=wish.note.strip())


def _withdraw_part(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    unit = _given(wish.unit, "请指定撤回哪个单位的分工", "withdrawing needs a unit")
    part = case.part(unit)
    if part is None or not part.undone:
        raise Refused("no_part", f"{unit} 没有未办结的分工", f"{unit} has no part that is not done")
    return _with_part(case, unit, done_at=now, done_note=wish.note.strip(), withdrawn=True)


def _feedback(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    if wish.resolution and wish.resolution not in RESOLUTION_NAMES:
        known = ", ".join(RESOLUTION_NAMES)
        raise Refused(
            "wrong_value",
            f"解决方式“{wish.resolution}”不存在，应为 {known}",
            f"resolution {wish.resolution!r}: expected {known}",
        )
    return {"resolution": "on_spot" if case.status == "reported" else wish.resolution}


def _close(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    check_note(wish.outcome, needed=False)
    return {"outcome": _given(wish.outcome.strip(), "结案须填写处理结果", "closing needs an outcome")}


def _ask_extension(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    until = _given(wish.until, "请填写申请延期至何时", "say until when")
    return {"extension_asked": new_deadline(max(case.due_at, now), until, now)}


def _grant_extension(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    assert case.extension_asked is not None  # the guard has seen to it
    moved = new_deadline(max(case.due_at, now), wish.until, now) if wish.until else case.extension_asked
    if moved <= now:
        raise Refused(
            "wrong_value",
            "所申请的时限已过，请另定时限",
            "the deadline that was asked for has passed by now: state another",
        )
    return {"due_at": moved, "extension_asked": None, "overdue_reason": ""}


def _refuse_extension(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    return {"extension_asked": None}


def _explain_overdue(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    return {"overdue_reason": wish.note.strip()}


def _supervise(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    return {"supervision": case.supervision + 1}


def _merge(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    if wish.into is None:
        raise Refused("missing", "请指定并入哪个事件", "say into which case")
    if wish.into == case.id:
        raise Refused("wrong_value", "事件不能并入自身", "a case cannot be merged into itself")
    return {"merged_into": wish.into, "status_before": case.status}


def _split(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    return {"merged_into": None, "status": case.status_before or "opened", "status_before": None, "closed_at": None}


def _reopen(case: Case, actor: Actor, wish: Wish, now: datetime) -> dict[str, Any]:
    """A new round with a time of its own: what was said of the last one stays in the timeline.

    Who names no deadline gets that of the case's kind and severity: ``store.limits`` puts it into the wish.
    """
    until = _given(wish.until, "重新立案须有新的时限", "reopening needs a new deadline")
    return {
        "due_at": new_deadline(now, until, now),
        "terminal": None,
        "outcome": "",
        "resolution": "",
        "supervision": 0,
        "overdue_reason": "",
        "extension_asked": None,
        "reopened": case.reopened + 1,
    }


EFFECTS: Final[dict[str, Effect]] = {
    "assign": _assign,
    "decide_owner": _decide_owner,
    "dispatch": _dispatch,
    "reoffer": _reoffer,
    "nobody_near": _nobody_near,
    "decline": _decline,
    "transfer": _transfer,
    "whistle": _whistle,
    "check_in": _check_in,
    "part_done": _part_done,
    "withdraw_part": _withdraw_part,
    "feedback": _feedback,
    "close": _close,
    "ask_extension": _ask_extension,
    "grant_extension": _grant_extension,
    "refuse_extension": _refuse_extension,
    "explain_overdue": _explain_overdue,
    "urge": _supervise,
    "letter": _supervise,
    "second_letter": _supervise,
    "merge": _merge,
    "split": _split,
    "reopen": _reopen,
}
"""By action: the fields that change, with their new values; an action that is not here changes the status alone."""


def new_deadline(begins: datetime, until: str, now: datetime) -> datetime:
    """The moment that ``until`` means: a deadline counted from ``begins`` in plain or working time, or a moment.

    Raises:
        Refused: it is neither, not later than ``begins``, or more than a year away.
    """
    try:
        moment = due(begins, until.strip())
    except DeadlineError:
        moment = _moment(until)
    if moment <= begins:
        raise Refused(
            "wrong_value", f"时限“{until}”须晚于原时限和当前时间", f"until {until!r}: not later than it is now"
        )
    if moment > now + MOST_EXTENSION:
        raise Refused("wrong_value", f"时限“{until}”超过一年", f"until {until!r}: more than a year away")
    return moment


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.astimezone(UTC) if moment.tzinfo is not None else _refuse_moment(text)
    except (ValueError, OverflowError):
        return _refuse_moment(text)


def _refuse_moment(text: str) -> datetime:
    raise Refused(
        "wrong_value",
        f"时限“{text}”应为 4h、2wd 这样的时长，或带时区的时间",
        f"until {text!r}: expected 30m, 4h, 2wd, or a moment with its zone",
    )


def _with_part(case: Case, unit: str | None, **changed: Any) -> dict[str, Any]:
    return {"parts": tuple(replace(part, **changed) if part.unit == unit else part for part in case.parts)}


def _given(value: str | None, zh: str, en: str) -> str:
    if not value:
        raise Refused("missing", zh, en)
    return value
