"""Readings of several devices brought into one order of event time, so that it does not matter how they arrived.

Each device's readings come in order, but those of different devices overtake each other by some seconds. A detector
that looks at several devices together therefore judges in *beats* of event time (multiples of ``beat`` since 1970), and
only once a beat is complete: when event time is ``patience`` seconds past its end. What it finds is then a function of
which readings there are, not of how they were cut into batches. A reading that comes later than that is still used, as
soon as it is there, but what it adds may then depend on when that was.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.base import Batch
from devices.readings import SECOND, Rows, joined_rows, rows

EARLIEST: Final = -(1 << 62)  # UTC µs: before everything, with room for arithmetic


class EventClock:
    """How far event time has come: driven by the readings, and between them, in ticks, by the passing of time.

    It follows the readings and not ``now``, so that a history played in fast motion is judged like the present.
    """

    def __init__(self, patience: float, beat: float) -> None:
        self.beat = int(beat * SECOND)
        self._patience = int(patience * SECOND)
        self._time: int | None = None
        self._now: int | None = None
        self.frontier = EARLIEST  # UTC µs, a multiple of beat: all before it is complete

    def advance(self, batch: Batch, now: int) -> int:
        """Take note of a step; returns the frontier, which never goes back."""
        newest = [int(part["at"].max()) for part in (batch.fixes, batch.sightings, batch.samples) if len(part)]
        elapsed = 0 if newest or self._now is None else max(0, now - self._now)
        self._now = now
        time = EARLIEST if self._time is None else self._time + elapsed
        if newest:
            time = max(time, min(max(newest), now))  # one clock that is ahead must not hurry all others
        if time > EARLIEST:
            self._time = time
            self.frontier = max(self.frontier, (time - self._patience) // self.beat * self.beat)
        return self.frontier


class Waiting:
    """Rows of one kind that wait for their beat to be complete."""

    def __init__(self, like: Rows) -> None:
        self._rows = rows(like.dtype)
        self._newest: NDArray[np.int64] = np.empty(0, np.int64)  # of what was taken, UTC µs by device id

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, more: Rows) -> None:
        """Let rows wait, in any order."""
        if len(more):
            self._rows = joined_rows(more.dtype, [self._rows, more]) if len(self._rows) else more

    def take(self, before: int) -> Rows:
        """The rows with ``at < before``, by time and device. Not newer than what was taken of their device: left out,
        for that is a repetition, or late and folded again from the store."""
        due = self._rows["at"] < before
        if not due.any():
            return self._rows[:0]
        taken, self._rows = self._rows.compress(due), self._rows.compress(~due)
        device, at = taken["device"].astype(np.intp), taken["at"].copy()
        missing = int(device.max()) + 1 - len(self._newest)
        if missing > 0:
            self._newest = np.append(self._newest, np.full(missing, EARLIEST))
        new = np.flatnonzero(at > self._newest[device])
        device, at = device[new], at[new]
        np.maximum.at(self._newest, device, at)
        return taken.take(new[np.lexsort((device, at))])
