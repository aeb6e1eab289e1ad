"""Which of several readings of a device is the one to go by."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.arrivals import Arrivals, last_is_newest, latest

DEVICES = 3
Heard = list[tuple[int, int, float]]  # device, at, value
heard = st.lists(
    st.tuples(st.integers(0, DEVICES - 1), st.integers(0, 4), st.sampled_from([1.0, 2.0, 3.0, math.nan])), max_size=10
)


def arrivals(rows: Heard) -> Arrivals:
    device, at, value = (
        np.array([row[i] for row in rows], dtype) for i, dtype in enumerate((np.int32, np.int64, float))
    )
    nothing = np.zeros(len(rows), bool)
    return Arrivals(device, at, at, value, value, value, value, nothing, nothing)


@given(heard, st.integers(-1, 3))
def test_the_last_of_each_device_is_its_newest_and_of_equal_moments_the_smallest(rows: Heard, known: int) -> None:
    given_rows = arrivals(rows)
    which = latest(given_rows, given_rows.lon, np.full(DEVICES, known), np.full(DEVICES, 2.0), several=True)
    last = {int(given_rows.device[i]): (int(given_rows.at[i]), float(given_rows.lon[i])) for i in which}
    wanted: dict[int, tuple[int, float]] = {}
    for device, at, value in rows:
        if math.isnan(value) or at < known or (at == known and value >= 2.0):
            continue
        before = wanted.get(device)
        if before is None or at > before[0] or (at == before[0] and value < before[1]):
            wanted[device] = (at, value)
    assert last == wanted


@given(heard)
def test_an_order_is_good_if_no_device_ends_on_an_older_one(rows: Heard) -> None:
    device, at = arrivals(rows).device, arrivals(rows).at
    ends = {d: t for d, t, _ in rows}
    assert last_is_newest(device, at) == all(t <= ends[d] for d, t, _ in rows)
