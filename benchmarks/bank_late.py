"""What comes late in a replayed world: kept readings of which a stretch is folded again, as the watch does it.

The same parts as in :mod:`server.watch`, with memory in place of the store; the stretch is fed in one step.
"""

from __future__ import annotations

import numpy as np

from detectors.base import Batch, reads, refold_memory
from detectors.visit_correction import refold
from detectors.visits import Visit, visit_rows
from devices.readings import SECOND, Rows, rows
from server.fold import KINDS, Fold, Found, LateGroup, Watcher, last_received
from server.watch import SETTLED


class Late:
    """All that has arrived so far, and the visits told, in memory in place of the store."""

    def __init__(self, fold: Fold) -> None:
        self.fold = fold
        self._parts: dict[str, list[Rows]] = {kind: [] for kind in KINDS}
        self._visits: dict[tuple[int, str, int], Visit] = {}

    def keep(self, batch: Batch) -> None:
        """Store a batch."""
        for kind in KINDS:
            if len(part := getattr(batch, kind)):
                self._parts[kind].append(part)

    def note_visits(self) -> None:
        """Store the visits that the fold has told."""
        for visit in self.fold.told:
            self._visits[visit.device, visit.zone, visit.entered] = visit
        self.fold.told.clear()

    def refold(self, now: int) -> list[Found]:
        """Fold the stretches to which late readings belong again; ``now`` is UTC µs of our clock."""
        late, found = dict(self.fold.late), list[Found]()
        for kind, readings in late.items():
            for group in readings.groups(apart=int(SETTLED)):
                for watcher in self.fold.watchers:
                    if not watcher.detector.by_reception and kind in reads(watcher.detector):
                        found += self._again(watcher, kind, group)
                if kind == "fixes":
                    found += self._correct_visits(group, now)
        self.fold.late.clear()
        return found

    def _again(self, watcher: Watcher, kind: str, group: LateGroup) -> list[Found]:
        again = Watcher.fresh(watcher.rule, watcher.detector, self.fold.site)
        devices = None if kind == "sightings" else sorted(group.devices)
        begin = group.since - int(refold_memory(watcher.detector) * SECOND)
        parts = [
            self._stretch(k, begin, group.until + 1, devices) if k in reads(watcher.detector) else self._none(k)
            for k in KINDS
        ]
        batch, found = Batch(*parts), list[Found]()
        now = group.until
        if len(batch):
            now = max(now, last_received(batch))
            found += again.step(batch, now, self.fold.site)
        found += again.step(Batch(), now + SETTLED, self.fold.site)
        return [(rule, finding) for rule, finding in found if finding.until >= group.since]

    def _correct_visits(self, group: LateGroup, now: int) -> list[Found]:
        fold, devices = self.fold, sorted(group.devices)
        memory = int(fold.visits.memory * SECOND)
        since, until = group.since - memory, group.until + 2 * memory
        stored = sorted(
            (v for v in self._visits.values()
             if v.device in group.devices and v.entered <= until and (v.left is None or v.left > since)),
            key=lambda v: (v.entered, v.device, v.zone),
        )  # fmt: skip
        before = self._outermost(self._stretch("fixes", 0, since, devices), last=True)
        after = self._outermost(self._stretch("fixes", until + 1, 1 << 62, devices), last=False)
        fixes = np.concatenate([self._stretch("fixes", since, until + 1, devices), after])
        fixes = fixes[np.lexsort((fixes["device"], fixes["at"]))]
        done = refold(fold.visits, fold.site, stored, before, fixes, fold.newest_fixes(devices), (since, until))
        for visit in done.correction.struck:
            self._visits.pop((visit.device, visit.zone, visit.entered), None)
        for visit in done.correction.told:
            self._visits[visit.device, visit.zone, visit.entered] = visit
        fold.visits.adopt(fold.stays, done.state, done.present, done.begun)
        changes = [visit._replace(left=-1) for visit in done.correction.struck] + done.correction.told
        return fold.receive(Batch(visits=visit_rows(changes)), now) if changes else []

    def _stretch(self, kind: str, since: int, until: int, devices: list[int] | None) -> Rows:
        """What was kept of a kind with ``since <= at < until``, by time and device."""
        if not self._parts[kind]:
            return self._none(kind)
        whole = np.concatenate(self._parts[kind])
        self._parts[kind] = [whole]
        chosen = (whole["at"] >= since) & (whole["at"] < until)
        if devices is not None:
            chosen &= np.isin(whole["device"], devices)
        some = whole[chosen]
        ordered: Rows = some[np.lexsort((some["device"], some["at"]))]
        return ordered

    @staticmethod
    def _outermost(ordered: Rows, *, last: bool) -> Rows:
        """Of rows in order of time the last (or first) of each device."""
        turned = ordered[::-1] if last else ordered
        _, first = np.unique(turned["device"], return_index=True)
        chosen: Rows = turned[first]
        return chosen

    @staticmethod
    def _none(kind: str) -> Rows:
        return rows(getattr(Batch(), kind).dtype)
