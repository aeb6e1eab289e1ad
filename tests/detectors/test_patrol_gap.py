"""Quotas of patrols: told before the deadline and after it, ended by what comes late, blind where nothing was heard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from detectors.base import Batch, Finding
from detectors.geo import Plane
from detectors.patrol_gap import PatrolGap
from detectors.quotas import rounds_done, stays_done
from detectors.visits import Visits, visit_rows
from devices.readings import FIX, SAMPLE, SECOND, VISIT, Rows, rows
from devices.registry import Device, Registry
from devices.site import CHINA, Plan, Site, Zone, micros

SPOT = Plane(118.85, 31.45)
NINE = micros(datetime(2026, 6, 10, 9, tzinfo=CHINA))


def square(code: str, west: float) -> Zone:
    x, y = SPOT.lonlat(np.array([west, west + 200]), np.array([0, 200]))
    return Zone(code, "patrol", f"{code}区", f"Zone {code}", "", shapely.box(x[0], y[0], x[1], y[1]))


LINE = Zone("L", "patrol", "湖岸", "Shore", "",
            shapely.LineString(np.column_stack(SPOT.lonlat([0, 1000], [500, 500]))))  # fmt: skip
TWICE = Plan("Q", "quota", "两巡", "Two patrols", "", ("A",), 2, 300.0, "08:00", "12:00", who=("patrol",))
SHORE = Plan("S", "quota", "湖岸巡护", "Shore patrol", "", ("L",), opens="08:00", closes="12:00", share=0.8)
DEVICES = [
    Device("T1", "terminal", "张三", "Zhang", "", "", role="patrol", id=1),
    Device("T2", "terminal", "李四", "Li", "", "", role="patrol", id=2),
    Device("P3", "terminal", "王五", "Wang", "", "", role="police", id=3),
]


def site(*plans: Plan) -> Site:
    return Site([], [square("A", 0), square("B", 400), LINE], [], Registry(DEVICES), plans=plans)


def at(hour: float) -> int:
    return NINE + int((hour - 9) * 3600) * SECOND


def stay(device: int, begin: float, minutes: float, x: float = 100, y: float = 100) -> list[tuple[Any, ...]]:
    """Fixes every 10 s at a place, from an hour of the day on, and then far away."""
    lon, lat = map(float, SPOT.lonlat(x, y))
    inside = [(device, at(begin) + t * SECOND, 0, lon, lat, 1, 0, 5, 80, 0) for t in range(0, int(minutes * 60), 10)]
    end = inside[-1][1]
    away = [(device, end + (t + 1) * 10 * SECOND, 0, lon + 1, lat, 1, 0, 5, 80, 0) for t in range(6)]
    return [*inside, *away]


def walk(device: int, begin: float, xs: Iterable[float], y: float = 500) -> list[tuple[Any, ...]]:
    """A fix every 10 s along the shore."""
    found = []
    for i, x in enumerate(xs):
        lon, lat = map(float, SPOT.lonlat(x, y))
        found.append((device, at(begin) + i * 10 * SECOND, 0, lon, lat, 1, 0, 5, 80, 0))
    return found


class Watch:
    """Feeds readings, visits and a gauge by the minute, as the watch does."""

    def __init__(self, place: Site, detector: PatrolGap | None = None) -> None:
        self.site, self.detector = place, detector or PatrolGap()
        self.state, self.visits = self.detector.start(place), Visits()
        self.stays = self.visits.start(place)
        self.found: list[Finding] = []

    def hours(self, begin: float, end: float, fixes: Sequence[tuple[Any, ...]] = (), *, gauge: bool = True) -> Watch:
        table = rows(FIX, sorted(fixes, key=lambda f: f[1]))
        for minute in range(int(begin * 60), int(end * 60)):
            since, until = at(minute / 60), at((minute + 1) / 60)
            some = table[(table["at"] >= since) & (table["at"] < until)]
            told = visit_rows(self.visits.step(self.stays, some, self.site))
            level = rows(SAMPLE, [(9, since, 0, "water_level", 7.6)] if gauge else [])
            self.found += self.detector.step(self.state, Batch(some, samples=level, visits=told), until, self.site)
        return self

    def late(self, fixes: Rows | None = None, visits: Rows | None = None) -> list[Finding]:
        """What comes out of order, and the next two beats."""
        before = len(self.found)
        now = self.state.clock.frontier + 600 * SECOND
        batch = Batch(rows(FIX) if fixes is None else fixes, visits=rows(VISIT) if visits is None else visits)
        self.found += self.detector.step(self.state, batch, now, self.site)
        self.found += self.detector.step(self.state, Batch(), now + 300 * SECOND, self.site)
        return self.found[before:]

    def said(self) -> list[tuple[str, bool]]:
        return [(f.sentence.en, f.ends) for f in self.found]


def test_two_patrols_in_time_are_no_news() -> None:
    assert Watch(site(TWICE)).hours(8, 12.5, stay(1, 8.5, 8) + stay(2, 10, 6)).found == []


def test_what_is_missing_is_told_an_hour_before_and_again_when_it_was_missed() -> None:
    run = Watch(site(TWICE)).hours(8, 13, stay(1, 8.5, 8))
    first, last = run.found[0], run.found[-1]
    assert first.sentence.en == (
        "Two patrols: Zone A still lacks 1 of 2 patrols (of 5 min each), with 1 h left until 10 Jun 12:00."
    )
    assert first.sentence.zh == "“两巡”：A区应巡护2次（每次至少5分钟），还差1次，距6月10日12:00截止还有1小时。"
    assert (first.until, first.since, first.subject, first.zone) == (at(11), at(8), "Q 2026-06-10 08:00", "A")
    assert last.sentence.en == "Two patrols: Zone A had 1 of 2 patrols (of 5 min each) by 10 Jun 12:00."
    assert (last.until, last.score, last.ends) == (at(12), 0.95, False)
    assert last.evidence["numbers"]["visits_done"] == 1
    assert [f["properties"].get("device") for f in last.evidence["geojson"]["features"]] == [None, "T1"]
    assert [f.until for f in run.found[:-1]] == [at(11) + i * 600 * SECOND for i in range(6)], "every 10 minutes"


def test_it_is_told_sooner_when_the_rest_takes_longer() -> None:
    slow = replace(TWICE, stay=2400.0)
    (first, *_) = Watch(site(slow)).hours(8, 12).found
    assert first.until == at(12) - (2 * 2400 + 1800) * SECOND
    assert "no longer possible" not in first.sentence.en
    later = [f for f in Watch(site(slow)).hours(8, 12).found if f.until > at(11)]
    assert "no longer possible" in later[-1].sentence.en


def test_the_last_patrol_ends_the_warning() -> None:
    run = Watch(site(TWICE)).hours(8, 13, stay(1, 8.5, 8) + stay(2, 11.4, 8))
    assert run.found[-1].ends
    assert run.found[-1].sentence.en == "Two patrols: the 2 patrols of Zone A are done, the last at 10 Jun 11:29."
    assert run.found[-1].until < at(12)


def test_two_together_are_one_patrol_and_one_who_stays_long_is_more() -> None:
    together = Watch(site(TWICE)).hours(8, 13, stay(1, 8.5, 8) + stay(2, 8.55, 9))
    assert together.found[-1].evidence["numbers"]["visits_done"] == 1
    assert Watch(site(TWICE)).hours(8, 13, stay(1, 8.5, 60)).found == []


def test_a_short_visit_a_wrong_zone_and_others_do_not_count() -> None:
    fixes = stay(1, 8.5, 4) + stay(1, 9.5, 20, x=500) + stay(3, 10.5, 60)
    last = Watch(site(TWICE)).hours(8, 13, fixes).found[-1]
    assert last.evidence["numbers"]["visits_done"] == 0


def test_a_visit_under_way_counts_as_far_as_fixes_prove_it() -> None:
    switched_off = stay(1, 11.5, 4)[:-6]
    assert not any(f.ends for f in Watch(site(replace(TWICE, visits=1))).hours(8, 13, switched_off).found)
    goes_on = stay(1, 11.5, 40)[:-6]
    assert any(f.ends for f in Watch(site(replace(TWICE, visits=1))).hours(8, 13, goes_on).found)


def test_a_visit_that_comes_late_ends_what_was_missed_and_one_struck_out_brings_it_back() -> None:
    run = Watch(site(replace(TWICE, visits=1))).hours(8, 14)
    assert run.found[-1].sentence.en.startswith("Two patrols: Zone A had 0 of 1")
    heard_of = rows(FIX, stay(1, 9, 10))  # its fixes come as well: they prove how long it stayed
    visit = rows(VISIT, [(1, "A", at(9), at(9) + 590 * SECOND)])
    (done,) = run.late(heard_of, visit)
    assert done.ends
    assert done.sentence.en == (
        "Two patrols: data that came later show that the 1 patrols of Zone A were made in time, the last at 10 Jun"
        " 09:05."
    )
    (again,) = run.late(visits=rows(VISIT, [(1, "A", at(9), -1)]))
    assert not again.ends
    assert "had 0 of 1" in again.sentence.en
    assert (again.subject, again.zone, again.until) == (done.subject, done.zone, at(12))


def test_a_visit_after_the_window_ends_nothing() -> None:
    run = Watch(site(replace(TWICE, visits=1))).hours(8, 14)
    assert run.late(rows(FIX, stay(1, 13, 10)), rows(VISIT, [(1, "A", at(13), at(13.1))])) == []


def test_nobody_is_blamed_while_nothing_was_heard() -> None:
    assert Watch(site(TWICE)).hours(8, 13, gauge=False).found == []
    assert Watch(site(TWICE)).hours(11.5, 13).found == [], "the system began when most of the window was over"
    assert Watch(site(TWICE)).hours(8.3, 13).found != []


def test_every_zone_and_window_is_an_episode_of_its_own() -> None:
    both = replace(TWICE, zones=("A", "B"))
    found = Watch(site(both)).hours(8, 13).found
    assert {(f.subject, f.zone) for f in found} == {("Q 2026-06-10 08:00", "A"), ("Q 2026-06-10 08:00", "B")}


# ── Lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_line_is_walked_by_one_or_by_several_together() -> None:
    alone = walk(1, 9, range(0, 1000, 12))
    shared = walk(1, 9, range(0, 520, 12)) + walk(2, 10, range(1000, 480, -12))
    assert Watch(site(SHORE)).hours(8, 13, alone).found == []
    assert Watch(site(SHORE)).hours(8, 13, shared).found == []


def test_a_line_walked_in_part_says_how_much() -> None:
    run = Watch(site(SHORE)).hours(8, 13, walk(1, 9, range(0, 500, 12)))
    assert run.found[0].sentence.en == (
        "Shore patrol: Shore still lacks 1 of 1 patrols (of 80% of the line each), 53% of the next is walked, with 1"
        " h left until 10 Jun 12:00."
    )
    assert run.found[-1].evidence["numbers"]["covered_share"] == pytest.approx(27 / 51, abs=1e-6)


def test_a_line_beside_which_one_walks_is_not_walked() -> None:
    assert Watch(site(SHORE)).hours(8, 13, walk(1, 9, range(0, 1000, 12), y=560)).found != []


def test_two_rounds_of_a_line_are_two_walks() -> None:
    twice = site(replace(SHORE, visits=2))
    there = walk(1, 9, range(0, 1000, 12))
    assert Watch(twice).hours(8, 13, there).found != []
    assert Watch(twice).hours(8, 13, there + walk(1, 10, range(1000, 0, -12))).found == []


def test_a_line_walked_out_of_reach_counts_when_its_fixes_come() -> None:
    run = Watch(site(SHORE)).hours(8, 13)
    (done,) = run.late(rows(FIX, walk(1, 9, range(0, 1000, 12))))
    assert done.ends


# ── Counting ────────────────────────────────────────────────────────────────────────────────────────────────────────
spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)).map(lambda s: (s[0], s[0] + s[1])), max_size=6)


@given(spans, st.integers(1, 10), st.integers(0, 10))
def test_patrols_lie_in_stays_and_apart(stays: list[tuple[int, int]], lasts: int, apart: int) -> None:
    times = stays_done(stays, lasts, apart, 99).times
    assert all(any(begin <= t - lasts and t <= end for begin, end in stays) for t in times)
    assert all(later - lasts >= earlier + apart for earlier, later in pairwise(times))
    if any(end - begin >= lasts for begin, end in stays):
        assert times


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4)), max_size=40), st.integers(1, 5))
def test_a_round_has_covered_what_is_needed_since_the_last(passed: list[tuple[int, int]], needed: int) -> None:
    done = rounds_done(passed, 5, needed)
    before = -1
    for time in done.times:
        assert len({mark for at, mark in passed if before <= at <= time}) >= needed
        before = time
    assert 0 <= done.share < 1
