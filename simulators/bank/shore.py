"""Chapter shore: who fishes where cameras look, and who only walks, rests or passes there."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from devices.registry import Device
from devices.site import Zone
from devices.site_folder import SiteFolder
from simulators.bank.journey import Journey, Way
from simulators.bank.stage import Played, Stage, along, rounds, stretch
from simulators.bodies import Carries
from simulators.cameras import Cameras
from simulators.places import Spot
from simulators.scenes import Scenes
from simulators.vessels import CRUISE, HAUL

SECONDS = 6_000.0
ASHORE, ROD, AFLOAT = Carries.PERSON, Carries.PERSON | Carries.ROD, Carries.PERSON | Carries.BOAT
NETTING = AFLOAT | Carries.NET
PITCH = 260.0  # m between parties on the bank


class Shore:
    """One world: the ban zones with cameras, those in season and those out of it."""

    def __init__(self, folder: SiteFolder, seed: int) -> None:
        self.stage = stage = Stage("shore", folder, seed, SECONDS)
        zones = [z for z in folder.zones if z.kind == "no_fishing"]
        watched = {code for d in folder.devices if d.kind == "camera" for code in d.properties.get("watches", ())}
        zones = [z for z in zones if z.code in watched]
        stage.fixed = [
            d for d in folder.devices
            if d.kind == "camera" and set(d.properties.get("watches", ())) & {z.code for z in zones}
        ]  # fmt: skip
        cameras = Cameras(seed, stage.fixed, stage.ground, stage.start)
        moments = np.array([stage.micros(0), stage.micros(SECONDS)])
        forced = [z for z in zones if z.season is None or bool(z.season.active(moments).all())]
        free = [z for z in zones if z.season is not None and not z.season.active(moments).any()]
        self.scenes = Scenes(forced, stage.ground, cameras, stage.holes)
        self.open = Scenes(free, stage.ground, cameras, stage.holes) if free else None
        self.zones = {z.code: z for z in zones}
        self.taken: list[Spot] = []
        self.moored: list[Spot] = []
        self.number = 0

    def name(self, what: str) -> str:
        """A name for one more body."""
        self.number += 1
        return f"{what} {self.number}"

    # ── On the bank ─────────────────────────────────────────────────────────────────────────────────────────────────
    def places(self, scenes: Scenes, draw: random.Random, count: int) -> tuple[str, list[Spot]] | None:
        """Places side by side that no other party has, in a camera's view."""
        for _ in range(12):
            found = scenes.bank(draw, self.stage.start, count, self._near)
            if found is not None and not self._near(found[1][0]):
                self.taken += found[1]
                return found
        return None

    def _near(self, spot: Spot) -> bool:
        return any(np.hypot(spot[0] - x, spot[1] - y) < PITCH for x, y in self.taken)

    def anglers(self, draw: random.Random, scenes: Scenes, *, banned: bool = True) -> None:
        """One to three people come over land, put up their rods, fish and go again."""
        count, lasts = draw.choice((1, 1, 2, 2, 3)), draw.uniform(8, 50) * 60
        hidden = banned and count == 1 and lasts > 1_500 and draw.random() < 0.25  # the rod lies in the reeds
        found = self.places(scenes, draw, count)
        if found is None:
            return
        zone, spots = found
        comes = draw.uniform(30.0, max(60.0, SECONDS - lasts - 600))
        home = self.stage.ground.inland(spots[0], draw.uniform(45.0, 75.0))
        first, last = SECONDS, 0.0
        for spot in spots:
            way = Way(draw, comes + draw.uniform(0, 40), (home[0] + draw.uniform(-4, 4), home[1] + draw.uniform(-4, 4)))
            came = way.now
            way.go([spot], draw.uniform(1.1, 1.4)).stay(draw.uniform(10, 30))
            up = way.now
            way.linger(lasts + draw.uniform(-30, 30), draw.choice((0.5, 1.5, 3.0)), draw.uniform(15, 90))
            down = way.now
            way.go([home], draw.uniform(1.1, 1.4))
            what = ASHORE if hidden else ROD
            self.stage.add(
                self.name("angler"), way.journey(), (came, up, ASHORE), (up, down, what), (down, way.now, ASHORE)
            )
            first, last = min(first, up), max(last, down)
        note = "one angler with a rod" if count == 1 else f"{count} anglers with rods"
        note += ", hidden in the reeds" if hidden else ""
        self.stage.mark("fishing" if banned else "open_season", first, last, spots[0], zone=zone, note=note)

    def walker(self, draw: random.Random, *, poles: bool) -> None:
        """Somebody walks along the bank of a ban zone, with poles that look like rods, or with nothing."""
        found = self.scenes.bank(draw, self.stage.start, 1, lambda _: False)
        if found is None:
            return
        zone, (spot,) = found
        sides = (draw.uniform(150, 420), -draw.uniform(150, 420))
        here, there = (self.stage.ground.beside(spot, side) for side in draw.sample(sides, 2))
        begin = draw.uniform(10, SECONDS - 900)
        way = Way(draw, begin, here)
        way.go(self.stage.ground.on_foot(here, there), draw.uniform(0.9, 1.5), pauses=1 / 240.0, weave=2.0)
        self.stage.add(self.name("walker"), way.journey(), (begin, way.now, ROD if poles else ASHORE))
        note = "walks along the bank with poles" if poles else "walks along the bank"
        self.stage.mark("poles" if poles else "walker", begin, way.now, spot, zone=zone, note=note)

    def rest(self, draw: random.Random) -> None:
        """Walkers sit down at the water for some minutes and go on."""
        found = self.places(self.scenes, draw, draw.choice((1, 2)))
        if found is None:
            return
        zone, spots = found
        begin, lasts = draw.uniform(10, SECONDS - 1_500), draw.uniform(3, 12) * 60
        for spot in spots:
            here, there = self.stage.ground.beside(spot, -180.0), self.stage.ground.beside(spot, 180.0)
            way = Way(draw, begin, here)
            way.go(self.stage.ground.on_foot(here, spot), 1.25).linger(lasts, 1.5, 40.0)
            way.go(self.stage.ground.on_foot(way.here, there), 1.25)
            self.stage.add(self.name("rester"), way.journey(), (begin, way.now, ASHORE))
        self.stage.mark("picnic", begin, begin + lasts + 300, spots[0], zone=zone, note="people rest at the water")

    # ── On the water ────────────────────────────────────────────────────────────────────────────────────────────────
    def berth(self, draw: random.Random) -> tuple[str, Spot, Spot] | None:
        """A zone, a place on its water away from other boats, and from where a boat comes there."""
        for _ in range(20):
            found = self.scenes.water(draw, self.stage.start)
            if found is None:
                return None
            zone, spot = found
            if all(np.hypot(spot[0] - x, spot[1] - y) > 2 * PITCH for x, y in self.moored):
                self.moored.append(spot)
                return zone, spot, self.far_off(draw, spot)
        return None

    def far_off(self, draw: random.Random, spot: Spot) -> Spot:
        """Somewhere on the lake."""
        for _ in range(40):
            x, y = spot[0] + draw.uniform(-900, 900), spot[1] + draw.uniform(-900, 900)
            if np.hypot(x - spot[0], y - spot[1]) > 400 and self.stage.ground.afloat((x, y)):
                return x, y
        return spot

    def net(self, draw: random.Random, *, permit: Device | None = None) -> None:
        """A boat comes, sets a net, works along it and goes; one with a permit carries a terminal."""
        found = self.berth(draw)
        if found is None:
            return
        zone, spot, home = found
        ground = self.stage.ground
        lasts = draw.uniform(12, 40) * 60
        begin = draw.uniform(20, max(60.0, SECONDS - lasts - 900))
        way = Way(draw, begin, home)
        way.go(ground.by_boat(home, spot), draw.uniform(2.0, 3.0))
        down = way.now
        while way.now < down + lasts:
            turn = (spot[0] + draw.uniform(-30, 30), spot[1] + draw.uniform(-30, 30))
            way.go(ground.by_boat(way.here, turn), HAUL)
        up = way.now
        way.go(ground.by_boat(way.here, home), draw.uniform(3.0, 5.0))
        shown = ((begin, down, AFLOAT), (down, up, NETTING), (up, way.now, AFLOAT))
        journey = way.journey()
        self.stage.add(self.name("net boat"), journey, *shown)
        if permit is None:
            self.stage.mark("fishing", down, up, spot, zone=zone, note="a boat sets a net")
        else:
            self.stage.carry(permit, journey, shown=Carries(0))  # it stays on at its berth
            self.stage.mark("licensed", down, up, spot, subject=permit.code, zone=zone, note="nets with a permit")

    def passing(self, draw: random.Random, *, halt: bool) -> None:
        """A boat crosses the zone; some stop for a minute or two to look at the engine."""
        found = self.berth(draw)
        if found is None:
            return
        zone, spot, home = found
        begin = draw.uniform(20, SECONDS - 900)
        way = Way(draw, begin, home)
        way.go(self.stage.ground.by_boat(home, spot), draw.uniform(2.5, 5.0))
        if halt:
            way.linger(draw.uniform(40, 180), 3.0)
        way.go(self.stage.ground.by_boat(way.here, self.far_off(draw, spot)), draw.uniform(2.5, 5.0))
        self.stage.add(self.name("boat"), way.journey(), (begin, way.now, AFLOAT))
        self.stage.mark("passing_boat", begin, way.now, spot, zone=zone, note="a boat passes" + ", halting" * halt)

    # ── Our own ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def patrols(self, draw: random.Random) -> None:
        """Two patrols on foot who walk the bank, one of whom rests there, and a patrol boat."""
        ground = self.stage.ground
        on_foot = [d for d in self.stage.folder.devices if d.role == "patrol" and d.kind == "terminal"]
        for device in draw.sample(on_foot, min(2, len(on_foot))):
            zone = draw.choice(list(self.zones))
            spots = ground.bank_spots(zone, offset=12.0)
            if len(spots) < 3:
                continue
            line = np.asarray(ground.on_foot((spots[0, 0], spots[0, 1]), (spots[-1, 0], spots[-1, 1])))
            if draw.random() < 0.5:
                self.stage.carry(device, rounds(draw, line, SECONDS))
                continue
            share = draw.uniform(0.3, 0.7)
            way = Way(draw, 0.0, along(line, 0.02)).go(stretch(line, 0.02, share), draw.uniform(1.2, 1.5), weave=2.5)
            way.linger(draw.uniform(8, 25) * 60, 2.0, 60.0).go(stretch(line, share, 0.98), draw.uniform(1.2, 1.5))
            self.stage.carry(device, way.journey())
        for device in [d for d in self.stage.folder.devices if d.role == "boat" and d.kind == "terminal"][:1]:
            route = ground.route(device, afloat=True)
            way = Way(draw, 0.0, (float(route[0, 0]), float(route[0, 1])))
            while way.now < SECONDS:
                way.go(route, draw.uniform(*CRUISE), weave=8.0)
                way.go(route[::-1], draw.uniform(*CRUISE), weave=8.0)
            self.stage.carry(device, way.journey(), shown=AFLOAT)

    def licensed(self) -> Device:
        """A boat with a permit for the ban zones, its terminal and its papers registered."""
        some = next(d for d in self.stage.folder.devices if d.role == "boat")
        device = replace(
            some, code="V-PERMIT", kind="vessel", role="", name="科研采样船", name_en="Survey boat", interval=10.0,
            aliases=(), properties={"permit": True, "permits": sorted(self.zones)},
        )  # fmt: skip
        self.stage.folder = replace(self.stage.folder, devices=(*self.stage.folder.devices, device))
        return device


def shore(folder: SiteFolder, seed: int) -> Played:
    """100 minutes on the bank of the ban zones."""
    world = Shore(folder, seed)
    draw = world.stage.draw
    for number in range(6):
        world.anglers(world.stage.dice("anglers", number), world.scenes)
    for number in range(2):
        world.net(world.stage.dice("net", number))
    if world.open is not None:
        for number in range(2):
            world.anglers(world.stage.dice("open", number), world.open, banned=False)
    for number in range(8):
        world.walker(world.stage.dice("walker", number), poles=number < 3)
    for number in range(2):
        world.rest(world.stage.dice("rest", number))
    world.passing(world.stage.dice("passing"), halt=False)
    world.passing(world.stage.dice("halting"), halt=True)
    if draw.random() < 0.5:
        world.net(world.stage.dice("permit"), permit=world.licensed())
    world.patrols(world.stage.dice("patrols"))
    return world.stage.play()


def zone_middle(stage: Stage, zone: Zone) -> Spot:
    """A place within a zone."""
    middle = zone.geometry.representative_point()
    return stage.ground.frame.spot(middle.x, middle.y)


def standing(spot: Spot) -> Journey:
    """Somebody who never moves."""
    return Journey([0.0, 1.0], [spot, spot])
