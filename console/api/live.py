"""The live stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from console.api.refusals import LOGGED_IN, refusals
from console.auth import Anyone, caller_of
from console.desk import TheDesk
from console.errors import BY_STATUS, Problem
from console.sight import Sight
from store.database import AWAY

stream = APIRouter(prefix="/api/v1/live", tags=["live"], responses=refusals(*LOGGED_IN))

_EXAMPLE = """retry: 2000

event: positions
data: [{"device":"T001","at":"2026-11-22T02:15:00Z","received":"2026-11-22T02:15:00.2Z","lon":118.88,"lat":31.47,"speed":1.2,"heading":87.0,"accuracy":4.5,"battery":88.0,"flags":0}]

event: alert
data: {"id":7,"rule":"fishing_ban","severity":"high","state":"open"}

event: resync
data: {}
"""  # noqa: E501 - one event is one line


class EventStream(StreamingResponse):
    """Server-sent events; a proxy must not gather them."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncIterator[bytes]) -> None:
        super().__init__(content, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


@stream.get(
    "",
    summary="What happens now, as server-sent events",
    response_class=Response,  # without a media type of its own, or the refusals would be described as streams
    responses={200: {"description": "The stream", "content": {"text/event-stream": {"example": _EXAMPLE}}}},
)
async def live(caller: Anyone, desk: TheDesk) -> EventStream:
    """Open this first, then read the lists: what happens in between is told here.

    Events: `positions` with a list of Position, at most once a second, only devices that moved; `alert` with an Alert;
    `case` with a Case; `reject` with `{id, reason, topic}`; `resync`: something may have been missed, read the lists
    again. A comment comes every 15 s. Whatever the account may not see is left out; at log-out the stream ends.
    """
    if desk.live.closing:
        raise Problem(503, *BY_STATUS[503])

    async def sight_now() -> Sight | None:
        try:
            again = await caller_of(desk, caller.token)
        except AWAY:
            return caller.sight  # nobody can have logged out meanwhile either
        return None if again is None else again.sight

    try:
        watcher = await desk.live.join(caller.sight)
    except TimeoutError as error:
        raise Problem(503, *BY_STATUS[503]) from error
    return EventStream(desk.live.stream(watcher, sight_now))
