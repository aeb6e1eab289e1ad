"""Boats: how patrol boats move, and the boat that sets a net where it must not."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

from devices.registry import Device
from simulators.bodies import Bodies, Carries
from simulators.chance import dice
from simulators.places import Ground, Spot
from simulators.truth import Diary

CRUISE: Final = (2.6, 4.2)  # m/s: 5-8 knots on patrol
HURRY: Final = (6.0, 8.0)  # 12-16 knots when called
HAUL: Final = 0.35  # m/s while a net is set or hauled
SCARED: Final = 150.0  # metres at which a net boat leaves before a patrol boat


def is_boat(device: Device) -> bool:
    """Whether a device that moves does so on the water."""
    return device.kind == "vessel" or device.role == "boat"


@dataclass(slots=True)
class NetBoat:
    """A boat from its coming to its going. ``ends``: the tick at which it takes in its net, 0 before it has set it."""

    slot: int
    zone: str
    home: Spot
    lasts: int
    draw: random.Random
    net: Spot = (0.0, 0.0)
    ends: int = 0
    episode: int = 0
    leaving: bool = False


class NetBoats:
    """The boats that fish with nets in a closed water."""

    def __init__(self, seed: int, bodies: Bodies, ground: Ground) -> None:
        self._seed, self._bodies, self._ground = seed, bodies, ground
        self._boats: list[NetBoat] = []
        self._count = 0

    def come(self, spot: Spot, zone: str, lasts: int, start: Spot) -> None:
        """A boat comes from ``start`` over the water to ``spot``, sets its net and stays ``lasts`` seconds."""
        self._count += 1
        draw = dice(self._seed, "net boat", self._count)
        slot = self._bodies.add(f"net boat {self._count}", start, Carries.BOAT | Carries.PERSON)
        self._bodies.send(slot, self._ground.by_boat(start, spot), draw.uniform(2.0, 3.0))
        self._boats.append(NetBoat(slot, zone, start, lasts, draw))

    def tick(self, tick: int, now: int, ended: set[int], diary: Diary) -> None:
        """Who has arrived sets the net, who is done goes home."""
        for boat in list(self._boats):
            if boat.ends and not boat.leaving and boat.ends <= tick:
                self._leave(boat, now, diary)
            elif boat.slot in ended:
                self._end_of_way(boat, tick, now, diary)

    def disturb(self, spot: Spot, tick: int) -> None:
        """A patrol boat has come: whoever sees it takes in the net."""
        for boat in self._boats:
            if boat.ends and math.dist(self._bodies.place(boat.slot), spot) <= SCARED:
                boat.ends = min(boat.ends, tick + boat.draw.randint(20, 60))

    def _end_of_way(self, boat: NetBoat, tick: int, now: int, diary: Diary) -> None:
        if boat.leaving:
            self._bodies.remove(boat.slot)
            self._boats.remove(boat)
            return
        if not boat.ends:
            boat.ends = tick + boat.lasts
            here = boat.net = self._bodies.place(boat.slot)
            self._bodies.carries[boat.slot] = Carries.BOAT | Carries.PERSON | Carries.NET
            boat.episode = diary.begin("fishing", now, here, zone=boat.zone, note="a boat sets a net")
        self._haul(boat)

    def _haul(self, boat: NetBoat) -> None:
        """Back and forth along the net, slowly."""
        turn = (boat.net[0] + boat.draw.uniform(-30, 30), boat.net[1] + boat.draw.uniform(-30, 30))
        self._bodies.send(boat.slot, self._ground.by_boat(self._bodies.place(boat.slot), turn), HAUL)

    def _leave(self, boat: NetBoat, now: int, diary: Diary) -> None:
        boat.leaving = True
        diary.end(boat.episode, now)
        self._bodies.carries[boat.slot] = Carries.BOAT | Carries.PERSON
        way = self._ground.by_boat(self._bodies.place(boat.slot), boat.home)
        self._bodies.send(boat.slot, way, boat.draw.uniform(3.0, 5.0))
