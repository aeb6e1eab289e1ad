"""The figures of tracks that are remembered: the newest are found again, and memory has a bound."""

from __future__ import annotations

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
