"""Two lanes into the store: a batch of many fixes is copied over two connections at once, each with devices of its own.

What a server does for a COPY it does in one process, and with arrays that come in that process is what all wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np
from psycopg import AsyncConnection

from devices.readings import SECOND, Rows
from store.copy_in import pieces

LANES: Final = 2
"""Connections that a batch may take."""
MANY: Final = 15_000
"""Fixes from which on a second transaction costs less than it saves."""
_DAY: Final = 86_400 * SECOND  # the span of a chunk

_COPY: Final = b"""
COPY fixes (device, at, received, lon, lat, speed, heading, accuracy, battery, flags) FROM STDIN (FORMAT binary)"""
# One lane may wait for a lock that the other holds until its end, and that waits for the first: the server sees no
# deadlock in it.
_NOT_FOR_EVER: Final = b"SET LOCAL lock_timeout = '2s'"


class Lanes:
    """Which batches go on two lanes: those of many fixes, into days that have been written to already.

    The first fix of a day makes a chunk, and locks out all who would make one too until it is committed.
    """

    def __init__(self) -> None:
        self._days: set[int] = set()

    def parts(self, fixes: Rows) -> list[Rows]:
        """Fixes in order of device as the lanes take them: one part, or two with a border between devices."""
        if len(fixes) < MANY or not _days(fixes) <= self._days:
            return [fixes]
        device = fixes["device"].copy()
        middle = device[len(fixes) // 2]
        border = np.searchsorted(device, middle) or np.searchsorted(device, middle, "right")
        return [fixes[:border], fixes[border:]] if border < len(fixes) else [fixes]

    def written(self, fixes: Rows) -> None:
        """These are committed."""
        if len(fixes):
            self._days |= _days(fixes)


def _days(fixes: Rows) -> set[int]:
    first, last = int(fixes["at"].min()) // _DAY, int(fixes["at"].max()) // _DAY
    return {first} if first == last else set(np.unique(fixes["at"] // _DAY).tolist())


async def copy_fixes(connections: Sequence[AsyncConnection], parts: Sequence[Rows]) -> None:
    """COPY the parts, side by side or, over one connection, one after the other, in the transactions that go on
    there.

    Raises:
        psycopg.errors.UniqueViolation: some are stored already.
        psycopg.errors.LockNotAvailable: two lanes waited for each other.
        psycopg.Error: otherwise; the first that one of them raised, once none is under way any more.
    """

    async def copy(lane: int) -> None:
        conn = connections[lane]
        if len(connections) > 1:
            await conn.execute(_NOT_FOR_EVER)
        for part in parts[lane :: len(connections)]:
            async with conn.cursor() as cursor, cursor.copy(_COPY) as into:
                for piece in pieces(part):
                    await into.write(piece)
                    await asyncio.sleep(0)  # the other lane's turn

    for result in await asyncio.gather(*map(copy, range(len(connections))), return_exceptions=True):
        if result is not None:
            raise result
