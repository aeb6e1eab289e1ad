"""Coordinate systems met in China: WGS-84 (what we keep), GCJ-02 (AMap, Tencent) and BD-09 (Baidu). Vectorised.

GCJ-02 shifts a place by 100-700 m through a published series of sines; BD-09 wraps that once more. Both are defined
only in the forward direction (from WGS-84), so the way back is found by fixed-point iteration: the shift changes by
less than a hundredth of the step, hence every round gains two digits or more.

Source: the constants of the Krasovsky ellipsoid and the box 72.004-137.8347 E, 0.8293-55.8271 N in which the shift
applies, as in the public implementations (coordtransform, eviltransform). The box is coarse and covers neighbouring
countries, where maps show no shift: call the system of devices there ``wgs84``.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

Crs = Literal["wgs84", "gcj02", "bd09"]
Floats: TypeAlias = NDArray[np.float64]
Degrees = TypeVar("Degrees", float, Floats)

AXIS: Final = 6378245.0  # metres, Krasovsky 1940
ECCENTRICITY: Final = 0.00669342162296594323  # squared
WEST, EAST, SOUTH, NORTH = 72.004, 137.8347, 0.8293, 55.8271
BAIDU_TURN: Final = np.pi * 3000.0 / 180.0
ENOUGH: Final = 1e-11  # degrees, a micrometre; asked for are 1e-9
MOST_ROUNDS: Final = 30


class UnknownCrs(ValueError):
    """The name of a coordinate system that is none of wgs84, gcj02, bd09."""

    def __init__(self, crs: object) -> None:
        super().__init__(f"unknown coordinate system {crs!r}: expected one of {', '.join(get_args(Crs))}")


def to_wgs84(lon: Degrees, lat: Degrees, crs: Crs) -> tuple[Degrees, Degrees]:
    """WGS-84 of places given in ``crs``, to better than 1e-9 degrees.

    ``lon`` and ``lat`` are floats or arrays of one shape, in degrees; what comes back has their shape. NaN stays NaN.
    Within a shift (700 m) of the box's edge two places share one GCJ-02 value; the one inside the box is returned.

    Raises:
        UnknownCrs: ``crs`` is none of wgs84, gcj02, bd09.

    >>> lon, lat = to_wgs84(116.41024449916938, 39.91640428150164, "gcj02")
    >>> round(lon, 6), round(lat, 6)
    (116.404, 39.915)
    """
    x, y = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    if crs == "bd09":
        x, y = _gcj_from_bd(x, y)
    elif crs not in get_args(Crs):
        raise UnknownCrs(crs)
    return _like(lon, *((x, y) if crs == "wgs84" else _wgs_from_gcj(x, y)))


def from_wgs84(lon: Degrees, lat: Degrees, crs: Crs) -> tuple[Degrees, Degrees]:
    """Places given in WGS-84, in ``crs``. Shapes, NaN and errors as in :func:`to_wgs84`.

    >>> from_wgs84(116.404, 39.915, "gcj02")
    (116.41024449916938, 39.91640428150164)
    """
    x, y = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    if crs not in get_args(Crs):
        raise UnknownCrs(crs)
    if crs != "wgs84":
        dx, dy = _shift(x, y)
        inside = _in_box(x, y)
        x, y = np.where(inside, x + dx, x), np.where(inside, y + dy, y)
    return _like(lon, *(_bd_from_gcj(x, y) if crs == "bd09" else (x, y)))


def _like(given: Degrees, x: Floats, y: Floats) -> tuple[Degrees, Degrees]:
    return (float(x), float(y)) if np.ndim(given) == 0 else (x, y)


def _in_box(lon: Floats, lat: Floats) -> NDArray[np.bool_]:
    return np.asarray((lon >= WEST) & (lon <= EAST) & (lat >= SOUTH) & (lat <= NORTH))


def _shift(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """How far GCJ-02 lies from the WGS-84 place, degrees east and north."""
    x, y, pi = lon - 105.0, lat - 35.0, np.pi
    root = np.sqrt(np.abs(x))
    ripple = (20.0 * np.sin(6.0 * x * pi) + 20.0 * np.sin(2.0 * x * pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + ripple
    north += (20.0 * np.sin(y * pi) + 40.0 * np.sin(y / 3.0 * pi)) * 2.0 / 3.0
    north += (160.0 * np.sin(y / 12.0 * pi) + 320.0 * np.sin(y * pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + ripple
    east += (20.0 * np.sin(x * pi) + 40.0 * np.sin(x / 3.0 * pi)) * 2.0 / 3.0
    east += (150.0 * np.sin(x / 12.0 * pi) + 300.0 * np.sin(x / 30.0 * pi)) * 2.0 / 3.0
    angle = lat / 180.0 * pi
    bulge = 1.0 - ECCENTRICITY * np.sin(angle) ** 2
    north = north * 180.0 / (AXIS * (1.0 - ECCENTRICITY) / (bulge * np.sqrt(bulge)) * pi)
    east = east * 180.0 / (AXIS / np.sqrt(bulge) * np.cos(angle) * pi)
    return east, north


def _wgs_from_gcj(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    # Places far outside stay as they are: there the series means nothing and the iteration need not settle.
    near = (lon > WEST - 0.1) & (lon < EAST + 0.1) & (lat > SOUTH - 0.1) & (lat < NORTH + 0.1)
    goal_x, goal_y = np.where(near, lon, np.nan), np.where(near, lat, np.nan)
    x, y = goal_x, goal_y
    for _ in range(MOST_ROUNDS):
        dx, dy = _shift(x, y)
        missed = np.fmax(np.abs(x + dx - goal_x), np.abs(y + dy - goal_y))
        x, y = goal_x - dx, goal_y - dy
        if not np.any(missed > ENOUGH):
            break
    inside = _in_box(x, y)
    return np.where(inside, x, lon), np.where(inside, y, lat)


def _bd_from_gcj(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    reach = np.sqrt(lon * lon + lat * lat) + 0.00002 * np.sin(lat * BAIDU_TURN)
    theta = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * BAIDU_TURN)
    return reach * np.cos(theta) + 0.0065, reach * np.sin(theta) + 0.006


def _gcj_from_bd(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    x, y = lon - 0.0065, lat - 0.006
    for _ in range(MOST_ROUNDS):
        bd_x, bd_y = _bd_from_gcj(x, y)
        x, y = x - (bd_x - lon), y - (bd_y - lat)
        if not np.any(np.fmax(np.abs(bd_x - lon), np.abs(bd_y - lat)) > ENOUGH):
            break
    return x, y
