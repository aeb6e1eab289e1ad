"""Patrols that a plan asks for and that did not come: told before the window closes, and when it has closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from detectors.base import Batch, Finding, Sentence
from detectors.courses import Courses
from detectors.gap_words import done_after_all, missed, still_missing
from detectors.held import Heard, Held
from detectors.quotas import NEVER, SURE, Done, Item, Quota, Stays, Walked, quotas_of
from detectors.thresholds import check_above, check_from
from detectors.visits import Visits
from detectors.waiting import EARLIEST, EventClock
from detectors.wording import device_at, evidence, point, stamp
from devices.readings import NAN, SECOND, Rows
from devices.site import CHINA, Site, moment

DAY: Final = 86400.0  # s, the longest window
AHEAD: Final = 600 * SECOND  # how far ahead it is looked for windows that open
LOST: Final = int(Visits().lost * SECOND)  # µs of silence that end a visit
SOON: Final = LOST + 2 * SURE
HOUR: Final = 3600 * SECOND  # how often what is past is cleared away
MOST_VISITS: Final = 60  # in the evidence of one finding


@dataclass(slots=True)
class State:
    """What the fold knows."""

    clock: EventClock
    held: Held
    heard: Heard
    walked: Walked
    site: Site | None = None
    quotas: list[Quota] = field(default_factory=list)
    lines: list[Quota] = field(default_factory=list)  # those with a course, in the order of the courses
    concerned: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1, bool))  # by device id
    visits: dict[str, Stays] = field(default_factory=dict)  # by zone
    visited: dict[int, set[str]] = field(default_factory=dict)  # zones by device id
    items: dict[str, dict[tuple[str, int], Item]] = field(default_factory=dict)  # by zone, then by plan and opening
    opened: int = EARLIEST  # all windows that open before it are known
    done: int = EARLIEST  # all beats before it are judged


@dataclass(frozen=True)
class PatrolGap:
    """A quota of patrols that is about to be missed, or was.

    Definition. For each zone of each plan of kind ``quota`` and each of its windows the patrols are counted. In a zone
    with an extent, a patrol is ``stay`` s (of the plan) of anybody it is for, by the visits derived from the fixes; of
    a visit under way counts what the device's fixes prove. The next patrol counts from ``apart`` s after one: two who
    come together are one patrol, and who stays for hours patrols more than once. On a line, a patrol is the plan's
    ``share`` of its length walked, by one or by several together: samples every 20 m within the corridor of a fix or of
    the way between two.

    - Still missing: ``warn`` s before the window closes, or sooner when what is left needs longer than that. Told again
      every ``renew`` s; ends when the last patrol is done.
    - Missed: when the window has closed. Ends when visits or fixes that come, or are corrected, up to ``late`` s after
      that prove that it was done in time.

    A window is judged only when anything at all was heard in ``heard`` of its slots of ``slot`` s so far: in an outage
    of the feed nobody can be blamed. It is looked at once in a ``beat`` of event time, ``patience`` s after its end.

    How it fails. A device that lies in a zone patrols it: plan what takes the patrol's own round, not the place where
    the terminals are kept. What nobody's terminal has seen was not patrolled, however often somebody came without one.
    A visit's first and last seconds are as sure as the visits are (20 s). Patrols on the edge of a zone may count for
    both sides.

    Source: the quota as the rules of grid management state it (two patrols a day in each grid).

    >>> import shapely
    >>> from devices.readings import SAMPLE, VISIT, rows
    >>> from devices.registry import Registry
    >>> from devices.site import Plan, Zone
    >>> zone = Zone("G", "patrol", "第一网格", "Grid 1", "", shapely.box(118.0, 31.0, 118.01, 31.01))
    >>> plan = Plan("Q", "quota", "每日一巡", "Daily patrol", "", ("G",), opens="08:00", closes="12:00")
    >>> site, detector = Site([], [zone], [], Registry([]), plans=[plan]), PatrolGap()
    >>> state = detector.start(site)
    >>> gauge = rows(SAMPLE, [(7, t * SECOND, 0, "water_level", 7.6) for t in range(0, 14700, 60)])
    >>> found = detector.step(state, Batch(samples=gauge), 15000 * SECOND, site)
    >>> found[0].sentence.en
    'Daily patrol: Grid 1 still lacks 1 of 1 patrols, with 1 h left until 1 Jan 12:00.'
    >>> found[-1].sentence.en
    'Daily patrol: Grid 1 had 0 of 1 patrols by 1 Jan 12:00.'
    """

    kind: ClassVar[str] = "patrol_gap"
    by_reception: ClassVar[bool] = True

    warn: float = 3600.0  # s before the window closes
    apart: float = 1800.0  # s
    renew: float = 600.0  # s
    heard: float = 0.8  # of the window's slots
    slot: float = 600.0  # s
    late: float = 43200.0  # s after the window
    patience: float = 120.0  # s
    beat: float = 60.0  # s

    def __post_init__(self) -> None:
        check_above(self, 0, "renew", "slot", "beat")
        check_from(self, 0, "warn", "apart", "heard", "late", "patience")

    @property
    def memory(self) -> float:
        """Seconds: a window, and how long after it visits may show that it was done."""
        return DAY + self.late + self.patience + 2 * self.beat

    def start(self, site: Site) -> State:
        """Nothing patrolled, nothing missed."""
        none = np.zeros(0, np.int64)
        state = State(
            EventClock(self.patience, self.beat), Held(self.beat), Heard(self.slot), Walked(Courses([]), none)
        )
        self._know(state, site)
        return state

    def step(self, state: State, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`."""
        if state.site is not site:
            self._know(state, site)
        if not state.quotas:
            return []
        state.heard.add(batch)
        state.held.add(batch.fixes, state.concerned)
        self._note(state, batch.visits)
        frontier = state.clock.advance(batch, now)
        if frontier <= state.done:
            return []
        beat = state.clock.beat
        begin = state.heard.first // beat * beat if state.done == EARLIEST else state.done
        state.done = frontier
        return list(self._beats(state, min(begin, frontier), frontier, site))

    def _know(self, state: State, site: Site) -> None:
        """Take a changed site: what was done for quotas that stay as they were counts on."""
        state.site, state.opened, state.quotas = site, EARLIEST, quotas_of(site)
        state.lines = [quota for quota in state.quotas if quota.course is not None]
        state.walked.courses = Courses(quota.course for quota in state.lines if quota.course is not None)
        state.walked.grow(site.registry.size)
        state.concerned = np.zeros(site.registry.size + 1, bool)
        for quota in state.quotas:
            state.concerned[:-1] |= quota.walkers
        before, state.items = state.items, {quota.zone.code: {} for quota in state.quotas}
        state.visits = {zone: state.visits.get(zone, {}) for zone in state.items}
        for quota in state.quotas:
            for key, item in before.get(quota.zone.code, {}).items():
                if key[0] == quota.plan.code and item.quota.like(quota):
                    item.quota = quota
                    state.items[quota.zone.code][key] = item

    def _note(self, state: State, visits: Rows) -> None:
        """Take visits that began, ended or were corrected."""
        for device, zone, entered, left in visits.tolist():
            table = state.visits.get(zone)
            if table is None:
                continue
            if left < 0:
                table.pop((device, entered), None)
            else:
                table[device, entered] = left
                state.visited.setdefault(device, set()).add(zone)
            for item in state.items[zone].values():
                if item.closed and entered < item.closes:
                    item.look = EARLIEST  # it may have been done after all, or not

    # ── Beat by beat ────────────────────────────────────────────────────────────────────────────────────────────────
    def _beats(self, state: State, begin: int, frontier: int, site: Site) -> Iterator[Finding]:
        beat, oldest = state.clock.beat, frontier - int((DAY + self.late) * SECOND)
        held = state.held.take(begin, frontier)
        self._open(state, max(begin, oldest), frontier)
        for end in range(begin + beat, frontier + 1, beat):
            if end in held:
                self._walk(state, held[end])
            for items in state.items.values():
                for item in items.values():
                    if item.look <= end:
                        yield from self._look(state, item, end, site)
        if begin // HOUR != frontier // HOUR:
            self._forget(state, oldest, frontier - int(self.late * SECOND))

    @staticmethod
    def _forget(state: State, oldest: int, past: int) -> None:
        state.heard.forget(oldest)
        for zone, items in state.items.items():
            state.items[zone] = {key: item for key, item in items.items() if item.closes > past}
            state.visits[zone] = {key: left for key, left in state.visits[zone].items() if left == 0 or left > oldest}

    def _open(self, state: State, begin: int, end: int) -> None:
        """Know the windows that overlap a stretch, and when each is looked at first."""
        if end <= state.opened:
            return
        state.opened = end + AHEAD
        for quota in state.quotas:
            for opens, closes in quota.plan.windows(begin, state.opened):
                items, key = state.items[quota.zone.code], (quota.plan.code, opens)
                if key not in items:
                    first = max(closes - self._ahead(quota, quota.plan.visits), (opens + closes) // 2)
                    items[key] = Item(quota, opens, closes, first)

    def _ahead(self, quota: Quota, left: int) -> int:
        """How long (µs) before the end it has to be told that so many patrols are missing."""
        needed = left * quota.plan.stay + max(left - 1, 0) * self.apart
        return int(max(self.warn, needed) * SECOND)

    def _walk(self, state: State, rows: Rows) -> None:
        """Take the fixes of one beat."""
        for device in state.walked.back_again(rows, LOST):
            for zone in state.visited.get(device, ()):
                for item in state.items.get(zone, {}).values():
                    item.look = EARLIEST if item.closed else item.look
        for c, fixes, passed in state.walked.passed(rows):
            quota = state.lines[c]
            meant = quota.walkers[fixes["device"]]
            at, mark = fixes["at"][meant], passed[meant]
            for item in state.items[quota.zone.code].values():
                inside = (item.quota is quota) & (at >= item.opens) & (at < item.closes)
                if inside.any():
                    beats = at[inside] // state.clock.beat * state.clock.beat + state.clock.beat
                    item.passed.update(zip(beats.tolist(), mark[inside].tolist(), strict=True))
                    if item.closed:
                        item.look = EARLIEST

    # ── Judging ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _look(self, state: State, item: Item, end: int, site: Site) -> Iterator[Finding]:
        """One item at the end of a beat."""
        plan = item.quota.plan
        done = item.done(state.visits[item.quota.zone.code], state.walked.newest, end, int(self.apart * SECOND))
        left = plan.visits - len(done.times)
        over = end >= item.closes
        # What went on when the window closed is proved by fixes that come soon after, or not at all.
        item.look, first = end + 1 if end < item.closes + SOON else NEVER, over and not item.closed
        item.closed = over
        if left <= 0:
            item.look = item.look if over else item.closes
            if item.told:
                told, item.told = item.told, ""
                yield self._finding(state, item, end, done, site, done_after_all(item.quota, done, told), ends=True)
        elif state.heard.share(item.opens, min(end, item.closes)) < self.heard:
            return
        elif over:
            if first or item.told == "":
                item.told = "missed"
                yield self._finding(state, item, item.closes, done, site, missed(item.quota, done, item.closes))
        elif end >= item.closes - self._ahead(item.quota, left):
            if item.told == "" or end - item.told_at >= int(self.renew * SECOND):
                item.told, item.told_at = "warned", end
                words = still_missing(item.quota, done, item.closes, end, self.apart)
                yield self._finding(state, item, end, done, site, words)
        else:
            item.look = item.closes - self._ahead(item.quota, left)

    # ── Telling ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _finding(
        self, state: State, item: Item, end: int, done: Done, site: Site, words: Sentence, *, ends: bool = False
    ) -> Finding:
        plan, zone = item.quota.plan, item.quota.zone
        spot = shapely.point_on_surface(zone.geometry)
        features = [point(spot.x, spot.y, part="zone", zone=zone.code)]
        if item.quota.course is None:
            stays = item.stays(state.visits[zone.code], state.walked.newest, end)
            for device, begin, until in sorted(stays, key=lambda s: s[1:])[-MOST_VISITS:]:
                known = device_at(site, device)
                code = known.code if known else f"#{device}"
                features.append(point(NAN, NAN, device=code, entered=stamp(begin), until=stamp(until)))
        numbers = {
            "visits_done": len(done.times),
            "visits_needed": plan.visits,
            "left_s": max(0, item.closes - end) / SECOND,
            "stay_s": plan.stay,
            "covered_share": done.share,
        }
        day = moment(item.opens).astimezone(CHINA)
        subject, since = f"{plan.code} {day:%Y-%m-%d %H:%M}", end if ends else item.opens
        score = 0.95 if item.closed else 0.7
        proof = evidence(features, **numbers)
        place = float(spot.x), float(spot.y)
        return Finding(self.kind, subject, zone.code, since, end, *place, score, words, proof, ends=ends)
