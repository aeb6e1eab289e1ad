"""Devices that have fallen silent, measured in the time during which we listened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from detectors.base import Batch, Finding, Sentence
from detectors.thresholds import check_above, check_from, check_order
from detectors.wording import clock, device_at, evidence, point, span, stamp, whereabouts
from devices.readings import SECOND, Rows
from devices.site import Site

NEVER: Final = -(1 << 62)
NO_LIMIT: Final = 1 << 62
MOST_POINTS: Final = 100  # devices in the evidence of one finding about the feed

COLUMNS: Final = np.dtype([
    ("heard", "<i8"),      # listening time, µs, when it was last heard
    ("received", "<i8"),   # our clock then, UTC µs
    ("told", "<i4"),       # findings due so far in the present gap
    ("at", "<i8"),         # the device's clock of its last known place
    ("lon", "<f8"),
    ("lat", "<f8"),
    ("placed", "<i8"),     # our clock when that place was received
])  # fmt: skip
ARRIVAL: Final = np.dtype([("device", "<i4"), ("received", "<i8"), ("at", "<i8"), ("lon", "<f8"), ("lat", "<f8")])


@dataclass(slots=True)
class State:
    """What the fold knows; columns by device id. Listening time is our clock minus what was ``lost``."""

    site: Site | None = None
    devices: Rows = field(default_factory=lambda: np.empty(0, COLUMNS))
    promised: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # µs between messages; 0: none
    limit: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))  # µs of silence; NO_LIMIT: never
    wall: int = NEVER  # the newest moment of our clock, UTC µs
    lost: int = 0  # µs of our clock in which nobody listened


@dataclass(frozen=True)
class Silence:
    """A device with a promised interval that sends nothing for much longer, while we are listening.

    Definition. Listening time passes with every reading received from any device and with every tick, each at most
    ``step_cap`` s at once: an hour in which we were down is ``step_cap`` s long. Every ``beat`` s of our clock all
    devices are looked at. One is silent when it was heard before and has not been for ``factor`` times its own promised
    interval, at least ``floor`` s, of listening time. It is told then, and again for every ``renew`` s, until
    ``longest`` s; after that it counts as gone. A last will (sample ``online`` 0) is the broker's word and no sign of
    life.

    The feed. When of the devices last heard within ``window`` s of each other at least ``feed_share`` are overdue (more
    than two intervals), compared with those heard since, and they are ``feed_least`` or more, then it is not they who
    fell silent: one finding with the subject "feed" is told instead of theirs. Whoever stays silent when the feed is
    back gets a finding of his own at the next renewal.

    How it fails. A device never heard, without a promise, or whose limit is beyond ``longest`` is not judged. A gap in
    coverage longer than the limit is told although the device is well; a device that sends nonsense is not silent.
    Ticks are not stored, and memory is counted by the clock: after a restart a pause of the whole feed counts
    ``step_cap`` s at most, and who was last heard before a long outage may be forgotten, hence not silent.

    Source: heartbeat supervision with a multiple of the period; docs/adr/0006 on listening time.

    >>> from devices.readings import FIX, rows
    >>> from devices.registry import Device, Registry
    >>> device = Device("T1", "terminal", "张三", "Zhang San", "", "", interval=10.0, lon=118.0, lat=31.0, id=1)
    >>> site, detector = Site([], [], [], Registry([device])), Silence(floor=60.0)
    >>> state = detector.start(site)
    >>> fix = (1, 0, 0, 118.0, 31.0, 0, 0, 5, 80, 0)
    >>> detector.step(state, Batch(fixes=rows(FIX, [fix])), 0, site)
    []
    >>> ticks = [f for t in range(1, 90) for f in detector.step(state, Batch(), t * SECOND, site)]
    >>> [(f.subject, (f.until - f.since) // SECOND) for f in ticks]
    [('T1', 60)]
    >>> detector.step(state, Batch(), 5000 * SECOND, site)  # nobody listened: nothing is known of that hour
    []
    """

    kind: ClassVar[str] = "silence"
    by_reception: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("fixes", "sightings", "samples")

    factor: float = 6.0  # promised intervals
    floor: float = 300.0  # s
    renew: float = 120.0  # s
    longest: float = 3600.0  # s
    step_cap: float = 10.0  # s
    beat: float = 10.0  # s
    window: float = 60.0  # s
    feed_share: float = 0.6  # of the devices concerned
    feed_least: int = 5  # devices

    def __post_init__(self) -> None:
        check_above(self, 0, "renew", "longest", "step_cap", "beat", "feed_share")
        check_from(self, 1, "factor")
        check_from(self, 0, "floor", "window")
        check_from(self, 2, "feed_least")
        check_order(self, "floor", "longest")

    @property
    def memory(self) -> float:
        """Seconds: the longest silence that is told, and who was heard around its beginning."""
        return self.longest + self.window + 2 * self.beat

    def start(self, site: Site) -> State:
        """Nobody heard yet."""
        state = State()
        self._know(state, site, 0)
        return state

    def step(self, state: State, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`. ``now`` counts in an empty batch only: it is a tick."""
        arrivals = _arrivals(batch)
        self._know(state, site, int(arrivals["device"].max(initial=-1)) + 1)
        if len(arrivals):
            moments = np.maximum(arrivals["received"], state.wall)
        elif len(batch):
            return []
        else:
            moments = np.array([max(now, state.wall)], np.int64)
        before = np.append(moments[0] if state.wall == NEVER else state.wall, moments[:-1])
        lost = state.lost + np.cumsum(np.maximum(moments - before - int(self.step_cap * SECOND), 0))
        found: list[Finding] = []
        done = 0
        for beat in self._beats(int(before[0]), int(moments[-1])):
            # The beat is judged when a moment after it comes; who was heard up to it is heard.
            upto = int(np.searchsorted(moments, beat, "right"))
            self._hear(state, arrivals[done:upto], lost[done:upto])
            done = upto
            listened = int(lost[upto - 1]) if upto else state.lost
            if beat - before[upto] <= int(self.step_cap * SECOND):
                found += self._judge(state, beat, beat - listened, site)
        self._hear(state, arrivals[done:], lost[done:])
        state.wall, state.lost = int(moments[-1]), int(lost[-1])
        return found

    def _beats(self, begin: int, end: int) -> range:
        """The beats that are to be judged now: ``begin <= beat < end``."""
        beat = int(self.beat * SECOND)
        return range(-(-begin // beat) * beat, end, beat)

    # ── Hearing ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _know(self, state: State, site: Site, size: int) -> None:
        """Make room for devices, and take the promises of a changed site."""
        size = max(size, site.registry.size)
        missing = size - len(state.devices)
        if missing > 0:
            new = np.empty(missing, COLUMNS)
            new["heard"] = new["received"] = new["at"] = new["placed"] = NEVER
            new["told"], new["lon"], new["lat"] = 0, np.nan, np.nan
            state.devices = np.append(state.devices, new)
        if state.site is not site or missing > 0:
            state.site = site
            seconds = np.zeros(len(state.devices))
            for device in site.registry.devices:
                seconds[device.id] = device.interval if device.active else 0.0
            limit = np.maximum(self.factor * seconds, self.floor)
            state.promised = (seconds * SECOND).astype(np.int64)
            judged = (seconds > 0) & (limit <= self.longest)
            state.limit = np.where(judged, (limit * SECOND).astype(np.int64), NO_LIMIT)

    def _hear(self, state: State, arrivals: Rows, lost: NDArray[np.int64]) -> None:
        """Note arrivals, in the order of their reception; repetitions tell nothing new."""
        devices, who, received = state.devices, arrivals["device"], arrivals["received"]
        newer = np.flatnonzero(received > devices["received"][who])
        # Where a device occurs several times, the last assignment stays.
        heard = who[newer]
        devices["heard"][heard] = received[newer] - lost[newer]
        devices["received"][heard] = received[newer]
        devices["told"][heard] = 0
        at = arrivals["at"]
        placed = np.flatnonzero(np.isfinite(arrivals["lon"]) & (at > devices["at"][who]))
        if (at[placed[1:]] < at[placed[:-1]]).any():
            placed = placed[np.argsort(at[placed], kind="stable")]
        there = who[placed]
        devices["placed"][there] = received[placed]
        for column in ("at", "lon", "lat"):
            devices[column][there] = arrivals[column][placed]

    # ── Judging ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _judge(self, state: State, beat: int, listened: int, site: Site) -> list[Finding]:
        """All devices at one beat, ``listened`` being its listening time."""
        devices = state.devices
        age = np.where(state.limit < NO_LIMIT, listened - devices["heard"], -1)
        number = (age - state.limit) // int(self.renew * SECOND) + 1  # findings due since it was last heard
        due = np.flatnonzero((number > devices["told"]) & (age <= int(self.longest * SECOND)))
        if not len(due):
            return []
        devices["told"][due] = number[due]
        by_feed = self._by_feed(state, due, age)
        found = [self._finding(state, int(d), int(age[d]), beat, site) for d in due[~by_feed]]
        if by_feed.any():
            found.append(self._feed_finding(state, due[by_feed], age, beat, site))
        return [f for f in found if f is not None]

    def _by_feed(self, state: State, due: NDArray[np.intp], age: NDArray[np.int64]) -> NDArray[np.bool_]:
        """For the silent devices of shape (n,): whether each fell silent together with most of those that talked."""
        known = (age >= 0) & (age <= int((self.longest + self.window) * SECOND))
        heard = np.sort(state.devices["heard"][known])
        stopped = np.sort(state.devices["heard"][known & (age > 2 * state.promised)])
        early = state.devices["heard"][due] - int(self.window * SECOND)
        late = state.devices["heard"][due] + int(self.window * SECOND)
        together = np.searchsorted(stopped, late, "right") - np.searchsorted(stopped, early, "left")
        since = len(heard) - np.searchsorted(heard, late, "right")
        return np.asarray((together >= self.feed_least) & (together >= self.feed_share * (together + since)))

    # ── Telling ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _finding(self, state: State, device: int, age: int, beat: int, site: Site) -> Finding | None:
        known, row = device_at(site, device), state.devices[device]
        if known is None:
            return None
        lon, lat = self._place(state, device, beat, site)
        limit, since = int(state.limit[device]), int(row["received"])
        where, quiet, most = whereabouts(site, lon, lat, known.area), span(age / SECOND), span(limit / SECOND)
        promise, heard = f"{known.interval:g}", clock(since)
        sentence = Sentence(
            f"{known.name}已{quiet.zh}没有信号（约定每{promise}秒一次，阈值{most.zh}），最后一次在{where.zh}，{heard.zh}。",
            f"{known.name_en or known.code} has been silent for {quiet.en} (promised: every {promise} s, limit"
            f" {most.en}); last heard {heard.en} at {where.en}.",
        )
        numbers = {"silent_s": age / SECOND, "promised_s": known.interval, "limit_s": limit / SECOND}
        proof = evidence([self._feature(state, device, beat, site)], **numbers)
        score = 1 - 0.5 * limit / age
        return Finding(self.kind, known.code, "", since, beat, lon, lat, score, sentence, proof)

    def _feed_finding(
        self, state: State, due: NDArray[np.intp], age: NDArray[np.int64], beat: int, site: Site
    ) -> Finding:
        since = int(state.devices["received"][due].min())
        longest = int(age[due].max())
        places = np.array([self._place(state, int(d), beat, site) for d in due])
        placed = places[np.isfinite(places).all(axis=1)]
        lon, lat = placed.mean(axis=0).tolist() if len(placed) else (float("nan"), float("nan"))
        quiet, heard = span(longest / SECOND), clock(since)
        sentence = Sentence(
            f"{len(due)}台设备几乎同时没有信号，已{quiet.zh}，{heard.zh}起：多半是接入或网络故障，而非设备本身。",
            f"{len(due)} devices fell silent almost at once and have been for {quiet.en}, since {heard.en}: most likely"
            " the feed or the network, not the devices.",
        )
        numbers = {"devices": len(due), "silent_s": longest / SECOND, "limit_share": self.feed_share}
        proof = evidence([self._feature(state, int(d), beat, site) for d in due[:MOST_POINTS]], **numbers)
        return Finding(self.kind, "feed", "", since, beat, lon, lat, 0.9, sentence, proof)

    def _feature(self, state: State, device: int, beat: int, site: Site) -> dict[str, Any]:
        known, received = device_at(site, device), int(state.devices["received"][device])
        code = known.code if known else None
        return point(*self._place(state, device, beat, site), device=code, last_heard=stamp(received))

    def _place(self, state: State, device: int, beat: int, site: Site) -> tuple[float, float]:
        """The last known place of a device, if memory surely holds it, else the registered one."""
        row, registry = state.devices[device], site.registry
        if int(row["placed"]) >= beat - int((self.longest + self.window) * SECOND):
            return float(row["lon"]), float(row["lat"])
        known = device < registry.size
        return (float(registry.lon[device]), float(registry.lat[device])) if known else (float("nan"), float("nan"))


def _arrivals(batch: Batch) -> Rows:
    """Who was heard when, of all kinds of readings, by our clock; a place where the reading has one."""
    samples = batch.samples
    if len(samples):
        samples = samples[~((samples["quantity"] == "online") & (samples["value"] == 0))]
    parts: list[Any] = [batch.fixes, batch.sightings, samples]
    found = np.empty(sum(map(len, parts)), ARRIVAL)
    for column in ("device", "received", "at"):
        np.concatenate([part[column] for part in parts], out=found[column])
    fixes = len(batch.fixes)
    for column in ("lon", "lat"):
        found[column][:fixes], found[column][fixes:] = batch.fixes[column], np.nan
    if (found["received"][1:] < found["received"][:-1]).any():
        found = found[np.argsort(found["received"], kind="stable")]
    return found
