"""Chapter square: places that fill, overflow, or are merely busy."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
import shapely

from devices.readings import SECOND
from devices.registry import Device
from devices.site import Zone
from devices.site_folder import SiteFolder
from simulators.bank.stage import DAY, FIRST, Played, Stage
from simulators.cameras import COUNT_ERROR
from simulators.chance import dice, name_key, normals
from simulators.crowds import Crowd, Surge
from simulators.wire import Message, Speaker, seconds

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


def weeks(folder: SiteFolder, seed: int) -> Played:
    """Twenty-five days in three places with hours and days of their own; from the fourth week on, something unusual."""
    start = FIRST + dice(seed, "weeks").randrange(330) * int(DAY) * SECOND
    stage = Stage("weeks", _places(folder), seed, 25 * DAY, start)
    for code in ("CW-SCHOOL", "CW-TEMPLE", "CW-FERRY"):
        zone = next(z for z in stage.folder.zones if z.code == code)
        camera = next(d for d in stage.folder.devices if d.code == f"{code}-1")
        stage.sources.append(partial(_weeks_of, stage, zone, camera, stage.dice(code)))
    return stage.play()


def _weeks_of(stage: Stage, zone: Zone, camera: Device, draw: random.Random) -> list[Message]:
    """The counts of one place, every 20 s."""
    at = np.arange(draw.uniform(0, 20), stage.seconds, 20.0)
    day, hour = np.divmod(at, DAY)
    hour = hour / 3_600.0
    peaks = [(draw.uniform(7, 11), draw.uniform(0.15, 0.35)), (draw.uniform(15, 19), draw.uniform(0.15, 0.4))]
    usual = 0.02 + sum(size * np.exp(-(((hour - when) / 1.6) ** 2)) for when, size in peaks)
    market = draw.randrange(7)  # one day of the week is busier
    usual = usual * np.where(day % 7 == market, 1.5, 1.0)
    whims = np.array([draw.uniform(0.85, 1.15) for _ in range(int(stage.seconds / DAY) + 1)])
    share = usual * whims[day.astype(int)]
    spot = stage.ground.frame.spot(zone.geometry.centroid.x, zone.geometry.centroid.y)
    quiet = [h for h in np.arange(0.0, 24.0, 0.5).tolist() if _most(peaks, h) < 0.1]  # nobody comes at about that hour
    for number in range(3):
        begin = (21 + number) * DAY + draw.choice(quiet) * 3_600
        lasts, size = draw.uniform(40, 120) * 60, draw.uniform(0.35, 0.5)
        share = share + np.interp(at, [begin, begin + 900, begin + lasts, begin + lasts + 900], [0, size, size, 0])
        note = f"{size * zone.capacity:.0f} people more than usual"
        stage.mark("gathering", begin, begin + lasts + 900, spot, zone=zone.code, note=note)
    key = np.array([name_key(stage.seed, "weeks", zone.code)], np.uint64)
    noise = normals(np.repeat(key, len(at)), (1,), np.arange(len(at)).astype(np.uint64))[0]
    people = np.maximum(0.0, np.round(share * zone.capacity * (1.0 + COUNT_ERROR * noise)))
    speaker, place = Speaker(camera), (round(zone.geometry.centroid.x, 6), round(zone.geometry.centroid.y, 6))
    sent = []
    for t, n in zip(at.tolist(), people.astype(int).tolist(), strict=True):
        moment = stage.micros(t)
        seen = {"t": seconds(moment), "label": "person", "n": n, "conf": 0.8, "lon": place[0], "lat": place[1]}
        if n:
            sent.append(speaker.say(moment, "sighting", seen))
    return sent


def _most(peaks: list[tuple[float, float]], hour: float) -> float:
    """The most people, as a share of the capacity, that usually come within three hours of an hour of the day."""
    around = (hour + np.arange(-3.0, 3.1, 0.5)) % 24
    return float(max(sum(size * np.exp(-(((h - when) / 1.6) ** 2)) for when, size in peaks) for h in around))


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
