"""An order that no terminal takes: the next fit one is offered it, each but once, and then the desk is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from psycopg import AsyncConnection
from psycopg.rows import class_row

from alerts.case import Case
from alerts.dispatch import PATIENCE
from detectors.base import Sentence
from store.cases import read_cases
from store.dispatch import nobody_near, send
from store.entries import lock_book
from store.standings import nearest_fit

Why = Literal["refused", "not_sent", "silent"]

_UNTAKEN: Final = """
SELECT c.id AS case_id, d.code AS terminal, d.name, d.name_en,
       CASE WHEN NOT coalesce(n.accepted, true) THEN 'refused'
            WHEN n.failed_at IS NOT NULL THEN 'not_sent' ELSE 'silent' END AS why
FROM cases c JOIN devices d ON d.id = c.terminal
CROSS JOIN LATERAL (
    SELECT at FROM entries e WHERE e.case_id = c.id AND e.action IN ('dispatch', 'reoffer') ORDER BY seq DESC LIMIT 1
) sent
CROSS JOIN LATERAL (
    SELECT accepted, acked_at, failed_at FROM notices n
    WHERE n.case_id = c.id AND n.channel = 'terminal' AND n.target = d.code AND n.body ->> 'do' = 'goto'
    ORDER BY n.id DESC LIMIT 1
) n
WHERE c.status = 'dispatched' AND (%(case)s::bigint IS NULL OR c.id = %(case)s)
    AND (NOT coalesce(n.accepted, true) OR n.failed_at IS NOT NULL
         OR n.acked_at IS NULL AND sent.at <= %(now)s - make_interval(secs => %(patience)s))
ORDER BY c.id
"""
_ASKED: Final = """
SELECT DISTINCT data #>> '{set,terminal}' FROM entries
WHERE case_id = %(case)s AND data #>> '{set,terminal}' IS NOT NULL AND seq > coalesce(
    (SELECT max(seq) FROM entries WHERE case_id = %(case)s AND action IN ('open', 'reopen', 'decline', 'transfer')), 0)
"""
_WORDS: Final[dict[Why, Sentence]] = {
    "refused": Sentence("拒绝指令", "refused the order"),
    "not_sent": Sentence("的指令无法送达", "could not be sent the order"),
    "silent": Sentence("逾时未应答", "has not answered in time"),
}


class Untaken(NamedTuple):
    """A case whose order its terminal has not taken, and why."""

    case_id: int
    terminal: str
    name: str
    name_en: str
    why: Why


async def reoffer(conn: AsyncConnection, now: datetime | None = None, patience: float = PATIENCE) -> list[Case]:
    """Cases whose order was refused, could not be sent, or was not acknowledged in ``patience`` seconds, after it.

    Each is offered to the nearest fit terminal that had no order since the case was opened or handed on. Where there
    is none left, the timeline says so and the case is its unit's, or the desk's again. To be called now and then, by
    any number of workers.
    """
    now = now or datetime.now(UTC)
    return [
        case
        for untaken in await _untaken(conn, now, patience)
        if (case := await _pass_on(conn, untaken.case_id, now, patience)) is not None
    ]


async def asked_terminals(conn: AsyncConnection, case_id: int) -> frozenset[str]:
    """The terminals that had an order for a case since it was opened or handed on."""
    cursor = await conn.execute(_ASKED, {"case": case_id})
    return frozenset(code for (code,) in await cursor.fetchall())


async def _untaken(conn: AsyncConnection, now: datetime, patience: float, case_id: int | None = None) -> list[Untaken]:
    async with conn.cursor(row_factory=class_row(Untaken)) as cursor:
        await cursor.execute(_UNTAKEN, {"case": case_id, "now": now, "patience": patience})
        return await cursor.fetchall()


async def _pass_on(conn: AsyncConnection, case_id: int, now: datetime, patience: float) -> Case | None:
    async with conn.transaction():
        await lock_book(conn)
        still = await _untaken(conn, now, patience, case_id)
        if not still:
            return None  # another worker was first, or the terminal has answered meanwhile
        (untaken,) = still
        (case,) = await read_cases(conn, "WHERE c.id = %s", (case_id,))
        asked = await asked_terminals(conn, case_id) | {untaken.terminal}
        said = _WORDS[untaken.why]
        failed = Sentence(
            f"{untaken.name}（{untaken.terminal}）{said.zh}", f"{untaken.name_en} ({untaken.terminal}) {said.en}"
        )
        data: dict[str, Any] = {"from": untaken.terminal, "why": untaken.why}
        found = await nearest_fit(conn, case, now, asked)
        if found is not None:
            why = Sentence(f"{failed.zh}，改派", f"{failed.en}; offered to")
            return await send(conn, case, "reoffer", found, now, why, data)
        told = Sentence(
            f"{failed.zh}；附近没有其他可派终端（已派过 {len(asked)} 个），请人工派遣",
            f"{failed.en}; no other terminal near is fit ({len(asked)} asked): dispatch by hand",
        )
        return await nobody_near(conn, case, now, told, {**data, "asked": sorted(asked)})
