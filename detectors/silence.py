"""Devices that have fallen silent, measured in the time during which we listened; and batteries that will be empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrivals import Arrivals, arrivals_in
from detectors.base import Batch, Finding
from detectors.batteries import emptying
from detectors.gaps import MOVING, STANDING
from detectors.listening import NEVER, NO_LIMIT, Listening
from detectors.outages import Group, Outages, Stops
from detectors.silence_words import BatteryLow, Feed, Quiet, battery_low, feed_back, feed_quiet, heard_again, quiet
from detectors.thresholds import check_above, check_from, check_order
from detectors.wording import device_at, evidence, point, stamp
from devices.readings import SECOND
from devices.site import Site

ROUGH: Final = (3.0, 15.0)  # usual intervals and s: who had a longer gap of late is badly heard here
PAUSE: Final = 1.5  # times the second longest gap of late
MOST_MISSED: Final = 3600.0  # s: of slow devices two messages and so long are missed, however many the factor allows
MOST_POINTS: Final = 100  # devices in the evidence of one finding about the feed


@dataclass(frozen=True)
class Silence:
    """A device that sends nothing for much longer than it usually does, while we are listening; a dying battery.

    Definition. Listening time passes with every reading received from any device and with every tick, each at most
    ``step_cap`` s at once: an hour in which we were down is ``step_cap`` s long. Every ``beat`` s of our clock all
    devices with a promised interval are looked at. What is usual for a device is the 0.9 quantile of its gaps in the
    last two whole blocks of ``learn`` s, moving and standing apart, with the promise as the prior. It is silent after
    ``factor`` usual intervals, at most two and an hour, at least ``floor`` s and one usual interval (``fixed`` s for
    what stands fixed), and one and a half times its second longest gap of late. For who is carried the limit is
    ``resting`` times as long when it stood, ``restless`` times when it had a gap of three intervals just before, and
    where the network is known not to reach twice the longest wait that is known there, at most ``hole`` s. It is told
    then and again for every ``renew`` s, for ``longest`` s; its end is told when it is heard. A last will is the
    broker's word and no sign of life. Who says itself that it goes offline is not silent.

    The feed. When of the devices that stopped within ``window`` s of each other at least ``feed_share`` are overdue,
    compared with those heard since, and they are ``feed_least`` or more, then it is not they who fell silent: one
    finding with the subject "feed" is told instead of theirs. The same is asked of each share, area and square of 3 km.

    The battery. Every ``renew`` s who is heard of with ``battery`` percent or less, or whose charge will be gone within
    ``empty_within`` s if it falls on as in the last half to whole hour, is told, unless the charge rises.

    How it fails. A device never heard, without a promise, or whose limit is beyond ``slowest`` is not judged. Whoever
    switches off with a farewell is not missed. The first gap in coverage that is longer than the limit is told although
    the device is well; a device that sends nonsense is not silent. Ticks are not stored, and memory is counted by the
    clock: after a restart a pause of the whole feed counts ``step_cap`` s at most, and who was last heard before a long
    outage may be forgotten, hence not silent.

    Source: heartbeat supervision with a multiple of the period, the period learned as in adaptive failure detectors
    (Chen, Toueg and Aguilera 2002); docs/adr/0006 on listening time.

    >>> from devices.readings import FIX, rows
    >>> from devices.registry import Device, Registry
    >>> device = Device("T1", "terminal", "张三", "Zhang San", "", "", interval=10.0, lon=118.0, lat=31.0, id=1)
    >>> site, detector = Site([], [], [], Registry([device])), Silence(floor=60.0)
    >>> state = detector.start(site)
    >>> fix = (1, 0, 0, 118.0, 31.0, 1.2, 0, 5, 80, 0)
    >>> detector.step(state, Batch(fixes=rows(FIX, [fix])), 0, site)
    []
    >>> ticks = [f for t in range(1, 90) for f in detector.step(state, Batch(), t * SECOND, site)]
    >>> [(f.subject, (f.until - f.since) // SECOND) for f in ticks]
    [('T1', 70)]
    >>> detector.step(state, Batch(), 5000 * SECOND, site)  # nobody listened: nothing is known of that hour
    []
    """

    kind: ClassVar[str] = "silence"
    by_reception: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("fixes", "sightings", "samples")

    factor: float = 6.0  # usual intervals
    floor: float = 420.0  # s, and a usual interval
    fixed: float = 180.0  # s
    resting: float = 1.4  # times the limit
    restless: float = 1.4  # times the limit
    hole: float = 1200.0  # s
    slowest: float = 10800.0  # s
    renew: float = 120.0  # s
    longest: float = 3600.0  # s
    learn: float = 1800.0  # s
    step_cap: float = 10.0  # s
    beat: float = 10.0  # s
    window: float = 60.0  # s
    feed_share: float = 0.6  # of the devices concerned
    feed_least: int = 5  # devices
    battery: float = 20.0  # percent
    empty_within: float = 1800.0  # s

    def __post_init__(self) -> None:
        check_above(self, 0, "renew", "longest", "learn", "slowest", "step_cap", "beat", "feed_share")
        check_from(self, 1, "factor", "resting", "restless")
        check_from(self, 0, "floor", "fixed", "hole", "window", "battery", "empty_within")
        check_from(self, 2, "feed_least")
        for least in ("floor", "fixed", "hole"):
            check_order(self, least, "slowest")

    @property
    def memory(self) -> float:
        """Seconds: the longest silence that is told, what was usual before it, and who was heard when it began."""
        return self.slowest + self.longest + 4 * self.learn + self.window + 2 * self.beat

    def start(self, site: Site) -> Listening:
        """Nobody heard yet."""
        state = Listening()
        state.grow(site, 0)
        self._set_limits(state)
        return state

    def step(self, state: Listening, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`. ``now`` counts in an empty batch only: it is a tick."""
        arrivals, wills = arrivals_in(batch)
        if state.grow(site, int(max(arrivals.device.max(initial=-1), wills["device"].max(initial=-1))) + 1):
            self._set_limits(state)
        if len(wills):
            state.wills = np.concatenate([state.wills, wills])
        if len(arrivals):
            moments = np.maximum(arrivals.received, state.wall)
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
            found += self._hear(state, arrivals.some(slice(done, upto)), lost[done:upto], site)
            done = upto
            listened = int(lost[upto - 1]) if upto else state.lost
            if beat - before[upto] <= int(self.step_cap * SECOND):
                found += self._judge(state, beat, beat - listened, site)
            self._pass(state, beat)
        found += self._hear(state, arrivals.some(slice(done, None)), lost[done:], site)
        state.wall, state.lost = int(moments[-1]), int(lost[-1])
        return found

    def _beats(self, begin: int, end: int) -> range:
        """The beats that are to be judged now: ``begin <= beat < end``."""
        beat = int(self.beat * SECOND)
        return range(-(-begin // beat) * beat, end, beat)

    # ── What is too long ────────────────────────────────────────────────────────────────────────────────────────────
    def _set_limits(self, state: Listening) -> None:
        """What is a silence for each device, moving and standing, by what is usual."""
        usual = state.gaps.typical
        limit = np.minimum(self.factor * usual, 2 * usual + MOST_MISSED)
        # The last message before a hole in coverage may be an interval old when the hole begins.
        limit = np.maximum(limit, np.where(state.carried, self.floor + usual, self.fixed))
        judged = (state.promised > 0) & (limit[MOVING] <= self.slowest)
        limit = np.maximum(limit, PAUSE * state.gaps.pause)
        rest = np.where(state.carried, self.resting, 1.0) * limit[MOVING]
        limit[STANDING] = np.maximum(limit[STANDING], rest)
        limit = np.minimum(limit, self.slowest)
        state.interval = (usual * SECOND).astype(np.int64)
        state.rough = (np.maximum(ROUGH[0] * usual[MOVING], ROUGH[1]) * SECOND).astype(np.int64)
        state.limit = np.where(judged, (limit * SECOND).astype(np.int64), NO_LIMIT)

    def _pass(self, state: Listening, beat: int) -> None:
        """A beat is over; at the end of a block what is usual is learned anew."""
        state.pass_beat(beat)
        block = int(self.learn * SECOND)
        if beat // block != (beat - int(self.beat * SECOND)) // block:
            state.turn(beat, block)
            self._set_limits(state)

    # ── Judging ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _judge(self, state: Listening, beat: int, listened: int, site: Site) -> list[Finding]:
        """All devices at one beat, ``listened`` being its listening time."""
        found = self._ended(state, beat, site)
        if beat % int(self.renew * SECOND) < int(self.beat * SECOND):
            found += self._batteries(state, beat, site)
        devices = state.devices
        standing = devices["standing"] & state.carried
        interval, limit = (np.where(standing, c[STANDING], c[MOVING]) for c in (state.interval, state.limit))
        known = (limit < NO_LIMIT) & (devices["heard"] > NEVER) & ~devices["off"]
        age = np.where(known, listened - devices["heard"], -1)
        late = np.flatnonzero(age >= limit)
        if not len(late):
            return found
        limit[late] = self._limits(state, late, limit[late], beat)
        number = (age[late] - limit[late]) // int(self.renew * SECOND) + 1  # findings due since it was last heard
        news = (number > devices["told"][late]) & (age[late] <= limit[late] + int(self.longest * SECOND))
        due, number = late[news], number[news]
        if not len(due):
            return found
        devices["told"][due] = number
        known &= age <= int((self.slowest + self.longest + self.window) * SECOND)
        stops = Stops(devices["heard"], interval, known & (age > 2 * interval), known)
        assert state.parts is not None
        levels = state.parts.levels(devices["lon"], devices["lat"])
        outages = Outages(int(self.window * SECOND), self.feed_least, self.feed_share)
        groups, alone = outages.find(due, stops, levels)
        devices["named"][alone] = True
        for d in alone.tolist():
            found += self._finding(state, d, int(age[d]), int(limit[d]), int(interval[d]), beat, site)
        return found + [self._feed_finding(state, group, age, beat, site) for group in groups]

    def _limits(self, state: Listening, late: Any, limit: NDArray[np.int64], beat: int) -> NDArray[np.int64]:
        """The limits of devices that are overdue: more where they were badly heard before, or where nobody is heard."""
        since = state.devices["heard"][late] - state.devices["rough"][late]
        badly = state.carried[late] & (since <= int(self.learn / 3 * SECOND))
        moving = state.limit[MOVING, late]
        limit = np.where(badly, np.maximum(limit, (self.restless * moving).astype(np.int64)), limit)
        hole, learned = int(self.hole * SECOND), beat - int(3 * self.learn * SECOND)
        for k in np.flatnonzero(state.carried[late] & (limit < hole)).tolist():
            row = state.devices.row(int(late[k]))
            wait = state.holes.wait(float(row["lon"]), float(row["lat"]), learned)
            limit[k] = max(int(limit[k]), min(hole, 2 * wait))
        return np.minimum(limit, int(self.slowest * SECOND))

    def _ended(self, state: Listening, beat: int, site: Site) -> list[Finding]:
        """Outages of the feed that are over: most of those concerned are heard again."""
        found = []
        for subject, (since, told, members) in list(state.outages.items()):
            back = float((state.devices["received"][members] > told).mean())
            if back < self.feed_share and beat - told <= 2 * int(self.renew * SECOND):
                continue
            del state.outages[subject]
            if back >= self.feed_share:
                words = feed_back(since, beat, len(members))
                lon, lat, features = self._places(state, np.array(members), beat, site)
                numbers = {"devices": len(members), "silent_s": (beat - since) / SECOND}
                proof = evidence(features, **numbers)
                found.append(Finding(self.kind, subject, "", since, beat, lon, lat, 0.5, words, proof, ends=True))
        return found

    # ── Telling ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _hear(self, state: Listening, arrivals: Arrivals, lost: NDArray[np.int64], site: Site) -> list[Finding]:
        """Who was told and is heard again."""
        found = []
        for device, since, at, age, spot in state.hear(arrivals, lost, int(self.slowest * SECOND)):
            known = device_at(site, device)
            if known is None or age > int((self.slowest + self.longest) * SECOND):
                continue  # long gone: its alert is cleared
            lon, lat = self._spot(device, spot, at, site)
            numbers = {"silent_s": (at - since) / SECOND}
            proof = evidence([point(lon, lat, device=known.code, last_heard=stamp(since))], **numbers)
            words = heard_again(known, since, at)
            found.append(Finding(self.kind, known.code, "", since, at, lon, lat, 0.5, words, proof, ends=True))
        return found

    def _batteries(self, state: Listening, beat: int, site: Site) -> list[Finding]:
        """Who will be empty soon."""
        block, heard = int(self.learn * SECOND), int(self.floor * SECOND)
        which, left = emptying(state, beat, block, heard, self.battery, self.empty_within)
        found = []
        for d in which.tolist():
            known, row = device_at(site, d), state.devices.row(d)
            if known is None:
                continue
            lon, lat = self._last_spot(state, d, beat, site)
            charge, since = float(row["battery"]), int(row["since"])
            words = battery_low(site, BatteryLow(known, charge, float(left[d]), self.battery, since, lon, lat))
            numbers = {"battery": charge, "empty_in_s": float(left[d]), "limit_battery": self.battery}
            proof = evidence([point(lon, lat, device=known.code, last_heard=stamp(since))], **numbers)
            found.append(Finding(self.kind, known.code, "", since, beat, lon, lat, 0.6, words, proof))
        return found

    def _finding(
        self, state: Listening, device: int, age: int, limit: int, usual: int, beat: int, site: Site
    ) -> list[Finding]:
        known, row = device_at(site, device), state.devices.row(device)
        if known is None:
            return []
        lon, lat = self._last_spot(state, device, beat, site)
        since, fresh = int(row["received"]), int(row["since"]) > int(row["received"]) - 2 * int(self.learn * SECOND)
        wait = state.holes.wait(lon, lat, beat - int(3 * self.learn * SECOND))
        hole = bool(state.carried[device]) and wait > 0
        battery, will = float(row["battery"]) if fresh else np.nan, int(row["will"]) >= since
        what = Quiet(known, age, limit, usual / SECOND, since, lon, lat, hole, battery, will)
        numbers = {"silent_s": age / SECOND, "promised_s": known.interval, "usual_s": usual / SECOND,
                   "limit_s": limit / SECOND}  # fmt: skip
        proof = evidence([self._feature(state, device, beat, site)], **numbers)
        score = 1 - 0.5 * limit / age
        return [Finding(self.kind, known.code, "", since, beat, lon, lat, score, quiet(site, what), proof)]

    def _feed_finding(self, state: Listening, group: Group, age: NDArray[np.int64], beat: int, site: Site) -> Finding:
        members = group.devices
        since, longest = int(state.devices["received"][members].min()), int(age[members].max())
        state.outages[group.subject] = (since, beat, members.tolist())
        words = feed_quiet(site, Feed(len(members), longest, since, group.area, group.subject == "feed"))
        numbers = {"devices": len(members), "silent_s": longest / SECOND, "limit_share": self.feed_share}
        lon, lat, features = self._places(state, members, beat, site)
        return Finding(self.kind, group.subject, "", since, beat, lon, lat, 0.9, words, evidence(features, **numbers))

    def _places(
        self, state: Listening, members: NDArray[Any], beat: int, site: Site
    ) -> tuple[float, float, list[dict[str, Any]]]:
        """The middle of where devices were last, and a feature for each."""
        places = np.array([self._last_spot(state, int(d), beat, site) for d in members])
        placed = places[np.isfinite(places).all(axis=1)]
        lon, lat = placed.mean(axis=0).tolist() if len(placed) else (float("nan"), float("nan"))
        return lon, lat, [self._feature(state, int(d), beat, site) for d in members[:MOST_POINTS]]

    def _feature(self, state: Listening, device: int, beat: int, site: Site) -> dict[str, Any]:
        known, received = device_at(site, device), int(state.devices["received"][device])
        code = known.code if known else None
        return point(*self._last_spot(state, device, beat, site), device=code, last_heard=stamp(received))

    def _last_spot(self, state: Listening, device: int, beat: int, site: Site) -> tuple[float, float]:
        row = state.devices.row(device)
        return self._spot(device, (float(row["lon"]), float(row["lat"]), int(row["placed"])), beat, site)

    def _spot(self, device: int, last: tuple[float, float, int], at: int, site: Site) -> tuple[float, float]:
        """The last known place of a device, if memory surely holds it, else the registered one."""
        registry = site.registry
        if last[2] >= at - int((self.slowest + self.longest) * SECOND):
            return last[:2]
        known = device < registry.size
        return (float(registry.lon[device]), float(registry.lat[device])) if known else (float("nan"), float("nan"))
