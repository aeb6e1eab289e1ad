"""The list of alerts: by state, rule, severity, place, subject; with or without what is kept silent; by groups."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from alerts.alert import STATE_NAMES, Alert, AlertState
from alerts.rules import SEVERITIES, Severity
from store.alerts import COLUMNS, alert_of

_LISTED: Final = ", ".join(f"a.{name}" for name in COLUMNS.split(", ") if name != "evidence")
_NEWEST: Final = "ORDER BY a.raised_at DESC, a.id DESC"
_AFTER: Final = "(a.raised_at, a.id) < (SELECT raised_at, id FROM alerts WHERE id = %s)"
_WORKED_ON: Final = (
    "SELECT id FROM cases WHERE unit = %s UNION ALL SELECT case_id FROM case_parts WHERE unit = %s AND NOT withdrawn"
)
_STRIDE: Final = 1000  # alerts looked at in one go for a page of groups


@dataclass(frozen=True, slots=True)
class Asked:
    """Which alerts are asked for. ``scopes`` (codes) and ``unit`` (that the alert's case is with, or that has a part in
    it) limit what may be seen: with both, either will do. None or empty: no limit."""

    states: Collection[AlertState] = ()
    rules: Collection[str] = ()
    severities: Collection[Severity] = ()
    areas: Collection[str] | None = None  # codes, all of a subtree
    zone: str | None = None
    subject: str | None = None
    suppressed: bool | None = None
    merged: bool | None = False  # those that turned out to be part of another
    scopes: Collection[str] | None = None
    unit: str | None = None


async def list_alerts(
    conn: AsyncConnection,
    asked: Asked | None = None,
    *,
    grouped: bool = False,
    limit: int = 100,
    before: int | None = None,
) -> tuple[list[Alert], int | None]:
    """Alerts without their evidence, the newest raised first; and ``before`` for the next page, None at the end.

    ``grouped``: of each group only the newest of those that are asked for.
    """
    asked = asked or Asked()
    if grouped:
        return await _by_groups(conn, asked, limit, before)
    where, arguments = _where("a", asked)
    if before is not None:
        where.append(_AFTER)
        arguments.append(before)
    found = await _read(conn, f"WHERE {' AND '.join(where)} {_NEWEST} LIMIT %s", [*arguments, limit + 1])
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def _read(conn: AsyncConnection, rest: str, arguments: Sequence[object]) -> list[Alert]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {_LISTED} FROM alerts a {rest}", arguments)  # noqa: S608 - written here
        return [alert_of({**row, "evidence": {}}) for row in await cursor.fetchall()]


async def _by_groups(
    conn: AsyncConnection, asked: Asked, limit: int, before: int | None
) -> tuple[list[Alert], int | None]:
    """As :func:`list_alerts`. Reads on in long strides, leaving out the groups met so far: one may have thousands."""
    where, given = _where("a", asked)
    shown: list[int] = []
    met: list[int] = []
    after, more = before, True
    while more and len(shown) <= limit:
        conditions = [*where, "(a.group_id IS NULL OR a.group_id <> ALL(%s))", *([_AFTER] if after else [])]
        cursor = await conn.execute(
            f"SELECT a.id, a.group_id FROM alerts a WHERE {' AND '.join(conditions)} {_NEWEST} LIMIT %s",  # noqa: S608
            [*given, met, *([after] if after else []), _STRIDE],
        )
        rows = await cursor.fetchall()
        newest = await _newest(conn, {group for _, group in rows if group is not None}, asked)
        for number, group in rows:
            if group is None or newest.get(group) == number:  # otherwise its group stands on a page before
                shown.append(number)
        met += newest
        more = len(rows) == _STRIDE
        after = rows[-1][0] if rows else None
    found = await _read(conn, f"WHERE a.id = ANY(%s) {_NEWEST}", [shown[:limit]])
    return found, found[-1].id if len(shown) > limit else None


async def _newest(conn: AsyncConnection, groups: Collection[int], asked: Asked) -> dict[int, int]:
    """The newest of those that are asked for in each group."""
    where, arguments = _where("a", asked)
    cursor = await conn.execute(
        "SELECT g.id, newest.id FROM unnest(%s::bigint[]) AS g (id) JOIN LATERAL (SELECT a.id FROM alerts a"  # noqa: S608
        f" WHERE a.group_id = g.id AND {' AND '.join(where)} {_NEWEST} LIMIT 1) newest ON true",
        ([*groups], *arguments),
    )
    return dict(await cursor.fetchall())


async def group_sizes(conn: AsyncConnection, groups: Collection[int], asked: Asked) -> dict[int, int]:
    """How many of those that are asked for each group has."""
    if not groups:
        return {}
    where, arguments = _where("a", asked)
    cursor = await conn.execute(
        f"SELECT a.group_id, count(*) FROM alerts a WHERE a.group_id = ANY(%s) AND {' AND '.join(where)}"  # noqa: S608
        " GROUP BY a.group_id",
        ([*groups], *arguments),
    )
    return dict(await cursor.fetchall())


def _where(table: str, asked: Asked) -> tuple[list[str], list[object]]:
    """The conditions on a table. Fixed words (states, grades) stand in the text, so that partial indexes are found."""
    where, arguments = ["true"], list[object]()
    where += _words(table, "state", asked.states, tuple(STATE_NAMES))
    where += _words(table, "severity", asked.severities, SEVERITIES)
    if asked.rules:
        where.append(f"{table}.rule = ANY(%s)")
        arguments.append(sorted(asked.rules))
    for column, value in (("zone", asked.zone), ("subject", asked.subject)):
        if value is not None:
            where.append(f"{table}.{column} = %s")
            arguments.append(value)
    areas, scopes = asked.areas, asked.scopes
    if scopes is not None and asked.unit is None:  # one list, not two conditions: the planner would multiply their odds
        areas, scopes = set(scopes) & set(scopes if areas is None else areas), None
    if areas is not None:
        where.append(f"{table}.area = ANY(%s)")
        arguments.append(sorted(areas))
    if asked.unit is not None:
        its_case = f"{table}.case_id IN ({_WORKED_ON})"
        if scopes is None:
            where.append(f"{table}.case_id IS NOT NULL")  # tells the planner which index will do
        where.append(its_case if scopes is None else f"({table}.area = ANY(%s) OR {its_case})")
        arguments += [*([] if scopes is None else [sorted(scopes)]), asked.unit, asked.unit]
    for column, wanted in (("suppressed_by", asked.suppressed), ("merged_into", asked.merged)):
        if wanted is not None:
            where.append(f"{table}.{column} IS {'NOT ' if wanted else ''}NULL")
    return where, arguments


def _words(table: str, column: str, asked: Collection[str], known: Sequence[str]) -> list[str]:
    if not asked:
        return []
    if unknown := set(asked) - set(known):
        raise ValueError(f"{column} {sorted(unknown)}: expected some of {', '.join(known)}")
    return [f"{table}.{column} IN ({', '.join(repr(word) for word in known if word in asked)})"]
