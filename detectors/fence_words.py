"""What is said of fenced zones: entered, left, stayed in, passed through; and of homes."""

from __future__ import annotations

from detectors.base import Sentence
from detectors.homes import Home
from detectors.wording import clock, device_names, joined, span
from devices.readings import SECOND
from devices.site import Site, Zone


def entered(site: Site, device: int, zone: Zone, at: int) -> Sentence:
    """Somebody is inside since a moment (UTC µs)."""
    name, when = device_names(site, [device]), clock(at)
    return Sentence(f"{name.zh}进入{zone.name}，{when.zh}。", f"{name.en} has entered {zone.name_en}, {when.en}.")


def left(site: Site, device: int, zone: Zone, at: int, lasted: int) -> Sentence:
    """Somebody is out again, after so many µs."""
    name, when, inside = device_names(site, [device]), clock(at), span(lasted / SECOND)
    return Sentence(
        f"{name.zh}停留{inside.zh}后离开{zone.name}，{when.zh}。",
        f"{name.en} has left {zone.name_en} after {inside.en}, {when.en}.",
    )


def never_there(site: Site, device: int, zone: Zone, at: int) -> Sentence:
    """Late fixes show that a visit that was told did not take place."""
    name, when = device_names(site, [device]), clock(at)
    return Sentence(
        f"后到的定位表明，{name.zh}在{when.zh}并未进入{zone.name}。",
        f"Fixes that came later show that {name.en} did not enter {zone.name_en} at {when.en}.",
    )


def stays_in(site: Site, device: int, zone: Zone, since: int, lasted: int, limit: float) -> Sentence:
    """Somebody has been inside for so many µs; ``limit`` in s."""
    name, when, inside, most = device_names(site, [device]), clock(since), span(lasted / SECOND), span(limit)
    return Sentence(
        f"{name.zh}在{zone.name}内已停留{inside.zh}（阈值{most.zh}），{when.zh}起。",
        f"{name.en} has been in {zone.name_en} for {inside.en} (limit {most.en}), since {when.en}.",
    )


def passed(site: Site, device: int, zone: Zone, at: int, metres: float, seconds: float) -> Sentence:
    """Somebody went through between two fixes so many seconds apart."""
    name, when, took = device_names(site, [device]), clock(at), span(seconds)
    return Sentence(
        f"{name.zh}穿越{zone.name}，区内约{metres:.0f}米，在相隔{took.zh}的两个定位点之间，{when.zh}。",
        f"{name.en} passed through {zone.name_en}, about {metres:.0f} m of it, between two fixes {took.en} apart,"
        f" {when.en}.",
    )


def away(site: Site, device: int, home: Home, lasted: float, since: int, limit: float, *, at_least: bool) -> Sentence:
    """Somebody is away from home for so many seconds, or more."""
    name, when, out, most = device_names(site, [device]), clock(since), span(lasted), span(limit)
    zh, en = ("至少", "at least ") if at_least else ("", "")
    where = _names(home)
    return Sentence(
        f"{name.zh}离开所属区域{where.zh}{zh}已{out.zh}（阈值{most.zh}），现相距{home.metres():.0f}米，{when.zh}起。",
        f"{name.en} has been away from {where.en} for {en}{out.en} (limit {most.en}), now {home.metres():.0f} m off,"
        f" since {when.en}.",
    )


def back_home(site: Site, device: int, home: Home, at: int) -> Sentence:
    """Somebody is at home again."""
    name, when, where = device_names(site, [device]), clock(at), _names(home)
    return Sentence(f"{name.zh}已回到{where.zh}，{when.zh}。", f"{name.en} is back in {where.en}, {when.en}.")


def _names(home: Home) -> Sentence:
    return Sentence("、".join(z.name for z in home.zones), joined([z.name_en for z in home.zones]))
