"""The list of notices: why each was sent, what became of it, and in which digest it went."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from psycopg import AsyncConnection
from psycopg.rows import dict_row

State = Literal["waiting", "held", "gathered", "sent", "failed"]
STATES: Final[tuple[State, ...]] = get_args(State)
_STATE: Final = (
    "CASE WHEN n.sent_at IS NOT NULL THEN 'sent' WHEN n.failed_at IS NOT NULL THEN 'failed'"
    " WHEN n.digest IS NOT NULL THEN 'gathered' WHEN n.held_until > now() THEN 'held' ELSE 'waiting' END"
)
_LISTED: Final = (
    "n.id, n.case_id, n.channel, n.target, n.reason, n.created, n.attempts, n.sent_at, n.failed_at, n.acked_at,"
    " n.accepted, n.error, n.severity, n.via, n.held_until, n.gathers, n.digest, n.body -> 'title' AS title,"
    " CASE WHEN n.sent_at IS NULL AND n.failed_at IS NULL AND n.digest IS NULL THEN n.next_try END AS next_try,"
    " c.number,"
    " CASE WHEN n.gathers THEN (SELECT count(*) FROM notices m WHERE m.digest = n.id) ELSE 0 END AS gathered"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A notice as it is listed. ``title`` is None of a command; ``gathered`` is how many went in a digest."""

    id: int
    case_id: int | None
    number: str | None
    channel: str
    target: str
    reason: str
    title: dict[str, str] | None
    severity: str
    via: str
    state: State
    created: datetime
    attempts: int
    next_try: datetime | None
    held_until: datetime | None
    sent_at: datetime | None
    failed_at: datetime | None
    acked_at: datetime | None
    accepted: bool | None
    error: str
    gathers: bool
    gathered: int
    digest: int | None


@dataclass(frozen=True, slots=True)
class NoticesAsked:
    """What is asked for; all that is given must hold. ``target`` is a unit, a device, or "@" and a person's name.

    ``areas`` and ``own_unit`` are what the account may see: the notices of cases there, and those to units there; those
    to its unit and of the cases that are its or in which it has a part.
    """

    target: str | None = None
    channel: str | None = None
    states: Collection[State] = ()
    case_id: int | None = None
    digest: int | None = None
    areas: Collection[str] | None = None
    own_unit: str | None = None


async def list_notices(
    conn: AsyncConnection, asked: NoticesAsked, limit: int = 50, before: int | None = None
) -> tuple[list[Listed], int | None]:
    """The notices, newest first, and what to give as ``before`` for the next page, or None."""
    where, given = ["true"], dict[str, Any](limit=limit + 1)
    plain = {"n.target": asked.target, "n.channel": asked.channel, "n.case_id": asked.case_id, "n.digest": asked.digest}
    for number, (column, value) in enumerate(plain.items()):
        if value is not None:
            where.append(f"{column} = %(v{number})s")
            given[f"v{number}"] = value
    if asked.states:
        where.append(f"{_STATE} = ANY(%(states)s)")
        if not {"sent", "failed"} & set(asked.states):  # few of many: by their index
            where.append("n.sent_at IS NULL AND n.failed_at IS NULL")
        elif set(asked.states) == {"failed"}:
            where.append("n.failed_at IS NOT NULL")
        given["states"] = list(asked.states)
    if before is not None:
        where.append("n.id < %(before)s")
        given["before"] = before
    if asked.areas is not None:
        where.append("coalesce(c.area, (SELECT area FROM units u WHERE u.code = n.target)) = ANY(%(areas)s)")
        given["areas"] = list(asked.areas)
    if asked.own_unit is not None:
        where.append(
            "(n.target = %(own)s AND n.channel <> 'terminal' OR c.unit = %(own)s OR EXISTS (SELECT FROM case_parts p"
            " WHERE p.case_id = n.case_id AND p.unit = %(own)s AND NOT p.withdrawn))"
        )
        given["own"] = asked.own_unit
    query = (
        f"SELECT {_LISTED}, {_STATE} AS state FROM notices n LEFT JOIN cases c ON c.id = n.case_id"  # noqa: S608 - constants
        f" WHERE {' AND '.join(where)} ORDER BY n.id DESC LIMIT %(limit)s"
    )
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query.encode(), given)
        found = [Listed(**row) for row in await cursor.fetchall()]
    return found[:limit], found[limit - 1].id if len(found) > limit else None
