"""Requests that may come twice: the second gets the answer of the first, and nothing is done again.

The key is taken in the transaction that does the work, so of two that come at once the second waits for the first, and
a refusal leaves the key free.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection
from psycopg.types.json import Json

from alerts.case import Refused
from alerts.evidence import canonical

LEAST_KEY, MOST_KEY = 8, 100  # characters
_AT_ONCE: Final = 10_000  # rows of one transaction


class Answer(NamedTuple):
    """What was answered, as plain JSON; ``again``: it was worked out by an earlier request."""

    content: Any
    again: bool


def request_digest(route: str, content: Any) -> bytes:
    """What a request asks for, so that another under the same key is told from a repetition."""
    return hashlib.sha256(canonical({"route": route, "content": content})).digest()


async def answer_once(
    conn: AsyncConnection, account: int, key: str, request: bytes, work: Callable[[], Awaitable[Any]], now: datetime
) -> Answer:
    """The answer to a request: what ``work`` gives, or what it gave when the same was asked with this key before.

    ``work`` runs in this transaction, on ``conn``, and gives plain JSON.

    Raises:
        Refused: the key was used for another request; or what ``work`` raises.
    """
    async with conn.transaction():
        cursor = await conn.execute(
            "INSERT INTO answers (account, key, request, at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (account, key, request, now),
        )
        if cursor.rowcount:
            content = await work()
            await conn.execute(
                "UPDATE answers SET answer = %s WHERE account = %s AND key = %s", (Json(content), account, key)
            )
            return Answer(content, again=False)
        cursor = await conn.execute(
            "SELECT request, answer FROM answers WHERE account = %s AND key = %s", (account, key)
        )
        asked, content = await cursor.fetchone() or (b"", None)
        if bytes(asked) != request:
            raise Refused(
                "key_reused",
                f"幂等键“{key}”已用于另一个请求",
                f"the idempotency key {key!r} was used for another request",
            )
        return Answer(content, again=True)


async def forget_answers(conn: AsyncConnection, now: datetime, kept_for: timedelta) -> int:
    """Delete answers that are older; how many."""
    deleted = 0
    while True:
        async with conn.transaction():
            cursor = await conn.execute(
                "DELETE FROM answers WHERE ctid = ANY(ARRAY(SELECT ctid FROM answers WHERE at < %s LIMIT %s))",
                (now - kept_for, _AT_ONCE),
            )
        deleted += cursor.rowcount
        if cursor.rowcount < _AT_ONCE:
            return deleted
