"""What each threshold is called where people read it, in Chinese and English; the words are in ``labels.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from detectors.base import Sentence


class Label(NamedTuple):
    """A threshold's name for people, and its unit ("" where there is none)."""

    words: Sentence
    unit: str


def label(kind: str, threshold: str) -> Label:
    """The label of a threshold of a detector.

    Raises:
        KeyError: neither the detector's table nor the common one knows the threshold.
    """
    table = _tables()
    zh, en, unit = table.get(kind, {}).get(threshold) or table["any"][threshold]
    return Label(Sentence(zh, en), unit)


@cache
def _tables() -> Mapping[str, Mapping[str, tuple[str, str, str]]]:
    return tomllib.loads(files("detectors").joinpath("labels.toml").read_text("utf-8"))
