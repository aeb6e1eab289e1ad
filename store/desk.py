"""Small questions that only the console asks of the store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from psycopg import AsyncConnection


async def account_names(conn: AsyncConnection, ids: Iterable[int | None]) -> dict[int, str]:
    """The names of these accounts by id; unknown ids and None are left out."""
    wanted = sorted({account for account in ids if account is not None})
    if not wanted:
        return {}
    cursor = await conn.execute("SELECT id, name FROM accounts WHERE id = ANY(%s)", (wanted,))
    return dict(await cursor.fetchall())


async def notice_case(conn: AsyncConnection, notice_id: int) -> int | None:
    """The case because of which a notice was sent; None for another reason, or no such notice."""
    cursor = await conn.execute("SELECT case_id FROM notices WHERE id = %s", (notice_id,))
    row = await cursor.fetchone()
    return row[0] if row else None


_HAD: Final = """
WITH last AS (
    SELECT data -> 'set' ?| '{unit,parts}' AS moved FROM entries WHERE case_id = %(case)s ORDER BY seq DESC LIMIT 5
), had AS (
    SELECT data #>> '{set,unit}' AS unit FROM entries WHERE case_id = %(case)s
    UNION SELECT part ->> 'unit' FROM entries, jsonb_path_query(data, '$.set.parts[*]') AS part WHERE case_id = %(case)s
)
SELECT unit FROM had WHERE unit IS NOT NULL AND (SELECT bool_or(moved) FROM last)
"""


async def units_before(conn: AsyncConnection, case_id: int) -> set[str]:
    """The units that had a case or a part of it, if one of its last five steps changed that for any; else none."""
    cursor = await conn.execute(_HAD, {"case": case_id})
    return {unit for (unit,) in await cursor.fetchall()}


async def open_alerts(conn: AsyncConnection) -> int:
    """How many alerts nobody has acknowledged and have not cleared."""
    cursor = await conn.execute("SELECT count(*) FROM alerts WHERE state = 'open'")
    return int((await cursor.fetchone() or (0,))[0])


async def answering(conn: AsyncConnection) -> None:
    """Return if the database answers. Raises psycopg.OperationalError when it does not."""
    await conn.execute("SELECT 1")
