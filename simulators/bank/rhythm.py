"""Chapter rhythm: doors at which people are counted, with days and weeks of their own, and a lake that falls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from devices.site_folder import SiteFolder
from simulators.bank.gauges import ALARM, HOUR, WARN, Gauge, free, gauge_of, long_stage, spikes, spot_of, wave
from simulators.bank.stage import DAY, Played, Stage
from simulators.chance import Floats, name_key, normals
from simulators.wire import Message, Speaker, seconds

LASTS: Final = 27 * DAY
KNOWN: Final = 15 * DAY  # in the first two weeks nothing happens, as a detector may learn from them
EVERY: Final = 300.0  # s between samples
DOORS, GAUGES = 6, 4


def rhythm(folder: SiteFolder, seed: int) -> Played:
    """Twenty-seven days of six counters at doors and four gauges with marks for low water."""
    stage = long_stage("rhythm", folder, seed, LASTS)
    for number in range(DOORS):
        _door(stage, number)
    for number in range(GAUGES):
        gauge = gauge_of(stage, number, "water_level", EVERY, low=True)
        for happening in (_low, _low, _ebb, _gap, spikes):
            happening(stage, gauge, KNOWN, LASTS - 0.5 * DAY)
    return stage.play()


# ── Doors ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _door(stage: Stage, number: int) -> None:
    """A hall, a landing, a reading room: how many people are in it."""
    draw = stage.dice("door", number)
    pattern = next(d for d in stage.folder.devices if d.kind == "sensor")
    device = replace(
        pattern, code=f"PC9{number}", interval=EVERY, aliases=(), properties={"quantity": "people"},
        name=f"{number}号门人数", name_en=f"Door {number}",
    )  # fmt: skip
    stage.folder = replace(stage.folder, devices=(*stage.folder.devices, device))
    gauge = Gauge(device, "people", EVERY, float(draw.randrange(40, 260)), draw)
    opens, closes = draw.uniform(6.5, 9.0), draw.uniform(18.0, 21.5)
    for happening in (_throng, _deserted, _full_day, _gap, _throng, _miscount):
        happening(stage, gauge, opens, closes)
    stage.sources.append(partial(_counts, stage, gauge, opens, closes))


def _counts(stage: Stage, gauge: Gauge, opens: float, closes: float) -> list[Message]:
    """All that it sends."""
    draw = stage.dice("visitors", gauge.device.code)
    key = np.array([name_key(stage.seed, "door", gauge.device.code)], np.uint64)
    at = np.arange(draw.uniform(0.0, EVERY), stage.seconds, EVERY)
    day, hour = (at // DAY).astype(int), at % DAY / HOUR
    noon = draw.uniform(0.55, 0.85)
    share = np.interp(hour, [opens - 0.7, opens + 0.8, 12.5, closes - 1.5, closes + 0.5], [0.0, 0.9, noon, 1.0, 0.0])
    week = np.array([draw.uniform(0.7, 1.1) for _ in range(7)])
    week[draw.randrange(7)] = 1.5  # the market day
    whims = np.array([draw.uniform(0.85, 1.15) for _ in range(int(stage.seconds / DAY) + 1)])
    season = 1.0 + draw.uniform(-0.2, 0.25) * at / stage.seconds
    value = gauge.usual * share * week[day % 7] * whims[day] * season + draw.choice((0.0, 0.0, 2.0))  # a caretaker
    for add in gauge.adds:
        value = value + add(at)
    for spoil in gauge.spoils:
        value = spoil(at, value)
    noise = np.ones(len(at))
    for since, until, times in gauge.storms:
        noise[(at >= since) & (at < until)] = times
    noise *= normals(np.repeat(key, len(at)), (1,), np.arange(len(at)).astype(np.uint64))[0]
    people = np.maximum(0.0, np.round(value + np.sqrt(np.maximum(value, 0.0)) * noise))
    speaker = Speaker(gauge.device)
    sent = []
    for t, n in zip(at.tolist(), people.tolist(), strict=True):
        moment = stage.micros(t)
        sent.append(speaker.say(moment, "sample", {"t": seconds(moment), "q": "people", "v": n}))
    return sent


def _open_day(gauge: Gauge, lasts: float, hours: tuple[float, float]) -> float | None:
    """When something can begin on some day, between these hours."""
    for _ in range(60):
        begin = gauge.draw.randrange(15, 26) * DAY + gauge.draw.uniform(*hours) * HOUR
        if free(gauge, begin, begin, lasts, 14 * HOUR) is not None:
            return begin
    return None


def _throng(stage: Stage, gauge: Gauge, opens: float, closes: float) -> None:
    """Many more people than there ever are at that hour: a quarrel, a petition, a feast that nobody has announced."""
    draw = gauge.draw
    fill, lasts = draw.uniform(5, 30) * 60, draw.uniform(1.0, 4.0) * HOUR
    begin = _open_day(gauge, lasts + 2 * fill, (opens - 3.0, closes - 1.0))
    if begin is None:
        return
    size = draw.uniform(1.2, 2.2) * gauge.usual
    gauge.adds.append(wave(begin, fill, lasts, fill, size))
    note = f"{size:.0f} people more than usual"
    stage.mark("unusual", begin, begin + lasts + 2 * fill, spot_of(stage, gauge), subject=gauge.device.code, note=note)


def _deserted(stage: Stage, gauge: Gauge, opens: float, closes: float) -> None:
    """Nearly nobody comes while it is open: the door is shut, the road is blocked."""
    draw = gauge.draw
    lasts = draw.uniform(2.0, 5.0) * HOUR
    begin = _open_day(gauge, lasts, (opens + 1.5, closes - 2.5 - lasts / HOUR))
    if begin is None:
        return
    left = draw.uniform(0.0, 0.1)
    gauge.spoils.append(_between(begin, begin + lasts, lambda value: left * value))
    stage.mark("unusual", begin, begin + lasts, spot_of(stage, gauge), subject=gauge.device.code, note="nearly nobody")


def _full_day(stage: Stage, gauge: Gauge, opens: float, _: float) -> None:
    """A fine day: a quarter more people than usual, or less, from morning to night."""
    begin = _open_day(gauge, 16 * HOUR, (opens - 1.0, opens - 1.0))
    if begin is None:
        return
    more = gauge.draw.uniform(1.1, 1.25)
    gauge.spoils.append(_between(begin, begin + 16 * HOUR, lambda value: more * value))
    spot, note = spot_of(stage, gauge), f"{more:.2f} times as many as usual"
    stage.mark("busy", begin, min(stage.seconds, begin + 16 * HOUR), spot, subject=gauge.device.code, note=note)


def _miscount(stage: Stage, gauge: Gauge, opens: float, closes: float) -> None:
    """Low sun in the lens: the counts go up and down three times as much."""
    lasts = gauge.draw.uniform(1.0, 3.0) * HOUR
    begin = _open_day(gauge, lasts, (opens, closes - 3.0))
    if begin is not None:
        gauge.storms.append((begin, begin + lasts, 3.0))
        stage.mark("noise", begin, begin + lasts, spot_of(stage, gauge), subject=gauge.device.code, note="wild counts")


def _between(since: float, until: float, change: Callable[[Floats], Floats]) -> Callable[[Floats, Floats], Floats]:
    return lambda at, value: np.where((at >= since) & (at < until), change(value), value)


# ── Water ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _low(stage: Stage, gauge: Gauge, since: float, until: float) -> None:
    """A sluice stands open, or the fields drink: the water falls below the mark within hours or a day."""
    _fall(stage, gauge, since, until, gauge.draw.uniform(WARN + 0.1, ALARM + 0.4), "low_water")


def _ebb(stage: Stage, gauge: Gauge, since: float, until: float) -> None:
    """It falls, but not to the mark."""
    _fall(stage, gauge, since, until, gauge.draw.uniform(0.4, 0.75) * WARN, "ebb")


def _fall(stage: Stage, gauge: Gauge, since: float, until: float, size: float, kind: str) -> None:
    draw = gauge.draw
    falls, holds = size / draw.uniform(0.05, 0.4) * HOUR, draw.uniform(3, 18) * HOUR
    fills = size / draw.uniform(0.04, 0.12) * HOUR
    begin = free(gauge, since, until, falls + holds + fills, 6 * HOUR)
    if begin is None:
        return
    gauge.adds.append(wave(begin, falls, holds, fills, -size))
    note = f"the water falls by {size:.2f} m in {falls / 3600:.0f} h"
    spot = spot_of(stage, gauge)
    stage.mark(kind, begin, begin + falls + holds + fills, spot, subject=gauge.device.code, note=note)


def _gap(stage: Stage, gauge: Gauge, *_: float) -> None:
    """The network is out for the sensor: what it measures meanwhile is lost."""
    lasts = gauge.draw.uniform(0.5, 8.0) * HOUR
    begin = free(gauge, KNOWN, LASTS - DAY, lasts, HOUR)
    if begin is None:
        return
    since, until, topic = stage.micros(begin), stage.micros(begin + lasts), f"/{gauge.device.code}/"
    stage.cut.append(lambda sent: [m for m in sent if not (since <= m.at < until and topic in m.topic)])
    stage.mark("gap", begin, begin + lasts, spot_of(stage, gauge), subject=gauge.device.code, note="no samples")
