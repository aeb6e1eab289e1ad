"""What is the same, and what merging and splitting do to who belongs where."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.duplicates import Happening, Nearness, apart, box_around, gathered, goes_on_as, likeness
from detectors.geo import distance

NOW = datetime(2026, 11, 20, 7, 19, tzinfo=UTC)
COVER = Happening("manhole", 118.88, 31.47, NOW)
LIMITS = Nearness()
happenings = st.builds(
    Happening,
    category=st.sampled_from(["manhole", "noise"]),
    lon=st.floats(118.878, 118.882),
    lat=st.floats(31.468, 31.472),
    at=st.floats(-48, 48).map(lambda hours: NOW + timedelta(hours=hours)),
    accuracy=st.floats(0, 400),
)


def north(metres: float) -> Happening:
    return replace(COVER, lat=COVER.lat + metres / 111_195)


def test_it_falls_with_distance_and_with_time_and_ends_at_the_limits() -> None:
    assert likeness(COVER, COVER, LIMITS) == 1.0
    assert likeness(COVER, north(75), LIMITS) == pytest.approx(0.5, abs=0.01)
    assert likeness(COVER, replace(COVER, at=NOW - timedelta(hours=24)), LIMITS) == pytest.approx(0.5)
    assert likeness(COVER, north(151), LIMITS) == 0
    assert likeness(COVER, replace(COVER, at=NOW + timedelta(hours=48)), LIMITS) == 0
    assert likeness(COVER, replace(COVER, category="noise"), LIMITS) == 0


def test_an_unsure_place_is_given_the_benefit_up_to_the_limit() -> None:
    blurred = replace(north(200), accuracy=60)
    assert likeness(COVER, blurred, LIMITS) > 0
    assert likeness(COVER, replace(north(301), accuracy=10_000), LIMITS) == 0


@given(one=happenings, other=happenings)
def test_it_is_symmetric_and_between_nothing_and_one(one: Happening, other: Happening) -> None:
    found = likeness(one, other, LIMITS)
    assert found == likeness(other, one, LIMITS)
    assert 0 <= found <= 1
    assert apart(one, other, LIMITS) <= float(distance(one.lon, one.lat, other.lon, other.lat))


@given(one=happenings, other=happenings, nearer=st.floats(0, 1), sooner=st.floats(0, 1))
def test_nearer_and_sooner_is_never_less_alike(one: Happening, other: Happening, nearer: float, sooner: float) -> None:
    closer = replace(
        other,
        lon=one.lon + (other.lon - one.lon) * nearer,
        lat=one.lat + (other.lat - one.lat) * nearer,
        at=one.at + (other.at - one.at) * sooner,
    )
    assert likeness(one, closer, LIMITS) >= likeness(one, other, LIMITS) - 1e-9


@given(
    lon=st.floats(-179, 179),
    lat=st.floats(-89, 89),
    metres=st.floats(1, 5000),
    way=st.floats(0, 2 * math.pi),
    part=st.floats(0, 0.999),
)
def test_the_box_holds_the_circle(lon: float, lat: float, metres: float, way: float, part: float) -> None:
    far = math.degrees(metres * part / 6_371_008.8)
    there = lat + far * math.cos(way)
    east = lon + far * math.sin(way) / math.cos(math.radians(lat))
    box = box_around(lon, lat, metres)
    if float(distance(lon, lat, east, there)) <= metres:
        assert box.south <= there <= box.north
        assert box.west <= east <= box.east


@pytest.mark.parametrize(("metres", "hours"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1)])
def test_limits_that_are_none_are_refused(metres: float, hours: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Nearness(metres, timedelta(hours=hours))


# ── Merging and splitting ───────────────────────────────────────────────────────────────────────────────────────────
Steps = list[tuple[int, int]]
steps: st.SearchStrategy[Steps] = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), max_size=20)


def merged(moves: Steps) -> dict[int, int]:
    """What the transition table lets happen: an open case goes into another open one, a merged one is split off."""
    into: dict[int, int] = {}
    for case, other in moves:
        if case in into:
            del into[case]
        elif other != case and other not in into:
            into[case] = other
    return into


@given(moves=steps)
def test_everything_is_gathered_under_exactly_one_case_that_goes_on(moves: Steps) -> None:
    into = merged(moves)
    heads = [case for case in range(1, 9) if case not in into]
    together = [gathered(head, into) for head in heads]
    assert sorted(case for group in together for case in group) == list(range(1, 9))
    for head, group in zip(heads, together, strict=True):
        assert all(goes_on_as(case, into) == head for case in group)


@given(moves=steps, one=st.integers(1, 8), other=st.integers(1, 8))
def test_a_split_gives_back_what_was_before_the_merger(moves: Steps, one: int, other: int) -> None:
    before = merged(moves)
    if one == other or one in before or other in before:
        return
    within, taken = gathered(one, before), {**before, one: other}
    assert gathered(other, taken) == gathered(other, before) | within
    split = {case: into for case, into in taken.items() if case != one}
    for case in range(1, 9):
        assert goes_on_as(case, split) == goes_on_as(case, before)
        assert gathered(case, split) == gathered(case, before)


@given(moves=steps, cut=st.integers(1, 8))
def test_a_split_takes_along_what_was_merged_into_it(moves: Steps, cut: int) -> None:
    before = merged(moves)
    if cut not in before:
        return
    along, old = gathered(cut, before), goes_on_as(cut, before)
    after = {case: into for case, into in before.items() if case != cut}
    for case in range(1, 9):
        assert goes_on_as(case, after) == (cut if case in along else goes_on_as(case, before))
    assert gathered(old, after) == gathered(old, before) - along


def test_a_circle_is_said_and_not_followed_for_ever() -> None:
    with pytest.raises(ValueError, match="case 1 was merged into itself"):
        goes_on_as(1, {1: 2, 2: 1})
    assert gathered(1, {1: 2, 2: 1}) == {1, 2}
