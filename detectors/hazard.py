"""Sensors: limits, rates of rise, sensors that are stuck or have shifted, and values that are not usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import ClassVar, Final

import numpy as np

from detectors.base import Batch, Finding, Sentence
from detectors.episodes import Pace
from detectors.hazard_words import sentence
from detectors.limits import Limits, limits_of
from detectors.series import BEFORE, WHATS, Event, Plan, Series
from detectors.thresholds import WrongThreshold, check_above, check_from, check_order, words
from detectors.usual import Cycle
from detectors.wording import device_at, evidence, point, stamp
from devices.readings import SECOND
from devices.registry import Device
from devices.site import Site

HOUSEKEEPING: Final = frozenset({"online", "battery"})  # of the devices, not of the world
SCORES: Final[Mapping[str, tuple[float, float]]] = {
    "level": (0.7, 0.9), "rise": (0.6, 0.8), "stuck": (0.5, 0.5), "shift": (0.5, 0.5), "odd": (0.4, 0.6),
}  # fmt: skip
"""How sure, at the first and the second step."""


@dataclass(slots=True)
class State:
    """The series known, by (device id, quantity); None where a device is not the site's."""

    site: Site
    series: dict[tuple[int, str], Series | None] = field(default_factory=dict)
    of_device: dict[int, list[Series]] = field(default_factory=dict)


@dataclass(frozen=True)
class Hazard:
    """A sensor's value is dangerous, rises fast, or is not what this sensor says.

    Definition. Each quantity of each sensor is a series of its own, followed sample by sample. ``tells`` says which of
    these are told. *level*: ``confirm`` samples in a row at or beyond the device's ``warn`` (second step: ``alarm``)
    limit, or ``low_warn``, ``low_alarm``; over after as many that have come back by ``release`` of the way to its
    ``normal`` level (where that is unknown, by a hundredth of the limit), or ``hold`` s without being beyond it. All
    else is judged by the medians of ``beat`` s. *rise*: the Theil–Sen slope over ``rise_window`` s reaches the limit
    ``rise`` and four fifths of the pairs of points rise, ``confirm`` beats in a row; over below half of it. *stuck*:
    the same value to the last digit in twelve samples or more, for ``stuck_factor`` times its habit (the longest run
    that 90 % of its hours with a change do not exceed; at 0 the longest rest ever) and ``stuck_least`` s. *shift*: the
    median of the last ``shift_window`` s is ``shift_sigmas`` spreads (MAD) off that of the six windows before, most of
    it within 15 min. *odd*: the last ``slot``'s median is ``sigmas`` robust standard deviations off what is usual at
    this hour of the week (see ``detectors.usual``), learned from the last ``cycles`` weeks. Told again in every
    ``renew`` s of the clock; when nothing of a device goes on any more, its end is told.

    Limits: the device's properties (``normal``, ``warn``, ``alarm``, ``low_warn``, ``low_alarm``, ``rise``, or
    ``limits`` by quantity), else ``over_normal`` and ``over_normal_alarm`` above its normal level, else the rule's.

    How it fails. ``confirm`` wrong samples in a row are believed. A sensor dead at 0 that seldom rests there is not
    told from one at rest. *odd* and *stuck*
    say nothing of a sensor in its first two weeks and first day. A change that lasts becomes usual after two weeks.
    What comes late is judged without what is usual.

    Source: Theil 1950 and Sen 1968 (slope), Hampel 1974 (median and MAD); the limits are the site's own.

    >>> from devices.readings import SAMPLE, rows
    >>> from devices.registry import Registry
    >>> own = {"quantity": "water_level", "normal": 7.9, "warn": 8.1, "alarm": 8.3}
    >>> gauge = Device("WL", "sensor", "水位计", "Gauge", "", "", lon=118.7, lat=31.5, properties=own, id=1)
    >>> site, detector = Site([], [], [], Registry([gauge])), Hazard(tells=("level",), confirm=2)
    >>> levels = [7.9, 8.12, 8.14, 8.2, 8.35, 8.35, 8.0, 8.0]
    >>> samples = [(1, t * 60 * SECOND, t * 60 * SECOND, "water_level", v) for t, v in enumerate(levels)]
    >>> found = detector.step(detector.start(site), Batch(samples=rows(SAMPLE, samples)), 480 * SECOND, site)
    >>> for f in found:
    ...     print(f.score, f.ends, f.sentence.en)
    0.7 False Gauge: water level 8.14 m, at or above the warning limit 8.1 m, for 1 min since 1 Jan 08:01.
    0.9 False Gauge: water level 8.35 m, at or above the alarm limit 8.3 m, for 4 min since 1 Jan 08:01.
    0.9 True Gauge: water level is back at 8 m (all-clear 8.08 m), after 6 min.
    """

    kind: ClassVar[str] = "hazard"
    by_reception: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ("samples",)

    quantities: tuple[str, ...] = ()  # none: all but online and battery
    tells: tuple[str, ...] = ("level", "rise")
    warn: float = 0.0  # in the quantity's unit, as all limits; 0: none
    alarm: float = 0.0
    low_warn: float = 0.0
    low_alarm: float = 0.0
    over_normal: float = 0.0  # above the device's normal level
    over_normal_alarm: float = 0.0
    confirm: int = 3  # samples, or looks at a rise
    release: float = 0.1  # of the way from the limit to the normal level
    hold: float = 1800.0  # s
    renew: float = 300.0  # s
    longest: float = 86_400.0  # s
    beat: float = 300.0  # s
    rise: float = 0.0  # per hour; 0: none
    rise_window: float = 1800.0  # s
    stuck_factor: float = 10.0
    stuck_least: float = 7200.0  # s
    shift_window: float = 3600.0  # s
    shift_sigmas: float = 5.5
    sigmas: float = 6.0
    slot: float = 3600.0  # s
    season: float = 604_800.0  # s
    cycles: int = 3

    def __post_init__(self) -> None:
        words(self, "quantities", least=0)
        words(self, "tells")
        if strange := [what for what in self.tells if what not in WHATS]:
            known = ", ".join(WHATS)
            raise WrongThreshold(self, "tells", strange[0], f"some of {known}", f"这些中的若干个：{known}")
        check_from(self, 0, "warn", "alarm", "low_warn", "low_alarm", "over_normal", "over_normal_alarm", "rise")
        check_from(self, 0, "release", "hold")
        check_from(self, 1, "confirm")
        check_from(self, 2, "cycles")
        check_above(self, 0, "renew", "longest", "beat", "rise_window", "stuck_factor", "stuck_least")
        check_above(self, 0, "shift_window", "shift_sigmas", "sigmas", "slot", "season")
        if self.alarm:
            check_order(self, "warn", "alarm")
        if self.low_warn:
            check_order(self, "low_alarm", "low_warn")
        if self.over_normal_alarm:
            check_order(self, "over_normal", "over_normal_alarm")
        check_order(self, "beat", "rise_window")
        check_order(self, "beat", "shift_window")
        check_order(self, "beat", "slot")
        check_order(self, "slot", "season")

    @property
    def memory(self) -> float:
        """Seconds: what is usual (weeks), and the longest episode or run of one value before that."""
        learned = {"stuck", "odd"} & set(self.tells)
        return self.refold_memory + (self._cycle.memory if learned else 0.0)

    @property
    def refold_memory(self) -> float:
        """Seconds: the longest episode and what it is judged by, without what is usual."""
        windows = max(self.rise_window, (BEFORE + 1) * self.shift_window, self.slot, self.stuck_least)
        return self.longest + self.hold + windows + 2 * self.beat

    @property
    def _cycle(self) -> Cycle:
        return Cycle(self.slot, self.season, int(self.cycles), trend=True)

    def start(self, site: Site) -> State:
        """No sample yet."""
        return State(site)

    def step(self, state: State, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`. ``now`` does not matter: a series has its own clock."""
        if state.site is not site:
            self._move(state, site)
        samples = batch.samples
        if not len(samples):
            return []
        if len(samples) > 1:
            samples = samples[np.lexsort((samples["quantity"].astype(str), samples["at"], samples["device"]))]
        columns = [samples[column].tolist() for column in ("device", "quantity", "at", "value")]
        found: list[Finding] = []
        # A device's quantities may take turns: only neighbours of the same one are followed in one go.
        for key, part in groupby(zip(*columns, strict=True), key=lambda row: row[:2]):
            series = state.series[key] if key in state.series else self._known(state, key, site)
            if series is None:
                continue
            take = series.take
            for _, _, at, value in part:
                for event in take(at, value):
                    found += self._finding(key, series, event, state, site)
        return found

    # ── Series and their limits ─────────────────────────────────────────────────────────────────────────────────────
    def _known(self, state: State, key: tuple[int, str], site: Site) -> Series | None:
        """A series seen for the first time; None for a stranger's, or a quantity that is not asked for."""
        device, quantity = device_at(site, key[0]), key[1]
        asked = quantity in self.quantities if self.quantities else quantity not in HOUSEKEEPING
        series = None
        if device is not None and asked:
            series = Series(self._plan(), quantity, self._limits(device, quantity), device.interval)
            state.of_device.setdefault(key[0], []).append(series)
        state.series[key] = series
        return series

    def _plan(self) -> Plan:
        rhythm = (self.hold, self.renew, self.longest)
        return Plan(
            self.tells, Pace.of(int(self.confirm), *rhythm), Pace.of(1, *rhythm), int(self.beat * SECOND), self.release,
            int(self.rise_window * SECOND), self.stuck_factor, int(self.stuck_least * SECOND),
            int(self.shift_window * SECOND), self.shift_sigmas, self.sigmas, self._cycle,
        )  # fmt: skip

    def _limits(self, device: Device, quantity: str) -> Limits:
        rule = {name: getattr(self, name) for name in ("warn", "alarm", "low_warn", "low_alarm", "rise")}
        return limits_of(device, quantity, rule, (self.over_normal, self.over_normal_alarm))

    def _move(self, state: State, site: Site) -> None:
        """Take a changed site: other limits, and devices that were strangers."""
        state.site = site
        state.series = {key: series for key, series in state.series.items() if series is not None}
        for (number, quantity), series in state.series.items():
            device = device_at(site, number)
            if series is not None and device is not None:
                series.take_limits(self._limits(device, quantity))

    # ── Telling ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _finding(self, key: tuple[int, str], series: Series, event: Event, state: State, site: Site) -> list[Finding]:
        device = device_at(site, key[0])
        ended = event.told.ended
        if device is None or (ended and any(other.active for other in state.of_device[key[0]])):
            return []  # something else of it goes on
        told = event.told
        name = Sentence(device.name or device.code, device.name_en or device.code)
        place = point(device.lon, device.lat, device=device.code, quantity=series.quantity, what=event.what,
                      at=stamp(event.at), value=event.numbers["value"])  # fmt: skip
        numbers = {"step": told.step, "lasted_s": (event.at - told.since) / SECOND, "at_least": told.at_least}
        proof = evidence([place], **numbers, **event.numbers)
        score = SCORES[event.what][told.step - 1]
        said = sentence(event, series.quantity, name)
        return [Finding(self.kind, device.code, "", told.since, event.at, device.lon, device.lat, score, said, proof,
                        ends=ended)]  # fmt: skip
