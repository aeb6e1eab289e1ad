"""Known topics, and many of them found at once, in arrays instead of in a dictionary of texts.

A look-up in a dictionary reads memory in half a dozen places, one after the other, and with 100,000 devices hardly one
of them is in a cache. An array is asked for all topics at a time, and the processor fetches side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

UNKNOWN: Final = -1  # the number of a topic, and the id of an address, that nobody has
LONGEST: Final = 128
"""Bytes of a topic that can be known: one long one makes all look-ups read so much."""

_WORD: Final = 8  # bytes
_Words = NDArray[np.uint64]
_Numbers = NDArray[np.integer[Any]]


class Topics:
    """A number for each known topic. Immutable.

    A topic is read as words of eight bytes, the last of which overlaps the one before, and its length. An open table
    (linear probing, at most half full) gives the row of a hash, and a topic is found if all words of the row are its
    own. The hash is a sum of the words, each times a factor drawn by lot, so that nobody can choose topics that meet.
    """

    def __init__(self, numbers: Mapping[str, int]) -> None:
        """Topics shorter than eight bytes or longer than :data:`LONGEST` stay unknown."""
        known = {name: number for topic, number in numbers.items() if _WORD <= len(name := topic.encode()) <= LONGEST}
        size = np.fromiter(map(len, known), np.intp, len(known))
        self._words = -(-int(size.max(initial=0)) // _WORD)
        self._factors = np.random.default_rng().integers(1 << 64, size=self._words + 1, dtype=np.uint64) | np.uint64(1)
        self._numbers = np.array([*known.values(), UNKNOWN], np.int32)
        columns = self._read(b"".join(known), np.cumsum(size) - size, size)
        self._rows = np.append(columns.T, np.zeros((1, len(columns)), np.uint64), axis=0)  # the last is of no topic
        bits = max(1, (2 * len(known)).bit_length())
        self._shift, self._mask = np.uint64(64 - bits), (1 << bits) - 1
        self._slots = np.full(1 << bits, -1, np.int32)
        self._fill(self._hashes(columns))

    def find(self, data: bytes, begin: _Numbers, size: _Numbers) -> NDArray[np.int32]:
        """The numbers of the topics that lie at ``begin`` in ``data`` and are ``size`` bytes long, shape (n,)."""
        found = np.full(len(size), UNKNOWN, np.int32)
        which = np.flatnonzero((size >= _WORD) & (size <= _WORD * self._words))
        columns = self._read(data, begin[which], size[which])
        slot = self._hashes(columns)
        while len(which):
            row = self._slots[slot]
            known = self._rows[row].T
            same = known[0] == columns[0]
            for wanted, given in zip(known[1:], columns[1:], strict=True):
                same &= wanted == given
            found[which[same]] = self._numbers[row[same]]
            on = ~same & (row >= 0)
            which, columns, slot = which[on], columns[:, on], slot[on] + 1 & self._mask
        return found

    def _fill(self, slot: NDArray[np.intp]) -> None:
        row = np.arange(len(slot), dtype=np.int32)
        while len(row):
            free = self._slots[slot] < 0
            self._slots[slot[free]] = row[free]  # of those that want the same the last has it
            left = self._slots[slot] != row
            row, slot = row[left], slot[left] + 1 & self._mask

    def _read(self, data: bytes, begin: _Numbers, size: _Numbers) -> _Words:
        """Words and length of each topic of at least eight bytes, shape (words + 1, n)."""
        columns = np.empty((self._words + 1, len(size)), np.uint64)
        columns[-1] = size
        if len(size):
            at_each_byte = np.ndarray(len(data) - _WORD + 1, np.uint64, data, strides=(1,))
            last = begin + size - _WORD
            for number in range(self._words):
                columns[number] = at_each_byte[np.minimum(begin + _WORD * number, last)]
        return columns

    def _hashes(self, columns: _Words) -> NDArray[np.intp]:
        """Slots, by the upper bits of the sum."""
        total = columns[0] * self._factors[0]
        for column, factor in zip(columns[1:], self._factors[1:], strict=True):
            total += column * factor
        return np.asarray(total >> self._shift, np.intp)
