"""docs/site.md says what is true, in both languages: its worked example loads, and no column or kind is missing."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from alerts.rules import Rule
from devices.site import Plan
from devices.site_checks import KINDS, LEVELS, ROLES, ZONE_KINDS
from devices.site_contents import FILES
from devices.site_folder import TABLES, read_folder
from devices.site_geojson import RESERVED
from devices.site_plans import PLAN_KINDS
from store.site_check import site_problems

DOCS = Path(__file__).parents[2] / "docs"
LANGUAGES = ["site.md", "site.zh-CN.md"]


def blocks(text: str) -> dict[str, str]:
    """The fenced blocks that carry a file's name."""
    return dict(re.findall(r"```\w+ ([\w.]+)\n(.*?)```", text, re.DOTALL))


@pytest.mark.parametrize("page", LANGUAGES)
def test_the_worked_example_loads(page: str, tmp_path: Path) -> None:
    found = blocks((DOCS / page).read_text("utf-8"))
    assert sorted(found) == sorted(FILES)
    for file, content in found.items():
        (tmp_path / file).write_text(content, "utf-8")
    site = read_folder(tmp_path, site_problems)
    assert [device.code for device in site.devices] == ["T001", "C001"]


@pytest.mark.parametrize("page", LANGUAGES)
def test_every_name_that_one_may_write_is_explained(page: str) -> None:
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text("utf-8"), flags=re.DOTALL)
    columns = {column for table in TABLES.values() for column in table.columns}
    names = {
        *columns,
        *RESERVED,
        *KINDS,
        *LEVELS,
        *ROLES,
        *ZONE_KINDS,
        *PLAN_KINDS,
        *FILES,
        *(f.name for f in dataclasses.fields(Rule)),
        *(f.name for f in dataclasses.fields(Plan)),
    }
    assert {name for name in names if f"`{name}`" not in text} == set()


@pytest.mark.parametrize("page", LANGUAGES)
def test_the_errors_it_shows_are_those_that_come(page: str, tmp_path: Path) -> None:
    text = (DOCS / page).read_text("utf-8")
    for file, content in blocks(text).items():
        (tmp_path / file).write_text(content, "utf-8")
    for file, old, new in (
        ("devices.csv", "patrol 1,990101001201-01", "patrol 1,990101001202"),
        ("devices.csv", "118.7412,31.5449", "31.5449,118.7412"),
        ("zones.geojson", "[118.748, 31.546], [118.738, 31.546]", "[118.738, 31.546], [118.748, 31.546]"),
        ("rules.toml", "dwell", "dwel"),
    ):
        content = (tmp_path / file).read_text("utf-8")
        assert old in content
        (tmp_path / file).write_text(content.replace(old, new), "utf-8")
    shown = re.search(r"```\n(devices\.csv, line 2.*?)```", text, re.DOTALL)
    assert shown is not None
    with pytest.raises(ValueError, match="4 problems") as caught:
        read_folder(tmp_path, site_problems)
    said = str(caught.value)
    for line in shown[1].splitlines():
        assert line.rstrip("…") in said
