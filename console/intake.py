"""How reports are taken in, as values; and what is cleared away each hour of what came in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

from alerts.duplicates import Nearness
from console.errors import Problem
from store.answers import forget_answers
from store.attachments import clear_unused
from store.media import Media
from store.reporters import forget_callers

log = structlog.get_logger()

TIDY_EVERY: Final = 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Intake:
    """Settings of intake. Without ``media`` no pictures are taken or shown.

    ``answers_kept`` is how long a request that comes again is answered as before, ``callers_kept`` how long after the
    end of a case the name and contact of who called are kept.
    """

    media: Media | None = None
    near: Nearness = field(default_factory=Nearness)
    answers_kept: timedelta = timedelta(days=30)
    callers_kept: timedelta = timedelta(days=180)

    def pictures(self) -> Media:
        """The folder of pictures. Raises Problem (503) where this console was given none."""
        if self.media is None:
            zh, en = "此服务未设置图片文件夹", "This console was given no folder for pictures"
            raise Problem(503, "no_pictures", zh, en)
        return self.media


async def tidy(pool: AsyncConnectionPool, intake: Intake, now: datetime) -> dict[str, int]:
    """Clear away what is no longer needed, in short transactions; how much of each."""
    async with pool.connection() as conn:
        found = {
            "answers": await forget_answers(conn, now, intake.answers_kept),
            "callers": await forget_callers(conn, now, intake.callers_kept),
        }
        if intake.media is not None:
            found["pictures"] = await clear_unused(conn, intake.media, now)
    return found


async def tidy_always(pool: AsyncConnectionPool, intake: Intake) -> None:
    """:func:`tidy` now and every hour; several consoles may do so at once. Whatever the database refuses is tried again
    in an hour: callers' names must not be kept for it."""
    while True:
        try:
            log.info("intake_tidied", removed=await tidy(pool, intake, datetime.now(UTC)))
        except (psycopg.Error, OSError) as error:
            log.warning("intake_not_tidied", error=str(error).strip())
        await asyncio.sleep(TIDY_EVERY)
