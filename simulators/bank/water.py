"""Chapter water: boats that fish in a ban zone where no camera looks, known by their own terminals alone."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np
import shapely
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from devices.registry import Device
from devices.site import Zone
from devices.site_folder import SiteFolder
from simulators.bank.journey import Way
from simulators.bank.stage import Played, Stage
from simulators.bodies import Carries
from simulators.places import Spot
from simulators.vessels import CRUISE

SECONDS: Final = 10_800.0
HIDDEN: Final = Carries(0)
Work: TypeAlias = Callable[[Way, random.Random, BaseGeometry], None]
SIDE: Final = 45.0  # m that a boat at work keeps from the zone's edge


def water(folder: SiteFolder, seed: int) -> Played:
    """Three hours of a dozen small boats with terminals, and a patrol boat."""
    stage = Stage("water", folder, seed, SECONDS)
    moments = np.array([stage.micros(0), stage.micros(SECONDS)])
    zones = [z for z in folder.zones if z.kind == "no_fishing"]
    zones = [z for z in zones if z.season is None or bool(z.season.active(moments).all())]
    works = (_gillnet, _gillnet, _gillnet, _trawl, _trawl, _longline)
    for number in range(6):
        draw = stage.dice("fishes", number)
        _fish(stage, _vessel(stage, f"V{number:02d}", draw), draw, draw.choice(zones), works[number])
    draw = stage.dice("permit")
    zone = draw.choice(zones)
    permit = {"permit": True, "permits": [zone.code]}
    _fish(stage, _vessel(stage, "V-PERMIT", draw, permit), draw, zone, _gillnet, licensed=True)
    for number in range(4):
        draw = stage.dice("passes", number)
        _pass(stage, _vessel(stage, f"P{number:02d}", draw), draw, draw.choice(zones))
    for device in [d for d in folder.devices if d.role == "boat"][:1]:
        draw, route = stage.dice("patrol", device.code), stage.ground.route(device, afloat=True)
        way = Way(draw, 0.0, (float(route[0, 0]), float(route[0, 1])))
        while way.now < SECONDS:
            way.go(route, draw.uniform(*CRUISE), pauses=1 / 600.0, weave=8.0)
            way.go(route[::-1], draw.uniform(*CRUISE), pauses=1 / 600.0, weave=8.0)
        stage.carry(device, way.journey(), shown=HIDDEN)
    return stage.play()


def _vessel(stage: Stage, code: str, draw: random.Random, properties: dict[str, object] | None = None) -> Device:
    """A small boat with a terminal, registered."""
    some = next(d for d in stage.folder.devices if d.role == "boat")
    device = replace(
        some, code=code, kind="vessel", role="", name=f"渔船{code}", name_en=f"Boat {code}", aliases=(),
        interval=draw.choice((10.0, 20.0, 30.0, 60.0)), properties=properties or {},
    )  # fmt: skip
    stage.folder = replace(stage.folder, devices=(*stage.folder.devices, device))
    return device


def _room(stage: Stage, zone: Zone) -> BaseGeometry:
    """Where in the zone a boat can work."""
    room = stage.ground.zones[zone.code].intersection(stage.ground.navigable).buffer(-SIDE)
    return room if not room.is_empty else stage.ground.zones[zone.code].intersection(stage.ground.navigable)


def _within(draw: random.Random, room: BaseGeometry) -> Spot:
    west, south, east, north = room.bounds
    for _ in range(200):
        spot = draw.uniform(west, east), draw.uniform(south, north)
        if shapely.contains_xy(room, *spot):
            return spot
    middle = room.representative_point()
    return middle.x, middle.y


def _off(draw: random.Random, room: BaseGeometry, spot: Spot, length: float) -> Spot:
    """A place so far from another one and still within the room, or the farthest that there is."""
    best = spot
    for _ in range(60):
        course = draw.uniform(0, 2 * math.pi)
        there = spot[0] + length * math.sin(course), spot[1] + length * math.cos(course)
        if shapely.contains_xy(room, *there):
            return there
        closer = _within(draw, room)
        if abs(math.dist(closer, spot) - length) < abs(math.dist(best, spot) - length):
            best = closer
    return best


def _harbour(stage: Stage, draw: random.Random, zone: Zone) -> Spot:
    """Somewhere on the lake outside the zone, a kilometre or two away."""
    shape, middle = stage.ground.zones[zone.code], stage.ground.zones[zone.code].centroid
    for _ in range(200):
        spot = middle.x + draw.uniform(-3_000, 3_000), middle.y + draw.uniform(-3_000, 3_000)
        if stage.ground.afloat(spot) and shape.distance(Point(spot)) > 400:
            return spot
    return middle.x, middle.y


# ── Fishing ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _fish(stage: Stage, device: Device, draw: random.Random, zone: Zone, work: Work, *, licensed: bool = False) -> None:
    """It comes from elsewhere, works for half an hour to an hour and a half, and goes."""
    room, home = _room(stage, zone), _harbour(stage, draw, zone)
    way = Way(draw, 0.0, home).linger(draw.uniform(120, 3_000), 4.0, 120.0)
    spot = _within(draw, room)
    way.go(stage.ground.by_boat(home, spot), draw.uniform(2.5, 5.0), weave=6.0)
    begins, lasts = way.now, draw.uniform(30, 90) * 60
    while way.now < min(begins + lasts, SECONDS - 900):
        work(way, draw, room)
    ends = way.now
    way.go(stage.ground.by_boat(way.here, home), draw.uniform(2.5, 5.0), weave=6.0)
    way.linger(SECONDS - way.now, 4.0, 120.0)
    stage.carry(device, way.journey(), shown=HIDDEN)
    kind, note = ("licensed", "with a permit") if licensed else ("fishing", "a boat at work, seen by no camera")
    stage.mark(kind, begins, ends, spot, subject=device.code, zone=zone.code, note=note)


def _gillnet(way: Way, draw: random.Random, room: BaseGeometry) -> None:
    """Sets a net of some hundred metres, drifts beside it, and hauls it hand over hand."""
    there = _off(draw, room, way.here, draw.uniform(200, 450))
    here = way.here
    way.go([there], draw.uniform(0.9, 1.8), weave=4.0)
    way.linger(draw.uniform(240, 1_200), 8.0, 60.0)
    way.go([here], draw.uniform(0.25, 0.6), pauses=1 / 150.0, weave=4.0)
    way.linger(draw.uniform(30, 240), 4.0, 40.0)


def _trawl(way: Way, draw: random.Random, room: BaseGeometry) -> None:
    """Tows a small dredge to and fro."""
    for _ in range(draw.choice((3, 4, 5))):
        way.go([_off(draw, room, way.here, draw.uniform(150, 400))], draw.uniform(0.8, 1.6), weave=6.0)
    way.linger(draw.uniform(60, 300), 5.0, 40.0)


def _longline(way: Way, draw: random.Random, room: BaseGeometry) -> None:
    """Goes from float to float, a minute or two at each."""
    for _ in range(draw.choice((4, 6, 8))):
        way.go([_off(draw, room, way.here, draw.uniform(40, 120))], draw.uniform(0.8, 1.8))
        way.linger(draw.uniform(40, 150), 3.0, 30.0)


# ── Not fishing ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _pass(stage: Stage, device: Device, draw: random.Random, zone: Zone) -> None:
    """It crosses the zone on its way, some with a halt of a few minutes, and comes back the same way."""
    room, home = _room(stage, zone), _harbour(stage, draw, zone)
    goal = _harbour(stage, draw, zone)
    way = Way(draw, 0.0, home).linger(draw.uniform(120, 4_000), 4.0, 120.0)
    begins = way.now
    for there, halt in ((goal, draw.random() < 0.5), (home, False)):
        way.go(stage.ground.by_boat(way.here, _within(draw, room)), draw.uniform(2.5, 5.5), weave=6.0)
        if halt:
            way.linger(draw.uniform(60, 300), 4.0, 30.0)
        way.go(stage.ground.by_boat(way.here, there), draw.uniform(2.5, 5.5), weave=6.0)
        if there is goal:
            way.linger(draw.uniform(300, 1_500), 3.0, 120.0)
    ends = way.now
    way.linger(SECONDS - way.now, 4.0, 120.0)
    stage.carry(device, way.journey(), shown=HIDDEN)
    note = "crosses the zone twice"
    stage.mark("passing_boat", begins, ends, goal, subject=device.code, zone=zone.code, note=note)
