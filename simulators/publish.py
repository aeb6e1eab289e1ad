"""The simulated devices' connection to a broker. Nothing else in this folder knows of MQTT or of the wall clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

import aiomqtt
import structlog

from devices.broker import Broker
from devices.readings import SECOND
from devices.site import moment
from devices.site_folder import SiteFolder
from simulators.outbox import Outbox
from simulators.truth import Diary
from simulators.wire import Message
from simulators.world import STEP, World

log = structlog.get_logger()

WINDOW: Final = 100  # messages in flight
FULL: Final = 5_000  # messages waiting at which world time stands still until the broker has taken some
SLICE: Final = 20 * STEP  # world time in one go, before others have their turn
BEAT: Final = 0.2  # s between looks at the clock
FAREWELL: Final = 5.0  # s for what is still waiting at the end

Heard = Callable[[str, bytes], None]


class WrongArgument(ValueError):
    """A number or an address that makes no sense; the message says which and what was expected."""


class Progress(NamedTuple):
    """How far a simulation is."""

    world: datetime  # UTC
    done: float  # 0..1 of the duration; 0 where it has none
    published: int
    waiting: int
    live: bool  # world time has caught up with the wall clock


class Link:
    """One MQTT connection for all devices: QoS 1, many in flight, reconnecting with growing pauses."""

    def __init__(self, mqtt_url: str, commands: Sequence[str], heard: Heard) -> None:
        try:
            broker = Broker.parse(mqtt_url)
        except ValueError as error:
            raise WrongArgument(str(error)) from error
        self._arguments: dict[str, Any] = {
            **broker.client_arguments(),
            "identifier": f"patrolgrid-simulator-{uuid4().hex[:12]}",
            "max_inflight_messages": WINDOW,
        }
        self._commands, self._heard = tuple(commands), heard
        self.outbox = Outbox()
        self.connected = False
        self.published = 0
        self.tried = asyncio.Event()  # the first attempt to connect has ended, well or badly
        self._work, self._room = asyncio.Event(), asyncio.Event()

    def hand_over(self, messages: Sequence[Message]) -> None:
        """Take messages to be sent, or stored while the broker is away."""
        self.outbox.put(messages)
        if not self.connected:
            self.outbox.store()
        self._work.set()

    async def room(self) -> None:
        """Wait while too many messages are waiting."""
        while len(self.outbox) > FULL:
            self._room.clear()
            await self._room.wait()

    async def empty(self, seconds: float) -> bool:
        """Wait until the broker has everything; False when it has not after ``seconds``."""
        # Not asyncio.timeout: before Python 3.11.4 it raises CancelledError in a task that is being cancelled, as here.
        end = time.monotonic() + seconds
        while len(self.outbox) and (left := end - time.monotonic()) > 0:
            self._room.clear()
            waiting = asyncio.ensure_future(self._room.wait())
            await asyncio.wait({waiting}, timeout=left)
            waiting.cancel()
        return not len(self.outbox)

    async def run(self) -> None:
        """Keep the connection until cancelled, then leave no session behind at the broker."""
        pause = 0.25
        try:
            while True:
                try:
                    async with aiomqtt.Client(**self._arguments, clean_session=False) as client:
                        client.pending_calls_threshold = 2 * WINDOW
                        pause = 0.25
                        await self._talk(client)
                except* aiomqtt.MqttError as errors:
                    log.warning("simulator_disconnected", error=str(errors.exceptions[0]), again_in=pause)
                    self.tried.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, 10.0)
        finally:
            with suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(**self._arguments, clean_session=True):
                    pass

    async def _talk(self, client: aiomqtt.Client) -> None:
        """Listen and publish until the connection breaks."""
        try:
            for first in range(0, len(self._commands), 200):
                await client.subscribe([(topic, 1) for topic in self._commands[first : first + 200]])
            self.connected = True
            self.tried.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(client))
                for _ in range(WINDOW):
                    tasks.create_task(self._publish(client))
        finally:
            self.connected = False
            self.outbox.lost()

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self._heard(message.topic.value, bytes(message.payload) if isinstance(message.payload, bytes) else b"")

    async def _publish(self, client: aiomqtt.Client) -> None:
        """One place of the window. Messages go out in their order: nothing is awaited between taking and sending."""
        while True:
            while not self.outbox.waiting:
                self._work.clear()
                await self._work.wait()
            number, message = self.outbox.take()
            await client.publish(message.topic, message.payload, qos=1, retain=message.retain)
            self.outbox.acknowledged(number)
            self.published += 1
            if len(self.outbox) < FULL // 2:
                self._room.set()


class _Truth:
    """The file of labelled truth, one JSON line per episode that has ended."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None:
            path.write_bytes(b"")

    def write(self, diary: Diary) -> None:
        ended = diary.take()
        if self._path is not None and ended:
            with self._path.open("ab") as file:
                file.writelines(episode.line() + b"\n" for episode in ended)


async def simulate(
    folder: SiteFolder,
    mqtt_url: str,
    *,
    scenario: str = "demo",
    seed: int = 1,
    speed: float = 60.0,
    lead: float = 600.0,
    duration: float | None = None,
    truth: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Let a site's devices live and publish over MQTT, and obey the commands they get.

    World time begins ``lead`` seconds before now and runs at ``speed`` until it has caught up with the wall clock, then
    with it; so nothing ever lies in the future, and ``lead`` = ``duration`` is a mere back-fill. It begins when the
    broker has answered or cannot be reached; while it is away everything is stored, to be sent afterwards. At the end,
    or when cancelled, every device says that it is offline.

    Args:
        scenario: a name in :data:`simulators.scenarios.SCENARIOS`.
        seed: another seed, other people; the same seed and start give the same messages.
        speed: world seconds per second until it has caught up.
        duration: world seconds after which it ends; None: never.
        truth: a file (overwritten) for what truly happened, JSON lines.
        on_progress: called several times a second.

    Raises:
        WrongArgument: a number or the address makes no sense.
        UnknownScenario, NoLake: see :class:`simulators.world.World`.
    """
    for name, value, least in (("speed", speed, 0.001), ("lead", lead, 0.0), ("duration", duration or 0.0, 0.0)):
        if not least <= value < float("inf"):
            raise WrongArgument(f"{name} = {value!r}: expected a number of at least {least}")
    world = World(folder, scenario, seed, _wall() - int(lead * SECOND))

    def heard(topic: str, payload: bytes) -> None:
        if not world.order(topic.split("/")[3], payload):
            log.warning("simulator_command_not_understood", topic=topic, payload=payload[:200])

    link = Link(mqtt_url, world.command_topics(), heard)
    labels, report = _Truth(truth), on_progress or (lambda _: None)
    async with asyncio.TaskGroup() as tasks:
        connection = tasks.create_task(link.run(), name="simulator link")
        try:
            await link.tried.wait()  # a broker slow to answer is not away: nothing is stored for its sake
            await _live(world, link, labels, speed, duration, report)
        finally:
            if not connection.done():
                await _stop(world, link, labels)
            report(_progress(world, link, duration))
            connection.cancel()


async def _live(
    world: World,
    link: Link,
    labels: _Truth,
    speed: float,
    duration: float | None,
    report: Callable[[Progress], None],
) -> None:
    """Move world time on until the duration is over."""
    end = None if duration is None else world.start + int(duration * SECOND)
    target, looked, skipped = float(world.start), time.monotonic(), 0
    while end is None or world.now + STEP <= end:
        passed, looked = time.monotonic() - looked, time.monotonic()
        target = min(target + passed * speed * SECOND, _wall())
        until = int(target) if end is None else min(int(target), end)
        while world.now + STEP <= until:
            link.hand_over(world.advance(min(until, world.now + SLICE)))
            await link.room()
            labels.write(world.diary)
            await asyncio.sleep(0)
        if skipped != sum(world.plot.skipped.values()):
            skipped = sum(world.plot.skipped.values())
            log.info("simulator_found_no_place_for", **world.plot.skipped)
        report(_progress(world, link, duration))
        await asyncio.sleep(BEAT)


def _progress(world: World, link: Link, duration: float | None) -> Progress:
    done = 0.0 if duration is None else (world.now - world.start) / max(duration * SECOND, 1.0)
    live = _wall() - world.now < 3 * SECOND
    return Progress(moment(world.now), done, link.published, len(link.outbox), live)


async def _stop(world: World, link: Link, labels: _Truth) -> None:
    """Farewell: what is still stored, and every device offline."""
    link.hand_over(world.finish())
    labels.write(world.diary)
    if not await link.empty(FAREWELL):
        log.warning("simulator_stopped_with_unsent_messages", messages=len(link.outbox))


def _wall() -> int:
    return time.time_ns() // 1000
