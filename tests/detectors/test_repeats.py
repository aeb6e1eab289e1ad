"""The figures of tracks that are remembered: the newest are found again, and memory has a bound."""

from __future__ import annotations

import tracemalloc

import numpy as np

from detectors.repeats import FRESH, Figures


def test_beyond_the_bound_the_oldest_are_forgotten() -> None:
    most, draw, state = 50_000, np.random.default_rng(3), Figures()
    hashes = draw.integers(1, 1 << 63, 200_000).astype(np.uint64)
    at, device = np.arange(len(hashes), dtype=np.int64), np.arange(len(hashes), dtype=np.int64) % 7
    for begin in range(0, len(hashes), 1_000):
        part = slice(begin, begin + 1_000)
        state.add(hashes[part], at[part], device[part], 0, most)
        held = sum(len(run[0]) for run in [*state.runs, *state.fresh])
        assert held <= most + FRESH
        assert len(state.sieve) <= 8 * most
    newest = np.arange(len(hashes) - most // 2, len(hashes))
    assert state.known(hashes[newest]).all()
    for index in draw.choice(newest, 200):
        assert state.find(hashes[index], 0, len(hashes)) == (index, index % 7)
    assert state.find(hashes[0], 0, len(hashes)) is None
    assert state.known(hashes[:10_000]).mean() < 0.2, "the filter is made anew, or it would fill up"


def test_what_is_too_old_goes_and_what_came_late_with_it() -> None:
    draw, state = np.random.default_rng(4), Figures()
    hashes = draw.integers(1, 1 << 63, 40 * FRESH).astype(np.uint64)
    at = np.repeat(np.arange(40, dtype=np.int64), FRESH)
    at[5 * FRESH : 6 * FRESH] = 0  # late by five
    device = np.ones(FRESH, np.int64)
    for number in range(40):
        part = slice(number * FRESH, (number + 1) * FRESH)
        state.add(hashes[part], at[part], device, number - 20)
    assert sum(len(run[0]) for run in state.runs) < 37 * FRESH
    assert all(state.find(hashes[number * FRESH], 0, 40) == (number, 1) for number in range(20, 40))
    assert state.find(hashes[0], 0, 40) is None


def test_merging_needs_a_part_of_what_is_remembered() -> None:
    draw, state, most, tops = np.random.default_rng(5), Figures(), 1 << 20, []
    tracemalloc.start()
    for number in range(400):
        hashes = draw.integers(1, 1 << 63, 2_000).astype(np.uint64)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        state.add(hashes, np.full(2_000, number, np.int64), np.ones(2_000, np.int64), 0, most)
        now, top = tracemalloc.get_traced_memory()
        tops.append(top - max(before, now))
    tracemalloc.stop()
    assert now > 16_000_000, "as much is remembered"
    assert max(tops) < 2_500_000
