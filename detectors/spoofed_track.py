"""Tracks that no bearer walked: jumps, frozen places, two terminals in one pocket, the track of another day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np

from detectors.base import Batch, Finding, Sentence
from detectors.company import BEAT, PATIENCE, Company, Pair, Walking
from detectors.geo import Floats, ZoneIndex
from detectors.jumps import Jump, Jumping, Jumps
from detectors.legs import Lasts, Mask, Spot, Times
from detectors.repeats import Copy, Figures, Repeats
from detectors.stills import Standing, Still, Stills
from detectors.thresholds import check_above, check_from, check_order
from detectors.waiting import EventClock
from detectors.wording import clock, device_at, evidence, length, point, span, stamp, whereabouts
from devices.readings import SECOND
from devices.site import Site

MOVES: Final[Mapping[str, str]] = {"boat": "boat", "vessel": "boat"}
"""How the bearer of a terminal of this role (or a device of this kind) moves; others may be driven."""
MOST_POINTS: Final = 50  # fixes in the evidence


@dataclass(slots=True)
class State:
    """What the fold knows, and what the site says of each device, by its id."""

    clock: EventClock
    site: Site | None = None
    lasts: Lasts = field(default_factory=Lasts)
    jumping: Jumping = field(default_factory=Jumping)
    standing: Standing = field(default_factory=Standing)
    figures: Figures = field(default_factory=Figures)
    walking: Walking = field(default_factory=Walking)
    limit: Floats = field(default_factory=lambda: np.empty(0))  # m/s
    fit: Mask = field(default_factory=lambda: np.empty(0, bool))  # a terminal that somebody carries
    crew: Times = field(default_factory=lambda: np.empty(0, np.int64))  # equal: they belong together; -1: alone
    stations: ZoneIndex = field(default_factory=lambda: ZoneIndex([]))


@dataclass(frozen=True)
class SpoofedTrack:
    """A terminal's track that its bearer cannot have gone. Its fixes are kept and flagged.

    Definition. Fixes without a place or less exact than ``accuracy`` m are left out.
    *Jump*: from one fix to the next more than ``far`` m beyond twice both accuracies, faster than the bearer can move
    (``foot``, ``bike``, ``car`` or ``boat`` m/s: the device's property ``moves``, else by role: a boat, or a car) or,
    where a speed is reported, faster than twice that and what a leg leaves time to speed up; and still over there after
    ``settle`` s and ``confirm`` fixes. *Frozen*: for ``frozen`` s no step of more than ``noise`` m while a speed of
    ``pace`` m/s or more is reported; or for ``same`` s not one digit changes, at no station and not charging. *Two in
    one pocket*: two terminals on the way at a walking pace within ``near`` m at every other minute of ``together`` s
    (more where both say that they are not exact), on average no farther apart than ``errors`` times what the errors of
    both receivers explain (or ``mean`` m), over ``way`` m. *Replay*: ``figures`` or
    more equal figures (three steps to the digit) in the same order over ``least`` s and ``copied`` m as between
    ``after`` and ``remember`` s before, of whatever device. Each is told when it is certain and in every ``renew`` s
    while it goes on, with a beginning of ``longest`` s before at most.

    How it fails. Jumps below ``far`` and forgeries at a possible speed are not seen. Two officers who walk side by side
    look like one with two terminals: give devices that belong together the same property ``crew``; who is driven or
    on a boat is not compared. A receiver that repeats its last place for ``same`` s indoors is told. A replay of what
    is older than ``remember``, with noise added, or of places with five digits or fewer is not seen; nor are replays
    and pairs in stretches that come late.

    Source: plausibility of position against reported motion as in GNSS spoofing detection (implied against Doppler
    speed); figures are k-grams chosen by content as in winnowing (Schleimer, Wilkerson and Aiken 2003).

    >>> from devices.readings import FIX, rows
    >>> from devices.registry import Device, Registry
    >>> site = Site([], [], [], Registry([Device("T1", "terminal", "张三", "Zhang San", "", "", role="patrol", id=1)]))
    >>> place = lambda t: (118.0 + t * 1.3e-5 + (0.05 if t > 400 else 0.0), 31.0)  # 4.8 km away at once
    >>> fixes = [(1, t * SECOND, t * SECOND, *place(t), 1.2, 90, 5, 80, 0) for t in range(0, 450, 10)]
    >>> detector = SpoofedTrack()
    >>> (found,) = detector.step(detector.start(site), Batch(fixes=rows(FIX, fixes)), 450 * SECOND, site)
    >>> [at // SECOND for _, at in found.suspects], found.evidence["numbers"]["implied_mps"] > 400
    ([410, 420, 430, 440], True)
    """

    kind: ClassVar[str] = "spoofed_track"
    by_reception: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ("fixes",)

    accuracy: float = 100.0  # m
    foot: float = 12.0  # m/s
    bike: float = 25.0  # m/s
    car: float = 60.0  # m/s
    boat: float = 30.0  # m/s
    far: float = 300.0  # m
    confirm: int = 4  # fixes
    settle: float = 20.0  # s
    frozen: float = 300.0  # s
    pace: float = 0.6  # m/s
    noise: float = 3.0  # m
    same: float = 900.0  # s
    together: float = 1200.0  # s
    near: float = 40.0  # m
    mean: float = 8.0  # m
    errors: float = 1.35  # times what both receivers' errors explain
    way: float = 400.0  # m
    figures: int = 6
    least: float = 120.0  # s
    copied: float = 200.0  # m
    after: float = 600.0  # s
    remember: float = 93_600.0  # s
    renew: float = 240.0  # s
    longest: float = 1800.0  # s

    def __post_init__(self) -> None:
        above = ("accuracy", "foot", "bike", "car", "boat", "far", "frozen", "pace", "noise", "same", "together")
        check_above(self, 0, *above, "near", "mean", "errors", "way", "copied", "after", "remember", "renew", "longest")
        check_from(self, 0, "settle", "least")
        check_from(self, 2, "confirm", "figures")
        check_order(self, "after", "remember")

    @property
    def memory(self) -> float:
        """Seconds: the oldest original of a copy, and the longest copy that is told."""
        return max(self.remember + 2 * self.longest + 2 * self.renew, self.refold_memory)

    @property
    def refold_memory(self) -> float:
        """Seconds: the longest stretch that is told, and how long it takes to be certain of it."""
        certain = max(self.frozen, self.same, self.together + BEAT, self.longest)
        return self.longest + certain + 2 * self.renew + PATIENCE + BEAT

    def start(self, site: Site) -> State:
        """No fix yet."""
        return State(EventClock(PATIENCE, BEAT))

    def step(self, state: State, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`."""
        frontier = state.clock.advance(batch, now)
        legs = state.lasts.legs(batch.fixes, self.accuracy)
        self._know(state, site, len(state.lasts))
        found: list[Finding] = []
        if len(legs):
            found += [self._jump(jump, site) for jump in self._jumps.find(state.jumping, legs, state.limit)]
            found += [f for still in self._stills.find(state.standing, legs) for f in self._still(state, still, site)]
            found += [self._copy(copy, site) for copy in self._repeats.find(state.figures, legs)]
            state.walking.add(legs)
            state.lasts.take(legs)
        pairs = self._company.find(state.walking, frontier, state.fit, state.crew)
        found += [f for pair in pairs for f in self._pair(state, pair, site)]
        return found

    # ── The four looks ──────────────────────────────────────────────────────────────────────────────────────────────
    @property
    def _jumps(self) -> Jumps:
        return Jumps(self.far, self.confirm, self.settle, self.longest)

    @property
    def _stills(self) -> Stills:
        return Stills(self.frozen, self.same, self.pace, self.noise, *self._spans("renew", "longest"))

    @property
    def _repeats(self) -> Repeats:
        return Repeats(self.figures, self.least, self.copied, *self._spans("after", "remember", "renew", "longest"))

    @property
    def _company(self) -> Company:
        beats = max(2, round(self.together / BEAT))
        renew, longest = self._spans("renew", "longest")
        return Company(beats, self.near, self.mean, self.errors, self.way, renew, longest, min(300 * SECOND, longest))

    def _spans(self, *names: str) -> list[int]:
        return [int(getattr(self, name) * SECOND) for name in names]

    def _know(self, state: State, site: Site, size: int) -> None:
        """Make room for devices, and take what a changed site says of them."""
        size = max(size, site.registry.size)
        if state.site is site and size <= len(state.limit):
            return
        state.site = site
        for part in (state.standing, state.figures, state.walking):
            part.grow(size)
        state.limit, state.fit = np.full(size, self.car), np.zeros(size, bool)
        state.crew = np.full(size, -1, np.int64)
        crews: dict[str, int] = {}
        for device in site.registry.devices:
            by = str(device.properties.get("moves") or MOVES.get(device.role) or MOVES.get(device.kind, "car"))
            state.limit[device.id] = {"foot": self.foot, "bike": self.bike, "boat": self.boat}.get(by, self.car)
            state.fit[device.id] = device.kind == "terminal" and by != "boat"
            if crew := device.properties.get("crew"):
                state.crew[device.id] = crews.setdefault(str(crew), len(crews))
        stations = [z for z in site.zones.values() if z.properties.get("station") is True]
        state.stations = ZoneIndex(sorted(stations, key=lambda z: z.code))

    # ── Telling ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _jump(self, jump: Jump, site: Site) -> Finding:
        code, name, area = _named(site, jump.device)
        over, before = jump.over[0], jump.before
        lon, lat, reported = over.lon, over.lat, _reported(before, over)
        what, quick, where = length(jump.metres), span(jump.seconds), whereabouts(site, lon, lat, area)
        said = _said(reported)
        sentence = Sentence(
            f"{name.zh}的定位{quick.zh}内移动了{what.zh}，需{jump.implied:.0f}米/秒（{said.zh}，阈值{jump.allowed:.0f}米/秒），"
            f"{clock(over.at).zh}到{where.zh}，定位不可信。",
            f"The position of {name.en} moved {what.en} in {quick.en}, which takes {jump.implied:.0f} m/s ({said.en},"
            f" limit {jump.allowed:.0f} m/s), to {where.en}, {clock(over.at).en}: not to be believed.",
        )
        numbers = {"implied_mps": jump.implied, "reported_mps": reported, "limit_mps": jump.allowed,
                   "distance_m": jump.metres, "elapsed_s": jump.seconds}  # fmt: skip
        suspects = tuple((jump.device, fix.at) for fix in jump.over)
        proof = evidence([_feature(code, fix) for fix in [before, *jump.over][:MOST_POINTS]], **numbers)
        score = max(0.5, 1 - 0.5 * jump.allowed / jump.implied)
        since, until = before.at, jump.over[-1].at
        return Finding(self.kind, code, "", since, until, lon, lat, score, sentence, proof, suspects=suspects)

    def _still(self, state: State, still: Still, site: Site) -> list[Finding]:
        code, name, area = _named(site, still.device)
        lon, lat, until = still.fix.lon, still.fix.lat, still.fix.at
        if not still.claims and len(state.stations.pairs(np.array([lon]), np.array([lat]))[0]):
            return []
        lasted, where, when = (until - still.since) / SECOND, whereabouts(site, lon, lat, area), clock(still.since)
        reported, limit = still.fix.speed, self.frozen if still.claims else self.same
        how = Sentence("一位数字都没变", "not in one digit")
        if not still.identical:
            how = Sentence(f"每步不到{self.noise:g}米", f"in no step by {self.noise:g} m")
        why = Sentence("真实定位总有噪声", "a real one is never without noise")
        if still.claims:
            why = Sentence(f"却自报{reported:.1f}米/秒", f"yet it reports {reported:.1f} m/s")
        sentence = Sentence(
            f"{name.zh}的定位已{span(lasted).zh}没有移动（{how.zh}），{why.zh}，阈值{span(limit).zh}，在{where.zh}，{when.zh}起。",
            f"The position of {name.en} has not moved for {span(lasted).en} ({how.en}), {why.en}, limit"
            f" {span(limit).en}, at {where.en}, since {when.en}.",
        )
        numbers = {"lasted_s": lasted, "limit_s": limit, "implied_mps": 0.0, "reported_mps": reported}
        proof, score = evidence([_feature(code, still.fix)], **numbers), 0.9 if still.claims else 0.6
        since, suspects = still.since, still.suspects
        return [Finding(self.kind, code, "", since, until, lon, lat, score, sentence, proof, suspects=suspects)]

    def _copy(self, copy: Copy, site: Site) -> Finding:
        code, name, area = _named(site, copy.device)
        lon, lat, until = copy.fix.lon, copy.fix.lat, copy.fix.at
        _, whose, _ = _named(site, copy.source)
        whose = Sentence("自己", "its own") if copy.source == copy.device else Sentence(whose.zh, f"{whose.en}'s")
        lasted, where = (until - copy.since) / SECOND, whereabouts(site, lon, lat, area)
        when, then = clock(copy.since), clock(copy.then)
        sentence = Sentence(
            f"{name.zh}的轨迹已{span(lasted).zh}与{whose.zh}在{then.zh}的轨迹逐步相同（阈值{self.figures}处），疑为重放，"
            f"在{where.zh}，{when.zh}起。",
            f"For {span(lasted).en} the track of {name.en} repeats {whose.en} of {then.en} step by step (limit"
            f" {self.figures} places): a replay, at {where.en}, since {when.en}.",
        )
        numbers = {"lasted_s": lasted, "shift_s": (until - copy.then) / SECOND, "fixes": len(copy.suspects)}
        proof = evidence([_feature(code, copy.fix)], **numbers)
        since, suspects = copy.since, copy.suspects
        return Finding(self.kind, code, "", since, until, lon, lat, 0.95, sentence, proof, suspects=suspects)

    def _pair(self, state: State, pair: Pair, site: Site) -> list[Finding]:
        (one, name, area), (other, second, _) = (_named(site, device) for device in pair.devices)
        last, until = pair.beats[-1], pair.beats[-1].at
        if len(state.stations.pairs(np.array([last.lon]), np.array([last.lat]))[0]):
            return []
        lasted, moved = (until - pair.since) / SECOND, sum(beat.moved for beat in pair.beats)
        apart, limit, where = pair.apart, pair.limit, whereabouts(site, last.lon, last.lat, area)
        way, when = length(moved), clock(pair.since)
        sentence = Sentence(
            f"{name.zh}与{second.zh}的终端{span(lasted).zh}来同行，近来{way.zh}平均相距{apart:.0f}米（阈值{limit:.0f}米），"
            f"疑由一人携带，在{where.zh}，{when.zh}起。",
            f"The terminals of {name.en} and {second.en} have gone together for {span(lasted).en}, {apart:.0f} m apart"
            f" on average over the last {way.en} (limit {limit:.0f} m): one person seems to carry both, at"
            f" {where.en}, since {when.en}.",
        )
        numbers = {"lasted_s": lasted, "distance_m": moved, "apart_m": apart, "limit_apart_m": limit}
        points = [point(b.lon, b.lat, devices=f"{one}, {other}", at=stamp(b.at), apart_m=b.apart) for b in pair.beats]
        proof = evidence(points[-MOST_POINTS:], **numbers)
        score = max(0.5, 1 - 0.5 * apart / limit)
        return [Finding(self.kind, f"{one}+{other}", "", pair.since, until, last.lon, last.lat, score, sentence, proof)]


def _named(site: Site, device: int) -> tuple[str, Sentence, str]:
    """Code, name and area of a device."""
    known = device_at(site, device)
    if known is None:
        return f"#{device}", Sentence(f"#{device}", f"#{device}"), ""
    return known.code, Sentence(known.name, known.name_en or known.code), known.area


def _reported(before: Spot, over: Spot) -> float:
    known = [fix.speed for fix in (before, over) if np.isfinite(fix.speed)]
    return max(known, default=float("nan"))


def _said(reported: float) -> Sentence:
    if not np.isfinite(reported):
        return Sentence("未报速度", "no speed reported")
    return Sentence(f"自报{reported:.1f}米/秒", f"{reported:.1f} m/s reported")


def _feature(code: str, fix: Spot) -> dict[str, Any]:
    return point(fix.lon, fix.lat, device=code, at=stamp(fix.at), speed=fix.speed)
