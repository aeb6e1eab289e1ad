"""The law that every detector keeps: what it finds depends on the readings, not on how they were cut into batches.

One test file for all of DETECTORS, on generated worlds: anglers, walkers, net boats, crowds, patrols that fall silent
and call for help, seen by cameras that overtake each other by some seconds. The thresholds are small, so that a world
of ten minutes holds many findings, books and renewals.
"""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st

from detectors import DETECTORS
from detectors.base import KINDS_OF_READINGS, Batch, Detector, Finding, reads, refold_memory
from detectors.thresholds import WrongThreshold
from detectors.visits import Visits, visit_rows
from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, Flag, rows
from devices.registry import Device, Registry
from devices.site import Area, Plan, Season, Site, Zone

BEGIN = 1_781_000_000 * SECOND  # 2026-06-09 18:13 at the site
PATIENCE = 5.0
NAN = math.nan
SMALL: dict[str, dict[str, Any]] = {
    "fishing_ban": {
        "dwell": 50.0,
        "lone_dwell": 80.0,
        "boat_dwell": 60.0,
        "renew": 20.0,
        "gap": 30.0,
        "boat_gap": 40.0,
        "berth": 5.0,
        "own_recent": 20.0,
        "history": 120.0,
        "epoch": 130.0,
    },
    "crowd": {
        "sustain": 30.0,
        "renew": 20.0,
        "hold": 20.0,
        "fresh": 20.0,
        "longest": 100.0,
        "growth_within": 60.0,
        "dense": 0.007,
        "odd_sustain": 30.0,
        "odd_least": 5,
        "sigmas": 3.0,
        "season": 50.0,
        "slot": 10.0,
        "cycles": 2,
    },
    "silence": {
        "floor": 30.0,
        "fixed": 30.0,
        "hole": 50.0,
        "renew": 20.0,
        "longest": 150.0,
        "slowest": 60.0,
        "learn": 60.0,
        "window": 15.0,
        "factor": 3.0,
        "feed_least": 3,
        "battery": 30.0,
    },
    "hazard": {
        "tells": ("level", "rise", "stuck", "shift", "odd"),
        "over_normal": 0.3,
        "over_normal_alarm": 0.6,
        "rise": 30.0,
        "hold": 30.0,
        "renew": 20.0,
        "longest": 100.0,
        "beat": 12.0,
        "rise_window": 60.0,
        "stuck_factor": 2.0,
        "stuck_least": 20.0,
        "shift_window": 36.0,
        "slot": 12.0,
        "season": 300.0,
        "cycles": 2,
    },
    "sos": {
        "repeat": 40.0,
        "renew": 10.0,
        "place_within": 120.0,
        "longest": 60.0,
        "still": 60.0,
        "within": 15.0,
        "duty": 150.0,
        "still_renew": 40.0,
        "beat": 10.0,
    },
    "spoofed_track": {
        "settle": 10.0,
        "frozen": 40.0,
        "same": 60.0,
        "together": 240.0,
        "way": 100.0,
        "figures": 3,
        "least": 10.0,
        "copied": 20.0,
        "after": 60.0,
        "remember": 150.0,
        "renew": 20.0,
        "longest": 120.0,
    },
}
SMALL |= {
    "patrol_gap": {"warn": 60.0, "apart": 30.0, "renew": 20.0, "slot": 20.0, "patience": 40.0, "beat": 10.0},
    "route": {"off": 60.0, "off_for": 30.0, "renew": 20.0, "slot": 20.0, "patience": 10.0, "beat": 10.0},
    "geofence": {
        "kinds": ("restricted", "no_fishing"),
        "dwell": 40.0,
        "renew": 20.0,
        "away": 40.0,
        "longest": 100.0,
        "patience": 10.0,
        "beat": 10.0,
    },
}
KINDS = sorted(DETECTORS)


def small(kind: str) -> Detector[Any]:
    return DETECTORS[kind](**SMALL[kind])


# ── The site ────────────────────────────────────────────────────────────────────────────────────────────────────────
CAMERAS, TERMINALS, SENSOR, LATECOMER = (1, 2, 3), (4, 5, 6, 7, 8), 9, 10
FORGERS = (11, 12)
WALKERS, SPEEDBOAT = (13, 14), 15
BOATS = (16, 17, 18)
VISITS = Visits()


def a_site(devices: int = 19) -> Site:
    box = shapely.box
    zones = [
        Zone("NF-1", "no_fishing", "核心禁渔区", "Core ban zone", "A", box(118.80, 31.40, 118.82, 31.42),
             properties={"hazard": True}),
        Zone("NF-2", "no_fishing", "夜间禁渔区", "Night ban zone", "A", box(118.815, 31.40, 118.84, 31.42), 0,
             Season("03-01", "06-30", "18:18", "06:00")),
        Zone("CW-1", "crowd_watch", "广场", "Square", "A", box(118.85, 31.40, 118.851, 31.401), 50),
        Zone("CW-2", "crowd_watch", "码头", "Wharf", "A", box(118.8505, 31.40, 118.852, 31.401), 40),
    ]  # fmt: skip
    zones += [
        Zone("L", "patrol", "湖岸线", "Shore line", "A", shapely.LineString([(118.86, 31.43), (118.864, 31.43)])),
        Zone("G", "patrol", "第一网格", "Grid 1", "A", box(118.861, 31.429, 118.8625, 31.431)),
        Zone("K-1", "checkpoint", "甲卡点", "Checkpoint A", "A", box(118.8605, 31.4295, 118.861, 31.4305)),
        Zone("K-2", "checkpoint", "乙卡点", "Checkpoint B", "A", box(118.863, 31.4295, 118.8635, 31.4305)),
        Zone("R", "restricted", "水闸", "Sluice", "A", box(118.862, 31.4297, 118.8632, 31.4303),
             properties={"allowed": ["T14"]}),
    ]  # fmt: skip
    plans = [
        Plan("Q-1", "quota", "每段两巡", "Two each", "A", ("G", "L"), 2, 25.0, "18:14", "18:19", who=("T13", "T14")),
        Plan("Q-2", "quota", "常巡", "Often", "A", ("K-1",), 3, opens="18:15", closes="18:24", who=("patrol",)),
        Plan("R-1", "route", "湖岸巡护", "Shore round", "A", ("L",), 1, 0.0, "18:14", "18:20", who=("T13", "T14")),
        Plan("R-2", "route", "打卡巡护", "Checkpoint round", "A", ("K-1", "K-2"), 1, 10.0, "18:16", "18:23",
             who=("patrol",), share=1.0, ordered=True),
        Plan("R-3", "route", "单程巡护", "One way", "A", ("L",), 1, 0.0, "18:15", "18:19", who=("T13",), ordered=True),
        Plan("R-4", "route", "快艇巡航", "Boat round", "A", ("L",), 1, 0.0, "18:17", "18:22", who=("V15",), share=1.0),
    ]  # fmt: skip
    known = [
        Device("C1", "camera", "一号", "One", "A", "A", lon=118.80, lat=31.399, id=1),
        Device("C2", "camera", "二号", "Two", "A", "A", lon=118.85, lat=31.40, interval=20.0, id=2,
               properties={"watches": ["NF-1", "CW-2"]}),
        Device("C3", "camera", "三号", "Three", "A", "A", id=3),
        *(Device(f"T{i}", "terminal", f"巡护{i}", f"Patrol {i}", "A", "A", role="patrol", interval=8.0, id=i)
          for i in TERMINALS),
        Device("S9", "sensor", "水位", "Gauge", "A", "A", interval=4.0, lon=118.8, lat=31.4, id=SENSOR,
               properties={"normal": 7.6, "low_warn": 7.3}),
        Device("T10", "terminal", "新来", "Newcomer", "A", "A", role="police", interval=8.0, id=LATECOMER),
        *(Device(f"T{i}", "terminal", f"可疑{i}", f"Forger {i}", "A", "A", role="patrol", id=i) for i in FORGERS),
        *(Device(f"T{i}", "terminal", f"队员{i}", f"Walker {i}", "A", "A", role="patrol", id=i,
                 properties={"home": ["G", "K-1"]}) for i in WALKERS),
        Device("V15", "vessel", "快艇", "Speedboat", "A", "A", id=SPEEDBOAT),
        *(Device(f"V{i}", "vessel", f"渔船{i}", f"Boat {i}", "A", "A", id=i,
                 properties={"permit": i == 18, "permits": ["NF-1"]}) for i in BOATS),
    ]  # fmt: skip
    registry = Registry([d for d in known if d.id < devices])
    return Site([Area("A", "湖区", "Lake", "street")], zones, [], registry, plans=plans)


SITE = a_site()


# ── Worlds ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class Row(NamedTuple):
    """A reading on its way; ``received`` is when it arrives."""

    received: int
    kind: str  # fixes, sightings, samples
    values: tuple[Any, ...]

    @property
    def at(self) -> int:
        return int(self.values[1])


class World(list[Row]):
    """Rows in order of arrival, shown by what they were made from."""

    name = ""
    length = 0  # seconds

    def __repr__(self) -> str:
        return self.name


def jittered(draw: random.Random, lon: float, lat: float, metres: float) -> tuple[float, float]:
    return lon + draw.gauss(0, metres) / 95_000, lat + draw.gauss(0, metres) / 111_000


def a_party(draw: random.Random, length: int) -> Iterable[tuple[str, tuple[Any, ...]]]:
    """People, rods, a net boat or a walker, seen by some cameras, often where others are too."""
    lon, lat = draw.choice([(118.81, 31.41), (118.8105, 31.41), (118.817, 31.405), (118.83, 31.41), (118.9, 31.41)])
    labels = draw.choice([("person",), ("person", "rod"), ("boat", "net", "person"), ("rod",)])
    pace = draw.choice([0.0, 0.0, 0.0, 1.2, 3.0]) / 95_000
    begin = draw.uniform(-0.3, 0.6) * length
    lasts = draw.choice([draw.uniform(20, length), 1.3 * length])
    cameras, broken, placed = draw.sample(CAMERAS, draw.randint(1, 3)), draw.uniform(15, 200), draw.random() < 0.9
    period, tracked = draw.choice([2.0, 5.0, 12.0]), draw.random() < 0.7
    for camera in cameras:
        t = max(0.0, begin) + draw.uniform(0, period)
        while t < min(begin + lasts, length):
            for label in labels:
                if draw.random() < 0.8:
                    x, y = jittered(draw, lon + pace * t, lat, 6.0) if placed else (NAN, NAN)
                    track = f"{label}{camera}-{int(t // broken)}-{lon}" if tracked else ""
                    sure = draw.choice([0.9, 0.5, NAN])
                    yield "sightings", (camera, t, label, draw.randint(1, 3), sure, track, x, y)
            t += period


def a_crowd(draw: random.Random, length: int) -> Iterable[tuple[str, tuple[Any, ...]]]:
    cameras = draw.sample(CAMERAS, draw.randint(1, 2))
    begin, most = draw.uniform(-0.3, 0.8) * length, draw.randint(10, 80)
    lasts = draw.choice([draw.uniform(10, length), 1.3 * length])
    for camera in cameras:
        t = max(0.0, begin) + draw.uniform(0, 5)
        while t < min(begin + lasts, length):
            x, y = draw.choice([(118.8501, 31.4005), (118.8508, 31.4005), (118.8515, 31.4005), (NAN, NAN)])
            yield "sightings", (camera, t, "person", max(0, int(draw.gauss(most, most / 10))), 0.8, "", x, y)
            t += draw.choice([4.0, 5.0, 20.0])


def a_terminal(draw: random.Random, device: int, length: int) -> Iterable[tuple[str, tuple[Any, ...]]]:
    """A patrol with pauses, places lost and calls for help, often past the parties' spots."""
    quiet = sorted(draw.uniform(0, length * 1.3) for _ in range(draw.choice([0, 2, 4])))
    everywhere = draw.random() < 0.5  # the feed's own pause, the same for all
    calls = [draw.uniform(0, length) for _ in range(draw.choice([0, 0, 2, 6]))]
    stuck = draw.uniform(0, length) if draw.random() < 0.2 else length  # from then on every fix is a call
    own = random.Random(repr((device, quiet, calls)))
    rest, rests = own.uniform(0, length), own.choice([0.0, 100.0, 250.0])  # he stands still
    t = draw.uniform(0, 8)
    while t < length:
        silent = any(a < t < b for a, b in zip(quiet[::2], quiet[1::2], strict=True))
        silent |= everywhere and 0.55 * length < t < 0.72 * length
        if not silent:
            walked = t - min(rests, max(0.0, t - rest))
            x, y = jittered(draw, 118.805 + 0.012 * walked / length, 31.41, 5.0) if draw.random() < 0.95 else (NAN, NAN)
            flags = Flag.SOS if t > stuck or any(abs(call - t) < 4 for call in calls) else 0
            flags |= Flag.MAN_DOWN if flags and draw.random() < 0.2 else 0
            if flags and draw.random() < 0.5:
                x, y, flags = NAN, NAN, flags | Flag.NO_POSITION
            charge = draw.choice([80.0, NAN])
            yield "fixes", (device, t, x, y, 1.2, NAN, draw.choice([5.0, NAN]), charge, int(flags))
        t += draw.uniform(6, 10)


def forgers(draw: random.Random, length: int) -> Iterable[tuple[str, tuple[Any, ...]]]:
    """One terminal that jumps, stands still or repeats itself at times, and another that is often carried along."""
    x, y, course = 118.95, 31.45, draw.uniform(0, 6)
    told: list[tuple[float, float, float]] = []
    tricks = [(draw.uniform(0, length), draw.choice(["jump", "frozen", "still", "replay", "replay"])) for _ in range(4)]
    lasts, lag, along = draw.uniform(60, 250), draw.uniform(80, 180), draw.random() < 0.7
    t = draw.uniform(0, 8)
    while t < length:
        step = draw.uniform(6, 10)
        course += draw.gauss(0, 0.3)
        x, y = x + 1.3 * step * math.sin(course) / 95_000, y + 1.3 * step * math.cos(course) / 111_000
        here, speed, trick = jittered(draw, x, y, 2.0), 1.3, ""
        for begin, name in tricks:
            trick = name if begin < t < begin + lasts else trick
        if trick == "jump":
            here = here[0] + 0.05, here[1]
        elif trick in ("frozen", "still") and told:
            here, speed = told[-1][1:], 1.3 if trick == "frozen" else 0.0
        elif trick == "replay" and (before := [p for p in told if t - lag - 9 < p[0] < t - lag + 1]):
            here = before[-1][1:]
        told.append((t, *here))
        yield "fixes", (FORGERS[0], t, *here, speed, NAN, 5.0, 80.0, 0)
        aside = jittered(draw, x, y, 4.0) if along else jittered(draw, x + 0.02, y, 4.0)
        yield "fixes", (FORGERS[1], t + 1.0, *aside, draw.choice([1.3, NAN]), NAN, draw.choice([5.0, NAN]), 80.0, 0)
        t += step


def a_patrol(draw: random.Random, length: int) -> Iterable[tuple[str, tuple[Any, ...]]]:
    """Two who walk a line to and fro, come late, stray or are out of reach, and a boat that is often too fast."""
    for device in (*WALKERS, SPEEDBOAT):
        quiet = sorted(draw.uniform(0, length * 1.5) for _ in range(draw.choice([0, 2])))
        stray = sorted(draw.uniform(0, length * 1.5) for _ in range(draw.choice([0, 2, 4])))
        begin, pace = draw.choice([0.0, draw.uniform(0, length)]), draw.choice([1.3, 2.5, 4.0])
        pace = draw.choice([3.0, 12.0, 20.0]) if device == SPEEDBOAT else pace
        t = begin + draw.uniform(0, 8)
        while t < length:
            if not any(a < t < b for a, b in zip(quiet[::2], quiet[1::2], strict=True)):
                along = pace * (t - begin) / 95_000 % 0.01
                x = 118.8595 + (along if along < 0.005 else 0.01 - along)
                y = 31.43 + (0.001 if any(a < t < b for a, b in zip(stray[::2], stray[1::2], strict=True)) else 0.0)
                yield "fixes", (device, t, *jittered(draw, x, y, 4.0), pace, NAN, 5.0, 80.0, 0)
            t += draw.uniform(5, 9)


def fishing_boats(draw: random.Random, length: int) -> Iterable[tuple[str, tuple[Any, ...]]]:
    """Boats that come at speed, work along a line and go, now and then silent, and sometimes seen by a camera."""
    for device in BOATS:
        x, y, course = draw.choice([118.81, 118.817, 118.83]), 31.41, draw.uniform(0, 6)
        works = sorted(draw.uniform(-0.3, 1.2) * length for _ in range(4))
        quiet = sorted(draw.uniform(0, length * 1.3) for _ in range(draw.choice([0, 2])))
        seen, period = draw.random() < 0.5, draw.choice([4.0, 9.0, 25.0])
        t = draw.uniform(0, 8)
        while t < length:
            slow = any(a < t < b for a, b in zip(works[::2], works[1::2], strict=True))
            step, pace = period * draw.uniform(0.9, 1.1), 0.5 if slow else 3.0
            course += draw.gauss(0, 0.6 if slow else 0.1)
            x, y = x + pace * step * math.sin(course) / 95_000, y + pace * step * math.cos(course) / 111_000
            if not any(a < t < b for a, b in zip(quiet[::2], quiet[1::2], strict=True)):
                yield "fixes", (device, t, *jittered(draw, x, y, 3.0), NAN, NAN, 5.0, 80.0, 0)
            if seen and slow:
                yield "sightings", (3, t + 1.0 + device / 100, "boat", 1, 0.8, "", *jittered(draw, x, y, 8.0))
            t += step


def a_gauge(draw: random.Random, length: int) -> Iterable[tuple[str, tuple[Any, ...]]]:
    """A water level that rocks, is lifted at once or by and by, falls, and sometimes stays to the last digit."""
    lifts = [(draw.uniform(0, length), draw.choice([1.0, 60.0]), draw.choice([0.4, 0.7, -0.4])) for _ in range(4)]
    stuck = draw.uniform(0.4, 1.2) * length
    told = value = 7.6
    for t in np.arange(0.5, length, 4.0):
        lift = sum(size * min(1.0, (t - at) / takes) for at, takes, size in lifts if at < t < at + 120)
        value = round(7.6 + lift + 0.01 * math.sin(t / 40) + draw.gauss(0, 0.004), 3)
        told = told if stuck < t < stuck + 150 else value
        yield "samples", (SENSOR, t, "water_level", told if draw.random() < 0.99 else draw.choice([99.0, NAN]))


def a_world(seed: int, parties: int, crowds: int, length: int) -> World:
    """The rows of one world in order of arrival. One device's rows arrive in order, at most PATIENCE late."""
    draw = random.Random(seed)
    told: list[tuple[str, tuple[Any, ...]]] = []
    for _ in range(parties):
        told += a_party(draw, length)
    for _ in range(crowds):
        told += a_crowd(draw, length)
    for device in (*TERMINALS, LATECOMER):
        told += a_terminal(draw, device, length)
    told += a_gauge(draw, length)  # so the feed never rests
    told += [("samples", (draw.choice(TERMINALS), t, "online", 0.0)) for t in np.arange(3.0, length, 50.0)]
    told += forgers(random.Random(seed + 1), length)  # dice of their own
    told += a_patrol(random.Random(seed + 2), length)
    told += fishing_boats(random.Random(seed + 3), length)
    found, arrived, keys = [], dict[int, int](), set[tuple[Any, ...]]()
    for kind, (device, t, *rest) in sorted(told, key=lambda r: (r[1][1], repr(r))):
        at = BEGIN + round(t * 1000) * 1000
        if kind == "sightings":
            key = (device, at, rest[0], rest[3])
            if key in keys:
                continue  # two boats in one millisecond, of which the store, whose key this is, keeps one
            keys.add(key)
        received = max(arrived.get(device, 0), at + int(draw.uniform(0, PATIENCE * 0.98) * SECOND))
        received = min(received, at + int(PATIENCE * 0.98 * SECOND))
        arrived[device] = received
        tail = ("",) if kind == "sightings" else ()
        found.append(Row(received, kind, (device, at, received, *rest, *tail)))
    world = World(sorted(found, key=lambda r: r.received))
    world.name, world.length = f"a_world({seed}, {parties}, {crowds}, {length})", length
    return world


worlds = st.builds(
    a_world, st.integers(0, 2**32 - 1), st.integers(0, 3), st.integers(0, 2), st.sampled_from([120, 400, 900])
)
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
few = settings(max_examples=25, **COMMON)  # type: ignore[arg-type]


# ── Runs ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def batch_of(some: Sequence[Row]) -> Batch:
    parts = {kind: [r.values for r in some if r.kind == kind] for kind in ("fixes", "sightings", "samples")}
    return Batch(rows(FIX, parts["fixes"]), rows(SIGHTING, parts["sightings"]), rows(SAMPLE, parts["samples"]))


class Run:
    """A detector with its state, and what it has found so far."""

    def __init__(self, detector: Detector[Any], site: Site = SITE) -> None:
        self.detector, self.site = detector, site
        self.state = detector.start(site)
        self.stays = VISITS.start(site)
        self.now = 0
        self.found: list[Finding] = []

    def step(self, some: Sequence[Row], now: int | None = None) -> list[Finding]:
        self.now = max([self.now, now or 0, *(r.received for r in some)])
        batch = batch_of(some)
        visits = visit_rows(VISITS.step(self.stays, batch.fixes, self.site))
        batch = Batch(batch.fixes, batch.sightings, batch.samples, visits)
        found = list(self.detector.step(self.state, batch, self.now, self.site))
        self.found += found
        return found

    def refill(self, before: Sequence[Row], stop: int) -> None:
        """What the watch does at its start: first the stored visits, then the stored readings in order of time."""
        begin = stop - int(self.detector.memory * SECOND)
        since = min(begin, stop - int(VISITS.memory * SECOND))
        fixes = batch_of([r for r in before if r.kind == "fixes"]).fixes
        told = VISITS.step(VISITS.start(self.site), fixes, self.site)
        table = list({(v.device, v.zone, v.entered): v for v in told}.values())
        earlier = fixes[fixes["at"] < since]
        last = earlier[[int(np.flatnonzero(earlier["device"] == d)[-1]) for d in np.unique(earlier["device"])]]
        self.stays = VISITS.start(self.site, table, since, last)
        VISITS.step(self.stays, fixes[(fixes["at"] >= since) & (fixes["at"] < begin)], self.site)
        if "visits" in reads(self.detector):
            known = Batch(visits=visit_rows([v for v in table if v.left is None or v.left > begin]))
            self.found += self.detector.step(self.state, known, begin, self.site)
        stored = [r for r in before if r.kind in reads(self.detector) and r.at >= begin]
        # In the order in which it follows them, and in slices of another length than the live batches.
        stored.sort(key=lambda r: r.received if self.detector.by_reception else r.at)
        for i in range(0, len(stored), 400):
            self.step(stored[i : i + 400])

    def tick(self, now: int) -> None:
        self.step([], now)

    def close(self) -> list[str]:
        """Everything waiting is told; the findings in one comparable order."""
        self.tick(self.now + 100 * SECOND)
        return told(self.found)


def told(found: Iterable[Finding]) -> list[str]:
    return sorted(json.dumps(dataclasses.asdict(f), sort_keys=True, allow_nan=True) for f in found)


def cut(world: Sequence[Row], draw: random.Random, longest: int) -> list[list[Row]]:
    """Random batches of up to ``longest`` rows, each shuffled."""
    batches, i = [], 0
    while i < len(world):
        size = draw.randint(1, longest)
        batches.append(draw.sample(list(world[i : i + size]), len(world[i : i + size])))
        i += size
    return batches


def run_cut(kind: str, world: Sequence[Row], seed: int, longest: int, ticks: Sequence[int] = ()) -> list[str]:
    """The findings of one cut. A tick is a moment at which the feed was listened to: the same in every cut."""
    run, draw = Run(small(kind)), random.Random(seed)
    edges = [0, *sorted(ticks), 1 << 62]
    for begin, end in pairwise(edges):
        for part in cut([r for r in world if begin < r.received <= end], draw, longest):
            run.step(part)
        if end < 1 << 62:
            run.tick(end)
    return run.close()


# ── The law ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("kind", KINDS)
@few
@given(world=worlds, seed=st.integers(0, 999), ticks=st.lists(st.integers(-5, 800), max_size=6))
@example(world=a_world(1, 3, 2, 900), seed=1, ticks=[100, 350])
def test_any_cut_into_batches_gives_the_same_findings(kind: str, world: World, seed: int, ticks: list[int]) -> None:
    moments = [BEGIN + t * SECOND for t in ticks]
    coarse = run_cut(kind, world, seed, len(world), moments)
    assert run_cut(kind, world, seed, 3, moments) == coarse
    assert run_cut(kind, world, seed + 1, 200, moments) == coarse
    event(f"{kind}: {'findings' if coarse else 'nothing found'}")


@pytest.mark.parametrize("kind", KINDS)
def test_the_worlds_hold_findings(kind: str) -> None:
    """The laws say little of worlds in which nothing is found."""
    counts = [len(run_cut(kind, a_world(seed, 3, 2, 900), seed, 100)) for seed in range(8)]
    assert np.mean(np.array(counts) > 1) > 0.7, counts


@pytest.mark.parametrize("kind", KINDS)
@few
@given(world=worlds, share=st.floats(0.3, 0.9), seed=st.integers(0, 999))
@example(world=a_world(2, 3, 2, 900), share=0.8, seed=1)  # with episodes that go on for longer than the memory
@example(world=a_world(6, 3, 2, 900), share=0.8, seed=1)
def test_a_state_refilled_from_the_store_goes_on_like_one_that_never_stopped(
    kind: str, world: World, share: float, seed: int
) -> None:
    detector, draw = small(kind), random.Random(seed)
    never = Run(detector)
    for part in cut(world, draw, 50):
        never.step(part)
    stop = BEGIN + int(share * world.length * SECOND)
    before, after = [r for r in world if r.received <= stop], [r for r in world if r.received > stop]
    assume(before)
    fresh = Run(detector)
    fresh.refill(before, stop)
    for part in cut(after, draw, 50):
        fresh.step(part)
    never.close(), fresh.close()
    later = told(f for f in never.found if f.until > stop)
    assert told(f for f in fresh.found if f.until > stop) == later
    event(f"{kind}: {'findings' if later else 'nothing found'} after the restart")


@pytest.mark.parametrize("kind", KINDS)
@few
@given(world=worlds, seed=st.integers(0, 999))
def test_repeated_rows_change_nothing(kind: str, world: World, seed: int) -> None:
    """Within the batch, and redelivered later within the detector's memory."""
    draw, run = random.Random(seed), Run(small(kind))
    for i, part in enumerate(parts := cut(world, draw, 80)):
        since = parts[i][0].received - int(run.detector.memory * SECOND)
        earlier = [r for p in parts[:i] for r in p if r.received > since]
        again = [draw.choice(part) for _ in range(3)] + [draw.choice(earlier) for _ in range(8) if earlier]
        run.step(draw.sample([*part, *again], len(part) + len(again)))
    assert run.close() == run_cut(kind, world, seed, len(world))


@pytest.mark.parametrize("kind", KINDS)
@few
@given(world=worlds, seed=st.integers(0, 999))
def test_batches_by_device_are_like_batches_by_time(kind: str, world: World, seed: int) -> None:
    by_time, by_device = Run(small(kind)), Run(small(kind))
    for i in range(0, len(world), 100):
        part = world[i : i + 100]
        by_time.step(part)
        by_device.step(sorted(part, key=lambda r: (r.values[0], -r.at)))
    assert by_device.close() == by_time.close()


@pytest.mark.parametrize("kind", KINDS)
@few
@given(world=worlds)
def test_the_same_again_gives_the_same_again(kind: str, world: World) -> None:
    assert run_cut(kind, world, 7, 60) == run_cut(kind, world, 7, 60)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(world=worlds, seed=st.integers(0, 999))
def test_a_site_that_grows_is_like_one_that_was_whole(kind: str, world: World, seed: int) -> None:
    """The last devices are registered while the detector runs; nothing of theirs is heard before."""
    register = BEGIN + 60 * SECOND
    world = [r for r in world if r.values[0] < TERMINALS[2] or r.received > register]
    grown, whole = Run(small(kind), a_site(devices=TERMINALS[2])), Run(small(kind))
    for part in cut([r for r in world if r.received <= register], random.Random(seed), 30):
        grown.step(part)
        whole.step(part)
    grown.site = SITE
    for part in cut([r for r in world if r.received > register], random.Random(seed), 30):
        grown.step(part)
        whole.step(part)
    assert grown.close() == whole.close()


@pytest.mark.parametrize("kind", KINDS)
@few
@given(world=worlds, seed=st.integers(0, 999))
@example(world=a_world(612, 0, 0, 900), seed=0)  # with two boats in one millisecond
def test_empty_batches_change_nothing(kind: str, world: World, seed: int) -> None:
    run = Run(small(kind))
    assert run.step([], BEGIN) == []
    run = Run(small(kind))
    for part in cut(world, random.Random(seed), 100):
        run.step(part)
        run.step([], run.now)
    assert run.close() == run_cut(kind, world, seed, len(world))


@pytest.mark.parametrize("kind", KINDS)
@few
@given(world=worlds, share=st.floats(0, 0.999))
def test_one_row_and_unknown_devices(kind: str, world: World, share: float) -> None:
    """Any single row is taken, also of a device that the site does not know."""
    row = world[int(share * len(world))]
    for device in (row.values[0], 500):
        run = Run(small(kind))
        run.step([Row(row.received, row.kind, (device, *row.values[1:]))])
        assert len(run.close()) == (kind == "sos" and row.kind == "fixes" and bool(row.values[9] & Flag.SOS))


@pytest.mark.parametrize("kind", KINDS)
@few
@given(world=worlds, seed=st.integers(0, 999))
def test_unknown_numbers_are_borne(kind: str, world: World, seed: int) -> None:
    """NaN in any column of numbers of a quarter of the rows: nothing breaks, and the law still holds."""
    draw = random.Random(seed)
    holed = []
    for row in world:
        values = list(row.values)
        if draw.random() < 0.25:
            for i, value in enumerate(values):
                if isinstance(value, float) and draw.random() < 0.5:
                    values[i] = NAN
        holed.append(Row(row.received, row.kind, tuple(values)))
    assert run_cut(kind, holed, seed, 40) == run_cut(kind, holed, seed, len(holed))


# ── What findings are ───────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("kind", KINDS)
@few
@given(world=worlds)
def test_findings_are_readable_and_can_be_stored(kind: str, world: World) -> None:
    run = Run(small(kind))
    run.step(world)
    run.close()
    for f in run.found:
        assert f.kind == kind
        assert f.subject
        assert "|" not in f.subject, "it separates the parts of a fingerprint"
        assert f.zone == "" or f.zone in SITE.zones
        assert BEGIN <= f.since <= f.until <= run.now
        assert 0 < f.score <= 1
        assert all(type(v) is int for v in (f.since, f.until))
        assert all(type(v) is float for v in (f.lon, f.lat, f.score))
        for text in (f.sentence.zh, f.sentence.en):
            assert len(text) > 15
            assert "nan" not in text.lower()
        assert any("\u4e00" <= c <= "\u9fff" for c in f.sentence.zh)
        assert f.sentence.en.isascii() or "°" in f.sentence.en
        proof = json.loads(json.dumps(f.evidence, allow_nan=False))
        assert proof == f.evidence, "plain JSON values only"
        assert set(proof) == {"geojson", "numbers"}
        assert proof["geojson"]["type"] == "FeatureCollection"
        assert 1 <= len(proof["geojson"]["features"]) <= 100
        for feature in proof["geojson"]["features"]:
            assert feature["type"] == "Feature"
            assert isinstance(feature["properties"], dict)
            assert feature["geometry"] is None or shapely.from_geojson(json.dumps(feature["geometry"])).is_valid
        assert all(isinstance(v, int | float | bool | None) for v in proof["numbers"].values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_is_a_frozen_dataclass_of_thresholds(kind: str) -> None:
    made = DETECTORS[kind]
    detector: Any = made()
    assert made.kind == detector.kind == kind
    assert isinstance(made.by_reception, bool)
    assert detector.memory > 0
    assert 0 < refold_memory(detector) <= detector.memory
    assert reads(detector)
    assert set(reads(detector)) <= set(KINDS_OF_READINGS)
    assert made.__doc__
    assert all(word in made.__doc__ for word in ("Definition.", "How it fails.", "Source:", ">>> "))
    fields = dataclasses.fields(detector)
    assert fields
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(detector, fields[0].name, 1.0)
    assert detector == made()
    assert hash(detector) == hash(made())


@pytest.mark.parametrize(("kind", "name"), [(k, f.name) for k in KINDS for f in dataclasses.fields(DETECTORS[k]())])
def test_a_wrong_threshold_is_named_with_its_value(kind: str, name: str) -> None:
    for wrong in (-1.0, math.nan, math.inf, "soon", None, True, [""], [3]):
        with pytest.raises(WrongThreshold, match=rf"^{kind}\.{name} = .*: expected ") as caught:
            DETECTORS[kind](**{name: wrong})
        assert repr(wrong) in str(caught.value)
