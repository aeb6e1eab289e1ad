"""The bank: pure, decodable, and what is labelled is what the devices show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.codecs.patrolgrid import PatrolGridCodec
from devices.readings import SECOND, Fix, Flag, Reading, Sample, Sighting
from devices.site_folder import SiteFolder
from simulators.bank import CHAPTERS, UnknownChapter, bank_world
from simulators.bank.journey import SWAY, Way
from simulators.bank.stage import Played, stretch
from simulators.chance import dice
from simulators.truth import HARMLESS, INCIDENTS, Episode

QUICK = sorted(set(CHAPTERS) - {"rounds", "gauges", "rhythm", "shore", "weeks", "yesterday"})


@dataclass(frozen=True)
class Seen:
    """A world with its readings decoded."""

    played: Played
    readings: Sequence[Reading]

    def of(self, *kinds: str) -> list[Episode]:
        return [e for e in self.played.truth if e.kind in kinds]

    def fixes(self, device: str, since: int = 0, until: int = 1 << 62) -> list[Fix]:
        found = [r for r in self.readings if isinstance(r, Fix) and r.device == device and since <= r.at < until]
        return sorted(found, key=lambda fix: fix.at)

    def values(self, device: str, since: int, until: int) -> list[float]:
        found = [r for r in self.readings if isinstance(r, Sample) and r.device == device and since <= r.at < until]
        return [r.value for r in sorted(found, key=lambda r: r.at) if r.quantity not in ("online", "battery")]


@pytest.fixture(scope="session")
def see(shijiu: SiteFolder) -> Any:
    @cache
    def one(chapter: str, seed: int = 1) -> Seen:
        played = bank_world(shijiu, chapter, seed)
        codec = PatrolGridCodec()
        return Seen(played, [r for m in played.messages for r in codec.decode(m.topic, m.payload, m.at)])

    return one


# ── Worlds ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("chapter", ["fence", "flood", "square"])
def test_the_same_arguments_give_the_same_bytes(see: Any, shijiu: SiteFolder, chapter: str) -> None:
    first, again = see(chapter).played, bank_world(shijiu, chapter, 1)
    assert first.messages == again.messages
    assert first.truth == again.truth
    assert bank_world(shijiu, chapter, 2).messages != first.messages


@pytest.mark.parametrize("chapter", QUICK)
def test_messages_are_in_order_of_known_devices_and_every_label_is_described(see: Any, chapter: str) -> None:
    seen = see(chapter)
    assert all(a.at <= b.at for a, b in pairwise(seen.played.messages))
    assert {r.device for r in seen.readings} <= {d.code for d in seen.played.folder.devices}
    end = seen.played.start + int(seen.played.seconds * SECOND)
    assert all(seen.played.start - 2 * SECOND <= r.at <= end + 2 * SECOND for r in seen.readings)
    for episode in seen.played.truth:
        assert episode.kind in INCIDENTS or episode.kind in HARMLESS
        assert seen.played.start <= episode.since <= episode.until <= end, episode


def test_an_unknown_chapter_is_refused(shijiu: SiteFolder) -> None:
    with pytest.raises(UnknownChapter, match=r"'sea': expected one of .*fence.*water"):
        bank_world(shijiu, "sea", 1)


def test_the_weather_differs_from_seed_to_seed(shijiu: SiteFolder) -> None:
    assert len({bank_world(shijiu, "flood", seed).weather.sky for seed in range(1, 12)}) >= 3


# ── What is labelled is what is shown ───────────────────────────────────────────────────────────────────────────────
def test_a_frozen_terminal_repeats_its_place_to_the_last_digit(see: Any) -> None:
    for episode in see("forgery").of("frozen"):
        inside = see("forgery").fixes(episode.subject, episode.since, episode.until)
        assert len(inside) > 100
        assert len({(f.lon, f.lat) for f in inside}) == 1
        before = see("forgery").fixes(episode.subject, episode.since - 600 * SECOND, episode.since)
        assert len({(f.lon, f.lat) for f in before}) > 100


def test_a_jump_is_as_far_as_its_label_says(see: Any) -> None:
    for episode in see("forgery").of("jump"):
        fixes = see("forgery").fixes(episode.subject, episode.since, episode.until)
        away = [_metres((f.lon, f.lat), (episode.lon, episode.lat)) for f in fixes]
        assert min(away[:3]) > 1_200


def test_a_replayed_track_repeats_the_places_of_before(see: Any) -> None:
    for episode in see("forgery").of("replay"):
        inside = [(f.lon, f.lat) for f in see("forgery").fixes(episode.subject, episode.since, episode.until)]
        earlier = {(f.lon, f.lat) for f in see("forgery").fixes(episode.subject, 0, episode.since)}
        assert sum(place in earlier for place in inside) > 0.95 * len(inside)


def test_the_track_of_the_day_before_comes_once_more(see: Any) -> None:
    seen = see("yesterday")
    for episode in seen.of("replay"):
        inside = [(f.lon, f.lat) for f in seen.fixes(episode.subject, episode.since, episode.until)]
        earlier = {(f.lon, f.lat) for f in seen.fixes(episode.subject, 0, episode.since - 20 * 3600 * SECOND)}
        assert len(inside) > 200
        assert sum(place in earlier for place in inside) > 0.95 * len(inside)


def test_two_terminals_in_one_pocket_stay_together_and_have_errors_of_their_own(see: Any) -> None:
    (episode,) = see("forgery").of("carried_double")
    one, other = (see("forgery").fixes(code, episode.since, episode.until) for code in episode.subject.split(","))
    at, then = [f.at for f in one], [f.at for f in other]
    x, y = np.interp(at, then, [f.lon for f in other]), np.interp(at, then, [f.lat for f in other])
    apart = [_metres((f.lon, f.lat), (a, b)) for f, a, b in zip(one, x, y, strict=True)]
    assert 1 < np.median(apart) < 25
    assert np.percentile(apart, 95) < 60


def test_a_dead_terminal_says_nothing_and_a_drained_one_says_so_before(see: Any) -> None:
    seen = see("radio")
    for episode in seen.of("silence"):
        assert not seen.fixes(episode.subject, episode.since + 5 * SECOND, episode.until - 5 * SECOND), episode
    for episode in seen.of("battery"):
        levels = [f.battery for f in seen.fixes(episode.subject, episode.since, episode.until)]
        assert levels[0] > 20
        assert levels[-1] <= 2
        assert all(a >= b for a, b in pairwise(levels))


def test_an_outage_hushes_nearly_all_and_what_was_stored_comes_afterwards(see: Any) -> None:
    seen = next(s for s in (see("radio", seed) for seed in range(1, 9)) if s.of("outage"))
    (outage,) = seen.of("outage")
    inner = (outage.since + 10 * SECOND, outage.until - 10 * SECOND)
    spoke = {m.topic.split("/")[3] for m in seen.played.messages if inner[0] < m.at < inner[1]}
    assert len(spoke) <= 3
    measured = [r for r in seen.readings if isinstance(r, Fix) and inner[0] < r.at < inner[1]]
    assert len(measured) > 300
    assert sum(bool(r.flags & Flag.BACKFILL) for r in measured) > 0.7 * len(measured)


def test_who_trespasses_is_inside_and_who_walks_the_fence_is_not(see: Any) -> None:
    seen = see("fence")
    zones = {z.code: z.geometry for z in seen.played.folder.zones}
    long = [e for e in seen.of("trespass") if e.until - e.since > 120 * SECOND]
    assert len(long) >= 4
    for episode in long + [e for e in seen.of("fence_walk") if e.zone in zones and e.zone.startswith("R-")]:
        fixes = seen.fixes(episode.subject, episode.since, episode.until)
        inside = np.mean([shapely.contains_xy(zones[episode.zone], f.lon, f.lat) for f in fixes])
        assert inside > 0.7 if episode.kind == "trespass" else inside < 0.3, episode


def test_sensors_show_what_happens_to_them(see: Any, shijiu: SiteFolder) -> None:
    seen = see("gauges")
    for episode in seen.of("stuck_sensor"):
        assert len(set(seen.values(episode.subject, episode.since, episode.until)[1:-1])) == 1
    hour = 3600 * SECOND
    for episode in seen.of("level_shift"):
        size = float(episode.note.split()[2])
        before = seen.values(episode.subject, episode.since - hour, episode.since)
        after = seen.values(episode.subject, episode.since, episode.since + hour)
        assert np.median(after) - np.median(before) == pytest.approx(size, abs=0.08)
    for episode in seen.of("high_water"):
        device = next(d for d in seen.played.folder.devices if d.code == episode.subject)
        assert max(seen.values(episode.subject, episode.since, episode.until)) > device.properties["warn"]
    for episode in seen.of("spike"):
        assert episode.until - episode.since <= 600 * SECOND


def test_what_has_a_rhythm_departs_from_it_as_labelled(see: Any) -> None:
    seen = see("rhythm")
    week = 7 * 24 * 3600 * SECOND
    assert len(seen.of("unusual")) >= 12
    for episode in seen.of("unusual"):
        now = np.median(seen.values(episode.subject, episode.since, episode.until))
        before = np.median(seen.values(episode.subject, episode.since - week, episode.until - week))
        more = episode.note.endswith("more than usual")
        assert now - before > 0.5 * float(episode.note.split()[0]) if more else now < 0.4 * before, episode
    for episode in seen.of("low_water", "ebb"):
        device = next(d for d in seen.played.folder.devices if d.code == episode.subject)
        least = min(np.convolve(seen.values(episode.subject, episode.since, episode.until), np.ones(3) / 3, "valid"))
        assert (least < device.properties["low_warn"]) == (episode.kind == "low_water"), episode
    for episode in seen.of("gap"):
        assert not seen.values(episode.subject, episode.since, episode.until)


def test_counts_of_a_place_with_two_cameras(see: Any) -> None:
    seen = see("square")

    def counts(camera: str) -> float:
        return float(np.mean([r.count for r in seen.readings if isinstance(r, Sighting) and r.device == camera]))

    whole, parts = (counts("CW-TEMPLE-1"), counts("CW-TEMPLE-2")), (counts("CW-STAGE-1"), counts("CW-STAGE-2"))
    assert whole[0] == pytest.approx(whole[1], rel=0.02)  # both see all
    assert parts[0] == pytest.approx(parts[1], rel=0.05)
    crowd = max((e for e in seen.of("crowd", "busy") if e.zone == "CW-STAGE"), key=lambda e: e.until - e.since)
    peak = max(r.count for r in seen.readings if isinstance(r, Sighting) and r.device == "CW-STAGE-1"
               and crowd.since < r.at < crowd.until)  # fmt: skip
    assert 0.5 * 450 * 0.7 < peak < 0.85 * 450 * 1.8


def test_alarms_are_sent_with_their_kind_and_a_collapse_sends_none(see: Any) -> None:
    seen = see("help")
    for episode in seen.of("sos"):
        flags = {f.flags & (Flag.SOS | Flag.MAN_DOWN) for f in seen.fixes(episode.subject) if f.flags & Flag.SOS}
        assert (Flag.SOS | Flag.MAN_DOWN in flags) == ("fell" in episode.note)
    for episode in seen.of("collapse"):
        assert not any(f.flags & Flag.SOS for f in seen.fixes(episode.subject))
        lying = seen.fixes(episode.subject, episode.since + 60 * SECOND, episode.until)
        assert np.percentile([f.speed for f in lying], 95) < 0.35


def test_plans_are_kept_or_missed_as_labelled(see: Any) -> None:
    seen = see("rounds")
    missed = seen.of("missed_patrol")
    assert missed
    assert Counter(e.kind for e in seen.played.truth)["off_route"] >= 2
    plans = {p.code: p for p in seen.played.folder.plans}
    for episode in missed:
        plan = plans[episode.note.split(":")[0]]
        zone = next(z for z in seen.played.folder.zones if z.code == episode.zone)
        if len(plan.zones) > 1:  # the beats: fixes in them long enough, but too seldom
            fixes = [r for r in seen.readings if isinstance(r, Fix)]
            inside = {
                (f.device, f.at // (600 * SECOND)) for f in fixes if shapely.contains_xy(zone.geometry, f.lon, f.lat)
            }
            assert len(inside) <= 9


# ── Journeys ────────────────────────────────────────────────────────────────────────────────────────────────────────
@settings(max_examples=40)
@given(
    seed=st.integers(0, 1_000),
    points=st.lists(st.tuples(st.floats(-2_000, 2_000), st.floats(-2_000, 2_000)), min_size=1, max_size=6),
    pace=st.floats(0.3, 8.0),
    pauses=st.sampled_from([0.0, 1 / 200]),
)
def test_a_journey_goes_on_in_time_at_about_its_pace_and_comes_there(
    seed: int, points: list[tuple[float, float]], pace: float, pauses: float
) -> None:
    way = Way(dice(seed, "test"), 10.0, (0.0, 0.0)).stay(5.0).go(points, pace, pauses=pauses).stay(3.0)
    journey = way.journey()
    assert (np.diff(journey.at) > 0).all()
    speed = np.hypot(np.diff(journey.x), np.diff(journey.y)) / np.diff(journey.at)
    assert (speed <= pace * (1 + SWAY) * 1.001 + 1e-6).all()
    assert math.dist(journey.spot(journey.ends), points[-1]) < 0.02
    assert journey.spot(0.0) == (0.0, 0.0)


def test_a_stretch_of_a_line_may_run_backwards() -> None:
    line = np.array([(0.0, 0.0), (100.0, 0.0), (100.0, 100.0)])
    assert stretch(line, 0.25, 0.75).tolist() == [[50.0, 0.0], [100.0, 0.0], [100.0, 50.0]]
    assert stretch(line, 0.75, 0.25).tolist() == [[100.0, 50.0], [100.0, 0.0], [50.0, 0.0]]


def _metres(one: tuple[float, float], other: tuple[float, float]) -> float:
    east = (one[0] - other[0]) * math.cos(math.radians(one[1]))
    return 111_195.0 * math.hypot(east, one[1] - other[1])
