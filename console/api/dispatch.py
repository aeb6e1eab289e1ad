"""Whom to send to a case: the terminals around it, nearest first, with what speaks against each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from alerts.dispatch import UNFIT_NAMES, Candidate
from console.answers import number
from console.api.cases import CaseId, seen
from console.api.refusals import LOGGED_IN, refusals
from console.auth import Desks
from console.desk import TheDesk
from console.errors import Problem
from console.models import Text
from console.models_dispatch import CandidateList, CandidateOut, Unfit
from devices.registry import Device
from store.casebook import asked_terminals, candidates

dispatch = APIRouter(prefix="/api/v1/cases", tags=["cases"], responses=refusals(*LOGGED_IN))


@dispatch.get("/{case_id}/candidates", summary="The terminals that could be sent", responses=refusals(404, 409))
async def read_candidates(
    case_id: CaseId,
    caller: Desks,
    desk: TheDesk,
    limit: Annotated[int, Query(ge=1, le=200, description="Most terminals in the answer")] = 20,
) -> CandidateList:
    """Within 20 km of the case and heard of in the last hour; only terminals that the account may see.

    The fit ones come first. One that is busy, low on battery, silent, calling for help itself or doubtful comes after
    them with the reason: an officer may know better. 409 when the case has no place.
    """
    registry = (await desk.ground()).site.registry
    async with desk.pool.connection() as conn:
        case = await seen(conn, case_id, caller)
        if case.lon is None or case.lat is None:
            zh, en = "事件没有位置，无法派遣终端", "The case has no place to send a terminal to"
            raise Problem(409, "no_place", zh, en)
        asked = await asked_terminals(conn, case_id)
        found = await candidates(conn, case.lon, case.lat, datetime.now(UTC), case_id=case_id, asked=asked)
    items = []
    for candidate in found:
        device = registry.resolve(candidate.standing.code)
        if device is not None and caller.sight.device(device):
            items.append(_candidate(candidate, device))
    return CandidateList(items=items[:limit])


def _candidate(found: Candidate, device: Device) -> CandidateOut:
    standing = found.standing
    return CandidateOut(
        terminal=standing.code,
        name=Text(zh=standing.name.zh, en=standing.name.en),
        role=device.role,
        unit=device.unit,
        distance=number(found.distance, 1),
        age=round(found.age, 1),
        at=standing.at,
        battery=number(standing.battery, 1),
        busy=standing.busy,
        fit=found.fit,
        unfit=[Unfit(code=code, zh=UNFIT_NAMES[code].zh, en=UNFIT_NAMES[code].en) for code in found.unfit],
    )
