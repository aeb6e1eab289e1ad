"""How entries of cases show pictures: what their data say, and the rows by which a picture's cases are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from psycopg import AsyncConnection

MOST_PHOTOS: Final = 9  # of one entry


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture that is kept. ``sha256`` in hex; ``bytes`` of the file; width and height in pixels."""

    sha256: str
    type: str
    bytes: int
    width: int
    height: int


def recorded_photos(photos: Sequence[Attachment]) -> dict[str, Any]:
    """What an entry's data say of its pictures, so that its hash covers theirs; nothing where there are none."""
    return {"attachments": [asdict(photo) for photo in photos]} if photos else {}


async def show_photos(conn: AsyncConnection, case_id: int, seq: int, photos: Sequence[Attachment]) -> None:
    """Note that an entry, just written, shows them."""
    if photos:
        async with conn.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO case_attachments (sha256, case_id, seq) VALUES (%s, %s, %s)",
                [(bytes.fromhex(photo.sha256), case_id, seq) for photo in photos],
            )
