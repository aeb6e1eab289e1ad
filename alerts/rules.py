"""A rule: which detector runs with which thresholds, and what becomes of what it finds. Rules are data."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import msgspec

from alerts.deadline import DeadlineError, parse_deadline
from alerts.severity import SEVERITIES as SEVERITIES
from alerts.severity import Rise, WrongRise
from alerts.severity import Severity as Severity
from detectors import DETECTORS
from detectors.base import Detector
from detectors.thresholds import WrongThreshold

Same = Literal["site", "area", "share", "zone", "subject"]
Group = Literal["none", "zone", "grid", "community", "street", "district", "site"]

_CODE: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")  # never "|": it separates the parts of a fingerprint
_FIELDS: Final = (re.compile(r"`\$\.(\w+)"), re.compile(r"field `(\w+)`"))  # where msgspec's messages name the field
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Inhibitor:
    """While an alert of ``rule`` (and of ``subject``, where one is named) goes on, those it reaches are not told.

    It reaches those of the ``same`` subject, zone, share of devices, area (and those below), or the whole site.
    """

    rule: str
    same: Same
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the rules file. Durations are seconds of event time."""

    code: str  # unique, e.g. "fishing_ban"
    name: str
    name_en: str
    detector: str  # Detector.kind
    severity: Severity
    category: str  # the kind of event in the duty matrix
    settings: Mapping[str, Any] = field(default_factory=dict)  # the detector's own fields
    open_case: bool = True
    deadline: str = ""  # time to close: "30m", "4h", "4wh", "2wd"; "": that of the kind and severity
    dispatch: Literal["none", "nearest"] = "none"  # send the nearest fit patrol at once
    live_within: float = 600.0  # an older finding is history: recorded, never alerted as now
    clear_after: float = 300.0  # cleared after so long without a finding; closer findings are one episode
    escalate: tuple[Rise, ...] = ()  # when the severity rises
    inhibited_by: tuple[Inhibitor, ...] = ()  # what makes its alerts superfluous
    group: Group = "none"  # alerts in one zone, or in one area of this level, that follow closely are one group
    group_within: float = 600.0  # at most so many seconds of event time between two of them
    group_case: bool = False  # one case for the group instead of one for each alert
    active: bool = True

    @property
    def calls_for_help(self) -> bool:
        """Whether each finding is a person's call that must be told: never kept silent, nor left to another's case."""
        return self.detector == "sos" and self.severity == "high"


class RuleError(ValueError):
    """A rule that cannot be used: names the rule, the field, its value and what was expected; ``zh`` says the same in
    Chinese, wherever the problem has been put so."""

    def __init__(self, rule: str, field: str, value: object, problem: str, problem_zh: str = "") -> None:
        super().__init__(f"rule {rule!r}, {field} = {value!r}: {problem}")
        self.rule, self.field, self.value, self.problem = rule, field, value, problem
        self.zh = f"规则 {rule!r}，{field} = {value!r}：{problem_zh or problem}"


def rule_from(row: Mapping[str, Any]) -> Rule:
    """The rule in one row of a file or of the database.

    Raises:
        RuleError: a field is missing, unknown, of the wrong type or out of range.
    """
    code = str(row.get("code", "?"))
    for name, kind in (("escalate", Rise), ("inhibited_by", Inhibitor)):
        _check_names(row.get(name), kind, code, name)
    rule = _convert(row, Rule, code, "")
    if not _CODE.fullmatch(rule.code):
        raise RuleError(code, "code", rule.code, "expected a small letter, then at most 39 of a-z, 0-9, _ and -")
    for name in ("name", "name_en", "detector", "category"):
        if not getattr(rule, name).strip():
            raise RuleError(code, name, getattr(rule, name), "must not be empty")
    if not (math.isfinite(rule.live_within) and rule.live_within > 0):
        raise RuleError(code, "live_within", rule.live_within, "expected seconds above 0")
    if not (math.isfinite(rule.clear_after) and rule.clear_after >= 0):
        raise RuleError(code, "clear_after", rule.clear_after, "expected seconds, 0 or more")
    if not (math.isfinite(rule.group_within) and rule.group_within > 0):
        raise RuleError(code, "group_within", rule.group_within, "expected seconds above 0")
    try:
        if rule.deadline:
            parse_deadline(rule.deadline)
    except DeadlineError as error:
        raise RuleError(code, "deadline", rule.deadline, error.problem) from error
    _check_told(rule)
    return rule


def _check_told(rule: Rule) -> None:
    """What decides whether and how an alert is told must be able to have an effect."""
    for step in rule.escalate:
        if SEVERITIES.index(step.to) <= SEVERITIES.index(rule.severity):
            raise RuleError(
                rule.code, "escalate.to", step.to, f"expected a severity above the rule's {rule.severity!r}"
            )
    if rule.group_case and rule.group == "none":
        raise RuleError(rule.code, "group_case", True, "one case for a group needs `group`")
    if rule.group_case and rule.calls_for_help:
        raise RuleError(
            rule.code, "group_case", True, "each call for help is sent to by itself, so each has its own case"
        )
    for inhibitor in rule.inhibited_by:
        if rule.calls_for_help:
            raise RuleError(rule.code, "inhibited_by.rule", inhibitor.rule, "a call for help is never kept silent")
        if inhibitor.rule == rule.code and not inhibitor.subject:
            raise RuleError(
                rule.code, "inhibited_by.rule", rule.code, "by its own rule only with a `subject`, e.g. 'feed'"
            )


def check_together(rules: Iterable[Rule]) -> None:
    """Raise RuleError where ``inhibited_by`` names no rule of these, or rules keep each other silent in a circle."""
    by_code = {rule.code: rule for rule in rules}
    for rule in by_code.values():
        for inhibitor in rule.inhibited_by:
            if inhibitor.rule not in by_code:
                known = ", ".join(sorted(by_code))
                raise RuleError(rule.code, "inhibited_by.rule", inhibitor.rule, f"no such rule; there are {known}")
    for rule in by_code.values():
        reached, ahead = set[str](), [i.rule for i in rule.inhibited_by if i.rule != rule.code]
        while ahead:
            code = ahead.pop()
            if code == rule.code:
                raise RuleError(rule.code, "inhibited_by.rule", code, "these rules keep each other silent in a circle")
            if code not in reached:
                reached.add(code)
                ahead += [i.rule for i in by_code[code].inhibited_by if i.rule != code]


def rule_to(rule: Rule) -> dict[str, Any]:
    """The row of a rule, of plain JSON values, every field written out; ``rule_from`` gives the same rule back."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(rule))  # lists, where the rule has tuples
    return plain


def build_detector(rule: Rule) -> Detector[Any]:
    """The rule's detector with the rule's thresholds.

    Raises:
        RuleError: there is no such detector, or a setting is unknown, missing, of the wrong type or refused by it.
    """
    kind = DETECTORS.get(rule.detector)
    if kind is None:
        raise RuleError(rule.code, "detector", rule.detector, f"expected one of {', '.join(sorted(DETECTORS))}")
    built: Detector[Any] = _convert(rule.settings, kind, rule.code, "settings.")
    return built


def _check_names(rows: object, kind: type, rule: str, name: str) -> None:
    """No misspelt field in a list of tables is ignored; what is no such list is refused elsewhere."""
    known = [f.name for f in dataclasses.fields(kind)]
    for row in rows if isinstance(rows, list | tuple) else ():
        for key, value in row.items() if isinstance(row, Mapping) else ():
            if key not in known:
                raise RuleError(rule, f"{name}.{key}", value, f"no such field; there are {', '.join(known)}")


def _convert(row: Mapping[str, Any], into: type[_T], rule: str, prefix: str) -> _T:
    """A dataclass from plain values, each checked against its field's type; nothing unknown is let through."""
    known = [f.name for f in dataclasses.fields(into) if f.init]  # type: ignore[arg-type]
    for name, value in row.items():
        if name not in known:
            raise RuleError(rule, prefix + name, value, f"no such field; there are {', '.join(known)}")
    try:
        return msgspec.convert(dict(row), into)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        if isinstance(cause, WrongRise):
            raise RuleError(rule, f"escalate.{cause.field}", cause.value, f"expected {cause.expected}") from error
        if isinstance(cause, WrongThreshold):
            expected = f"expected {cause.expected}", f"应为{cause.expected_zh}"
            raise RuleError(rule, prefix + cause.field, cause.value, *expected) from error
        matches = (pattern.search(str(error)) for pattern in _FIELDS)
        name = next((match[1] for match in matches if match), "?")
        raise RuleError(rule, prefix + name, row.get(name), str(error).split(" - at ")[0]) from error
