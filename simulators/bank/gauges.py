"""Chapters gauges and flood: what sensors on the lake and in the town measure, over weeks and over hours."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from devices.readings import SECOND
from devices.registry import Device
from devices.site_folder import SiteFolder
from simulators.bank.stage import DAY, FIRST, Played, Stage
from simulators.chance import Floats, name_key, normals, uniform
from simulators.places import Spot
from simulators.sensors import LEVEL, NOISE, PUFF_SIZE, PUFFS, SEICHE, SWELL
from simulators.wire import Message, Speaker, seconds

HOUR: Final = 3_600.0
WARN, ALARM, RISE = 0.5, 0.9, 0.3  # m above the usual level, and m per hour: what this water's gauges are marked with
SMOKY: Final = 2.0, 5.0  # percent: the marks on the smoke detectors


@dataclass(slots=True)
class Gauge:
    """One sensor with what happens to it: ``adds`` to the truth, and ``spoils`` what is told of it."""

    device: Device
    quantity: str
    every: float  # s between samples
    usual: float
    draw: random.Random
    adds: list[Callable[[Floats], Floats]] = field(default_factory=list)
    spoils: list[Callable[[Floats, Floats], Floats]] = field(default_factory=list)
    storms: list[tuple[float, float, float]] = field(default_factory=list)  # from, until, times the noise
    busy: list[tuple[float, float]] = field(default_factory=list)


def gauges(folder: SiteFolder, seed: int) -> Played:
    """Twenty-seven days of ten sensors that send every five minutes; in the first two weeks nothing happens."""
    stage = long_stage("gauges", folder, seed, 27 * DAY)
    for number in range(10):
        gauge = gauge_of(stage, number, "water_level" if number < 7 else "smoke", 300.0)
        if gauge.quantity == "water_level":
            story = gauge.draw.sample((_slow_high, _fast, _stuck, _shift, _slow_high, _stuck, _shift), 3)
            for happening in (*story, _nearly, spikes, _storm, spikes):
                happening(stage, gauge, 15 * DAY, 26.5 * DAY)
        else:
            _fire(stage, gauge, 15 * DAY, 26 * DAY, 1_500.0)
            _stuck(stage, gauge, 15 * DAY, 26 * DAY)
            spikes(stage, gauge, DAY, 26 * DAY)
    return stage.play()


def flood(folder: SiteFolder, seed: int) -> Played:
    """Ten hours of ten sensors that send every minute."""
    stage = long_stage("flood", folder, seed, 10 * HOUR)
    for number in range(10):
        gauge = gauge_of(stage, number, "water_level" if number < 6 else "smoke", 60.0)
        if gauge.quantity == "water_level":
            happening = gauge.draw.choice((_high, _high, _fast, _fast, _nearly, _storm))
            happening(stage, gauge, 2.5 * HOUR, 9.5 * HOUR)
        elif gauge.draw.random() < 0.7:
            _fire(stage, gauge, 1.5 * HOUR, 9 * HOUR, 0.0)
        spikes(stage, gauge, HOUR, 9.5 * HOUR)
    return stage.play()


def long_stage(chapter: str, folder: SiteFolder, seed: int, lasts: float) -> Stage:
    """A chapter that begins at midnight of some day of the year."""
    start = FIRST + random.Random(name_key(seed, chapter)).randrange(300) * int(DAY) * SECOND  # noqa: S311
    return Stage(chapter, folder, seed, lasts, start)


def gauge_of(stage: Stage, number: int, quantity: str, every: float, *, low: bool = False) -> Gauge:
    """A sensor on the bank (or in the town) with its marks, with ``low`` those for low water too; and its messages."""
    draw = stage.dice("gauge", number)
    pattern = next(d for d in stage.folder.devices if d.kind == "sensor" and d.properties.get("quantity") == quantity)
    usual = round(LEVEL + draw.uniform(-1.5, 1.5), 2) if quantity == "water_level" else 0.0
    marks: dict[str, Any] = {"quantity": quantity}
    if quantity == "water_level":
        marks |= {"normal": usual, "warn": round(usual + WARN, 2), "alarm": round(usual + ALARM, 2), "rise": RISE}
        if low:
            marks |= {"low_warn": round(usual - WARN, 2), "low_alarm": round(usual - ALARM, 2)}
    else:
        marks |= {"warn": SMOKY[0], "alarm": SMOKY[1]}
    device = replace(
        pattern,
        code=f"{'WL' if quantity == 'water_level' else 'SM'}9{number}",
        interval=every,
        aliases=(),
        properties=marks,
    )
    stage.folder = replace(stage.folder, devices=(*stage.folder.devices, device))
    gauge = Gauge(device, quantity, every, usual, draw)
    stage.sources.append(lambda: _samples(stage, gauge))
    return gauge


def _samples(stage: Stage, gauge: Gauge) -> list[Message]:
    """All that it sends."""
    key = np.array([name_key(stage.seed, "gauge", gauge.device.code)], np.uint64)
    at = np.arange(gauge.every * float(uniform(key, 1, 0)[0]), stage.seconds, gauge.every)
    keys, number = np.repeat(key, len(at)), np.arange(len(at)).astype(np.uint64)
    noise = normals(keys, (NOISE,), number)[0]
    rough = np.full(len(at), stage.weather.waves if stage.seconds < DAY else 1.0)
    for since, until, times in gauge.storms:
        rough[(at >= since) & (at < until)] = times
    if gauge.quantity == "water_level":
        size, period = SEICHE
        value = gauge.usual + rough * (size * np.sin(2 * math.pi * at / period) + SWELL * noise)
        value += 0.02 * np.sin(2 * math.pi * (at / DAY + gauge.usual)) + _drift(stage, gauge, at)
    else:
        puffs = np.where(uniform(keys, 2, number) < PUFFS * gauge.every, 0.6 * uniform(keys, PUFF_SIZE, number), 0.0)
        value = 0.02 + puffs + 0.012 * noise
    for add in gauge.adds:
        value = value + add(at)
    if gauge.quantity == "smoke":
        value = np.maximum(0.0, value)
    for spoil in gauge.spoils:
        value = spoil(at, value)
    speaker = Speaker(gauge.device)
    sent = []
    for t, v in zip(at.tolist(), value.tolist(), strict=True):
        moment = stage.micros(t)
        sent.append(speaker.say(moment, "sample", {"t": seconds(moment), "q": gauge.quantity, "v": round(v, 3)}))
    return sent


def _drift(stage: Stage, gauge: Gauge, at: Floats) -> Floats:
    """The lake over weeks: some centimetres up or down."""
    knots = np.arange(0.0, stage.seconds + 2 * DAY, DAY)
    draw = stage.dice("drift", gauge.device.code)
    level = np.cumsum([draw.gauss(0.0, 0.008) for _ in knots])
    return np.asarray(np.interp(at, knots, level - level[0]))


# ── What happens ────────────────────────────────────────────────────────────────────────────────────────────────────
def free(gauge: Gauge, since: float, until: float, lasts: float, rest: float) -> float | None:
    """When something can begin that goes on for so long, with quiet before and after it."""
    for _ in range(60):
        begin = gauge.draw.uniform(since, max(since, until - lasts))
        if all(begin + lasts + rest < a or begin > b + rest for a, b in gauge.busy):
            gauge.busy.append((begin, begin + lasts))
            return begin
    return None


def spot_of(stage: Stage, gauge: Gauge) -> Spot:
    """Where it stands."""
    return stage.ground.frame.spot(gauge.device.lon, gauge.device.lat)


def wave(begin: float, rise: float, holds: float, falls: float, size: float) -> Callable[[Floats], Floats]:
    """Something that comes to ``size`` within ``rise`` s, stays and goes."""
    knots = np.cumsum([begin, rise, holds, falls])
    return lambda at: np.asarray(np.interp(at, knots, [0.0, size, size, 0.0]))


def _water(
    stage: Stage, gauge: Gauge, since: float, until: float, times: tuple[float, float, float], size: float, kind: str
) -> None:
    """The water rises and falls again."""
    rise, holds, falls = times
    begin = free(gauge, since, until, rise + holds + falls, 6 * HOUR if stage.seconds > DAY else HOUR)
    if begin is None:
        return
    gauge.adds.append(wave(begin, rise, holds, falls, size))
    note = f"the water rises by {size:.2f} m in {rise / 60:.0f} min"
    code, spot, end = gauge.device.code, spot_of(stage, gauge), begin + rise + holds + falls
    span = (begin, begin + rise if kind == "fast_rise" else end)
    stage.mark(kind, *span, spot, subject=code, note=note)
    if kind == "high_water" and size / rise * HOUR > RISE:
        stage.mark("fast_rise", begin, begin + rise, spot, subject=code, note=note)
    elif kind == "fast_rise":
        stage.mark("swell", begin + rise, end, spot, subject=code, note="the water is still up")


def _high(stage: Stage, gauge: Gauge, since: float, until: float) -> None:
    """A flood from the hills: beyond the mark within an hour or two."""
    draw = gauge.draw
    size = draw.uniform(0.6, 1.3)
    times = size / (draw.uniform(1.4, 3.5) * RISE) * HOUR, draw.uniform(0.5, 1.2) * HOUR, draw.uniform(1.0, 2.0) * HOUR
    _water(stage, gauge, since, until, times, size, "high_water")


def _slow_high(stage: Stage, gauge: Gauge, since: float, until: float) -> None:
    """The lake fills over half a day or more, beyond the mark."""
    draw = gauge.draw
    size = draw.uniform(0.6, 1.4)
    times = size / (draw.uniform(0.15, 0.45) * RISE) * HOUR, draw.uniform(3, 18) * HOUR, draw.uniform(12, 30) * HOUR
    _water(stage, gauge, since, until, times, size, "high_water")


def _fast(stage: Stage, gauge: Gauge, since: float, until: float) -> None:
    """A sluice opened by mistake: it rises fast, but not to the mark."""
    draw = gauge.draw
    rise = draw.uniform(0.5, 0.8) * HOUR
    _water(stage, gauge, since, until, (rise, HOUR, 2 * HOUR), draw.uniform(1.4, 2.0) * RISE * rise / HOUR, "fast_rise")


def _nearly(stage: Stage, gauge: Gauge, since: float, until: float) -> None:
    """It rises, slowly, to below the mark."""
    draw = gauge.draw
    times = draw.uniform(2.5, 5.0) * HOUR, HOUR, 2 * HOUR
    _water(stage, gauge, since, until, times, draw.uniform(0.4, 0.7) * WARN, "swell")


def _stuck(stage: Stage, gauge: Gauge, since: float, until: float) -> None:
    """Mud, ice, a hung program: the same digits for hours or days."""
    lasts = gauge.draw.uniform(8, 48) * HOUR
    begin = free(gauge, since, until, lasts, 3 * HOUR)
    if begin is None:
        return

    def spoil(at: Floats, value: Floats) -> Floats:
        when = (at >= begin) & (at < begin + lasts)
        value = value.copy()
        if when.any():
            value[when] = value[when][0]
        return value

    gauge.spoils.append(spoil)
    stage.mark("stuck_sensor", begin, begin + lasts, spot_of(stage, gauge), subject=gauge.device.code, note="no change")


def _shift(stage: Stage, gauge: Gauge, since: float, until: float) -> None:
    """Somebody has knocked the gauge: everything is off by as much, till it is set right."""
    lasts = gauge.draw.uniform(20, 60) * HOUR
    begin = free(gauge, since, until, lasts, 6 * HOUR)
    if begin is None:
        return
    size = gauge.draw.choice((-1.0, 1.0)) * gauge.draw.uniform(0.12, 0.35)
    gauge.spoils.append(lambda at, value: np.where((at >= begin) & (at < begin + lasts), value + size, value))
    spot, note = spot_of(stage, gauge), f"all values {size:+.2f} m"
    stage.mark("level_shift", begin, begin + lasts, spot, subject=gauge.device.code, note=note)
    right = begin + lasts
    stage.mark("set_right", right, right + 6 * HOUR, spot, subject=gauge.device.code, note="the gauge is set right")


def _fire(stage: Stage, gauge: Gauge, since: float, until: float, longer: float) -> None:
    """Something burns near a smoke detector."""
    draw = gauge.draw
    rise, holds = draw.uniform(40, 180), draw.uniform(240, 900) + longer
    begin = free(gauge, since, until, rise + holds + 300, HOUR)
    if begin is None:
        return
    gauge.adds.append(wave(begin, rise, holds, 300.0, draw.uniform(4.0, 9.0)))
    spot = spot_of(stage, gauge)
    stage.mark("smoke", begin, begin + rise + holds + 200, spot, subject=gauge.device.code, note="something burns")


def spikes(stage: Stage, gauge: Gauge, since: float, until: float) -> None:
    """The gauge is cleaned: a wild value or two."""
    count = gauge.draw.choice((1, 1, 2)) if gauge.quantity == "water_level" else 1
    begin = free(gauge, since, until, count * gauge.every, HOUR)
    if begin is None:
        return
    wild = gauge.draw.choice((0.0, gauge.usual + 2.0, gauge.usual - 1.0)) if gauge.quantity == "water_level" else 6.0
    end = begin + count * gauge.every
    gauge.spoils.append(lambda at, value: np.where((at >= begin) & (at < end), wild, value))
    stage.mark("spike", begin, end, spot_of(stage, gauge), subject=gauge.device.code, note=f"{count} wild values")


def _storm(stage: Stage, gauge: Gauge, since: float, until: float) -> None:
    """The wind rocks the lake more than usual."""
    lasts = gauge.draw.uniform(1.5, 4.0) * HOUR
    begin = free(gauge, since, until, lasts, HOUR)
    if begin is not None:
        gauge.storms.append((begin, begin + lasts, gauge.draw.uniform(2.0, 3.5)))
        spot = spot_of(stage, gauge)
        stage.mark("storm", begin, begin + lasts, spot, subject=gauge.device.code, note="the wind rocks the lake")
