"""Alerts: rows in and out, and what people do to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from prometheus_client import Gauge
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from alerts import alert as decisions
from alerts.alert import Alert
from alerts.case import Actor, Refused
from alerts.suppression import Suppression
from detectors.base import Sentence
from store.alert_events import write_events
from store.database import announce

OPEN_ALERTS = Gauge("patrolgrid_open_alerts", "Alerts that nobody has acknowledged and that have not cleared")

COLUMNS: Final = (
    "id, rule, kind, subject, zone, severity, state, historical, episode, raised_at, first_seen, last_seen, count,"
    " lon, lat, score, sentence_zh, sentence_en, evidence, area, case_id, acked_by, acked_at, armed_at, escalated_at,"
    " ending_zh, ending_en, suppressed_by, suppressor, suppressed_zh, suppressed_en, group_key, group_id, merged_into"
)
MOST_AT_ONCE: Final = 500
"""Alerts that one may acknowledge in one go."""


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
    """The alert in a row of ``COLUMNS``."""
    by, suppressor = row.pop("suppressed_by"), row.pop("suppressor")
    reason = Sentence(row.pop("suppressed_zh"), row.pop("suppressed_en"))
    zh, en = row.pop("ending_zh"), row.pop("ending_en")
    return Alert(
        sentence=Sentence(row.pop("sentence_zh"), row.pop("sentence_en")),
        suppressed=None if by is None else Suppression(by, suppressor, reason),
        ending=None if zh is None else Sentence(zh, en),
        **row,
    )


async def read_alerts(conn: AsyncConnection, where: str, arguments: Sequence[object]) -> list[Alert]:
    """Alerts by a condition. ``where`` is a fixed text of the caller's, never anybody's input."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {COLUMNS} FROM alerts {where}", arguments)  # noqa: S608 - see above
        return [alert_of(row) for row in await cursor.fetchall()]


async def insert_alert(conn: AsyncConnection, alert: Alert) -> int:
    """Store a new alert; its id. Raises UniqueViolation for an episode that is stored already."""
    row = {
        "rule": alert.rule,
        "kind": alert.kind,
        "subject": alert.subject,
        "zone": alert.zone,
        "fingerprint": alert.fingerprint,
        "episode": alert.episode,
        "area": alert.area,
        **_changeable(alert),
    }
    cursor = await conn.execute(
        f"INSERT INTO alerts ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})"  # noqa: S608 - own names
        " RETURNING id",
        list(row.values()),
    )
    return int((await cursor.fetchone() or (0,))[0])


async def update_alert(conn: AsyncConnection, alert: Alert) -> None:
    """Write everything that can change of an alert."""
    row = _changeable(alert)
    await conn.execute(
        f"UPDATE alerts SET {', '.join(f'{name} = %s' for name in row)} WHERE id = %s",  # noqa: S608 - own names
        (*row.values(), alert.id),
    )


def _changeable(alert: Alert) -> dict[str, object]:
    same = (
        *("severity", "state", "historical", "raised_at", "first_seen", "last_seen", "count", "lon", "lat", "score"),
        *("case_id", "acked_by", "acked_at", "escalated_at", "group_key", "group_id", "merged_into"),
    )
    ending, kept = alert.ending, alert.suppressed
    return {
        **{name: getattr(alert, name) for name in same},
        "armed_at": alert.armed_at or alert.raised_at,
        "sentence_zh": storable(alert.sentence.zh),
        "sentence_en": storable(alert.sentence.en),
        "evidence": Jsonb(storable(alert.evidence)),
        "ending_zh": storable(ending.zh) if ending else None,
        "ending_en": storable(ending.en) if ending else None,
        "suppressed_by": kept.by if kept else None,
        "suppressor": kept.id if kept else None,
        "suppressed_zh": kept.reason.zh if kept else "",
        "suppressed_en": kept.reason.en if kept else "",
    }


async def get_alert(conn: AsyncConnection, alert_id: int) -> Alert | None:
    """One alert with its evidence; None when there is none."""
    return next(iter(await read_alerts(conn, "WHERE id = %s", (alert_id,))), None)


async def case_alerts(conn: AsyncConnection, case_id: int) -> list[Alert]:
    """The alerts of a case, oldest first."""
    return await read_alerts(conn, "WHERE case_id = %s ORDER BY id", (case_id,))


async def whose(
    conn: AsyncConnection, alert_ids: Collection[int]
) -> dict[int, tuple[str | None, str | None, list[str]]]:
    """The area of each of these alerts, the unit of its case and those called to it: what decides who may see it."""
    cursor = await conn.execute(
        "SELECT a.id, a.area, c.unit, ARRAY(SELECT unit FROM case_parts p WHERE p.case_id = a.case_id"
        " AND NOT p.withdrawn) FROM alerts a LEFT JOIN cases c ON c.id = a.case_id WHERE a.id = ANY(%s)",
        (list(alert_ids),),
    )
    return {alert_id: (area, unit, called) for alert_id, area, unit, called in await cursor.fetchall()}


async def acknowledge_alert(conn: AsyncConnection, alert_id: int, actor: Actor, now: datetime | None = None) -> Alert:
    """Somebody looks after it. Raises Refused when that is not allowed, or there is no such alert."""
    ((_, outcome),) = await acknowledge_alerts(conn, [alert_id], actor, now)
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


async def acknowledge_alerts(
    conn: AsyncConnection, alert_ids: Sequence[int], actor: Actor, now: datetime | None = None
) -> list[tuple[int, Alert | Refused]]:
    """Somebody looks after all of these, in one transaction; for each the alert as it is now, or why not.

    Raises:
        ValueError: more than :data:`MOST_AT_ONCE`.
    """
    if len(alert_ids) > MOST_AT_ONCE:
        raise ValueError(f"{len(alert_ids)} alerts in one go: at most {MOST_AT_ONCE}")
    now = now or datetime.now(UTC)
    async with conn.transaction():
        found = await _locked(conn, alert_ids)
        outcomes = {n: _decided(found.get(n), n, lambda a: decisions.acknowledge(a, actor, now)) for n in alert_ids}
        taken = [alert for alert in outcomes.values() if isinstance(alert, Alert)]
        await conn.execute(
            "UPDATE alerts SET state = 'acknowledged', acked_by = %s, acked_at = %s WHERE id = ANY(%s)",
            (actor.name, now, [alert.id for alert in taken]),
        )
        await write_events(conn, "acknowledged", [(alert, None) for alert in taken], now, by=actor.name)
        for alert in taken:
            await announce(conn, kind="alert", id=alert.id)
    return list(outcomes.items())


async def void_alert(
    conn: AsyncConnection, alert_id: int, actor: Actor, note: str, now: datetime | None = None
) -> Alert:
    """A false alarm. Its case is not voided with it: that is a decision of its own. Raises Refused."""
    now = now or datetime.now(UTC)
    async with conn.transaction():
        found = await _locked(conn, [alert_id])
        after = _decided(found.get(alert_id), alert_id, lambda alert: decisions.void(alert, actor, note))
        if isinstance(after, Refused):
            raise after
        await conn.execute("UPDATE alerts SET state = 'void' WHERE id = %s", (alert_id,))
        await announce(conn, kind="alert", id=alert_id)
        await write_events(conn, "void", [(after, None)], now, by=actor.name, note=note)
        return after


async def _locked(conn: AsyncConnection, alert_ids: Collection[int]) -> dict[int, Alert]:
    found = await read_alerts(conn, "WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", (list(alert_ids),))
    return {alert.id: alert for alert in found}


def _decided(alert: Alert | None, alert_id: int, decide: Callable[[Alert], Alert]) -> Alert | Refused:
    if alert is None:
        return Refused("not_found", f"没有编号为 {alert_id} 的预警", f"there is no alert {alert_id}")
    try:
        return decide(alert)
    except Refused as refusal:
        return refusal
