"""Fixes held until their beat of event time is complete; and in which stretches anything was heard at all."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.base import Batch
from detectors.certificate import ACCURACY
from detectors.raster import distinct
from devices.readings import SECOND, Rows, joined_rows

HELD: Final = np.dtype([("device", "<i4"), ("at", "<i8"), ("lon", "<f8"), ("lat", "<f8")], align=True)


class Held:
    """The fixes of the devices concerned, placed and exact enough."""

    def __init__(self, beat: float) -> None:
        self._beat = int(beat * SECOND)
        self._parts: dict[int, list[Rows]] = {}  # by number of the beat

    def add(self, fixes: Rows, concerned: NDArray[np.bool_]) -> None:
        """Let fixes wait, in any order; ``concerned`` says of each device id whether it matters, the last entry of
        those beyond."""
        if not len(fixes):
            return
        good = concerned[np.minimum(fixes["device"], len(concerned) - 1)]
        good &= np.isfinite(fixes["lon"] + fixes["lat"]) & ~(fixes["accuracy"] > ACCURACY)
        which = np.flatnonzero(good)
        if not len(which):
            return
        held = np.empty(len(which), HELD)
        for column in HELD.names or ():
            held[column] = fixes[column][which]
        number = held["at"] // self._beat
        first, last = int(number.min()), int(number.max())
        if first == last:
            self._parts.setdefault(first, []).append(held)
            return
        for beat in distinct(number).tolist():
            self._parts.setdefault(beat, []).append(held.compress(number == beat))

    def take(self, begin: int, before: int) -> dict[int, Rows]:
        """The fixes with ``at < before`` (UTC µs, the end of a beat), of dtype HELD and in any order, by the end of the
        beat in which they count, in order.

        What is older than ``begin`` is late and counts in the first beat after it. One that was sent twice may come
        twice.
        """
        found: dict[int, list[Rows]] = {}
        for beat in sorted(beat for beat in self._parts if (beat + 1) * self._beat <= before):
            end = max((beat + 1) * self._beat, begin + self._beat)
            found.setdefault(end, []).extend(self._parts.pop(beat))
        return {end: joined_rows(HELD, parts) for end, parts in found.items()}


def by_device(held: Rows) -> Rows:
    """Rows of dtype HELD in order of device and time."""
    if not len(held):
        return held
    since = int(held["at"].min())
    span = int(held["at"].max()) - since + 1  # one key sorts many times faster than two
    ordered: Rows = held.take(np.argsort(held["device"].astype(np.int64) * span + (held["at"] - since)))
    return ordered


class Heard:
    """In which stretches of event time, each ``slot`` s long, any reading of any device was taken."""

    def __init__(self, slot: float) -> None:
        self._slot = int(slot * SECOND)
        self._slots: set[int] = set()
        self.first = 1 << 62  # UTC µs of the oldest reading

    def add(self, batch: Batch) -> None:
        """Note a batch's readings."""
        for part in (batch.fixes, batch.sightings, batch.samples):
            if not len(part):
                continue
            oldest, newest = int(part["at"].min()), int(part["at"].max())
            self.first = min(self.first, oldest)
            first, last = oldest // self._slot, newest // self._slot
            if first == last:
                self._slots.add(first)
            else:
                self._slots.update(set((part["at"] // self._slot).tolist()))

    def share(self, begin: int, end: int) -> float:
        """The part of a stretch (UTC µs) in which something was heard, by slots."""
        first, last = begin // self._slot, -(-end // self._slot)
        return sum(slot in self._slots for slot in range(first, last)) / max(last - first, 1)

    def forget(self, before: int) -> None:
        """Drop what lies before a moment (UTC µs)."""
        self._slots = {slot for slot in self._slots if (slot + 1) * self._slot > before}
