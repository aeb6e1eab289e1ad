"""Chapter help: who calls for help, who lies where it is dangerous and cannot, and who merely stands about."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

import shapely

from devices.registry import Device
from devices.site import Zone
from devices.site_folder import SiteFolder
from simulators.bank.fence import Ground
from simulators.bank.journey import Journey, Way
from simulators.bank.stage import Played, Stage, along, rounds, stretch
from simulators.bank.terminal import Trouble
from simulators.bodies import Carries

SECONDS: Final = 7_200.0
HIDDEN: Final = Carries(0)
DANGERS: Final = (  # code, names, width and height in m
    ("D-WEIR", "溢流堰", "Spillway", 120.0, 90.0),
    ("D-MUD", "滩涂淤泥区", "Mud flats", 260.0, 140.0),
)


def help_called(folder: SiteFolder, seed: int) -> Played:
    """Two hours of fifteen patrols, some of whom come to harm."""
    stage = Stage("help", _dangers(folder), seed, SECONDS)
    crew = [d for d in folder.devices if d.kind == "terminal" and d.role in ("patrol", "police")]
    order = iter(stage.draw.sample(crew, len(crew)))
    zones = [z for z in stage.folder.zones if z.properties.get("hazard")]
    for kind in ("sos", "sos", "sos", "man_down", "man_down"):
        _call(stage, next(order), kind)
    for number in range(3):
        _collapse(stage, next(order), stage.dice("where", number).choice(zones))
    for number in range(2):
        _cross(stage, next(order), stage.dice("crossed", number).choice(zones))
    for _ in range(2):
        _rest(stage, next(order))
    for _ in range(2):
        device = next(order)
        stage.carry(device, _round(stage, device), shown=HIDDEN)
    return stage.play()


def _dangers(folder: SiteFolder) -> SiteFolder:
    """The site with places where somebody who does not move is in danger."""
    pattern = next(z for z in folder.zones if z.kind == "restricted")
    middle, zones = pattern.geometry.centroid, list[Zone]()
    for number, (code, name, name_en, width, height) in enumerate(DANGERS, 1):
        lon, lat = middle.x - 0.006 * number, middle.y - 0.006 * number
        half_x, half_y = width / 2 / 94_800.0, height / 2 / 111_195.0
        shape = shapely.box(lon - half_x, lat - half_y, lon + half_x, lat + half_y)
        marks = {**pattern.properties, "hazard": True}
        zones.append(Zone(code, "patrol", name, name_en, pattern.area, shape, properties=marks))
    return replace(folder, zones=(*folder.zones, *zones))


def _round(stage: Stage, device: Device) -> Journey:
    return rounds(stage.dice("round", device.code), stage.ground.route(device, afloat=False), SECONDS)


def _call(stage: Stage, device: Device, kind: str) -> None:
    """He presses the button, or his terminal notices that he fell; he stays there until helped."""
    draw = stage.dice(kind, device.code)
    begins, lasts = draw.uniform(300, SECONDS - 1_800), draw.uniform(3, 25) * 60
    line = stage.ground.route(device, afloat=False)
    way = Way(draw, 0.0, along(line, 0.0))
    forth = True
    while way.now < begins:
        way.go(line if forth else line[::-1], draw.uniform(1.2, 1.5), pauses=1 / 260.0, weave=2.5)
        forth = not forth
    walked = way.journey()
    spot = walked.spot(begins)
    stopped = Way(draw, 0.0, (float(walked.x[0]), float(walked.y[0]))).follow(walked, begins)
    stopped.linger(lasts, 0.5 if kind == "man_down" else 2.0, 60.0)
    stopped.go(stage.ground.on_foot(stopped.here, stage.ground.station(line)), 1.2)
    trouble = Trouble(alarm=[(begins, begins + lasts, kind)])
    if draw.random() < 0.25:  # where he fell, the network does not reach: he walks or is carried out of it
        trouble.unheard.append((begins - 30, begins + draw.uniform(20, 90)))
    stage.carry(device, stopped.journey(), trouble=trouble, shown=HIDDEN)
    note = "presses the button" if kind == "sos" else "the terminal notices that he fell"
    stage.mark("sos", begins, begins + lasts, spot, subject=device.code, note=note)


def _collapse(stage: Stage, device: Device, zone: Zone) -> None:
    """He goes into a dangerous place on duty, falls, and lies there for long; nobody is told."""
    draw, area = stage.dice("collapse", device.code), Ground(stage, zone)
    near = area.outside(draw, 40.0)
    way = Way(draw, 0.0, area.beyond(near, 300.0)).linger(draw.uniform(200, 1_500), 10.0, 30.0)
    way.go([near, area.inside(draw)], 1.3)
    if draw.random() < 0.5:
        way.linger(draw.uniform(60, 300), 8.0, 20.0)
    falls = way.now
    way.stay(draw.uniform(12, 40) * 60)
    found = way.now
    way.go([near, area.beyond(near, 300.0)], 1.2).linger(SECONDS - way.now, 10.0, 30.0)
    journey = way.journey()
    stage.carry(device, journey, shown=HIDDEN)
    spot, note = journey.spot(falls), "lies there and has pressed nothing"
    stage.mark("collapse", falls, found, spot, subject=device.code, zone=area.code, note=note)


def _cross(stage: Stage, device: Device, zone: Zone) -> None:
    """He crosses a dangerous place, stops to look for a minute or two, works about in it, and goes on."""
    draw, area = stage.dice("cross", device.code), Ground(stage, zone)
    near = area.outside(draw, 40.0)
    way = Way(draw, 0.0, area.beyond(near, 300.0)).linger(draw.uniform(200, 2_400), 10.0, 30.0)
    way.go([near, area.inside(draw)], 1.3)
    begins = way.now
    way.stay(draw.uniform(30, 140))
    for _ in range(draw.choice((3, 6, 9))):
        way.go([area.inside(draw)], draw.uniform(0.7, 1.3)).stay(draw.uniform(10, 100))
    ends = way.now
    away = area.outside(draw, 40.0)
    way.go([away, area.beyond(away, 300.0)], 1.3).linger(SECONDS - way.now, 10.0, 30.0)
    journey = way.journey()
    stage.carry(device, journey, shown=HIDDEN)
    spot, note = journey.spot(begins), "works in a dangerous place"
    stage.mark("breather", begins, ends, spot, subject=device.code, zone=area.code, note=note)


def _rest(stage: Stage, device: Device) -> None:
    """He sits on a bench for long, where nothing is dangerous; or lies at home while his terminal is charged."""
    draw: random.Random = stage.dice("rest", device.code)
    line = stage.ground.route(device, afloat=False)
    share = draw.uniform(0.2, 0.8)
    way = Way(draw, 0.0, along(line, 0.0)).go(stretch(line, 0.0, share), 1.3, weave=2.5)
    begins = way.now
    way.stay(draw.uniform(15, 50) * 60)
    ends = way.now
    way.go(stretch(line, share, 1.0), 1.3, weave=2.5).stay(SECONDS - way.now)
    stage.carry(device, way.journey(), shown=HIDDEN)
    stage.mark("breather", begins, ends, along(line, share), subject=device.code, note="sits on a bench")
