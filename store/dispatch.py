"""Sending a terminal to a case, what it answers, and its arrival."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from psycopg import AsyncConnection

from alerts.case import SYSTEM, Case, Wish
from alerts.chain import act as decide
from alerts.dispatch import ARRIVED, FRESH, Candidate
from detectors.base import Sentence
from detectors.geo import distance
from devices.readings import CommandAck
from store.cases import read_cases, take_step
from store.database import announce
from store.entries import append, lock_book
from store.standings import nearest_fit

log = structlog.get_logger()
_RECALLED: Final = Sentence("答复召回指令", "in answer to being called back")


async def send_nearest(conn: AsyncConnection, case: Case, now: datetime) -> Case:
    """Dispatch a new case to the nearest fit terminal; the case after it. The book must be locked.

    When nobody can be sent the timeline says so, and the case stays with the desk.
    """
    if case.lon is None or case.lat is None:
        told = Sentence("事件没有位置，请人工派遣", "the case has no place: dispatch by hand")
        return await nobody_near(conn, case, now, told)
    choice = await nearest_fit(conn, case, now)
    if choice is None:
        told = Sentence(
            "没有位置有效的空闲终端，请人工派遣", "no free terminal with a fresh position: dispatch by hand"
        )
        return await nobody_near(conn, case, now, told)
    return await send(conn, case, "dispatch", choice, now, Sentence("最近的空闲终端", "nearest free terminal"), {})


async def send(
    conn: AsyncConnection,
    case: Case,
    action: str,
    choice: Candidate,
    now: datetime,
    why: Sentence,
    data: Mapping[str, Any],
) -> Case:
    chosen = choice.standing
    after = decide(case, action, SYSTEM, Wish(terminal=chosen.code), now)
    away, old = round(choice.distance), round(choice.age)
    told = Sentence(
        f"{why.zh}：{chosen.name.zh}（{chosen.code}），相距 {away} 米，定位于 {old} 秒前",
        f"{why.en}: {chosen.name.en} ({chosen.code}), {away} m away, position {old} s old",
    )
    data = {**data, "distance": away, "age": old}
    await take_step(conn, case, after, action, SYSTEM.name, now, told=told, ordered=chosen.code, data=data)
    return after


async def nobody_near(
    conn: AsyncConnection, case: Case, now: datetime, told: Sentence, data: Mapping[str, Any] | None = None
) -> Case:
    after = decide(case, "nobody_near", SYSTEM, Wish(), now)
    await take_step(conn, case, after, "nobody_near", SYSTEM.name, now, told=told, data=data)
    return after


async def record_command_ack(conn: AsyncConnection, ack: CommandAck, now: datetime | None = None) -> Case | None:
    """A terminal's answer to a command: marks the notice, writes an entry, and moves an accepted case to ``handling``.

    ``ack.device`` is the terminal's code or one of its aliases. A repeated answer changes nothing. Returns the case;
    None for an answer to nothing that was sent to this terminal, which is logged.
    """
    now = now or datetime.now(UTC)
    async with conn.transaction():
        notice = await _answered(conn, ack, now)
        if notice is None:
            return None
        notice_id, case_id, device, asked = notice
        await lock_book(conn)
        (case,) = await read_cases(conn, "WHERE c.id = %s", (case_id,))
        name = "command_accepted" if ack.accepted else "command_refused"
        told = _RECALLED if asked == "recall" else None
        data = {"notice": notice_id, "answered": ack.at, "terminal": device}
        await append(conn, case_id, name, f"terminal:{device}", now, note=_text(ack.note), told=told, data=data)
        await announce(conn, kind="case", id=case_id)
        await announce(conn, kind="notice", id=notice_id)
        if ack.accepted and asked == "goto" and case.status == "dispatched" and case.terminal == device:
            after = decide(case, "accept", SYSTEM, Wish(), now)
            told = Sentence("终端已接受指令", "the terminal accepted the command")
            await take_step(conn, case, after, "accept", SYSTEM.name, now, told=told)
            return after
        return case


async def _answered(conn: AsyncConnection, ack: CommandAck, now: datetime) -> tuple[int, int, str, str] | None:
    """Mark the notice that is answered; its id, case, terminal and what it asks for.

    None: there is none, or it was answered before.
    """
    cursor = await conn.execute(
        "UPDATE notices n SET acked_at = %s, accepted = %s, sent_at = coalesce(sent_at, %s) FROM devices d"
        " WHERE n.id::text = %s AND n.channel = 'terminal' AND n.acked_at IS NULL AND n.case_id IS NOT NULL"
        " AND d.code = n.target AND (d.code = %s OR %s = ANY(d.aliases)) RETURNING n.id, n.case_id, d.code,"
        " n.body ->> 'do'",
        (now, ack.accepted, now, ack.command, ack.device, ack.device),
    )
    row = await cursor.fetchone()
    if row is None:
        log.info("ack_of_nothing_open", device=ack.device, command=ack.command[:80])
    return row


async def record_arrivals(conn: AsyncConnection, now: datetime | None = None, within: float = ARRIVED) -> list[Case]:
    """Cases whose dispatched terminal has come within ``within`` metres of the place since it was sent; those told now.

    By last positions, so to be called now and then; each dispatch arrives once.
    """
    now = now or datetime.now(UTC)
    cursor = await conn.execute(
        "SELECT c.id, c.version, c.lon, c.lat, p.lon, p.lat FROM cases c JOIN last_positions p ON p.device = c.terminal"
        " JOIN LATERAL (SELECT action, at FROM entries e WHERE e.case_id = c.id AND action IN ('dispatch',"
        " 'reoffer', 'arrive') ORDER BY seq DESC LIMIT 1) sent ON sent.action <> 'arrive' AND p.at > sent.at"
        " WHERE c.status IN ('dispatched', 'handling') AND c.lon IS NOT NULL AND p.at > %s - make_interval(secs => %s)",
        (now, FRESH),
    )
    arrived: list[Case] = []
    for case_id, version, lon, lat, at_lon, at_lat in await cursor.fetchall():
        away = float(distance(at_lon, at_lat, lon, lat))
        if math.isfinite(away) and away <= within:
            case = await _arrive(conn, case_id, version, away, now)
            arrived += [case] if case is not None else []
    return arrived


async def _arrive(conn: AsyncConnection, case_id: int, version: int, away: float, now: datetime) -> Case | None:
    async with conn.transaction():
        await lock_book(conn)
        (case,) = await read_cases(conn, "WHERE c.id = %s", (case_id,))
        cursor = await conn.execute(
            "SELECT action FROM entries WHERE case_id = %s AND action IN ('dispatch', 'reoffer', 'arrive')"
            " ORDER BY seq DESC LIMIT 1",
            (case_id,),
        )
        if case.version != version or await cursor.fetchone() in (None, ("arrive",)):
            return None  # another worker was first, or somebody acted: next time it is judged anew
        after = decide(case, "arrive", SYSTEM, Wish(), now)
        told = Sentence(
            f"终端 {case.terminal} 已到达，距现场 {away:.0f} 米",
            f"terminal {case.terminal} is there, {away:.0f} m from the scene",
        )
        data: dict[str, Any] = {"distance": round(away)}
        await take_step(conn, case, after, "arrive", SYSTEM.name, now, told=told, data=data)
        return after


def _text(note: str) -> str:
    """A terminal's words as a text column takes them."""
    return note.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:1000]
