"""Cameras: what stands in their view, as a detector on the camera would report it, with its misses and mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from devices.readings import SECOND
from devices.registry import Device
from simulators.bodies import Bodies, Carries
from simulators.chance import Floats, Keys, dice, name_key, normals, uniform
from simulators.crowds import Crowd
from simulators.places import Ground, Spot
from simulators.radio import HEARTBEAT
from simulators.wire import Message, Speaker, seconds, whole_ms

SEEN, CONFIDENCE, WRONG_X, WRONG_Y, BREAK, FALSE, PHASE, FALSE_PLACE = range(70, 78)  # purposes of draws
PERIOD: Final = 4.0  # s between looks, where the device promises nothing
FIELD: Final = 90.0  # degrees of view, where the device's properties say nothing
RANGE: Final = 600.0  # m
BREAKS: Final = 1 / 300.0, 1 / 80.0  # per second, and per metre walked: a track is lost, taken up under another number
FORGETS: Final = 20.0  # s after which a camera that sees somebody again takes him for another
FALSE_RATE: Final = 1 / 2400.0  # per second and camera: leaves, a post, a bird
COUNT_ERROR: Final = 0.04  # of the people counted, one sigma
NEAR_CROWD: Final = 80.0  # m from a camera to the place whose people it counts


@dataclass(frozen=True, slots=True)
class Label:
    """How well one kind of thing is made out: probability in one look when near, and the confidence given."""

    bit: Carries
    name: str
    seen: float
    confidence: float


LABELS: Final = (
    Label(Carries.PERSON, "person", 0.93, 0.84),
    Label(Carries.ROD, "rod", 0.78, 0.66),
    Label(Carries.NET, "net", 0.75, 0.63),
    Label(Carries.BOAT, "boat", 0.96, 0.90),
)
_BITS = np.array([int(label.bit) for label in LABELS])
_SALTS: Keys = np.array([name_key("label", label.name) for label in LABELS], np.uint64)
_SEEN = np.array([label.seen for label in LABELS])
_SURE = np.array([label.confidence for label in LABELS])


@dataclass(slots=True)
class Track:
    """One thing followed by one camera."""

    name: str
    seen: int  # UTC µs


class Cameras:
    """The cameras of a site that look at people and boats; columns of shape (n,) in the order of ``devices``."""

    def __init__(
        self, seed: int, devices: Sequence[Device], ground: Ground, start: int, haze: float = 0.0, shake: float = 1.0
    ) -> None:
        """Of what is as far off as a camera's range, exp(-``haze``) is still made out; ``shake`` multiplies the error
        of the places."""
        self.devices = tuple(devices)
        self._ground, self._haze, self._shake = ground, haze, shake
        self.keys: Keys = np.array([name_key(seed, "camera", d.code) for d in devices], np.uint64)
        spots = [ground.frame.spot(d.lon, d.lat) for d in devices]
        self.x, self.y = np.array(spots, np.float64).reshape(-1, 2).T
        views = [_view(d, spot, ground) for d, spot in zip(devices, spots, strict=True)]
        bearing, field, reach = np.array(views, np.float64).reshape(-1, 3).T
        self._east, self._north = np.sin(np.radians(bearing)), np.cos(np.radians(bearing))
        self._half, self.range = np.radians(field / 2), reach
        self._speakers = [Speaker(d) for d in devices]
        self._period = np.array([max(1.0, d.interval or PERIOD) for d in devices]) * SECOND
        self._next = start + uniform(self.keys, PHASE, 0) * self._period
        self._look: Keys = np.zeros(len(devices), np.uint64)
        self._tracks: dict[int, Track] = {}  # by the key of camera, body and label

    def sight(self, x: Floats, y: Floats, inner: float = 1.0) -> Floats:
        """Distance of each place (k,) from each camera (n,) where it is in view, inf elsewhere; shape (n, k).

        ``inner`` below 1 asks for the inner part of the field of view only.
        """
        return self._sight(np.arange(len(self.devices)), x, y, inner)

    def _sight(self, which: NDArray[np.int64], x: Floats, y: Floats, inner: float = 1.0) -> Floats:
        dx, dy = x[None, :] - self.x[which, None], y[None, :] - self.y[which, None]
        distance = np.hypot(dx, dy)
        ahead = dx * self._east[which, None] + dy * self._north[which, None]
        visible = (distance <= self.range[which, None]) & (ahead >= distance * np.cos(inner * self._half)[which, None])
        return np.where(visible, distance, np.inf)

    def tick(self, now: int, bodies: Bodies) -> list[Message]:
        """The sightings of the looks that fall into the tick ending at ``now``."""
        due = np.flatnonzero(self._next <= now)
        if not len(due):
            return []
        times = {camera: whole_ms(self._next[camera]) for camera in due.tolist()}
        seen: dict[int, list[dict[str, Any]]] = {}
        self._report(due, times, bodies, seen)
        self._mistake(due, times, seen)
        self._look[due] += np.uint64(1)
        self._next[due] += self._period[due]
        self._forget(now)
        return [
            self._speakers[camera].say(times[camera], "sighting", objects[0] if len(objects) == 1 else objects)
            for camera, objects in sorted(seen.items())
        ]

    # ── One look ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _report(
        self, due: NDArray[np.int64], times: dict[int, int], bodies: Bodies, seen: dict[int, list[dict[str, Any]]]
    ) -> None:
        """What the cameras ``due`` make out of the bodies in view, one row for each camera, body and label."""
        visible = np.flatnonzero(bodies.present & (bodies.carries > 0))
        distance = self._sight(due, bodies.x[visible], bodies.y[visible])
        row, column = np.nonzero(np.isfinite(distance))
        label, pair = np.nonzero(bodies.carries[visible[column]] & _BITS[:, None])
        camera, slot = due[row[pair]], visible[column[pair]]
        if not len(camera):
            return
        keys, look = bodies.keys[slot] ^ self.keys[camera] ^ _SALTS[label], self._look[camera]
        share = distance[row, column][pair] / self.range[camera]
        clear = (1.0 - 0.35 * share**2) * np.exp(-self._haze * share)
        hits = np.flatnonzero(uniform(keys, SEEN, look) < _SEEN[label] * clear)
        camera, slot, label = camera[hits], slot[hits], label[hits]
        keys, look, share = keys[hits], look[hits], share[hits]
        noise = normals(keys, (CONFIDENCE, WRONG_X, WRONG_Y), look)
        sure = _SURE[label] - 0.18 * share + 0.06 * noise[0]
        wrong = self._shake * (1.5 + 0.006 * share * self.range[camera])  # m: a pixel is wider far off
        x, y = bodies.x[slot] + wrong * noise[1], bodies.y[slot] + wrong * noise[2]
        pace = np.hypot(bodies.vx[slot], bodies.vy[slot])
        loses = uniform(keys, BREAK, look) < (BREAKS[0] + BREAKS[1] * pace) * self._period[camera] / SECOND
        rows = zip(*(a.tolist() for a in (camera, label, keys, loses, sure, x, y)), strict=True)
        for which, kind, key, lost, confidence, east, north in rows:
            at, name = times[which], LABELS[kind].name
            track = self._track(key, name, at, lost)
            seen.setdefault(which, []).append(self._object(at, name, confidence, track, (east, north)))

    def _object(self, at: int, label: str, confidence: float, track: str, spot: Spot) -> dict[str, Any]:
        lon, lat = self._ground.frame.degrees(*spot)
        sure = min(0.99, max(0.25, confidence))
        return {"t": seconds(at), "label": label, "conf": round(sure, 2), "track": track,
                "lon": round(lon, 6), "lat": round(lat, 6)}  # fmt: skip

    def _track(self, key: int, label: str, at: int, lost: bool) -> str:
        """The camera's own number for what it follows; now and then it loses it and begins another."""
        track = self._tracks.get(key)
        if track is None or lost or at - track.seen > FORGETS * SECOND:
            track = self._tracks[key] = Track(_name(key, label, at), at)
        track.seen = at
        return track.name

    def _mistake(self, due: NDArray[np.int64], times: dict[int, int], seen: dict[int, list[dict[str, Any]]]) -> None:
        """Something that is not there, seen once."""
        chance = FALSE_RATE * self._period[due] / SECOND
        for camera in due[uniform(self.keys[due], FALSE, self._look[due]) < chance].tolist():
            key, look = self.keys[camera : camera + 1], int(self._look[camera])
            kind, across, away = (float(uniform(key, FALSE_PLACE + i, look)[0]) for i in range(3))
            label = LABELS[min(3, int(kind * kind * 4))].name  # mostly persons
            distance, aside = self.range[camera] * (0.2 + 0.8 * away), (across - 0.5) * 0.8
            x = self.x[camera] + distance * (self._east[camera] + aside * self._north[camera])
            y = self.y[camera] + distance * (self._north[camera] - aside * self._east[camera])
            name = _name(int(key[0]), label, times[camera])
            thing = self._object(times[camera], label, 0.32 + 0.2 * across, name, (float(x), float(y)))
            seen.setdefault(camera, []).append(thing)

    def _forget(self, now: int) -> None:
        if len(self._tracks) > 4_000:
            fresh = now - FORGETS * SECOND
            self._tracks = {key: track for key, track in self._tracks.items() if track.seen >= fresh}


class Counters:
    """Cameras that count the people of a crowded place, each the whole of it or the share that it sees."""

    def __init__(
        self,
        seed: int,
        devices: Sequence[Device],
        crowds: Sequence[Crowd],
        start: int,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        """``shares``: by device code, of those that see a part only."""
        self.devices, self._crowds = tuple(devices), tuple(crowds)
        self._shares = [(shares or {}).get(d.code, 1.0) for d in devices]
        self._speakers = [Speaker(d) for d in devices]
        self._dice = [dice(seed, "counter", d.code) for d in devices]
        self._period = np.array([max(1.0, d.interval or PERIOD) for d in devices]) * SECOND
        self._next = np.array([start + d.random() * p for d, p in zip(self._dice, self._period, strict=True)])

    def tick(self, now: int) -> list[Message]:
        """The counts that fall into the tick ending at ``now``."""
        sent = []
        for camera in np.flatnonzero(self._next <= now).tolist():
            at, crowd = whole_ms(self._next[camera]), self._crowds[camera]
            people = crowd.people * self._shares[camera]
            count = max(0, round(people * (1.0 + COUNT_ERROR * self._dice[camera].gauss(0.0, 1.0))))
            lon, lat = crowd.place
            content = {"t": seconds(at), "label": "person", "n": count, "conf": 0.8, "lon": lon, "lat": lat}
            if count:
                sent.append(self._speakers[camera].say(at, "sighting", content))
            self._next[camera] += self._period[camera]
        return sent


class Heartbeats:
    """The statuses of devices that stay where they are."""

    def __init__(self, seed: int, devices: Sequence[Device], start: int) -> None:
        self.speakers = [Speaker(d) for d in devices]
        keys: Keys = np.array([name_key(seed, "heartbeat", d.code) for d in devices], np.uint64)
        self._next = start + (1.0 + 8.0 * uniform(keys, PHASE, 1)) * SECOND

    def tick(self, now: int) -> list[Message]:
        """The statuses that fall into the tick ending at ``now``."""
        sent = []
        for index in np.flatnonzero(self._next <= now).tolist():
            sent.append(self.status(index, whole_ms(self._next[index])))
            self._next[index] += HEARTBEAT * SECOND
        return sent

    def status(self, index: int, at: int, *, online: bool = True) -> Message:
        """One device's status, retained by the broker."""
        return self.speakers[index].say(at, "status", {"t": seconds(at), "online": online})


def _name(key: int, label: str, at: int) -> str:
    """A camera's number for a track."""
    return f"{label[0]}{name_key(key, label, at) >> 32:08x}"


def watched_crowd(device: Device, crowds: Sequence[Crowd], ground: Ground) -> Crowd | None:
    """The crowded place whose people a camera counts: one that it is said to watch, else one beside which it stands."""
    watches = device.properties.get("watches")
    if isinstance(watches, Sequence):
        return next((crowd for crowd in crowds if crowd.zone.code in watches), None)
    spot = ground.frame.spot(device.lon, device.lat)
    near = [(ground.distance(crowd.zone.code, spot), i) for i, crowd in enumerate(crowds)]
    distance, index = min(near, default=(math.inf, 0))
    return crowds[index] if distance <= NEAR_CROWD else None


def _view(device: Device, spot: Spot, ground: Ground) -> tuple[float, float, float]:
    """Bearing in degrees, field in degrees and range in metres as registered; else a usual view out over the water."""
    given = device.properties
    if "bearing" in given:
        bearing = float(given["bearing"])
    else:
        x, y = ground.inland(spot, 100.0)
        bearing = math.degrees(math.atan2(spot[0] - x, spot[1] - y))
    return bearing, float(given.get("fov", FIELD)), float(given.get("range", RANGE))
