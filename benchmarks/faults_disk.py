"""A disk that can be full: the database's folder on a tmpfs that is made smaller and larger while it is in use.

The whole run then happens in a mount namespace of its own (and without root in a user namespace of its own): the host
sees nothing of it, and nothing stays mounted, however it ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.private import service_account

LARGE: Final = 4 << 30  # bytes; memory is used for what is stored
OWN_MOUNTS: Final = "PATROLGRID_FAULTS_OWN_MOUNTS"  # in the environment of a process in a namespace of its own


@dataclass(frozen=True)
class SmallDisk:
    """A tmpfs at ``folder``."""

    folder: Path

    def mount(self) -> None:
        """Make it, for the services' account alone."""
        account = service_account()
        uid, gid = (os.getuid(), os.getgid()) if account is None else (account.pw_uid, account.pw_gid)
        self.folder.mkdir(parents=True, exist_ok=True)
        options = f"size={LARGE},mode=700,uid={uid},gid={gid}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.folder], check=True)

    def fill(self, room: int) -> None:
        """Leave only so many bytes free."""
        self._resize(shutil.disk_usage(self.folder).used + room)

    def free(self) -> None:
        """Large again."""
        self._resize(LARGE)

    def _resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True)


def why_not() -> str:
    """Why there can be no disk of ours here; empty if there can."""
    if OWN_MOUNTS in os.environ:
        return ""
    attempt = [*_unshare(), "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        found = subprocess.run(attempt, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return str(error)
    return found.stderr.strip() if found.returncode else ""


def go_there(words: Sequence[str]) -> None:
    """Run this program again, with these words, where mounts are our own; returns only if it runs there already."""
    if OWN_MOUNTS not in os.environ:
        os.environ[OWN_MOUNTS] = "1"
        os.execvp("unshare", [*_unshare(), sys.executable, "-m", "benchmarks.faults", *words])


def _unshare() -> list[str]:
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    return ["unshare", *own_user, "--mount"]
