"""Chapter forgery: terminals made to lie about where they are, and honest ones that look a little like it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from devices.registry import Device
from devices.site_folder import SiteFolder
from simulators.bank.journey import Journey, Way
from simulators.bank.stage import Played, Stage, along, rounds, stretch
from simulators.bank.terminal import Forgery, Trouble
from simulators.bodies import Carries
from simulators.places import Spot

SECONDS: Final = 10_800.0
SHIFT, NIGHT = 2.0 * 3_600.0, 22.0 * 3_600.0  # s
HIDDEN: Final = Carries(0)  # no camera takes part


def forgery(folder: SiteFolder, seed: int) -> Played:
    """Three hours of twelve to sixteen terminals, about half of them honest."""
    stage = Stage("forgery", folder, seed, SECONDS)
    on_foot = [d for d in folder.devices if d.kind == "terminal" and d.role in ("patrol", "police")]
    crew = iter(stage.draw.sample(on_foot, len(on_foot)))
    for _ in range(2):
        _jump(stage, next(crew))
        _frozen(stage, next(crew))
        _replay(stage, next(crew))
    _double(stage, next(crew), next(crew))
    _together(stage, next(crew), next(crew))
    _parked(stage, [next(crew) for _ in range(3)])
    _multipath(stage, next(crew))
    _multipath(stage, next(crew))
    _car(stage, next(crew))
    _held(stage, next(crew))
    return stage.play()


# ── Lies ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _round(stage: Stage, device: Device) -> Journey:
    return rounds(stage.dice("round", device.code), stage.ground.route(device, afloat=False), SECONDS)


def _jump(stage: Stage, device: Device) -> None:
    """He wants to have been at the far end of the lake: for some minutes the terminal says so."""
    draw, journey = stage.dice("jump", device.code), _round(stage, device)
    begin, lasts = draw.uniform(1_200, SECONDS - 2_400), draw.uniform(3, 25) * 60
    far, course = draw.uniform(1_500, 9_000), draw.uniform(0, 2 * math.pi)
    shift = (far * math.sin(course), far * math.cos(course))
    stage.carry(device, journey, trouble=Trouble(forged=[Forgery(begin, begin + lasts, shift=shift)]), shown=HIDDEN)
    note = f"said to be {far / 1000:.1f} km away"
    stage.mark("jump", begin, begin + lasts, journey.spot(begin), subject=device.code, note=note)


def _frozen(stage: Stage, device: Device) -> None:
    """An app repeats one place while he goes home (or the receiver hangs while he walks on)."""
    draw, journey = stage.dice("frozen", device.code), _round(stage, device)
    begin, lasts = draw.uniform(900, SECONDS - 4_500), draw.uniform(15, 60) * 60
    while math.hypot(*(float(v[0]) for v in journey.velocity(np.array([begin])))) < 0.5:
        begin += 20.0
    trouble = Trouble(forged=[Forgery(begin, begin + lasts, still=True)])
    stage.carry(device, journey, trouble=trouble, shown=HIDDEN)
    stage.mark(
        "frozen", begin, begin + lasts, journey.spot(begin), subject=device.code, note="one place, again and again"
    )


def _replay(stage: Stage, device: Device) -> None:
    """What was walked an hour ago is sent once more, while he sits."""
    draw, journey = stage.dice("replay", device.code), _round(stage, device)
    lasts = draw.uniform(12, 40) * 60
    lag = draw.uniform(lasts + 300, lasts + 3_000)
    begin = draw.uniform(lag + 120, max(lag + 240, SECONDS - lasts - 300))
    lag = round(lag / device.interval) * device.interval if device.interval else lag
    trouble = Trouble(forged=[Forgery(begin, begin + lasts, lag=lag)])
    stage.carry(device, journey, trouble=trouble, shown=HIDDEN)
    note = f"the track of {lag / 60:.0f} min before"
    stage.mark("replay", begin, begin + lasts, journey.spot(begin), subject=device.code, note=note)


def _double(stage: Stage, one: Device, other: Device) -> None:
    """One walks the round with both terminals in his pocket; the other stays at home, where his had been."""
    draw = stage.dice("double", one.code)
    route = stage.ground.route(one, afloat=False)
    station = stage.ground.station(route)
    sets_out = draw.uniform(600, 2_400)
    begin = (float(route[0, 0]), float(route[0, 1]))
    way = Way(draw, 0.0, station).until(sets_out)
    way.go(stage.ground.on_foot(station, begin), 1.3)
    forth = True
    until = min(SECONDS - 600, sets_out + draw.uniform(40, 110) * 60)
    while way.now < until:
        way.go(route if forth else route[::-1], draw.uniform(1.2, 1.5), pauses=1 / 260.0, weave=2.5)
        forth = not forth
    way.go(stage.ground.on_foot(way.here, station), 1.3)
    back = way.now
    for device in (one, other):
        stage.carry(device, way.journey(), shown=HIDDEN)
    note = "both terminals in one pocket"
    subject = ",".join(sorted((one.code, other.code)))
    stage.mark("carried_double", sets_out, min(back, SECONDS), station, subject=subject, note=note)


def yesterday(folder: SiteFolder, seed: int) -> Played:
    """Two shifts, a day apart, of eight terminals: on the second day some send the first one's track once more."""
    stage = Stage("yesterday", folder, seed, NIGHT + 2 * SHIFT)
    on_foot = [d for d in folder.devices if d.kind == "terminal" and d.role in ("patrol", "police")]
    for number, device in enumerate(stage.draw.sample(on_foot, 8)):
        draw, route = stage.dice("shift", device.code), stage.ground.route(device, afloat=False)
        first = rounds(draw, route, SHIFT)
        way = Way(draw, 0.0, first.spot(0.0)).follow(first, SHIFT).until(NIGHT + SHIFT - 60)
        later = rounds(draw, route, SHIFT, NIGHT + SHIFT)
        way.go([later.spot(NIGHT + SHIFT)], 30.0).follow(later, NIGHT + 2 * SHIFT)
        trouble = Trouble(farewell=[(SHIFT, NIGHT + SHIFT)], charging=[(SHIFT, NIGHT + SHIFT)])
        if number < 4:
            begin, lasts = NIGHT + SHIFT + draw.uniform(300, 2_400), draw.uniform(20, 80) * 60
            lag = round((NIGHT + SHIFT - draw.uniform(0, 200)) / device.interval) * device.interval
            trouble.forged.append(Forgery(begin, begin + lasts, lag=lag))
            note = "the track of the day before"
            stage.mark("replay", begin, begin + lasts, later.spot(begin), subject=device.code, note=note)
        stage.carry(device, way.journey(), trouble=trouble, shown=HIDDEN)
        stage.mark("off_duty", SHIFT, NIGHT + SHIFT, first.spot(SHIFT), subject=device.code, note="the night")
    return stage.play()


# ── What only looks like it ─────────────────────────────────────────────────────────────────────────────────────────
def _together(stage: Stage, one: Device, other: Device) -> None:
    """Two patrols meet on the bank, go side by side for some minutes, and part."""
    draw = stage.dice("together", one.code)
    route = stage.ground.route(one, afloat=False)
    meets, shared = draw.uniform(0.35, 0.55), draw.uniform(4, 9) * 60
    first = Way(draw, 0.0, along(route, 0.0)).go(stretch(route, 0.0, meets), 1.3, weave=2.5)
    second = Way(draw, 0.0, along(route, 1.0)).go(stretch(route, 1.0, meets), 1.3, weave=2.5)
    at = max(first.now, second.now) + 20
    length = float(np.hypot(*np.diff(route, axis=0).T).sum())
    goal = min(0.95, meets + 1.2 * shared / length)
    for way, aside in ((first, 0.0), (second, draw.uniform(1.0, 2.5))):
        way.until(at)
        line = stretch(route, meets, goal) + aside
        way.go(line, 1.2)
    stage.mark("together", at, first.now, along(route, meets), subject=f"{one.code},{other.code}", note="side by side")
    first.go(stretch(route, goal, 1.0), 1.3, weave=2.5).go(stretch(route, 1.0, 0.0), 1.3, weave=2.5)
    second.go(stretch(route, goal, 0.0), 1.3, weave=2.5).go(stretch(route, 0.0, 1.0), 1.3, weave=2.5)
    for device, way in ((one, first), (other, second)):
        stage.carry(device, way.journey(), shown=HIDDEN)


def _parked(stage: Stage, devices: list[Device]) -> None:
    """Their terminals lie in a row on the station's table; each bearer goes out once."""
    route = stage.ground.route(devices[0], afloat=False)
    table = stage.ground.station(route)
    for number, device in enumerate(devices):
        draw = stage.dice("parked", device.code)
        spot: Spot = (table[0] + 0.4 * number, table[1])
        way = Way(draw, 0.0, spot).until(draw.uniform(2_400, 6_000))
        leaves = way.now
        goal = along(route, draw.uniform(0.1, 0.9))
        way.go(stage.ground.on_foot(spot, goal), 1.3).go(stretch(route, 0.5, draw.choice((0.0, 1.0))), 1.3, weave=2.5)
        way.go(stage.ground.on_foot(way.here, spot), 1.3)
        trouble = Trouble(indoors=[(0.0, leaves), (way.now, SECONDS)], charging=[(0.0, leaves), (way.now, SECONDS)])
        stage.carry(device, way.journey(), trouble=trouble, shown=HIDDEN)
        stage.mark("parked", 0.0, leaves, spot, subject=device.code, note="on the station's table")


def _multipath(stage: Stage, device: Device) -> None:
    """Walls and water mislead the receiver for a fix or two, by up to some hundred metres."""
    draw, journey, trouble = stage.dice("multipath", device.code), _round(stage, device), Trouble()
    for _ in range(4):
        begin, course = draw.uniform(300, SECONDS - 300), draw.uniform(0, 2 * math.pi)
        off = draw.choice((60.0, 90.0, 150.0, 250.0, 400.0))
        span = (begin, begin + draw.choice((5.0, 5.0, 10.0, 14.0)))
        trouble.glitches.append((*span, (off * math.sin(course), off * math.cos(course))))
        stage.mark("multipath", *span, journey.spot(begin), subject=device.code, note=f"{off:.0f} m off")
    stage.carry(device, journey, trouble=trouble, shown=HIDDEN)


def _car(stage: Stage, device: Device) -> None:
    """A ride in the patrol car between two walks, at up to 60 km/h, with a culvert on the way."""
    draw = stage.dice("car", device.code)
    route = stage.ground.route(device, afloat=False)
    way = Way(draw, 0.0, along(route, 0.0)).go(stretch(route, 0.0, 0.7), 1.3, pauses=1 / 260.0, weave=2.5)
    far = stage.ground.inland(way.here, draw.uniform(1_000, 4_500))
    drives = way.now
    way.go([far], draw.uniform(9, 17)).linger(draw.uniform(600, 1_500), 15.0, 30.0)
    way.go([along(route, 0.7)], draw.uniform(9, 17)).go(stretch(route, 0.7, 0.0), 1.3, pauses=1 / 260.0, weave=2.5)
    way.linger(max(0.0, SECONDS - way.now), 10.0, 40.0)
    trouble = Trouble(blind=[(drives + 40, drives + 40 + draw.uniform(15, 60))])
    stage.carry(device, way.journey(), trouble=trouble, shown=HIDDEN)
    stage.mark("tunnel", *trouble.blind[0], far, subject=device.code, note="by car through a culvert")


def _held(stage: Stage, device: Device) -> None:
    """Charged at the station, where the receiver holds its place to the last digit while it does not move."""
    draw, route = stage.dice("held", device.code), stage.ground.route(device, afloat=False)
    station = stage.ground.station(route)
    sits, stands = draw.uniform(1_200, 3_000), draw.uniform(6_000, 9_000)
    way = Way(draw, 0.0, station).linger(300, 1.0)
    way.go(stage.ground.on_foot(station, along(route, 0.5)), 1.3).go(stage.ground.on_foot(way.here, station), 1.3)
    sits = max(sits, way.now + 60)
    way.until(stands).go(stage.ground.on_foot(station, along(route, 0.5)), 1.3)
    way.go(stretch(route, 0.5, 1.0), 1.3, pauses=1 / 260.0, weave=2.5)
    trouble = Trouble(forged=[Forgery(sits, stands - 60, still=True)], charging=[(sits, stands)])
    stage.carry(device, way.journey(), trouble=trouble, shown=HIDDEN)
    stage.mark("indoors", sits, stands, station, subject=device.code, note="charged, the receiver holds its place")
