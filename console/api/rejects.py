"""Messages that could not be taken in: list them, and send one again after its cause was mended."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Path

from console.answers import reject_out
from console.api.paging import Before, Limit
from console.api.refusals import LOGGED_IN, refusals
from console.auth import Caller, Desks
from console.desk import TheDesk
from console.errors import Problem, not_found
from console.models import RejectOut, RejectPage
from store.rejects import PAYLOAD_KEPT, get_reject, list_rejects, mark_replayed

log = structlog.get_logger()
rejects = APIRouter(prefix="/api/v1/rejects", tags=["rejects"], responses=refusals(*LOGGED_IN))


@rejects.get("", summary="The rejected messages, last seen first")
async def read_rejects(caller: Desks, desk: TheDesk, limit: Limit = 50, before: Before = None) -> RejectPage:
    """For accounts without an area limit: whose a message is that names no known device, nobody can say.

    Of each payload the first 4 KiB. A message that comes again moves to the front.
    """
    _check_sight(caller)
    async with desk.pool.connection() as conn:
        found = await list_rejects(conn, limit + 1, before)
    more = found[limit - 1].id if len(found) > limit else None
    return RejectPage(items=[reject_out(reject) for reject in found[:limit]], next=more)


@rejects.post("/{reject_id}/replay", summary="Send a rejected message again", responses=refusals(404, 409))
async def replay(
    reject_id: Annotated[int, Path(ge=1, le=2**63 - 1, description="The reject's id")], caller: Desks, desk: TheDesk
) -> RejectOut:
    """Publishes topic and payload to the broker once more, at QoS 1; what is still wrong comes back as a reject.

    A message that may call for help is for a supervisor: sent again it can send patrols out.
    """
    _check_sight(caller)
    async with desk.pool.connection() as conn:
        reject = await get_reject(conn, reject_id)
    if reject is None:
        raise not_found("该报文", "such message")
    if _calls_for_help(reject.topic, reject.payload) and caller.account.role == "operator":
        zh, en = "求救报文须由督办员或管理员重发", "A call for help is sent again by a supervisor or admin"
        raise Problem(403, "sos_replay", zh, en)
    if len(reject.payload) >= PAYLOAD_KEPT:
        zh, en = (
            "这条报文过大，只保存了开头部分，不能重发",
            "Only the beginning of this message was kept: it cannot be sent",
        )
        raise Problem(409, "truncated", zh, en)
    try:
        # One transaction, the mark before the message: if it is rejected again, ingest takes the mark away after us.
        async with desk.pool.connection() as conn, conn.transaction():
            await mark_replayed(conn, [reject_id])
            await desk.publish(reject.topic, reject.payload)
    except ConnectionError as error:
        log.warning("replay_failed", id=reject_id, topic=reject.topic, error=str(error))
        zh, en = "消息服务器暂时连接不上，报文没有发出", "The broker cannot be reached just now; nothing was sent"
        raise Problem(503, "broker_unreachable", zh, en) from error
    log.info("reject_replayed", id=reject_id, topic=reject.topic, reason=reject.reason, by=caller.account.name)
    async with desk.pool.connection() as conn:
        return reject_out(await get_reject(conn, reject_id) or reject)


def _check_sight(caller: Caller) -> None:
    if not caller.sight.rejects():
        zh, en = "被拒消息不分辖区，限定辖区的账号不能查看", "Rejects belong to no area: not for an account with one"
        raise Problem(403, "area_limited", zh, en)


def _calls_for_help(topic: str, payload: bytes) -> bool:
    return topic.endswith("/sos") or b'"sos"' in payload
