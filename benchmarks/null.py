"""A subscriber that only counts and acknowledges, a process of its own: with our reader, or with a library.

python -m benchmarks.null URL COUNT [own|paho|mqttium]

It prints "ready" once subscribed, then one JSON line: when the first and the last message came and its CPU seconds.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import structlog
import uvloop
from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from devices.codecs import subscriptions
from ingest import packets
from ingest.listener import Listener

ACK_AT = 500  # messages, as a batch would; paho's acknowledgements go out one by one anyway


def aside(root: str) -> str:
    """For the first level of the worker's topics, another that is as long and as easy to match: so both can take turns
    on one broker."""
    return root[::-1]


FILTERS = [f"{aside(root)}/{rest}" for root, _, rest in (f.partition("/") for f in subscriptions())]


def _say(first: float, last: float, cpu: float, messages: int) -> None:
    print(json.dumps({"messages": messages, "first": first, "last": last, "cpu": time.process_time() - cpu}))


async def own(url: str, count: int) -> None:
    """Our reader, batches of up to 10,000."""
    async with Listener(url, "bench-own", FILTERS) as listener:
        while not listener.connected:  # noqa: ASYNC110  # once, at the start
            await asyncio.sleep(0.01)
        print("ready", flush=True)
        got, first, cpu = 0, 0.0, time.process_time()
        while got < count:
            messages = await listener.take(10_000)
            first = first or messages[0].received / 1e6
            got += len(messages)
            await listener.ack(messages)
        _say(first, messages[-1].received / 1e6, cpu, got)


def paho(url: str, count: int) -> None:
    """paho-mqtt with manual acknowledgement, as the listener was before."""
    parts = urlsplit(url)
    client = Client(CallbackAPIVersion.VERSION2, "bench-paho", clean_session=False, protocol=MQTTv311, manual_ack=True)
    waiting: list[tuple[int, int]] = []
    state = {"got": 0, "first": 0.0}

    def subscribed(*_: Any) -> None:
        print("ready", flush=True)

    def came(_: Client, __: Any, message: MQTTMessage) -> None:
        state["first"] = state["first"] or time.time()
        state["got"] += 1
        waiting.append((message.mid, message.qos))
        if len(waiting) >= ACK_AT or state["got"] >= count:
            for mid, qos in waiting:
                client.ack(mid, qos)
            waiting.clear()

    client.on_subscribe, client.on_message = subscribed, came
    client.connect(parts.hostname or "", parts.port or 1883)
    client.subscribe([(f, 1) for f in FILTERS])
    cpu = time.process_time()
    while state["got"] < count:
        client.loop(1.0)
    _say(state["first"], time.time(), cpu, int(state["got"]))
    client.disconnect()


async def mqttium(url: str, count: int) -> None:
    """mqttium with manual acknowledgement. It is no dependency of ours: ``pip install mqttium==1.2.1`` before."""
    from mqttium.api import AsyncClient  # only who compares has it

    parts = urlsplit(url)
    client = AsyncClient("bench-mqttium", clean_start=False, manual_ack=True)
    await client.connect(parts.hostname, parts.port)
    for topics in FILTERS:
        await client.subscribe(topics, qos=1)
    print("ready", flush=True)
    waiting: list[Any] = []
    got, first, cpu = 0, 0.0, time.process_time()
    async for message in client.messages():
        first = first or time.time()
        got += 1
        waiting.append(message)
        if len(waiting) >= ACK_AT or got >= count:
            for one in waiting:
                await client.ack(one)
            waiting.clear()
        if got >= count:
            break
    _say(first, time.time(), cpu, got)
    await client.disconnect()


def forget(url: str, client_id: str) -> None:
    """End the session at the broker, which would gather messages for it otherwise."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 1883)) as link:
        link.sendall(packets.connect(client_id, None, None, 60, clean=True))
        link.recv(4)
        link.sendall(packets.DISCONNECT)


def main() -> None:
    """Run the one that is asked for."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    url, count, which = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or ["own"])[0]
    if which == "paho":
        paho(url, count)
    elif which == "mqttium":
        asyncio.run(mqttium(url, count))  # it does not run on uvloop
    else:
        uvloop.run(own(url, count))
    forget(url, f"bench-{which}")


if __name__ == "__main__":
    main()
