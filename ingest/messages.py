"""Messages from the broker: one as a named tuple, many as columns.

A batch holds thousands, and what costs is an object for each. So from the socket to the store they stay the bytes that
came and numbers about them, and a :class:`Message` is made only where one is looked at by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from devices.readings import joined_rows

DUP, RETAIN, AT_LEAST_ONCE = 8, 1, 2  # bits of a PUBLISH's first byte (3.3.1)

FACTS: Final = np.dtype(
    [
        ("received", "i8"),
        ("skipped", "i4"),
        ("connection", "i4"),
        ("topic", "i4"),
        ("payload", "i4"),
        ("payload_bytes", "i4"),
        ("topic_bytes", "u2"),
        ("mid", "u2"),
        ("head", "u1"),
    ],
    align=True,
)
"""What there is in numbers about one message, see :class:`Message`: ``topic`` and ``payload`` say where in the bytes
they begin; ``head`` is the first byte of its PUBLISH."""

Facts = NDArray[np.void]


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


class Messages(Sequence[Message]):
    """Many messages in the order in which they came.

    Attributes:
        data: the bytes that hold their topics and payloads, among others.
        facts: the numbers, FACTS, shape (n,).
    """

    __slots__ = ("data", "facts")

    def __init__(self, data: bytes, facts: Facts) -> None:
        self.data, self.facts = data, facts

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Messages:
        """The same messages as columns."""
        if isinstance(messages, Messages):
            return messages
        rows = list(messages)
        facts = [(m.received, m.skipped, m.connection, 0, 0, 0, 0, m.mid, _head(m)) for m in rows]
        return cls._packed([m.topic.encode() for m in rows], [m.payload for m in rows], np.array(facts, FACTS))

    @classmethod
    def joined(cls, parts: Sequence[Messages]) -> Messages:
        """Several, one after the other."""
        if len(parts) == 1:
            return parts[0]
        facts = joined_rows(FACTS, (part.facts for part in parts))
        sizes = np.array([len(part.data) for part in parts], np.int32)
        moved = np.repeat(np.cumsum(sizes) - sizes, [len(part) for part in parts])
        facts["topic"] += moved
        facts["payload"] += moved
        return cls(b"".join([part.data for part in parts]), facts)

    @classmethod
    def _packed(cls, topics: Sequence[bytes], payloads: Sequence[bytes], facts: Facts) -> Messages:
        """Those of ``facts``, which is changed, with nothing else in the bytes."""
        for column, texts in (("topic_bytes", topics), ("payload_bytes", payloads)):
            facts[column] = np.fromiter(map(len, texts), FACTS[column], len(texts))
        ends = np.cumsum(facts["topic_bytes"] + facts["payload_bytes"])
        facts["payload"] = ends - facts["payload_bytes"]
        facts["topic"] = facts["payload"] - facts["topic_bytes"]
        return cls(b"".join(chain.from_iterable(zip(topics, payloads, strict=True))), facts)

    def __len__(self) -> int:
        return len(self.facts)

    def __iter__(self) -> Iterator[Message]:
        return map(self.__getitem__, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> Messages: ...
    def __getitem__(self, index: int | slice) -> Message | Messages:
        if isinstance(index, slice):
            return Messages(self.data, self.facts[index])
        received, skipped, connection, topic, payload, size, topic_size, mid, head = self.facts[index].tolist()
        name, content = self.data[topic : topic + topic_size], self.data[payload : payload + size]
        of_head = head >> 1 & 3, head & DUP > 0, head & RETAIN > 0
        return Message(_text(name), content, received, mid, connection, *of_head, skipped)

    def chosen(self, which: NDArray[np.bool_]) -> Messages:
        """Those that are True in ``which``, shape (n,); the bytes of the others are not kept for them."""
        left = Messages(self.data, self.facts.compress(which))
        return Messages._packed(left._names(), left.payloads, left.facts)

    @property
    def topics(self) -> list[str]:
        """Of each; what is no UTF-8 in it is escaped."""
        return [_text(name) for name in self._names()]

    @property
    def payloads(self) -> list[bytes]:
        """Of each."""
        return self._cut("payload")

    def _names(self) -> list[bytes]:
        return self._cut("topic")

    def _cut(self, column: str) -> list[bytes]:
        begin, size, data = self.facts[column], self.facts[f"{column}_bytes"], self.data
        return [data[a:b] for a, b in zip(begin.tolist(), (begin + size).tolist(), strict=True)]

    @property
    def retained(self) -> NDArray[np.bool_]:
        """Which were kept by the broker for new subscriptions."""
        return np.asarray(self.facts["head"] & RETAIN != 0)

    @property
    def payload_bytes(self) -> int:
        """Of all payloads together."""
        return int(self.facts["payload_bytes"].sum())

    @property
    def topic_bytes(self) -> int:
        """Of all topics together."""
        return int(self.facts["topic_bytes"].sum())


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _head(message: Message) -> int:
    return 0x30 | message.dup * DUP | message.qos << 1 | message.retained * RETAIN
