"""Coordinate systems met in China: WGS-84 (what we keep), GCJ-02 (AMap, Tencent) and BD-09 (Baidu). Vectorised.

GCJ-02 shifts a place by 100-700 m through a published series of sines; BD-09 wraps that once more. Both are defined
only in the forward direction (from WGS-84), so the way back is found by fixed-point iteration: the shift changes by
less than a hundredth of the step, hence every round gains two digits or more.

Source: the constants of the Krasovsky ellipsoid and the box 72.004-137.8347 E, 0.8293-55.8271 N in which the shift
applies, as in the public implementations (coordtransform, eviltransform). The box is coarse and covers neighbouring
countries, where maps show no shift: call the system of devices there ``wgs84``.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal, TypeAlias, get_args, overload

import numpy as np
from numpy.typing import NDArray

Crs = Literal["wgs84", "gcj02", "bd09"]
Floats: TypeAlias = NDArray[np.float64]

AXIS: Final = 6378245.0  # metres, Krasovsky 1940
ECCENTRICITY: Final = 0.00669342162296594323  # squared
WEST, EAST, SOUTH, NORTH = 72.004, 137.8347, 0.8293, 55.8271
BAIDU_TURN: Final = math.pi * 3000.0 / 180.0
ENOUGH: Final = 1e-11  # degrees, a micrometre; asked for are 1e-9
MOST_ROUNDS: Final = 30


class UnknownCrs(ValueError):
    """The name of a coordinate system that is none of wgs84, gcj02, bd09."""

    def __init__(self, crs: object) -> None:
        super().__init__(f"unknown coordinate system {crs!r}: expected one of {', '.join(get_args(Crs))}")


@overload
def to_wgs84(lon: float, lat: float, crs: Crs) -> tuple[float, float]: ...
@overload
def to_wgs84(lon: Floats, lat: Floats, crs: Crs) -> tuple[Floats, Floats]: ...
def to_wgs84(lon: Any, lat: Any, crs: Crs) -> tuple[Any, Any]:
    """WGS-84 of places given in ``crs``, to better than 1e-9 degrees.

    ``lon`` and ``lat`` are numbers or arrays of one shape, in degrees; what comes back has their shape. What
    is no place on earth (NaN, a latitude of 91) comes back as NaN. Within a shift (700 m) of the box's edge two places
    share one GCJ-02 value; the one inside the box is returned.

    Raises:
        UnknownCrs: ``crs`` is none of wgs84, gcj02, bd09.

    >>> lon, lat = to_wgs84(116.41024449916938, 39.91640428150164, "gcj02")
    >>> round(lon, 6), round(lat, 6)
    (116.404, 39.915)
    """
    x, y, m = _numbers(lon, lat, crs)
    if crs == "bd09":
        x, y = _gcj_from_bd(x, y, m)
    return (x, y) if crs == "wgs84" else _wgs_from_gcj(x, y, m)


@overload
def from_wgs84(lon: float, lat: float, crs: Crs) -> tuple[float, float]: ...
@overload
def from_wgs84(lon: Floats, lat: Floats, crs: Crs) -> tuple[Floats, Floats]: ...
def from_wgs84(lon: Any, lat: Any, crs: Crs) -> tuple[Any, Any]:
    """Places given in WGS-84, in ``crs``. Shapes, NaN and errors as in :func:`to_wgs84`.

    >>> lon, lat = from_wgs84(116.404, 39.915, "gcj02")
    >>> round(lon, 9), round(lat, 9)
    (116.410244499, 39.916404282)
    """
    x, y, m = _numbers(lon, lat, crs)
    if crs == "wgs84":
        return x, y
    dx, dy = _shift(x, y, m)
    x, y = _choose(_in_box(x, y), (x + dx, y + dy), (x, y), m)
    return _bd_from_gcj(x, y, m) if crs == "bd09" else (x, y)


def _numbers(lon: Any, lat: Any, crs: str) -> tuple[Any, Any, Any]:
    """The place, and the module that reckons with it: for a single one ``math`` is ten times faster than NumPy."""
    if crs not in get_args(Crs):
        raise UnknownCrs(crs)
    m: Any = math if np.ndim(lon) == 0 else np
    number: Any = float if m is math else np.float64
    x, y = number(lon), number(lat)
    on_earth = (abs(x) <= 180.0) & (abs(y) <= 90.0)
    return *_choose(on_earth, (x, y), (math.nan, math.nan), m), m


def _choose(when: Any, one: tuple[Any, Any], other: tuple[Any, Any], m: Any) -> tuple[Any, Any]:
    if m is np:
        return np.where(when, one[0], other[0]), np.where(when, one[1], other[1])
    return one if when else other


def _in_box(lon: Any, lat: Any, margin: float = 0.0) -> Any:
    across = (lon >= WEST - margin) & (lon <= EAST + margin)
    return across & (lat >= SOUTH - margin) & (lat <= NORTH + margin)


def _shift(lon: Any, lat: Any, m: Any) -> tuple[Any, Any]:
    """How far GCJ-02 lies from the WGS-84 place, degrees east and north."""
    x, y, pi, sin = lon - 105.0, lat - 35.0, math.pi, m.sin
    root = m.sqrt(abs(x))
    ripple = (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + ripple
    north = north + (20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)) * 2.0 / 3.0
    north = north + (160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y * pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + ripple
    east = east + (20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)) * 2.0 / 3.0
    east = east + (150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)) * 2.0 / 3.0
    angle = lat / 180.0 * pi
    bulge = 1.0 - ECCENTRICITY * sin(angle) ** 2
    north = north * 180.0 / (AXIS * (1.0 - ECCENTRICITY) / (bulge * m.sqrt(bulge)) * pi)
    east = east * 180.0 / (AXIS / m.sqrt(bulge) * m.cos(angle) * pi)
    return east, north


def _wgs_from_gcj(lon: Any, lat: Any, m: Any) -> tuple[Any, Any]:
    # Places far outside stay as they are: there the series means nothing and the iteration need not settle.
    goal_x, goal_y = x, y = _choose(_in_box(lon, lat, margin=0.1), (lon, lat), (math.nan, math.nan), m)
    for _ in range(MOST_ROUNDS):
        dx, dy = _shift(x, y, m)
        missed = abs(x + dx - goal_x) + abs(y + dy - goal_y)
        x, y = goal_x - dx, goal_y - dy
        if not np.any(missed > ENOUGH):
            break
    return _choose(_in_box(x, y), (x, y), (lon, lat), m)


def _bd_from_gcj(lon: Any, lat: Any, m: Any) -> tuple[Any, Any]:
    theta = (m.arctan2 if m is np else m.atan2)(lat, lon) + 0.000003 * m.cos(lon * BAIDU_TURN)
    reach = m.sqrt(lon * lon + lat * lat) + 0.00002 * m.sin(lat * BAIDU_TURN)
    return reach * m.cos(theta) + 0.0065, reach * m.sin(theta) + 0.006


def _gcj_from_bd(lon: Any, lat: Any, m: Any) -> tuple[Any, Any]:
    x, y = lon - 0.0065, lat - 0.006
    for _ in range(MOST_ROUNDS):
        bd_x, bd_y = _bd_from_gcj(x, y, m)
        x, y = x - (bd_x - lon), y - (bd_y - lat)
        if not np.any(abs(bd_x - lon) + abs(bd_y - lat) > ENOUGH):
            break
    return x, y
