"""Backtests that were asked for: a queue, their progress, and what they showed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

State = Literal["waiting", "running", "done", "failed"]
ABANDONED: Final = 120  # seconds without a word from a running one
_COLUMNS: Final = "id, rule, wishes, since, until, asked_by, asked_at, state, progress, error"


@dataclass(frozen=True, slots=True)
class Backtest:
    """One that was asked for. ``wishes`` are the thresholds to try; ``result`` is there when it is done."""

    id: int
    rule: str
    wishes: dict[str, str]
    since: datetime
    until: datetime
    asked_by: str
    asked_at: datetime
    state: State
    progress: float
    error: str
    result: dict[str, Any] | None = None


async def ask_backtest(
    conn: AsyncConnection, rule: str, wishes: Mapping[str, str], since: datetime, until: datetime, by: str
) -> int:
    """Put one into the queue; its id."""
    cursor = await conn.execute(
        "INSERT INTO backtests (rule, wishes, since, until, asked_by) VALUES (%s, %s, %s, %s, %s) RETURNING id",
        (rule, Jsonb(dict(wishes)), since, until, by),
    )
    return int((await cursor.fetchone() or (0,))[0])


async def take_backtest(conn: AsyncConnection) -> Backtest | None:
    """The oldest that waits, now running; None when there is none, or one is running. Abandoned ones are ended."""
    async with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("LOCK TABLE backtests IN SHARE ROW EXCLUSIVE MODE")
        await cursor.execute(
            "UPDATE backtests SET state = 'failed', error = 'it was interrupted'"
            " WHERE state = 'running' AND seen_at < now() - make_interval(secs => %s)",
            (ABANDONED,),
        )
        await cursor.execute(
            "UPDATE backtests SET state = 'running', seen_at = now() WHERE id = (SELECT min(id) FROM backtests"  # noqa: S608
            f" WHERE state = 'waiting') AND NOT EXISTS (SELECT FROM backtests WHERE state = 'running')"
            f" RETURNING {_COLUMNS}"
        )
        row = await cursor.fetchone()
        return Backtest(**row) if row else None


async def note_progress(conn: AsyncConnection, backtest: int, progress: float) -> None:
    """It still runs, and has done this share (0 to 1)."""
    await conn.execute("UPDATE backtests SET progress = %s, seen_at = now() WHERE id = %s", (progress, backtest))


async def end_backtest(
    conn: AsyncConnection, backtest: int, *, result: Mapping[str, Any] | None = None, error: str = ""
) -> None:
    """It is done, or has failed with ``error``."""
    await conn.execute(
        "UPDATE backtests SET state = %s, progress = 1, result = %s, error = %s WHERE id = %s",
        ("failed" if result is None else "done", None if result is None else Jsonb(dict(result)), error, backtest),
    )


async def list_backtests(
    conn: AsyncConnection, limit: int = 50, before: int | None = None
) -> tuple[list[Backtest], int | None]:
    """The newest first, without results; and ``before`` for the next page, None at the end."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"SELECT {_COLUMNS} FROM backtests WHERE %s::bigint IS NULL OR id < %s ORDER BY id DESC LIMIT %s",  # noqa: S608
            (before, before, limit + 1),
        )
        found = [Backtest(**row) for row in await cursor.fetchall()]
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def get_backtest(conn: AsyncConnection, backtest: int) -> Backtest | None:
    """One with its result; None when there is none."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS}, result FROM backtests WHERE id = %s", (backtest,))  # noqa: S608
        row = await cursor.fetchone()
    return Backtest(**row) if row else None
