"""The page of formulas names every figure, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alerts.assessment import NAMES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("page", "lang"), [("assessment.md", "en"), ("assessment.zh-CN.md", "zh")])
def test_every_figure_has_its_formula(page: str, lang: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` ([^|]+?) \|", text, re.MULTILINE))
    assert rows == {figure: getattr(name, lang) for figure, name in NAMES.items()}
