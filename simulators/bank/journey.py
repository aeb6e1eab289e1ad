"""Where somebody is over time, known beforehand: knots of time and place, straight between them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import numpy as np

from simulators.chance import Floats
from simulators.places import Line, Spot

MOOD: Final = 25.0  # s from one pace to another
SWAY: Final = 0.12  # share by which a pace varies
STRIDE: Final = 45.0  # m between changes of how far somebody keeps beside the line
TAPER: Final = 25.0  # m at a way's ends over which he comes back to it
REST: Final = (8.0, 118.0)  # s of a pause on the way; most are short


class Journey:
    """A way through time: ``at`` (s since the world's start), shape (k,), and metres, shape (k, 2)."""

    def __init__(self, at: Sequence[float], places: Sequence[Spot]) -> None:
        self.at = np.asarray(at, np.float64)
        self.x, self.y = np.asarray(places, np.float64).reshape(-1, 2).T

    def place(self, at: Floats) -> tuple[Floats, Floats]:
        """East and north at times of shape (n,); before the first and after the last knot it stays there."""
        return np.interp(at, self.at, self.x), np.interp(at, self.at, self.y)

    def spot(self, at: float) -> Spot:
        """The place at one time."""
        return float(np.interp(at, self.at, self.x)), float(np.interp(at, self.at, self.y))

    def velocity(self, at: Floats) -> tuple[Floats, Floats]:
        """Metres per second east and north, over the second before each time."""
        x, y = self.place(at)
        before_x, before_y = self.place(at - 1.0)
        return x - before_x, y - before_y

    @property
    def ends(self) -> float:
        """The time of the last knot."""
        return float(self.at[-1])


class Way:
    """Puts a journey together, step by step, from ``at`` seconds on, at ``spot``."""

    def __init__(self, draw: random.Random, at: float, spot: Spot) -> None:
        self._draw = draw
        self._at: list[float] = [at]
        self._places: list[Spot] = [spot]

    @property
    def now(self) -> float:
        """Seconds: how far it has been told."""
        return self._at[-1]

    @property
    def here(self) -> Spot:
        """Where it has led so far."""
        return self._places[-1]

    def stay(self, seconds: float) -> Way:
        """Stay where one is."""
        if seconds > 0:
            self._add(self.now + seconds, self.here)
        return self

    def until(self, at: float) -> Way:
        """Stay until a time."""
        return self.stay(at - self.now)

    def linger(self, seconds: float, radius: float, every: float = 20.0) -> Way:
        """Stay about a place, a step to and fro now and then."""
        middle, end = self.here, self.now + seconds
        while self.now < end:
            self.stay(min(self._draw.uniform(0.4, 1.6) * every, end - self.now))
            if self.now < end:
                spot = (
                    middle[0] + self._draw.uniform(-radius, radius),
                    middle[1] + self._draw.uniform(-radius, radius),
                )
                self._add(self.now + 2.0 + radius, spot)
        return self

    def go(self, way: Line | Sequence[Spot], pace: float, *, pauses: float = 0.0, weave: float = 0.0) -> Way:
        """Go along ``way`` (from where one is) at ``pace`` m/s, with ``pauses`` a second, ``weave`` m beside it."""
        line = np.vstack([np.asarray(self.here), np.asarray(way, np.float64).reshape(-1, 2)])
        reached = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        length = float(reached[-1])
        if length < 0.01:
            return self
        times, along = self._paces(length, pace, pauses)
        marks = np.unique(np.concatenate([reached, np.arange(STRIDE, length, STRIDE)]))
        taper = np.minimum(1.0, np.minimum(marks, length - marks) / TAPER) * weave
        aside = np.array([[self._draw.uniform(-1, 1), self._draw.uniform(-1, 1)] for _ in marks]) * taper[:, None]
        # Pauses are knots of their own: the same place at two times.
        every = np.unique(np.concatenate([marks, along]))
        x = np.interp(every, reached, line[:, 0]) + np.interp(every, marks, aside[:, 0])
        y = np.interp(every, reached, line[:, 1]) + np.interp(every, marks, aside[:, 1])
        first = np.searchsorted(along, every, "left").clip(0, len(along) - 1)
        exact = along[first] == every
        at = np.where(exact, times[first], np.interp(every, along, times))
        for when, east, north, distance in zip(at.tolist(), x.tolist(), y.tolist(), every.tolist(), strict=True):
            self._add(when, (east, north))
            stops = np.flatnonzero(along == distance)
            if len(stops) > 1:
                self._add(float(times[stops[-1]]), (east, north))
        return self

    def follow(self, journey: Journey, until: float) -> Way:
        """Do as told in a journey, up to a time."""
        known = journey.at < until
        for at, x, y in zip(*(c[known].tolist() for c in (journey.at, journey.x, journey.y)), strict=True):
            self._add(at, (x, y))
        self._add(until, journey.spot(until))
        return self

    def journey(self) -> Journey:
        """What has been told."""
        return Journey(self._at, self._places)

    def _paces(self, length: float, pace: float, pauses: float) -> tuple[Floats, Floats]:
        """Times and the distance gone by then, with its moods and pauses."""
        times, along = [self.now], [0.0]
        while along[-1] < length:
            speed = pace * (1.0 + SWAY * self._draw.uniform(-1, 1))
            step = min(MOOD, (length - along[-1]) / speed)
            times.append(times[-1] + step)
            along.append(min(length, along[-1] + speed * step) if step == MOOD else length)
            if pauses and along[-1] < length and self._draw.random() < pauses * MOOD:
                low, high = REST
                times.append(times[-1] + low + (high - low) * self._draw.random() ** 4)
                along.append(along[-1])
        return np.array(times), np.array(along)

    def _add(self, at: float, spot: Spot) -> None:
        if at > self.now:
            self._at.append(at)
            self._places.append(spot)
        elif at == self.now:
            self._places[-1] = spot
