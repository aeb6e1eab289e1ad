"""The example site makes sense on the ground: villages and patrols on land, boats on water, cameras see their zones."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from devices.registry import Device, Registry
from devices.site import Site, Zone
from devices.site_folder import SiteFolder, read_folder

FOLDER = Path(__file__).parents[2] / "examples" / "shijiu"
LAT = 31.48
METRES = np.array([111_195 * math.cos(math.radians(LAT)), 111_195])  # of a degree, on the sphere, at the lake


def metres(geometry: BaseGeometry) -> BaseGeometry:
    return shapely.transform(geometry, lambda c: c * METRES)


@pytest.fixture(scope="module")
def folder() -> SiteFolder:
    return read_folder(FOLDER)


@pytest.fixture(scope="module")
def lake(folder: SiteFolder) -> BaseGeometry:
    (water,) = [zone for zone in folder.zones if zone.kind == "water"]
    return metres(water.geometry)


def zones(folder: SiteFolder, kind: str, by: str = "") -> list[Zone]:
    return [z for z in folder.zones if z.kind == kind and z.properties.get("by", "") == by]


def place(device: Device) -> BaseGeometry:
    return metres(shapely.Point(device.lon, device.lat))


def view(camera: Device, steps: int = 24) -> BaseGeometry:
    """What a camera looks at: a sector, in metres."""
    seen = camera.properties
    edge = np.radians(np.linspace(-0.5, 0.5, steps) * seen["fov"] + seen["bearing"])
    x, y = place(camera).coords[0]
    return shapely.Polygon(
        [(x, y), *zip(x + seen["range"] * np.sin(edge), y + seen["range"] * np.cos(edge), strict=True)]
    )


def test_the_parts_are_there(folder: SiteFolder) -> None:
    levels = [area.level for area in folder.areas]
    assert (levels.count("district"), levels.count("grid")) == (1, 26)
    villages = [area for area in folder.areas if area.name.endswith("村")]
    assert len(villages) == 12
    terminals = [d for d in folder.devices if d.kind == "terminal"]
    assert [d.code for d in terminals] == [f"T{number:03d}" for number in range(1, 41)]
    roles = [d.role for d in terminals]
    assert (roles.count("patrol"), roles.count("police"), roles.count("boat")) == (32, 5, 3)
    assert {d.interval for d in terminals} == {5.0}
    assert [d.code for d in folder.devices if "owntracks/demo/phone" in d.aliases] == ["T035"]
    assert sorted(d.properties["quantity"] for d in folder.devices if d.kind == "sensor") == ["smoke", "water_level"]
    assert {"fishing_ban", "crowd", "silence", "sos", "high_water", "smoke", "sensor_fault"} <= {
        rule["code"] for rule in folder.rules
    }


def test_it_cannot_be_taken_for_a_real_place(folder: SiteFolder) -> None:
    assert all(area.code.startswith("99") for area in folder.areas)  # no province's code does
    assert "示例" in folder.name
    assert "illustrative" in folder.name_en
    readme = (FOLDER / "README.md").read_text("utf-8")
    assert "public domain" in readme
    assert "illustrative" in readme


def test_all_devices_share_one_topic_area_which_no_zone_can_cross(folder: SiteFolder) -> None:
    (share,) = {device.share for device in folder.devices}
    assert next(area.level for area in folder.areas if area.code == share) == "street"


def test_every_village_has_a_walk_on_land_along_its_shore(folder: SiteFolder, lake: BaseGeometry) -> None:
    walks = {zone.area: metres(zone.geometry) for zone in zones(folder, "patrol", "foot")}
    for area in (a for a in folder.areas if a.name.endswith("村")):
        walk = walks[area.code]
        spots = walk.interpolate(np.arange(0, walk.length, 10.0))
        distance = shapely.distance(spots, lake)
        assert distance.min() >= 50, area.name
        assert distance.max() <= 150, area.name
        assert 2_000 <= walk.length <= 4_000, area.name


def test_all_who_walk_stay_on_land_and_all_boats_on_water(folder: SiteFolder, lake: BaseGeometry) -> None:
    for zone in zones(folder, "patrol", "foot"):
        assert metres(zone.geometry).distance(lake) > 30, zone.code
    boats = zones(folder, "patrol", "boat")
    assert len(boats) == 3
    for zone in boats:
        assert lake.buffer(-200).covers(metres(zone.geometry)), zone.code


def test_every_terminal_has_a_round_in_its_own_area(folder: SiteFolder) -> None:
    site = Site(folder.areas, folder.zones, folder.units, Registry([]))
    for device in (d for d in folder.devices if d.kind == "terminal"):
        by = "boat" if device.role == "boat" else "foot"
        rounds = {zone.area for zone in zones(folder, "patrol", by)}
        assert rounds & set(site.lineage(device.area)), device.code


def test_the_bans_cover_the_water_and_a_strip_of_the_bank(folder: SiteFolder, lake: BaseGeometry) -> None:
    core, spring = zones(folder, "no_fishing")
    assert core.season is None
    assert spring.season is not None
    assert (spring.season.first, spring.season.last) == ("03-01", "06-30")
    for zone in (core, spring):
        ban = metres(zone.geometry)
        shore = lake.exterior.intersection(ban)
        assert shore.length > 3_000
        bank = ban.difference(lake)
        assert 40 <= bank.area / shore.length <= 80  # its mean width
        assert ban.intersection(lake).area > 1_000_000


def test_crowd_zones_have_room_for_their_capacity_and_a_camera_inside(folder: SiteFolder, lake: BaseGeometry) -> None:
    cameras = [d for d in folder.devices if d.kind == "camera"]
    for zone in zones(folder, "crowd_watch"):
        square = metres(zone.geometry)
        assert 0.01 < zone.capacity / square.area < 1  # persons per square metre
        inside = [
            camera for camera in cameras if square.covers(place(camera))
        ]  # a count without a place is taken there
        assert [zone.code in camera.properties["watches"] for camera in inside] == [True], zone.code
        assert square.difference(lake).area > 0.3 * square.area, zone.code


def test_cameras_stand_on_land_and_see_what_they_watch(folder: SiteFolder, lake: BaseGeometry) -> None:
    by_code = {zone.code: zone for zone in folder.zones}
    cameras = [d for d in folder.devices if d.kind == "camera"]
    assert 8 <= len(cameras) <= 12
    for camera in cameras:
        assert not lake.covers(place(camera)), camera.code
        assert camera.properties["watches"], camera.code
        for code in camera.properties["watches"]:
            seen = view(camera).intersection(metres(by_code[code].geometry))
            assert seen.area > 0.3 * min(view(camera).area, metres(by_code[code].geometry).area), (camera.code, code)


def test_the_shore_of_the_ban_zones_is_mostly_in_view(folder: SiteFolder, lake: BaseGeometry) -> None:
    sight = shapely.union_all([view(d) for d in folder.devices if d.kind == "camera"])
    for zone in zones(folder, "no_fishing"):
        shore = lake.exterior.intersection(metres(zone.geometry))
        assert shore.intersection(sight.buffer(5)).length > 0.8 * shore.length, zone.code


def test_every_grid_has_two_patrols_a_day_and_every_village_one_along_its_shore(folder: SiteFolder) -> None:
    by_code = {zone.code: zone for zone in folder.zones}
    twice = [p for p in folder.plans if p.visits == 2]
    assert sorted(by_code[code].area for plan in twice for code in plan.zones) == sorted(
        area.code for area in folder.areas if area.level == "grid"
    )
    daily = {p.area: p for p in folder.plans if p.code.startswith("shore-")}
    assert set(daily) == {area.code for area in folder.areas if area.name.endswith("村")}
    assert all(by_code[p.zones[0]].geometry.geom_type == "LineString" for p in daily.values())
    registry = Registry(replace(device, id=number) for number, device in enumerate(folder.devices, 1))
    for plan in folder.plans:
        assert plan.walkers(registry).any(), plan.code
        assert plan.days == (1, 2, 3, 4, 5, 6, 7)


def test_the_beats_of_a_village_cover_its_walk(folder: SiteFolder) -> None:
    beats = [zone for zone in zones(folder, "patrol") if zone.code.startswith("G-")]
    for walk in zones(folder, "patrol", "foot"):
        own = [metres(b.geometry) for b in beats if b.area.startswith(walk.area)]
        line = metres(walk.geometry)
        assert line.intersection(shapely.union_all(own)).length > 0.99 * line.length, walk.code


def test_checkpoints_lie_on_the_walk_of_their_village(folder: SiteFolder) -> None:
    walks = {zone.area: zone.geometry for zone in zones(folder, "patrol", "foot")}
    checkpoints = zones(folder, "checkpoint")
    assert len(checkpoints) == 12
    for zone in checkpoints:
        assert zone.geometry.intersects(walks[zone.area]), zone.code


def test_the_lake_is_the_given_outline(lake: BaseGeometry) -> None:
    raw = json.loads((FOLDER / "zones.geojson").read_text("utf-8"))
    ring = raw["features"][0]["geometry"]["coordinates"][0]
    assert len(ring) == 15
    assert ring[0] == [118.78, 31.409]
    assert 290e6 < lake.area < 300e6  # square metres
