"""A wire that can be cut, a small registry, and a terminal that publishes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import aiomqtt
import pytest

from devices.registry import Device, Registry

SHARE = "320118001000"


class Wire:
    """A TCP proxy on 127.0.0.1 in front of a service; it can be cut, and mended."""

    def __init__(self, url: str) -> None:
        self._far = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """The service's address through the wire."""
        user = self._far.netloc.rpartition("@")[0]
        return self._far._replace(netloc=f"{user}@127.0.0.1:{self.port}" if user else f"127.0.0.1:{self.port}").geturl()

    async def mend(self) -> None:
        """Take connections (again)."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for end in list(self._ends):
            end.transport.abort()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._far.hostname, self._far.port)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._ends.add(sink)
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # cut
        finally:
            sink.close()
            self._ends.discard(sink)


@pytest.fixture
async def broker_wire(mqtt_url: str) -> AsyncIterator[Wire]:
    """A wire to the broker."""
    wire = Wire(mqtt_url)
    await wire.mend()
    yield wire
    await wire.cut()


@pytest.fixture
async def database_wire(database_url: str) -> AsyncIterator[Wire]:
    """A wire to the database."""
    wire = Wire(database_url)
    await wire.mend()
    yield wire
    await wire.cut()


@pytest.fixture
async def terminal(mqtt_url: str) -> AsyncIterator[aiomqtt.Client]:
    """A client that publishes to the broker."""
    parts = urlsplit(mqtt_url)
    async with aiomqtt.Client(parts.hostname or "", parts.port or 1883) as client:
        yield client


def device(number: int, code: str, **more: object) -> Device:
    """A device of the test site."""
    values: dict[str, object] = {
        "kind": "terminal",
        "name": code,
        "name_en": code,
        "area": SHARE,
        "share": SHARE,
        **more,
    }
    return Device(code=code, id=number, **values)  # type: ignore[arg-type]


@pytest.fixture
def registry() -> Registry:
    """Two terminals, one switched off, a camera with a place and one without, a sensor."""
    return Registry(
        [
            device(1, "T-1", aliases=("owntracks/zhang/phone",)),
            device(2, "T-2"),
            device(3, "T-3", active=False),
            device(4, "C-1", kind="camera", lon=118.9, lat=31.5),
            device(5, "C-2", kind="camera"),
            device(6, "S-1", kind="sensor"),
            device(7, "X-1", share="320118002000"),
        ]
    )


Until = Callable[[Callable[[], bool | Awaitable[bool]]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Wait until a condition holds; fails after 15 s."""

    async def wait(condition: Callable[[], bool | Awaitable[bool]]) -> None:
        async with asyncio.timeout(15):
            while True:
                result = condition()
                if await result if isinstance(result, Awaitable) else result:
                    return
                await asyncio.sleep(0.02)

    return wait
