"""The stream of ``make faults``: fixes of many terminals over one connection, and what was PUBACKed when.

Message ``seq`` is due at ``begin + seq / rate``, is of terminal ``seq % terminals``, and its event time is when it was
due: so its row in the store is known by its event time alone. What the broker did not acknowledge is sent again, in the
order of old and before anything newer, as a terminal that stores and forwards would.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, cast
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from benchmarks.load import code, fix
from ingest import packets

WINDOW: Final = 20_000  # messages on their way to the broker without its PUBACK
TICK: Final = 0.01  # seconds between writes
CHUNK: Final = 2_000  # frames of one write at the most
AGAIN: Final = 0.1  # seconds between attempts to connect
MIDS: Final = 65_535


class Stream:
    """The publisher and its record.

    Attributes:
        begin: when message 0 is due, UTC µs.
        acked: of each message when its PUBACK came (s since 1970), NaN while it did not; longer than what was sent.
        sent: how many different messages were sent at least once.
        cries: the messages that are calls for help, each of a terminal of its own.
    """

    def __init__(self, url: str, share: str, rate: int, terminals: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 1883
        self._topics = [f"pg/v1/{share}/{code(n)}/" for n in range(terminals)]
        self.rate, self.terminals = rate, terminals
        self.step = 1_000_000 // rate  # µs between two messages
        self.begin = time.time_ns() // 1000
        self.acked: NDArray[np.float64] = np.full(1 << 16, np.nan)
        self.sent = 0
        self.cries: set[int] = set()
        self._oldest = 0  # everything before it is acknowledged
        self._end: int | None = None  # how many there will have been
        self._link: _Link | None = None

    async def run(self) -> None:
        """Publish until :meth:`stop`, and then until everything that was due is acknowledged."""
        while not self.done:
            try:
                async with asyncio.timeout(10):
                    _, self._link = await asyncio.get_running_loop().create_connection(
                        lambda: _Link(self), self._host, self._port
                    )
                    await self._link.greeted
                await self._talk(self._link)
            except (OSError, TimeoutError):
                await asyncio.sleep(AGAIN)
            finally:
                if self._link is not None:
                    self._link.transport.abort()
                    self._link = None

    def stop(self) -> None:
        """Send nothing new but what is to become a call for help yet."""
        self._end = max([self.sent, *(seq + 1 for seq in self.cries)])

    def cry(self, after: float) -> int:
        """Make the message that is due in ``after`` seconds, or one of the next, a call for help; which."""
        seq = max(self.sent, self._due()) + int(after * self.rate)
        callers = {seq % self.terminals for seq in self.cries}
        while seq % self.terminals in callers:
            seq += 1
        self.cries.add(seq)
        return seq

    def at(self, seq: int) -> int:
        """The event time of a message, UTC µs."""
        return self.begin + seq * self.step

    def acked_until(self, moment: float, since: int = 0) -> NDArray[np.intp]:
        """The messages from ``since`` on that were acknowledged at a moment (s since 1970)."""
        with np.errstate(invalid="ignore"):
            return since + np.flatnonzero(self.acked[since : self.sent] <= moment)

    def note(self, mids: NDArray[np.int64], newest: int) -> None:
        """Take PUBACKs; ``newest`` is the newest message that was sent on their connection."""
        seqs = newest - (newest % MIDS + 1 - mids) % MIDS
        fresh = seqs[np.isnan(self.acked[seqs])]
        self.acked[fresh] = time.time()
        waiting = np.flatnonzero(np.isnan(self.acked[self._oldest : self.sent]))
        self._oldest = self._oldest + int(waiting[0]) if len(waiting) else self.sent

    def _due(self) -> int:
        return (time.time_ns() // 1000 - self.begin) // self.step

    @property
    def behind(self) -> float:
        """Seconds by which what was sent is behind what is due: the broker or the network do not take it."""
        return (self._due() - self.sent) / self.rate

    @property
    def done(self) -> bool:
        """Whether it was stopped and everything is acknowledged."""
        return self._end is not None and self._oldest >= self._end

    async def _talk(self, link: _Link) -> None:
        """Send on one connection until it ends: what waits for its PUBACK from before, then what is due."""
        at, before = self._oldest, self.sent
        while not self.done:
            if link.ended.done():
                raise ConnectionResetError("the broker closed the connection")
            due = self._due() if self._end is None else min(self._due(), self._end)
            until = min(max(due, before), self._oldest + WINDOW, at + CHUNK)
            if until > at and not link.full:
                self._make_room(until)
                wanted = [seq for seq in range(at, until) if seq >= before or np.isnan(self.acked[seq])]
                if wanted:
                    link.newest = wanted[-1]
                    link.transport.write(b"".join([self._frame(seq, again=seq < before) for seq in wanted]))
                at, self.sent = until, max(self.sent, until)
            await asyncio.sleep(0 if until < min(due, self._oldest + WINDOW) and not link.full else TICK)

    def _frame(self, seq: int, *, again: bool) -> bytes:
        terminal = seq % self.terminals
        topic = self._topics[terminal] + ("sos" if seq in self.cries else "fix")
        return packets.publish(topic, fix(self.at(seq) / 1e6, terminal), seq % MIDS + 1, dup=again)

    def _make_room(self, until: int) -> None:
        if until > len(self.acked):
            self.acked = np.concatenate([self.acked, np.full(len(self.acked), np.nan)])


class _Link(asyncio.Protocol):
    """One connection: says CONNECT, and hands PUBACKs to the stream."""

    transport: asyncio.Transport

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._rest = b""
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.full = False
        self.newest = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self.transport.write(packets.connect(f"faults-{time.time_ns()}", None, None, 600, clean=True))

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) // 4 * 4  # a CONNACK and a PUBACK have four bytes each, and nothing else is asked for
        self._rest = data[whole:]
        came = np.frombuffer(data[:whole], ">u2").astype(np.int64).reshape(-1, 2)
        if len(came) and not self.greeted.done():
            if came[0].tolist() != [0x2002, 0]:
                self.transport.abort()
                return
            self.greeted.set_result(None)
            came = came[1:]
        if len(came):
            self._stream.note(came[:, 1], self.newest)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionResetError("the broker closed the connection"))
        if not self.ended.done():
            self.ended.set_result(None)
