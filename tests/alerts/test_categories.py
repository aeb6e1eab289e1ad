"""Kinds of event as lines of a table, and which deadline and plan they give."""

from __future__ import annotations

import pytest

from alerts.categories import Categories, Category, Limit, Plan, WrongCategory, category_from, category_to
from detectors.base import Sentence

MANHOLE = {
    "code": "manhole",
    "name": "井盖破损",
    "name_en": "Broken manhole cover",
    "severity": "high",
    "high": "2h",
    "medium": "2wd",
    "remind": "30 60 90",
    "supervise": "0h 4wh",
    "callback": "2h",
}
ANY = {"code": "*", "name": "其他", "name_en": "Others", "low": "5wd", "remind": "-", "ownership": "1wd"}
KINDS = Categories([category_from(MANHOLE), category_from(ANY)])


@pytest.mark.parametrize(
    ("code", "severity", "own", "limit"),
    [
        ("manhole", "high", "30m", Limit("30m", "rule")),
        ("manhole", "high", "", Limit("2h", "category")),
        ("manhole", "low", "", Limit("5wd", "category")),
        ("noise", "low", "", Limit("5wd", "category")),
        ("noise", "high", "", Limit("4h", "severity")),
    ],
)
def test_the_rules_own_deadline_wins_then_the_kinds_then_the_usual(
    code: str, severity: str, own: str, limit: Limit
) -> None:
    assert KINDS.limit(code, severity, own) == limit  # type: ignore[arg-type]


def test_plans_fall_back_column_by_column() -> None:
    assert KINDS.plan("manhole") == Plan((30, 60, 90), ("0h", "4wh"), "1wd", "2h")
    assert KINDS.plan("noise") == Plan((), ("0h", "1wd", "2wd"), "1wd", "1wd")
    assert Categories().plan("noise") == Plan((50, 80), ("0h", "1wd", "2wd"), "4wh", "1wd")
    assert KINDS.name("manhole") == Sentence("井盖破损", "Broken manhole cover")
    assert KINDS.name("noise") == Sentence("noise", "noise")


@pytest.mark.parametrize("cells", [MANHOLE, ANY, {**ANY, "supervise": "-"}])
def test_a_line_comes_back_as_it_was(cells: dict[str, str]) -> None:
    kind = category_from(cells)
    assert category_from(category_to(kind)) == kind
    assert isinstance(kind, Category)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("code", ""),
        ("name", " "),
        ("code", "x" * 61),
        ("severity", "dreadful"),
        ("high", "2 days"),
        ("low", "999wd"),
        ("remind", "80 50"),
        ("remind", "50 50"),
        ("remind", "100"),
        ("remind", "10 20 30 40 50 60"),
        ("supervise", "0h 1wd 2wd 3wd"),
        ("supervise", "soon"),
        ("ownership", "0h"),
        ("callback", "-"),
    ],
)
def test_what_cannot_be_used_is_named(column: str, value: str) -> None:
    with pytest.raises(WrongCategory) as error:
        category_from({**MANHOLE, column: value})
    assert error.value.column == column
    assert error.value.value == value.strip()
    assert error.value.zh
    assert error.value.en.isascii()
