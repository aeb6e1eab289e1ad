"""Event time, and rows that wait for their beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.base import Batch
from detectors.waiting import EARLIEST, EventClock, Waiting
from devices.readings import SAMPLE, SECOND, Rows, rows


def samples(*times: float, device: int = 1) -> Rows:
    return rows(SAMPLE, [(device, round(t * SECOND), 0, "q", 1.0) for t in times])


def frontiers(*steps: tuple[list[float], float]) -> list[Any]:
    clock = EventClock(patience=5.0, beat=10.0)
    found = [clock.advance(Batch(samples=samples(*times)), round(now * SECOND)) for times, now in steps]
    return [None if f == EARLIEST else f / SECOND for f in found]


def test_a_beat_is_complete_when_readings_are_patience_past_it() -> None:
    assert frontiers(([100.0], 100), ([104.9], 105), ([105.0], 105), ([114.0, 112.0], 115)) == [90, 90, 100, 100]


def test_between_readings_ticks_move_it() -> None:
    assert frontiers(([101.0], 102), ([], 105), ([], 106.5), ([], 130)) == [90, 90, 100, 120]


def test_before_any_reading_there_is_no_time() -> None:
    assert frontiers(([], 100), ([], 200), ([150.0], 201)) == [None, None, 140]


def test_it_follows_a_history_in_fast_motion_and_never_goes_back() -> None:
    assert frontiers(([100.0], 5000), ([160.0], 5001), ([130.0], 5002), ([], 5003), ([220.0], 5003)) == [
        90, 150, 150, 150, 210,
    ]  # fmt: skip


def test_a_clock_that_is_ahead_does_not_hurry_the_others() -> None:
    assert frontiers(([100.0, 350.0], 101), ([111.0], 112)) == [90, 100]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 50)), max_size=30), st.lists(st.integers(0, 60), max_size=6)
)
def test_what_is_taken_is_what_was_added(added: list[tuple[int, int]], before: list[int]) -> None:
    """In order, once, and of each device only what is newer than what was taken of it."""
    waiting, taken = Waiting(rows(SAMPLE)), []
    parts = np.array_split(rows(SAMPLE, [(d, t, 0, "q", 0.0) for d, t in added]), len(before) + 1)
    newest: dict[int, int] = {}
    for part, limit in zip(parts, [*sorted(before), 100], strict=True):
        waiting.add(part)
        found = waiting.take(limit)
        assert (np.diff(found["at"]) >= 0).all()
        assert (found["at"] < limit).all()
        assert all(int(row["at"]) > newest.get(int(row["device"]), -1) for row in found)
        for row in found:
            newest[int(row["device"])] = int(row["at"])
        taken += found[["device", "at"]].tolist()
    assert len(waiting) == 0
    assert len(taken) <= len(added)
    if not before:
        assert sorted(taken) == sorted(added)
