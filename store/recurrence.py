"""What is seen after its case was closed opens that case again (ADR 0026): a closed case hides nothing that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from psycopg import AsyncConnection

from alerts import chain
from alerts.alert import Alert, site_clock
from alerts.case import SYSTEM, Wish
from alerts.rules import Rule
from detectors.base import Sentence
from store.cases import read_cases, take_step
from store.dispatch import send_nearest
from store.entries import lock_book
from store.limits import usual_limit

_CLOSED_BEFORE: Final = """
SELECT DISTINCT c.id FROM cases c JOIN unnest(%s::bigint[], %s::timestamptz[]) AS seen (id, at) ON seen.id = c.id
WHERE c.status = 'closed' AND c.closed_at < seen.at ORDER BY c.id
"""


async def reopen_seen_again(conn: AsyncConnection, alerts: Sequence[tuple[Alert, Rule]], now: datetime) -> None:
    """Reopen the closed cases of those alerts that are told and were seen after the close, with a new deadline.

    What is kept silent waits until it is told. A case that people called void stays so: it judged this very episode.
    The alerts must be locked; locks the book when there is one to reopen.
    """
    going_on = [(a, rule) for a, rule in alerts if a.case_id is not None and a.live and a.suppressed is None]
    if not going_on or not await _closed_before(conn, [alert for alert, _ in going_on]):
        return
    await lock_book(conn)
    for case_id in await _closed_before(conn, [alert for alert, _ in going_on]):
        alert, rule = max((pair for pair in going_on if pair[0].case_id == case_id), key=lambda p: p[0].last_seen)
        await _reopen(conn, case_id, alert, rule, now)


async def _closed_before(conn: AsyncConnection, alerts: Sequence[Alert]) -> list[int]:
    cursor = await conn.execute(_CLOSED_BEFORE, ([a.case_id for a in alerts], [a.last_seen for a in alerts]))
    return [case_id for (case_id,) in await cursor.fetchall()]


async def _reopen(conn: AsyncConnection, case_id: int, alert: Alert, rule: Rule, now: datetime) -> None:
    (case,) = await read_cases(conn, "WHERE c.id = %s", (case_id,))
    seen, limit = site_clock(alert.last_seen), await usual_limit(conn, case)
    told = Sentence(
        f"结案后仍有检出（{seen}）：{alert.sentence.zh}", f"seen after the close ({seen}): {alert.sentence.en}"
    )
    after = chain.act(case, "reopen", SYSTEM, Wish(note=told.zh, until=limit.deadline), now)
    data = {"alert": alert.id, "until": limit.deadline, "deadline_by": limit.by}
    await take_step(conn, case, after, "reopen", SYSTEM.name, now, told=told, data=data)
    if rule.dispatch == "nearest":
        await send_nearest(conn, after, now)
