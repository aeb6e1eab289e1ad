"""Places without a network: known to the site, or learned from what terminals stored there and sent afterwards."""

from __future__ import annotations

from typing import Any

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
        if not len(waited):
            return
        row = _row(lat[waited])
        column, when = _column(lon[waited], row), received[waited]
        order = np.lexsort((when, column, row))
        row, column, when = row[order], column[order], when[order]
        # The fixes of one array lie in few cells and arrive at once: one entry for all of them.
        begins = np.flatnonzero(np.append(True, (np.diff(row) != 0) | (np.diff(column) != 0) | (np.diff(when) != 0)))
        longest = np.maximum.reduceat((received - at)[waited][order], begins)
        entries = (part.tolist() for part in (row[begins], column[begins], when[begins], longest))
        for y, x, moment, wait in zip(*entries, strict=True):
            waits = self._cells.setdefault((y, x), {})
            waits[moment] = max(waits.get(moment, 0), wait)

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
        middle = int(_row(np.float64(lat)))
        for row in range(middle - 1, middle + 2):
            column = int(_column(np.float64(lon), np.int64(row)))
            for waits in (self._cells.get((row, c), {}) for c in range(column - 1, column + 2)):
                found = max([found, *(wait for when, wait in waits.items() if when >= since)])
        return found


def cells(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The row and column of the cell of each place; of a place that is none, any."""
    with np.errstate(invalid="ignore"):
        row = _row(lat)
        return row, _column(lon, row)


def _row(lat: Any) -> Any:
    """The row of cells of one latitude or of many, as integers."""
    return np.floor(lat * DEGREE / SIDE).astype(np.int64)


def _column(lon: Any, row: Any) -> Any:
    """The column in its row, likewise."""
    middle = np.radians((row + 0.5) * SIDE / DEGREE)
    return np.floor(lon * DEGREE * np.cos(middle) / SIDE).astype(np.int64)
