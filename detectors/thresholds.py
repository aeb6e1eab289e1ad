"""Checks of a detector's thresholds, with errors that name the field and its value."""

from __future__ import annotations

import math
from typing import Any


class WrongThreshold(ValueError):
    """A threshold that a detector cannot work with; what is ``expected`` is said in Chinese too (``expected_zh``)."""

    def __init__(self, detector: object, field: str, value: object, expected: str, expected_zh: str) -> None:
        kind = getattr(detector, "kind", type(detector).__name__)
        super().__init__(f"{kind}.{field} = {value!r}: expected {expected}")
        self.field, self.value, self.expected, self.expected_zh = field, value, expected, expected_zh


def check_above(detector: object, least: float, *fields: str) -> None:
    """Each field is a finite number above ``least``.

    Raises:
        WrongThreshold: the first that is not.
    """
    expected = f"a number above {least:g}", f"大于{least:g}的数"
    for field, value in _numbers(detector, fields, *expected):
        if not value > least:
            raise WrongThreshold(detector, field, value, *expected)


def check_from(detector: object, least: float, *fields: str) -> None:
    """Each field is a finite number, ``least`` or more.

    Raises:
        WrongThreshold: the first that is not.
    """
    expected = f"a number from {least:g}", f"不小于{least:g}的数"
    for field, value in _numbers(detector, fields, *expected):
        if not value >= least:
            raise WrongThreshold(detector, field, value, *expected)


def check_order(detector: object, smaller: str, larger: str) -> None:
    """One field is not larger than another.

    Raises:
        WrongThreshold: it is; the smaller one is named.
    """
    low, high = getattr(detector, smaller), getattr(detector, larger)
    if low > high:
        raise WrongThreshold(detector, smaller, low, f"at most {larger} = {high!r}", f"不大于 {larger} = {high!r}")


def words(detector: object, field: str, *, least: int = 1) -> None:
    """The field holds non-empty words, at least so many; a list becomes a tuple.

    Raises:
        WrongThreshold: it does not.
    """
    value = getattr(detector, field)
    plain = not isinstance(value, str) and isinstance(value, list | tuple)
    if not plain or len(value) < least or not all(isinstance(word, str) and word for word in value):
        expected = (f"{least} or more words", f"至少{least}个词") if least else ("words", "若干个词")
        raise WrongThreshold(detector, field, value, *expected)
    object.__setattr__(detector, field, tuple(value))


def _numbers(detector: object, fields: tuple[str, ...], *expected: str) -> list[tuple[str, Any]]:
    found = []
    for field in fields:
        value = getattr(detector, field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise WrongThreshold(detector, field, value, *expected)
        found.append((field, value))
    return found
