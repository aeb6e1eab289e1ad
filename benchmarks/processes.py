"""What other processes cost, read from /proc, and the processes that a benchmark starts."""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

TICKS: Final = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the command: [1] is the parent, [11:15] utime, stime, cutime, cstime."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu(pid: int) -> float:
    """CPU seconds (user and system) of one process."""
    return sum(map(int, _stat(pid)[11:13])) / TICKS


def cpu_of_family(pid: int) -> float:
    """CPU seconds of a process and all its children, with those that have ended (a PostgreSQL server's backends)."""
    total = sum(map(int, _stat(pid)[11:15])) / TICKS
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int(_stat(int(entry.name))[1]) == pid:
                    total += cpu(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):  # it ended this moment
                continue
    return total


def memory(pid: int) -> dict[str, float]:
    """Resident MB now and at the most; 0 of a process that has ended and was not waited for yet."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(lines.get(key, "0 kB").split()[0]) / 1024 for name, key in (("now", "VmRSS"), ("most", "VmHWM"))}


def touch_memory() -> float:
    """Write to each page of half the memory that is free, 8 GB at most, and let it go; CPU seconds for a GB.

    A virtual machine may get a page from its host only when it is first written to, and lose it again when it was not
    used for some minutes: 3.7 s a GB here, where memory that is there costs 0.4. All that a flood adds to the page
    cache is new, so that its figures would be the host's.
    """
    size = min(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2, 8 << 30)
    before = time.process_time()
    with mmap.mmap(-1, size) as pages:
        for place in range(0, size, mmap.PAGESIZE):
            pages[place] = 1
    return (time.process_time() - before) / size * 2**30


def python(module: str, *words: object) -> subprocess.Popen[str]:
    """A module of the benchmarks in a process of its own; what it prints can be read."""
    command = [sys.executable, "-m", module, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str], timeout: float) -> dict[str, Any]:
    """The JSON line with which it ended."""
    try:
        out, _ = process.communicate(timeout=timeout)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    answer: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return answer


class Worker:
    """A real ``patrolgrid worker``."""

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._log = log
        self._environment = os.environ | settings | {"PATROLGRID_WORKER_PORT": str(self.port)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; returns at once."""
        with self._log.open("ab") as log:
            command = [str(Path(sys.executable).with_name("patrolgrid")), "worker"]
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # as a service has
            )

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def wait_until_ready(self, timeout: float = 120.0) -> None:
        """Until it listens and its detectors know the past."""
        deadline = time.monotonic() + timeout
        while not self._get("/readyz"):
            if time.monotonic() > deadline or (self._process and self._process.poll() is not None):
                raise RuntimeError(f"the worker is not ready:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.1)

    def stored(self) -> int:
        """How many new fixes it has stored since its start; 0 while it does not answer."""
        for line in self._get("/metrics").splitlines():
            if line.startswith('patrolgrid_readings_total{kind="fixes"}'):
                return int(float(line.rpartition(" ")[2]))
        return 0

    def wait_for(self, fixes: int, timeout: float) -> None:
        """Until it has stored so many since its start."""
        deadline = time.monotonic() + timeout
        while (stored := self.stored()) < fixes:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {stored} of {fixes} fixes after {timeout:.0f} s")
            time.sleep(0.5)  # each look costs the worker some milliseconds

    def wait_until_idle(self, timeout: float) -> None:
        """Until it takes less than a tenth of a processor: its detectors have seen what is stored."""
        deadline, before = time.monotonic() + timeout, cpu(self.pid)
        while True:
            time.sleep(1.0)
            now = cpu(self.pid)
            taken, before = now - before, now
            if taken < 0.1:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the worker still took {taken:.2f} CPU s a second after {timeout:.0f} s")

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _get(self, path: str) -> str:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""
