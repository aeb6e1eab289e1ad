"""Between the commits and the detectors: batches that wait, and readings that priming has read before they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from detectors.base import Batch
from devices.readings import Rows, joined_rows

NEVER: Final = np.iinfo(np.int64).max  # UTC µs

# What a reading is known by: its natural key, and when it was received, which tells a fix from the same with an alarm.
KEYS: Final = {
    "fixes": ("device", "at", "received"),
    "sightings": ("device", "at", "received", "label", "track"),
    "samples": ("device", "at", "received", "quantity"),
}


class Waiting(asyncio.Queue[Batch]):
    """Committed batches in order. Full when they hold ``most`` readings: then the pipeline waits, and the broker keeps
    the rest."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most, self._held = most, 0
        self._oldest: deque[int] = deque()

    def full(self) -> bool:
        """Whether who puts must wait."""
        return self._held >= self._most

    def oldest_received(self) -> int:
        """When (UTC µs) the oldest of the waiting readings was received; :data:`NEVER` if none waits."""
        return min(self._oldest, default=NEVER)

    def take(self, most: int) -> list[Batch]:
        """All that wait now; no further one once they hold ``most`` readings."""
        batches, size = list[Batch](), 0
        while size < most and not self.empty():
            batches.append(self.get_nowait())
            size += len(batches[-1])
        return batches

    def clear(self) -> None:
        """Let go all that wait."""
        while not self.empty():
            self.get_nowait()

    def _put(self, item: Batch) -> None:
        self._held += len(item)
        self._oldest.append(oldest_received(item))
        super()._put(item)

    def _get(self) -> Batch:
        batch = super()._get()
        self._held -= len(batch)
        self._oldest.popleft()
        return batch


class AlreadyRead:
    """The readings that priming has read from the store and that come as batches afterwards, as the pipeline goes on.

    To fold them again would change nothing, as a repeated reading never does; but they would be late by then, and whole
    stretches would be read again for them. Only what was received from ``since`` on (UTC µs) is noted.
    """

    def __init__(self, since: int = NEVER) -> None:
        self._since = since
        self._until = NEVER
        self._keys: dict[str, set[tuple[Any, ...]]] = {kind: set() for kind in KEYS}

    def begin_again(self, since: int) -> None:
        """Forget what was noted; from now on what was received from ``since`` on is."""
        self._since, self._until = since, NEVER
        self._keys = {kind: set() for kind in KEYS}

    def add(self, batch: Batch) -> None:
        """Note what was read."""
        for kind, known in self._keys.items():
            read: Rows = getattr(batch, kind)
            known.update(_keys(kind, read[read["received"] >= self._since]))

    def end(self, moment: int) -> None:
        """Priming is over: what is received later was not read."""
        self._until = moment

    def without(self, batch: Batch) -> Batch:
        """The batch without what was read. The first that holds only later readings ends the remembering."""
        if not any(self._keys.values()):
            return batch
        if oldest_received(batch) > self._until:
            if len(batch):
                self._keys = {kind: set() for kind in KEYS}
            return batch
        return replace(batch, **{kind: _unknown(kind, getattr(batch, kind), self._keys[kind]) for kind in KEYS})


def joined(batches: Sequence[Batch]) -> Batch:
    """Committed batches as one. Its fixes are in order of device and time, which detectors take fastest."""
    batches = [batch for batch in batches if len(batch)]
    if len(batches) < 2:
        return batches[0] if batches else Batch()
    parts: dict[str, Rows] = {
        kind: joined_rows(getattr(batches[0], kind).dtype, (getattr(batch, kind) for batch in batches)) for kind in KEYS
    }
    fixes = parts.pop("fixes")
    return Batch(fixes.take(np.lexsort((fixes["at"], fixes["device"]))), **parts)


def earlier(batch: Batch, moment: int) -> Batch:
    """The readings of a batch that are of before a moment (UTC µs of event time)."""
    parts: dict[str, Rows] = {kind: getattr(batch, kind) for kind in KEYS}
    return Batch(**{kind: part[part["at"] < moment] for kind, part in parts.items()})


def oldest_received(batch: Batch) -> int:
    """When (UTC µs) the oldest of a batch's readings was received; :data:`NEVER` without any."""
    return min(int(getattr(batch, kind)["received"].min(initial=NEVER)) for kind in KEYS)


def _keys(kind: str, rows: Rows) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows[name].tolist() for name in KEYS[kind]), strict=True)


def _unknown(kind: str, rows: Rows, known: set[tuple[Any, ...]]) -> Rows:
    new: Rows = rows[np.fromiter((key not in known for key in _keys(kind, rows)), bool, len(rows))]
    return new
