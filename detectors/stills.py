"""Positions that stand still as no receiver does: to the last digit, or while the device claims to be under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from detectors.geo import Floats, short_distance
from detectors.legs import NEVER, Legs, Mask, Runs, Spot, Times
from devices.readings import SECOND

GAP: Final = 180.0  # s without a fix end a run
SHARE: Final = 0.25  # of the way that the reported speed claims: less is a contradiction
FULL: Final = 99.0  # percent of the battery: on the charger
FINE: Final = 1e5  # per degree: a device that tells coarser places repeats them whenever it stands


class Still(NamedTuple):
    """A run that is to be told now. ``claims``: the device reports to be moving."""

    device: int
    since: int
    fix: Spot  # the present one
    claims: bool
    identical: bool
    suspects: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Standing:
    """Runs that go on, columns by device id; and the fixes of the last runs, in chunks of (device, at)."""

    runs: Mask = field(default_factory=lambda: np.empty(0, bool))  # whether one goes on
    begin: Times = field(default_factory=lambda: np.empty(0, np.int64))  # of the run without progress
    lon: Floats = field(default_factory=lambda: np.empty(0))
    lat: Floats = field(default_factory=lambda: np.empty(0))
    claimed: Floats = field(default_factory=lambda: np.empty(0))  # metres, by the reported speeds
    same: Times = field(default_factory=lambda: np.empty(0, np.int64))  # of the run without a change of any digit
    battery: Floats = field(default_factory=lambda: np.empty(0))
    told: Mask = field(default_factory=lambda: np.empty(0, bool))
    chunks: list[tuple[Times, Times]] = field(default_factory=list)

    def grow(self, size: int) -> None:
        """Make room for devices."""
        missing = size - len(self.begin)
        if missing > 0:
            self.begin, self.same = (np.append(c, np.full(missing, NEVER)) for c in (self.begin, self.same))
            self.runs, self.told = (np.append(c, np.zeros(missing, bool)) for c in (self.runs, self.told))
            for name in ("lon", "lat", "claimed", "battery"):
                setattr(self, name, np.append(getattr(self, name), np.zeros(missing)))


@dataclass(frozen=True, slots=True)
class Stills:
    """``frozen`` s while claiming ``pace`` m/s, within ``noise`` m from fix to fix; ``same`` s of equal digits."""

    frozen: float
    same: float
    pace: float
    noise: float
    renew: int  # µs
    longest: int  # µs

    def find(self, state: Standing, legs: Legs) -> Iterator[Still]:
        """The runs of which these fixes give something to tell."""
        go_on = (legs.metres <= self.noise) & (legs.seconds <= GAP)
        identical = go_on & (legs.lon == legs.lon_before) & (legs.lat == legs.lat_before)
        way = legs.speed * legs.seconds
        go_on &= identical | ((legs.speed >= self.pace) & (legs.metres <= SHARE * way))
        touched = state.runs[legs.device]
        touched |= go_on
        if not legs.first.all():  # a device with several fixes: all of them or none
            some = np.zeros(len(state.runs), bool)
            some[legs.device[touched]] = True
            touched = some[legs.device]
        which = np.flatnonzero(touched)
        if len(which):
            yield from self._runs(state, legs.some(which), go_on[which], identical[which], way[which])

    def _runs(self, state: Standing, legs: Legs, go_on: Mask, identical: Mask, way: Floats) -> Iterator[Still]:
        self._begin(state, legs)
        at, run, equal, final = legs.at, Runs(legs, go_on), Runs(legs, identical), legs.final
        begin, same = run.carry(at, state.begin), equal.carry(at, state.same)
        lon, lat = run.carry(legs.lon, state.lon), run.carry(legs.lat, state.lat)
        claimed = run.total(np.where(go_on, np.nan_to_num(way), 0.0), state.claimed)
        battery = equal.carry(legs.battery, state.battery)
        state.runs[legs.device[final]] = go_on[final]
        state.chunks.append((legs.device[go_on], at[go_on]))
        seconds = (at - begin) / SECOND
        moving = go_on & (seconds >= self.frozen) & (claimed >= self.pace * seconds)
        moving &= short_distance(lon, lat, legs.lon, legs.lat) <= 5 * self.noise
        lying = identical & ((at - same) / SECOND >= self.same) & ~(legs.battery > np.minimum(battery + 1.0, FULL))
        lying &= _fine(legs.lon) | _fine(legs.lat)
        for i, again in self._due(state, legs, moving | lying):
            since, until = int(begin[i] if moving[i] else same[i]), int(at[i])
            oldest = max(since, (until // self.renew - 1) * self.renew if again else until - self.longest)
            suspects = self._suspects(state, int(legs.device[i]), oldest, until)
            since = max(since, until - self.longest)
            yield Still(int(legs.device[i]), since, legs.spot(i), bool(moving[i]), bool(same[i] <= since), suspects)
        self._forget(state, int(at.max()))

    def _begin(self, state: Standing, legs: Legs) -> None:
        """For devices without a run: one may begin at the fix before these."""
        which = np.flatnonzero(legs.first & ~state.runs[legs.device])
        device = legs.device[which]
        state.begin[device] = state.same[device] = legs.at_before[which]
        state.lon[device], state.lat[device] = legs.lon_before[which], legs.lat_before[which]
        state.claimed[device], state.battery[device] = 0.0, legs.known.columns["battery"][device]

    def _due(self, state: Standing, legs: Legs, tell: Mask) -> Iterator[tuple[int, bool]]:
        """The fixes at which a run is told, and whether again: once in each bucket of the clock."""
        before, final = legs.shifted(tell, state.told), legs.final
        state.told[legs.device[final]] = tell[final]
        bucket = legs.at // self.renew != legs.at_before // self.renew
        for i in np.flatnonzero(tell & (~before | bucket)).tolist():
            yield i, bool(before[i])

    def _suspects(self, state: Standing, device: int, oldest: int, until: int) -> tuple[tuple[int, int], ...]:
        found: set[int] = set()
        for who, at in state.chunks:
            found.update(at[(who == device) & (at > oldest) & (at <= until)].tolist())
        return tuple((device, at) for at in sorted(found))

    def _forget(self, state: Standing, newest: int) -> None:
        while state.chunks and int(state.chunks[0][1].max(initial=NEVER)) < newest - self.longest - 4 * self.renew:
            state.chunks.pop(0)


def _fine(degrees: Floats) -> Mask:
    """Whether there are digits beyond the fifth."""
    scaled = degrees * FINE
    return np.asarray(np.abs(scaled - np.rint(scaled)) > 1e-3)
