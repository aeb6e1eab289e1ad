"""Crowds: people counted by cameras in a zone, against what it holds, how fast it fills, and what is usual there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np

from detectors.base import Batch, Finding
from detectors.crowd_words import Told, ended, sentence
from detectors.eyes import Eyes, without_repeats
from detectors.gathering import AGAINST, Count, Gathering, Measured, Measures, density_step
from detectors.geo import square_metres
from detectors.overlap import Overlap
from detectors.thresholds import WrongThreshold, check_above, check_from, check_order, words
from detectors.usual import Cycle, Usual
from detectors.waiting import EARLIEST, EventClock, Waiting
from detectors.wording import device_at, device_names, evidence, point, stamp
from devices.readings import SECOND, SIGHTING, Rows, rows
from devices.site import Site, Zone

DANGER: Final = 4.0  # persons/m²: above that people can no longer move freely and a crowd can surge (Fruin; Still)
SURE: Final[Mapping[str, float]] = {"density": 0.9, "capacity": 0.5, "growth": 0.5, "usual": 0.4}  # the least score
NOT_MEASURED: Final = Measured(0.0, 1.0, {})


@dataclass(slots=True)
class State:
    """What the fold knows. ``judged``: all zones are judged up to this beat (UTC µs)."""

    eyes: Eyes
    overlap: Overlap
    clock: EventClock
    waiting: Waiting
    areas: dict[str, float]  # zone code → m²
    gatherings: dict[str, Gathering] = field(default_factory=dict)  # by zone code
    judged: int = EARLIEST


@dataclass(frozen=True)
class Crowd:
    """More people in a crowd_watch zone than it holds, than is safe, than is usual there, or many at once.

    Definition. The people in a zone are what the cameras that see it count together, each one's newest count as long as
    it is not older than ``fresh`` s, without counting twice whom two of them see (see ``detectors.overlap``); a
    camera's count is the sum of its rows of one moment (``labels``). Every ``beat`` s of event time a zone is judged,
    by the median of its last three beats and by what ``against`` names. *capacity*: its people reach ``ratio`` times
    its capacity; *density*: ``dense`` persons per m² of the zone; *growth*: they have grown by ``growth`` times its
    capacity within ``growth_within`` s; *usual*: they are ``odd_least`` or more and ``sigmas`` robust standard
    deviations above what is usual there at this hour of the week (``detectors.usual``, learned from ``cycles`` weeks).
    It goes on until they fall below ``release`` times that (growth and usual: half), or have stayed below it for
    ``hold`` s. It is found when it has gone on for ``sustain`` s (usual: ``odd_sustain``), told again in every
    ``renew`` s of the clock, and its end is told.

    How it fails. Two cameras that see the same people count them twice, unless their views are known or they are said
    to count the whole. A camera that names every person in a message of its own, at moments of their own, is counted as
    one person: let it send counts. A camera that falls silent takes its people with it after ``fresh`` s. The density
    is the mean over the zone: a crush in a corner is not seen. The beginning is known for ``longest`` s at most ("at
    least"). Counts that come more than ``patience`` s later than those of other cameras may be judged without them, and
    late ones without what is usual.

    Source: capacity is the site's own figure; 4 persons/m² is where a crowd can no longer move freely (Fruin 1971,
    1993; Still 2014; the Green Guide allows 4.0 for moving and 4.7 for standing people).

    >>> import shapely
    >>> from devices.registry import Device, Registry
    >>> zone = Zone("M", "crowd_watch", "广场", "Square", "", shapely.box(118.0, 31.0, 118.001, 31.001), capacity=100)
    >>> site = Site([], [zone], [], Registry([Device("C1", "camera", "一号", "One", "", "", id=1)]))
    >>> seen = [(1, t * SECOND, t * SECOND, "person", 120, 0.9, "", 118.0005, 31.0005, "") for t in range(0, 80, 5)]
    >>> detector = Crowd()
    >>> found = detector.step(detector.start(site), Batch(sightings=rows(SIGHTING, seen)), 100 * SECOND, site)
    >>> [(f.subject, (f.until - f.since) // SECOND, round(f.score, 2)) for f in found]
    [('M', 60, 0.6)]
    >>> print(found[0].sentence.en)
    Square: about 120 people (limit 100, capacity 100) for 1 min since 1 Jan 08:00 (limit 1 min), counted by One.
    """

    kind: ClassVar[str] = "crowd"
    by_reception: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ("sightings",)

    against: tuple[str, ...] = ("capacity", "density", "growth", "usual")
    ratio: float = 1.0  # of the capacity
    release: float = 0.9  # of the capacity, or of dense
    dense: float = DANGER  # persons/m²
    growth: float = 0.6  # of the capacity
    growth_within: float = 300.0  # s
    sigmas: float = 6.0
    odd_least: int = 20  # people
    odd_sustain: float = 600.0  # s
    cycles: int = 3
    season: float = 604_800.0  # s
    slot: float = 3600.0  # s
    sustain: float = 60.0  # s
    hold: float = 30.0  # s
    renew: float = 60.0  # s
    fresh: float = 30.0  # s
    labels: tuple[str, ...] = ("person",)
    longest: float = 1800.0  # s
    beat: float = 10.0  # s
    patience: float = 5.0  # s

    def __post_init__(self) -> None:
        words(self, "against")
        if strange := [word for word in self.against if word not in AGAINST]:
            known = ", ".join(AGAINST)
            raise WrongThreshold(self, "against", strange[0], f"some of {known}", f"这些中的若干个：{known}")
        check_above(self, 0, "ratio", "release", "renew", "fresh", "longest", "beat", "dense", "growth")
        check_above(self, 0, "growth_within", "sigmas", "season", "slot")
        check_from(self, 0, "sustain", "hold", "patience", "odd_least", "odd_sustain")
        check_from(self, 2, "cycles")
        check_order(self, "release", "ratio")
        check_order(self, "beat", "fresh")
        check_order(self, "sustain", "longest")
        check_order(self, "odd_sustain", "longest")
        check_order(self, "slot", "season")
        words(self, "labels")

    @property
    def memory(self) -> float:
        """Seconds: what is usual (weeks), and before it the longest beginning that is told with what it rests on."""
        return self.refold_memory + (self._cycle.memory if "usual" in self.against else 0.0)

    @property
    def refold_memory(self) -> float:
        """Seconds: the longest beginning that is told, one dip, the growth before it, one count, and what waits."""
        window = self.growth_within + max(self.sustain, self.beat)
        return self.longest + self.hold + window + self.fresh + self.patience + 6 * self.beat

    @property
    def _measures(self) -> Measures:
        window = int(max(self.sustain, self.beat) * SECOND)
        return Measures(self.ratio, self.release, self.dense, self.growth, int(self.growth_within * SECOND), window,
                        int(self.beat * SECOND), self.sigmas, self.odd_least)  # fmt: skip

    @property
    def _cycle(self) -> Cycle:
        return Cycle(self.slot, self.season, int(self.cycles), rests=True)

    def start(self, site: Site) -> State:
        """Nothing counted yet."""
        eyes = Eyes(site, "crowd_watch")
        areas = {zone.code: square_metres(zone.geometry) for zone in eyes.zones}
        return State(eyes, Overlap(site), EventClock(self.patience, self.beat), Waiting(rows(SIGHTING)), areas)

    def step(self, state: State, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`."""
        if state.eyes.site is not site:
            fresh = self.start(site)
            state.eyes, state.areas, state.overlap = fresh.eyes, fresh.areas, fresh.overlap
        counted = batch.sightings[np.isin(batch.sightings["label"], self.labels)]
        state.waiting.add(counted[state.eyes.near_any(counted)])
        frontier = state.clock.advance(batch, now)
        counts = self._counts(state, without_repeats(state.waiting.take(frontier)))
        found: list[Finding] = []
        beat, taken = state.clock.beat, 0
        while state.judged < frontier:
            upcoming = counts[taken][2].at if taken < len(counts) else frontier
            if not all(gathering.quiet for gathering in state.gatherings.values()):
                state.judged += beat
            else:  # nothing to judge before the next count
                state.judged = max(state.judged, min(frontier, upcoming // beat * beat + beat))
            while taken < len(counts) and counts[taken][2].at < state.judged:
                self._take(state, *counts[taken])
                taken += 1
            found += self._judge(state, site)
        for late in counts[taken:]:  # they count from now on
            self._take(state, *late)
        return found

    def _take(self, state: State, zone: str, camera: int, count: Count) -> None:
        gathering = state.gatherings.get(zone)
        if gathering is None:
            gathering = state.gatherings[zone] = Gathering(Usual(self._cycle))
        gathering.counts[camera] = count

    def _counts(self, state: State, seen: Rows) -> list[tuple[str, int, Count]]:
        """(zone, camera, count) in order of time; rows of one camera, zone and moment are one count."""
        row, zone = state.eyes.pairs(seen)
        if not len(row):
            return []
        lon, lat = (place[row] for place in state.eyes.place(seen))
        at, camera, people = seen["at"][row], seen["device"][row], seen["count"][row]
        order = np.lexsort((zone, camera, at))
        at, camera, people = at[order], camera[order], people[order]
        zone, lon, lat = zone[order], lon[order], lat[order]
        changes = (at[1:] != at[:-1]) | (camera[1:] != camera[:-1]) | (zone[1:] != zone[:-1])
        begin = np.append(0, np.flatnonzero(changes) + 1)
        columns = (zone[begin], camera[begin], at[begin], np.add.reduceat(people, begin), lon[begin], lat[begin])
        codes = [z.code for z in state.eyes.zones]
        return [
            (codes[z], c, Count(a, n, x, y)) for z, c, a, n, x, y in zip(*(k.tolist() for k in columns), strict=True)
        ]

    # ── Judging ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _judge(self, state: State, site: Site) -> list[Finding]:
        """Every zone with people in it, at the beat ``state.judged``."""
        found, at, limits = [], state.judged, self._measures
        for code in sorted(state.gatherings):
            zone, gathering = site.zones.get(code), state.gatherings[code]
            counts = gathering.fresh(at, int(self.fresh * SECOND))
            if zone is None or not counts:  # nobody knows: not even an end is told
                gathering.forget()
                continue
            counted = state.overlap.people(zone, {camera: count.people for camera, count in counts.items()})
            people = gathering.people(at, counted, limits)
            measured = gathering.measure(zone, people, state.areas.get(code, 0.0), at, limits)
            before = [] if gathering.calm else self._ripe(gathering, at - state.clock.beat)
            for against in self.against:
                load, release, _ = measured.get(against, NOT_MEASURED)
                gathering.excess[against].follow(load, release, at, int(self.hold * SECOND))
            ripe = [] if gathering.calm else self._ripe(gathering, at)
            if ripe and self._due(ripe[0], before, state):
                found.append(self._finding(zone, gathering, people, ripe[0], measured, state, site))
            elif before and not ripe:
                found.append(self._finding(zone, gathering, people, before[0], {}, state, site, ends=True))
        return found

    def _ripe(self, gathering: Gathering, at: int) -> list[tuple[str, int]]:
        """By what it has been too full for long enough, and since when; what matters most first."""
        found = []
        for against in AGAINST:
            rise = gathering.excess[against].rise
            needed = self.odd_sustain if against == "usual" else self.sustain
            if rise is not None and at - rise >= int(needed * SECOND):
                found.append((against, rise))
        return found

    def _due(self, first: tuple[str, int], before: list[tuple[str, int]], state: State) -> bool:
        """Whether this is the first beat of a finding or the first of a new ``renew``: both known without memory."""
        at, beat, renew = state.judged, state.clock.beat, int(self.renew * SECOND)
        return not before or before[0][0] != first[0] or at // renew != (at - beat) // renew

    def _finding(
        self, zone: Zone, gathering: Gathering, people: int, first: tuple[str, int], measured: Mapping[str, Measured],
        state: State, site: Site, *, ends: bool = False,
    ) -> Finding:  # fmt: skip
        against, rise = first
        at, area = state.judged, state.areas.get(zone.code, 0.0)
        since = max(rise, at - int(self.longest * SECOND))
        density, load = people / area if area > 0 else 0.0, people / zone.capacity if zone.capacity else 0.0
        limit = self.odd_sustain if against == "usual" else self.sustain
        cameras = sorted(gathering.counts)
        numbers = {
            "people": people, "capacity": zone.capacity, "load": load, "limit_load": self.ratio,
            "density_per_m2": density, "density_step": density_step(density), "lasted_s": (at - since) / SECOND,
            "limit_s": limit, "cameras": len(cameras),
        }  # fmt: skip
        numbers |= measured.get(against, NOT_MEASURED).numbers
        told = Told(against, since, at, since > rise, limit, device_names(site, cameras), numbers)
        middle, score = zone.geometry.representative_point(), SURE[against]
        if zone.capacity and load >= self.ratio:
            score = min(1.0, max(score, 0.5 + 0.5 * (load / self.ratio - 1)))
        score = max(score, 0.9 if density >= DANGER else 0.0)
        points = [
            point(c.lon, c.lat, at=stamp(c.at), people=c.people,
                  camera=device.code if (device := device_at(site, camera)) else None)
            for camera, c in sorted(gathering.counts.items())
        ]  # fmt: skip
        said = ended(zone, told) if ends else sentence(zone, told)
        return Finding(self.kind, zone.code, zone.code, since, at, middle.x, middle.y, score, said,
                       evidence(points, **numbers), ends=ends)  # fmt: skip
