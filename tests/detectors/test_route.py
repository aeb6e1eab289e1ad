"""Patrols on their route: covered, in order, off the line, late, and what their certificate says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.base import Batch, Finding
from detectors.certificate import NoCourse, certificate
from detectors.courses import in_order
from detectors.geo import Plane
from detectors.route import Route
from devices.readings import FIX, NAN, SAMPLE, SECOND, rows
from devices.registry import Device, Registry
from devices.site import CHINA, Plan, Site, Zone, micros

SPOT = Plane(118.85, 31.45)
NINE = micros(datetime(2026, 6, 10, 9, tzinfo=CHINA))
WAY = [(0, 0), (1000, 0), (1000, 800)]


def box(code: str, x: float, y: float) -> Zone:
    lon, lat = SPOT.lonlat(np.array([x - 25, x + 25]), np.array([y - 25, y + 25]))
    return Zone(code, "checkpoint", code, code, "", shapely.box(lon[0], lat[0], lon[1], lat[1]))


LINE = Zone("L", "patrol", "湖岸", "Shore", "", shapely.LineString(np.column_stack(SPOT.lonlat(*np.transpose(WAY)))))
ZONES = [LINE, box("K1", 0, 0), box("K2", 1000, 0), box("K3", 1000, 800)]
ROUND = Plan("R", "route", "夜巡", "Night round", "", ("L",), opens="08:00", closes="12:00")
ORDERED = replace(ROUND, ordered=True)
POSTS = Plan("K", "route", "打卡", "Posts", "", ("K1", "K2", "K3"), 1, 60.0, "08:00", "12:00", share=1.0, ordered=True)
DEVICES = [
    Device("T1", "terminal", "张三", "Zhang", "", "", role="patrol", id=1),
    Device("T2", "terminal", "李四", "Li", "", "", role="patrol", id=2),
]


def site(*plans: Plan) -> Site:
    return Site([], ZONES, [], Registry(DEVICES), plans=plans)


def at(hour: float) -> int:
    return NINE + round((hour - 9) * 3600) * SECOND


def along(metres: float) -> tuple[float, float]:
    """The place so many metres along the way."""
    return (metres, 0.0) if metres <= 1000 else (1000.0, metres - 1000)


def walk(
    begin: float, places: Iterable[tuple[float, float]], every: float = 10.0, device: int = 1, noise: float = 0.0
) -> list[tuple[Any, ...]]:
    draw, found = np.random.default_rng(7), []
    for i, (x, y) in enumerate(places):
        lon, lat = map(float, SPOT.lonlat(x + draw.normal(0, noise), y + draw.normal(0, noise)))
        found.append((device, at(begin) + int(i * every * SECOND), 0, lon, lat, 1, 0, 5, 80, 0))
    return found


WHOLE = [along(m) for m in range(0, 1801, 12)]


def watch(
    place: Site, fixes: Sequence[tuple[Any, ...]], until: float = 13, detector: Route | None = None
) -> list[Finding]:
    """What is found minute by minute, beside a gauge that is always heard."""
    detector = detector or Route()
    state, found, table = detector.start(place), [], rows(FIX, sorted(fixes, key=lambda f: f[1]))
    for minute in range(8 * 60, int(until * 60)):
        since, end = at(minute / 60), at((minute + 1) / 60)
        some = table[(table["at"] >= since) & (table["at"] < end)]
        level = rows(SAMPLE, [(9, since, 0, "water_level", 7.6)])
        found += detector.step(state, Batch(some, samples=level), end, place)
    return found


def said(found: Iterable[Finding]) -> list[str]:
    return [f.sentence.en for f in found]


# ── Lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_round_well_walked_is_no_news() -> None:
    assert watch(site(ROUND), walk(9, WHOLE, noise=8.0)) == []
    assert watch(site(ROUND), walk(9, WHOLE[::-1], noise=8.0)) == [], "either way"
    assert watch(site(ROUND), walk(9, WHOLE[::3], every=30.0)) == [], "with a fix every half minute"


def test_nobody_came() -> None:
    (found,) = watch(site(ROUND), [])
    assert found.sentence.en == "Nobody was on Night round from 10 Jun 08:00 to 10 Jun 12:00; needed are 80%."
    assert found.sentence.zh == "“夜巡”在6月10日08:00至6月10日12:00之间无人执行（应完成80%）。"
    assert (found.subject, found.zone, found.since, found.until) == ("R 2026-06-10 08:00", "L", at(8), at(12))


def test_a_round_cut_short_is_told_when_the_window_is_over() -> None:
    (found,) = watch(site(ROUND), walk(9, WHOLE[:100]) + walk(10, WHOLE[:40], device=2))
    assert found.sentence.en == "Night round was not completed by 10 Jun 12:00: Zhang covered 67%, needed are 80%."
    parts = [f["properties"]["part"] for f in found.evidence["geojson"]["features"]]
    assert parts == ["planned", "walked", "covered"]
    whose = [f["properties"].get("device") for f in found.evidence["geojson"]["features"]]
    assert whose == [None, "T1", "T1"], "it says whose places they are"
    assert found.evidence["numbers"]["walked_m"] == pytest.approx(99 * 12, abs=5), "simplified at the corner"


def test_two_halves_by_two_are_no_round() -> None:
    (found,) = watch(site(ROUND), walk(9, WHOLE[:80]) + walk(9, WHOLE[70:], device=2))
    assert "not completed" in found.sentence.en


def test_who_leaves_the_line_is_told_and_who_comes_back_ends_it() -> None:
    aside = [(500.0, float(y)) for y in [*range(0, 300, 12), *([300] * 60), *range(300, 0, -12)]]
    track = WHOLE[:42] + aside + WHOLE[42:]
    found = watch(site(ROUND), walk(9, track))
    first, last = found[0], found[-1]
    assert first.sentence.en.startswith("Zhang has been off the line of Night round for 5 min")
    assert "(limit 80 m for 5 min)" in first.sentence.en
    assert (first.subject, first.zone, first.ends) == ("T1", "L", False)
    assert first.evidence["numbers"]["farthest_m"] == pytest.approx(300, abs=15)
    assert last.ends
    assert "back on the line" in last.sentence.en
    assert len(found) == 7, "told every two minutes"


def test_lunch_beside_the_line_and_passing_by_are_no_deviation() -> None:
    lunch = WHOLE[:42] + [(500.0, 60.0)] * 200 + WHOLE[42:]
    assert watch(site(ROUND), walk(9, lunch)) == []
    across = walk(9, [(500.0, float(y)) for y in range(-900, 900, 12)], device=2)
    assert watch(site(ROUND), walk(9, WHOLE) + across) == []


@settings(max_examples=15)
@given(st.floats(15, 90), st.floats(300, 700), st.sampled_from([-1, 1]))
def test_who_comes_across_at_a_slant_is_not_on_the_round(angle: float, where: float, side: int) -> None:
    """On the way home, and out again: each time the same part of the line is passed."""
    slope = side * np.tan(np.radians(angle))
    across = [(where + s / slope, float(s)) for s in np.linspace(-250, 250, 80)]
    rest = [across[-1]] * 60
    found = watch(site(ROUND), walk(9, across + rest + across[::-1], noise=5.0), until=10)
    assert [f for f in found if f.subject == "T1"] == []


def test_a_silent_terminal_is_not_off_the_line() -> None:
    gone = walk(9, WHOLE[:42] + [(500.0, 150.0)] * 3)
    assert [f for f in watch(site(ROUND), gone) if f.subject == "T1"] == []


def test_order_matters_only_where_the_plan_says_so() -> None:
    backwards = walk(9, WHOLE[::-1])
    (last,) = watch(site(ORDERED), backwards)
    assert last.sentence.en.startswith("Night round was not completed by 10 Jun 12:00: Zhang covered 5% in order")
    assert last.evidence["numbers"]["ordered_share"] < 0.1
    assert watch(site(ORDERED), walk(9, WHOLE, noise=10.0)) == []


def test_a_line_that_comes_back_close_by_is_not_judged_before_its_end() -> None:
    there_and_back = shapely.LineString(np.column_stack(SPOT.lonlat([0, 1000, 1000, 0], [0, 0, 30, 30])))
    line = replace(LINE, geometry=there_and_back)
    place = Site([], [line], [], Registry(DEVICES), plans=[ORDERED])
    whole = [(float(x), 0.0) for x in range(0, 1000, 12)] + [(float(x), 30.0) for x in range(1000, 0, -12)]
    assert watch(place, walk(9, whole, noise=5.0)) == []


def test_fixes_that_come_late_end_what_was_told() -> None:
    detector, place = Route(), site(ROUND)
    state, found = detector.start(place), []
    for minute in range(8 * 60, 13 * 60):
        level = rows(SAMPLE, [(9, at(minute / 60), 0, "water_level", 7.6)])
        found += detector.step(state, Batch(samples=level), at((minute + 1) / 60), place)
    assert len(found) == 1
    late = detector.step(state, Batch(rows(FIX, walk(9, WHOLE))), at(13.1), place)
    late += detector.step(state, Batch(), at(13.2), place)
    assert [f.ends for f in late] == [True]
    assert (late[0].subject, late[0].zone) == (found[0].subject, found[0].zone)


def test_nobody_is_blamed_while_nothing_was_heard() -> None:
    detector, place = Route(), site(ROUND)
    state = detector.start(place)
    found = detector.step(state, Batch(rows(FIX, walk(8, [(5000.0, 0.0)]))), at(8.1), place)
    found += detector.step(state, Batch(rows(FIX, walk(13, [(5000.0, 0.0)]))), at(13.1), place)
    assert found == []


# ── Checkpoints ─────────────────────────────────────────────────────────────────────────────────────────────────────
def posts(*order: int, minutes: float = 2) -> list[tuple[float, float]]:
    places = [(0.0, 0.0), (1000.0, 0.0), (1000.0, 800.0)]
    return [p for k in order for p in [places[k]] * int(minutes * 6) + [(500.0, 2000.0)] * 7]


def test_checkpoints_in_their_order() -> None:
    assert watch(site(POSTS), walk(9, posts(0, 1, 2), noise=5.0)) == []
    assert watch(site(replace(POSTS, ordered=False)), walk(9, posts(2, 0, 1))) == []


def test_checkpoints_in_another_order_or_left_too_soon() -> None:
    *_, last = watch(site(POSTS), walk(9, posts(0, 2, 1, 2)))
    assert last.ends
    assert last.sentence.en.startswith("Zhang has completed 100% of Posts after all")
    assert last.subject == "K 2026-06-10 08:00"
    wrong, closing = watch(site(POSTS), walk(9, posts(0, 2, 1)))
    assert wrong.sentence.en.startswith("Zhang covered 100% of Posts, but only 67% in the planned order")
    assert "not completed" in closing.sentence.en
    (soon,) = watch(site(POSTS), walk(9, posts(0, 1) + posts(2, minutes=0.5)))
    assert "covered 67%" in soon.sentence.en


@given(st.floats(10, 55), st.data())
def test_one_fix_outside_does_not_end_a_stay_whatever_the_interval(every: float, data: st.DataObject) -> None:
    beside = [(0.0, 0.0)] * 8
    beside[data.draw(st.integers(1, 6))] = (30.0, 0.0)
    paper = certificate(POSTS, rows(FIX, walk(9, [*beside, (500.0, 2000.0)], every)), site(POSTS))
    assert [s["stay_s"] for s in paper["stays"]] == [pytest.approx(7 * every, abs=0.01)]


def test_a_minute_outside_or_a_long_pause_ends_a_stay() -> None:
    inside, outside = [(0.0, 0.0)] * 4, [(60.0, 0.0)]
    for fixes in (
        walk(9, [*inside, *outside * 8, *inside]),
        walk(9, inside) + walk(9 + 155 / 3600, inside),
    ):
        paper = certificate(POSTS, rows(FIX, fixes), site(POSTS))
        assert [s["stay_s"] for s in paper["stays"]] == [30, 30]
    joined = certificate(POSTS, rows(FIX, walk(9, inside) + walk(9 + 145 / 3600, inside)), site(POSTS))
    assert [s["stay_s"] for s in joined["stays"]] == [175]


# ── Certificates ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_certificate_of_a_good_patrol() -> None:
    paper = certificate(ORDERED, rows(FIX, walk(9, WHOLE, noise=3.0)), site(ORDERED))
    assert (paper["result"], paper["device"], paper["plan"]) == ("complete", "T1", "R")
    assert (paper["opens"], paper["closes"]) == ("2026-06-10T00:00:00.000Z", "2026-06-10T04:00:00.000Z")
    numbers = paper["numbers"]
    assert (numbers["covered_share"], numbers["ordered_share"], numbers["needed_share"]) == (1.0, 1.0, 0.8)
    assert numbers["course_m"] == pytest.approx(1800, abs=2)
    assert numbers["farthest_m"] < 25
    assert numbers["off_s"] == 0
    assert numbers["longest_gap_s"] == 10
    assert json.loads(json.dumps(paper, allow_nan=False)) == paper


def test_the_certificate_of_a_round_by_checkpoints_lists_the_stays() -> None:
    paper = certificate(POSTS, rows(FIX, walk(9, posts(0, 1, 2))), site(POSTS))
    assert paper["result"] == "complete"
    assert [s["zone"] for s in paper["stays"]] == ["K1", "K2", "K3"]
    assert [s["stay_s"] for s in paper["stays"]] == [110, 110, 110]


def test_the_same_fixes_in_any_order_give_the_same_certificate() -> None:
    fixes = rows(FIX, walk(9, WHOLE[:90], noise=8.0))
    shuffled = np.random.default_rng(1).permutation(np.concatenate([fixes, fixes[:20]]))
    assert certificate(ROUND, shuffled, site(ROUND)) == certificate(ROUND, fixes, site(ROUND))


def test_a_certificate_of_nothing_and_of_no_route() -> None:
    paper = certificate(ROUND, rows(FIX), site(ROUND), (at(8), at(12)))
    assert (paper["result"], paper["first"], paper["numbers"]["covered_share"]) == ("absent", None, 0.0)
    for wrong in (replace(ROUND, kind="quota"), replace(ROUND, zones=("gone",))):
        with pytest.raises(NoCourse, match="'R'"):
            certificate(wrong, rows(FIX), site(ROUND))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(-200, 2000), st.integers(-60, 60), st.integers(1, 200)), max_size=40), st.booleans()
)
def test_a_certificate_is_always_plain_and_in_bounds(steps: list[tuple[int, int, int]], ordered: bool) -> None:
    fixes, now = [], at(8)
    for metres, aside, pause in steps:
        now += pause * SECOND
        x, y = along(float(metres))
        lon, lat = map(float, SPOT.lonlat(x, y + aside))
        fixes.append((1, now, 0, lon, lat, NAN, NAN, NAN, NAN, 0))
    paper = certificate(replace(ROUND, ordered=ordered), rows(FIX, fixes), site(ROUND))
    assert json.loads(json.dumps(paper, allow_nan=False)) == paper
    assert 0 <= paper["numbers"]["ordered_share"] <= paper["numbers"]["covered_share"] <= 1
    for feature in paper["geojson"]["features"]:
        assert shapely.from_geojson(json.dumps(feature["geometry"])).is_valid
    enough = paper["numbers"]["covered_share"] >= 0.8
    assert (paper["result"] in ("complete", "wrong_order")) == enough


@given(st.lists(st.integers(0, 8), max_size=12))
def test_in_order_is_the_longest_rising_choice(marks: list[int]) -> None:
    best = [1] * len(marks)
    for i, mark in enumerate(marks):
        best[i] = max([1 + best[j] for j in range(i) if marks[j] < mark], default=1)
    assert in_order(marks) == max(best, default=0)
