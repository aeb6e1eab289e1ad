"""A case and its one transition table: who may do what, from which status, and why not. Pure.

A rule opens a case as ``opened``; a person's report begins as ``reported``. From there it is
opened → dispatched → handling → fed_back → verified → closed, and nothing is closed that was not fed back and verified.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from alerts.rules import Severity
from detectors.base import Sentence

Status = Literal["reported", "opened", "dispatched", "handling", "fed_back", "verified", "closed", "void", "merged"]
Role = Literal["viewer", "operator", "unit", "supervisor", "admin", "system"]
Need = Literal["note", "unit", "terminal?", "outcome"]

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
FINAL: Final[frozenset[Status]] = frozenset({"closed", "void", "merged"})
STATUS_NAMES: Final[dict[Status, Sentence]] = {
    "reported": Sentence("已上报", "reported"),
    "opened": Sentence("已立案", "opened"),
    "dispatched": Sentence("已派遣", "dispatched"),
    "handling": Sentence("处置中", "being handled"),
    "fed_back": Sentence("已反馈", "fed back"),
    "verified": Sentence("已回访", "verified"),
    "closed": Sentence("已结案", "closed"),
    "void": Sentence("已作废", "void"),
    "merged": Sentence("已并案", "merged"),
}
ROLE_NAMES: Final[dict[Role, Sentence]] = {
    "viewer": Sentence("观察员", "viewer"),
    "operator": Sentence("值班员", "operator"),
    "unit": Sentence("处置单位", "unit"),
    "supervisor": Sentence("督办员", "supervisor"),
    "admin": Sentence("管理员", "admin"),
    "system": Sentence("系统", "system"),
}
MOST_TEXT: Final = 4000  # characters of a note or outcome


class Refused(ValueError):
    """Something a person asked for is not allowed. ``code`` is stable; ``zh`` and ``en`` say why in words."""

    def __init__(self, code: str, zh: str, en: str) -> None:
        super().__init__(f"{code}: {en}")
        self.code, self.zh, self.en = code, zh, en


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. ``unit`` is the code of the unit an account of role "unit" belongs to."""

    name: str
    role: Role
    unit: str | None = None


SYSTEM: Final = Actor("system", "system")


@dataclass(frozen=True, slots=True)
class Case:
    """One row of ``cases``. ``id`` is 0 before it is stored; ``terminal`` is a device code; place None: unknown."""

    number: str
    category: str
    title: Sentence
    severity: Severity
    status: Status
    area: str | None
    unit: str | None  # None: ownership unclear, a queue of its own
    opened_at: datetime
    due_at: datetime
    owner: int | None = None  # the account that opened or reported it
    terminal: str | None = None
    lon: float | None = None
    lat: float | None = None
    closed_at: datetime | None = None
    outcome: str = ""
    version: int = 1  # grows with every change of what is recorded here
    id: int = 0

    def overdue(self, now: datetime) -> bool:
        """Whether it is past its deadline, or was when it ended."""
        return (self.closed_at or now) > self.due_at


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline. ``data["set"]`` is what the step changed; ``hash`` covers all the rest."""

    case_id: int
    seq: int
    at: datetime
    actor: str
    action: str
    note: str
    data: dict[str, Any] = field(default_factory=dict)
    prev_hash: bytes = b""
    hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table. ``target`` None leaves the status as it is."""

    zh: str
    en: str
    sources: tuple[Status, ...]
    target: Status | None
    roles: tuple[Role, ...]
    needs: tuple[Need, ...] = ()


_OPEN: Final[tuple[Status, ...]] = tuple(s for s in STATUSES if s not in FINAL)
_DESK: Final[tuple[Role, ...]] = ("operator", "supervisor", "admin")
_FIELD: Final[tuple[Role, ...]] = ("unit", "supervisor", "admin")
_CHIEF: Final[tuple[Role, ...]] = ("supervisor", "admin")

TRANSITIONS: Final[dict[str, Transition]] = {
    "open": Transition("立案", "open", ("reported",), "opened", _DESK),
    "assign": Transition(
        "指派单位", "assign", ("reported", "opened", "dispatched", "handling"), None, _DESK, ("unit",)
    ),
    "dispatch": Transition(
        "派遣", "dispatch", ("opened", "dispatched"), "dispatched", (*_DESK, "system"), ("terminal?",)
    ),
    "accept": Transition("接单", "accept", ("dispatched",), "handling", (*_FIELD, "system")),
    "arrive": Transition("到达现场", "arrive", ("dispatched", "handling"), "handling", ("system",)),
    "feedback": Transition("反馈结果", "feed back", ("handling",), "fed_back", _FIELD, ("note",)),
    "return": Transition("退回重办", "return", ("fed_back",), "handling", _CHIEF, ("note",)),
    "verify": Transition("回访核实", "verify by call-back", ("fed_back",), "verified", _DESK, ("note",)),
    "close": Transition("结案", "close", ("verified",), "closed", _DESK, ("outcome",)),
    "void": Transition("作废", "void", _OPEN, "void", _DESK, ("note",)),
    "reopen": Transition("重新立案", "reopen", ("closed",), "opened", _CHIEF, ("note",)),
    "note": Transition("记录", "note", (*_OPEN, "closed", "void"), None, (*_DESK, "unit", "system"), ("note",)),
}

ACTION_NAMES: Final[dict[str, Sentence]] = {
    **{action: Sentence(row.zh, row.en) for action, row in TRANSITIONS.items()},
    "report": Sentence("上报", "report"),
    "raise": Sentence("预警立案", "opened from an alert"),
    "alert_acknowledged": Sentence("预警已确认", "alert acknowledged"),
    "alert_cleared": Sentence("预警已解除", "alert cleared"),
    "alert_reopened": Sentence("预警再次出现", "alert seen again"),
    "alert_void": Sentence("预警作废", "alert voided"),
    "nobody_near": Sentence("无可派终端", "no terminal to send"),
    "command_accepted": Sentence("终端已接受指令", "terminal accepted the command"),
    "command_refused": Sentence("终端拒绝指令", "terminal refused the command"),
}
"""What every action that an entry can have is called."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What goes with an action: a note, a unit's code, a terminal's device code, an outcome."""

    note: str = ""
    unit: str | None = None
    terminal: str | None = None
    outcome: str = ""


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
        Refused: no such action, not this role, not this unit's case, not from this status, or something is missing.
    """
    row = _permitted(case, action, actor)
    check_note(wish.note, needed="note" in row.needs)
    changed: dict[str, Any] = {"status": row.target or case.status}
    if action == "assign":
        changed["unit"] = _given(wish.unit, "指派须指定单位", "assigning needs a unit")
    elif action == "dispatch":
        changed["terminal"] = wish.terminal or case.terminal
        _check_dispatch(case, wish)
    elif action == "close":
        check_note(wish.outcome, needed=False)
        changed["outcome"] = _given(wish.outcome.strip(), "结案须填写处理结果", "closing needs an outcome")
    elif action == "reopen":
        changed.update(terminal=None, outcome="")
    changed["closed_at"] = now if row.target in FINAL else None if row.target else case.closed_at
    after = replace(case, **changed)
    return after if after == case else replace(after, version=case.version + 1)


def offers(case: Case, actor: Actor) -> list[Offer]:
    """What ``actor`` may do with ``case`` now, in the table's order."""
    found = []
    for action, row in TRANSITIONS.items():
        try:
            _permitted(case, action, actor)
        except Refused:
            continue
        found.append(Offer(action, row.zh, row.en, row.needs))
    return found


def recorded(case: Case) -> dict[str, Any]:
    """What entries record of a case: plain JSON, times as RFC 3339 in UTC. The timeline's ``set`` add up to this."""
    plain: dict[str, Any] = {}
    for item in fields(case):
        value = getattr(case, item.name)
        if isinstance(value, datetime):
            value = value.astimezone(UTC).isoformat(timespec="microseconds")
        elif isinstance(value, Sentence):
            value = {"zh": value.zh, "en": value.en}
        if item.name != "id":
            plain[item.name] = value
    return plain


def difference(before: Case, after: Case) -> dict[str, Any]:
    """What a step changed, as it is recorded."""
    old = recorded(before)
    return {name: value for name, value in recorded(after).items() if old[name] != value}


def stored(case: Case, case_id: int) -> Case:
    """The case with the id that the database gave it."""
    return replace(case, id=case_id)


def check_note(note: str, *, needed: bool) -> None:
    """Refuse a text that is missing, too long, or holds what no database text can."""
    if needed and not note.strip():
        raise Refused("missing", "请填写说明", "a note is needed")
    if len(note) > MOST_TEXT:
        raise Refused(
            "too_long", f"说明共 {len(note)} 字，最多 {MOST_TEXT} 字", f"{len(note)} characters, at most {MOST_TEXT}"
        )
    if "\x00" in note or any("\ud800" <= letter <= "\udfff" for letter in note):
        raise Refused("wrong_text", "说明含有无法保存的字符", "the text holds characters that cannot be stored")


def stale(case: Case, version: int, since: list[Entry]) -> Refused:
    """The refusal to act on what somebody saw before others changed it; ``since`` are the entries that did."""
    if not since:
        return Refused(
            "stale", "案件版本不符，请刷新后再操作", "this is not the version of the case: look again before you act"
        )
    names = [ACTION_NAMES.get(entry.action, Sentence(entry.action, entry.action)) for entry in since]
    zh = "；".join(f"{e.actor} {n.zh}" for e, n in zip(since, names, strict=True))
    en = "; ".join(f"{e.actor}: {n.en}" for e, n in zip(since, names, strict=True))
    status = STATUS_NAMES[case.status]
    return Refused(
        "stale",
        f"案件在您查看之后已有变化（{zh}），现为“{status.zh}”，请按最新情况处理",
        f"the case has changed since you saw it ({en}) and is now {status.en}: look again before you act",
    )


def _permitted(case: Case, action: str, actor: Actor) -> Transition:
    row = TRANSITIONS.get(action)
    if row is None:
        raise Refused("no_such_action", f"没有“{action}”这个操作", f"there is no action {action!r}")
    if actor.role not in row.roles:
        role, may = ROLE_NAMES[actor.role], [ROLE_NAMES[r] for r in row.roles]
        zh, en = "、".join(r.zh for r in may), ", ".join(r.en for r in may)
        raise Refused(
            "role", f"{role.zh}不能{row.zh}，须由{zh}操作", f"the role {role.en} may not {row.en}; this is for: {en}"
        )
    if actor.role == "unit" and (actor.unit is None or actor.unit != case.unit):
        raise Refused("other_unit", "案件不归本单位办理", "the case does not belong to your unit")
    if case.status not in row.sources:
        status, expected = STATUS_NAMES[case.status], [STATUS_NAMES[s] for s in row.sources]
        zh, en = "、".join(s.zh for s in expected), ", ".join(s.en for s in expected)
        raise Refused(
            "state",
            f"案件当前{status.zh}，只有{zh}的案件才能{row.zh}",
            f"the case is {status.en}; to {row.en} it must be: {en}",
        )
    return row


def _check_dispatch(case: Case, wish: Wish) -> None:
    if case.status == "dispatched" and not wish.terminal:
        raise Refused(
            "missing", "案件已派遣，改派须指定终端", "it is dispatched already: to send another, name a terminal"
        )
    if wish.terminal and (case.lon is None or case.lat is None):
        raise Refused("no_place", "案件没有位置，无法派遣终端", "the case has no place to send a terminal to")
    if case.unit is None and not wish.terminal:
        raise Refused(
            "missing", "权属不清：请先指派单位，或指定终端", "ownership is unclear: assign a unit or name a terminal"
        )


def _given(value: str | None, zh: str, en: str) -> str:
    if not value:
        raise Refused("missing", zh, en)
    return value
