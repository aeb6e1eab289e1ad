"""The terminal as an apparatus: its receiver's error, its battery, its network, and what it stores till it is heard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from devices.readings import SECOND
from devices.registry import Device
from simulators.bodies import Bodies
from simulators.chance import Floats, Keys, dice, name_key, normals, uniform
from simulators.places import Ground, Spot
from simulators.truth import Diary
from simulators.wire import Message, Speaker, seconds, whole_ms

ERROR, ERROR_Y, PHASE, JITTER, SPEED, COURSE, ACCURACY, QUALITY, CHARGE = range(20, 29)  # purposes of draws
CORRELATION: Final = 40.0  # s, over which the error of a receiver that is carried about changes
HOLD: Final = 8.0  # times as long while it lies still: receivers hold their place then
TREES: Final = 2.4  # times the error under a canopy
HEARTBEAT: Final = 300.0  # s between statuses
NEVER: Final = np.iinfo(np.int64).max
ARRAY: Final = 500  # fixes in one store-and-forward array at most
DRAIN: Final = 5.0 / 3600  # percent of the battery per second on duty
RECHARGE: Final = 60.0 / 3600


class Patches:
    """Patches of ground where trees stand, or where the network does not reach. ``rounds`` (n, 3): x, y, radius."""

    def __init__(self, seed: int, name: str, ground: Ground, every: float, smallest: float, largest: float) -> None:
        found = []
        for number, walk in enumerate(ground.walks):
            draw = dice(seed, "patches", name, number)
            along = draw.uniform(0.0, 1.0) * every
            while along < walk.length:
                x, y = walk.interpolate(along).coords[0]
                found.append((x + draw.uniform(-8, 8), y + draw.uniform(-8, 8), draw.uniform(smallest, largest)))
                along += draw.uniform(0.6, 1.4) * every
        self.rounds = np.array(found).reshape(-1, 3)

    def keep_clear(self, spots: Sequence[Spot], margin: float) -> None:
        """Take away the patches that reach within ``margin`` metres of a spot."""
        places = np.array(spots, np.float64).reshape(-1, 2)
        near = np.hypot(*(self.rounds[:, None, :2] - places[None]).transpose(2, 0, 1)) < self.rounds[:, 2:] + margin
        self.rounds = self.rounds[~near.any(axis=1)]

    def cover(self, x: Floats, y: Floats, margin: float = 0.0) -> NDArray[np.bool_]:
        """Whether each place, shape (n,), lies in a patch, or nearer to one than ``margin`` metres."""
        distance = np.hypot(x[:, None] - self.rounds[:, 0], y[:, None] - self.rounds[:, 1])
        return np.asarray((distance <= self.rounds[:, 2] + margin).any(axis=1))


class Radios:
    """The apparatus of n devices that move, in the order of ``devices``; columns of shape (n,)."""

    def __init__(
        self, seed: int, devices: Sequence[Device], slots: Sequence[int], bodies: Bodies, ground: Ground, start: int
    ) -> None:
        self._bodies, self._ground = bodies, ground
        self.slots = np.array(slots, np.int64)
        self.speakers = [Speaker(d) for d in devices]
        self.keys: Keys = np.array([name_key(seed, "radio", d.code) for d in devices], np.uint64)
        self.trees = Patches(seed, "trees", ground, 700.0, 25.0, 90.0)
        self.holes = Patches(seed, "holes", ground, 1_900.0, 18.0, 42.0)
        self.alive = np.ones(len(devices), bool)
        self.alarm = np.full((2, len(devices)), NEVER)  # from when to when (UTC µs) fixes carry the SOS mark
        self.battery = 45.0 + 55.0 * uniform(self.keys, CHARGE, 0)
        self.interval = np.maximum(1.0, [d.interval or 10.0 for d in devices])
        self._keep = np.array([[math.exp(-i / c) for i in self.interval] for c in (CORRELATION, HOLD * CORRELATION)])
        self._number = np.zeros(len(devices), np.uint64)  # of the next fix
        self._beat_of_fix = start + uniform(self.keys, PHASE, 0) * self.interval * SECOND
        self._next = self._beat_of_fix + _late(self.keys, self._number)
        self._beat = start + (2.0 + 8.0 * uniform(self.keys, PHASE, 1)) * SECOND
        self._error = normals(self.keys, (ERROR, ERROR_Y), 2**40)
        self._shade = np.ones(len(devices))
        self._quality = (3.0 + 5.0 * uniform(self.keys, QUALITY, 0)) / math.sqrt(2)  # m per axis: 3-8 m in the plane
        self._stored: dict[int, list[dict[str, Any]]] = {}
        self._held: dict[int, list[tuple[str, dict[str, Any]]]] = {}
        self._gaps: dict[int, int] = {}  # number of the open coverage gap in the diary

    # ── One tick ────────────────────────────────────────────────────────────────────────────────────────────────────
    def tick(self, now: int, charging: NDArray[np.bool_], diary: Diary) -> list[Message]:
        """What the devices send in the tick that ends at ``now`` (UTC µs). ``charging`` says who is at the socket."""
        change = np.where(charging, RECHARGE, -DRAIN)
        self.battery = np.clip(self.battery + change * self.alive, 1.0, 100.0)
        due = np.flatnonzero((self._next <= now) & self.alive)
        sent: list[Message] = []
        if len(due):
            sent += self._send(due, now, diary)
        return sent + self._heartbeats(now)

    def _send(self, due: NDArray[np.int64], now: int, diary: Diary) -> list[Message]:
        times = (self._next[due] // 1000).astype(np.int64) * 1000
        fixes = self._measure(due, times, now)
        heard = self.in_reach(due)
        sent: list[Message] = []
        for unit, at, fix, reached in zip(due.tolist(), times.tolist(), fixes, heard.tolist(), strict=True):
            if not reached:
                self._store(unit, at, fix, diary)
                continue
            if unit in self._stored or unit in self._held:
                sent += self._catch_up(unit, at, diary)
            sent.append(self.speakers[unit].say(at, "fix", fix))
        return sent

    def _measure(self, due: NDArray[np.int64], at: NDArray[np.int64], now: int) -> list[dict[str, Any]]:
        """The fixes of the devices ``due`` at ``at``: the true place, the error, what the apparatus tells of itself."""
        slots, keys = self.slots[due], self.keys[due]
        back = (now - at) / SECOND
        vx, vy = self._bodies.vx[slots], self._bodies.vy[slots]
        x, y = self._bodies.x[slots] - vx * back, self._bodies.y[slots] - vy * back
        sigma = self._uncertainty(due, x, y)
        x, y = x + self._error[0, due] * sigma, y + self._error[1, due] * sigma
        noise = normals(keys, (SPEED, COURSE, ACCURACY), self._number[due])
        speed = np.maximum(0.0, np.hypot(vx, vy) + 0.08 * noise[0])
        course = np.degrees(np.arctan2(vx, vy)) + 4.0 * noise[1]
        accuracy = sigma * np.maximum(0.6, 1.2 + 0.2 * noise[2])
        lon, lat = self._ground.frame.degrees(x, y)
        fixes = [
            {"t": seconds(t), "lon": round(o, 7), "lat": round(a, 7), "spd": round(s, 2), "hdg": round(c) % 360,
             "acc": round(e, 1), "bat": round(b)}
            for t, o, a, s, c, e, b in zip(at.tolist(), lon.tolist(), lat.tolist(), speed.tolist(), course.tolist(),
                                           accuracy.tolist(), self.battery[due].tolist(), strict=True)
        ]  # fmt: skip
        for fix in fixes:
            if fix["spd"] < 0.3:
                del fix["hdg"]  # who stands has no course
        for i in np.flatnonzero((self.alarm[0, due] <= at) & (at < self.alarm[1, due])).tolist():
            fixes[i]["sos"] = True
        self._number[due] += np.uint64(1)
        self._beat_of_fix[due] += self.interval[due] * SECOND
        self._next[due] = self._beat_of_fix[due] + _late(keys, self._number[due])
        return fixes

    def _uncertainty(self, due: NDArray[np.int64], x: Floats, y: Floats) -> Floats:
        """Move the receivers' errors on by an interval (a Gauss-Markov process); returns their present size in m."""
        slots = self.slots[due]
        still = np.hypot(self._bodies.vx[slots], self._bodies.vy[slots]) < 0.2
        keep = self._keep[still.astype(int), due]
        noise = normals(self.keys[due], (ERROR, ERROR_Y), self._number[due])
        self._error[:, due] = keep * self._error[:, due] + np.sqrt(1.0 - keep**2) * noise
        shade = np.where(self.trees.cover(x, y), TREES, 1.0)
        self._shade[due] += (shade - self._shade[due]) * np.minimum(1.0, self.interval[due] / 15.0)
        return np.asarray(self._quality[due] * self._shade[due])

    def _heartbeats(self, now: int) -> list[Message]:
        beating = np.flatnonzero((self._beat <= now) & self.alive)
        if not len(beating):
            return []
        sent = []
        for unit, reached in zip(beating.tolist(), self.in_reach(beating).tolist(), strict=True):
            at = whole_ms(self._beat[unit])
            self._beat[unit] += HEARTBEAT * SECOND
            if reached:  # a heartbeat that nobody hears is not repeated: the next one says the same
                sent.append(self.status(unit, at))
        return sent

    # ── The network ─────────────────────────────────────────────────────────────────────────────────────────────────
    def in_reach(self, units: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the network reaches each of the devices."""
        slots = self.slots[units]
        return ~self.holes.cover(self._bodies.x[slots], self._bodies.y[slots])

    def status(self, unit: int, at: int, *, online: bool = True) -> Message:
        """The device's status, retained by the broker."""
        return self.speakers[unit].say(
            at, "status", {"t": seconds(at), "online": online, "bat": round(float(self.battery[unit]))}
        )

    def say(self, unit: int, at: int, leaf: str, content: dict[str, Any]) -> list[Message]:
        """Send now, or, out of reach, together with the stored fixes."""
        if self.in_reach(np.array([unit])).item():
            return [self.speakers[unit].say(at, leaf, content)]
        self._held.setdefault(unit, []).append((leaf, content))
        return []

    def place(self, unit: int) -> dict[str, float]:
        """Where the receiver believes to be: ``lon``, ``lat`` and ``acc`` of a message."""
        slot, sigma = self.slots[unit], float(self._quality[unit] * self._shade[unit])
        x = self._bodies.x[slot] + self._error[0, unit] * sigma
        y = self._bodies.y[slot] + self._error[1, unit] * sigma
        lon, lat = self._ground.frame.degrees(float(x), float(y))
        return {"lon": round(lon, 7), "lat": round(lat, 7), "acc": round(1.2 * sigma, 1)}

    def die(self, unit: int) -> None:
        """The device sends nothing from now on; what it has stored stays in its memory."""
        self.alive[unit] = False

    def revive(self, unit: int, now: int) -> None:
        """A fresh battery: it begins to send again."""
        self.alive[unit], self.battery[unit] = True, 100.0
        self._beat_of_fix[unit] = self._next[unit] = float(now)
        self._beat[unit] = float(now)

    def _store(self, unit: int, at: int, fix: dict[str, Any], diary: Diary) -> None:
        if unit not in self._gaps:
            spot: Spot = self._bodies.place(int(self.slots[unit]))
            self._gaps[unit] = diary.begin(
                "coverage_gap", at, spot, subject=self.speakers[unit].device.code, note="out of the network's reach"
            )
        self._stored.setdefault(unit, []).append(fix)

    def _catch_up(self, unit: int, at: int, diary: Diary) -> list[Message]:
        """What a device sends when it is heard again: its status, the stored fixes as arrays, what else had waited."""
        stored, speaker = self._stored.pop(unit, []), self.speakers[unit]
        sent = [self.status(unit, at)]
        sent += [speaker.say(at, "fix", stored[i : i + ARRAY]) for i in range(0, len(stored), ARRAY)]
        sent += [speaker.say(at, leaf, content) for leaf, content in self._held.pop(unit, [])]
        if unit in self._gaps:
            diary.end(self._gaps.pop(unit), at)
        return sent

    def unload(self, at: int, diary: Diary) -> list[Message]:
        """What is still stored anywhere when the simulation stops, so that no fix is lost."""
        sent = []
        for unit in sorted({*self._stored, *self._held}):
            sent += self._catch_up(unit, at, diary)
        return sent


def _late(keys: Keys, number: Keys) -> Floats:
    """Microseconds by which an apparatus is behind its own beat."""
    return 150_000.0 * uniform(keys, JITTER, number)
