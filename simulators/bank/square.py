"""Chapter square: places that fill, overflow, or are merely busy."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

import shapely

from devices.registry import Device
from devices.site import Zone
from devices.site_folder import SiteFolder
from simulators.bank.stage import Played, Stage
from simulators.crowds import Crowd, Surge

SECONDS: Final = 10_800.0
PLACES: Final = (  # code, names, capacity, half its width in m, cameras
    ("CW-SCHOOL", "镇小学门口", "School gate", 120, 18.0, 1),
    ("CW-TEMPLE", "龙王庙前", "Temple yard", 300, 28.0, 2),
    ("CW-STAGE", "戏台", "Open-air stage", 450, 35.0, 2),
    ("CW-FERRY", "渡口", "Ferry landing", 80, 12.0, 1),
)


def _places(folder: SiteFolder) -> SiteFolder:
    """The site with more places that people come to, and the cameras that count them: two where one sees not all."""
    market = next(z for z in folder.zones if z.kind == "crowd_watch")
    middle = market.geometry.centroid
    pattern = next(d for d in folder.devices if d.kind == "camera")
    zones, cameras = [], list[Device]()
    for number, (code, name, name_en, capacity, half, count) in enumerate(PLACES):
        lon, lat = middle.x + 0.004 * (number + 1), middle.y + 0.003 * (number % 2)
        width, height = half / 95_000.0, half / 111_000.0
        shape = shapely.box(lon - width, lat - height, lon + width, lat + height)
        zones.append(Zone(code, "crowd_watch", name, name_en, market.area, shape, capacity))
        common = replace(pattern, area=market.area, lat=lat, interval=0.0, aliases=(), properties={"watches": [code]})
        cameras += [
            replace(common, code=f"{code}-{n}", name=f"{name}监控{n}", name_en=f"{name_en} camera {n}", lon=lon + side)
            for n, side in zip(range(1, count + 1), (1.4 * width, -1.4 * width), strict=False)
        ]
    return replace(folder, zones=(*folder.zones, *zones), devices=(*folder.devices, *cameras))


def square(folder: SiteFolder, seed: int) -> Played:
    """Three hours in six places where people gather; in each one thing happens, or nothing."""
    stage = Stage("square", _places(folder), seed, SECONDS)
    zones = [z for z in stage.folder.zones if z.kind == "crowd_watch" and z.capacity]
    codes = {z.code for z in zones}
    stage.fixed = [
        d for d in stage.folder.devices if d.kind == "camera" and set(d.properties.get("watches", ())) & codes
    ]
    for zone in zones:
        crowd = Crowd(seed, zone, stage.ground.frame)
        stage.crowds.append(crowd)
        draw = stage.dice(zone.code)
        begins = draw.uniform(400, 2_400)
        for _ in range(2):
            begins = _happening(stage, crowd, zone, draw, begins) + draw.uniform(900, 2_000)
            if begins > SECONDS - 1_800:
                break
    return stage.play()


def _happening(stage: Stage, crowd: Crowd, zone: Zone, draw: random.Random, begins: float) -> float:
    """One thing that fills a place; returns when it is over. ``Crowd`` notes overflow and busy hours by itself."""
    room = SECONDS - begins - 300
    what = draw.random()
    if what < 0.5:  # too many come: a fair, a show, a queue
        share, times = draw.uniform(0.72, 1.3), (_s(draw, 120, 1_200), _s(draw, 300, 1_500), _s(draw, 240, 900))
    elif what < 0.65:  # a wedding: many guests for hours, but the place holds them
        share, times = draw.uniform(0.38, 0.52), (_s(draw, 600, 1_500), _s(draw, 2_400, 4_800), _s(draw, 600, 1_500))
    else:  # a busy market
        share, times = draw.uniform(0.2, 0.5), (_s(draw, 600, 1_800), _s(draw, 300, 1_500), _s(draw, 300, 1_200))
    scale = min(1.0, room / sum(times))
    rise, holds, falls = (int(part * scale) for part in times)
    surge = Surge(int(begins), rise, holds, falls, share)
    crowd.surge(surge)
    return float(surge.ends)


def _s(draw: random.Random, least: float, most: float) -> int:
    return int(draw.uniform(least, most))
