"""Robust figures of few values: middle, spread, slope. A quarter of the values may be nonsense and they hold."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import Final

NORMAL: Final = 1.4826  # median absolute deviation → standard deviation of a normal distribution


def middle_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """The median, and the median absolute deviation scaled to a standard deviation, of one or more values.

    Source: Hampel 1974; the factor is 1 / Φ⁻¹(3/4).

    >>> middle_and_spread([1.0, 2.0, 3.0, 4.0, 1000.0])
    (3.0, 1.4826)
    """
    middle = median(values)
    return middle, NORMAL * median([abs(value - middle) for value in values])


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share (0..1) of one or more values lies: the nearest rank, never between two values.

    >>> quantile([5.0, 1.0, 3.0, 2.0, 4.0], 0.9)
    5.0
    """
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def theil_sen(times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """The median of the slopes between all pairs of points, and the share of the pairs that rise; two points or more.

    The share says whether there is a trend at all (Kendall's τ is twice the share less one, without ties). Source:
    Theil 1950, Sen 1968. The work grows with the square of the points: for few.

    >>> theil_sen([0, 1, 2, 3, 4], [0.0, 2.0, 99.0, 6.0, 8.0])
    (2.0, 0.8)
    """
    points = zip(times, values, strict=True)
    slopes = [(v - u) / (t - s) for (s, u), (t, v) in combinations(points, 2)]
    return median(slopes), sum(slope > 0 for slope in slopes) / len(slopes)
