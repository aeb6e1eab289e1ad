"""One quantity of one sensor, followed sample by sample, and what there is to tell of it.

Limits are judged at every sample. All else is judged by the medians of *beats* (stretches of the clock, 5 min), when
the first sample after one is there; what looks at hours looks four times in each. A series follows nothing but its own
samples in their order.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final, Literal, NamedTuple

from detectors.episodes import Episode, Pace, Told
from detectors.limits import Limits
from detectors.robust import middle_and_spread, quantile, theil_sen
from detectors.usual import Cycle, Usual
from devices.readings import SECOND

What = Literal["level", "rise", "stuck", "shift", "odd"]
WHATS: Final[tuple[What, ...]] = ("level", "rise", "stuck", "shift", "odd")
HOUR: Final = 3600 * SECOND
NEVER: Final = -(1 << 62)
COUNTS: Final = frozenset({"people"})  # quantities that are counted: they vary by the root of their number at least
AGREE: Final = 0.8  # share of pairs of points that must rise
POINTS: Final = 4  # for a slope
REPEATS: Final = 12  # samples with the same value, to be stuck
RUNS: Final = 24  # slots in which a value changed, to know a sensor's habit
HABIT: Final = 0.9  # of the slots have no longer run of one value than the habit
BEFORE: Final = 6  # windows before a shift whose level it is compared with
ABRUPT: Final = 0.7  # share of a shift that must happen within STEP beats: what takes longer is a rise
STEP: Final = 3


class Event(NamedTuple):
    """Something to tell: what, as of when (UTC µs), and its numbers."""

    what: What
    at: int
    told: Told
    numbers: dict[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is judged and how; times in µs, limits aside, which are each sensor's own."""

    tells: tuple[str, ...]
    pace: Pace  # of samples
    beats: Pace  # of looks at beats
    beat: int
    release: float
    rise_window: int
    stuck_factor: float
    stuck_least: int
    shift_window: int
    shift_sigmas: float
    sigmas: float
    cycle: Cycle


class Judged(NamedTuple):
    """One look at one thing."""

    step: int  # 0: not there
    gone: bool
    numbers: dict[str, float] = {}  # noqa: RUF012  # never changed
    since: int | None = None  # where the thing itself says when it began


NOTHING: Final[list[Event]] = []
NOT_SEEN: Final = Judged(0, gone=False)
GONE: Final = Judged(0, gone=True)


@dataclass(slots=True)
class Side:
    """Being above (``sign`` 1) or below (-1) a limit."""

    sign: int
    warn: float
    alarm: float
    off: float
    episode: Episode = field(default_factory=Episode)

    def look(self, at: int, value: float, pace: Pace) -> Event | None:
        """Judge a sample."""
        step = 0
        if self.sign * (value - self.warn) >= 0:
            step = 2 if self.sign * (value - self.alarm) >= 0 else 1  # without an alarm limit (NaN) never
        told = self.episode.look(at, step, pace, gone=self.sign * (value - self.off) < 0)
        if told is None:
            return None
        limit = self.alarm if told.step == 2 else self.warn
        numbers = {"value": value, "limit_value": limit, "release_value": self.off, "above": float(self.sign)}
        return Event("level", at, told, numbers)


def sides_of(limits: Limits, share: float) -> list[Side]:
    """The limits that a sensor has. An alarm without a warning is one."""
    found = []
    for sign, warn, alarm in ((1, limits.warn, limits.alarm), (-1, limits.low_warn, limits.low_alarm)):
        first = warn if math.isfinite(warn) else alarm
        if math.isfinite(first):
            found.append(Side(sign, first, alarm, first - sign * limits.margin(first, share)))
    return found


class Series:
    """One sensor's one quantity."""

    def __init__(self, plan: Plan, quantity: str, limits: Limits, interval: float = 0.0) -> None:
        """``interval``: seconds between the samples it promises; 0 where it promises nothing."""
        self.plan, self.quantity = plan, quantity
        self._every = max(plan.beat, int(interval * SECOND))
        self.episodes: dict[What, Episode] = {}
        self.last = NEVER  # the newest sample
        self._value, self._run, self._count = math.nan, NEVER, 0  # the present value, since when, how often
        self._beat, self._pending = NEVER, list[float]()
        self._beats: deque[tuple[int, float]] = deque()
        # Slot → the longest run of one value that ended in it, µs: of any but 0, and of 0, where many sensors rest.
        self._runs: dict[bool, dict[int, int]] = {False: {}, True: {}}
        # A lake drifts from day to day; people come by the calendar, and yesterday's market says nothing of today. They
        # also come and go at once, when a door is opened: no sign of a counter that was knocked.
        counted = quantity in COUNTS
        self._usual = Usual(replace(plan.cycle, trend=False) if counted else plan.cycle)
        quarter, hour = plan.shift_window // 4, self._slot
        judges: dict[What, tuple[Callable[[int], Judged], int, int]] = {  # with the beats it needs, how often it looks
            "rise": (self._rise, plan.rise_window, plan.beat),
            "stuck": (self._stuck, 0, plan.beat),
            "shift": (self._shift, (BEFORE + 1) * plan.shift_window, max(plan.beat, quarter)),
            "odd": (self._odd, hour, max(plan.beat, hour // 4)),
        }
        if counted:
            del judges["shift"]
        self._judges = [(what, judge, every) for what, (judge, _, every) in judges.items() if what in plan.tells]
        self._keep = max((keep for what, (_, keep, _) in judges.items() if what in plan.tells), default=0)
        self._learns = "odd" in plan.tells
        self.take_limits(limits)

    @property
    def _slot(self) -> int:
        return int(self.plan.cycle.slot * SECOND)

    @property
    def active(self) -> bool:
        """Whether anything goes on."""
        return any(e.since is not None for e in (*self.episodes.values(), *(s.episode for s in self.sides)))

    def take_limits(self, limits: Limits) -> None:
        """Limits, at first or changed: what goes on goes on by the new ones."""
        before = {side.sign: side.episode for side in getattr(self, "sides", ())}
        self.limits = limits
        self.sides = sides_of(limits, self.plan.release) if "level" in self.plan.tells else []
        for side in self.sides:
            side.episode = before.get(side.sign, side.episode)

    def take(self, at: int, value: float) -> list[Event]:
        """Follow one sample, UTC µs and in the quantity's unit. Not newer than the last, or NaN: left out."""
        if at <= self.last or value != value:  # NaN, and this is the hot loop
            return NOTHING
        beat, found = at // self.plan.beat, NOTHING
        if beat != self._beat:
            if self._pending and self._judges:
                found = self._close()
            self._beat, self._pending = beat, []
        self._pending.append(value)
        if value == self._value and at - self.last <= self.plan.stuck_least:
            self._count += 1
        else:
            self._changed(at, value)
        self.last = at
        for side in self.sides:
            if (side.sign * (value - side.warn) >= 0 or not side.episode.idle) and (
                event := side.look(at, value, self.plan.pace)
            ):
                found = [*found, event]
        return found

    def _changed(self, at: int, value: float) -> None:
        """Another value, or the first after a pause: the run of the one before has ended."""
        if self._count:
            runs, slot, lasted = self._runs[self._value == 0], at // self._slot, self.last - self._run
            runs[slot] = max(min(lasted, self.plan.pace.longest), runs.get(slot, 0))
            oldest = slot - self.plan.cycle.cycles * self.plan.cycle.period
            while (first := next(iter(runs))) < oldest:
                del runs[first]
        self._value, self._run, self._count = value, at, 1

    def _close(self) -> list[Event]:
        """The present beat is over, with the last sample in it."""
        at, beats, value = self.last, self._beats, median(self._pending)
        before = beats[-1][0] if beats else NEVER
        beats.append((at, value))
        while beats[0][0] < at - self._keep:
            beats.popleft()
        found = []
        if self._learns:
            self._usual.add(at, value)
        for what, judge, every in self._judges:
            if at // every == before // every:
                continue
            judged, episode = judge(at), self.episodes.get(what)
            if episode is None:
                if not judged.step:
                    continue
                episode = self.episodes[what] = Episode()
            pace = self.plan.pace if what == "rise" else self.plan.beats
            told = episode.look(at, judged.step, pace, gone=judged.gone)
            if told is not None and (judged.step or told.ended):
                if judged.since is not None:
                    told = told._replace(since=max(judged.since, at - self.plan.beats.longest))
                found.append(Event(what, at, told, {"value": value, **judged.numbers}))
        return found

    # ── What is judged once per beat ────────────────────────────────────────────────────────────────────────────────
    def _rise(self, at: int) -> Judged:
        """Rate of rise: Theil–Sen over the window's beats, most of which must agree."""
        limit, window = self.limits.rise, self.plan.rise_window
        points = [(t, v) for t, v in self._beats if t >= at - window]
        if math.isnan(limit) or len(points) < POINTS or at - points[0][0] < window // 2:
            return NOT_SEEN
        lowest = min(v for _, v in points)
        if (points[-1][1] - lowest) * HOUR < limit / 4 * (at - points[0][0]):  # cheap, and the most frequent case
            return GONE
        rate, agree = theil_sen([t / HOUR for t, _ in points], [v for _, v in points])
        step = 0 if rate < limit or agree < AGREE else 1 if rate < 2 * limit else 2
        numbers = {"value": points[-1][1], "rate_per_h": rate, "limit_rate": limit, "window_s": window / SECOND}
        return Judged(step, gone=rate < limit / 2, numbers=numbers)

    def _stuck(self, at: int) -> Judged:
        """The same value to the last digit, much longer than its own habit; at 0 than it has ever rested."""
        lasted, resting = at - self._run, self._value == 0
        if lasted < self.plan.stuck_least or self._count < REPEATS:
            return Judged(0, gone=lasted < self.plan.stuck_least)
        oldest = at // self._slot - self.plan.cycle.cycles * self.plan.cycle.period
        runs = [run for slot, run in self._runs[resting].items() if slot > oldest]
        if len(runs) < RUNS:
            return NOT_SEEN
        habit = quantile(runs, 1.0 if resting else HABIT)
        limit = max(self.plan.stuck_least, round(self.plan.stuck_factor * habit))
        if limit > self.plan.pace.longest or lasted < limit:
            return NOT_SEEN
        numbers = {"value": self._value, "same_s": min(lasted, self.plan.pace.longest) / SECOND,
                   "habit_s": habit / SECOND, "limit_s": limit / SECOND}  # fmt: skip
        return Judged(1, gone=False, numbers=numbers, since=self._run)

    def _shift(self, at: int) -> Judged:
        """Another level since an hour, reached at once: medians of two windows, by the spread of the earlier one."""
        window = self.plan.shift_window
        recent = [v for t, v in self._beats if t > at - window]
        before = [v for t, v in self._beats if at - (BEFORE + 1) * window < t <= at - window]
        full = window / self._every / 2
        if len(recent) < full or len(before) < full * BEFORE:
            return NOT_SEEN
        (level, spread), now = middle_and_spread(before), median(recent)
        shift = now - level
        if not spread or abs(shift) < max(self.plan.shift_sigmas * spread, 2 * self.limits.matters):
            return NOT_SEEN
        if not all((v - level) / shift >= 0.5 for v in recent):
            return NOT_SEEN
        jump, since = max(self._jumps(1 if shift > 0 else -1), default=(0.0, at))
        if jump < ABRUPT * abs(shift):
            return NOT_SEEN
        numbers = {"value": now, "level_before": level, "shift": shift, "sigmas": abs(shift) / spread,
                   "limit_sigmas": self.plan.shift_sigmas}  # fmt: skip
        return Judged(1, gone=False, numbers=numbers, since=since)

    def _jumps(self, sign: int) -> Iterator[tuple[float, int]]:
        """(how much, when) the level changed within STEP beats, for each place where it can have."""
        beats = list(self._beats)
        for i in range(STEP, len(beats) - STEP):
            before, after = (median([v for _, v in part]) for part in (beats[i - STEP : i], beats[i : i + STEP]))
            yield sign * (after - before), beats[i][0]

    def _odd(self, at: int) -> Judged:
        """Far from what is usual at this hour of the week, over the last hour."""
        recent = [v for t, v in self._beats if t > at - self._slot]
        value, expected = median(recent), self._usual.expect(at - self._slot // 2)  # the middle of that hour
        if expected is None or len(recent) < self._slot / self._every / 2:
            return NOT_SEEN
        floor = max(self.limits.matters, 1e-3 * abs(expected.middle), 1e-9)
        if self.quantity in COUNTS:
            floor = max(floor, math.sqrt(max(1.0, expected.middle, value)))
        sigmas = expected.beyond(value, floor)
        step = 0 if sigmas < self.plan.sigmas else 1 if sigmas < 2 * self.plan.sigmas else 2
        numbers = {"value": value, "usual_value": expected.middle, "usual_spread": max(expected.spread, floor),
                   "sigmas": sigmas, "limit_sigmas": self.plan.sigmas, "learned_from": expected.values}  # fmt: skip
        return Judged(step, gone=sigmas < self.plan.sigmas / 2, numbers=numbers)
