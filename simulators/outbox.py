"""Messages on their way to the broker: waiting, in flight, and folded into arrays while the broker is away."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from simulators.wire import Message

STORED = ("fix", "sighting", "sample")  # may be sent as arrays afterwards
LARGEST = 60_000  # bytes of one array


class Outbox:
    """What has to be published, in order. Nothing leaves it before the broker has acknowledged it.

    Only statuses are replaced by later ones of the same device: the broker retains nothing but the last.
    """

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()
        self._flying: dict[int, Message] = {}  # in the order in which they were taken
        self._number = 0
        self._statuses: dict[str, int] = {}  # the number of the last status of each topic that the broker has
        self._folded = 0  # how many were left by the last folding

    def __len__(self) -> int:
        return len(self._waiting) + len(self._flying)

    @property
    def waiting(self) -> int:
        """How many have not been taken yet."""
        return len(self._waiting)

    def put(self, messages: Iterable[Message]) -> None:
        """Append messages."""
        self._waiting.extend(messages)

    def take(self) -> tuple[int, Message]:
        """The next message and the number under which it is in flight. Raises IndexError when none waits."""
        message = self._waiting.popleft()
        self._number += 1
        self._flying[self._number] = message
        return self._number, message

    def acknowledged(self, number: int) -> None:
        """The broker has the message."""
        message = self._flying.pop(number)
        if message.retain:
            self._statuses[message.topic] = max(number, self._statuses.get(message.topic, 0))

    def lost(self) -> None:
        """The connection is gone: what was in flight is to be sent again, before everything else; all is stored.

        A status is not, if the broker has a later one of the device, which it would replace.
        """
        again = [m for n, m in self._flying.items() if not m.retain or n > self._statuses.get(m.topic, 0)]
        self._waiting.extendleft(reversed(again))
        self._flying.clear()
        self._folded = 0
        self.store()

    def store(self) -> None:
        """While there is no connection: keep what waits as a device does, as arrays; cheap to call often."""
        if len(self._waiting) > 2 * self._folded:
            self._waiting = deque(folded(self._waiting))
            self._folded = len(self._waiting)


def folded(messages: Iterable[Message]) -> list[Message]:
    """The same readings in fewer messages: one array per topic (or more, when large), the last status per device.

    The order within a topic stays; a topic stands where its first message stood.
    """
    messages = list(messages)
    arrays: dict[str, _Array] = {}
    found: list[Message | _Array] = []
    last_status = {m.topic: m for m in messages if m.retain}
    for message in messages:
        if message.retain:
            if last_status[message.topic] is message:
                found.append(message)
        elif message.topic.rsplit("/", 1)[-1] not in STORED:
            found.append(message)
        elif (array := arrays.get(message.topic)) is None or not array.add(message):
            array = arrays[message.topic] = _Array(message)
            found.append(array)
    return [entry if isinstance(entry, Message) else entry.message() for entry in found]


class _Array:
    """Messages of one topic that become one."""

    def __init__(self, first: Message) -> None:
        self._messages = [first]
        self._size = len(first.payload)

    def add(self, message: Message) -> bool:
        """Take another in, unless the array would grow too large."""
        self._size += len(message.payload) + 1
        if self._size > LARGEST:
            return False
        self._messages.append(message)
        return True

    def message(self) -> Message:
        """The one message."""
        if len(self._messages) == 1:
            return self._messages[0]
        elements = b",".join(m.payload.removeprefix(b"[").removesuffix(b"]") for m in self._messages)
        return self._messages[-1]._replace(payload=b"[" + elements + b"]")
