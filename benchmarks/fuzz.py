"""``make fuzz``: a million broken payloads and packets through the codecs, the pipeline's steps and the MQTT reader.

    make fuzz
    make fuzz FUZZ="--inputs 20000 --seed 7"
    make fuzz FUZZ=--guided                   # driven by coverage

Good messages of every kind are mutated: values by nasty ones, bytes flipped, cut, doubled, joined with others. Nothing
may raise or hang, and everything is accounted for:

- *payloads*: each is decoded, or refused with a reason that docs/payloads.md lists; then in batches through all steps
  of the pipeline before the store, where each message becomes readings, an answer to a command, or a reject, or is one
  of those that hold no reading. Every tenth batch goes the slow way as well, without the express lane: the same must
  come of it.
- *streams*: packets as a broker sends them, broken and cut into pieces anywhere: the same comes out as of the whole at
  once; a stream is taken to its end, or refused with a ProtocolError after what was good in it.

It prints the seed; a failure is a traceback with the input in it and status 1. A table, then one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from devices.codec import PartlyUndecodable, Undecodable
from devices.codecs import route
from devices.readings import SECOND
from devices.registry import Device, Registry
from ingest import packets
from ingest.express import express
from ingest.messages import Message
from ingest.packets import Parser
from ingest.pipeline import STEPS, store
from ingest.work import Directory, Work
from store.lanes import Lanes

NOW: Final = 1_732_230_000
SHARE: Final = "320118001000"
SLOWEST: Final = 5.0  # CPU seconds for one batch, or one stream: then it hangs
BATCH: Final = 500
MOST: Final = 3_000  # bytes of a PUBLISH that is kept, here
BEFORE_STORE: Final = STEPS[: STEPS.index(store)]
DOCS: Final = Path(__file__).parents[1] / "docs" / "payloads.md"

KINDS: Final[dict[str, dict[str, Any]]] = {
    "fix": {"t": NOW, "lon": 118.88, "lat": 31.47, "spd": 1.2, "hdg": 87, "acc": 4.5, "bat": 88},
    "sos": {"t": NOW, "kind": "man_down", "lon": 118.88, "lat": 31.47, "crs": "gcj02"},
    "sighting": {"t": NOW, "label": "net", "n": 2, "conf": 0.8, "track": "7", "lon": 118.9, "lat": 31.5, "snap": "a/b"},
    "sample": {"t": NOW, "q": "water_level", "v": 7.9},
    "status": {"t": NOW, "online": True, "bat": 70},
    "command/ack": {"id": "17", "t": NOW, "ok": True, "note": "好"},
}
TRACKS: Final[dict[str, Any]] = {
    "_type": "location",
    "tst": NOW,
    "lat": 31.47,
    "lon": 118.88,
    "acc": 9,
    "vel": 4,
    "cog": 360,
    "batt": 50,
    "topic": "x",
}
DEVICES: Final = (*["T-1", "T-2", "C-1", "S-1"] * 4, "T-3", "X-1", "nobody", "", "é", "+", "T-1/x")
TYPES: Final = (
    "location",
    "transition",
    "lwt",
    "card",
    "cmd",
    "waypoints",
    "beacon",
    "encrypted",
    "steps",
    "",
    7,
    None,
)
_NASTY: Final = r"""
    0 -0 -0.0 1 -1 1e-320 1e308 -1e308 1e309 1e400 NaN nan Infinity -Infinity 9007199254740993 18446744073709551616
    123456789012345678901234567890 00 01 1. .5 +1 1e 0x10 181 -181 90.0000001 360 361 -0.1 100.1 2147483648 1732230000
    1732230000.000001 1732230000000 1732230000000000 4070908800 0.001 -62135596801 253402300800 "1732230000"
    "2024-11-22T07:00:00Z" "2024-11-22T07:00:00" "2024-11-22T07:00:60+24:00" "0001-01-01T00:00:00Z"
    "9999-12-31T23:59:59.999999999Z" "" "\u0000" "\ud800" "\uD83D\uDE00" "utm" "gcj02" "bd09" "wgs84" null true false
    [] {} [1] [[]] [null] undefined ' " \ // /**/ , : [ ] { } [[[[[[[[[[ {{{{{
"""
NASTY: Final = tuple(_NASTY.split())


class Mutator:
    """Draws broken messages; the same seed draws the same ones."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._before = b"{}"

    def message(self) -> Message:
        """A topic and a payload, of which much is right and something may be wrong."""
        dice = self._dice
        topic, payload = self._owntracks() if dice.random() < 0.15 else self._own()
        if dice.random() < 0.02:
            topic = self._spoilt(topic.encode()).decode("utf-8", "replace")
        if dice.random() < 0.25:
            payload = self._spoilt(payload)
        self._before = payload
        received = (NOW + dice.randrange(4)) * SECOND
        return Message(topic, payload, received, 1, 1, 1, dice.random() < 0.1, dice.random() < 0.1)

    def stream(self) -> bytes:
        """What a broker might send."""
        dice, made = self._dice, b""
        for _ in range(dice.randrange(1, 6)):
            if dice.random() < 0.25:
                made += dice.choice((b"\x20\x02\x00\x00", b"\xd0\x00", b"\x90\x03\x00\x01\x01", b"\x40\x02\x00\x07"))
                continue
            message = self.message()
            size = dice.choice((0, 0, 0, 0, 0, 0, MOST - 60, 5 * MOST))
            mid = dice.choice((0, 1, 65_535))
            made += packets.publish(message.topic, message.payload + bytes(size), mid, dup=dice.random() < 0.1)
        return self._spoilt(made) if dice.random() < 0.6 else made

    def pieces(self, stream: bytes) -> list[bytes]:
        """The stream cut anywhere."""
        places = sorted(self._dice.randrange(len(stream) + 1) for _ in range(self._dice.randrange(6)))
        return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]

    def _own(self) -> tuple[str, bytes]:
        dice = self._dice
        kind = dice.choice(("fix", "fix", "fix", *KINDS))
        share = SHARE if dice.random() < 0.95 else dice.choice(("320118002000", "", "x"))
        topic = f"pg/v1/{share}/{dice.choice(DEVICES)}/{kind if dice.random() < 0.98 else dice.choice(tuple(KINDS))}"
        if dice.random() < 0.15:
            some = [self._object(KINDS[kind]) for _ in range(dice.choice((0, 1, 2, 3, 7)))]
            return topic, b"[" + b",".join(some) + b"]"
        return topic, self._object(KINDS[kind])

    def _owntracks(self) -> tuple[str, bytes]:
        topic = self._dice.choice(
            ("owntracks/zhang/phone", "owntracks/zhang/phone/event", "owntracks/li/p", "owntracks//")
        )
        return topic, self._object(TRACKS | {"_type": self._dice.choice(TYPES)})

    def _object(self, fields: dict[str, Any]) -> bytes:
        """JSON of the fields, a moment of their own, and some left out, twice there, or with a nasty value."""
        dice, parts = self._dice, []
        for name, value in fields.items():
            text = json.dumps(value, ensure_ascii=dice.random() < 0.5)
            if name in ("t", "tst") and dice.random() < 0.7:
                text = f"{NOW - dice.randrange(3600) - dice.random():.6f}"
            draw = dice.random()
            if draw < 0.02:
                continue
            if draw < 0.1:
                text = dice.choice(NASTY)
            parts += [f'"{name}":{text}'] * (2 if draw > 0.98 else 1)
        if dice.random() < 0.05:
            parts.append(f'"sos":{dice.choice(("true", "false", "1", "null"))}')
        dice.shuffle(parts)
        return ("{" + dice.choice((",", ", ", " ,\n")).join(parts) + "}").encode("utf-8", "surrogatepass")

    def _spoilt(self, data: bytes) -> bytes:
        """One to three accidents."""
        dice, spoilt = self._dice, bytearray(data)
        for _ in range(dice.randrange(1, 4)):
            at, end = sorted(dice.randrange(len(spoilt) + 1) for _ in range(2)) if spoilt else (0, 0)
            accident = dice.randrange(8)
            if accident == 0 and at < len(spoilt):
                spoilt[at] ^= 1 << dice.randrange(8)
            elif accident == 1:
                spoilt[at:at] = dice.choice(NASTY).encode()
            elif accident == 2:
                spoilt[at:end] = b""
            elif accident == 3:
                del spoilt[at:]
            elif accident == 4:
                spoilt[at:at] = spoilt[at : min(end, at + 64)] * dice.choice((1, 2, 30))
            elif accident == 5:
                spoilt[at:end] = dice.randbytes(min(end - at, 16))
            elif accident == 6:
                spoilt += self._before
            else:
                spoilt[at:at] = dice.choice((b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"[" * 3000))
        return bytes(spoilt[: 1 << 16])


def registry() -> Registry:
    """Devices for every step to accept and refuse."""

    def device(number: int, code: str, share: str = SHARE, **more: Any) -> Device:
        kind = {"C": "camera", "S": "sensor"}.get(code[0], "terminal")
        return Device(code, kind, code, code, share, share, id=number, **more)  # type: ignore[arg-type]

    return Registry(
        [
            device(1, "T-1", aliases=("owntracks/zhang/phone",)),
            device(2, "T-2"),
            device(3, "T-3", active=False),
            device(4, "C-1", lon=118.9, lat=31.5),
            device(6, "S-1"),
            device(7, "X-1", share="320118002000"),
        ]
    )


def listed() -> set[str]:
    """The reasons that docs/payloads.md explains."""
    section = DOCS.read_text("utf-8").split("\n## ")[-1]
    rows = re.findall(r"^\| ((?:`[a-z_]+`[, ]*)+) \|", section, re.MULTILINE)
    return {reason for cell in rows for reason in re.findall(r"`([a-z_]+)`", cell)}


@contextmanager
def in_time(what: Callable[[], object]) -> Iterator[None]:
    """Interrupts what takes more than :data:`SLOWEST` of CPU, however busy the machine; in the main thread alone."""

    def hangs(*_: Any) -> None:
        raise TimeoutError(f"more than {SLOWEST} s of CPU: {what()!r}")

    before = signal.signal(signal.SIGPROF, hangs)
    signal.setitimer(signal.ITIMER_PROF, SLOWEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


async def prepared(messages: Sequence[Message], known: Registry, *, fast: bool = True) -> Work:
    """A batch after all steps before the store."""
    pipeline: Any = SimpleNamespace(
        directory=Directory(known),
        future_limit=300.0,
        backfill_days=30.0,
        listener=SimpleNamespace(filters=()),
        lanes=Lanes(),
    )
    work = Work(messages)
    for step in BEFORE_STORE:
        if fast or step is not express:
            await step(pipeline, work)
    return work


def decoded(message: Message, reasons: set[str]) -> str:
    """What the codec makes of a message: "decoded", "nothing", or the reason of its refusal, which must be listed."""
    codec = route(message.topic)
    if codec is None:
        return "unknown_topic"
    try:
        return "decoded" if codec.decode(message.topic, message.payload, message.received) else "nothing"
    except PartlyUndecodable as error:
        if not error.readings:
            raise AssertionError(f"partly undecodable without a reading: {message!r}") from error
        reason = error.reason
    except Undecodable as error:
        reason = error.reason
    if reason not in reasons:
        raise AssertionError(f"reason {reason!r} is not listed: {message!r}")
    return reason


def account(work: Work, said: Sequence[str], reasons: set[str]) -> Counter[str]:
    """What became of each message of a batch, of which the codec ``said`` this.

    Raises:
        AssertionError: nothing became of one, or its reject has another reason than the codec's or an unlisted one.
    """
    with_rows = {int(index) for kind in work.kinds for index in kind.origin.tolist()}
    with_rows |= {index for index, _ in work.acks}
    fates: Counter[str] = Counter()
    for index, (message, codec_said) in enumerate(zip(work.messages, said, strict=True)):
        reject, refused = work.rejects.get(index), codec_said not in ("decoded", "nothing")
        if reject is None and index not in with_rows:
            # A retained alarm without a time of its own is one that came before: nothing is to come of it.
            if codec_said != "nothing" and not message.retained:
                raise AssertionError(f"nothing became of {message!r}, of which the codec said {codec_said}")
            fates["no reading in it"] += 1
            continue
        if reject is not None and (reject.reason not in reasons or reject.payload != message.payload):
            raise AssertionError(f"a reject that says {reject.reason!r} of {message!r}")
        if refused and (reject is None or reject.reason != codec_said):
            raise AssertionError(f"the codec said {codec_said}, the reject says {reject}: {message!r}")
        fates["readings" if reject is None else "reject and readings" if index in with_rows else "reject"] += 1
    return fates


def rows_of(work: Work) -> list[str]:
    """The readings of a batch, to compare."""
    rows = [
        [kind.dtype.names, *(None if isinstance(x, float) and math.isnan(x) else x for x in row)]
        for kind in work.kinds
        for row in kind.rows.tolist()
    ]
    return sorted(map(repr, rows))


def parsed(pieces: Sequence[bytes]) -> tuple[list[Message], list[packets.Control], str]:
    """All packets of a stream that came in pieces, and what was wrong with it."""
    parser, messages, controls = Parser(MOST, 1), list[Message](), list[packets.Control]()
    for piece in pieces:
        more, others = parser.feed(piece, NOW * SECOND)
        messages += more
        controls += others
    return messages, controls, str(parser.broken or "")


def payloads(count: int, seed: int, shown: Console | None = None) -> dict[str, Any]:
    """So many payloads; the counts of what became of them."""
    mutator, known, reasons = Mutator(seed), registry(), listed()
    said: Counter[str] = Counter()
    fates: Counter[str] = Counter()
    slowest, current = 0.0, list[Message]()
    steps = range(0, count, BATCH)
    for number in track(steps, "payloads", console=shown) if shown else steps:
        batch = [mutator.message() for _ in range(min(BATCH, count - number))]
        with in_time(lambda: current):
            answers = []
            for message in batch:
                current[:] = [message]
                begun = time.process_time()
                answers.append(decoded(message, reasons))
                slowest = max(slowest, time.process_time() - begun)
            current[:] = batch
            work = asyncio.run(prepared(batch, known))
            fates += account(work, answers, reasons)
            if number // BATCH % 10 == 0:
                slow = asyncio.run(prepared(batch, known, fast=False))
                if rows_of(slow) != rows_of(work) or slow.rejects != work.rejects:
                    raise AssertionError(f"the express lane makes something else of batch {number} of seed {seed}")
        said.update(answers)
    return {"payloads": count, "slowest_payload_ms": slowest * 1e3, "codec": dict(said), "fates": dict(fates)}


def streams(count: int, seed: int, shown: Console | None = None) -> dict[str, Any]:
    """So many streams through the reader; the counts of what became of them."""
    mutator, fates, slowest = Mutator(seed), Counter[str](), 0.0
    current = b""
    with_progress = track(range(count), "streams", console=shown) if shown else range(count)
    for _ in with_progress:
        current = mutator.stream()
        begun = time.process_time()
        whole = parsed([current])
        slowest = max(slowest, time.process_time() - begun)
        if slowest > SLOWEST:
            raise TimeoutError(f"{slowest:.1f} s for {current!r}")
        if parsed(mutator.pieces(current)) != whole:
            raise AssertionError(f"the cut matters: {current!r}")
        messages, controls, wrong = whole
        fates["refused with a ProtocolError" if wrong else "taken to the end"] += 1
        fates["messages"] += len(messages)
        fates["messages too long, skipped"] += sum(message.skipped > 0 for message in messages)
        fates["other packets"] += len(controls)
    return {"streams": count, "slowest_stream_ms": slowest * 1e3, "reader": dict(fates)}


def main() -> None:
    """Run and show."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--inputs", type=int, default=1_000_000, help="payloads and streams together")
    words.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000_000)
    words.add_argument("--guided", action="store_true", help="driven by coverage, see benchmarks/fuzz_guided.py")
    given = words.parse_args()
    say = Console(stderr=True)
    say.print(f"seed {given.seed}")
    if given.guided:  # a process of its own, as it must import what it watches
        command = [sys.executable, "-m", "benchmarks.fuzz_guided", str(given.inputs), str(given.seed)]
        sys.exit(subprocess.run(command, check=False).returncode)
    begun = time.process_time()
    found = payloads(given.inputs * 7 // 10, given.seed, say) | streams(given.inputs * 3 // 10, given.seed, say)
    table = Table("what", "how many")
    for part in ("codec", "fates", "reader"):
        for name, value in sorted(found[part].items(), key=lambda item: -item[1]):
            table.add_row(f"{part}: {name}", f"{value:,}")
    say.print(table)
    print(json.dumps({"fuzz": {"seed": given.seed, "cpu_s": round(time.process_time() - begun, 1)} | found}))


if __name__ == "__main__":
    main()
