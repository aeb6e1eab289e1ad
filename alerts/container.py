"""A ZIP file with nothing in it that is not said by its members: the same members always make the same bytes. Pure.

Members are stored as they are, under plain ASCII names, all of one date. So whoever has the members can tell whether a
single byte of the file is other than it was written; any program that opens ZIP files opens it.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_END: Final = struct.Struct("<4s4H2IH")
_DAY: Final = (1 << 5) | 1  # 1980-01-01, the first that ZIP knows
_VERSION: Final = 10
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,3}")
MOST_BYTES: Final = 2**32 - 1


class ContainerError(ValueError):
    """The file is not as it was written: ``at`` is the first byte that is not, ``member`` the last one known there."""

    def __init__(self, at: int, member: str, problem: str) -> None:
        super().__init__(f"byte {at}{f', after {member}' if member else ''}: {problem}")
        self.at, self.member = at, member


class Writer:
    """Writes members one after another into a file that is open for writing."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = 0
        self._listed: list[tuple[bytes, bytes, int]] = []  # name, sizes and so on, place

    def add(self, name: str, content: bytes) -> None:
        """Write one member.

        Raises:
            ValueError: the name is no plain one, or there already; or the file would be larger than ZIP can say.
        """
        if not _NAME.fullmatch(name) or any(name.encode() == known for known, _, _ in self._listed):
            raise ValueError(f"member {name!r}: expected a plain name that is not there yet")
        if self._at + len(content) + 2**20 > MOST_BYTES:
            raise ValueError(f"member {name!r}: the file would be larger than 4 GiB")
        facts = _facts(name, content)
        self._listed.append((name.encode(), facts, self._at))
        self._put(_head(name.encode(), facts))
        self._put(content)

    def close(self) -> None:
        """Write the list of members, which ends the file. The file itself stays open."""
        self._put(_directory(self._listed, self._at))

    def _put(self, piece: bytes) -> None:
        self._file.write(piece)
        self._at += len(piece)


def read_members(file: BinaryIO) -> Iterator[tuple[str, bytes, bool]]:
    """The members of a file that :class:`Writer` wrote, one at a time; at the end the rest is judged as well.

    With each comes whether ZIP's check sum fits: one of the two was changed if not.

    Raises:
        ContainerError: a byte that belongs to no content is not as it was written.
    """
    listed: list[tuple[bytes, bytes, int]] = []
    at, name = 0, ""
    while (head := file.read(_LOCAL.size))[:4] == b"PK\x03\x04":
        if len(head) < _LOCAL.size:
            raise ContainerError(at + len(head), name, "the file is cut off")
        *_, size, length, _ = _LOCAL.unpack(head)
        raw = file.read(length)
        if not _NAME.fullmatch(raw.decode("ascii", "replace")):
            raise ContainerError(at, name, f"{raw[:100]!r} is no name of a member")
        name = raw.decode("ascii")
        content = file.read(size)
        if len(content) < size:
            raise ContainerError(at + len(head) + length + len(content), name, "the file is cut off")
        facts, crc = _facts(name, content), head[14:18]
        fits = crc == facts[4:8]
        facts = facts[:4] + crc + facts[8:]
        expected = _head(raw, facts)
        if head != expected[: _LOCAL.size]:
            raise ContainerError(at + _first_difference(head, expected), name, "the head of this member was changed")
        listed.append((raw, facts, at))
        yield name, content, fits
        at += _LOCAL.size + length + size
    rest, expected = head + file.read(), _directory(listed, at)
    if rest != expected:
        raise ContainerError(at + _first_difference(rest, expected), name, "the list of members was changed")


def _facts(name: str, content: bytes) -> bytes:
    """Time, day, check sum, both sizes, the name's length: as they stand in both headers."""
    size = len(content)
    return struct.pack("<2H3IH", 0, _DAY, zlib.crc32(content), size, size, len(name))


def _head(name: bytes, facts: bytes) -> bytes:
    return struct.pack("<4s3H", b"PK\x03\x04", _VERSION, 0, 0) + facts + b"\0\0" + name


def _directory(listed: list[tuple[bytes, bytes, int]], at: int) -> bytes:
    entries = b"".join(
        struct.pack("<4s4H", b"PK\x01\x02", _VERSION, _VERSION, 0, 0)
        + facts
        + struct.pack("<4H2I", 0, 0, 0, 0, 0, place)
        + name
        for name, facts, place in listed
    )
    count = len(listed)
    return entries + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(entries), at, 0)


def _first_difference(one: bytes, other: bytes) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
