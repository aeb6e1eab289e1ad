"""Tables of readings one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from devices.readings import FIX, SAMPLE, SIGHTING, joined_rows, rows

FIXES = [(1, 2, 3, 4.5, 5.5, 6.0, 7.0, 8.0, 9.0, 10), (11, 12, 13, 14.5, 15.5, 16.0, 17.0, 18.0, 19.0, 20)]
SIGHTINGS = [(1, 2, 3, "person", 4, 0.5, "t", 5.5, 6.5, "")]
SAMPLES = [(1, 2, 3, "water_level", 4.5), (2, 3, 4, "smoke", 5.5)]


@pytest.mark.parametrize(("dtype", "tuples"), [(FIX, FIXES), (SIGHTING, SIGHTINGS), (SAMPLE, SAMPLES)])
def test_joined_rows(dtype: np.dtype[Any], tuples: list[tuple[Any, ...]]) -> None:
    part = rows(dtype, tuples)
    joined = joined_rows(dtype, [part, part[:0], part[::-1], part[:1]])
    assert joined.dtype == dtype
    assert joined.tolist() == [*tuples, *reversed(tuples), tuples[0]]
    joined["device"] = 9
    assert part["device"][0] == 1, "a copy"
    empty = joined_rows(dtype, iter([]))
    assert (len(empty), empty.dtype) == (0, dtype)
