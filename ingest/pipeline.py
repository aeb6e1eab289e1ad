"""From messages to committed readings. The order of the steps is :data:`STEPS`, at the end of this file.

A message is acknowledged once its readings or its reject are committed, never before. A database that is away is tried
again for ever, and what is unacknowledged meanwhile waits at the broker. A batch that is refused for what is in it is
halved until the offending message is alone; that one becomes a reject.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import psycopg
import structlog
from prometheus_client import Counter, Histogram
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from detectors.base import Batch
from devices.readings import SECOND
from devices.registry import Registry
from ingest.express import express
from ingest.listener import Listener
from ingest.messages import Message
from ingest.steps import check_area, check_place, check_time, decode, join, resolve, sort
from ingest.work import Directory, Work
from store.lanes import MANY, Lanes
from store.positions import Positions
from store.readings import RecordAck, write_batch

log = structlog.get_logger()

MESSAGES = Counter("patrolgrid_messages_total", "Messages received, by codec", ["codec"])
READINGS = Counter("patrolgrid_readings_total", "New readings stored, by kind", ["kind"])
REJECTS = Counter("patrolgrid_rejects_total", "Messages kept as rejects, by reason", ["reason"])
BATCH_MESSAGES = Histogram(
    "patrolgrid_batch_messages",
    "Messages in one transaction",
    buckets=(1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 60_000),
)
COMMIT_SECONDS = Histogram(
    "patrolgrid_commit_seconds", "One transaction", buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
)
ACK_LAG = Histogram(
    "patrolgrid_ack_lag_seconds",
    "From receiving the oldest message of a batch to its PUBACK",
    buckets=(0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300),
)

RETRY_FIRST, RETRY_MOST = 0.2, 3.0  # seconds between attempts at a database that is away
LANE_WAIT: Final = 0.05  # seconds for a second connection
HEAD_START: Final = 0.015  # seconds in which a batch of many fixes is stored before the next is taken
CONNECTION_WAIT: Final = 3.0  # seconds for one attempt; the pool looks for the database anew with each

# What says that the data are at fault, or our code for them. Everything else is the database's trouble and passes.
REFUSED: Final = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,  # e.g. a text too long for an index
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class Refusal(NamedTuple):
    """Why a batch cannot be stored as it is: the reason of the reject that is made of the message at fault."""

    reason: str
    detail: str


HandOn: TypeAlias = Callable[[Batch], Awaitable[None]]


class Pipeline:
    """Runs every batch through :data:`STEPS`. ``storing`` says whether the database took the last one.

    ``registry`` may be replaced at any time; the next batch uses it. ``hand_on`` is given each committed batch: what is
    new in it, with device ids, sightings with a place where they or their camera have one. While it waits,
    one more batch is stored and one made ready, and no further message is taken: its queue bounds everything.
    """

    def __init__(
        self,
        listener: Listener,
        pool: AsyncConnectionPool,
        registry: Registry,
        *,
        hand_on: HandOn,
        record_ack: RecordAck | None = None,
        batch_size: int = 20_000,
        future_limit: float = 300.0,
        backfill_days: float = 30.0,
    ) -> None:
        """``future_limit`` in seconds and ``backfill_days`` bound how far a device's clock may be from ours. The
        ``pool`` has up to :data:`store.lanes.LANES` connections for batches."""
        self.listener = listener
        self.pool = pool
        self.batch_size = batch_size
        self.future_limit = future_limit
        self.backfill_days = backfill_days
        self.record_ack = record_ack
        self.pass_on = hand_on
        self.storing = True
        self._under_way = 0  # batches that were taken and not yet handed on
        self.directory = Directory(registry)
        self.lanes = Lanes()
        self._positions = Positions(more=lambda: listener.more)

    @property
    def registry(self) -> Registry:
        """The devices that are known."""
        return self.directory.registry

    @registry.setter
    def registry(self, registry: Registry) -> None:
        self.directory = Directory(registry)

    @property
    def idle(self) -> bool:
        """Whether all that came has been handed on."""
        return not (self.listener.more or self._under_way)

    async def run(self) -> None:
        """Listen and store until cancelled. While the database writes one batch, the next is made ready, and the one
        before is acknowledged and handed on."""
        async with self.listener, asyncio.TaskGroup() as tasks:
            storing: asyncio.Task[list[Work]] | None = None
            before: asyncio.Task[None] | None = None
            telling: asyncio.Task[None] | None = None
            while True:
                work = Work(await self.listener.take(self.batch_size))
                self._under_way += 1
                refusal = await self._prepare(work)
                if storing is not None:
                    await storing  # one after the other, so a device's readings are committed in their order
                if before is not None:
                    await before  # or what is stored and waits for the detectors would be without a bound
                storing = tasks.create_task(self._store(work, refusal), name="store")
                before, telling = telling, tasks.create_task(self._tell_after(telling, storing), name="tell")
                if len(work.fixes.rows) >= MANY:
                    # The next will be as large and keep the loop for 10 ms: the database is to have rows by then.
                    await asyncio.wait({storing}, timeout=HEAD_START)

    async def _tell_after(self, before: asyncio.Task[None] | None, storing: asyncio.Task[list[Work]]) -> None:
        """Once a batch is stored, and what was stored before it has been told."""
        stored = await storing
        if before is not None:
            await before
        await self._tell(stored)
        self._under_way -= 1

    async def process(self, messages: Sequence[Message]) -> None:
        """Run messages through the steps; each is stored or kept as a reject, and acknowledged."""
        await self._tell(await self._run_and_store(messages))

    async def _prepare(self, work: Work) -> Refusal | None:
        """The steps before the store; why they could not be done, if it is for what is in the messages."""
        try:
            for step in STEPS[: STEPS.index(store)]:
                await step(self, work)
        except REFUSED as error:
            return Refusal("codec_failed", _explained(error))
        return None

    async def _store(self, work: Work, refusal: Refusal | None) -> list[Work]:
        """Store a batch, or the halves of one that is refused: what is stored, in the order of the messages."""
        if refusal is None:
            try:
                await store(self, work)
            except REFUSED as error:
                refusal = Refusal("store_refused", _explained(error))
            else:
                return [work]
        messages = work.messages
        if len(messages) > 1:
            half = len(messages) // 2
            return [*await self._run_and_store(messages[:half]), *await self._run_and_store(messages[half:])]
        log.warning("message_refused", topic=messages[0].topic, reason=refusal.reason, detail=refusal.detail)
        lone = Work(messages)
        lone.refuse(0, refusal.reason, refusal.detail)
        await store(self, lone)
        return [lone]

    async def _run_and_store(self, messages: Sequence[Message]) -> list[Work]:
        work = Work(messages)
        return await self._store(work, await self._prepare(work))

    async def _tell(self, stored: Sequence[Work]) -> None:
        """The steps after the store."""
        for work in stored:
            for step in STEPS[STEPS.index(store) + 1 :]:
                await step(self, work)

    @asynccontextmanager
    async def _connections(self, *, two: bool) -> AsyncIterator[list[AsyncConnection]]:
        """One or two; but a database that has just come back is not waited for until it gives a second."""
        async with AsyncExitStack() as taken:
            connections = [await taken.enter_async_context(self.pool.connection(timeout=CONNECTION_WAIT))]
            if two:
                with suppress(PoolTimeout):
                    connections.append(await taken.enter_async_context(self.pool.connection(timeout=LANE_WAIT)))
            yield connections

    async def write(self, work: Work) -> Batch:
        """One transaction, or two at once for many fixes, tried until the database answers. Raises one of REFUSED, with
        nothing stored."""
        fixes, sightings, samples = work.fixes.rows, work.sightings.rows, work.samples.rows
        rejects, acks = list(work.rejects.values()), [ack for _, ack in work.acks]
        pause, doubtful = RETRY_FIRST, False
        while True:
            try:
                async with self._connections(two=len(work.parts) > 1 and not doubtful) as (conn, *beside):
                    new = await write_batch(
                        conn,
                        fixes,
                        sightings,
                        samples,
                        rejects,
                        acks,
                        self.record_ack,
                        self._positions,
                        parts=work.parts,
                        beside=beside,
                    )
            except REFUSED:
                raise
            except psycopg.Error as error:
                self.storing = False
                if not isinstance(error, PoolTimeout):
                    doubtful, rejects = True, [reject._replace(repeat=True) for reject in rejects]
                log.warning("store_away", error=str(error).strip(), messages=len(work.messages), again_in=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_MOST)
            else:
                self.storing = True
                self.lanes.written(fixes)
                # An attempt whose connection broke may have been committed after all, and nobody was told of it.
                return Batch(fixes, sightings, samples) if doubtful else new


def _explained(error: BaseException) -> str:
    """The error in one line, with the place in the code where it arose: what is logged and kept of it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error).strip()} ({Path(place.filename).name}:{place.lineno})"


async def store(pipeline: Pipeline, work: Work) -> None:
    """Readings (one of a kind), last positions, rejects and acknowledged commands in one transaction."""
    with COMMIT_SECONDS.time():
        work.committed = await pipeline.write(work)
    BATCH_MESSAGES.observe(len(work.messages))
    for codec, messages in work.by_codec.items():
        MESSAGES.labels(codec).inc(messages)
    for reject in work.rejects.values():
        REJECTS.labels(reject.reason).inc()
    for kind in ("fixes", "sightings", "samples"):
        READINGS.labels(kind).inc(len(getattr(work.committed, kind)))


async def acknowledge(pipeline: Pipeline, work: Work) -> None:
    """PUBACK every message of the batch."""
    await pipeline.listener.ack(work.messages)
    oldest = int(work.messages.facts["received"].min())
    ACK_LAG.observe(max(0.0, time.time_ns() / 1000 - oldest) / SECOND)


async def hand_on(pipeline: Pipeline, work: Work) -> None:
    """Give what is new to the detectors."""
    if len(work.committed):
        await pipeline.pass_on(work.committed)


Step: TypeAlias = Callable[[Pipeline, Work], Awaitable[None]]

STEPS: Final[tuple[Step, ...]] = (
    express,
    decode,
    resolve,
    check_area,
    join,
    check_time,
    check_place,
    sort,
    store,
    acknowledge,
    hand_on,
)
"""Every batch takes these steps in this order."""
