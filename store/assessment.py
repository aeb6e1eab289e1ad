"""What the assessment is made from: facts of cases by their rows, and again by their timelines; rounds by visits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from alerts.assessment import ROUND_ENDS, By, Facts, Rounds, facts_from
from alerts.case import Entry
from alerts.digest import Digest, digest, stretches
from devices.site import Site

_CONCERNED = """
    SELECT id FROM cases WHERE opened_at >= %(since)s AND opened_at < %(until)s
    UNION SELECT id FROM cases WHERE due_at >= %(since)s AND due_at < %(until)s
    UNION SELECT id FROM cases WHERE closed_at >= %(since)s AND closed_at < %(until)s
    UNION SELECT id FROM cases WHERE due_at < %(until)s AND status NOT IN ('closed', 'void', 'merged')
    UNION SELECT id FROM cases WHERE due_at < %(until)s AND closed_at >= %(until)s
    UNION SELECT case_id FROM entries WHERE action = 'reopen' AND at >= %(since)s AND at < %(until)s"""
_FACTS = f"""
    SELECT c.id AS case_id, c.category, c.status, c.area, c.unit, c.resolution, c.opened_at, c.due_at, c.closed_at,
        (SELECT e.data #>> '{{set,unit}}' FROM entries e WHERE e.case_id = c.id
         AND e.data #>> '{{set,unit}}' IS NOT NULL ORDER BY e.seq LIMIT 1) AS first_unit,
        CASE WHEN c.reopened = 0 THEN '{{}}' ELSE ARRAY(
            SELECT e.at FROM entries e WHERE e.case_id = c.id AND e.action = 'reopen' ORDER BY e.seq) END AS reopened_at
    FROM cases c WHERE c.id IN ({_CONCERNED}) ORDER BY c.id"""  # noqa: S608 - both texts are constants
_ENTRIES = f"""
    SELECT case_id, seq, at, actor, action, note, data FROM entries WHERE case_id IN ({_CONCERNED})
    ORDER BY case_id, seq"""  # noqa: S608
_ROUNDS = """
    WITH stays AS (
        SELECT d.unit, z.area, v.device, v.entered,
            v.entered - lag(coalesce(v."left", v.entered)) OVER (PARTITION BY v.device ORDER BY v.entered) AS pause
        FROM visits v JOIN zones z ON z.code = v.zone AND z.kind IN ('patrol', 'checkpoint')
        JOIN devices d ON d.id = v.device AND d.role <> ''
        WHERE v.entered >= %(since)s AND v.entered < %(until)s
    )
    SELECT unit, area, count(*) FILTER (WHERE pause IS NULL OR pause > %(ends)s)::int AS patrols,
        count(*)::int AS visits
    FROM stays GROUP BY unit, area ORDER BY unit, area"""


async def case_facts(conn: AsyncConnection, since: datetime, until: datetime) -> list[Facts]:
    """The cases that a period concerns, by their rows."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_FACTS, {"since": since, "until": until})
        return [Facts(**{**row, "reopened_at": tuple(row["reopened_at"])}) for row in await cursor.fetchall()]


async def case_facts_by_entries(conn: AsyncConnection, since: datetime, until: datetime) -> list[Facts]:
    """The same by their timelines alone: what the rows say must follow from these."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_ENTRIES, {"since": since, "until": until})
        entries: Iterable[Entry] = [Entry(**row) for row in await cursor.fetchall()]
    return [facts_from(list(own)) for _, own in groupby(entries, key=attrgetter("case_id"))]


async def rounds_made(conn: AsyncConnection, since: datetime, until: datetime) -> list[Rounds]:
    """Visits and rounds of patrols that began in a period, by unit and area of the zone."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_ROUNDS, {"since": since, "until": until, "ends": ROUND_ENDS})
        return [Rounds(**row) for row in await cursor.fetchall()]


async def read_digest(
    conn: AsyncConnection,
    site: Site,
    by: By,
    since: datetime,
    until: datetime,
    seen: Callable[[str | None, str | None], bool] = lambda area, unit: True,
    now: datetime | None = None,
) -> Digest:
    """The digest of a stretch beside that before it. ``seen`` (area, unit) says what of it is to be counted."""
    as_of = now or datetime.now(UTC)
    both = []
    for begin, end in stretches(since, until, as_of):
        facts = [case for case in await case_facts(conn, begin, end) if seen(case.area, case.unit)]
        rounds = [done for done in await rounds_made(conn, begin, end) if seen(done.area, done.unit)]
        both.append((facts, rounds))
    return digest(site, by, since, until, both[0], both[1], as_of)
