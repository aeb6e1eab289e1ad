"""The queue of cases that are nobody's, and the joint decision whose one is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from psycopg import AsyncConnection

from alerts.case import Refused
from console.answers import case_out
from console.api.duties import unit_name
from console.api.paging import Before, Limit
from console.api.refusals import LOGGED_IN, refusals, refused
from console.auth import Caller, Chiefs, Desks
from console.desk import Ground, TheDesk
from console.errors import Problem, not_found
from console.models import Text
from console.models_cases import CaseOut
from console.models_duty import DeclinedOut, OwnerDecision, SuggestionOut, UnclearOut, UnclearPage
from store.cases import get_case
from store.desk import account_names
from store.ownership import Unclear, decide_owner, get_unclear, list_unclear

ownership = APIRouter(prefix="/api/v1/ownership", tags=["ownership"], responses=refusals(*LOGGED_IN))
CaseId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The case's id")]


@ownership.get("", summary="The cases that are nobody's, the oldest first")
async def read_queue(caller: Desks, desk: TheDesk, limit: Limit = 20, before: Before = None) -> UnclearPage:
    """Of the account's area: since when, who sent it back and why, and which units could have it, with reasons."""
    ground = await desk.ground()
    async with desk.pool.connection() as conn:
        found, more = await list_unclear(
            conn, site=ground.site, duty=ground.duty, areas=caller.sight.areas, limit=limit, before=before
        )
        return UnclearPage(items=[await _out(conn, each, ground) for each in found], next=more)


@ownership.get("/{case_id}", summary="One case that is nobody's", responses=refusals(404))
async def read_one(case_id: CaseId, caller: Desks, desk: TheDesk) -> UnclearOut:
    """404 when it has a unit by now, or nothing is to be done with it any more."""
    ground = await desk.ground()
    async with desk.pool.connection() as conn:
        found = await get_unclear(conn, case_id, site=ground.site, duty=ground.duty)
        if found is None or not caller.sight.area(found.case.area):
            raise not_found("该权属不清事件", "such case of unclear ownership")
        return await _out(conn, found, ground)


@ownership.post("/{case_id}", summary="Decide whose a case is", responses=refusals(404, 409))
async def decide(case_id: CaseId, order: OwnerDecision, caller: Chiefs, desk: TheDesk) -> CaseOut:
    """By joint decision of at least two, which is recorded; the units that took part are told.

    With `remember` the duty matrix says so from now on for that area and those below it.
    """
    if order.remember is not None and not caller.sight.area(order.remember):
        zh, en = "这个辖区不在您的权限内", "This area is not yours to change"
        raise Problem(403, "area_limited", zh, en)
    async with desk.pool.connection() as conn:
        await _seen(conn, case_id, caller)
    async with desk.pool.connection() as conn:
        try:
            case = await decide_owner(
                conn,
                case_id,
                caller.account.actor,
                unit=order.unit,
                participants=order.participants,
                reason=order.reason,
                remember=order.remember,
                version=order.version,
            )
        except Refused as refusal:
            raise refused(refusal) from refusal
        owners = await account_names(conn, [case.owner])
    if order.remember is not None:
        desk.grounds.forget()
    return case_out(case, owners, datetime.now(UTC))


async def _seen(conn: AsyncConnection, case_id: int, caller: Caller) -> None:
    case = await get_case(conn, case_id)
    if case is None or not caller.sight.case(case.area, case.unit):
        raise not_found("该事件", "such case")


async def _out(conn: AsyncConnection, found: Unclear, ground: Ground) -> UnclearOut:
    now = datetime.now(UTC)
    return UnclearOut(
        case=case_out(found.case, await account_names(conn, [found.case.owner]), now),
        since=found.since,
        until=found.until,
        limit=found.limit,
        overdue=now > found.until,
        declined=[
            DeclinedOut(unit=each.unit, unit_name=unit_name(ground, each.unit), by=each.by, at=each.at, why=each.why)
            for each in found.declined
        ],
        suggestions=[
            SuggestionOut(
                unit=each.unit,
                unit_name=unit_name(ground, each.unit),
                score=each.score,
                why=[Text.model_validate(why) for why in each.why],
            )
            for each in found.suggestions
        ],
        remember=ground.site.lineage(found.case.area or ""),
    )
