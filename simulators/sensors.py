"""Sensors that stay in one place: the lake's level, smoke."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from devices.readings import SECOND
from devices.registry import Device
from simulators.chance import Keys, name_key, normal, uniform
from simulators.crowds import Surge
from simulators.places import Ground
from simulators.truth import Diary
from simulators.wire import Message, Speaker, seconds, whole_ms

PHASE, NOISE, PUFF, PUFF_SIZE = range(90, 94)  # purposes of draws
PERIOD: Final = 60.0  # s between samples, where the device promises nothing
LEVEL: Final = 7.9  # m, the lake's usual level above the gauge's zero
SEICHE: Final = 0.018, 2_750.0  # m, s: the wind rocks the lake
SWELL: Final = 0.004  # m, what waves leave after the gauge's stilling well
PUFFS: Final = 1 / 5400.0  # per second: somebody lights a cigarette, a stove
QUANTITIES: Final = ("water_level", "smoke")


def quantity_of(device: Device) -> str:
    """What a sensor measures: its property ``quantity``, else its role; "" where that is nothing this world has."""
    given = device.properties.get("quantity") or device.role
    return str(given) if given in QUANTITIES else ""


class Sensors:
    """The water-level and smoke sensors of a site; columns of shape (n,) in the order of ``devices``."""

    def __init__(self, seed: int, devices: Sequence[Device], ground: Ground, start: int) -> None:
        self.devices, self._ground, self._start = tuple(devices), ground, start
        self._speakers = [Speaker(d) for d in devices]
        self._quantity = [quantity_of(d) for d in devices]
        self.keys: Keys = np.array([name_key(seed, "sensor", d.code) for d in devices], np.uint64)
        self._period = np.array([max(1.0, d.interval or PERIOD) for d in devices]) * SECOND
        self._next = start + uniform(self.keys, PHASE, 0) * self._period
        self._rises: list[tuple[Surge, int]] = []  # with the number of the episode
        self._fires: dict[int, list[tuple[Surge, int]]] = {}
        self._puff = np.zeros(len(devices))

    def rise(self, surge: Surge, now: int, diary: Diary) -> bool:
        """The lake rises (and falls again) by ``surge.share`` metres; False where nothing measures it."""
        gauges = [i for i, q in enumerate(self._quantity) if q == "water_level"]
        if gauges:
            note = f"the lake rises by {surge.share:.2f} m in {surge.rise // 60} minutes"
            self._rises.append((surge, self._begin(gauges[0], "high_water", now, diary, note)))
        return bool(gauges)

    def burn(self, surge: Surge, pick: float, now: int, diary: Diary) -> bool:
        """Something burns near a smoke sensor (at ``pick``, 0..1, of the list); False without one."""
        smoke = [i for i, q in enumerate(self._quantity) if q == "smoke"]
        if smoke:
            index = smoke[int(pick * len(smoke))]
            number = self._begin(index, "smoke", now, diary, "something burns")
            self._fires.setdefault(index, []).append((surge, number))
        return bool(smoke)

    def tick(self, tick: int, now: int, diary: Diary) -> list[Message]:
        """The samples that fall into the tick ending at ``now``."""
        sent = []
        for index in np.flatnonzero(self._next <= now).tolist():
            at = whole_ms(self._next[index])
            measure = self._level if self._quantity[index] == "water_level" else self._smoke
            value = measure(index, at, tick)
            content = {"t": seconds(at), "q": self._quantity[index], "v": round(value, 3)}
            sent.append(self._speakers[index].say(at, "sample", content))
            self._next[index] += self._period[index]
        self._rises = _lasting(self._rises, tick, now, diary)
        self._fires = {i: left for i, fires in self._fires.items() if (left := _lasting(fires, tick, now, diary))}
        return sent

    def _level(self, index: int, at: int, tick: int) -> float:
        size, period = SEICHE
        rocking = size * math.sin(2 * math.pi * ((at / SECOND) % period) / period)
        noise = SWELL * float(normal(self.keys[index : index + 1], NOISE, at)[0])
        usual = self.devices[index].properties.get("normal", LEVEL)
        return float(usual) + rocking + noise + sum(surge.at(tick) for surge, _ in self._rises)

    def _smoke(self, index: int, at: int, tick: int) -> float:
        key = self.keys[index : index + 1]
        self._puff[index] *= 0.45
        if uniform(key, PUFF, at)[0] < PUFFS * float(self._period[index]) / SECOND:
            self._puff[index] += 0.6 * float(uniform(key, PUFF_SIZE, at)[0])
        noise = 0.012 * float(normal(key, NOISE, at)[0])
        return max(0.0, float(self._puff[index]) + noise + sum(s.at(tick) for s, _ in self._fires.get(index, [])))

    def _begin(self, index: int, kind: str, now: int, diary: Diary, note: str) -> int:
        device = self.devices[index]
        spot = self._ground.frame.spot(device.lon, device.lat)
        return diary.begin(kind, now, spot, subject=device.code, note=note)


def _lasting(surges: list[tuple[Surge, int]], tick: int, now: int, diary: Diary) -> list[tuple[Surge, int]]:
    """Those that have not ended; the ended ones are written into the diary."""
    for surge, number in surges:
        if tick > surge.ends:
            diary.end(number, now)
    return [(surge, number) for surge, number in surges if tick <= surge.ends]
