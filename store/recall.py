"""Calling back a terminal whose order has gone to another, or that a case no longer needs."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from psycopg import AsyncConnection

from alerts.case import SYSTEM, Case
from alerts.notice import recall
from detectors.base import Sentence
from store.entries import append
from store.notices import enqueue

_ORDER: Final = """
SELECT n.id, d.name, d.name_en FROM notices n JOIN devices d ON d.code = n.target
WHERE n.case_id = %s AND n.channel = 'terminal' AND n.target = %s AND n.body ->> 'do' = 'goto'
ORDER BY n.id DESC LIMIT 1
"""
# A row that is locked is being sent or answered at this moment. To wait for it under the book could be for ever: who
# writes down an answer holds the row and waits for the book.
_UNHEARD: Final = """
SELECT attempts = 0 OR NOT coalesce(accepted, true) FROM notices WHERE id = %s FOR NO KEY UPDATE SKIP LOCKED
"""


async def call_back(conn: AsyncConnection, case: Case, terminal: str, now: datetime) -> None:
    """Tell ``terminal`` not to go, and write it into the timeline; nothing when it refused, or was not sent its order.

    The book must be locked. The command names the order that it takes back, so a terminal that has been sent anew
    since then goes on.
    """
    cursor = await conn.execute(_ORDER, (case.id, terminal))
    order = await cursor.fetchone()
    if order is None:
        return
    notice, name, name_en = order
    cursor = await conn.execute(_UNHEARD, (notice,))
    if await cursor.fetchone() == (True,):
        return
    told = Sentence(f"召回{name}（{terminal}）：指令已撤回", f"{name_en} ({terminal}) is called back")
    sent = await enqueue(
        conn,
        channel="terminal",
        target=terminal,
        reason=f"{case.number}：{told.zh} / {told.en}",
        body=recall(case, notice),
        dedupe=f"case {case.id}|recall {notice}",
        case_id=case.id,
    )
    if sent is not None:
        data = {"terminal": terminal, "order": notice, "notice": sent}
        await append(conn, case.id, "recall", SYSTEM.name, now, told=told, data=data)
