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

_LISTED: Final = ", ".join(
    "'{}'::jsonb AS evidence" if name == "evidence" else f"a.{name}" for name in COLUMNS.split(", ")
)
_LIVE: Final = (
    "{t}.state IN ('open', 'acknowledged')"  # said in so many words it lets the index of the live ones be used
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which alerts are asked for. ``scopes`` (codes) and ``unit`` (of the alert's case) limit what may be seen: with
    both, either will do. None or empty: no limit."""

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
    where, arguments = _where("a", asked)
    if grouped:
        newer, more = _where("n", asked)
        where.append(
            "(a.group_id IS NULL OR NOT EXISTS (SELECT FROM alerts n WHERE n.group_id = a.group_id"
            f" AND (n.raised_at, n.id) > (a.raised_at, a.id) AND {' AND '.join(newer)}))"
        )
        arguments += more
    if before is not None:
        where.append("(a.raised_at, a.id) < (SELECT raised_at, id FROM alerts WHERE id = %s)")
        arguments.append(before)
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"SELECT {_LISTED} FROM alerts a WHERE {' AND '.join(where)}"  # noqa: S608 - all of it is written here
            " ORDER BY a.raised_at DESC, a.id DESC LIMIT %s",
            (*arguments, limit + 1),
        )
        found = [alert_of(row) for row in await cursor.fetchall()]
    return found[:limit], found[limit - 1].id if len(found) > limit else None


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
    if asked.states and set(asked.states) <= {"open", "acknowledged"}:
        where.append(_LIVE.format(t=table))
    if asked.rules:
        where.append(f"{table}.rule = ANY(%s)")
        arguments.append(sorted(asked.rules))
    for column, value in (("zone", asked.zone), ("subject", asked.subject)):
        if value is not None:
            where.append(f"{table}.{column} = %s")
            arguments.append(value)
    if asked.areas is not None:
        where.append(f"{table}.area = ANY(%s)")
        arguments.append(sorted(asked.areas))
    if asked.scopes is not None or asked.unit is not None:
        its_case = f"{table}.case_id IN (SELECT id FROM cases WHERE unit = %s)"  # noqa: S608 - written here
        where.append(f"({table}.area = ANY(%s) OR {its_case})")
        arguments += [sorted(asked.scopes or ()), asked.unit]
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
