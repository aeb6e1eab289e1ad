"""A rule: which detector runs with which thresholds, and what becomes of what it finds. Rules are data."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import msgspec

from alerts.deadline import DeadlineError, parse_deadline
from detectors import DETECTORS
from detectors.base import Detector
from detectors.thresholds import WrongThreshold

Severity = Literal["low", "medium", "high"]  # the three grades of risk that the centres use
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")

_CODE: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")  # never "|": it separates the parts of a fingerprint
_FIELD: Final = re.compile(r"`\$\.(\w+)|field `(\w+)`")  # where msgspec's messages name the field
_T = TypeVar("_T")


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
    deadline: str = "4h"  # time to close: "30m", "4h", or working days "2wd"
    dispatch: Literal["none", "nearest"] = "none"  # send the nearest fit patrol at once
    live_within: float = 600.0  # an older finding is history: recorded, never alerted as now
    clear_after: float = 300.0  # cleared after so long without a finding; closer findings are one episode
    active: bool = True


class RuleError(ValueError):
    """A rule that cannot be used: names the rule, the field, its value and what was expected."""

    def __init__(self, rule: str, field: str, value: object, problem: str) -> None:
        super().__init__(f"rule {rule!r}, {field} = {value!r}: {problem}")
        self.rule, self.field, self.value, self.problem = rule, field, value, problem


def rule_from(row: Mapping[str, Any]) -> Rule:
    """The rule in one row of a file or of the database.

    Raises:
        RuleError: a field is missing, unknown, of the wrong type or out of range.
    """
    code = str(row.get("code", "?"))
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
    try:
        parse_deadline(rule.deadline)
    except DeadlineError as error:
        raise RuleError(code, "deadline", rule.deadline, error.problem) from error
    return rule


def rule_to(rule: Rule) -> dict[str, Any]:
    """The row of a rule, of plain JSON values, every field written out; ``rule_from`` gives the same rule back."""
    plain: dict[str, Any] = msgspec.to_builtins(rule)
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
        if isinstance(cause, WrongThreshold):
            raise RuleError(rule, prefix + cause.field, cause.value, f"expected {cause.expected}") from error
        match = _FIELD.search(str(error))
        name = next((found for found in match.groups() if found), "?") if match else "?"
        raise RuleError(rule, prefix + name, row.get(name), str(error).split(" - at ")[0]) from error
