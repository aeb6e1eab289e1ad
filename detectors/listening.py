"""What is known of each device by listening: when it was last heard and where, what is usual for it, its battery."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.arrivals import Arrivals, latest, once
from detectors.gaps import Gaps
from detectors.holes import Holes
from detectors.outages import Parts
from devices.readings import SAMPLE, Rows, rows
from devices.site import Site

NEVER: Final = -(1 << 62)
NO_LIMIT: Final = 1 << 61
STANDS: Final = 0.5  # m/s, below which a device stands

COLUMNS: Final = np.dtype([
    ("heard", "<i8"),      # listening time, µs, when it was last heard
    ("received", "<i8"),   # our clock then, UTC µs
    ("rough", "<i8"),      # listening time when a gap much longer than usual ended
    ("told", "<i4"),       # findings due so far in the present gap
    ("named", "?"),        # told by name, and not as part of the feed
    ("off", "?"),          # it said that it would be switched off
    ("will", "<i8"),       # our clock when the broker last said that its connection was lost
    ("at", "<i8"),         # the device's clock of its last known place
    ("lon", "<f8"),
    ("lat", "<f8"),
    ("standing", "?"),     # there
    ("placed", "<i8"),     # our clock when that place was received
    ("charged", "<i8"),    # the device's clock of its last known charge
    ("battery", "<f8"),    # percent
    ("since", "<i8"),      # our clock when that charge was received
    ("lowest", "<f8"),     # of this block
    ("block", "<f8"),      # the charge at the end of the block before, and of the one before that
    ("earlier", "<f8"),
])  # fmt: skip
UNKNOWN: Final = np.array(
    (
        NEVER,
        NEVER,
        NEVER,
        0,
        False,
        False,
        NEVER,
        NEVER,
        np.nan,
        np.nan,
        False,
        NEVER,
        NEVER,
        *[np.nan],
        NEVER,
        *[np.nan] * 3,
    ),
    COLUMNS,
)


class Devices:
    """One array for each of COLUMNS, by device id: a structured array would cost twice the time."""

    def __init__(self) -> None:
        self._columns: dict[str, NDArray[Any]] = {name: np.empty(0, COLUMNS[name]) for name in COLUMNS.names or ()}

    def __len__(self) -> int:
        return len(self._columns["heard"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name]

    def row(self, device: int) -> dict[str, Any]:
        """What is known of one."""
        return {name: column[device].item() for name, column in self._columns.items()}

    def grow(self, missing: int) -> None:
        """Make room for so many more."""
        for name, column in self._columns.items():
            self._columns[name] = np.append(column, np.full(missing, UNKNOWN[name]))


class Return(NamedTuple):
    """Who was told to be silent and is heard again: from when to when (our clock, UTC µs), and µs of listening."""

    device: int
    since: int
    at: int
    age: int
    spot: tuple[float, float, int]  # the last known place then, and when it was received


@dataclass(slots=True)
class Listening:
    """What the fold knows; columns by device id. Listening time is our clock minus what was ``lost``."""

    site: Site | None = None
    devices: Devices = field(default_factory=Devices)
    stood: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))  # as of the last beat
    away: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))  # switched off, as of the last beat
    scratch: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    promised: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))  # s between messages; 0: none
    carried: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))  # moves about
    limit: NDArray[np.int64] = field(default_factory=lambda: np.empty((2, 0), np.int64))  # µs, moving and standing
    interval: NDArray[np.int64] = field(default_factory=lambda: np.empty((2, 0), np.int64))  # µs, usual
    rough: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # µs of a gap much longer than that
    gaps: Gaps = field(default_factory=Gaps)
    holes: Holes = field(default_factory=Holes)
    parts: Parts | None = None
    outages: dict[str, tuple[int, int, list[int]]] = field(default_factory=dict)  # subject → since, beat, devices
    wills: Rows = field(default_factory=lambda: rows(SAMPLE))  # that no beat has come past yet
    wall: int = NEVER  # the newest moment of our clock, UTC µs
    lost: int = 0  # µs of our clock in which nobody listened

    def grow(self, site: Site, size: int) -> bool:
        """Make room for devices, and take the promises of a changed site; whether anything is new."""
        size = max(size, site.registry.size)
        missing = size - len(self.devices)
        if self.site is site and missing <= 0:
            return False
        if missing > 0:
            self.devices.grow(missing)
            self.stood, self.away = (np.append(c, np.zeros(missing, bool)) for c in (self.stood, self.away))
            self.gaps.grow(size)
        size = len(self.devices)
        self.site, self.parts, self.scratch = site, Parts(site, size), np.zeros(size, np.int64)
        self.holes.know(site)
        self.promised, self.carried = np.zeros(size), np.zeros(size, bool)
        for device in site.registry.devices:
            self.promised[device.id] = device.interval if device.active else 0.0
            self.carried[device.id] = device.kind in ("terminal", "vessel")
        self.gaps.know(self.promised)
        return True

    def pass_beat(self, beat: int) -> None:
        """A beat is over: who stood and who was off then decides how the gaps that go on are counted."""
        devices = self.devices
        self.stood[:], self.away[:] = devices["standing"], devices["off"]
        due = self.wills["received"] <= beat
        if due.any():
            np.maximum.at(devices["will"], self.wills["device"][due], self.wills["received"][due])
            self.wills = self.wills[~due]

    def turn(self, beat: int, block: int) -> None:
        """A block (µs) is over: what is usual is learned anew."""
        devices = self.devices
        self.gaps.turn(self.promised)
        self.holes.forget(beat - 3 * block)
        for column, source in (("earlier", "block"), ("block", "battery"), ("lowest", "battery")):
            devices[column][:] = devices[source]
        stale = devices["since"] < beat - 2 * block
        for column in ("battery", "block", "lowest"):
            devices[column][stale] = np.nan

    def hear(self, arrivals: Arrivals, lost: NDArray[np.int64], slowest: int) -> list[Return]:
        """Note arrivals in the order of their reception; a repetition tells nothing. Returns who was told and is back.

        Gaps up to ``slowest`` µs are learned from; ``lost`` is by arrival what of our clock nobody listened to.
        """
        if not len(arrivals):
            return []
        devices, several = self.devices, not once(arrivals.device, self.scratch)
        newer = np.flatnonzero(arrivals.received > devices["received"][arrivals.device])
        who, received = arrivals.device[newer], arrivals.received[newer]
        listened = received - lost[newer]
        self._count(who, listened, slowest, several=several)
        back = [
            self._back(int(who[i]), int(received[i]), int(listened[i]))
            for i in np.flatnonzero(devices["told"][who]).tolist()
        ]
        # Where a device occurs several times, the last assignment stays.
        devices["heard"][who], devices["received"][who] = listened, received
        devices["off"][who] = False
        for i in np.flatnonzero(arrivals.off).tolist():
            device = arrivals.device[i]
            devices["off"][device] |= arrivals.received[i] >= devices["received"][device]
        self._place(arrivals, several=several)
        return [one for one in back if one is not None]

    def _count(self, who: NDArray[Any], listened: NDArray[np.int64], slowest: int, *, several: bool) -> None:
        """Count the gaps that end."""
        before = self.devices["heard"][who]
        if several:
            order = np.argsort(who, kind="stable")
            who, listened, before = who[order], listened[order], before[order]
            again = np.flatnonzero(who[1:] == who[:-1]) + 1
            before[again] = listened[again - 1]
        gap = listened - before
        counted = np.flatnonzero((before > NEVER) & ~self.away[who] & (gap <= slowest))
        who, gap, listened = who[counted], gap[counted], listened[counted]
        self.gaps.add(who, gap, self.stood[who], several=several)
        rough = gap >= self.rough[who]
        if rough.any():
            np.maximum.at(self.devices["rough"], who[rough], listened[rough])

    def _back(self, device: int, at: int, listened: int) -> Return | None:
        row = self.devices.row(device)
        told, named, since = int(row["told"]), bool(row["named"]), int(row["received"])
        self.devices["told"][device], self.devices["named"][device] = 0, False
        spot = float(row["lon"]), float(row["lat"]), int(row["placed"])
        return Return(device, since, at, listened - int(row["heard"]), spot) if told and named else None

    def _place(self, arrivals: Arrivals, *, several: bool) -> None:
        """Note last places and charges: those of the newest event time; and where fixes had to wait."""
        devices = self.devices
        new = latest(arrivals, arrivals.lon, devices["at"], devices["lon"], several=several)
        there = arrivals.device[new]
        devices["placed"][there], devices["at"][there] = arrivals.received[new], arrivals.at[new]
        devices["lon"][there], devices["lat"][there] = arrivals.lon[new], arrivals.lat[new]
        devices["standing"][there] = arrivals.speed[new] < STANDS
        charge = arrivals.battery
        if not charge.all():
            charge = np.where(charge > 0, charge, np.nan)  # 0 is what they say who do not know
        new = latest(arrivals, charge, devices["charged"], devices["battery"], several=several)
        there = arrivals.device[new]
        devices["charged"][there], devices["since"][there] = arrivals.at[new], arrivals.received[new]
        devices["battery"][there] = charge[new]
        lower = ~(charge[new] >= devices["lowest"][there])
        if lower.any():
            np.fmin.at(devices["lowest"], there[lower], charge[new][lower])
        stored = np.flatnonzero(arrivals.stored)
        if len(stored):
            self.holes.learn(*(getattr(arrivals, name)[stored] for name in ("lon", "lat", "at", "received")))
