"""Patrols against their planned line or checkpoints: covered, in order, in time, and how far off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from detectors.base import Batch, Finding, Sentence
from detectors.certificate import describe, planned
from detectors.courses import Courses, route_course
from detectors.held import Heard, Held, by_device
from detectors.raster import distinct
from detectors.route_walks import Walk, Window, advance, pieces_by_device
from detectors.route_words import absent, incomplete, made_good, wrong_order
from detectors.thresholds import check_above, check_from
from detectors.waiting import EARLIEST, EventClock
from detectors.wording import clock, device_at, device_names, evidence, point, span
from devices.readings import SECOND, Rows
from devices.site import CHINA, Site, moment

DAY: Final = 86400.0  # s, the longest window
AHEAD: Final = 600 * SECOND  # how far ahead it is looked for windows that open


@dataclass(slots=True)
class State:
    """What the fold knows. Moments are UTC µs of event time."""

    clock: EventClock
    held: Held
    heard: Heard
    site: Site | None = None
    courses: Courses = field(default_factory=lambda: Courses([]))
    walkers: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 1), bool))  # by course and device id
    concerned: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1, bool))
    windows: dict[tuple[str, int], Window] = field(default_factory=dict)  # by plan and opening
    opened: int = EARLIEST  # all windows that open before it are known
    done: int = EARLIEST  # all beats before it are judged


@dataclass(frozen=True)
class Route:
    """A patrol that leaves its planned line, does not finish it within the window, or takes it in the wrong order.

    Definition. For each plan of kind ``route`` and each of its windows, the fixes of the devices it is for are followed
    from when they come to the course. A line is sampled every 20 m; a sample is covered by a fix, or by the straight
    way between two fixes at most 120 s apart, within the plan's corridor. A checkpoint is covered by being in it for
    the plan's ``stay``; fixes outside for up to 60 s are taken for noise. The patrol is complete when one device has
    covered the plan's ``share``, and where the plan is ``ordered`` so much of it in a rising sequence.

    - Deviation: who has kept to a line in one stretch for ``begun`` of it and for ten times its corridor (of a short
      line: for half of it), from one of its ends or for a third of it, and is not complete, is more than ``off`` m from
      it (at least the corridor) for ``off_for`` s. Who comes across on his way home or to the line's beginning has not.
      Told again every ``renew`` s; it ends when he is back within the corridor, has completed the course, or the window
      is over.
    - Wrong order: as much as needed was covered, but not in order. Of checkpoints told at once, of a line when the
      window is over; ends when it is made good.
    - Incomplete: told once when the window is over, with the certificate of the best try; ends when readings that come
      up to ``late`` s after that show that it was done.

    A window is judged only when anything at all was heard in ``heard`` of its slots of ``slot`` s: in an outage of the
    feed nobody can be blamed. What becomes of a course is worked out once in a ``beat`` of event time, ``patience`` s
    after it is over. :func:`detectors.certificate.certificate` gives the certificate of any patrol, also a good one.

    How it fails. GPS that is off by more than the corridor for hundreds of metres covers nothing. A line along which
    one comes back close by may be taken for walked both ways. Two who share a round each walk half of it: give them a
    quota (``patrol_gap``) instead. Late readings change what was covered, not where one was said to be off the line.

    Source: coverage by buffer overlay as in route adherence studies (fraction of the planned line within a buffer of
    the track); order by longest increasing subsequence (Schensted 1961).

    >>> import shapely
    >>> from devices.readings import FIX, rows
    >>> from devices.registry import Device, Registry
    >>> from devices.site import Plan, Zone
    >>> line = Zone("L", "patrol", "湖岸", "Shore", "", shapely.LineString([(118.0, 31.0), (118.01, 31.0)]))
    >>> plan = Plan("R", "route", "夜巡", "Night round", "", ("L",), opens="08:00", closes="09:00")
    >>> walker = Device("T1", "terminal", "张三", "Zhang San", "", "", id=1)
    >>> site, detector = Site([], [line], [], Registry([walker]), plans=[plan]), Route()
    >>> state = detector.start(site)
    >>> fixes = [(1, t * SECOND, 0, 118.0 + min(t, 600) / 100_000, 31.0, 1, 0, 5, 80, 0) for t in range(0, 3700, 10)]
    >>> [f.sentence.en for f in detector.step(state, Batch(fixes=rows(FIX, fixes)), 4000 * SECOND, site)]
    ['Night round was not completed by 1 Jan 09:00: Zhang San covered 63%, needed are 80%.']
    """

    kind: ClassVar[str] = "route"
    by_reception: ClassVar[bool] = True

    off: float = 80.0  # m
    off_for: float = 300.0  # s
    begun: float = 0.1  # of the course
    renew: float = 120.0  # s
    heard: float = 0.8  # of the window's slots
    slot: float = 600.0  # s
    late: float = 43200.0  # s after the window
    patience: float = 60.0  # s
    beat: float = 60.0  # s

    def __post_init__(self) -> None:
        check_above(self, 0, "off", "off_for", "begun", "renew", "slot", "beat")
        check_from(self, 0, "heard", "late", "patience")

    @property
    def memory(self) -> float:
        """Seconds: a window, and how long after it readings may show that it was done."""
        return DAY + self.late + self.patience + 2 * self.beat

    def start(self, site: Site) -> State:
        """Nobody on the way."""
        state = State(EventClock(self.patience, self.beat), Held(self.beat), Heard(self.slot))
        self._know(state, site)
        return state

    def step(self, state: State, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`."""
        if state.site is not site:
            self._know(state, site)
        if not state.courses.courses:
            return []
        state.heard.add(batch)
        state.held.add(batch.fixes, state.concerned)
        frontier = state.clock.advance(batch, now)
        if frontier <= state.done:
            return []
        beat = state.clock.beat
        begin = state.heard.first // beat * beat if state.done == EARLIEST else state.done
        state.done = frontier
        return list(self._beats(state, min(begin, frontier), frontier, site))

    def _know(self, state: State, site: Site) -> None:
        """Take a changed site: the walks of courses that stay as they were go on."""
        state.site, state.opened = site, EARLIEST
        found = [route_course(plan, site) for plan in site.plans.values() if plan.kind == "route"]
        state.courses = Courses(course for course in found if course is not None)
        masks = [course.plan.walkers(site.registry) for course in state.courses.courses]
        state.walkers = np.array(masks, bool).reshape(len(masks), site.registry.size)
        state.concerned = np.append(state.walkers.any(axis=0), False)
        plans = {course.plan.code: course for course in state.courses.courses}
        state.windows = {key: w for key, w in state.windows.items() if w.course.like(plans.get(key[0]))}

    # ── Beat by beat ────────────────────────────────────────────────────────────────────────────────────────────────
    def _beats(self, state: State, begin: int, frontier: int, site: Site) -> Iterator[Finding]:
        beat, oldest = state.clock.beat, frontier - int((DAY + self.late) * SECOND)
        held = state.held.take(begin, frontier)
        self._open(state, max(begin, oldest), frontier)
        closing = [max(-(-w.closes // beat) * beat, begin + beat) for w in state.windows.values() if not w.closed]
        for end in sorted({*held, *(at for at in closing if at <= frontier)}):
            if end in held:
                yield from self._walk(state, held[end], end, site)
            for window in state.windows.values():
                if not window.closed and window.closes <= end:
                    yield from self._close(state, window, end, site)
        state.windows = {k: w for k, w in state.windows.items() if w.closes > frontier - int(self.late * SECOND)}
        state.heard.forget(oldest)

    def _open(self, state: State, begin: int, end: int) -> None:
        """Know the windows that overlap a stretch."""
        if end <= state.opened:
            return
        state.opened = end + AHEAD
        for course in state.courses.courses:
            for opens, closes in course.plan.windows(begin, state.opened):
                state.windows.setdefault((course.plan.code, opens), Window(course, opens, closes))

    def _walk(self, state: State, rows: Rows, end: int, site: Site) -> Iterator[Finding]:
        """Let everybody on a course take the fixes of one beat, of dtype HELD, and look at each."""
        place, course = state.courses.near(rows["lon"], rows["lat"])
        device = rows["device"][place].astype(np.int64)
        meant = state.walkers[course, device]
        size = state.walkers.shape[1]
        here: dict[str, set[int]] = {}
        for pair in distinct(course[meant] * size + device[meant]).tolist():
            here.setdefault(state.courses.courses[pair // size].plan.code, set()).add(pair % size)
        on_course = np.zeros(size, bool)
        on_course[[d for devices in (*here.values(), *(w.walks for w in state.windows.values())) for d in devices]] = (
            True
        )
        pieces = dict(pieces_by_device(by_device(rows[on_course[rows["device"]]])))
        for (code, _), window in state.windows.items():
            walks, new, near = [], [], here.get(code, set())
            for d in sorted(near | (window.walks.keys() & pieces.keys())):
                own = window.clipped(pieces[d])
                walk = window.walks.get(d) or Walk.begin(d, window.course)
                if not len(own) or walk.complete:
                    continue
                if d not in near and not walk.begun:
                    walk.goes_by(own)
                    continue
                window.walks[d] = walk
                walks.append(walk)
                new.append(own)
            if walks:
                advance(window.course, walks, new, max(self.off, window.course.plan.corridor), self.begun)
            for walk in walks:
                yield from self._look(state, window, walk, end, site)

    def _look(self, state: State, window: Window, walk: Walk, end: int, site: Site) -> Iterator[Finding]:
        """One walk after its new fixes: complete, in the wrong order, or off the line."""
        before = walk.complete
        enough = not walk.course.is_line or walk.late or walk.covered.sum() >= walk.course.needed
        if enough and not before:
            walk.judge()
        if walk.patrol is not None and walk.complete and not before:
            if walk.told_off:
                yield self._off_ends(window, walk, end, site)
            if window.told:
                window.told = ""
                sentence = made_good(walk.course.plan, walk.patrol, walk.device, site)
                yield self._of_window(window, walk, end, sentence, site, ends=True)
        elif self._in_wrong_order(window, walk) and walk.patrol is not None:
            window.told = "wrong_order"
            sentence = wrong_order(walk.patrol, walk.device, end, site)
            yield self._of_window(window, walk, end, sentence, site)
        if not window.closed and not walk.complete:
            yield from self._deviation(window, walk, end, site)

    @staticmethod
    def _in_wrong_order(window: Window, walk: Walk) -> bool:
        """Whether that can be told before the window is over. Of a line it cannot: where it comes back close by, much
        of it is covered before its turn."""
        known = walk.patrol is not None and walk.patrol.result == "wrong_order" and not walk.course.is_line
        return known and not (window.told or window.done)

    def _deviation(self, window: Window, walk: Walk, end: int, site: Site) -> Iterator[Finding]:
        if walk.off_since is None:
            if walk.told_off:
                yield self._off_ends(window, walk, end, site)
            return
        lasts = walk.newest - walk.off_since - int(self.off_for * SECOND)
        number = lasts // int(self.renew * SECOND) + 1  # findings due in this deviation
        if lasts >= 0 and number > walk.told_off and walk.keeps_to_it(self.begun):
            walk.told_off = number
            yield self._off(walk, walk.off_since, end, site)

    def _close(self, state: State, window: Window, end: int, site: Site) -> Iterator[Finding]:
        """Judge a window that is over."""
        window.closed = True
        for walk in window.walks.values():
            if walk.told_off:
                yield self._off_ends(window, walk, end, site)
        if window.done or state.heard.share(window.opens, window.closes) < self.heard:
            return
        tries = [(walk.judge(), walk) for walk in window.walks.values() if walk.begun]
        if not tries:
            window.told = "absent"
            sentence = absent(window.course.plan, window.opens, window.closes)
            yield self._of_window(window, None, window.closes, sentence, site)
            return
        best, walk = max(tries, key=lambda one: (one[0].share, len(one[0].covered), -one[0].first))
        window.told = best.result
        yield self._of_window(window, walk, window.closes, incomplete(best, walk.device, window.closes, site), site)

    # ── Telling ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _off(self, walk: Walk, since: int, end: int, site: Site) -> Finding:
        plan, name = walk.course.plan, device_names(site, [walk.device])
        lasted, limit, began = span((walk.newest - since) / SECOND), span(self.off_for), clock(since)
        sentence = Sentence(
            f"{name.zh}执行“{plan.name}”时偏离路线{lasted.zh}，最远{walk.farthest:.0f}米"
            f"（阈值{self.off:g}米、{limit.zh}），{began.zh}起。",
            f"{name.en} has been off the line of {plan.name_en} for {lasted.en}, up to {walk.farthest:.0f} m away"
            f" (limit {self.off:g} m for {limit.en}), since {began.en}.",
        )
        numbers = {
            "off_s": (walk.newest - since) / SECOND,
            "farthest_m": walk.farthest,
            "limit_m": self.off,
            "limit_s": self.off_for,
            "covered_share": walk.share,
        }
        proof = evidence([*planned(walk.course), point(*walk.place, part="newest")], **numbers)
        return Finding(
            self.kind, name_of(site, walk.device), walk.course.zone, since, end, *walk.place, 0.7, sentence, proof
        )

    def _off_ends(self, window: Window, walk: Walk, end: int, site: Site) -> Finding:
        plan, name, at = walk.course.plan, device_names(site, [walk.device]), clock(end)
        zh, en = ("时段结束", "the window is over") if window.closed else ("已回到路线", "back on the line")
        if walk.complete:
            zh, en = "已完成路线", "the line is completed"
        walk.told_off = 0
        sentence = Sentence(
            f"{name.zh}偏离“{plan.name}”一事结束：{zh}，{at.zh}。",
            f"{name.en} is no longer off the line of {plan.name_en}: {en}, {at.en}.",
        )
        proof = evidence([point(*walk.place, part="newest")], covered_share=walk.share)
        subject = name_of(site, walk.device)
        return Finding(self.kind, subject, walk.course.zone, end, end, *walk.place, 0.7, sentence, proof, ends=True)

    def _of_window(
        self, window: Window, walk: Walk | None, end: int, sentence: Sentence, site: Site, *, ends: bool = False
    ) -> Finding:
        """A finding about a plan's window, with the certificate of the patrol as its evidence."""
        course, day = window.course, moment(window.opens).astimezone(CHINA)
        patrol = walk.patrol if walk else None
        if walk is None or patrol is None:
            proof = evidence(planned(course), covered_share=0.0, needed_share=course.plan.share, course_m=course.length)
        else:
            told = describe(patrol)
            features = told["geojson"]["features"]
            for feature in features:
                if feature["properties"]["part"] != "planned":  # whose places they are says who may see them
                    feature["properties"]["device"] = name_of(site, walk.device)
            proof = evidence(features, **told["numbers"])
        lon, lat = course.plane.lonlat(course.x, course.y)
        missing = np.setdiff1d(np.arange(len(lon)), patrol.covered if patrol else [])
        spot = int(missing[0]) if len(missing) else 0
        since, subject = end if ends else window.opens, f"{course.plan.code} {day:%Y-%m-%d %H:%M}"
        place = float(lon[spot]), float(lat[spot])
        return Finding(self.kind, subject, course.zone, since, end, *place, 0.9, sentence, proof, ends=ends)


def name_of(site: Site, device: int) -> str:
    """A device's code, as the subject of a finding."""
    known = device_at(site, device)
    return known.code if known else f"#{device}"
