"""One connection to the broker: coalesced reads in, all acknowledgements of a batch in one write out.

A broker writes message by message. Who reads at once gets a few hundred bytes a read and pays a wake-up for each, so
after a read the socket is left alone for a moment and the kernel gathers.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from ingest import packets
from ingest.inbox import Inbox
from ingest.messages import DUP, Messages
from ingest.packets import Control, Parser, ProtocolError

COALESCE: Final = 0.003  # seconds of not reading
BUSY_COALESCE: Final = 0.02
"""Seconds, once :data:`BUSY` messages a second come: what a read costs by itself is then shared by more of them."""
BUSY: Final = 2_000
ANSWER = 10.0  # seconds in which the broker must answer CONNECT and SUBSCRIBE
LEAVE: Final = 2.0  # seconds in which it must have read our last acknowledgements
MOST_PACKET: Final = 2 << 20
"""Bytes of one PUBLISH. A longer one is skipped and becomes a reject without its payload; codecs take 1 MiB at most."""
_READ: Final = 256 << 10  # bytes of one read
_LEAST_READ: Final = 4 << 10


class Refused(ConnectionError):
    """The broker answered our CONNECT with a refusal, which the message gives."""


class Session(asyncio.BufferedProtocol):
    """An MQTT 3.1.1 connection that only subscribes.

    What comes goes to ``inbox``; while that is full nothing is read, so memory stays bounded however long nobody takes,
    and TCP passes the pressure to the broker.

    Attributes:
        number: of this connection, carried by its messages.
        ended: done when the connection is, with the reason.
    """

    def __init__(self, inbox: Inbox, number: int, most: int = MOST_PACKET) -> None:
        self.number = number
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._inbox = inbox
        self._parser = Parser(most, number)
        self._buffer = memoryview(bytearray(_READ))
        self._held = self._leaving = False
        self._transport: asyncio.Transport | None = None
        self._questions: dict[int, asyncio.Future[bytes]] = {}  # by the kind of answer
        self._resume: asyncio.TimerHandle | None = None
        self._heard = time.monotonic()
        self._unacknowledged = np.zeros(1 << 16, bool)  # by packet id
        self._held_back: deque[Messages] = deque()  # what reads have brought and is not acknowledged whole

    # ── what the event loop calls ───────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; :meth:`greet` is next."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put the next read, which is no longer than there is room for."""
        return self._buffer[: max(_LEAST_READ, min(_READ, self._inbox.room))]

    def buffer_updated(self, nbytes: int) -> None:
        """Take a read's packets, then leave the socket alone for a moment."""
        if self._leaving:
            return
        before, self._heard = self._heard, time.monotonic()
        messages, controls = self._parser.feed(bytes(self._buffer[:nbytes]), time.time_ns() // 1000)
        if messages and (fresh := self._fresh(messages)):
            self._inbox.add(fresh)
        try:
            for control in controls:
                self._answer(control)
            if self._parser.broken is not None:
                raise self._parser.broken
        except ProtocolError as error:
            self.abort(f"the broker broke the protocol: {error}")
            return
        assert self._transport is not None
        self._held = self._inbox.room <= 0
        if nbytes == _READ and not self._held:
            return  # more is here already
        self._transport.pause_reading()
        if not self._held:
            busy = len(messages) >= BUSY * (self._heard - before)
            self._resume = asyncio.get_running_loop().call_later(BUSY_COALESCE if busy else COALESCE, self._read_on)

    def eof_received(self) -> None:
        """The broker has closed its side, and we follow."""

    def connection_lost(self, error: Exception | None) -> None:
        """Tell everybody who waits."""
        self._end(str(error) if error else "the broker closed the connection")

    # ── what the listener calls ─────────────────────────────────────────────────────────────────────────────────────

    async def greet(self, hello: bytes) -> bool:
        """Send ``hello``, a CONNECT, and wait for the answer: whether the broker still had our session.

        Raises:
            Refused: the broker will not have us.
            ConnectionError: the connection ended, or no answer came.
        """
        flags, code = await self._ask(packets.CONNACK, hello, "CONNECT")
        if code:
            raise Refused(packets.REFUSALS.get(code, f"return code {code}"))
        return bool(flags & 1)

    async def subscribe(self, filters: Sequence[str]) -> list[str]:
        """Subscribe at QoS 1; the filters that were refused or granted only at QoS 0.

        Raises:
            ConnectionError: the connection ended, or no answer came.
        """
        codes = (await self._ask(packets.SUBACK, packets.subscribe(1, filters), "SUBSCRIBE"))[2:]
        if len(codes) != len(filters):
            raise ConnectionAbortedError(f"the broker answered {len(codes)} of {len(filters)} subscriptions")
        return [f for f, code in zip(filters, codes, strict=True) if code != 1]

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        """End subscriptions; those that there are not are no error. Raises ConnectionError as :meth:`subscribe`."""
        await self._ask(packets.UNSUBACK, packets.unsubscribe(2, filters), "UNSUBSCRIBE")

    async def last(self, keepalive: float) -> str:
        """Ping as long as the connection lasts; why it ended.

        A broker that is silent for ``keepalive`` seconds, though asked twice, has gone. While we do not read, its
        answers cannot be seen: then pings only show it that we are here.
        """
        while True:
            ended, _ = await asyncio.wait([self.ended], timeout=keepalive / 2)
            if ended:
                return self.ended.result()
            if not self._held and time.monotonic() - self._heard > keepalive:
                self.abort(f"nothing from the broker for {keepalive:g} s")
            elif self._transport is not None:
                self._transport.write(packets.PING)

    def acknowledge(self, mids: NDArray[np.uint16]) -> None:
        """PUBACK these; without effect on a connection that has ended."""
        here, back = self._unacknowledged, self._held_back
        here[mids] = False
        while back and not here[back[0].facts["mid"]].any():
            back.popleft()
        if len(mids) and self._transport is not None and not self.ended.done():
            self._transport.write(packets.pubacks(mids))

    def read_on(self) -> None:
        """There is room again."""
        if self._held:
            self._held = False
            self._heard = time.monotonic()
            self._read_on()

    async def leave(self) -> None:
        """Say DISCONNECT and wait until the broker has read it, and so every PUBACK before it; the session stays there.

        What comes meanwhile is thrown away unseen: closing with bytes unread would reset the connection under the
        broker's hands.
        """
        if self._transport is None or self.ended.done():
            return
        self._leaving = True
        self._transport.write(packets.DISCONNECT)
        self._read_on()
        await asyncio.wait([self.ended], timeout=LEAVE)
        self.abort("we left")

    def abort(self, why: str) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()
        self._end(why)

    def _end(self, why: str) -> None:
        if self._resume is not None:
            self._resume.cancel()
        for question in self._questions.values():
            if not question.done():
                question.set_exception(ConnectionResetError(why))
        if not self.ended.done():
            self.ended.set_result(why)

    def _fresh(self, messages: Messages) -> Messages:
        """Without what is here already: NATS delivers again, on the same connection, what is not acknowledged in time,
        and a database may be away for longer than that. The packet id alone does not tell: Mosquitto gives one id to
        several messages when more than 65,535 are in flight."""
        here, mids = self._unacknowledged, messages.facts["mid"]
        again = messages.facts["head"] & DUP != 0
        if again.any() and (here[mids[again]].any() or len(np.unique(mids)) < len(mids)):
            messages = messages.chosen(self._is_new(messages, again))
        here[messages.facts["mid"]] = True
        here[0] = False  # at QoS 0
        if messages:  # else a long outage would leave one for each read, and all are looked at again
            self._held_back.append(messages)
        return messages

    def _is_new(self, messages: Messages, again: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which are not here already, with ``again`` those that say so."""
        last: dict[int, tuple[str, bytes, int]] = {}
        asked = np.zeros(1 << 16, bool)
        asked[messages.facts["mid"]] = True
        for held in self._held_back:
            if (meant := asked[held.facts["mid"]]).any():
                last.update(_contents(held.chosen(meant)))
        last = {mid: content for mid, content in last.items() if self._unacknowledged[mid]}
        fresh = np.ones(len(messages), bool)
        for index, (mid, content) in enumerate(_contents(messages)):
            fresh[index] = not (mid and again[index] and last.get(mid) == content)
            last[mid] = content
        return fresh

    def _read_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    async def _ask(self, kind: int, question: bytes, name: str) -> bytes:
        if self._transport is None or self.ended.done():
            raise ConnectionResetError("the connection to the broker has ended")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._questions[kind] = answer
        try:
            self._transport.write(question)
            asked = time.monotonic()
            while not answer.done():
                await asyncio.wait([answer], timeout=ANSWER)
                # What a resumed session has queued comes before the answer, and may even fill the inbox so that it is
                # we who do not read: a broker that is busy with that is not silent.
                silent = time.monotonic() - max(asked, self._heard) >= ANSWER
                if not answer.done() and not self._held and silent:
                    raise ConnectionResetError(f"the broker did not answer {name} within {ANSWER:g} s")
                if not answer.done() and kind != packets.CONNACK:
                    self._transport.write(packets.PING)  # nor are we, although we may not read for as long as we like
            return answer.result()
        finally:
            del self._questions[kind]

    def _answer(self, control: Control) -> None:
        if control.kind == packets.PINGRESP:
            return
        question = self._questions.get(control.kind)
        if question is None:
            raise ProtocolError(f"an answer of kind {control.kind} to nothing that was asked")
        if not question.done():
            question.set_result(control.body)


def _contents(messages: Messages) -> Iterator[tuple[int, tuple[str, bytes, int]]]:
    """The packet id of each and what tells it from others: of one that was skipped only its topic and length do."""
    mids, skipped = messages.facts["mid"].tolist(), messages.facts["skipped"].tolist()
    return zip(mids, zip(messages.topics, messages.payloads, skipped, strict=True), strict=True)
