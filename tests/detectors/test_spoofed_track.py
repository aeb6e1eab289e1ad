"""Jumps, frozen places, two terminals in one pocket and replays: what is told, and what only looks like it."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from detectors.base import Batch, Finding
from detectors.geo import Plane
from detectors.spoofed_track import SpoofedTrack
from devices.readings import FIX, SECOND, Rows, rows
from devices.registry import Device, Registry
from devices.site import Site, Zone

BEGIN = 1_781_100_000 * SECOND
PLACE = Plane(118.85, 31.45)
NAN = math.nan
DAY = 86_400.0


def a_site(zones: Iterable[Zone] = (), **more: Any) -> Site:
    return Site([], zones, [], Registry(
        [Device(f"T{n}", "terminal", f"终端{n}", f"Terminal {n}", "", "", role=more.get("role", "patrol"),
                properties=more.get("properties", {}), id=n) for n in range(1, 6)]
    ))  # fmt: skip


class Track:
    """Somebody with a receiver: where he truly is by second, and fixes of it with an error that wanders."""

    def __init__(self, seed: int, pace: float = 1.3, sigma: float = 4.0, at: tuple[float, float] = (0.0, 0.0)) -> None:
        self.draw = random.Random(seed)
        self.pace, self.sigma, self.x, self.y = pace, sigma, *at
        self.course = self.draw.uniform(0, 6.28)
        self.error = [self.draw.gauss(0, sigma), self.draw.gauss(0, sigma)]

    def fix(self, step: float, hold: float = 40.0) -> tuple[float, float]:
        """Go on for ``step`` s; the place measured."""
        self.course += self.draw.gauss(0, 0.25)
        self.x += self.pace * step * math.sin(self.course)
        self.y += self.pace * step * math.cos(self.course)
        keep = math.exp(-step / hold)
        self.error = [keep * e + math.sqrt(1 - keep**2) * self.draw.gauss(0, self.sigma) for e in self.error]
        return self.x + self.error[0], self.y + self.error[1]


def told(device: int, t: float, spot: tuple[float, float], speed: float = 1.3, **more: float) -> tuple[Any, ...]:
    lon, lat = (round(float(v), 7) for v in PLACE.lonlat(*spot))
    at = BEGIN + round(t * 1000) * 1000
    accuracy, battery = more.get("accuracy", 5.0), more.get("battery", 80.0)
    return (device, at, at + SECOND // 2, lon, lat, speed, NAN, accuracy, battery, 0)


def walk(device: int, begin: float, until: float, track: Track, every: float = 10.0, **more: Any) -> list[Any]:
    speed = more.pop("speed", track.pace)
    return [told(device, t, track.fix(every), speed, **more) for t in np.arange(begin, until, every)]


def find(fixes: Iterable[Any], site: Site | None = None, detector: SpoofedTrack | None = None) -> list[Finding]:
    """In batches of a minute, and a tick after it all."""
    site, detector, readings = site or a_site(), detector or SpoofedTrack(), rows(FIX, list(fixes))
    state, found = detector.start(site), []
    minute = readings["received"] // (60 * SECOND)
    for m in np.unique(minute):
        found += detector.step(state, Batch(fixes=readings[minute == m]), int(m + 1) * 60 * SECOND, site)
    return found + list(detector.step(state, Batch(), int(readings["received"].max()) + 600 * SECOND, site))


def what(found: Iterable[Finding]) -> set[str]:
    """Which of the four looks spoke."""
    words = {"takes": "jump", "has not moved": "frozen", "have gone together": "pair", "a replay": "replay"}
    return {name for f in found for word, name in words.items() if word in f.sentence.en}


# ── Jumps ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def moved(fixes: list[Any], begin: float, until: float, metres: float) -> list[Any]:
    """The same, with the places of some time elsewhere."""
    lon, _ = PLACE.lonlat(metres, 0.0)
    shift = float(lon) - PLACE.lon
    return [(*f[:3], round(f[3] + shift, 7), *f[4:]) if begin <= (f[1] - BEGIN) / SECOND < until else f for f in fixes]


def test_a_jump_is_told_with_what_it_would_have_taken() -> None:
    (there, back) = find(moved(walk(1, 0, 1200, Track(1)), 600, 900, 4000.0))
    assert there.subject == back.subject == "T1"
    numbers = there.evidence["numbers"]
    assert numbers["implied_mps"] == pytest.approx(400, rel=0.05)
    assert numbers["reported_mps"] == pytest.approx(1.3)
    assert numbers["limit_mps"] == pytest.approx(2 * 1.3 + 10 + 5)
    assert [round((at - BEGIN) / SECOND) for _, at in there.suspects] == [600, 610, 620, 630]
    assert (there.until - BEGIN) // SECOND == 630
    assert "in 10 s, which takes" in there.sentence.en
    assert "自报1.3米/秒" in there.sentence.zh
    assert len(there.evidence["geojson"]["features"]) == 5


def test_a_jump_without_reported_speed_is_judged_by_what_the_bearer_can_do() -> None:
    jump = moved(walk(1, 0, 1200, Track(1), speed=NAN), 600, 900, 550.0)  # 55 m/s
    assert find(jump) == []
    assert what(find(jump, a_site(properties={"moves": "foot"}))) == {"jump"}
    assert what(find(jump, a_site(role="boat"))) == {"jump"}
    (first, *_) = find(moved(walk(1, 0, 1200, Track(1), speed=NAN), 600, 900, 700.0))
    assert "no speed reported" in first.sentence.en


@pytest.mark.parametrize("lasts", [10, 20, 30])
@pytest.mark.parametrize("metres", [150.0, 400.0, 2000.0])
def test_an_outlier_of_a_few_fixes_is_no_jump(lasts: int, metres: float) -> None:
    assert find(moved(walk(1, 0, 1200, Track(2)), 600, 600 + lasts, metres)) == []


def test_a_poor_place_is_no_jump() -> None:
    fixes = walk(1, 0, 1200, Track(3), accuracy=90.0)
    assert find(moved(fixes, 600, 900, 550.0)) == []
    assert what(find(moved(walk(1, 0, 1200, Track(3)), 600, 900, 550.0))) == {"jump"}


def test_a_tunnel_and_a_ride_are_no_jumps() -> None:
    """Five minutes without a fix at 25 m/s, then on foot again; speeds are reported at both ends."""
    track = Track(4)
    before = walk(1, 0, 600, track)
    track.x += 7500.0
    assert find(before + walk(1, 900, 1800, track)) == []
    ride = Track(5, pace=30.0)
    assert find(walk(1, 0, 1200, ride, every=30.0)) == []
    starts = [told(1, t, (min(max(t - 60, 0), 60) * 10.0, 0.0), 0.5) for t in range(0, 600, 30)]
    assert find(starts) == [], "600 m in a minute, parked before and after"


def test_a_receiver_that_begins_with_its_old_place_has_not_jumped() -> None:
    """Switched off, carried six kilometres in ten minutes, switched on: two fixes still say the old place."""
    track = Track(6)
    before = walk(1, 0, 600, track)
    old = (track.x, track.y)
    stale = [told(1, 1200, old), told(1, 1210, old)]
    track.x += 6000.0
    assert find(before + stale + walk(1, 1220, 1800, track)) == []


# ── Frozen ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def frozen(speed: float, seconds: float, **more: Any) -> list[Any]:
    track = Track(7)
    spot = track.fix(10.0)
    return [told(1, t, spot, speed, **more) for t in np.arange(0.0, seconds, 10.0)]


def test_a_place_that_stands_while_the_device_claims_to_walk() -> None:
    found = find(frozen(1.3, 700.0))
    assert what(found) == {"frozen"}
    first = found[0]
    assert (first.until - first.since) / SECOND == 300
    assert len(first.suspects) == 30
    assert "has not moved for 5 min (not in one digit), yet it reports 1.3 m/s, limit 5 min" in first.sentence.en
    assert "却自报1.3米/秒" in first.sentence.zh
    assert {at for f in found for _, at in f.suspects} == {f[1] for f in frozen(1.3, 700.0)[1 : found_until(found)]}


def found_until(found: list[Finding]) -> int:
    return (max(f.until for f in found) - BEGIN) // SECOND // 10 + 1


def test_impossibly_little_noise_while_claiming_to_walk() -> None:
    draw = random.Random(8)
    shaken = [told(1, t, (draw.gauss(0, 0.3), draw.gauss(0, 0.3)), 1.2) for t in range(0, 600, 10)]
    found = find(shaken)
    assert what(found) == {"frozen"}
    assert "in no step by 3 m" in found[0].sentence.en


def test_not_one_digit_for_a_quarter_of_an_hour() -> None:
    assert find(frozen(0.0, 890.0)) == []
    found = find(frozen(0.0, 1000.0))
    assert what(found) == {"frozen"}
    assert found[0].score < 0.9
    assert "a real one is never without noise" in found[0].sentence.en


def test_who_stands_lies_or_charges_is_not_frozen() -> None:
    standing = Track(9, pace=0.0)
    resting = [told(1, t, standing.fix(10.0, hold=320.0), abs(standing.draw.gauss(0, 0.1))) for t in range(0, 7200, 10)]
    assert find(resting) == [], "a receiver's noise, slow while it lies"
    charging = [f for k, t in enumerate(range(0, 3600, 10)) for f in [(*frozen(0.0, 10.0, battery=30.0 + k / 9)[0][:1],
                BEGIN + t * SECOND, BEGIN + t * SECOND + 1, *frozen(0.0, 10.0)[0][3:8], 30.0 + k / 9, 0)]]  # fmt: skip
    assert find(charging) == []
    assert find(frozen(0.0, 3600.0, battery=100.0)) == []
    coarse = [(*f[:3], round(f[3], 5), round(f[4], 5), *f[5:]) for f in frozen(0.0, 3600.0)]
    assert find(coarse) == [], "five digits repeat themselves"
    lon, lat = PLACE.lon, PLACE.lat
    around = shapely.box(lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01)
    station = Zone("S", "checkpoint", "驻点", "Station", "", around, properties={"station": True})
    assert find(frozen(0.0, 3600.0), a_site([station])) == []
    assert what(find(frozen(1.3, 3600.0), a_site([station]))) == {"frozen"}, "but it claims to walk"


# ── Two in one pocket ───────────────────────────────────────────────────────────────────────────────────────────────
def pocket(seconds: float, sigma: float = 4.0, apart: float = 0.5, **more: Any) -> list[Any]:
    """Two receivers on one way; each has an error of its own."""
    track, one, other = Track(10, pace=more.pop("pace", 1.3), sigma=0.0), Track(11, sigma=sigma), Track(12, sigma=sigma)
    one.pace = other.pace = 0.0
    fixes = []
    for t in np.arange(0.0, seconds, 10.0):
        x, y = track.fix(10.0)
        for device, receiver, aside in ((1, one, 0.0), (2, other, apart)):
            ex, ey = receiver.fix(10.0)
            fixes.append(told(device, t + device, (x + ex + aside, y + ey), track.pace, **more))
    return fixes


def test_two_terminals_on_one_way_for_long() -> None:
    found = find(pocket(1500))
    assert what(found) == {"pair"}
    assert {f.subject for f in found} == {"T1+T2"}
    assert found[0].evidence["numbers"]["apart_m"] < 15
    assert 1200 <= (found[0].until - found[0].since) / SECOND <= 1320
    assert "Terminal 1 and Terminal 2 have gone together for" in found[0].sentence.en
    assert "疑由一人携带" in found[0].sentence.zh
    assert not found[0].suspects, "where they were is true"


def test_two_who_go_side_by_side_for_a_while_or_at_a_distance_are_two() -> None:
    assert find(pocket(1000)) == []
    assert find(pocket(3600, sigma=3.0, apart=15.0)) == []


def test_poor_receivers_in_one_pocket() -> None:
    """Under trees in the rain; they say that they are not exact."""
    assert what(find(pocket(1800, sigma=18.0, accuracy=25.0))) == {"pair"}


def test_who_is_not_two_in_one_pocket() -> None:
    assert find(pocket(540)) == [], "colleagues who share some of the way"
    assert find(pocket(3000, apart=60.0)) == [], "one behind the other"
    assert find(pocket(3000, pace=0.0)) == [], "on the station's table"
    assert find(pocket(3000, pace=12.0)) == [], "in one car"
    assert find(pocket(3000), a_site(role="boat")) == []
    assert find(pocket(3000), a_site(properties={"crew": "patrol car 3"})) == []


# ── Replays ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def again(fixes: list[Any], later: float, device: int = 1, shift: float = 0.0) -> list[Any]:
    lag = round(later * SECOND)
    return [(device, f[1] + lag, f[2] + lag, round(f[3] + shift, 7), *f[4:]) for f in fixes]


@pytest.mark.parametrize(("device", "shift"), [(1, 0.0), (2, 0.0), (1, 0.0123457)])
def test_the_track_of_yesterday(device: int, shift: float) -> None:
    """Exactly; by a colleague's terminal; and a kilometre further east."""
    original = walk(1, 0, 1800, Track(20))
    today = again(original, DAY + 300, device, shift)
    found = [f for f in find(original + today) if "jump" not in what([f])]
    assert what(found) == {"replay"}
    assert {f.subject for f in found} == {f"T{device}"}
    assert found[0].evidence["numbers"]["shift_s"] == pytest.approx(DAY + 300)
    assert (found[0].until - found[0].since) / SECOND <= 600
    assert found[0].suspects
    assert all(who == device for who, _ in found[0].suspects)
    assert ("its own" in found[0].sentence.en) == (device == 1)
    assert "逐步相同" in found[0].sentence.zh


def test_a_replay_half_as_fast() -> None:
    original = walk(1, 0, 1800, Track(21))
    slow = [(*f[:1], 2 * f[1] - BEGIN + 7200 * SECOND, 2 * f[1] - BEGIN + 7200 * SECOND + 1, *f[3:]) for f in original]
    assert "replay" in what(find(original + slow))


def test_the_same_round_walked_again_is_no_replay() -> None:
    one, other = Track(22), Track(22)
    other.error = [9.0, -3.0]
    noise = random.Random(1)
    second = [
        told(1, t + 7200, (x + noise.gauss(0, 3), y + noise.gauss(0, 3)))
        for t, (x, y) in zip(np.arange(0, 3600, 10), (other.fix(10.0) for _ in range(360)), strict=True)
    ]
    assert what(find(walk(1, 0, 3600, one) + second)) == set()


def test_what_is_older_than_the_memory_is_forgotten() -> None:
    original = walk(1, 0, 1800, Track(23))
    assert "replay" not in what(find(original + again(original, 27 * 3600.0)))
    assert "replay" in what(find(original + again(original, 25 * 3600.0)))


def test_a_receiver_of_five_digits_repeats_itself_by_chance() -> None:
    coarse = [(*f[:3], round(f[3], 5), round(f[4], 5), *f[5:]) for f in walk(1, 0, 20_000, Track(24, sigma=0.5))]
    assert find(coarse) == []


# ── The law, in long worlds ─────────────────────────────────────────────────────────────────────────────────────────
SMALL = SpoofedTrack(
    frozen=60.0, same=100.0, together=240.0, way=100.0, figures=3, least=10.0, copied=20.0, after=100.0, remember=600.0,
    renew=40.0, longest=200.0,
)  # fmt: skip


def a_world(seed: int, length: float = 4000.0) -> Rows:
    """Five terminals that go, jump, freeze, repeat each other, follow the first one, and fall away for a while."""
    draw = random.Random(seed)
    tracks = [Track(seed * 7 + n, pace=draw.choice([0.0, 1.3, 9.0]) if n else 1.3) for n in range(5)]
    said: list[list[Any]] = [[] for _ in tracks]
    tricks = [
        (draw.uniform(0, length), draw.uniform(60, 700), draw.randrange(5), draw.choice("jfsrgt")) for _ in range(14)
    ]
    for n, track in enumerate(tracks):
        t = draw.uniform(0, 10)
        while t < length:
            spot, speed = track.fix(10.0), track.pace
            trick = next((k for begin, lasts, who, k in tricks if who == n and begin < t < begin + lasts), "")
            past = [
                f for f in said[draw.randrange(5) if trick == "r" and n else 0] if f[1] < BEGIN + (t - 300) * SECOND
            ]
            fix = told(n + 1, t, spot, draw.choice([speed, speed, NAN]), battery=draw.choice([50.0, NAN]))
            if trick == "j":
                fix = told(n + 1, t, (spot[0] + 5000, spot[1]), speed)
            elif trick in "fs" and trick and said[n]:
                fix = (*fix[:3], *said[n][-1][3:5], 1.4 if trick == "f" else 0.0, *fix[6:])
            elif trick == "r" and said[n] and len(said[0]) > 40:
                fix = (
                    (*fix[:3], *said[0][max(0, len(said[n]) - 35)][3:5], *fix[5:])
                    if len(said[0]) > len(said[n])
                    else fix
                )
            elif trick == "t":
                fix = told(n + 1, t, (tracks[0].x + draw.gauss(0, 4), tracks[0].y + draw.gauss(0, 4)), 1.3)
            if trick != "g" and past is not None:
                said[n].append(fix)
            t += draw.uniform(8, 12)
    readings = rows(FIX, [f for some in said for f in some])
    ordered: Rows = readings[np.argsort(readings["received"], kind="stable")]
    return ordered


def run(readings: Rows, cuts: Iterable[int], since: int = 0) -> list[str]:
    """What is told after ``since``, with the rows cut at these indices."""
    site, state, found = a_site(), SMALL.start(a_site()), []
    edges = sorted({0, len(readings), *cuts})
    for begin, end in pairwise(edges):
        part = readings[begin:end][::-1]
        if len(part):
            now = int(readings["received"][end - 1])
            found += SMALL.step(state, Batch(fixes=part), now, site)
    found += SMALL.step(state, Batch(), int(readings["received"][-1]) + 900 * SECOND, site)
    return sorted(json.dumps(dataclasses.asdict(f), sort_keys=True) for f in found if f.until > since)


law = settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])


@law
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 2000), max_size=400))
@example(seed=3, cuts=list(range(2000)))
def test_any_cut_tells_the_same(seed: int, cuts: list[int]) -> None:
    readings = a_world(seed)
    assert run(readings, [c for c in cuts if c < len(readings)]) == run(readings, [])


@law
@given(seed=st.integers(0, 10_000), share=st.floats(0.5, 0.95))
@example(seed=3, share=0.8)
def test_a_state_filled_from_memory_tells_the_same(seed: int, share: float) -> None:
    readings = a_world(seed)
    stop = int(readings["received"][int(share * len(readings))])
    kept = readings[readings["at"] >= stop - int(SMALL.memory * SECOND)]
    cuts = range(0, len(readings), 50)
    assert len(kept) < len(readings)
    assert run(kept, cuts, stop) == run(readings, cuts, stop)


def test_those_worlds_hold_all_four() -> None:
    told_of = [sentence for seed in range(8) for sentence in run(a_world(seed), [])]
    for word in ("which takes", "has not moved", "have gone together", "a replay"):
        assert any(word in sentence for sentence in told_of), word
