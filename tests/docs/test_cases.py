"""docs/cases.md and its Chinese version: the table is the one in the code, and the figures are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alerts.dispatch import ARRIVED, FRESH, LOW_BATTERY, NEAR
from alerts.effects import MOST_UNITS
from alerts.transitions import OPEN, ROLE_NAMES, STATUSES, TRANSITIONS, Status

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["cases.md", "cases.zh-CN.md"]
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", re.MULTILINE)
ROLES = {**{role: role for role in ROLE_NAMES}, **{name.zh: role for role, name in ROLE_NAMES.items()}}


def sources(text: str) -> set[Status]:
    if text in ("not ended", "未结案"):
        return set(OPEN)
    found = {status for status in STATUSES if f"`{status}`" in text}
    return set(STATUSES) - found if text.startswith(("any but", "除")) else found


@pytest.mark.parametrize("page", PAGES)
def test_the_table_is_the_one_in_the_code(page: str) -> None:
    rows = {action: rest for action, *rest in ROW.findall((DOCS / page).read_text("utf-8"))}
    assert list(rows) == list(TRANSITIONS)
    for action, (name, way, who, needs) in rows.items():
        row = TRANSITIONS[action]
        begins, _, target = way.partition(" → ")
        assert name == (row.zh if "zh" in page else row.en)
        assert sources(begins) == set(row.sources), action
        assert target.strip("`") == (row.target or ""), action
        assert tuple(ROLES[each] for each in re.split("、|, ", who.strip())) == row.roles, action
        assert tuple(re.findall("`([^`]+)`", needs)) == row.needs, action


@pytest.mark.parametrize("page", PAGES)
def test_the_figures_are_those_of_the_code(page: str) -> None:
    text = (DOCS / page).read_text("utf-8").replace("\n", " ")
    words = [f"{NEAR / 1000:.0f} 公里", f"{FRESH / 60:.0f} 分钟", f"{LOW_BATTERY:.0f}%", f"{ARRIVED:.0f} 米"]
    if page == PAGES[0]:
        words = [f"{NEAR / 1000:.0f} km", f"{FRESH / 60:.0f} minutes", f"{LOW_BATTERY:.0f} %", f"{ARRIVED:.0f} m"]
    for figure in [*words, f" {MOST_UNITS} "]:
        assert figure in text, figure
