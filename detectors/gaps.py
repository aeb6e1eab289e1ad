"""How often devices really send: a sketch of each one's gaps, and of all that promise the same.

Gaps are counted in bins of a quarter of an octave (19 %), by device and by whether it moved or stood then, in blocks
of ``learn`` s of our clock. What is usual follows from the two last complete blocks, so it is a function of a bounded
stretch of readings. To the counts of a device come ``PRIOR`` gaps more: those of all devices with the same
promise, where they are many, else the promise itself.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from devices.readings import SECOND

BINS: Final = 60  # up to 2 ** 15 s
PER_OCTAVE: Final = 4
PRIOR: Final = 5.0  # gaps
MANY: Final = 50  # gaps of a group, from which they are its prior
QUANTILE: Final = 0.9
BURST: Final = 1.0  # s: what follows sooner belongs to the same message
MOVING, STANDING = 0, 1

Counts = NDArray[np.uint16]


class Gaps:
    """The sketch; counts by state (moving, standing), device id and bin."""

    def __init__(self) -> None:
        none: Counts = np.zeros((2, 0, BINS), np.uint16)
        self._now, self._last, self._earlier = none, none, none  # this block, and the two complete ones before it
        self.typical: NDArray[np.float64] = np.zeros((2, 0))  # s between messages; 0: no promise
        self.pause: NDArray[np.float64] = np.zeros(0)  # s: the second longest gap

    def grow(self, size: int) -> None:
        """Make room for devices."""
        missing = size - self._now.shape[1]
        if missing > 0:
            more: Counts = np.zeros((2, missing, BINS), np.uint16)
            blocks = (np.concatenate([block, more], axis=1) for block in (self._now, self._last, self._earlier))
            self._now, self._last, self._earlier = blocks

    def add(self, device: NDArray[Any], gap: NDArray[np.int64], standing: NDArray[np.bool_], *, several: bool) -> None:
        """Count gaps (µs), each with whether its device stood when it began; ``several``: devices may recur."""
        counted = np.flatnonzero(gap >= int(BURST * SECOND))
        if len(counted) < len(gap):
            device, gap, standing = device[counted], gap[counted], standing[counted]
        flat = (standing * self._now.shape[1] + device) * BINS + bins(gap / SECOND)
        counts = self._now.reshape(-1)
        if several:
            np.add.at(counts, flat, 1)
        else:
            counts[flat] += 1

    def turn(self, promised: NDArray[np.float64]) -> None:
        """A block is complete: learn from it and the one before. ``promised``: s by device, 0 for no promise."""
        self._now, self._last, self._earlier = np.zeros_like(self._now), self._now, self._last
        self.know(promised)

    def know(self, promised: NDArray[np.float64]) -> None:
        """What is usual by the two complete blocks."""
        counts = self._last.astype(np.float64) + self._earlier
        self.typical = np.stack([self._usual(counts[state], promised) for state in (MOVING, STANDING)])
        from_top = np.cumsum(counts.sum(axis=0)[:, ::-1], axis=1)
        second = BINS - 1 - np.argmax(from_top >= 2, axis=1)
        self.pause = np.where(from_top[:, -1] >= 2, 2.0 ** ((second + 1) / PER_OCTAVE), 0.0)

    def _usual(self, counts: NDArray[np.float64], promised: NDArray[np.float64]) -> NDArray[np.float64]:
        """The quantile of each device's gaps, shape (n,)."""
        promise = bins(np.maximum(promised, BURST))
        total = counts.copy()
        for value in np.unique(promised[promised > 0]).tolist():
            members = promised == value
            together = counts[members].sum(axis=0)
            if together.sum() < MANY:
                together = np.zeros(BINS)
                together[bins(np.array([value]))] = 1.0
            total[members] += PRIOR * together / together.sum()
        summed = np.cumsum(total, axis=1)
        which = np.argmax(summed >= QUANTILE * summed[:, -1:], axis=1)
        found = np.where(which == promise, promised, 2.0 ** ((which + 0.5) / PER_OCTAVE))
        return np.where(promised > 0, found, 0.0)


def bins(seconds: NDArray[np.float64]) -> NDArray[np.intp]:
    """The bin of each gap.

    >>> bins(np.array([1.0, 5.0, 60.0, 3600.0])).tolist()
    [0, 9, 23, 47]
    """
    octaves = np.log2(np.maximum(seconds, BURST))
    return np.asarray(np.clip(PER_OCTAVE * octaves, 0, BINS - 1), np.intp)
