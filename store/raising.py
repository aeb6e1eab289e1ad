"""What follows when alerts are to be told: they are looked at for silences, put into groups, and get their cases.

Used by the casebook for what is found, and by the upkeep for what is no longer kept silent. Order of locks:
fingerprints and groups, then rows of alerts, then the book.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import Counter
from psycopg import AsyncConnection

from alerts.alert import Alert, group_key
from alerts.alert_words import why_risen
from alerts.case import SYSTEM, stored
from alerts.duty import DutyMatrix
from alerts.notice import message
from alerts.opening import case_from
from alerts.rules import SEVERITIES, Rule
from alerts.severity import Rise
from alerts.supervision import WATCHED
from alerts.suppression import Arrangements
from alerts.transitions import FINAL
from detectors.base import Sentence
from devices.site import Site
from store.alert_events import write_events
from store.cases import CASES, get_case, insert_case, next_number
from store.database import announce
from store.dispatch import send_nearest
from store.entries import append, first, lock_book
from store.notices import enqueue_to_unit

ALERTS: Final = Counter("patrolgrid_alerts_total", "Alerts by rule and what triage made of them", ["rule", "step"])


async def grouped(conn: AsyncConnection, alert: Alert, rule: Rule, site: Site) -> Alert:
    """The alert with its group: that of the last one like it whose span is near enough, else one of its own.

    The group's lock must be held. An alert that is not stored yet gets a ``group_key`` and, if it begins a group, no
    ``group_id``: that is to become its own id.
    """
    key = group_key(rule, alert.zone, alert.area, site)
    if not key or alert.group_id is not None or alert.historical:
        return alert
    near = timedelta(seconds=rule.group_within)
    cursor = await conn.execute(
        "SELECT group_id FROM alerts WHERE group_key = %s AND group_key <> '' AND last_seen >= %s AND first_seen <= %s"
        " AND group_id IS NOT NULL ORDER BY last_seen DESC, id DESC LIMIT 1",
        (key, alert.first_seen - near, alert.last_seen + near),
    )
    row = await cursor.fetchone()
    return replace(alert, group_key=key, group_id=row[0] if row else alert.id or None)


def quieted(alert: Alert, rule: Rule | None, arrangements: Arrangements) -> Alert:
    """The alert with what keeps it from being told now, if anything does."""
    return replace(alert, suppressed=arrangements.verdict(alert.about, rule))


async def raise_cases(
    conn: AsyncConnection, told: Sequence[tuple[Alert, Rule]], site: Site, duty: DutyMatrix, now: datetime
) -> list[Alert]:
    """Open the cases of alerts that are told now, or add them to their group's; the alerts, in the same order."""
    if any(_wants_case(alert, rule) for alert, rule in told):
        await lock_book(conn)
    return [
        await _with_case(conn, alert, rule, site, duty, now) if _wants_case(alert, rule) else alert
        for alert, rule in told
    ]


def _wants_case(alert: Alert, rule: Rule) -> bool:
    return rule.open_case and alert.case_id is None and alert.suppressed is None


async def _with_case(
    conn: AsyncConnection, alert: Alert, rule: Rule, site: Site, duty: DutyMatrix, now: datetime
) -> Alert:
    if rule.group_case and alert.group_id is not None:
        known = await _case_of_group(conn, alert.group_id)
        if known is not None:
            alert = replace(alert, case_id=known)
            await conn.execute("UPDATE alerts SET case_id = %s WHERE id = %s", (known, alert.id))
            await write_events(conn, "joined", [(alert, alert.sentence)], now)
            return alert
    case, grounds = case_from(alert, rule, site=site, duty=duty, number=await next_number(conn, now), now=now)
    case = stored(case, await insert_case(conn, case))
    alert = replace(alert, case_id=case.id)
    await conn.execute("UPDATE alerts SET case_id = %s WHERE id = %s", (case.id, alert.id))
    data = first(case, alert=alert.id, rule=rule.code, **grounds.recorded())
    await append(conn, case.id, "raise", SYSTEM.name, now, told=alert.sentence, data=data)
    if case.unit:
        reason = Sentence(
            f"{case.number}：规则“{rule.name}”立案，按职责清单归本单位",
            f"opened by the rule {rule.name_en!r}, this unit's by the duty matrix",
        )
        await enqueue_to_unit(
            conn,
            case.unit,
            reason=f"{reason.zh} / {reason.en}",
            body=message(case, alert.sentence),
            dedupe=f"case {case.id}|raise|unit",
            case_id=case.id,
        )
    if rule.dispatch == "nearest":
        await send_nearest(conn, case, now)
    await announce(conn, kind="case", id=case.id)
    CASES.labels(rule.category, "alert").inc()
    return alert


async def _case_of_group(conn: AsyncConnection, group_id: int) -> int | None:
    """The case of a group that people still work on; of one that was merged, the case it went into.

    What was fed back already is not: nobody would see to the new place before it is closed.
    """
    cursor = await conn.execute(
        "WITH RECURSIVE known (id, status, merged_into) AS ("
        " SELECT c.id, c.status, c.merged_into FROM alerts a JOIN cases c ON c.id = a.case_id WHERE a.group_id = %s"
        " UNION SELECT c.id, c.status, c.merged_into FROM known k JOIN cases c ON c.id = k.merged_into)"
        " SELECT id FROM known WHERE status = ANY(%s) ORDER BY id LIMIT 1",
        (group_id, list(WATCHED)),
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else None


async def case_numbers(conn: AsyncConnection, case_ids: Collection[int]) -> dict[int, str]:
    """The numbers of these cases."""
    cursor = await conn.execute("SELECT id, number FROM cases WHERE id = ANY(%s)", (list(case_ids),))
    return dict(await cursor.fetchall())


async def tell_risen(conn: AsyncConnection, risen: Collection[tuple[Alert, Rule, Rise]], now: datetime) -> None:
    """Write down that severities rose, and tell the units of their cases once for each step."""
    for alert, rule, step in risen:
        said = why_risen(alert, step, now)
        await write_events(conn, "escalated", [(alert, said)], now, data={"severity": alert.severity})
        ALERTS.labels(rule.code, "escalated").inc()
        case = None if alert.case_id is None else await get_case(conn, alert.case_id)
        if case is None or case.unit is None or case.status in FINAL:
            continue
        await enqueue_to_unit(
            conn,
            case.unit,
            reason=f"{case.number}：{said.zh} / {said.en}",
            body=message(case, Sentence(f"{said.zh}。{alert.sentence.zh}", f"{said.en}. {alert.sentence.en}")),
            dedupe=f"alert {alert.id}|severity {alert.severity}",
            case_id=case.id,
            severity=max(case.severity, alert.severity, key=SEVERITIES.index),
        )
