"""MQTT 3.1.1 packets as far as a subscriber at QoS 1 needs them: what the broker sends is parsed, what we send built.

OASIS MQTT 3.1.1; section numbers in comments are that document's. What costs a subscriber is Python per packet, not
bytes. Nearly all that a broker sends are short PUBLISHes at QoS 1, one after the other: a loop looks at nothing but
their lengths, and everything else about such a run is read as columns. Any other packet is taken by itself. Topics and
payloads stay where they are, and only their places are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.readings import joined_rows
from ingest.messages import FACTS, Facts, Messages

CONNACK, PUBACK, SUBACK, UNSUBACK, PINGRESP = 2, 4, 9, 11, 13
PING: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"

REFUSALS: Final = {  # 3.2.2.3
    1: "it does not speak MQTT 3.1.1",
    2: "the client id is not allowed",
    3: "it is not available",
    4: "user name or password is wrong",
    5: "not authorised",
}
MOST_CONTROL: Final = 1 << 16  # bytes; a SUBACK has one for each filter, the others two or none
_AT_LEAST_ONCE: Final = 0x32  # PUBLISH at QoS 1 (3.3.1)
_AT_LEAST_ONCES: Final = frozenset((0x32, 0x33, 0x3A, 0x3B))  # the same retained, delivered again, or both
_RUN_LEAST: Final = 8  # packets from which on columns cost less
_Numbers = NDArray[np.integer[Any]]


class ProtocolError(ValueError):
    """The broker sent what MQTT 3.1.1 does not allow: nothing after it can be trusted, so the connection must end."""


class Control(NamedTuple):
    """Any other packet from the broker."""

    kind: int
    body: bytes


class Parser:
    """Cuts the byte stream of one connection into packets.

    A PUBLISH longer than ``most`` bytes is not kept: it is reported with its topic and length as soon as these are
    known, and its payload is skipped as it arrives, so one huge message costs neither memory nor the session.

    Attributes:
        broken: what was wrong with the stream, once something was; nothing is parsed after it.
    """

    def __init__(self, most: int, connection: int = 0) -> None:
        self.most = most
        self.broken: ProtocolError | None = None
        self._connection = connection
        self._parts: list[bytes] = []  # of a packet that is not all here
        self._missing = 0  # bytes to go until it is worth looking at the parts again
        self._skip = 0  # bytes of an oversized packet still to come

    def feed(self, data: bytes, received: int = 0) -> tuple[Messages, list[Control]]:
        """The packets that ``data`` completes, each kind in order; ``received`` is our clock in UTC µs.

        Raises nothing: what came before a malformed packet counts, so look at :attr:`broken` afterwards.
        """
        out = _Out(self._connection, received)
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self.broken is not None or not data:
            return out.messages(b""), out.controls
        self._parts.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return out.messages(b""), out.controls
        buffer = b"".join(self._parts) if len(self._parts) > 1 else data
        try:
            at, self._missing = self._cut(buffer, out)
            self._parts = [buffer[at:]] if at < len(buffer) else []
        except ProtocolError as error:
            self.broken, self._parts = error, []
        return out.messages(buffer), out.controls

    def _cut(self, buffer: bytes, out: _Out) -> tuple[int, int]:
        """Where the first incomplete packet begins, and how many bytes it lacks at least."""
        size, at = len(buffer), 0
        while size - at >= 2:
            ends = _run(buffer, at)
            if len(ends) >= _RUN_LEAST and (end := self._take_run(buffer, at, ends, out)) > at:
                at = end
                continue
            end, lacking = self._take_one(buffer, at, out)
            if lacking:
                return at, lacking
            at = end
        return at, 2 - (size - at)

    def _take_run(self, buffer: bytes, at: int, ends: list[int], out: _Out) -> int:
        """Take PUBLISHes at QoS 1 that follow each other from ``at`` on and have these ends, up to one that is not in
        order; where that begins."""
        bytes_ = np.frombuffer(buffer, np.uint8)
        end = np.array(ends, np.intp)
        begin = np.concatenate([[at], end[:-1]])
        name = begin + np.where(bytes_[begin + 1] > 127, 5, 4)  # behind one or two bytes of length, two of the topic's
        count = _leading((name + 2 <= end) & (end - name + 2 <= self.most))
        begin, name, end = begin[:count], name[:count], end[:count]
        tail = name + (bytes_[name - 2].astype(np.intp) << 8 | bytes_[name - 1])
        count = _leading(tail + 2 <= end)
        begin, name, tail, end = begin[:count], name[:count], tail[:count], end[:count]
        mid = bytes_[tail].astype(np.uint16) << 8 | bytes_[tail + 1]
        count = _leading(mid > 0)
        begin, name, tail, mid, end = begin[:count], name[:count], tail[:count], mid[:count], end[:count]
        out.add(mid, bytes_[begin], name, tail - name, tail + 2, end - tail - 2)
        return ends[count - 1] if count else at

    def _take_one(self, buffer: bytes, at: int, out: _Out) -> tuple[int, int]:
        """Take the packet at ``at``: where it ends, and 0; or how many bytes it lacks at least."""
        size, first, (length, body) = len(buffer), buffer[at], _length_at(buffer, at + 1)
        if not body:
            return at, 1
        end = body + length
        if first >> 4 != 3:
            _check_control(first, length)
            if end <= size:
                out.controls.append(Control(first >> 4, buffer[body:end]))
            return end, max(end - size, 0)
        if length <= self.most and end > size:
            return at, end - size
        return self._take_publish(buffer, at, body, end, out)

    def _take_publish(self, buffer: bytes, at: int, body: int, end: int, out: _Out) -> tuple[int, int]:
        """Take a PUBLISH that is all here, or is too long to be kept."""
        size, first, head = len(buffer), buffer[at], body + 2
        qos, long = first >> 1 & 3, end - body > self.most
        if long and size < head:
            return at, head - size
        tail = head + (buffer[body] << 8 | buffer[body + 1]) if head <= end else head
        start = tail + 2 if qos else tail
        if start > end or qos > 1:
            raise ProtocolError(f"a PUBLISH cut short, or not at QoS 0 or 1: {buffer[at : min(head, end)].hex(' ')}")
        if start > size:  # the head of one that is too long
            return at, start - size
        mid = buffer[tail] << 8 | buffer[tail + 1] if qos else 0
        if qos and not mid:
            raise ProtocolError("a PUBLISH at QoS 1 with packet id 0")
        skipped, payload = (end - start, 0) if long else (0, end - start)
        out.add(*np.array([[mid], [first], [head], [tail - head], [start], [payload], [skipped]]))
        if end > size:
            self._skip = end - size
            return size, 0
        return end, 0


class _Out:
    """What one read brought, as it is being taken."""

    __slots__ = ("_connection", "_facts", "_received", "controls")

    def __init__(self, connection: int, received: int) -> None:
        self._connection, self._received = connection, received
        self.controls: list[Control] = []
        self._facts: list[Facts] = []

    def add(
        self,
        mid: _Numbers,
        head: _Numbers,
        topic: _Numbers,
        topic_bytes: _Numbers,
        payload: _Numbers,
        payload_bytes: _Numbers,
        skipped: _Numbers | int = 0,
    ) -> None:
        """Messages, each argument a column of :data:`FACTS`, shape (n,)."""
        facts = np.empty(len(mid), FACTS)
        facts["received"], facts["connection"], facts["skipped"] = self._received, self._connection, skipped
        facts["mid"], facts["head"], facts["topic"], facts["payload"] = mid, head, topic, payload
        facts["topic_bytes"], facts["payload_bytes"] = topic_bytes, payload_bytes
        self._facts.append(facts)

    def messages(self, data: bytes) -> Messages:
        """All of them; ``data`` is what they lie in, of which the rest behind them is let go: it may be much."""
        facts = self._facts[0] if len(self._facts) == 1 else joined_rows(FACTS, self._facts)
        end = int(facts["payload"][-1] + facts["payload_bytes"][-1]) if len(facts) else 0
        return Messages(data[:end], facts)


def _run(buffer: bytes, at: int) -> list[int]:
    """Where the PUBLISHes at QoS 1 with a length of one or two bytes end that follow each other from ``at`` on and are
    all here."""
    ends: list[int] = []
    append, size = ends.append, len(buffer)
    try:
        while (first := buffer[at]) == _AT_LEAST_ONCE or first in _AT_LEAST_ONCES:
            length = buffer[at + 1]
            if length > 127:  # 2.2.3: seven bits in a byte
                more = buffer[at + 2]
                if more > 127:
                    break
                at += 3 + (length & 127 | more << 7)
            else:
                at += 2 + length
            append(at)
    except IndexError:
        pass  # the buffer ends there, or within a packet
    if ends and ends[-1] > size:
        ends.pop()
    return ends


def _leading(good: NDArray[np.bool_]) -> int:
    """How many come before the first False."""
    return len(good) if good.all() else int(good.argmin())


def _length_at(buffer: bytes, at: int) -> tuple[int, int]:
    """The remaining length at ``at`` (2.2.3) and where the body begins; 0, 0 while it is not all here."""
    length = 0
    for place in range(4):
        if at + place == len(buffer):
            return 0, 0
        byte = buffer[at + place]
        length |= (byte & 127) << 7 * place
        if byte < 128:
            return length, at + place + 1
    raise ProtocolError(f"a remaining length of more than four bytes: {buffer[at : at + 4].hex(' ')}")


_LENGTHS: Final = {CONNACK: 2, PUBACK: 2, UNSUBACK: 2, PINGRESP: 0}


def _check_control(first: int, length: int) -> None:
    """Refuse at once what would otherwise be waited for."""
    kind = first >> 4
    right = 3 <= length <= MOST_CONTROL if kind == SUBACK else length == _LENGTHS.get(kind)
    if first & 0x0F or not right:
        raise ProtocolError(f"a packet that no broker sends: first byte {first:#04x}, {length} bytes")


def connect(client: str, user: str | None, password: str | None, keepalive: int, *, clean: bool = False) -> bytes:
    """CONNECT (3.1), for a persistent session unless ``clean``. ``keepalive`` in seconds.

    Raises:
        ValueError: a text of more than 65,535 bytes.
    """
    flags = (0x02 if clean else 0) | (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
    body = _text("MQTT") + bytes((4, flags)) + keepalive.to_bytes(2, "big") + _text(client)
    if user is not None:
        body += _text(user)
    if password is not None:
        body += _text(password)
    return b"\x10" + _length(len(body)) + body


def subscribe(packet: int, filters: Sequence[str]) -> bytes:
    """SUBSCRIBE (3.8) to ``filters`` at QoS 1."""
    body = packet.to_bytes(2, "big") + b"".join(_text(f) + b"\x01" for f in filters)
    return b"\x82" + _length(len(body)) + body


def unsubscribe(packet: int, filters: Sequence[str]) -> bytes:
    """UNSUBSCRIBE (3.10) from ``filters``."""
    body = packet.to_bytes(2, "big") + b"".join(_text(f) for f in filters)
    return b"\xa2" + _length(len(body)) + body


def publish(topic: str, payload: bytes, mid: int = 0, *, dup: bool = False, retain: bool = False) -> bytes:
    """PUBLISH (3.3), at QoS 1 with a packet id ``mid``, at QoS 0 without. What a broker or a load generator sends."""
    body = _text(topic) + (mid.to_bytes(2, "big") if mid else b"") + payload
    return bytes((0x30 | dup << 3 | bool(mid) << 1 | retain,)) + _length(len(body)) + body


_PUBACK: Final = np.dtype([("head", ">u2"), ("mid", ">u2")])


def pubacks(mids: NDArray[np.uint16]) -> bytes:
    """The PUBACKs (3.4) of a whole batch as one run of bytes, four each."""
    acks = np.empty(len(mids), _PUBACK)
    acks["head"] = 0x4002
    acks["mid"] = mids
    return acks.tobytes()


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) > 65_535:
        raise ValueError(f"{text[:40]!r}… has {len(data)} bytes; MQTT takes at most 65,535")
    return len(data).to_bytes(2, "big") + data


def _length(length: int) -> bytes:
    out = bytearray()
    while True:
        length, byte = length >> 7, length & 127
        out.append(byte | 128 if length else byte)
        if not length:
            return bytes(out)
