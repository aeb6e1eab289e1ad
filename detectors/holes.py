"""Places without a network: known to the site, or learned from what terminals stored there and sent afterwards."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.geo import DEGREE, ZoneIndex
from devices.readings import SECOND
from devices.site import Site

SIDE = 80.0  # m of a cell
STORED = 30.0  # s that a fix must have waited to tell of a hole


class Holes:
    """The cells in which fixes had to wait, each with when (UTC µs, our clock) that was last learned."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], int] = {}
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
        for x, y, when in zip(lon[waited].tolist(), lat[waited].tolist(), received[waited].tolist(), strict=True):
            row = _row(y)
            self._cells[row, _column(x, row)] = when

    def forget(self, before: int) -> None:
        """Forget what was learned before a moment."""
        self._cells = {cell: when for cell, when in self._cells.items() if when >= before}

    def near(self, lon: float, lat: float, since: int) -> bool:
        """Whether the place lies in a hole or beside one that was learned since a moment."""
        if not (abs(lon) <= 180 and abs(lat) <= 89):
            return False
        if len(self._zones.pairs(np.array([lon]), np.array([lat]))[0]):
            return True
        for row in range(_row(lat) - 1, _row(lat) + 2):
            column = _column(lon, row)
            if any(self._cells.get((row, c), since - 1) >= since for c in range(column - 1, column + 2)):
                return True
        return False


def _row(lat: float) -> int:
    return int(np.floor(lat * DEGREE / SIDE))


def _column(lon: float, row: int) -> int:
    middle = np.radians((row + 0.5) * SIDE / DEGREE)
    return int(np.floor(lon * DEGREE * np.cos(middle) / SIDE))
