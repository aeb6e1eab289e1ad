"""How often a zone was patrolled in a window: by stays in it, or by walking its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.courses import JOIN, Course, Courses, line_course, within
from detectors.geo import Floats, Ids
from detectors.held import by_device
from detectors.visits import Visits
from devices.readings import SECOND, Rows
from devices.site import Plan, Site, Zone
from devices.site_plans import is_line

NEVER: Final = 1 << 62
SURE: Final = int(Visits().settle * SECOND)  # µs of fixes after which a leaving would have been told


@dataclass(frozen=True, slots=True, eq=False)
class Quota:
    """One zone of one plan; ``course`` where it is a line."""

    plan: Plan
    zone: Zone
    course: Course | None
    walkers: NDArray[np.bool_]  # by device id

    def like(self, other: Quota | None) -> bool:
        """Whether another asks for the same."""
        return other is not None and (self.plan, self.zone) == (other.plan, other.zone)


def quotas_of(site: Site) -> list[Quota]:
    """The quotas of a site's plans; zones that the site lacks are left out."""
    found = []
    for plan in site.plans.values():
        if plan.kind != "quota":
            continue
        walkers = plan.walkers(site.registry)
        zones = [site.zones[code] for code in plan.zones if code in site.zones]
        found += [Quota(plan, z, line_course(plan, z) if is_line(z) else None, walkers) for z in zones]
    return found


class Done(NamedTuple):
    """What was done of a quota within a window."""

    times: tuple[int, ...]  # UTC µs at which each patrol was done
    share: float  # of a line, what is covered of the one that is under way; else 0


@dataclass(slots=True)
class Item:
    """One quota in one window. Moments are UTC µs of event time."""

    quota: Quota
    opens: int
    closes: int
    look: int  # when it is to be looked at next
    told: str = ""  # "", "warned" or "missed"
    told_at: int = 0
    closed: bool = False
    passed: set[tuple[int, int]] = field(default_factory=set)  # (end of the beat, mark), of a line

    def done(self, table: Stays, newest: NDArray[np.int64], end: int, apart: int) -> Done:
        """What was done until a moment, by what is known now of the time before it; ``apart`` in µs."""
        quota = self.quota
        if quota.course is not None:
            return rounds_done(self.passed, len(quota.course.x), quota.course.needed)
        intervals = [(begin, until) for _, begin, until in self.stays(table, newest, end)]
        return stays_done(intervals, int(quota.plan.stay * SECOND), apart, quota.plan.visits)

    def stays(self, table: Stays, newest: NDArray[np.int64], end: int) -> Iterator[tuple[int, int, int]]:
        """(device, begin, end) of the stays within the window, as far as fixes before a moment prove them.

        ``newest`` (by device id) is each device's newest fix before it: one that has not been heard since cannot prove
        that it is still there, nor that it has left.
        """
        walkers = self.quota.walkers
        for (device, entered), left in table.items():
            if device >= len(walkers) or not walkers[device] or entered >= min(end, self.closes):
                continue
            until = min(left or NEVER, int(newest[device]) - SURE, end, self.closes)
            begin = max(entered, self.opens)
            if until >= begin:
                yield device, begin, until


# ── Stays ───────────────────────────────────────────────────────────────────────────────────────────────────────────
Stays = dict[tuple[int, int], int]
"""The visits of one zone: (device id, entered) → left, UTC µs, 0 while inside."""


def stays_done(intervals: Iterable[tuple[int, int]], stay: int, apart: int, most: int) -> Done:
    """The first ``most`` patrols in stays of anybody, (begin, end) in µs: each lasts ``stay`` µs, and the next counts
    from ``apart`` µs after it.

    >>> stays_done([(0, 100), (150, 400)], 100, 200, 9).times
    (100, 400)
    """
    times: list[int] = []
    earliest = -NEVER
    for start, end in sorted(intervals):
        begin = max(start, earliest)
        while end - begin >= stay and len(times) < most:
            times.append(begin + stay)
            begin = earliest = begin + stay + max(apart, 1)
            if not stay:
                break  # being there for a moment is one patrol, however long it lasts
    return Done(tuple(times), 0.0)


# ── Lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def rounds_done(passed: Iterable[tuple[int, int]], marks: int, needed: int) -> Done:
    """The rounds of a line in (moment, mark) pairs: each has covered ``needed`` of ``marks`` marks since the last.

    >>> rounds_done([(1, 0), (2, 1), (3, 1), (4, 0)], 2, 2)
    Done(times=(2, 4), share=0.0)
    """
    times: list[int] = []
    covered: set[int] = set()
    for at, mark in sorted(passed):
        covered.add(mark)
        if len(covered) >= needed:
            times.append(at)
            covered.clear()
    return Done(tuple(times), len(covered) / marks)


@dataclass(slots=True)
class Walked:
    """Which marks of the quotas' lines were passed, and how far each device has come. Columns by device id."""

    courses: Courses
    newest: NDArray[np.int64]  # its newest useful fix, UTC µs
    at: NDArray[np.int64] = field(init=False)  # its newest fix in a beat in which it was on a line
    lon: Floats = field(init=False)
    lat: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.at, self.lon = self.newest.copy(), np.full(len(self.newest), np.nan)
        self.lat = self.lon.copy()

    def grow(self, size: int) -> None:
        """Make room for devices."""
        missing = size - len(self.at)
        if missing > 0:
            self.newest, self.at = (np.append(c, np.full(missing, -NEVER)) for c in (self.newest, self.at))
            self.lon, self.lat = (np.append(c, np.full(missing, np.nan)) for c in (self.lon, self.lat))

    def back_again(self, rows: Rows, lost: int) -> list[int]:
        """The devices (ids) of fixes, of dtype HELD, that follow a silence of more than ``lost`` µs."""
        silent = rows["at"] - self.newest[rows["device"]] > lost
        return sorted(set(rows["device"][silent].tolist()))

    def passed(self, rows: Rows) -> Iterator[tuple[int, Rows, Ids]]:
        """Take fixes, of dtype HELD; says of each course at which fixes which marks were passed."""
        device, at = rows["device"].astype(np.intp), rows["at"].copy()  # whole columns: maximum.at is slow without
        fresh = at > self.newest[device]
        np.maximum.at(self.newest, device, at)
        place, _ = self.courses.near(rows["lon"], rows["lat"])
        if not len(place):
            return
        near, on_line = np.zeros(len(rows), bool), np.zeros(len(self.at), bool)
        near[place] = True
        on_line[device[near & fresh]] = True
        rows = by_device(rows.compress(np.where(fresh, on_line[device], near)))
        device, at, lon, lat = rows["device"], rows["at"], rows["lon"], rows["lat"]
        late = at <= self.at[device]
        # Of a device the first that is not late follows what is known; late ones are places alone.
        first = np.append(True, (device[1:] != device[:-1]) | late[:-1])
        before = [np.where(first, own[device], np.append(new[:1], new[:-1]))
                  for own, new in ((self.at, at), (self.lon, lon), (self.lat, lat))]  # fmt: skip
        joined = ~late & (at > before[0]) & (at - before[0] <= int(JOIN * SECOND))
        from_lon, from_lat = np.where(joined, before[1], lon), np.where(joined, before[2], lat)
        last = np.flatnonzero(np.append(device[1:] != device[:-1], True) & ~late)
        for own, new in ((self.at, at), (self.lon, lon), (self.lat, lat)):
            own[device[last]] = new[last]
        place, course = self.courses.near(lon, lat)
        for c in np.flatnonzero(np.bincount(course)).tolist():
            line, mine = self.courses.courses[c], place[course == c]
            x0, y0 = line.plane.xy(from_lon[mine], from_lat[mine])
            x1, y1 = line.plane.xy(lon[mine], lat[mine])
            fix, mark = np.nonzero(within(line, x0, y0, x1, y1, line.plan.corridor))
            yield c, rows[mine[fix]], mark
