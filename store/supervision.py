"""Reminders before a deadline, what follows when it has passed, and reminders of what waits for the desk.

Each case has a moment at which it is to be looked at next (``cases.check_at``); a change of the case makes that now. So
a look costs what is due, not what is open, and any number of workers may look at once: what is due is judged again
under the lock of the book.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from prometheus_client import Counter
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from alerts import chain
from alerts.case import SYSTEM, Case, Wish
from alerts.categories import Categories, Plan
from alerts.deadline import DeadlineError, in_working_time
from alerts.letter import TITLES, late_by, shown
from alerts.notice import message
from alerts.supervision import AWAITING, LEVELS, Clock, Step, after, next_step, steps_due, waits_until
from detectors.base import Sentence
from store.cases import get_case, take_step
from store.database import announce
from store.duties import load_kinds
from store.entries import append, lock_book
from store.letters import named_for
from store.notices import enqueue_to_person, enqueue_to_unit

log = structlog.get_logger()

STEPS: Final = Counter("patrolgrid_supervision_total", "Reminders and steps of supervision taken, by step", ["step"])
_AT_ONCE: Final = 200  # cases in one reading

_FACTS: Final = """
SELECT c.id, c.version, c.category, c.status, c.unit, c.due_at, c.supervision AS level, span.at AS since,
    coalesce(span.until, begun.deadline) AS deadline,
    done.reminded, done.overdue, done.stepped_at, coalesce(nobody.at, span.at) AS unclear_since, handed.at AS handed_at,
    done.asked_at
FROM cases c
JOIN LATERAL (SELECT seq, at, CASE WHEN data ->> 'until' ~ '^[0-9]+[a-z]+$' THEN data ->> 'until' END AS until
    FROM entries WHERE case_id = c.id AND (data -> 'set' ? 'due_at' OR action = 'reopen')
    ORDER BY seq DESC LIMIT 1) span ON true  -- until: what it was given, unless that is a moment
LEFT JOIN LATERAL (SELECT data ->> 'deadline' AS deadline FROM entries WHERE case_id = c.id AND seq = 1) begun ON true
LEFT JOIN LATERAL (SELECT seq, at FROM entries WHERE case_id = c.id AND c.unit IS NULL AND data -> 'set' ? 'unit'
    ORDER BY seq DESC LIMIT 1) nobody ON true
LEFT JOIN LATERAL (SELECT seq, at FROM entries WHERE case_id = c.id AND c.status = ANY(%(awaiting)s)
    AND data -> 'set' ? 'status' ORDER BY seq DESC LIMIT 1) handed ON true
LEFT JOIN LATERAL (SELECT
    count(*) FILTER (WHERE action = 'remind' AND seq > span.seq) AS reminded,
    coalesce(bool_or(action = 'overdue' AND seq > span.seq), false) AS overdue,
    max(at) FILTER (WHERE action = ANY(%(levels)s)) AS stepped_at,
    max(at) FILTER (WHERE action = 'ownership_reminder' AND handed.seq IS NULL AND seq > nobody.seq
        OR action = 'callback_reminder' AND seq > handed.seq) AS asked_at
    FROM entries WHERE case_id = c.id) done ON true
WHERE c.status NOT IN ('closed', 'void', 'merged') AND c.check_at <= %(now)s
    AND (%(one)s::bigint IS NULL OR c.id = %(one)s)
ORDER BY c.check_at, c.id LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class _Wait:
    """What a case waits for the desk for, since when, for how long it may, and when that was last called to mind."""

    reminder: str
    since: datetime
    limit: str
    reminded_at: datetime | None

    @property
    def until(self) -> datetime:
        return waits_until(self.since, self.limit, self.reminded_at)


@dataclass(frozen=True, slots=True)
class Taken:
    """Something that was done by itself: a step's name, "ownership_reminder" or "callback_reminder"."""

    case_id: int
    step: str


async def remind_and_supervise(conn: AsyncConnection, now: datetime | None = None) -> list[Taken]:
    """Do all that is due by now, each once; what was done. ``conn`` must not be in a transaction of its own."""
    now = now or datetime.now(UTC)
    taken: list[Taken] = []
    seen: set[int] = set()
    while True:
        async with conn.transaction():
            fresh = [row for row in await _facts(conn, now) if row["id"] not in seen]
            kinds = Categories(await load_kinds(conn)) if fresh else Categories()
            due = [row["id"] for row in fresh if _due(row, kinds, now)]
            await _sleep(conn, [row for row in fresh if row["id"] not in due], kinds, now)
        if not fresh:
            return taken
        seen |= {row["id"] for row in fresh}
        for case_id in due:
            taken += await _act(conn, case_id, kinds, now)


async def _facts(conn: AsyncConnection, now: datetime, one: int | None = None) -> list[dict[str, Any]]:
    given = {"now": now, "one": one, "most": _AT_ONCE, "levels": list(LEVELS), "awaiting": list(AWAITING)}
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_FACTS, given)
        return await cursor.fetchall()


def _clock(row: dict[str, Any]) -> Clock:
    try:
        working = in_working_time(row["deadline"] or "")
    except DeadlineError:
        working = False  # of a case that an earlier version opened
    return Clock(row["since"], row["due_at"], working, row["reminded"], row["overdue"], row["level"], row["stepped_at"])


def _plan(row: dict[str, Any], kinds: Categories) -> Plan:
    return kinds.plan(row["category"])


def _waits(row: dict[str, Any], kinds: Categories) -> _Wait | None:
    plan = _plan(row, kinds)
    if row["status"] in AWAITING:
        return _Wait("callback_reminder", row["handed_at"], plan.callback, row["asked_at"])
    if row["unit"] is None:
        return _Wait("ownership_reminder", row["unclear_since"], plan.ownership, row["asked_at"])
    return None


def _due(row: dict[str, Any], kinds: Categories, now: datetime) -> bool:
    wait = _waits(row, kinds)
    if wait is not None:
        return wait.until <= now
    return next(steps_due(_clock(row), _plan(row, kinds), now), None) is not None


async def _sleep(conn: AsyncConnection, rows: Sequence[dict[str, Any]], kinds: Categories, now: datetime) -> None:
    """Write when cases of which nothing is due are looked at next, unless they have changed in the meantime."""
    following: list[datetime | None] = []
    for row in rows:
        wait = _waits(row, kinds)
        if wait is not None:
            following.append(wait.until)
        else:
            step = next_step(_clock(row), _plan(row, kinds))
            following.append(step.due if step else None)
    await conn.execute(
        "UPDATE cases c SET check_at = v.following"
        " FROM unnest(%s::bigint[], %s::int[], %s::timestamptz[]) AS v (id, version, following)"
        " WHERE c.id = v.id AND c.version = v.version AND c.check_at <= %s",
        ([row["id"] for row in rows], [row["version"] for row in rows], following, now),
    )


async def _act(conn: AsyncConnection, case_id: int, kinds: Categories, now: datetime) -> list[Taken]:
    """Under the lock of the book: judge one case again, and do what is due of it."""
    async with conn.transaction():
        await lock_book(conn)
        rows, case = await _facts(conn, now, case_id), await get_case(conn, case_id)
        if not rows or case is None or not _due(rows[0], kinds, now):
            return []  # another worker was first, or somebody acted
        (row,) = rows
        wait = _waits(row, kinds)
        if wait is not None:
            done = [await _remind_desk(conn, case, wait, now)]
            following: datetime | None = replace(wait, reminded_at=now).until
        else:
            clock, done = _clock(row), []
            for step in steps_due(clock, _plan(row, kinds), now):
                case = await _take(conn, case, step, now)
                clock = after(clock, step, now)
                done.append(step.name)
            ahead = next_step(clock, _plan(row, kinds))
            following = ahead.due if ahead else None
        await conn.execute("UPDATE cases SET check_at = %s WHERE id = %s", (following, case_id))
        await announce(conn, kind="case", id=case_id)
    for name in done:
        STEPS.labels(name).inc()
        log.info("supervision", case=case_id, step=name)
    return [Taken(case_id, name) for name in done]


async def _take(conn: AsyncConnection, case: Case, step: Step, now: datetime) -> Case:
    """One step; the case after it."""
    due = shown(case.due_at)
    if step.name in LEVELS:
        late, title = late_by(case.due_at, now), TITLES[step.name]
        told = Sentence(
            f"{title.zh}：办结时限 {due}，已逾期 {late.zh}，请立即办理并说明原因",
            f"{title.en}: due {due}, overdue by {late.en}; handle it at once and say why",
        )
        changed = chain.act(case, step.name, SYSTEM, Wish(told.zh), now)
        await take_step(conn, case, changed, step.name, SYSTEM.name, now, told=told)
        return changed
    if step.name == "overdue":
        told = Sentence(
            f"事件已于 {due} 逾期，请说明逾期原因并尽快办结",
            f"the case was due {due} and is overdue: say why, and finish it",
        )
    else:
        told = Sentence(
            f"办理时限已过 {step.percent}%，{due} 到期", f"{step.percent} % of the time has gone; it is due {due}"
        )
    data = {"due_at": case.due_at.astimezone(UTC).isoformat(timespec="microseconds"), "percent": step.percent}
    entry = await append(conn, case.id, step.name, SYSTEM.name, now, told=told, data=data)
    units = dict.fromkeys([case.unit or "", *(part.unit for part in case.parts if part.undone)])
    if step.name == "remind" and now >= case.due_at:
        units = {}  # after an outage of ours: recorded, but what it says has been overtaken
    for unit in units:
        await enqueue_to_unit(
            conn,
            unit,
            reason=f"{case.number}：{told.zh} / {told.en}",
            body=message(case, told),
            dedupe=f"case {case.id}|{entry.seq}|unit {unit}",
            case_id=case.id,
        )
    return case


async def _remind_desk(conn: AsyncConnection, case: Case, wait: _Wait, now: datetime) -> str:
    """Remind those who supervise the desk of what waits for it: of an owner, of the call-back, of the close."""
    since = shown(wait.since)
    if wait.reminder == "ownership_reminder":
        zh, en = "权属不清，请组织联合认定责任单位", "it is unclear whose the case is: decide it together"
    elif case.status == "fed_back":
        zh, en = "已反馈而未回访，请督促回访核实", "fed back and not verified: see that somebody calls back"
    else:
        zh, en = "已回访而未结案，请督促结案", "verified and not closed: see that it is closed"
    told = Sentence(f"自 {since} 起{zh}", f"since {since} {en}")
    named = await named_for(conn, case.area)
    entry = await append(conn, case.id, wait.reminder, SYSTEM.name, now, told=told, data={"named": named})
    for person in named:
        await enqueue_to_person(
            conn,
            person,
            reason=f"{case.number}：{told.zh} / {told.en}",
            body=message(case, told),
            dedupe=f"case {case.id}|{entry.seq}|supervisor",
            case_id=case.id,
        )
    return entry.action
