"""The private Mosquitto."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from server.private import run
from server.private_broker import PrivateBroker

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
class Mosquitto(PrivateBroker):
    """Mosquitto 2.0: light, and the broker that most sites have. A crash may cost its last acknowledged messages."""

    template: str = CONFIGURATION

    title: ClassVar[str] = "Mosquitto"
    stem: ClassVar[str] = "mosquitto"
    listener: ClassVar[re.Pattern[str]] = re.compile(r"^listener (\d+)", re.MULTILINE)

    def _launch(self) -> None:
        run([self.root / "usr/sbin/mosquitto", "-d", "-c", self.configuration], cwd=self.folder)
