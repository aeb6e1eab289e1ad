"""Assessment: the figures of units and areas, as JSON, CSV and PDF, and as a page."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Cookie, Depends, Query, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from alerts.assessment import By, WeakPoint, as_row
from alerts.digest import Digest, Line, as_csv, period
from console.api.refusals import LOGGED_IN, refusals
from console.assessment_page import assessment_page
from console.assessment_pdf import assessment_pdf
from console.auth import COOKIE, Anyone, Caller, caller_of
from console.desk import Desk, TheDesk
from console.errors import wrong_value
from console.models import Text
from console.models_assessment import AssessedGroup, AssessmentOut, FiguresOut, WeakPointOut
from console.orders import Moment
from devices.site import CHINA
from store.assessment import read_digest

assessment = APIRouter(prefix="/api/v1/assessment", tags=["assessment"], responses=refusals(*LOGGED_IN))
assessment_pages = APIRouter(include_in_schema=False)
LONGEST: Final = timedelta(days=366)
YEARS: Final = range(2000, 3000)  # at either end of time there is no period before, or after
Lang = Annotated[Literal["zh", "en"], Query(description="Language")]


class Asked:
    """Which figures: a day, a week, or any stretch; by unit or by area."""

    def __init__(
        self,
        kind: Annotated[
            Literal["day", "week"], Query(alias="period", description="The day or the week of `date`; see `since`")
        ] = "week",
        day: Annotated[
            date | None, Query(alias="date", description="A day of it, site time; default: yesterday")
        ] = None,
        since: Annotated[Moment | None, Query(description="Instead: from here …")] = None,
        until: Annotated[Moment | None, Query(description="… until here")] = None,
        by: Annotated[By, Query(description="By unit or by area with all below it")] = "unit",
    ) -> None:
        self.kind, self.by = kind, by
        self.day = day or (datetime.now(CHINA) - timedelta(days=1)).date()
        if self.day.year not in YEARS:
            raise wrong_value("年份须在 2000 至 2999 之间", "The year must be between 2000 and 2999")
        if (since is None) != (until is None):
            raise wrong_value("起止时间须同时给出", "Give both since and until, or neither")
        if since is None or until is None:
            self.since, self.until = period(kind, self.day)
        elif not since < until <= since + LONGEST:
            raise wrong_value("时间段须不为空且不超过一年", "The stretch must not be empty, and is 366 days at most")
        else:
            self.since, self.until = since, until


TheAsked = Annotated[Asked, Depends()]


@assessment.get("", summary="The figures of units or areas")
async def read_assessment(asked: TheAsked, caller: Anyone, desk: TheDesk) -> AssessmentOut:
    """Of a day, a week or any stretch, beside the stretch before; weak points are named. What the account may not see
    is not counted."""
    found = await _digest(asked, caller, desk)
    return AssessmentOut(
        title=_text(found.title),
        since=found.since,
        until=found.until,
        as_of=found.as_of,
        by=found.by,
        total=_group(found.total),
        groups=[_group(line) for line in found.lines],
        weak_points=[_weak(point) for point in found.weak],
    )


@assessment.get(
    "/csv",
    summary="The figures as CSV",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "The file"}},
)
async def download_csv(asked: TheAsked, caller: Anyone, desk: TheDesk, lang: Lang = "zh") -> Response:
    """With a byte order mark, for spreadsheets."""
    found = await _digest(asked, caller, desk)
    return Response(as_csv(found, lang), media_type="text/csv; charset=utf-8", headers=_named(found, "csv"))


@assessment.get(
    "/pdf",
    summary="The digest as PDF",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}, "description": "The file"}},
)
async def download_pdf(asked: TheAsked, caller: Anyone, desk: TheDesk, lang: Lang = "zh") -> Response:
    """To print and to file."""
    found = await _digest(asked, caller, desk)
    return Response(assessment_pdf(found, lang), media_type="application/pdf", headers=_named(found, "pdf"))


@assessment_pages.get("/assessment")
async def page(
    asked: TheAsked, desk: TheDesk, lang: Lang = "zh", token: Annotated[str | None, Cookie(alias=COOKIE)] = None
) -> Response:
    """The digest as a page without scripts."""
    caller = await caller_of(desk, token)
    if caller is None or caller.account.one_time or caller.account.role == "grid":
        return RedirectResponse("/login", status_code=303, headers={"Cache-Control": "no-store"})
    found = await _digest(asked, caller, desk)
    return HTMLResponse(assessment_page(found, asked.kind, asked.day, lang), headers={"Cache-Control": "no-store"})


async def _digest(asked: Asked, caller: Caller, desk: Desk) -> Digest:
    ground = await desk.ground()

    def seen(area: str | None, unit: str | None) -> bool:
        return caller.sight.case(area, unit)

    async with desk.pool.connection() as conn:
        return await read_digest(conn, ground.site, asked.by, asked.since, asked.until, seen, datetime.now(UTC))


def _named(found: Digest, suffix: str) -> dict[str, str]:
    name = f"patrolgrid-{found.by}-{found.since.astimezone(CHINA):%Y%m%d}.{suffix}"
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}


def _group(line: Line) -> AssessedGroup:
    now, before = (FiguresOut(**as_row(one)) for one in (line.now, line.before))
    return AssessedGroup(code=line.code, name=_text(line.name), now=now, before=before)


def _weak(point: WeakPoint) -> WeakPointOut:
    return WeakPointOut(
        group=point.group, figure=point.figure, before=point.before, now=point.now, sentence=_text(point.sentence)
    )


def _text(sentence: object) -> Text:
    return Text.model_validate(sentence)
