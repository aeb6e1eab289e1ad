"""Wires that can be cut, a small registry, and a terminal that publishes."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from benchmarks.wire import Wire
from detectors.base import Batch
from devices.readings import SECOND, CommandAck
from devices.registry import Device, Registry
from ingest.listener import Listener
from ingest.pipeline import Pipeline
from store.readings import StoredReject, list_rejects, stretch

SHARE = "320118001000"


@pytest.fixture
async def broker_wire(mqtt_url: str) -> AsyncIterator[Wire]:
    """A wire to the broker."""
    wire = Wire(mqtt_url)
    await wire.mend()
    yield wire
    await wire.cut()


@pytest.fixture
async def database_wire(database_url: str) -> AsyncIterator[Wire]:
    """A wire to the database."""
    wire = Wire(database_url)
    await wire.mend()
    yield wire
    await wire.cut()


@pytest.fixture
async def terminal(mqtt_url: str) -> AsyncIterator[aiomqtt.Client]:
    """A client that publishes to the broker."""
    parts = urlsplit(mqtt_url)
    async with aiomqtt.Client(parts.hostname or "", parts.port or 1883) as client:
        yield client


def device(number: int, code: str, **more: object) -> Device:
    """A device of the test site."""
    values: dict[str, object] = {
        "kind": "terminal",
        "name": code,
        "name_en": code,
        "area": SHARE,
        "share": SHARE,
        **more,
    }
    return Device(code=code, id=number, **values)  # type: ignore[arg-type]


@pytest.fixture
def registry() -> Registry:
    """Two terminals, one switched off, a camera with a place and one without, a sensor."""
    return Registry(
        [
            device(1, "T-1", aliases=("owntracks/zhang/phone",)),
            device(2, "T-2"),
            device(3, "T-3", active=False),
            device(4, "C-1", kind="camera", lon=118.9, lat=31.5),
            device(5, "C-2", kind="camera"),
            device(6, "S-1", kind="sensor"),
            device(7, "X-1", share="320118002000"),
        ]
    )


Until = Callable[[Callable[[], bool | Awaitable[bool]]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Wait until a condition holds; fails after 15 s."""

    async def wait(condition: Callable[[], bool | Awaitable[bool]]) -> None:
        async with asyncio.timeout(15):
            while True:
                result = condition()
                if await result if isinstance(result, Awaitable) else result:
                    return
                await asyncio.sleep(0.02)

    return wait


class Bench:
    """A running pipeline and what it handed on."""

    def __init__(
        self, pool: AsyncConnectionPool, pipeline: Pipeline, batches: list[Batch], acks: list[CommandAck]
    ) -> None:
        self.pool, self.pipeline, self.batches, self.acks = pool, pipeline, batches, acks

    async def fixes(self) -> Any:
        async with self.pool.connection() as conn:
            far = int(40 * 86_400 * SECOND)
            at = int(time.time() * SECOND)
            return (await stretch(conn, at - far, at + far)).fixes

    async def rejects(self) -> list[StoredReject]:
        async with self.pool.connection() as conn:
            return await list_rejects(conn)

    def handed_on(self, kind: str = "fixes") -> list[Any]:
        return [row for batch in self.batches for row in getattr(batch, kind)]

    async def has_rejects(self, count: int) -> bool:
        return len(await self.rejects()) == count


@pytest.fixture
async def empty(pool: AsyncConnectionPool) -> None:
    """Empty tables of readings and rejects."""
    async with pool.connection() as conn:
        await conn.execute("TRUNCATE fixes, sightings, samples, last_positions, rejects")


@pytest.fixture
def client_id() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


Start = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def start(
    empty: None, pool: AsyncConnectionPool, mqtt_url: str, client_id: str, registry: Registry, until: Until
) -> Start:
    """Run a pipeline for the length of a ``async with``; again with the same session each time."""

    @asynccontextmanager
    async def run(
        url: str = mqtt_url,
        own_pool: AsyncConnectionPool = pool,
        wait: bool = True,
        filters: list[str] | None = None,
        **options: Any,
    ) -> AsyncIterator[Bench]:
        batches: list[Batch] = []
        acks: list[CommandAck] = []

        async def hand_on(batch: Batch) -> None:
            batches.append(batch)

        async def record_ack(conn: AsyncConnection, ack: CommandAck) -> None:
            if ack.command == "poison":
                raise LookupError(ack.command)
            acks.append(ack)

        listener = Listener(url, client_id, filters)
        pipeline = Pipeline(listener, own_pool, registry, hand_on=hand_on, record_ack=record_ack, **options)
        task = asyncio.create_task(pipeline.run())
        if wait:
            await until(lambda: listener.connected or task.done())
        try:
            yield Bench(pool, pipeline, batches, acks)
            assert not task.done(), "the pipeline ended by itself"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(0.1)  # the broker reads the connection to its end before another takes over

    return run


@pytest.fixture
async def bench(start: Start) -> AsyncIterator[Bench]:
    """A running pipeline."""
    async with start() as running:
        yield running
