"""Who fell silent together with most of those beside him: then it is the feed, a share, an area or a radio cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.geo import DEGREE, Floats, Ids, place_cell
from devices.site import Site

CELL: Final = 3000.0  # m: a base station reaches about so far


class Group(NamedTuple):
    """Devices that fell silent together. ``subject`` is "feed", or names which part of it."""

    subject: str
    devices: Ids
    area: str  # the area they have in common, or ""


class Level(NamedTuple):
    """One way to divide the feed: a label for every device (-1: none), and what the labels are called."""

    kind: str
    labels: NDArray[np.int64]
    name: Callable[[int], str]


class Parts:
    """The parts of a feed to which each device belongs, coarsest first."""

    def __init__(self, site: Site, size: int) -> None:
        self._levels = [Level("feed", np.zeros(size, np.int64), lambda _: "")]
        devices = site.registry.devices
        self._add("share", {device.id: device.share for device in devices}, size)
        lines = {device.id: site.lineage(device.area)[::-1] for device in devices}
        for depth in range(max((len(line) for line in lines.values()), default=0)):
            self._add("area", {i: line[depth] for i, line in lines.items() if depth < len(line)}, size)

    def _add(self, kind: str, names: dict[int, str], size: int) -> None:
        codes = sorted({name for name in names.values() if name})
        number = {code: i for i, code in enumerate(codes)}
        labels = np.full(size, -1, np.int64)
        for device, name in names.items():
            labels[device] = number.get(name, -1)
        self._levels.append(Level(kind, labels, codes.__getitem__))

    def levels(self, lon: Floats, lat: Floats) -> Iterator[Level]:
        """All levels; the last one are the squares in which devices are by ``lon`` and ``lat``, by device."""
        yield from self._levels
        row = np.floor(np.nan_to_num(lat) * (DEGREE / CELL))
        wide = np.cos(np.radians((row + 0.5) * (CELL / DEGREE))) * (DEGREE / CELL)
        column = np.floor(np.nan_to_num(lon) * wide)
        labels = np.where(np.isfinite(lon + lat), (row + 32768) * 65536 + column + 32768, -1).astype(np.int64)

        def name(label: int) -> str:
            first = int(np.flatnonzero(labels == label)[0])
            return place_cell(float(lon[first]), float(lat[first]), CELL)

        yield Level("cell", labels, name)


class Stops(NamedTuple):
    """When devices stopped: at some time between when each was last ``heard`` and an ``interval`` later; µs of
    listening time by device. ``overdue``: it did; ``known``: it is one of those that are judged."""

    heard: NDArray[np.int64]
    interval: NDArray[np.int64]
    overdue: NDArray[np.bool_]
    known: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outages:
    """``least`` that stopped within ``window`` µs of each other, and are ``share`` of these and those heard since."""

    window: int
    least: int
    share: float

    def find(self, due: Ids, stops: Stops, levels: Iterator[Level]) -> tuple[list[Group], Ids]:
        """Of the devices ``due``, the groups that fell silent together, and the others."""
        found: list[Group] = []
        early, late = self._span(due, stops)
        near = stops.overdue & (stops.heard <= late.max()) & (stops.heard + stops.interval >= early.min())
        many = self._together(due, stops, near) >= self.least
        alone, due = due[~many], due[many]
        for level in levels if len(due) else ():
            for label in np.unique(level.labels[due]).tolist():
                members = level.labels == label
                mine = due[members[due]]
                together = self._together(mine, stops, near & members)
                since = self._since(mine, stops, members)
                gone = mine[(label >= 0) & (together >= self.least) & (together >= self.share * (together + since))]
                if len(gone):
                    name = level.name(label)
                    subject = f"feed:{name}" if name else "feed"
                    found.append(Group(subject, gone, name if level.kind == "area" else ""))
                    due = np.setdiff1d(due, gone)
            if not len(due):
                break
        return found, np.sort(np.append(alone, due))

    def _span(self, due: Ids, stops: Stops) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        heard = stops.heard[due]
        return heard - self.window, heard + stops.interval[due] + self.window

    def _together(self, due: Ids, stops: Stops, near: NDArray[np.bool_]) -> NDArray[np.intp]:
        """How many of those ``near`` stopped together with each that is due."""
        early, late = self._span(due, stops)
        begun = np.sort(stops.heard[near])
        ended = np.sort((stops.heard + stops.interval)[near])
        return np.asarray(np.searchsorted(begun, late, "right") - np.searchsorted(ended, early, "left"))

    def _since(self, due: Ids, stops: Stops, members: NDArray[np.bool_]) -> NDArray[np.intp]:
        """How many were heard after each that is due could have been: proof that the part works."""
        _, late = self._span(due, stops)
        alive = np.sort(stops.heard[members & stops.known])
        return np.asarray(len(alive) - np.searchsorted(alive, late, "right"))
