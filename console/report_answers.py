"""Reports as they are told: how each stands, what was added to it, what may be the same, what happened at a place."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import AsyncConnection

from alerts.case import Case
from console.answers import number
from console.auth import Caller
from console.desk import Ground
from console.models import Text
from console.models_intake import AttachmentOut, KindCount, OwnNote, ReportDetail, ReportOut, SimilarOut
from store.cases import read_cases
from store.entries import case_entries
from store.places import History, Similar
from store.reporters import Reporter, counted


def kind_counts(history: History, ground: Ground) -> list[KindCount]:
    """The counts of a place by kind, with the kinds' names."""
    return [
        KindCount(
            category=kind.category,
            name=Text.model_validate(ground.duty.categories.name(kind.category)),
            total=kind.total,
            open=kind.open,
            last=kind.last,
        )
        for kind in history.kinds
    ]


def similar_out(one: Similar, caller: Caller) -> SimilarOut:
    """A case that may be the same; its title only for who may see it."""
    case, sight = one.case, caller.sight
    return SimilarOut(
        case_id=case.id,
        number=case.number,
        category=case.category,
        title=Text.model_validate(case.title) if sight.case(case.area, case.unit, case.called) else None,
        status=case.status,
        likeness=round(one.likeness, 3),
        distance=round(one.distance, 1),
        last=one.last,
        reporters=one.reporters,
    )


async def reports_out(conn: AsyncConnection, found: Sequence[Reporter], ground: Ground) -> list[ReportOut]:
    """Reports with how their cases stand."""
    numbers = sorted({own.case_id for own in found})
    cases = {case.id: case for case in await read_cases(conn, "WHERE c.id = ANY(%s)", (numbers,))}
    counts = await counted(conn, numbers)
    return [_report_out(own, cases[own.case_id], counts[own.case_id], ground) for own in found]


def _report_out(own: Reporter, case: Case, reporters: int, ground: Ground) -> ReportOut:
    return ReportOut(
        id=own.id,
        case_id=case.id,
        number=case.number,
        category=case.category,
        category_name=Text.model_validate(ground.duty.categories.name(case.category)),
        status=case.status,
        outcome=case.outcome,
        closed_at=case.closed_at,
        reporters=reporters,
        joined=own.seq > 1 or own.home != own.case_id,
        note=own.note,
        on_spot=own.on_spot,
        at=own.at,
        received=own.received,
        lon=number(own.lon, 7),
        lat=number(own.lat, 7),
        accuracy=number(own.accuracy, 1),
        attachments=[AttachmentOut.model_validate(photo) for photo in own.photos],
    )


async def report_detail(conn: AsyncConnection, own: Reporter, caller: Caller, ground: Ground) -> ReportDetail:
    """A report with what its account added to it."""
    entries = [
        entry
        for case_id in sorted({own.home, own.case_id})
        for entry in await case_entries(conn, case_id)
        if entry.action == "note" and entry.actor == caller.account.name
    ]
    notes = [
        OwnNote(
            at=entry.at,
            note=entry.note,
            attachments=[AttachmentOut.model_validate(photo) for photo in entry.data.get("attachments", ())],
        )
        for entry in sorted(entries, key=lambda entry: entry.at)
    ]
    (out,) = await reports_out(conn, [own], ground)
    return ReportDetail(report=out, notes=notes)
