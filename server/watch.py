"""The watch: committed batches → detectors → triage → casebook. Everything it knows can be rebuilt from the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
import structlog
from numpy.typing import NDArray
from prometheus_client import Counter, Gauge, Histogram
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from alerts.duty import DutyMatrix
from alerts.rules import Rule, build_detector
from detectors.base import Batch, Detector, Finding
from detectors.visits import Visit, Visits
from devices.readings import SECOND, Rows
from devices.site import Site
from store.casebook import clear_quiet, record_findings
from store.stretches import last_positions, late_alarms, newest_received, stretches
from store.visits import visits_spanning, write_visits

log = structlog.get_logger()

DETECTOR_SECONDS = Histogram(
    "patrolgrid_detector_seconds",
    "Time of one detector's step over one batch",
    ["detector"],
    buckets=(0.0001, 0.001, 0.005, 0.02, 0.1, 0.5, 2),
)
FINDINGS = Counter("patrolgrid_findings_total", "Findings by rule", ["rule"])
WATCH_LAG = Gauge("patrolgrid_watch_lag_seconds", "From receiving the newest reading of a batch to its findings stored")

Found = tuple[Rule, Finding]
AHEAD = 3600 * SECOND  # a device's clock may be ahead of ours; the pipeline refuses those that are further
SETTLED = 60 * SECOND  # of event time, after which no detector waits for more of the same moment
REFOLD_EVERY = 10.0  # seconds; late readings of so long are folded again in one go


@dataclass(slots=True)
class Watcher:
    """One rule with its detector and the detector's present state."""

    rule: Rule
    detector: Detector[Any]
    state: Any

    def step(self, batch: Batch, now: int, site: Site) -> list[Found]:
        """The findings of one step, each with the rule it was found under."""
        with DETECTOR_SECONDS.labels(self.detector.kind).time():
            findings = [(self.rule, finding) for finding in self.detector.step(self.state, batch, now, site)]
        if findings:
            FINDINGS.labels(self.rule.code).inc(len(findings))
        return findings


@dataclass(slots=True)
class LateStretch:
    """What arrived late since the last refold: the devices and the event time that it spans."""

    devices: set[int] = field(default_factory=set)
    since: int = np.iinfo(np.int64).max
    until: int = np.iinfo(np.int64).min

    def add(self, rows: Rows) -> None:
        """Note late rows of one kind."""
        self.devices.update(np.unique(rows["device"]).tolist())
        self.since = min(self.since, int(rows["at"].min()))
        self.until = max(self.until, int(rows["at"].max()))


def split_late(rows: Rows, newest: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """Rows in event-time order, and those not newer than what their device had sent before this batch.

    ``newest`` (UTC µs by device id) is moved forward in place.
    """
    if not len(rows):
        return rows, rows
    late = rows["at"] <= newest[rows["device"]]
    on_time = rows[~late]
    np.maximum.at(newest, on_time["device"], on_time["at"])
    return on_time, rows[late]


class Watch:
    """Folds every committed batch through all rules' detectors and records what they find.

    ``listening`` says whether the feed is being heard right now: only then does the passing of time mean anything, so
    only then do the time-driven detectors get a tick.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool,
        site: Site,
        rules: Sequence[Rule],
        duty: DutyMatrix,
        listening: Callable[[], bool],
    ) -> None:
        self.pool = pool
        self.batches: asyncio.Queue[Batch] = asyncio.Queue(maxsize=4)
        self.listening = listening
        self.primed = False
        self._late: dict[str, LateStretch] = {}
        self._reload: tuple[Site, Sequence[Rule], DutyMatrix] | None = None
        self._equip(site, rules, duty)

    def _equip(self, site: Site, rules: Sequence[Rule], duty: DutyMatrix) -> None:
        self.site, self.duty = site, duty
        self.rules = [rule for rule in rules if rule.active]
        self.watchers = []
        for rule in self.rules:
            detector = build_detector(rule)
            self.watchers.append(Watcher(rule, detector, detector.start(site)))
        self._visits = Visits()
        self._visited: list[Visit] = []
        self._stays = self._visits.start(site)
        self._newest = {kind: np.zeros(site.registry.size, np.int64) for kind in ("fixes", "sightings", "samples")}

    def reload(self, site: Site, rules: Sequence[Rule], duty: DutyMatrix) -> None:
        """Take a changed site, rules and duty matrix before the next batch; the detectors' states are refilled."""
        self._reload = (site, rules, duty)

    async def run(self) -> None:
        """Prime from the store, then follow the batches until cancelled."""
        await self._retrying(self.prime)
        refold_at = clear_at = time.monotonic() + REFOLD_EVERY
        while True:
            try:
                batch = await asyncio.wait_for(self.batches.get(), timeout=1.0)
            except TimeoutError:
                batch = Batch()
            if self._reload is not None:
                (site, rules, duty), self._reload = self._reload, None
                self._equip(site, rules, duty)
                await self._retrying(self.prime)
            if len(batch) or (self.batches.empty() and self.listening()):
                await self._record(self.fold(batch, _now()))
                self._measure(batch)
            if self._late and time.monotonic() >= refold_at:
                refold_at = time.monotonic() + REFOLD_EVERY
                await self._retrying(self.refold)
            if self.batches.empty() and time.monotonic() >= clear_at:
                clear_at = time.monotonic() + REFOLD_EVERY / 2
                await self._retrying(self._clear)

    def fold(self, batch: Batch, now: int) -> list[Found]:
        """One live step of every detector. Late rows go to those that follow reception; the others fold them later."""
        arrays = {"fixes": batch.fixes, "sightings": batch.sightings, "samples": batch.samples}
        on_time = {}
        for kind, rows in arrays.items():
            self._newest[kind] = _grown(self._newest[kind], rows)
            on_time[kind], late = split_late(rows, self._newest[kind])
            if len(late):
                self._late.setdefault(kind, LateStretch()).add(late)
        punctual = Batch(**on_time)
        found: list[Found] = []
        for watcher in self.watchers:
            found += watcher.step(batch if watcher.detector.by_reception else punctual, now, self.site)
        self._visited += self._visits.step(self._stays, punctual.fixes, self.site)
        return found

    def _by_reception(self, batch: Batch, now: int) -> list[Found]:
        found: list[Found] = []
        for watcher in self.watchers:
            if watcher.detector.by_reception and len(batch):
                found += watcher.step(batch, now, self.site)
        return found

    async def prime(self) -> None:
        """Refill every detector's state from the store, and record what that shows.

        A worker that was killed between a commit and its findings loses nothing: the stretch is the one before the
        newest stored reading, and what is found again is known by its key.
        """
        started = time.perf_counter()
        self.primed = False
        memory = int(max(self._visits.memory, *(w.detector.memory for w in self.watchers)) * SECOND)
        rows, now, found = 0, 0, list[Found]()
        async with self.pool.connection() as conn:
            newest = await newest_received(conn)
            if newest is not None:
                since = newest - memory
                stays = await visits_spanning(conn, since)
                self._stays = self._visits.start(self.site, stays, since, await last_positions(conn))
                late = Batch(fixes=await late_alarms(conn, since))
                found += self._by_reception(late, since)
                async for batch in stretches(conn, since, newest + AHEAD):
                    rows, now = rows + len(batch), max(now, _last_received(batch))
                    found += self.fold(batch, now)
        self._late.clear()  # the store answers in event time: nothing in it is late
        await self._save(found)
        self.primed = True
        log.info("watch_primed", readings=rows, findings=len(found), seconds=round(time.perf_counter() - started, 2))

    async def refold(self) -> None:
        """Fold the stretches to which late readings belong again, from the store and from a fresh state."""
        late, found = dict(self._late), list[Found]()
        for watcher in self.watchers:
            if watcher.detector.by_reception:
                continue
            memory = int(watcher.detector.memory * SECOND)
            for kind, span in late.items():
                # One terminal's late fixes concern that terminal; what cameras and sensors say is judged together.
                devices = sorted(span.devices) if kind == "fixes" else None
                state = watcher.detector.start(self.site)
                again = Watcher(watcher.rule, watcher.detector, state)
                async with self.pool.connection() as conn:
                    now = 0
                    async for batch in stretches(conn, span.since - memory, span.until + 1, devices):
                        now = max(now, _last_received(batch))
                        found += again.step(batch, now, self.site)
                # What is judged only when its moment is over is judged now.
                found += again.step(Batch(), max(now, span.until) + SETTLED, self.site)
        await self._save([(rule, f) for rule, f in found if f.until >= min(s.since for s in late.values())])
        self._late.clear()
        log.info("late_readings_folded_again", kinds=sorted(late), findings=len(found))

    async def _record(self, found: list[Found]) -> None:
        if found or self._visited:
            await self._retrying(lambda: self._save(found))

    async def _save(self, found: list[Found]) -> None:
        if not found and not self._visited:
            return
        async with self.pool.connection() as conn:
            await write_visits(conn, self._visited)
            await conn.commit()
            self._visited.clear()
            alerts = await record_findings(conn, found, site=self.site, duty=self.duty, now=datetime.now(UTC))
        for alert in alerts:
            log.info("alert", rule=alert.rule, subject=alert.subject, zone=alert.zone, state=alert.state, id=alert.id)

    async def _clear(self) -> None:
        async with self.pool.connection() as conn:
            await clear_quiet(conn, self.rules, datetime.now(UTC))

    async def _retrying(self, work: Callable[[], Any]) -> None:
        """Do it until the database lets us: detection waits, it is never skipped."""
        pause = 0.2
        while True:
            try:
                await work()
            except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
                log.warning("watch_waits_for_database", error=str(error).strip(), again_in=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                return

    def _measure(self, batch: Batch) -> None:
        if len(batch):
            WATCH_LAG.set(max(0.0, (_now() - _last_received(batch)) / SECOND))


def _grown(newest: NDArray[np.int64], rows: Rows) -> NDArray[np.int64]:
    missing = int(rows["device"].max(initial=-1)) + 1 - len(newest)
    return np.append(newest, np.zeros(missing, np.int64)) if missing > 0 else newest


def _last_received(batch: Batch) -> int:
    return max(int(rows["received"].max()) for rows in (batch.fixes, batch.sightings, batch.samples) if len(rows))


def _now() -> int:
    return time.time_ns() // 1000
