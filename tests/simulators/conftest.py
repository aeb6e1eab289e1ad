"""Two sites: the example lake, and a pond of which little is registered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import msgspec
import pytest
import shapely

from devices.codecs.patrolgrid import PatrolGridCodec
from devices.readings import Reading
from devices.registry import Device
from devices.site import Area, Zone
from devices.site_folder import SiteFolder, read_folder
from simulators.truth import Episode
from simulators.wire import Message
from simulators.world import Command, World

START = 1_795_341_600_000_000  # 2026-11-22 18:00 +08:00
SHARE = "990101001000"


@dataclass(frozen=True)
class Run:
    """One run of a scenario: the messages, what happened, and the readings the own codec makes of the messages."""

    messages: list[Message]
    truth: list[Episode]
    world: World

    @cached_property
    def _decoded(self) -> list[Reading]:
        codec = PatrolGridCodec()
        return [r for m in self.messages for r in codec.decode(m.topic, m.payload, m.at)]

    def readings(self, kind: type[Reading]) -> list[Any]:
        return [r for r in self._decoded if isinstance(r, kind)]

    def of(self, kind: str) -> list[Episode]:
        return [e for e in self.truth if e.kind == kind]

    def objects(self, leaf: str, device: str = "") -> list[tuple[int, dict[str, Any]]]:
        """When each object of a kind of message was sent, and the object; arrays one by one."""
        found = []
        for message in self.messages:
            _, _, _, code, kind = message.topic.split("/", 4)
            if kind == leaf and device in ("", code):
                content = msgspec.json.decode(message.payload)
                found += [(message.at, o) for o in (content if isinstance(content, list) else [content])]
        return found


class Play(Protocol):
    """Run a scenario from its start to its end."""

    def __call__(
        self,
        folder: SiteFolder,
        scenario: str,
        seconds: float,
        *,
        seed: int = 1,
        start: int = START,
        commands: Iterable[Command] = (),
    ) -> Run: ...


@pytest.fixture(scope="session")
def start() -> int:
    return START


@pytest.fixture(scope="session")
def play() -> Play:
    def run(
        folder: SiteFolder,
        scenario: str,
        seconds: float,
        *,
        seed: int = 1,
        start: int = START,
        commands: Iterable[Command] = (),
    ) -> Run:
        world = World(folder, scenario, seed, start)
        messages = list(world.run(seconds, commands))
        return Run(messages, world.diary.take(), world)

    return run


@pytest.fixture(scope="session")
def shijiu(pytestconfig: pytest.Config) -> SiteFolder:
    return read_folder(pytestconfig.rootpath / "examples" / "shijiu")


@pytest.fixture(scope="session")
def pond() -> SiteFolder:
    """A round pond of 800 m: two villages, five terminals, nothing drawn but the water; and a lone camera."""
    water = shapely.Point(118.85, 31.47).buffer(0.004)
    areas = (
        Area(SHARE, "乡", "Town", "street"),
        Area("990101001201", "东村", "East Village", "community", SHARE),
        Area("990101001202", "西村", "West Village", "community", SHARE),
    )
    terminals = tuple(
        Device(f"P{i}", "terminal", f"{i}号", f"No. {i}", f"99010100120{1 + i % 2}", SHARE, role="patrol", interval=5.0)
        for i in range(4)
    )
    boat = Device("B1", "terminal", "艇", "Boat", "990101001201", SHARE, role="boat", interval=10.0)
    camera = Device("K1", "camera", "监控", "Camera", "990101001201", SHARE, lon=118.8545, lat=31.47)
    sensor = Device("X1", "sensor", "雨量", "Rain", "990101001201", SHARE, properties={"quantity": "rain"})
    zone = Zone("W", "water", "塘", "Pond", SHARE, water)
    return SiteFolder("塘", "Pond", areas=areas, devices=(*terminals, boat, camera, sensor), zones=(zone,))


@pytest.fixture(scope="session")
def evening(shijiu: SiteFolder, play: Play) -> Run:
    """Two hours of the evening scenario."""
    return play(shijiu, "evening", 7_200)


@pytest.fixture(scope="session")
def hour(shijiu: SiteFolder, play: Play) -> Run:
    """An hour of the quiet scenario."""
    return play(shijiu, "quiet", 3_600)
