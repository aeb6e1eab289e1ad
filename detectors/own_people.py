"""Where our own people are, and boats with a permit: what is seen around them is no offence."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from detectors.eyes import Eyes
from detectors.geo import DEGREE, Floats, Ids
from devices.readings import SECOND, Rows, joined_rows
from devices.registry import Device
from devices.site import Site

AROUND: Final = 500.0  # metres around the zones within which they are followed, so that their going away is seen

PLACED: Final = np.dtype([("device", "<i4"), ("at", "<i8"), ("lon", "<f8"), ("lat", "<f8")])


def placed(fixes: Rows, which: Ids) -> Rows:
    """Some fixes, shape (k,), of the dtype :data:`PLACED`."""
    part = np.empty(len(which), PLACED)
    for column in PLACED.names or ():
        part[column] = fixes[column][which]
    return part


def permits(device: Device, zones: Sequence[str]) -> list[bool]:
    """For each zone (code) whether the device may fish there, by its properties: ``permit`` true, with ``permits``, a
    list of zones, for those alone.

    >>> boat = Device("V1", "vessel", "", "", "", "", properties={"permit": True, "permits": ["B"]})
    >>> permits(boat, ["A", "B"])
    [False, True]
    """
    properties: Mapping[str, Any] = device.properties
    listed = properties.get("permits")
    if properties.get("permit") is not True:
        return [False] * len(zones)
    return [listed is None or (isinstance(listed, list | tuple) and code in listed) for code in zones]


class OwnPeople:
    """Recent fixes of our own (devices of some roles but cameras) and of boats with a permit, near the zones."""

    def __init__(self, roles: Sequence[str], radius: float, recent: float, eyes: Eyes) -> None:
        self._roles, self._radius, self._recent = roles, radius, int(recent * SECOND)
        self._parts: deque[Rows] = deque()  # as they came: looked at only when somebody is seen
        self.move(eyes)

    def move(self, eyes: Eyes) -> None:
        """Take a changed site."""
        self._eyes, site = eyes, eyes.site
        codes = [zone.code for zone in eyes.zones]
        self._free = np.zeros((site.registry.size, len(codes)), bool)  # device, zone: whether it counts there
        self.ours = np.zeros(site.registry.size, bool)  # by device id
        for device in site.registry.devices:
            self.ours[device.id] = is_ours(device, self._roles)
            self._free[device.id] = True if self.ours[device.id] else permits(device, codes)
        self._followed: NDArray[np.bool_] = np.asarray(self._free.any(axis=1))

    def keep(self, fixes: Rows) -> None:
        """Take note of fixes; those that do not matter cost little."""
        device = fixes["device"]
        known = np.minimum(device, len(self._followed) - 1)
        near = self._followed[known] & (device < len(self._followed))
        near &= self._eyes.near(fixes["lon"], fixes["lat"], self._radius + AROUND)
        which = np.flatnonzero(near)
        if len(which):
            self._parts.append(placed(fixes, which[np.argsort(fixes["at"][which], kind="stable")]))

    def forget(self, before: int) -> None:
        """Nothing before this (UTC µs) will be asked for any more."""
        while self._parts and self._parts[0]["at"][-1] < before - self._recent:
            self._parts.popleft()

    def free(self, device: NDArray[Any], zone: Ids) -> NDArray[np.bool_]:
        """Whether devices, shape (n,), are our own or have a permit for the zone of the same row."""
        return np.asarray(self._free[device, zone])

    def near(self, at: NDArray[np.int64], lon: Floats, lat: Floats, zone: Ids) -> NDArray[np.bool_]:
        """For places of shape (n,) in zones: whether the newest fix of somebody who is free there was near, and
        recent."""
        near: NDArray[np.bool_] = np.zeros(len(at), bool)
        if not self._parts or not np.isfinite(lon).any() or not self._radius:
            return near
        # Only who was near one of the places matters, but of him all fixes: the next one ends his being there.
        fixes = joined_rows(PLACED, self._parts)
        margin = self._radius / (DEGREE * 0.5)  # degrees, wide enough up to 60° of latitude
        around = (fixes["lon"] >= np.nanmin(lon) - margin) & (fixes["lon"] <= np.nanmax(lon) + margin)
        around &= (fixes["lat"] >= np.nanmin(lat) - margin) & (fixes["lat"] <= np.nanmax(lat) + margin)
        fixes = fixes.compress(np.isin(fixes["device"], fixes["device"][around]))
        if not len(fixes):
            return near
        fixes = fixes.take(np.lexsort((fixes["at"], fixes["device"])))
        tree = shapely.STRtree(self._eyes.plane.points(fixes["lon"], fixes["lat"]))
        one, fix = tree.query(self._eyes.plane.points(lon, lat), predicate="dwithin", distance=self._radius)
        gone = fixes["at"] + self._recent + 1
        same = fixes["device"][1:] == fixes["device"][:-1]
        gone[:-1][same] = np.minimum(gone[:-1][same], fixes["at"][1:][same])
        there = (fixes["at"][fix] <= at[one]) & (at[one] < gone[fix])
        near[one[there & self._free[fixes["device"][fix], zone[one]]]] = True
        return near


def is_ours(device: Device, roles: Sequence[str]) -> bool:
    """Whether a device is one of our own: of one of the roles, and no camera."""
    return device.kind != "camera" and device.role in roles


def other_boats(site: Site, roles: Sequence[str]) -> NDArray[np.bool_]:
    """By device id: boats that are not our own."""
    boats = np.zeros(site.registry.size, bool)
    for device in site.registry.devices:
        afloat = device.kind == "vessel" or (device.kind == "terminal" and device.role == "boat")
        boats[device.id] = afloat and not is_ours(device, roles)
    return boats
