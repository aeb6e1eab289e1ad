"""Giving out the file of one case: that it was given out is recorded first, then all of it is read at one moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import class_row

from alerts.case import Case, Entry, Refused
from alerts.case_file import CaseFile, LedgerLine, Span, Track, photos_of, spans_of
from alerts.categories import Categories
from alerts.officers import evidence_shown
from detectors.base import Sentence
from devices.readings import Rows
from devices.registry import Device
from devices.site import Site, micros
from store.accounts import Account
from store.alerts import case_alerts
from store.cases import get_case
from store.database import announce
from store.entries import append, case_entries, lock_book
from store.notices import case_notices
from store.registry import load_rules
from store.stretches import track

MOST_POINTS: Final = 250_000  # of one track


async def gather_case(
    conn: AsyncConnection,
    case_id: int,
    account: Account,
    *,
    site: Site,
    categories: Categories,
    may_see: Callable[[Device | None], bool] = lambda device: True,
    now: datetime | None = None,
) -> CaseFile:
    """All that is known of a case, to be given out in the name of an account. ``conn`` in no transaction.

    The export is an entry of the case, and each track in it a look. Tracks of devices that the account may not see are
    left out, and so is the evidence that shows them; the file says so.

    Raises:
        Refused: there is no such case.
    """
    now = now or datetime.now(UTC)
    spans, hidden = await _record(conn, case_id, account, site, may_see, now)
    async with conn.transaction():
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        case = await get_case(conn, case_id)
        assert case is not None  # cases are never deleted
        entries = await case_entries(conn, case_id)
        alerts = []
        for alert in await case_alerts(conn, case_id):
            shown = evidence_shown(alert.subject, alert.evidence, site.registry, may_see)
            alerts.append(alert if shown else replace(alert, evidence={}))
            if not shown:
                hidden.append((f"预警 {alert.id} 的证据", f"the evidence of alert {alert.id}"))
        return CaseFile(
            case=case,
            entries=entries,
            ledger=await _ledger(conn, case_id),
            alerts=alerts,
            notices=await case_notices(conn, case_id),
            tracks=[await _track(conn, span, site) for span in spans],
            photos=photos_of(entries),
            site=site,
            categories=categories,
            exported_at=now,
            exported_by=account.name,
            left_out=tuple(hidden),
            rules={rule.code: Sentence(rule.name, rule.name_en) for rule in await load_rules(conn)},
        )


async def case_by_number(conn: AsyncConnection, number: str) -> int:
    """The id of a case by its number. Raises Refused when there is none."""
    cursor = await conn.execute("SELECT id FROM cases WHERE number = %s", (number,))
    row = await cursor.fetchone()
    if row is None:
        raise Refused("not_found", f"没有编号为 {number} 的事件", f"there is no case {number!r}")
    return int(row[0])


async def _record(
    conn: AsyncConnection,
    case_id: int,
    account: Account,
    site: Site,
    may_see: Callable[[Device | None], bool],
    now: datetime,
) -> tuple[list[Span], list[tuple[str, str]]]:
    """Write the entry and the looks; the tracks that go with it, and what does not."""
    spans: list[Span] = []
    hidden: list[tuple[str, str]] = []
    async with conn.transaction():
        await lock_book(conn)
        case = await get_case(conn, case_id)
        if case is None:
            raise Refused("not_found", f"没有编号为 {case_id} 的事件", f"there is no case {case_id}")
        for span in spans_of(await case_entries(conn, case_id), now):
            device = site.registry.resolve(span.terminal)
            if device is None or not may_see(device):
                hidden.append((f"终端 {span.terminal} 的轨迹", f"the track of terminal {span.terminal}"))
                continue
            spans.append(span)
            await conn.execute(
                "INSERT INTO looks (account, at, device, since, until, case_id) VALUES (%s, %s, %s, %s, %s, %s)",
                (account.id, now, device.id, span.since, span.until, case_id),
            )
        await _append(conn, case, account, spans, now)
        await announce(conn, kind="case", id=case_id)
    return spans, hidden


async def _append(conn: AsyncConnection, case: Case, account: Account, spans: Sequence[Span], now: datetime) -> Entry:
    terminals = ", ".join(dict.fromkeys(span.terminal for span in spans))
    told = Sentence(
        "导出事件卷宗" + (f"，含终端 {terminals} 的轨迹" if spans else ""),
        "exported the case file" + (f" with the tracks of {terminals}" if spans else ""),
    )
    tracks = [
        {"terminal": span.terminal, "since": span.since.isoformat(), "until": span.until.isoformat()} for span in spans
    ]
    return await append(conn, case.id, "exported", account.name, now, told=told, data={"tracks": tracks})


async def _ledger(conn: AsyncConnection, case_id: int) -> list[LedgerLine]:
    async with conn.cursor(row_factory=class_row(LedgerLine)) as cursor:
        await cursor.execute(
            "SELECT l.position, l.seq, coalesce(b.hash, %s) AS prev, l.entry_hash, l.hash FROM ledger l"
            " LEFT JOIN ledger b ON b.position = l.position - 1 WHERE l.case_id = %s ORDER BY l.seq",
            (bytes(32), case_id),
        )
        return await cursor.fetchall()


async def _track(conn: AsyncConnection, span: Span, site: Site) -> Track:
    device = site.registry.resolve(span.terminal)
    assert device is not None
    fixes: Rows = await track(conn, device.id, micros(span.since), micros(span.until), MOST_POINTS)
    await asyncio.sleep(0)  # a long one keeps the loop for a while
    facts: dict[str, Any] = {name: fixes[name] for name in ("at", "lon", "lat")}
    return Track(span=span, name=device.name, name_en=device.name_en, **facts)
