"""Alerts: rows in and out, and what people and time do to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from prometheus_client import Gauge
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from alerts import alert as decisions
from alerts.alert import Alert, AlertState
from alerts.case import SYSTEM, Actor, Refused
from alerts.rules import Rule
from detectors.base import Sentence
from store.database import announce
from store.entries import append, lock_book

OPEN_ALERTS = Gauge("patrolgrid_open_alerts", "Alerts that nobody has acknowledged and that have not cleared")

_COLUMNS: Final = (
    "id, rule, kind, subject, zone, severity, state, historical, episode, raised_at, first_seen, last_seen, count,"
    " lon, lat, score, sentence_zh, sentence_en, evidence, area, case_id, acked_by, acked_at"
)
_DEFAULT_CLEAR: Final = Rule("default", "-", "-", "-", "low", "-").clear_after  # for alerts whose rule is gone
_AT_ONCE: Final = 500  # alerts cleared in one transaction


def storable(value: Any) -> Any:
    """Evidence as jsonb can keep it: NumPy values plain, NaN null, text without what no column takes."""
    if isinstance(value, np.ndarray | np.generic):
        return storable(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


def alert_of(row: dict[str, Any]) -> Alert:
    """The alert in a row of ``_COLUMNS``."""
    return Alert(sentence=Sentence(row.pop("sentence_zh"), row.pop("sentence_en")), **row)


async def read_alerts(conn: AsyncConnection, where: str, arguments: Sequence[object]) -> list[Alert]:
    """Alerts by a condition. ``where`` is a fixed text of the caller's, never anybody's input."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM alerts {where}", arguments)  # noqa: S608 - see above
        return [alert_of(row) for row in await cursor.fetchall()]


async def insert_alert(conn: AsyncConnection, alert: Alert) -> int:
    """Store a new alert; its id. Raises UniqueViolation for an episode that is stored already."""
    fixed = (alert.rule, alert.kind, alert.subject, alert.zone, alert.fingerprint, alert.episode, alert.severity)
    cursor = await conn.execute(
        "INSERT INTO alerts (rule, kind, subject, zone, fingerprint, episode, severity, area, state, historical,"
        " raised_at, first_seen, last_seen, count, lon, lat, score, sentence_zh, sentence_en, evidence, case_id,"
        " acked_by, acked_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
        " %s, %s, %s) RETURNING id",
        (*fixed, alert.area, *_changeable(alert)),
    )
    return int((await cursor.fetchone() or (0,))[0])


async def update_alert(conn: AsyncConnection, alert: Alert) -> None:
    """Write everything that can change of an alert."""
    await conn.execute(
        "UPDATE alerts SET state = %s, historical = %s, raised_at = %s, first_seen = %s, last_seen = %s, count = %s,"
        " lon = %s, lat = %s, score = %s, sentence_zh = %s, sentence_en = %s, evidence = %s, case_id = %s,"
        " acked_by = %s, acked_at = %s WHERE id = %s",
        (*_changeable(alert), alert.id),
    )


def _changeable(alert: Alert) -> tuple[object, ...]:
    return (
        *(alert.state, alert.historical, alert.raised_at, alert.first_seen, alert.last_seen, alert.count),
        *(alert.lon, alert.lat, alert.score, storable(alert.sentence.zh), storable(alert.sentence.en)),
        *(Jsonb(storable(alert.evidence)), alert.case_id, alert.acked_by, alert.acked_at),
    )


async def list_alerts(
    conn: AsyncConnection,
    *,
    state: AlertState | None = None,
    rule: str | None = None,
    areas: Collection[str] | None = None,
    unit: str | None = None,
    limit: int = 100,
    before: int | None = None,
) -> tuple[list[Alert], int | None]:
    """Alerts without their evidence, the newest raised first; and ``before`` for the next page, None at the end.

    ``areas`` (codes) and ``unit`` (that of the alert's case) say what may be seen: with both, either will do.
    """
    where, arguments = ["true"], list[object]()
    for column, value in (("state", state), ("rule", rule)):
        if value is not None:
            where.append(f"{column} = %s")
            arguments.append(value)
    if areas is not None or unit is not None:
        where.append("(area = ANY(%s) OR case_id IN (SELECT id FROM cases WHERE unit = %s))")
        arguments += [sorted(areas or ()), unit]
    if before is not None:
        where.append("(raised_at, id) < (SELECT raised_at, id FROM alerts WHERE id = %s)")
        arguments.append(before)
    columns = _COLUMNS.replace("evidence", "'{}'::jsonb AS evidence")
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"SELECT {columns} FROM alerts WHERE {' AND '.join(where)}"  # noqa: S608 - all of it is written here
            " ORDER BY raised_at DESC, id DESC LIMIT %s",
            (*arguments, limit + 1),
        )
        found = [alert_of(row) for row in await cursor.fetchall()]
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def get_alert(conn: AsyncConnection, alert_id: int) -> Alert | None:
    """One alert with its evidence; None when there is none."""
    return next(iter(await read_alerts(conn, "WHERE id = %s", (alert_id,))), None)


async def case_alerts(conn: AsyncConnection, case_id: int) -> list[Alert]:
    """The alerts of a case, oldest first."""
    return await read_alerts(conn, "WHERE case_id = %s ORDER BY id", (case_id,))


async def acknowledge_alert(conn: AsyncConnection, alert_id: int, actor: Actor, now: datetime | None = None) -> Alert:
    """Somebody looks after it. Raises Refused when that is not allowed, or there is no such alert."""
    now = now or datetime.now(UTC)
    return await _change(
        conn, alert_id, lambda a: decisions.acknowledge(a, actor, now), "alert_acknowledged", actor, "", now
    )


async def void_alert(
    conn: AsyncConnection, alert_id: int, actor: Actor, note: str, now: datetime | None = None
) -> Alert:
    """A false alarm. Its case is not voided with it: that is a decision of its own. Raises Refused."""
    now = now or datetime.now(UTC)
    return await _change(conn, alert_id, lambda a: decisions.void(a, actor, note), "alert_void", actor, note, now)


async def _change(
    conn: AsyncConnection,
    alert_id: int,
    decide: Callable[[Alert], Alert],
    action: str,
    actor: Actor,
    note: str,
    now: datetime,
) -> Alert:
    async with conn.transaction():
        found = await read_alerts(conn, "WHERE id = %s FOR NO KEY UPDATE", (alert_id,))
        if not found:
            raise Refused("not_found", f"没有编号为 {alert_id} 的预警", f"there is no alert {alert_id}")
        after = decide(found[0])
        await update_alert(conn, after)
        await announce(conn, kind="alert", id=after.id)
        if after.case_id is not None:
            await lock_book(conn)
            await append(conn, after.case_id, action, actor.name, now, note=note, data={"alert": after.id})
            await announce(conn, kind="case", id=after.case_id)
        return after


async def clear_quiet(conn: AsyncConnection, rules: Iterable[Rule], now: datetime) -> list[Alert]:
    """Clear what is open or acknowledged and had no finding for its rule's ``clear_after``; those cleared now.

    An alert that is being extended this moment is left for the next time.
    """
    quiet = [(rule.code, rule.clear_after) for rule in rules]
    cleared: list[Alert] = []
    while True:
        some = await _clear_some(conn, quiet, now)
        cleared += some
        if len(some) < _AT_ONCE:
            break
    cursor = await conn.execute("SELECT count(*) FROM alerts WHERE state = 'open'")
    OPEN_ALERTS.set((await cursor.fetchone() or (0,))[0])
    return cleared


async def _clear_some(conn: AsyncConnection, quiet: Sequence[tuple[str, float]], now: datetime) -> list[Alert]:
    async with conn.transaction():
        found = await read_alerts(
            conn,
            "WHERE state IN ('open', 'acknowledged') AND last_seen < %s - make_interval(secs => coalesce("
            "(SELECT after FROM unnest(%s::text[], %s::float8[]) AS r (code, after) WHERE r.code = rule), %s))"
            " ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED",
            (now, [code for code, _ in quiet], [after for _, after in quiet], _DEFAULT_CLEAR, _AT_ONCE),
        )
        if found:
            await conn.execute("UPDATE alerts SET state = 'cleared' WHERE id = ANY(%s)", ([a.id for a in found],))
        with_case = [alert for alert in found if alert.case_id is not None]
        if with_case:
            await lock_book(conn)
        for alert in with_case:
            assert alert.case_id is not None
            last = decisions.site_clock(alert.last_seen)
            told = Sentence(
                f"预警最后一次出现于 {last}，此后未再出现",
                f"the alert was last seen at {last} and not since",
            )
            await append(conn, alert.case_id, "alert_cleared", SYSTEM.name, now, told=told, data={"alert": alert.id})
        for alert in found:
            await announce(conn, kind="alert", id=alert.id)
        return [decisions.cleared(alert) for alert in found]
