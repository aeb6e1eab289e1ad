"""A worker: MQTT in, detection, cases, notices out, and the upkeep of what is stored."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from psycopg_pool import AsyncConnectionPool

from alerts.channels.apprise_channel import AppriseChannel
from alerts.channels.terminal import TerminalChannel
from alerts.duty import DutyMatrix
from alerts.notice import Channel
from alerts.rules import Rule
from detectors.base import Batch
from devices.site import Site
from ingest.listener import EVERYTHING, Listener
from ingest.pipeline import Pipeline
from server.deliver import deliver
from server.publisher import Publisher
from server.services import Addresses
from server.settings import Settings
from server.shards import Shard
from server.watch import Watch
from store.casebook import record_arrivals, record_command_ack, reoffer
from store.database import AWAY
from store.heat import count_hours
from store.readings import apply_retention
from store.supervision import remind_and_supervise

log = structlog.get_logger()

RETENTION_EVERY = 3600.0  # seconds
ARRIVALS_EVERY = 2.0
SUPERVISION_EVERY = 30.0
HEAT_EVERY = 60.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What the database says of the place: read at the start and again when it changes."""

    site: Site
    rules: list[Rule]
    duty: DutyMatrix
    shares: dict[str, int]  # the areas by which work is shared out, with their numbers

    def fingerprint(self) -> bytes:
        """The same for what was read twice and is the same; rarely another for it too, but never the same for what
        differs."""
        site, registry = self.site, self.site.registry
        facts = (site.name, site.name_en, site.areas, site.zones, site.units, site.plans, registry.devices)
        return hashlib.sha256(pickle.dumps((facts, self.rules, self.duty, self.shares))).digest()


class Worker:
    """All of one worker's parts, wired together. Nothing touches the network before :meth:`run`."""

    def __init__(
        self,
        settings: Settings,
        addresses: Addresses,
        pool: AsyncConnectionPool,
        publisher: Publisher,
        ground: Ground,
        writing: AsyncConnectionPool,
    ) -> None:
        """``writing`` is for the batches alone, ``pool`` for everything else."""
        site, self._shard = ground.site, Shard.parse(settings.shard)
        self._settings = settings
        filters, without = self._filters(ground.shares)
        self._pool = pool
        self._publisher = publisher
        self._listener = Listener(addresses.mqtt_url, self._shard.client(settings.worker), filters, without=without)
        part = self._shard.site(site, ground.shares)
        self._watch = Watch(pool, part, ground.rules, ground.duty, listening=self._listening)
        self._pipeline = Pipeline(
            self._listener,
            writing,
            site.registry,
            hand_on=self._hand_on,
            record_ack=record_command_ack,
            batch_size=settings.batch_size,
            future_limit=settings.future_limit,
            backfill_days=settings.backfill_days,
        )

    async def run(self) -> None:
        """Run all parts until cancelled; one that fails ends the worker, loudly."""
        channels: dict[str, Channel] = {
            "terminal": TerminalChannel(self._publisher.publish),
            "apprise": AppriseChannel(),
        }
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch.run(), name="watch")
            tasks.create_task(self._pipeline.run(), name="pipeline")
            tasks.create_task(deliver(self._pool, channels), name="deliver")
            tasks.create_task(self._notice_arrivals(), name="arrivals")
            tasks.create_task(self._supervise(), name="supervision")
            tasks.create_task(self._keep(), name="retention")
            tasks.create_task(self._count_hours(), name="heat map")

    def reload(self, ground: Ground) -> None:
        """Take a changed site before the next batch, and the areas that are now ours."""
        self._watch.reload(self._shard.site(ground.site, ground.shares), ground.rules, ground.duty)
        self._pipeline.registry = ground.site.registry
        self._listener.follow(*self._filters(ground.shares))

    def _filters(self, shares: Mapping[str, int]) -> tuple[list[str], list[str]]:
        """What to subscribe to, and what not any more."""
        filters, without = self._shard.filters(shares)
        return ([EVERYTHING], [*filters, *without]) if self._settings.subscribe_all else (filters, without)

    def checks(self) -> list[tuple[str, bool, str]]:
        """What readiness rests on: the broker is heard, the detectors know the past, the database takes batches."""
        return [
            ("broker", self._listener.connected, "connected" if self._listener.connected else "not connected"),
            ("detectors", self._watch.primed, self._detectors()),
            ("commits", self._pipeline.storing, "storing" if self._pipeline.storing else "the database takes nothing"),
        ]

    def _detectors(self) -> str:
        if not self._watch.primed:
            return "reading the last stretch"
        return "primed" + "".join(f"; {rule} reads the past" for rule in self._watch.reading)

    def _listening(self) -> bool:
        """Whether all that devices sent has reached the detectors; only then does time that passes mean anything."""
        return self._listener.steady and self._pipeline.storing and self._pipeline.idle

    async def _hand_on(self, batch: Batch) -> None:
        await self._watch.batches.put(batch)

    async def _notice_arrivals(self) -> None:
        """Write arrivals into the timelines, and offer orders that nobody takes to the next terminal."""
        while True:
            try:
                async with self._pool.connection() as conn:
                    await record_arrivals(conn)
                async with self._pool.connection() as conn:
                    await reoffer(conn, patience=self._settings.dispatch_patience)
            except AWAY as error:
                log.warning("arrivals_wait_for_database", error=str(error).strip())
            await asyncio.sleep(ARRIVALS_EVERY)

    async def _supervise(self) -> None:
        """Remind of deadlines, and supervise what is overdue."""
        while True:
            try:
                async with self._pool.connection() as conn:
                    await remind_and_supervise(conn)
            except AWAY as error:
                log.warning("supervision_waits_for_database", error=str(error).strip())
            await asyncio.sleep(SUPERVISION_EVERY)

    async def _keep(self) -> None:
        """Apply retention now and every hour; what it removed is in the log."""
        settings = self._settings
        while True:
            try:
                async with self._pool.connection() as conn:
                    removed = await apply_retention(
                        conn, settings.fix_days, settings.snapshot_days, settings.reject_days
                    )
                log.info("retention_applied", removed=removed)
            except AWAY as error:
                log.warning("retention_waits_for_database", error=str(error).strip())
            await asyncio.sleep(RETENTION_EVERY)

    async def _count_hours(self) -> None:
        """Roll up for the heat map what hours are over, a few at a time."""
        while True:
            try:
                async with self._pool.connection() as conn:
                    counted = await count_hours(conn, self._settings.fix_days)
                if counted:
                    log.info("hours_counted", hours=[hour.isoformat() for hour in counted])
            except AWAY as error:
                log.warning("heat_map_waits_for_database", error=str(error).strip())
            await asyncio.sleep(HEAT_EVERY)
