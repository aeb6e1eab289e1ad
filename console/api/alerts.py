"""Alerts: list, look at one with its evidence, acknowledge one or many, void."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from psycopg import AsyncConnection

from alerts.alert import Alert
from alerts.case import Refused
from alerts.officers import evidence_shown
from console.answers import alert_detail, alert_out, alert_page
from console.api.paging import Before, Limit
from console.api.refusals import LOGGED_IN, refusals, refused
from console.auth import Anyone, Caller, Desks, Staff
from console.desk import TheDesk
from console.errors import not_found
from console.models import AlertDetail, AlertOut, AlertPage, AlertState, ErrorBody, Severity
from console.models_alerts import Acknowledged, AcknowledgeMany, RefusedOne
from console.orders import VoidAlert
from store.alert_list import Asked, group_sizes, list_alerts
from store.alerts import whose
from store.casebook import acknowledge_alert, acknowledge_alerts, alert_events, get_alert, get_case, void_alert
from store.database import reading

alerts = APIRouter(prefix="/api/v1/alerts", tags=["alerts"], responses=refusals(*LOGGED_IN))
AlertId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The alert's id")]


async def asked_for(
    caller: Anyone,
    desk: TheDesk,
    state: Annotated[list[AlertState] | None, Query(description="Only those in one of these states")] = None,
    rule: Annotated[list[str] | None, Query(max_length=50, description="Only those of one of these rules")] = None,
    severity: Annotated[list[Severity] | None, Query(description="Only those of one of these severities")] = None,
    area: Annotated[str | None, Query(max_length=100, description="Only those in this area and below")] = None,
    zone: Annotated[str | None, Query(max_length=200, description="Only those in this zone")] = None,
    subject: Annotated[str | None, Query(max_length=200, description="Only those about this device or thing")] = None,
    suppressed: Annotated[
        bool | None, Query(description="true: only those that are kept silent; false: only those that are told")
    ] = None,
    merged: Annotated[bool, Query(description="true: also those that turned out to be part of another")] = False,
) -> Asked:
    """What is asked for, within what the account may see."""
    areas = None
    if area is not None:
        site = (await desk.ground()).site
        areas = [code for code in site.areas if area in site.lineage(code)]
    return Asked(
        states=state or (),
        rules=rule or (),
        severities=severity or (),
        areas=areas,
        zone=zone,
        subject=subject,
        suppressed=suppressed,
        merged=None if merged else False,
        scopes=caller.sight.areas,
        unit=caller.sight.own_unit,
    )


@alerts.get("", summary="The alerts, newest first", response_model=AlertPage)
async def read_alerts(
    desk: TheDesk,
    asked: Annotated[Asked, Depends(asked_for)],
    grouped: Annotated[bool, Query(description="Of each group only the newest, and its members' number")] = False,
    limit: Limit = 50,
    before: Before = None,
) -> Response:
    """Those in the account's area; for a unit those of its own cases, and of its area if it is given one."""
    async with reading(desk.pool) as conn:
        found, more = await list_alerts(conn, asked, grouped=grouped, limit=limit, before=before)
        groups = [alert.group_id for alert in found if alert.group_id is not None] if grouped else []
        sizes = await group_sizes(conn, groups, asked)
    return Response(alert_page(found, more, sizes if grouped else None), media_type="application/json")


@alerts.post("/acknowledge", summary="Take many alerts over at once")
async def acknowledge_many(order: AcknowledgeMany, caller: Staff, desk: TheDesk) -> Acknowledged:
    """Each of them is acknowledged, or refused for a reason of its own."""
    wanted = list(dict.fromkeys(order.ids))
    async with desk.pool.connection() as conn:
        known = await whose(conn, wanted)
    seen = [number for number in wanted if number in known and caller.sight.alert(*known[number])]
    async with desk.pool.connection() as conn:
        outcomes = dict(await acknowledge_alerts(conn, seen, caller.account.actor))
    hidden = not_found("该预警", "such alert")
    told = ErrorBody(code=hidden.code, zh=hidden.zh, en=hidden.en)
    missing = [RefusedOne(id=number, error=told) for number in wanted if number not in outcomes]
    refused_ones = [
        RefusedOne(id=number, error=ErrorBody(code=outcome.code, zh=outcome.zh, en=outcome.en))
        for number, outcome in outcomes.items()
        if isinstance(outcome, Refused)
    ]
    done = [alert_out(outcome) for outcome in outcomes.values() if isinstance(outcome, Alert)]
    return Acknowledged(done=done, refused=[*refused_ones, *missing])


@alerts.get("/{alert_id}", summary="An alert with its evidence", responses=refusals(404))
async def read_alert(alert_id: AlertId, caller: Anyone, desk: TheDesk) -> AlertDetail:
    """The evidence is left out where it shows the track of somebody whom the account may not see."""
    async with desk.pool.connection() as conn:
        alert, its_own = await _seen(conn, alert_id, caller)
        events = await alert_events(conn, alert_id)
    registry = (await desk.ground()).site.registry
    shown = its_own or evidence_shown(alert.subject, alert.evidence, registry, caller.sight.device)
    return alert_detail(alert, events, with_evidence=shown)


@alerts.post("/{alert_id}/acknowledge", summary="Take an alert over", responses=refusals(404, 409))
async def acknowledge(alert_id: AlertId, caller: Staff, desk: TheDesk) -> AlertOut:
    """Somebody has seen it and looks after it."""
    async with desk.pool.connection() as conn:
        await _seen(conn, alert_id, caller)
    async with desk.pool.connection() as conn:
        try:
            return alert_out(await acknowledge_alert(conn, alert_id, caller.account.actor))
        except Refused as refusal:
            raise refused(refusal) from refusal


@alerts.post("/{alert_id}/void", summary="Declare an alert a false alarm", responses=refusals(404, 409))
async def void(alert_id: AlertId, order: VoidAlert, caller: Desks, desk: TheDesk) -> AlertOut:
    """Needs a reason. Its case, if it has one, is not voided with it: that is a decision of its own."""
    async with desk.pool.connection() as conn:
        await _seen(conn, alert_id, caller)
    async with desk.pool.connection() as conn:
        try:
            return alert_out(await void_alert(conn, alert_id, caller.account.actor, order.note))
        except Refused as refusal:
            raise refused(refusal) from refusal


async def _seen(conn: AsyncConnection, alert_id: int, caller: Caller) -> tuple[Alert, bool]:
    """The alert, and whether the caller's own unit works on its case: it is its own, or it has a part in it.

    Raises:
        Problem: there is none, or the caller may not see it.
    """
    alert = await get_alert(conn, alert_id)
    case = await get_case(conn, alert.case_id) if alert is not None and alert.case_id is not None else None
    working = frozenset() if case is None else case.called | ({case.unit} if case.unit else set())
    if alert is None or not caller.sight.alert(alert.area, case.unit if case else None, working):
        raise not_found("该预警", "such alert")
    return alert, caller.sight.own_unit in working
