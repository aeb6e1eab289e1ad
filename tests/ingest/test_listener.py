"""The persistent session against the real broker: nothing is acknowledged by itself, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiomqtt
import pytest

from ingest import listener as listener_module
from ingest.listener import Listener
from ingest.messages import Message

BASE = "pg/v1/320118001000/T-1"


async def take_all(listener: Listener, count: int) -> list[Message]:
    """So many messages, or fewer when no more come within 5 s."""
    taken: list[Message] = []
    try:
        async with asyncio.timeout(5):
            while len(taken) < count:
                taken += await listener.take(count)
    except TimeoutError:
        pass
    return taken


async def settled() -> None:
    """Let the broker read an old connection to its end: one that follows at once takes over before it has."""
    await asyncio.sleep(0.2)


async def nothing_comes(listener: Listener) -> bool:
    try:
        await asyncio.wait_for(listener.take(1), 0.6)
    except TimeoutError:
        return True
    return False


async def test_messages_come_in_order_and_in_bulk(
    mqtt_url: str, client_id: str, terminal: aiomqtt.Client, until: Any
) -> None:
    async with Listener(mqtt_url, client_id) as listener:
        await until(lambda: listener.connected)
        before = time.time_ns() // 1000
        for i in range(50):
            await terminal.publish(f"{BASE}/fix", b"%d" % i, qos=1)
        taken = await take_all(listener, 50)
        assert [m.payload for m in taken] == [b"%d" % i for i in range(50)]
        assert {(m.topic, m.qos, m.repeat) for m in taken} == {(f"{BASE}/fix", 1, False)}
        assert all(before <= m.received <= time.time_ns() // 1000 for m in taken)
        await listener.ack(taken)


async def test_a_batch_has_bounds(mqtt_url: str, client_id: str, terminal: aiomqtt.Client, until: Any) -> None:
    async with Listener(mqtt_url, client_id, linger=0.3) as listener:
        await until(lambda: listener.connected)
        for _ in range(9):
            await terminal.publish(f"{BASE}/fix", b"x" * 100, qos=1)
        assert len(await listener.take(4)) == 4
        assert len(await listener.take(9, most_bytes=250)) == 3
        assert len(await listener.take(9)) == 2


async def test_what_is_not_acknowledged_comes_again(
    mqtt_url: str, client_id: str, terminal: aiomqtt.Client, until: Any
) -> None:
    async with Listener(mqtt_url, client_id) as first:
        await until(lambda: first.connected)
        for i in range(6):
            await terminal.publish(f"{BASE}/fix", b"%d" % i, qos=1)
        taken = await take_all(first, 6)
        await first.ack(taken[:2] + taken[4:5])
    await settled()
    async with Listener(mqtt_url, client_id) as second:
        again = await take_all(second, 3)
        assert [(m.payload, m.dup) for m in again] == [(b"2", True), (b"3", True), (b"5", True)]
        await second.ack(again)
    await settled()
    async with Listener(mqtt_url, client_id) as third:
        assert await nothing_comes(third)


async def test_messages_wait_while_nobody_listens(
    mqtt_url: str, client_id: str, terminal: aiomqtt.Client, until: Any
) -> None:
    async with Listener(mqtt_url, client_id) as first:
        await until(lambda: first.connected)
    for i in range(3):
        await terminal.publish(f"{BASE}/fix", b"%d" % i, qos=1)
    await settled()
    async with Listener(mqtt_url, client_id) as second:
        assert [m.payload for m in await take_all(second, 3)] == [b"0", b"1", b"2"]


async def test_a_batch_of_an_older_connection_is_never_acknowledged(
    broker_wire: Any, client_id: str, terminal: aiomqtt.Client, until: Any
) -> None:
    async with Listener(broker_wire.url, client_id) as listener:
        await until(lambda: listener.connected)
        await terminal.publish(f"{BASE}/fix", b"old", qos=1)
        old = await take_all(listener, 1)
        await broker_wire.cut()
        await until(lambda: not listener.connected)
        await listener.ack(old)  # while away
        await broker_wire.mend()
        await until(lambda: listener.connected)
        again = await take_all(listener, 1)
        await terminal.publish(f"{BASE}/fix", b"new", qos=1)
        new = await take_all(listener, 1)
        await listener.ack(old)  # the same packet id may stand for another message by now
        assert [(m.payload, m.dup) for m in again + new] == [(b"old", True), (b"new", False)]
    await settled()
    async with Listener(broker_wire.url, client_id) as second:
        assert {m.payload for m in await take_all(second, 2)} == {b"old", b"new"}


async def test_what_waits_here_when_the_connection_breaks_is_not_taken_twice(
    broker_wire: Any, client_id: str, terminal: aiomqtt.Client, until: Any
) -> None:
    async with Listener(broker_wire.url, client_id) as listener:
        await until(lambda: listener.connected)
        for i in range(5):
            await terminal.publish(f"{BASE}/fix", b"%d" % i, qos=1)
        await terminal.publish(f"{BASE}/fix", b"qos0", qos=0)
        await until(lambda: len(listener._waiting) == 6)
        await broker_wire.cut()
        await until(lambda: not listener.connected)
        await broker_wire.mend()
        await until(lambda: listener.connected)
        taken = await take_all(listener, 6)
        assert sorted(m.payload for m in taken) == [b"0", b"1", b"2", b"3", b"4", b"qos0"]
        assert await nothing_comes(listener)
        await listener.ack(taken)
    await settled()
    async with Listener(broker_wire.url, client_id) as second:
        assert await nothing_comes(second)


async def test_a_broker_that_is_away_at_the_start(broker_wire: Any, client_id: str, until: Any) -> None:
    await broker_wire.cut()
    async with Listener(broker_wire.url, client_id) as listener:
        await asyncio.sleep(0.3)
        assert not listener.connected
        await broker_wire.mend()
        await until(lambda: listener.connected)
        assert time.time() - listener.changed_at < 5


async def test_reading_stops_when_too_much_is_held(
    mqtt_url: str, client_id: str, terminal: aiomqtt.Client, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "MOST_HELD", 50_000)
    async with Listener(mqtt_url, client_id) as listener:
        await until(lambda: listener.connected)
        for i in range(100):
            await terminal.publish(f"{BASE}/fix", b"%04d" % i + b"x" * 2000, qos=i % 2)
        await asyncio.sleep(0.3)
        held = len(listener._waiting)
        assert 20 <= held <= 30
        taken = await take_all(listener, 100)
        assert [m.payload[:4] for m in taken] == [b"%04d" % i for i in range(100)]


async def test_retained_messages_are_marked(mqtt_url: str, client_id: str, terminal: aiomqtt.Client) -> None:
    await terminal.publish(f"{BASE}/status", b"kept", qos=1, retain=True)
    async with Listener(mqtt_url, client_id) as listener:
        (message,) = await take_all(listener, 1)
        assert (message.payload, message.retained, message.dup) == (b"kept", True, False)
    await terminal.publish(f"{BASE}/status", b"", qos=1, retain=True)


async def test_leaving_while_reading_has_stopped(
    mqtt_url: str, client_id: str, terminal: aiomqtt.Client, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "MOST_HELD", 1)
    async with Listener(mqtt_url, client_id) as listener:
        await until(lambda: listener.connected)
        for i in range(10):
            await terminal.publish(f"{BASE}/fix", b"%d" % i, qos=1)
        await until(lambda: len(listener._waiting) >= 1)
    await settled()
    async with Listener(mqtt_url, client_id) as second:
        monkeypatch.undo()
        assert len(await take_all(second, 10)) == 10


@pytest.mark.parametrize("url", ["", "http://host", "mqtt://", "host:1883"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected mqtt\[s\]"):
        Listener(url, "x")
