"""The grades of severity, and when an alert's rises: with time unacknowledged, with count, at night."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final, Literal

from devices.site import CHINA

Severity = Literal["low", "medium", "high"]  # the three grades of risk that the centres use
SEVERITIES: Final[tuple[Severity, ...]] = ("low", "medium", "high")

NIGHT_FROM, NIGHT_TO = time(22), time(6)
"""Site time. What the law on noise calls night (中华人民共和国噪声污染防治法, article 88)."""
_FORM: Final = re.compile(r"([1-9][0-9]{0,4})(s|m|h)")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


class WrongRise(ValueError):
    """A step of severity that means nothing: names its field, the value and what was expected."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(f"{field} = {value!r}: expected {expected}")
        self.field, self.value, self.expected = field, value, expected


@dataclass(frozen=True, slots=True)
class Rise:
    """One step: to ``to`` when everything that it names holds, at least one of ``after``, ``count`` and ``night``."""

    to: Severity
    after: str = ""  # "10m": open for so long without being acknowledged
    count: int = 0  # findings in it
    night: bool = False  # between NIGHT_FROM and NIGHT_TO

    def __post_init__(self) -> None:
        if self.after and not _FORM.fullmatch(self.after):
            raise WrongRise("after", self.after, 'seconds "30s", minutes "10m" or hours "2h"')
        if self.count < 0:
            raise WrongRise("count", self.count, "a number of findings, 1 or more")
        if not (self.after or self.count or self.night):
            raise WrongRise("to", self.to, "also a reason to rise: after, count or night")

    @property
    def wait(self) -> timedelta:
        """``after`` as a length of time; none when it is not given."""
        match = _FORM.fullmatch(self.after)
        return timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else timedelta(0)


def at_night(now: datetime) -> bool:
    """Whether it is night at the site.

    >>> from datetime import UTC
    >>> at_night(datetime(2026, 11, 22, 14, 0, tzinfo=UTC)), at_night(datetime(2026, 11, 22, 22, 0, tzinfo=UTC))
    (True, False)
    """
    clock = now.astimezone(CHINA).time()
    return clock >= NIGHT_FROM or clock < NIGHT_TO


def risen(
    severity: Severity, steps: Iterable[Rise], *, state: str, count: int, armed_at: datetime, now: datetime
) -> tuple[Severity, Rise | None]:
    """What the severity of an alert is now, and the step that made it rise; None when it stays.

    It never falls, so each step counts once for an alert, however often this is asked. ``after`` counts from
    ``armed_at``, when the alert last began to wait for somebody, and only while it is open.
    """
    if state not in ("open", "acknowledged"):
        return severity, None
    reached: Rise | None = None
    best = SEVERITIES.index(severity)
    for step in steps:
        holds = (
            (not step.after or (state == "open" and now - armed_at >= step.wait))
            and count >= step.count
            and (not step.night or at_night(now))
        )
        if holds and SEVERITIES.index(step.to) > best:
            best, reached = SEVERITIES.index(step.to), step
    return SEVERITIES[best], reached
