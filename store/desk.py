"""Small questions that only the console asks of the store."""

from __future__ import annotations

from collections.abc import Iterable

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


async def units_before(conn: AsyncConnection, case_id: int) -> set[str]:
    """The units that had a case before, if one of its last five steps gave it to another; else none."""
    cursor = await conn.execute(
        "WITH last AS ("
        "SELECT data -> 'set' ? 'unit' AS moved FROM entries WHERE case_id = %s ORDER BY seq DESC LIMIT 5)"
        " SELECT DISTINCT data #>> '{set,unit}' FROM entries WHERE case_id = %s AND data #>> '{set,unit}' IS NOT NULL"
        " AND (SELECT bool_or(moved) FROM last)",
        (case_id, case_id),
    )
    return {unit for (unit,) in await cursor.fetchall()}


async def open_alerts(conn: AsyncConnection) -> int:
    """How many alerts nobody has acknowledged and have not cleared."""
    cursor = await conn.execute("SELECT count(*) FROM alerts WHERE state = 'open'")
    return int((await cursor.fetchone() or (0,))[0])


async def answering(conn: AsyncConnection) -> None:
    """Return if the database answers. Raises psycopg.OperationalError when it does not."""
    await conn.execute("SELECT 1")
