"""Pictures that were sent, whose they are, and which entries show them.

A picture's file is on the disk before its row is there, and the row before any entry names it. Who keeps and who clears
away hold one lock for each picture, so that none is cleared away while somebody sends it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import class_row

from alerts.case import Case, Refused
from store.cases import read_cases
from store.media import Media
from store.photos import MOST_PHOTOS, Attachment
from store.pictures import Picture

UNUSED_FOR: Final = timedelta(days=2)
"""How long a picture that no entry shows is kept: it was sent, and its report never was."""
_COLUMNS: Final = "encode(a.sha256, 'hex') AS sha256, a.type, a.bytes, a.width, a.height"
_LOCK: Final = "SELECT pg_advisory_xact_lock(('x' || left(%s, 16))::bit(64)::bigint)"

_SHOWN_IN: Final = (  # until a split, the reports of a merged case are shown with the one that goes on
    "WITH RECURSIVE way (id, merged_into, own) AS (SELECT c.id, c.merged_into, true FROM cases c"
    " JOIN case_attachments a ON a.case_id = c.id WHERE a.sha256 = %s"
    " UNION SELECT c.id, c.merged_into, false FROM way w JOIN cases c ON c.id = w.merged_into)"
    " SELECT id FROM way WHERE own OR merged_into IS NULL"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture with the cases whose entries show it and those that go on for them, and whether the one who asks has
    sent it."""

    photo: Attachment
    own: bool
    cases: tuple[Case, ...]


async def keep(conn: AsyncConnection, media: Media, picture: Picture, account: int, now: datetime) -> Attachment:
    """Keep a picture that an account sent; one that is known already is not kept twice."""
    name = picture.sha256
    photo = Attachment(name, picture.type, len(picture.content), picture.width, picture.height)
    async with conn.transaction():
        await conn.execute(_LOCK, (name,))
        await asyncio.to_thread(media.write, name, picture.content)
        await conn.execute(
            "INSERT INTO attachments (sha256, type, bytes, width, height) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (sha256) DO NOTHING",
            (bytes.fromhex(name), photo.type, photo.bytes, photo.width, photo.height),
        )
        await conn.execute(
            "INSERT INTO uploads (sha256, account, at) VALUES (%s, %s, %s)"
            " ON CONFLICT (sha256, account) DO UPDATE SET at = excluded.at",
            (bytes.fromhex(name), account, now),
        )
    return photo


async def claim(conn: AsyncConnection, media: Media, names: Sequence[str], account: int) -> tuple[Attachment, ...]:
    """The pictures that an account wants to attach, in its order; they cannot be cleared away before the commit.

    Raises:
        Refused: too many, or one that this account has not sent or that is not there any more: send it again.
    """
    wanted = list(dict.fromkeys(names))
    if len(wanted) > MOST_PHOTOS:
        raise Refused("too_long", f"一次最多 {MOST_PHOTOS} 张图片", f"at most {MOST_PHOTOS} pictures at once")
    async with conn.cursor(row_factory=class_row(Attachment)) as cursor:
        await cursor.execute(
            f"SELECT {_COLUMNS} FROM attachments a JOIN uploads u USING (sha256)"  # noqa: S608 - a constant
            " WHERE a.sha256 = ANY(%s) AND u.account = %s ORDER BY a.sha256 FOR SHARE OF a",
            ([bytes.fromhex(name) for name in wanted], account),
        )
        found = {photo.sha256: photo for photo in await cursor.fetchall()}
    for name in wanted:
        if name not in found or not await asyncio.to_thread(media.has, name):
            raise Refused("no_picture", f"没有您上传的图片 {name[:12]}…", f"there is no picture {name[:12]}… of yours")
    return tuple(found[name] for name in wanted)


async def shown_in(conn: AsyncConnection, name: str, account: int) -> Shown | None:
    """A picture and where it is shown; None when there is none."""
    digest = bytes.fromhex(name)
    async with conn.cursor(row_factory=class_row(Attachment)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM attachments a WHERE sha256 = %s", (digest,))  # noqa: S608
        photo = await cursor.fetchone()
    if photo is None:
        return None
    own = await conn.execute("SELECT 1 FROM uploads WHERE sha256 = %s AND account = %s", (digest, account))
    cases = await read_cases(conn, f"WHERE c.id IN ({_SHOWN_IN}) ORDER BY c.id", (digest,))
    return Shown(photo, await own.fetchone() is not None, tuple(cases))


async def clear_unused(conn: AsyncConnection, media: Media, now: datetime, unused_for: timedelta = UNUSED_FOR) -> int:
    """Take away the pictures that no entry shows and nobody has sent lately; how many. Call it in no transaction."""
    async with conn.transaction():
        cursor = await conn.execute(
            "SELECT encode(sha256, 'hex') FROM attachments a WHERE NOT EXISTS"
            " (SELECT FROM case_attachments c WHERE c.sha256 = a.sha256)"
            " AND NOT EXISTS (SELECT FROM uploads u WHERE u.sha256 = a.sha256 AND u.at > %s)",
            (now - unused_for,),
        )
        names = [name for (name,) in await cursor.fetchall()]
    return sum([await _clear(conn, media, name, now - unused_for) for name in names])


async def _clear(conn: AsyncConnection, media: Media, name: str, before: datetime) -> bool:
    async with conn.transaction():
        await conn.execute(_LOCK, (name,))
        # Whoever attaches it just now is waited for before it is looked whether an entry shows it, not in the middle.
        await conn.execute("SELECT FROM attachments WHERE sha256 = %s FOR UPDATE", (bytes.fromhex(name),))
        gone = await conn.execute(
            "DELETE FROM attachments a WHERE sha256 = %(it)s AND NOT EXISTS"
            " (SELECT FROM case_attachments c WHERE c.sha256 = %(it)s)"
            " AND NOT EXISTS (SELECT FROM uploads u WHERE u.sha256 = %(it)s AND u.at > %(before)s)",
            {"it": bytes.fromhex(name), "before": before},
        )
        if gone.rowcount:
            await asyncio.to_thread(media.remove, name)
        return bool(gone.rowcount)
