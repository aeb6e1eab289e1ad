"""The transition table of cases and the words of it: who may do what, from which status. Pure.

A rule opens a case as ``opened``; a person's report begins as ``reported``. From there it is
opened → dispatched → handling → fed_back → verified → closed, and nothing is closed that was not fed back and verified.
What a row cannot say (a part that is undone, an overdue case without a reason) is in :mod:`alerts.guards`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from detectors.base import Sentence

Status = Literal["reported", "opened", "dispatched", "handling", "fed_back", "verified", "closed", "void", "merged"]
Role = Literal["viewer", "operator", "unit", "supervisor", "admin", "grid", "system"]
Need = Literal[
    "note",
    "note?",
    "unit",
    "units",
    "terminal",
    "terminal?",
    "outcome",
    "until",
    "until?",
    "into",
    "resolution?",
    "participants",
]
"""What an action takes, as the fields of a ``Wish``; with a question mark it may be left out."""
Whose = Literal["owner", "part", "either"]

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
FINAL: Final[frozenset[Status]] = frozenset({"closed", "void", "merged"})
OPEN: Final[tuple[Status, ...]] = tuple(s for s in STATUSES if s not in FINAL)
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
    "grid": Sentence("网格员", "grid worker"),
    "system": Sentence("系统", "system"),
}


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table. ``target`` None leaves the status as it is (a split gives back the one before).

    ``whose`` says to which units the role "unit" is limited: the case's own, those called to it with a part, or either.
    """

    zh: str
    en: str
    sources: tuple[Status, ...]
    target: Status | None
    roles: tuple[Role, ...]
    needs: tuple[Need, ...] = ()
    whose: Whose = "owner"


_WORKED_ON: Final[tuple[Status, ...]] = ("dispatched", "handling")
_BEING_DONE: Final[tuple[Status, ...]] = ("opened", *_WORKED_ON)
_BEFORE_FEEDBACK: Final[tuple[Status, ...]] = ("reported", *_BEING_DONE)
_DESK: Final[tuple[Role, ...]] = ("operator", "supervisor", "admin")
_FIELD: Final[tuple[Role, ...]] = ("unit", "supervisor", "admin")
_CHIEF: Final[tuple[Role, ...]] = ("supervisor", "admin")

TRANSITIONS: Final[dict[str, Transition]] = {
    "open": Transition("立案", "open", ("reported",), "opened", _DESK),
    "assign": Transition("指派单位", "assign", _BEFORE_FEEDBACK, None, _DESK, ("unit",)),
    "decide_owner": Transition(
        "联合认定责任单位", "decide the owner", _BEFORE_FEEDBACK, None, _CHIEF, ("unit", "participants", "note")
    ),
    "dispatch": Transition(
        "派遣", "dispatch", ("opened", "dispatched"), "dispatched", (*_DESK, "system"), ("terminal?",)
    ),
    "reoffer": Transition("改派下一终端", "offer to the next", ("dispatched",), None, ("system",), ("terminal",)),
    "nobody_near": Transition("无可派终端", "find no terminal to send", ("opened", "dispatched"), None, ("system",)),
    "accept": Transition("接单", "accept", ("dispatched",), "handling", (*_FIELD, "system")),
    "arrive": Transition("到达现场", "arrive", _WORKED_ON, "handling", ("system",)),
    "decline": Transition("退单", "decline", _WORKED_ON, "opened", ("unit",), ("note",)),
    "transfer": Transition("转办", "transfer", _WORKED_ON, "dispatched", ("unit", *_DESK), ("unit", "note")),
    "whistle": Transition("吹哨", "whistle for units", _BEING_DONE, None, _DESK, ("units", "note")),
    "check_in": Transition("报到", "check in", _BEING_DONE, None, ("unit",), whose="part"),
    "part_done": Transition("分工办结", "finish the part", _BEING_DONE, None, ("unit",), ("note",), whose="part"),
    "withdraw_part": Transition("撤回分工", "withdraw a part", _BEING_DONE, None, _DESK, ("unit", "note")),
    "feedback": Transition(  # of what is only reported: by the grid worker who saw it and solved it on the spot
        "反馈结果", "feed back", ("reported", "handling"), "fed_back", (*_FIELD, "grid"), ("note", "resolution?")
    ),
    "return": Transition("退回重办", "return", ("fed_back",), "handling", _CHIEF, ("note",)),
    "verify": Transition("回访核实", "verify by call-back", ("fed_back",), "verified", _DESK, ("note",)),
    "close": Transition("结案", "close", ("verified",), "closed", _DESK, ("outcome",)),
    "ask_extension": Transition("申请延期", "ask for an extension", OPEN, None, ("unit", *_DESK), ("until", "note")),
    "grant_extension": Transition("同意延期", "grant the extension", OPEN, None, _CHIEF, ("until?", "note?")),
    "refuse_extension": Transition("不同意延期", "refuse the extension", OPEN, None, _CHIEF, ("note",)),
    "explain_overdue": Transition("说明逾期原因", "explain why it is overdue", OPEN, None, ("unit", *_DESK), ("note",)),
    "urge": Transition("催办", "urge", OPEN, None, (*_CHIEF, "system"), ("note",)),
    "letter": Transition("督办函", "send a supervision letter", OPEN, None, (*_CHIEF, "system"), ("note",)),
    "second_letter": Transition("二次督办函", "send a second letter", OPEN, None, (*_CHIEF, "system"), ("note",)),
    "merge": Transition("并案", "merge", OPEN, "merged", _DESK, ("into", "note")),
    "split": Transition("拆案", "split", ("merged",), None, _DESK, ("note",)),
    "void": Transition("作废", "void", OPEN, "void", _DESK, ("note",)),
    "reopen": Transition("重新立案", "reopen", ("closed",), "opened", (*_CHIEF, "system"), ("note", "until?")),
    "note": Transition(
        *("记录", "note", (*OPEN, "closed", "void"), None, (*_DESK, "unit", "grid", "system"), ("note",)),
        whose="either",
    ),
}

ACTION_NAMES: Final[dict[str, Sentence]] = {
    **{action: Sentence(row.zh, row.en) for action, row in TRANSITIONS.items()},
    "report": Sentence("上报", "report"),
    "reported_again": Sentence("重复上报", "reported again"),
    "exported": Sentence("导出卷宗", "case file exported"),
    "case_joined": Sentence("有事件并入", "another case merged into it"),
    "case_left": Sentence("并入的事件已拆出", "a merged case split off again"),
    "raise": Sentence("预警立案", "opened from an alert"),
    "alert_acknowledged": Sentence("预警已确认", "alert acknowledged"),
    "alert_cleared": Sentence("预警已解除", "alert cleared"),
    "alert_reopened": Sentence("预警再次出现", "alert seen again"),
    "alert_void": Sentence("预警作废", "alert voided"),
    "alert_ended": Sentence("预警结束", "alert ended"),
    "alert_escalated": Sentence("预警升级", "alert's severity rose"),
    "alert_joined": Sentence("同组预警并入", "another alert of the group"),
    "alert_merged": Sentence("预警合并", "alert merged with another"),
    "alert_suppressed": Sentence("预警转为静默", "alert silenced"),
    "alert_released": Sentence("预警静默结束", "alert no longer silenced"),
    "remind": Sentence("到期提醒", "reminded of the deadline"),
    "overdue": Sentence("已逾期", "overdue"),
    "ownership_reminder": Sentence("权属待认定提醒", "reminded that ownership is unclear"),
    "callback_reminder": Sentence("回访结案提醒", "reminded of the call-back"),
    "command_accepted": Sentence("终端已接受指令", "terminal accepted the command"),
    "recall": Sentence("召回终端", "terminal called back"),
    "command_refused": Sentence("终端拒绝指令", "terminal refused the command"),
}
"""What every action that an entry can have is called."""
