"""Where cameras saw things, and in which zones."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from detectors.geo import Floats, Ids, Plane, ZoneIndex
from devices.readings import Rows
from devices.site import Site, ZoneKind


class Eyes:
    """The zones of one kind as the cameras of a site see them.

    A sighting lies where it says. One without a place lies where its camera stands, and counts for the first zone of
    this kind in the camera's property ``watches`` (codes of the zones in sight), else for where the camera stands.
    """

    def __init__(self, site: Site, kind: ZoneKind) -> None:
        self.site = site
        self.zones = site.zones_of(kind)
        self._index = ZoneIndex(self.zones)
        bounds = shapely.total_bounds([zone.geometry for zone in self.zones]) if self.zones else np.zeros(4)
        self.plane = Plane(float(bounds[0] + bounds[2]) / 2, float(bounds[1] + bounds[3]) / 2)
        order = {zone.code: i for i, zone in enumerate(self.zones)}
        self._watched = np.full(site.registry.size, -1)
        for device in site.registry.devices:
            watches = device.properties.get("watches", ())
            known = [order[code] for code in watches if code in order] if isinstance(watches, list | tuple) else []
            if known:
                self._watched[device.id] = known[0]

    def place(self, sightings: Rows) -> tuple[Floats, Floats]:
        """Longitude and latitude of each sighting, shape (n,); NaN where neither it nor its camera has a place."""
        registry, device = self.site.registry, sightings["device"]
        known = np.minimum(device, registry.size - 1)
        stranger = device >= registry.size
        lon, lat = sightings["lon"], sightings["lat"]
        placeless = ~(np.isfinite(lon) & np.isfinite(lat))
        camera_lon = np.where(stranger, np.nan, registry.lon[known])
        camera_lat = np.where(stranger, np.nan, registry.lat[known])
        return np.where(placeless, camera_lon, lon), np.where(placeless, camera_lat, lat)

    def pairs(self, sightings: Rows) -> tuple[Ids, Ids]:
        """(sighting, zone) index pairs, shape (k,): in which zones each sighting lies, sorted."""
        device = sightings["device"]
        watched = np.where(device < len(self._watched), self._watched[np.minimum(device, len(self._watched) - 1)], -1)
        told = np.isfinite(sightings["lon"]) & np.isfinite(sightings["lat"])
        by_camera = np.flatnonzero(~told & (watched >= 0))
        lon, lat = self.place(sightings)
        row, zone = self._index.pairs(np.where(~told & (watched >= 0), np.nan, lon), lat)
        row, zone = np.append(row, by_camera), np.append(zone, watched[by_camera])
        order = np.lexsort((zone, row))
        return row[order], zone[order]

    def holding(self, lon: Floats, lat: Floats) -> tuple[Ids, Ids]:
        """(place, zone) index pairs, shape (k,): in which zones places of shape (n,) lie, sorted."""
        return self._index.pairs(lon, lat)

    def in_season(self, at: NDArray[np.int64], row: Ids, zone: Ids) -> tuple[Ids, Ids]:
        """Of (row, zone) pairs those whose zone's season is on at the row's moment (``at``, UTC µs, by row)."""
        on = np.zeros(len(row), bool)
        for z in np.unique(zone):
            here, season = zone == z, self.zones[z].season
            on[here] = season is None or season.active(at[row[here]])
        return row[on], zone[on]

    def near(self, lon: Floats, lat: Floats, metres: float) -> NDArray[np.bool_]:
        """Whether each place lies in the box around all zones, so many metres wider."""
        return self._index.near_any(lon, lat, metres)

    def near_any(self, sightings: Rows) -> NDArray[np.bool_]:
        """Whether each sighting can lie in a zone at all: cheap, and never wrongly False."""
        lon, lat = self.place(sightings)
        told = np.isfinite(sightings["lon"]) & np.isfinite(sightings["lat"])
        return np.asarray(self._index.near_any(lon, lat) | ~told)


def without_repeats(sightings: Rows) -> Rows:
    """Sorted by (at, device, label, track), which is their key in the store, and each key once."""
    if len(sightings) < 2:
        return sightings
    label, track = sightings["label"].astype(str), sightings["track"].astype(str)
    order = np.lexsort((track, label, sightings["device"], sightings["at"]))
    found, label, track = sightings[order], label[order], track[order]
    new = (label[1:] != label[:-1]) | (track[1:] != track[:-1])
    new |= (found["at"][1:] != found["at"][:-1]) | (found["device"][1:] != found["device"][:-1])
    once: Rows = found[np.append(True, new)]
    return once
