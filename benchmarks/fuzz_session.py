"""A real session to which arbitrary bytes come, and what it promises whatever they are.

No socket: the transport is a stand-in that honours when the session does not want to read, and keeps what it writes.
Beside the session the same bytes go through a parser (of which :mod:`benchmarks.fuzz_streams` makes sure), and what it
finds goes through a model of a session that a few lines can state.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from benchmarks.fuzz_inputs import MOST
from ingest import packets, session
from ingest.inbox import Inbox
from ingest.messages import Message
from ingest.packets import CONNACK, PINGRESP, SUBACK, UNSUBACK, Parser
from ingest.session import Session

ROOM: Final = 6_000  # bytes that may wait, so few that some streams fill it
HELLO: Final = packets.connect("fuzz", None, None, 30)
FILTERS: Final = ("pg/v1/+/+/fix", "owntracks/+/+/#")
QUESTIONS: Final = {  # by the kind of answer
    CONNACK: HELLO,
    SUBACK: packets.subscribe(1, FILTERS),
    UNSUBACK: packets.unsubscribe(2, FILTERS),
}
ANSWERS: Final = (b"\x20\x02\x00\x00", b"\x90\x04\x00\x01\x01\x01", b"\xb0\x02\x00\x02")  # as a good broker gives them
TURNS: Final = 8  # of the event loop, in which what is due has been done


class Wire(asyncio.Transport):
    """A transport without a network."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.reading = True
        self.closed = False

    def write(self, data: Any) -> None:
        """Keep it."""
        if self.closed:
            raise AssertionError(f"written after the end: {data!r}")
        self.written.append(bytes(data))

    def pause_reading(self) -> None:
        """Nothing is to come."""
        self.reading = False

    def resume_reading(self) -> None:
        """More may come."""
        self.reading = True

    def is_closing(self) -> bool:
        """Whether it has ended."""
        return self.closed

    def abort(self) -> None:
        """End it."""
        self.closed = True


class Conversation:
    """One session, its other side, and who takes its messages; ``dice`` says when and how many.

    Attributes:
        fates: the counts of what became of it.
    """

    def __init__(self, dice: random.Random) -> None:
        self.fates: Counter[str] = Counter()
        self._dice = dice
        self._inbox = Inbox(ROOM, lambda: self._session.read_on())
        self._session = Session(self._inbox, 1, MOST)
        self._wire = Wire()
        self._session.connection_made(self._wire)
        self._parser = Parser(MOST, 1)
        self._answered: set[int] = set()
        self._open: dict[int, tuple[Any, ...]] = {}  # what is not acknowledged, by id
        self._due: list[Message] = []  # what the session must hand over
        self._taken: list[Message] = []
        self._acknowledged = 0  # of those taken
        self._pubacks: list[bytes] = []

    async def run(self, pieces: Sequence[bytes]) -> None:
        """From CONNECT to the end. Raises AssertionError, or what the session raises though it must not."""
        asking = asyncio.create_task(self._ask())
        await self._turns()
        answers = ANSWERS[: self._dice.randrange(len(ANSWERS) + 1)]
        for piece in (*answers, *pieces):
            await self._come(piece)
            if asking.done() and asking.exception():  # a refusal, say: the listener gives the session up
                self._session.abort("given up")
            if self._wire.closed:
                break
            self._take()
            self._acknowledge()
        self.fates["ended by the session" if self._wire.closed else "ended by the broker"] += 1
        self._wire.closed = True
        self._session.connection_lost(None)
        self._end()
        await self._turns()
        assert asking.done(), "who asks waits for ever"
        assert isinstance(asking.exception(), ConnectionError | None)
        self.fates["all questions answered"] += asking.exception() is None

    async def _ask(self) -> None:
        await self._session.greet(HELLO)
        await self._session.subscribe(FILTERS)
        await self._session.unsubscribe(FILTERS)

    async def _turns(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def _come(self, piece: bytes) -> None:
        """A piece of the stream, in as many reads as the session wants."""
        while piece and not self._wire.closed:
            for _ in range(TURNS):
                if self._wire.reading:
                    break
                await asyncio.sleep(0)
            if not self._wire.reading:
                assert self._inbox.room <= 0, "it does not read though there is room"
                self.fates["reads that waited for room"] += 1
                self._take()
                continue
            buffer = self._session.get_buffer(-1)
            read, piece = piece[: len(buffer)], piece[len(buffer) :]
            buffer[: len(read)] = read
            self._session.buffer_updated(len(read))
            await self._compare(read)

    async def _compare(self, read: bytes) -> None:
        """What the session has made of a read with what it must."""
        messages, controls = self._parser.feed(read)
        for message in messages:
            content = (message.topic, message.payload, message.skipped)
            if message.mid and message.dup and self._open.get(message.mid) == content:
                self.fates["messages that were here already"] += 1
                continue
            self._due.append(message)
            if message.mid:
                self._open[message.mid] = content
        asked = {kind for kind, question in QUESTIONS.items() if question in self._wire.written} - self._answered
        kinds = {control.kind for control in controls}
        wrong = self._parser.broken is not None or not kinds <= asked | {PINGRESP}
        self._answered |= kinds
        ended = (self._wire.closed, self._session.ended.done())
        assert ended == (wrong, wrong), f"(closed, ended) = {ended}, of a stream that ends the session: {wrong}"
        assert len(self._taken) + len(self._inbox) == len(self._due), "a message too many or too few"
        assert self._inbox.room > 0 or wrong or not self._wire.reading, "it reads though there is no room"
        # Nothing tells from outside what is kept to know what comes again.
        assert len(self._session._held_back) <= len(self._due), "what came again is held as well"
        if kinds:
            await self._turns()  # until the next question is asked

    def _take(self) -> None:
        if self._inbox and self._dice.random() < 0.7:
            self._taken += self._inbox.take(self._dice.choice((1, 5, 1_000)), ROOM)

    def _acknowledge(self) -> None:
        """Some of what was taken, in its order, as a batch that was stored."""
        batch = self._taken[self._acknowledged :][: self._dice.choice((0, 1, 1_000))]
        self._acknowledged += len(batch)
        mids = np.array([message.mid for message in batch if message.qos], np.uint16)
        self._session.acknowledge(mids)
        if len(mids) and not self._wire.closed:
            self._pubacks.append(packets.pubacks(mids))
        for mid in mids.tolist():
            self._open.pop(mid, None)

    def _end(self) -> None:
        """What was handed over and what was written, all in all."""
        assert self._session.ended.done(), "nobody is told of the end"
        self._taken += self._inbox.take(len(self._due) + 1, 1 << 30)
        assert [message._replace(received=0) for message in self._taken] == self._due, "other messages"
        self._session.acknowledge(np.array([message.mid for message in self._taken], np.uint16))
        assert not self._session._held_back, "all is acknowledged, and some is held"
        others = (*QUESTIONS.values(), packets.PING)
        assert [data for data in self._wire.written if data not in others] == self._pubacks, "other acknowledgements"
        self.fates["messages handed over"] += len(self._taken)
        self.fates["messages acknowledged"] += self._acknowledged


async def conversation(pieces: Sequence[bytes]) -> Counter[str]:
    """Let a session have a stream in these pieces; the counts of what became of it.

    What is taken and acknowledged when is drawn by the bytes, so that an input is enough to see a failure again.

    Raises:
        AssertionError: the session does not keep a promise; the stream is in the message.
    """
    stream = b"".join(pieces)
    failed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    # Here no kernel gathers meanwhile, and a machine that is busy for long is no silent broker.
    with patch.multiple(session, COALESCE=0.0, BUSY_COALESCE=0.0, ANSWER=3_600.0):
        talk = Conversation(random.Random(zlib.crc32(stream)))
        try:
            await talk.run(pieces)
            assert not failed, failed
        except Exception as error:
            raise AssertionError(f"a session, of {list(pieces)!r}: {error!r}") from error
    return talk.fates
