"""What was written to a unit about an overdue case: the urging, the letter and the second one, as text and to print."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import HTMLResponse

from alerts.case import Entry
from alerts.letter import Letter, NoLetter, as_text, letter_of
from alerts.supervision import LEVELS
from console.api.refusals import LOGGED_IN, refusals
from console.auth import Anyone, Caller
from console.desk import Desk, TheDesk
from console.errors import not_found
from console.letter_page import letter_page
from console.models import Text
from console.models_duty import LetterDetail, LetterOut, StepName
from store.cases import get_case
from store.entries import case_entries

letters = APIRouter(prefix="/api/v1/cases/{case_id}/letters", tags=["cases"], responses=refusals(*LOGGED_IN, 404))
CaseId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The case's id")]
Seq = Annotated[int, Path(ge=1, le=2**31 - 1, description="The entry of the timeline that the letter is")]


@letters.get("", summary="The letters of supervision of a case")
async def read_letters(case_id: CaseId, caller: Anyone, desk: TheDesk) -> list[LetterOut]:
    """Urgings, letters and second letters, the oldest first."""
    entries = await _entries(case_id, caller, desk)
    steps = [entry for entry in entries if entry.action in LEVELS]
    return [_out(entry, await _letter(entries, entry.seq, desk)) for entry in steps]


@letters.get("/{seq}", summary="A letter of supervision as text")
async def read_letter(case_id: CaseId, seq: Seq, caller: Anyone, desk: TheDesk) -> LetterDetail:
    """In both languages. It says what was known when it was sent, and never changes."""
    entries = await _entries(case_id, caller, desk)
    letter = await _letter(entries, seq, desk)
    text = Text(zh=as_text(letter, "zh"), en=as_text(letter, "en"))
    return LetterDetail(**dict(_out(next(e for e in entries if e.seq == seq), letter)), text=text)


@letters.get(
    "/{seq}/print",
    summary="A letter of supervision as a page to print",
    response_class=Response,  # not HTMLResponse, which would describe the refusals as HTML, too
    responses={200: {"content": {"text/html": {}}, "description": "The page"}},
)
async def print_letter(
    case_id: CaseId,
    seq: Seq,
    caller: Anyone,
    desk: TheDesk,
    lang: Annotated[Literal["zh", "en"], Query(description="Language of the page")] = "zh",
) -> HTMLResponse:
    """One page of HTML without scripts."""
    return HTMLResponse(letter_page(await _letter(await _entries(case_id, caller, desk), seq, desk), lang))


async def _entries(case_id: int, caller: Caller, desk: Desk) -> list[Entry]:
    async with desk.pool.connection() as conn:
        case = await get_case(conn, case_id)
        if case is None or not caller.sight.case(case.area, case.unit, case.called):
            raise not_found("该事件", "such case")
        return await case_entries(conn, case_id)


async def _letter(entries: list[Entry], seq: int, desk: Desk) -> Letter:
    ground = await desk.ground()
    try:
        return letter_of(entries, seq, ground.site, ground.duty.categories)
    except NoLetter as error:
        raise not_found("该督办函", "such letter") from error


def _out(entry: Entry, letter: Letter) -> LetterOut:
    return LetterOut(
        seq=entry.seq,
        step=cast("StepName", entry.action),
        number=letter.number,
        at=entry.at,
        by=entry.actor,
        title=Text.model_validate(letter.title),
        to=Text.model_validate(letter.to),
        supervisors=[Text.model_validate(person) for person in letter.copies],
        answer_by=entry.data.get("answer_by"),
    )
