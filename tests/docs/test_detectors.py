"""What a detector needs elsewhere: tests of its own, its name where rules are explained, words for its evidence.

Its page is tested in tests/detectors.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from detectors import DETECTORS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["site.md", "site.zh-CN.md"])
def test_a_rule_may_name_any_of_them(page: str) -> None:
    (row,) = re.findall(r"^\| `detector` \|(.*)$", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == set(DETECTORS)


@pytest.mark.parametrize("kind", DETECTORS)
def test_each_has_tests_of_its_own(kind: str) -> None:
    assert (ROOT / "tests" / "detectors" / f"test_{kind}.py").exists()


def reported(page: str) -> dict[str, list[str]]:
    """The table of results: incidents, recall, alerts, precision, seconds to detect, alerts a terminal-day."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    found = re.findall(r"^\| `(\w+)` \| `\w+`[^|]* \| (\d.*) \|$", text, re.MULTILINE)
    return {kind: [cell.strip() for cell in row.split("|")] for kind, row in found}


def test_the_reported_figures_are_the_same_in_both_languages() -> None:
    assert set(reported("detection.md")) == set(DETECTORS)
    assert reported("detection.md") == reported("detection.zh-CN.md")


@pytest.mark.parametrize("kind", DETECTORS)
def test_its_page_says_what_was_measured(kind: str) -> None:
    page = (ROOT / "docs" / "detectors" / f"{kind}.md").read_text("utf-8").split("\n## Measured\n")[1]
    (told,) = re.findall(r"(\d+) of (\d+) incidents found, (\d+) of (\d+) alerts right", page)
    found, incidents, right, alerts = map(int, told)
    half, most = re.findall(r"half of them found within (-?\d+) s, nine of ten within (-?\d+) s", page)[0]
    row = reported("detection.md")[kind]
    assert [row[0], row[2], row[4]] == [str(incidents), str(alerts), f"{half}, {most}"]
    assert [float(row[1]), float(row[3])] == pytest.approx([found / incidents, right / alerts], abs=0.0006)
    assert min(found / incidents, right / alerts) >= 0.97
    assert incidents >= 200


def numbers(kind: str) -> Iterator[str]:
    """The names of the numbers in a detector's evidence; those that are put together at run time are not seen."""
    for node in ast.walk(ast.parse((ROOT / "detectors" / f"{kind}.py").read_text("utf-8"))):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Dict)
            and ast.unparse(node.targets[0]) == "numbers"
        ):
            yield from (key.value for key in node.value.keys if isinstance(key, ast.Constant))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "evidence":
            yield from (keyword.arg for keyword in node.keywords if keyword.arg is not None)


@pytest.mark.parametrize("kind", DETECTORS)
def test_its_numbers_have_words_in_the_console(kind: str) -> None:
    texts = (ROOT / "console" / "static" / "i18n.js").read_text("utf-8")
    named = set(numbers(kind))
    assert named, "the walk finds nothing"
    assert named <= set(re.findall(r'^  "evidence\.(\w+)":', texts, re.MULTILINE))
