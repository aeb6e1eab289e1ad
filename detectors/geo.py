"""Distances, bearings, speeds, places and zones for whole columns at once.

Degrees WGS-84, metres, metres per second, degrees clockwise from north, UTC µs. Arguments are floats or arrays that
broadcast; NaN in gives NaN (or "in no zone") out. The earth is a sphere of its mean radius: against the ellipsoid
distances are off by up to 0.5 %, far less than a GPS fix. Nothing here crosses the 180th meridian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry.base import BaseGeometry

from detectors.raster import Raster
from devices.readings import SECOND
from devices.site import Zone

EARTH: Final = 6_371_008.8  # metres, mean radius (IUGG R1)
DEGREE: Final = EARTH * np.pi / 180.0  # metres per degree of latitude

Floats: TypeAlias = NDArray[np.float64]
Ids: TypeAlias = NDArray[np.intp]


def distance(lon1: ArrayLike, lat1: ArrayLike, lon2: ArrayLike, lat2: ArrayLike) -> Floats:
    """Metres along the great circle (haversine), at any distance.

    >>> float(distance(118.0, 31.0, 118.0, 32.0).round())
    111195.0
    """
    a, b, c, d = (np.radians(np.asarray(v, np.float64)) for v in (lon1, lat1, lon2, lat2))
    h = np.sin((d - b) / 2) ** 2 + np.cos(b) * np.cos(d) * np.sin((c - a) / 2) ** 2
    return np.asarray(2 * EARTH * np.arcsin(np.sqrt(np.minimum(h, 1.0))))


def short_distance(lon1: ArrayLike, lat1: ArrayLike, lon2: ArrayLike, lat2: ArrayLike) -> Floats:
    """Metres on the plane (equirectangular): cheaper, and within 0.001 % of haversine up to 100 km in China."""
    a, b, c, d = (np.asarray(v, np.float64) for v in (lon1, lat1, lon2, lat2))
    return np.asarray(DEGREE * np.hypot((c - a) * np.cos(np.radians((b + d) / 2)), d - b))


def bearing(lon1: ArrayLike, lat1: ArrayLike, lon2: ArrayLike, lat2: ArrayLike) -> Floats:
    """Direction in which one sets out from the first place to the second, 0 ≤ degrees < 360; 0 for the same place.

    >>> float(bearing(118.0, 31.0, 118.0, 30.0))
    180.0
    """
    a, b, c, d = (np.radians(np.asarray(v, np.float64)) for v in (lon1, lat1, lon2, lat2))
    east = np.sin(c - a) * np.cos(d)
    north = np.cos(b) * np.sin(d) - np.sin(b) * np.cos(d) * np.cos(c - a)
    # A tiny negative angle plus 360 rounds to 360: the second modulo makes it 0.
    return np.asarray(np.degrees(np.arctan2(east, north)) % 360.0 % 360.0)


def speed(lon1: ArrayLike, lat1: ArrayLike, at1: ArrayLike, lon2: ArrayLike, lat2: ArrayLike, at2: ArrayLike) -> Floats:
    """Metres per second needed from the first fix to the second; NaN unless the second is later.

    >>> float(speed(118.0, 31.0, 0, 118.0, 31.001, 10_000_000).round(2))
    11.12
    """
    seconds = (np.asarray(at2, np.int64) - np.asarray(at1, np.int64)) / SECOND
    metres = distance(lon1, lat1, lon2, lat2)
    unknown = np.full(np.broadcast_shapes(metres.shape, seconds.shape), np.nan)
    return np.asarray(np.divide(metres, seconds, out=unknown, where=seconds > 0))


@dataclass(frozen=True, slots=True)
class Plane:
    """A flat map in metres around a place: x east, y north. Lengths are within 0.1 % up to 10 km off at 31° N."""

    lon: float
    lat: float

    def xy(self, lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
        """Metres east and north of the place.

        >>> x, y = Plane(118.0, 60.0).xy(118.001, 60.001)
        >>> float(x.round(1)), float(y.round(1))
        (55.6, 111.2)
        """
        x = (np.asarray(lon, np.float64) - self.lon) * (DEGREE * np.cos(np.radians(self.lat)))
        return x, (np.asarray(lat, np.float64) - self.lat) * DEGREE

    def lonlat(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """The way back from :meth:`xy`."""
        lon = self.lon + np.asarray(x, np.float64) / (DEGREE * np.cos(np.radians(self.lat)))
        return lon, self.lat + np.asarray(y, np.float64) / DEGREE

    def points(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.object_]:
        """Shapely points in metres on this plane, shape (n,)."""
        return np.asarray(shapely.points(*self.xy(lon, lat)), dtype=object)


def plane_of(geometry: BaseGeometry) -> Plane:
    """The plane around the middle of a geometry's bounds."""
    west, south, east, north = geometry.bounds
    return Plane((west + east) / 2, (south + north) / 2)


def square_metres(geometry: BaseGeometry) -> float:
    """The area of a polygon given in degrees; 0 for lines and points."""
    return float(_flat(geometry, plane_of(geometry)).area)


def widened(geometry: BaseGeometry, metres: float) -> BaseGeometry:
    """The geometry and everything within so many metres of it, in degrees."""
    plane = plane_of(geometry)
    wide = _flat(geometry, plane).buffer(metres, quad_segs=8)
    return shapely.transform(wide, lambda xy: np.column_stack(plane.lonlat(xy[:, 0], xy[:, 1])))


def _flat(geometry: BaseGeometry, plane: Plane) -> BaseGeometry:
    return shapely.transform(geometry, lambda places: np.column_stack(plane.xy(places[:, 0], places[:, 1])))


def place_cell(lon: float, lat: float, size: float) -> str:
    """The name of the cell of a fixed lattice, ``size`` metres wide, that holds the place: its middle, "lat,lon".

    Rows are cut along latitude, each row into columns of its own width: a name means the same everywhere, for ever.

    >>> place_cell(118.88001, 31.47002, 60.0), place_cell(118.88003, 31.47001, 60.0)
    ('31.46983,118.87994', '31.46983,118.87994')
    """
    high = size / DEGREE
    middle = (np.floor(lat / high) + 0.5) * high
    wide = high / np.cos(np.radians(middle))
    return f"{middle:.5f},{(np.floor(lon / wide) + 0.5) * wide:.5f}"


class ZoneIndex:
    """Which of some zones hold which places. A line or point zone holds what is within ``reach`` metres of it."""

    def __init__(self, zones: Sequence[Zone], reach: float = 30.0) -> None:
        self.zones = tuple(zones)
        self.shapes = [z.geometry if z.geometry.area > 0 else widened(z.geometry, reach) for z in self.zones]
        self._raster = Raster(self.shapes) if self.shapes else None
        none = (np.inf, np.inf, -np.inf, -np.inf)
        self._bounds = tuple(map(float, shapely.total_bounds(self.shapes))) if self.shapes else none

    def near_any(self, lon: Floats, lat: Floats, metres: float = 0.0) -> NDArray[np.bool_]:
        """For places of shape (n,): whether they lie in the box around all zones, so many metres wider. Cheap."""
        west, south, east, north = self._bounds
        high = metres / DEGREE
        wide = high / np.cos(np.radians(min(max(abs(south), abs(north), 0.0), 89.0)))
        return np.asarray((lon >= west - wide) & (lon <= east + wide) & (lat >= south - high) & (lat <= north + high))

    def pairs(self, lon: Floats, lat: Floats) -> tuple[Ids, Ids]:
        """For places of shape (n,): sorted (place, zone) index pairs of the zones that hold them, edges included."""
        near = np.flatnonzero(self.near_any(lon, lat))  # NaN compares false
        if self._raster is None or not len(near):
            return near, near
        place, zone = self._raster.pairs(lon[near], lat[near])
        return near[place], zone
