"""Everything that moves: patrols, boats, anglers, walkers, as columns by slot. Each follows its way at its pace."""

from __future__ import annotations

from enum import IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulators.chance import Floats, Keys, drifts, name_key, uniform
from simulators.places import Line, Spot

TICK: Final = 1.0  # seconds of world time in one step
MOOD: Final = 25  # ticks from one pace to another
PAUSE, PAUSE_LENGTH, PACE, WEAVE_X, WEAVE_Y = range(1, 6)  # purposes of draws


class Carries(IntFlag):
    """What a camera can make out of a body."""

    PERSON = 1
    ROD = 2
    NET = 4
    BOAT = 8


class Bodies:
    """Columns by slot. A slot that is left free is taken by the next guest."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.size = 0
        self.x, self.y, self.vx, self.vy = (np.zeros(0) for _ in range(4))
        self.present = np.zeros(0, bool)
        self.carries = np.zeros(0, np.int64)
        self.keys: Keys = np.zeros(0, np.uint64)
        self.pace, self.restless, self.weave = (np.zeros(0) for _ in range(3))  # m/s; pauses per s; m
        self.paused_until: NDArray[np.int64] = np.zeros(0, np.int64)  # tick
        self._along, self._length = np.zeros(0), np.zeros(0)
        self._leg: NDArray[np.int64] = np.zeros(0, np.int64)  # which piece of the way
        self._ways: list[Line] = []
        self._reached: list[Floats] = []  # distance from the way's start at each of its points
        self._moods: tuple[int, Floats, Floats] | None = None
        self._table: tuple[NDArray[np.int64], NDArray[np.int64], Floats, Line] | None = None

    def add(self, name: str, spot: Spot, carries: Carries) -> int:
        """A body at ``spot``, standing; returns its slot. Its draws depend on the seed and its ``name`` alone."""
        free = np.flatnonzero(~self.present)
        slot = int(free[0]) if len(free) else self._grow()
        self.present[slot] = True
        self.carries[slot] = carries
        self.keys[slot] = name_key(self._seed, "body", name)
        self._moods = None
        self.restless[slot] = self.weave[slot] = self.pace[slot] = 0.0
        self.x[slot], self.y[slot] = spot
        self.stand(slot)
        return slot

    def remove(self, slot: int) -> None:
        """Take a body off the scene."""
        self.stand(slot)
        self.present[slot] = False

    def send(self, slot: int, way: Line, pace: float, *, pauses: float = 0.0, weave: float = 0.0) -> None:
        """Let a body go along ``way`` at ``pace`` m/s, with ``pauses`` a second and ``weave`` metres off the line."""
        reached = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(way, axis=0).T))])
        self._ways[slot], self._reached[slot] = way, reached
        self._leg[slot], self._along[slot], self._length[slot] = 0, 0.0, reached[-1]
        self.pace[slot], self.restless[slot], self.weave[slot] = pace, pauses, weave
        self.paused_until[slot] = 0
        self._table = None

    def stand(self, slot: int) -> None:
        """Let a body stay where it is."""
        spot = (self.x[slot], self.y[slot])
        self.send(slot, np.array([spot, spot]), 0.0)
        self.vx[slot] = self.vy[slot] = 0.0

    def place(self, slot: int) -> Spot:
        """Where a body is."""
        return float(self.x[slot]), float(self.y[slot])

    def near(self, spot: Spot, radius: float) -> NDArray[np.int64]:
        """The slots of bodies present within ``radius`` metres."""
        return np.flatnonzero(self.present & (np.hypot(self.x - spot[0], self.y - spot[1]) <= radius))

    def move(self, tick: int) -> NDArray[np.int64]:
        """One tick of motion; returns the slots that came to the end of their way in it."""
        if not self.size:
            return np.zeros(0, np.int64)
        walking = self._along < self._length
        self._pause(walking, tick)
        going = walking & (self.paused_until <= tick)
        pace = self.pace * (1.0 + 0.12 * self._mood(tick))
        self._along = np.minimum(self._along + np.where(going, pace * TICK, 0.0), self._length)
        x, y = self._look_up()
        self.vx, self.vy = (x - self.x) / TICK, (y - self.y) / TICK
        self.x, self.y = x, y
        return np.flatnonzero(walking & (self._along >= self._length))

    def _mood(self, tick: int) -> Floats:
        """How much faster or slower than usual everybody goes, -1..1: it wanders over minutes."""
        knot, share = divmod(tick, MOOD)
        if self._moods is None or self._moods[0] != knot:
            here, there = (2.0 * uniform(self.keys, PACE, n) - 1.0 for n in (knot, knot + 1))
            self._moods = (knot, here, there)
        _, here, there = self._moods
        return here + share / MOOD * (there - here)

    def _pause(self, walking: NDArray[np.bool_], tick: int) -> None:
        """People stop to look, to talk, to phone: mostly for a quarter of a minute, seldom for two."""
        stops = np.flatnonzero(
            walking & (self.paused_until <= tick) & (uniform(self.keys, PAUSE, tick) < self.restless * TICK)
        )
        if len(stops):
            share = uniform(self.keys[stops], PAUSE_LENGTH, tick)
            self.paused_until[stops] = tick + (8.0 + 110.0 * share**4).astype(np.int64)

    def _look_up(self) -> tuple[Floats, Floats]:
        """Where each body is, reckoned from its own way's start, so that nobody's place depends on the others."""
        if self._table is None:
            self._build()
        assert self._table is not None
        first, last, reached, line = self._table
        at = first + self._leg
        while (on := (self._along > reached[at + 1]) & (at + 1 < last)).any():
            self._leg += on
            at = first + self._leg
        step = reached[at + 1] - reached[at]
        share = np.divide(self._along - reached[at], step, out=np.zeros(self.size), where=step > 0)[:, None]
        place = line[at] + share * (line[at + 1] - line[at])
        taper = np.minimum(1.0, np.minimum(self._along, self._length - self._along) / 25.0) * self.weave
        aside = taper * drifts(self.keys, (WEAVE_X, WEAVE_Y), self._along / 45.0)
        return place[:, 0] + aside[0], place[:, 1] + aside[1]

    def _build(self) -> None:
        """All ways in one table: first and last row of each way; per row the distance from its start and the place."""
        counts = np.array([len(way) for way in self._ways])
        last = np.cumsum(counts) - 1
        reached = np.concatenate(self._reached)
        self._table = (last - counts + 1, last, reached, np.vstack(self._ways))

    def _grow(self) -> int:
        slot, self.size = self.size, self.size + 1
        for name in ("x", "y", "vx", "vy", "present", "carries", "keys", "pace", "restless", "weave", "paused_until",
                     "_along", "_length", "_leg"):  # fmt: skip
            column = getattr(self, name)
            setattr(self, name, np.append(column, column.dtype.type(0)))
        self._ways.append(np.zeros((2, 2)))
        self._reached.append(np.zeros(2))
        return slot
