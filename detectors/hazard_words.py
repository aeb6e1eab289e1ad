"""What is said of sensors: names of quantities and units, and one sentence for each thing told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from detectors.base import Sentence
from detectors.series import Event
from detectors.wording import clock, span
from devices.readings import SECOND

QUANTITIES: Final[Mapping[str, tuple[Sentence, str]]] = {
    "water_level": (Sentence("水位", "water level"), "m"),
    "flow": (Sentence("流量", "flow"), "m3/s"),
    "rain": (Sentence("雨量", "rain"), "mm"),
    "smoke": (Sentence("烟雾浓度", "smoke"), "%"),
    "temperature": (Sentence("温度", "temperature"), "°C"),
    "humidity": (Sentence("湿度", "humidity"), "%"),
    "wind_speed": (Sentence("风速", "wind speed"), "m/s"),
    "oxygen": (Sentence("溶解氧", "dissolved oxygen"), "mg/L"),
    "people": (Sentence("人数", "people"), ""),
    "gas": (Sentence("可燃气体浓度", "combustible gas"), "%"),
}
"""Quantity → its name and unit; any other is named by itself."""


def named(quantity: str) -> tuple[Sentence, str]:
    """A quantity's name and unit."""
    return QUANTITIES.get(quantity, (Sentence(quantity, quantity), ""))


def amount(value: float, unit: str = "") -> str:
    """A value as one says it, with four significant digits, two behind the point at most where that is enough.

    >>> amount(8.1234, "m"), amount(0.0123, "%"), amount(12345.6), amount(-3.0, "°C"), amount(0.0, "m")
    ('8.12 m', '0.012 %', '12346', '-3 °C', '0 m')
    """
    size = abs(value)
    digits = 0 if size >= 1000 else 2 if size >= 0.1 or size == 0 else min(6, 1 - math.floor(math.log10(size)))
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{'0' if text == '-0' else text} {unit}".rstrip()


def sentence(event: Event, quantity: str, name: Sentence) -> Sentence:
    """What an officer reads of one event of one sensor."""
    what, unit = named(quantity)
    told, by = event.told, _SENTENCES[event.what]
    begun, lasted = clock(told.since), span((event.at - told.since) / SECOND)
    at_least = Sentence("至少" if told.at_least else "", "at least " if told.at_least else "")
    since = Sentence(f"{begun.zh}起已{at_least.zh}{lasted.zh}", f"for {at_least.en}{lasted.en} since {begun.en}")
    said = _ended(event, unit) if told.ended else by(event, unit, since)
    return Sentence(f"{name.zh}：{what.zh}{said.zh}。", f"{name.en}: {what.en} {said.en}.")


def _level(event: Event, unit: str, since: Sentence) -> Sentence:
    n = event.numbers
    value, limit = amount(n["value"], unit), amount(n["limit_value"], unit)
    high, worse = n["above"] > 0, event.told.step == 2
    return Sentence(
        f"{value}，{'达到' if high else '低至'}{'报警值' if worse else '预警值'}{limit}，{since.zh}",
        f"{value}, {'at or above' if high else 'at or below'} the {'alarm' if worse else 'warning'} limit {limit},"
        f" {since.en}",
    )


def _rise(event: Event, unit: str, since: Sentence) -> Sentence:
    n = event.numbers
    value, within = amount(n["value"], unit), span(n["window_s"])
    rate, limit = amount(n["rate_per_h"], unit), amount(n["limit_rate"], unit)
    return Sentence(
        f"{value}，近{within.zh}上升速度每小时{rate}（阈值每小时{limit}），{since.zh}",
        f"{value}, rising by {rate} an hour over the last {within.en} (limit {limit} an hour), {since.en}",
    )


def _stuck(event: Event, unit: str, since: Sentence) -> Sentence:
    n = event.numbers
    value, habit, limit = amount(n["value"], unit), span(n["habit_s"]), span(n["limit_s"])
    return Sentence(
        f"一直是{value}，{since.zh}，一字未变（平时最长约{habit.zh}，阈值{limit.zh}），传感器可能卡滞",
        f"has been exactly {value} {since.en} (its habit: {habit.en}, limit {limit.en}): the sensor may be stuck",
    )


def _shift(event: Event, unit: str, since: Sentence) -> Sentence:
    n, begun = event.numbers, clock(event.told.since)
    value, before = amount(n["value"], unit), amount(n["level_before"], unit)
    return Sentence(
        f"{begun.zh}前后由{before}突变为{value}，并保持至今，相当于此前波动的{n['sigmas']:.0f}倍"
        f"（阈值{n['limit_sigmas']:g}倍）",
        f"jumped from {before} to {value} at about {begun.en} and has stayed there: {n['sigmas']:.0f} times its spread"
        f" before (limit {n['limit_sigmas']:g})",
    )


def _odd(event: Event, unit: str, since: Sentence) -> Sentence:
    n = event.numbers
    value, usual = amount(n["value"], unit), amount(n["usual_value"], unit)
    return Sentence(
        f"{value}，与每周此时通常的{usual}相差{n['sigmas']:.0f}倍标准差（阈值{n['limit_sigmas']:g}倍），{since.zh}",
        f"{value}, {n['sigmas']:.0f} spreads from the {usual} usual at this hour of the week (limit"
        f" {n['limit_sigmas']:g}), {since.en}",
    )


def _ended(event: Event, unit: str) -> Sentence:
    """It is over."""
    n = event.numbers
    value, lasted = amount(n["value"], unit), span((event.at - event.told.since) / SECOND)
    if event.what == "level":
        off = amount(n["release_value"], unit)
        return Sentence(f"已恢复到{value}（解除值{off}），历时{lasted.zh}",
                        f"is back at {value} (all-clear {off}), after {lasted.en}")  # fmt: skip
    over = {
        "rise": Sentence("上升已停止或放缓", "no longer rises as fast"),
        "stuck": Sentence("重新变化，传感器恢复", "changes again: the sensor is no longer stuck"),
        "shift": Sentence("突变后的水平已成为常态", "has stayed at its new level"),
        "odd": Sentence("已恢复正常", "is as usual again"),
    }[event.what]
    return Sentence(f"{over.zh}，现为{value}，历时{lasted.zh}", f"{over.en}, now {value}, after {lasted.en}")


_SENTENCES: Final = {"level": _level, "rise": _rise, "stuck": _stuck, "shift": _shift, "odd": _odd}
