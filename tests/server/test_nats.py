"""The private NATS server for real: killed, started again, and in Mosquitto's place."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import pytest

from devices.codecs import subscriptions
from ingest.listener import Listener
from server.private import wait_until
from server.services import Services

QUEUED = 3000
TOPIC = "pg/v1/990101001000/T001/fix"


@pytest.fixture(scope="module")
def data_dir(pytestconfig: pytest.Config) -> Iterator[Path]:
    """A data folder of this module's own."""
    folder = pytestconfig.rootpath / ".patrolgrid" / f"nats-{uuid.uuid4().hex[:8]}"
    yield folder
    chosen(folder).down()
    real = (folder / "services").resolve()
    shutil.rmtree(folder)
    shutil.rmtree(real, ignore_errors=True)


def chosen(folder: Path) -> Services:
    """Services with a NATS server and without a database."""
    return Services(folder, database_url="postgresql://unused", broker="nats")


async def publish(url: str, numbers: range) -> None:
    """Publish numbers, each acknowledged."""
    async with aiomqtt.Client("127.0.0.1", urlsplit(url).port or 0, timeout=60) as client:
        for first in range(numbers.start, numbers.stop, 100):
            some = range(first, min(first + 100, numbers.stop))
            await asyncio.gather(*(client.publish(TOPIC, str(number), qos=1) for number in some))


async def take(listener: Listener, least: int) -> list[bytes]:
    """The payloads that come, until there are so many different ones; none of them is acknowledged."""
    got: list[bytes] = []
    async with asyncio.timeout(60):
        while len(set(got)) < least:
            got += [message.payload for message in await listener.take(10_000)]
    return got


async def listening(listener: Listener) -> None:
    """Wait until it is."""
    async with asyncio.timeout(30):
        while not listener.connected:
            await asyncio.sleep(0.05)


async def test_a_kill_costs_nothing_that_was_acknowledged(data_dir: Path) -> None:
    services = chosen(data_dir)
    url = services.up().mqtt_url
    async with Listener(url, "killed", subscriptions()) as listener:
        await listening(listener)
    await publish(url, range(QUEUED))
    (_, state) = services.status()
    assert state.name == "NATS server"
    broker = services.extra_nats("nats")
    broker.kill()
    assert wait_until(lambda: broker.pid() is None, 5)
    again = services.up()
    assert again.mqtt_url == url, "the port is remembered"
    async with Listener(url, "killed", subscriptions()) as listener:
        assert set(await take(listener, QUEUED)) == {str(number).encode() for number in range(QUEUED)}


async def test_what_a_worker_had_in_hand_comes_again_and_meanwhile_not_twice(data_dir: Path) -> None:
    url = chosen(data_dir).up().mqtt_url
    async with Listener(url, "in-hand", subscriptions()) as listener:
        await listening(listener)
        await publish(url, range(500))
        assert len(await take(listener, 500)) == 500
        await asyncio.sleep(7)  # twice as long as the broker waits for a PUBACK
        await publish(url, range(500, 501))
        assert await take(listener, 1) == [b"500"]
    async with Listener(url, "in-hand", subscriptions()) as listener:
        assert set(await take(listener, 501)) == {str(number).encode() for number in range(501)}


def test_one_broker_runs_at_a_time_on_the_same_port_and_the_choice_is_remembered(data_dir: Path) -> None:
    url = chosen(data_dir).up().mqtt_url
    database = "postgresql://unused"
    assert Services(data_dir, database_url=database).up().mqtt_url == url
    assert Services(data_dir, database_url=database).status()[1].name == "NATS server"
    other = Services(data_dir, database_url=database, broker="mosquitto")
    assert other.up().mqtt_url == url
    assert other.extra_nats("nats").pid() is None
    assert [(state.name, state.running) for state in other.status()][1:] == [("Mosquitto", True)]
    assert chosen(data_dir).up().mqtt_url == url
    assert other.extra_mosquitto("mosquitto").pid() is None


def test_down_stops_it(data_dir: Path) -> None:
    services = chosen(data_dir)
    services.up()
    services.down()
    assert services.extra_nats("nats").pid() is None
