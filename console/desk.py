"""What the console's parts share: the database, the site as it is now, and the settings it was given as values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from psycopg_pool import AsyncConnectionPool

from alerts.duty import DutyMatrix
from alerts.rules import Rule
from console.intake import Intake
from console.live import Live
from console.replay import Publish
from console.throttle import Throttle
from devices.site import Site
from store.registry import load_duty, load_rules, load_site
from store.signing import KeyFile

Checks = Callable[[], list[tuple[str, bool, str]]]
"""What readiness rests on beside the database: (name, good, detail) for each part."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The site, the rules and the duty matrix, read together."""

    site: Site
    rules: tuple[Rule, ...]
    duty: DutyMatrix


class GroundCache:
    """The ground as last read; read again at first use and after :meth:`forget`."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._lock = asyncio.Lock()
        self._edition = 0
        self._known: tuple[int, Ground] | None = None

    def forget(self) -> None:
        """The site was changed."""
        self._edition += 1

    async def get(self) -> Ground:
        """The ground, no older than the last :meth:`forget`."""
        if self._known is not None and self._known[0] == self._edition:
            return self._known[1]
        async with self._lock:
            if self._known is None or self._known[0] != self._edition:
                edition = self._edition  # a change during the reading makes it stale again
                async with self._pool.connection() as conn:
                    site, rules, duty = await load_site(conn), await load_rules(conn), await load_duty(conn)
                self._known = edition, Ground(site, tuple(rules), duty)
            return self._known[1]


@dataclass(slots=True)
class Desk:
    """One console process."""

    pool: AsyncConnectionPool
    live: Live
    grounds: GroundCache
    publish: Publish
    start_backtests: Callable[[], None]
    checks: Checks
    tile_url: str
    tile_attribution: str
    session_hours: float
    secure_cookie: bool
    intake: Intake = field(default_factory=Intake)
    key: KeyFile | None = None  # what exports are signed with
    # Tries by name are counted in the store. This is against one address that tries many names; a centre may share one.
    failures: Throttle = field(default_factory=lambda: Throttle(50, 300.0))
    hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))  # a log-in holds a connection
    painting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))  # a large picture 120 MB and more

    async def ground(self) -> Ground:
        """The site and rules as they are now."""
        return await self.grounds.get()


async def the_desk(request: Request) -> Desk:
    """The dependency that gives a route its desk. Async, or each request would wait for a thread of its own."""
    desk = request.app.state.desk
    assert isinstance(desk, Desk)
    return desk


TheDesk = Annotated[Desk, Depends(the_desk)]
