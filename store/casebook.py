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

from psycopg import AsyncConnection

from alerts.alert import Alert, escalated, fingerprint, group_key
from alerts.alert_words import merged_away, took_in
from alerts.duty import DutyMatrix
from alerts.opening import area_of
from alerts.rules import Rule
from alerts.severity import Rise
from alerts.triage import Change, reach, triage
from detectors.base import Finding
from devices.site import Site
from store.alert_events import alert_events, write_events
from store.alert_list import list_alerts
from store.alerts import (
    acknowledge_alert,
    acknowledge_alerts,
    case_alerts,
    get_alert,
    insert_alert,
    read_alerts,
    update_alert,
    void_alert,
)
from store.case_list import list_cases
from store.cases import act, get_case, report_case
from store.database import announce
from store.dispatch import record_arrivals, record_command_ack
from store.entries import case_entries
from store.notices import case_notices
from store.raising import ALERTS, case_numbers, grouped, quieted, raise_cases, tell_risen
from store.recurrence import reopen_seen_again
from store.reoffer import asked_terminals, reoffer
from store.silences import arrangements
from store.standings import candidates
from store.upkeep import clear_quiet, upkeep

__all__ = [
    "acknowledge_alert",
    "acknowledge_alerts",
    "act",
    "alert_events",
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
    "upkeep",
    "void_alert",
]

Found = tuple[Rule, Finding]

_AT_ONCE: Final = 10
"""Fingerprints in one transaction: a locked fingerprint takes a place in the server's lock table, and while cases are
being opened nobody else can write an entry: in a storm of alerts an officer waits for so many. Recording is repeatable,
so one batch may be several transactions."""


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
        await _lock(conn, {*prints, *_group_keys(found, site)})
        spans = [reach(rule, finding) for rule, finding in found]
        current = await read_alerts(
            conn,
            "WHERE fingerprint = ANY(%s) AND last_seen >= %s AND first_seen <= %s AND merged_into IS NULL"
            " ORDER BY id FOR NO KEY UPDATE",
            (prints, min(since for since, _ in spans), max(until for _, until in spans)),
        )
        changes = await _saved(conn, triage(found, current, now), site)
        changes, rises = await _judged(conn, changes, site, now)
        told = [(change.alert, change.rule) for change in changes if change.news]
        cased = {alert.id: alert for alert in await raise_cases(conn, told, site, duty, now)}
        changes = [replace(change, alert=cased.get(change.alert.id, change.alert)) for change in changes]
        await reopen_seen_again(conn, [(c.alert, c.rule) for c in changes if c.step != "merged"], now)
        await _write_down(conn, changes, now)
        await tell_risen(conn, [(c.alert, c.rule, rises[c.alert.id]) for c in changes if c.alert.id in rises], now)
        for change in changes:
            await announce(conn, kind="alert", id=change.alert.id)
    return changes


async def _lock(conn: AsyncConnection, keys: set[str]) -> None:
    """Be the only one to record what has these keys. Sorted by number, not by text, all take them in one order."""
    numbers = sorted({int.from_bytes(sha256(b"alert|" + key.encode()).digest()[:8], signed=True) for key in keys})
    await conn.execute("SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) AS k", (numbers,))


def _group_keys(found: list[Found], site: Site) -> Iterator[str]:
    """The groups that alerts of these findings would belong to."""
    for rule, finding in found:
        if rule.group != "none" and not finding.ends:
            area = area_of(site, finding.zone, finding.subject)
            yield f"group|{group_key(rule, finding.zone, area, site)}"


async def _saved(conn: AsyncConnection, changes: Sequence[Change], site: Site) -> list[Change]:
    """The changes with their alerts stored, those merged into others last."""
    saved: list[Change] = []
    numbers: dict[tuple[str, datetime], int] = {}
    for change in changes:
        alert = change.alert
        if change.into is not None:
            alert = replace(alert, merged_into=numbers[alert.fingerprint, change.into])
        if not alert.id:
            alert = replace(alert, area=area_of(site, alert.zone, alert.subject))
        if change.news:
            alert = await grouped(conn, alert, change.rule, site)
        if alert.id:
            await update_alert(conn, alert)
        else:
            alert = replace(alert, id=await insert_alert(conn, alert))
            if alert.group_key and alert.group_id is None:
                alert = replace(alert, group_id=alert.id)
                await conn.execute("UPDATE alerts SET group_id = id WHERE id = %s", (alert.id,))
        numbers[alert.fingerprint, alert.episode] = alert.id
        saved.append(replace(change, alert=alert))
    return saved


async def _judged(
    conn: AsyncConnection, changes: list[Change], site: Site, now: datetime
) -> tuple[list[Change], dict[int, Rise]]:
    """The changes with what is to be told marked where something keeps it silent, and with the severity it has by now.

    With time severity rises in the upkeep; here with count, or by night from the beginning. The steps come by alert.
    """
    rules = {change.rule.code: change.rule for change in changes if change.news}
    arranged = await arrangements(conn, rules.values(), site, now) if rules else None
    judged: list[Change] = []
    rises: dict[int, Rise] = {}
    for change in changes:
        alert = change.alert
        if arranged is not None and change.news:
            alert = quieted(alert, change.rule, arranged)
        alert, step = escalated(alert, change.rule, now)
        if step is not None:
            rises[alert.id] = step
        if alert != change.alert:
            await update_alert(conn, alert)
        judged.append(replace(change, alert=alert))
    return judged, rises


async def _write_down(conn: AsyncConnection, changes: list[Change], now: datetime) -> None:
    """Write what became of alerts into their events and the timelines of their cases."""
    again = [(c.alert, c.alert.sentence) for c in changes if c.step == "reopened"]
    silent = [(c.alert, c.alert.suppressed.reason) for c in changes if c.news and c.alert.suppressed]
    ended = [(c.alert, c.alert.ending) for c in changes if c.ended]
    await write_events(conn, "reopened", again, now)
    await write_events(conn, "suppressed", silent, now)
    await write_events(conn, "ended", ended, now)
    for part in (c.alert for c in changes if c.step == "merged"):
        whole = next(c.alert for c in changes if c.alert.id == part.merged_into)
        numbers = await case_numbers(conn, [n for n in (part.case_id, whole.case_id) if n is not None])
        await write_events(conn, "merged", [(part, merged_away(part, whole, numbers))], now)
        # One entry is enough where both have one case.
        told = whole if whole.case_id != part.case_id else replace(whole, case_id=None)
        await write_events(conn, "merged", [(told, took_in(part, whole, numbers))], now)
