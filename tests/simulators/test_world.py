"""The world is a pure function, its stream is in order and decodes, and what is labelled is what the devices show."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from shapely.geometry import Point

from devices.readings import SECOND, Fix, Flag, Sample, Sighting
from devices.registry import Device
from devices.site_folder import SiteFolder
from simulators.scenarios import SCENARIOS, UnknownScenario
from simulators.truth import HARMLESS, INCIDENTS
from simulators.world import World


# ── A pure function ─────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_the_same_arguments_give_the_same_bytes(play: Any, shijiu: SiteFolder, scenario: str) -> None:
    first, again = (play(shijiu, scenario, 600) for _ in range(2))
    assert first.messages == again.messages
    assert [e.line() for e in first.truth] == [e.line() for e in again.truth]
    assert play(shijiu, scenario, 600, seed=2).messages != first.messages


def test_how_time_is_cut_changes_nothing(play: Any, shijiu: SiteFolder, start: int) -> None:
    whole = play(shijiu, "demo", 400)
    world, messages, until = World(shijiu, "demo", 1, start), [], start
    for step in (0.4, 0.7, 13.0, 0.05, 200.2, 1.0, 184.65):
        until += int(step * SECOND)
        messages += world.advance(until)
    assert messages + world.finish() == whole.messages


def test_another_device_does_not_change_the_others(play: Any, shijiu: SiteFolder) -> None:
    newcomer = replace(shijiu.devices[-1], code="T999", area="990101102204-01", role="patrol")
    camera = Device("C99", "camera", "新", "New", "990101102204", newcomer.share, lon=118.9, lat=31.55)
    more = replace(shijiu, devices=(newcomer, *shijiu.devices, camera))
    ours = {d.code for d in shijiu.devices if d.kind == "terminal"}

    def of_ours(run: Any) -> list[Any]:
        return [m for m in run.messages if m.topic.split("/")[3] in ours]

    before, after = play(shijiu, "quiet", 900), play(more, "quiet", 900)
    assert of_ours(before) == of_ours(after)
    assert len(after.messages) > len(before.messages) + 150


def test_start_is_cut_to_milliseconds_and_scenarios_are_known_by_name(shijiu: SiteFolder) -> None:
    assert World(shijiu, "quiet", 1, 1_795_341_600_123_456).start == 1_795_341_600_123_000
    with pytest.raises(UnknownScenario, match=r"'night'.*demo, evening, quiet"):
        World(shijiu, "night", 1, 0)


# ── The stream ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_messages_are_in_order_and_tell_of_nothing_later(evening: Any, start: int) -> None:
    assert all(a.at <= b.at for a, b in pairwise(evening.messages))
    for leaf in ("fix", "sighting", "sample", "status", "sos"):
        objects = evening.objects(leaf)
        assert objects, leaf
        assert all(start <= round(o["t"] * SECOND) <= at for at, o in objects), leaf


def test_the_own_codec_decodes_every_message_exactly(evening: Any) -> None:
    fixes, samples = evening.readings(Fix), evening.readings(Sample)
    sent = [round(o["t"] * 1e6) for _, o in evening.objects("fix") + evening.objects("sos")]
    assert Counter(f.at for f in fixes) == Counter(sent)
    assert all(0 <= f.heading < 360 or math.isnan(f.heading) for f in fixes)
    assert all(0 < f.accuracy < 40 and 0 < f.battery <= 100 for f in fixes if not f.flags & Flag.SOS)
    assert {s.quantity for s in samples} == {"online", "battery", "water_level", "smoke"}
    assert all(0 < s.confidence < 1 for s in evening.readings(Sighting))


def test_every_device_is_online_soon_beats_and_says_goodbye(evening: Any, shijiu: SiteFolder) -> None:
    for device in shijiu.devices:
        states = [(o["t"], o["online"]) for _, o in evening.objects("status", device.code)]
        heard = next(m.at for m in evening.messages if m.topic.split("/")[3] == device.code)
        assert states[0][0] < heard / SECOND + 15, device.code
        assert states[-1][1] is False
        assert all(online for _, online in states[:-1])
    assert all(m.retain == m.topic.endswith("/status") for m in evening.messages)


def test_a_pond_with_little_registered_is_simulated_too(play: Any, pond: SiteFolder) -> None:
    run = play(pond, "evening", 4000)
    assert {m.topic.split("/")[3] for m in run.messages} == {d.code for d in pond.devices}
    assert run.world.plot.skipped.keys() >= {"anglers", "net_boat", "busy"}
    assert run.of("sos")
    assert not run.of("fishing")


def test_inactive_devices_keep_quiet(play: Any, pond: SiteFolder) -> None:
    off = replace(pond, devices=tuple(replace(d, active=d.code != "P0") for d in pond.devices))
    assert "P0" not in {m.topic.split("/")[3] for m in play(off, "quiet", 60).messages}


# ── People at a lake ────────────────────────────────────────────────────────────────────────────────────────────────
def test_patrols_keep_near_the_shore_and_boats_to_the_water(hour: Any, shijiu: SiteFolder) -> None:
    run = hour
    ground, lake = run.world.ground, run.world.ground.lake
    roles = {d.code: d.role for d in shijiu.devices}
    away: dict[str, list[float]] = {"patrol": [], "boat": []}
    for fix in run.readings(Fix):
        spot = Point(ground.frame.spot(fix.lon, fix.lat))
        if roles[fix.device] in away:
            away[roles[fix.device]].append(
                lake.distance(spot) if not lake.contains(spot) else -spot.distance(lake.boundary)
            )
    on_foot, afloat = np.array(away["patrol"]), np.array(away["boat"])
    assert (on_foot > -25).mean() > 0.999  # only the receiver's error puts anybody into the water
    assert (on_foot < 260).all()
    assert np.median(on_foot) < 120
    assert (afloat < 20).all()
    assert (afloat < -50).mean() > 0.8


def test_patrols_walk_as_people_do(hour: Any, shijiu: SiteFolder) -> None:
    run = hour
    on_foot = {d.code for d in shijiu.devices if d.role == "patrol"}
    speeds = np.array([f.speed for f in run.readings(Fix) if f.device in on_foot])
    walking = speeds[speeds > 0.5]
    assert 1.2 < np.median(walking) < 1.5
    assert np.percentile(walking, 2) > 0.9
    assert np.percentile(walking, 98) < 1.75
    assert 0.1 < (speeds < 0.3).mean() < 0.5  # pauses, and rest at the station
    standing = [f for f in run.readings(Fix) if f.speed < 0.3]
    assert all(math.isnan(f.heading) for f in standing)


def test_headings_follow_the_motion(hour: Any) -> None:
    wrong = []
    for code in ("T038", "T039", "T040"):  # boats: fast enough that the error matters little
        for (_, a), (_, b) in pairwise(hour.objects("fix", code)):
            if "hdg" in b and a["spd"] > 2 and b["spd"] > 2:
                east = (b["lon"] - a["lon"]) * math.cos(math.radians(31.47))
                course = math.degrees(math.atan2(east, b["lat"] - a["lat"]))
                wrong.append(abs((b["hdg"] - course + 180) % 360 - 180))
    assert len(wrong) > 500
    assert np.percentile(wrong, 90) < 25


def test_batteries_run_down_on_duty(hour: Any, shijiu: SiteFolder) -> None:
    run = hour
    change = [
        fixes[-1][1]["bat"] - fixes[0][1]["bat"]
        for d in shijiu.devices
        if d.kind == "terminal" and (fixes := run.objects("fix", d.code))
    ]
    assert sum(-7 <= c <= -3 for c in change) > 15
    assert all(c >= -7 for c in change)


# ── What is labelled is what is shown ───────────────────────────────────────────────────────────────────────────────
def _rods_near(run: Any, episode: Any, since: int, until: int, label: str, radius: float) -> int:
    here = run.world.ground.frame.spot(episode.lon, episode.lat)
    return sum(
        1
        for s in run.readings(Sighting)
        if s.label == label
        and since <= s.at <= until
        and math.dist(run.world.ground.frame.spot(s.lon, s.lat), here) < radius
    )


def test_fishing_is_seen_while_it_lasts_and_not_before_or_after(evening: Any) -> None:
    assert len(evening.of("fishing")) >= 5
    for episode in evening.of("fishing"):
        gear, radius = ("net", 120.0) if "net" in episode.note else ("rod", 45.0)
        minutes = (episode.until - episode.since) / SECOND / 60
        assert _rods_near(evening, episode, episode.since, episode.until, gear, radius) > 3 * minutes
        quarter = 900 * SECOND
        others = [e for e in evening.of("fishing") if e is not episode and abs(e.lon - episode.lon) < 0.002]
        if not others:
            assert _rods_near(evening, episode, episode.since - quarter, episode.since - 1, gear, radius) <= 1
            assert _rods_near(evening, episode, episode.until + 1, episode.until + quarter, gear, radius) <= 1


def test_a_crowd_is_counted_above_what_the_place_holds(evening: Any, shijiu: SiteFolder) -> None:
    (crowd,) = evening.of("crowd")
    zone = next(z for z in shijiu.zones if z.code == crowd.zone)
    counter = next(d.code for d in shijiu.devices if zone.code in d.properties.get("watches", ()))
    counts = [(round(o["t"] * SECOND), o["n"]) for _, o in evening.objects("sighting", counter)]
    during = [n for at, n in counts if crowd.since + 60 * SECOND < at < crowd.until - 60 * SECOND]
    assert len(during) > 60
    assert np.mean(np.array(during) > zone.capacity) > 0.95
    assert max(n for at, n in counts if not crowd.since - 60 * SECOND < at < crowd.until + 60 * SECOND) < zone.capacity
    for busy in evening.of("busy"):
        assert not busy.until > crowd.since > busy.since


def test_an_sos_is_sent_with_its_place_and_marks_the_fixes(evening: Any) -> None:
    (sos,) = evening.of("sos")
    cries = evening.objects("sos")
    assert {m.topic.split("/")[3] for m in evening.messages if m.topic.endswith("/sos")} == {sos.subject}
    assert round(cries[0][1]["t"] * SECOND) == sos.since
    place = evening.world.ground.frame.spot(cries[0][1]["lon"], cries[0][1]["lat"])
    assert math.dist(place, evening.world.ground.frame.spot(sos.lon, sos.lat)) < 40
    for _, fix in evening.objects("fix", sos.subject):
        assert fix.get("sos", False) == (sos.since <= round(fix["t"] * SECOND) < sos.until)
    assert all(f.flags & Flag.SOS for f in evening.readings(Fix) if f.device == sos.subject and f.at == sos.since)


def test_a_silent_terminal_sends_nothing(evening: Any) -> None:
    (silence,) = evening.of("silence")
    sent = [m.at for m in evening.messages if m.topic.split("/")[3] == silence.subject]
    assert not [at for at in sent if silence.since < at < silence.until]
    assert any(at < silence.since for at in sent)
    assert any(silence.until <= at <= silence.until + 10 * SECOND for at in sent)


def test_the_water_rises_and_smoke_shows(evening: Any) -> None:
    (flood,), (fire,) = evening.of("high_water"), evening.of("smoke")
    level = np.array([o["v"] for _, o in evening.objects("sample", flood.subject)])
    at = np.array([round(o["t"] * SECOND) for _, o in evening.objects("sample", flood.subject)])
    before = level[at < flood.since]
    assert before.std() < 0.03
    assert 0.2 < level[(at > flood.since) & (at < flood.until)].max() - before.mean() < 0.6
    smoke = [(round(o["t"] * SECOND), o["v"]) for _, o in evening.objects("sample", fire.subject)]
    assert max(v for t, v in smoke if fire.since <= t <= fire.until) > 3.0
    assert np.percentile([v for t, v in smoke if not fire.since <= t <= fire.until], 95) < 0.5


def test_nothing_is_wrong_when_it_is_quiet(hour: Any) -> None:
    assert {e.kind for e in hour.truth} == {"coverage_gap"}
    assert not hour.objects("sos")
    lone = [s for s in hour.readings(Sighting) if s.label in ("rod", "net")]
    assert len(lone) < 20  # a camera's mistakes, low and single
    assert all(s.confidence < 0.6 for s in lone)


def test_episodes_are_of_described_kinds_and_end_after_they_begin(evening: Any) -> None:
    for episode in evening.truth:
        assert episode.kind in INCIDENTS or episode.kind in HARMLESS
        assert 0 < episode.since <= episode.until
    assert {"fishing", "crowd", "sos", "silence", "high_water", "smoke", "walker", "busy", "coverage_gap"} <= {
        e.kind for e in evening.truth
    }


def test_the_demo_opens_with_fishing_a_crowd_and_an_sos_one_after_the_other(play: Any, shijiu: SiteFolder) -> None:
    for seed in (1, 2, 3):
        run = play(shijiu, "demo", 780, seed=seed)
        since = {kind: (run.of(kind)[0].since - run.world.start) / SECOND for kind in ("fishing", "crowd", "sos")}
        assert 340 < since["fishing"] < 390
        assert 580 < since["crowd"] < 625
        assert since["sos"] == 690
