"""Chapter fence: who goes into a closed area, and who only passes along it."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np
import shapely
from shapely.geometry import LineString, Point, Polygon

from devices.registry import Device
from devices.site import Zone
from devices.site_folder import SiteFolder
from simulators.bank.journey import Journey, Way
from simulators.bank.stage import Played, Stage
from simulators.bank.terminal import Trouble
from simulators.bodies import Carries
from simulators.places import Spot

SECONDS: Final = 7_200.0
HIDDEN: Final = Carries(0)
AREAS: Final = (  # code, names, width and height in m, whether it is dangerous to lie there
    ("R-NEST", "鸟类繁殖地", "Bird nesting ground", 220.0, 160.0, False),
    ("R-WORKS", "堤防施工区", "Dyke works", 140.0, 140.0, True),
    ("R-PUMP", "排涝泵站", "Pumping station", 110.0, 90.0, False),
)
HOME: Final = "P-YARD"


def fence(folder: SiteFolder, seed: int) -> Played:
    """Two hours around four closed areas."""
    stage = Stage("fence", _areas(folder), seed, SECONDS)
    zones = [z for z in stage.folder.zones if z.kind == "restricted"]
    crew = [d for d in folder.devices if d.kind == "terminal" and d.role in ("patrol", "police")]
    order = iter(stage.draw.sample(crew, len(crew)))
    inland = [z for z in zones if stage.ground.lake.distance(stage.ground.zones[z.code]) > 60]
    for number in range(6):
        _visit(stage, next(order), stage.dice("zone", number).choice(zones))
    for number in range(2):
        _ride(stage, next(order), stage.dice("ride", number).choice(inland))
    for number in range(3):
        _stray(stage, next(order), strays=number < 2)
    for number in range(4):
        _along(stage, next(order), stage.dice("along", number).choice(inland))
    for number in range(2):
        _misled(stage, next(order), stage.dice("misled", number).choice(zones))
    return stage.play()


def _areas(folder: SiteFolder) -> SiteFolder:
    """The site with more closed areas, inland of the bank."""
    pattern = next(z for z in folder.zones if z.kind == "restricted")
    middle = pattern.geometry.centroid
    ground = shapely.box(middle.x - 0.022, middle.y - 0.022, middle.x - 0.016, middle.y - 0.018)
    zones = [Zone(HOME, "patrol", "作业场地", "Yard", pattern.area, ground)]
    for number, (code, name, name_en, width, height, hazard) in enumerate(AREAS, 1):
        lon, lat = middle.x - 0.006 * number, middle.y + 0.006 * number
        half_x, half_y = width / 2 / 94_800.0, height / 2 / 111_195.0
        shape = shapely.box(lon - half_x, lat - half_y, lon + half_x, lat + half_y)
        marks = {**pattern.properties, "hazard": hazard}
        zones.append(replace(pattern, code=code, name=name, name_en=name_en, geometry=shape, properties=marks))
    return replace(folder, zones=(*folder.zones, *zones))


class Ground:
    """One closed area in metres, with ways to it and into it."""

    def __init__(self, stage: Stage, zone: Zone) -> None:
        shape = stage.ground.zones[zone.code]
        assert isinstance(shape, Polygon)
        self.code, self.shape, self._lake = zone.code, shape, stage.ground.lake.buffer(15.0)

    def outside(self, draw: random.Random, distance: float) -> Spot:
        """A place on land so many metres outside the edge."""
        ring = LineString(self.shape.buffer(distance).exterior.coords)
        for _ in range(60):
            found = ring.interpolate(draw.uniform(0.0, ring.length))
            away = self.beyond((found.x, found.y), 400.0)
            if not self._lake.intersects(LineString([(found.x, found.y), away])):
                break
        return found.x, found.y

    def beyond(self, spot: Spot, distance: float) -> Spot:
        """From the middle through a place and so many metres on: a way there does not cross the area again."""
        middle = self.shape.centroid
        length = max(1.0, math.dist((middle.x, middle.y), spot))
        factor = 1.0 + distance / length
        return middle.x + (spot[0] - middle.x) * factor, middle.y + (spot[1] - middle.y) * factor

    def inside(self, draw: random.Random) -> Spot:
        """A place well inside."""
        core = self.shape.buffer(-0.3 * math.sqrt(self.shape.area) / 2)
        west, south, east, north = core.bounds
        for _ in range(50):
            spot = draw.uniform(west, east), draw.uniform(south, north)
            if core.contains(Point(spot)):
                return spot
        return core.centroid.x, core.centroid.y

    def stays(self, journey: Journey) -> list[tuple[float, float]]:
        """From when to when somebody truly is inside."""
        at = np.arange(0.0, SECONDS, 1.0)
        x, y = journey.place(at)
        inside = shapely.contains_xy(self.shape, x, y)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]])))
        return [(float(at[a]), float(at[min(b, len(at) - 1)])) for a, b in edges.reshape(-1, 2).tolist()]


def _visit(stage: Stage, device: Device, zone: Zone) -> None:
    """Somebody walks in, does something there for some minutes, and comes out again."""
    draw, area = stage.dice("visit", device.code), Ground(stage, zone)
    near = area.outside(draw, 40.0)
    way = Way(draw, 0.0, area.beyond(near, draw.uniform(150, 350)))
    way.linger(draw.uniform(300, 2_400), 12.0, 30.0)
    way.go([near, area.inside(draw)], draw.uniform(1.0, 1.5), weave=1.0)
    for _ in range(draw.choice((0, 1, 2))):
        way.linger(draw.uniform(60, 400), 3.0, 25.0).go([area.inside(draw)], draw.uniform(0.6, 1.3))
    way.linger(draw.uniform(30, 300), 3.0, 25.0)
    away = area.outside(draw, 60.0)
    way.go([away, area.beyond(away, 250.0)], draw.uniform(1.0, 1.5), weave=1.0)
    way.linger(SECONDS - way.now, 12.0, 30.0)
    _carried(stage, device, way.journey(), area, "walks in")


def _ride(stage: Stage, device: Device, zone: Zone) -> None:
    """Straight through by motor bicycle or car: seconds between one side and the other."""
    draw, area = stage.dice("ride", device.code), Ground(stage, zone)
    way = Way(draw, 0.0, area.outside(draw, draw.uniform(400, 700)))
    way.linger(draw.uniform(600, 3_000), 12.0, 30.0)
    middle = area.inside(draw)
    here = way.here
    length = math.dist(here, middle)
    beyond = tuple(m + (m - h) / length * 500.0 for h, m in zip(here, middle, strict=True))
    way.go([middle, (beyond[0], beyond[1])], draw.uniform(6.0, 12.0))
    way.linger(SECONDS - way.now, 12.0, 30.0)
    _carried(stage, device, way.journey(), area, "rides through")


def _carried(stage: Stage, device: Device, journey: Journey, area: Ground, note: str) -> None:
    trouble = Trouble()
    stage.carry(device, journey, trouble=trouble, shown=HIDDEN)
    for since, until in area.stays(journey):
        spot, code = journey.spot(since), device.code
        stage.mark("trespass", since, until, spot, subject=code, zone=area.code, note=f"{note}, {until - since:.0f} s")


def _stray(stage: Stage, device: Device, *, strays: bool) -> None:
    """A hired boat or car belongs to its own ground: it leaves it for some minutes, or only comes near its edge."""
    draw = stage.dice("stray", device.code)
    home = Ground(stage, next(z for z in stage.folder.zones if z.code == HOME))
    bound = replace(device, properties={**device.properties, "home": HOME})
    others = (bound if d.code == device.code else d for d in stage.folder.devices)
    stage.folder = replace(stage.folder, devices=tuple(others))
    way = Way(draw, 0.0, home.inside(draw))
    while way.now < draw.uniform(1_200, 3_600):
        way.go([home.inside(draw)], draw.uniform(0.9, 1.4)).linger(draw.uniform(60, 300), 5.0, 30.0)
    if strays:
        near = home.outside(draw, 60.0)
        way.go([near, home.beyond(near, draw.uniform(60, 400))], 1.3)
        way.linger(draw.uniform(8, 20) * 60, 8.0, 40.0)
        way.go([near], 1.3)
    else:
        way.go([home.outside(draw, 5.0)], 1.3).linger(draw.uniform(60, 200), 2.0, 30.0)
    way.go([home.inside(draw)], 1.3)
    while way.now < SECONDS:
        way.go([home.inside(draw)], draw.uniform(0.9, 1.4)).linger(draw.uniform(60, 300), 5.0, 30.0)
    journey = way.journey()
    stage.carry(bound, journey, shown=HIDDEN)
    inside = home.stays(journey)
    outside = [(a, b) for (_, a), (b, _) in pairwise(inside) if b - a > 60]
    for since, until in outside:
        kind, spot = "strayed" if strays else "fence_walk", journey.spot(since)
        stage.mark(kind, since, until, spot, subject=device.code, zone=HOME, note=f"outside for {until - since:.0f} s")


def _along(stage: Stage, device: Device, zone: Zone) -> None:
    """A patrol walks round the fence, or to and fro along it, some metres outside, and talks to somebody there."""
    draw, area = stage.dice("along", device.code), Ground(stage, zone)
    off = draw.uniform(12.0, 30.0)
    ring = np.asarray(area.shape.buffer(off, join_style="mitre").exterior.coords)
    begin = draw.randrange(len(ring) - 1)
    line = np.vstack([ring[begin:-1], ring[: begin + 1]])
    begins_at = (float(line[0, 0]), float(line[0, 1]))
    way = Way(draw, 0.0, area.beyond(begins_at, 250.0)).linger(draw.uniform(100, 1_500), 12.0, 30.0)
    way.go([begins_at], 1.3)
    begins = way.now
    for _ in range(draw.choice((1, 2))):
        way.go(line, draw.uniform(1.0, 1.4), pauses=1 / 200.0)
    way.linger(draw.uniform(120, 900), 2.0, 40.0)
    ends = way.now
    way.go([area.beyond(way.here, 250.0)], 1.3).linger(SECONDS - way.now, 12.0, 30.0)
    journey = way.journey()
    stage.carry(device, journey, shown=HIDDEN)
    spot, note = journey.spot(begins), f"{off:.0f} m outside"
    stage.mark("fence_walk", begins, ends, spot, subject=device.code, zone=zone.code, note=note)


def _misled(stage: Stage, device: Device, zone: Zone) -> None:
    """He is well outside; now and then reflections put a fix or two into the area."""
    draw, area, trouble = stage.dice("misled", device.code), Ground(stage, zone), Trouble()
    spot = area.outside(draw, draw.uniform(60, 120))
    way = Way(draw, 0.0, spot).linger(SECONDS, 6.0, 40.0)
    journey = way.journey()
    for _ in range(4):
        begin = draw.uniform(120, SECONDS - 120)
        here, there = journey.spot(begin), area.inside(draw)
        span = (begin, begin + draw.choice((5.0, 5.0, 10.0)))
        trouble.glitches.append((*span, (there[0] - here[0], there[1] - here[1])))
        stage.mark("multipath", *span, here, subject=device.code, zone=zone.code, note="a fix inside")
    stage.carry(device, journey, trouble=trouble, shown=HIDDEN)
