"""Cases: rows in and out, and the one way in which anybody moves one on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from prometheus_client import Counter
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from alerts import chain
from alerts.case import Actor, Case, Entry, Origin, Part, Refused, Wish, check_note, stored
from alerts.chain import stale
from alerts.dispatch import let_go
from alerts.duty import DutyMatrix
from alerts.opening import case_number, case_reported
from alerts.rules import Severity
from alerts.transitions import STATUS_NAMES
from detectors.base import Sentence
from devices.site import CHINA, Site
from store.database import announce
from store.entries import append, entries_since, first, lock_book, step
from store.letters import letter_facts
from store.limits import usual_limit
from store.merging import MOVES, lock_moving, move_along
from store.photos import Attachment, recorded_photos, show_photos
from store.recall import call_back
from store.reporters import Caller, add_reporter, has_reported
from store.telling import tell

CASES = Counter("patrolgrid_cases_total", "Cases by category and how they began", ["category", "origin"])

CASE_SELECT: Final = (
    "SELECT c.id, c.number, c.category, c.title, c.title_en, c.severity, c.status, c.area, c.unit, c.owner,"
    " d.code AS terminal, c.lon, c.lat, c.opened_at, c.due_at, c.closed_at, c.outcome, c.version, c.origin,"
    " c.resolution, c.supervision, c.overdue_reason, c.extension_asked, c.reopened, c.merged_into, c.status_before,"
    " CASE WHEN c.whistle THEN (SELECT jsonb_agg(to_jsonb(p) - 'case_id') FROM case_parts p WHERE p.case_id = c.id) END"
    " AS parts"
    " FROM cases c LEFT JOIN devices d ON d.id = c.terminal"
)


def case_of(row: dict[str, Any]) -> Case:
    """The case in a row of ``CASE_SELECT``."""
    parts = sorted((_part_of(part) for part in row.pop("parts") or ()), key=lambda part: part.unit)
    return Case(title=Sentence(row.pop("title"), row.pop("title_en")), parts=tuple(parts), **row)


def _part_of(row: dict[str, Any]) -> Part:
    """A part from JSON, in which times are RFC 3339."""
    times = {name: row[name] and datetime.fromisoformat(row[name]) for name in row if name.endswith("_at")}
    return Part(**(row | times))


async def read_cases(conn: AsyncConnection, where: str, arguments: Sequence[object]) -> list[Case]:
    """Cases by a condition on ``c``. ``where`` is a fixed text of the caller's, never anybody's input."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"{CASE_SELECT} {where}", arguments)
        return [case_of(row) for row in await cursor.fetchall()]


async def get_case(conn: AsyncConnection, case_id: int) -> Case | None:
    """One case; None when there is none."""
    return next(iter(await read_cases(conn, "WHERE c.id = %s", (case_id,))), None)


async def next_number(conn: AsyncConnection, now: datetime) -> str:
    """The next case number of the day. The counter is locked until the transaction ends: none is given twice."""
    cursor = await conn.execute(
        "INSERT INTO case_numbers AS n (day, last) VALUES (%s, 1)"
        " ON CONFLICT (day) DO UPDATE SET last = n.last + 1 RETURNING last",
        (now.astimezone(CHINA).date(),),
    )
    return case_number(now, (await cursor.fetchone() or (0,))[0])


async def insert_case(conn: AsyncConnection, case: Case) -> int:
    """Store a new case without its entry; its id."""
    cursor = await conn.execute(
        "INSERT INTO cases (number, category, title, title_en, severity, status, area, unit, owner, lon, lat,"
        " opened_at, due_at, origin, version) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " RETURNING id",
        (
            *(case.number, case.category, case.title.zh, case.title.en, case.severity, case.status, case.area),
            *(case.unit, case.owner, case.lon, case.lat, case.opened_at, case.due_at, case.origin, case.version),
        ),
    )
    return int((await cursor.fetchone() or (0,))[0])


async def update_case(conn: AsyncConnection, case: Case) -> None:
    """Write everything that a step can change of a case, its parts too."""
    await conn.execute(
        "UPDATE cases SET status = %s, severity = %s, unit = %s, terminal = (SELECT id FROM devices WHERE code = %s),"
        " due_at = %s, closed_at = %s, outcome = %s, resolution = %s, supervision = %s, overdue_reason = %s,"
        " extension_asked = %s, reopened = %s, merged_into = %s, status_before = %s, whistle = %s, version = %s"
        " WHERE id = %s",
        (
            *(case.status, case.severity, case.unit, case.terminal, case.due_at, case.closed_at, case.outcome),
            *(case.resolution, case.supervision, case.overdue_reason, case.extension_asked, case.reopened),
            *(case.merged_into, case.status_before, bool(case.parts), case.version, case.id),
        ),
    )
    for p in case.parts:
        await conn.execute(
            "INSERT INTO case_parts (case_id, unit, task, called_at, called_by, checked_in_at, done_at, done_note,"
            " withdrawn) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (case_id, unit) DO UPDATE SET"
            " task = excluded.task, called_at = excluded.called_at, called_by = excluded.called_by,"
            " checked_in_at = excluded.checked_in_at, done_at = excluded.done_at, done_note = excluded.done_note,"
            " withdrawn = excluded.withdrawn",
            (
                *(case.id, p.unit, p.task, p.called_at, p.called_by, p.checked_in_at, p.done_at, p.done_note),
                p.withdrawn,
            ),
        )


async def report_case(
    conn: AsyncConnection,
    *,
    actor: Actor,
    category: str,
    title: str | Sentence,
    severity: Severity,
    site: Site,
    duty: DutyMatrix,
    note: str = "",
    lon: float | None = None,
    lat: float | None = None,
    owner: int | None = None,
    origin: Origin = "desk",
    home: str | None = None,
    seen: datetime | None = None,
    accuracy: float | None = None,
    caller: Caller | None = None,
    photos: Sequence[Attachment] = (),
    more: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> Case:
    """A person reports something: a case in status ``reported``, with its unit by the duty matrix and its deadline.

    ``home`` is the reporter's area, ``seen`` when it was seen (now), ``accuracy`` of the place in metres, ``caller``
    the one who called if it is not the account ``owner``; ``more`` goes into the first entry's data.

    Raises:
        Refused: the role may not report, or something in the report is missing or wrong.
    """
    now = now or datetime.now(UTC)
    if actor.role == "viewer":
        raise Refused("role", "观察员不能上报事件", "the role viewer may not report cases")
    if (lon is None) != (lat is None):
        raise Refused("wrong_value", "经度和纬度须同时填写", "a place needs both longitude and latitude")
    check_note(note, needed=False)
    place = None if lon is None or lat is None else (lon, lat)
    async with conn.transaction():
        await lock_book(conn)
        number = await next_number(conn, now)
        case, grounds = case_reported(
            number=number,
            category=category,
            title=title,
            severity=severity,
            place=place,
            site=site,
            duty=duty,
            owner=owner,
            now=now,
            origin=origin,
            home=home,
        )
        case = stored(case, await insert_case(conn, case))
        data = first(case, **grounds.recorded(), **(more or {}), **recorded_photos(photos))
        entry = await append(conn, case.id, "report", actor.name, now, note=note, data=data)
        await show_photos(conn, case.id, entry.seq, photos)
        await add_reporter(
            *(conn, case.id, entry.seq),
            account=owner,
            origin=origin,
            at=seen or now,
            received=now,
            lon=lon,
            lat=lat,
            accuracy=accuracy,
            caller=caller,
        )
        await announce(conn, kind="case", id=case.id)
    CASES.labels(category, "report").inc()
    return case


async def act(
    conn: AsyncConnection,
    case_id: int,
    action: str,
    actor: Actor,
    *,
    note: str = "",
    version: int | None = None,
    data: Mapping[str, Any] | None = None,
    photos: Sequence[Attachment] = (),
    now: datetime | None = None,
) -> Case:
    """Move a case on: decide, save, write the entry, put notices into the outbox, all in one transaction.

    ``version`` is that of the case the actor saw (None: whatever it is now); ``data`` holds the other fields of
    :class:`alerts.case.Wish` as the action needs them; ``photos`` are shown by the entry.

    Raises:
        Refused: not found, not allowed, something is missing, or the case has changed since; says what and why.
    """
    now = now or datetime.now(UTC)
    wish = Wish(note, **{name: value for name, value in (data or {}).items() if value})
    async with conn.transaction():
        moving = await lock_moving(conn, case_id) if action in MOVES else frozenset()  # alerts before the book
        await lock_book(conn)
        case = await get_case(conn, case_id)
        if case is None or (actor.role == "grid" and not await has_reported(conn, case_id, actor.name)):
            raise Refused("not_found", f"没有编号为 {case_id} 的事件", f"there is no case {case_id}")
        if version is not None and version != case.version and action != "note":
            raise stale(case, version, await entries_since(conn, case_id, version))
        grounds: dict[str, Any] = {}
        if action == "reopen" and not wish.until:
            limit = await usual_limit(conn, case)
            wish, grounds = replace(wish, until=limit.deadline), {"deadline_by": limit.by}
        after = chain.act(case, action, actor, wish, now)
        await _check_references(conn, wish)
        said = {**chain.said(action, wish), **grounds, **recorded_photos(photos)}
        entry = await take_step(conn, case, after, action, actor.name, now, note=note, ordered=wish.terminal, data=said)
        await show_photos(conn, case.id, entry.seq, photos)
        if action in MOVES:
            await move_along(conn, case, after, actor, note, moving, now)
        return after


async def take_step(
    conn: AsyncConnection,
    case: Case,
    after: Case,
    action: str,
    by: str,
    now: datetime,
    *,
    note: str = "",
    told: Sentence | None = None,
    ordered: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> Entry:
    """Write what was decided: the row, the entry, the notices, the event; the entry. The book must be locked.

    ``ordered`` is the device code of a terminal that is sent by this step.
    """
    if after != case:
        await update_case(conn, after)
    more = {**(data or {}), **await letter_facts(conn, after, action, now)}
    entry = await append(conn, case.id, action, by, now, note=note, told=told, data=step(case, after, **more))
    await tell(conn, case, after, entry, ordered)
    if (released := let_go(case, after)) is not None:
        await call_back(conn, after, released, now)
    await announce(conn, kind="case", id=case.id)
    return entry


async def _check_references(conn: AsyncConnection, wish: Wish) -> None:
    """Refuse units, terminals and cases that there are not, and a case that does not go on itself."""
    for unit in {*wish.units, *([wish.unit] if wish.unit else [])}:
        cursor = await conn.execute("SELECT 1 FROM units WHERE code = %s", (unit,))
        if await cursor.fetchone() is None:
            raise Refused("wrong_value", f"没有单位“{unit}”", f"there is no unit {unit!r}")
    if wish.terminal:
        cursor = await conn.execute(
            "SELECT 1 FROM devices WHERE code = %s AND kind = 'terminal' AND active", (wish.terminal,)
        )
        if await cursor.fetchone() is None:
            raise Refused(
                "wrong_value", f"没有可用终端“{wish.terminal}”", f"there is no active terminal {wish.terminal!r}"
            )
    if wish.into is not None:
        into = await get_case(conn, wish.into)
        if into is None:
            raise Refused("wrong_value", f"没有编号为 {wish.into} 的事件", f"there is no case {wish.into}")
        if into.ended:
            status = STATUS_NAMES[into.status]
            raise Refused("ended", f"{into.number} {status.zh}，不能并入", f"{into.number} is {status.en}")
