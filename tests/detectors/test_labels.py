"""Every threshold has a name in both languages, and no name is left over."""

from __future__ import annotations

import dataclasses
import re

import pytest

from detectors import DETECTORS
from detectors.labels import _tables, label


@pytest.mark.parametrize("kind", sorted(DETECTORS))
def test_every_threshold_is_called_something_in_both_languages(kind: str) -> None:
    names = [field.name for field in dataclasses.fields(DETECTORS[kind]) if field.init]
    labels = {name: label(kind, name) for name in [*names, "clear_after"]}
    for name, found in labels.items():
        assert re.search(r"[\u4e00-\u9fff]", found.words.zh), name
        assert found.words.en.isascii(), name
    assert len({found.words.zh for found in labels.values()}) == len(labels), "two thresholds of one name"
    assert set(_tables().get(kind, {})) <= set(names)


def test_common_names_are_those_of_some_detector() -> None:
    fields = {field.name for detector in DETECTORS.values() for field in dataclasses.fields(detector)}
    assert set(_tables()["any"]) <= {*fields, "clear_after"}
    assert set(_tables()) <= {*DETECTORS, "any"}


def test_an_unknown_one_is_an_error() -> None:
    with pytest.raises(KeyError, match="no_such"):
        label("sos", "no_such")
