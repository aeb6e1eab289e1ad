"""The detector contract: a fold over committed readings that returns findings and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, TypeVar

from devices.readings import FIX, SAMPLE, SIGHTING, VISIT, Rows, rows
from devices.site import Site

KINDS_OF_READINGS: Final = ("fixes", "sightings", "samples", "visits")
"""What a batch holds, by its fields' names."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Committed readings, each array of its dtype in :mod:`devices.readings`, in any order, without rejected ones."""

    fixes: Rows = field(default_factory=lambda: rows(FIX))
    sightings: Rows = field(default_factory=lambda: rows(SIGHTING))
    samples: Rows = field(default_factory=lambda: rows(SAMPLE))
    visits: Rows = field(default_factory=lambda: rows(VISIT))
    """Not readings but what the watch has derived from the fixes up to and with this batch: visits that began, ended
    or were corrected. At start a detector is given those that its ``memory`` reaches back to."""

    def __len__(self) -> int:
        return len(self.fixes) + len(self.sightings) + len(self.samples)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence that an officer can read: what was seen, where, for how long, against which threshold."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector saw. Findings of one (kind, subject, zone) that follow each other closely are one episode.

    ``since`` and ``until`` are UTC µs of event time and depend only on the readings, never on how they were cut into
    batches. ``evidence`` is JSON: ``{"geojson": FeatureCollection, "numbers": {...}}``.
    """

    kind: str
    subject: str  # a device code, or what stands for the thing seen
    zone: str  # a zone code, or ""
    since: int
    until: int
    lon: float
    lat: float
    score: float  # 0..1, how sure
    sentence: Sentence
    evidence: Mapping[str, Any]
    ends: bool = False
    """True: the episode is over, or late readings show that it never was (``sentence`` says which). Clears the alert;
    where there is none it changes nothing. Its ``until`` is no earlier than that of what it ends, and it comes after
    other findings of the same moment: an alert that was seen later than ``until`` has gone on, and is not cleared."""
    suspects: tuple[tuple[int, int], ...] = ()
    """Fixes (device id, at) that are not to be believed. They are kept and get ``Flag.SUSPECT``."""


State = TypeVar("State")


class Detector(Protocol[State]):
    """A frozen dataclass: its fields are its thresholds, so its signature is its configuration."""

    kind: ClassVar[str]
    by_reception: ClassVar[bool]
    """False: follows event time; readings older than their device's newest are kept from the live fold, and the
    stretch they belong to is folded again from the store. True: follows the order of arrival (liveness, SOS) and sees
    every reading once, late or not; it is never folded again."""

    @property
    def memory(self) -> float:
        """Seconds of stored readings that make a fresh state as good as one that never stopped."""
        ...

    def start(self, site: Site) -> State:
        """A fresh state, before any reading."""
        ...

    def step(self, state: State, batch: Batch, now: int, site: Site) -> Iterable[Finding]:
        """Fold ``batch`` into ``state`` and return what it shows.

        ``now`` (UTC µs) never goes back; an empty batch with a later ``now`` is a tick of a feed that is being listened
        to. Rows may be unsorted, repeated or NaN. ``site`` may be newer than at ``start`` and know more devices.
        """
        ...


def reads(detector: Detector[Any]) -> tuple[str, ...]:
    """Which stored readings a fresh state of the detector has to be filled with, and by whose late coming a stretch has
    to be folded again: its optional class variable ``reads``, some of :data:`KINDS_OF_READINGS`; without it all.

    A live batch holds all kinds all the same: other devices' readings say how far event time has come.
    """
    return tuple(getattr(detector, "reads", KINDS_OF_READINGS))


def refold_memory(detector: Detector[Any]) -> float:
    """Seconds of readings before a late one with which its stretch is folded again: the optional property
    ``refold_memory``, at most ``memory``, which is also the default.

    For detectors that learn what is usual over weeks: what a late reading shows is then judged by its thresholds alone.
    """
    return float(getattr(detector, "refold_memory", detector.memory))
