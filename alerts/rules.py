"""A rule: which detector runs with which thresholds, and what becomes of what it finds. Rules are data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["low", "medium", "high"]  # the three grades of risk that the centres use
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")


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
