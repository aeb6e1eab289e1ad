"""Kinds of event (事项): their names, usual severity, how long each may take, and when who is told. Data. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from alerts.deadline import DeadlineError, parse_deadline
from alerts.rules import SEVERITIES, Severity
from detectors.base import Sentence

ANY: Final = "*"
"""The code that stands for every kind that has no line of its own."""
USUAL_DEADLINES: Final[dict[Severity, str]] = {"high": "4h", "medium": "1wd", "low": "2wd"}
"""Where neither the rule nor the kind says otherwise."""
AT_ONCE: Final = "0h"
COLUMNS: Final = (
    *("code", "name", "name_en", "severity", "high", "medium", "low", "remind", "supervise"),
    *("ownership", "callback"),
)
MOST_CODE: Final = 60  # characters
_NONE: Final = "-"  # in a cell: none of them, not even the usual ones
_MOST_REMINDERS: Final = 5
_PERCENT: Final = re.compile(r"[1-9][0-9]?")

DeadlineBy = Literal["rule", "category", "severity"]


class WrongCategory(ValueError):
    """A line of kinds that cannot be used: its column, the value, and why in both languages."""

    def __init__(self, column: str, value: str, zh: str, en: str) -> None:
        super().__init__(f"{column} = {value!r}: {en}")
        self.column, self.value, self.zh, self.en = column, value, zh, en


@dataclass(frozen=True, slots=True)
class Plan:
    """When a case's unit is reminded, and what follows when it is late.

    ``remind`` are percents of the time allowed, rising. ``supervise`` are up to three deadlines: from overdue to the
    urging, from the urging to the letter, from the letter to the second; a step that is missing is taken only by hand.
    ``ownership`` is how long it may be unclear whose a case is, ``callback`` how long what was fed back may wait for
    the call-back, and what was verified for its close, before those who supervise the desk are reminded.
    """

    remind: tuple[int, ...] = (50, 80)
    supervise: tuple[str, ...] = (AT_ONCE, "1wd", "2wd")
    ownership: str = "4wh"
    callback: str = "1wd"


@dataclass(frozen=True, slots=True)
class Category:
    """One kind. What is None is that of the kind "*", or the usual."""

    code: str
    name: str
    name_en: str
    severity: Severity = "medium"
    deadlines: Mapping[Severity, str] = field(default_factory=dict)
    remind: tuple[int, ...] | None = None
    supervise: tuple[str, ...] | None = None
    ownership: str | None = None
    callback: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """How long something may take, and what says so."""

    deadline: str
    by: DeadlineBy


class Categories:
    """The site's kinds. Immutable; with none given nothing is checked against them and the usual holds."""

    def __init__(self, kinds: Iterable[Category] = ()) -> None:
        self.kinds = {kind.code: kind for kind in kinds}

    def __contains__(self, code: object) -> bool:
        return code in self.kinds

    def __bool__(self) -> bool:
        return bool(self.kinds)

    def limit(self, code: str, severity: Severity, own: str = "") -> Limit:
        """The deadline: a rule's ``own``, else that of the kind and severity, else the usual of the severity."""
        if own:
            return Limit(own, "rule")
        for kind in self._lines(code):
            if deadline := kind.deadlines.get(severity):
                return Limit(deadline, "category")
        return Limit(USUAL_DEADLINES[severity], "severity")

    def plan(self, code: str) -> Plan:
        """The kind's reminders, its steps of supervision, and how long the desk may take."""
        usual, lines = Plan(), self._lines(code)
        remind = next((kind.remind for kind in lines if kind.remind is not None), usual.remind)
        supervise = next((kind.supervise for kind in lines if kind.supervise is not None), usual.supervise)
        ownership = next((kind.ownership for kind in lines if kind.ownership is not None), usual.ownership)
        callback = next((kind.callback for kind in lines if kind.callback is not None), usual.callback)
        return Plan(remind, supervise, ownership, callback)

    def name(self, code: str) -> Sentence:
        """What people call the kind; its code where it has no line."""
        kind = self.kinds.get(code)
        return Sentence(kind.name, kind.name_en) if kind else Sentence(code, code)

    def _lines(self, code: str) -> list[Category]:
        return [self.kinds[each] for each in (code, ANY) if each in self.kinds]


def category_from(cells: Mapping[str, str]) -> Category:
    """The kind in one line of a table; cells that are missing are empty.

    Raises:
        WrongCategory: a cell cannot be used.
    """
    given = {column: cells.get(column, "").strip() for column in COLUMNS}
    for column in ("code", "name", "name_en"):
        if not given[column]:
            raise WrongCategory(column, "", "不能为空", "is empty")
    if len(given["code"]) > MOST_CODE:
        raise WrongCategory("code", given["code"], f"最多 {MOST_CODE} 字", f"at most {MOST_CODE} characters")
    severity = given["severity"] or "medium"
    if severity not in SEVERITIES:
        raise WrongCategory("severity", severity, "应为 low、medium 或 high", "expected low, medium or high")
    return Category(
        code=given["code"],
        name=given["name"],
        name_en=given["name_en"],
        severity=severity,
        deadlines={grade: _deadline(grade, given[grade]) for grade in SEVERITIES if given[grade]},
        remind=_remind(given["remind"]),
        supervise=_supervise(given["supervise"]),
        ownership=_deadline("ownership", given["ownership"]) if given["ownership"] else None,
        callback=_deadline("callback", given["callback"]) if given["callback"] else None,
    )


def category_to(kind: Category) -> dict[str, str]:
    """The cells of a kind; :func:`category_from` gives the same kind back."""
    return {
        "code": kind.code,
        "name": kind.name,
        "name_en": kind.name_en,
        "severity": kind.severity,
        **{grade: kind.deadlines.get(grade, "") for grade in SEVERITIES[::-1]},
        "remind": "" if kind.remind is None else " ".join(map(str, kind.remind)) or _NONE,
        "supervise": "" if kind.supervise is None else " ".join(kind.supervise) or _NONE,
        "ownership": kind.ownership or "",
        "callback": kind.callback or "",
    }


def _deadline(column: str, text: str) -> str:
    try:
        parse_deadline(text)
    except DeadlineError as error:
        zh = "应为“30m”（分钟）、“4h”（小时）、“4wh”（工作小时）或“2wd”（工作日），最长一年"
        raise WrongCategory(column, text, zh, error.problem) from error
    return text


def _remind(text: str) -> tuple[int, ...] | None:
    if not text:
        return None
    words = [] if text == _NONE else text.split()
    percents = [int(word) for word in words if _PERCENT.fullmatch(word)]
    if len(percents) < len(words) or percents != sorted(set(percents)) or len(percents) > _MOST_REMINDERS:
        zh = f"应为由小到大的百分数，如“50 80”，最多 {_MOST_REMINDERS} 个；“-”表示不提醒"
        en = f'expected rising percents from 1 to 99 like "50 80", at most {_MOST_REMINDERS}; "-" for none'
        raise WrongCategory("remind", text, zh, en)
    return tuple(percents)


def _supervise(text: str) -> tuple[str, ...] | None:
    if not text:
        return None
    words = [] if text == _NONE else text.split()
    if len(words) > 3:
        zh = "最多三个时限：逾期至催办、催办至督办函、督办函至二次督办函，如“0h 1wd 2wd”"
        en = 'at most three: from overdue to urging, to the letter, to the second letter, like "0h 1wd 2wd"'
        raise WrongCategory("supervise", text, zh, en)
    return tuple(word if word == AT_ONCE else _deadline("supervise", word) for word in words)
