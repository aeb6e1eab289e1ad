"""The duty matrix: who is responsible, up the tree, and what is wrong with it."""

from __future__ import annotations

import pytest

from alerts.duty import DutyMatrix
from devices.registry import Registry
from devices.site import Area, Site, Unit

DISTRICT, STREET, OTHER, VILLAGE = "320118000000", "320118100000", "320118101000", "320118100001"
GRID = f"{VILLAGE}-01"
SITE = Site(
    [
        Area(DISTRICT, "区", "District", "district"),
        Area(STREET, "街道", "Street", "street", DISTRICT),
        Area(OTHER, "镇", "Town", "street", DISTRICT),
        Area(VILLAGE, "村", "Village", "community", STREET),
        Area(GRID, "网格", "Grid", "grid", VILLAGE),
    ],
    [],
    [Unit(code, code, code, DISTRICT) for code in ("fishery", "police", "village", "anyone")],
    Registry([]),
)
MATRIX = DutyMatrix(
    [
        ("fishing", DISTRICT, "fishery"),
        ("fishing", VILLAGE, "village"),
        ("crowd", OTHER, "police"),
        ("*", STREET, "anyone"),
        ("smoke", STREET, "nobody"),
    ]
)


@pytest.mark.parametrize(
    ("category", "area", "unit"),
    [
        ("fishing", GRID, "village"),
        ("fishing", VILLAGE, "village"),
        ("fishing", STREET, "fishery"),
        ("fishing", OTHER, "fishery"),
        ("crowd", OTHER, "police"),
        ("crowd", STREET, "anyone"),
        ("crowd", DISTRICT, None),
        ("smoke", GRID, "anyone"),  # the row names a unit that does not exist: it is as if it were not there
        ("noise", GRID, "anyone"),
        ("noise", OTHER, None),
        ("fishing", None, None),
        ("fishing", "999999999999", None),
    ],
)
def test_the_most_specific_area_wins_and_any_category_comes_last(
    category: str, area: str | None, unit: str | None
) -> None:
    assert MATRIX.unit_for(category, area, SITE) == unit


def test_a_row_for_the_category_above_goes_before_a_row_for_any_category_here() -> None:
    matrix = DutyMatrix([("fishing", DISTRICT, "fishery"), ("*", VILLAGE, "village")])
    assert matrix.unit_for("fishing", VILLAGE, SITE) == "fishery"


def test_problems_are_named() -> None:
    matrix = DutyMatrix([*MATRIX.rows, ("crowd", OTHER, "fishery"), ("x", "123456789012", "police")])
    found = {(p.kind, p.category, p.area) for p in matrix.problems(SITE, ["noise"])}
    assert found == {
        ("conflict", "crowd", OTHER),
        ("unknown_unit", "smoke", STREET),
        ("unknown_area", "x", "123456789012"),
        ("hole", "crowd", DISTRICT),  # the district itself; town and street are covered
        ("hole", "smoke", DISTRICT),
        ("hole", "noise", DISTRICT),
        ("hole", "x", DISTRICT),
    }
    assert all(p.zh and p.en.isascii() for p in matrix.problems(SITE))


def test_a_hole_is_named_at_its_uppermost_area_only() -> None:
    matrix = DutyMatrix([("crowd", STREET, "police")])
    assert [(p.kind, p.area) for p in matrix.problems(SITE)] == [("hole", DISTRICT)]
    whole = DutyMatrix([("crowd", DISTRICT, "police")])
    assert whole.problems(SITE) == []
