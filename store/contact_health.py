"""Contacts that do not work: the desk is told of each once, until it has taken a notice again."""

from __future__ import annotations

import structlog
from psycopg import AsyncConnection

from alerts.contacts import DESK
from alerts.notice import both
from store.contacts import find_contacts, note_failure
from store.notices import enqueue

log = structlog.get_logger()


async def contact_failed(conn: AsyncConnection, notice: int, contact: str, target: str, via: str, error: str) -> None:
    """A notice to a contact was given up. At the first since one was taken, the desk's other contacts are told."""
    if not await note_failure(conn, contact, target, via, error):
        return
    log.warning("contact_does_not_work", target=target, via=via, error=error)
    body = both(
        (f"联系方式失效：{target} {via}", f"通知 {notice} 未能送达：{error}。请检查 units.csv 或 contacts.csv"),
        (
            f"A contact does not work: {target} {via}",
            f"Notice {notice} could not be sent: {error}. Look at units.csv or contacts.csv",
        ),
    )
    for other in (await find_contacts(conn, [DESK]))[DESK]:
        if other.key != contact:
            await enqueue(
                conn,
                channel="apprise",
                target=DESK,
                reason=f"{target} 的联系方式（{via}）失效 / the contact {via!r} of {target} does not work",
                body=body,
                dedupe=f"contact {contact}|{notice}|{other.key}",
                contact=other.key,
                via=other.label,
                severity="medium",
            )
