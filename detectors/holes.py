"""Places without a network: known to the site, or learned from what terminals stored there and sent afterwards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.geo import DEGREE, ZoneIndex
from devices.readings import SECOND
from devices.site import Site

SIDE = 80.0  # m of a cell
STORED = 30.0  # s that a fix must have waited to tell of a hole
LONG = 1 << 50  # µs


class Holes:
    """The cells in which fixes had to wait: how long (µs) by when (UTC µs, our clock) that was learned."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], dict[int, int]] = {}
        self._zones = ZoneIndex([])

    def know(self, site: Site) -> None:
        """Take the zones with the property ``coverage_hole``."""
        zones = [zone for zone in site.zones.values() if zone.properties.get("coverage_hole") is True]
        self._zones = ZoneIndex(sorted(zones, key=lambda zone: zone.code))

    def learn(
        self, lon: NDArray[np.float64], lat: NDArray[np.float64], at: NDArray[np.int64], received: NDArray[np.int64]
    ) -> None:
        """Stored fixes, shape (n,), in the order of their reception."""
        waited = np.flatnonzero((received - at >= int(STORED * SECOND)) & (np.abs(lon) <= 180) & (np.abs(lat) <= 89))
        columns = (column[waited].tolist() for column in (lon, lat, at, received))
        for x, y, measured, when in zip(*columns, strict=True):
            row = _row(y)
            waits = self._cells.setdefault((row, _column(x, row)), {})
            waits[when] = max(waits.get(when, 0), when - measured)

    def forget(self, before: int) -> None:
        """Forget what was learned before a moment."""
        kept = {cell: {t: wait for t, wait in waits.items() if t >= before} for cell, waits in self._cells.items()}
        self._cells = {cell: waits for cell, waits in kept.items() if waits}

    def wait(self, lon: float, lat: float, since: int) -> int:
        """The longest wait (µs) learned since a moment at the place or beside it, in a zone that is a hole LONG; 0: the
        network reaches there, as far as is known."""
        if not (abs(lon) <= 180 and abs(lat) <= 89):
            return 0
        if len(self._zones.pairs(np.array([lon]), np.array([lat]))[0]):
            return LONG
        found = 0
        for row in range(_row(lat) - 1, _row(lat) + 2):
            column = _column(lon, row)
            for waits in (self._cells.get((row, c), {}) for c in range(column - 1, column + 2)):
                found = max([found, *(wait for when, wait in waits.items() if when >= since)])
        return found


def _row(lat: float) -> int:
    return int(np.floor(lat * DEGREE / SIDE))


def _column(lon: float, row: int) -> int:
    middle = np.radians((row + 0.5) * SIDE / DEGREE)
    return int(np.floor(lon * DEGREE * np.cos(middle) / SIDE))
