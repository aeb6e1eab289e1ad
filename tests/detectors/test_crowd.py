"""More people than a place holds, for some time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detectors.crowd import Crowd
from devices.readings import SECOND

CROWD = Crowd()
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
    dense = Crowd(ratio=400.0)
    assert lake.watch(dense, sightings=counts(lake, 41_000, 0, 80))[0].score == pytest.approx(0.9)


def test_a_lower_limit_is_said(lake: Any) -> None:
    found = lake.watch(Crowd(ratio=0.8, release=0.7), sightings=counts(lake, 85, 0, 80))
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
