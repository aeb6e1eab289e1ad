"""Around one case: who reported it, what may be the same, what happened at its place."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from alerts.duplicates import Happening
from console.answers import number
from console.api.cases import CaseId, cases_out, seen
from console.api.refusals import LOGGED_IN, refusals
from console.auth import Anyone
from console.desk import TheDesk
from console.models_intake import (
    AttachmentOut,
    CaseReporters,
    HistoryOut,
    MergedCase,
    NearCase,
    ReporterOut,
    SimilarCase,
    SimilarCases,
)
from console.report_answers import kind_counts
from store.cases import read_cases
from store.merging import gathered_in
from store.places import HISTORY_METRES, HISTORY_SPAN, place_history, similar_cases
from store.reporters import Reporter, case_reporters

around = APIRouter(prefix="/api/v1/cases", tags=["cases"], responses=refusals(*LOGGED_IN, 404))


@around.get("/{case_id}/reporters", summary="Who reported a case")
async def read_reporters(case_id: CaseId, caller: Anyone, desk: TheDesk) -> CaseReporters:
    """Everybody who reported it, or a case that was merged into it. A case that a detector found has none.

    Name and contact of a caller are for the desk and the unit whose case it is, and blanked some time after its end.
    """
    async with desk.pool.connection() as conn:
        case = await seen(conn, case_id, caller)
        found = await case_reporters(conn, case_id)
        below = [n for n in await gathered_in(conn, case_id) if n != case_id]
        merged = await read_cases(conn, "WHERE c.id = ANY(%s) ORDER BY c.id", (below,))
    own = caller.sight.own_unit
    whole = caller.account.role in ("operator", "supervisor", "admin") or (own is not None and own == case.unit)
    return CaseReporters(
        items=[_reporter(reporter, whole=whole) for reporter in found],
        merged=[MergedCase(id=c.id, number=c.number, into=c.merged_into or case_id) for c in merged],
    )


@around.get("/{case_id}/similar", summary="Open cases that may be the same")
async def read_similar(case_id: CaseId, caller: Anyone, desk: TheDesk) -> SimilarCases:
    """Of the same kind, near in place and time, and such as the account may see; the likeliest first.

    The action `merge` with `into` makes them one, `split` takes them apart again.
    """
    async with desk.pool.connection() as conn:
        case = await seen(conn, case_id, caller)
        if case.lon is None or case.lat is None:
            return SimilarCases(items=[])
        last = max([reporter.at for reporter in await case_reporters(conn, case_id)], default=case.opened_at)
        here = Happening(case.category, case.lon, case.lat, max(last, case.opened_at))
        found = await similar_cases(conn, here, desk.intake.near, but=case_id)
        found = [one for one in found if caller.sight.case(one.case.area, one.case.unit, one.case.called)]
        out = await cases_out(conn, [one.case for one in found])
    items = [
        SimilarCase(case=told, likeness=one.likeness, distance=one.distance, last=one.last, reporters=one.reporters)
        for told, one in zip(out, found, strict=True)
    ]
    return SimilarCases(items=items)


@around.get("/{case_id}/history", summary="What happened at a case's place")
async def read_history(case_id: CaseId, caller: Anyone, desk: TheDesk) -> HistoryOut:
    """Cases within 100 m in the last twelve months, beside this one: counted by kind, and those that may be seen."""
    ground, now = await desk.ground(), datetime.now(UTC)
    async with desk.pool.connection() as conn:
        case = await seen(conn, case_id, caller)
        if case.lon is None or case.lat is None:
            return HistoryOut(metres=HISTORY_METRES, since=now - HISTORY_SPAN, kinds=[], cases=[])
        found = await place_history(conn, case.lon, case.lat, now, but=case_id)
        near = [(c, far) for c, far in found.cases if caller.sight.case(c.area, c.unit, c.called)]
        out = await cases_out(conn, [c for c, _ in near])
    return HistoryOut(
        metres=found.metres,
        since=found.since,
        kinds=kind_counts(found, ground),
        cases=[NearCase(case=told, distance=round(far, 1)) for told, (_, far) in zip(out, near, strict=True)],
    )


def _reporter(reporter: Reporter, *, whole: bool) -> ReporterOut:
    plain = ("id", "by", "display", "origin", "at", "received", "note", "on_spot", "home", "home_number", "seq")
    return ReporterOut(
        **{name: getattr(reporter, name) for name in plain},
        name=reporter.name if whole else "",
        contact=reporter.contact if whole else "",
        lon=number(reporter.lon, 7),
        lat=number(reporter.lat, 7),
        accuracy=number(reporter.accuracy, 1),
        attachments=[AttachmentOut.model_validate(photo) for photo in reporter.photos],
    )
