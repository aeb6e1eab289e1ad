"""Messages that have come and were not taken yet, bounded by bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np

from ingest.messages import AT_LEAST_ONCE, Messages

_OVERHEAD: Final = 400  # bytes of a waiting message beside topic and payload, if it came in a read of its own


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
        self._waiting: deque[Messages] = deque()  # what each read brought
        self._count = self._payload = self._held = 0

    def __len__(self) -> int:
        return self._count

    @property
    def payload(self) -> int:
        """Bytes of payload that wait."""
        return self._payload

    @property
    def room(self) -> int:
        """Bytes that may still come; 0 or less when it is full."""
        return self._most - self._held

    def add(self, messages: Messages) -> None:
        """Let messages wait."""
        self._waiting.append(messages)
        self._book(messages, 1)

    def take(self, limit: int, most_bytes: int) -> Messages:
        """The oldest messages: at most ``limit``, or those whose payloads reach ``most_bytes``."""
        taken: list[Messages] = []
        count = size = 0
        while self._waiting and count < limit and size < most_bytes:
            messages = self._waiting.popleft()
            if count + len(messages) > limit or size + messages.payload_bytes >= most_bytes:
                fitting = _fitting(messages, limit - count, most_bytes - size)
                messages, rest = messages[:fitting], messages[fitting:]
                if rest:
                    self._waiting.appendleft(rest)
            taken.append(messages)
            count, size = count + len(messages), size + messages.payload_bytes
        chosen = Messages.joined(taken)
        self._book(chosen, -1)
        return chosen

    def forget_before(self, connection: int) -> None:
        """Drop what came at QoS 1 on older connections: the broker delivers it again."""
        waiting, self._waiting = self._waiting, deque()
        for messages in waiting:
            facts = messages.facts
            kept = (facts["head"] & AT_LEAST_ONCE == 0) | (facts["connection"] >= connection)
            if kept.any():
                self._waiting.append(messages.chosen(kept))
            self._book(Messages(messages.data, facts.compress(~kept)), -1)

    def _book(self, messages: Messages, sign: int) -> None:
        """Count what has come (1) or gone (-1), and tell who waits for it."""
        was_full = self.room <= 0
        payload = messages.payload_bytes
        held = payload + messages.topic_bytes + _OVERHEAD * len(messages)
        self._count += sign * len(messages)
        self._payload += sign * payload
        self._held += sign * held
        if self._count:
            self.arrived.set()
        else:
            self.arrived.clear()
        if was_full and self.room > 0:
            self._room_made()


def _fitting(messages: Messages, limit: int, most_bytes: int) -> int:
    """How many of the first reach the limit, or bytes of payload."""
    sizes = np.cumsum(messages.facts["payload_bytes"][:limit], dtype=np.int64)
    return min(len(sizes), int(np.searchsorted(sizes, most_bytes)) + 1)
