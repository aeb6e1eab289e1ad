"""What is known of a boat's movement, and what its curves make of it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.geo import Plane
from detectors.movement import FAR, HISTORY, Model, Track, features, model, scaled
from devices.readings import SECOND

SEA = Plane(118.85, 31.45)
NOON = 1_781_000_000 * SECOND


def track(*legs: tuple[float, float, float], every: float = 10.0, boat: int = 1, noise: float = 0.0) -> Track:
    """Legs of (seconds, m/s, degrees), a fix ``every`` so many seconds."""
    rng, x, y, t, told = np.random.default_rng(boat), 0.0, 0.0, 0.0, [(0.0, 0.0, 0.0)]
    for seconds, speed, course in legs:
        for _ in range(round(seconds / every)):
            t += every
            x += speed * every * math.sin(math.radians(course))
            y += speed * every * math.cos(math.radians(course))
            told.append((t, x, y))
    at, east, north = (np.array(column) for column in zip(*told, strict=True))
    lon, lat = SEA.lonlat(east + rng.normal(0, noise, len(at)), north + rng.normal(0, noise, len(at)))
    return Track.of(np.full(len(at), boat), NOON + (at * SECOND).astype(np.int64), lon, lat)


def last(some: Track, **words: Any) -> dict[str, float]:
    found = features(some, np.array([len(some.at) - 1]), **words)
    return {name: float(values[0]) for name, values in found.items()}


def odds(some: Track, name: str = "causal") -> float:
    found = features(some, np.array([len(some.at) - 1]), hindsight=name == "hindsight")
    return float(model(name).log_odds(found)[0])


@pytest.mark.parametrize("every", [5.0, 10.0, 60.0])
def test_speeds_and_paces_of_a_plain_course(every: float) -> None:
    found = last(track((1800, 4.0, 90), (300, 1.0, 0), every=every))
    assert found["pace_now"] == pytest.approx(0.25, rel=0.02)
    assert found["pace_5min"] == pytest.approx(0.25, rel=0.02)
    assert found["fastest_1min"] == pytest.approx(1.0, rel=0.02)
    assert found["fastest_10min"] == pytest.approx(4.0, rel=0.02)
    way = math.hypot(300, 1200)  # of 1500 m
    assert found["straight_10min"] == pytest.approx(way / 1500, rel=0.02)


def test_who_goes_to_and_fro_is_near_old_places() -> None:
    there_and_back = track((900, 1.0, 90), (900, 1.0, 270))
    assert last(there_and_back)["old_places"] < 35
    assert last(track((1800, 1.0, 90)))["old_places"] == pytest.approx(1200, rel=0.05)
    assert last(track((600, 1.0, 90)))["old_places"] == FAR, "nothing is that old"


def test_the_first_fix_is_unknown_and_has_the_base_odds() -> None:
    found = features(track((0, 1, 0)), np.array([0]), hindsight=True)
    assert all(np.isnan(found[name][0]) for name in found if name not in ("old_places", "roamed"))
    assert math.isfinite(model().log_odds(found)[0])


def test_a_long_pause_parts_a_track() -> None:
    before, after = track((1200, 4.0, 90)), track((60, 1.0, 0))
    later = after._replace(at=after.at + 3200 * SECOND, lon=after.lon + 0.1)
    both = Track(*(np.append(a, b) for a, b in zip(before, later, strict=True)))
    assert last(both) == pytest.approx(last(later), nan_ok=True), "the pause is 2000 s"


def test_slow_work_is_fishing_and_a_steady_course_is_not() -> None:
    out = (1800.0, 3.5, 90.0)
    haul = track(out, *[(120.0, 0.5, course) for course in (0, 20, 350, 180, 190, 170) * 2], noise=2.0)
    assert odds(haul) > 1
    assert odds(track(out, noise=2.0)) < -1
    assert odds(haul, "hindsight") > 0


def test_what_does_not_move_for_half_its_history_has_not_roamed() -> None:
    assert last(track((1800, 4.0, 0), (1860, 0.0, 0), noise=3.0))["roamed"] < 40
    assert last(track((1800, 4.0, 0), (1500, 0.0, 0)))["roamed"] > 40
    assert last(track((900, 0.0, 0), noise=3.0))["roamed"] < 40, "not followed for so long: as far as is known"


legs = st.lists(
    st.tuples(st.sampled_from([60.0, 300.0, 1500.0]), st.floats(0, 8), st.floats(0, 360)), min_size=1, max_size=5
)
few = settings(max_examples=40)


@few
@given(legs, st.sampled_from([5.0, 30.0, 60.0]), st.integers(0, 10_000))
def test_the_causal_features_know_nothing_of_what_comes(parts: Any, every: float, pick: int) -> None:
    whole = track(*parts, every=every, noise=3.0)
    i = pick % len(whole.at)
    seen = Track(*(column[: i + 1] for column in whole))
    assert last(seen) == {k: pytest.approx(float(v[0]), nan_ok=True) for k, v in features(whole, np.array([i])).items()}


@few
@given(legs, st.sampled_from([5.0, 30.0, 60.0]))
def test_older_than_its_history_does_not_matter(parts: Any, every: float) -> None:
    whole = track((1500, 6.0, 10), (1500, 0.2, 10), *parts, every=every, noise=3.0)
    recent = whole.at >= whole.at[-1] - HISTORY * SECOND
    cut = Track(*(column[recent] for column in whole))
    assert last(cut) == pytest.approx(last(whole), nan_ok=True)


@few
@given(legs, st.integers(0, 1000))
def test_hindsight_ends_after_ten_minutes(parts: Any, pick: int) -> None:
    whole = track(*parts, (900, 3.0, 0), every=30.0, noise=3.0)
    i = pick % (len(whole.at) - 30)
    near = Track(*(column[whole.at <= whole.at[i] + 600 * SECOND] for column in whole))
    one, other = (features(t, np.array([i]), hindsight=True) for t in (near, whole))
    assert {k: float(v[0]) for k, v in one.items()} == pytest.approx(
        {k: float(v[0]) for k, v in other.items()}, nan_ok=True
    )


@few
@given(legs, st.randoms(use_true_random=False), st.floats(-50, 50), st.integers(-(10**9), 10**9))
def test_neither_order_nor_repetition_nor_place_nor_date_matter(
    parts: Any, draw: Any, shift: float, seconds: int
) -> None:
    """The labelled tracks are shifted to be anonymous, and hold doubled moments."""
    plain = track(*parts, every=30.0, noise=3.0)
    again = [*range(len(plain.at)), *(draw.randrange(len(plain.at)) for _ in range(5))]
    draw.shuffle(again)
    boat, at, lon, lat = (column[again] for column in plain)
    moved = Track.of(boat, at + seconds * SECOND, lon + shift, lat)
    assert len(moved.at) == len(plain.at)
    assert last(moved) == pytest.approx(last(plain), rel=1e-4, abs=1e-3, nan_ok=True)


def test_boats_do_not_mix() -> None:
    one, other = track((1800, 4.0, 0), boat=1), track((900, 0.5, 0), boat=7, every=30.0)
    both = Track.of(*(np.append(b, a) for a, b in zip(one, other, strict=True)))
    ends = both.find(np.array([1, 7]), np.array([one.at[-1], other.at[-1]]))
    found = features(both, ends)
    for place, alone in enumerate((one, other)):
        assert {k: float(v[place]) for k, v in found.items()} == pytest.approx(last(alone), nan_ok=True)


def test_fixes_without_a_place_are_left_out() -> None:
    some = track((300, 2.0, 0))
    lon = some.lon.copy()
    lon[5] = math.nan
    assert len(Track.of(some.boat, some.at, lon, some.lat).at) == len(some.at) - 1
    assert len(Track.of(*(column[:0] for column in some)).at) == 0


def test_a_curve_is_linear_on_its_own_scale_level_beyond_and_silent_of_the_unknown() -> None:
    toy = Model(0.5, {"fastest_1min": ((1.0, 4.0), (2.0, -2.0)), "straight_10min": ((0.0, 1.0), (0.0, 1.0))})
    middle = float(np.exp(scaled("fastest_1min", [1.0, 4.0]).mean()) - 0.15)
    told = toy.log_odds({
        "fastest_1min": np.array([0.0, middle, 9.0, math.nan]), "straight_10min": np.array([0.5, 0.0, 2.0, math.nan]),
    })  # fmt: skip
    assert told.tolist() == pytest.approx([3.0, 0.5, -0.5, 0.5])


@pytest.mark.parametrize("name", ["causal", "hindsight"])
def test_the_shipped_curves_are_readable(name: str) -> None:
    shipped = model(name)
    assert shipped.hindsight == (name == "hindsight")
    known = set(features(track((60, 1.0, 0)), np.array([1]), hindsight=shipped.hindsight))
    assert set(shipped.curves) <= known
    for at, adds in shipped.curves.values():
        assert len(at) == len(adds) <= 5
        assert all(a < b for a, b in pairwise(at))
        assert max(map(abs, adds)) < 8
