"""What the private brokers share: a folder, a configuration written at each start, a process that is verified."""

from __future__ import annotations

import os
import re
import shutil
import signal
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from server.private import (
    ServicesError,
    answers,
    can_listen,
    free_port,
    go_first,
    own,
    process,
    service_account,
    wait_until,
)


@dataclass(frozen=True)
class PrivateBroker(ABC):
    """The broker below ``folder``, with programs of the unpacked packages in ``root``.

    ``template`` is its configuration, with ``{port}`` and ``{folder}`` in it.
    """

    root: Path
    folder: Path
    template: str

    title: ClassVar[str]
    stem: ClassVar[str]  # of its files
    listener: ClassVar[re.Pattern[str]]  # finds its port in the configuration

    @property
    def configuration(self) -> Path:
        """The file that holds it."""
        return self.folder / f"{self.stem}.conf"

    def pid(self) -> int | None:
        """The running broker's process id, verified against the process itself; None when it does not run."""
        try:
            noted = int((self.folder / f"{self.stem}.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return process(noted, "-c", str(self.configuration))

    def port(self) -> int:
        """The port it was last started on."""
        found = self.listener.search(self.configuration.read_text())
        if found is None:
            raise ServicesError(f"{self.configuration} names no port: remove it and start again")
        return int(found[1])

    def up(self, port: int) -> int:
        """Start it unless it runs, and return its port: ``port`` if that is free.

        Raises:
            ServicesError: it does not start; the message ends with its log.
        """
        # One that was killed this moment still looks alive: believe it only when it answers.
        if not wait_until(lambda: self.pid() is None or answers(self.port()), 15):
            raise ServicesError(f"the private {self.title} (process {self.pid()}) runs but does not answer")
        if self.pid() is not None:
            return self.port()
        own(self.folder)
        if port and self.configuration.exists():
            # A process that was killed is gone from /proc a moment before its sockets are.
            wait_until(lambda: can_listen(port), 2)
        port = free_port(port)
        (self.folder / f"{self.stem}.pid").unlink(missing_ok=True)
        self.configuration.write_text(self.template.format(port=port, folder=self.folder))
        account = service_account()
        if account is not None:
            os.chown(self.configuration, account.pw_uid, account.pw_gid)
        self._launch()
        if not wait_until(lambda: answers(port) and self.pid() is not None, 15):
            log = self.folder / f"{self.stem}.log"
            tail = log.read_text(errors="replace")[-1500:] if log.exists() else ""
            raise ServicesError(f"the private {self.title} does not start on port {port}:\n{tail}")
        if pid := self.pid():
            go_first(pid)
        return port

    def down(self) -> None:
        """Stop it; sessions and queued messages are saved."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            if not wait_until(lambda: self.pid() is None, 20):
                raise ServicesError(f"the private {self.title} (process {pid}) does not end")

    def remove(self) -> None:
        """Stop it and delete its folder."""
        self.down()
        shutil.rmtree(self.folder)

    def kill(self) -> None:
        """End it with SIGKILL (for tests of what survives)."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    @abstractmethod
    def _launch(self) -> None:
        """Start the program in the background."""
