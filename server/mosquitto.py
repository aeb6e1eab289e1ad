"""One private Mosquitto broker: its folder, its start, its end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from server.private import ServicesError, free_port, own, process, run, service_account, wait_until

CONFIGURATION = """# Written at every start of the private services; changes here do not last.
listener {port} 127.0.0.1
# Without a password only because nobody but this host reaches loopback; production has users and an ACL.
allow_anonymous true
pid_file {folder}/mosquitto.pid
log_dest file {folder}/mosquitto.log
log_type error
log_type warning
log_type notice
connection_messages false
persistence true
persistence_location {folder}/
# Acknowledged messages survive a crash but for those of the last two seconds (docs/adr/0027); the broker's own limits
# would drop them unseen.
autosave_on_changes false
autosave_interval 1
max_inflight_messages 0
max_queued_messages 1000000000
set_tcp_nodelay true
"""


@dataclass(frozen=True)
class Mosquitto:
    """The broker below ``folder``, with programs of the unpacked packages in ``root``.

    ``template`` is its configuration, with ``{port}`` and ``{folder}`` in it.
    """

    root: Path
    folder: Path
    template: str = CONFIGURATION

    @property
    def _configuration(self) -> Path:
        return self.folder / "mosquitto.conf"

    def pid(self) -> int | None:
        """The running broker's process id, verified against the process itself; None when it does not run."""
        try:
            noted = int((self.folder / "mosquitto.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return process(noted, "-c", str(self._configuration))

    def port(self) -> int:
        """The port it was last started on."""
        return int(self._configuration.read_text().split("\nlistener ", 1)[1].split(" ", 1)[0])

    def up(self, port: int) -> int:
        """Start it unless it runs, and return its port: ``port`` if that is free.

        Raises:
            ServicesError: it does not start; the message ends with its log.
        """
        # One that was killed this moment still looks alive: believe it only when it answers.
        if not wait_until(lambda: self.pid() is None or _answers(self.port()), 15):
            raise ServicesError(f"the private Mosquitto (process {self.pid()}) runs but does not answer")
        if self.pid() is not None:
            return self.port()
        own(self.folder)
        port = free_port(port)
        (self.folder / "mosquitto.pid").unlink(missing_ok=True)
        self._configuration.write_text(self.template.format(port=port, folder=self.folder))
        account = service_account()
        if account is not None:
            os.chown(self._configuration, account.pw_uid, account.pw_gid)
        run([self.root / "usr/sbin/mosquitto", "-d", "-c", self._configuration], cwd=self.folder)
        if not wait_until(lambda: _answers(port) and self.pid() is not None, 15):
            log = self.folder / "mosquitto.log"
            tail = log.read_text(errors="replace")[-1500:] if log.exists() else ""
            raise ServicesError(f"the private Mosquitto does not start on port {port}:\n{tail}")
        return port

    def down(self) -> None:
        """Stop it; sessions and queued messages are saved."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            if not wait_until(lambda: self.pid() is None, 20):
                raise ServicesError(f"the private Mosquitto (process {pid}) does not end")

    def remove(self) -> None:
        """Stop it and delete its folder."""
        self.down()
        shutil.rmtree(self.folder)

    def kill(self) -> None:
        """End it as a power cut would, with SIGKILL (for tests of what survives)."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
