"""docs/detectors/: a page for each detector, and its table of thresholds is what the code says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from detectors import DETECTORS

FOLDER = Path(__file__).parents[2] / "docs" / "detectors"
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def written(default: Any) -> str:
    if isinstance(default, tuple):
        return ", ".join(f"`{word}`" for word in default) or "none"
    return f"{default:g}"


def test_a_page_for_each_detector_and_no_other() -> None:
    assert {page.stem for page in FOLDER.glob("*.md")} == set(DETECTORS)


@pytest.mark.parametrize("kind", sorted(DETECTORS))
def test_the_table_is_what_the_code_says(kind: str) -> None:
    page = (FOLDER / f"{kind}.md").read_text("utf-8")
    table = [(name, default) for name, default, _, _ in ROW.findall(page)]
    made: Any = DETECTORS[kind]()
    assert table == [(f.name, written(getattr(made, f.name))) for f in dataclasses.fields(made)]
    assert f"remembers {made.memory:g} s" in page


@pytest.mark.parametrize("kind", sorted(DETECTORS))
def test_a_page_says_what_it_must(kind: str) -> None:
    page = (FOLDER / f"{kind}.md").read_text("utf-8")
    for heading in ("## Definition", "## Thresholds", "## How it fails", "## Finding", "## Measured"):
        assert f"\n{heading}\n" in page
    summary = page.split("\n## ")[0]
    assert len(re.findall(r"[\u4e00-\u9fff]", summary)) > 60, "a summary in Chinese"
