"""A terminal over a whole journey at once: its receiver, battery, clock and network, and what may be wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from devices.readings import SECOND
from devices.registry import Device
from simulators.bank.journey import Journey
from simulators.bank.weather import Weather
from simulators.chance import Floats, Keys, name_key, normals, uniform
from simulators.places import Ground, Spot
from simulators.radio import (
    ARRAY,
    CORRELATION,
    DRAIN,
    HEARTBEAT,
    HOLD,
    RECHARGE,
    TREES,
    Patches,
)
from simulators.wire import Message, Speaker, seconds, whole_ms

ERROR, ERROR_Y, PHASE, JITTER, SPEED, COURSE, ACCURACY = range(120, 127)  # purposes of draws
QUALITY, CHARGE, CLOCK, DROPS, DROP_LENGTH, NEWEST = range(127, 133)
GAP: Final = 60.0  # s out of reach that are worth a label
INDOORS: Final = 3.0  # times the error under a roof

Span = tuple[float, float]
"""From when to when, seconds since the world's start."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """What somebody makes a terminal say of its place from when to when, instead of the truth.

    ``shift`` is added to the place (a jump, m); ``still`` repeats the place of the beginning to the last digit;
    ``lag`` tells the places of so many seconds before; ``along`` tells the place of another journey, its bearer's.
    """

    since: float
    until: float
    shift: Spot = (0.0, 0.0)
    still: bool = False
    lag: float = 0.0
    along: Journey | None = None


@dataclass(slots=True)
class Trouble:
    """What befalls a terminal, all in seconds since the world's start."""

    off: list[Span] = field(default_factory=list)  # measures and says nothing
    farewell: list[Span] = field(default_factory=list)  # switched off properly: it says so first
    unheard: list[Span] = field(default_factory=list)  # the network does not reach it: stored, sent afterwards
    blind: list[Span] = field(default_factory=list)  # no satellites: alive, but no fixes
    indoors: list[Span] = field(default_factory=list)  # a worse receiver
    charging: list[Span] = field(default_factory=list)
    drained: list[Span] = field(default_factory=list)  # the battery runs down in this time, from what it has to nothing
    alarm: list[tuple[float, float, str]] = field(default_factory=list)  # from when to when, sos or man_down
    forged: list[Forgery] = field(default_factory=list)
    glitches: list[tuple[float, float, Spot]] = field(default_factory=list)  # multipath: from, until, off by (m)
    sparse: list[tuple[float, float, float]] = field(default_factory=list)  # from, until, seconds between fixes


class Terminal:
    """One terminal with its bearer's ``journey``, on from ``since`` to ``until`` (s since the world's start)."""

    def __init__(
        self, device: Device, journey: Journey, since: float, until: float, trouble: Trouble | None = None
    ) -> None:
        self.device, self.journey, self.since, self.until = device, journey, since, until
        self.trouble = trouble or Trouble()
        self.emptied: list[float] = []  # when its battery was empty
        self.gaps: list[Span] = []  # when the network did not reach it

    def messages(
        self, seed: int, ground: Ground, start: int, weather: Weather, trees: Patches, holes: Patches
    ) -> list[Message]:
        """All that it sends, in order of time. ``start`` in UTC µs."""
        apparatus = _Apparatus(self, seed, weather)
        apparatus.measure(ground, trees, holes)
        sent = apparatus.send(ground, start)
        self.emptied, self.gaps = apparatus.emptied, apparatus.gaps()
        return sent


class _Apparatus:
    """The columns of one terminal's fixes, shape (n,)."""

    def __init__(self, terminal: Terminal, seed: int, weather: Weather) -> None:
        self.terminal, self.weather, self.trouble = terminal, weather, terminal.trouble
        device = terminal.device
        self.key: Keys = np.array([name_key(seed, "apparatus", device.code)], np.uint64)
        self.interval = max(1.0, device.interval or 10.0)
        self.clock = self._clock()
        self.quality = (3.0 + 5.0 * float(uniform(self.key, QUALITY, 0)[0])) / math.sqrt(2) * weather.noise
        self.at = self._times()
        self.number = np.arange(len(self.at)).astype(np.uint64)
        self.keys = np.repeat(self.key, len(self.at))
        self.emptied: list[float] = []

    def _clock(self) -> float:
        """Seconds by which its clock is ahead: most hold the satellites' time, some drift."""
        lot = float(uniform(self.key, CLOCK, 0)[0])
        return 0.0 if lot < 0.7 else (lot - 0.85) / 0.15 * 1.5

    def _times(self) -> Floats:
        """When it measures: its own beat, a little late each time, thinned where it saves power."""
        phase = float(uniform(self.key, PHASE, 0)[0]) * self.interval
        beats = np.arange(self.terminal.since + phase, self.terminal.until, self.interval)
        keys = np.repeat(self.key, len(beats))
        at = beats + 0.15 * uniform(keys, JITTER, np.arange(len(beats)).astype(np.uint64))
        for since, until, every in self.trouble.sparse:
            inside = (at >= since) & (at < until)
            nth = max(1, round(every / self.interval))
            at = at[~inside | (np.arange(len(at)) % nth == 0)]
        off = within(at, [*self.trouble.off, *self.trouble.farewell, *self.trouble.blind])
        return np.floor(at[~off] * 1000) / 1000

    # ── Measuring ───────────────────────────────────────────────────────────────────────────────────────────────────
    def measure(self, ground: Ground, trees: Patches, holes: Patches) -> None:
        """Places with their errors, speeds, courses, the battery, and what of it the network hears."""
        journey, at = self.terminal.journey, self.at
        true_x, true_y = journey.place(at)
        self.vx, self.vy = journey.velocity(at)
        self.sigma = self._sigma(trees, true_x, true_y)
        east, north = self._errors()
        x, y = self._told(true_x + east * self.sigma, true_y + north * self.sigma, east, north)
        self.lon, self.lat = ground.frame.degrees(x, y)
        noise = normals(self.keys, (SPEED, COURSE, ACCURACY), self.number)
        pace = np.hypot(self.vx, self.vy)
        self.speed = np.maximum(0.0, pace + 0.08 * noise[0])
        self.course = np.degrees(np.arctan2(self.vx, self.vy)) + 4.0 * noise[1]
        self.accuracy = self.sigma * np.maximum(0.6, 1.2 + 0.2 * noise[2])
        self.heard = ~(holes.cover(true_x, true_y) | within(at, [*self.trouble.unheard, *self._drops()]))
        self._repeat_stills()
        self._charge()

    def _sigma(self, trees: Patches, x: Floats, y: Floats) -> Floats:
        """Metres per axis by which it is off: the receiver, the canopy, a roof; each comes over a few fixes."""
        shade = np.where(trees.cover(x, y), TREES, 1.0)
        shade = np.where(within(self.at, self.trouble.indoors), INDOORS, shade)
        pull = min(1.0, self.interval / 15.0)
        smooth, now = [], float(shade[0]) if len(shade) else 1.0
        for goal in shade.tolist():
            now += (goal - now) * pull
            smooth.append(now)
        return self.quality * np.array(smooth)

    def _errors(self) -> tuple[Floats, Floats]:
        """A Gauss-Markov process of unit size for each axis: slow while it lies still."""
        still = np.hypot(self.vx, self.vy) < 0.2
        step = np.diff(self.at, prepend=self.at[:1] - self.interval)
        keep = np.exp(-step / np.where(still, HOLD * CORRELATION, CORRELATION))
        noise = normals(self.keys, (ERROR, ERROR_Y), self.number)
        columns = []
        for axis, row in zip((ERROR, ERROR_Y), noise, strict=True):
            now, column = float(normals(self.key, (axis,), 2**40)[0, 0]), []
            fresh = (np.sqrt(1.0 - keep**2) * row).tolist()
            for kept, new in zip(keep.tolist(), fresh, strict=True):
                now = kept * now + new
                column.append(now)
            columns.append(np.array(column))
        return columns[0], columns[1]

    def _told(self, x: Floats, y: Floats, east: Floats, north: Floats) -> tuple[Floats, Floats]:
        """Glitches of the receiver, and forged places."""
        for since, until, (dx, dy) in self.trouble.glitches:
            off = (self.at >= since) & (self.at < until)
            x, y = np.where(off, x + dx, x), np.where(off, y + dy, y)
        for forged in self.trouble.forged:
            when = (self.at >= forged.since) & (self.at < forged.until)
            if forged.lag:
                # A stored track is played again: the same numbers as then.
                then = np.searchsorted(self.at, self.at[when] - forged.lag).clip(0, len(self.at) - 1)
                x[when], y[when] = x[then], y[then]
                for column in (self.vx, self.vy):
                    column[when] = column[then]
            elif forged.along is not None:
                other_x, other_y = forged.along.place(self.at[when])
                x[when] = other_x + east[when] * self.sigma[when]
                y[when] = other_y + north[when] * self.sigma[when]
                self.vx[when], self.vy[when] = forged.along.velocity(self.at[when])
            elif not forged.still:
                x[when], y[when] = x[when] + forged.shift[0], y[when] + forged.shift[1]
        return x, y

    def _repeat_stills(self) -> None:
        """A frozen place: the same digits again and again, whatever the bearer does."""
        for forged in self.trouble.forged:
            when = np.flatnonzero((self.at >= forged.since) & (self.at < forged.until))
            if forged.still and len(when):
                for column in (self.lon, self.lat, self.speed, self.course, self.accuracy):
                    column[when] = column[when[0]]

    def _charge(self) -> None:
        """Percent of the battery at each fix; what is empty says nothing until it is charged again."""
        level = 45.0 + 55.0 * float(uniform(self.key, CHARGE, 0)[0])
        between = (
            self.at + np.concatenate([[self.terminal.since], self.at[:-1]])
        ) / 2  # it charges while it is off too
        charging = within(between, self.trouble.charging).tolist()
        drained = [within(self.at, [span]).tolist() for span in self.trouble.drained]
        found, last, empty, rate = [], self.terminal.since, False, 0.0
        for i, (at, socket) in enumerate(zip(self.at.tolist(), charging, strict=True)):
            now = next((n for n, spans in enumerate(drained) if spans[i]), None)
            if now is None:
                rate = 0.0
            elif not rate:
                rate = level / max(1.0, self.trouble.drained[now][1] - at - 2 * self.interval)
            level += (RECHARGE if socket else -(rate or DRAIN)) * (at - last)
            level, last = min(100.0, max(0.0, level)), at
            if level <= 0.0 and not empty:
                self.emptied.append(at)
            empty = level <= 0.0 if not empty else level < 20.0
            found.append(0.0 if empty else level)
        self.battery = np.array(found)
        alive = self.battery > 0.0
        if not alive.all():
            for name in ("at", "lon", "lat", "speed", "course", "accuracy", "battery", "vx", "vy", "sigma", "heard"):
                setattr(self, name, getattr(self, name)[alive])

    def _drops(self) -> list[Span]:
        """Short breaks of its network, by the weather."""
        found: list[Span] = []
        span = self.terminal.until - self.terminal.since
        for number in range(math.ceil(2 * self.weather.drops * span / 3600)):
            if float(uniform(self.key, DROPS, 2 * number)[0]) < 0.5:
                begin = self.terminal.since + span * float(uniform(self.key, DROPS, 2 * number + 1)[0])
                found.append((begin, begin + 10.0 + 80.0 * float(uniform(self.key, DROP_LENGTH, number)[0])))
        return found

    # ── Sending ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def send(self, ground: Ground, start: int) -> list[Message]:
        """Fixes as they are measured, stored ones as arrays once it is heard again, heartbeats, calls for help."""
        speaker, sent = Speaker(self.terminal.device), list[Message]()
        newest_first = float(uniform(self.key, NEWEST, 0)[0]) < 0.3  # the stored fixes come after the present one
        stored: list[dict[str, Any]] = []
        times = (start + np.round(self.at * 1000).astype(np.int64) * 1000).tolist()
        for at, fix, heard in zip(times, self._fixes(times), self.heard.tolist(), strict=True):
            if not heard:
                stored.append(fix)
                continue
            now = [speaker.say(at, "fix", fix)]
            if stored:
                arrays = [speaker.say(at, "fix", stored[i : i + ARRAY]) for i in range(0, len(stored), ARRAY)]
                now = now + arrays if newest_first else arrays + now
                sent.append(self._status(speaker, at, float(fix["bat"])))
                stored = []
            sent += now
        if stored:
            end = start + int(self.terminal.until * 1000) * 1000
            sent += [speaker.say(end, "fix", stored[i : i + ARRAY]) for i in range(0, len(stored), ARRAY)]
        sent += self._heartbeats(speaker, start)
        for since, _ in self.trouble.farewell:
            at = start + whole_ms(since * SECOND)
            sent.append(speaker.say(at, "status", {"t": seconds(at), "online": False}))
        sent += self._calls(speaker, ground, start)
        return sorted(sent, key=lambda message: message.at)

    def _fixes(self, times: Sequence[int]) -> list[dict[str, Any]]:
        ahead = self.clock
        columns = (self.lon, self.lat, self.speed, self.course, self.accuracy, self.battery)
        fixes = [
            {"t": round(t / SECOND + ahead, 3), "lon": round(o, 7), "lat": round(a, 7), "spd": round(s, 2),
             "hdg": round(c) % 360, "acc": round(e, 1), "bat": math.ceil(b)}
            for t, o, a, s, c, e, b in zip(times, *(column.tolist() for column in columns), strict=True)
        ]  # fmt: skip
        for fix in fixes:
            if fix["spd"] < 0.3:
                del fix["hdg"]
        for since, until, kind in self.trouble.alarm:
            if kind == "sos":
                for i in np.flatnonzero((self.at >= since) & (self.at < until)).tolist():
                    fixes[i]["sos"] = True
        return fixes

    def gaps(self) -> list[Span]:
        """From when to when it was not heard, a minute or longer."""
        edges = np.flatnonzero(np.diff(np.concatenate([[0], (~self.heard).astype(np.int8), [0]]))).reshape(-1, 2)
        found = [(float(self.at[a]), float(self.at[min(b, len(self.at) - 1)])) for a, b in edges.tolist()]
        return [(since, until) for since, until in found if until - since >= GAP]

    def _heartbeats(self, speaker: Speaker, start: int) -> list[Message]:
        """Every five minutes, if it is on and heard; also where it has no satellites."""
        begin = self.terminal.since + 2.0 + 8.0 * float(uniform(self.key, PHASE, 1)[0])
        at = np.arange(begin, self.terminal.until, HEARTBEAT)
        silent = within(at, [*self.trouble.off, *self.trouble.farewell, *self.trouble.unheard])
        nearest = np.searchsorted(self.at, at).clip(0, max(len(self.at) - 1, 0))
        sent = []
        for when, hushed, i in zip(at.tolist(), silent.tolist(), nearest.tolist(), strict=True):
            blind = within(np.array([when]), self.trouble.blind)[0]
            measured = len(self.at) > 0 and abs(float(self.at[i]) - when) < 3 * self.interval + 60.0
            if not hushed and (blind or (measured and bool(self.heard[i]))):
                battery = float(self.battery[i]) if len(self.battery) else 100.0
                sent.append(self._status(speaker, start + whole_ms(when * SECOND), battery))
        return sent

    def _status(self, speaker: Speaker, at: int, battery: float) -> Message:
        return speaker.say(at, "status", {"t": seconds(at), "online": True, "bat": math.ceil(battery)})

    def _calls(self, speaker: Speaker, ground: Ground, start: int) -> list[Message]:
        """The button or the man-down sensor: said at once and repeated; out of reach, as soon as it is heard."""
        sent = []
        for since, until, kind in self.trouble.alarm:
            for number, after in enumerate((0.0, 10.0, 20.0, 40.0)):
                if since + after >= until or not len(self.at):
                    continue
                i = min(int(np.searchsorted(self.at, since + after)), len(self.at) - 1)
                later = np.flatnonzero(self.heard[i:])
                when = since + after if self.heard[i] or not len(later) else float(self.at[i + later[0]])
                at = start + whole_ms((when + 0.001 * number) * SECOND)
                content = {"t": round((start + whole_ms((since + after) * SECOND)) / SECOND + self.clock, 3),
                           "lon": round(float(self.lon[i]), 7), "lat": round(float(self.lat[i]), 7),
                           "acc": round(float(self.accuracy[i]), 1), "kind": kind}  # fmt: skip
                sent.append(speaker.say(at, "sos", content))
        return sent


def within(at: Floats, spans: Iterable[Span]) -> NDArray[np.bool_]:
    """Whether each time, shape (n,), lies in one of the spans."""
    found = np.zeros(len(at), bool)
    for since, until in spans:
        found |= (at >= since) & (at < until)
    return found
