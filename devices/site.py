"""What a site is: areas, zones with their seasons, units, devices, patrol plans. Its files are in ``site_folder``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from devices.readings import SECOND
from devices.registry import Device, Registry

CHINA: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
"""All of China keeps one clock without summer time since 1991, so a fixed offset is exact."""
_OFFSET: Final = 8 * 3600  # s

ZoneKind = Literal["no_fishing", "restricted", "patrol", "checkpoint", "crowd_watch", "water"]
Level = Literal["district", "street", "community", "grid"]
PlanKind = Literal["quota", "route"]


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


@dataclass(frozen=True, slots=True)
class Plan:
    """What patrols are to do in each of a plan's windows.

    A ``quota``: each of ``zones`` is visited ``visits`` times, each time for ``stay`` s; of a zone that is a line,
    ``share`` is walked so many times. A ``route``: one patrol walks the line ``zones`` names, or comes to the zones it
    names for ``stay`` s each, ``share`` of it, and if ``ordered`` from the first to the last.

    >>> night = Plan("N", "quota", "夜巡", "Night patrol", "A", ("P",), opens="22:00", closes="02:00", days=(5,))
    >>> monday = micros(datetime(2026, 6, 8, tzinfo=CHINA))
    >>> [window] = night.windows(monday, monday + 7 * 86400 * SECOND)
    >>> [f"{moment(at).astimezone(CHINA):%a %H:%M}" for at in window]
    ['Fri 22:00', 'Sat 02:00']
    """

    code: str
    kind: PlanKind
    name: str
    name_en: str
    area: str
    zones: tuple[str, ...]  # codes
    visits: int = 1  # of a quota, by window
    stay: float = 0.0  # s
    opens: str = "00:00"  # HH:MM site time; ``closes`` may lie after midnight; equal means 24 hours
    closes: str = "00:00"
    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)  # ISO weekdays on which it opens, 1 is Monday
    who: tuple[str, ...] = ()  # codes or roles of devices; empty: any terminal
    share: float = 0.8  # of a line's length or of the checkpoints
    ordered: bool = False
    corridor: float = 30.0  # m to either side of a line that count as on it

    def windows(self, since: int, until: int) -> Iterator[tuple[int, int]]:
        """The windows that overlap ``since <= at < until``, as opening and closing moments (UTC µs), in order."""
        opens, closes = (int(s[:2]) * 3600 + int(s[3:]) * 60 for s in (self.opens, self.closes))
        lasts = (closes - opens) % 86400 or 86400
        first = (since // SECOND + _OFFSET - opens - lasts) // 86400
        last = (until // SECOND + _OFFSET - opens) // 86400
        for day in range(first, last + 1):
            begin = (day * 86400 + opens - _OFFSET) * SECOND
            end = begin + lasts * SECOND
            if begin < until and end > since and (day + 3) % 7 + 1 in self.days:  # 1 January 1970 was a Thursday
                yield begin, end

    def walkers(self, registry: Registry) -> NDArray[np.bool_]:
        """Which devices it is for, by device id, shape (registry.size,)."""
        concerned = np.zeros(registry.size, bool)
        for device in registry.devices:
            named = device.code in self.who or (device.role != "" and device.role in self.who)
            concerned[device.id] = named or (not self.who and device.kind == "terminal")
        return concerned


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
        plans: Iterable[Plan] = (),
    ) -> None:
        self.name, self.name_en = name, name_en
        self.areas = {a.code: a for a in areas}
        self.zones = {z.code: z for z in zones}
        self.units = {u.code: u for u in units}
        self.registry = registry
        self.plans = {p.code: p for p in plans}
        self.whole = True
        """False for a :meth:`part`."""
        for zone in self.zones.values():
            shapely.prepare(zone.geometry)

    def part(self, devices: Callable[[Device], bool], plans: Callable[[Plan], bool]) -> Site:
        """The same place as one of several workers sees it: with these of its devices and plans."""
        chosen = [device for device in self.registry.devices if devices(device)]
        promised = [plan for plan in self.plans.values() if plans(plan)]
        areas, zones, units = self.areas.values(), self.zones.values(), self.units.values()
        site = Site(areas, zones, units, Registry(chosen), self.name, self.name_en, promised)
        site.whole = False
        return site

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
