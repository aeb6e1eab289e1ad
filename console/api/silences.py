"""Silences and maintenance: who keeps which alerts from being told, why, and until when. Nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from psycopg import AsyncConnection

from alerts.case import Refused
from alerts.suppression import Silence, Window
from console.api.paging import Before, Limit
from console.api.refusals import LOGGED_IN, refusals, refused
from console.auth import Caller, Desks, Staff
from console.desk import Ground, TheDesk
from console.errors import Problem, not_found, wrong_value
from console.models_alerts import NewSilence, NewWindow, SilenceOut, SilencePage, WindowOut, WindowPage
from detectors import DETECTORS
from store.silences import (
    Kind,
    end_silence,
    end_window,
    list_silences,
    list_windows,
    make_silence,
    make_window,
    scope_of,
)

silences = APIRouter(prefix="/api/v1", tags=["silences"], responses=refusals(*LOGGED_IN))
SilenceId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The silence's id")]
WindowId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The maintenance window's id")]
Current = Annotated[bool | None, Query(description="true: only those not over yet; false: only those that are")]


@silences.get("/silences", summary="The silences, newest first")
async def read_silences(
    caller: Staff, desk: TheDesk, current: Current = None, limit: Limit = 50, before: Before = None
) -> SilencePage:
    """Also those that are over. An account with an area sees those there, and those of the whole site."""
    now = datetime.now(UTC)
    async with desk.pool.connection() as conn:
        found, more = await list_silences(
            conn, areas=caller.sight.areas, current=current, now=now, limit=limit, before=before
        )
    return SilencePage(items=[_silence(silence, now) for silence in found], next=more)


@silences.post("/silences", summary="Keep alerts silent", status_code=201, responses=refusals(409))
async def silence(order: NewSilence, caller: Desks, desk: TheDesk) -> SilenceOut:
    """They are recorded and not told, and told when it is over and they still go on. Calls for help of high severity
    are always told. An account with an area can silence only what lies in it.
    """
    ground, now = await desk.ground(), datetime.now(UTC)
    _known("rule", "规则", [order.rule], (rule.code for rule in ground.rules))
    _known("kind", "类型", [order.kind], DETECTORS)
    _known("zone", "围栏", [order.zone], ground.site.zones)
    _known("area", "辖区", [order.area], ground.site.areas)
    scope = _scope(ground, order)
    _within(caller, [scope])
    given = order.model_dump(exclude={"starts"})
    made = Silence(**given, created_by=caller.account.name, created_at=now, starts=order.starts or now)
    async with desk.pool.connection() as conn:
        try:
            return _silence(await make_silence(conn, made, caller.account.actor, ground.rules, scope), now)
        except Refused as refusal:
            raise refused(refusal) from refusal


@silences.post("/silences/{silence_id}/end", summary="End a silence early", responses=refusals(404, 409))
async def stop_silence(silence_id: SilenceId, caller: Desks, desk: TheDesk) -> SilenceOut:
    """What it kept silent and still goes on is told within seconds."""
    now = datetime.now(UTC)
    async with desk.pool.connection() as conn:
        try:
            await _seen(conn, "silence", silence_id, caller)
            return _silence(await end_silence(conn, silence_id, caller.account.actor, now), now)
        except Refused as refusal:
            raise refused(refusal) from refusal


@silences.get("/maintenance", summary="The maintenance windows, newest first")
async def read_windows(
    caller: Staff, desk: TheDesk, current: Current = None, limit: Limit = 50, before: Before = None
) -> WindowPage:
    """Also those that are over. An account with an area sees those that touch it."""
    now = datetime.now(UTC)
    async with desk.pool.connection() as conn:
        found, more = await list_windows(
            conn, areas=caller.sight.areas, current=current, now=now, limit=limit, before=before
        )
    return WindowPage(items=[_window(window, now) for window in found], next=more)


@silences.post("/maintenance", summary="Plan maintenance", status_code=201, responses=refusals(409))
async def plan(order: NewWindow, caller: Desks, desk: TheDesk) -> WindowOut:
    """While it goes on, alerts about these devices, zones and areas are recorded and not told, except calls for help of
    high severity. An account with an area can plan only in it.
    """
    ground, now = await desk.ground(), datetime.now(UTC)
    registry, zones = ground.site.registry, ground.site.zones
    devices = {device.code: device for device in registry.devices}
    _known("devices", "设备", order.devices, devices)
    _known("zones", "围栏", order.zones, zones)
    _known("areas", "辖区", order.areas, ground.site.areas)
    scopes = {*order.areas, *(zones[code].area for code in order.zones), *(devices[c].area for c in order.devices)}
    _within(caller, scopes)
    lists = {name: tuple(getattr(order, name)) for name in ("devices", "zones", "areas")}
    made = Window(**(order.model_dump() | lists), created_by=caller.account.name, created_at=now)
    async with desk.pool.connection() as conn:
        try:
            return _window(await make_window(conn, made, caller.account.actor, scopes), now)
        except Refused as refusal:
            raise refused(refusal) from refusal


@silences.post("/maintenance/{window_id}/end", summary="End maintenance early", responses=refusals(404, 409))
async def stop_window(window_id: WindowId, caller: Desks, desk: TheDesk) -> WindowOut:
    """It repeats no more either. What it kept silent and still goes on is told within seconds."""
    now = datetime.now(UTC)
    async with desk.pool.connection() as conn:
        try:
            await _seen(conn, "maintenance", window_id, caller)
            return _window(await end_window(conn, window_id, caller.account.actor, now), now)
        except Refused as refusal:
            raise refused(refusal) from refusal


def _silence(made: Silence, now: datetime) -> SilenceOut:
    names = set(SilenceOut.model_fields) - {"on"}
    return SilenceOut(**{name: getattr(made, name) for name in names}, on=made.on(now))


def _window(made: Window, now: datetime) -> WindowOut:
    names = set(WindowOut.model_fields) - {"on"}
    return WindowOut(**{name: getattr(made, name) for name in names}, on=made.on(now))


def _scope(ground: Ground, order: NewSilence) -> str | None:
    """The area in which a silence lies; None: it may concern the whole site."""
    if order.area is not None:
        return order.area
    if order.zone is not None:
        return ground.site.zones[order.zone].area
    device = ground.site.registry.resolve(order.subject) if order.subject is not None else None
    return device.area if device else None


def _known(name: str, zh: str, given: Iterable[str | None], known: Iterable[str]) -> None:
    """Raise Problem where one is given that the site does not know: a silence for nothing would be believed to hold."""
    codes = set(known)
    for code in given:
        if code is not None and code not in codes:
            raise wrong_value(f"没有{zh}“{code}”", f"{name}: there is no {code!r}")


def _within(caller: Caller, scopes: Iterable[str | None]) -> None:
    """Raise Problem where it reaches beyond the account's area."""
    if not all(caller.sight.area(scope) for scope in scopes):
        raise Problem(
            403, "outside_area", "只能在本账号的辖区内设置静默或检修", "This reaches beyond the area of your account"
        )


async def _seen(conn: AsyncConnection, kind: Kind, number: int, caller: Caller) -> None:
    """Raise Problem where it lies outside what the account may arrange; Refused where there is none."""
    scopes = await scope_of(conn, kind, number)
    if caller.sight.areas is not None and (scopes is None or not caller.sight.areas.issuperset(scopes)):
        zh, en = ("该静默", "such silence") if kind == "silence" else ("该检修计划", "such maintenance window")
        raise not_found(zh, en)
