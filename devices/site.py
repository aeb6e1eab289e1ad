"""What a site is: areas, zones with their seasons, units, devices. The folder's files are in ``site_folder``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from devices.readings import SECOND
from devices.registry import Registry

CHINA: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
"""All of China keeps one clock without summer time since 1991, so a fixed offset is exact."""

ZoneKind = Literal["no_fishing", "restricted", "patrol", "checkpoint", "crowd_watch", "water"]
Level = Literal["district", "street", "community", "grid"]


@dataclass(frozen=True, slots=True)
class Area:
    """One node of the tree district → street → community → grid. ``parent`` is "" at the top."""

    code: str  # 12 digits, and for a grid a suffix "-NN"
    name: str
    name_en: str
    level: Level
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Unit:
    """A department or team that handles cases. ``contacts`` are Apprise URLs."""

    code: str
    name: str
    name_en: str
    area: str
    contacts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Season:
    """When a zone's rule is in force: days of the year, both inclusive, and hours of the day (site time).

    >>> Season("03-01", "06-30").active(np.array([1_745_000_000_000_000]))  # 2025-04-19 02:13 +08:00
    array([ True])
    """

    first: str = "01-01"  # MM-DD; may wrap over the new year
    last: str = "12-31"
    opens: str = "00:00"  # HH:MM; may wrap over midnight; equal to ``closes`` means all day
    closes: str = "00:00"

    def active(self, at: NDArray[np.int64]) -> NDArray[np.bool_]:
        """For UTC µs, shape (n,): whether the season is on."""
        local = at // SECOND + 8 * 3600
        days = (local // 86400).astype("datetime64[D]")
        months = days.astype("datetime64[M]")
        month_day = (months.astype(int) % 12 + 1) * 100 + (days - months.astype("datetime64[D]")).astype(int) + 1
        first, last = (int(s[:2]) * 100 + int(s[3:]) for s in (self.first, self.last))
        in_days = (
            (month_day >= first) & (month_day <= last) if first <= last else (month_day >= first) | (month_day <= last)
        )
        minute = local % 86400 // 60
        opens, closes = (int(s[:2]) * 60 + int(s[3:]) for s in (self.opens, self.closes))
        if opens == closes:
            return np.asarray(in_days)
        in_hours = (minute >= opens) & (minute < closes) if opens < closes else (minute >= opens) | (minute < closes)
        return np.asarray(in_days & in_hours)


@dataclass(frozen=True, slots=True)
class Zone:
    """A polygon or line with a kind. ``capacity`` in persons for crowd_watch; ``season`` None means always."""

    code: str
    kind: ZoneKind
    name: str
    name_en: str
    area: str
    geometry: BaseGeometry  # WGS-84 degrees
    capacity: int = 0
    season: Season | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


class Site:
    """Everything a detector may know of the place. Immutable; a changed site is a new object."""

    def __init__(
        self,
        areas: Iterable[Area],
        zones: Iterable[Zone],
        units: Iterable[Unit],
        registry: Registry,
        name: str = "",
        name_en: str = "",
    ) -> None:
        self.name, self.name_en = name, name_en
        self.areas = {a.code: a for a in areas}
        self.zones = {z.code: z for z in zones}
        self.units = {u.code: u for u in units}
        self.registry = registry
        for zone in self.zones.values():
            shapely.prepare(zone.geometry)

    def zones_of(self, kind: ZoneKind) -> list[Zone]:
        """The zones of one kind, in the order of their codes."""
        return sorted((z for z in self.zones.values() if z.kind == kind), key=lambda z: z.code)

    def lineage(self, area: str) -> list[str]:
        """The area and its parents, finest first; empty for an unknown code."""
        found: list[str] = []
        while area in self.areas and area not in found:
            found.append(area)
            area = self.areas[area].parent
        return found


def micros(moment: datetime) -> int:
    """UTC µs of an aware datetime, exactly."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def moment(at: int) -> datetime:
    """The aware UTC datetime of UTC µs, exactly."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(at))
