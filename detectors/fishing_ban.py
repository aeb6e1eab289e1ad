"""Fishing in a ban zone, as cameras see it and as boats move: people, rods, nets and boats that stay."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, ClassVar, Final

import numpy as np

from detectors.base import Batch, Finding
from detectors.eyes import Eyes, without_repeats
from detectors.fishing_boats import MOVEMENT, FishingBoats
from detectors.fishing_words import Seen, sentence
from detectors.geo import Floats, Ids, Plane, place_cell
from detectors.own_people import OwnPeople
from detectors.presence import Book, Books, Glimpse, Joining, Presence
from detectors.thresholds import check_above, check_from, check_order, words
from detectors.waiting import EventClock, Waiting
from detectors.wording import device_at, evidence, point, stamp
from devices.readings import SECOND, SIGHTING, Rows, rows
from devices.site import Site

WEIGHT: Final = {"person": 0.5, "boat": 1.0, "rod": 1.5, "net": 2.0, MOVEMENT: 1.5}
"""How much a label says, once it was seen often and surely; an unknown label counts 1."""
OFTEN: Final = 6.0  # beats over which seeing a label again still adds
SPOT: Final = 10.0  # metres: what a camera without tracks sees in one such square within a beat is one glimpse
SLOT: Final = 3  # beats: a boat's own fixes are judged once in so many


@dataclass(slots=True)
class State:
    """What the fold knows."""

    eyes: Eyes
    plane: Plane
    own: OwnPeople
    clock: EventClock
    waiting: Waiting
    boats: FishingBoats
    books: Books


@dataclass(frozen=True)
class FishingBan:
    """People, rods, nets and boats that stay in a no-fishing zone while its season is on, and boats that move there
    like one that fishes.

    Definition. A *presence* is what cameras and radars see within ``cluster`` m of its place, or on the same track of a
    camera within ``roam`` m (a boat's track: anywhere), with pauses up to ``gap`` s. It is found when it has lasted
    ``dwell`` s and one of the ``gear`` labels was seen in ``gear_beats`` beats or more, over ``gear_share`` of that
    time: somebody with a rod, a net, a boat, and not one who came past with a pole while others rested there. People
    without gear may be resting walkers or may hide the rod: they are found after ``lone_dwell`` s, with a lower score.
    Somebody who walks leaves ``cluster`` and ``roam`` behind within a minute or two and is never found.

    A boat that is not our own and sends its own fixes is judged every three beats by its movement over ``history`` s
    (:mod:`detectors.movement`). Moving as if it were fishing counts like a sighting: it is found after ``boat_dwell``
    s if most judgements say so, with pauses up to ``boat_gap`` s, earlier if cameras see it too: within ``alongside``
    m it is one presence, one score, one finding. A boat that has stayed within ``berth`` m for half of the history, or
    since it was switched on, is moored.

    It is told again for every ``renew`` s that it goes on. Sightings out of the zone's season or hours do not count,
    nor do those within ``own_radius`` m of where one of our own (``own_roles``), or a boat with a permit for the zone,
    was by its newest fix, not older than ``own_recent`` s; they do not end a presence either.

    How it fails. Who fishes less than ``dwell`` at one spot and then moves on is missed; so is who sits where no camera
    sees. Workers or bathers who stay longer than ``lone_dwell`` are found. While a patrol stands beside an angler
    longer than ``gap``, his presence ends, and begins anew when the patrol leaves. Places that a camera gives with more
    than ``cluster`` m of error split one party in two. A party that stays longer than ``epoch`` is counted from the
    beginning of the present book ("at least"); if it sits on the edge of a cell, or is a boat without a terminal that
    moves on, it may then get a second subject. By movement alone a slow boat that waits, drifts or looks for something
    is taken for one that fishes, and one that sets its nets at speed is not.

    Source: the fishing-ban notices' terms (most cases are people angling on the bank); the score is a noisy-or of
    evidence, 1 - exp(-sum of weights); the weights of the movement are fitted on labelled tracks (docs/adr/0013).

    >>> import shapely
    >>> from devices.registry import Device, Registry
    >>> from devices.site import Zone
    >>> zone = Zone("Z", "no_fishing", "禁渔区", "Ban zone", "", shapely.box(118.0, 31.0, 118.1, 31.1))
    >>> camera = Device("C1", "camera", "一号", "One", "", "", id=1)
    >>> site = Site([], [zone], [], Registry([camera]))
    >>> seen = [(1, t * SECOND, t * SECOND, "rod", 1, 0.9, "7", 118.05, 31.05, "") for t in range(0, 360, 5)]
    >>> detector = FishingBan()
    >>> found = list(detector.step(detector.start(site), Batch(sightings=rows(SIGHTING, seen)), 400 * SECOND, site))
    >>> [(f.subject, (f.until - f.since) // SECOND) for f in found]
    [('31.04976,118.04938', 305)]
    >>> print(found[0].sentence.en)
    Ban zone: rod since 1 Jan 08:00, there for 5 min (limit 5 min), seen by One.
    """

    kind: ClassVar[str] = "fishing_ban"
    by_reception: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ("fixes", "sightings")

    dwell: float = 300.0  # s, with gear
    lone_dwell: float = 900.0  # s, people without gear
    boat_dwell: float = 720.0  # s, a boat by its movement alone
    renew: float = 60.0  # s
    gap: float = 120.0  # s
    boat_gap: float = 300.0  # s
    cluster: float = 30.0  # m
    roam: float = 60.0  # m
    alongside: float = 60.0  # m
    berth: float = 40.0  # m
    cell: float = 120.0  # m, of the lattice that names places
    cell_afloat: float = 500.0  # m, the same for boats
    labels: tuple[str, ...] = ("person", "rod", "net", "boat")
    gear: tuple[str, ...] = ("rod", "net", "boat")
    afloat: tuple[str, ...] = ("boat",)
    gear_beats: int = 2
    gear_share: float = 0.8  # of dwell
    own_roles: tuple[str, ...] = ("patrol", "police", "boat")
    own_radius: float = 50.0  # m
    own_recent: float = 60.0  # s
    beat: float = 10.0  # s
    patience: float = 5.0  # s
    history: float = 3600.0  # s
    epoch: float = 3600.0  # s

    def __post_init__(self) -> None:
        check_above(self, 0, "dwell", "lone_dwell", "boat_dwell", "renew", "gap", "boat_gap", "cluster", "roam")
        check_above(self, 0, "cell", "cell_afloat", "beat", "history", "epoch")
        check_from(self, 0, "own_radius", "own_recent", "patience", "alongside", "berth", "gear_share")
        check_from(self, 1, "gear_beats")
        check_order(self, "dwell", "lone_dwell")
        check_order(self, "cluster", "roam")
        check_order(self, "beat", "gap")
        words(self, "labels")
        for name in ("gear", "afloat", "own_roles"):
            words(self, name, least=0)

    @property
    def _carry(self) -> float:
        """Seconds for which a new book reads along: what is due to be told in the old one is by then in the new one."""
        return max(self.lone_dwell + self.gap, self.boat_dwell + self.boat_gap) + self._slot

    @property
    def _slot(self) -> float:
        return SLOT * self.beat

    @property
    def memory(self) -> float:
        """Seconds: a book's length, its reading along, what waits, and a boat's history before all that."""
        waits = self.own_recent + self.patience + self.beat + self._slot
        return self.epoch + self._carry + waits + self.history

    def start(self, site: Site) -> State:
        """Nothing seen yet."""
        eyes = Eyes(site, "no_fishing")
        joining = Joining(self.cluster, self.roam, self.alongside, int(self.gap * SECOND), int(self.boat_gap * SECOND))
        clock = EventClock(self.patience, self.beat)
        return State(
            eyes,
            eyes.plane,
            OwnPeople(self.own_roles, self.own_radius, self.own_recent, eyes),
            clock,
            Waiting(rows(SIGHTING)),
            FishingBoats(self.own_roles, SLOT * clock.beat, self.history, self.berth, eyes),
            Books(joining, int(self.epoch * SECOND), int(self._carry * SECOND)),
        )

    def step(self, state: State, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`."""
        if state.eyes.site is not site:
            state.eyes = Eyes(site, "no_fishing")
            state.plane = state.eyes.plane
            state.own.move(state.eyes)
            state.boats.move(state.eyes)
        state.own.keep(batch.fixes)
        state.boats.add(batch.fixes)
        sightings = batch.sightings[np.isin(batch.sightings["label"], self.labels)]
        state.waiting.add(sightings[state.eyes.near_any(sightings)])
        frontier = state.clock.advance(batch, now)
        beat = state.clock.beat
        # What a slot shows is entered in its last beat, which is complete no earlier than the slot.
        glimpses = [(end - beat, glimpse) for end, glimpse in state.boats.judged(frontier, state.own)]
        seen = without_repeats(state.waiting.take(frontier))
        if len(seen):
            glimpses += [(g.first // beat * beat, g) for g in self._glimpses(state, *self._counted(state, seen))]
            glimpses.sort(key=itemgetter(0))
        found: list[Finding] = []
        for at, group in groupby(glimpses, key=itemgetter(0)):
            found += self._tell(state.books.enter([glimpse for _, glimpse in group], at), site)
        # Fixes later than the frontier may still belong to a beat that is not complete.
        state.own.forget(frontier - int(self._slot * SECOND))
        return found

    # ── Which sightings count ───────────────────────────────────────────────────────────────────────────────────────
    def _counted(self, state: State, seen: Rows) -> tuple[Rows, Ids, Floats, Floats]:
        """The sightings that count, with their zone and place: in a zone whose season is on, and not of our own."""
        row, zone = state.eyes.in_season(seen["at"], *state.eyes.pairs(seen))
        row, first = np.unique(row, return_index=True)  # where zones overlap, the first by code that is in season
        seen, zone = seen[row], zone[first]
        lon, lat = state.eyes.place(seen)
        strange = ~state.own.near(seen["at"], lon, lat, zone)
        return seen[strange], zone[strange], lon[strange], lat[strange]

    # ── From sightings to glimpses ──────────────────────────────────────────────────────────────────────────────────
    def _glimpses(self, state: State, seen: Rows, zone: Ids, lon: Floats, lat: Floats) -> list[Glimpse]:
        """One glimpse per beat, zone, camera and track (or spot), in that order, boats first."""
        if not len(seen):
            return []
        afloat = np.isin(seen["label"], self.afloat)
        names, track = np.unique(seen["track"].astype(str), return_inverse=True)
        x, y = (np.where(names[track] == "", np.floor(v / SPOT), 0.0) for v in state.plane.xy(lon, lat))
        keys = (seen["at"] // state.clock.beat, ~afloat, zone, seen["device"], track, x, y)
        order = np.lexsort((seen["at"], *keys[::-1]))
        seen, lon, lat = seen[order], lon[order], lat[order]
        columns = [key[order] for key in keys]
        changes = np.any([column[1:] != column[:-1] for column in columns], axis=0)
        begin = np.append(0, np.flatnonzero(changes) + 1)
        count = np.diff(np.append(begin, len(seen)))
        label = np.array([self.labels.index(name) for name in seen["label"]])
        bits = np.bitwise_or.reduceat(1 << label, begin)
        sure = np.where(np.isfinite(seen["confidence"]), seen["confidence"].astype(float), 1.0)
        means = [(np.add.reduceat(values, begin) / count).tolist() for values in (lon, lat, sure)]
        first, last = seen["at"][begin].tolist(), seen["at"][begin + count - 1].tolist()
        heads = [columns[i][begin].tolist() for i in (2, 3, 4, 1)]
        return [
            Glimpse(state.eyes.zones[z].code, camera, str(names[t]), not ashore, mlon, mlat, since, until,
                    tuple(name for i, name in enumerate(self.labels) if many >> i & 1), n, sureness)
            for z, camera, t, ashore, mlon, mlat, sureness, since, until, many, n
            in zip(*heads, *means, first, last, bits.tolist(), count.tolist(), strict=True)
        ]  # fmt: skip

    # ── From presences to findings ──────────────────────────────────────────────────────────────────────────────────
    def _tell(self, entered: tuple[Book, list[Presence], list[Presence]], site: Site) -> Iterator[Finding]:
        book, speaking, silent = entered
        for presence in speaking:
            if self._due(presence, site):
                yield self._finding(presence, book, site)
        for presence in silent:
            self._due(presence, site)

    def _geared(self, presence: Presence) -> bool:
        often = any(presence.beats.get(label, 0) >= self.gear_beats for label in self.gear)
        return often and presence.span(self.gear) >= self.gear_share * self.dwell * SECOND

    def _limit(self, presence: Presence) -> float:
        """Seconds that it has to last."""
        if self._geared(presence):
            return self.dwell
        if presence.beats.get(MOVEMENT, 0) > presence.against:
            return self.boat_dwell
        return self.lone_dwell if presence.cameras else math.inf

    def _due(self, presence: Presence, site: Site) -> bool:
        """Whether there is something to tell of it; notes that it is told."""
        over = presence.dwell / SECOND - self._limit(presence)
        number = math.floor(over / self.renew) if over >= 0 else -1
        if number <= presence.told:
            return False
        presence.told = number
        boat = device_at(site, presence.vessel)
        cell = self.cell_afloat if presence.afloat else self.cell
        presence.subject = presence.subject or (boat.code if boat else place_cell(*presence.mean, cell))
        return True

    def score(self, presence: Presence) -> float:
        """0..1: every label adds its weight, the more beats it was seen in and the surer; each further source, camera
        or the boat's own fixes, adds some."""
        proof = 0.3 * (1 - 1 / (len(presence.cameras) + (presence.vessel >= 0)))
        for label, beats in presence.beats.items():
            proof += WEIGHT.get(label, 1.0) * (presence.sureness[label] / beats) * (1 - math.exp(-beats / OFTEN))
        return 1 - math.exp(-proof)

    def _finding(self, presence: Presence, book: Book, site: Site) -> Finding:
        limit, score = self._limit(presence), self.score(presence)
        # What began with the book may have begun before it.
        at_least = presence.first - book.opened <= int(
            max(self.gap, self.boat_gap if presence.vessel >= 0 else 0) * SECOND
        )
        labels = [label for label in (MOVEMENT, *self.labels) if label in presence.beats]
        cameras = sorted(presence.cameras, key=lambda camera: (-presence.cameras[camera], camera))
        points = [_feature(g, d.code if (d := device_at(site, g.device)) else None) for g in presence.points]
        numbers = {
            "dwell_s": presence.dwell / SECOND, "limit_s": limit, "at_least": at_least, "cameras": len(cameras),
            "sightings": presence.sightings, "score": score,
            **{f"beats_{label}": presence.beats[label] for label in labels},
        }  # fmt: skip
        bare = not self._geared(presence) and MOVEMENT not in presence.beats
        seen = Seen(
            presence.first,
            presence.dwell / SECOND,
            limit,
            at_least,
            tuple(labels),
            bare,
            tuple(cameras),
            presence.vessel,
        )
        return Finding(
            self.kind, presence.subject, presence.zone, presence.first, presence.last, presence.lon, presence.lat,
            score, sentence(site, site.zones[presence.zone], seen), evidence(points, **numbers),
        )  # fmt: skip


@lru_cache(maxsize=8192)
def _feature(glimpse: Glimpse, code: str | None) -> dict[str, Any]:
    """One glimpse in the evidence. A presence is told many times, mostly of the same glimpses."""
    by = {"vessel" if glimpse.by_fix else "camera": code}
    seen = {"at": stamp(glimpse.first), "labels": list(glimpse.labels), "track": glimpse.track, **by}
    return point(glimpse.lon, glimpse.lat, **seen)
