"""What happened near a place: open cases that a report may be one more of, and the last twelve months by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from psycopg import AsyncConnection

from alerts.case import Case
from alerts.duplicates import Happening, Nearness, box_around, likeness
from detectors.geo import distance
from store.cases import read_cases

MOST_SIMILAR: Final = 20
HISTORY_METRES: Final = 100.0
HISTORY_SPAN: Final = timedelta(days=365)
MOST_LISTED: Final = 50  # cases of a history, the newest
_LOOKED_AT: Final = 500  # open cases of one kind in one box; of more the newest
_LAST_SEEN: Final = "greatest(c.opened_at, (SELECT max(r.at) FROM reporters r WHERE r.case_id = c.id))"


@dataclass(frozen=True, slots=True)
class Similar:
    """An open case that may be the same. ``distance`` in metres, ``last`` when somebody saw it last."""

    case: Case
    likeness: float
    distance: float
    last: datetime
    reporters: int


@dataclass(frozen=True, slots=True)
class Counted:
    """How often one kind happened near a place: ``total``, of these not ended yet, and when last."""

    category: str
    total: int
    open: int
    last: datetime


@dataclass(frozen=True, slots=True)
class History:
    """What happened within ``metres`` since ``since``: by kind, the most frequent first, and the newest cases."""

    metres: float
    since: datetime
    kinds: tuple[Counted, ...]
    cases: tuple[tuple[Case, float], ...]  # with metres to the place


async def similar_cases(
    conn: AsyncConnection, seen: Happening, limits: Nearness, *, but: int | None = None
) -> list[Similar]:
    """Open cases that ``seen`` may be the same as, the likeliest first; ``but`` leaves out one, by id.

    A case is as fresh as its last report: one that is complained of every day stays near for as long as that goes on.
    """
    box = box_around(seen.lon, seen.lat, limits.farthest)
    cursor = await conn.execute(
        f"SELECT c.id, c.lon, c.lat, {_LAST_SEEN}, (SELECT count(*) FROM reporters r WHERE r.case_id = c.id)"  # noqa: S608
        " FROM cases c WHERE c.lat BETWEEN %s AND %s AND c.lon BETWEEN %s AND %s"
        " AND c.status NOT IN ('closed', 'void', 'merged') AND c.category = %s ORDER BY c.opened_at DESC LIMIT %s",
        (box.south, box.north, box.west, box.east, seen.category, _LOOKED_AT),
    )
    found: list[tuple[float, float, int, datetime, int]] = []
    for case_id, lon, lat, last, reporters in await cursor.fetchall():
        other = Happening(seen.category, lon, lat, last)
        alike = likeness(seen, other, limits)
        if alike > 0 and case_id != but:
            found.append((alike, float(distance(seen.lon, seen.lat, lon, lat)), case_id, last, reporters))
    found = sorted(found, reverse=True)[:MOST_SIMILAR]
    cases = {case.id: case for case in await read_cases(conn, "WHERE c.id = ANY(%s)", ([f[2] for f in found],))}
    return [Similar(cases[n], alike, far, last, reporters) for alike, far, n, last, reporters in found]


async def place_history(
    conn: AsyncConnection,
    lon: float,
    lat: float,
    now: datetime,
    *,
    metres: float = HISTORY_METRES,
    but: int | None = None,
) -> History:
    """Open and ended cases near a place in the last twelve months; what was merged counts with the case it went into.

    ``but`` leaves out one case, by id. Of areas it knows nothing: show no case to whom it may not be shown.
    """
    since = now - HISTORY_SPAN
    box = box_around(lon, lat, metres)
    cursor = await conn.execute(
        "SELECT c.id, c.category, c.lon, c.lat, c.opened_at, c.status NOT IN ('closed', 'void') FROM cases c"
        " WHERE c.lat BETWEEN %s AND %s AND c.lon BETWEEN %s AND %s AND c.opened_at >= %s AND c.status <> 'merged'",
        (box.south, box.north, box.west, box.east, since),
    )
    rows = await cursor.fetchall()
    fars = distance(lon, lat, [row[2] for row in rows], [row[3] for row in rows]).tolist()
    near = [
        (opened, case_id, kind, going_on, far)
        for (case_id, kind, _, _, opened, going_on), far in zip(rows, fars, strict=True)
        if case_id != but and far <= metres
    ]
    away = {case_id: far for _, case_id, _, _, far in near}
    newest = [case_id for _, case_id, *_ in sorted(near, reverse=True)[:MOST_LISTED]]
    cases = await read_cases(conn, "WHERE c.id = ANY(%s) ORDER BY c.opened_at DESC, c.id DESC", (newest,))
    return History(metres, since, _counted(near), tuple((case, away[case.id]) for case in cases))


def _counted(near: Sequence[tuple[datetime, int, str, bool, float]]) -> tuple[Counted, ...]:
    kinds: dict[str, list[tuple[datetime, bool]]] = {}
    for opened, _, kind, going_on, _ in near:
        kinds.setdefault(kind, []).append((opened, going_on))
    counted = [
        Counted(kind, len(seen), sum(going_on for _, going_on in seen), max(opened for opened, _ in seen))
        for kind, seen in kinds.items()
    ]
    return tuple(sorted(counted, key=lambda c: (-c.total, c.category)))
