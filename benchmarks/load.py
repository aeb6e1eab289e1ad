"""The load generator, a process of its own: PUBLISH frames made beforehand, written in large chunks, PUBACKs counted.

    python -m benchmarks.load URL --count 200000 --terminals 4000 --share 990101001000 --since 1732230000 --step 10

It says one JSON line: messages, seconds from the first write to the last PUBACK, its own CPU seconds while sending, and
for a paced run how late its writes were. Frames are made before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import time
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from ingest import packets

WINDOW: Final = 20_000  # messages on their way to the broker without its PUBACK
CHUNK: Final = 400  # frames of one write
REST: Final = 0.002  # seconds, once the window is full
TICK: Final = 0.005  # seconds between writes of a paced run


def code(terminal: int) -> str:
    """The device code of a terminal of the generated site."""
    return f"B{terminal:06d}"


def fix(t: float, terminal: int) -> bytes:
    """One fix as JSON, about 105 bytes: terminals on a grid, walking two kilometres to and fro as fast as they say.

    Where 20,000 are not enough, others walk between them, up to 100,000 all 44 m apart or more: nobody has two.
    """
    between = terminal // 20_000
    lon = 118.80 + terminal % 200 * 0.001 + between * 0.0004 + abs(1.2 * t % 4000.0 - 2000.0) / 94_900
    lat = 31.40 + terminal // 200 % 100 * 0.001 + between * 0.0002
    return b'{"t":%.6f,"lon":%.6f,"lat":%.6f,"spd":1.2,"hdg":87,"acc":4.5,"bat":88}' % (t, lon, lat)


def frames(given: argparse.Namespace, since: float) -> list[bytes]:
    """All frames, terminal after terminal and round after round; times are unique for each device."""
    topics = [f"{given.root}/v1/{given.share}/{code(n)}/fix" for n in range(given.terminals)]
    made = []
    for i in range(given.count):
        terminal, number = i % given.terminals, i // given.terminals
        if given.array:
            first = number * given.array
            many = (fix(since + (first + k) * given.step, terminal) for k in range(given.array))
            payload = b"[" + b",".join(many) + b"]"
        else:
            t = since + (i / given.rate if given.rate else number * given.step)
            payload = fix(t, terminal)
        made.append(packets.publish(topics[terminal], payload, i % 65_535 + 1))
    return made


class Link:
    """A blocking connection to the broker that writes and counts PUBACKs."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 1883))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(packets.connect(f"bench-load-{time.time_ns()}", None, None, 600, clean=True))
        if self.socket.recv(4) != b"\x20\x02\x00\x00":
            raise ConnectionError(f"{url} refused the load generator")
        self.acked = self._left = 0

    def drain(self, wait: float) -> None:
        """Count the PUBACKs that are there, waiting for some for so many seconds."""
        while select.select([self.socket], [], [], wait)[0]:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the broker closed the load generator's connection")
            self._left += len(data)
            self.acked, self._left, wait = self.acked + self._left // 4, self._left % 4, 0.0

    def send(self, data: bytes) -> None:
        """Write all of it; PUBACKs are counted meanwhile, or both sides would wait for each other."""
        view = memoryview(data)
        while view:
            _, writable, _ = select.select([], [self.socket], [], 0.01)
            self.drain(0.0)
            if writable:
                view = view[self.socket.send(view[: 1 << 16]) :]


def flood(link: Link, made: list[bytes]) -> Iterator[float]:
    """As fast as the broker acknowledges. It writes PUBACKs one by one, so they are left to gather."""
    chunks = [b"".join(made[at : at + CHUNK]) for at in range(0, len(made), CHUNK)]
    yield 0.0
    for number, chunk in enumerate(chunks):
        while number * CHUNK - link.acked > WINDOW:
            time.sleep(REST)
            link.drain(1.0)
        link.socket.sendall(chunk)


def paced(link: Link, made: list[bytes], since: float, rate: float) -> Iterator[float]:
    """Each frame at its own time, which is the ``t`` in it; how late (s) the first of each write was."""
    sent = 0
    while sent < len(made):
        due = min(len(made), int((time.time() - since) * rate) + 1) if time.time() >= since else 0
        if due > sent:
            yield time.time() - (since + sent / rate)
            link.send(b"".join(made[sent:due]))
            sent = due
        link.drain(TICK)


def main() -> None:
    """Make the frames, send them, wait for the last PUBACK, and say what it took."""
    words = argparse.ArgumentParser()
    words.add_argument("url")
    words.add_argument("--count", type=int, required=True)
    words.add_argument("--terminals", type=int, default=4000)
    words.add_argument("--share", required=True)
    words.add_argument("--root", default="pg", help="what topics begin with")
    words.add_argument("--since", type=float, default=0.0, help="event time of the first fix; paced: the start")
    words.add_argument("--step", type=float, default=10.0, help="seconds between fixes of one terminal")
    words.add_argument("--array", type=int, default=0, help="fixes of one message; 0: a single object")
    words.add_argument("--rate", type=float, default=0.0, help="messages a second; 0: as fast as it goes")
    given = words.parse_args()
    since = given.since or time.time() + 2.0 + given.count * 6e-6
    made, link = frames(given, since), Link(given.url)
    began, cpu = time.time(), time.process_time()
    late = list(paced(link, made, since, given.rate) if given.rate else flood(link, made))
    while link.acked < len(made):
        link.drain(5.0)
    print(
        json.dumps(
            {
                "messages": len(made),
                "began": since if given.rate else began,
                "seconds": time.time() - (since if given.rate else began),
                "cpu": time.process_time() - cpu,
                "late_p99": sorted(late)[int(len(late) * 0.99)],
                "frame_bytes": sum(map(len, made)) / len(made),
            }
        )
    )


if __name__ == "__main__":
    main()
