"""Restricted zones entered, passed through or stayed in; and devices that leave the zone they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from detectors.base import Batch, Finding, Sentence
from detectors.fence_words import away, back_home, entered, left, never_there, passed, stays_in
from detectors.held import Held, by_device
from detectors.homes import LOST, Home, homes_of
from detectors.passages import Passage, Passages
from detectors.quotas import NEVER, SURE
from detectors.thresholds import WrongThreshold, check_above, check_from, words
from detectors.waiting import EARLIEST, EventClock
from detectors.wording import device_at, evidence, point, stamp
from devices.readings import SECOND, Rows
from devices.registry import Device
from devices.site import Site, Zone
from devices.site_plans import VISITED_KINDS

MINUTE: Final = 60 * SECOND  # how often what is past is cleared away


@dataclass(slots=True)
class Stay:
    """One visit of a fenced zone. Moments are UTC µs."""

    device: int
    zone: Zone
    entered: int
    left: int = 0  # 0 while inside
    told: int = 0  # findings about dwelling
    noted: int = EARLIEST  # how far event time had come when it was last told


@dataclass(slots=True)
class State:
    """What the fold knows."""

    clock: EventClock
    held: Held
    passages: Passages
    site: Site | None = None
    zones: dict[str, Zone] = field(default_factory=dict)
    stays: dict[int, dict[tuple[str, int], Stay]] = field(default_factory=dict)  # by device, then by zone and entering
    homes: dict[int, Home] = field(default_factory=dict)  # by device
    newest: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # useful fix, by device id
    followed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1, bool))  # by device id


@dataclass(frozen=True)
class Geofence:
    """Somebody enters, passes through or stays in a zone where nobody should be, or leaves the zone he belongs to.

    Definition. Fenced are the zones of the kinds in ``kinds``, in their season and hours, for all devices but those
    that the zone's property ``allowed`` names (codes, roles or kinds of device).

    - Entering and leaving are those of the visits: inside once the fixes have lain in the zone for 20 s without one
      outside, and likewise out, so that GPS noise on the edge neither begins nor ends anything. A visit that late fixes
      strike out ends its episode.
    - Dwelling: ``dwell`` s inside are proved by fixes; told again every ``renew`` s.
    - Passing through: the straight way between two fixes outside, at most ``join`` s apart, has at least ``depth`` m
      inside, does not begin with the first fix after a pause, and the next fix does not lead back through the zone
      (then it was one wrong fix). Fixes inside in between do not matter; who was in for 20 s has a visit instead.
    - Leaving home: a device whose property ``home`` names a zone (or several) is more than ``band`` m outside for
      ``away`` s; ends when it is inside again. Told again every ``renew`` s, and of what is longer than ``longest`` s
      only that it is.

    Dwelling and leaving home are judged once in a ``beat`` of event time, ``patience`` s after its end.

    How it fails. Outlines drawn more finely than GPS is exact (5-15 m) fence nobody. A way of more than ``join`` s is
    not taken for straight. A terminal that is switched off inside stays inside until it is heard again. Late fixes
    bring visits, not passages. A season that begins while somebody is inside is noticed at the next entering.

    Source: delay and distance band against noise as in the geofencing of mobile systems (Android's "loitering delay");
    crossing by intersection of the way with the outline.

    >>> import shapely
    >>> from devices.readings import VISIT, rows
    >>> from devices.registry import Registry
    >>> zone = Zone("R", "restricted", "水闸", "Sluice", "", shapely.box(118.0, 31.0, 118.01, 31.01))
    >>> boat = Device("B1", "vessel", "快艇", "Speedboat", "", "", id=1)
    >>> site, detector = Site([], [zone], [], Registry([boat])), Geofence()
    >>> state = detector.start(site)
    >>> told = detector.step(state, Batch(visits=rows(VISIT, [(1, "R", 60 * SECOND, 0)])), 90 * SECOND, site)
    >>> told[0].sentence.en
    'Speedboat has entered Sluice, 1 Jan 08:01.'
    >>> gone = rows(VISIT, [(1, "R", 60 * SECOND, 180 * SECOND)])
    >>> told = detector.step(state, Batch(visits=gone), 210 * SECOND, site)
    >>> told[0].sentence.en, told[0].ends
    ('Speedboat has left Sluice after 2 min, 1 Jan 08:03.', True)
    """

    kind: ClassVar[str] = "geofence"
    by_reception: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("fixes", "visits")

    kinds: tuple[str, ...] = ("restricted",)
    dwell: float = 300.0  # s
    renew: float = 600.0  # s
    depth: float = 30.0  # m
    join: float = 60.0  # s
    band: float = 30.0  # m
    away: float = 300.0  # s
    longest: float = 3600.0  # s
    accuracy: float = 100.0  # m
    patience: float = 60.0  # s
    beat: float = 30.0  # s

    def __post_init__(self) -> None:
        words(self, "kinds")
        for kind in self.kinds:
            if kind not in VISITED_KINDS:
                known = ", ".join(VISITED_KINDS)
                raise WrongThreshold(self, "kinds", self.kinds, f"some of {known}", f"这些中的若干个：{known}")
        check_above(self, 0, "dwell", "renew", "depth", "join", "away", "longest", "accuracy", "beat")
        check_from(self, 0, "band", "patience")

    @property
    def memory(self) -> float:
        """Seconds: two renewals, the longest that is told of being away, a way between two fixes, and what waits."""
        told = max(2 * self.renew + self.dwell, self.longest + self.away + LOST)
        return told + self.join + self.patience + 3 * self.beat

    def start(self, site: Site) -> State:
        """Nobody inside."""
        state = State(EventClock(self.patience, self.beat), Held(self.beat), self._passages([]))
        self._know(state, site)
        return state

    def step(self, state: State, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`."""
        if state.site is not site:
            self._know(state, site)
        found = list(self._note(state, batch.visits, site))
        for passage in state.passages.step(batch.fixes):
            found += self._passed(state, passage, site)
        state.held.add(batch.fixes, state.followed)
        before = state.clock.frontier
        if (frontier := state.clock.advance(batch, now)) > before:
            found += self._beats(state, before, frontier, site)
        return found

    def _passages(self, zones: list[Zone]) -> Passages:
        return Passages(zones, self.depth, self.join, self.accuracy)

    def _know(self, state: State, site: Site) -> None:
        """Take a changed site: stays in zones that are still fenced go on."""
        state.site = site
        state.zones = {zone.code: zone for kind in self.kinds for zone in site.zones.values() if zone.kind == kind}
        passages = self._passages(list(state.zones.values()))
        passages.adopt(state.passages)
        state.passages = passages
        self._retain(state, lambda stay: stay.zone.code in state.zones)
        state.homes = homes_of(site, self.band, state.homes)
        missing = site.registry.size - len(state.newest)
        state.newest = np.append(state.newest, np.full(max(missing, 0), EARLIEST))
        self._follow(state)

    @staticmethod
    def _retain(state: State, kept: Callable[[Stay], bool]) -> None:
        found = {d: {key: s for key, s in stays.items() if kept(s)} for d, stays in state.stays.items()}
        state.stays = {device: stays for device, stays in found.items() if stays}

    @staticmethod
    def _follow(state: State) -> None:
        """Follow the fixes of those inside, and of those who have a home."""
        state.followed = np.zeros(len(state.newest) + 1, bool)
        state.followed[[*(d for d in state.stays if d < len(state.newest)), *state.homes]] = True

    # ── Visits and passages ─────────────────────────────────────────────────────────────────────────────────────────
    def _note(self, state: State, visits: Rows, site: Site) -> Iterator[Finding]:
        """Take visits that began, ended or were corrected."""
        for device, code, at, until in visits.tolist():
            zone = state.zones.get(code)
            if zone is None or not self._fences(zone, device_at(site, device), at):
                continue
            stays = state.stays.setdefault(device, {})
            stay = stays.pop((code, at), None)
            if until < 0:
                yield self._of_stay(Stay(device, zone, at), at, never_there(site, device, zone, at), site, ends=True)
                continue
            if stay is None:
                stay = Stay(device, zone, at)
                yield self._of_stay(stay, at, entered(site, device, zone, at), site)
            stay.left, stay.noted = until, state.clock.frontier
            if until:
                lasted = until - at
                yield self._of_stay(stay, until, left(site, device, zone, until, lasted), site, ends=True)
            stays[code, at] = stay
            if device < len(state.newest):
                state.followed[device] = True

    @staticmethod
    def _fences(zone: Zone, device: Device | None, at: int) -> bool:
        """Whether a zone is closed to a device at a moment (UTC µs)."""
        if zone.season is not None and not zone.season.active(np.array([at]))[0]:
            return False
        allowed = zone.properties.get("allowed", ())
        listed = [allowed] if isinstance(allowed, str) else allowed if isinstance(allowed, list | tuple) else []
        return device is None or not {device.code, device.role or device.kind, device.kind} & {str(w) for w in listed}

    def _passed(self, state: State, passage: Passage, site: Site) -> Iterator[Finding]:
        """Somebody went through, unless a visit says so already."""
        device, zone, since, until = passage.device, passage.zone, passage.before.at, passage.behind.at
        visited = any(
            s.zone.code == zone.code and s.entered <= until and (s.left or NEVER) >= since
            for s in state.stays.get(device, {}).values()
        )
        if visited or not self._fences(zone, device_at(site, device), until):
            return
        seconds = (until - since) / SECOND
        numbers = {"inside_m": passage.metres, "within_s": seconds, "limit_m": self.depth}
        spots = [(spot.lon, spot.lat) for spot in (passage.before, passage.behind)]
        line = {"type": "LineString", "coordinates": [[round(x, 6), round(y, 6)] for x, y in spots]}
        proof = evidence([{"type": "Feature", "geometry": line, "properties": {"part": "way"}}], **numbers)
        sentence = passed(site, device, zone, until, passage.metres, seconds)
        place = shapely.LineString(spots).centroid
        subject = code_of(site, device)
        yield Finding(self.kind, subject, zone.code, since, until, place.x, place.y, 0.7, sentence, proof)

    # ── Beat by beat ────────────────────────────────────────────────────────────────────────────────────────────────
    def _beats(self, state: State, before: int, frontier: int, site: Site) -> Iterator[Finding]:
        for end, held in state.held.take(before, frontier).items():
            here = by_device(held)
            np.maximum.at(state.newest, here["device"], here["at"])
            heard = set(here["device"].tolist())
            for device in sorted(heard & state.stays.keys()):
                for stay in state.stays[device].values():
                    yield from self._dwells(state, stay, end, site)
            for device in sorted(heard & state.homes.keys()):
                yield from self._at_home(state.homes[device], device, here[here["device"] == device], end, site)
        past = frontier - int(self.memory * SECOND)
        if frontier // MINUTE != before // MINUTE:
            self._retain(state, lambda stay: not stay.left or max(stay.left, stay.noted) > past)
            self._follow(state)

    def _dwells(self, state: State, stay: Stay, end: int, site: Site) -> Iterator[Finding]:
        """How long somebody has been inside, as far as the fixes of complete beats prove it."""
        until = min(stay.left or NEVER, int(state.newest[stay.device]) - SURE, end)
        number = (until - stay.entered - int(self.dwell * SECOND)) // int(self.renew * SECOND) + 1
        if number > stay.told:
            stay.told = number
            lasted = until - stay.entered
            sentence = stays_in(site, stay.device, stay.zone, stay.entered, lasted, self.dwell)
            yield self._of_stay(stay, until, sentence, site)

    def _at_home(self, home: Home, device: int, rows: Rows, end: int, site: Site) -> Iterator[Finding]:
        """Whether a device is where it belongs, by its fixes of one beat in order of time. Told in every ``renew`` of
        the clock, and of what is longer than ``longest`` only that it is."""
        if rows["at"][-1] <= home.newest:
            return  # late: it says nothing of where one is
        since, before, home.looked = home.outside_since, home.looked, end
        limit, longest, renew = (int(v * SECOND) for v in (self.away, self.longest, self.renew))
        told = since is not None and home.newest - since >= limit
        back = home.take(rows)
        subject, code = code_of(site, device), home.zones[0].code
        proof = [point(*home.place, device=subject)]
        if home.outside_since is None:
            if told and back:
                sentence = back_home(site, device, home, end)
                body = evidence(proof, limit_s=self.away)
                yield Finding(self.kind, subject, code, end, end, *home.place, 0.7, sentence, body, ends=True)
            return
        gone = home.newest - home.outside_since
        if gone < limit or (told and end // renew == before // renew):
            return
        begun = max(home.outside_since, home.newest - longest)
        lasted = (home.newest - begun) / SECOND
        sentence = away(site, device, home, lasted, begun, self.away, at_least=gone > longest)
        numbers = {"away_s": lasted, "limit_s": self.away, "farthest_m": home.metres()}
        body = evidence(proof, **numbers)
        yield Finding(self.kind, subject, code, begun, end, *home.place, 0.7, sentence, body)

    # ── Telling ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _of_stay(self, stay: Stay, until: int, sentence: Sentence, site: Site, *, ends: bool = False) -> Finding:
        spot = shapely.point_on_surface(stay.zone.geometry)
        subject = code_of(site, stay.device)
        told: dict[str, Any] = {"device": subject, "zone": stay.zone.code, "entered": stamp(stay.entered)}
        numbers = {"inside_s": (until - stay.entered) / SECOND, "dwell_s": self.dwell}
        proof = evidence([point(spot.x, spot.y, **told)], **numbers)
        place, zone = (float(spot.x), float(spot.y)), stay.zone.code
        return Finding(self.kind, subject, zone, stay.entered, until, *place, 0.8, sentence, proof, ends=ends)


def code_of(site: Site, device: int) -> str:
    """A device's code, as the subject of a finding."""
    known = device_at(site, device)
    return known.code if known else f"#{device}"
