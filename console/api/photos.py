"""Pictures that go with an order."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import AsyncConnection

from console.auth import Caller
from console.desk import Desk
from store.attachments import claim
from store.photos import Attachment


async def claimed(conn: AsyncConnection, desk: Desk, names: Sequence[str], caller: Caller) -> tuple[Attachment, ...]:
    """The pictures an order names, in the transaction that is to show them.

    Raises:
        Refused: one that the caller has not uploaded.
        Problem: 503, this console takes no pictures.
    """
    return await claim(conn, desk.intake.pictures(), names, caller.account.id) if names else ()
