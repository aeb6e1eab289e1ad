"""Messages that have come and were not taken yet, bounded by bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ingest.packets import Message

_OVERHEAD: Final = 400  # bytes of a waiting message beside topic and payload


class Inbox:
    """A queue from the connection to the pipeline. It never refuses: who fills it looks at :attr:`room` before.

    Attributes:
        arrived: set while something waits (or when the reader ended, which sets it from outside).
        room_made: called when messages were taken from a full inbox and it is full no longer.
    """

    def __init__(self, most: int, room_made: Callable[[], None]) -> None:
        self.arrived = asyncio.Event()
        self._most = most
        self._room_made = room_made
        self._waiting: deque[Message] = deque()
        self._held = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        """Bytes that may still come; 0 or less when it is full."""
        return self._most - self._held

    def add(self, messages: Sequence[Message]) -> None:
        """Let messages wait."""
        self._waiting.extend(messages)
        self._held += _cost(messages)
        self.arrived.set()

    def take(self, limit: int, most_bytes: int) -> list[Message]:
        """The oldest messages: at most ``limit``, or those whose payloads reach ``most_bytes``."""
        was_full = self.room <= 0
        taken: list[Message] = []
        size, waiting = 0, self._waiting
        while waiting and len(taken) < limit and size < most_bytes:
            message = waiting.popleft()
            size += len(message.payload)
            taken.append(message)
        self._held -= _cost(taken)
        if not waiting:
            self.arrived.clear()
        if was_full and self.room > 0:
            self._room_made()
        return taken

    def forget_before(self, connection: int) -> None:
        """Drop what came at QoS 1 on older connections: the broker delivers it again."""
        was_full = self.room <= 0
        kept = [m for m in self._waiting if not m.qos or m.connection >= connection]
        self._waiting = deque(kept)
        self._held = _cost(kept)
        if not kept:
            self.arrived.clear()
        if was_full and self.room > 0:
            self._room_made()


def _cost(messages: Sequence[Message]) -> int:
    return sum([len(m.payload) + len(m.topic) for m in messages]) + _OVERHEAD * len(messages)
