"""The folder of pictures: files named by the hash of their content, written whole or not at all. Blocking."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"[0-9a-f]{64}")


class Damaged(ValueError):
    """A file is not what its name says, or is gone. ``zh`` and ``en`` name it."""

    def __init__(self, sha256: str, *, gone: bool) -> None:
        self.gone = gone
        self.zh = f"图片 {sha256} " + ("已丢失" if gone else "的内容被改动")
        self.en = f"picture {sha256} " + ("is gone" if gone else "was changed")
        super().__init__(self.en)


@dataclass(frozen=True, slots=True)
class Media:
    """The folder, and what a picture may be. Nothing is made before the first is written.

    Raises:
        ValueError: a limit is not positive.
    """

    folder: Path
    most_bytes: int = 8 * 2**20
    most_pixels: int = 40_000_000

    def __post_init__(self) -> None:
        if self.most_bytes <= 0 or self.most_pixels <= 0:
            raise ValueError(f"limits {self.most_bytes} bytes, {self.most_pixels} pixels: both must be positive")

    def path(self, sha256: str) -> Path:
        """Where a file is. Raises ValueError for what is no hash, so that no name can lead out of the folder."""
        if not _NAME.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is no sha256: expected 64 hex digits in lower case")
        return self.folder / sha256[:2] / sha256[2:]

    def write(self, sha256: str, content: bytes) -> None:
        """Keep it: on the disk when this returns, under its name only when it is whole. Known content costs nothing."""
        path = self.path(sha256)
        if path.exists():
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        for folder in (path.parent, self.folder):  # the new names must last, too
            _sync(folder)

    def read(self, sha256: str) -> bytes:
        """Its content. Raises Damaged when it is gone, or no longer what its name says."""
        try:
            content = self.path(sha256).read_bytes()
        except FileNotFoundError as error:
            raise Damaged(sha256, gone=True) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Damaged(sha256, gone=False)
        return content

    def has(self, sha256: str) -> bool:
        """Whether the file is there."""
        return self.path(sha256).exists()

    def remove(self, sha256: str) -> None:
        """Take it away; no matter if it is gone already."""
        self.path(sha256).unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
