"""What is known of the terminals that could be sent to a case."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from alerts.dispatch import FRESH, NEAR, Candidate, Standing, judged
from detectors.base import Sentence

_LOOKED_BACK: Final = 3600.0  # seconds: who was not heard for so long is not even shown as unfit
_DEGREE: Final = 110_000.0  # metres of latitude, rather less than more, so that the box holds the circle
_DOUBTING: Final = "spoofed_track"  # the detector that doubts tracks

_STANDINGS: Final = """
WITH near AS MATERIALIZED (
    SELECT d.id, d.code, d.name, d.name_en, p.at, p.lon, p.lat, p.battery, p.flags
    FROM last_positions p JOIN devices d ON d.id = p.device
    WHERE d.active AND d.kind = 'terminal' AND p.at > %(now)s - make_interval(secs => %(back)s)
        AND (p.lat BETWEEN %(lat)s - %(high)s AND %(lat)s + %(high)s
             AND p.lon BETWEEN %(lon)s - %(wide)s AND %(lon)s + %(wide)s OR p.lat = 'NaN')
)
SELECT n.id AS device, n.code, n.name, n.name_en, n.at, n.lon, n.lat, n.battery, n.flags,
       coalesce(told.value = 0, false) AS offline,
       n.code IN (SELECT subject FROM alerts WHERE kind = %(doubting)s AND state IN ('open', 'acknowledged'))
           AS suspect,
       n.code IN (SELECT a.subject FROM alerts a JOIN cases c ON c.id = a.case_id
                  WHERE c.status NOT IN ('closed', 'void', 'merged') AND c.id <> %(case)s
                     OR c.id = %(case)s) AS involved,
       (SELECT c.number FROM cases c WHERE c.terminal = n.id AND c.status IN ('dispatched', 'handling')
            AND c.id <> %(case)s ORDER BY c.id LIMIT 1) AS busy
FROM near n
LEFT JOIN LATERAL (
    SELECT value FROM samples s WHERE s.device = n.id AND s.quantity = 'online' AND s.at >= n.at
    ORDER BY s.at DESC LIMIT 1
) told ON true
"""


async def candidates(
    conn: AsyncConnection,
    lon: float,
    lat: float,
    now: datetime,
    *,
    case_id: int = 0,
    asked: frozenset[str] = frozenset(),
) -> list[Candidate]:
    """The terminals around a place (degrees), heard of in the last hour: the fit ones first, each kind by distance.

    ``case_id`` is the case they would be sent to, so that being on it makes none busy; ``asked`` as for
    :func:`alerts.dispatch.judged`.
    """
    high = NEAR / _DEGREE
    given = {"now": now, "back": max(_LOOKED_BACK, FRESH), "lon": lon, "lat": lat, "case": case_id}
    given |= {"high": high, "wide": min(360.0, high / max(0.01, math.cos(math.radians(lat)))), "doubting": _DOUBTING}
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_STANDINGS, given)
        standings = [_standing(row) for row in await cursor.fetchall()]
    return judged(standings, lon, lat, now, asked=asked)


def _standing(row: dict[str, Any]) -> Standing:
    return Standing(name=Sentence(row.pop("name"), row.pop("name_en")), **row)
