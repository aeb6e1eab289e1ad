"""The casebook: what the watch finds becomes alerts and cases. The rest of it is in the modules this one gathers.

One episode makes one alert however many workers see it at once: whoever records findings takes an advisory lock for
each fingerprint, then reads what is there, then decides. The unique key (fingerprint, episode) is the last defence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from itertools import chain
from typing import Final

from prometheus_client import Counter
from psycopg import AsyncConnection

from alerts.alert import Alert, fingerprint
from alerts.case import SYSTEM, stored
from alerts.duty import DutyMatrix
from alerts.notice import message
from alerts.opening import area_of, case_from
from alerts.rules import Rule
from alerts.triage import Change, reach, triage
from detectors.base import Finding, Sentence
from devices.site import Site
from store.alerts import (
    acknowledge_alert,
    case_alerts,
    clear_quiet,
    get_alert,
    insert_alert,
    list_alerts,
    read_alerts,
    update_alert,
    void_alert,
)
from store.case_list import list_cases
from store.cases import CASES, act, get_case, insert_case, next_number, report_case
from store.database import announce
from store.dispatch import record_arrivals, record_command_ack, send_nearest
from store.entries import append, case_entries, first, lock_book
from store.notices import case_notices, enqueue_to_unit
from store.reoffer import asked_terminals, reoffer
from store.standings import candidates

__all__ = [
    "acknowledge_alert",
    "act",
    "asked_terminals",
    "candidates",
    "case_alerts",
    "case_entries",
    "case_notices",
    "clear_quiet",
    "get_alert",
    "get_case",
    "list_alerts",
    "list_cases",
    "record_arrivals",
    "record_command_ack",
    "record_findings",
    "reoffer",
    "report_case",
    "void_alert",
]

ALERTS = Counter("patrolgrid_alerts_total", "Alerts by rule and what triage made of them", ["rule", "step"])

Found = tuple[Rule, Finding]

_AT_ONCE: Final = 50
"""Fingerprints in one transaction: a locked fingerprint takes a place in the server's lock table, and while cases are
being opened nobody else can write an entry. Recording is repeatable, so one batch may be several transactions."""


async def record_findings(
    conn: AsyncConnection, found: Sequence[Found], *, site: Site, duty: DutyMatrix, now: datetime
) -> list[Alert]:
    """Triage findings into alerts, open cases, dispatch, and put notices into the outbox; the alerts that changed.

    May be called again with the same findings, by anybody: what is known changes nothing. ``conn`` must not be in a
    transaction of its own, or the locks last as long as that.
    """
    changed: list[Alert] = []
    for some in _in_groups(found):
        changes = await _record(conn, some, site, duty, now)
        for change in changes:
            ALERTS.labels(change.rule.code, change.step).inc()
            changed.append(change.alert)
    return changed


def _in_groups(found: Sequence[Found]) -> Iterator[list[Found]]:
    """The findings by groups of fingerprints; those of one fingerprint together and in order."""
    by_fingerprint: dict[str, list[Found]] = {}
    for rule, finding in found:
        by_fingerprint.setdefault(fingerprint(rule, finding), []).append((rule, finding))
    groups = list(by_fingerprint.values())
    for begin in range(0, len(groups), _AT_ONCE):
        yield list(chain.from_iterable(groups[begin : begin + _AT_ONCE]))


async def _record(
    conn: AsyncConnection, found: list[Found], site: Site, duty: DutyMatrix, now: datetime
) -> list[Change]:
    async with conn.transaction():
        prints = sorted({fingerprint(rule, finding) for rule, finding in found})
        await conn.execute(
            "SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) AS k", (sorted({_key(p) for p in prints}),)
        )
        spans = [reach(rule, finding) for rule, finding in found]
        current = await read_alerts(
            conn,
            "WHERE fingerprint = ANY(%s) AND last_seen >= %s AND first_seen <= %s ORDER BY id FOR NO KEY UPDATE",
            (prints, min(since for since, _ in spans), max(until for _, until in spans)),
        )
        changes = [await _save(conn, change, site) for change in triage(found, current, now)]
        await _tell_cases(conn, changes, now)
        opened = [await _with_case(conn, change, site, duty, now) for change in changes]
        for change in opened:
            await announce(conn, kind="alert", id=change.alert.id)
    for change in opened:
        if change.alert.case_id is not None and change.step in ("raised", "promoted"):
            CASES.labels(change.rule.category, "alert").inc()
    return opened


def _key(text: str) -> int:
    """The advisory lock of a fingerprint. Sorted by key, not by text, all take their locks in one order."""
    return int.from_bytes(sha256(b"alert|" + text.encode()).digest()[:8], signed=True)


async def _save(conn: AsyncConnection, change: Change, site: Site) -> Change:
    alert = change.alert
    if alert.id:
        await update_alert(conn, alert)
        return change
    alert = replace(alert, area=area_of(site, alert.zone, alert.subject))
    return replace(change, alert=replace(alert, id=await insert_alert(conn, alert)))


async def _tell_cases(conn: AsyncConnection, changes: list[Change], now: datetime) -> None:
    """Lock the book if anything is to be written in it, and write that a cleared alert is back into its case."""
    again = [c.alert for c in changes if c.step == "reopened" and c.alert.case_id is not None]
    if again or any(_wants_case(change) for change in changes):
        await lock_book(conn)
    for alert in again:
        assert alert.case_id is not None
        await append(
            conn, alert.case_id, "alert_reopened", SYSTEM.name, now, told=alert.sentence, data={"alert": alert.id}
        )
        await announce(conn, kind="case", id=alert.case_id)


def _wants_case(change: Change) -> bool:
    return change.step in ("raised", "promoted") and change.rule.open_case and change.alert.case_id is None


async def _with_case(conn: AsyncConnection, change: Change, site: Site, duty: DutyMatrix, now: datetime) -> Change:
    if not _wants_case(change):
        return change
    alert, rule = change.alert, change.rule
    case, due = case_from(alert, rule, site=site, duty=duty, number=await next_number(conn, now), now=now)
    case = stored(case, await insert_case(conn, case))
    alert = replace(alert, case_id=case.id)
    await conn.execute("UPDATE alerts SET case_id = %s WHERE id = %s", (case.id, alert.id))
    data = first(case, alert=alert.id, rule=rule.code, deadline=rule.deadline, guessed_years=list(due.guessed_years))
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
    return replace(change, alert=alert)
