"""Bodies on their ways: length, pace, arrival, and that slots are used again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.bodies import Bodies, Carries

POINT = st.tuples(st.floats(-120, 120), st.floats(-120, 120))


@settings(max_examples=40)
@given(st.lists(POINT, min_size=2, max_size=6), st.floats(0.5, 8.0))
def test_a_body_walks_its_way_at_its_pace_to_the_end(points: list[tuple[float, float]], pace: float) -> None:
    way = np.array(points)
    length = float(np.hypot(*np.diff(way, axis=0).T).sum())
    bodies = Bodies(1)
    slot = bodies.add("somebody", points[0], Carries.PERSON)
    bodies.send(slot, way, pace)
    seen, tick = [bodies.place(slot)], 0
    while tick < 100 + 2 * length / pace:
        tick += 1
        arrived = bodies.move(tick)
        seen.append(bodies.place(slot))
        if len(arrived):
            break
    steps = np.hypot(*np.diff(np.array(seen), axis=0).T)
    assert (steps <= pace * 1.13 + 1e-6).all()
    if length > 1e-6:
        assert arrived.tolist() == [slot]
        assert length / (pace * 1.13) - 1 <= tick <= length / (pace * 0.87) + 2
        assert bodies.place(slot) == pytest.approx(points[-1], abs=1e-6)
        assert not len(bodies.move(tick + 1))  # told once


def test_a_way_is_followed_off_the_line_by_no_more_than_the_weave() -> None:
    bodies = Bodies(1)
    slot = bodies.add("walker", (0.0, 0.0), Carries.PERSON)
    bodies.send(slot, np.array([(0.0, 0.0), (500.0, 0.0)]), 1.3, weave=2.5)
    aside = []
    for tick in range(1, 300):
        bodies.move(tick)
        aside.append(bodies.y[slot])
    assert 0.5 < np.abs(aside).max() <= 2.5
    assert np.abs(np.diff(aside)).max() < 0.3


def test_people_pause_and_go_on() -> None:
    bodies = Bodies(1)
    slots = [bodies.add(f"w{i}", (0.0, 0.0), Carries.PERSON) for i in range(100)]
    for slot in slots:
        bodies.send(slot, np.array([(0.0, 0.0), (9_000.0, 0.0)]), 1.3, pauses=1 / 260)
    standing = np.zeros(100)
    for tick in range(1, 2001):
        bodies.move(tick)
        standing += bodies.vx < 0.01
    assert 0.04 < standing.mean() / 2000 < 0.2
    assert (bodies.x > 1500).all()


def test_who_else_is_there_moves_nobody() -> None:
    def path(company: int) -> list[tuple[float, float]]:
        bodies = Bodies(5)
        slot = bodies.add("me", (0.0, 0.0), Carries.PERSON)
        bodies.send(slot, np.array([(0.0, 0.0), (300.0, 77.0), (100.0, 500.0)]), 1.31, pauses=1 / 60, weave=2.0)
        for i in range(company):
            other = bodies.add(f"other {i}", (float(i), 3.0), Carries.BOAT)
            bodies.send(other, np.array([(float(i), 3.0), (999.9, 1e4)]), 3.0)
        found = []
        for tick in range(1, 400):
            bodies.move(tick)
            found.append(bodies.place(slot))
        return found

    assert path(0) == path(1) == path(37)


def test_a_freed_slot_is_taken_again_without_a_trace() -> None:
    bodies = Bodies(1)
    first = bodies.add("a", (1.0, 2.0), Carries.PERSON)
    bodies.send(first, np.array([(1.0, 2.0), (100.0, 2.0)]), 1.0, pauses=0.5, weave=2.0)
    bodies.move(1)
    bodies.remove(first)
    assert not bodies.near((1.0, 2.0), 50.0).size
    again = bodies.add("b", (7.0, 7.0), Carries.BOAT)
    assert again == first
    assert bodies.place(again) == (7.0, 7.0)
    assert not len(bodies.move(2))
    assert bodies.place(again) == (7.0, 7.0)
