"""The outbox: due notices go to their channel until it takes them. The one place where sending is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import psycopg
import structlog
from prometheus_client import Counter
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from alerts.notice import Channel, Notice, Permanent, Temporary
from store.notices import due_notices, mark_failed, mark_sent

log = structlog.get_logger()
NOTICES = Counter("patrolgrid_notices_total", "Notices by channel and outcome", ["channel", "outcome"])


async def deliver(pool: AsyncConnectionPool, channels: Mapping[str, Channel], *, every: float = 0.5) -> None:
    """Send what is due, again and again, until cancelled. Each notice is leased, so several workers may do this."""
    while True:
        try:
            async with pool.connection() as conn:
                due = await due_notices(conn, 50)
            await asyncio.gather(*(_send(pool, channels, notice) for notice in due))
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            log.warning("outbox_waits_for_database", error=str(error).strip())
            await asyncio.sleep(2.0)
        else:
            await asyncio.sleep(0 if due else every)


async def _send(pool: AsyncConnectionPool, channels: Mapping[str, Channel], notice: Notice) -> None:
    failure: Temporary | Permanent | None = None
    try:
        channel = channels.get(notice.channel)
        if channel is None:
            raise Permanent(f"no channel is called {notice.channel!r}; there are {', '.join(sorted(channels))}")
        await channel.send(notice)
    except (Temporary, Permanent) as error:
        failure = error
    outcome = "sent" if failure is None else "again" if isinstance(failure, Temporary) else "failed"
    NOTICES.labels(notice.channel, outcome).inc()
    told = {"channel": notice.channel, "target": notice.target, "outcome": outcome}
    log.info("notice", id=notice.id, **told, **({"error": str(failure)} if failure else {}))
    async with pool.connection() as conn:
        if failure is None:
            await mark_sent(conn, notice)
        else:
            await mark_failed(conn, notice, failure)
