"""Crowds: people counted by cameras in a zone, against what it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np

from detectors.base import Batch, Finding, Sentence
from detectors.eyes import Eyes, without_repeats
from detectors.geo import square_metres
from detectors.thresholds import check_above, check_from, check_order, words
from detectors.waiting import EARLIEST, EventClock, Waiting
from detectors.wording import clock, device_at, device_names, evidence, point, span, stamp
from devices.readings import SECOND, SIGHTING, Rows, rows
from devices.site import Site, Zone

DANGER: Final = 4.0  # persons/m²: above that people can no longer move freely and a crowd can surge (Fruin; Still)


@dataclass(frozen=True, slots=True)
class Count:
    """One camera's newest count of one zone."""

    at: int
    people: int
    lon: float
    lat: float


@dataclass(slots=True)
class Gathering:
    """One zone: its cameras' newest counts, and since when it has been too full."""

    counts: dict[int, Count] = field(default_factory=dict)  # by camera
    rise: int | None = None  # UTC µs: at the limit or above since then, short dips aside
    over: int = 0  # when it was last at the limit or above

    def fresh(self, at: int, limit: int) -> dict[int, Count]:
        """The counts not older than ``limit`` µs at a moment; the others are forgotten."""
        self.counts = {camera: count for camera, count in self.counts.items() if at - count.at <= limit}
        return self.counts


@dataclass(slots=True)
class State:
    """What the fold knows. ``judged``: all zones are judged up to this beat (UTC µs)."""

    eyes: Eyes
    clock: EventClock
    waiting: Waiting
    areas: dict[str, float]  # zone code → m²
    gatherings: dict[str, Gathering] = field(default_factory=dict)  # by zone code
    judged: int = EARLIEST


@dataclass(frozen=True)
class Crowd:
    """More people in a crowd_watch zone than it holds, for some time.

    Definition. The people in a zone are the sum, over the cameras that see it, of each one's newest count, as long as
    that is not older than ``fresh`` s; a camera's count is the sum of its rows of one moment (``labels``). Every
    ``beat`` s of event time a zone is judged. It is too full from the beat in which its people reach ``ratio`` times
    its capacity, and no longer when they fall below ``release`` times its capacity, or have stayed below ``ratio`` for
    ``hold`` s. It is found when it has been too full for ``sustain`` s, and told again in every ``renew`` s of the
    clock. A zone without a capacity is not judged.

    How it fails. Two cameras that see the same people count them twice. A camera that names every person in a message
    of its own, at moments of their own, is counted as one person: let it send counts. A camera that falls silent takes
    its people with it after ``fresh`` s. The beginning is known for ``longest`` s at most ("at least"). Counts that
    come more than ``patience`` s later than those of other cameras may be judged without them.

    Source: capacity is the site's own figure; the danger mark of 4 persons/m² is from the literature on crowd safety
    (Fruin 1993; Still 2014), and raises the score.

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

    ratio: float = 1.0  # of the capacity
    release: float = 0.9  # of the capacity
    sustain: float = 60.0  # s
    hold: float = 30.0  # s
    renew: float = 60.0  # s
    fresh: float = 30.0  # s
    labels: tuple[str, ...] = ("person",)
    longest: float = 1800.0  # s
    beat: float = 10.0  # s
    patience: float = 5.0  # s

    def __post_init__(self) -> None:
        check_above(self, 0, "ratio", "release", "renew", "fresh", "longest", "beat")
        check_from(self, 0, "sustain", "hold", "patience")
        check_order(self, "release", "ratio")
        check_order(self, "beat", "fresh")
        check_order(self, "sustain", "longest")
        words(self, "labels")

    @property
    def memory(self) -> float:
        """Seconds: the longest beginning that is told, one dip and one count before it, and what waits."""
        return self.longest + self.hold + self.fresh + self.patience + 4 * self.beat

    def start(self, site: Site) -> State:
        """Nothing counted yet."""
        eyes = Eyes(site, "crowd_watch")
        areas = {zone.code: square_metres(zone.geometry) for zone in eyes.zones}
        return State(eyes, EventClock(self.patience, self.beat), Waiting(rows(SIGHTING)), areas)

    def step(self, state: State, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`."""
        if state.eyes.site is not site:
            fresh = self.start(site)
            state.eyes, state.areas = fresh.eyes, fresh.areas
        counted = batch.sightings[np.isin(batch.sightings["label"], self.labels)]
        state.waiting.add(counted[state.eyes.near_any(counted)])
        frontier = state.clock.advance(batch, now)
        counts = self._counts(state, without_repeats(state.waiting.take(frontier)))
        found: list[Finding] = []
        beat, taken = state.clock.beat, 0
        while state.judged < frontier:
            upcoming = counts[taken][2].at if taken < len(counts) else frontier
            if any(g.counts or g.rise is not None for g in state.gatherings.values()):
                state.judged += beat
            else:  # nothing to judge before the next count
                state.judged = max(state.judged, min(frontier, upcoming // beat * beat + beat))
            while taken < len(counts) and counts[taken][2].at < state.judged:
                zone, camera, count = counts[taken]
                state.gatherings.setdefault(zone, Gathering()).counts[camera] = count
                taken += 1
            found += self._judge(state, site)
        for zone, camera, count in counts[taken:]:  # late: they count from now on
            state.gatherings.setdefault(zone, Gathering()).counts[camera] = count
        return found

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

    def _judge(self, state: State, site: Site) -> list[Finding]:
        """Every zone with people in it, at the beat ``state.judged``."""
        found = []
        for code in sorted(state.gatherings):
            zone, gathering = site.zones.get(code), state.gatherings[code]
            counts = gathering.fresh(state.judged, int(self.fresh * SECOND))
            if zone is None or not zone.capacity:
                gathering.rise = None
                continue
            people = sum(count.people for count in counts.values())
            self._follow(gathering, people / zone.capacity, state.judged)
            if gathering.rise is not None and self._due(gathering.rise, state):
                found.append(self._finding(zone, gathering, people, state, site))
        return found

    def _follow(self, gathering: Gathering, load: float, at: int) -> None:
        if load >= self.ratio:
            gathering.rise = at if gathering.rise is None else gathering.rise
            gathering.over = at
        elif load < self.release or at - gathering.over > int(self.hold * SECOND):
            gathering.rise = None

    def _due(self, rise: int, state: State) -> bool:
        """Whether this is the first beat of a finding or the first of a new ``renew``: both known without memory."""
        at, beat, renew = state.judged, state.clock.beat, int(self.renew * SECOND)
        ripe = at - rise >= int(self.sustain * SECOND)
        before = at - beat - rise >= int(self.sustain * SECOND)
        return ripe and (not before or at // renew != (at - beat) // renew)

    def _finding(self, zone: Zone, gathering: Gathering, people: int, state: State, site: Site) -> Finding:
        at, rise = state.judged, gathering.rise or state.judged
        since = max(rise, at - int(self.longest * SECOND))
        area = state.areas.get(zone.code, 0.0)
        density = people / area if area > 0 else 0.0
        load = people / zone.capacity
        score = max(min(1.0, 0.5 + 0.5 * max(0.0, load / self.ratio - 1)), 0.9 if density >= DANGER else 0.0)
        middle = zone.geometry.representative_point()
        cameras = sorted(gathering.counts)
        points = [
            point(c.lon, c.lat, at=stamp(c.at), people=c.people,
                  camera=device.code if (device := device_at(site, camera)) else None)
            for camera, c in sorted(gathering.counts.items())
        ]  # fmt: skip
        numbers = {
            "people": people, "capacity": zone.capacity, "load": load, "limit_load": self.ratio,
            "density_per_m2": density, "lasted_s": (at - since) / SECOND, "limit_s": self.sustain,
            "cameras": len(cameras),
        }  # fmt: skip
        sentence = self._sentence(zone, people, since, at, since > rise, device_names(site, cameras))
        return Finding(self.kind, zone.code, zone.code, since, at, middle.x, middle.y, score, sentence,
                       evidence(points, **numbers))  # fmt: skip

    def _sentence(self, zone: Zone, people: int, since: int, at: int, at_least: bool, by: Sentence) -> Sentence:
        lasted, most, begun = span((at - since) / SECOND), span(self.sustain), clock(since)
        limit = f"{self.ratio * zone.capacity:.0f}"
        return Sentence(
            f"{zone.name}：约{people}人，达到上限{limit}人（容量{zone.capacity}人），{begun.zh}起已持续"
            f"{'至少' if at_least else ''}{lasted.zh}（阈值{most.zh}），由{by.zh}统计。",
            f"{zone.name_en}: about {people} people (limit {limit}, capacity {zone.capacity}) for"
            f" {'at least ' if at_least else ''}{lasted.en} since {begun.en} (limit {most.en}), counted by {by.en}.",
        )
