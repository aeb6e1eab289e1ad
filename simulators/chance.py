"""Randomness by name: every actor draws from its own stream, so adding an actor does not change the others.

Two forms. :func:`dice` gives one actor an ordinary generator for its rare decisions. The functions on ``keys`` draw for
many actors at once: a number is a hash of (actor, purpose, count), so it does not matter who else is drawn for, or in
which order. They use integer arithmetic, additions and one square root only, which IEEE 754 fixes to the last bit: the
same seed gives the same bytes whatever vector unit the processor has.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

_GOLDEN: Final = 0x9E3779B97F4A7C15
_STREAM: Final = 0xD1342543DE82EF95  # parts the purposes of one key
_MASK: Final = (1 << 64) - 1
_SCALE: Final = 2.0**-53
_SPREAD: Final = math.sqrt(8 / 12)  # standard deviation of the sum of eight uniforms


def name_key(*names: object) -> int:
    """64 bits of a name, the same in every run (unlike ``hash``)."""
    text = "/".join(str(name) for name in names)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def dice(seed: int, *names: object) -> random.Random:
    """A generator of its own for one actor and purpose."""
    return random.Random(name_key(seed, *names))  # noqa: S311 — a simulation, not a secret


def _mixed(z: Keys) -> Keys:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): every bit in reaches every bit out."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def bits(keys: Keys, purpose: int, count: int | Keys) -> Keys:
    """64 random bits per key for one ``purpose`` and ``count`` (a tick, a number of the draw); shape of ``keys``."""
    if isinstance(count, int):
        return _mixed(keys + np.uint64((purpose * _STREAM + count * _GOLDEN) & _MASK))
    return _mixed(keys + np.uint64((purpose * _STREAM) & _MASK) + count * np.uint64(_GOLDEN))


def uniform(keys: Keys, purpose: int, count: int | Keys) -> Floats:
    """Numbers in [0, 1), shape of ``keys``."""
    return (bits(keys, purpose, count) >> np.uint64(11)).astype(np.float64) * _SCALE


def normal(keys: Keys, purpose: int, count: int | Keys) -> Floats:
    """Standard normal numbers (the sum of eight 16-bit uniforms, so within ±4.9), shape (n,) of ``keys``."""
    return np.asarray(normals(keys, (purpose,), count)[0])


def normals(keys: Keys, purposes: Sequence[int], count: int | Keys) -> Floats:
    """The same for several purposes at once, shape (len(purposes), n)."""
    steps = np.array([(p * _STREAM) & _MASK for p in purposes], np.uint64)
    first = bits(keys[None, :] + steps[:, None], 0, count)
    both = np.stack([first, _mixed(first + np.uint64(_GOLDEN))], axis=-1)
    halves = both.view(np.uint16).sum(axis=-1, dtype=np.float64)  # 8 per key
    return np.asarray((halves / 65536.0 - 4.0) / _SPREAD)


def drifts(keys: Keys, purposes: Sequence[int], at: Floats) -> Floats:
    """Numbers in [-1, 1] that wander slowly with ``at`` (n,): hashed at whole numbers, straight between.

    Shape (len(purposes), n).
    """
    knot = np.floor(at)
    share = at - knot
    number = knot.astype(np.int64).astype(np.uint64)
    streams = keys[None, :] + np.array([(p * _STREAM) & _MASK for p in purposes], np.uint64)[:, None]
    here, there = uniform(streams, 0, number), uniform(streams, 0, number + np.uint64(1))
    return np.asarray(2.0 * (here + share * (there - here)) - 1.0)
