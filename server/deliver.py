"""The outbox: due notices go to their channel until it takes them. The one place where sending is tried again.

Commands to terminals have a lane of their own, so that no slow mail server delays an order. In the other lane a contact
gets its notices one after another, in order, and several contacts at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from prometheus_client import Counter
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.notice import Channel, Notice, Permanent, Temporary
from store.database import AWAY
from store.outbox import due_notices, mark_failed, mark_sent

log = structlog.get_logger()
NOTICES = Counter("patrolgrid_notices_total", "Notices by channel and outcome", ["channel", "outcome"])
AT_ONCE: Final = 8  # contacts, or terminals, that are being sent to
GRACE: Final = 15.0  # seconds that a worker waits at its end for what is being sent


async def deliver(pool: AsyncConnectionPool, channels: Mapping[str, Channel], *, every: float = 0.5) -> None:
    """Send what is due, again and again, until cancelled. Each notice is leased, so several workers may do this."""
    async with asyncio.TaskGroup() as lanes:
        for commands in (True, False):
            lanes.create_task(_Lane(pool, channels, commands=commands).run(every), name=f"lane {commands}")


class _Lane:
    """Either the commands or everything else."""

    def __init__(self, pool: AsyncConnectionPool, channels: Mapping[str, Channel], *, commands: bool) -> None:
        self._pool, self._channels, self._commands = pool, channels, commands
        self._running: dict[asyncio.Task[None], str] = {}  # with the contact that each sends to

    async def run(self, every: float) -> None:
        try:
            while True:
                leased = await self._lease()
                for notices in leased:
                    self._running[asyncio.create_task(self._send_all(notices))] = notices[0].contact
                await self._wait(0.0 if leased else every)
        finally:
            # What a receiver has taken is to be marked, or it would be sent again after the next start.
            if self._running:
                await asyncio.wait(self._running, timeout=GRACE)

    async def _lease(self) -> list[list[Notice]]:
        """What can be begun now, by contact."""
        room = AT_ONCE - len(self._running)
        if room <= 0:
            return []
        busy = [contact for contact in self._running.values() if contact]
        try:
            async with self._pool.connection() as conn:
                due = await due_notices(conn, room, commands=self._commands, busy=busy)
        except AWAY as error:
            log.warning("outbox_waits_for_database", error=str(error).strip())
            await asyncio.sleep(2.0)
            return []
        by_contact: dict[str, list[Notice]] = {}
        for notice in due:
            by_contact.setdefault(notice.contact or f"notice {notice.id}", []).append(notice)
        return list(by_contact.values())

    async def _wait(self, seconds: float) -> None:
        """A pause, or until something is done while nothing more can be begun; a failure of ours is raised."""
        if len(self._running) >= AT_ONCE:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(seconds)
        for task in [task for task in self._running if task.done()]:
            del self._running[task]
            task.result()

    async def _send_all(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            await self._send(notice)

    async def _send(self, notice: Notice) -> None:
        failure: Temporary | Permanent | None = None
        try:
            channel = self._channels.get(notice.channel)
            if channel is None:
                there = ", ".join(sorted(self._channels))
                raise Permanent(f"no channel is called {notice.channel!r}; there are {there}")
            await channel.send(notice)
        except (Temporary, Permanent) as error:
            failure = error
        outcome = "sent" if failure is None else "again" if isinstance(failure, Temporary) else "failed"
        NOTICES.labels(notice.channel, outcome).inc()
        told = {"channel": notice.channel, "target": notice.target, "outcome": outcome}
        log.info("notice", id=notice.id, **told, **({"error": str(failure)} if failure else {}))
        await self._mark(notice, failure)

    async def _mark(self, notice: Notice, failure: Temporary | Permanent | None) -> None:
        """Write what became of it; while the database is away, again and again, or it would be sent twice."""
        while True:
            try:
                async with self._pool.connection() as conn:
                    await _marked(conn, notice, failure)
            except AWAY as error:
                log.warning("outbox_waits_for_database", error=str(error).strip(), notice=notice.id)
                await asyncio.sleep(1.0)
            else:
                return


async def _marked(conn: AsyncConnection, notice: Notice, failure: Temporary | Permanent | None) -> None:
    if failure is None:
        await mark_sent(conn, notice)
    else:
        await mark_failed(conn, notice, failure)
