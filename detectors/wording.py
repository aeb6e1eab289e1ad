"""What findings say: times, spans, names and places in Chinese and English, and evidence as GeoJSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import shapely

from detectors.base import Sentence
from devices.readings import SECOND
from devices.registry import Device
from devices.site import CHINA, Site, moment

LABELS: Final[Mapping[str, Sentence]] = {
    "person": Sentence("人员", "person"),
    "rod": Sentence("钓竿", "rod"),
    "net": Sentence("渔网", "net"),
    "boat": Sentence("船只", "boat"),
    "movement": Sentence("船只作业轨迹", "a boat moving as if fishing"),
}
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def clock(at: int) -> Sentence:
    """Date and time of day at the site.

    >>> clock(1_745_031_600_000_000)
    Sentence(zh='4月19日11:00', en='19 Apr 11:00')
    """
    local = moment(at).astimezone(CHINA)
    time = f"{local:%H:%M}"
    return Sentence(f"{local.month}月{local.day}日{time}", f"{local.day} {MONTHS[local.month - 1]} {time}")


def span(seconds: float) -> Sentence:
    """A length of time, rounded down to what one says.

    >>> span(59.9).en, span(61).en, span(300).zh, span(3661).zh, span(90).zh
    ('59 s', '1 min 1 s', '5分钟', '1小时1分', '1分30秒')
    """
    whole = max(0, math.floor(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return Sentence(f"{hours}小时{minutes}分" if minutes else f"{hours}小时",
                        f"{hours} h {minutes} min" if minutes else f"{hours} h")  # fmt: skip
    if not minutes:
        return Sentence(f"{rest}秒", f"{rest} s")
    if minutes >= 5 or not rest:
        return Sentence(f"{minutes}分钟", f"{minutes} min")
    return Sentence(f"{minutes}分{rest}秒", f"{minutes} min {rest} s")


def length(metres: float) -> Sentence:
    """A distance in words.

    >>> length(412.4).en, length(8320).zh
    ('412 m', '8.3公里')
    """
    if metres < 1000:
        return Sentence(f"{metres:.0f}米", f"{metres:.0f} m")
    return Sentence(f"{metres / 1000:.1f}公里", f"{metres / 1000:.1f} km")


def labelled(labels: Iterable[str]) -> Sentence:
    """The things a camera names, in words; an unknown label stands for itself."""
    named = [LABELS.get(label, Sentence(label, label)) for label in labels]
    return Sentence("、".join(n.zh for n in named), joined([n.en for n in named]))


def joined(names: Sequence[str]) -> str:
    """An English list.

    >>> joined(["person", "rod", "net"])
    'person, rod and net'
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def device_at(site: Site, device: int) -> Device | None:
    """The device with this id, if the site knows it."""
    try:
        return site.registry.by_id(device)
    except KeyError:
        return None


def device_names(site: Site, devices: Iterable[int], most: int = 2) -> Sentence:
    """The names of the first devices, and how many more there are."""
    known = [(d.name or d.code, d.name_en or d.code) if (d := device_at(site, i)) else (f"#{i}",) * 2 for i in devices]
    zh, en = "、".join(n[0] for n in known[:most]), [n[1] for n in known[:most]]
    if len(known) > most:
        return Sentence(f"{zh}等{len(known)}台设备", joined([*en, f"{len(known) - most} more"]))
    return Sentence(zh, joined(en))


def whereabouts(site: Site, lon: float, lat: float, area: str = "") -> Sentence:
    """The name of the smallest zone that holds the place; without one that of the area, else the coordinates."""
    if math.isfinite(lon) and math.isfinite(lat):
        holding = [z for z in site.zones.values() if shapely.intersects_xy(z.geometry, lon, lat)]
        if holding:
            zone = min(holding, key=lambda z: (z.geometry.area, z.code))
            return Sentence(zone.name, zone.name_en)
    if area in site.areas:
        return Sentence(site.areas[area].name, site.areas[area].name_en)
    if math.isfinite(lon) and math.isfinite(lat):
        return Sentence(f"东经{lon:.5f}°、北纬{lat:.5f}°", f"{lon:.5f}° E, {lat:.5f}° N")
    return Sentence("位置未知处", "an unknown place")


def stamp(at: int) -> str:
    """A moment in evidence: ISO 8601 in UTC, to the millisecond.

    >>> stamp(1_745_031_600_123_456)
    '2025-04-19T03:00:00.123Z'
    """
    return moment(at // (SECOND // 1000) * (SECOND // 1000)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def point(lon: float, lat: float, **properties: Any) -> dict[str, Any]:
    """A GeoJSON feature; its geometry is null where there is no place. Unknown numbers become null."""
    known = math.isfinite(lon) and math.isfinite(lat)
    place = {"type": "Point", "coordinates": [round(lon, 6), round(lat, 6)]} if known else None
    return {"type": "Feature", "geometry": place, "properties": {k: plain(v) for k, v in properties.items()}}


def evidence(features: Sequence[Mapping[str, Any]], **numbers: Any) -> dict[str, Any]:
    """What a finding rests on, ready for JSON."""
    return {
        "geojson": {"type": "FeatureCollection", "features": list(features)},
        "numbers": {name: plain(value) for name, value in numbers.items()},
    }


def plain(value: Any) -> Any:
    """A value that JSON can hold: NaN and infinities become null, NumPy scalars numbers."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
