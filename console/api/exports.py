"""The signed export of one case: everything that is known of it, to be filed and to be checked without this system."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from typing import Annotated, BinaryIO, Final, Literal, cast

import structlog
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse

from alerts.case_export import export_name, write_case
from alerts.case_file import CaseFile, Photo
from alerts.case_pdf import Language
from console.api.cases import seen
from console.api.refusals import LOGGED_IN, refusals
from console.auth import Desks
from console.desk import Desk, TheDesk
from console.errors import Problem
from store.case_files import gather_case
from store.media import Damaged
from store.signing import KeyFile, UnusableKey

log = structlog.get_logger()
exports = APIRouter(prefix="/api/v1/cases/{case_id}/export", tags=["cases"], responses=refusals(*LOGGED_IN, 404))
CaseId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The case's id")]
LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")
_CHUNK: Final = 256 * 1024


@exports.get(
    "",
    summary="A case as a signed file",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}, "description": "The file"}, **refusals(409)},
)
async def export_case(
    case_id: CaseId,
    caller: Desks,
    desk: TheDesk,
    lang: Annotated[
        Literal["zh", "en"] | None, Query(description="Language of the PDF in it; left out: both languages")
    ] = None,
) -> StreamingResponse:
    """A ZIP with `case.json`, a PDF to read, the pictures, a manifest and its signature; `patrolgrid evidence check`
    verifies it. The export is an entry of the case, and each track in it is recorded as a look at it. Tracks that the
    account may not see are left out, and the file says so.
    """
    ground = await desk.ground()
    async with desk.pool.connection() as conn:
        await seen(conn, case_id, caller)
    async with desk.pool.connection() as conn:
        file = await gather_case(
            conn,
            case_id,
            caller.account,
            site=ground.site,
            categories=ground.duty.categories,
            may_see=caller.sight.device,
        )
    log.info("case_exported", case=file.case.number, by=caller.account.name, tracks=len(file.tracks))
    async with desk.painting:
        out, size = await asyncio.to_thread(_written, desk, file, LANGUAGES if lang is None else (lang,))
    headers = {"Content-Disposition": f'attachment; filename="{export_name(file)}"', "Content-Length": str(size)}
    return StreamingResponse(_sent(out), media_type="application/zip", headers=headers)


def _written(desk: Desk, file: CaseFile, languages: tuple[Language, ...]) -> tuple[BinaryIO, int]:
    """The export in a file without a name, and its size. Blocking."""

    def read(photo: Photo) -> bytes:
        return desk.intake.pictures().read(photo.sha256)

    out = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - closed when it was sent
    try:
        write_case(out, file, languages, _key(desk).key(), read)
    except Damaged as error:
        out.close()
        raise Problem(409, "damaged_picture", f"无法导出：{error.zh}", f"Cannot be exported: {error.en}") from error
    except (UnusableKey, OSError) as error:
        out.close()
        log.warning("signing_key_unusable", error=str(error))
        zh, en = "签名密钥不可用，请联系管理员", "The key that signs cannot be used: ask the administrator"
        raise Problem(503, "no_key", zh, en) from error
    out.seek(0)
    return out, os.fstat(out.fileno()).st_size


def _key(desk: Desk) -> KeyFile:
    if desk.key is None:
        zh, en = "此服务未设置签名密钥", "This console was given no key to sign with"
        raise Problem(503, "no_key", zh, en)
    return desk.key


async def _sent(out: BinaryIO) -> AsyncIterator[bytes]:
    with out:
        while chunk := await asyncio.to_thread(out.read, _CHUNK):
            yield chunk
