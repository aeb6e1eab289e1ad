"""The watch: committed batches → detectors → triage → casebook. Everything it knows can be rebuilt from the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import numpy as np
import psycopg
import structlog
from prometheus_client import Gauge
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from alerts.duty import DutyMatrix
from alerts.rules import Rule
from detectors.base import Batch, reads, refold_memory
from detectors.visit_correction import refold
from detectors.visits import Visit, visit_rows
from devices.readings import SECOND
from devices.site import Site
from server.fold import KINDS, Fold, Found, LateGroup, Watcher, last_received
from server.waiting import AlreadyRead, Waiting
from store.casebook import record_findings
from store.readings import mark_suspects
from store.stretches import (
    StretchTooLong,
    first_after,
    last_before,
    last_positions,
    late_alarms,
    newest_received,
    next_slice,
    stretch,
    stretches,
)
from store.upkeep import upkeep
from store.visits import strike_visits, visits_spanning, visits_within, write_visits

log = structlog.get_logger()

WATCH_LAG = Gauge("patrolgrid_watch_lag_seconds", "From receiving the newest reading of a batch to its findings stored")

AHEAD: Final = 3600 * SECOND  # a device's clock may be ahead of ours; the pipeline refuses those that are further
SETTLED: Final = 60 * SECOND  # of event time, after which no detector waits for more of the same moment
FIRST: Final = 10 * SECOND  # of event time that is read at once, where it is not known yet how much there is
MOST_WAITING: Final = 500_000  # readings; some 30 MB, and the priming of a minute at 8,000 messages a second
REFOLD_EVERY = 10.0  # seconds; late readings of so long are folded again in one go


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
        self.batches = Waiting(MOST_WAITING)
        self.listening = listening
        self.primed = False
        self.duty = duty
        self._fold = Fold(site, rules)
        self._read = AlreadyRead()
        self._reload: tuple[Site, Sequence[Rule], DutyMatrix] | None = None

    def reload(self, site: Site, rules: Sequence[Rule], duty: DutyMatrix) -> None:
        """Take a changed site, rules and duty matrix before the next batch; the detectors' states are refilled."""
        self._reload = (site, rules, duty)

    async def run(self) -> None:
        """Prime from the store, then follow the batches until cancelled."""
        await self._retrying(self.prime)
        refold_at = upkeep_at = time.monotonic() + REFOLD_EVERY
        while True:
            try:
                batch = await asyncio.wait_for(self.batches.get(), timeout=1.0)
            except TimeoutError:
                batch = Batch()
            if self._reload is not None:
                (site, rules, self.duty), self._reload = self._reload, None
                self._fold = Fold(site, rules)
                await self._retrying(self.prime)
            batch = self._read.without(batch)
            if len(batch) or (self.batches.empty() and self.listening()):
                found = self._fold.step(batch, _now())
                await self._retrying(partial(self._save, found))
                self._measure(batch)
            if self._fold.late and time.monotonic() >= refold_at:
                refold_at = time.monotonic() + REFOLD_EVERY
                await self._retrying(self.refold)
            if self.batches.empty() and time.monotonic() >= upkeep_at:
                upkeep_at = time.monotonic() + REFOLD_EVERY / 2
                await self._retrying(self._upkeep)

    # ── At the start ────────────────────────────────────────────────────────────────────────────────────────────────
    async def prime(self) -> None:
        """Refill every detector's state from the store, and record what that shows.

        A worker that was killed between a commit and its findings loses nothing: the stretch is the one before the
        newest stored reading, and what is found again is known by its key. The pipeline goes on meanwhile; what of its
        batches is read here too is not folded again when they come.
        """
        started = time.perf_counter()
        self.primed = False
        self._read = AlreadyRead(min(_now() - SECOND, self.batches.oldest_received()))
        found = list[Found]()
        async with self.pool.connection() as conn:
            newest = await newest_received(conn)
            if newest is not None:
                found = await self._refilled(conn, newest)
        self._fold.late.clear()  # the store answers in event time: nothing in it is late
        await self._save(found)
        self._read.end(_now())
        self.primed = True
        log.info("watch_primed", findings=len(found), seconds=round(time.perf_counter() - started, 2))

    async def _refilled(self, conn: AsyncConnection, newest: int) -> list[Found]:
        """One fold over all that any detector remembers: each kind of reading from as far back as it is needed."""
        fold = self._fold
        since = newest - fold.reach("fixes")
        mine = None if fold.site.whole else [device.id for device in fold.site.registry.devices]
        fold.start_visits(await visits_spanning(conn, since, mine), since, await last_positions(conn))
        begin = newest - max(fold.reach(kind) for kind in (*KINDS, "visits"))
        known = await visits_within(conn, begin, newest + AHEAD, mine)
        alarms = await late_alarms(conn, newest - fold.alarm_reach(), mine)
        found = fold.recall(Batch(alarms, visits=visit_rows(known)), newest)
        now, length = begin, FIRST
        while begin < newest + AHEAD:
            kinds = [kind for kind in KINDS if begin >= newest - fold.reach(kind)]
            turns = [t for kind in KINDS if (t := newest - fold.reach(kind)) > begin]
            end = min([begin + length, *turns, newest + AHEAD])
            try:
                batch = await stretch(conn, begin, end, mine, kinds)
            except StretchTooLong:
                length = max(length // 8, SECOND)
                continue
            if len(batch):
                self._read.add(batch)
                now = max(now, last_received(batch))
                found += fold.refill(batch, now, newest - end)
            begin = end
            # Where little is stored, fewer and longer slices; from a turn on there are more kinds to read.
            length = FIRST if end in turns else next_slice(length, len(batch))
        return found

    # ── Late readings ───────────────────────────────────────────────────────────────────────────────────────────────
    async def refold(self) -> None:
        """Fold the stretches to which late readings belong again, from the store and from a fresh state."""
        late, found = dict(self._fold.late), list[Found]()
        for kind, stretch_ in late.items():
            for group in stretch_.groups(apart=int(SETTLED)):
                for watcher in self._fold.watchers:
                    if not watcher.detector.by_reception and kind in reads(watcher.detector):
                        found += await self._again(watcher, kind, group)
                if kind == "fixes":
                    await self._correct_visits(group, found)
        await self._save(found)
        self._fold.late.clear()
        log.info("late_readings_folded_again", kinds=sorted(late), findings=len(found))

    async def _again(self, watcher: Watcher, kind: str, group: LateGroup) -> list[Found]:
        """What one detector finds in a late stretch, from a fresh state."""
        site, found = self._fold.site, list[Found]()
        again = Watcher.fresh(watcher.rule, watcher.detector, site)
        # One terminal's late fixes and one sensor's late samples concern that device; what cameras say is judged
        # together.
        everybody = None if site.whole else [device.id for device in site.registry.devices]
        devices = everybody if kind == "sightings" else sorted(group.devices)
        kinds = [k for k in KINDS if k in reads(watcher.detector)]
        async with self.pool.connection() as conn:
            now, begin = 0, group.since - int(refold_memory(watcher.detector) * SECOND)
            async for batch in stretches(conn, begin, group.until + 1, devices, kinds):
                now = max(now, last_received(batch))
                found += again.step(batch, now, site)
        # What is judged only when its moment is over is judged now.
        found += again.step(Batch(), max(now, group.until) + SETTLED, site)
        return [(rule, finding) for rule, finding in found if finding.until >= group.since]

    async def _correct_visits(self, group: LateGroup, found: list[Found]) -> None:
        """Make the stored visits what they are with the late fixes, and tell those detectors that live on them."""
        fold, devices = self._fold, sorted(group.devices)
        memory = int(fold.visits.memory * SECOND)
        since, until = group.since - memory, group.until + 2 * memory
        async with self.pool.connection() as conn:
            stored = await visits_within(conn, since, until, devices)
            before = await last_before(conn, devices, since)
            parts = [b.fixes async for b in stretches(conn, since, until + 1, devices, ["fixes"])]
            fixes = np.concatenate([*parts, await first_after(conn, devices, until + 1)])
            fixes = fixes[np.lexsort((fixes["device"], fixes["at"]))]
            done = refold(fold.visits, fold.site, stored, before, fixes, fold.newest_fixes(devices), (since, until))
            async with conn.transaction():
                await strike_visits(conn, done.correction.struck)
                await write_visits(conn, done.correction.told)
        fold.visits.adopt(fold.stays, done.state, done.present, done.begun)
        struck = [visit._replace(left=-1) for visit in done.correction.struck]
        if changes := struck + done.correction.told:
            found += fold.receive(Batch(visits=visit_rows(changes)), _now())

    # ── What is found ───────────────────────────────────────────────────────────────────────────────────────────────
    async def _save(self, found: list[Found]) -> None:
        told: list[Visit] = self._fold.told
        if not found and not told:
            return
        async with self.pool.connection() as conn:
            await write_visits(conn, told)
            await mark_suspects(conn, (suspect for _, finding in found for suspect in finding.suspects))
            await conn.commit()
            told.clear()
            alerts = await record_findings(conn, found, site=self._fold.site, duty=self.duty, now=datetime.now(UTC))
        for alert in alerts:
            log.info("alert", rule=alert.rule, subject=alert.subject, zone=alert.zone, state=alert.state, id=alert.id)

    async def _upkeep(self) -> None:
        """What passing time does to alerts; those of all workers, so that one that is away leaves nothing undone."""
        site = self._fold.site if self._fold.site.whole else None
        async with self.pool.connection() as conn:
            await upkeep(conn, self._fold.rules, datetime.now(UTC), site=site, duty=self.duty)

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
            WATCH_LAG.set(max(0.0, (_now() - last_received(batch)) / SECOND))


def _now() -> int:
    return time.time_ns() // 1000
