"""The queue of cases that are nobody's: what is known of each, who could have it, and the joint decision."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import class_row

from alerts.case import Actor, Case, Refused
from alerts.duty import DutyMatrix
from alerts.notice import message
from alerts.ownership import NEAR, Declined, Handled, Suggestion, declined, suggest, unclear_since
from alerts.supervision import WATCHED, waits_until
from detectors.base import Sentence
from devices.site import Site
from store.cases import act, get_case, read_cases
from store.duties import put_duty
from store.entries import append, case_entries, lock_book
from store.notices import enqueue_to_unit
from store.site_lock import lock_site

_LOOKED_BACK: Final = timedelta(days=730)
_METRES_PER_DEGREE: Final = 111_195.0


@dataclass(frozen=True, slots=True)
class Unclear:
    """One case of the queue. ``until`` is when those who decide were or will be reminded for the first time."""

    case: Case
    since: datetime
    until: datetime
    limit: str
    declined: tuple[Declined, ...]
    suggestions: tuple[Suggestion, ...]


async def list_unclear(
    conn: AsyncConnection,
    *,
    site: Site,
    duty: DutyMatrix,
    areas: Collection[str] | None = None,
    limit: int = 50,
    before: int | None = None,
) -> tuple[list[Unclear], int | None]:
    """Cases that are nobody's and are still to be handled, the oldest first; and ``before`` of the next page."""
    where, arguments = "WHERE c.unit IS NULL AND c.status = ANY(%s)", list[object]([list(WATCHED)])
    if areas is not None:
        where += " AND c.area = ANY(%s)"
        arguments.append(sorted(areas))
    if before is not None:
        where += " AND (c.opened_at, c.id) > (SELECT opened_at, id FROM cases WHERE id = %s)"
        arguments.append(before)
    found = await read_cases(conn, f"{where} ORDER BY c.opened_at, c.id LIMIT %s", (*arguments, limit + 1))
    page = [await _described(conn, case, site, duty) for case in found[:limit]]
    return page, found[limit - 1].id if len(found) > limit else None


async def get_unclear(conn: AsyncConnection, case_id: int, *, site: Site, duty: DutyMatrix) -> Unclear | None:
    """One case of the queue; None when it is not in it."""
    case = await get_case(conn, case_id)
    if case is None or case.unit is not None or case.status not in WATCHED:
        return None
    return await _described(conn, case, site, duty)


async def decide_owner(
    conn: AsyncConnection,
    case_id: int,
    actor: Actor,
    *,
    unit: str,
    participants: Sequence[str],
    reason: str,
    remember: str | None = None,
    version: int | None = None,
    now: datetime | None = None,
) -> Case:
    """Record whose a case is by a joint decision, and tell the units that took part; the case after it.

    ``participants`` are codes of units or names of others. ``remember`` is the case's area or one above it for which
    the duty matrix is to say the same from now on; that row is in the case's timeline, too.

    Raises:
        Refused: as for any action; or ``remember`` is not around the case.
    """
    now = now or datetime.now(UTC)
    async with conn.transaction():
        if remember is not None:
            await lock_site(conn, "exclusive")  # before the book, as everywhere
        data: dict[str, Any] = {"unit": unit, "participants": tuple(participants)}
        case = await act(conn, case_id, "decide_owner", actor, note=reason, version=version, data=data, now=now)
        await _tell_participants(conn, case, actor, participants, reason)
        if remember is not None:
            await _remember(conn, case, actor, remember, now)
        return case


async def _remember(conn: AsyncConnection, case: Case, actor: Actor, area: str, now: datetime) -> None:
    cursor = await conn.execute(
        "WITH RECURSIVE up (code, parent) AS (SELECT code, parent FROM areas WHERE code = %s"
        " UNION SELECT a.code, a.parent FROM areas a JOIN up ON a.code = up.parent) SELECT code FROM up",
        (case.area,),
    )
    around = [code for (code,) in await cursor.fetchall()]
    if area not in around or case.unit is None:
        raise Refused(
            "wrong_value",
            f"辖区 {area} 不是事件所在辖区或其上级",
            f"area {area!r} is neither the case's nor one above it",
        )
    made = await put_duty(conn, case.category, area, case.unit, actor=actor.name, how="decision", case_id=case.id)
    was = made[0].before if made else case.unit
    told = Sentence(
        f"已写入职责清单：{case.category} × {area} → {case.unit}" + (f"（原为 {was}）" if was else ""),
        f"now in the duty matrix: {case.category} × {area} → {case.unit}" + (f" (was {was})" if was else ""),
    )
    await lock_book(conn)
    duty = [case.category, area, case.unit]
    await append(conn, case.id, "note", actor.name, now, told=told, data={"remembered": duty, "was": was})


async def _tell_participants(
    conn: AsyncConnection, case: Case, actor: Actor, participants: Sequence[str], reason: str
) -> None:
    """Notices to those who took part and are units; the one whose case it is now hears of it as of any assignment."""
    told = Sentence(f"联合认定由 {case.unit} 办理：{reason}", f"decided together to be {case.unit}'s: {reason}")
    for unit in dict.fromkeys(participants):
        if unit != case.unit:
            await enqueue_to_unit(
                conn,
                unit,
                reason=f"{case.number}：{actor.name} 联合认定 / decision on ownership by {actor.name}",
                body=message(case, told),
                dedupe=f"case {case.id}|v{case.version}|participant {unit}",
                case_id=case.id,
            )


async def _described(conn: AsyncConnection, case: Case, site: Site, duty: DutyMatrix) -> Unclear:
    entries = await case_entries(conn, case.id)
    since, sent_back = unclear_since(entries), declined(entries)
    history = await _history(conn, case, site)
    units = suggest(case, site, duty, history, [each.unit for each in sent_back])
    limit = duty.categories.plan(case.category).ownership
    until = waits_until(since, limit, None)
    return Unclear(case, since, until, limit, tuple(sent_back), tuple(units))


async def _history(conn: AsyncConnection, case: Case, site: Site) -> list[Handled]:
    """What units have dealt with near the case's place, else in its area, in the last two years."""
    lat = case.lat if case.lat is not None else math.nan
    lon = case.lon if case.lon is not None else math.nan
    north = NEAR / _METRES_PER_DEGREE
    east = north / max(math.cos(math.radians(lat)), 0.01) if math.isfinite(lat) else 0.0
    async with conn.cursor(row_factory=class_row(Handled)) as cursor:
        await cursor.execute(
            """
            WITH around AS (
                SELECT id, unit, number, opened_at, category, true AS near FROM cases
                WHERE lat BETWEEN %(south)s AND %(north)s AND lon BETWEEN %(west)s AND %(east)s
                    AND unit IS NOT NULL AND lat IS NOT NULL AND opened_at > %(since)s
                UNION ALL
                SELECT id, unit, number, opened_at, category, false FROM (
                    SELECT * FROM cases WHERE area = %(area)s AND unit IS NOT NULL AND opened_at > %(since)s
                    ORDER BY opened_at DESC, id DESC LIMIT 1000) recent
                WHERE NOT coalesce(lat BETWEEN %(south)s AND %(north)s AND lon BETWEEN %(west)s AND %(east)s, false)
            )
            SELECT unit, category = %(category)s AS same_category, near, count(*)::int AS cases,
                (array_agg(number ORDER BY opened_at DESC))[1] AS last_number, max(opened_at) AS last_opened
            FROM around WHERE id <> %(case)s GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
            """,
            {
                "south": lat - north,
                "north": lat + north,
                "west": lon - east,
                "east": lon + east,
                "area": case.area,
                "category": case.category,
                "case": case.id,
                "since": case.opened_at - _LOOKED_BACK,
            },
        )
        return await cursor.fetchall()
