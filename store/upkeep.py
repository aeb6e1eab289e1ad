"""What time does to alerts: they clear, are kept silent or told after all, and grow more severe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from psycopg import AsyncConnection

from alerts import alert as decisions
from alerts.alert import Alert
from alerts.alert_words import last_seen
from alerts.duty import DutyMatrix
from alerts.rules import Rule
from alerts.severity import Rise, risen
from alerts.suppression import About, Arrangements
from devices.site import Site
from store.alert_events import write_events
from store.alerts import OPEN_ALERTS, read_alerts, update_alert
from store.database import announce
from store.raising import ALERTS, quieted, raise_cases, tell_risen
from store.recurrence import reopen_seen_again
from store.registry import load_duty, load_site
from store.silences import ABOUT, arrangements

_DEFAULT_CLEAR: Final = Rule("default", "-", "-", "-", "low", "-").clear_after  # for alerts whose rule is gone
_AT_ONCE: Final = 500  # alerts cleared in one transaction
_FEW: Final = 10  # alerts told or silenced in one transaction: cases may be opened in it, and nobody else can then


@dataclass(frozen=True, slots=True)
class Upkept:
    """What one upkeep changed."""

    cleared: list[Alert] = field(default_factory=list)
    suppressed: list[Alert] = field(default_factory=list)
    released: list[Alert] = field(default_factory=list)
    escalated: list[Alert] = field(default_factory=list)


async def upkeep(
    conn: AsyncConnection,
    rules: Sequence[Rule],
    now: datetime,
    *,
    site: Site | None = None,
    duty: DutyMatrix | None = None,
    clear: bool = True,
) -> Upkept:
    """Everything that passing time does; to be called every few seconds, by every worker if need be.

    Alerts that were quiet for long enough clear; not with ``clear`` false, while what waits may tell that they go on,
    and then they are not told either. Those that a silence, maintenance or another alert covers by now are
    marked; those that nothing covers any more, and that still go on, are told. Severities rise. What another process is
    changing this moment is left for the next time. ``site`` and ``duty`` are read when needed and not given. ``conn``
    must not be in a transaction of its own.
    """
    cleared = await clear_quiet(conn, rules, now) if clear else []
    by_code = {rule.code: rule for rule in rules}
    suppressed, released = await _review(conn, by_code, now, site, duty)
    return Upkept(cleared, suppressed, released, await _escalate(conn, by_code, now))


# ── Clearing ────────────────────────────────────────────────────────────────────────────────────────────────────────
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


def _is_quiet(alert: Alert, rules: Mapping[str, Rule], now: datetime) -> bool:
    """Whether it clears the next time that alerts are cleared."""
    clear_after = rules[alert.rule].clear_after if alert.rule in rules else _DEFAULT_CLEAR
    return (now - alert.last_seen).total_seconds() > clear_after


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
        await write_events(conn, "cleared", [(alert, last_seen(alert)) for alert in found], now)
        for alert in found:
            await announce(conn, kind="alert", id=alert.id)
        return [decisions.cleared(alert) for alert in found]


# ── Silent or told ──────────────────────────────────────────────────────────────────────────────────────────────────
async def _review(
    conn: AsyncConnection, rules: Mapping[str, Rule], now: datetime, site: Site | None, duty: DutyMatrix | None
) -> tuple[list[Alert], list[Alert]]:
    """Compare every live alert with what is arranged; those silenced and those told now."""
    if not await _concerned(conn, rules, now):
        return [], []
    site = site or await load_site(conn)
    arranged = await arrangements(conn, rules.values(), site, now)
    wrong = await _wrongly_told(conn, rules, arranged)
    suppressed, released = list[Alert](), list[Alert]()
    for begin in range(0, len(wrong), _FEW):
        async with _taken(conn, wrong[begin : begin + _FEW]) as alerts:
            decided = [(alert, quieted(alert, rules.get(alert.rule), arranged)) for alert in alerts if alert.live]
            decided = [(old, new) for old, new in decided if old.suppressed != new.suppressed]
            decided = [(old, new) for old, new in decided if new.suppressed or not _is_quiet(old, rules, now)]
            silent = [new for _, new in decided if new.suppressed]
            told = [replace(new, raised_at=now, armed_at=now) for _, new in decided if not new.suppressed]
            for alert in (*silent, *told):
                await update_alert(conn, alert)
                await announce(conn, kind="alert", id=alert.id)
            await write_events(conn, "suppressed", [(a, a.suppressed.reason) for a in silent if a.suppressed], now)
            await write_events(conn, "released", [(a, a.sentence) for a in told], now)
            if told:
                duty = duty or await load_duty(conn)
                cased = [(a, rules[a.rule]) for a in told if a.rule in rules]
                await raise_cases(conn, cased, site, duty, now)
                await reopen_seen_again(conn, cased, now)
            suppressed += silent
            released += told
    for step, changed in (("suppressed", suppressed), ("released", released)):
        for alert in changed:
            ALERTS.labels(alert.rule, step).inc()
    return suppressed, released


async def _concerned(conn: AsyncConnection, rules: Mapping[str, Rule], now: datetime) -> bool:
    """Whether there is anything by which alerts could be silent: most of the time there is not."""
    inhibits = sorted({inhibitor.rule for rule in rules.values() for inhibitor in rule.inhibited_by})
    cursor = await conn.execute(
        "SELECT EXISTS (SELECT FROM alerts WHERE suppressed_by IS NOT NULL AND state IN ('open', 'acknowledged'))"
        " OR EXISTS (SELECT FROM silences WHERE ends > %s AND ended_at IS NULL)"
        " OR EXISTS (SELECT FROM maintenance WHERE (weekly OR ends > %s) AND ended_at IS NULL)"
        " OR EXISTS (SELECT FROM alerts WHERE rule = ANY(%s) AND state IN ('open', 'acknowledged'))",
        (now, now, inhibits),
    )
    return bool((await cursor.fetchone() or (False,))[0])


async def _wrongly_told(conn: AsyncConnection, rules: Mapping[str, Rule], arranged: Arrangements) -> list[int]:
    """The live alerts whose mark is not what it should be."""
    only = "AND suppressed_by IS NOT NULL" if arranged.idle else ""
    cursor = await conn.execute(
        f"SELECT {ABOUT}, suppressed_by, suppressor FROM alerts"  # noqa: S608 - own names
        f" WHERE state IN ('open', 'acknowledged') {only} ORDER BY id"
    )
    wrong = []
    for *about, by, suppressor in await cursor.fetchall():
        verdict = arranged.verdict(About(*about), rules.get(about[1]))
        if (by, suppressor) != ((verdict.by, verdict.id) if verdict else (None, None)):
            wrong.append(about[0])
    return wrong


# ── Severity ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def _escalate(conn: AsyncConnection, rules: Mapping[str, Rule], now: datetime) -> list[Alert]:
    rising = {code: rule for code, rule in rules.items() if rule.escalate}
    cursor = await conn.execute(
        "SELECT id, rule, severity, state, count, armed_at FROM alerts WHERE state IN ('open', 'acknowledged')"
        " AND rule = ANY(%s) AND severity <> 'high' AND suppressed_by IS NULL ORDER BY id",
        (sorted(rising),),
    )
    due = [
        number
        for number, rule, severity, state, count, armed in await cursor.fetchall()
        if risen(severity, rising[rule].escalate, state=state, count=count, armed_at=armed, now=now)[1]
    ]
    escalated: list[Alert] = []
    for begin in range(0, len(due), _FEW):
        async with _taken(conn, due[begin : begin + _FEW]) as alerts:
            told: list[tuple[Alert, Rule, Rise]] = []
            for alert in alerts:
                if _is_quiet(alert, rules, now):
                    continue
                higher, step = decisions.escalated(alert, rising[alert.rule], now)
                if step is not None:
                    told.append((higher, rising[alert.rule], step))
            for alert, _, _ in told:
                await update_alert(conn, alert)
                await announce(conn, kind="alert", id=alert.id)
            await tell_risen(conn, told, now)
            escalated += [alert for alert, _, _ in told]
    return escalated


@asynccontextmanager
async def _taken(conn: AsyncConnection, alert_ids: Collection[int]) -> AsyncIterator[list[Alert]]:
    """These alerts, for one transaction nobody else's; without those that somebody is changing."""
    async with conn.transaction():
        yield await read_alerts(
            conn, "WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED", (list(alert_ids),)
        )
