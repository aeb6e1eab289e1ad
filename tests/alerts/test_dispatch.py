"""Whom to send, and why others are not sent."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.dispatch import FRESH, NEAR, UNFIT_NAMES, Standing, judged
from detectors.base import Sentence
from detectors.geo import distance
from devices.readings import Flag

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
NAN = math.nan


def standing(device: int = 1, lon: float = 118.88, lat: float = 31.47, age: float = 5.0, **more: Any) -> Standing:
    known = Standing(
        device, f"T{device}", Sentence(f"终端{device}", f"Terminal {device}"), NOW - timedelta(seconds=age), lon, lat,
        battery=80.0, flags=0,
    )  # fmt: skip
    return replace(known, **more)


def test_the_nearest_with_its_distance_and_age() -> None:
    first, second = judged([standing(1, 118.90), standing(2, 118.881, age=42)], 118.88, 31.47, NOW)
    assert (first.standing.code, first.age, first.fit) == ("T2", 42.0, True)
    assert abs(first.distance - 94.8) < 0.2
    assert second.standing.code == "T1"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"flags": int(Flag.SOS)}, ("help",)),
        ({"flags": int(Flag.MAN_DOWN)}, ("help",)),
        ({"flags": int(Flag.SUSPECT)}, ("suspect",)),
        ({"suspect": True}, ("suspect",)),
        ({"flags": int(Flag.NO_POSITION), "lon": NAN, "lat": NAN}, ("no_place",)),
        ({"lon": NAN}, ("no_place",)),
        ({"lon": 119.10}, ("far",)),
        ({"age": 601.0}, ("stale",)),
        ({"offline": True}, ("offline",)),
        ({"busy": "PG-1"}, ("busy",)),
        ({"involved": True}, ("involved",)),
        ({"battery": 14.9}, ("battery",)),
        ({"battery": NAN}, ()),
        ({"flags": int(Flag.BACKFILL)}, ()),
        ({"age": -30.0}, ()),
        ({"battery": 3.0, "busy": "PG-1", "age": 900.0}, ("stale", "busy", "battery")),
    ],
)
def test_what_speaks_against_one(changed: dict[str, Any], why: tuple[str, ...]) -> None:
    (found,) = judged([standing(**changed)], 118.88, 31.47, NOW)
    assert found.unfit == why
    assert found.age >= 0.0, "a clock that is ahead makes no negative age"
    assert set(why) <= set(UNFIT_NAMES)


def test_nobody_is_asked_twice() -> None:
    found = judged([standing(1), standing(2, 118.89)], 118.88, 31.47, NOW, asked={"T1"})
    assert [(c.standing.code, c.unfit) for c in found] == [("T2", ()), ("T1", ("asked",))]


def test_of_equally_near_ones_the_newer_position_then_the_lower_id() -> None:
    found = judged([standing(9, age=9), standing(8, age=3), standing(7, age=3)], 118.88, 31.47, NOW)
    assert [c.standing.device for c in found] == [7, 8, 9]
    assert judged([], 118.88, 31.47, NOW) == []


def test_every_reason_has_words() -> None:
    assert all(name.zh and name.en.isascii() for name in UNFIT_NAMES.values())


places = st.tuples(st.floats(118, 119), st.floats(31, 32), st.floats(-100, 2000), st.booleans())


@given(st.lists(places, max_size=20))
def test_nobody_fit_is_nearer_than_the_first(drawn: list[tuple[float, float, float, bool]]) -> None:
    known = [standing(n, lon, lat, age, busy="PG-1" if busy else None) for n, (lon, lat, age, busy) in enumerate(drawn)]
    found = judged(known, 118.5, 31.5, NOW)
    fit = [
        float(distance(one.lon, one.lat, 118.5, 31.5))
        for one in known
        if one.busy is None and (NOW - one.at).total_seconds() <= FRESH
    ]
    near = [away for away in fit if away <= NEAR]
    assert len(found) == len(known)
    assert [c.fit for c in found] == sorted((c.fit for c in found), reverse=True), "the fit ones come first"
    if near:
        assert found[0].fit and math.isclose(found[0].distance, min(near))
    else:
        assert not any(c.fit for c in found)
