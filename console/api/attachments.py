"""Pictures: sent once by content, given out only to who may see a case that shows them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Header, Path, Request, Response, status

from alerts.case import Refused
from console.api.refusals import LOGGED_IN, refusals, refused
from console.auth import Known, Reporters
from console.desk import TheDesk
from console.errors import Problem, not_found
from console.models_intake import AttachmentOut
from store.attachments import keep, shown_in
from store.media import Damaged
from store.pictures import SUFFIXES, TYPES, clean_picture

log = structlog.get_logger()
attachments = APIRouter(prefix="/api/v1/attachments", tags=["reports"], responses=refusals(*LOGGED_IN))

_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "The picture itself; what it is is seen from its content",
        "content": dict.fromkeys(TYPES.values(), _BINARY),
    }
}
_PICTURE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": dict.fromkeys(TYPES.values(), _BINARY), "description": "The picture"},
    304: {"description": "The browser's copy is still good"},
}


@attachments.post(
    "",
    summary="Send a picture",
    status_code=status.HTTP_201_CREATED,
    responses=refusals(413),
    openapi_extra=_FILE,
)
async def send(request: Request, caller: Reporters, desk: TheDesk) -> AttachmentOut:
    """JPEG, PNG or WebP. What is beside the pixels (place, time, device) is taken off, then it is kept by its hash.

    Sent again it is the same picture. Name it in a report or an action within two days, or it is cleared away.
    """
    media = desk.intake.pictures()
    given = await request.body()
    async with desk.painting:
        try:
            picture = await asyncio.to_thread(
                clean_picture, given, most_bytes=media.most_bytes, most_pixels=media.most_pixels
            )
        except Refused as refusal:
            raise refused(refusal) from refusal
    async with desk.pool.connection() as conn:
        kept = await keep(conn, media, picture, caller.account.id, datetime.now(UTC))
    return AttachmentOut.model_validate(kept)


@attachments.get(
    "/{sha256}",
    summary="Look at a picture",
    response_class=Response,
    responses={**refusals(404, 500), **_PICTURE},
)
async def look(
    caller: Known,
    desk: TheDesk,
    sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="The picture's name")],
    if_none_match: Annotated[str | None, Header(description="The name of the browser's copy")] = None,
) -> Response:
    """For who may see one of the cases that show it, and for who has sent it. One that was changed is not given out."""
    media = desk.intake.pictures()
    async with desk.pool.connection() as conn:
        shown = await shown_in(conn, sha256, caller.account.id)
    if shown is None or not (shown.own or any(caller.sight.case(c.area, c.unit, c.called) for c in shown.cases)):
        raise not_found("该图片", "such picture")
    headers = {
        "ETag": f'"{sha256}"',
        "Cache-Control": "private, max-age=3600",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": f'inline; filename="{sha256[:12]}.{SUFFIXES[shown.photo.type]}"',
    }
    if if_none_match is not None and sha256 in if_none_match:
        return Response(status_code=304, headers=headers)
    try:
        content = await asyncio.to_thread(media.read, sha256)
    except Damaged as error:
        log.error("picture_damaged", sha256=sha256, gone=error.gone)  # noqa: TRY400 - where it was read says nothing
        raise Problem(500, "damaged", error.zh, error.en) from error
    return Response(content, media_type=shown.photo.type, headers=headers)
