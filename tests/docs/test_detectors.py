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
