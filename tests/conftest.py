"""The real TimescaleDB, the real Mosquitto and the real worker process that the tests talk to."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from hypothesis import settings

from server.services import Services

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

T = TypeVar("T")

settings.register_profile("patrolgrid", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("patrolgrid")


def _finish(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end in a thread of its own, so that no test's event loop is touched."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def services(pytestconfig: pytest.Config) -> Iterator[Services]:
    """The private services in ``.patrolgrid/test``, shared by all test processes: the last one to leave stops them."""
    folder = pytestconfig.rootpath / ".patrolgrid" / "test"
    folder.mkdir(parents=True, exist_ok=True)
    private = Services(folder, mqtt_url="mqtt://unused")  # a broker is started per test module instead
    with (folder / "users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while the last one to leave is stopping them
        private.up()
        yield private
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        _drop_left_over(private)
        for left_over in (folder / "services").resolve().glob("mosquitto-*"):
            private.extra_mosquitto(left_over.name).remove()
        private.down()


def _drop_left_over(private: Services) -> None:
    """Databases of test processes that were killed; nobody uses any now."""
    port = urlsplit(private.up().database_url).port or 0
    for name in private.postgres().databases(port):
        if name.startswith("test_"):
            private.postgres().drop_database(port, name)


@pytest.fixture(scope="module")
def empty_database_url(services: Services) -> Iterator[str]:
    """A fresh database without any migration, dropped afterwards."""
    port = urlsplit(services.up().database_url).port or 0
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield services.postgres().create_database(port, name)
    services.postgres().drop_database(port, name)


@pytest.fixture(scope="module")
def database_url(services: Services) -> Iterator[str]:
    """A fresh database with all migrations, one per test module, dropped afterwards."""
    from store.database import migrate

    port = urlsplit(services.up().database_url).port or 0
    name = f"test_{uuid.uuid4().hex[:12]}"
    url = services.postgres().create_database(port, name)
    _finish(migrate(url))
    yield url
    services.postgres().drop_database(port, name)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[AsyncConnectionPool[AsyncConnection]]:
    """An open pool on the module's database."""
    from store.database import open_pool

    async with open_pool(database_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def mqtt_url(services: Services) -> Iterator[str]:
    """A Mosquitto of this test module's own, on a free port, removed afterwards."""
    broker = services.extra_mosquitto(f"mosquitto-{uuid.uuid4().hex[:12]}")
    yield f"mqtt://127.0.0.1:{broker.up(0)}"
    broker.remove()


class WorkerProcess:
    """A real worker in a process of its own. ``env`` is its environment, to be changed before :meth:`start`."""

    def __init__(self, database_url: str, mqtt_url: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = folder / "worker.log"
        self.env = os.environ | {
            "PATROLGRID_DATABASE_URL": database_url,
            "PATROLGRID_MQTT_URL": mqtt_url,
            "PATROLGRID_WORKER_PORT": str(self.port),
            "PATROLGRID_LOG_JSON": "true",
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                Path(sys.executable).with_name("patrolgrid"), "worker", stdout=log, stderr=log, env=self.env
            )
        deadline = time.monotonic() + 60
        while not await asyncio.to_thread(self._ready):
            if self.process.returncode is not None or time.monotonic() > deadline:
                pytest.fail(f"the worker did not become ready:\n{self.log.read_text()[-4000:]}")
            await asyncio.sleep(0.05)

    def _ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    async def end(self, how: signal.Signals) -> int:
        """Send the signal and wait; the exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), 20)


@pytest.fixture
async def worker_process(database_url: str, mqtt_url: str, tmp_path: Path) -> AsyncIterator[WorkerProcess]:
    """A worker on the module's database and broker, not started yet; killed at the end if it still runs."""
    worker = WorkerProcess(database_url, mqtt_url, tmp_path)
    yield worker
    if worker.process is not None and worker.process.returncode is None:
        await worker.end(signal.SIGKILL)
