"""Whatever breaks, nothing is lost and nothing is stored twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import aiomqtt
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from detectors.base import Batch
from devices.codec import Codec
from devices.readings import Fix, Reading, Rows, Sighting
from ingest import listener as listener_module
from ingest import pipeline as pipeline_module
from ingest import steps
from ingest.listener import Listener
from store import lanes, readings
from store.database import open_pool

SHARE = "pg/v1/320118001000"


def now() -> float:
    return round(time.time(), 3)


def fix_json(t: float, lon: float = 118.88, lat: float = 31.47, more: str = "") -> bytes:
    return f'{{"t":{t!r},"lon":{lon!r},"lat":{lat!r}{more}}}'.encode()


async def test_the_puback_comes_after_the_commit(
    start: Any, pool: AsyncConnectionPool, terminal: aiomqtt.Client, until: Any
) -> None:
    async with pool.connection() as other, other.transaction(force_rollback=True):
        await other.execute("LOCK TABLE fixes IN SHARE MODE")  # writers wait
        async with start() as first:
            await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now()), qos=1)
            await terminal.publish(f"{SHARE}/T-1/fix", b"garbage", qos=1)
            await until(lambda: _writer_waits(pool))
        assert first.batches == []
    # Neither was acknowledged, so the broker gives both to the next connection.
    async with start() as second:
        await until(lambda: len(second.handed_on()) == 1)
        assert [r.times for r in await second.rejects()] == [1]
    async with start() as third:
        await terminal.publish(f"{SHARE}/T-2/fix", fix_json(now()), qos=1)
        await until(lambda: len(third.handed_on()) > 0)
        assert [f["device"] for f in third.handed_on()] == [2]  # the others are acknowledged by now
        assert [r.times for r in await third.rejects()] == [1]


async def test_time_passes_for_the_detectors_only_when_all_that_came_has_reached_them(
    start: Any, pool: AsyncConnectionPool, terminal: aiomqtt.Client, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backlog that is on its way, or a write that waits without an error, may hold what they would miss."""
    monkeypatch.setattr(listener_module, "SETTLED", 0.5)
    async with start() as bench:
        listener = bench.pipeline.listener
        await until(lambda: listener.connected)
        assert not listener.steady
        await until(lambda: listener.steady)
        assert bench.pipeline.idle
        async with pool.connection() as other, other.transaction(force_rollback=True):
            await other.execute("LOCK TABLE fixes IN SHARE MODE")
            await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now()), qos=1)
            await until(lambda: _writer_waits(pool))
            assert bench.pipeline.storing
            assert not bench.pipeline.idle
        await until(lambda: bench.pipeline.idle)
        assert len(bench.handed_on()) == 1


async def _writer_waits(pool: AsyncConnectionPool) -> bool:
    async with pool.connection() as conn:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return await (await conn.execute(query)).fetchone() == (1,)


async def test_killed_between_commit_and_puback(
    start: Any, terminal: aiomqtt.Client, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(Listener, "ack", never)
        async with start() as first:
            await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now()), qos=1)
            await terminal.publish(f"{SHARE}/T-1/fix", b"garbage", qos=1)
            await until(lambda: first.has_rejects(1))
    async with start() as second:
        await terminal.publish(f"{SHARE}/T-2/fix", fix_json(now()), qos=1)
        await until(lambda: len(second.handed_on()) == 1)
        assert [f["device"] for f in await second.fixes()] == [1, 2]
        assert [r.times for r in await second.rejects()] == [1]


async def test_the_connection_breaks_in_the_middle_of_a_batch(
    start: Any, broker_wire: Any, pool: AsyncConnectionPool, terminal: aiomqtt.Client, until: Any
) -> None:
    count = 200
    async with start(url=broker_wire.url, batch_size=16) as bench:
        async with pool.connection() as other, other.transaction(force_rollback=True):
            await other.execute("LOCK TABLE fixes IN SHARE MODE")
            t = now() - count
            for i in range(count):
                await terminal.publish(f"{SHARE}/T-1/fix", fix_json(t + i), qos=1)
            await until(lambda: _writer_waits(pool))
            await broker_wire.cut()
            await until(lambda: not bench.pipeline.listener.connected)
            await broker_wire.mend()
            await until(lambda: bench.pipeline.listener.connected)
        await until(lambda: len(bench.handed_on()) >= count)
        assert len({int(f["at"]) for f in bench.handed_on()}) == len(bench.handed_on()) == count
        assert len(await bench.fixes()) == count
    async with start() as after:
        await terminal.publish(f"{SHARE}/T-2/fix", fix_json(now()), qos=1)
        await until(lambda: len(after.handed_on()) > 0)
        assert [f["device"] for f in after.handed_on()] == [2]


async def test_the_database_goes_away_and_comes_back(
    start: Any, database_wire: Any, terminal: aiomqtt.Client, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "RETRY_MOST", 0.5)
    async with open_pool(database_wire.url, max_size=1, tried=False) as through, start(own_pool=through) as bench:
        await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now() - 9), qos=1)
        await until(lambda: len(bench.handed_on()) == 1)
        await database_wire.cut()
        for i in range(5):
            await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now() - 5 + i), qos=1)
        await terminal.publish(f"{SHARE}/T-1/fix", b"garbage", qos=1)
        await until(lambda: not bench.pipeline.storing)
        await asyncio.sleep(1.5)
        assert len(bench.handed_on()) == 1
        await database_wire.mend()
        await until(lambda: len(bench.handed_on()) == 6)
        assert bench.pipeline.storing
        assert len(await bench.fixes()) == 6
        assert [r.times for r in await bench.rejects()] == [1]
    async with start() as after:
        await terminal.publish(f"{SHARE}/T-2/fix", fix_json(now()), qos=1)
        await until(lambda: len(after.handed_on()) > 0)
        assert len(after.handed_on()) == 1


async def test_a_commit_whose_answer_is_lost_is_handed_on(
    bench: Any, terminal: aiomqtt.Client, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = pipeline_module.write_batch, []

    async def answer_lost(conn: AsyncConnection, *rest: Any, **more: Any) -> Batch:
        new = await real(conn, *rest, **more)
        calls.append(len(new))
        if len(calls) == 1:
            await conn.close()  # committed, but the worker cannot know
            await conn.execute("SELECT 1")
        return new

    monkeypatch.setattr(pipeline_module, "write_batch", answer_lost)
    await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now()), qos=1)
    await until(lambda: len(bench.handed_on()) == 1)
    assert calls == [1, 0]
    assert len(await bench.fixes()) == 1


class CarelessCodec:
    """Decodes into what the store cannot hold, or fails in a way no codec may."""

    name = "careless"
    filters = ()

    def decode(self, topic: str, payload: bytes, received: int) -> Sequence[Reading]:
        if payload == b"bug":
            raise KeyError("latitude")
        if payload == b"huge":
            return [Fix("T-1", 2**70, received, 118.0, 31.0)]
        return [Sighting("C-1", received, received, payload.decode("utf-8", "surrogatepass"))]


async def test_poison_is_isolated(
    bench: Any, pool: AsyncConnectionPool, terminal: aiomqtt.Client, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = steps.route

    def route(topic: str) -> Codec | None:
        return CarelessCodec() if topic.startswith("owntracks/careless") else real(topic)

    monkeypatch.setattr(steps, "route", route)
    surrogate = "\ud800".encode("utf-8", "surrogatepass")
    poison = {b"a\0b": "store_refused", surrogate: "store_refused", b"bug": "codec_failed", b"huge": "codec_failed"}
    async with pool.connection() as other, other.transaction(force_rollback=True):
        await other.execute("LOCK TABLE fixes IN SHARE MODE")
        await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now() - 99), qos=1)
        await until(lambda: _writer_waits(pool))
        for i in range(40):  # they gather into one batch meanwhile
            await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now() - 50 + i), qos=1)
            if i % 10 == 5:
                await terminal.publish("owntracks/careless/x", list(poison)[i // 10], qos=1)
        await terminal.publish("owntracks/careless/x", b"fine", qos=1)
    await until(lambda: len(bench.handed_on()) == 41)
    assert len(await bench.fixes()) == 41
    assert [s["label"] for s in bench.handed_on("sightings")] == ["fine"]
    assert {r.payload: r.reason for r in await bench.rejects()} == poison


async def test_one_of_two_lanes_is_cut_off_in_the_middle(
    start: Any,
    pool: AsyncConnectionPool,
    terminal: aiomqtt.Client,
    until: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch on two connections, one of which ends before its commit or after that of the other."""
    monkeypatch.setattr(lanes, "MANY", 40)
    monkeypatch.setattr(pipeline_module, "RETRY_FIRST", 0.05)
    begun, cut = now() - 100.0, list[int]()

    class Cutting(psycopg.AsyncTransaction):
        """Before every third commit of a pair its connection is cut."""

        async def __aexit__(self, kind: Any, error: Any, trace: Any) -> bool:
            if kind is None and self.connection in pairs and (turn := len(cut) + next(count)) % 3 == 0 and turn < 30:
                cut.append(turn)
                if turn % 2:  # seen to be lost before COMMIT is sent, which is then not even tried
                    self.connection.pgconn.finish()
                else:
                    with psycopg.connect(pool.conninfo, autocommit=True) as other:
                        other.execute("SELECT pg_terminate_backend(%s, 1000)", (self.connection.info.backend_pid,))
            return await super().__aexit__(kind, error, trace)

    pairs: list[AsyncConnection] = []
    count = iter(range(1, 1000))
    whole = readings.copy_fixes

    async def copy(connections: Sequence[AsyncConnection], parts: Sequence[Rows]) -> None:
        pairs[:] = connections if len(connections) > 1 else []
        await whole(connections, parts)

    monkeypatch.setattr(readings, "copy_fixes", copy)
    monkeypatch.setattr(psycopg.connection_async, "AsyncTransaction", Cutting)
    async with start() as bench:
        for second in range(12):
            for device in ("T-1", "T-2"):
                array = b",".join(fix_json(begun + second + k * 0.01) for k in range(30))
                await terminal.publish(f"{SHARE}/{device}/fix", b"[%b]" % array, qos=1)
            await asyncio.sleep(0.1)
        await until(lambda: len({(f["device"], f["at"]) for f in bench.handed_on()}) == 720)
        assert len(await bench.fixes()) == 720
        assert cut, "no batch took two lanes"
