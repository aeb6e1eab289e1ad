"""Verifying the evidence: each case's chain, the ledger over all, and that the cases say what their entries say.

It streams: the database sorts, and here one case at a time is held, so ten cases and a million take the same memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import dict_row, tuple_row

from alerts.case import Case, Entry
from alerts.case_file import photos_of
from alerts.evidence import START, Fault, Line, case_faults, ledger_hash
from store.cases import CASE_SELECT, case_of
from store.media import Damaged, Media

_ENTRIES: Final = (
    "SELECT coalesce(e.case_id, l.case_id) AS of_case, e.case_id, coalesce(e.seq, l.seq) AS seq, e.at, e.actor,"
    " e.action, e.note, e.data, e.prev_hash, e.hash, l.entry_hash AS listed"
    " FROM entries e FULL JOIN ledger l ON l.case_id = e.case_id AND l.seq = e.seq ORDER BY 1, 3"
)
_FETCH: Final = 2000  # rows a round trip


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in the ledger, written down elsewhere: whatever stood there then must still stand there."""

    position: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.position}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """From ``position:hex``. Raises ValueError when it is not that."""
        position, _, digest = text.partition(":")
        if not position.isdigit() or len(digest) != 64:
            raise ValueError(f"anchor {text!r}: expected <position>:<64 hex digits>, as evidence verify prints it")
        return cls(int(position), bytes.fromhex(digest))


@dataclass(slots=True)
class Report:
    """What was looked at and what is wrong. ``head`` is the anchor to write down now."""

    cases: int = 0
    entries: int = 0
    pictures: int = 0
    head: Anchor = field(default_factory=lambda: Anchor(0, START))
    faults: list[Fault] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


async def verify_all(conn: AsyncConnection, anchor: Anchor | None = None, media: Media | None = None) -> Report:
    """Check everything in one snapshot, while others go on writing. ``conn`` must not be in a transaction.

    With ``media`` also the pictures: the content of each that an entry shows is hashed again. Each fault names the
    case's number and the seq of its first broken entry, or of the entry whose picture is not what it was.
    """
    report = Report()
    async with conn.transaction():
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        await _check_cases(conn, report, media)
        await _check_ledger(conn, report, anchor)
    return report


async def _check_cases(conn: AsyncConnection, report: Report, media: Media | None) -> None:
    timelines = _timelines(conn)
    timeline = await anext(timelines, None)
    async for case in _cases(conn):
        report.cases += 1
        while timeline is not None and timeline[0] < case.id:
            report.faults += case_faults(timeline[0], None, timeline[1])
            timeline = await anext(timelines, None)
        lines: list[Line] = []
        if timeline is not None and timeline[0] == case.id:
            lines = timeline[1]
            timeline = await anext(timelines, None)
        report.entries += len(lines)
        report.faults += case_faults(case.id, case, lines)
        if media is not None:
            report.faults += await _check_pictures(case, lines, media, report)
    while timeline is not None:
        report.faults += case_faults(timeline[0], None, timeline[1])
        timeline = await anext(timelines, None)


async def _check_pictures(case: Case, lines: Sequence[Line], media: Media, report: Report) -> list[Fault]:
    """What the entries say of their pictures is in the chain; so a picture that fits its name is the one that was."""
    faults = []
    for photo in photos_of(line.entry for line in lines if line.entry is not None):
        report.pictures += 1
        try:
            await asyncio.to_thread(media.read, photo.sha256)
        except Damaged as error:
            zh, en = f"{case.number} 第 {photo.seq} 条：{error.zh}", f"{case.number}, entry {photo.seq}: {error.en}"
            faults.append(Fault("missing" if error.gone else "changed", case.id, case.number, photo.seq, zh, en))
    return faults


async def _cases(conn: AsyncConnection) -> AsyncIterator[Case]:
    async with conn.cursor("evidence_cases", row_factory=dict_row) as cursor:
        cursor.itersize = _FETCH
        await cursor.execute(f"{CASE_SELECT} ORDER BY c.id")
        async for row in cursor:
            yield case_of(row)


async def _timelines(conn: AsyncConnection) -> AsyncIterator[tuple[int, list[Line]]]:
    """The lines of one case after the other, by case id."""
    async with conn.cursor("evidence_entries", row_factory=dict_row) as cursor:
        cursor.itersize = _FETCH
        await cursor.execute(_ENTRIES)
        case_id, lines = 0, list[Line]()
        async for row in cursor:
            if row["of_case"] != case_id:
                if lines:
                    yield case_id, lines
                case_id, lines = row["of_case"], []
            lines.append(_line(row))
        if lines:
            yield case_id, lines


def _line(row: dict[str, Any]) -> Line:
    seq, listed, case_id = row["seq"], row.pop("listed"), row.pop("of_case")
    return Line(seq, None if row["case_id"] is None else Entry(**{**row, "case_id": case_id}), listed)


async def _check_ledger(conn: AsyncConnection, report: Report, anchor: Anchor | None) -> None:
    head, expected, held = START, 1, anchor is None or anchor.position == 0
    async with conn.cursor("evidence_ledger", row_factory=tuple_row) as cursor:
        cursor.itersize = _FETCH
        await cursor.execute("SELECT position, entry_hash, hash FROM ledger ORDER BY position")
        async for position, entry_hash, hashed in cursor:
            if position != expected or hashed != ledger_hash(head, entry_hash):
                zh, en = f"总账第 {expected} 行断开", f"the ledger is broken at line {expected}"
                report.faults.append(Fault("ledger", 0, "", expected, zh, en))
                expected = position  # go on from here: one break is one fault
            if anchor is not None and position == anchor.position:
                held = hashed == anchor.hash
            head, expected = hashed, expected + 1
    report.head = Anchor(expected - 1, head)
    if anchor is not None and not held:
        zh = f"总账第 {anchor.position} 行与记录的锚点不符"
        en = f"line {anchor.position} of the ledger is not what the anchor says: history was rewritten or cut off"
        report.faults.append(Fault("anchor", 0, "", anchor.position, zh, en))
