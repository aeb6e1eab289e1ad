"""A call for help is told at once, and as one; who lies where it is dangerous is suspected to be down."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from detectors.base import Batch, Finding
from detectors.sos import Sos
from devices.readings import FIX, SECOND, Flag, rows
from devices.site import Site

SOS = Sos()
SPOT = (10.0, 10.0)
BLIND = Flag.SOS | Flag.NO_POSITION


def test_it_is_told_in_the_step_in_which_it_arrives(lake: Any) -> None:
    state = SOS.start(lake.site)
    (found,) = SOS.step(state, Batch(fixes=rows(FIX, lake.fixes(4, [0], SPOT, flags=Flag.SOS))), 0, lake.site)
    assert (found.subject, found.since, found.until, found.score) == ("T4", lake.at(0), lake.at(0), 1.0)


def test_what_an_officer_reads(lake: Any) -> None:
    calls = lake.fixes(4, [30], flags=BLIND, battery=math.nan)
    (found,) = lake.watch(SOS, fixes=lake.fixes(4, [-60], SPOT, battery=64.0) + calls)
    assert found.sentence.zh == "巡护张三发出求救，在核心禁渔区（1分30秒前的位置），电量64%，6月10日19:00起。"
    assert found.sentence.en == (
        "SOS from Patrol Zhang at Core ban zone (place 1 min 30 s old), battery 64 %, since 10 Jun 19:00."
    )
    assert found.evidence["numbers"] == {"battery": 64.0, "place_age_s": 90.0, "lasted_s": 0.0}
    assert found.evidence["geojson"]["features"][0]["geometry"]["type"] == "Point"


def test_repeated_presses_are_one_episode(lake: Any) -> None:
    found = lake.watch(SOS, fixes=lake.fixes(4, [0, 3, 8, 120, 121, 400], SPOT, flags=Flag.SOS))
    assert {f.since for f in found} == {lake.at(0)}
    # Told again at most every 15 s of the clock.
    assert [f.until for f in found] == [lake.at(0), lake.at(120), lake.at(400)]


def test_a_later_press_is_another_episode(lake: Any) -> None:
    found = lake.watch(SOS, fixes=lake.fixes(4, [0, 301], SPOT, flags=Flag.SOS))
    assert [(f.since, f.until) for f in found] == [(lake.at(0),) * 2, (lake.at(301),) * 2]


def test_two_people_are_two_subjects(lake: Any) -> None:
    fixes = lake.fixes(4, [0], SPOT, flags=Flag.SOS) + lake.fixes(5, [1], SPOT, flags=Flag.SOS)
    assert [f.subject for f in lake.watch(SOS, fixes=fixes)] == ["T4", "T5"]


def test_without_any_place_it_is_told_all_the_same(lake: Any) -> None:
    (found,) = lake.watch(SOS, fixes=lake.fixes(4, [0], flags=BLIND, battery=math.nan))
    assert math.isnan(found.lon)
    assert math.isnan(found.lat)
    assert found.sentence.en == "SOS from Patrol Zhang at Lake district, battery unknown, since 10 Jun 19:00."
    assert "湖区" in found.sentence.zh
    assert found.evidence["geojson"]["features"][0]["geometry"] is None


def test_a_place_that_is_too_old_is_not_used(lake: Any) -> None:
    fixes = lake.fixes(4, [0], SPOT)
    (found,) = lake.watch(SOS, fixes=fixes + lake.fixes(4, [3599], flags=BLIND))
    assert math.isfinite(found.lon)
    (found,) = lake.watch(SOS, fixes=fixes + lake.fixes(4, [3601], flags=BLIND))
    assert math.isnan(found.lon)


@pytest.mark.parametrize("together", [True, False])
def test_the_last_known_place_is_the_newest_of_event_time(lake: Any, together: bool) -> None:
    """Fixes that were stored and come after newer ones do not move the device back."""
    known = lake.fixes(4, [100], (30, 30))
    stored = lake.fixes(4, [20, 40, 60], (0, 0), late=200)
    call = lake.fixes(4, [270], flags=BLIND)
    state, steps = SOS.start(lake.site), [known + stored + call] if together else [known, stored, call]
    found = [f for part in steps for f in SOS.step(state, Batch(fixes=rows(FIX, part)), lake.at(300), lake.site)]
    assert (found[0].lon, found[0].lat) == tuple(map(float, known[0][3:5]))


def test_man_down_is_said(lake: Any) -> None:
    (found,) = lake.watch(SOS, fixes=lake.fixes(4, [0], SPOT, flags=Flag.MAN_DOWN | Flag.SOS))
    assert found.sentence.en.startswith("Man down: Patrol Zhang at")
    assert "倒地报警" in found.sentence.zh
    assert found.score < 1


def test_a_late_call_lengthens_its_episode_or_is_one_of_its_own(lake: Any) -> None:
    state = SOS.start(lake.site)

    def call(t: float, received: float) -> list[tuple[float, float]]:
        fixes = rows(FIX, lake.fixes(4, [t], SPOT, flags=Flag.SOS, late=received - t))
        found = SOS.step(state, Batch(fixes=fixes), lake.at(received), lake.site)
        return [((f.since - lake.at(0)) / SECOND, (f.until - lake.at(0)) / SECOND) for f in found]

    assert call(1000, 1001) == [(1000, 1000)]
    assert call(900, 1002) == [(900, 1000)]
    assert call(100, 1003) == [(100, 100)]
    assert call(100, 1004) == [], "known already"
    assert call(950, 1005) == [], "within what is known"
    assert call(1100, 1101) == [(900, 1100)]


def test_an_endless_alarm_begins_at_most_half_an_hour_ago(lake: Any) -> None:
    found = lake.watch(SOS, fixes=lake.fixes(4, range(0, 4000, 20), SPOT, flags=Flag.SOS))
    assert (found[-1].until - found[-1].since) == 1800 * SECOND


def test_ordinary_fixes_are_nothing(lake: Any) -> None:
    assert lake.watch(SOS, fixes=lake.fixes(4, range(0, 100, 5), SPOT, flags=Flag.BACKFILL | Flag.FROM_GCJ02)) == []


# ── Man down suspected ──────────────────────────────────────────────────────────────────────────────────────────────
DEVICE = 4
FELL = 600.0  # seconds


@pytest.fixture(scope="module")
def weir(lake: Any) -> Site:
    """A spillway of 200 m with a bridge to stand on, a pond with its bank, and a yard that says it is none."""
    zones = [
        lake.zone("D", "restricted", 10_000, 0, 10_200, 200, "溢流堰", "Spillway"),
        lake.zone("D-K", "checkpoint", 10_150, 150, 10_200, 200, "打卡桥", "Bridge"),
        lake.zone("D-HUT", "patrol", 10_000, 150, 10_050, 200, "值班房", "Hut", properties={"station": True}),
        lake.zone("W", "water", 11_000, 0, 11_200, 200, "池塘", "Pond"),
        lake.zone("Y", "restricted", 12_000, 0, 12_200, 200, "院子", "Yard", properties={"hazard": False}),
        lake.zone("P", "patrol", 13_000, 0, 13_200, 200, "滩涂", "Mud flats", properties={"hazard": True}),
    ]
    return Site(lake.site.areas.values(), [*lake.site.zones.values(), *zones], [], lake.site.registry)


def fall(
    lake: Any, place: tuple[float, float], *, device: int = DEVICE, lies: float = 1500.0, noise: float = 6.0,
    wild: float = 0.05, every: float = 10.0, walks: bool = True, seed: int = 1,
) -> list[tuple[Any, ...]]:  # fmt: skip
    """The fixes of somebody who walks up from the south and lies at a place from FELL on, and walks on at last."""
    draw, found = random.Random(seed), []
    for t in np.arange(0.0, FELL + lies + 300, every).tolist():
        away = max(0.0, FELL - t) if t < FELL else max(0.0, t - FELL - lies)
        far = (draw.choice([-300, 300]), 200.0) if draw.random() < wild else (0.0, 0.0)
        x, y = draw.gauss(place[0], noise) + far[0], draw.gauss(place[1], noise) + far[1]
        found += lake.fixes(device, [t], (x, y - 1.2 * away * walks))
    return found


def suspected(lake: Any, site: Site, fixes: Sequence[Any], detector: Sos = SOS) -> list[Finding]:
    state, found = detector.start(site), []
    for i in range(0, len(fixes), 7):
        found += detector.step(state, Batch(fixes=rows(FIX, list(fixes[i : i + 7]))), 0, site)
    return found


def test_who_does_not_move_in_a_hazard_zone_is_suspected_to_be_down(lake: Any, weir: Site) -> None:
    found = suspected(lake, weir, fall(lake, (10_080, 80)))
    assert {(f.subject, f.zone, f.score) for f in found} == {("T4", "D", 0.5)}
    assert lake.at(FELL + 540) <= found[0].until <= lake.at(FELL + 840)
    assert found[-1].until > lake.at(FELL + 1300), "told as long as it lasts"
    assert not any(f.ends for f in found), "who drifts away moves too"
    assert all(600 <= f.evidence["numbers"]["still_s"] <= 720 for f in found)


def test_what_an_officer_reads_of_a_suspicion(lake: Any, weir: Site) -> None:
    found = suspected(lake, weir, fall(lake, (10_080, 80), wild=0.0))[-1]
    assert found.sentence.en == (
        "Man down suspected: Patrol Zhang has not moved in Spillway for 12 min (within 25 m, limit 10 min); was on the"
        " move before, has not called, the terminal still sends."
    )
    assert found.sentence.zh == (
        "疑似倒地：巡护张三在溢流堰内已12分钟没有移动（25米以内，阈值10分钟），此前在走动，未按求救键，终端仍在上报。"
    )


@pytest.mark.parametrize(
    ("place", "zone"),
    [
        ((10_180, 180), ""),  # a checkpoint in it
        ((10_020, 180), ""),  # a station in it
        ((11_100, 100), "W"),
        ((11_100, 4), ""),  # the bank
        ((12_100, 100), ""),  # said to be none
        ((13_100, 100), "P"),  # said to be one
        ((9_500, 100), ""),  # no zone at all
    ],
)
def test_where_it_is_dangerous_to_lie(lake: Any, weir: Site, place: tuple[float, float], zone: str) -> None:
    assert {f.zone for f in suspected(lake, weir, fall(lake, place, noise=2.0, wild=0.0))} == (
        {zone} if zone else set()
    )


@pytest.mark.parametrize(("noise", "wild", "every"), [(12.0, 0.0, 5.0), (4.0, 0.1, 10.0), (6.0, 0.05, 30.0)])
def test_the_noise_of_a_receiver_is_no_movement(lake: Any, weir: Site, noise: float, wild: float, every: float) -> None:
    hits = [
        bool(suspected(lake, weir, fall(lake, (10_080, 80), noise=noise, wild=wild, every=every, seed=seed)))
        for seed in range(20)
    ]
    assert sum(hits) >= 19


def test_a_short_stop_and_work_about_the_place_are_nothing(lake: Any, weir: Site) -> None:
    assert suspected(lake, weir, fall(lake, (10_080, 80), lies=300)) == []
    about = [
        fix for t in range(0, 3000, 10)
        for fix in lake.fixes(DEVICE, [t], (10_100 + 60 * math.sin(t / 150), 80 + 50 * math.cos(t / 210)))
    ]  # fmt: skip
    assert suspected(lake, weir, about) == []


def test_a_terminal_left_behind_is_told_for_a_while_and_one_that_never_moved_not(lake: Any, weir: Site) -> None:
    left = suspected(lake, weir, fall(lake, (10_080, 80), lies=9000, wild=0.0))
    assert lake.at(FELL + 2000) < left[-1].until <= lake.at(FELL + 2520)
    assert suspected(lake, weir, fall(lake, (10_080, 80), walks=False, wild=0.0)) == []


def test_who_is_no_patrol_has_called_or_is_silent_is_not_suspected(lake: Any, weir: Site) -> None:
    vessel = fall(lake, (11_100, 100), device=6)
    assert suspected(lake, weir, vessel) == []
    lying = fall(lake, (10_080, 80), wild=0.0)
    call = lake.fixes(DEVICE, [FELL + 60], (10_080, 80), flags=Flag.SOS)
    assert {f.zone for f in suspected(lake, weir, sorted([*lying, *call], key=lambda f: f[1]))} == {""}
    silent = [fix for fix in lying if not FELL + 60 < (fix[1] - lake.at(0)) / SECOND < FELL + 1480]
    assert suspected(lake, weir, silent) == []


def test_it_can_be_switched_off_and_narrowed(lake: Any, weir: Site) -> None:
    lying = fall(lake, (10_080, 80))
    assert suspected(lake, weir, lying, Sos(still=0.0)) == []
    assert suspected(lake, weir, lying, Sos(roles=("police",))) == []
    assert Sos().memory == Sos(still=0.0).memory == 3601.0


def test_old_fixes_out_of_a_store_do_not_move_who_lies(lake: Any, weir: Site) -> None:
    """They arrive late, from where he was before; order of arrival is what counts."""
    lying = fall(lake, (10_080, 80), wild=0.0)
    stored = lake.fixes(DEVICE, range(0, 300, 20), (10_500, -800), late=900)
    mixed = sorted([*lying, *stored], key=lambda fix: fix[2])
    assert suspected(lake, weir, mixed) == suspected(lake, weir, lying)
