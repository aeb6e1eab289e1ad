"""Where somebody who does not move is in danger."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from detectors.geo import Floats, ZoneIndex, widened
from devices.site import Site, Zone

BANK: Final = 10.0  # m from the edge of the water that still count as the bank: a receiver is no better


class Dangers:
    """The hazard zones of a site: of the kinds ``water`` and ``restricted``, and those with the property ``hazard``
    true; not those where it is false. A checkpoint, or a zone with the property ``station`` true, is a place to stand.
    """

    def __init__(self, site: Site) -> None:
        zones = sorted(site.zones.values(), key=lambda zone: zone.code)
        self.site = site
        self._index = ZoneIndex([inner for zone in zones if dangerous(zone) and (inner := _inner(zone)) is not None])
        self._posts = ZoneIndex([zone for zone in zones if zone.kind == "checkpoint" or _is(zone, "station")])

    def hold(self, lon: Floats, lat: Floats) -> NDArray[np.bool_]:
        """For places of shape (n,): whether they lie in a hazard zone, be it a place to stand."""
        held = np.zeros(len(lon), bool)
        held[self._index.pairs(lon, lat)[0]] = True
        return held

    def zone_at(self, lon: float, lat: float) -> Zone | None:
        """The smallest hazard zone that holds a place; None where there is none, or a place to stand."""
        x, y = np.array([lon]), np.array([lat])
        held = self._index.pairs(x, y)[1].tolist()
        if not held or len(self._posts.pairs(x, y)[1]):
            return None
        code = min((self._index.zones[i] for i in held), key=lambda zone: (zone.geometry.area, zone.code)).code
        return self.site.zones[code]


def dangerous(zone: Zone) -> bool:
    """Whether a zone is a hazard."""
    told = zone.properties.get("hazard")
    return told if isinstance(told, bool) else zone.kind in ("water", "restricted")


def _inner(zone: Zone) -> Zone | None:
    """The zone; of water what lies off the bank, None where that is nothing."""
    if zone.kind != "water" or zone.geometry.area == 0:
        return zone
    inner = widened(zone.geometry, -BANK)
    return None if shapely.is_empty(inner) else replace(zone, geometry=inner)


def _is(zone: Zone, name: str) -> bool:
    return zone.properties.get(name) is True
