"""Chapter radio: terminals that die, batteries that run empty, networks that fail, and what only looks like it."""

from __future__ import annotations

import random
from typing import Final

from devices.registry import Device
from devices.site_folder import SiteFolder
from simulators.bank.journey import Way
from simulators.bank.stage import Played, Stage, rounds
from simulators.bank.terminal import Span, Terminal, Trouble
from simulators.bodies import Carries
from simulators.cameras import watched_crowd
from simulators.crowds import Crowd
from simulators.wire import Message

SECONDS: Final = 9_000.0
CREW: Final = 14


def radio(folder: SiteFolder, seed: int) -> Played:
    """Two and a half hours of fourteen terminals, cameras that count and sensors that send."""
    stage = Stage("radio", folder, seed, SECONDS)
    draw = stage.draw
    on_foot = [d for d in folder.devices if d.kind == "terminal" and d.role in ("patrol", "police")]
    crew = draw.sample(on_foot, min(CREW, len(on_foot)))
    zones = [z for z in folder.zones if z.kind == "crowd_watch"]
    stage.crowds = [Crowd(seed, zone, stage.ground.frame) for zone in zones]
    stage.fixed = [d for d in folder.devices if watched_crowd(d, stage.crowds, stage.ground) and d.kind == "camera"]
    troubles = {device.code: Trouble() for device in crew}
    fate = draw.random()
    outage = _outage(stage, draw, fate)
    order = iter(crew)
    for _ in range(4):
        _die(stage, next(order), troubles, outage)
    for _ in range(2):
        _drain(stage, next(order), troubles)
    for _ in range(2):
        _tunnel(stage, next(order), troubles)
    for _ in range(3):
        _indoors(stage, next(order), troubles)
    _go_home(stage, next(order), troubles)
    for device in order:
        stage.carry(device, rounds(stage.dice("round", device.code), stage.ground.route(device, afloat=False), SECONDS))
    for terminal in stage.terminals:
        terminal.trouble.unheard += [span for span in outage if terminal.device not in _spared(stage, fate, crew)]
    return stage.play()


def _outage(stage: Stage, draw: random.Random, fate: float) -> list[Span]:
    """For most devices at once: a long failure of the network in one world of two, a short one in some others."""
    if fate < 0.5:
        lasts, kind = draw.uniform(6, 18) * 60, "outage"
    elif fate < 0.8:
        lasts, kind = draw.uniform(40, 130), "blip"
    else:
        return []
    begin = draw.uniform(1_200, SECONDS - lasts - 1_500)
    away = (begin, begin + lasts)
    subject = ",".join(["feed", *sorted(d.code for d in stage.folder.devices)]) if kind == "outage" else ""
    stage.mark(kind, *away, (0.0, 0.0), subject=subject, note="the network is away for nearly all")

    def lost(sent: list[Message]) -> list[Message]:
        """What devices that stand fixed say meanwhile reaches nobody."""
        fixed = {device.code for device in stage.fixed}
        since, until = (stage.micros(at) for at in away)
        return [m for m in sent if not (since <= m.at < until and m.topic.split("/", 4)[3] in fixed)]

    stage.cut.append(lost)
    return [away]


def _spared(stage: Stage, fate: float, crew: list[Device]) -> list[Device]:
    """Whom a failure does not reach: those on another network."""
    return crew[: int(fate * 4)] if fate < 0.5 else []


def _die(stage: Stage, device: Device, troubles: dict[str, Trouble], outage: list[Span]) -> None:
    """A terminal breaks, falls into the water or is switched off for a while, or for good."""
    draw, trouble = stage.dice("dead", device.code), troubles[device.code]
    begin = draw.uniform(900, SECONDS - 1_200)
    for since, until in outage:  # not within a failure of the network, where nobody could tell
        if since - 900 < begin < until + 900:
            begin = until + 900 if until + 2_000 < SECONDS else max(600.0, since - 1_500)
    end = SECONDS if draw.random() < 0.2 else min(SECONDS, begin + draw.uniform(7, 45) * 60)
    trouble.off.append((begin, end))
    journey = rounds(draw, stage.ground.route(device, afloat=False), SECONDS)
    stage.carry(device, journey, trouble=trouble)
    stage.mark("silence", begin, end, journey.spot(begin), subject=device.code, note="the terminal is dead")


def _drain(stage: Stage, device: Device, troubles: dict[str, Trouble]) -> None:
    """A tired battery runs down within the hour, and nobody charges it."""
    draw, trouble = stage.dice("drain", device.code), troubles[device.code]
    begin = draw.uniform(300, 2_000)
    trouble.drained.append((begin, begin + draw.uniform(40, 80) * 60))
    journey = rounds(draw, stage.ground.route(device, afloat=False), SECONDS)
    terminal = stage.carry(device, journey, trouble=trouble)

    def note() -> list[Message]:
        for at in terminal.emptied:
            _mark_battery(stage, terminal, at)
        return []

    stage.sources.append(note)


def _mark_battery(stage: Stage, terminal: Terminal, empty: float) -> None:
    since, _ = terminal.trouble.drained[0]
    code, spot = terminal.device.code, terminal.journey.spot(empty)
    stage.mark("battery", since, empty, spot, subject=code, note=f"empty {(empty - since) / 60:.0f} min later")
    stage.mark("silence", empty, SECONDS, spot, subject=code, note="the battery is empty")


def _go_home(stage: Stage, device: Device, troubles: dict[str, Trouble]) -> None:
    """His shift is over: he switches the terminal off, and on again for the next one."""
    draw, trouble = stage.dice("home", device.code), troubles[device.code]
    begin = draw.uniform(1_200, 4_000)
    trouble.farewell.append((begin, begin + draw.uniform(1_200, 4_000)))
    journey = rounds(draw, stage.ground.route(device, afloat=False), SECONDS)
    stage.carry(device, journey, trouble=trouble)
    stage.mark("off_duty", *trouble.farewell[0], journey.spot(begin), subject=device.code, note="switched off")


def _tunnel(stage: Stage, device: Device, troubles: dict[str, Trouble]) -> None:
    """Under a bridge, in a cellar, through a culvert: neither satellites nor network."""
    draw, trouble = stage.dice("tunnel", device.code), troubles[device.code]
    journey = rounds(draw, stage.ground.route(device, afloat=False), SECONDS)
    for _ in range(3):
        begin = draw.uniform(600, SECONDS - 900)
        span = (begin, begin + draw.uniform(30, 150))
        trouble.blind.append(span)
        trouble.unheard.append(span)
        stage.mark("tunnel", *span, journey.spot(begin), subject=device.code, note="neither satellites nor network")
    stage.carry(device, journey, trouble=trouble)


def _indoors(stage: Stage, device: Device, troubles: dict[str, Trouble]) -> None:
    """Charged at the station: it saves power, says a place once a minute, and that place is poor."""
    draw, trouble = stage.dice("indoors", device.code), troubles[device.code]
    route = stage.ground.route(device, afloat=False)
    station = stage.ground.station(route)
    rests = draw.uniform(1_800, 5_400)
    begin = draw.uniform(600, SECONDS - rests - 600)
    out = rounds(draw, route, begin)
    way = Way(draw, 0.0, (float(out.x[0]), float(out.y[0]))).follow(out, begin)
    way.go(stage.ground.on_foot(way.here, station), 1.3)
    sits = way.now
    way.linger(rests, 0.4, 300.0)
    stands = way.now
    way.go(stage.ground.on_foot(station, (float(route[-1, 0]), float(route[-1, 1]))), 1.3, pauses=1 / 260.0)
    for spans in (trouble.indoors, trouble.charging):
        spans.append((sits, stands))
    if draw.random() < 0.6:
        trouble.sparse.append((sits + 30, stands - 30, draw.choice((30.0, 60.0, 60.0, 120.0))))
    stage.carry(device, way.journey(), trouble=trouble, shown=Carries(0))
    stage.mark("indoors", sits, min(stands, SECONDS), station, subject=device.code, note="charged under a roof")
