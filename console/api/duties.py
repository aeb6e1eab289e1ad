"""The duty matrix: look things up, change a row, import and export it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, cast

from fastapi import APIRouter, Query, Request, Response

from alerts.case import Refused
from alerts.duty import DutyProblem
from alerts.duty_change import DutyChange
from alerts.duty_file import read_file, write_csv, write_workbook
from console.api.paging import Before, Limit
from console.api.refusals import LOGGED_IN, refusals, refused
from console.auth import Anyone, Caller, Chiefs, Desks
from console.desk import Ground, TheDesk
from console.errors import Problem
from console.models import Text
from console.models_duty import (
    DutyAnswer,
    DutyChangeOut,
    DutyCheck,
    DutyOrder,
    DutyOut,
    DutyPage,
    DutyPreview,
    DutyProblemOut,
    DutyRecord,
    DutyRecordPage,
    TableName,
)
from store.duties import (
    DutyRefused,
    DutyRow,
    duty_problems,
    import_duties,
    list_duties,
    list_duty_changes,
    load_book,
    put_duty,
)

duties = APIRouter(prefix="/api/v1/duties", tags=["duties"], responses=refusals(*LOGGED_IN))

MOST_LISTED: Final = 1000
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "The file: CSV of one table (duty, categories or supervisors), or a workbook of several",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            XLSX: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@duties.get("", summary="The duty matrix, row by row")
async def read_duties(
    caller: Anyone,
    desk: TheDesk,
    category: Annotated[str | None, Query(max_length=60, description="Only this kind of event")] = None,
    area: Annotated[str | None, Query(max_length=100, description="Only this area and those below it")] = None,
    unit: Annotated[str | None, Query(max_length=100, description="Only this unit's")] = None,
    limit: Limit = 100,
    before: Before = None,
) -> DutyPage:
    """In the order of its file. Who is responsible for what is no secret: every role sees all of it."""
    ground = await desk.ground()
    below = None if area is None else [code for code in ground.site.areas if area in ground.site.lineage(code)]
    async with desk.pool.connection() as conn:
        found, more = await list_duties(
            conn, category=category, areas=below, unit=unit, limit=limit, after=-1 if before is None else before - 1
        )
    return DutyPage(items=[_row(row, ground) for row in found], next=None if more is None else more + 1)


@duties.get("/resolve", summary="Who is responsible for a kind in an area")
async def resolve(
    caller: Anyone,
    desk: TheDesk,
    category: Annotated[str, Query(max_length=60, description="A kind of event")],
    area: Annotated[str, Query(max_length=100, description="Code of an area")],
) -> DutyAnswer:
    """By the row of the area itself, else of those above it, else by a row for any kind."""
    ground = await desk.ground()
    found = ground.duty.resolve(category, area, ground.site)
    if found is None:
        return DutyAnswer(unit=None, unit_name=None, how=None, why=None)
    unit = found.duty.unit
    return DutyAnswer(unit=unit, unit_name=unit_name(ground, unit), how=found.how, why=Text.model_validate(found.why))


@duties.get("/check", summary="What is wrong with the duty matrix")
async def check(caller: Desks, desk: TheDesk) -> DutyCheck:
    """Conflicts, unknown codes, kinds that have nobody somewhere, kinds of rules that no row names."""
    async with desk.pool.connection() as conn:
        found = await duty_problems(conn)
    notes = sum(problem.note for problem in found)
    return DutyCheck(errors=len(found) - notes, notes=notes, problems=_problems(found))


@duties.get("/changes", summary="What was changed in the duty matrix, and by whom")
async def read_changes(caller: Desks, desk: TheDesk, limit: Limit = 50, before: Before = None) -> DutyRecordPage:
    """Line by line, the newest first; kept for good."""
    async with desk.pool.connection() as conn:
        found, more = await list_duty_changes(conn, limit, before)
    items = [
        DutyRecord(
            **{name: getattr(record, name) for name in ("id", "at", "actor", "how", "case_id", "what", "key")},
            table=cast("TableName", record.tab),
            before=record.before,
            after=record.after,
        )
        for record in found
    ]
    return DutyRecordPage(items=items, next=more)


@duties.get(
    "/export",
    summary="The duty matrix as a file",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}, XLSX: {}}, "description": "The file"}},
)
async def export(
    caller: Desks,
    desk: TheDesk,
    form: Annotated[
        Literal["csv", "xlsx"], Query(alias="format", description="CSV of one table, or all in one")
    ] = "csv",
    table: Annotated[TableName, Query(description="Of a CSV file")] = "duty",
) -> Response:
    """As the import takes it."""
    async with desk.pool.connection() as conn:
        tables = (await load_book(conn)).tables()
    content = write_workbook(tables) if form == "xlsx" else write_csv(table, tables[table])
    name = f"duty-{datetime.now(UTC):%Y%m%d}.xlsx" if form == "xlsx" else f"{table}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=XLSX if form == "xlsx" else "text/csv; charset=utf-8", headers=headers)


@duties.post("/import", summary="Take a file over as the duty matrix", openapi_extra=_FILE)
async def import_file(
    request: Request,
    caller: Chiefs,
    desk: TheDesk,
    name: Annotated[str, Query(max_length=100, description="The file's name, for what is said of it")] = "duty",
    merge: Annotated[bool, Query(description="Add its lines to the present ones instead of replacing these")] = False,
    dry_run: Annotated[bool, Query(description="Only say what would change and what is wrong")] = False,
) -> DutyPreview:
    """All of it or nothing: with anything wrong it is refused, and a dry run says everything that is.

    The body is the file itself, at most 8 MiB. Each table that it has replaces the present one.
    """
    _check_everywhere(caller)
    given = read_file(name, await request.body())
    async with desk.pool.connection() as conn:
        try:
            proposal = await import_duties(conn, given, actor=caller.account.name, merge=merge, dry_run=dry_run)
        except DutyRefused as error:
            raise _refusal(error.problems) from error
    desk.grounds.forget()
    return _preview(proposal.changes, proposal.problems, applied=not dry_run, refused=proposal.refused)


@duties.put("", summary="Change one row of the duty matrix", responses=refusals(404))
async def put_row(order: DutyOrder, caller: Chiefs, desk: TheDesk) -> DutyPreview:
    """Say who is responsible for a kind in an area; with `unit` null the row goes."""
    if not caller.sight.area(order.area):
        zh, en = "这个辖区不在您的权限内", "This area is not yours to change"
        raise Problem(403, "area_limited", zh, en)
    async with desk.pool.connection() as conn:
        try:
            changes = await put_duty(
                conn, order.category, order.area, order.unit, actor=caller.account.name, dry_run=order.dry_run
            )
        except Refused as refusal:
            raise refused(refusal) from refusal
    desk.grounds.forget()
    return _preview(changes, (), applied=not order.dry_run, refused=False)


def unit_name(ground: Ground, code: str) -> Text:
    """What a unit is called; its code where the site no longer has it."""
    unit = ground.site.units.get(code)
    return Text(zh=unit.name, en=unit.name_en) if unit else Text(zh=code, en=code)


def _row(row: DutyRow, ground: Ground) -> DutyOut:
    area = ground.site.areas.get(row.area)
    return DutyOut(
        position=row.position,
        category=row.category,
        category_name=Text.model_validate(ground.duty.categories.name(row.category)),
        area=row.area,
        area_name=Text(zh=area.name, en=area.name_en) if area else Text(zh=row.area, en=row.area),
        unit=row.unit,
        unit_name=unit_name(ground, row.unit),
    )


def _problems(found: Iterable[DutyProblem]) -> list[DutyProblemOut]:
    return [
        DutyProblemOut(
            kind=problem.kind,
            note=problem.note,
            category=problem.category,
            area=problem.area,
            file=problem.file,
            row=problem.row,
            text=Text(zh=problem.zh, en=problem.en),
        )
        for problem in [*found][:MOST_LISTED]
    ]


def _preview(
    changes: Sequence[DutyChange], problems: Sequence[DutyProblem], *, applied: bool, refused: bool
) -> DutyPreview:
    return DutyPreview(
        applied=applied,
        refused=refused,
        added=sum(change.what == "added" for change in changes),
        changed=sum(change.what == "changed" for change in changes),
        removed=sum(change.what == "removed" for change in changes),
        changes=[
            DutyChangeOut(
                table=cast("TableName", c.table), what=c.what, key=list(c.key), before=c.before, after=c.after
            )
            for c in changes[:MOST_LISTED]
        ],
        problems=_problems(problems),
    )


def _refusal(problems: Sequence[DutyProblem]) -> Problem:
    """422 with the first of what is wrong; a dry run gives all of it."""
    first, more = problems[:3], len(problems) - 3
    zh = "；".join(f"{problem.place_zh}{problem.zh}" for problem in first) + (f"；另有 {more} 处" if more > 0 else "")
    en = "; ".join(f"{problem.place}{problem.en}" for problem in first) + (f"; and {more} more" if more > 0 else "")
    return Problem(422, "wrong_file", zh, en)


def _check_everywhere(caller: Caller) -> None:
    if caller.sight.areas is not None:
        zh = "限定辖区的账号不能整体导入职责清单，可以逐条修改"
        raise Problem(
            403, "area_limited", zh, "An account with an area changes rows, it does not import the whole matrix"
        )
