"""A call for help is told at once, and as one."""

from __future__ import annotations

import math
from typing import Any

import pytest

from detectors.base import Batch
from detectors.sos import Sos
from devices.readings import FIX, SECOND, Flag, rows

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
