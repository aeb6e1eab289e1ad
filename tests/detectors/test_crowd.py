"""More people than a place holds, for some time."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import shapely

from detectors.base import Batch, Finding
from detectors.crowd import Crowd
from detectors.gathering import density_step
from detectors.geo import plane_of
from detectors.overlap import Overlap, view
from devices.readings import SECOND, SIGHTING, rows
from devices.registry import Device, Registry
from devices.site import Site, Zone

CROWD = Crowd(against=("capacity", "density"))
SQUARE = (5050.0, 50.0)


def counts(lake: Any, people: Any, begin: float, end: float, *, camera: int = 3, every: float = 4.0) -> Any:
    """A camera's counts; ``people`` a number or a function of the time."""
    seen = []
    for t in np.arange(begin, end, every).tolist():
        n = people(t) if callable(people) else people
        seen += lake.seen("person", [t], SQUARE, camera=camera, count=n)
    return seen


def test_too_many_for_a_minute(lake: Any) -> None:
    found = lake.watch(CROWD, sightings=counts(lake, 130, 0, 200))
    assert [(f.until - f.since) // SECOND for f in found] == [60, 110, 170], "found, then in every minute of the clock"
    assert {(f.subject, f.zone, f.since) for f in found} == {("CW", "CW", lake.at(10))}
    assert found[0].score == pytest.approx(0.65)


def test_what_an_officer_reads(lake: Any) -> None:
    found = lake.watch(CROWD, sightings=counts(lake, 130, 0, 80))[0]
    assert found.sentence.zh == (
        "集镇广场：约130人，达到上限100人（容量100人），6月10日19:00起已持续1分钟（阈值1分钟），由广场监控统计。"
    )
    assert found.sentence.en == (
        "Market square: about 130 people (limit 100, capacity 100) for 1 min since 10 Jun 19:00 (limit 1 min),"
        " counted by Market camera."
    )
    assert found.evidence["numbers"]["people"] == 130
    assert found.evidence["numbers"]["density_per_m2"] == pytest.approx(0.013, rel=0.01)
    assert [f["properties"]["camera"] for f in found.evidence["geojson"]["features"]] == ["C3"]


def test_while_people_leave_it_is_not_said_that_they_reach_the_limit(lake: Any) -> None:
    watched = lake.watch(CROWD, sightings=counts(lake, lambda t: 130 if t < 100 else 95, 0, 200))
    found = next(f for f in watched if f.evidence["numbers"]["people"] == 95 and not f.ends)
    assert found.sentence.zh.startswith("集镇广场：约95人，尚未散去，曾达到上限100人（容量100人），")
    assert found.sentence.en.startswith("Market square: still about 95 people (limit 100, capacity 100) for ")


def test_a_spike_shorter_than_sustain_is_nothing(lake: Any) -> None:
    assert lake.watch(CROWD, sightings=counts(lake, lambda t: 150 if 100 < t < 150 else 60, 0, 400)) == []


def test_below_the_limit_is_nothing(lake: Any) -> None:
    assert lake.watch(CROWD, sightings=counts(lake, 99, 0, 600)) == []


def test_a_spike_and_then_nearly_full_is_nothing(lake: Any) -> None:
    """Between release and ratio a crowd is kept up for ``hold`` s only."""
    assert lake.watch(CROWD, sightings=counts(lake, lambda t: 150 if t < 20 else 95, 0, 900)) == []


def test_dips_in_the_count_do_not_end_it(lake: Any) -> None:
    noisy = np.random.default_rng(1)
    found = lake.watch(CROWD, sightings=counts(lake, lambda t: int(noisy.normal(104, 4)), 0, 600))
    assert found
    assert len({f.since for f in found}) == 1


def test_falling_below_release_ends_it(lake: Any) -> None:
    found = lake.watch(CROWD, sightings=counts(lake, lambda t: 60 if 200 <= t < 220 else 130, 0, 400))
    assert len({f.since for f in found}) == 2


def test_cameras_add_up(lake: Any) -> None:
    one, other = counts(lake, 60, 0, 200), counts(lake, 60, 0, 200, camera=1, every=7.0)
    assert lake.watch(CROWD, sightings=one) == []
    found = lake.watch(CROWD, sightings=one + other)
    assert found[0].evidence["numbers"]["people"] == 120
    assert found[0].evidence["numbers"]["cameras"] == 2


def test_a_repeated_count_is_not_added_up(lake: Any) -> None:
    assert lake.watch(CROWD, sightings=counts(lake, 60, 0, 300, every=1.0)) == []


def test_people_counted_one_by_one_in_one_message_add_up(lake: Any) -> None:
    seen = []
    for t in range(0, 100, 4):
        for i in range(110):
            seen += lake.seen("person", [t], (5001 + i * 0.8, 50), camera=3, track=f"p{i}")
    assert lake.watch(CROWD, sightings=seen)[0].evidence["numbers"]["people"] == 110


def test_a_camera_that_falls_silent_takes_its_people_with_it(lake: Any) -> None:
    one, other = counts(lake, 60, 0, 600), counts(lake, 60, 0, 100, camera=1)
    found = lake.watch(CROWD, sightings=one + other)
    assert max(f.until for f in found) <= lake.at(140)


def test_other_labels_and_zones_without_a_capacity_do_not_count(lake: Any) -> None:
    assert lake.watch(CROWD, sightings=lake.seen("boat", range(0, 200, 4), SQUARE, count=500)) == []
    assert lake.watch(CROWD, sightings=lake.seen("person", range(0, 200, 4), (6050, 50), count=500)) == []


def test_the_danger_mark_raises_the_score(lake: Any) -> None:
    """4 persons/m² on 10,000 m²."""
    assert lake.watch(CROWD, sightings=counts(lake, 41_000, 0, 80))[0].score == 1.0
    dense = Crowd(against=("capacity",), ratio=400.0)
    assert lake.watch(dense, sightings=counts(lake, 41_000, 0, 80))[0].score == pytest.approx(0.9)


def test_a_lower_limit_is_said(lake: Any) -> None:
    found = lake.watch(Crowd(against=("capacity",), ratio=0.8, release=0.7), sightings=counts(lake, 85, 0, 80))
    assert "limit 80, capacity 100" in found[0].sentence.en
    assert "上限80人（容量100人）" in found[0].sentence.zh


def test_a_whole_day_is_at_least_half_an_hour(lake: Any) -> None:
    found = lake.watch(CROWD, sightings=counts(lake, 130, 0, 4000, every=8.0))
    assert "at least 30 min" in found[-1].sentence.en
    assert "至少30分钟" in found[-1].sentence.zh
    assert {f.subject for f in found} == {"CW"}


def test_history_in_fast_motion_is_judged_like_the_present(lake: Any) -> None:
    """Received within seconds, an hour late: event time is what counts."""
    seen = [
        (*row[:2], lake.at(4000 + (row[1] - lake.at(0)) / SECOND / 60), *row[3:]) for row in counts(lake, 130, 0, 200)
    ]
    assert lake.watch(CROWD, sightings=seen, ticks=[4000.5, 4001.2, 4002.8])[0].since == lake.at(10)


# ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_its_end_is_told(lake: Any) -> None:
    found = lake.watch(CROWD, sightings=counts(lake, lambda t: 130 if t < 300 else 40, 0, 500))
    assert [f.ends for f in found] == [False] * (len(found) - 1) + [True]
    last = found[-1]
    assert (last.since, last.until) == (lake.at(10), lake.at(320))
    assert last.sentence.zh == ("集镇广场：人群已回落到约40人，6月10日19:00起的聚集结束，历时5分钟，由广场监控统计。")
    assert "is over after 5 min" in last.sentence.en


def test_a_camera_that_falls_silent_ends_nothing(lake: Any) -> None:
    found = lake.watch(CROWD, sightings=counts(lake, 130, 0, 300), fixes=lake.fixes(4, range(0, 600, 10)))
    assert found
    assert not any(f.ends for f in found)


def test_what_was_never_found_does_not_end(lake: Any) -> None:
    assert lake.watch(CROWD, sightings=counts(lake, lambda t: 150 if t < 40 else 20, 0, 400)) == []


# ── Density ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_zone_without_a_capacity_is_judged_by_density(lake: Any) -> None:
    seen = lake.seen("person", range(0, 100, 4), (6050, 50), camera=3, count=45_000)
    found = lake.watch(Crowd(), sightings=seen)
    assert found[0].subject == "CW-FREE"
    assert found[0].score >= 0.9
    assert found[0].evidence["numbers"]["density_step"] == 4
    assert "4.5 per square metre on average (limit 4:" in found[0].sentence.en
    assert "平均每平方米4.5人" in found[0].sentence.zh


def test_the_levels_of_service() -> None:
    assert [density_step(d) for d in (0.0, 0.83, 1.1, 2.0, 4.0, 7.0)] == [0, 1, 2, 3, 4, 5]


# ── Growth ──────────────────────────────────────────────────────────────────────────────────────────────────────────
GROWTH = Crowd(against=("growth",))


def test_people_who_pour_in_are_found_before_the_place_is_full(lake: Any) -> None:
    pouring = counts(lake, lambda t: 15 + max(0.0, min(1.0, (t - 400) / 240)) * 75, 0, 1000)
    found = lake.watch(GROWTH, sightings=pouring)
    assert found
    assert lake.at(400) < found[0].until < lake.at(760)
    assert found[0].evidence["numbers"]["limit_grown_by"] == 60
    assert "people pour in, from about" in found[0].sentence.en
    assert "人员快速涌入，5分钟内由约" in found[0].sentence.zh
    assert found[-1].ends


def test_a_place_that_fills_slowly_and_a_camera_that_wakes_are_no_growth(lake: Any) -> None:
    assert lake.watch(GROWTH, sightings=counts(lake, lambda t: 10 + t / 20, 0, 1600, every=8.0)) == []
    woken = counts(lake, 5, 0, 60) + counts(lake, 90, 400, 900)
    assert lake.watch(GROWTH, sightings=woken) == []


# ── What is usual there ─────────────────────────────────────────────────────────────────────────────────────────────
DAY = 86_400.0
USUAL = Crowd(against=("usual",), beat=300.0, fresh=600.0, odd_sustain=900.0, patience=0.0)


def weeks(lake: Any, days: float, extra: Callable[[float], float] = lambda t: 0.0, night: bool = False) -> Any:
    """A place with a market on Saturdays, empty at night: then its camera sends nothing."""
    draw, seen = random.Random(2), []
    for i in range(int(days * 288)):
        t = i * 300.0
        busy = max(0.0, math.sin((t % DAY / 3600 - 7) / 12 * math.pi)) * (160 if int(t // DAY) % 7 == 5 else 40)
        people = max(0, round(draw.gauss(busy, math.sqrt(busy + 1)) + extra(t))) if busy or extra(t) else 0
        if people:
            seen += lake.seen("person", [t], SQUARE, camera=3, count=people)
    return rows(SIGHTING, seen)


def found_in(lake: Any, detector: Crowd, seen: Any) -> list[Finding]:
    state, found = detector.start(lake.site), []
    for i in range(0, len(seen), 400):
        part = seen[i : i + 400]
        found += detector.step(state, Batch(sightings=part), int(part["received"].max()), lake.site)
    return found


@pytest.mark.parametrize(("hour", "many"), [(10.0, 100), (2.0, 60), (2.0, 34)])
def test_more_than_usual_at_this_hour_though_the_place_holds_them(lake: Any, hour: float, many: int) -> None:
    """By day, and at night, when a camera without anybody in sight has sent nothing for weeks."""
    begin = 22 * DAY + hour * 3600
    found = found_in(lake, USUAL, weeks(lake, 23, lambda t: many if begin < t < begin + 5400 else 0))
    assert found
    assert lake.at(begin) + 900 * SECOND <= found[0].until <= lake.at(begin + 2100)
    assert found[0].evidence["numbers"]["usual_people"] == pytest.approx(28 if hour == 10.0 else 0, abs=12)
    assert "usual at this hour of the week (limit 6)" in found[0].sentence.en
    assert "每周此时通常约" in found[0].sentence.zh


def test_what_is_usual_on_saturdays_is_not_found_and_nothing_in_the_first_two_weeks(lake: Any) -> None:
    tuesday = 9 * DAY + 10 * 3600.0
    assert found_in(lake, USUAL, weeks(lake, 28, lambda t: 100 if tuesday < t < tuesday + 5400 else 0)) == []


def test_the_memory_holds_weeks_only_against_what_is_usual() -> None:
    assert CROWD.memory == CROWD.refold_memory < 3600
    assert USUAL.memory > 21 * DAY
    assert USUAL.refold_memory < DAY


# ── Cameras that see the same people ────────────────────────────────────────────────────────────────────────────────
def counting(*cameras: dict[str, Any]) -> tuple[Overlap, Zone]:
    """A square of 100 m; cameras on its west side."""
    zone = Zone("M", "crowd_watch", "广场", "Square", "", shapely.box(118.0, 31.0, 118.00105, 31.0009), 100)
    known = [
        Device(f"C{i}", "camera", "", "", "", "", lon=117.9999, lat=31.00045, id=i, properties=own)
        for i, own in enumerate(cameras, 1)
    ]
    return Overlap(Site([], [zone], [], Registry(known))), zone


EAST = {"bearing": 90, "range": 300, "fov": 60, "watches": ["M"]}
WIDE = EAST | {"fov": 175}


@pytest.mark.parametrize(
    ("cameras", "counts", "people"),
    [
        ([{}, {}], {1: 40, 2: 30}, 70),  # nothing is known
        ([{"watches": ["M"]}, {"watches": ["M"]}], {1: 40, 2: 50}, 45),  # each counts the whole
        ([{"watches": ["M"]}, {"watches": ["M"]}], {1: 20, 2: 50}, 50),  # and one is half blind
        ([{"watches": ["M"]}, {"watches": ["M"]}], {1: 0, 2: 0}, 0),
        ([WIDE, WIDE], {1: 40, 2: 50}, 40),  # the same view: the first of them
        ([WIDE, WIDE | {"counts": "whole"}], {1: 40, 2: 50}, 50),
        ([{"watches": ["M"]}, {"watches": ["M"], "counts": "part"}], {1: 40, 2: 50}, 50),
        ([EAST, EAST | {"bearing": 270}], {1: 40, 2: 50}, 90),  # one looks away: it is believed
        ([EAST | {"fov": "wide"}, EAST], {1: 40, 2: 50}, 50),
        ([EAST], {1: 40}, 40),
    ],
)
def test_people_whom_two_cameras_see(cameras: Any, counts: Any, people: int) -> None:
    overlap, zone = counting(*cameras)
    assert overlap.people(zone, counts) == people


def share(cameras: Any, zone: Zone) -> Any:
    """What part of the zone each camera sees."""
    plane = plane_of(zone.geometry)
    outline = shapely.transform(zone.geometry, lambda c: np.column_stack(plane.xy(c[:, 0], c[:, 1])))
    known = [Device("C", "camera", "", "", "", "", lon=117.9999, lat=31.00045, properties=own) for own in cameras]
    return [view(device, plane).intersection(outline).area / outline.area for device in known]


@pytest.mark.parametrize(
    "cameras",
    [
        (EAST | {"fov": 70, "bearing": 65}, EAST | {"fov": 70, "bearing": 115}),  # side by side, in part the same
        (WIDE, EAST),  # one within the other
        (EAST | {"range": 75, "fov": 120}, EAST | {"range": 75, "fov": 120}),  # both the near half
    ],
)
def test_whoever_sees_what_an_even_crowd_is_counted_once(cameras: Any) -> None:
    overlap, zone = counting(*cameras)
    counted = {i: round(1000 * part) for i, part in enumerate(share(cameras, zone), 1)}
    assert overlap.people(zone, counted) == pytest.approx(1000, abs=15)
    assert overlap.people(zone, {1: counted[1]}) == counted[1], "a camera alone is believed as it is"


def test_a_stranger_is_added() -> None:
    overlap, zone = counting(EAST)
    assert overlap.people(zone, {9: 10, 1: 20}) == 30
