"""A raster over many outlines: of most places it says at once which outlines hold them.

Each cell knows the outlines that cover it whole and those whose edge runs through it; only for the latter a place has
to be tested. Method: supercover rasterisation of the edges and an even-odd fill of the rows between them, for all
outlines at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SLACK: Final = 1e-6  # of a cell: an edge so near to a cell's border counts as running through both cells
FEWEST: Final = 1 << 16  # cells in all
MOST: Final = 1 << 22
PER_SHAPE: Final = 128


class Edges(NamedTuple):
    """The edges of all outlines, in cells of the raster; columns of shape (k,)."""

    shape: Ints
    x0: Floats
    y0: Floats
    x1: Floats
    y1: Floats


class Raster:
    """Valid polygons and multipolygons in degrees, as a raster of about square cells over the box around them all."""

    def __init__(self, shapes: Sequence[BaseGeometry]) -> None:
        self.shapes = np.array(shapes, dtype=object)
        shapely.prepare(self.shapes)
        west, south, east, north = (float(v) for v in shapely.total_bounds(self.shapes))
        cells = float(np.clip(PER_SHAPE * len(shapes), FEWEST, MOST))
        flat = np.cos(np.radians((south + north) / 2))
        wide, high = max((east - west) * flat, 1e-9), max(north - south, 1e-9)
        self.columns = int(np.clip(np.sqrt(cells * wide / high), 1, cells))
        self.rows = int(np.clip(cells / self.columns, 1, cells))
        self._west, self._south = west, south
        self._kx, self._ky = self.columns / max(east - west, 1e-9), self.rows / max(north - south, 1e-9)
        self._fill()

    def _fill(self) -> None:
        edges = self._edges()
        mixed = distinct(self._touched(edges))
        inside = np.sort(self._between(edges))
        place = np.minimum(np.searchsorted(mixed, inside), len(mixed) - 1)
        inside = inside[mixed[place] != inside]
        keys = np.concatenate([mixed, inside])
        order = np.argsort(keys, kind="stable")  # of two sorted runs: a merge
        cell, shape = np.divmod(keys[order], len(self.shapes))
        self._shape, self._edge = shape, order < len(mixed)
        count = np.bincount(cell, minlength=self.columns * self.rows)
        self._start = np.append(0, np.cumsum(count)).astype(np.int32)

    def pairs(self, lon: Floats, lat: Floats) -> tuple[Ints, Ints]:
        """For finite places of shape (n,): sorted (place, shape) index pairs of the shapes that hold them, edges
        included."""
        column = np.clip(((lon - self._west) * self._kx).astype(np.int64), 0, self.columns - 1)
        row = np.clip(((lat - self._south) * self._ky).astype(np.int64), 0, self.rows - 1)
        cell = row * self.columns + column
        begin = self._start[cell]
        count = self._start[cell + 1] - begin
        place = np.repeat(np.arange(len(lon)), count)
        entry = np.arange(len(place)) + np.repeat(begin - (np.cumsum(count) - count), count)
        shape = self._shape[entry]
        unsure = np.flatnonzero(self._edge[entry])
        if len(unsure):
            held = shapely.intersects_xy(self.shapes[shape[unsure]], lon[place[unsure]], lat[place[unsure]])
            keep = np.ones(len(place), bool)
            keep[unsure] = held
            place, shape = place[keep], shape[keep]
        return place, shape

    # ── Filling ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _edges(self) -> Edges:
        parts, of_part = shapely.get_parts(self.shapes, return_index=True)
        rings, of_ring = shapely.get_rings(parts, return_index=True)
        places, ring = shapely.get_coordinates(rings, return_index=True)
        x, y = (places[:, 0] - self._west) * self._kx, (places[:, 1] - self._south) * self._ky
        follows = np.flatnonzero(ring[1:] == ring[:-1])
        return Edges(of_part[of_ring[ring[follows]]], x[follows], y[follows], x[follows + 1], y[follows + 1])

    def _touched(self, edges: Edges) -> Ints:
        """The cells through which edges run, as cell * shapes + shape, some more than once."""
        lowest, highest = np.minimum(edges.y0, edges.y1), np.maximum(edges.y0, edges.y1)
        edge, row = _ranges(self._cut(lowest - SLACK, self.rows), self._cut(highest + SLACK, self.rows))
        x0, y0 = edges.x0[edge], edges.y0[edge]
        rise, run = edges.y1[edge] - y0, edges.x1[edge] - x0
        level = np.abs(rise) < SLACK
        slope = np.divide(run, rise, out=np.zeros_like(run), where=~level)
        enter = np.clip(row - SLACK, lowest[edge], highest[edge])
        leave = np.clip(row + 1 + SLACK, lowest[edge], highest[edge])
        one = np.where(level, x0, x0 + (enter - y0) * slope)
        other = np.where(level, x0 + run, x0 + (leave - y0) * slope)
        first = self._cut(np.minimum(one, other) - SLACK, self.columns)
        stretch, column = _ranges(first, self._cut(np.maximum(one, other) + SLACK, self.columns))
        return (row[stretch] * self.columns + column) * len(self.shapes) + edges.shape[edge[stretch]]

    def _between(self, edges: Edges) -> Ints:
        """The cells whose middles lie inside, as cell * shapes + shape."""
        first = np.ceil(np.minimum(edges.y0, edges.y1) - 0.5).astype(np.int64)
        last = np.ceil(np.maximum(edges.y0, edges.y1) - 0.5).astype(np.int64) - 1  # of y0 <= middle < y1
        edge, row = _ranges(first, last)
        along = (row + 0.5 - edges.y0[edge]) / (edges.y1[edge] - edges.y0[edge])
        x = edges.x0[edge] + along * (edges.x1[edge] - edges.x0[edge])
        order = np.lexsort((x, row, edges.shape[edge]))
        row, x, shape = row[order][::2], x[order], edges.shape[edge][order][::2]
        stretch, column = _ranges(np.ceil(x[::2] - 0.5).astype(np.int64), np.floor(x[1::2] - 0.5).astype(np.int64))
        return (row[stretch] * self.columns + column) * len(self.shapes) + shape[stretch]

    @staticmethod
    def _cut(value: Floats, cells: int) -> Ints:
        return np.clip(np.floor(value).astype(np.int64), 0, cells - 1)


def distinct(keys: Ints) -> Ints:
    """The keys in order, each once. (NumPy's own ``unique`` takes ten times as long for millions.)"""
    keys = np.sort(keys)
    return keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys


def _ranges(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """The whole numbers from ``first`` to ``last``, both included, of each pair: its index, and the number."""
    count = np.maximum(last - first + 1, 0)
    index = np.repeat(np.arange(len(first)), count)
    return index, np.arange(len(index)) + np.repeat(first - (np.cumsum(count) - count), count)
