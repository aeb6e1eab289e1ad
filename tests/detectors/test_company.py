"""Who walks beside whom at a beat: found by sweeping, the same as by comparing each with each."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.company import BEAT, MOST, Company, Walking
from detectors.geo import DEGREE
from devices.readings import SECOND

NEAR = 40.0
COMPANY = Company(
    beats=10, near=NEAR, mean=8.0, errors=1.35, way=400.0, renew=240 * SECOND, longest=1800 * SECOND, rest=300 * SECOND
)
STEP = 0.0015  # degrees of latitude from beat to beat: on the way

spots = st.tuples(
    st.sampled_from([0.0, 0.6, 1.9]),  # degrees that groups are apart
    st.floats(-300, 300, allow_nan=False),  # m within a group
    st.floats(-300, 300, allow_nan=False),
    st.sampled_from([2.0, 9.0, 15.0, 28.0, 100.0]),  # m of accuracy
)


def metres(one: tuple[float, float], other: tuple[float, float]) -> float:
    east = (other[0] - one[0]) * np.cos(np.radians((one[1] + other[1]) / 2))
    return float(DEGREE * np.hypot(east, other[1] - one[1]))


@given(st.lists(spots, min_size=2, max_size=40), st.sampled_from([31.3, -33.0, 58.0, 0.0]))
def test_pairs_at_a_beat(drawn: list[tuple[float, float, float, float]], south: float) -> None:
    group, x, y, accuracy = (np.array(column) for column in zip(*drawn, strict=True))
    lat = south + group + y / DEGREE
    lon = 118.8 + x / DEGREE / np.cos(np.radians(lat))
    count = len(drawn)
    state = Walking()
    state.grow(count)
    for number in (1, 2):
        at = number * BEAT * SECOND
        north = lat + number * STEP
        state.waiting.append((np.full(count, at), np.arange(count), lon, north, accuracy))
        assert not list(COMPANY.find(state, at + 1, np.ones(count, bool), np.full(count, -1)))
    places = list(zip(lon.tolist(), north.tolist(), strict=True))
    assert set(state.pairs) == {
        (i, j)
        for i, j in combinations(range(count), 2)
        if metres(places[i], places[j]) <= min(max(2 * (accuracy[i] + accuracy[j]), NEAR), MOST)
    }
