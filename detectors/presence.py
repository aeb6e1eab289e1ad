"""Presences: what cameras see of one party at one place, joined over cameras, broken tracks and pauses.

The identity of a party needs memory, and a fold that is refilled from the store has only so much. So presences are kept
in *books*: a new book is opened every ``epoch`` seconds of the clock and knows nothing of the one before; for ``carry``
seconds it only reads along, then it speaks and the old one is closed. So what is said depends on the last
``epoch + carry`` seconds alone, and a fresh state that was fed so much says the same as one that never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from detectors.geo import DEGREE

MOST_POINTS: Final = 60  # in the evidence of one presence; beyond that every second one is dropped


class Glimpse(NamedTuple):
    """What one camera saw of one thing, or near one spot, within one beat."""

    zone: str
    device: int  # the camera's id
    track: str  # "" where the camera has none
    afloat: bool
    lon: float  # mean place
    lat: float
    first: int  # UTC µs of the first and last sighting in it
    last: int
    labels: tuple[str, ...]  # none: a boat that does nothing that counts
    sightings: int
    confidence: float  # mean, 0..1
    by_fix: bool = False  # ``device`` is no camera but the boat itself, known by its own fixes


@dataclass(slots=True, eq=False)
class Presence:
    """A party at a place."""

    zone: str
    afloat: bool
    lon: float  # ashore the mean of all glimpses, afloat the latest
    lat: float
    first: int
    last: int
    mean: tuple[float, float] = (0.0, 0.0)  # place of all glimpses, afloat too: what the subject is named by
    glimpses: int = 0
    sightings: int = 0
    beats: dict[str, int] = field(default_factory=dict)  # label → in how many beats it was seen
    sureness: dict[str, float] = field(default_factory=dict)  # label → sum of confidences, one for each beat
    earliest: dict[str, int] = field(default_factory=dict)  # label → the beat (UTC µs) in which it was first seen
    latest: dict[str, int] = field(default_factory=dict)  # and last
    cameras: dict[int, int] = field(default_factory=dict)  # camera → glimpses
    vessel: int = -1  # the boat's id, if it is known by its own fixes
    against: int = 0  # how often its movement was not that of one fishing
    tracks: set[tuple[int, str]] = field(default_factory=set)
    points: list[Glimpse] = field(default_factory=list)
    subject: str = ""  # given when it is first spoken of
    told: int = -1  # the number of the renewal that was told last

    @property
    def dwell(self) -> int:
        """From the first to the last sighting, µs."""
        return self.last - self.first

    def span(self, labels: Iterable[str]) -> int:
        """From the first to the last beat in which any of some labels was seen, µs."""
        seen = [label for label in labels if label in self.latest]
        first = min((self.earliest[label] for label in seen), default=0)
        return max((self.latest[label] for label in seen), default=0) - first

    def add(self, glimpse: Glimpse, beat: int) -> None:
        """Take a glimpse in."""
        self.glimpses += 1
        lon, lat = self.mean
        self.mean = (lon + (glimpse.lon - lon) / self.glimpses, lat + (glimpse.lat - lat) / self.glimpses)
        if not self.afloat:
            self.lon, self.lat = self.mean
        elif glimpse.afloat:  # people and nets on board do not move the boat
            self.lon, self.lat = glimpse.lon, glimpse.lat
        self.first, self.last = min(self.first, glimpse.first), max(self.last, glimpse.last)
        self.sightings += glimpse.sightings
        for label in glimpse.labels:
            if self.latest.get(label) != beat:
                self.earliest.setdefault(label, beat)
                self.latest[label] = beat
                self.beats[label] = self.beats.get(label, 0) + 1
                self.sureness[label] = self.sureness.get(label, 0.0) + glimpse.confidence
        if glimpse.by_fix:
            self.vessel = glimpse.device
        else:
            self.cameras[glimpse.device] = self.cameras.get(glimpse.device, 0) + 1
        if glimpse.track:
            self.tracks.add((glimpse.device, glimpse.track))
        self.points.append(glimpse)
        if len(self.points) > MOST_POINTS:
            self.points = self.points[::2]

    def distance(self, glimpse: Glimpse) -> float:
        """Metres from here to a glimpse."""
        east = (glimpse.lon - self.lon) * math.cos(math.radians(self.lat))
        return DEGREE * math.hypot(east, glimpse.lat - self.lat)


@dataclass(frozen=True, slots=True)
class Joining:
    """When a glimpse belongs to a presence: metres, and µs of pause."""

    cluster: float  # near enough, whoever it is
    roam: float  # near enough for the same track of a camera
    alongside: float  # near enough for a boat's own fixes and what a camera sees of it: they are not of one moment
    gap: int
    gap_vessel: int  # of a presence that a boat's own fixes belong to

    @property
    def longest(self) -> int:
        """The longest pause within any presence."""
        return max(self.gap, self.gap_vessel)

    def find(self, presences: Iterable[Presence], glimpse: Glimpse) -> Presence | None:
        """The nearest presence within reach, else the one that has the glimpse's track within ``roam``.

        Place goes before track, so that a stray place at a track's beginning does not part it from its party for good.
        A boat joins boats only, and follows its track any distance; who sits in it joins it by place. Boats that are
        known by their own fixes are never taken for one.
        """
        fits = [p for p in presences if (p.afloat or not glimpse.afloat) and self.in_time(p, glimpse)]
        if glimpse.by_fix:
            own = [p for p in fits if p.vessel == glimpse.device]
            if own:
                return own[-1]
            fits = [p for p in fits if p.vessel < 0]
        away = [(p.distance(glimpse), i) for i, p in enumerate(fits)]
        near = min(((d, i) for d, i in away if d <= self._reach(fits[i], glimpse)), default=None)
        if near is not None:
            return fits[near[1]]
        followed = [p for p in fits if glimpse.track and (glimpse.device, glimpse.track) in p.tracks]
        return next((p for p in followed if glimpse.afloat or p.distance(glimpse) <= self.roam), None)

    def _reach(self, presence: Presence, glimpse: Glimpse) -> float:
        return self.alongside if glimpse.by_fix or presence.vessel >= 0 else self.cluster

    def in_time(self, presence: Presence, glimpse: Glimpse) -> bool:
        """Whether the pause between them is short enough."""
        gap = self.gap_vessel if glimpse.by_fix or presence.vessel >= 0 else self.gap
        return glimpse.first - presence.last <= gap and presence.first - glimpse.last <= gap


class Book:
    """The presences since one moment."""

    def __init__(self, opened: int) -> None:
        self.opened = opened  # UTC µs
        self.presences: dict[str, list[Presence]] = {}  # by zone, in order of their first glimpse

    def enter(self, glimpses: Iterable[Glimpse], beat: int, joining: Joining) -> list[Presence]:
        """Take in the glimpses of one beat; returns the presences that they touched, each once."""
        touched: dict[int, Presence] = {}
        for glimpse in glimpses:
            known = self.presences.setdefault(glimpse.zone, [])
            presence = joining.find(known, glimpse)
            if not glimpse.labels:
                if presence is not None and presence.vessel == glimpse.device:
                    presence.against += 1
                continue
            if presence is None:
                known[:] = [p for p in known if glimpse.first - p.last <= joining.longest]
                place = (glimpse.zone, glimpse.afloat, glimpse.lon, glimpse.lat)
                presence = Presence(*place, first=glimpse.first, last=glimpse.last)
                known.append(presence)
            presence.add(glimpse, beat)
            touched[id(presence)] = presence
        return list(touched.values())


class Books:
    """The book that speaks, and the one that reads along."""

    def __init__(self, joining: Joining, epoch: int, carry: int) -> None:
        self.joining, self.epoch, self.carry = joining, epoch, carry
        self._books: dict[int, Book] = {}

    def enter(self, glimpses: list[Glimpse], beat: int) -> tuple[Book, list[Presence], list[Presence]]:
        """Take in the glimpses of one beat (UTC µs of its begin).

        Returns the book that speaks for this beat, the presences in it that were touched, and those touched in the
        other book, which must not be spoken of.
        """
        number = beat // self.epoch
        carried = beat < number * self.epoch + self.carry
        speaking = number - 1 if carried else number
        for old in [n for n in self._books if n < speaking]:
            del self._books[old]
        touched = {}
        for n in {speaking, number}:
            book = self._books.setdefault(n, Book(n * self.epoch))
            touched[n] = book.enter(glimpses, beat, self.joining)
        return self._books[speaking], touched[speaking], touched[number] if carried else []
