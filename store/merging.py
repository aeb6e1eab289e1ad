"""What follows a merged case to the one that goes on, and comes back to it by a split: its reporters and its alerts.

Both have a home, the case they came with, beside the case that goes on for it (:mod:`alerts.duplicates`), so a split
gives back what was, whatever was merged in between.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from psycopg import AsyncConnection

from alerts.case import Actor, Case, Refused
from detectors.base import Sentence
from store.database import announce
from store.entries import append

MOVES: Final = frozenset({"merge", "split"})
_GATHERED: Final = (  # alerts.duplicates.gathered
    "WITH RECURSIVE gathered (id) AS (SELECT %s::bigint"
    " UNION SELECT c.id FROM gathered g JOIN cases c ON c.merged_into = g.id) SELECT id FROM gathered"
)
_GOES_ON: Final = (  # alerts.duplicates.goes_on_as
    "WITH RECURSIVE way (id, merged_into) AS (SELECT id, merged_into FROM cases WHERE id = %s"
    " UNION SELECT c.id, c.merged_into FROM way w JOIN cases c ON c.id = w.merged_into)"
    " SELECT id FROM way WHERE merged_into IS NULL"
)


async def goes_on_in(conn: AsyncConnection, case_id: int) -> int:
    """The id of the case under which this one is worked on: its own, or that of the one it was merged into at last."""
    cursor = await conn.execute(_GOES_ON, (case_id,))
    row = await cursor.fetchone()
    return int(row[0]) if row else case_id


async def gathered_in(conn: AsyncConnection, case_id: int) -> list[int]:
    """The case with all that were merged into it, directly or by way of others, by id."""
    cursor = await conn.execute(_GATHERED, (case_id,))
    return sorted(number for (number,) in await cursor.fetchall())


async def lock_moving(conn: AsyncConnection, case_id: int) -> frozenset[int]:
    """Lock the alerts that a merge or split of this case would move; their ids. The book is locked after it."""
    homes = await gathered_in(conn, case_id)
    cursor = await conn.execute(
        "SELECT id FROM alerts WHERE id IN (SELECT id FROM alerts WHERE case_id = %s"
        " UNION ALL SELECT id FROM alerts WHERE case_home = ANY(%s)) ORDER BY id FOR NO KEY UPDATE",
        (case_id, homes),
    )
    return frozenset(number for (number,) in await cursor.fetchall())


async def move_along(
    conn: AsyncConnection, before: Case, after: Case, actor: Actor, note: str, locked: frozenset[int], now: datetime
) -> None:
    """After a merge or split was written: move what belongs to the case, and say so in the other case's timeline.

    Raises:
        Refused: alerts joined the case while it was being locked: try again.
    """
    if after.merged_into is not None:
        other = await goes_on_in(conn, after.id)
        moved = await conn.execute(
            "UPDATE alerts SET case_home = coalesce(case_home, case_id), case_id = %s WHERE case_id = %s RETURNING id",
            (other, after.id),
        )
        await conn.execute("UPDATE reporters SET case_id = %s WHERE case_id = %s", (other, after.id))
        action, words = "case_joined", Sentence(f"{after.number} 并入本案", f"{after.number} was merged into this case")
    else:
        assert before.merged_into is not None  # the transition table splits nothing else
        other = await goes_on_in(conn, before.merged_into)
        homes = await gathered_in(conn, after.id)
        moved = await conn.execute(
            "UPDATE alerts SET case_id = %(it)s, case_home = nullif(case_home, %(it)s)"
            " WHERE case_id = %(other)s AND case_home = ANY(%(homes)s) RETURNING id",
            {"it": after.id, "other": other, "homes": homes},
        )
        await conn.execute("UPDATE reporters SET case_id = %s WHERE home = ANY(%s)", (after.id, homes))
        action, words = "case_left", Sentence(f"{after.number} 从本案拆出", f"{after.number} was split off this case")
    alerts = sorted(number for (number,) in await moved.fetchall())
    if not locked.issuperset(alerts):
        raise Refused(
            "busy", "事件的预警正在变化，请再试一次", "the case's alerts are changing at this moment: try again"
        )
    told = Sentence(f"{words.zh}：{note}", f"{words.en}: {note}") if note else words
    await append(conn, other, action, actor.name, now, told=told, data={"case": after.id, "alerts": alerts})
    await announce(conn, kind="case", id=other)
    for number in alerts:
        await announce(conn, kind="alert", id=number)
