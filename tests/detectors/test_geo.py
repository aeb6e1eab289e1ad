"""Distances, bearings and zones against known values."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from detectors import geo
from devices.site import Zone

places = st.tuples(st.floats(73, 135), st.floats(18, 53))


def zone(code: str, geometry: shapely.Geometry) -> Zone:
    return Zone(code, "patrol", code, code, "320118100000", geometry)


def test_known_distances() -> None:
    # A degree of a great circle of the mean sphere, and Paris - London as worked through in textbooks (343.5 km).
    assert geo.distance(0, 0, 1, 0) == pytest.approx(111_195.08, abs=0.01)
    assert geo.distance(2.3522, 48.8566, -0.1278, 51.5074) == pytest.approx(343_556, abs=100)
    assert geo.distance(118.0, 31.0, 118.0, 31.0) == 0
    assert geo.distance(0, 0, 180, 0) == pytest.approx(np.pi * geo.EARTH)


@given(places, st.floats(0, 360), st.floats(0.1, 50_000))
def test_short_distance_agrees_with_haversine(place: tuple[float, float], turn: float, metres: float) -> None:
    x, y = metres * np.sin(np.radians(turn)), metres * np.cos(np.radians(turn))
    other = tuple(float(v) for v in geo.Plane(*place).lonlat(x, y))
    assert geo.short_distance(*place, *other) == pytest.approx(geo.distance(*place, *other), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("to", "degrees"), [((118, 32), 0), ((119, 0), 90), ((118, -32), 180), ((117, 0), 270), ((119, 1), 44.996)]
)
def test_known_bearings(to: tuple[float, float], degrees: float) -> None:
    assert geo.bearing(118, 0, *to) == pytest.approx(degrees, abs=0.001)


@given(places, places)
def test_a_bearing_is_from_0_to_below_360(one: tuple[float, float], other: tuple[float, float]) -> None:
    assert 0 <= geo.bearing(*one, *other) < 360


def test_speed_between_fixes() -> None:
    lon, lat = np.array([118.0, 118.0, 118.0, np.nan]), np.array([31.0, 31.001, 31.001, 31.0])
    at = np.array([0, 10_000_000, 10_000_000, 20_000_000])
    found = geo.speed(lon[:-1], lat[:-1], at[:-1], lon[1:], lat[1:], at[1:])
    assert found[0] == pytest.approx(11.1195, abs=1e-4)
    assert np.isnan(found[1:]).all(), "no time between the fixes, or no place"


@given(places, st.floats(-10_000, 10_000), st.floats(-10_000, 10_000))
def test_the_plane_there_and_back(place: tuple[float, float], x: float, y: float) -> None:
    plane = geo.Plane(*place)
    assert plane.xy(*plane.lonlat(x, y)) == pytest.approx((x, y), abs=1e-4)
    assert np.hypot(x, y) == pytest.approx(float(geo.distance(*place, *plane.lonlat(x, y))), rel=4e-3, abs=0.01)


def test_square_metres_of_a_known_square() -> None:
    side = 0.01  # degrees at the equator: 1111.95 m
    assert geo.square_metres(shapely.box(118, -side / 2, 118 + side, side / 2)) == pytest.approx(1111.95**2, rel=1e-4)
    assert geo.square_metres(shapely.LineString([(118, 31), (118.1, 31)])) == 0


class TestZoneIndex:
    west = zone("west", shapely.box(118.0, 31.0, 118.1, 31.1))
    both = zone("both", shapely.box(118.05, 31.0, 118.2, 31.1))
    line = zone("line", shapely.LineString([(118.3, 31.0), (118.3, 31.1)]))

    def pairs(self, *places: tuple[float, float]) -> set[tuple[int, str]]:
        index = geo.ZoneIndex([self.west, self.both, self.line])
        lon, lat = np.array(places, np.float64).reshape(-1, 2).T
        rows, zones = index.pairs(lon, lat)
        assert (np.diff(rows) >= 0).all()
        return {(int(r), index.zones[z].code) for r, z in zip(rows, zones, strict=True)}

    def test_overlapping_zones_and_none(self) -> None:
        found = self.pairs((118.02, 31.05), (118.07, 31.05), (118.15, 31.05), (119.0, 31.05))
        assert found == {(0, "west"), (1, "west"), (1, "both"), (2, "both")}

    def test_a_place_without_position_is_nowhere(self) -> None:
        assert self.pairs((np.nan, 31.05), (118.02, np.nan), (np.inf, 31.05), (118.02, 31.05)) == {(3, "west")}

    def test_a_line_holds_what_is_within_reach(self) -> None:
        metres = 1 / (geo.DEGREE * np.cos(np.radians(31.05)))
        assert self.pairs((118.3 + 29 * metres, 31.05), (118.3 + 31 * metres, 31.05)) == {(0, "line")}

    def test_no_places_and_no_zones(self) -> None:
        assert self.pairs() == set()
        empty = geo.ZoneIndex([])
        rows, zones = empty.pairs(np.array([118.0]), np.array([31.0]))
        assert len(rows) == len(zones) == 0
        assert not empty.near_any(np.array([118.0]), np.array([31.0]), 100.0).any()

    def test_near_any_is_wider_by_so_many_metres(self) -> None:
        index = geo.ZoneIndex([self.west])
        metres = 1 / geo.DEGREE
        lat = np.array([31.1 + 40 * metres, 31.1 + 60 * metres, np.nan])
        assert index.near_any(np.full(3, 118.05), lat, 50.0).tolist() == [True, False, False]


@given(places, st.floats(-400, 400), st.floats(-400, 400))
def test_a_cell_holds_only_what_is_near(place: tuple[float, float], x: float, y: float) -> None:
    other = tuple(float(v) for v in geo.Plane(*place).lonlat(x, y))
    apart = float(geo.distance(*place, *other))
    if geo.place_cell(*place, 60.0) == geo.place_cell(*other, 60.0):
        assert apart < 60 * 2**0.5 * 1.01
    if apart > 90:
        assert geo.place_cell(*place, 60.0) != geo.place_cell(*other, 60.0)
