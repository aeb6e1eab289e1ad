"""Whom to send."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alerts.dispatch import nearest, ranked
from detectors.geo import distance
from devices.readings import FIX, NAN, Flag, Rows, rows
from devices.site import micros

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)


def positions(*given: tuple[int, float, float, float, int]) -> Rows:
    """(device, lon, lat, age in seconds, flags)."""
    return rows(
        FIX,
        [
            (device, micros(NOW) - int(age * 1e6), micros(NOW), lon, lat, NAN, NAN, NAN, NAN, flags)
            for device, lon, lat, age, flags in given
        ],
    )


def test_the_nearest_with_its_distance_and_age() -> None:
    found = positions((1, 118.90, 31.47, 5, 0), (2, 118.881, 31.47, 42, 0))
    choice = nearest(found, 118.88, 31.47, NOW)
    assert choice is not None
    assert (choice.device, choice.age) == (2, 42.0)
    assert abs(choice.distance - 94.8) < 0.2


def test_who_cannot_be_sent() -> None:
    found = positions(
        (1, 118.88, 31.47, 601, 0),
        (2, 118.88, 31.47, 1, int(Flag.SOS)),
        (3, NAN, NAN, 1, int(Flag.NO_POSITION)),
        (4, NAN, 31.47, 1, 0),
        (5, 118.88, 31.47, 1, int(Flag.MAN_DOWN)),
        (6, 118.88, 31.47, 1, 0),
        (7, 118.88, 31.47, 1, int(Flag.BACKFILL)),
    )
    assert [c.device for c in ranked(found, 118.88, 31.47, NOW)] == [6, 7]
    assert nearest(found, 118.88, 31.47, NOW, exclude={6, 7}) is None
    assert nearest(found, 118.88, 31.47, NOW, fit={5, 7}).device == 7  # type: ignore[union-attr]
    assert nearest(positions(), 118.88, 31.47, NOW) is None


def test_of_equally_near_ones_the_newer_position_then_the_lower_id() -> None:
    found = positions((9, 118.88, 31.47, 9, 0), (8, 118.88, 31.47, 3, 0), (7, 118.88, 31.47, 3, 0))
    assert [c.device for c in ranked(found, 118.88, 31.47, NOW)] == [7, 8, 9]


def test_a_clock_that_is_ahead_makes_no_negative_age() -> None:
    assert nearest(positions((1, 118.88, 31.47, -30, 0)), 118.88, 31.47, NOW).age == 0.0  # type: ignore[union-attr]


places = st.tuples(st.floats(118, 119), st.floats(31, 32), st.floats(-100, 2000))


@given(st.lists(places, max_size=20))
def test_nobody_fit_is_nearer_than_the_nearest(drawn: list[tuple[float, float, float]]) -> None:
    found = positions(*((n, lon, lat, age, 0) for n, (lon, lat, age) in enumerate(drawn)))
    choice = nearest(found, 118.5, 31.5, NOW)
    fresh = found[(micros(NOW) - found["at"]) / 1e6 <= 600]
    if choice is None:
        assert len(fresh) == 0
    else:
        assert np.isclose(choice.distance, distance(fresh["lon"], fresh["lat"], 118.5, 31.5).min())
