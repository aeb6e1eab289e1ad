"""The private NATS server, which speaks MQTT 3.1.1 over JetStream."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from server.private import run
from server.private_broker import PrivateBroker

CONFIGURATION = """# Written at every start of the private services; changes here do not last.
server_name: patrolgrid
# NATS's own protocol, which nobody here speaks, on any free port. Loopback only, hence without a password.
listen: "127.0.0.1:-1"
pid_file: "{folder}/nats.pid"
log_file: "{folder}/nats.log"
jetstream {{
  store_dir: "{folder}/data"
}}
mqtt {{
  listen: "127.0.0.1:{port}"
  # Messages in flight for each subscription. It must hold a batch; those of a session may be 65,535 together, and a
  # filter that ends with # counts twice: a worker has six others and one of these.
  max_ack_pending: 8000
  # After this time without a PUBACK a message comes again, on the same connection too; a new one alone brings nothing.
  # So this is how long a worker that was killed waits for what it had in hand, and what it has in hand it knows.
  ack_wait: "3s"
}}
"""


@dataclass(frozen=True)
class Nats(PrivateBroker):
    """NATS with JetStream: every message is written before it is acknowledged, so a crash costs none."""

    template: str = CONFIGURATION

    title: ClassVar[str] = "NATS server"
    stem: ClassVar[str] = "nats"
    listener: ClassVar[re.Pattern[str]] = re.compile(r'^mqtt \{\s*listen: "127\.0\.0\.1:(\d+)"', re.MULTILINE)

    def _launch(self) -> None:
        in_background = '"$0" -c "$1" </dev/null >/dev/null 2>&1 &'  # it has no way of its own to go there
        run(["/bin/sh", "-c", in_background, self.root / "usr/sbin/nats-server", self.configuration], cwd=self.folder)
