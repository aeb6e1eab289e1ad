"""What is said of silent devices, of a silent feed, of who is heard again, and of batteries."""

from __future__ import annotations

from typing import NamedTuple

from detectors.base import Sentence
from detectors.wording import clock, span, whereabouts
from devices.readings import SECOND
from devices.registry import Device
from devices.site import Site


class Quiet(NamedTuple):
    """A silent device: µs of silence and of its limit, s between its messages, when and where it was last heard."""

    device: Device
    age: int
    limit: int
    usual: float
    since: int
    lon: float
    lat: float
    hole: bool
    battery: float  # percent, NaN when not known
    will: bool  # the broker said that its connection was lost


def quiet(site: Site, what: Quiet) -> Sentence:
    """A device has fallen silent."""
    device, where, lasted = (
        what.device,
        whereabouts(site, what.lon, what.lat, what.device.area),
        span(what.age / SECOND),
    )
    most, heard = span(what.limit / SECOND), clock(what.since)
    promise = f"{device.interval:g}"
    usual = Sentence(f"约定每{promise}秒一次", f"promised: every {promise} s")
    if what.usual != device.interval:
        usual = Sentence(f"平常约每{what.usual:.0f}秒一次", f"usually every {what.usual:.0f} s or so")
    more_zh, more_en = "", ""
    if what.hole:
        more_zh, more_en = more_zh + "，该处已知信号盲区", more_en + ", where there is a known hole in coverage"
    if what.will:
        more_zh, more_en = more_zh + "，服务器报告其连接中断", more_en + "; the broker reported its connection lost"
    if what.battery <= 10:
        charge = f"{what.battery:.0f}"
        more_zh, more_en = more_zh + f"，当时电量{charge}%", more_en + f"; its battery was at {charge} %"
    return Sentence(
        f"{device.name}已{lasted.zh}没有信号（{usual.zh}，阈值{most.zh}），最后一次在{where.zh}，{heard.zh}{more_zh}。",
        f"{device.name_en or device.code} has been silent for {lasted.en} ({usual.en}, limit {most.en}); last heard"
        f" {heard.en} at {where.en}{more_en}.",
    )


def heard_again(device: Device, since: int, at: int) -> Sentence:
    """The end of a silence."""
    lasted = span((at - since) / SECOND)
    return Sentence(
        f"{device.name}恢复信号，此前{lasted.zh}没有消息，{clock(at).zh}。",
        f"{device.name_en or device.code} is heard again after {lasted.en}, {clock(at).en}.",
    )


class Feed(NamedTuple):
    """Devices that fell silent together, all in the area with this code where it is not the whole feed."""

    count: int  # type: ignore[assignment]  # the field word; nobody counts a tuple's elements here
    age: int  # µs
    since: int
    area: str
    whole: bool


def feed_quiet(site: Site, what: Feed) -> Sentence:
    """The feed or a part of it has fallen silent."""
    lasted, heard = span(what.age / SECOND), clock(what.since)
    where = Sentence("", "")
    if what.area in site.areas:
        where = Sentence(site.areas[what.area].name, f" in {site.areas[what.area].name_en}")
    elif not what.whole:
        where = Sentence("同一片区", " in one neighbourhood")
    cause = Sentence("接入或网络故障", "the feed or the network")
    if not what.whole:
        cause = Sentence("该处基站或网络故障", "the base station or the network there")
    return Sentence(
        f"{where.zh}{what.count}台设备几乎同时没有信号，已{lasted.zh}，{heard.zh}起：多半是{cause.zh}，而非设备本身。",
        f"{what.count} devices{where.en} fell silent almost at once and have been for {lasted.en}, since {heard.en}:"
        f" most likely {cause.en}, not the devices.",
    )


def feed_back(since: int, at: int, count: int) -> Sentence:
    """The end of an outage of the feed."""
    lasted = span((at - since) / SECOND)
    return Sentence(
        f"{count}台设备中的多数已恢复信号，此前中断{lasted.zh}，{clock(at).zh}。",
        f"Most of the {count} devices are heard again after {lasted.en}, {clock(at).en}.",
    )


class BatteryLow(NamedTuple):
    """A battery: percent, s until it is empty (NaN: no trend), when that was received, where the device was."""

    device: Device
    charge: float
    left: float
    limit: float
    since: int
    lon: float
    lat: float


def battery_low(site: Site, what: BatteryLow) -> Sentence:
    """A battery that will be empty soon."""
    device, where = what.device, whereabouts(site, what.lon, what.lat, what.device.area)
    left = Sentence("", "")
    if what.left == what.left:
        left = Sentence(f"，预计{span(what.left).zh}后耗尽", f", expected to be empty in {span(what.left).en}")
    return Sentence(
        f"{device.name}的电量只剩{what.charge:.0f}%{left.zh}（阈值{what.limit:g}%），在{where.zh}，{clock(what.since).zh}。",
        f"The battery of {device.name_en or device.code} is at {what.charge:.0f} %{left.en} (limit {what.limit:g} %),"
        f" at {where.en}, {clock(what.since).en}.",
    )
