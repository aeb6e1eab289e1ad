"""Messages that have come and were not taken yet, bounded by bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from ingest.messages import AT_LEAST_ONCE, Messages

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
        self._waiting: deque[tuple[Messages, int]] = deque()  # what one read brought, with its bytes
        self._count = self._held = 0

    def __len__(self) -> int:
        return self._count

    @property
    def held(self) -> int:
        """Bytes that wait."""
        return self._held

    @property
    def room(self) -> int:
        """Bytes that may still come; 0 or less when it is full."""
        return self._most - self._held

    def add(self, messages: Messages) -> None:
        """Let messages wait."""
        self._waiting.append((messages, _cost(messages)))
        self._settle(len(messages), self._waiting[-1][1])

    def take(self, limit: int, most_bytes: int) -> Messages:
        """The oldest messages: at most ``limit``, or those whose payloads reach ``most_bytes``."""
        taken: list[Messages] = []
        count = size = held = 0
        while self._waiting and count < limit and size < most_bytes:
            messages, cost = self._waiting.popleft()
            if count + len(messages) > limit or size + cost > most_bytes:
                fitting = _fitting(messages, limit - count, most_bytes - size)
                messages, rest = messages[:fitting], messages[fitting:]
                if rest:
                    self._waiting.appendleft((rest, _cost(rest)))
                    cost -= _cost(rest)
            taken.append(messages)
            count, size, held = count + len(messages), size + messages.payload_bytes, held + cost
        self._settle(-count, -held)
        return Messages.joined(taken)

    def forget_before(self, connection: int) -> None:
        """Drop what came at QoS 1 on older connections: the broker delivers it again."""
        waiting, self._waiting = self._waiting, deque()
        self._settle(-self._count, -self._held)
        for messages, _ in waiting:
            facts = messages.facts
            kept = messages.chosen((facts["head"] & AT_LEAST_ONCE == 0) | (facts["connection"] >= connection))
            if len(kept):
                self.add(kept)

    def _settle(self, count: int, held: int) -> None:
        """Book what came or went, and tell who waits for it."""
        was_full = self.room <= 0
        self._count, self._held = self._count + count, self._held + held
        if self._count:
            self.arrived.set()
        else:
            self.arrived.clear()
        if was_full and self.room > 0:
            self._room_made()


def _fitting(messages: Messages, limit: int, most_bytes: int) -> int:
    """How many of the first reach the limit, or bytes of payload."""
    size = 0
    for number, payload in enumerate(messages.payloads[:limit], 1):
        size += len(payload)
        if size >= most_bytes:
            return number
    return min(len(messages), limit)


def _cost(messages: Messages) -> int:
    return messages.payload_bytes + sum(map(len, messages.topics)) + _OVERHEAD * len(messages)
