"""What the private services share: whose processes they are, where they may live, which ports are free."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final


class ServicesError(RuntimeError):
    """A private service cannot be had or does not start; the message says which, why, and what to do."""


_GIVES_WAY: Final = 5  # niceness: a third of the weight


def give_way(pid: int) -> None:
    """Let other processes of this machine go before this one and those that it starts from now on (ADR 0036)."""
    with suppress(OSError):  # a container may lack the right
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + _GIVES_WAY)


def go_first(pid: int) -> None:
    """Let a process and what is of its session go before the others where Linux shares the processor out by session, as
    far as we have the right to; there niceness does not count (ADR 0036)."""
    with suppress(OSError):  # not root, a container, or a kernel without autogroups
        Path(f"/proc/{pid}/autogroup").write_text(str(-_GIVES_WAY))


def service_account() -> pwd.struct_passwd | None:
    """The unprivileged account the servers run as when we are root (PostgreSQL refuses root); None: as ourselves."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def run(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 120) -> str:
    """Run a command of a private service as its account and return what it said.

    Raises:
        ServicesError: it failed or did not end in ``timeout`` seconds; the message holds its output.
    """
    account = service_account()
    words = [str(word) for word in command]
    identity = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    try:
        result = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            text=True,
            check=False,
            start_new_session=True,  # Ctrl-C in our terminal must not stop a server
            **identity,  # type: ignore[call-overload]
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServicesError(f"`{words[0]}` did not run: {error}") from error
    if result.returncode:
        raise ServicesError(f"`{words[0]}` failed ({result.returncode}): {result.stdout.strip()[-1500:]}")
    return str(result.stdout)


def own(folder: Path) -> Path:
    """A folder (made if missing) that belongs to the service account alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    account = service_account()
    if account is not None and folder.stat().st_uid != account.pw_uid:
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def reachable(folder: Path, wanted: str) -> Path:
    """``folder``, or as root where nobody else can walk to it (a clone below /root) a folder ``wanted`` that all can.

    In the second case ``folder`` becomes a link to it, so that the data are still found where they were asked for.
    """
    folder = folder.absolute()
    if service_account() is None:
        folder.mkdir(parents=True, exist_ok=True)
        return folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.is_symlink():
        if _all_may_enter(folder.parent.resolve()):
            folder.mkdir(exist_ok=True, mode=0o755)
            return folder.resolve()
        digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        elsewhere = Path(wanted) / digest
        elsewhere.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(elsewhere)
    target = folder.readlink()
    target.mkdir(parents=True, exist_ok=True)
    return target


def _all_may_enter(folder: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents))


def cache_folder(data_dir: Path) -> Path:
    """Where unpacked packages are kept for all data folders: the user's cache, or /var/cache if root's is closed."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        return reachable(home / "patrolgrid", "/var/cache/patrolgrid")
    except OSError:  # an account without a home of its own
        return reachable(data_dir / "cache", "/var/cache/patrolgrid")


def process(pid: int | None, *marks: str) -> int | None:
    """``pid`` if that process runs and its command line holds all ``marks``, else None. A zombie does not run."""
    if pid is None:
        return None
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # gone, or somebody else's and hidden from us
        return None
    return pid if all(mark in words for mark in marks) else None


def working_in(folder: Path) -> list[int]:
    """Processes whose working folder is ``folder``: the children that a killed server left behind."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == folder:
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # gone meanwhile, or another user's
    return found


def wait_until(ready: Callable[[], bool], seconds: float) -> bool:
    """Whether ``ready`` became true within so many seconds."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def answers(port: int) -> bool:
    """Whether somebody takes connections on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port(preferred: int = 0) -> int:
    """``preferred`` if nothing listens there, else a free one below the range of outgoing connections."""
    for port in (preferred, *random.sample(range(15_000, 32_000), 200)):
        if port and can_listen(port):
            return port
    raise ServicesError("no free port on 127.0.0.1 between 15000 and 32000")


def can_listen(port: int) -> bool:
    """Whether a port of 127.0.0.1 is free to listen on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold ``file`` locked, so that two starts at once do not collide; the lock ends with the process at the latest."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
