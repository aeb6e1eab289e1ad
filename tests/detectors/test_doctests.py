"""The examples in the docstrings of devices/, detectors/ and alerts/ run and are right."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import alerts
import detectors
import devices

MODULES = sorted(
    found.name
    for package in (devices, detectors, alerts)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_right(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert not failed, f"run python -m doctest -v {name.replace('.', '/')}.py"


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    with_examples = [m for m in MODULES if any(t.examples for t in finder.find(importlib.import_module(m)))]
    assert {f"detectors.{kind}" for kind in detectors.DETECTORS} <= set(with_examples)
    assert "devices.crs" in with_examples
