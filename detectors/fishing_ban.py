"""Fishing in a ban zone, as cameras see it: people, rods, nets and boats that stay."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import ClassVar, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from detectors.base import Batch, Finding, Sentence
from detectors.eyes import Eyes, without_repeats
from detectors.geo import DEGREE, Floats, Ids, Plane, place_cell
from detectors.presence import Book, Books, Glimpse, Joining, Presence
from detectors.thresholds import check_above, check_from, check_order, words
from detectors.waiting import EventClock, Waiting
from detectors.wording import clock, device_at, device_names, evidence, labelled, point, span, stamp
from devices.readings import SECOND, SIGHTING, Rows, rows
from devices.site import Site

WEIGHT: Final = {"person": 0.5, "boat": 1.0, "rod": 1.5, "net": 2.0}
"""How much a label says, once it was seen often and surely; an unknown label counts 1."""
OFTEN: Final = 6.0  # beats over which seeing a label again still adds
AROUND: Final = 500.0  # metres around the zones within which our own are followed, so that their going away is seen
SPOT: Final = 10.0  # metres: what a camera without tracks sees in one such square within a beat is one glimpse

OWN: Final = np.dtype([("device", "<i4"), ("at", "<i8"), ("lon", "<f8"), ("lat", "<f8")])


@dataclass(slots=True)
class State:
    """What the fold knows. ``patrols`` are recent fixes of our own near the zones."""

    eyes: Eyes
    plane: Plane
    own: NDArray[np.bool_]  # by device id
    clock: EventClock
    waiting: Waiting
    books: Books
    patrols: list[Rows] = field(default_factory=list)  # as they came: looked at only when there are sightings


@dataclass(frozen=True)
class FishingBan:
    """People, rods, nets and boats that stay in a no-fishing zone while its season is on.

    Definition. A *presence* is what cameras see within ``cluster`` m of its place, or on the same camera track within
    ``roam`` m (a boat's track: anywhere), with pauses up to ``gap`` s. It is found when it has lasted ``dwell`` s and
    one of the ``gear`` labels was seen in ``gear_beats`` beats or more: somebody with a rod, a net, a boat. People
    without gear may be resting walkers or may hide the rod: they are found after ``lone_dwell`` s, with a lower score.
    Somebody who walks leaves ``cluster`` and ``roam`` behind within a minute or two and is never found. It is told
    again for every ``renew`` s that it goes on. Sightings out of the zone's season or hours, and those within
    ``own_radius`` m of where one of our own (``own_roles``) was by his newest fix, not older than ``own_recent`` s, do
    not count; they do not end a presence either.

    How it fails. Who fishes less than ``dwell`` at one spot and then moves on is missed; so is who sits where no camera
    sees. Workers or bathers who stay longer than ``lone_dwell`` are found. While a patrol stands beside an angler
    longer than ``gap``, his presence ends, and begins anew when the patrol leaves. Places that a camera gives with more
    than ``cluster`` m of error split one party in two. A party that stays longer than ``epoch`` is counted from the
    beginning of the present book ("at least"); if it sits on the edge of a cell, or is a boat that moves, it may then
    get a second subject.

    Source: the fishing-ban notices' terms (most cases are people angling on the bank); the score is a
    noisy-or of evidence, 1 - exp(-sum of weights).

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
    [('31.05002,118.05003', 305)]
    >>> print(found[0].sentence.en)
    Ban zone: rod since 1 Jan 08:00, there for 5 min (limit 5 min), seen by One.
    """

    kind: ClassVar[str] = "fishing_ban"
    by_reception: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ("fixes", "sightings")

    dwell: float = 300.0  # s, with gear
    lone_dwell: float = 900.0  # s, people without gear
    renew: float = 60.0  # s
    gap: float = 120.0  # s
    cluster: float = 30.0  # m
    roam: float = 60.0  # m
    cell: float = 60.0  # m, of the lattice that names places
    cell_afloat: float = 500.0  # m, the same for boats
    labels: tuple[str, ...] = ("person", "rod", "net", "boat")
    gear: tuple[str, ...] = ("rod", "net", "boat")
    afloat: tuple[str, ...] = ("boat",)
    gear_beats: int = 2
    own_roles: tuple[str, ...] = ("patrol", "police", "boat")
    own_radius: float = 50.0  # m
    own_recent: float = 60.0  # s
    beat: float = 10.0  # s
    patience: float = 5.0  # s
    epoch: float = 2400.0  # s

    def __post_init__(self) -> None:
        check_above(self, 0, "dwell", "lone_dwell", "renew", "gap", "cluster", "roam", "cell", "beat", "epoch")
        check_above(self, 0, "cell_afloat")
        check_from(self, 0, "own_radius", "own_recent", "patience")
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
        return self.lone_dwell + self.gap + self.beat

    @property
    def memory(self) -> float:
        """Seconds: a book's length, its reading along, and what waits."""
        return self.epoch + self._carry + self.own_recent + self.patience + 2 * self.beat

    def start(self, site: Site) -> State:
        """Nothing seen yet."""
        joining = Joining(self.cluster, self.roam, int(self.gap * SECOND))
        books = Books(joining, int(self.epoch * SECOND), int(self._carry * SECOND))
        clock = EventClock(self.patience, self.beat)
        return State(*self._site_columns(site), clock=clock, waiting=Waiting(rows(SIGHTING)), books=books)

    def step(self, state: State, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`."""
        if state.eyes.site is not site:
            state.eyes, state.plane, state.own = self._site_columns(site)
        self._keep_patrols(state, batch.fixes)
        sightings = batch.sightings[np.isin(batch.sightings["label"], self.labels)]
        state.waiting.add(sightings[state.eyes.near_any(sightings)])
        frontier = state.clock.advance(batch, now)
        seen = without_repeats(state.waiting.take(frontier))
        found: list[Finding] = []
        if len(seen):
            glimpses = self._glimpses(state, *self._counted(state, seen))
            for beat, group in groupby(glimpses, key=lambda g: g.first // state.clock.beat * state.clock.beat):
                found += self._tell(state.books.enter(list(group), beat), site)
        # Fixes later than the frontier may still belong to a beat that is not complete.
        oldest = frontier - int(self.own_recent * SECOND)
        state.patrols = [part for part in state.patrols if part["at"][-1] >= oldest]
        return found

    # ── Which sightings count ───────────────────────────────────────────────────────────────────────────────────────
    def _site_columns(self, site: Site) -> tuple[Eyes, Plane, NDArray[np.bool_]]:
        eyes = Eyes(site, "no_fishing")
        bounds = shapely.total_bounds([z.geometry for z in eyes.zones]) if eyes.zones else np.zeros(4)
        plane = Plane(float(bounds[0] + bounds[2]) / 2, float(bounds[1] + bounds[3]) / 2)
        own = np.zeros(site.registry.size, bool)
        for device in site.registry.devices:
            own[device.id] = device.kind != "camera" and device.role in self.own_roles
        return eyes, plane, own

    def _keep_patrols(self, state: State, fixes: Rows) -> None:
        """Keep our own people's fixes around the zones, by time."""
        device = fixes["device"]
        ours = state.own[np.minimum(device, len(state.own) - 1)] & (device < len(state.own))
        ours &= state.eyes.near(fixes["lon"], fixes["lat"], self.own_radius + AROUND)
        which = np.flatnonzero(ours)
        if len(which):
            part = np.empty(len(which), OWN)
            for column in OWN.names or ():
                part[column] = fixes[column][which]
            state.patrols.append(part[np.argsort(part["at"], kind="stable")])

    def _counted(self, state: State, seen: Rows) -> tuple[Rows, Ids, Floats, Floats]:
        """The sightings that count, with their zone and place: in a zone whose season is on, and not of our own."""
        row, zone = state.eyes.pairs(seen)
        in_season = np.zeros(len(row), bool)
        for z in np.unique(zone):
            here, season = zone == z, state.eyes.zones[z].season
            in_season[here] = season is None or season.active(seen["at"][row[here]])
        row, zone = row[in_season], zone[in_season]
        row, first = np.unique(row, return_index=True)  # where zones overlap, the first by code that is in season
        seen, zone = seen[row], zone[first]
        lon, lat = state.eyes.place(seen)
        strange = ~self._own(state, seen["at"], lon, lat)
        return seen[strange], zone[strange], lon[strange], lat[strange]

    def _own(self, state: State, at: NDArray[np.int64], lon: Floats, lat: Floats) -> NDArray[np.bool_]:
        """For sightings of shape (n,): whether the newest fix of one of our own before them was near, and recent."""
        near = np.zeros(len(at), bool)
        if not state.patrols or not len(at) or not self.own_radius:
            return near
        # Only who was near one of the sightings matters, but of him all fixes: the next one ends his being there.
        fixes = np.concatenate(state.patrols)
        margin = self.own_radius / (DEGREE * 0.5)  # degrees, wide enough up to 60° of latitude
        around = (fixes["lon"] >= np.nanmin(lon) - margin) & (fixes["lon"] <= np.nanmax(lon) + margin)
        around &= (fixes["lat"] >= np.nanmin(lat) - margin) & (fixes["lat"] <= np.nanmax(lat) + margin)
        fixes = fixes[np.isin(fixes["device"], fixes["device"][around])]
        if not len(fixes):
            return near
        fixes = fixes[np.lexsort((fixes["at"], fixes["device"]))]
        tree = shapely.STRtree(state.plane.points(fixes["lon"], fixes["lat"]))
        one, fix = tree.query(state.plane.points(lon, lat), predicate="dwithin", distance=self.own_radius)
        gone = fixes["at"] + int(self.own_recent * SECOND) + 1
        same = fixes["device"][1:] == fixes["device"][:-1]
        gone[:-1][same] = np.minimum(gone[:-1][same], fixes["at"][1:][same])
        near[one[(fixes["at"][fix] <= at[one]) & (at[one] < gone[fix])]] = True
        return near

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
            if self._due(presence):
                yield self._finding(presence, book, site)
        for presence in silent:
            self._due(presence)

    def _geared(self, presence: Presence) -> bool:
        return any(presence.beats.get(label, 0) >= self.gear_beats for label in self.gear)

    def _due(self, presence: Presence) -> bool:
        """Whether there is something to tell of it; notes that it is told."""
        needed = (self.dwell if self._geared(presence) else self.lone_dwell) * SECOND
        number = math.floor((presence.dwell - needed) / (self.renew * SECOND))
        if number < 0 or number <= presence.told:
            return False
        presence.told = number
        cell = self.cell_afloat if presence.afloat else self.cell
        presence.subject = presence.subject or place_cell(*presence.mean, cell)
        return True

    def score(self, presence: Presence) -> float:
        """0..1: every label adds its weight, the more beats it was seen in and the surer; further cameras add some."""
        proof = 0.3 * (1 - 1 / len(presence.cameras))
        for label, beats in presence.beats.items():
            proof += WEIGHT.get(label, 1.0) * (presence.sureness[label] / beats) * (1 - math.exp(-beats / OFTEN))
        return 1 - math.exp(-proof)

    def _finding(self, presence: Presence, book: Book, site: Site) -> Finding:
        limit = self.dwell if self._geared(presence) else self.lone_dwell
        # What began with the book may have begun before it.
        at_least = presence.first - book.opened <= int(self.gap * SECOND)
        labels = [label for label in self.labels if label in presence.beats]
        cameras = sorted(presence.cameras, key=lambda camera: (-presence.cameras[camera], camera))
        points = [
            point(g.lon, g.lat, at=stamp(g.first), labels=list(g.labels), track=g.track,
                  camera=device.code if (device := device_at(site, g.device)) else None)
            for g in presence.points
        ]  # fmt: skip
        numbers = {
            "dwell_s": presence.dwell / SECOND, "limit_s": limit, "at_least": at_least, "cameras": len(cameras),
            "sightings": presence.sightings, "score": self.score(presence),
            **{f"beats_{label}": presence.beats[label] for label in labels},
        }  # fmt: skip
        return Finding(
            self.kind, presence.subject, presence.zone, presence.first, presence.last, presence.lon, presence.lat,
            self.score(presence), self._sentence(presence, limit, at_least, labels, cameras, site),
            evidence(points, **numbers),
        )  # fmt: skip

    def _sentence(
        self, presence: Presence, limit: float, at_least: bool, labels: list[str], cameras: list[int], site: Site
    ) -> Sentence:
        zone, things, since = site.zones[presence.zone], labelled(labels), clock(presence.first)
        stay, most, by = span(presence.dwell / SECOND), span(limit), device_names(site, cameras)
        bare = "" if self._geared(presence) else "，未见渔具"
        bare_en = "" if self._geared(presence) else ", no gear seen"
        return Sentence(
            f"{zone.name}：{since.zh}起发现{things.zh}{bare}，停留{'至少' if at_least else ''}{stay.zh}"
            f"（阈值{most.zh}），由{by.zh}看到。",
            f"{zone.name_en}: {things.en} since {since.en}{bare_en}, there for"
            f" {'at least ' if at_least else ''}{stay.en} (limit {most.en}), seen by {by.en}.",
        )
