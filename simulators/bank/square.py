"""Chapter square: places that fill, overflow, or are merely busy."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, Final

import numpy as np
import shapely

from devices.registry import Device
from devices.site import Zone
from devices.site_folder import SiteFolder
from simulators.bank.stage import Played, Stage
from simulators.crowds import Crowd, Surge

SECONDS: Final = 10_800.0
RUSH: Final = 0.8 / 240.0  # of the capacity per second: what makes a full house a rush
PLACES: Final = (  # code, names, capacity, half its width in m, usual share of the capacity, cameras
    ("CW-SCHOOL", "镇小学门口", "School gate", 120, 18.0, 0.10, 1),
    ("CW-TEMPLE", "龙王庙前", "Temple yard", 300, 28.0, 0.38, 2),  # both see all
    ("CW-STAGE", "戏台", "Open-air stage", 450, 35.0, 0.30, -2),  # each sees a part
    ("CW-FERRY", "渡口", "Ferry landing", 80, 12.0, 0.15, 1),
)
FIELD: Final = 120.0  # degrees that a camera sees which sees a part


def _places(folder: SiteFolder) -> SiteFolder:
    """The site with more places that people come to, and the cameras that count them."""
    market = next(z for z in folder.zones if z.kind == "crowd_watch")
    middle = market.geometry.centroid
    pattern = next(d for d in folder.devices if d.kind == "camera")
    zones, cameras = [], list[Device]()
    for number, (code, name, name_en, capacity, half, _, count) in enumerate(PLACES):
        lon, lat = middle.x + 0.004 * (number + 1), middle.y + 0.003 * (number % 2)
        width, height = half / 95_000.0, half / 111_000.0
        shape = shapely.box(lon - width, lat - height, lon + width, lat + height)
        zones.append(Zone(code, "crowd_watch", name, name_en, market.area, shape, capacity))
        common = replace(pattern, area=market.area, lat=lat, interval=0.0, aliases=())
        for n, side in zip(range(1, abs(count) + 1), (1.0, -1.0), strict=False):
            sees: dict[str, Any] = {"watches": [code]}
            if count < 0:
                sees |= {"bearing": 180 + side * 90, "fov": FIELD, "range": round(1.3 * half)}
            named = replace(common, code=f"{code}-{n}", name=f"{name}监控{n}", name_en=f"{name_en} camera {n}")
            cameras.append(replace(named, lon=lon + 1.1 * side * width, properties=sees))
    return replace(folder, zones=(*folder.zones, *zones), devices=(*folder.devices, *cameras))


def square(folder: SiteFolder, seed: int) -> Played:
    """Three hours in six places where people gather; in each one thing happens after the other, or nothing."""
    stage = Stage("square", _places(folder), seed, SECONDS)
    zones = [z for z in stage.folder.zones if z.kind == "crowd_watch" and z.capacity]
    codes, usual = {z.code for z in zones}, {place[0]: place[5] for place in PLACES}
    stage.fixed = [
        d for d in stage.folder.devices if d.kind == "camera" and set(d.properties.get("watches", ())) & codes
    ]
    stage.shares = {d.code: _share(stage, d) for d in stage.fixed if d.code.startswith("CW-STAGE")}
    for zone in zones:
        crowd = Crowd(seed, zone, stage.ground.frame, usual.get(zone.code, Crowd.USUAL))
        stage.crowds.append(crowd)
        draw = stage.dice(zone.code)
        begins = draw.uniform(400, 2_400)
        for _ in range(2):
            ends = _happening(stage, crowd, draw, begins, usual.get(zone.code, Crowd.USUAL))
            begins = ends + draw.uniform(900, 2_000)
            if begins > SECONDS - 1_800:
                break
    return stage.play()


def _share(stage: Stage, camera: Device) -> float:
    """The part of a place that lies in a camera's view."""
    place = stage.ground.zones[camera.properties["watches"][0]]
    x, y = stage.ground.frame.spot(camera.lon, camera.lat)
    edge = np.radians(camera.properties["bearing"] + np.linspace(-FIELD / 2, FIELD / 2, 40))
    reach = camera.properties["range"]
    sector = shapely.Polygon([(x, y), *zip(x + reach * np.sin(edge), y + reach * np.cos(edge), strict=True)])
    return float(place.intersection(sector).area / place.area)


def _happening(stage: Stage, crowd: Crowd, draw: random.Random, begins: float, usual: float) -> float:
    """One thing that fills a place; returns when it is over. ``Crowd`` notes overflow and busy hours by itself."""
    room = SECONDS - begins - 300
    what, rush = draw.random(), False
    if what < 0.45:  # too many come: a fair, a show, a queue
        full, times = draw.uniform(1.1, 1.7), (_s(draw, 120, 1_200), _s(draw, 300, 1_500), _s(draw, 240, 900))
    elif what < 0.6 and usual < 0.2:  # the ferry lands, school is out: many at once, but the place holds them
        full, times, rush = draw.uniform(0.82, 0.93), (_s(draw, 60, 200), _s(draw, 200, 600), _s(draw, 240, 900)), True
    elif what < 0.75:  # a wedding: many guests for hours, but the place holds them
        full, times = draw.uniform(0.76, 0.92), (_s(draw, 900, 1_800), _s(draw, 2_400, 4_800), _s(draw, 600, 1_500))
    else:  # a busy market
        full, times = draw.uniform(0.55, 0.88), (_s(draw, 900, 1_800), _s(draw, 300, 1_500), _s(draw, 300, 1_200))
    scale = min(1.0, room / sum(times))
    rise, holds, falls = times[0], int(times[1] * scale), int(times[2] * scale)
    surge = Surge(int(begins), rise, holds, falls, full - usual)
    crowd.surge(surge)
    if rush or (full - usual) / rise > RUSH:
        note = f"{(full - usual) * crowd.holds:.0f} people in {rise} s"
        stage.mark("rush", begins, begins + rise + 120, crowd.spot, zone=crowd.zone.code, note=note)
    return float(surge.ends)


def _s(draw: random.Random, least: float, most: float) -> int:
    return int(draw.uniform(least, most))
