"""Over a real Mosquitto: everything arrives once and in order, a patrol obeys, an outage loses nothing, and the end."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import pytest
from structlog.testing import capture_logs

from benchmarks.wire import Wire
from devices.codecs.patrolgrid import PatrolGridCodec
from devices.readings import SECOND, Fix
from devices.site_folder import SiteFolder
from server.mosquitto import Mosquitto
from server.services import Services
from simulators import Progress, WrongArgument, publish, simulate
from simulators.publish import Link
from simulators.scenarios import UnknownScenario
from simulators.wire import Message
from simulators.world import World


def _client(url: str, **more: Any) -> aiomqtt.Client:
    parts = urlsplit(url)
    return aiomqtt.Client(parts.hostname or "", parts.port or 1883, **more)


@asynccontextmanager
async def _heard(url: str, **session: Any) -> AsyncIterator[list[aiomqtt.Message]]:
    """All messages of the own contract while the context lasts, without those retained from before."""
    messages: list[aiomqtt.Message] = []

    async def listen(client: aiomqtt.Client) -> None:
        with suppress(aiomqtt.MqttError):  # the broker may go away
            async for message in client.messages:
                messages.extend([] if message.retain else [message])

    async with _client(url, **session) as client:
        await client.subscribe("pg/v1/#", qos=1)
        listening = asyncio.create_task(listen(client))
        try:
            yield messages
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


async def _until(what: Any, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def hamlet(shijiu: SiteFolder) -> SiteFolder:
    """The example with a quarter of its terminals."""
    return replace(shijiu, devices=tuple(d for d in shijiu.devices if d.kind != "terminal" or d.code[-1] in "26"))


async def test_a_back_fill_is_the_worlds_own_stream_and_quick(
    shijiu: SiteFolder, mqtt_url: str, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    slow = Wire(mqtt_url)  # a broker that takes its time to answer is not one that is away
    await slow.mend()
    slow.hold()
    async with _heard(mqtt_url) as heard:
        began = time.monotonic()
        asyncio.get_running_loop().call_later(0.5, slow.release)
        await simulate(
            shijiu, slow.url, seed=4, speed=1e6, lead=600.0, duration=600.0, truth=tmp_path / "truth.jsonl",
            on_progress=seen.append,
        )  # fmt: skip
        took = time.monotonic() - began
        await _until(lambda: len(heard) >= seen[-1].published)
    await slow.cut()
    # The same world again, from the start that the last farewell gives away.
    farewell = [json.loads(m.payload) for m in heard if m.topic.value.endswith("/status")][-1]
    world = World(shijiu, "demo", 4, round(farewell["t"] * SECOND) - 600 * SECOND)
    expected = list(world.run(600.0))
    assert [(m.topic.value, m.payload) for m in heard] == [(m.topic, m.payload) for m in expected]
    assert sum(m.topic.value.endswith("/fix") for m in heard) > 4_500
    assert took < 20.0
    written = (tmp_path / "truth.jsonl").read_bytes().splitlines()
    assert written == [e.line() for e in world.diary.take()]
    labels = [json.loads(line) for line in written]
    assert {o["kind"] for o in labels} >= {"fishing", "coverage_gap"}
    assert seen[-1].done == 1.0


async def test_it_catches_up_and_then_keeps_to_the_present(hamlet: SiteFolder, mqtt_url: str) -> None:
    async with _heard(mqtt_url) as heard:
        arrived: list[float] = []
        live = asyncio.Event()
        running = asyncio.create_task(
            simulate(hamlet, mqtt_url, scenario="quiet", speed=60.0, lead=120.0,
                     on_progress=lambda p: live.set() if p.live else None)
        )  # fmt: skip
        await asyncio.wait_for(live.wait(), 15)
        caught_up = len(heard)
        for _ in range(5):
            await asyncio.sleep(1)
            fixes = [m for m in heard if m.topic.value.endswith("/fix") and m.payload[:1] == b"{"]
            newest = max(json.loads(m.payload)["t"] for m in fixes)
            arrived.append(time.time() - newest)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await _until(lambda: sum(b'"online":false' in m.payload for m in heard) == len(hamlet.devices))
    assert caught_up > 150
    assert all(0 <= late < 3 for late in arrived)


async def test_stopped_it_leaves_every_device_offline_and_no_session(hamlet: SiteFolder, mqtt_url: str) -> None:
    running = asyncio.create_task(simulate(hamlet, mqtt_url, scenario="quiet", lead=30.0))
    await asyncio.sleep(1.5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    states = {}
    async with _client(mqtt_url) as client:
        await client.subscribe("pg/v1/+/+/status", qos=1)
        async with asyncio.timeout(10):
            async for message in client.messages:
                states[message.topic.value.split("/")[3]] = json.loads(message.payload)["online"]
                if len(states) == len(hamlet.devices):
                    break
        assert not any(states.values())


async def test_a_patrol_sent_by_mqtt_answers_and_comes_within_30_metres(hamlet: SiteFolder, mqtt_url: str) -> None:
    codec, device = PatrolGridCodec(), "T026"
    world = World(hamlet, "quiet", 1, time.time_ns() // 1000)  # only for a place on the round near by
    unit = world.terminals.index[device]
    fixes: list[Fix] = []
    async with _heard(mqtt_url) as heard:
        running = asyncio.create_task(simulate(hamlet, mqtt_url, scenario="quiet", speed=30.0, lead=3600.0))

        def mine() -> list[Fix]:
            found = [m for m in heard if m.topic.value.split("/")[3] == device and m.topic.value.endswith("/fix")]
            return [r for m in found for r in codec.decode(m.topic.value, bytes(m.payload), 0) if isinstance(r, Fix)]

        await _until(lambda: len(mine()) > 12)
        now = mine()[-1]
        here = world.ground.frame.spot(now.lon, now.lat)
        goal = world.ground.beside(here, 180.0)
        lon, lat = world.ground.frame.degrees(*goal)
        order = {
            "id": "n-1",
            "do": "goto",
            "lon": lon,
            "lat": lat,
            "case": "PG-20261122-0001",
            "zh": "前往",
            "en": "Go",
        }
        share = hamlet.devices[-1].share
        async with _client(mqtt_url) as client:
            await client.publish(f"pg/v1/{share}/{device}/command", json.dumps(order), qos=1)
        await _until(lambda: any(m.topic.value == f"pg/v1/{share}/{device}/command/ack" for m in heard))
        ack = next(json.loads(m.payload) for m in heard if m.topic.value.endswith("/command/ack"))
        assert (ack["id"], ack["ok"]) == ("n-1", True)

        def nearest() -> float:
            after = [f for f in mine() if f.at > ack["t"] * SECOND]
            return min((math.dist(world.ground.frame.spot(f.lon, f.lat), goal) for f in after), default=math.inf)

        await _until(lambda: nearest() < 30.0, 40)
        fixes = mine()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert unit >= 0
    assert max(f.speed for f in fixes if f.at > ack["t"] * SECOND) > 1.6  # brisker than on the round


@pytest.fixture
def broker(services: Services) -> Iterator[Mosquitto]:
    """A broker that the test may kill."""
    own = services.extra_mosquitto("mosquitto-simulators")
    own.up(0)
    yield own
    own.remove()


async def test_while_the_broker_is_away_everything_is_kept_and_comes_as_arrays(
    hamlet: SiteFolder, broker: Mosquitto
) -> None:
    url, codec = f"mqtt://127.0.0.1:{broker.port()}", PatrolGridCodec()
    observer = {"identifier": "observer", "clean_session": False}  # what it misses, the broker keeps for it
    running = None
    with suppress(aiomqtt.MqttError):  # its own farewell, when the broker is gone
        async with _heard(url, **observer) as before:
            running = asyncio.create_task(simulate(hamlet, url, scenario="quiet", speed=40.0, lead=3600.0))
            await _until(lambda: len(before) > 300)
            await asyncio.to_thread(broker.down)
            await asyncio.sleep(2.0)
    assert running is not None
    assert url.endswith(str(await asyncio.to_thread(broker.up, urlsplit(url).port)))
    async with _heard(url, **observer) as after:
        terminals = [d for d in hamlet.devices if d.kind == "terminal"]
        await _until(
            lambda: sum(m.payload[:1] == b"[" and m.topic.value.endswith("/fix") for m in after) >= len(terminals)
        )
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await _until(lambda: sum(b'"online":false' in m.payload for m in after) >= len(hamlet.devices))
    received = before + after
    times: dict[str, set[int]] = {}
    for message in received:
        for reading in codec.decode(message.topic.value, bytes(message.payload), 0):
            if isinstance(reading, Fix):
                times.setdefault(reading.device, set()).add(reading.at)
    assert times.keys() == {d.code for d in terminals}
    for device in terminals:
        at = sorted(times[device.code])
        assert max(b - a for a, b in pairwise(at)) < 5.2 * SECOND, f"{device.code} lost a fix"


async def test_a_link_without_a_broker_stores_and_says_so_at_the_end(
    hamlet: SiteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    links: list[Link] = []

    def link(*given: Any) -> Link:
        links.append(Link(*given))
        return links[-1]

    monkeypatch.setattr(publish, "Link", link)
    with capture_logs() as logs:
        running = asyncio.create_task(simulate(hamlet, "mqtt://127.0.0.1:9", scenario="quiet", lead=60.0))
        while not (logs and links and len(links[0].outbox)):
            assert not running.done()
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert logs[0]["event"] == "simulator_disconnected"
    (unsent,) = [line for line in logs if line["event"] == "simulator_stopped_with_unsent_messages"]
    assert unsent["messages"] > len(hamlet.devices)


async def test_a_full_outbox_makes_the_world_wait() -> None:
    link = Link("mqtt://127.0.0.1:9", [], lambda _topic, _payload: None)
    link.connected = True  # so that nothing is folded
    link.hand_over([Message(0, f"pg/v1/1/d{i}/fix", b"{}") for i in range(5_001)])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(link.room(), 0.05)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"speed": 0.0}, "speed = 0.0"),
        ({"lead": -1.0}, "lead = -1.0"),
        ({"duration": math.nan}, "duration = nan"),
        ({"speed": math.inf}, "speed = inf"),
    ],
)
async def test_numbers_that_make_no_sense_are_refused(pond: SiteFolder, wrong: Any, says: str) -> None:
    with pytest.raises(WrongArgument, match=says):
        await simulate(pond, "mqtt://127.0.0.1:9", **wrong)


async def test_a_wrong_address_or_scenario_is_refused_before_anything_is_sent(pond: SiteFolder) -> None:
    with pytest.raises(WrongArgument, match=r"'127\.0\.0\.1:1883': expected mqtt"):
        await simulate(pond, "127.0.0.1:1883")
    with pytest.raises(UnknownScenario):
        await simulate(pond, "mqtt://127.0.0.1:9", scenario="?")
