"""The live stream: one LISTEN connection for the process, fanned out to every open page by server-sent events.

An alert or a case is told at once with its whole JSON; positions go out at most once a second, each device's newest,
only those received since the last frame. A page that does not keep up loses nothing silently: positions it has not read
are replaced by newer ones, and when its other events would grow beyond the backlog it is told to read all again
(``resync``). The same is said to everybody when the database connection was lost and events may have been missed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from prometheus_client import Gauge
from psycopg_pool import AsyncConnectionPool

from console.sight import Sight
from store.database import AWAY, announce, listen

log = structlog.get_logger()
SSE_CLIENTS: Final = Gauge("patrolgrid_sse_clients", "Open live streams")
RESYNC: Final = b"event: resync\ndata: {}\n\n"
BEAT: Final = b": beat\n\n"


class Watcher:
    """One open page: what waits to be sent to it, bounded."""

    def __init__(self, sight: Sight, backlog: int) -> None:
        self.sight = sight
        self.wake = asyncio.Event()
        self._backlog = backlog
        self._events: deque[bytes] = deque()
        self._positions: dict[str, bytes] = {}
        self._lost = False

    def tell(self, event: str, data: bytes) -> None:
        """Queue an event (``data`` is JSON without line breaks). Beyond the backlog: all of them become one resync."""
        if len(self._events) >= self._backlog:
            self.resync()
        elif not self._lost:  # what comes before the page has read all again is in what it will read
            self._events.append(b"event: %s\ndata: %s\n\n" % (event.encode(), data))
            self.wake.set()

    def place(self, device: str, data: bytes) -> None:
        """Queue a device's newest position; one that still waits is replaced."""
        self._positions[device] = data
        self.wake.set()

    def resync(self) -> None:
        """Tell the page to read everything again."""
        self._events.clear()
        self._lost = True
        self.wake.set()

    def take(self) -> bytes:
        """Everything that waits, as the text of the stream; empty when nothing does."""
        self.wake.clear()
        parts: list[bytes] = [RESYNC] if self._lost else list(self._events)
        if self._positions:
            parts.append(b"event: positions\ndata: [" + b",".join(self._positions.values()) + b"]\n\n")
        self._events.clear()
        self._positions.clear()
        self._lost = False
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class News:
    """Something to tell: ``event`` is the stream's event name or, for a position, the device's code."""

    event: str
    data: bytes  # JSON without line breaks
    seen_by: Callable[[Sight], bool]
    lost_by: Callable[[Sight], bool] = lambda _: False  # who may have seen it and no longer may: told to read again


class Feed(Protocol):
    """Where the hub reads what changed."""

    async def newest(self) -> int | None:
        """The newest reception of any position, UTC µs; None while there is none."""
        ...

    async def moved(self, since: int | None) -> tuple[list[News], int | None]:
        """The positions received after ``since`` (None: all), and the newest reception, UTC µs."""
        ...

    async def changed(self, kind: str, number: int) -> News | None:
        """An alert, case, notice or reject; None when it is gone or nobody's business."""
        ...

    def site_changed(self) -> None:
        """Forget the cached site."""
        ...


class Live:
    """The hub: :meth:`run` is its one task, :meth:`stream` what a page gets, :meth:`close` the end of all streams."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        database_url: str,
        feed: Feed,
        *,
        frame: float = 1.0,
        beat: float = 15.0,
        backlog: int = 256,
    ) -> None:
        if frame <= 0 or beat <= 0 or backlog < 1:
            raise ValueError(f"frame {frame} s, beat {beat} s and backlog {backlog} must be positive")
        self._pool, self._url, self._feed = pool, database_url, feed
        self._frame, self._beat, self._backlog = frame, beat, backlog
        self._watchers: set[Watcher] = set()
        self._moved = asyncio.Event()
        self._hearing = asyncio.Event()
        self._since: int | None = None
        self._running = False
        self.closing = False

    def state(self) -> tuple[bool, str]:
        """Whether news reaches the pages, and a word on it, for /readyz."""
        if not self._running:
            return False, "not running"
        return (True, f"{len(self._watchers)} streams") if self._hearing.is_set() else (False, "not listening yet")

    async def run(self) -> None:
        """Listen and fan out until cancelled; however it ends, the streams end with it rather than fall silent."""
        self._running = True
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._greet())
                group.create_task(self._frames())
        finally:
            self._running = False
            self.close()

    def close(self) -> None:
        """End every stream now and refuse new ones: the server is going down."""
        self.closing = True
        for watcher in self._watchers:
            watcher.wake.set()

    async def join(self, sight: Sight) -> Watcher:
        """A place for one page; give it to :meth:`stream`. Waits until events are really heard.

        Raises:
            TimeoutError: the database's events are not heard within 5 s.
        """
        async with asyncio.timeout(5.0):
            await self._hearing.wait()
            if not self._watchers:
                self._since = await self._feed.newest()  # what is older the page reads from /positions
        return Watcher(sight, self._backlog)

    async def stream(self, watcher: Watcher, sight_now: Callable[[], Awaitable[Sight | None]]) -> AsyncIterator[bytes]:
        """The text of one page's stream. ``sight_now`` is asked at every beat; None, as the log-in ended, ends it."""
        clock = asyncio.get_running_loop().time
        self._watchers.add(watcher)
        SSE_CLIENTS.inc()
        try:
            yield b"retry: 2000\n\n"
            beat = clock() + self._beat
            while not self.closing:
                if clock() >= beat:
                    sight = await sight_now()
                    if sight is None:
                        return
                    watcher.sight = sight
                    yield BEAT
                    beat = clock() + self._beat
                text = watcher.take()
                if text:
                    yield text
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(beat):
                        await watcher.wake.wait()
        finally:
            self._watchers.discard(watcher)
            SSE_CLIENTS.dec()

    async def _listen(self) -> None:
        async for event in listen(self._url):
            try:
                await self._heard(event)
            except AWAY as error:
                log.warning("live_event_lost", event_kind=event.get("kind"), error=str(error).strip())
                self._resync()  # what it was is unknown, so everybody reads again

    async def _heard(self, event: dict[str, Any]) -> None:
        kind, number = event.get("kind"), event.get("id")
        self._hearing.set()
        if kind == "positions":
            self._moved.set()
        elif kind == "caught_up":  # received long ago perhaps, so that no frame would ask for it
            self._resync()
        elif kind == "site":
            self._feed.site_changed()
            self._resync()
        elif kind == "resumed":
            self._feed.site_changed()
            self._resync()
            self._moved.set()
        elif kind in ("alert", "case", "notice", "reject") and isinstance(number, int) and self._watchers:
            news = await self._feed.changed(kind, number)
            if news is not None:
                for watcher in self._watchers:
                    if news.seen_by(watcher.sight):
                        watcher.tell(news.event, news.data)
                    elif news.lost_by(watcher.sight):
                        watcher.resync()

    def _resync(self) -> None:
        for watcher in self._watchers:
            watcher.resync()

    async def _greet(self) -> None:
        """Call until we hear ourselves: only then is it certain that no event is missed from here on."""
        while not self._hearing.is_set():
            try:
                async with self._pool.connection() as conn:
                    await announce(conn, kind="hello")
            except AWAY as error:
                log.warning("live_waits_for_database", error=str(error).strip())
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await self._hearing.wait()

    async def _frames(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            if self._watchers:
                try:
                    await self._send_frame()
                except AWAY as error:
                    log.warning("live_frame_lost", error=str(error).strip())
                    self._moved.set()  # the next frame has them as well
            await asyncio.sleep(self._frame)

    async def _send_frame(self) -> None:
        news, self._since = await self._feed.moved(self._since)
        for watcher in self._watchers:
            for position in news:
                if position.seen_by(watcher.sight):
                    watcher.place(position.event, position.data)
