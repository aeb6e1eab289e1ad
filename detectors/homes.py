"""Zones to which devices belong, and how long each has been outside of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from detectors.geo import Plane, plane_of, widened
from devices.readings import SECOND, Rows
from devices.site import Site, Zone

NEVER: Final = -(1 << 62)
LOST: Final = 600.0  # s


@dataclass(slots=True)
class Home:
    """The zones of one device and where it is against them. Moments are UTC µs."""

    zones: tuple[Zone, ...]
    inner: BaseGeometry  # inside it one is back
    outer: BaseGeometry  # outside it one is away
    plane: Plane
    newest: int = NEVER
    outside_since: int | None = None
    looked: int = NEVER  # when it was last looked at
    place: tuple[float, float] = (float("nan"), float("nan"))

    def take(self, rows: Rows) -> bool:
        """Take fixes in order of time, late ones left out; says whether it was seen inside.

        Nothing is known of a pause of more than :data:`LOST` s: being outside begins anew after it.
        """
        rows = rows[rows["at"] > self.newest]
        if not len(rows):
            return False
        if rows["at"][0] - self.newest > int(LOST * SECOND):
            self.outside_since = None
        inside = shapely.intersects_xy(self.inner, rows["lon"], rows["lat"])
        outside = ~shapely.intersects_xy(self.outer, rows["lon"], rows["lat"])
        back = np.flatnonzero(inside)
        if len(back):
            self.outside_since, outside = None, outside & (np.arange(len(rows)) > back[-1])
        if self.outside_since is None and outside.any():
            self.outside_since = int(rows["at"][outside][0])
        self.newest, self.place = int(rows["at"][-1]), (float(rows["lon"][-1]), float(rows["lat"][-1]))
        return bool(len(back))

    def metres(self) -> float:
        """How far outside it is."""
        x, y = self.plane.xy(*self.place)
        flat = shapely.transform(self.inner, lambda places: np.column_stack(self.plane.xy(places[:, 0], places[:, 1])))
        return float(shapely.distance(flat, shapely.Point(float(x), float(y))))


def homes_of(site: Site, band: float, before: Mapping[int, Home]) -> dict[int, Home]:
    """The homes that the devices' property ``home`` names, by device id: the code of a zone, or a list of them. Where a
    home is as it was before, its state goes on."""
    found: dict[int, Home] = {}
    for device in site.registry.devices:
        named = device.properties.get("home", ())
        codes = [named] if isinstance(named, str) else named if isinstance(named, list | tuple) else []
        zones = tuple(site.zones[code] for code in codes if isinstance(code, str) and code in site.zones)
        if not zones:
            continue
        known = before.get(device.id)
        if known is not None and known.zones == zones:
            found[device.id] = known
            continue
        inner = shapely.union_all([zone.geometry for zone in zones])
        found[device.id] = Home(zones, inner, widened(inner, band), plane_of(inner))
    return found
