"""Brokers that are silent, refuse, talk nonsense or come and go; some of them played by a socket on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import aiomqtt
import pytest
import uvloop

from devices.broker import brokers
from ingest import listener as listener_module
from ingest import packets, session
from ingest.listener import Listener, pause_after
from ingest.messages import Message

BASE = "pg/v1/320118001000/T-1"
Play = Callable[["Guest"], Awaitable[None]]


class Guest:
    """One connection to a broker that is played: what came in, and a way to answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def packet(self) -> tuple[int, bytes]:
        """The next packet: its first byte and its body."""
        first, length, shift = (await self.reader.readexactly(1))[0], 0, 0
        while True:
            byte = (await self.reader.readexactly(1))[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return first, await self.reader.readexactly(length)

    async def welcome(self, present: bool = False) -> None:
        """Answer CONNECT and SUBSCRIBE as a broker does."""
        assert (await self.packet())[0] == 0x10
        self.writer.write(bytes((0x20, 2, present, 0)))
        first, body = await self.packet()
        assert first == 0x82
        filters = sum(1 for _ in _filters(body))
        self.writer.write(bytes((0x90, 2 + filters)) + body[:2] + b"\1" * filters)


def _filters(body: bytes) -> list[bytes]:
    at, found = 2, []
    while at < len(body):
        length = int.from_bytes(body[at : at + 2], "big")
        found.append(body[at + 2 : at + 2 + length])
        at += 3 + length
    return found


@asynccontextmanager
async def played(*plays: Play) -> AsyncIterator[tuple[str, list[float]]]:
    """A broker that plays one part after the other, the last one for ever; its address, and when connections came."""
    came: list[float] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(time.monotonic())
        try:
            await plays[min(len(came), len(plays)) - 1](Guest(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the listener has gone
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}", came
    finally:
        server.close()


async def silent(guest: Guest) -> None:
    await guest.reader.read()


async def polite(guest: Guest) -> None:
    """Welcome, and answer pings."""
    await guest.welcome()
    while True:
        first, _ = await guest.packet()
        if first == 0xC0:
            guest.writer.write(b"\xd0\x00")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "PAUSE_FIRST", 0.02)


async def test_a_broker_that_falls_silent_is_left_for_a_new_connection(
    monkeypatch: pytest.MonkeyPatch, until: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listener_module, "KEEPALIVE", 1)
    heard: list[int] = []

    async def welcome_then_nothing(guest: Guest) -> None:
        await guest.welcome()
        while True:
            heard.append((await guest.packet())[0])

    async with played(welcome_then_nothing, polite) as (url, came), Listener(url, "x") as listener:
        await until(lambda: listener.connected)
        await until(lambda: len(came) == 2 and listener.connected)
        assert 0.9 < came[1] - came[0] < 5
        assert heard.count(0xC0) >= 1
        await asyncio.sleep(2.2)  # one that answers is kept
        assert len(came) == 2
        assert listener.connected
    assert "nothing from the broker for 1 s" in capsys.readouterr().out


async def test_a_broker_that_does_not_answer_connect(
    monkeypatch: pytest.MonkeyPatch, until: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "ANSWER", 0.2)
    async with played(silent, polite) as (url, _), Listener(url, "x") as listener:
        await until(lambda: listener.connected)
    assert "did not answer CONNECT" in capsys.readouterr().out


async def test_a_broker_that_hands_out_a_long_queue_before_it_answers_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, until: Any
) -> None:
    monkeypatch.setattr(session, "ANSWER", 0.5)

    async def busy(guest: Guest) -> None:
        await guest.packet()
        guest.writer.write(bytes((0x20, 2, 1, 0)))
        _, body = await guest.packet()
        for mid in range(1, 21):
            guest.writer.write(packets.publish(f"{BASE}/fix", b"%d" % mid, mid))
            await asyncio.sleep(0.1)
        guest.writer.write(bytes((0x90, 2 + len(_filters(body)))) + body[:2] + b"\1" * len(_filters(body)))
        heard.append((await guest.packet())[0])
        await guest.reader.read()

    heard: list[int] = []
    async with played(busy) as (url, came), Listener(url, "x") as listener:
        await until(lambda: listener.connected)
        assert len(came) == 1
        await until(lambda: heard)
    assert heard == [0xC0], "a broker that hears nothing for so long gives the connection up"


async def test_filters_that_change_while_an_answer_waits_are_subscribed_to_next(until: Any) -> None:
    asked: list[list[bytes]] = []

    async def slow(guest: Guest) -> None:
        await guest.packet()
        guest.writer.write(bytes((0x20, 2, 1, 0)))
        while True:
            first, body = await guest.packet()
            if first == 0x82:
                asked.append(_filters(body))
                await asyncio.sleep(0.3)
                guest.writer.write(bytes((0x90, 2 + len(asked[-1]))) + body[:2] + b"\1" * len(asked[-1]))
            elif first == 0xA2:
                guest.writer.write(b"\xb0\x02" + body[:2])

    async with played(slow) as (url, came), Listener(url, "x", ["a/#"]) as listener:
        await until(lambda: asked)
        listener.follow(["b/#"], ["a/#"])
        listener.follow(["a/#", "c/#"], [])
        await until(lambda: len(asked) == 2)
        listener.follow(["d/#"], ["a/#", "c/#"])  # this answer waits too
        await until(lambda: len(asked) == 3)
        await until(lambda: listener.connected)
        listener.follow(["e/#"], ["d/#"])
        listener.follow(["f/#"], ["d/#"])
        await until(lambda: asked[-1] == [b"f/#"])
        listener.follow(["f/#"], ["d/#"])
        await asyncio.sleep(0.5)
        assert len(came) == 1
    assert asked == [[b"a/#"], [b"a/#", b"c/#"], [b"d/#"], [b"f/#"]]


@pytest.mark.parametrize(
    ("nonsense", "says"),
    [
        (b"\x32\x05\x00\x01a\x00\x00", "packet id 0"),
        (b"\x30\xff\xff\xff\xff\xff", "more than four bytes"),
        (b"\x20\x02\x00\x00", "nothing that was asked"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "broke the protocol"),
    ],
)
async def test_nonsense_ends_the_connection_and_what_came_before_is_kept(
    until: Any, capsys: pytest.CaptureFixture[str], nonsense: bytes, says: str
) -> None:
    async def spoiled(guest: Guest) -> None:
        await guest.welcome()
        guest.writer.write(packets.publish(f"{BASE}/fix", b"good", 1) + nonsense)
        await guest.reader.read()

    async with played(spoiled, polite) as (url, came), Listener(url, "x") as listener:
        assert [m.payload for m in await listener.take(9)] == [b"good"]
        await until(lambda: len(came) == 2 and listener.connected)
    assert says in capsys.readouterr().out


async def test_pauses_grow_while_nobody_is_any_good(monkeypatch: pytest.MonkeyPatch, until: Any) -> None:
    monkeypatch.setattr(listener_module, "PAUSE_FIRST", 0.05)

    async def refuse(guest: Guest) -> None:
        await guest.packet()
        guest.writer.write(b"\x20\x02\x00\x03")
        await guest.reader.read()

    async with played(refuse) as (url, came), Listener(url, "x"):
        await until(lambda: len(came) >= 6)
    pauses = [b - a for a, b in pairwise(came)]
    assert pauses[4] > 0.75 > 0.5 * 0.05 * 2**4 > pauses[0] * 0.5
    assert pauses[4] > 2 * pauses[0]


def test_pauses_are_bounded_and_differ() -> None:
    for rounds in range(40):
        longest = min(listener_module.PAUSE_FIRST * 2**rounds, listener_module.PAUSE_MOST)
        drawn = [pause_after(rounds) for _ in range(50)]
        assert all(longest / 2 <= pause <= longest for pause in drawn)
        assert len(set(drawn)) > 10
    pause_after(1 << 40)


async def test_brokers_are_tried_in_turn(mqtt_url: str, client_id: str, terminal: aiomqtt.Client, until: Any) -> None:
    async with played(polite) as (gone, _):
        pass
    async with Listener(f"{gone}, {mqtt_url}", client_id) as listener:
        await until(lambda: listener.connected)
        await terminal.publish(f"{BASE}/fix", b"x", qos=1)
        assert [m.payload for m in await listener.take(1)] == [b"x"]


async def test_when_the_broker_in_use_goes_the_other_takes_over(mqtt_url: str, broker_wire: Any, until: Any) -> None:
    async with Listener(f"{broker_wire.url},{mqtt_url}", "two-brokers") as listener:
        await until(lambda: listener.connected)
        before = listener.changed_at
        await broker_wire.cut()
        await until(lambda: listener.changed_at > before and listener.connected)


def test_addresses() -> None:
    first, second, third = brokers("mqtt://u:p%40,x@a,mqtts://b:99, mqtts://[::1]")
    assert (first.host, first.port, first.secure, first.user, first.password) == ("a", 1883, False, "u", "p@,x")
    assert (second.name, second.secure, second.user) == ("b:99", True, None)
    assert (third.host, third.port) == ("::1", 8883)
    assert "p@,x" not in repr(first)
    for wrong in ("mqtt://a,b", "mqtt://a,http://b", "mqtt://a,", ""):
        with pytest.raises(ValueError, match="broker address"):
            brokers(wrong)
    with pytest.raises(ValueError, match="broker address 'a,b'") as caught:
        brokers("mqtt://me:secret@a,b")
    assert "secret" not in str(caught.value)


async def test_the_last_acknowledgements_are_sent_before_leaving(until: Any) -> None:
    got: list[bytes] = []

    async def flood(guest: Guest) -> None:
        await guest.welcome()
        for mid in range(1, 20_001):  # more keeps coming than is ever taken
            guest.writer.write(packets.publish(f"{BASE}/fix", b"x" * 100, mid))
        got.append(await guest.reader.read())

    async with played(flood) as (url, _):
        async with Listener(url, "x") as listener:
            taken: list[Message] = []
            while len(taken) < 1_000:
                taken += await listener.take(1_000 - len(taken))
            await listener.ack(taken)
        await until(lambda: bool(got))
    assert got == [packets.pubacks(range(1, 1_001)) + packets.DISCONNECT]


async def test_an_oversized_message_is_a_reject_and_the_session_goes_on(
    bench: Any, mqtt_url: str, terminal: aiomqtt.Client, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await terminal.publish(f"{BASE}/fix", b"[" + b" " * (3 << 20) + b"]", qos=1, timeout=20)
    await terminal.publish(f"{BASE}/fix", b'{"t":%d,"lon":118.9,"lat":31.4}' % time.time(), qos=1)
    await until(lambda: len(bench.handed_on()) == 1)
    ((topic, payload, reason, detail),) = [(r.topic, r.payload, r.reason, r.detail) for r in await bench.rejects()]
    assert (topic, payload, reason) == (f"{BASE}/fix", b"", "too_large")
    assert str((3 << 20) + 2) in detail
    assert bench.pipeline.listener.connected


def test_the_same_on_uvloop(mqtt_url: str, client_id: str) -> None:
    async def run() -> list[bytes]:
        one, two = Listener(mqtt_url, client_id), Listener(mqtt_url, client_id)
        async with one:
            while not one.connected:
                await asyncio.sleep(0.02)
            _, writer = await asyncio.open_connection("127.0.0.1", int(mqtt_url.rpartition(":")[2]))
            writer.write(packets.connect("", None, None, 60, clean=True))
            writer.write(b"".join(packets.publish(f"{BASE}/fix", b"%d" % i, i + 1) for i in range(5_000)))
            taken: list[Message] = []
            while len(taken) < 5_000:
                taken += await one.take(1_000)
            await one.ack(taken[:4_990])
            writer.close()
        async with two:
            rest: list[Message] = []
            while len(rest) < 10:
                rest += await two.take(100)
            await two.ack(rest)
        assert [m.payload for m in taken] == [b"%d" % i for i in range(5_000)]
        return [m.payload for m in rest]

    assert uvloop.run(asyncio.wait_for(run(), 30)) == [b"%d" % i for i in range(4_990, 5_000)]


async def test_what_comes_again_on_the_same_connection_is_taken_once_until_it_is_acknowledged(until: Any) -> None:
    """NATS delivers again what is not acknowledged in time; MQTT allows that on a new connection only."""
    acknowledged = asyncio.Event()

    async def impatient(guest: Guest) -> None:
        await guest.welcome()
        guest.writer.write(packets.publish(f"{BASE}/fix", b"first", 1) + packets.publish(f"{BASE}/fix", b"second", 2))
        for mid, payload in ((1, b"first"), (2, b"second"), (3, b"third")):
            guest.writer.write(packets.publish(f"{BASE}/fix", payload, mid, dup=True))
        assert await guest.packet() == (0x40, b"\0\1")
        acknowledged.set()
        for mid, payload in ((1, b"first"), (2, b"second"), (1, b"other")):
            guest.writer.write(packets.publish(f"{BASE}/fix", payload, mid, dup=payload != b"other"))
        await guest.reader.read()

    async with played(impatient) as (url, _), Listener(url, "x") as listener:
        taken: list[Message] = []
        while len(taken) < 3:
            taken += await listener.take(10)
        assert [message.payload for message in taken] == [b"first", b"second", b"third"]
        await listener.ack(taken[:1])
        await acknowledged.wait()
        taken = []
        while len(taken) < 2:
            taken += await listener.take(10)
        assert [message.payload for message in taken] == [b"first", b"other"]


async def test_two_messages_with_one_packet_id_are_both_taken() -> None:
    """Mosquitto numbers without looking: with more than 65,535 in flight, ids repeat."""

    async def crowded(guest: Guest) -> None:
        await guest.welcome()
        for payload in (b"first", b"second"):
            guest.writer.write(packets.publish(f"{BASE}/fix", payload, 1, dup=True))
        await guest.reader.read()

    async with played(crowded) as (url, _), Listener(url, "x") as listener:
        taken: list[Message] = []
        while len(taken) < 2:
            taken += await listener.take(10)
        assert [message.payload for message in taken] == [b"first", b"second"]
