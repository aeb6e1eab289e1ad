"""Messages from the broker: one as a named tuple, many as columns.

A batch holds thousands, and what costs is an object for each. So from the socket to the store they stay columns, and a
:class:`Message` is made only where one is looked at by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

DUP, RETAIN, AT_LEAST_ONCE = 8, 1, 2  # bits of a PUBLISH's first byte (3.3.1)

FACTS: Final = np.dtype(
    [
        ("received", "i8"),
        ("skipped", "i4"),
        ("connection", "i4"),
        ("payload", "i4"),
        ("topic", "u2"),
        ("mid", "u2"),
        ("head", "u1"),
    ],
    align=True,
)
"""What there is in numbers about one message, see :class:`Message`: of ``payload`` and ``topic`` the bytes; ``head`` is
the first byte of its PUBLISH."""

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
        topics, payloads: lists of n.
        facts: the numbers, FACTS, shape (n,).
    """

    __slots__ = ("facts", "payloads", "topics")

    def __init__(self, topics: list[str], payloads: list[bytes], facts: Facts) -> None:
        self.topics, self.payloads, self.facts = topics, payloads, facts

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Messages:
        """The same messages as columns."""
        if isinstance(messages, Messages):
            return messages
        rows = list(messages)
        facts = [
            (m.received, m.skipped, m.connection, len(m.payload), len(m.topic.encode()), m.mid, _head(m)) for m in rows
        ]
        return cls([m.topic for m in rows], [m.payload for m in rows], np.array(facts, FACTS))

    @classmethod
    def joined(cls, parts: Sequence[Messages]) -> Messages:
        """Several, one after the other."""
        if len(parts) == 1:
            return parts[0]
        topics: list[str] = []
        payloads: list[bytes] = []
        for part in parts:
            topics += part.topics
            payloads += part.payloads
        return cls(topics, payloads, np.concatenate([np.empty(0, FACTS), *(part.facts for part in parts)]))

    def __len__(self) -> int:
        return len(self.topics)

    def __iter__(self) -> Iterator[Message]:
        return map(self.__getitem__, range(len(self.topics)))

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> Messages: ...
    def __getitem__(self, index: int | slice) -> Message | Messages:
        if isinstance(index, slice):
            return Messages(self.topics[index], self.payloads[index], self.facts[index])
        received, skipped, connection, _, _, mid, head = self.facts[index].tolist()
        of_head = head >> 1 & 3, head & DUP > 0, head & RETAIN > 0
        return Message(self.topics[index], self.payloads[index], received, mid, connection, *of_head, skipped)

    def chosen(self, which: NDArray[np.bool_]) -> Messages:
        """Those that are True in ``which``, shape (n,)."""
        indices = np.flatnonzero(which).tolist()
        topics, payloads = self.topics, self.payloads
        return Messages([topics[i] for i in indices], [payloads[i] for i in indices], self.facts[which])

    @property
    def retained(self) -> NDArray[np.bool_]:
        """Which were kept by the broker for new subscriptions."""
        return np.asarray(self.facts["head"] & RETAIN != 0)

    @property
    def payload_bytes(self) -> int:
        """Of all payloads together."""
        return int(self.facts["payload"].sum())

    @property
    def topic_bytes(self) -> int:
        """Of all topics together."""
        return int(self.facts["topic"].sum())


def _head(message: Message) -> int:
    return 0x30 | message.dup * DUP | message.qos << 1 | message.retained * RETAIN
