"""MQTT 3.1.1 packets as far as a subscriber at QoS 1 needs them: what the broker sends is parsed, what we send built.

OASIS MQTT 3.1.1; section numbers in comments are that document's. What costs a subscriber is calls per packet, not
bytes, so whatever a read brought is cut in one loop without a call of our own per packet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

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
_TOPICS_KEPT: Final = 1 << 17
_TOPIC_KEPT: Final = 256  # bytes


class ProtocolError(ValueError):
    """The broker sent what MQTT 3.1.1 does not allow: nothing after it can be trusted, so the connection must end."""


class Message(NamedTuple):
    """One message as it came in."""

    topic: str
    payload: bytes
    received: int  # UTC µs, our clock
    mid: int = 0
    connection: int = 0  # on which it came; acknowledged there or not at all
    qos: int = 0
    dup: bool = False  # delivered before, but not acknowledged
    retained: bool = False  # kept by the broker for new subscriptions, so it may be old
    skipped: int = 0  # bytes of a payload that was too long to be kept, which is then empty

    @property
    def repeat(self) -> bool:
        """Whether the broker says that it is not the first time."""
        return self.dup or self.retained


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
        self._topics: dict[bytes, str] = {}

    def feed(self, data: bytes, received: int = 0) -> tuple[list[Message], list[Control]]:
        """The packets that ``data`` completes, each kind in order; ``received`` is our clock in UTC µs.

        Raises nothing: what came before a malformed packet counts, so look at :attr:`broken` afterwards.
        """
        messages: list[Message] = []
        controls: list[Control] = []
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self.broken is not None or not data:
            return messages, controls
        self._parts.append(data)
        self._missing -= len(data)
        if self._missing <= 0:
            buffer = b"".join(self._parts) if len(self._parts) > 1 else data
            try:
                at, self._missing = self._cut(buffer, received, messages, controls)
                self._parts = [buffer[at:]] if at < len(buffer) else []
            except ProtocolError as error:
                self.broken, self._parts = error, []
        return messages, controls

    # Longer than 30 lines, as a call per packet would double its cost.
    def _cut(self, buffer: bytes, received: int, messages: list[Message], controls: list[Control]) -> tuple[int, int]:
        """Where the first incomplete packet begins, and how many bytes it lacks at least."""
        size, at, most, connection, topics = len(buffer), 0, self.most, self._connection, self._topics
        new, append = tuple.__new__, messages.append  # a named tuple's own __new__ costs three times as much
        while size - at >= 2:
            first, length, body = buffer[at], buffer[at + 1], at + 2
            if length > 127:  # 2.2.3: up to four bytes of seven bits
                if body == size:
                    return at, 1
                more = buffer[body]
                if more > 127:
                    length, body = _long_length(buffer, at + 1)
                    if not body:
                        return at, 1
                else:
                    length, body = length & 127 | more << 7, body + 1
            end = body + length
            if first >> 4 != 3:
                _check_control(first, length)
                if end > size:
                    return at, end - size
                controls.append(Control(first >> 4, buffer[body:end]))
                at = end
                continue
            if end > size and length <= most:
                return at, end - size
            qos, head = first >> 1 & 3, body + 2
            if length > most and size < head:
                return at, head - size
            tail = head + (buffer[body] << 8 | buffer[body + 1]) if head <= end else head
            start = tail + 2 if qos else tail
            if start > end or qos > 1:
                raise ProtocolError(
                    f"a PUBLISH cut short, or not at QoS 0 or 1: {buffer[at : min(head, end)].hex(' ')}"
                )
            if start > size:  # the head of one that is too long
                return at, start - size
            mid = buffer[tail] << 8 | buffer[tail + 1] if qos else 0
            if qos and not mid:
                raise ProtocolError("a PUBLISH at QoS 1 with packet id 0")
            name = buffer[head:tail]
            topic = topics.get(name) or self._topic(name)
            kept, skipped = (buffer[start:end], 0) if length <= most else (b"", end - start)
            fields = (topic, kept, received, mid, connection, qos, first & 8 > 0, first & 1 > 0, skipped)
            append(new(Message, fields))
            if end > size:
                self._skip = end - size
                return size, 0
            at = end
        return at, 2 - (size - at)

    def _topic(self, name: bytes) -> str:
        """The topic as text, kept: the next message of the same device finds its hash computed."""
        topic = name.decode("utf-8", "backslashreplace")
        if len(name) <= _TOPIC_KEPT:
            if len(self._topics) >= _TOPICS_KEPT:
                self._topics.clear()
            self._topics[name] = topic
        return topic


def _long_length(buffer: bytes, at: int) -> tuple[int, int]:
    """A remaining length of three or four bytes and where the body begins; 0, 0 while it is not all here."""
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


def pubacks(mids: Sequence[int]) -> bytes:
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
