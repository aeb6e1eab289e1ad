"""Who walks which course in which window, kept up to date beat by beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from detectors.certificate import Patrol, judge
from detectors.courses import Course, Track, ways, within
from detectors.held import HELD
from devices.readings import Rows

NEVER: Final = -(1 << 62)


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

    @property
    def place(self) -> tuple[float, float]:
        """Longitude and latitude of the newest fix."""
        return float(self.latest["lon"][-1]), float(self.latest["lat"][-1])

    @property
    def complete(self) -> bool:
        return self.patrol is not None and self.patrol.result == "complete"

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
            if walk.begun_at == NEVER and inside.any():
                walk.begun_at = int(new["at"][inside][0])
            _take(walk, new, inside, np.zeros(len(new), bool), np.zeros(len(new)))
        return
    # Late fixes are places alone; the first that is not late follows the newest one.
    splits = [int(np.searchsorted(new["at"], walk.newest, "right")) for walk, new in zip(walks, rows, strict=True)]
    parts = [(new[:k], walk.latest, new[k:]) for walk, new, k in zip(walks, rows, splits, strict=True)]
    together = np.concatenate([part for three in parts for part in three])
    sizes = [len(new) + len(walk.latest) for walk, new in zip(walks, rows, strict=True)]
    ends = np.cumsum(sizes)
    owner = np.arange(len(together))
    for k, size, end in zip(splits, sizes, ends.tolist(), strict=True):
        owner[end - size + k : end] = end
    track = Track(together["at"].astype(np.int64), together["lon"], together["lat"])
    x0, y0, x, y = ways(course, track, owner)
    hits = within(course, x0, y0, x, y, course.plan.corridor)
    distance = np.sqrt(((x[:, None] - course.x) ** 2 + (y[:, None] - course.y) ** 2).min(axis=1))
    on = np.asarray(hits.any(axis=1))
    for walk, new, k, size, end in zip(walks, rows, splits, sizes, ends.tolist(), strict=True):
        mine = np.arange(end - size, end)
        mine = np.delete(mine, slice(k, k + len(walk.latest)))
        if walk.begun_at == NEVER:
            covered = (np.logical_or.accumulate(hits[mine], axis=0) | walk.covered).sum(axis=1)
            enough = np.flatnonzero(covered >= max(1.0, begun * len(walk.covered)))
            walk.begun_at = int(new["at"][enough[0]]) if len(enough) else NEVER
        walk.covered |= hits[mine].any(axis=0)
        _take(walk, new, on[mine], ~on[mine] & (distance[mine] > off), distance[mine])


def _take(walk: Walk, new: Rows, on: NDArray[np.bool_], off: NDArray[np.bool_], distance: NDArray[np.float64]) -> None:
    at, fresh = new["at"], new["at"] > walk.newest
    kept = on if walk.begun_at == NEVER else on | (at > walk.begun_at)
    known = [part["at"] for part in walk.parts] if not fresh.all() else []
    if known:
        kept &= fresh | ~np.isin(at, np.concatenate(known))
    if kept.any():
        walk.parts.append(new[kept])
        walk.late |= bool((kept & ~fresh).any())
    if not fresh.any():
        return  # late: it may show what was covered, but not where one is
    walk.latest, walk.newest = new[-1:], int(at[-1])
    back = np.flatnonzero(fresh & on)
    if len(back):
        walk.last_on, walk.off_since, walk.farthest = int(at[back[-1]]), None, 0.0
    away = np.flatnonzero(fresh & off & (at > walk.last_on))
    if len(away):
        walk.off_since = int(at[away[0]]) if walk.off_since is None else walk.off_since
        walk.farthest = max(walk.farthest, float(distance[away].max()))


def pieces_by_device(rows: Rows) -> Iterator[tuple[int, Rows]]:
    """Rows in order of device, as one piece for each."""
    begins = np.flatnonzero(np.append(True, rows["device"][1:] != rows["device"][:-1])[: len(rows)])
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(rows)], strict=True):
        yield int(rows["device"][begin]), rows[begin:end]
