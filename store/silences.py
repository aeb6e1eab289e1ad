"""Silences and maintenance windows: made, listed, ended, never deleted; and all that keeps alerts silent now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from alerts.case import Actor, Refused
from alerts.rules import Rule
from alerts.suppression import (
    About,
    Arrangements,
    Silence,
    Window,
    inhibiting,
    may_end,
    silence_asked,
    window_asked,
)
from devices.site import Site

Kind = Literal["silence", "maintenance"]
_TABLES: Final[dict[Kind, str]] = {"silence": "silences", "maintenance": "maintenance"}
_COMMON: Final = "created_by, created_at, reason, starts, ends, ended_by, ended_at"
_SILENCE: Final = f"id, {_COMMON}, rule, kind, subject, zone, area"
_WINDOW: Final = f"id, {_COMMON}, devices, zones, areas, weekly, repeats_until"
_WINDOW_ENDS: Final = (
    "coalesce(ended_at, CASE WHEN weekly THEN coalesce(repeats_until + (ends - starts), 'infinity') ELSE ends END)"
)
ABOUT: Final = "id, rule, kind, subject, zone, area, severity"


async def arrangements(conn: AsyncConnection, rules: Iterable[Rule], site: Site, now: datetime) -> Arrangements:
    """All that may keep alerts silent now: silences, windows, and alerts by which those of ``rules`` are inhibited."""
    silences = await _silences(conn, "WHERE ends > %s AND starts <= %s AND ended_at IS NULL ORDER BY id", (now, now))
    windows = await _windows(
        conn, f"WHERE starts <= %s AND {_WINDOW_ENDS} > %s AND ended_at IS NULL ORDER BY id", (now, now)
    )
    sources = [about for rule, subjects in inhibiting(rules).items() for about in await _live(conn, rule, subjects)]
    return Arrangements(site, now, tuple(silences), tuple(windows), tuple(sources))


async def _live(conn: AsyncConnection, rule: str, subjects: Sequence[str]) -> list[About]:
    cursor = await conn.execute(
        f"SELECT {ABOUT} FROM alerts WHERE state IN ('open', 'acknowledged') AND rule = %s"  # noqa: S608 - own names
        " AND (%s OR subject = ANY(%s)) ORDER BY id",
        (rule, not subjects, list(subjects)),
    )
    return [About(*row) for row in await cursor.fetchall()]


async def make_silence(
    conn: AsyncConnection, silence: Silence, actor: Actor, rules: Iterable[Rule], scope: str | None
) -> Silence:
    """Keep alerts silent; the silence with its id. ``scope`` is the area that it lies in, None for the whole site.

    Raises:
        Refused: see :func:`alerts.suppression.silence_asked`.
    """
    silence = silence_asked(silence, actor, rules)
    row = _common(silence) | {
        **{name: getattr(silence, name) for name in ("rule", "kind", "subject", "zone", "area")},
        "scope": scope,
    }
    made = await _insert(conn, "silence", row)
    return replace(silence, id=made)


async def make_window(conn: AsyncConnection, window: Window, actor: Actor, scopes: Collection[str] | None) -> Window:
    """Plan maintenance; the window with its id. ``scopes`` are the areas that it lies in, None: the whole site.

    Raises:
        Refused: see :func:`alerts.suppression.window_asked`.
    """
    window = window_asked(window, actor)
    row = _common(window) | {
        **{name: list(getattr(window, name)) for name in ("devices", "zones", "areas")},
        "weekly": window.weekly,
        "repeats_until": window.repeats_until,
        "scopes": None if scopes is None else sorted(scopes),
    }
    made = await _insert(conn, "maintenance", row)
    return replace(window, id=made)


async def list_silences(
    conn: AsyncConnection,
    *,
    areas: Collection[str] | None = None,
    current: bool | None = None,
    now: datetime,
    limit: int = 100,
    before: int | None = None,
) -> tuple[list[Silence], int | None]:
    """Silences, the newest first, and ``before`` for the next page. ``areas``: only those in these, or of the site.

    ``current`` True: those not over yet; False: those that are.
    """
    over = "coalesce(ended_at, ends) <= %s"
    found = await _silences(
        conn, *_page("(scope IS NULL OR scope = ANY(%s))", over, areas, current, now, limit, before)
    )
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def list_windows(
    conn: AsyncConnection,
    *,
    areas: Collection[str] | None = None,
    current: bool | None = None,
    now: datetime,
    limit: int = 100,
    before: int | None = None,
) -> tuple[list[Window], int | None]:
    """Maintenance windows, as :func:`list_silences`."""
    seen = "(scopes IS NULL OR scopes && %s)"
    found = await _windows(conn, *_page(seen, f"{_WINDOW_ENDS} <= %s", areas, current, now, limit, before))
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def _page(
    seen: str,
    over: str,
    areas: Collection[str] | None,
    current: bool | None,
    now: datetime,
    limit: int,
    before: int | None,
) -> tuple[str, list[object]]:
    where, arguments = ["true"], list[object]()
    if areas is not None:
        where.append(seen)
        arguments.append(sorted(areas))
    if current is not None:
        where.append(f"NOT ({over})" if current else over)
        arguments.append(now)
    if before is not None:
        where.append("id < %s")
        arguments.append(before)
    return f"WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT %s", [*arguments, limit + 1]


async def scope_of(conn: AsyncConnection, kind: Kind, number: int) -> list[str] | None:
    """The areas in which a silence or window lies; None: the whole site.

    Raises:
        Refused: there is none.
    """
    column = "CASE WHEN scope IS NULL THEN NULL ELSE ARRAY[scope] END" if kind == "silence" else "scopes"
    cursor = await conn.execute(f"SELECT {column} FROM {_TABLES[kind]} WHERE id = %s", (number,))  # noqa: S608 - own
    row = await cursor.fetchone()
    if row is None:
        raise _none(kind, number)
    return None if row[0] is None else list(row[0])


async def end_silence(conn: AsyncConnection, number: int, actor: Actor, now: datetime) -> Silence:
    """End a silence before its time. Raises Refused: there is none, it is over, or the role may not."""
    async with conn.transaction():
        found = await _silences(conn, "WHERE id = %s FOR NO KEY UPDATE", (number,))
        if not found:
            raise _none("silence", number)
        may_end("silence", found[0].ended_at, now >= found[0].ends, actor)
        await _end(conn, "silence", number, actor, now)
        return replace(found[0], ended_by=actor.name, ended_at=now)


async def end_window(conn: AsyncConnection, number: int, actor: Actor, now: datetime) -> Window:
    """End a maintenance window, and its repeating, before its time. Raises Refused as :func:`end_silence`."""
    async with conn.transaction():
        found = await _windows(conn, "WHERE id = %s FOR NO KEY UPDATE", (number,))
        if not found:
            raise _none("maintenance", number)
        may_end("maintenance", found[0].ended_at, found[0].over(now), actor)
        await _end(conn, "maintenance", number, actor, now)
        return replace(found[0], ended_by=actor.name, ended_at=now)


async def _end(conn: AsyncConnection, kind: Kind, number: int, actor: Actor, now: datetime) -> None:
    await conn.execute(
        f"UPDATE {_TABLES[kind]} SET ended_by = %s, ended_at = %s WHERE id = %s",  # noqa: S608 - own names
        (actor.name, now, number),
    )


def _none(kind: Kind, number: int) -> Refused:
    zh, en = ("静默", "silence") if kind == "silence" else ("检修计划", "maintenance window")
    return Refused("not_found", f"没有编号为 {number} 的{zh}", f"there is no {en} {number}")


def _common(made: Silence | Window) -> dict[str, object]:
    return {name: getattr(made, name) for name in ("created_by", "created_at", "reason", "starts", "ends")}


async def _insert(conn: AsyncConnection, kind: Kind, row: dict[str, object]) -> int:
    cursor = await conn.execute(
        f"INSERT INTO {_TABLES[kind]} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})"  # noqa: S608 - own
        " RETURNING id",
        list(row.values()),
    )
    return int((await cursor.fetchone() or (0,))[0])


async def _silences(conn: AsyncConnection, where: str, arguments: Sequence[object]) -> list[Silence]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {_SILENCE} FROM silences {where}", arguments)  # noqa: S608 - own names
        return [Silence(**row) for row in await cursor.fetchall()]


async def _windows(conn: AsyncConnection, where: str, arguments: Sequence[object]) -> list[Window]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {_WINDOW} FROM maintenance {where}", arguments)  # noqa: S608 - own names
        rows = await cursor.fetchall()
    return [Window(**{**row, **{name: tuple(row[name]) for name in ("devices", "zones", "areas")}}) for row in rows]
