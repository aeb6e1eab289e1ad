"""Whether two reports are of one thing, and which case goes on for one that was merged. Pure.

Eleven people who complain of one manhole cover stand a few metres apart, within a day or two, and call it by one kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from detectors.geo import DEGREE, distance

_LEAST_COSINE: Final = 0.01  # at the poles a degree of longitude is no length to divide by


@dataclass(frozen=True, slots=True)
class Happening:
    """What somebody saw: its kind, where (degrees, sure to ``accuracy`` metres), and when."""

    category: str
    lon: float
    lat: float
    at: datetime
    accuracy: float = 0.0


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near in place (metres) and time two of one kind must be to be perhaps the same.

    Raises:
        ValueError: either is not positive.
    """

    metres: float = 150.0
    span: timedelta = timedelta(hours=48)

    def __post_init__(self) -> None:
        if not self.metres > 0 or not self.span > timedelta():
            raise ValueError(f"nearness of {self.metres} m and {self.span}: both must be positive")

    @property
    def farthest(self) -> float:
        """Metres beyond which no uncertainty makes two places one."""
        return 2 * self.metres


class Box(NamedTuple):
    """Degrees that hold everything within some metres of a place, and a little more."""

    west: float
    south: float
    east: float
    north: float


def box_around(lon: float, lat: float, metres: float) -> Box:
    """The box around a circle; like all of PatrolGrid it does not cross the 180th meridian."""
    high = metres / DEGREE
    wide = high / max(_LEAST_COSINE, math.cos(math.radians(min(90.0, abs(lat) + high))))
    return Box(lon - wide, lat - high, lon + wide, lat + high)


def apart(one: Happening, other: Happening, limits: Nearness) -> float:
    """Metres between the two, less what the places are unsure by; of an unsureness no more than ``limits.metres``."""
    unsure = min(limits.metres, max(0.0, one.accuracy) + max(0.0, other.accuracy))
    return max(0.0, float(distance(one.lon, one.lat, other.lon, other.lat)) - unsure)


def likeness(one: Happening, other: Happening, limits: Nearness) -> float:
    """How likely the two are one, 0 to 1: falling with distance and with time, 0 for other kinds. Symmetric.

    1 is the same place at the same moment; 0 is beyond either limit, and is not offered as the same.
    """
    if one.category != other.category:
        return 0.0
    near = 1.0 - apart(one, other, limits) / limits.metres
    fresh = 1.0 - abs(one.at - other.at) / limits.span
    return near * fresh if near > 0 and fresh > 0 else 0.0


def goes_on_as(case: int, merged_into: Mapping[int, int]) -> int:
    """The case under which this one is worked on: itself, or the one it was merged into at last.

    Raises:
        ValueError: the mergers lead round in a circle.
    """
    seen = {case}
    while (into := merged_into.get(case)) is not None:
        if into in seen:
            raise ValueError(f"case {into} was merged into itself by way of others")
        seen.add(into)
        case = into
    return case


def gathered(case: int, merged_into: Mapping[int, int]) -> frozenset[int]:
    """The case with all that were merged into it, directly or by way of others: what a split takes along."""
    found, waiting = {case}, [case]
    while waiting:
        head = waiting.pop()
        below = {one for one, into in merged_into.items() if into == head} - found
        found |= below
        waiting += below
    return frozenset(found)
