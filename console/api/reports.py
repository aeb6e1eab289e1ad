"""Reports: what people see, taken in once however often it is sent, and how the own ones stand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import shapely
from fastapi import APIRouter, Header, Path, status
from fastapi.responses import JSONResponse
from psycopg import AsyncConnection

from alerts.case import Actor, Refused
from alerts.duplicates import Happening
from alerts.duty import ANY
from console.api.categories import CategoryOut, read_categories
from console.api.paging import Before, Limit
from console.api.photos import claimed
from console.api.refusals import LOGGED_IN, refusals, refused
from console.auth import Caller, Reporters
from console.desk import Desk, Ground, TheDesk
from console.errors import not_found
from console.models import Text
from console.models_intake import (
    NewReport,
    NewReportNote,
    PhotoLimits,
    PlaceOrder,
    PlaceOut,
    ReportDetail,
    ReportForm,
    ReportPage,
    ReportTaken,
)
from console.orders import Order
from console.report_answers import kind_counts, report_detail, reports_out, similar_out
from devices.site import Site
from store.answers import LEAST_KEY, MOST_KEY, answer_once, request_digest
from store.cases import act
from store.intake import Report, believed, take_report
from store.photos import MOST_PHOTOS
from store.places import place_history, similar_cases
from store.reporters import Caller as PhoneCaller
from store.reporters import Reporter, own_report, own_reports

reports = APIRouter(prefix="/api/v1/reports", tags=["reports"], responses=refusals(*LOGGED_IN))

REPLAYED: Final = "Idempotency-Replayed"
OTHER: Final = "other"
"""The kind of what is none of the site's."""
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=LEAST_KEY,
        max_length=MOST_KEY,
        pattern=r"^[!-~]+$",
        description="Made by who sends, new for each report: with the same key it is taken in once",
        examples=["0b8f6a5e-6f0a-4c55-9f0e-3f4f3b1c9a11"],
    ),
]
ReportId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The report's id")]


@reports.post(
    "",
    summary="Report what was seen",
    status_code=status.HTTP_201_CREATED,
    response_model=ReportTaken,
    responses=refusals(404),
)
async def report(order: NewReport, key: Key, caller: Reporters, desk: TheDesk) -> JSONResponse:
    """A case, or with `same_as` one more report of a case that goes on.

    The same key with the same body gives the same answer again, with `Idempotency-Replayed: true`, and does nothing;
    with another body it is refused. A refusal keeps no key. Keys are forgotten after `PATROLGRID_KEY_DAYS`.
    """
    ground = await desk.ground()

    async def work(conn: AsyncConnection) -> ReportTaken:
        photos = await claimed(conn, desk, order.attachments, caller)
        taken = await take_report(
            conn,
            _report(order, caller, photos),
            caller.account,
            site=ground.site,
            duty=ground.duty,
            limits=desk.intake.near,
            sees=lambda case: caller.sight.case(case.area, case.unit, case.called),
        )
        (newest,), _ = await own_reports(conn, caller.account.id, 1, None)
        (out,) = await reports_out(conn, [newest], ground)
        here = _happening(order)
        similar = [] if taken.joined else await similar_cases(conn, here, desk.intake.near, but=taken.case.id)
        return ReportTaken(report=out, similar=[similar_out(one, caller) for one in similar])

    return await _once("reports", order, key, caller, desk, work)


@reports.get("", summary="The own reports, newest first")
async def read_reports(caller: Reporters, desk: TheDesk, limit: Limit = 20, before: Before = None) -> ReportPage:
    """What this account reported, and how the cases stand."""
    ground = await desk.ground()
    async with desk.pool.connection() as conn:
        found, more = await own_reports(conn, caller.account.id, limit, before)
        return ReportPage(items=await reports_out(conn, found, ground), next=more)


@reports.get("/form", summary="What a page needs to take a report")
async def read_form(caller: Reporters, desk: TheDesk) -> ReportForm:
    """The kinds of event, waters and no-fishing zones to know the place by, what a picture may be."""
    ground, media = await desk.ground(), desk.intake.media
    shores = [zone for zone in ground.site.zones.values() if zone.kind in ("water", "no_fishing")]
    features = [
        {
            "type": "Feature",
            "properties": {"kind": zone.kind, "name": zone.name, "name_en": zone.name_en},
            "geometry": shapely.geometry.mapping(zone.geometry),
        }
        for zone in sorted(shores, key=lambda zone: zone.code)
    ]
    return ReportForm(
        name=ground.site.name,
        name_en=ground.site.name_en,
        kinds=await _kinds(caller, desk, ground),
        bounds=_bounds(ground.site),
        shores={"type": "FeatureCollection", "features": features},
        tile_url=desk.tile_url,
        tile_attribution=desk.tile_attribution,
        photos=PhotoLimits(most=MOST_PHOTOS, bytes=media.most_bytes if media else 0),
    )


@reports.post("/similar", summary="What is known of a place before reporting")
async def ask_place(order: PlaceOrder, caller: Reporters, desk: TheDesk) -> PlaceOut:
    """Open cases that may be the same, and how often which kind happened there in the last twelve months."""
    ground, now = await desk.ground(), datetime.now(UTC)
    async with desk.pool.connection() as conn:
        similar = await similar_cases(conn, _happening(order), desk.intake.near)
        history = await place_history(conn, order.lon, order.lat, now)
    return PlaceOut(
        similar=[similar_out(one, caller) for one in similar],
        metres=history.metres,
        since=history.since,
        kinds=kind_counts(history, ground),
    )


@reports.get("/{report_id}", summary="One of the own reports", responses=refusals(404))
async def read_report(report_id: ReportId, caller: Reporters, desk: TheDesk) -> ReportDetail:
    """With the notes and pictures that were added to it."""
    ground = await desk.ground()
    async with desk.pool.connection() as conn:
        return await report_detail(conn, await _own(conn, report_id, caller), caller, ground)


@reports.post(
    "/{report_id}/notes",
    summary="Add to an own report",
    status_code=status.HTTP_201_CREATED,
    response_model=ReportDetail,
    responses=refusals(404, 409),
)
async def add_note(
    report_id: ReportId, order: NewReportNote, key: Key, caller: Reporters, desk: TheDesk
) -> JSONResponse:
    """A note, pictures, or both, in the timeline of the case that goes on. Taken in once, as a report is."""
    ground = await desk.ground()
    as_reporter = Actor(caller.account.name, "grid")  # to one's own report, also where the case is another unit's

    async def work(conn: AsyncConnection) -> ReportDetail:
        own = await _own(conn, report_id, caller)
        photos = await claimed(conn, desk, order.attachments, caller)
        note = order.note or ("补充照片 / more pictures" if photos else "")
        await act(conn, own.case_id, "note", as_reporter, note=note, photos=photos)
        return await report_detail(conn, own, caller, ground)

    return await _once(f"reports/{report_id}/notes", order, key, caller, desk, work)


async def _once(
    route: str,
    order: Order,
    key: str,
    caller: Caller,
    desk: Desk,
    work: Callable[[AsyncConnection], Awaitable[ReportTaken | ReportDetail]],
) -> JSONResponse:
    digest = request_digest(route, order.model_dump(mode="json"))
    async with desk.pool.connection() as conn:

        async def worked() -> Any:
            return (await work(conn)).model_dump(mode="json")

        try:
            answer = await answer_once(conn, caller.account.id, key, digest, worked, datetime.now(UTC))
        except Refused as refusal:
            raise refused(refusal) from refusal
    headers = {REPLAYED: "true"} if answer.again else {}
    return JSONResponse(answer.content, status_code=status.HTTP_201_CREATED, headers=headers)


def _report(order: NewReport, caller: Caller, photos: tuple[Any, ...]) -> Report:
    plain = ("category", "lon", "lat", "note", "title", "severity", "accuracy", "seen", "on_spot", "same_as")
    return Report(
        **{name: getattr(order, name) for name in plain},
        origin="phone" if caller.account.role == "grid" else order.origin,
        caller=PhoneCaller(order.caller_name, order.caller_contact),
        photos=photos,
    )


def _happening(order: PlaceOrder) -> Happening:
    now = datetime.now(UTC)
    return Happening(order.category, order.lon, order.lat, believed(order.seen, now), order.accuracy or 0.0)


async def _own(conn: AsyncConnection, report_id: int, caller: Caller) -> Reporter:
    own = await own_report(conn, caller.account.id, report_id)
    if own is None:
        raise not_found("该上报", "such report of yours")
    return own


async def _kinds(caller: Caller, desk: Desk, ground: Ground) -> list[CategoryOut]:
    """The site's kinds, and one for whatever is none of them."""
    kinds = await read_categories(caller, desk)
    if any(kind.code == OTHER for kind in kinds):
        return kinds
    rest = ground.duty.categories.kinds.get(ANY)
    name = Text(zh=rest.name, en=rest.name_en) if rest else Text(zh="其他", en="Other")
    return [*kinds, CategoryOut(code=OTHER, name=name, severity=rest.severity if rest else None)]


def _bounds(site: Site) -> tuple[float, float, float, float] | None:
    """West, south, east, north of all zones."""
    if not site.zones:
        return None
    west, south, east, north = shapely.total_bounds([zone.geometry for zone in site.zones.values()]).tolist()
    return west, south, east, north
