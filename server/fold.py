"""The fold: committed batches through the visits and every rule's detector. Pure: no database, no clock of its own.

The watch feeds it what is committed, a backtest what is stored; the same readings give the same findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter, Histogram

from alerts.rules import Rule, build_detector
from detectors.base import Batch, Detector, Finding, reads
from detectors.visits import Visit, Visits, visit_rows
from devices.readings import SECOND, VISIT, Rows, rows
from devices.site import Site

DETECTOR_SECONDS = Histogram(
    "patrolgrid_detector_seconds",
    "Time of one detector's step over one batch",
    ["detector"],
    buckets=(0.0001, 0.001, 0.005, 0.02, 0.1, 0.5, 2),
)
FINDINGS = Counter("patrolgrid_findings_total", "Findings by rule", ["rule"])

Found = tuple[Rule, Finding]
KINDS: Final = ("fixes", "sightings", "samples")


@dataclass(slots=True)
class Watcher:
    """One rule with its detector and the detector's present state."""

    rule: Rule
    detector: Detector[Any]
    state: Any

    @classmethod
    def fresh(cls, rule: Rule, detector: Detector[Any], site: Site) -> Watcher:
        """Before any reading."""
        return cls(rule, detector, detector.start(site))

    @property
    def memory(self) -> int:
        """µs of stored readings that make its state as good as one that never stopped."""
        return int(self.detector.memory * SECOND)

    def step(self, batch: Batch, now: int, site: Site) -> list[Found]:
        """The findings of one step, each with the rule it was found under."""
        with DETECTOR_SECONDS.labels(self.detector.kind).time():
            findings = [(self.rule, finding) for finding in self.detector.step(self.state, batch, now, site)]
        if findings:
            FINDINGS.labels(self.rule.code).inc(len(findings))
        return findings


class LateGroup(NamedTuple):
    """Late readings that are folded again together."""

    devices: set[int]
    since: int  # UTC µs of the oldest
    until: int  # and of the newest

    def parts(self, most: int) -> Iterator[LateGroup]:
        """The same stretch for so many devices at a time."""
        devices = sorted(self.devices)
        for at in range(0, len(devices), most):
            yield self._replace(devices=set(devices[at : at + most]))


@dataclass(slots=True)
class LateReadings:
    """What arrived late since the last refold: of each device (id) the event time that it spans, UTC µs."""

    spans: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, rows: Rows) -> None:
        """Note late rows of one kind."""
        order = np.argsort(rows["device"], kind="stable")
        device, at = rows["device"][order], rows["at"][order]
        first = np.flatnonzero(np.append(True, np.diff(device) != 0)[: len(device)])
        oldest, newest = (bound.reduceat(at, first) for bound in (np.minimum, np.maximum))
        for span in zip(device[first].tolist(), oldest.tolist(), newest.tolist(), strict=True):
            self.note(*span)

    def merge(self, other: LateReadings) -> None:
        """Note what another has noted."""
        for device, span in other.spans.items():
            self.note(device, *span)

    def note(self, device: int, since: int, until: int) -> None:
        """Note that readings of a device are late that are of these moments (UTC µs)."""
        first, last = self.spans.get(device, (since, until))
        self.spans[device] = (min(first, since), max(last, until))

    def groups(self, apart: int) -> list[LateGroup]:
        """The devices whose spans overlap or lie at most ``apart`` µs from each other, in order of time."""
        groups: list[LateGroup] = []
        for device, (since, until) in sorted(self.spans.items(), key=lambda item: item[1]):
            if groups and since <= groups[-1].until + apart:
                last = groups[-1]
                groups[-1] = LateGroup(last.devices | {device}, last.since, max(last.until, until))
            else:
                groups.append(LateGroup({device}, since, until))
        return groups


class Fold:
    """The state of all active rules' detectors and of the visits, on one site.

    Without ``derives`` the visits are another fold's: they are stored by the time of :meth:`recall`, and come with each
    batch afterwards.
    """

    def __init__(self, site: Site, rules: Sequence[Rule], *, derives: bool = True) -> None:
        self.site = site
        self.derives = derives
        self.rules = [rule for rule in rules if rule.active]
        self.watchers = [Watcher.fresh(rule, build_detector(rule), site) for rule in self.rules]
        self.visits = Visits()
        self.stays = self.visits.start(site)
        self.told: list[Visit] = []
        """The visits told since somebody emptied the list: for the store."""
        self.visited: Rows = rows(VISIT)
        """The visits of the last step."""
        self.late: dict[str, LateReadings] = {}
        self._newest = {kind: np.zeros(site.registry.size, np.int64) for kind in KINDS}

    def step(self, batch: Batch, now: int, visits: Rows | None = None) -> list[Found]:
        """One live step of every detector. Late rows go to those that follow reception, and are noted in
        :attr:`late` for the others; ``now`` is UTC µs. ``visits``: those of another fold, of dtype VISIT."""
        punctual = self._punctual(batch)
        self.visited = visits = self._visit_rows(punctual) if visits is None else visits
        everything = Batch(batch.fixes, batch.sightings, batch.samples, visits)
        punctual = Batch(punctual.fixes, punctual.sightings, punctual.samples, visits)
        return self._each(self.watchers, lambda watcher: everything if watcher.detector.by_reception else punctual, now)

    def refill(self, batch: Batch, now: int, age: int) -> list[Found]:
        """One step over a stored stretch that ended ``age`` µs before the newest stored reading: only of the detectors
        that remember so far back. :meth:`reach` says how far that is for each kind of reading."""
        punctual = self._punctual(batch)
        visits = self._visit_rows(punctual) if self.derives and age < self.reach("fixes") else rows(VISIT)
        mindful = [watcher for watcher in self.watchers if age < watcher.memory]
        some = Batch(batch.fixes, batch.sightings, batch.samples, visits)
        return self._each(mindful, lambda _: some, now)

    def start_visits(self, stays: Iterable[Visit], since: int, last_positions: Rows) -> None:
        """Before :meth:`refill`: the stored visits, those that span ``since`` (UTC µs), where the stretch of fixes will
        begin, and the last positions."""
        self.stays = self.visits.start(self.site, stays, since, last_positions)

    def newest_fixes(self, devices: Iterable[int]) -> dict[int, int]:
        """How far (UTC µs of its newest fix) the fold has come with each of some devices."""
        newest = self.stays.newest
        return {device: int(newest[device]) for device in devices if device < len(newest)}

    def reach(self, kind: str) -> int:
        """How far back (µs) stored readings of a kind are needed to refill all states."""
        memories = [w.memory for w in self.watchers if kind in reads(w.detector)]
        if kind == "fixes" and self.derives:
            memories.append(int(self.visits.memory * SECOND))
        return max(memories, default=0)

    def join(self, other: Fold, order: Sequence[str]) -> None:
        """Take over the watchers of another fold that has come as far, in the ``order`` of the rules' codes."""
        self.watchers = sorted([*self.watchers, *other.watchers], key=lambda w: order.index(w.rule.code))
        self.rules = [watcher.rule for watcher in self.watchers]
        self.add_late(other.late)

    def add_late(self, late: Mapping[str, LateReadings]) -> None:
        """Note by kind what is late besides what this fold has seen itself."""
        for kind, readings in late.items():
            self.late.setdefault(kind, LateReadings()).merge(readings)

    def alarm_reach(self) -> int:
        """How far back (µs) :meth:`refill` lets every detector that follows reception see all alarms."""
        followers = [w.memory for w in self.watchers if w.detector.by_reception and "fixes" in reads(w.detector)]
        return min(followers, default=0)

    def receive(self, batch: Batch, now: int) -> list[Found]:
        """One step of the detectors that follow reception alone: of corrected visits."""
        return self._each([w for w in self.watchers if w.detector.by_reception], lambda _: batch, now)

    def recall(self, batch: Batch, newest: int) -> list[Found]:
        """Before :meth:`refill`, for the same detectors: stored visits and late alarms. Each takes them as of the
        beginning of its own memory before the ``newest`` reading (UTC µs)."""
        found: list[Found] = []
        for watcher in self.watchers:
            if watcher.detector.by_reception:
                found += watcher.step(batch, newest - watcher.memory, self.site)
        return found

    def _each(self, watchers: Iterable[Watcher], share: Callable[[Watcher], Batch], now: int) -> list[Found]:
        found: list[Found] = []
        for watcher in watchers:
            found += watcher.step(share(watcher), now, self.site)
        return found

    def _punctual(self, batch: Batch) -> Batch:
        on_time = []
        for kind in KINDS:
            arrived: Rows = getattr(batch, kind)
            self._newest[kind] = _grown(self._newest[kind], arrived)
            punctual, late = split_late(arrived, self._newest[kind])
            if len(late):
                self.late.setdefault(kind, LateReadings()).add(late)
            on_time.append(punctual)
        return Batch(*on_time)

    def _visit_rows(self, punctual: Batch) -> Rows:
        told = self.visits.step(self.stays, punctual.fixes, self.site)
        self.told += told
        return visit_rows(told)


def split_late(rows: Rows, newest: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """Rows in event-time order, and those not newer than what their device had sent before this batch.

    ``newest`` (UTC µs by device id) is moved forward in place.
    """
    if not len(rows):
        return rows, rows
    device, at = rows["device"].astype(np.intp), rows["at"].copy()  # whole columns: three times as fast
    late = at <= newest[device]
    np.maximum.at(newest, device, at)
    return (rows.compress(~late), rows.compress(late)) if late.any() else (rows, rows[:0])


def last_received(batch: Batch) -> int:
    """When (UTC µs) the newest of the batch's readings arrived; the batch must hold one."""
    return max(int(rows["received"].max()) for rows in (batch.fixes, batch.sightings, batch.samples) if len(rows))


def _grown(newest: NDArray[np.int64], rows: Rows) -> NDArray[np.int64]:
    missing = int(rows["device"].max(initial=-1)) + 1 - len(newest)
    return np.append(newest, np.zeros(missing, np.int64)) if missing > 0 else newest
