"""Alerts: list, look at one with its evidence, acknowledge, void."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from psycopg import AsyncConnection

from alerts.alert import Alert
from alerts.case import Refused
from console.answers import alert_detail, alert_out
from console.api.paging import Before, Limit
from console.api.refusals import LOGGED_IN, refusals, refused
from console.auth import Anyone, Caller, Desks, Staff
from console.desk import TheDesk
from console.errors import not_found
from console.models import AlertDetail, AlertOut, AlertPage, AlertState
from console.orders import VoidAlert
from store.casebook import acknowledge_alert, get_alert, get_case, list_alerts, void_alert

alerts = APIRouter(prefix="/api/v1/alerts", tags=["alerts"], responses=refusals(*LOGGED_IN))
AlertId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The alert's id")]


@alerts.get("", summary="The alerts, newest first")
async def read_alerts(
    caller: Anyone,
    desk: TheDesk,
    state: Annotated[AlertState | None, Query(description="Only those in this state")] = None,
    rule: Annotated[str | None, Query(max_length=100, description="Only those of this rule")] = None,
    limit: Limit = 50,
    before: Before = None,
) -> AlertPage:
    """Those in the account's area; for a unit those of its own cases, and of its area if it is given one."""
    sight = caller.sight
    async with desk.pool.connection() as conn:
        found, more = await list_alerts(
            conn, state=state, rule=rule, areas=sight.areas, unit=sight.own_unit, limit=limit, before=before
        )
    return AlertPage(items=[alert_out(alert) for alert in found], next=more)


@alerts.get("/{alert_id}", summary="An alert with its evidence", responses=refusals(404))
async def read_alert(alert_id: AlertId, caller: Anyone, desk: TheDesk) -> AlertDetail:
    """The evidence is left out where it shows the track of somebody whom the account may not see."""
    async with desk.pool.connection() as conn:
        alert, its_own = await _seen(conn, alert_id, caller)
    device = (await desk.ground()).site.registry.resolve(alert.subject)
    return alert_detail(alert, with_evidence=its_own or device is None or caller.sight.device(device))


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
    """The alert, and whether its case is the caller's own unit's.

    Raises:
        Problem: there is none, or the caller may not see it.
    """
    alert = await get_alert(conn, alert_id)
    case = await get_case(conn, alert.case_id) if alert is not None and alert.case_id is not None else None
    unit = case.unit if case else None
    if alert is None or not caller.sight.alert(alert.area, unit):
        raise not_found("该预警", "such alert")
    return alert, unit is not None and unit == caller.sight.own_unit
