"""Fenced zones: entered, stayed in, passed through between two fixes, left; homes; and noise that means nothing."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.base import Batch, Finding
from detectors.geo import Plane
from detectors.geofence import Geofence
from detectors.thresholds import WrongThreshold
from detectors.visits import Visits, visit_rows
from devices.readings import FIX, SECOND, VISIT, rows
from devices.registry import Device, Registry
from devices.site import Season, Site, Zone

SPOT = Plane(118.85, 31.45)
BEGIN = 1_781_053_200 * SECOND  # 2026-06-10 09:00 at the site


def box(code: str, kind: Any, west: float, south: float, east: float, north: float, **more: Any) -> Zone:
    lon, lat = SPOT.lonlat(np.array([west, east]), np.array([south, north]))
    return Zone(code, kind, f"{code}区", f"Zone {code}", "", shapely.box(lon[0], lat[0], lon[1], lat[1]), **more)


SLUICE = box("R", "restricted", 0, -100, 60, 100)
HOME = box("H", "patrol", 1000, -300, 1600, 300)
DAM = Zone("D", "restricted", "大坝", "Dam", "",
           shapely.LineString(np.column_stack(SPOT.lonlat([0, 0], [1000, 1400]))))  # fmt: skip
DEVICES = [
    Device("T1", "terminal", "张三", "Zhang", "", "", role="patrol", id=1),
    Device("V2", "vessel", "快艇", "Speedboat", "", "", id=2),
    Device("T3", "terminal", "李四", "Li", "", "", role="patrol", id=3, properties={"home": "H"}),
]


def site(*zones: Zone) -> Site:
    return Site([], zones or [SLUICE, HOME, DAM], [], Registry(DEVICES))


Fixes = list[tuple[Any, ...]]


def way(
    device: int, xs: Iterable[float], y: float = 0.0, every: float = 5.0, noise: float = 0.0, begin: float = 0
) -> Fixes:
    draw, found = random.Random(5), []
    for i, x in enumerate(xs):
        lon, lat = map(float, SPOT.lonlat(x + draw.gauss(0, noise), y + draw.gauss(0, noise)))
        found.append((device, BEGIN + round((begin + i * every) * SECOND), 0, lon, lat, 1, 0, 5, 80, 0))
    return found


def watch(
    fixes: Sequence[tuple[Any, ...]], place: Site | None = None, detector: Geofence | None = None
) -> list[Finding]:
    """Batches of 15 s with the visits they bring, and some ticks."""
    place, detector = place or site(), detector or Geofence()
    state, visits = detector.start(place), Visits()
    stays, found = visits.start(place), list[Finding]()
    table = rows(FIX, sorted(fixes, key=lambda f: f[1]))
    last = int(table["at"].max())
    for since in range(BEGIN, last + 1, 15 * SECOND):
        some = table[(table["at"] >= since) & (table["at"] < since + 15 * SECOND)]
        told = visit_rows(visits.step(stays, some, place))
        found += detector.step(state, Batch(some, visits=told), since + 15 * SECOND, place)
    found += detector.step(state, Batch(), last + 300 * SECOND, place)
    return found


# ── Visits ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_somebody_enters_stays_and_leaves() -> None:
    found = watch(way(1, [-30, -20, -10, *range(5, 55, 1), *([55] * 100), 70, 80, 90, 100, 110, 120]))
    first, *middle, last = found
    assert (first.subject, first.zone, first.since) == ("T1", "R", BEGIN + 15 * SECOND)
    assert first.sentence.zh == "张三进入R区，6月10日09:00。"
    assert middle[0].sentence.en.startswith("Zhang has been in Zone R for 5 min")
    assert "(limit 5 min)" in middle[0].sentence.en
    assert len(middle) == 1, "it would be told again after 15 minutes"
    assert last.ends
    assert last.until - last.since == 150 * 5 * SECOND
    assert last.sentence.en == "Zhang has left Zone R after 12 min, 10 Jun 09:12."
    assert {f.since for f in found} == {first.since}


def test_noise_along_the_edge_and_a_walk_beside_it_are_nothing() -> None:
    assert watch(way(1, [-25.0] * 400, noise=8.0)) == []
    assert watch(way(1, range(-900, -15, 7), noise=5.0)) == []


def test_other_kinds_of_zones_are_not_fenced_unless_asked_for() -> None:
    inside = way(1, [1200.0] * 30)
    assert watch(inside) == []
    assert [f.zone for f in watch(inside, detector=Geofence(kinds=("patrol",)))] == ["H"]


def test_a_zone_is_open_to_those_it_allows_and_out_of_its_season() -> None:
    inside = way(1, [30.0] * 30)
    for allowed in (["T1"], ["patrol"], "terminal"):
        assert watch(inside, site(replace(SLUICE, properties={"allowed": allowed}))) == []
    assert len(watch(inside, site(replace(SLUICE, properties={"allowed": ["police", 7]})))) == 1
    assert watch(inside, site(replace(SLUICE, season=Season("01-01", "03-01")))) == []
    assert watch(inside, site(replace(SLUICE, season=Season(opens="18:00", closes="06:00")))) == []


def test_a_visit_struck_out_ends_its_episode() -> None:
    detector, place = Geofence(), site()
    state = detector.start(place)
    visit = (1, "R", BEGIN)
    (told,) = detector.step(state, Batch(visits=rows(VISIT, [(*visit, 0)])), BEGIN, place)
    (over,) = detector.step(state, Batch(visits=rows(VISIT, [(*visit, -1)])), BEGIN + 60 * SECOND, place)
    assert not told.ends
    assert over.ends
    assert over.sentence.en == "Fixes that came later show that Zhang did not enter Zone R at 10 Jun 09:00."
    assert (told.subject, told.zone, told.since) == (over.subject, over.zone, over.since)


# ── Passing through ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_boat_that_shoots_through_between_two_fixes() -> None:
    (found,) = watch(way(2, range(-420, 500, 100)))
    assert found.sentence.en.startswith(
        "Speedboat passed through Zone R, about 60 m of it, between two fixes 5 s apart"
    )
    assert (found.subject, found.zone, found.ends) == ("V2", "R", False)
    assert found.until - found.since == 5 * SECOND


def test_a_boat_with_a_fix_or_two_inside_is_seen_too() -> None:
    for start in range(-400, -340, 7):
        assert len(watch(way(2, range(start, 500, 40)))) == 1, start


@given(st.floats(4.0, 25.0), st.sampled_from([1.0, 2.0, 5.0, 10.0]), st.floats(0.0, 1.0))
@settings(max_examples=60)
def test_whoever_rides_through_is_seen_however_short_his_steps_are(pace: float, every: float, phase: float) -> None:
    step = pace * every
    found = watch(way(1, np.arange((phase - 4) * step - 100, 100 + 4 * step, step), every=every))
    assert {f.zone for f in found} == {"R"}, "entered, or passed through"


def test_one_wrong_fix_beyond_the_zone_is_nobody() -> None:
    assert watch(way(2, [-60, -62, -61, 130, -60, -63, -64])) == []
    assert watch(way(2, [-60, -62, -61, 30, -60, -63, -64])) == []


def test_a_jump_across_the_zone_is_no_passage() -> None:
    assert watch(way(1, [*range(-560, -500, 6), *range(560, 620, 6)])) == []


def test_the_first_fix_after_a_pause_is_not_believed() -> None:
    assert watch(way(2, [-90, 90, 95, 93, 94])) == []
    assert watch(way(2, [-90, -91, -92, -93]) + way(2, [-90, 90, 95, 93, 94], begin=200)) == []


def test_a_line_is_crossed() -> None:
    assert [f.zone for f in watch(way(2, range(-250, 300, 100), y=1200))] == ["D"]
    assert watch(way(2, range(-250, 300, 100), y=1500)) == []


def test_a_long_pause_is_no_straight_way_and_a_graze_no_passage() -> None:
    assert watch(way(2, [-400, 400, 500, 600], every=90)) == []
    lon, lat = SPOT.lonlat(np.array([-20, 15, 50]), np.array([-110, -95, -110]))
    graze = [(2, BEGIN + i * 5 * SECOND, 0, float(lon[i]), float(lat[i]), 1, 0, 5, 80, 0) for i in range(3)]
    assert watch(graze) == []


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(-300, 300), st.floats(-200, 200)), min_size=2, max_size=12), st.integers(0, 9))
def test_passages_do_not_depend_on_batches(places: list[tuple[float, float]], seed: int) -> None:
    lon, lat = SPOT.lonlat(*np.transpose(places))
    fixes = rows(
        FIX,
        [(2, BEGIN + i * 6 * SECOND, 0, x, y, 1, 0, 5, 80, 0) for i, (x, y) in enumerate(zip(lon, lat, strict=True))],
    )
    place, detector, draw = site(), Geofence(), random.Random(seed)
    whole, parts = detector.start(place), detector.start(place)
    together = detector.step(whole, Batch(fixes), BEGIN + 3600 * SECOND, place)
    apart: list[Finding] = []
    cuts = sorted({0, len(fixes), *(draw.randrange(len(fixes)) for _ in range(3))})
    for begin, end in pairwise(cuts):
        apart += detector.step(parts, Batch(fixes[begin:end]), BEGIN + 3600 * SECOND, place)
    assert together == apart
    for found in together:
        assert found.evidence["numbers"]["inside_m"] >= 30


# ── Homes ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_who_leaves_home_is_told_and_coming_back_ends_it() -> None:
    away = [*range(1500, 1800, 7), *([1800] * 100), *range(1800, 1400, -7)]
    found = watch(way(3, away))
    assert found[0].sentence.en.startswith("Li has been away from Zone H for 5 min")
    assert (found[0].subject, found[0].zone) == ("T3", "H")
    assert found[-1].ends
    assert found[-1].sentence.en.startswith("Li is back in Zone H")


def test_the_edge_of_home_and_a_pause_are_no_leaving() -> None:
    assert watch(way(3, [1610.0] * 200, noise=8.0)) == []
    assert watch(way(3, [1500.0] * 3) + way(3, [1800.0] * 3, begin=4000)) == []


def test_being_away_is_told_with_its_greatest_length_only() -> None:
    found = watch(way(3, [1800.0] * 500), detector=Geofence(longest=900.0))
    assert "for at least 15 min" in found[-1].sentence.en
    assert found[-1].evidence["numbers"]["away_s"] == 900


def test_kinds_must_be_visited() -> None:
    with pytest.raises(WrongThreshold, match=r"geofence\.kinds"):
        Geofence(kinds=("water",))
