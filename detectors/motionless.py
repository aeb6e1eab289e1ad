"""Terminals that were on the move and have not moved for some time: where, since when.

Of each terminal one place is kept for each *beat* (a minute of its own clock): the first that arrives. From one to the
next it moves or not; where it does not, and has moved within the last ``duty`` seconds, a look is taken at its places
of the last ``still`` seconds. So what is found depends on so long a stretch and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.geo import DEGREE, Floats
from devices.readings import SECOND, Rows

NEVER: Final = -(1 << 62)
KNOWN: Final = 0.7  # of the beats must have a place
NEAR: Final = 0.8  # of the places must be near their middle: a receiver's wild places are no movement
MOVED: Final = 1.5  # times ``within`` from one place to the next: it moves
FAR: Final = 2.0  # times ``within``: no look is needed

Times = NDArray[np.int64]
Where = Callable[[Floats, Floats], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Stillness:
    """What counts as motionless. Times in µs."""

    still: int
    within: float  # m around the middle of the places
    duty: int
    renew: int
    beat: int
    accuracy: float = 50.0  # m; a worse place is none

    @classmethod
    def of(cls, still: float, within: float, duty: float, renew: float, beat: float) -> Stillness:
        """From seconds and metres."""
        return cls(int(still * SECOND), within, int(duty * SECOND), int(renew * SECOND), int(beat * SECOND))

    @property
    def places(self) -> int:
        """Beats that a look spans: the last ``still`` µs, and one that began before them."""
        return self.still // self.beat + 2


class Still(NamedTuple):
    """A terminal that has not moved, to be told."""

    device: int
    since: int  # UTC µs of the earliest place that was looked at
    at: int
    lon: float
    lat: float
    moved: int  # when it was last seen to move
    received: int  # its newest place
    battery: float  # percent, with its newest place


class Motionless:
    """The places of the last beats of all terminals; columns by device id."""

    def __init__(self, limits: Stillness, size: int) -> None:
        self._limits = limits
        self._next: Times = np.full(0, NEVER)  # the end of the beat of its newest place
        self._moved: Times = np.full(0, NEVER)
        self._looked: Times = np.full(0, NEVER)
        self._was_still = np.zeros(0, bool)
        self._last_lon, self._last_lat = np.zeros(0), np.zeros(0)  # its newest place
        shape = (0, limits.places)
        self._at: Times = np.full(shape, NEVER)
        self._lon, self._lat = np.zeros(shape), np.zeros(shape)
        self._grow(size)

    def step(self, fixes: Rows, where: Where) -> list[Still]:
        """Take fixes in, in any order; they count in that of their arrival, and those older than the newest not.

        ``where`` says of longitudes and latitudes, shape (n,), whether stillness there is to be told.
        """
        device, at = fixes["device"], fixes["at"]
        if not len(device):
            return []
        self._grow(int(device.max()) + 1)
        new = np.flatnonzero(at >= self._next[device])  # most are not the first of their beat
        placed = np.isfinite(fixes["lon"][new]) & ~(fixes["accuracy"][new] > self._limits.accuracy)
        new = new[placed & np.isfinite(fixes["lat"][new])]
        who = device[new]
        if (who[1:] > who[:-1]).all():  # a live batch: one fix of each, in their order
            return self._look(fixes, new, where) if len(new) else []
        new = new[np.lexsort((at[new], fixes["received"][new], who))]
        found: list[Still] = []
        while len(new):  # a batch out of a store holds several beats of a terminal
            first = np.append(True, device[new[1:]] != device[new[:-1]])
            found += self._look(fixes, new[first], where)
            new = new[~first]
            new = new[at[new] >= self._next[device[new]]]
        return found

    def _look(self, fixes: Rows, which: NDArray[np.intp], where: Where) -> list[Still]:
        """One place of each of some terminals."""
        limits, device, now = self._limits, fixes["device"][which].astype(np.int64), fixes["at"][which]
        lon, lat, beat = fixes["lon"][which], fixes["lat"][which], now // limits.beat
        east = (lon - self._last_lon[device]) * np.cos(np.radians(lat))
        step = DEGREE * np.hypot(east, lat - self._last_lat[device])
        step[now - self._looked[device] > limits.still] = np.nan  # the first place, or the first for long
        cell = device * limits.places + beat % limits.places
        self._at.put(cell, now)
        self._lon.put(cell, lon)
        self._lat.put(cell, lat)
        self._last_lon[device], self._last_lat[device], self._next[device] = lon, lat, (beat + 1) * limits.beat
        moves = step >= MOVED * limits.within
        self._moved[device[moves]] = now[moves]
        look = np.flatnonzero((step < FAR * limits.within) & (now - self._moved[device] <= limits.duty))
        due = look[self._due(device[look], now[look], lon[look], lat[look])]
        still = self._was_still[device[look]]
        self._was_still[device], self._looked[device] = False, now
        self._was_still[device[look]] = still
        due = due[where(lon[due], lat[due])] if len(due) else due
        return [self._told(fixes[which[i]]) for i in due]

    def _due(self, device: Times, now: Times, lon: Floats, lat: Floats) -> NDArray[np.intp]:
        """Which of some terminals are to be told; notes which are still."""
        if not len(device):
            return np.empty(0, np.intp)
        limits, at = self._limits, self._at[device]
        there = at >= now[:, None] - limits.still - limits.beat
        # Metres east and north of the newest place.
        x = (self._lon[device] - lon[:, None]) * (DEGREE * np.cos(np.radians(lat)))[:, None]
        y = (self._lat[device] - lat[:, None]) * DEGREE
        still = there.sum(axis=1) >= KNOWN * limits.places
        still &= np.where(there, at, now[:, None]).min(axis=1) <= now - limits.still
        still[still] = self._close(x[still], y[still], there[still])
        again = now // limits.renew != self._looked[device] // limits.renew
        due = np.flatnonzero(still & (again | ~self._was_still[device]))
        self._was_still[device] = still
        return due

    def _close(self, x: Floats, y: Floats, there: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether most places of each row, and its newest (0, 0), are near their middle."""
        if not len(x):
            return np.zeros(0, bool)
        middle = ((there.sum(axis=1) - 1) // 2)[:, None]
        middle_x, middle_y = (
            np.take_along_axis(np.sort(np.where(there, v, np.inf), axis=1), middle, axis=1)[:, 0] for v in (x, y)
        )
        near = (np.hypot(x - middle_x[:, None], y - middle_y[:, None]) <= self._limits.within) & there
        enough = near.sum(axis=1) >= NEAR * there.sum(axis=1)
        return np.asarray(enough & (np.hypot(middle_x, middle_y) <= self._limits.within))

    def _told(self, fix: Any) -> Still:
        device, now = int(fix["device"]), int(fix["at"])
        there = self._at[device] >= now - self._limits.still - self._limits.beat
        at, lon, lat = (column[device][there] for column in (self._at, self._lon, self._lat))
        place = (float(np.median(lon)), float(np.median(lat)))
        received, battery = int(fix["received"]), float(fix["battery"])
        return Still(device, int(at.min()), now, *place, int(self._moved[device]), received, battery)

    def _grow(self, size: int) -> None:
        missing = size - len(self._next)
        if missing <= 0:
            return
        for name in ("_next", "_moved", "_looked"):
            setattr(self, name, np.append(getattr(self, name), np.full(missing, NEVER)))
        self._was_still = np.append(self._was_still, np.zeros(missing, bool))
        self._last_lon, self._last_lat = (np.append(v, np.zeros(missing)) for v in (self._last_lon, self._last_lat))
        shape = (missing, self._limits.places)
        self._at = np.vstack([self._at, np.full(shape, NEVER)])
        self._lon, self._lat = np.vstack([self._lon, np.zeros(shape)]), np.vstack([self._lat, np.zeros(shape)])
