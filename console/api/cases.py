"""Cases: list, look at one with its whole story, report one, move one on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, status
from psycopg import AsyncConnection

from alerts.case import Case, Refused
from alerts.chain import offers
from alerts.opening import area_at
from console.answers import alert_out, case_out, notice_out
from console.api.photos import claimed
from console.api.refusals import LOGGED_IN, refusals, refused
from console.auth import Anyone, Caller, Staff
from console.case_filter import CaseFilter
from console.desk import Ground, TheDesk
from console.errors import not_found, wrong_value
from console.models_cases import (
    CaseDetail,
    CaseOut,
    CasePage,
    EntryOut,
    PossibleAction,
)
from console.orders import Action, NewCase
from store.casebook import act, case_alerts, case_entries, case_notices, get_case, list_cases, report_case
from store.database import reading
from store.desk import account_names

cases = APIRouter(prefix="/api/v1/cases", tags=["cases"], responses=refusals(*LOGGED_IN))
CaseId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The case's id")]


@cases.get("", summary="The cases, newest first")
async def read_cases(caller: Anyone, desk: TheDesk, asked: Annotated[CaseFilter, Query()]) -> CasePage:
    """Those in the account's area; for the role *unit* those of its unit, and those in which it has a part.

    Several values of one filter: repeated, or with commas between them.
    """
    own = caller.sight.own_unit
    wanted = "" if asked.unit == "-" else asked.unit or None
    if own is not None and (not own or wanted not in (None, own)):
        return CasePage(items=[], next=None)
    areas = caller.sight.areas if own is None else None
    if asked.area:
        site = (await desk.ground()).site
        below = frozenset(code for code in site.areas if asked.area in site.lineage(code))
        areas = below if areas is None else below & areas
    async with reading(desk.pool) as conn:
        found, more = await list_cases(
            conn,
            status=asked.statuses(),
            unit=wanted,
            involved=own if wanted is None else None,
            areas=areas,
            categories=asked.categories(),
            severities=asked.severities(),
            supervision=asked.supervision,
            overdue=asked.overdue,
            text=asked.q,
            limit=asked.limit,
            before=asked.before,
        )
        items = await cases_out(conn, found)
    return CasePage(items=items, next=more)


@cases.post("", summary="Report a case", status_code=status.HTTP_201_CREATED)
async def report(order: NewCase, caller: Staff, desk: TheDesk) -> CaseOut:
    """From a call or a visit. It is `reported` until the desk opens it; the duty matrix says whose it is."""
    ground = await desk.ground()
    _check_place(order, caller, ground)
    async with desk.pool.connection() as conn:
        try:
            case = await report_case(
                conn,
                actor=caller.account.actor,
                category=order.category,
                title=order.title,
                severity=order.severity,
                site=ground.site,
                duty=ground.duty,
                note=order.note,
                lon=order.lon,
                lat=order.lat,
                owner=caller.account.id,
            )
        except Refused as refusal:
            raise refused(refusal) from refusal
        return (await cases_out(conn, [case]))[0]


@cases.get("/{case_id}", summary="A case with its whole story", responses=refusals(404))
async def read_case(case_id: CaseId, caller: Anyone, desk: TheDesk) -> CaseDetail:
    """The case, its timeline, alerts and notices, and what the account may do with it now."""
    async with desk.pool.connection() as conn:
        return await _detail(conn, await seen(conn, case_id, caller), caller)


@cases.post("/{case_id}/actions", summary="Move a case on", responses=refusals(404, 409))
async def take_action(case_id: CaseId, order: Action, caller: Staff, desk: TheDesk) -> CaseDetail:
    """One of the `actions` that the case offers. 409 says why not: not from this status, or somebody was faster.

    `attachments` are shown by the entry that this makes.

    A unit that hands a case on may not see it afterwards; the answer still shows what was done. Both cases of a merge
    must be such as the account may see.
    """
    ground = await desk.ground()
    if order.terminal is not None:
        device = ground.site.registry.resolve(order.terminal)
        if device is None or device.code != order.terminal or not caller.sight.device(device):
            raise wrong_value(
                f"没有可用终端“{order.terminal}”", f"There is no terminal {order.terminal!r} for you to send"
            )
    async with desk.pool.connection() as conn:
        await seen(conn, case_id, caller)
        if order.into is not None:
            await seen(conn, order.into, caller)
    async with desk.pool.connection() as conn:
        try:
            photos = await claimed(conn, desk, order.attachments, caller)
            case = await act(
                conn,
                case_id,
                order.action,
                caller.account.actor,
                note=order.note or "",
                version=order.version,
                data=order.wish(),
                photos=photos,
            )
        except Refused as refusal:
            raise refused(refusal) from refusal
    async with desk.pool.connection() as conn:
        return await _detail(conn, await get_case(conn, case_id) or case, caller)


async def seen(conn: AsyncConnection, case_id: int, caller: Caller) -> Case:
    """The case. Raises Problem (404) when there is none, or the caller may not know of it."""
    case = await get_case(conn, case_id)
    if case is None or not caller.sight.case(case.area, case.unit, case.called):
        raise not_found("该事件", "such case")
    return case


async def cases_out(conn: AsyncConnection, found: Sequence[Case]) -> list[CaseOut]:
    owners = await account_names(conn, (case.owner for case in found))
    now = datetime.now(UTC)
    return [case_out(case, owners, now) for case in found]


async def _detail(conn: AsyncConnection, case: Case, caller: Caller) -> CaseDetail:
    return CaseDetail(
        case=(await cases_out(conn, [case]))[0],
        entries=[EntryOut.model_validate(entry) for entry in await case_entries(conn, case.id)],
        alerts=[alert_out(alert) for alert in await case_alerts(conn, case.id)],
        notices=[notice_out(notice) for notice in await case_notices(conn, case.id)],
        actions=[
            PossibleAction(action=offer.action, zh=offer.zh, en=offer.en, needs=list(offer.needs))
            for offer in offers(case, caller.account.actor, datetime.now(UTC))
        ],
    )


def _check_place(order: NewCase, caller: Caller, ground: Ground) -> None:
    """Somebody with an area reports inside it, or would not find the case again."""
    sight = caller.sight
    if sight.own_unit is None and sight.areas is not None:
        area = area_at(ground.site, order.lon, order.lat)
        if not sight.area(area):
            raise wrong_value("这个位置不在您辖区的任何围栏内", "The place is in no zone of your area")
