"""A rejected message is shown with its reason, and sent again through the real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import aiomqtt
import httpx
import pytest
from fastapi import FastAPI
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from console.app import create_app
from console.replay import publisher
from store.rejects import PAYLOAD_KEPT

Clients = Callable[[str | None], httpx.AsyncClient]
Reject = Callable[..., Awaitable[int]]
Pool = AsyncConnectionPool[AsyncConnection]


@pytest.fixture
def app(pool: Pool, database_url: str, tokens: dict[str, str], mqtt_url: str) -> FastAPI:
    """As a console that has no publisher of its own."""
    return create_app(pool, database_url=database_url, mqtt_url=mqtt_url)


@pytest.fixture
async def heard(mqtt_url: str) -> AsyncIterator[asyncio.Queue[aiomqtt.Message]]:
    """Everything that the broker passes on."""
    url = urlsplit(mqtt_url)
    queue: asyncio.Queue[aiomqtt.Message] = asyncio.Queue()
    async with aiomqtt.Client(url.hostname or "", url.port or 1883) as client:
        await client.subscribe("#", qos=1)

        async def listen() -> None:
            async for message in client.messages:
                queue.put_nowait(message)

        task = asyncio.create_task(listen())
        yield queue
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("payload", [b'{"t": "yesterday"}', b"\xff\x00\x01", b"", "乱码".encode()])
async def test_replay_through_the_broker(
    client: Clients, reject: Reject, heard: asyncio.Queue[aiomqtt.Message], payload: bytes
) -> None:
    topic = "pg/v1/320118100000/T9/fix"
    number = await reject(topic, payload, "unknown_device")
    answer = await client("operator").post(f"/api/v1/rejects/{number}/replay")
    assert answer.status_code == 200, answer.text
    assert answer.json()["replayed_at"]
    message = await asyncio.wait_for(heard.get(), 5)
    assert (str(message.topic), message.payload, message.qos, message.retain) == (topic, payload, 1, False)
    listed = (await client("operator").get("/api/v1/rejects")).json()["items"]
    assert next(r for r in listed if r["id"] == number) == answer.json()


async def test_payloads_are_shown_as_text_or_hex(client: Clients, reject: Reject) -> None:
    shown = {}
    for payload in ("快艇".encode(), b"\xff\x00", b"", b"x" * 10_000, f"x{'湖' * 5000}".encode()):
        shown[payload] = await reject("t", payload)
    listed = {r["id"]: r for r in (await client("admin").get("/api/v1/rejects")).json()["items"]}
    payloads = {payload[:10]: listed[number]["payload"] for payload, number in shown.items()}
    assert payloads["快艇".encode()] == "快艇"
    assert payloads[b"\xff\x00"] == "hex: ff 00"
    assert payloads[b""] == ""
    assert payloads[b"x" * 10] == "x" * 4096, "a listing shows the beginning"
    assert payloads["x湖湖湖".encode()] == "x" + "湖" * 1365, "cut between characters"
    of_ours = [listed[number] for number in shown.values()]
    assert all(r["reason"] == "not_json" and r["detail"] and r["times"] == 1 for r in of_ours)


@pytest.mark.parametrize(("topic", "payload"), [("pg/v1/a/T1/sos", b"{}"), ("pg/v1/a/T1/fix", b'{"sos": true}')])
async def test_a_call_for_help_is_for_a_supervisor(
    client: Clients, reject: Reject, heard: asyncio.Queue[aiomqtt.Message], topic: str, payload: bytes
) -> None:
    number = await reject(topic, payload)
    answer = await client("operator").post(f"/api/v1/rejects/{number}/replay")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "sos_replay")
    assert heard.empty()
    assert (await client("supervisor").post(f"/api/v1/rejects/{number}/replay")).status_code == 200
    assert str((await asyncio.wait_for(heard.get(), 5)).topic) == topic


async def test_what_was_cut_is_not_sent(client: Clients, reject: Reject, heard: asyncio.Queue[aiomqtt.Message]) -> None:
    number = await reject("t", b"x" * (PAYLOAD_KEPT + 1), "too_large")
    answer = await client("admin").post(f"/api/v1/rejects/{number}/replay")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "truncated")
    assert heard.empty()


async def test_unknown(client: Clients) -> None:
    answer = await client("admin").post("/api/v1/rejects/999999/replay")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_a_broker_that_is_away_marks_nothing(
    app: FastAPI, client: Clients, reject: Reject, unused_tcp_port_factory: Callable[[], int]
) -> None:
    app.state.desk.publish = publisher(f"mqtt://127.0.0.1:{unused_tcp_port_factory()}")
    number = await reject("t", b"away")
    answer = await client("admin").post(f"/api/v1/rejects/{number}/replay")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "broker_unreachable")
    listed = (await client("admin").get("/api/v1/rejects")).json()["items"]
    assert next(r for r in listed if r["id"] == number)["replayed_at"] is None


@pytest.mark.parametrize("wrong", ["", "http://broker", "mqtt://", "broker:1883"])
def test_an_address_that_is_none(wrong: str) -> None:
    with pytest.raises(ValueError, match="broker address"):
        publisher(wrong)
