"""Who stays in a ban zone is found, who passes by is not."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from detectors.base import Batch, Finding
from detectors.fishing_ban import FishingBan
from detectors.geo import DEGREE, Plane, place_cell
from devices.readings import SECOND, SIGHTING, rows
from devices.registry import Registry
from devices.site import Site

BAN = FishingBan()
SPOT = Plane(118.85, 31.45)  # as the lake's
HIGH = BAN.cell / DEGREE
WIDE = HIGH / math.cos(math.radians((math.floor(31.45 / HIGH) + 0.5) * HIGH))  # degrees, of a cell there


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


def test_somebody_with_a_pole_where_others_have_just_rested_is_no_angler(lake: Any) -> None:
    rests = lake.seen("person", every(10, 0, 200), (0, 0), track="1")
    comes = [
        *lake.seen("person", every(10, 200, 340), (0, 0), track="2"),
        *lake.seen("rod", every(10, 200, 340), (0, 0)),
    ]
    assert lake.watch(BAN, sightings=rests + comes) == []
    stays = [
        *lake.seen("person", every(10, 200, 500), (0, 0), track="2"),
        *lake.seen("rod", every(10, 200, 500), (0, 0)),
    ]
    assert lake.watch(BAN, sightings=rests + stays)


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


# ── Boats by their own fixes ────────────────────────────────────────────────────────────────────────────────────────
def works(lake: Any, device: int = 6, *, seconds: float = 1500, pace: float = 0.4, period: float = 10.0) -> Any:
    """A boat comes from the west at 3.5 m/s and then works along a line through the zone."""
    out = lake.fixes(device, every(period, -1500, 0), (-200, 0), step=(3.5, 0))
    return out + lake.fixes(device, every(period, 0, seconds), (-200, 0), step=(pace, 0))


def with_properties(lake: Any, device: int, **properties: Any) -> Any:
    """The site with other properties, or another kind and role, of one device."""
    changes = {name: properties.pop(name) for name in ("kind", "role") if name in properties}
    devices = [
        dataclasses.replace(d, properties=properties, **changes) if d.id == device else d
        for d in lake.site.registry.devices
    ]
    other = copy.copy(lake)
    other.site = Site(lake.site.areas.values(), lake.site.zones.values(), [], Registry(devices))
    return other


@pytest.mark.parametrize("period", [5.0, 10.0, 60.0, 180.0])
def test_a_boat_that_moves_like_one_that_fishes_is_one_episode(lake: Any, period: float) -> None:
    found = lake.watch(BAN, fixes=works(lake, period=period))
    assert subjects(found) == {"V6"}
    assert {f.zone for f in found} == {"NF"}
    first = found[0]
    assert lake.at(0) <= first.since <= lake.at(300)
    assert 720 <= (first.until - first.since) / SECOND < 720 + 2 * max(period, 30)
    assert first.score > 0.5
    numbers = first.evidence["numbers"]
    assert (numbers["cameras"], numbers["limit_s"]) == (0, 720)
    assert {f["properties"]["vessel"] for f in first.evidence["geojson"]["features"]} == {"V6"}


def test_what_is_said_of_a_boat(lake: Any) -> None:
    first = lake.watch(BAN, fixes=works(lake))[0]
    assert "发现船只作业轨迹，停留12分钟（阈值12分钟），据游船的定位轨迹。" in first.sentence.zh
    assert "a boat moving as if fishing since" in first.sentence.en
    assert first.sentence.en.endswith("there for 12 min (limit 12 min), by the track of Pleasure boat.")


@pytest.mark.parametrize("pace", [3.0, 4.0, 6.0])
def test_a_boat_that_sails_to_and_fro_through_the_zone_is_nobody(lake: Any, pace: float) -> None:
    leg = 3000 / pace
    fixes = []
    for i in range(6):
        side = 1 if i % 2 == 0 else -1
        fixes += lake.fixes(6, every(10, i * leg, (i + 1) * leg), (side * (-1500 - i * 3000), 0), step=(side * pace, 0))
    assert lake.watch(BAN, fixes=fixes) == []


def test_a_boat_at_its_berth_is_not_fishing(lake: Any) -> None:
    rng = np.random.default_rng(5)
    moored = [f for t in every(10, -3600, 4000) for f in lake.fixes(6, [t], tuple(rng.normal((100, 100), 4.0)))]
    assert lake.watch(BAN, fixes=moored) == []
    assert lake.watch(FishingBan(berth=0.0), fixes=moored), "otherwise it would be"
    assert lake.watch(BAN, fixes=works(lake, seconds=10, pace=0.0) + moored[400:]), "it has come and lies there: it may"


def test_out_of_the_zone_or_its_season_a_boat_may_fish(lake: Any) -> None:
    north = [(*f[:4], f[4] + 0.02, *f[5:]) for f in works(lake)]
    assert lake.watch(BAN, fixes=north) == []
    spring = [(*f[:3], f[3] + 0.0158, *f[4:]) for f in works(lake, seconds=6000, pace=0.1)]  # 1500 m to the east
    found = lake.watch(BAN, fixes=spring)
    assert found, "the season ends at 3600 s"
    assert {f.zone for f in found} == {"NF-SPRING"}
    assert max(f.until for f in found) <= lake.at(3600)


def test_our_own_boats_and_those_with_a_permit_are_not_found(lake: Any) -> None:
    fixes = works(lake)
    assert lake.watch(BAN, fixes=fixes)
    assert with_properties(lake, 6, permit=True).watch(BAN, fixes=fixes) == []
    assert with_properties(lake, 6, permit=True, permits=["NF"]).watch(BAN, fixes=fixes) == []
    assert with_properties(lake, 6, permit=True, permits=["NF-SPRING"]).watch(BAN, fixes=fixes), "not for this zone"
    assert with_properties(lake, 6, permit=False).watch(BAN, fixes=fixes)
    assert with_properties(lake, 6, role="patrol").watch(BAN, fixes=fixes) == []
    boat = with_properties(lake, 6, kind="terminal", role="boat")
    assert boat.watch(BAN, fixes=fixes) == [], "a patrol boat"
    assert boat.watch(FishingBan(own_roles=("patrol", "police")), fixes=fixes), "unless such terminals are others'"
    assert lake.watch(BAN, fixes=works(lake, 4)) == [], "a patrol on foot"


def test_cameras_do_not_report_a_boat_with_a_permit(lake: Any) -> None:
    seen = lake.seen("boat", every(5, 0, 900), (-200, 5), step=(0.4, 0), track="b")
    seen += lake.seen("net", every(5, 0, 900), (-200, -5), step=(0.4, 0), track="n")
    licensed = with_properties(lake, 6, permit=True, permits=["NF"])
    assert licensed.watch(BAN, sightings=seen, fixes=works(lake)) == []
    elsewhere = lake.seen("boat", every(5, 0, 900), (-200, 90), step=(0.4, 0), track="b")
    assert licensed.watch(BAN, sightings=elsewhere, fixes=works(lake)), "another boat, 90 m off"


def test_a_patrol_boat_alongside_is_dealing_with_it(lake: Any) -> None:
    beside = lake.fixes(4, every(10, -10, 1500), (-200, 20), step=(0.4, 0))
    assert lake.watch(BAN, fixes=works(lake) + beside) == []


def test_camera_radar_and_track_of_a_boat_are_one_finding_and_surer(lake: Any) -> None:
    camera = lake.seen("boat", every(5, 60, 1500), (-200, 15), step=(0.4, 0), track="b")
    radar = lake.seen("boat", every(8, 60, 1500), (-200, -12), step=(0.4, 0), camera=7)
    alone = lake.watch(BAN, fixes=works(lake))
    seen = lake.watch(BAN, sightings=camera)
    both = lake.watch(BAN, sightings=camera, fixes=works(lake))
    all_three = lake.watch(BAN, sightings=camera + radar, fixes=works(lake))
    assert len(subjects(both)) == len(subjects(all_three)) == 1
    assert max(f.score for f in alone) < max(f.score for f in both) < max(f.score for f in all_three)
    assert max(f.score for f in seen) < max(f.score for f in both)
    assert both[0].until < alone[0].until, "a boat that is seen too needs no 12 minutes"
    assert "seen by South camera, by the track of Pleasure boat" in both[-1].sentence.en


def test_two_boats_side_by_side_are_two_findings(lake: Any) -> None:
    other = with_properties(lake, 7, kind="vessel")
    second = [(7, *f[1:4], f[4] + 0.0002, *f[5:]) for f in works(lake)]  # 22 m to the north
    assert subjects(other.watch(BAN, fixes=works(lake) + second)) == {"V6", "S7"}


def test_one_party_near_the_edge_of_a_cell_is_one_subject_as_long_as_a_book(lake: Any) -> None:
    """Its mean place wanders over the edge while it sits; the name was given once."""
    edge = 118.85 + (math.floor(118.85 / WIDE) + 1) * WIDE - 118.85
    x = float(SPOT.xy(edge, 31.45)[0])
    seen = []
    for t in every(5, 0, 2600):
        seen += lake.seen("rod", [t], (x - 4 + 8 * t / 2600, 10), track=f"r{int(t) // 90}")
    found = lake.watch(FishingBan(epoch=1e7), sightings=seen)
    cells = {place_cell(*(float(v) for v in SPOT.lonlat(x + off, 10)), BAN.cell) for off in (-4, 4)}
    assert len(cells) == 2, "it does cross the edge"
    assert len(subjects(found)) == 1
