"""What a step of supervision says beside its note: its number, to which named people it goes, and by when to answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from alerts.case import Case, Entry
from alerts.categories import AT_ONCE, Categories
from alerts.deadline import reckon
from alerts.notice import message
from alerts.supervision import LEVELS
from alerts.supervisors import Supervisor, supervisors_of
from detectors.base import Sentence
from store.duties import load_kinds, load_places, load_supervisors
from store.notices import enqueue_to_person


async def letter_facts(conn: AsyncConnection, case: Case, action: str, now: datetime) -> dict[str, Any]:
    """What the entry of a step of supervision records; nothing for any other action. ``case`` is as it will be."""
    if action not in LEVELS:
        return {}
    gaps = Categories(await load_kinds(conn)).plan(case.category).supervise
    due = case.due_at.astimezone(UTC).isoformat(timespec="microseconds")
    facts: dict[str, Any] = {"letter": await _number(conn, case), "due_at": due}
    following = LEVELS.index(action) + 1
    if following < len(gaps) and now >= case.due_at and gaps[following] != AT_ONCE:
        facts["answer_by"] = reckon(now, gaps[following]).at.isoformat(timespec="microseconds")
    listed, site, levels = await load_supervisors(conn), await load_places(conn), 2 if action == "second_letter" else 1
    people = supervisors_of(listed, case.area, case.unit, site, levels=levels)
    facts["named"] = [_named(person) for person in people] or await _accounts(conn, case.area)
    return facts


async def tell_supervisors(conn: AsyncConnection, case: Case, entry: Entry, what: Sentence) -> None:
    """Notices to the people that the entry names and to their offices; an address of several hears it once."""
    for person in entry.data.get("named", ()):
        reason = f"{case.number}：督办人{person['name']} / {person['name_en']} supervises it"
        dedupe = f"case {case.id}|{entry.seq}|unit"  # as the unit's, so that an address of both hears it once
        body = message(case, what)
        await enqueue_to_person(conn, person, reason=reason, body=body, dedupe=dedupe, case_id=case.id, but=case.unit)


async def named_for(conn: AsyncConnection, area: str | None) -> list[dict[str, str]]:
    """Who supervises an area, whatever the unit: those named, else the accounts of role supervisor."""
    people = supervisors_of(await load_supervisors(conn), area, None, await load_places(conn))
    return [_named(person) for person in people] or await _accounts(conn, area)


def _named(person: Supervisor) -> dict[str, str]:
    return {"name": person.name, "name_en": person.name_en, "account": person.account, "office": person.office}


async def _number(conn: AsyncConnection, case: Case) -> str:
    """The number of the letter: the case's, and how many of its steps there were, also before it was reopened."""
    cursor = await conn.execute(
        "SELECT count(*) FROM entries WHERE case_id = %s AND action = ANY(%s)", (case.id, list(LEVELS))
    )
    return f"{case.number}-D{(await cursor.fetchone() or (0,))[0] + 1}"


async def _accounts(conn: AsyncConnection, area: str | None) -> list[dict[str, str]]:
    """The accounts of role supervisor of the finest area around, or of no area, where nobody is named."""
    lineage = (await load_places(conn)).lineage(area or "")
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            "SELECT name, display, area FROM accounts WHERE role = 'supervisor' AND active"
            " AND (area IS NULL OR area = ANY(%s)) ORDER BY name",
            (lineage,),
        )
        found = await cursor.fetchall()
    best = min((_step(row, lineage) for row in found), default=0)
    return [
        {"name": row["display"], "name_en": row["name"], "account": row["name"], "office": ""}
        for row in found
        if _step(row, lineage) == best
    ]


def _step(account: Mapping[str, Any], lineage: list[str]) -> int:
    return lineage.index(account["area"]) if account["area"] in lineage else len(lineage)
