"""Draws by name: uniform, normal, and nobody's concern but their owner's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulators.chance import bits, dice, drifts, name_key, normal, normals, uniform

KEYS = np.array([name_key(1, "actor", i) for i in range(20_000)], np.uint64)


def test_uniform_fills_the_unit_interval_evenly() -> None:
    for count in (0, 1, 10**9):
        drawn = uniform(KEYS, 3, count)
        assert drawn.min() >= 0.0
        assert drawn.max() < 1.0
        share, _ = np.histogram(drawn, bins=20, range=(0, 1))
        assert np.abs(share / len(KEYS) - 0.05).max() < 0.008  # five sigma


def test_normal_has_mean_0_deviation_1_and_the_right_tails() -> None:
    drawn = normal(KEYS, 3, 7)
    assert abs(drawn.mean()) < 0.04
    assert abs(drawn.std() - 1.0) < 0.03
    assert abs((np.abs(drawn) > 1.96).mean() - 0.05) < 0.008


@given(st.integers(0, 2**62), st.integers(0, 500), st.integers(1, 50))
def test_a_draw_depends_on_its_own_key_purpose_and_count_alone(count: int, purpose: int, others: int) -> None:
    alone = bits(KEYS[:1], purpose, count)
    among = bits(KEYS[: others + 1], purpose, count)
    as_column = bits(KEYS[: others + 1], purpose, np.full(others + 1, count, np.uint64))
    assert alone[0] == among[0]
    np.testing.assert_array_equal(among, as_column)


def test_several_purposes_at_once_are_the_same_draws() -> None:
    both = normals(KEYS[:9], (3, 4), 7)
    np.testing.assert_array_equal(both[0], normal(KEYS[:9], 3, 7))
    np.testing.assert_array_equal(both[1], normal(KEYS[:9], 4, 7))


def test_purposes_counts_and_neighbours_are_independent() -> None:
    base = uniform(KEYS, 3, 7)
    for other in (uniform(KEYS, 4, 7), uniform(KEYS, 3, 8), np.roll(base, 1)):
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.04


@given(st.floats(0, 1e6, allow_nan=False), st.floats(1e-6, 0.01))
def test_drift_wanders_without_jumps(at: float, step: float) -> None:
    here, there = (float(drifts(KEYS[:1], (5, 6), np.array([p]))[0, 0]) for p in (at, at + step))
    assert -1.0 <= here <= 1.0
    assert abs(there - here) <= 2.0 * step + 1e-6


def test_dice_of_a_name_are_the_same_in_every_run() -> None:
    assert dice(1, "walker", 3).random() == dice(1, "walker", 3).random()
    assert dice(1, "walker", 3).random() != dice(2, "walker", 3).random()
    assert name_key(1, "a") == 10939470743932660649
