"""Each new fix with the one before it of the same device, as columns: what any look at a single track begins with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.geo import DEGREE, Floats
from devices.readings import SECOND, Rows

NEVER: Final = -(1 << 62)
NUMBERS: Final = ("lon", "lat", "speed", "accuracy", "battery")

Times: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
Ids: TypeAlias = NDArray[np.intp]


class Spot(NamedTuple):
    """One fix."""

    at: int
    lon: float
    lat: float
    speed: float
    accuracy: float
    battery: float = math.nan


@dataclass(slots=True)
class Legs:
    """Fixes by device and time, columns of shape (n,). Those ``_before`` are of the fix before, ``at_before`` NEVER
    where none is known; ``metres`` and ``seconds`` lead from it to this one, NaN without it. ``first``: the device's
    first one here, whose fix before is in ``known``."""

    device: Times
    first: Mask
    at: Times
    lon: Floats
    lat: Floats
    speed: Floats
    accuracy: Floats
    battery: Floats
    at_before: Times
    lon_before: Floats
    lat_before: Floats
    metres: Floats
    seconds: Floats
    known: Lasts

    def __len__(self) -> int:
        return len(self.device)

    @property
    def final(self) -> Ids:
        """The index of each device's newest fix here."""
        return np.flatnonzero(np.append(self.first[1:], True)) if len(self) else np.empty(0, np.intp)

    def of(self, device: int) -> range:
        """The indices of a device's fixes."""
        return range(*(int(k) for k in np.searchsorted(self.device, [device, device + 1])))

    def spot(self, i: int) -> Spot:
        """A fix."""
        numbers = (float(column[i]) for column in (self.lon, self.lat, self.speed, self.accuracy, self.battery))
        return Spot(int(self.at[i]), *numbers)

    def before(self, i: int) -> Spot:
        """The fix before it."""
        return self.known.spot(int(self.device[i])) if self.first[i] else self.spot(i - 1)

    def some(self, which: Ids) -> Legs:
        """Those of some devices, each with all its fixes."""
        columns: list[Any] = [getattr(self, name)[which] for name in self.__slots__ if name != "known"]
        return Legs(*columns, self.known)  # type: ignore[call-arg]  # mypy cannot count what a list holds

    def shifted(self, here: NDArray[Any], known: NDArray[Any]) -> NDArray[Any]:
        """A column's value at the fix before; ``known`` by device holds that of before these fixes."""
        found = known[self.device]
        inner = np.flatnonzero(~self.first)
        found[inner] = here[inner - 1]
        return found


class Lasts:
    """The newest fix of each device that was worth a look, columns by device id."""

    def __init__(self) -> None:
        self.at: Times = np.empty(0, np.int64)
        self.columns: dict[str, Floats] = {name: np.empty(0) for name in NUMBERS}

    def __len__(self) -> int:
        return len(self.at)

    def legs(self, fixes: Rows, accuracy: float) -> Legs:
        """Take fixes in any order; those without a place, less exact than ``accuracy`` m or not newer than what is
        known of their device are left out."""
        device, at = fixes["device"].astype(np.int64), fixes["at"].copy()
        self._grow(int(device.max(initial=-1)) + 1)
        good = (np.abs(fixes["lon"]) <= 180) & (np.abs(fixes["lat"]) <= 90) & (at > self.at[device])
        good &= ~(fixes["accuracy"] > accuracy)
        which: slice | Ids = slice(None)
        if not good.all():
            which = np.flatnonzero(good)
            device, at = device[which], at[which]
        if ((device[1:] < device[:-1]) | ((device[1:] == device[:-1]) & (at[1:] <= at[:-1]))).any():
            order = np.lexsort((at, device))  # seldom: the pipeline's batches come sorted
            order = order[np.append(True, (np.diff(device[order]) != 0) | (np.diff(at[order]) != 0))]
            which = order if isinstance(which, slice) else which[order]
            device, at = device[order], at[order]
        return self._joined(device, at, {name: fixes[name][which].astype(np.float64) for name in NUMBERS})

    def _joined(self, device: Times, at: Times, now: dict[str, Floats]) -> Legs:
        first = np.append(True, device[1:] != device[:-1])[: len(device)]
        inner = np.flatnonzero(~first)
        before = [known[device] for known in (self.at, self.columns["lon"], self.columns["lat"])]
        for column, here in zip(before, (at, now["lon"], now["lat"]), strict=True):
            column[inner] = here[inner - 1]
        at_before, lon, lat = before
        metres = DEGREE * np.hypot((now["lon"] - lon) * np.cos(np.radians(now["lat"])), now["lat"] - lat)
        seconds = (at - at_before) / SECOND
        seconds[at_before == NEVER] = np.nan
        columns: list[Any] = [device, first, at, *now.values(), at_before, lon, lat, metres, seconds]
        return Legs(*columns, self)  # type: ignore[call-arg]  # as above

    def take(self, legs: Legs) -> None:
        """They have been looked at: from now on the newest of them are those before."""
        final = legs.final
        device = legs.device[final]
        self.at[device] = legs.at[final]
        for name, column in self.columns.items():
            column[device] = getattr(legs, name)[final]

    def spot(self, device: int) -> Spot:
        """A device's newest fix; its ``at`` is NEVER where none is known."""
        return Spot(int(self.at[device]), *(float(self.columns[name][device]) for name in NUMBERS))

    def _grow(self, size: int) -> None:
        missing = size - len(self.at)
        if missing > 0:
            self.at = np.append(self.at, np.full(missing, NEVER))
            for name in NUMBERS:
                self.columns[name] = np.append(self.columns[name], np.full(missing, np.nan))


class Runs:
    """Runs of fixes: each fix goes on with the run of the one before, or begins one of its own."""

    def __init__(self, legs: Legs, go_on: Mask) -> None:
        self._legs, index = legs, np.arange(len(legs))
        begun = np.maximum.accumulate(np.where(go_on, -1, index))
        start = np.maximum.accumulate(np.where(legs.first, index, 0))
        self._begun = np.maximum(begun, 0)
        self._here = begun >= start
        self._final = legs.final

    def carry(self, here: NDArray[Any], known: NDArray[Any]) -> NDArray[Any]:
        """The value of ``here`` at the beginning of each fix's run. ``known`` holds it by device for the run that goes
        on from before; it is moved forward in place."""
        found = np.where(self._here, here[self._begun], known[self._legs.device])
        known[self._legs.device[self._final]] = found[self._final]
        return found

    def total(self, steps: Floats, known: Floats) -> Floats:
        """The sum of ``steps`` since the beginning of each fix's run, the first one's left out; ``known`` as above."""
        summed, legs = np.cumsum(steps), self._legs
        start = np.maximum.accumulate(np.where(legs.first, np.arange(len(legs)), 0))
        before = known[legs.device] - np.where(start > 0, summed[start - 1], 0.0)
        found = np.where(self._here, summed - summed[self._begun], summed + before)
        known[legs.device[self._final]] = found[self._final]
        return np.asarray(found, np.float64)
