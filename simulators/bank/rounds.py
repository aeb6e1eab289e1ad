"""Chapter rounds: a day of patrols in some villages, as planned, late, cut short, on other ways, or not at all."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Point

from devices.readings import SECOND
from devices.registry import Device
from devices.site import Plan, Zone
from devices.site_folder import SiteFolder
from simulators.bank.journey import Journey, Way
from simulators.bank.stage import DAY, FIRST, Played, Stage, along, stretch
from simulators.bank.terminal import Span, Trouble
from simulators.bodies import Carries
from simulators.chance import Floats
from simulators.places import Ground, Line, Spot

HOUR: Final = 3_600.0
BEGINS, SECONDS = 5.5 * HOUR, 15.25 * HOUR  # of the day; how long
VILLAGES: Final = 7
BEHIND: Final = 260.0  # m inland of the round runs a path
STATION: Final = 420.0  # m inland of the round: outside the beats
EVERY: Final = 30.0  # s between fixes
POSTS: Final = (0.04, 0.35, 0.65, 0.96)  # where on the round the checkpoints of a walk stand
HIDDEN: Final = Carries(0)


@dataclass(slots=True)
class Village:
    """One village's day."""

    shore: Plan
    grids: Plan
    line: Line
    station: Spot
    crew: list[Device]
    walk: Plan  # checkpoints, in order
    path: Plan  # a line
    draw: random.Random
    tours: dict[str, list[tuple[float, Way]]] = field(default_factory=dict)  # device → setting out, way from there on


def rounds_day(folder: SiteFolder, seed: int) -> Played:
    """From half past five to a quarter to nine in the evening, in seven villages."""
    draw = random.Random(seed * 7 + 3)  # noqa: S311
    day = FIRST + int(draw.randrange(360) * DAY + BEGINS) * SECOND
    shores = [p for p in folder.plans if p.kind == "quota" and len(p.zones) == 1 and p.zones[0].startswith("P-")]
    chosen = draw.sample(shores, min(VILLAGES, len(shores)))
    site = _with_walks(folder, [p.area for p in chosen], draw)
    stage = Stage("rounds", site, seed, SECONDS, day)
    for shore in chosen:
        _village(stage, shore)
    stage.plans = stage.folder.plans
    return stage.play()


def _with_walks(folder: SiteFolder, areas: list[str], draw: random.Random) -> SiteFolder:
    """The site with two plans more in each village: a path behind the dyke, and checkpoints on it to be walked in
    order."""
    zones, plans = [], []
    ground = Ground(folder.areas, folder.zones, folder.devices)
    for area in areas:
        patrol = [z for z in folder.zones if z.area == area and z.kind == "patrol"]
        line = next(z for z in patrol if z.geometry.geom_type == "LineString")
        spots = [ground.inland((float(x), float(y)), BEHIND) for x, y in ground.zones[line.code].coords]
        path = shapely.LineString([ground.frame.degrees(*spot) for spot in spots])
        codes = []
        for number, share in enumerate(POSTS, 1):
            place = path.interpolate(share, normalized=True)
            shape = shapely.box(place.x - 0.00032, place.y - 0.00027, place.x + 0.00032, place.y + 0.00027)
            code = f"KP-{line.code}-{number}"
            zones.append(Zone(code, "checkpoint", f"打卡点{number}", f"Post {number}", area, shape))
            codes.append(code)
        opens = draw.choice((12, 13, 14))
        plans.append(
            Plan(f"walk-{line.code.lower()}", "route", "下午巡线", "Afternoon walk", area, tuple(codes),
                 opens=f"{opens:02d}:00", closes=f"{opens + 4:02d}:00", who=("?",), stay=90.0, share=1.0, ordered=True)
        )  # fmt: skip
        zones.append(Zone(f"L-{line.code}", "patrol", "堤后小路", "Path behind the dyke", area, path))
        plans.append(
            Plan(f"path-{line.code.lower()}", "route", "堤后巡线", "Walk behind the dyke", area, (f"L-{line.code}",),
                 opens="09:00", closes="13:00", who=("?",), corridor=40.0)
        )  # fmt: skip
    kept = tuple(p for p in folder.plans if p.area in areas)
    return replace(folder, zones=(*folder.zones, *zones), plans=(*kept, *plans))


def _village(stage: Stage, shore: Plan) -> None:
    folder, draw = stage.folder, stage.dice("village", shore.code)
    grids = next(p for p in folder.plans if p.kind == "quota" and p.area == shore.area and p.code != shore.code)
    walk = next(p for p in folder.plans if p.area == shore.area and p.code.startswith("walk-"))
    crew = [d for d in folder.devices if d.area.startswith(shore.area) and d.role == "patrol"]
    crew = [replace(d, interval=EVERY) for d in crew][:3]
    folder = replace(folder, devices=tuple({d.code: d for d in (*folder.devices, *crew)}.values()))
    path = next(p for p in folder.plans if p.area == shore.area and p.code.startswith("path-"))
    bearer = {walk.code: crew[-1].code, path.code: crew[0].code}
    named = tuple(replace(p, who=(bearer[p.code],)) if p.code in bearer else p for p in folder.plans)
    stage.folder = replace(folder, plans=named)
    line = np.asarray(stage.ground.zones[shore.zones[0]].coords)
    middle = along(line, 0.5)
    village = Village(shore, grids, line, stage.ground.inland(middle, STATION), crew, walk, path, draw)
    _shore(stage, village)
    for number, zone in enumerate(grids.zones):
        _beats(stage, village, zone, number)
    _walk(stage, village)
    _path(stage, village)
    journeys = {device.code: _day(village, device) for device in crew}
    for device in crew:
        journey, spans = journeys[device.code]
        stage.carry(device, journey, 600.0, SECONDS, Trouble(charging=spans, indoors=spans), HIDDEN)
    _judge(stage, village, [journey for journey, _ in journeys.values()])


def _clock(hours: float) -> float:
    """Seconds since the world's start of an hour of the day."""
    return hours * HOUR - BEGINS


# ── Tours ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _shore(stage: Stage, village: Village) -> None:
    """The whole round, once: walked, broken off, or not begun."""
    draw, lot = village.draw, village.draw.random()
    if lot < 0.25:
        return
    begins = _clock(draw.uniform(6.6, 8.6) if lot < 0.85 else draw.uniform(17.6, 18.3))
    way = Way(draw, begins, village.station)
    ends = draw.uniform(0.3, 0.6) if lot < 0.5 else 1.0
    line = village.line if draw.random() < 0.5 else village.line[::-1]
    way.go([along(line, 0.0)], 1.4).go(stretch(line, 0.0, ends), draw.uniform(1.2, 1.5), pauses=1 / 300.0, weave=2.5)
    way.go([village.station], 1.4)
    village.tours.setdefault(village.crew[0].code, []).append((begins, way))


def _beats(stage: Stage, village: Village, zone: str, number: int) -> None:
    """Walks about one beat: as often as it takes, late, or once too few."""
    draw = village.draw
    shape = stage.ground.zones[zone]
    ends = (0.12, 0.40) if shape.contains(Point(along(village.line, 0.25))) else (0.60, 0.88)
    inner = stretch(village.line, *ends)
    times = [draw.uniform(9.2, 9.6) + number * 0.75, draw.uniform(11.0, 11.4) + number * 0.75]
    if (lot := draw.random()) < 0.4:
        times = times[:1] if draw.random() < 0.6 else []
    elif lot < 0.6:
        times[-1] = draw.uniform(18.3, 18.6) + number * 0.5
    for hour in times:
        begins = _clock(hour)
        way = Way(draw, begins, village.station)
        ahead = inner if draw.random() < 0.5 else inner[::-1]
        way.go([(float(ahead[0, 0]), float(ahead[0, 1]))], 1.4).go(ahead, draw.uniform(1.1, 1.4), weave=3.0)
        way.linger(draw.uniform(120, 400), 8.0, 30.0).go([village.station], 1.4)
        village.tours.setdefault(village.crew[min(1, len(village.crew) - 1)].code, []).append((begins, way))


def _walk(stage: Stage, village: Village) -> None:
    """The afternoon's walk past the checkpoints: in order, with a detour, half, or in the wrong order."""
    draw, device = village.draw, village.crew[-1]
    opens = _clock(float(village.walk.opens[:2]))
    begins = opens + draw.uniform(0.1, 1.0) * HOUR
    line = np.asarray(stage.ground.zones[village.path.zones[0]].coords)
    spots = [along(line, share) for share in POSTS]
    way = Way(draw, begins, village.station).go([spots[0]], 1.4).linger(draw.uniform(120, 240), 4.0, 20.0)
    lot, pace = draw.random(), draw.uniform(1.2, 1.5)
    order, note = list(range(1, len(POSTS))), ""
    if lot < 0.25:
        order, note = order[: draw.choice((0, 1))], "only a part of it"
    elif lot < 0.45:
        order, note = [2, 1, 3], "in the wrong order"
    for number, post in enumerate(order):
        if lot > 0.85 and number == 1:  # round a building site: off the line for a little
            away = stage.ground.inland(way.here, draw.uniform(25, 45))
            way.go([away], pace).go([along(line, (POSTS[post] + POSTS[post - 1]) / 2)], pace)
        way.go(_between(line, way.here, spots[post]), pace, pauses=1 / 300.0, weave=2.5)
        way.linger(draw.uniform(120, 240), 4.0, 20.0)
    way.go([village.station], 1.4)
    village.tours.setdefault(device.code, []).append((begins, way))
    if note:
        closes = _clock(float(village.walk.closes[:2]))
        subject = f"{device.code},{village.walk.code}"
        stage.mark("off_route", begins, closes, spots[0], subject=subject, note=note)


def _path(stage: Stage, village: Village) -> None:
    """The line behind the dyke: walked, with a small or a long way round, or half of it."""
    draw, device, lot = village.draw, village.crew[0], village.draw.random()
    line = np.asarray(stage.ground.zones[village.path.zones[0]].coords)
    line = line if draw.random() < 0.5 else line[::-1]
    begins, pace = _clock(draw.uniform(9.8, 10.6)), draw.uniform(1.2, 1.5)
    way = Way(draw, begins, village.station).go([along(line, 0.0)], 1.4)
    note, goal = "", 1.0
    if lot < 0.25:
        goal, note = draw.uniform(0.25, 0.6), "only a part of it"
        way.go(stretch(line, 0.0, goal), pace, pauses=1 / 300.0, weave=2.5)
    elif lot < 0.55:
        leaves = draw.uniform(0.25, 0.45)
        way.go(stretch(line, 0.0, leaves), pace, pauses=1 / 300.0, weave=2.5)
        away = stage.ground.inland(way.here, draw.uniform(200, 500))
        way.go([away], 1.4).linger(draw.uniform(8, 25) * 60, 15.0, 40.0)
        note = "a long way round"
        way.go([along(line, leaves)], 1.4).go(stretch(line, leaves, 1.0), pace, pauses=1 / 300.0, weave=2.5)
    elif lot < 0.75:
        leaves = draw.uniform(0.2, 0.7)
        way.go(stretch(line, 0.0, leaves), pace, pauses=1 / 300.0, weave=2.5)
        aside = stage.ground.inland(way.here, draw.uniform(45, 110))
        begun = way.now
        way.go([aside], 1.3).linger(draw.uniform(20, 90), 3.0, 20.0).go([along(line, leaves)], 1.3)
        stage.mark("short_cut", begun, way.now, aside, subject=device.code, note="steps aside to look at something")
        way.go(stretch(line, leaves, 1.0), pace, pauses=1 / 300.0, weave=2.5)
    else:
        way.go(stretch(line, 0.0, 1.0), pace, pauses=1 / 300.0, weave=2.5)
    way.go([village.station], 1.4)
    village.tours.setdefault(device.code, []).append((begins, way))
    if note:
        code, closes = village.path.code, _clock(float(village.path.closes[:2]))
        stage.mark("off_route", begins, closes, along(line, goal), subject=f"{device.code},{code}", note=note)


def _between(line: Line, here: Spot, there: Spot) -> Line:
    """Along the line from the place nearest to one spot to another one on it."""
    whole = shapely.LineString(line)
    a, b = (whole.project(Point(spot), normalized=True) for spot in (here, there))
    return stretch(line, a, b) if abs(a - b) > 1e-6 else np.array([here, there])


def _day(village: Village, device: Device) -> tuple[Journey, list[tuple[float, float]]]:
    """A device's tours one after the other, with rests at the station; and the rests."""
    at, places, rests = [0.0], [village.station], []
    for begins, way in sorted(village.tours.get(device.code, []), key=lambda tour: tour[0]):
        journey = way.journey()
        late = max(0.0, at[-1] + 60.0 - begins)
        rests.append((at[-1], begins + late))
        at += [begins + late - 0.001, *(journey.at + late).tolist()]
        places += [village.station, *zip(journey.x.tolist(), journey.y.tolist(), strict=True)]
    rests.append((at[-1], SECONDS))
    return Journey(at, places), rests


# ── What truly took place ───────────────────────────────────────────────────────────────────────────────────────────
def _judge(stage: Stage, village: Village, journeys: list[Journey]) -> None:
    """Count what was walked, and mark what the plans miss."""
    at = np.arange(0.0, SECONDS, 5.0)
    closes = _clock(float(village.grids.closes[:2]))
    tracks = [journey.place(at) for journey in journeys]
    for zone in village.grids.zones:
        shape = stage.ground.zones[zone]
        stays = sorted(s for x, y in tracks for s in _stays(shapely.contains_xy(shape, x, y), at, village.grids.stay))
        _mark(stage, zone, len(stays), village.grids.visits, stays[-1][1] if stays else 0.0, closes, village.grids)
    zone = village.shore.zones[0]
    line = shapely.LineString(village.line)
    steps = shapely.line_interpolate_point(line, np.linspace(0, line.length, 200))
    near, last = np.zeros(len(steps), bool), 0.0
    for x, y in tracks:  # by one, or by several together
        near |= shapely.distance(steps, shapely.MultiPoint(np.column_stack([x, y]))) <= village.shore.corridor
        on = np.flatnonzero(shapely.distance(line, shapely.points(x, y)) < 30)
        last = max(last, float(at[on[-1]]) if len(on) else 0.0)
    _mark(stage, zone, int(near.mean() >= village.shore.share), 1, last, closes, village.shore)


def _stays(inside: NDArray[np.bool_], at: Floats, least: float) -> list[Span]:
    """From when to when it holds for so long at least."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]]))).reshape(-1, 2)
    found = [(float(at[a]), float(at[b - 1])) for a, b in edges.tolist()]
    return [(a, b) for a, b in found if b - a >= least]


def _mark(stage: Stage, zone: str, done: int, asked: int, last: float, closes: float, plan: Plan) -> None:
    middle = stage.ground.zones[zone].centroid
    opens = _clock(float(plan.opens[:2]))
    spot = (middle.x, middle.y)
    if done < asked:
        note = f"{plan.code}: {done} of {asked}"
        stage.mark("missed_patrol", opens, closes, spot, zone=zone, note=note)
    elif last > closes - 3 * HOUR:
        note = f"done {(closes - last) / 60:.0f} min before the end"
        stage.mark("late_patrol", closes - 3 * HOUR, last, spot, zone=zone, note=note)
