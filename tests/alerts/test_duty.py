"""The duty matrix: who is responsible, up the tree, and what is wrong with it."""

from __future__ import annotations

import time

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


def test_why_a_unit_is_responsible() -> None:
    own, above, other = (
        MATRIX.resolve(c, a, SITE) for c, a in (("fishing", VILLAGE), ("fishing", GRID), ("noise", GRID))
    )
    assert own is not None and above is not None and other is not None
    assert (own.how, above.how, other.how) == ("own", "above", "any")
    assert above.duty == ("fishing", VILLAGE, "village")
    assert "fishing × 320118100001 → village" in above.why.en
    assert MATRIX.resolve("crowd", STREET, SITE) is not None
    assert MATRIX.resolve("noise", OTHER, SITE) is None


def test_rows_are_named_with_file_and_line() -> None:
    rows = [("crowd", OTHER, "police"), ("crowd", OTHER, "police"), ("crowd", OTHER, "fishery")]
    found = DutyMatrix(rows).wrong_rows(SITE, "duty.csv", [2, 3, 5])
    assert [(p.kind, p.place, p.place_zh) for p in found] == [
        ("repeated", "duty.csv, row 3: ", "duty.csv 第 3 行："),
        ("conflict", "duty.csv, row 5: ", "duty.csv 第 5 行："),
    ]


def test_a_kind_of_the_rules_without_a_row_of_its_own_is_noted() -> None:
    matrix = DutyMatrix([("*", DISTRICT, "anyone")])
    assert [(p.kind, p.category, p.note) for p in matrix.problems(SITE, ["noise"])] == [("only_any", "noise", True)]


def test_a_hole_says_how_much_of_the_tree_is_open() -> None:
    (hole,) = DutyMatrix([("crowd", STREET, "police")]).problems(SITE)
    assert hole.en.endswith(", nor in 1 area below it"), "the other street; the street with a row is covered"


def test_holes_of_a_province_are_found_in_moments() -> None:
    areas = [Area(DISTRICT, "区", "District", "district")]
    streets = [f"3201181{n:05d}" for n in range(300)]
    areas += [Area(code, code, code, "street", DISTRICT) for code in streets]
    areas += [Area(f"{code}-{n:02d}", "网格", "Grid", "grid", code) for code in streets for n in range(22)]
    site = Site(areas, [], [Unit("u", "u", "u", DISTRICT)], Registry([]))
    kinds = [f"kind{n}" for n in range(456)]
    matrix = DutyMatrix([(kind, DISTRICT, "u") for kind in kinds[:-2]] + [(kinds[-1], streets[0], "u")])
    begun = time.perf_counter()
    found = matrix.problems(site, kinds)
    assert time.perf_counter() - begun < 3
    assert [p.category for p in found] == ["kind454", "kind455"]
    assert "6900 areas below it" in found[0].en
    assert "6877 areas below it" in found[1].en
