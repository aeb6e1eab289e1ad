"""From a published message to committed rows, over the real broker into the real database."""

from __future__ import annotations

import asyncio
import math
import re
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiomqtt
import pytest
from prometheus_client import REGISTRY
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from detectors.base import Batch
from devices.codec import Codec
from devices.readings import SECOND, CommandAck, Fix, Flag, Reading, Sighting
from devices.registry import Registry
from ingest import pipeline as pipeline_module
from ingest import steps
from ingest.listener import Listener
from ingest.pipeline import STEPS, Pipeline
from store.database import open_pool
from store.readings import StoredReject, last_positions, list_rejects, stretch

SHARE = "pg/v1/320118001000"
Until = Callable[[Callable[[], bool | Awaitable[bool]]], Awaitable[None]]


def now() -> float:
    return round(time.time(), 3)


def fix_json(t: float, lon: float = 118.88, lat: float = 31.47, more: str = "") -> bytes:
    return f'{{"t":{t!r},"lon":{lon!r},"lat":{lat!r}{more}}}'.encode()


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


@pytest.fixture(autouse=True)
async def empty(pool: AsyncConnectionPool) -> None:
    """Empty tables before each test."""
    async with pool.connection() as conn:
        await conn.execute("TRUNCATE fixes, sightings, samples, last_positions, rejects")


@pytest.fixture
def client_id() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


Start = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def start(pool: AsyncConnectionPool, mqtt_url: str, client_id: str, registry: Registry, until: Until) -> Start:
    """Run a pipeline for the length of a ``async with``; again with the same session each time."""

    @asynccontextmanager
    async def run(
        url: str = mqtt_url, own_pool: AsyncConnectionPool = pool, wait: bool = True, **options: Any
    ) -> AsyncIterator[Bench]:
        batches: list[Batch] = []
        acks: list[CommandAck] = []

        async def hand_on(batch: Batch) -> None:
            batches.append(batch)

        async def record_ack(conn: AsyncConnection, ack: CommandAck) -> None:
            if ack.command == "poison":
                raise LookupError(ack.command)
            acks.append(ack)

        listener = Listener(url, client_id)
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


async def test_readings_of_every_kind_arrive(bench: Bench, terminal: aiomqtt.Client, until: Until) -> None:
    t = now()
    await terminal.publish(f"{SHARE}/T-1/fix", fix_json(t, more=',"spd":1.5,"bat":70'), qos=1)
    await terminal.publish(
        "owntracks/zhang/phone", f'{{"_type":"location","lat":31.4,"lon":118.8,"tst":{int(t) - 60}}}', qos=1
    )
    await terminal.publish(f"{SHARE}/T-2/fix", b"[" + fix_json(t - 20) + b"," + fix_json(t - 10, 118.89) + b"]", qos=1)
    await terminal.publish(f"{SHARE}/C-1/sighting", f'{{"t":{t!r},"label":"net","n":2}}', qos=1)
    await terminal.publish(f"{SHARE}/C-2/sighting", f'{{"t":{t!r},"label":"rod"}}', qos=1)
    await terminal.publish(f"{SHARE}/S-1/sample", f'{{"t":{t!r},"q":"water_level","v":3.25}}', qos=1)
    await terminal.publish(f"{SHARE}/T-2/status", f'{{"t":{t!r},"online":true,"bat":66}}', qos=1)
    await terminal.publish(f"{SHARE}/T-2/sos", f'{{"t":{t!r}}}', qos=1)
    await terminal.publish(f"{SHARE}/T-2/command/ack", f'{{"id":"41","t":{t!r},"ok":true}}', qos=1)
    await until(lambda: bool(bench.acks) and len(bench.handed_on()) == 5)
    assert bench.acks[0][:5:4] == ("T-2", True)
    at = round(t * 1e6)
    fixes = {(int(f["device"]), int(f["at"])): f for f in await bench.fixes()}
    assert set(fixes) == {(1, at), (1, (int(t) - 60) * SECOND), (2, at - 20 * SECOND), (2, at - 10 * SECOND), (2, at)}
    assert fixes[2, at]["flags"] == Flag.SOS | Flag.NO_POSITION
    assert fixes[2, at - 10 * SECOND]["flags"] == Flag.BACKFILL
    assert fixes[1, at]["speed"] == 1.5
    seen = {int(s["device"]): (s["label"], int(s["count"]), float(s["lon"])) for s in bench.handed_on("sightings")}
    assert seen[4] == ("net", 2, 118.9)
    assert math.isnan(seen[5][2])
    samples = {(int(s["device"]), s["quantity"]): float(s["value"]) for s in bench.handed_on("samples")}
    assert samples == {(6, "water_level"): 3.25, (2, "online"): 1.0, (2, "battery"): 66.0}
    async with bench.pool.connection() as conn:
        last = {int(p["device"]): (int(p["at"]), float(p["lon"])) for p in await last_positions(conn)}
    assert last == {1: (at, 118.88), 2: (at - 10 * SECOND, 118.89)}
    assert await bench.rejects() == []


async def test_a_lone_message_is_stored_within_a_tenth_of_a_second(
    bench: Bench, terminal: aiomqtt.Client, until: Until
) -> None:
    await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now()), qos=1)  # warms up
    await until(lambda: len(bench.handed_on()) == 1)
    took = []
    for _ in range(5):
        started = time.perf_counter()
        count = len(bench.handed_on())
        await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now()), qos=1)
        while len(bench.handed_on()) == count:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        took.append(time.perf_counter() - started)
    assert min(took) < 0.1


async def test_duplicates_change_nothing(bench: Bench, terminal: aiomqtt.Client, until: Until) -> None:
    payload = fix_json(now())
    for _ in range(3):
        await terminal.publish(f"{SHARE}/T-1/fix", payload, qos=1)
    await terminal.publish(f"{SHARE}/T-2/fix", payload, qos=1)
    await until(lambda: any(f["device"] == 2 for f in bench.handed_on()))
    await terminal.publish(f"{SHARE}/T-1/fix", payload, qos=1)
    await terminal.publish(f"{SHARE}/T-2/fix", fix_json(now()), qos=1)
    await until(lambda: len([f for f in bench.handed_on() if f["device"] == 2]) == 2)
    assert [f["device"] for f in bench.handed_on()].count(1) == 1
    assert [f["device"] for f in await bench.fixes()].count(1) == 1


async def test_an_sos_of_the_same_moment_as_a_fix_is_handed_on(
    bench: Bench, terminal: aiomqtt.Client, until: Until
) -> None:
    t = now()
    await terminal.publish(f"{SHARE}/T-1/fix", fix_json(t), qos=1)
    await until(lambda: len(bench.handed_on()) == 1)
    await terminal.publish(f"{SHARE}/T-1/sos", f'{{"t":{t!r}}}', qos=1)
    await until(lambda: len(bench.handed_on()) == 2)
    alarm = bench.handed_on()[1]
    assert (alarm["flags"], alarm["lon"]) == (Flag.SOS, 118.88)
    assert [f["flags"] for f in await bench.fixes()] == [Flag.SOS]


REFUSED = [
    (f"{SHARE}/T-1/fix", b"\x00\xffgarbage", "not_json", "malformed"),
    (f"{SHARE}/T-1/fix", b"", "not_json", ""),
    (f"{SHARE}/T-1/fix", b'{"t":1}', "wrong_shape", "lon"),
    (f"{SHARE}/T-1/fix", b'{"t":1,"lon":1,"lat":2,"acc":-1}', "wrong_value", "acc"),
    ("owntracks//phone", b"{}", "unknown_topic", "owntracks//phone"),
    (f"{SHARE}/T-99/fix", b'{"t":@0,"lon":118,"lat":31}', "unknown_device", "T-99"),
    (f"{SHARE}/T-99/command/ack", b'{"id":"1","t":1,"ok":true}', "unknown_device", "T-99"),
    ("owntracks/li/phone", b'{"_type":"lwt","tst":1}', "unknown_device", "owntracks/li/phone"),
    (f"{SHARE}/T-3/fix", b'{"t":@0,"lon":118,"lat":31}', "inactive_device", "T-3"),
    (f"{SHARE}/T-3/command/ack", b'{"id":"1","t":1,"ok":true}', "inactive_device", "T-3"),
    ("pg/v1/320118002000/T-1/fix", b'{"t":@0,"lon":118,"lat":31}', "wrong_area", "'320118001000'"),
    (f"{SHARE}/X-1/command/ack", b'{"id":"1","t":1,"ok":true}', "wrong_area", "'320118002000'"),
    ("pg/v1/elsewhere/S-1/sample", b'{"t":1,"q":"smoke","v":1}', "wrong_area", "elsewhere"),
    (f"{SHARE}/T-1/fix", b'{"t":@3600,"lon":118,"lat":31}', "time_in_future", "received"),
    (f"{SHARE}/T-1/fix", b'{"t":90000000000,"lon":118,"lat":31}', "time_in_future", "4821-12-26"),
    (f"{SHARE}/T-1/fix", b'{"t":@-2678400,"lon":118,"lat":31}', "time_too_old", "received"),
    (f"{SHARE}/S-1/sample", b'{"t":-90000000000,"q":"smoke","v":1}', "time_too_old", "-90000000000 s"),
    (f"{SHARE}/T-1/fix", b'{"t":@0,"lon":0,"lat":0.0}', "place_impossible", "0.0"),
    (f"{SHARE}/T-1/fix", b'{"t":@0,"lon":180.5,"lat":31}', "place_impossible", "180.5"),
    (f"{SHARE}/T-1/fix", b'{"t":@0,"lon":118,"lat":-90.5}', "place_impossible", "-90.5"),
    (f"{SHARE}/C-1/sighting", b'{"t":@0,"label":"net","lon":1e300,"lat":2}', "place_impossible", "1e+300"),
    ("owntracks/zhang/phone", b'{"_type":"location","lat":"nan","lon":1,"tst":@0}', "place_impossible", "nan"),
    (f"{SHARE}/T-1/fix", b"[" + b" " * (1 << 20) + b"]", "too_large", "1048578"),
    (f"{SHARE}/T-1/command/ack", b'{"id":"poison","t":1,"ok":true}', "store_refused", "LookupError"),
]


def at_now(template: bytes) -> bytes:
    """The template with each ``@seconds`` as so many seconds from now."""
    return re.sub(rb"@(-?\d+)", lambda m: b"%.3f" % (time.time() + int(m[1])), template)


async def test_what_is_refused_is_kept_with_its_reason(bench: Bench, terminal: aiomqtt.Client, until: Until) -> None:
    def counted() -> dict[str, float]:
        reasons = {reason for _, _, reason, _ in REFUSED}
        return {r: REGISTRY.get_sample_value("patrolgrid_rejects_total", {"reason": r}) or 0.0 for r in reasons}

    before = counted()
    expected = {}
    for topic, template, reason, detail in REFUSED:
        payload = at_now(template)
        await terminal.publish(topic, payload, qos=1)
        expected[topic, payload[:4096]] = (reason, detail)
    await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now()), qos=1)
    await until(lambda: len(bench.handed_on()) == 1)  # the good one
    found = {(r.topic, r.payload): r for r in await bench.rejects()}
    assert found.keys() == expected.keys()
    for key, (reason, detail) in expected.items():
        assert (found[key].reason, found[key].times) == (reason, 1), key
        assert detail in found[key].detail
    assert len(await bench.fixes()) == 1
    assert bench.handed_on("sightings") == bench.handed_on("samples") == []
    rejected = Counter(reason for _, _, reason, _ in REFUSED)
    assert counted() == {reason: before[reason] + rejected[reason] for reason in before}


async def _has_rejects(bench: Bench, count: int) -> bool:
    return len(await bench.rejects()) == count


async def test_a_bad_payload_sent_again_is_counted(bench: Bench, terminal: aiomqtt.Client, until: Until) -> None:
    async def counted_twice() -> bool:
        return [r.times for r in await bench.rejects()] == [2]

    await terminal.publish(f"{SHARE}/T-1/fix", b"garbage", qos=1)
    await terminal.publish(f"{SHARE}/T-1/fix", b"garbage", qos=1)
    await until(counted_twice)


async def test_the_good_elements_of_an_array_are_stored(bench: Bench, terminal: aiomqtt.Client, until: Until) -> None:
    t = now()
    good, far, none, late = fix_json(t), fix_json(t - 1, 181.0), b'{"t":1}', fix_json(t - 40 * 86_400)
    await terminal.publish(f"{SHARE}/T-1/fix", b"[" + b",".join([good, far, late]) + b"]", qos=1)
    await terminal.publish(f"{SHARE}/T-2/fix", b"[" + b",".join([good, none]) + b"]", qos=1)
    await until(lambda: len(bench.handed_on()) == 2)
    assert [(f["device"], f["flags"]) for f in await bench.fixes()] == [(1, Flag.BACKFILL), (2, Flag.BACKFILL)]
    assert {r.topic[-7:]: r.reason for r in await bench.rejects()} == {
        "T-1/fix": "time_too_old",
        "T-2/fix": "wrong_shape",
    }


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (b'{"t":1,"lon":118.9,"lat":31.4}', "time_too_old"),
        (b'{"t":9e9,"lon":118.9,"lat":31.4}', "time_in_future"),
        (b'{"t":"now"}', "wrong_value"),
        (b'{"t":@0,"lon":0,"lat":0}', "place_impossible"),
    ],
)
async def test_an_sos_with_a_broken_clock_or_place_is_stored_all_the_same(
    bench: Bench, terminal: aiomqtt.Client, until: Until, template: bytes, reason: str
) -> None:
    await terminal.publish(f"{SHARE}/T-1/sos", at_now(template), qos=1)
    await until(lambda: len(bench.handed_on()) == 1)
    (alarm,) = await bench.fixes()
    assert alarm["flags"] & Flag.SOS
    assert abs(alarm["at"] / SECOND - time.time()) < 60
    assert bool(alarm["flags"] & Flag.NO_POSITION) == math.isnan(alarm["lon"])
    assert [r.reason for r in await bench.rejects()] == [reason]


async def test_a_retained_sos_is_no_new_alarm_with_every_subscription(
    start: Start, terminal: aiomqtt.Client, until: Until
) -> None:
    for device, body in (("T-1", b'{"t":1}'), ("T-2", b'{"t":"now"}')):
        await terminal.publish(f"{SHARE}/{device}/sos", body, qos=1, retain=True)
    try:
        async with start() as bench:
            await until(lambda: _has_rejects(bench, 2))
            assert not len(await bench.fixes())
        async with start() as again:
            await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now()), qos=1)
            await until(lambda: len(again.handed_on()) == 1)
            assert [r.times for r in await again.rejects()] == [1, 1]
    finally:
        for device in ("T-1", "T-2"):
            await terminal.publish(f"{SHARE}/{device}/sos", b"", qos=1, retain=True)


async def test_the_puback_comes_after_the_commit(
    start: Start, pool: AsyncConnectionPool, terminal: aiomqtt.Client, until: Until
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


async def _writer_waits(pool: AsyncConnectionPool) -> bool:
    async with pool.connection() as conn:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return await (await conn.execute(query)).fetchone() == (1,)


async def test_killed_between_commit_and_puback(
    start: Start, terminal: aiomqtt.Client, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(Listener, "ack", never)
        async with start() as first:
            await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now()), qos=1)
            await terminal.publish(f"{SHARE}/T-1/fix", b"garbage", qos=1)
            await until(lambda: _has_rejects(first, 1))
    async with start() as second:
        await terminal.publish(f"{SHARE}/T-2/fix", fix_json(now()), qos=1)
        await until(lambda: len(second.handed_on()) == 1)
        assert [f["device"] for f in await second.fixes()] == [1, 2]
        assert [r.times for r in await second.rejects()] == [1]


async def test_the_connection_breaks_in_the_middle_of_a_batch(
    start: Start, broker_wire: Any, pool: AsyncConnectionPool, terminal: aiomqtt.Client, until: Until
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
    start: Start, database_wire: Any, terminal: aiomqtt.Client, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "RETRY_MOST", 0.5)
    async with open_pool(database_wire.url) as through, start(own_pool=through) as bench:
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
    bench: Bench, terminal: aiomqtt.Client, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = pipeline_module.write_batch, []

    async def answer_lost(conn: AsyncConnection, *rest: Any) -> Batch:
        new = await real(conn, *rest)
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
    bench: Bench, pool: AsyncConnectionPool, terminal: aiomqtt.Client, until: Until, monkeypatch: pytest.MonkeyPatch
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


async def test_a_changed_registry_is_used_from_the_next_batch(
    bench: Bench, terminal: aiomqtt.Client, until: Until, registry: Registry
) -> None:
    bench.pipeline.registry = Registry([d for d in registry.devices if d.code != "T-2"])
    await terminal.publish(f"{SHARE}/T-2/fix", fix_json(now()), qos=1)
    await until(lambda: _has_rejects(bench, 1))
    bench.pipeline.registry = registry
    await terminal.publish(f"{SHARE}/T-2/fix", fix_json(now()), qos=1)
    await until(lambda: len(bench.handed_on()) == 1)


async def test_measures(bench: Bench, terminal: aiomqtt.Client, until: Until) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"patrolgrid_{name}", labels) or 0.0

    names = ("batch_messages_count", "commit_seconds_count", "ack_lag_seconds_count")
    before = [value(n) for n in names]
    messages, stored = value("messages_total", codec="patrolgrid"), value("readings_total", kind="fixes")
    await terminal.publish(f"{SHARE}/T-1/fix", b"[" + fix_json(now()) + b"," + fix_json(now() - 9) + b"]", qos=1)
    await until(lambda: len(bench.handed_on()) == 2)
    assert value("connected") == 1.0
    assert all(value(n) > b for n, b in zip(names, before, strict=True))
    assert value("messages_total", codec="patrolgrid") == messages + 1
    assert value("readings_total", kind="fixes") == stored + 2


def test_the_steps_are_in_the_order_that_is_promised() -> None:
    names = [step.__name__ for step in STEPS]
    assert names.index("store") < names.index("acknowledge") < names.index("hand_on")
    assert names[0] == "decode"
