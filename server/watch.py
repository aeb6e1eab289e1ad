"""The watch: committed batches → detectors → triage → casebook. Everything it knows can be rebuilt from the store."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import numpy as np
import structlog
from prometheus_client import Gauge
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.duty import DutyMatrix
from alerts.rules import Rule
from detectors.base import Batch, reads, refold_memory
from detectors.visit_correction import refold
from detectors.visits import Visit, visit_rows
from devices.readings import FIX, SECOND, VISIT, joined_rows, rows
from devices.site import Site
from server.fold import KINDS, Fold, Found, LateGroup, LateReadings, Watcher, last_received
from server.refill import Behind, Refill, tiers
from server.waiting import AlreadyRead, Waiting, joined
from store.casebook import record_findings
from store.database import AWAY
from store.positions import catch_up
from store.readings import mark_suspects
from store.stretches import (
    first_after,
    last_before,
    late_spans,
    newest_received,
    stretches,
)
from store.upkeep import upkeep
from store.visits import strike_visits, visits_within, write_visits

log = structlog.get_logger()

WATCH_LAG = Gauge("patrolgrid_watch_lag_seconds", "From receiving the newest reading of a batch to its findings stored")

DETECTING: Final = ThreadPoolExecutor(1, "detecting")
"""Steps of the detectors run here, as they take long and others need the event loop meanwhile."""
SETTLED: Final = 60 * SECOND  # of event time, after which no detector waits for more of the same moment
BETWEEN_STEPS: Final = 0.1  # s at least
AT_ONCE: Final = 20_000  # readings, and at most one batch more
UNDER_WAY: Final = 10 * SECOND  # from receiving a reading to its commit, mostly
MOST_WAITING: Final = 500_000  # readings; some 30 MB, and the priming of a minute at 8,000 messages a second
LATE_AT_ONCE = 250  # devices whose late fixes are set right with all their fixes in memory
VISITS_EVERY: Final = 1.0  # seconds: with 100,000 terminals every step has somebody who comes or goes
REFOLD_EVERY = 10.0  # seconds; late readings of so long are folded again in one go
REFOLDED: Final = 600 * SECOND
"""How long ago late readings may have been received that are folded again at the start: who ended before may not have
come to them."""
AGAIN_AT_ONCE: Final = 50_000  # readings of a kind that are folded again at once: a live step may wait for that


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
        self._site, self._rules = site, [rule for rule in rules if rule.active]
        self._fold = Fold(site, rules)
        self._read = AlreadyRead()
        self._behind: list[Behind] = []
        self._folding = asyncio.Lock()  # held by who changes the live state
        self._refolding: asyncio.Task[None] | None = None
        self._refolded: dict[str, LateReadings] = {}  # what that is about
        self._stepped = self._saved = 0.0  # by the monotonic clock
        self._reload: tuple[Site, Sequence[Rule], DutyMatrix] | None = None

    def reload(self, site: Site, rules: Sequence[Rule], duty: DutyMatrix) -> None:
        """Take a changed site, rules and duty matrix before the next batch; the detectors' states are refilled."""
        self._reload = (site, rules, duty)

    async def run(self) -> None:
        """Prime from the store, then follow the batches until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            await self._follow(tasks)

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        await self._retrying(self.prime)
        refold_at = upkeep_at = clear_at = time.monotonic() + REFOLD_EVERY
        while True:
            batch = await self._next()
            if self._reload is not None:
                await self._stop_refolding()
                (self._site, rules, self.duty), self._reload = self._reload, None
                self._rules = [rule for rule in rules if rule.active]
                await self._retrying(self.prime)
            async with self._folding:
                await self._step(batch)
                if self._behind:
                    await self.advance()
            idle = self._refolding is None or self._refolding.done()
            if idle and self._fold.late and time.monotonic() >= refold_at:
                refold_at = time.monotonic() + REFOLD_EVERY
                self._refolding = tasks.create_task(self.refold(), name="refold")
            # What waits may tell that an alert goes on; so nothing clears meanwhile, but all else happens in its time.
            clear = self.batches.empty() and time.monotonic() >= clear_at
            if clear or time.monotonic() >= upkeep_at:
                upkeep_at = time.monotonic() + REFOLD_EVERY / 2
                clear_at = upkeep_at if clear else clear_at
                await self._retrying(partial(self._upkeep, clear))

    async def _next(self) -> Batch:
        """What has been committed since the last step; empty when that is nothing for a second, or if there is work to
        do meanwhile. Under load several batches are one step, so that what a step costs by itself is shared."""
        first = Batch()
        if not self._behind:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):  # wait_for() can swallow being cancelled
                    first = await self.batches.get()
        if len(first) or not self.batches.empty():
            await asyncio.sleep(max(0.0, self._stepped + BETWEEN_STEPS - time.monotonic()))
        self._stepped = time.monotonic()
        return joined([first, *self.batches.take(AT_ONCE)])

    async def _step(self, batch: Batch) -> None:
        """Fold a batch; or a tick, of a feed that is being heard and has nothing more to tell."""
        new, tick = self._read.without(batch), self.batches.empty() and self.listening()
        if not (len(batch) or tick):
            return
        now, visits, found = _now(), rows(VISIT), list[Found]()
        if len(new) or tick:
            found = await asyncio.get_running_loop().run_in_executor(DETECTING, self._fold.step, new, now)
            visits = self._fold.visited
        for behind in self._behind:
            behind.hold(batch, visits, now)
            if behind.full:
                behind.leave_to_store(now, self._since(now), now)
        if found or time.monotonic() >= self._saved + VISITS_EVERY:
            await self._retrying(partial(self._save, found))
        self._measure(new)

    # ── At the start ────────────────────────────────────────────────────────────────────────────────────────────────
    async def prime(self) -> None:
        """Refill the detectors' states from the store, and record what that shows.

        A worker that was killed between a commit and its findings loses nothing: the stretch is the one before the
        newest stored reading, and what is found again is known by its key. The pipeline goes on meanwhile; what of its
        batches is read here too is not folded again when they come. Detectors of a long memory come later, by
        :meth:`advance`.
        """
        started = time.perf_counter()
        self.primed, self._behind = False, []
        waits_since = min(_now() - SECOND, self.batches.oldest_received())
        self._read = AlreadyRead(waits_since)
        # What waits is stored, and read from there. A start that is broken off again and again would fill the queue
        # with it, and the pipeline wait.
        self.batches.clear()
        found, later, late = list[Found](), list[list[Rule]](), dict[str, LateReadings]()
        async with self.pool.connection() as conn:
            await catch_up(conn)  # what lags behind its fixes would look as if it had been quiet
            newest = await newest_received(conn)
            if newest is None:
                self._fold = Fold(self._site, self._rules)
            else:
                first, *later = tiers(self._rules)
                self._fold = Fold(self._site, first)
                refill = Refill(self._fold, newest, self._read)
                found = await refill.begin(conn)
                while not refill.done:
                    found += await refill.slice(conn)
                late = await self._late(conn, min(newest - REFOLDED, waits_since))
        for kind, readings in self._refolded.items():  # what was under way when the site changed
            late.setdefault(kind, LateReadings()).merge(readings)
        self._fold.late.clear()  # the store answers in event time: nothing in it is late
        self._fold.add_late(late)
        await self._save(found)
        self._read.end(now := _now())
        since = self._since(now)
        self._behind = [Behind(self._site, part, newest or 0, since, now, late) for part in later]
        self.primed = True
        log.info("watch_primed", findings=len(found), seconds=round(time.perf_counter() - started, 2))

    def _since(self, now: int) -> int:
        """What was received (UTC µs) from then on may be stored and come as a batch yet."""
        return min(now - UNDER_WAY, self.batches.oldest_received())

    async def _late(self, conn: AsyncConnection, since: int) -> dict[str, LateReadings]:
        """What came so late, and so shortly ago (UTC µs), that it is in no stretch that is read again, and may not have
        been folded again before the last worker ended."""
        site, late = self._site, dict[str, LateReadings]()
        mine = None if site.whole else [device.id for device in site.registry.devices]
        for kind, spans in (await late_spans(conn, since, mine)).items():
            for span in spans:
                late.setdefault(kind, LateReadings()).note(*span)
        return late

    @property
    def reading(self) -> list[str]:
        """The rules whose detectors still read the past."""
        return [rule.code for behind in self._behind for rule in behind.fold.rules]

    async def advance(self) -> None:
        """Take the detectors that still read the past one step on; those that are level with the others join them."""
        behind, found = self._behind[0], list[Found]()

        async def read() -> None:
            async with self.pool.connection() as conn:
                found.extend(await behind.advance(conn))

        await self._retrying(read)
        await self._retrying(partial(self._save, found))
        if behind.level:
            self._fold.join(behind.fold, [rule.code for rule in self._rules])
            del self._behind[0]
            log.info("detectors_joined", rules=[rule.code for rule in behind.fold.rules])

    # ── Late readings ───────────────────────────────────────────────────────────────────────────────────────────────
    async def refold(self) -> None:
        """Fold the stretches to which late readings belong again, from the store and from a fresh state, beside the
        live steps: where a whole county was cut off that takes minutes, and who calls for help then is not to wait."""
        started, findings = time.perf_counter(), 0
        async with self._folding:
            late, self._fold.late = self._fold.late, {}
        self._refolded = late
        for kind, readings in late.items():
            for group in readings.groups(apart=int(SETTLED)):
                found: list[Found] = []
                await self._retrying(partial(self._refold_group, kind, group, found))
                findings += len(found)
        self._refolded = {}
        seconds = round(time.perf_counter() - started, 2)
        log.info("late_readings_folded_again", kinds=sorted(late), findings=findings, seconds=seconds)

    async def _stop_refolding(self) -> None:
        if self._refolding is not None:
            self._refolding.cancel()
            await asyncio.wait([self._refolding])

    async def _refold_group(self, kind: str, group: LateGroup, found: list[Found]) -> None:
        found[:] = await self._again(kind, group)
        async with self._folding:
            await self._save(found)
        if kind == "fixes":
            for some in group.parts(LATE_AT_ONCE):
                async with self._folding:
                    await self._save([])  # the visits that are to be corrected are in the store then
                    told = await self._correct_visits(some)
                    await self._save(told)
                found += told

    async def _again(self, kind: str, group: LateGroup) -> list[Found]:
        """What the detectors of this kind of readings find in a late stretch, from fresh states."""
        site, loop = self._fold.site, asyncio.get_running_loop()
        chosen = [w for w in self._fold.watchers if not w.detector.by_reception and kind in reads(w.detector)]
        again = [Watcher.fresh(watcher.rule, watcher.detector, site) for watcher in chosen]
        begins = [group.since - int(refold_memory(watcher.detector) * SECOND) for watcher in chosen]
        kinds = [k for k in KINDS if any(k in reads(watcher.detector) for watcher in chosen)]
        found, now = list[Found](), 0
        if not chosen:
            return found
        # One terminal's late fixes and one sensor's late samples concern that device; what cameras say is judged
        # together.
        everybody = None if site.whole else [device.id for device in site.registry.devices]
        devices = everybody if kind == "sightings" else sorted(group.devices)

        def step(batch: Batch, now: int, until: int) -> None:
            for watcher, begin in zip(again, begins, strict=True):
                if until >= begin:
                    found.extend(watcher.step(batch, now, site))

        async with self.pool.connection() as conn:
            slices = stretches(conn, min(begins), group.until + 1, devices, kinds, limit=AGAIN_AT_ONCE)
            async for batch in slices:
                now = max(now, last_received(batch))
                newest = max(int(part["at"].max()) for part in (getattr(batch, k) for k in KINDS) if len(part))
                await loop.run_in_executor(DETECTING, step, batch, now, newest)
        # What is judged only when its moment is over is judged now.
        await loop.run_in_executor(DETECTING, step, Batch(), max(now, group.until) + SETTLED, group.until)
        return [(rule, finding) for rule, finding in found if finding.until >= group.since]

    async def _correct_visits(self, group: LateGroup) -> list[Found]:
        """Make the stored visits what they are with the late fixes, and tell those detectors that live on them."""
        fold, devices = self._fold, sorted(group.devices)
        memory = int(fold.visits.memory * SECOND)
        since, until = group.since - memory, group.until + 2 * memory
        async with self.pool.connection() as conn:
            stored = await visits_within(conn, since, until, devices)
            before = await last_before(conn, devices, since)
            parts = [b.fixes async for b in stretches(conn, since, until + 1, devices, ["fixes"])]
            fixes = joined_rows(FIX, [*parts, await first_after(conn, devices, until + 1)])
            fixes = fixes.take(np.lexsort((fixes["device"], fixes["at"])))
            known = fold.newest_fixes(devices)
            done = await asyncio.get_running_loop().run_in_executor(
                DETECTING, refold, fold.visits, fold.site, stored, before, fixes, known, (since, until)
            )
            async with conn.transaction():
                await strike_visits(conn, done.correction.struck)
                await write_visits(conn, done.correction.told)
        fold.visits.adopt(fold.stays, done.state, done.present, done.begun)
        struck = [visit._replace(left=-1) for visit in done.correction.struck]
        changes = struck + done.correction.told
        if not changes:
            return []
        visits, now = visit_rows(changes), _now()
        for behind in self._behind:
            behind.correct(visits, now)
        return fold.receive(Batch(visits=visits), now)

    # ── What is found ───────────────────────────────────────────────────────────────────────────────────────────────
    async def _save(self, found: list[Found]) -> None:
        told: list[Visit] = self._fold.told
        self._saved = time.monotonic()
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

    async def _upkeep(self, clear: bool) -> None:
        """What passing time does to alerts; those of all workers, so that one that is away leaves nothing undone."""
        site = self._fold.site if self._fold.site.whole else None
        async with self.pool.connection() as conn:
            await upkeep(conn, self._rules, datetime.now(UTC), site=site, duty=self.duty, clear=clear)

    async def _retrying(self, work: Callable[[], Any]) -> None:
        """Do it until the database lets us: detection waits, it is never skipped."""
        pause = 0.2
        while True:
            try:
                await work()
            except AWAY as error:
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
