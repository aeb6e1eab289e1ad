"""Who stays in a ban zone is found, who passes by is not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from detectors.base import Batch, Finding
from detectors.fishing_ban import FishingBan
from devices.readings import SECOND, SIGHTING, rows

BAN = FishingBan()


def every(seconds: float, begin: float, end: float) -> Any:
    return np.arange(begin, end, seconds).tolist()


def subjects(found: list[Finding]) -> set[str]:
    return {f.subject for f in found}


def test_an_angler_of_six_minutes_is_one_episode(lake: Any) -> None:
    seen = lake.seen("person", every(5, 0, 365), (10, 10), track="p1") + lake.seen("rod", every(5, 0, 365), (10, 11))
    found = lake.watch(BAN, sightings=seen)
    assert [(f.until - f.since) // SECOND for f in found] == [305, 360]  # one beat after 300 s, renewed 60 s later
    assert len(subjects(found)) == 1
    assert {f.since for f in found} == {lake.at(0)}
    assert {f.zone for f in found} == {"NF"}
    assert found[0].score > 0.7
    lon, lat = (v[0] for v in (lake.seen("rod", [0], (10, 10.5))[0][7:8], lake.seen("rod", [0], (10, 10.5))[0][8:9]))
    assert (found[0].lon, found[0].lat) == pytest.approx((lon, lat), abs=1e-5)


def test_what_an_officer_reads(lake: Any) -> None:
    seen = lake.seen("person", every(5, 0, 310), (10, 10), camera=2) + lake.seen("rod", every(5, 0, 310), (10, 11))
    (found,) = lake.watch(BAN, sightings=seen)
    assert found.sentence.zh == (
        "核心禁渔区：6月10日19:00起发现人员、钓竿，停留5分钟（阈值5分钟），由南岸监控、北岸监控看到。"
    )
    assert found.sentence.en == (
        "Core ban zone: person and rod since 10 Jun 19:00, there for 5 min (limit 5 min),"
        " seen by South camera and North camera."
    )
    numbers = found.evidence["numbers"]
    assert (numbers["dwell_s"], numbers["limit_s"], numbers["cameras"], numbers["sightings"]) == (305, 300, 2, 124)
    assert len(found.evidence["geojson"]["features"]) <= 60
    assert json.dumps(found.evidence, allow_nan=False)


def test_four_minutes_are_too_short(lake: Any) -> None:
    assert lake.watch(BAN, sightings=lake.seen("rod", every(5, 0, 290), (10, 10))) == []


@pytest.mark.parametrize("track", ["w", ""])
@pytest.mark.parametrize("label", ["person", "rod"])
def test_a_walker_who_passes_by_is_nobody(lake: Any, track: str, label: str) -> None:
    """Also with a pole on the shoulder, and followed by one camera all the way."""
    seen = lake.seen(label, every(4, 0, 700), (-450, 0), track=track, step=(1.2, 0))
    assert lake.watch(BAN, sightings=seen) == []


def test_many_walkers_past_the_same_spot_with_a_pole_now_and_then(lake: Any) -> None:
    """A path: somebody passes every minute. Nobody stays, but the place is never empty: only a low score, and late."""
    seen = []
    for i in range(30):
        times = every(4, i * 60, i * 60 + 60)
        seen += lake.seen("person", times, (-35 - i * 60 * 1.2, 0), track=f"w{i}", step=(1.2, 0))
    found = lake.watch(BAN, sightings=seen)
    assert all(f.score < 0.4 for f in found)
    assert all(f.until - f.since >= 900 * SECOND for f in found)


def test_somebody_without_a_rod_is_found_later_and_with_less_certainty(lake: Any) -> None:
    alone = lake.watch(BAN, sightings=lake.seen("person", every(5, 0, 930), (10, 10), track="p"))
    assert [(f.until - f.since) // SECOND for f in alone] == [905]
    assert 0.2 < alone[0].score < 0.5
    assert "未见渔具" in alone[0].sentence.zh
    assert "no gear seen" in alone[0].sentence.en


def test_a_rod_seen_once_may_be_a_mistake(lake: Any) -> None:
    seen = lake.seen("person", every(5, 0, 600), (10, 10)) + lake.seen("rod", [200], (10, 10))
    assert lake.watch(BAN, sightings=seen) == []


def test_out_of_season_and_out_of_hours_nothing_counts(lake: Any) -> None:
    """The spring zone closes on 10 June at 20:00: 3600 s after the beginning."""
    late = lake.seen("rod", every(5, 3601, 4500), (1500, 0))
    assert lake.watch(BAN, sightings=late) == []
    begun = lake.seen("rod", every(5, 3600 - 290, 4500), (1500, 0))
    assert lake.watch(BAN, sightings=begun) == [], "the minutes before the end are too few"
    before = lake.seen("rod", every(5, 3600 - 320, 4500), (1500, 0))
    (found,) = lake.watch(BAN, sightings=before)
    assert (found.zone, found.until <= lake.at(3600)) == ("NF-SPRING", True)


def test_outside_the_zones_nothing_counts(lake: Any) -> None:
    assert lake.watch(BAN, sightings=lake.seen("rod", every(5, 0, 900), (700, 0))) == []


def test_a_net_boat_that_moves_is_followed_by_its_track(lake: Any) -> None:
    """It goes 0.9 m/s, 300 m in all: by place alone it would never have stayed."""
    boat = lake.seen("boat", every(4, 0, 340), (-200, 50), track="b", step=(0.9, 0))
    crew = lake.seen("person", every(4, 1, 340), (-200, 52), track="q", step=(0.9, 0))
    net = lake.seen("net", every(4, 2, 340), (-205, 48), track="n", step=(0.9, 0))
    found = lake.watch(BAN, sightings=boat + crew + net)
    assert len(found) == 1, "boat, crew and net are one party"
    assert found[0].score > 0.9
    assert found[0].evidence["numbers"]["beats_net"] > 20
    assert lake.watch(BAN, sightings=crew) == [], "the crew alone would be walkers"


def test_a_boat_that_drives_through_is_gone_too_soon(lake: Any) -> None:
    seen = lake.seen("boat", every(4, 0, 200), (-500, 0), track="b", step=(5, 0))
    assert lake.watch(BAN, sightings=seen) == []


def test_broken_tracks_are_joined_by_place(lake: Any) -> None:
    seen = []
    for i in range(8):  # a new track every 45 s, with 20 s of nothing before it, and some metres of error
        seen += lake.seen("rod", every(5, i * 45, i * 45 + 25), (10 + (i % 3) * 8, 10 - (i % 2) * 9), track=f"r{i}")
    found = lake.watch(BAN, sightings=seen)
    assert len(subjects(found)) == 1
    assert found[0].since == lake.at(0)


def test_a_long_pause_begins_a_new_presence(lake: Any) -> None:
    parts = lake.seen("rod", every(5, 0, 200), (10, 10)) + lake.seen("rod", every(5, 330, 530), (10, 10))
    assert lake.watch(BAN, sightings=parts) == []
    parts = lake.seen("rod", every(5, 0, 200), (10, 10)) + lake.seen("rod", every(5, 310, 400), (10, 10))
    assert len(lake.watch(BAN, sightings=parts)) == 2, "a pause within the limit does not"


def test_two_parties_are_two_subjects(lake: Any) -> None:
    west = lake.seen("rod", every(5, 0, 320), (-100, 0), track="a") + lake.seen("rod", every(5, 0, 320), (-100, 3))
    found = lake.watch(BAN, sightings=west + lake.seen("rod", every(5, 0, 320), (100, 0), track="c"))
    assert len(found) == len(subjects(found)) == 2


def test_the_subject_does_not_depend_on_the_camera_or_the_track(lake: Any) -> None:
    one = lake.watch(BAN, sightings=lake.seen("rod", every(5, 0, 320), (5, 5), camera=1, track="a"))
    other = lake.watch(BAN, sightings=lake.seen("rod", every(7, 0, 320), (5, 5), camera=3, track="b"))
    assert subjects(one) == subjects(other)


def test_several_cameras_and_more_sightings_make_it_surer(lake: Any) -> None:
    sparse = lake.watch(BAN, sightings=lake.seen("rod", every(100, 0, 310), (10, 10)))
    one = lake.watch(BAN, sightings=lake.seen("rod", every(5, 0, 310), (10, 10)))
    two = lake.watch(BAN, sightings=[s for c in (1, 2) for s in lake.seen("rod", every(5, 0, 310), (10, 10), camera=c)])
    unsure = lake.watch(BAN, sightings=lake.seen("rod", every(5, 0, 310), (10, 10), confidence=0.3))
    assert sparse[0].score < one[0].score < two[0].score
    assert unsure[0].score < one[0].score


def test_our_own_people_are_not_found(lake: Any) -> None:
    seen = lake.seen("person", every(5, 0, 1500), (10, 10)) + lake.seen("boat", every(5, 0, 1500), (15, 10))
    assert lake.watch(BAN, sightings=seen)
    for ours in (4, 5):
        assert lake.watch(BAN, sightings=seen, fixes=lake.fixes(ours, every(10, -5, 1500), (30, 20))) == []
    assert lake.watch(BAN, sightings=seen, fixes=lake.fixes(6, every(10, -5, 1500), (30, 20))), "not one of ours"
    assert lake.watch(BAN, sightings=seen, fixes=lake.fixes(4, every(10, -5, 1500), (90, 20))), "not near"
    assert lake.watch(BAN, sightings=seen, fixes=lake.fixes(4, every(10, -5, 300), (30, 20))), "not for long"


def test_a_patrol_that_walks_by_does_not_erase_an_angler(lake: Any) -> None:
    seen = lake.seen("rod", every(5, 0, 320), (0, 0))
    patrol = lake.fixes(4, every(5, 100, 220), (-240, 10), step=(1.5, 0))  # near from about 127 s to 193 s
    found = lake.watch(BAN, sightings=seen, fixes=patrol)
    assert [(f.until - f.since) // SECOND for f in found] == [305]
    assert found[0].evidence["numbers"]["sightings"] < len(seen), "only those sightings are left out"


def test_a_camera_without_places_counts_for_the_zone_it_watches(lake: Any) -> None:
    """Both cameras stand outside the zone; one is known to watch it."""
    (found,) = lake.watch(BAN, sightings=lake.seen("rod", every(5, 0, 310), camera=2))
    assert found.zone == "NF"
    assert lake.watch(BAN, sightings=lake.seen("rod", every(5, 0, 310), camera=1)) == []


def test_overlapping_zones_count_once(lake: Any) -> None:
    from devices.site import Site

    outer = lake.zone("NF-OUTER", "no_fishing", -800, -800, 800, 800, "外围", "Outer zone")
    site = Site(lake.site.areas.values(), [*lake.site.zones.values(), outer], [], lake.site.registry)
    both = lake.seen("rod", every(5, 0, 310), (10, 10)) + lake.seen("rod", every(5, 0, 310), (700, 10), camera=2)
    state = BAN.start(site)
    found = BAN.step(state, Batch(sightings=rows(SIGHTING, both)), lake.at(310), site)
    found += BAN.step(state, Batch(), lake.at(330), site)
    assert sorted(f.zone for f in found) == ["NF", "NF-OUTER"]


def test_a_long_evening_is_one_subject_and_said_to_be_at_least(lake: Any) -> None:
    """Longer than a book: counted from the book's beginning, under the same name."""
    rng = np.random.default_rng(3)
    seen = []
    for t in every(5, 0, 9000):
        x, y = rng.normal((-7, 12), 4.0)
        seen += lake.seen("rod", [t], (x, y), track=f"r{t // 150}")
    found = lake.watch(BAN, sightings=seen)
    assert len(subjects(found)) == 1
    assert 130 < len(found) < 150, "renewed every minute"
    assert "at least" in found[-1].sentence.en
    assert "至少" in found[-1].sentence.zh
    assert "at least" not in found[0].sentence.en


def test_late_by_minutes_is_still_counted(lake: Any) -> None:
    """One camera's store comes after the other's present: it is used at once, and joins what it belongs to."""
    state = BAN.start(lake.site)
    present = rows(SIGHTING, lake.seen("person", every(5, 0, 400), (10, 10), camera=1))
    stored = rows(SIGHTING, lake.seen("rod", every(5, 0, 400), (10, 10), camera=2))
    assert BAN.step(state, Batch(sightings=present), lake.at(420), lake.site) == []
    found = list(BAN.step(state, Batch(sightings=stored), lake.at(421), lake.site))
    assert found
    assert found[0].since == lake.at(0)
