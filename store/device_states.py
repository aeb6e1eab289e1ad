"""How the devices of the site are doing: where each was last, and when it was last heard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

_QUERY = """
SELECT d.code, d.active, p.at AS fixed_at, p.battery,
       coalesce(p.lon, d.lon, 'NaN') AS lon, coalesce(p.lat, d.lat, 'NaN') AS lat,
       greatest(p.received, seen.received, measured.received) AS heard
FROM devices d
LEFT JOIN last_positions p ON p.device = d.id
LEFT JOIN LATERAL (
    SELECT received FROM sightings
    WHERE device = d.id AND at > now() - INTERVAL '30 days' ORDER BY at DESC LIMIT 1
) seen ON true
-- The index goes by quantity: a terminal has thousands of samples of the two that its status brings, so ask for those.
CROSS JOIN LATERAL (
    SELECT CASE d.kind WHEN 'terminal' THEN ARRAY['online', 'battery'] ELSE ARRAY(
        SELECT DISTINCT quantity FROM samples WHERE device = d.id AND at > now() - INTERVAL '30 days'
    ) END AS quantities
) q
LEFT JOIN LATERAL (
    SELECT max(newest.received) AS received FROM unnest(q.quantities) AS one(quantity)
    CROSS JOIN LATERAL (
        SELECT received FROM samples WHERE device = d.id AND samples.quantity = one.quantity
            AND at > now() - INTERVAL '30 days' ORDER BY at DESC LIMIT 1
    ) newest
) measured ON true
WHERE d.position IS NOT NULL AND (%(code)s::text IS NULL OR d.code = %(code)s)
ORDER BY d.position
"""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """One device. Place in degrees: the last fix, else where it stands, else NaN. ``battery`` in percent or None."""

    code: str
    active: bool
    fixed_at: datetime | None  # of its last fix, by its own clock
    heard: datetime | None  # when we received its newest message of the last 30 days
    lon: float
    lat: float
    battery: float | None

    @property
    def placed(self) -> bool:
        """Whether its place is known."""
        return not math.isnan(self.lon)


async def device_states(conn: AsyncConnection, code: str | None = None) -> list[DeviceState]:
    """The state of every device of the site, or of the one with a code, in the order of the site."""
    async with conn.cursor(row_factory=class_row(DeviceState)) as cursor:
        await cursor.execute(_QUERY, {"code": code})
        return await cursor.fetchall()
