"""Cameras: the sector they look into, how well they see, where they think things are, and what they make up."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest

from devices.readings import SECOND
from devices.registry import Device
from devices.site_folder import SiteFolder
from simulators.bodies import Bodies, Carries
from simulators.cameras import Cameras, watched_crowd
from simulators.crowds import Crowd
from simulators.places import Ground

VIEW = {"bearing": 90, "fov": 60, "range": 1000}


class Scene:
    """One camera that looks east, and bodies before it."""

    def __init__(self, folder: SiteFolder, **view: float) -> None:
        self.ground = Ground(folder.areas, folder.zones, folder.devices)
        camera = Device("K", "camera", "", "", "a", "s", lon=118.85, lat=31.47, properties=VIEW | view)
        self.cameras = Cameras(1, [camera], self.ground, 0)
        self.origin = self.ground.frame.spot(118.85, 31.47)
        self.bodies = Bodies(1)

    def add(self, name: str, east: float, north: float, carries: Carries) -> int:
        return self.bodies.add(name, (self.origin[0] + east, self.origin[1] + north), carries)

    def look(self, seconds: int) -> list[dict[str, Any]]:
        found = []
        for tick in range(1, seconds + 1):
            self.bodies.move(tick)
            for message in self.cameras.tick(tick * SECOND, self.bodies):
                content = msgspec.json.decode(message.payload)
                found += content if isinstance(content, list) else [content]
        return found

    def off(self, sighting: dict[str, Any], east: float, north: float) -> float:
        x, y = self.ground.frame.spot(sighting["lon"], sighting["lat"])
        return math.hypot(x - self.origin[0] - east, y - self.origin[1] - north)


def test_only_what_stands_in_the_sector_is_seen(shijiu: SiteFolder) -> None:
    scene = Scene(shijiu)
    inside = [(300, 0), (300, 170), (990, 0), (50, -28)]
    outside = [(300, 180), (1010, 0), (-300, 0), (0, 300), (50, -30)]
    places = np.array(inside + outside, float) + scene.origin
    seen = np.isfinite(scene.cameras.sight(places[:, 0], places[:, 1])[0])
    assert seen.tolist() == [True] * len(inside) + [False] * len(outside)
    inner = np.isfinite(scene.cameras.sight(places[:, 0], places[:, 1], inner=0.5)[0])
    assert inner.tolist() == [True, False, True, False] + [False] * len(outside)
    for number, (east, north) in enumerate(outside):
        scene.add(f"out {number}", east, north, Carries.PERSON)
    assert len(scene.look(400)) <= 2  # nothing but its own mistakes


@pytest.mark.parametrize("wrap", [{"bearing": 90 - 360}, {"bearing": 450}])
def test_a_bearing_may_be_written_either_way_round(shijiu: SiteFolder, wrap: dict[str, float]) -> None:
    scene = Scene(shijiu, **wrap)
    assert np.isfinite(scene.cameras.sight(*np.array([[scene.origin[0] + 300], [scene.origin[1]]]))).all()


def test_near_things_are_seen_more_often_surer_and_better_placed(shijiu: SiteFolder) -> None:
    scene = Scene(shijiu)
    scene.add("near", 60, 0, Carries.PERSON | Carries.ROD)
    scene.add("far", 900, 20, Carries.PERSON | Carries.ROD)
    seen = scene.look(4_000)  # 1,000 looks
    near = [s for s in seen if scene.off(s, 60, 0) < 60]
    far = [s for s in seen if scene.off(s, 900, 20) < 60]
    count = Counter((name, s["label"]) for name, part in (("near", near), ("far", far)) for s in part)
    assert 900 < count["near", "person"] < 960
    assert 740 < count["near", "rod"] < 820
    assert 600 < count["far", "person"] < 720
    assert 500 < count["far", "rod"] < 620
    assert np.mean([s["conf"] for s in near]) > np.mean([s["conf"] for s in far]) + 0.1
    errors = [np.sqrt(np.mean([scene.off(s, *spot) ** 2 for s in part]))
              for part, spot in ((near, (60, 0)), (far, (900, 20)))]  # fmt: skip
    assert 2.0 < errors[0] < 4.0
    assert 8.0 < errors[1] < 12.0
    assert len(seen) - len(near) - len(far) < 15


def test_tracks_hold_for_minutes_and_break_sooner_for_who_walks(shijiu: SiteFolder) -> None:
    scene = Scene(shijiu, range=5000)
    scene.add("angler", 60, 0, Carries.PERSON)
    walker = scene.add("walker", 200, -50, Carries.BOAT)
    x, y = scene.bodies.place(walker)
    scene.bodies.send(walker, np.array([(x, y), (x + 4_500.0, y)]), 1.3)
    seen = scene.look(3_400)
    tracks = {label: Counter(s["track"] for s in seen if s["label"] == label and s["conf"] > 0.55)
              for label in ("person", "boat")}  # fmt: skip
    assert 4 <= len(tracks["person"]) <= 25
    assert 35 <= len(tracks["boat"]) <= 110
    assert not tracks["person"].keys() & tracks["boat"].keys()
    assert max(tracks["person"].values()) > 60


def test_a_body_that_was_out_of_view_is_taken_for_another(shijiu: SiteFolder) -> None:
    scene = Scene(shijiu)
    slot = scene.add("angler", 60, 0, Carries.PERSON)
    before = {s["track"] for s in scene.look(12)}
    scene.bodies.carries[slot] = 0
    for tick in range(13, 60):
        scene.cameras.tick(tick * SECOND, scene.bodies)
    scene.bodies.carries[slot] = Carries.PERSON
    after = set()
    for tick in range(60, 72):
        for message in scene.cameras.tick(tick * SECOND, scene.bodies):
            after.add(msgspec.json.decode(message.payload)["track"])
    assert len(before) == len(after) == 1
    assert before != after


def test_mistakes_are_rare_unsure_and_single(shijiu: SiteFolder) -> None:
    seen = Scene(shijiu).look(48_000)
    assert 8 <= len(seen) <= 36  # one every 40 minutes
    assert all(s["conf"] < 0.6 for s in seen)
    assert max(Counter(s["track"] for s in seen).values()) == 1


def test_without_a_bearing_a_camera_looks_out_over_the_water(shijiu: SiteFolder) -> None:
    ground = Ground(shijiu.areas, shijiu.zones, shijiu.devices)
    x, y = ground.bank.interpolate(3_000.0).coords[0]
    lon, lat = ground.frame.degrees(x, y)
    cameras = Cameras(1, [Device("K", "camera", "", "", "a", "s", lon=lon, lat=lat)], ground, 0)
    inland, wet = ground.inland((x, y), 200.0), ground.inland((x, y), -200.0)
    distance = cameras.sight(np.array([inland[0], wet[0]]), np.array([inland[1], wet[1]]))[0]
    assert not np.isfinite(distance[0])
    assert distance[1] == pytest.approx(200.0)


def test_which_cameras_count_a_crowd(shijiu: SiteFolder) -> None:
    ground = Ground(shijiu.areas, shijiu.zones, shijiu.devices)
    crowds = [Crowd(1, z, ground.frame) for z in shijiu.zones if z.kind == "crowd_watch"]
    found = {d.code: watched_crowd(d, crowds, ground) for d in shijiu.devices if d.kind == "camera"}
    assert {code: crowd.zone.code for code, crowd in found.items() if crowd} == {"C07": "CW-WHARF", "C08": "CW-MARKET"}
    lon, lat = crowds[0].place
    beside = Device("K", "camera", "", "", "a", "s", lon=lon + 0.0005, lat=lat)
    assert watched_crowd(beside, crowds, ground) is crowds[0]
    away = Device("K", "camera", "", "", "a", "s", lon=lon + 0.02, lat=lat)
    assert watched_crowd(away, crowds, ground) is None
