"""The ground: metres and degrees, routes, and ways that keep to land or to water."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, Point

from devices.registry import Device
from devices.site import Zone
from devices.site_folder import SiteFolder
from simulators.places import Frame, Ground, NoLake, Spot

ANGLE = st.floats(0, 2 * math.pi)


@pytest.fixture(scope="module")
def ground(shijiu: SiteFolder) -> Ground:
    return Ground(shijiu.areas, shijiu.zones, shijiu.devices)


@pytest.fixture(scope="module")
def round_pond(pond: SiteFolder) -> Ground:
    return Ground(pond.areas, pond.zones, pond.devices)


@given(st.floats(118.6, 119.1), st.floats(31.3, 31.7))
def test_metres_and_degrees_are_inverse_and_true_to_scale(lon: float, lat: float) -> None:
    frame = Frame(118.85, 31.47)
    x, y = frame.spot(lon, lat)
    assert frame.degrees(x, y) == pytest.approx((lon, lat), abs=1e-9)
    a, b, c = math.radians(lat), math.radians(31.47), math.radians(lon - 118.85)
    haversine = (
        2
        * 6_371_008.8
        * math.asin(math.sqrt(math.sin((a - b) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(c / 2) ** 2))
    )
    assert math.hypot(x, y) == pytest.approx(haversine, rel=0.003, abs=0.01)


def test_terminals_get_the_patrol_zone_of_their_area_by_foot_or_by_boat(ground: Ground, shijiu: SiteFolder) -> None:
    zones = [z for z in shijiu.zones if z.kind == "patrol"]
    for device in (d for d in shijiu.devices if d.kind == "terminal"):
        afloat = device.role == "boat"
        route = LineString(ground.route(device, afloat=afloat))
        mine = [z for z in zones if device.area.startswith(z.area) and (z.properties.get("by") == "boat") == afloat]
        assert any(route.equals_exact(ground.zones[z.code], 0.1) for z in mine), device.code


def test_without_drawn_routes_villages_share_the_shore(round_pond: Ground, pond: SiteFolder) -> None:
    east, west = (LineString(round_pond.route(pond.devices[i], afloat=False)) for i in (0, 1))
    for route in (east, west):
        assert shapely.hausdorff_distance(route, round_pond.bank) > 100  # a part of it
        assert max(round_pond.bank.distance(Point(p)) for p in route.coords) < 0.1
    boat = LineString(round_pond.route(pond.devices[4], afloat=True))
    assert round_pond.navigable.contains(boat)
    # East Village has a camera, so its round is around it.
    camera = round_pond.frame.spot(118.8545, 31.47)
    middles = [route.interpolate(0.5, normalized=True).distance(Point(camera)) for route in (east, west)]
    assert middles[0] < 60 < 500 < middles[1]


@settings(max_examples=60)
@given(ANGLE, ANGLE, st.floats(405, 900), st.floats(0, 900))
def test_people_walk_round_the_water_and_boats_stay_on_it(a: float, b: float, out: float, goal: float) -> None:
    pond = _pond()
    here = (out * 1.2 * math.cos(a), out * 1.2 * math.sin(a))
    there = (goal * math.cos(b), goal * math.sin(b))
    way = LineString(pond.on_foot(here, there))
    assert way.intersection(pond.lake).length < 1e-6
    assert Point(way.coords[0]).distance(Point(here)) < 1e-6
    end = Point(way.coords[-1])
    reach = Point(there).distance(pond.lake.exterior) + 12.5 if pond.lake.contains(Point(there)) else 1e-6
    assert end.distance(Point(there)) <= reach
    afloat = pond.by_boat(_wet(pond, a), there)
    assert pond.lake.buffer(1e-6).covers(LineString(afloat))
    assert len(afloat) >= 2


@given(st.floats(-5_000, 5_000), st.floats(-500, 500))
def test_beside_runs_along_the_bank_across_its_seam(metres: float, more: float) -> None:
    pond = _pond()
    here = pond.beside((450.0, 0.0), metres)
    there = pond.beside(here, more)
    assert pond.bank.distance(Point(there)) < 1e-6
    assert math.dist(here, there) <= abs(more) + 1e-6


def test_spots_lie_in_their_zone_on_land_or_on_water(ground: Ground) -> None:
    bank, water = ground.bank_spots("NF-CORE"), ground.water_spots("NF-CORE")
    assert len(bank) > 100
    assert len(water) > 50
    for x, y in bank[::10]:
        assert ground.zones["NF-CORE"].covers(Point(x, y))
        assert 2.5 < ground.lake.distance(Point(x, y)) < 3.5
    for x, y in water[::10]:
        assert ground.zones["NF-CORE"].covers(Point(x, y))
        assert ground.lake.exterior.distance(Point(x, y)) > 59


def test_a_site_without_water_is_refused_by_name(pond: SiteFolder) -> None:
    with pytest.raises(NoLake, match="kind 'water'"):
        Ground(pond.areas, (), pond.devices)


def test_a_patrol_zone_drawn_as_a_strip_gives_the_shore_within_it(pond: SiteFolder) -> None:
    water = pond.zones[0]
    half = shapely.box(118.85, 31.46, 118.86, 31.48)
    strip = replace(water, code="S", kind="patrol", area="990101001202", geometry=half)
    ground = Ground(pond.areas, (water, strip), pond.devices)
    route = LineString(ground.route(pond.devices[1], afloat=False))
    assert ground.zones["S"].buffer(0.01).covers(route)
    assert 0.45 < route.length / ground.bank.length < 0.55


@cache
def _pond() -> Ground:
    """A round lake of 400 m radius around the origin."""
    stretch = [1 / math.cos(math.radians(31.47)), 1]
    circle = shapely.transform(Point(0, 0).buffer(400.0 / 111_194.93), lambda c: c * stretch + [118.85, 31.47])
    terminal = Device("P", "terminal", "", "", "x", "x", role="patrol")
    return Ground((), (Zone("W", "water", "", "", "x", circle),), (terminal,))


def _wet(ground: Ground, angle: float) -> Spot:
    edge = ground.fairway.interpolate(angle / (2 * math.pi), normalized=True)
    assert np.isfinite(edge.x)
    return float(edge.x), float(edge.y)
