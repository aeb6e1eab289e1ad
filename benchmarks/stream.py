"""An endless load, a process of its own: frames made as they fall due, so that hours of it need no memory.

    python -m benchmarks.stream URL --seconds 3600 --rate 5000 --terminals 4000 --share 990101001000

Of 100 messages 97 are fixes, one is a sighting, one a sample of a sensor, one the status of a terminal. Each carries
the moment at which its sending was due as its ``t``. Every ten seconds, and at the end after the last PUBACK, it says
one JSON line: messages sent and acknowledged, how late the latest write was, its own CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from typing import Final

import numpy as np

from benchmarks.load import TICK, WINDOW, Link, code
from ingest import packets

CYCLE: Final = 100
OTHERS: Final = 3  # of each cycle: a sighting, a sample, a status
MOST: Final = 2_000  # frames of one write, when it is behind
SAY_EVERY: Final = 10.0
OFF: Final = 3e-5  # degrees, three metres: how far off a receiver is, and seconds for which it stays so
OFF_FOR: Final = 100.0
JITTER: Final = 1e-6  # degrees, a decimetre, of every fix
CAMERAS: Final = ("C07", "C08", "C10")
SENSORS: Final = (("WL01", "water_level", 7.9, 0.004), ("SM01", "smoke", 0.02, 0.004))  # quantity, usual value, noise


def fixes_before(number: int) -> int:
    """How many of the first messages are fixes."""
    return number // CYCLE * (CYCLE - OTHERS) + max(0, number % CYCLE - OTHERS)


class Stream:
    """Makes the frames: terminals on a grid walk two kilometres to and fro, with a receiver's noise.

    A receiver is some metres off, and as far off a moment later: what is wrong changes with satellites and reflections,
    over a minute or two, and only decimetres of it with every fix.
    """

    def __init__(self, share: str, terminals: int, rate: float, since: float) -> None:
        self._root, self._terminals, self._rate, self._since = f"pg/v1/{share}", terminals, rate, since
        self._topics = [f"{self._root}/{code(n)}/fix" for n in range(terminals)]
        self._draw = np.random.default_rng(1)
        self._off = self._draw.normal(0.0, OFF, (terminals, 2)).tolist()
        self._keeps = math.exp(-terminals / rate / OFF_FOR)

    def frames(self, begin: int, end: int) -> list[bytes]:
        """The frames of the messages ``begin`` to ``end - 1``."""
        made, noise = [], self._draw.normal(0.0, 1.0, (end - begin, 2)).tolist()
        for number, (east, north) in enumerate(noise, begin):
            turn, place = divmod(number, CYCLE)
            t = self._since + number / self._rate
            if place >= OTHERS:
                topic, payload = self._fix(fixes_before(number) % self._terminals, t, east, north)
            else:
                topic, payload = (self._sighting, self._sample, self._status)[place](turn, t, east)
            made.append(packets.publish(topic, payload, number % 65_535 + 1))
        return made

    def _fix(self, terminal: int, t: float, east: float, north: float) -> tuple[str, bytes]:
        changed, off = math.sqrt(1.0 - self._keeps**2) * OFF, self._off[terminal]
        off[:] = self._keeps * off[0] + changed * east, self._keeps * off[1] + changed * north
        way = (1.2 * t + terminal * 37.0) % 4000.0 - 2000.0
        lon = 118.80 + terminal % 200 * 0.001 + abs(way) / 94_900 + off[0] + east * JITTER
        lat = 31.40 + terminal // 200 % 100 * 0.001 + off[1] + north * JITTER
        heading = 87 if way > 0 else 267
        payload = b'{"t":%.6f,"lon":%.6f,"lat":%.6f,"spd":1.2,"hdg":%d,"acc":4.5,"bat":88}' % (t, lon, lat, heading)
        return self._topics[terminal], payload

    def _sighting(self, turn: int, t: float, noise: float) -> tuple[str, bytes]:
        payload = b'{"t":%.6f,"label":"person","n":1,"conf":0.8,"track":"%d"}' % (t, turn // 100)
        return f"{self._root}/{CAMERAS[turn % len(CAMERAS)]}/sighting", payload

    def _sample(self, turn: int, t: float, noise: float) -> tuple[str, bytes]:
        sensor, quantity, usual, spread = SENSORS[turn % len(SENSORS)]
        value = usual + noise * spread
        return f"{self._root}/{sensor}/sample", b'{"t":%.6f,"q":"%b","v":%.4f}' % (t, quantity.encode(), value)

    def _status(self, turn: int, t: float, noise: float) -> tuple[str, bytes]:
        return f"{self._root}/{code(turn % self._terminals)}/status", b'{"t":%.6f,"online":true,"bat":88}' % t


def main() -> None:
    """Send until the time is over, wait for the last PUBACK, and say what was sent."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("url")
    words.add_argument("--seconds", type=float, required=True)
    words.add_argument("--rate", type=float, required=True)
    words.add_argument("--terminals", type=int, default=4000)
    words.add_argument("--share", required=True)
    words.add_argument("--since", type=float, required=True, help="when to begin, s since 1970")
    given = words.parse_args()
    stream = Stream(given.share, given.terminals, given.rate, given.since)
    link, total, sent, late, say_at = Link(given.url), int(given.seconds * given.rate), 0, 0.0, given.since + SAY_EVERY

    def say() -> None:
        fields = {"sent": sent, "acked": link.acked, "late": round(late, 3), "cpu": time.process_time()}
        print(json.dumps({"at": time.time(), **fields}), flush=True)

    while sent < total:
        due = min(total, sent + MOST, max(0, int((time.time() - given.since) * given.rate) + 1))
        if due > sent and sent - link.acked < WINDOW:
            late = max(late, time.time() - (given.since + sent / given.rate))
            link.send(b"".join(stream.frames(sent, due)))
            sent = due
        link.drain(TICK)
        if time.time() >= say_at:
            say()
            say_at, late = say_at + SAY_EVERY, 0.0
    while link.acked < total:
        link.drain(5.0)
    say()


if __name__ == "__main__":
    main()
