"""From a call for help to the screen: SOS messages into a loaded system, and when the console's live stream tells of
each. Real worker, real console in a process of its own, a client that is logged in as an administrator.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.client import HTTPConnection, HTTPResponse
from typing import Final

import psycopg

from benchmarks.ground import SHARE, Ground
from benchmarks.load import Link, code, fix
from benchmarks.processes import python
from ingest import packets

TOKEN: Final = "session-of-the-benchmark"
PATIENCE: Final = 60.0  # seconds for what is still on its way at the end


@contextmanager
def console(ground: Ground) -> Iterator[HTTPResponse]:
    """The open live stream of a console in a process of its own; an account is made for it."""
    with psycopg.connect(ground.database_url) as conn:
        conn.execute(
            "WITH made AS (INSERT INTO accounts (name, display, password_hash, role) VALUES ('bench', 'B', '', 'admin')"
            " RETURNING id) INSERT INTO sessions (token_hash, account, expires)"
            " SELECT %s, id, now() + interval '1 day' FROM made",
            (sha256(TOKEN.encode()).digest(),),
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = python("benchmarks.lists", "--serve", ground.database_url, port)
    try:
        yield _opened(port)
    finally:
        server.terminate()
        server.wait(20)


def _opened(port: int) -> HTTPResponse:
    until = time.monotonic() + 60
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/api/v1/live", headers={"Cookie": f"patrolgrid_session={TOKEN}"})
            answer = connection.getresponse()
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            if answer.status != 200:
                raise RuntimeError(f"the live stream was refused: {answer.status} {answer.read()[:300]!r}")
            return answer


class Heard(threading.Thread):
    """Reads the stream: when the first alert of each device came, and how many alerts there were."""

    def __init__(self, stream: HTTPResponse) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.first: dict[str, float] = {}

    def run(self) -> None:
        """Until the stream ends."""
        event = b""
        while line := self._stream.readline():
            if line.startswith(b"event: "):
                event = line[7:].strip()
            elif line.startswith(b"data: ") and event == b"alert":
                alert = json.loads(line[6:])
                if alert["kind"] == "sos":
                    self.first.setdefault(alert["subject"], time.time())


def cry(ground: Ground, terminals: int, count: int, seconds: float) -> list[float]:
    """``count`` of so many terminals, spread over all, call for help from where they are, one after the other within so
    many seconds; how long (s) it took each time from writing the message to its alert in the stream.

    Raises:
        RuntimeError: an alert did not come.
    """
    link, sent = Link(ground.mqtt_url), dict[str, float]()
    with console(ground) as stream:
        heard = Heard(stream)
        heard.start()
        begun = time.time()
        for number in range(count):
            time.sleep(max(0.0, begun + number * seconds / count - time.time()))
            terminal = number * terminals // count
            sent[code(terminal)] = now = time.time()
            link.send(packets.publish(f"pg/v1/{SHARE}/{code(terminal)}/sos", fix(now, terminal), number + 1))
        until = time.monotonic() + PATIENCE
        while len(heard.first) < count and time.monotonic() < until:
            link.drain(0.05)
        missing = sorted(sent.keys() - heard.first.keys())
        if missing:
            raise RuntimeError(f"no alert came of {len(missing)} of {count} calls for help, such as {missing[0]}")
        return sorted(heard.first[device] - at for device, at in sent.items())
