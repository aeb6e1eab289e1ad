"""What happened to alerts: kept for each of them, and written into the timeline of its case where it has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from alerts.alert import Alert
from alerts.case import SYSTEM
from detectors.base import Sentence
from store.database import announce
from store.entries import append, lock_book


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One row of ``alert_events``. ``what`` is the action of the entry without its ``alert_``."""

    at: datetime
    actor: str
    what: str
    note: str
    told: Sentence


async def write_events(
    conn: AsyncConnection,
    what: str,
    told: Sequence[tuple[Alert, Sentence | None]],
    now: datetime,
    *,
    by: str = SYSTEM.name,
    note: str = "",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Note that ``what`` happened to each alert, with what there is to say of it, and in its case's timeline too.

    Locks the book if any of them has a case: so every lock on alerts comes before.
    """
    if not told:
        return
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO alert_events (alert_id, at, actor, what, note, zh, en) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [(a.id, now, by, what, note, s.zh if s else "", s.en if s else "") for a, s in told],
        )
    cases = [(alert.case_id, alert, said) for alert, said in told if alert.case_id is not None]
    if cases:
        await lock_book(conn)
    for case_id, alert, said in cases:
        content = {"alert": alert.id, **(data or {})}
        await append(conn, case_id, f"alert_{what}", by, now, note=note, told=said, data=content)
    for case_id in sorted({case_id for case_id, *_ in cases}):
        await announce(conn, kind="case", id=case_id)


async def alert_events(conn: AsyncConnection, alert_id: int) -> list[AlertEvent]:
    """What happened to an alert since it was raised, oldest first."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            "SELECT at, actor, what, note, zh, en FROM alert_events WHERE alert_id = %s ORDER BY id", (alert_id,)
        )
        return [AlertEvent(told=Sentence(row.pop("zh"), row.pop("en")), **row) for row in await cursor.fetchall()]
