"""Which part gets which values, and how a process of ours starts, runs and ends."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import structlog
import uvicorn
from psycopg_pool import AsyncConnectionPool

from alerts.holidays import HolidayError, add_holidays, read_holidays
from server.backtest_jobs import BacktestJobs
from server.embedded import Embedded
from server.publisher import Publisher
from server.services import Addresses
from server.settings import Settings, WrongSetting
from server.shards import Shard
from server.telemetry import Checks, worker_app
from server.worker import Ground, Worker
from store.database import AWAY, listen, migrate, open_pool, pending
from store.lanes import LANES
from store.registry import load_duty, load_rules, load_shares, load_site

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
        NotReady: the database's schema is not this version's, or the file of holidays cannot be read.
        WrongSetting: two settings that do not go together.
    """
    _know_holidays(settings)
    if worker and settings.subscribe_all and Shard.parse(settings.shard).count > 1:
        raise WrongSetting("PATROLGRID_SUBSCRIBE_ALL is for a lone worker: with PATROLGRID_SHARD each takes its areas")
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
                keep_one_heap()
                wanted = _Wanted(settings, addresses, pool, publisher)
                checks = wanted.checks
                running = [
                    tasks.create_task(wanted.run(), name="worker"),
                    tasks.create_task(give_memory_back(), name="memory"),
                ]
            if console:
                # Imported here, as it is half of all imports: a lone worker is to be back soon after a crash.
                from server.console_server import console_server

                backtests = BacktestJobs(addresses)
                tasks.create_task(_until(stop, backtests.close))
                server = console_server(settings, addresses, pool, publisher, backtests, checks)
            else:
                host, port = settings.http_host, settings.worker_port
                server = Embedded(uvicorn.Config(worker_app(checks), host=host, port=port, log_config=None))
            server.ready = ready
            serving = tasks.create_task(server.serve(), name="http")
            await asyncio.wait([tasks.create_task(stop.wait()), serving], return_when=asyncio.FIRST_COMPLETED)
            log.info("stopping")
            server.should_exit = True
            await asyncio.wait([serving])
            for task in running:
                task.cancel()
            stop.set()


def _know_holidays(settings: Settings) -> None:
    if settings.holidays:
        try:
            add_holidays(read_holidays(Path(settings.holidays)))
        except HolidayError as error:
            raise NotReady(f"PATROLGRID_HOLIDAYS: {error}") from error


async def _until(stop: asyncio.Event, close: Callable[[], Awaitable[None]]) -> None:
    await stop.wait()
    await close()


def _collect_less_often() -> None:
    """Let Python look for reference cycles once per batch of messages, not hundreds of times.

    A message that takes the codec's way is a few tuples that live as long as its batch and are in no cycle; when all
    did, a fifth to a third of the time from bytes to rows went into one look per 700 of them, the default.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


_ARENA_MAX: Final = -8  # M_ARENA_MAX of glibc's malloc.h


def keep_one_heap() -> None:
    """Let threads that start from now on take memory from the process's one heap, and none from a heap of its own.

    glibc gives back the free end of that one only. What a step of the detectors takes for a moment lay at the end of
    their thread's heap, and stayed with the process: 9 to 12 MB more, at some time of an hour (docs/performance.md).
    Under the interpreter's lock threads seldom wait for each other's memory.
    """
    if limit := getattr(ctypes.CDLL(None), "mallopt", None):  # musl has none, and one heap anyway
        limit(_ARENA_MAX, 1)


async def give_memory_back(every: float = 60.0) -> None:
    """Hand to the system, each ``every`` seconds, what the C library keeps of memory that was freed.

    A flood leaves it tens of MB in gaps between what lives on, and glibc of itself returns only what lies at the end of
    a heap (docs/performance.md). In a thread, as ctypes lets go of the interpreter meanwhile.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl has none and keeps less
    while trim is not None:
        await asyncio.sleep(every)
        await asyncio.to_thread(trim, 0)


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
        # A server process that does nothing but write batches has in hand what it needs for it.
        writing = open_pool(self._database_url, max_size=LANES, tried=False)
        async with writing as pool, asyncio.TaskGroup() as tasks:
            self._worker = Worker(*self._parts, ground, pool)
            tasks.create_task(self._worker.run(), name="work")
            tasks.create_task(self._follow(self._worker, ground.fingerprint()), name="site")

    def checks(self) -> list[tuple[str, bool, str]]:
        """What the worker's readiness rests on."""
        if self._worker is None:
            return [("site", False, "no site is loaded: run `patrolgrid site load FOLDER`")]
        return self._worker.checks()

    async def _follow(self, worker: Worker, known: bytes) -> None:
        """Give the worker each site that differs from the ``known`` one. To take one over is to read the last hours
        again, and after a lost connection there is enough to do."""
        async for event in listen(self._database_url):
            if event.get("kind") not in ("site", "resumed"):
                continue
            ground = await self._read()
            if (found := ground.fingerprint()) == known:
                log.info("site_unchanged")
                continue
            known = found
            worker.reload(ground)
            log.info("site_reloaded", devices=len(ground.site.registry.devices), rules=len(ground.rules))

    async def _read(self) -> Ground:
        """What the database says now; asked until it answers, as the change is not told again."""
        while True:
            try:
                return await read_ground(self._pool)
            except AWAY as error:
                log.warning("site_not_read", error=str(error).strip())
                await asyncio.sleep(1.0)


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
