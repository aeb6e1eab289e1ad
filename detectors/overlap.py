"""How many people are in a zone, by cameras some of which see the same people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from detectors.geo import Plane, plane_of
from detectors.wording import device_at
from devices.registry import Device
from devices.site import Site, Zone

FIELD: Final = 90.0  # degrees of view, where a camera's bearing and range are known and its field is not

HALF: Final = 0.5  # of the zone: who sees less cannot say how many are in the rest
ALIKE: Final = 0.75  # of the largest count: as many may be missing to a miscount


class Overlap:
    """The views of the cameras on the zones of one site.

    A camera counts the *whole* zone if its property ``counts`` says "whole", or if it ``watches`` the zone and its view
    is not known; of several such the mean of those holds that reach ALIKE of the largest. Any other counts a *part*:
    what it sees of the zone, by its properties ``bearing``, ``range`` and ``fov``. Parts are added up, each only by the
    share of its view that no larger one covers, and as much more as together they leave unseen of the zone, if they see
    half of it (people spread evenly); without a known view, and where the view misses the zone, in full. The zone holds
    the larger of both. A camera alone is believed as it is.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self._shares: dict[tuple[str, tuple[int, ...]], dict[int, float]] = {}

    def people(self, zone: Zone, counts: Mapping[int, int]) -> int:
        """The people in a zone, from each camera's (id) own count."""
        if len(counts) == 1:
            return next(iter(counts.values()))
        key = (zone.code, tuple(sorted(counts)))
        shares = self._shares.get(key)
        if shares is None:
            shares = self._shares[key] = self._share(zone, key[1])
        wholes = [n for camera, n in counts.items() if camera not in shares]
        agreeing = [n for n in wholes if n >= ALIKE * max(wholes)]  # who counts far fewer is half blind
        return max(
            round(sum(agreeing) / max(1, len(agreeing))),
            round(sum(share * counts[camera] for camera, share in shares.items())),
        )

    def _share(self, zone: Zone, cameras: tuple[int, ...]) -> dict[int, float]:
        """Of each camera that counts a part: the share of its count that nobody else has."""
        plane, known = plane_of(zone.geometry), {camera: device_at(self.site, camera) for camera in cameras}
        outline = shapely.transform(zone.geometry, lambda c: np.column_stack(plane.xy(c[:, 0], c[:, 1])))
        views = {c: view(d, plane).intersection(outline) for c, d in known.items() if d is not None}
        parts = [c for c, d in known.items() if d is None or not counts_whole(d, zone)]
        shares: dict[int, float] = {}
        covered: BaseGeometry = shapely.Polygon()
        for camera in sorted(parts, key=lambda c: (-_area(views, c), c)):
            area = _area(views, camera)
            shares[camera] = views[camera].difference(covered).area / area if area else 1.0
            covered = covered.union(views[camera]) if area else covered
        seen = covered.area / outline.area if outline.area else 0.0
        viewing = [camera for camera in parts if _area(views, camera)]
        if len(viewing) > 1 and seen >= HALF:
            shares |= {camera: shares[camera] / seen for camera in viewing}
        return shares


def counts_whole(camera: Device, zone: Zone) -> bool:
    """Whether a camera's count is of the whole zone, rather than of what it sees of it."""
    told, watches = camera.properties.get("counts"), camera.properties.get("watches")
    if told in ("whole", "part"):
        return bool(told == "whole")
    return isinstance(watches, list | tuple) and zone.code in watches and not _seen(camera)


def view(camera: Device, plane: Plane) -> BaseGeometry:
    """What a camera looks at: a sector, in metres on the plane; empty where that is not known."""
    seen = _seen(camera)
    if not seen:
        return shapely.Polygon()
    bearing, reach, field = seen
    x, y = (float(v) for v in plane.xy(camera.lon, camera.lat))
    edge = np.radians(np.linspace(-0.5, 0.5, 25) * min(field, 359.0) + bearing)
    return shapely.make_valid(shapely.Polygon(
        [(x, y), *zip(x + reach * np.sin(edge), y + reach * np.cos(edge), strict=True)]
    ))  # fmt: skip


def _seen(camera: Device) -> tuple[float, float, float] | None:
    """Bearing in degrees, range in metres, field in degrees, where they and its place are known."""
    given = camera.properties
    told = (given.get("bearing"), given.get("range"), given.get("fov", FIELD))
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in told):
        return None
    bearing, reach, field = (float(v) for v in told)  # type: ignore[arg-type]  # just looked
    placed = math.isfinite(camera.lon) and math.isfinite(camera.lat)
    return (bearing, reach, field) if placed and reach > 0 and field > 0 else None


def _area(views: Mapping[int, BaseGeometry], camera: int) -> float:
    return views[camera].area if camera in views else 0.0
