"""Who walks which course in which window, kept up to date beat by beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from detectors.certificate import Patrol, judge
from detectors.courses import STEP, Course, Track, ways, within
from detectors.geo import Floats
from detectors.held import HELD
from devices.readings import Rows

NEVER: Final = -(1 << 62)
ALONG: Final = 10.0  # corridors: a straight way across at 12° or more keeps within one for less


@dataclass(slots=True)
class Walk:
    """One device on one course within one window. Times are UTC µs of event time."""

    device: int
    course: Course
    covered: NDArray[np.bool_]
    parts: list[Rows] = field(default_factory=list)  # its fixes on the course, and all since it has begun; some late
    latest: Rows = field(default_factory=lambda: np.empty(0, HELD))  # the newest of all its fixes
    newest: int = NEVER
    begun_at: int = NEVER
    last_on: int = NEVER
    off_since: int | None = None
    farthest: float = 0.0  # m, of the present deviation
    told_off: int = 0  # findings told of the present deviation
    patrol: Patrol | None = None  # judged when enough was covered
    late: bool = False  # late fixes came that were not known: only judging tells what they cover together

    @classmethod
    def begin(cls, device: int, course: Course) -> Walk:
        """Before its first fix."""
        return cls(device, course, np.zeros(len(course.x), bool))

    @property
    def share(self) -> float:
        return float(self.covered.mean())

    @property
    def begun(self) -> bool:
        """Whether enough was covered to say that somebody walks here, and does not just come past."""
        return self.begun_at != NEVER

    def keeps_to_it(self, begun: float) -> bool:
        """Whether it has kept to the line, in one stretch, farther than a straight way across the corridor would: from
        an end of the line, where a round begins, or for a third of it. A ring may be begun anywhere."""
        marks = len(self.covered)
        least = min(max(begun * marks, ALONG * self.course.plan.corridor / STEP), marks / 2)
        edges = np.flatnonzero(np.diff(self.covered, prepend=False, append=False))
        begins, ends = edges[::2], edges[1::2]
        at_an_end = (begins <= begun * marks) | (ends >= marks - begun * marks) | self.course.is_ring
        lengths = ends - begins
        return bool(((lengths >= least) & (at_an_end | (lengths >= marks / 3))).any())

    @property
    def place(self) -> tuple[float, float]:
        """Longitude and latitude of the newest fix."""
        return float(self.latest["lon"][-1]), float(self.latest["lat"][-1])

    @property
    def complete(self) -> bool:
        return self.patrol is not None and self.patrol.result == "complete"

    def goes_by(self, rows: Rows) -> None:
        """Take fixes beside the course of somebody who has not begun it: they only tell where he comes from."""
        if rows["at"][-1] > self.newest:
            self.latest, self.newest = rows[-1:], int(rows["at"][-1])

    def track(self) -> Track:
        """Its fixes in order of time, each moment once."""
        held = np.concatenate(self.parts) if self.parts else np.empty(0, HELD)
        held = held[np.argsort(held["at"], kind="stable")]
        held = held[np.append(True, np.diff(held["at"]) > 0)[: len(held)]]
        return Track(held["at"].astype(np.int64), held["lon"].astype(np.float64), held["lat"].astype(np.float64))

    def judge(self) -> Patrol:
        """Judge the patrol by all fixes that are known."""
        self.patrol, self.late = judge(self.course, self.track()), False
        self.covered[self.patrol.covered] = True
        return self.patrol


@dataclass(slots=True)
class Window:
    """One window of one plan, and those who walk in it."""

    course: Course
    opens: int  # UTC µs
    closes: int
    walks: dict[int, Walk] = field(default_factory=dict)  # by device id
    closed: bool = False  # it was judged at its end
    told: str = ""  # the result that was told last, "" for none

    def clipped(self, rows: Rows) -> Rows:
        """Those of some fixes, in order of time, that lie in the window."""
        if self.opens <= rows["at"][0] and rows["at"][-1] < self.closes:
            return rows
        within_it: Rows = rows[(rows["at"] >= self.opens) & (rows["at"] < self.closes)]
        return within_it

    @property
    def done(self) -> bool:
        return any(walk.complete for walk in self.walks.values())


def advance(course: Course, walks: Sequence[Walk], rows: Sequence[Rows], off: float, begun: float) -> None:
    """Let walks of one course take their new fixes, of dtype HELD and in order of time.

    Off a line is who is more than ``off`` m from it, and on it again who is within its corridor. A walk has begun when
    it has covered ``begun`` of a line, or come to a checkpoint.
    """
    if not course.is_line:
        for walk, new in zip(walks, rows, strict=True):
            inside = np.any([shapely.intersects_xy(s, new["lon"], new["lat"]) for s in course.shapes], axis=0)
            fresh = new["at"] > walk.newest
            if walk.begun_at == NEVER and inside.any():
                walk.begun_at = int(new["at"][inside][0])
            for some, late in ((~fresh, True), (fresh, False)):
                if some.any():
                    _keep(walk, new[some], inside[some], late=late)
            if fresh.any():
                walk.latest, walk.newest = new[-1:], int(new["at"][-1])
        return
    news = []
    for walk, new in zip(walks, rows, strict=True):
        follows = int(np.searchsorted(new["at"], walk.newest, "right"))
        if follows:  # late: places alone, what lies between them is not known to be a way
            _late(walk, new[:follows], begun)
        if follows < len(new):
            news.append((walk, new[follows:]))
    if news:
        _fresh(course, news, off, begun)


def _late(walk: Walk, new: Rows, begun: float) -> None:
    """Take fixes that are older than the walk's newest: they may show what was covered, but not where one is."""
    x, y = walk.course.plane.xy(new["lon"], new["lat"])
    hits = within(walk.course, x, y, x, y, walk.course.plan.corridor)
    _begin(walk, hits, new["at"], begun)
    walk.covered |= hits.any(axis=0)
    _keep(walk, new, np.asarray(hits.any(axis=1)), late=True)


def _fresh(course: Course, news: Sequence[tuple[Walk, Rows]], off: float, begun: float) -> None:
    """Take fixes that follow the walks' newest, all walks at once."""
    together = np.concatenate([part for walk, new in news for part in (walk.latest, new)])
    sizes = np.array([len(walk.latest) + len(new) for walk, new in news])
    starts = np.cumsum(sizes) - sizes
    owner = np.repeat(np.arange(len(news)), sizes)
    known = np.zeros(len(together), bool)
    known[starts] = [len(walk.latest) > 0 for walk, _ in news]
    track = Track(together["at"].astype(np.int64), together["lon"], together["lat"])
    x0, y0, x, y = ways(course, track, owner)
    hits = _hits(course, x0, y0, x, y)
    hits[known] = False  # what the newest fixes passed is in ``covered`` already
    on = np.asarray(hits.any(axis=1))
    astray = np.flatnonzero(~on & ~known)
    distance = np.zeros(len(x))
    distance[astray] = np.sqrt(((x[astray, None] - course.x) ** 2 + (y[astray, None] - course.y) ** 2).min(axis=1))
    covered = np.logical_or.reduceat(hits, starts, axis=0)
    last_on = np.maximum.reduceat(np.where(on, track.at, NEVER), starts)
    away = (distance > off) & (track.at > last_on[owner])
    first_away = np.minimum.reduceat(np.where(away, track.at, -NEVER), starts).tolist()
    farthest = np.maximum.reduceat(np.where(away, distance, 0.0), starts).tolist()
    for i, (walk, new) in enumerate(news):
        end = int(starts[i] + sizes[i])
        mine = slice(end - len(new), end)
        if walk.begun_at == NEVER:
            _begin(walk, hits[mine], new["at"], begun)
        walk.covered |= covered[i]
        _keep(walk, new, on[mine])
        walk.latest, walk.newest = new[-1:], int(track.at[end - 1])
        if last_on[i] > NEVER:
            walk.last_on, walk.off_since, walk.farthest = int(last_on[i]), None, 0.0
        if first_away[i] < -NEVER:
            walk.off_since = first_away[i] if walk.off_since is None else walk.off_since
            walk.farthest = max(walk.farthest, farthest[i])


def _hits(course: Course, x0: Floats, y0: Floats, x1: Floats, y1: Floats) -> NDArray[np.bool_]:
    """Which ways pass which marks, shape (ways, marks): only those are tried that lie in the box around the ways."""
    reach = course.plan.corridor
    near = (course.x >= min(x0.min(), x1.min()) - reach) & (course.x <= max(x0.max(), x1.max()) + reach)
    near &= (course.y >= min(y0.min(), y1.min()) - reach) & (course.y <= max(y0.max(), y1.max()) + reach)
    hits = np.zeros((len(x0), len(course.x)), bool)
    if near.any():
        some = replace(course, x=course.x[near], y=course.y[near])
        hits[:, near] = within(some, x0, y0, x1, y1, reach)
    return hits


def _begin(walk: Walk, hits: NDArray[np.bool_], at: NDArray[np.int64], begun: float) -> None:
    """Note when enough was covered, by hits of shape (fixes, marks)."""
    least = max(1.0, begun * len(walk.covered))
    if walk.begun_at == NEVER and (walk.covered | hits.any(axis=0)).sum() >= least:
        covered = (np.logical_or.accumulate(hits, axis=0) | walk.covered).sum(axis=1)
        walk.begun_at = int(at[np.flatnonzero(covered >= least)[0]])


def _keep(walk: Walk, new: Rows, on: NDArray[np.bool_], *, late: bool = False) -> None:
    """Keep the fixes on the course, and all since the walk has begun; of late ones those that are new."""
    if walk.begun_at == NEVER or walk.begun_at >= new["at"][0]:
        new = new[on if walk.begun_at == NEVER else on | (new["at"] > walk.begun_at)]
    if late and walk.parts:
        new = new[~np.isin(new["at"], np.concatenate([part["at"] for part in walk.parts]))]
    if len(new):
        walk.parts.append(new)
        walk.late |= late


def pieces_by_device(rows: Rows) -> Iterator[tuple[int, Rows]]:
    """Rows in order of device, as one piece for each."""
    begins = np.flatnonzero(np.append(True, rows["device"][1:] != rows["device"][:-1])[: len(rows)])
    for begin, end in pairwise([*begins.tolist(), len(rows)]):
        yield int(rows["device"][begin]), rows[begin:end]
