"""Which of several readings of a device is the one to go by, and which say nothing beside the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import detectors.arrivals
from detectors.arrivals import Arrivals, arrivals_in, last_is_newest, latest, telling
from detectors.base import Batch
from detectors.listening import Listening
from detectors.silence import Silence
from devices.readings import FIX, SECOND, Flag, Rows, rows
from devices.registry import Device, Registry
from devices.site import Site

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


SITE = Site([], [], [], Registry([Device(f"T{i}", "terminal", "", "", "", "", interval=9.0, id=i) for i in range(3)]))
PLACES = st.sampled_from([(118.88, 31.4), (118.8801, 31.4), (118.89, 31.4), (math.nan, math.nan)])
FLAGS = st.sampled_from([Flag.BACKFILL, Flag.BACKFILL | Flag.NO_POSITION, 0])
fix = st.tuples(st.integers(0, 90), PLACES, st.sampled_from([0.0, 1.0]), st.sampled_from([math.nan, 0, 50, 60]), FLAGS)
message = st.tuples(st.integers(0, DEVICES - 1), st.integers(100, 103), st.lists(fix, min_size=1, max_size=6))


def sorted_rows(messages: list[tuple[int, int, list[Any]]]) -> Rows:
    """As the store sorts a batch: by device and time, no moment twice."""
    made = {
        (device, at): (device, at * SECOND, received * SECOND, *place, speed, 0.0, 5.0, battery, flags)
        for device, received, fixes in messages
        for at, place, speed, battery, flags in fixes
    }
    return rows(FIX, [made[key] for key in sorted(made)])


def heard_by(batch: Rows) -> Listening:
    state = Silence().start(SITE)
    arrivals, _ = arrivals_in(Batch(fixes=batch))
    state.hear(arrivals, np.zeros(len(arrivals), np.int64), 10_000 * SECOND)
    return state


@given(st.lists(message, min_size=1, max_size=6))
def test_what_is_left_out_of_an_array_would_have_told_nothing(messages: list[tuple[int, int, list[Any]]]) -> None:
    batch = sorted_rows(messages)
    short = heard_by(batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detectors.arrivals, "telling", lambda fixes: fixes)
        whole = heard_by(batch)
    for device in range(DEVICES):
        np.testing.assert_equal(short.devices.row(device), whole.devices.row(device))
    np.testing.assert_array_equal(short.gaps._now, whole.gaps._now)
    assert short.holes._cells == whole.holes._cells


def test_of_an_array_in_one_cell_the_ends_are_left() -> None:
    minute = [(at, (118.88, 31.4), 1.0, 60 - at / 10, Flag.BACKFILL) for at in range(60)]
    assert telling(sorted_rows([(1, 100, minute)]))["at"].tolist() == [0, 59 * SECOND]
    assert len(telling(sorted_rows([(1, 100, minute[:1]), (2, 100, minute[:2])]))) == 3
