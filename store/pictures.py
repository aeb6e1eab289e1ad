"""Pictures as they may be kept: looked at by content, not by name, and written anew without anything but the pixels.

What a camera writes beside them (place, time, owner, a smaller copy) is gone; how it was held is applied. Blocking and
hungry for a processor: call it in a thread.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

from alerts.case import Refused

TYPES: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
SUFFIXES: Final = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
MOST_SIDE: Final = 16_383  # pixels; the most that all three formats can have
_HOW: Final[dict[str, dict[str, int]]] = {
    "JPEG": {"quality": 90},
    "PNG": {"compress_level": 6},
    "WEBP": {"quality": 90, "method": 4},
}
# What Pillow's readers raise for bytes that are no such picture; each was seen with one that had been tampered with.
_BROKEN: Final = (
    *(UnidentifiedImageError, OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError),
    *(struct.error, zlib.error, NotImplementedError),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """What is kept: ``width`` and ``height`` in pixels as it is seen."""

    content: bytes
    type: str
    width: int
    height: int

    @property
    def sha256(self) -> str:
        """The name of the content, 64 hex digits."""
        return hashlib.sha256(self.content).hexdigest()


def clean_picture(given: bytes, *, most_bytes: int, most_pixels: int) -> Picture:
    """The picture in these bytes, and nothing else that is in them.

    The number of pixels is read from its header before any is unpacked, so a few bytes cannot fill the memory.

    Raises:
        Refused: too large, no picture of a type that is taken, moving, or damaged.
    """
    if len(given) > most_bytes:
        raise Refused(
            "too_large_picture",
            f"图片有 {len(given)} 字节，最多 {most_bytes}",
            f"the picture has {len(given)} bytes, at most {most_bytes}",
        )
    try:
        with Image.open(io.BytesIO(given), formats=tuple(TYPES)) as opened:
            _check(opened, most_pixels)
            return _clean(opened)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many("-", most_pixels) from error
    except _BROKEN as error:
        if isinstance(error, Refused):
            raise
        raise Refused(
            "wrong_picture",
            "不是完好的 JPEG、PNG 或 WebP 图片",
            "this is no undamaged JPEG, PNG or WebP picture",
        ) from error


def _check(opened: Image.Image, most_pixels: int) -> None:
    width, height = opened.size
    if width * height > most_pixels or max(width, height) > MOST_SIDE:
        raise _too_many(f"{width} × {height}", most_pixels)
    if getattr(opened, "n_frames", 1) > 1 and opened.format != "JPEG":  # a JPEG's other frames are smaller copies
        raise Refused("wrong_picture", "不接受动图", "a moving picture is not taken")


def _too_many(size: str, most: int) -> Refused:
    return Refused(
        "too_large_picture",
        f"图片尺寸 {size} 过大，最多 {most} 像素，边长 {MOST_SIDE}",
        f"the picture's size {size} is too large: at most {most} pixels, and {MOST_SIDE} to a side",
    )


def _clean(opened: Image.Image) -> Picture:
    kind = opened.format or ""
    opened.load()
    upright = ImageOps.exif_transpose(opened)
    clear = upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info
    mode = "RGBA" if clear and kind != "JPEG" else "L" if upright.mode in ("1", "L") else "RGB"
    plain = upright.convert(mode)
    plain.info = {}  # comments, profiles and texts would be written again
    written = io.BytesIO()
    plain.save(written, kind, **_HOW[kind])
    return Picture(written.getvalue(), TYPES[kind], plain.width, plain.height)
