"""The raster against the plain test of every place with every outline."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry

from detectors.raster import Raster, distinct

degrees = st.integers(0, 40).map(lambda i: i / 4000)  # a coarse lattice, so that corners, edges and places coincide
corners = st.tuples(degrees, degrees)


def plainly(shapes: list[BaseGeometry], lon: np.ndarray, lat: np.ndarray) -> set[tuple[int, int]]:
    held = [np.flatnonzero(shapely.intersects_xy(shape, lon, lat)).tolist() for shape in shapes]
    return {(place, shape) for shape, places in enumerate(held) for place in places}


def looked_up(shapes: list[BaseGeometry], lon: np.ndarray, lat: np.ndarray) -> set[tuple[int, int]]:
    place, shape = Raster(shapes).pairs(lon, lat)
    assert (np.diff(place * len(shapes) + shape) > 0).all(), "sorted, each pair once"
    return set(zip(place.tolist(), shape.tolist(), strict=True))


@st.composite
def outlines(draw: st.DrawFn) -> BaseGeometry:
    """Anything valid with an area: slivers, holes, several parts, outlines beyond all others."""
    ring = draw(st.lists(corners, min_size=3, max_size=9, unique=True))
    shape = shapely.make_valid(shapely.Polygon(ring))
    if draw(st.booleans()):
        hole = shapely.make_valid(shapely.Polygon(draw(st.lists(corners, min_size=3, max_size=5, unique=True))))
        shape = shape.difference(hole.buffer(draw(st.sampled_from([0.0, 0.0001]))))
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and part.area > 0]
    found = shapely.union_all(parts) if parts else shapely.box(0, 0, 0.001, 0.001)
    return draw(st.sampled_from([found, found, shapely.affinity.translate(found, 118, 31)]))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(outlines(), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_it_says_what_the_plain_test_says(shapes: list[BaseGeometry], seed: int) -> None:
    draw = np.random.default_rng(seed)
    corner = shapely.get_coordinates(shapes)
    middle = (corner + np.roll(corner, 1, axis=0)) / 2
    anywhere = draw.uniform(-0.001, 0.011, (300, 2)) + draw.choice([0.0, 1.0], (300, 1)) * [118, 31]
    places = np.vstack([corner, middle, corner + draw.normal(0, 1e-6, corner.shape), anywhere])
    lon, lat = places.T.copy()
    west, south, east, north = shapely.total_bounds(shapes)
    within = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)  # the index asks for no others
    lon, lat = lon[within], lat[within]
    assert looked_up(shapes, lon, lat) == plainly(shapes, lon, lat)


@pytest.mark.parametrize("count", [1, 700])
def test_a_tiling_of_the_plane_holds_every_place_once(count: int) -> None:
    side = int(np.sqrt(count))
    shapes = [shapely.box(118 + i, 31 + j, 119 + i, 32 + j) for i in range(side) for j in range(side)]
    lon, lat = np.random.default_rng(3).uniform(0, side, (2, 2000)) + np.array([[118], [31]])
    place, shape = Raster(shapes).pairs(lon, lat)
    assert place.tolist() == list(range(2000))
    assert (shape == (lon - 118).astype(int) * side + (lat - 31).astype(int)).all()


def test_an_outline_of_thousands_of_corners() -> None:
    turn = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    reach = 0.01 * (1 + 0.2 * np.sin(9 * turn) + 0.01 * np.sin(400 * turn))
    star = shapely.Polygon(np.column_stack([118 + reach * np.cos(turn), 31 + reach * np.sin(turn)]))
    lon, lat = np.random.default_rng(4).uniform(-0.0118, 0.0118, (2, 4000)) + np.array([[118], [31]])
    assert looked_up([star], lon, lat) == plainly([star], lon, lat)


def test_keys_in_order_each_once() -> None:
    assert distinct(np.array([3, 1, 3, 2, 1])).tolist() == [1, 2, 3]
    assert distinct(np.empty(0, np.int64)).tolist() == []
