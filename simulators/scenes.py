"""Where things happen: places that fit an episode, chosen by lot among those a camera can see."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from devices.site import Zone
from simulators.cameras import Cameras
from simulators.places import Ground, Line, Spot
from simulators.radio import Patches

NEAR: Final = (30.0, 450.0)  # a good view: so many metres from the camera
INNER: Final = 0.75  # of the camera's field of view
Taken = Callable[[Spot], bool]
ASIDE = 150.0  # metres from a hole in the network's coverage, so that those sent there can be heard


class Scenes:
    """The places on the bank and on the water of the ban zones, those in a camera's good view first."""

    def __init__(self, zones: Sequence[Zone], ground: Ground, cameras: Cameras, holes: Patches) -> None:
        self._ground, self._cameras, self._holes = ground, cameras, holes
        self._zones = [z for z in zones if z.kind == "no_fishing"]
        self._bank = {z.code: self._sorted_out(_bank(ground, z.code)) for z in self._zones}
        self._water = {z.code: self._sorted_out(ground.water_spots(z.code)) for z in self._zones}

    def bank(self, draw: random.Random, now: int, count: int, taken: Taken) -> tuple[str, list[Spot]] | None:
        """A ban zone in force and ``count`` places side by side at its water's edge; None where the site has none."""
        return self._pick(self._bank, draw, now, count, taken)

    def water(self, draw: random.Random, now: int) -> tuple[str, Spot] | None:
        """A ban zone in force and a place on its water; None where the site has none."""
        found = self._pick(self._water, draw, now, 1, lambda _: False)
        return None if found is None else (found[0], found[1][0])

    def _pick(
        self, spots: dict[str, Line], draw: random.Random, now: int, count: int, taken: Taken
    ) -> tuple[str, list[Spot]] | None:
        moment = np.array([now])
        zones = [z for z in self._zones if len(spots[z.code]) >= count]
        in_force = [z for z in zones if z.season is None or z.season.active(moment)[0]]
        if not (choice := in_force or zones):
            return None
        for _ in range(20):  # a place that nobody has taken, if there is one
            zone = draw.choice(choice).code
            first = draw.randrange(len(spots[zone]) - count + 1)
            beside = [(float(x), float(y)) for x, y in spots[zone][first : first + count]]
            if not taken(beside[0]) and all(math.dist(a, b) < 40.0 for a, b in pairwise(beside)):
                break
        return zone, beside

    def _sorted_out(self, spots: Line) -> Line:
        """The spots in a camera's good view and the network's reach; without such, all."""
        if not len(spots) or not len(self._cameras.devices):
            return spots
        distance = self._cameras.sight(spots[:, 0], spots[:, 1])
        within = self._cameras.sight(spots[:, 0], spots[:, 1], INNER)
        good = ((within >= NEAR[0]) & (within <= NEAR[1])).any(axis=0)
        heard = ~self._holes.cover(spots[:, 0], spots[:, 1], margin=ASIDE)
        for fit in (good & heard, good, np.isfinite(distance).any(axis=0)):
            if fit.any():
                return np.asarray(spots[fit])
        return spots


def _bank(ground: Ground, zone: str) -> Line:
    """On land at the water's edge, or, where the zone is the water alone, as near to the edge as it reaches."""
    for offset in (3.0, 0.0, -2.0, -6.0):
        if len(spots := ground.bank_spots(zone, offset=offset)) >= 3:
            return spots
    return np.empty((0, 2))
