"""Which part gets which values, and how a process of ours starts, runs and ends."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from socket import socket
from uuid import uuid4

import psycopg
import structlog
import uvicorn
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette

from alerts.duplicates import Nearness
from console.app import ConsoleServer, create_app
from console.intake import Intake
from server.backtest_jobs import BacktestJobs
from server.publisher import Publisher
from server.services import Addresses
from server.settings import Settings
from server.telemetry import Checks, worker_app
from server.worker import Ground, Worker
from store.database import listen, migrate, open_pool, pending
from store.media import Media
from store.registry import load_duty, load_rules, load_shares, load_site
from store.signing import KeyFile

log = structlog.get_logger()


class NotReady(RuntimeError):
    """Something that must be there before the start is not; the message says what to do."""


async def upgrade(addresses: Addresses) -> list[str]:
    """Apply the missing migrations; their names."""
    return await migrate(addresses.database_url)


async def read_ground(pool: AsyncConnectionPool) -> Ground:
    """Site, rules, duty matrix and shares of the work as stored."""
    async with pool.connection() as conn:
        return Ground(await load_site(conn), await load_rules(conn), await load_duty(conn), await load_shares(conn))


async def run(
    settings: Settings,
    addresses: Addresses,
    *,
    worker: bool,
    console: bool,
    ready: Callable[[str], None] = lambda address: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run a worker, a console or both until ``stop`` is set or SIGTERM or SIGINT comes, then end in order.

    ``ready`` is called once with the console's (or the lone worker's) address when it answers.

    Raises:
        NotReady: the database's schema is not this version's.
    """
    if missing := await pending(addresses.database_url):
        raise NotReady(f"the database lacks {', '.join(missing)}: run `patrolgrid migrate` first")
    stop = stop or asyncio.Event()
    with _set_by_signals(stop):
        async with (
            open_pool(addresses.database_url, max_size=12) as pool,
            _publisher(addresses, settings.worker) as publisher,
            asyncio.TaskGroup() as tasks,
        ):
            checks: Checks = list
            running: list[asyncio.Task[None]] = []
            if worker:
                _collect_less_often()
                wanted = _Wanted(settings, addresses, pool, publisher)
                checks = wanted.checks
                running = [tasks.create_task(wanted.run(), name="worker")]
            backtests = BacktestJobs(addresses)
            tasks.create_task(_until(stop, backtests.close))
            server = (
                _console(settings, addresses, pool, publisher, backtests, checks)
                if console
                else _monitor(settings, checks)
            )
            server.ready = ready
            serving = tasks.create_task(server.serve(), name="http")
            await asyncio.wait([tasks.create_task(stop.wait()), serving], return_when=asyncio.FIRST_COMPLETED)
            log.info("stopping")
            server.should_exit = True
            await asyncio.wait([serving])
            for task in running:
                task.cancel()
            stop.set()


async def _until(stop: asyncio.Event, close: Callable[[], Awaitable[None]]) -> None:
    await stop.wait()
    await close()


def _collect_less_often() -> None:
    """Let Python look for reference cycles once per batch of messages, not hundreds of times.

    Each message is a few tuples that live as long as its batch and are in no cycle; with the default of one look per
    700 of them, a fifth to a third of the time from bytes to rows went there (docs/performance.md).
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _console(
    settings: Settings,
    addresses: Addresses,
    pool: AsyncConnectionPool,
    publisher: Publisher,
    backtests: BacktestJobs,
    checks: Checks,
) -> _Embedded:
    app = create_app(
        pool,
        database_url=addresses.database_url,
        publish=publisher.publish,
        start_backtests=backtests.start,
        checks=checks,
        tile_url=settings.tile_url,
        tile_attribution=settings.tile_attribution,
        session_hours=settings.session_hours,
        secure_cookie=settings.secure_cookie,
        intake=_intake(settings),
        key=key_file(settings),
    )
    return _Console(app, settings.http_host, settings.http_port)


def media_of(settings: Settings) -> Media:
    """The folder of pictures."""
    folder = Path(settings.media_dir) if settings.media_dir else settings.data_dir / "media"
    return Media(folder, settings.photo_bytes, settings.photo_pixels)


def key_file(settings: Settings) -> KeyFile:
    """The key that signs exports."""
    return KeyFile(settings.data_dir / "signing_key.pem")


def _intake(settings: Settings) -> Intake:
    return Intake(
        media_of(settings),
        Nearness(settings.similar_metres, timedelta(hours=settings.similar_hours)),
        answers_kept=timedelta(days=settings.key_days),
        callers_kept=timedelta(days=settings.caller_days),
    )


def _monitor(settings: Settings, checks: Checks) -> _Embedded:
    app: Starlette = worker_app(checks)
    return _Embedded(uvicorn.Config(app, host=settings.http_host, port=settings.worker_port, log_config=None))


class _Embedded(uvicorn.Server):
    """Uvicorn as one part of our process: it says when it listens, and leaves the signals to us, as its own handlers
    would end the process before the worker has."""

    ready: Callable[[str], None] = staticmethod(lambda address: None)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, then say where."""
        await super().startup(sockets)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            address = f"http://{self.config.host}:{port}"
            log.info("listening", address=address)
            self.ready(address)


class _Console(_Embedded, ConsoleServer):
    pass


@asynccontextmanager
async def _publisher(addresses: Addresses, name: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(addresses.mqtt_url, f"patrolgrid-{name}-out-{uuid4().hex[:8]}")
    task = asyncio.create_task(publisher.run(), name=f"publisher of {name}")
    try:
        yield publisher
    finally:
        task.cancel()
        await asyncio.wait([task])


class _Wanted:
    """A worker from the moment it is wanted: it waits for a site to be there, and takes over a changed one."""

    def __init__(
        self, settings: Settings, addresses: Addresses, pool: AsyncConnectionPool, publisher: Publisher
    ) -> None:
        self._parts = (settings, addresses, pool, publisher)
        self._pool = pool
        self._database_url = addresses.database_url
        self._worker: Worker | None = None

    async def run(self) -> None:
        """Run the worker until cancelled."""
        ground = await read_ground(self._pool)
        if not ground.site.areas:
            log.warning("no_site", do="patrolgrid site load FOLDER")
        while not ground.site.areas:
            await asyncio.sleep(1.0)
            ground = await read_ground(self._pool)
        self._worker = Worker(*self._parts, ground)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._worker.run(), name="work")
            tasks.create_task(self._follow(self._worker), name="site")

    def checks(self) -> list[tuple[str, bool, str]]:
        """What the worker's readiness rests on."""
        if self._worker is None:
            return [("site", False, "no site is loaded: run `patrolgrid site load FOLDER`")]
        return self._worker.checks()

    async def _follow(self, worker: Worker) -> None:
        async for event in listen(self._database_url):
            if event.get("kind") not in ("site", "resumed"):
                continue
            try:
                ground = await read_ground(self._pool)
            except psycopg.OperationalError as error:  # then the listening breaks too, and "resumed" follows
                log.warning("site_not_read", error=str(error).strip())
                continue
            worker.reload(ground)
            log.info("site_reloaded", devices=len(ground.site.registry.devices), rules=len(ground.rules))


@contextmanager
def _set_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set the event while the block runs."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    try:
        yield
    finally:
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(name)
