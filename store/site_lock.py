"""The lock on the site: whoever changes it, or reads several of its tables, holds it to the end of the transaction."""

from __future__ import annotations

from typing import Final, Literal

from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

_SITE_LOCK: Final = 0x70677369  # any number that only the site uses as an advisory lock


async def lock_site(conn: AsyncConnection, mode: Literal["exclusive", "shared"]) -> None:
    """Until the transaction ends, nobody else changes the site; with ``exclusive``, nobody else reads it either.

    Who needs the book of cases as well locks it after this.
    """
    function = {"exclusive": "pg_advisory_xact_lock", "shared": "pg_advisory_xact_lock_shared"}[mode]
    await conn.execute(SQL("SELECT {}(%s)").format(Identifier(function)), (_SITE_LOCK,))
