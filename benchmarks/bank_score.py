"""Alerts against the truth: which incidents were found, how soon, and which alerts had no cause. Pure."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from alerts.alert import Alert
from benchmarks.bank_replay import Raised
from detectors.geo import short_distance
from devices.readings import SECOND
from devices.site import micros
from simulators.truth import Episode

CAUSES: Final[Mapping[str, frozenset[str]]] = {
    "fishing_ban": frozenset({"fishing"}),
    "crowd": frozenset({"crowd", "rush", "gathering"}),
    "patrol_gap": frozenset({"missed_patrol"}),
    "route": frozenset({"off_route"}),
    "geofence": frozenset({"trespass", "strayed"}),
    "silence": frozenset({"silence", "outage", "battery"}),
    "sos": frozenset({"sos", "collapse"}),
    "spoofed_track": frozenset({"jump", "frozen", "carried_double", "replay"}),
    "hazard": frozenset({"high_water", "low_water", "fast_rise", "smoke", "stuck_sensor", "level_shift", "unusual"}),
}
"""Detector → the incidents (of :mod:`simulators.truth`) that it is there for."""
JUSTIFIED: Final[Mapping[str, frozenset[str]]] = {
    "hazard": frozenset({"swell", "set_right"}),
    "silence": frozenset({"lost_contact"}),
    "patrol_gap": frozenset({"late_patrol"}),  # a reminder while it was not done yet
}
"""Detector → what it may say something of, and need not: such alerts count neither way."""
BEFORE: Final = 90.0  # s by which an alert's span may begin before its incident: clocks, and what led up to it
AFTER: Final = 900.0  # s after an incident's end in which its alert may still begin
AFTER_LATE: Final = 180.0  # the same of a reminder: by then the patrol has been counted
DEADLINES: Final = frozenset({"missed_patrol"})
"""What is measured from its end, the window's: before it is negative."""
PARTS: Final = ("feed", "share", "area", "cell")  # how a subject begins that is many devices
NEAR: Final = 90.0  # m from an incident on the bank to what was found of it
NEAR_AFLOAT: Final = 400.0  # m, of a boat that works along its net


@dataclass(frozen=True, slots=True)
class Miss:
    """An incident that nothing was found of."""

    chapter: str
    seed: int
    episode: Episode


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """An alert without a cause. ``near`` names the harmless thing that went on there, if any."""

    chapter: str
    seed: int
    alert: Alert
    near: str


@dataclass(slots=True)
class Score:
    """One detector's count. ``waits``: seconds from an incident's beginning to its alert."""

    incidents: int = 0
    found: int = 0
    alerts: int = 0
    right: int = 0
    neither: int = 0  # alerts of what is in JUSTIFIED
    waits: list[float] = field(default_factory=list)
    kinds: dict[str, list[int]] = field(default_factory=dict)  # truth kind → [incidents, found]
    misses: list[Miss] = field(default_factory=list)
    false: list[FalseAlarm] = field(default_factory=list)

    @property
    def precision(self) -> float:
        """The share of alerts with a cause; NaN without alerts."""
        return self.right / self.alerts if self.alerts else math.nan

    @property
    def recall(self) -> float:
        """The share of incidents that were found; NaN without incidents."""
        return self.found / self.incidents if self.incidents else math.nan

    def wait(self, share: float) -> float:
        """A quantile of the time to detect, seconds; NaN without any."""
        if len(self.waits) < 2:
            return self.waits[0] if self.waits else math.nan
        return statistics.quantiles(self.waits, n=100, method="inclusive")[round(share * 100) - 1]

    def add(self, other: Score) -> None:
        """Take another world's count in."""
        self.incidents += other.incidents
        self.found += other.found
        self.alerts += other.alerts
        self.right += other.right
        self.neither += other.neither
        self.waits += other.waits
        self.misses += other.misses
        self.false += other.false
        for kind, (total, found) in other.kinds.items():
            count = self.kinds.setdefault(kind, [0, 0])
            count[0] += total
            count[1] += found


def score_world(
    chapter: str,
    seed: int,
    truth: Sequence[Episode],
    raised: Iterable[Raised],
    causes: Mapping[str, frozenset[str]] = CAUSES,
) -> dict[str, Score]:
    """Each detector's score in one world. An alert is right if it fits any incident of the detector's kinds; several
    alerts of one incident are all right, and the earliest gives the time."""
    scores: dict[str, Score] = {}
    everything = list(raised)
    for detector, kinds in causes.items():
        score = scores[detector] = Score()
        incidents = [episode for episode in truth if episode.kind in kinds]
        waits: dict[int, float] = {}
        for one in (r for r in everything if r.alert.kind == detector):
            fits = [i for i, episode in enumerate(incidents) if matches(one, episode)]
            allowed = JUSTIFIED.get(detector, frozenset())
            if not fits and any(e.kind in allowed and matches(one, e) for e in truth):
                score.neither += 1
                continue
            score.alerts += 1
            score.right += bool(fits)
            for i in fits:
                waits[i] = min(_wait(one.at, incidents[i]), waits.get(i, math.inf))
            if not fits:
                score.false.append(FalseAlarm(chapter, seed, one.alert, _beside(one, truth)))
        for i, episode in enumerate(incidents):
            score.incidents += 1
            score.found += i in waits
            count = score.kinds.setdefault(episode.kind, [0, 0])
            count[0] += 1
            count[1] += i in waits
            if i not in waits:
                score.misses.append(Miss(chapter, seed, episode))
        score.waits = list(waits.values())
    return scores


def _wait(at: int, episode: Episode) -> float:
    """Seconds from an incident's beginning, or from the end of its window, to an alert."""
    if episode.kind in DEADLINES:
        return (at - episode.until) / SECOND
    return max(0.0, (at - episode.since) / SECOND)


def matches(raised: Raised, episode: Episode) -> bool:
    """Whether an alert is of an episode: the time, the device or the zone, and for what has a place of its own the
    distance from where it was raised."""
    alert, at = raised.alert, raised.at
    first, last = micros(alert.first_seen), micros(alert.last_seen)
    after = AFTER_LATE if episode.kind == "late_patrol" else AFTER
    if last < episode.since - BEFORE * SECOND or first > episode.until + after * SECOND:
        return False
    if at < episode.since - BEFORE * SECOND and last < episode.since:
        return False  # over before; one that goes on tells of it
    of_many = episode.kind == "outage" and alert.subject.startswith(PARTS)
    if episode.subject and not of_many and not _same_subject(alert.subject, episode.subject):
        return False
    if alert.zone and episode.zone and alert.zone != episode.zone:
        return False
    if episode.kind == "fishing" and not episode.subject:
        limit = NEAR_AFLOAT if "boat" in episode.note else NEAR
        return bool(short_distance(raised.lon, raised.lat, episode.lon, episode.lat) <= limit)
    return True


def _same_subject(found: str, true: str) -> bool:
    """Whether two subjects have a device in common; each may name several, with any sign between them but - and _."""
    one, other = ({part for part in re.split(r"[^\w-]+", subject) if part} for subject in (found, true))
    return bool(one & other)


def _beside(raised: Raised, truth: Sequence[Episode]) -> str:
    """What went on at the time of a false alarm, for who looks into it."""
    alert = raised.alert
    return "; ".join(
        f"{episode.kind}{f' ({episode.note})' if episode.note else ''}"
        for episode in truth
        if _here(alert, episode) and matches(raised, replace(episode, subject=""))
    )


def _here(alert: Alert, episode: Episode) -> bool:
    """Whether it has anything to do with the alert's device or zone."""
    if episode.subject and _same_subject(alert.subject, episode.subject):
        return True
    return bool(episode.zone) and episode.zone == alert.zone
