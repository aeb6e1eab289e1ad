"""What is known of the terminals that could be sent to a case."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from alerts.case import Case
from alerts.dispatch import FRESH, NEAR, Candidate, Standing, judged
from detectors.base import Sentence

_LOOKED_BACK: Final = 3600.0  # seconds: who was not heard for so long is not even shown as unfit
_FEW: Final = 20  # terminals of which one mostly is fit
_DEGREE: Final = 110_000.0  # metres of latitude, rather less than more, so that the box holds the circle
_DOUBTING: Final = "spoofed_track"  # the detector that doubts tracks

_STANDINGS: Final = """
WITH near AS MATERIALIZED (
    SELECT d.id, d.code, d.name, d.name_en, p.at, p.lon, p.lat, p.battery, p.flags
    FROM last_positions p JOIN devices d ON d.id = p.device
    WHERE d.active AND d.kind = 'terminal' AND p.at > %(now)s - make_interval(secs => %(back)s)
        AND (p.lat BETWEEN %(lat)s - %(high)s AND %(lat)s + %(high)s
             AND p.lon BETWEEN %(lon)s - %(wide)s AND %(lon)s + %(wide)s OR p.lat = 'NaN')
        AND (%(most)s::int IS NULL OR p.at > %(now)s - make_interval(secs => %(fresh)s)
             AND NOT EXISTS (SELECT FROM cases c WHERE c.terminal = d.id AND c.status IN ('dispatched', 'handling')
                             AND c.id <> %(case)s))
    ORDER BY power(p.lat - %(lat)s, 2) + power((p.lon - %(lon)s) * cosd(%(lat)s), 2) LIMIT %(most)s
)
SELECT n.id AS device, n.code, n.name, n.name_en, n.at, n.lon, n.lat, n.battery, n.flags,
       coalesce(told.value = 0, false) AS offline,
       n.code IN (SELECT subject FROM alerts WHERE kind = %(doubting)s AND state IN ('open', 'acknowledged'))
           AS suspect,
       EXISTS (SELECT FROM alerts a JOIN cases c ON c.id = a.case_id
               WHERE a.subject = n.code
                   AND (c.status NOT IN ('closed', 'void', 'merged') OR c.id = %(case)s)) AS involved,
       (SELECT c.number FROM cases c WHERE c.terminal = n.id AND c.status IN ('dispatched', 'handling')
            AND c.id <> %(case)s ORDER BY c.id LIMIT 1) AS busy
FROM near n
LEFT JOIN LATERAL (
    SELECT value FROM samples s WHERE s.device = n.id AND s.quantity = 'online' AND s.at >= n.at
    ORDER BY s.at DESC LIMIT 1
) told ON true
"""


async def nearest_fit(
    conn: AsyncConnection, case: Case, now: datetime, asked: frozenset[str] = frozenset()
) -> Candidate | None:
    """Whom the system sends to a case's place: the first of :func:`candidates` if it is fit, else nobody.

    It is mostly among the few nearest that are free, and in a storm of alerts the book is locked meanwhile.
    """
    assert case.lon is not None and case.lat is not None  # no terminal is sent without a place
    for most in (_FEW, None):
        found = await candidates(conn, case.lon, case.lat, now, case_id=case.id, asked=asked, most=most)
        if found and found[0].fit:
            return found[0]
        if len(found) < _FEW:
            break  # these were all that are free and fresh
    return None


async def candidates(
    conn: AsyncConnection,
    lon: float,
    lat: float,
    now: datetime,
    *,
    case_id: int = 0,
    asked: frozenset[str] = frozenset(),
    most: int | None = None,
) -> list[Candidate]:
    """The terminals around a place (degrees), heard of in the last hour: the fit ones first, each kind by distance.

    ``case_id`` is the case they would be sent to, so that being on it makes none busy; ``asked`` as for
    :func:`alerts.dispatch.judged`. With ``most``, only so many, the nearest of those that are free and whose position
    is fresh.
    """
    high = NEAR / _DEGREE
    given = {"now": now, "back": max(_LOOKED_BACK, FRESH), "lon": lon, "lat": lat, "case": case_id}
    given |= {
        "most": most,
        "fresh": FRESH,
        "high": high,
        "wide": min(360.0, high / max(0.01, math.cos(math.radians(lat)))),
        "doubting": _DOUBTING,
    }
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_STANDINGS, given)
        standings = [_standing(row) for row in await cursor.fetchall()]
    return judged(standings, lon, lat, now, asked=asked)


def _standing(row: dict[str, Any]) -> Standing:
    return Standing(name=Sentence(row.pop("name"), row.pop("name_en")), **row)
