"""How often somebody may try: a sliding window of tries by key, bounded in memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable


class Throttle:
    """At most ``limit`` tries by key in any ``window`` seconds.

    A try counts from the moment it begins, so that many at once are no way around it. It is kept in this process only:
    with several console processes each allows its own ``limit``. The least recently tried of more than ``most`` keys is
    forgotten, so that invented names cannot fill the memory.
    """

    def __init__(
        self, limit: int, window: float, *, most: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if limit < 1 or window <= 0 or most < 1:
            raise ValueError(f"limit {limit}, window {window} and most {most} must be positive")
        self._limit, self._window, self._most, self._clock = limit, window, most, clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    def attempt(self, key: str) -> int:
        """Count a try. 0 when it may go on; else the whole seconds to wait, and the try is not counted."""
        now = self._clock()
        tries = self._tries.setdefault(key, deque())
        self._tries.move_to_end(key)
        while tries and tries[0] <= now - self._window:
            tries.popleft()
        if len(tries) >= self._limit:
            return max(1, math.ceil(tries[0] + self._window - now))
        tries.append(now)
        while len(self._tries) > self._most:
            self._tries.popitem(last=False)
        return 0

    def give_back(self, key: str) -> None:
        """Take the newest try of ``key`` back: it was no failure."""
        tries = self._tries.get(key)
        if tries:
            tries.pop()
