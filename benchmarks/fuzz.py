"""``make fuzz``: a million broken payloads and packets through codecs, the pipeline's steps, MQTT reader and session.

    make fuzz
    make fuzz FUZZ="--inputs 20000 --seed 7"
    make fuzz FUZZ=--guided                   # driven by coverage

Good messages of every kind are mutated: values by nasty ones, bytes flipped, cut, doubled, joined with others. Nothing
may raise or hang, and everything is accounted for:

- *payloads*: each is decoded, or refused with a reason that docs/payloads.md lists; then in batches through all steps
  of the pipeline before the store, where each message becomes readings, an answer to a command, or a reject, or is one
  of those that hold no reading or only retained alarms of this very moment. Every tenth batch goes the slow way as
  well, without the express lane: the same must come of it.
- *streams*: packets as a broker sends them, broken and cut into pieces anywhere: the same comes out as of the whole at
  once; a stream is taken to its end, or refused with a ProtocolError after what was good in it. Every third also comes
  to a real session, without a socket, from which messages are taken and acknowledged: see benchmarks/fuzz_session.py.

It prints the seed; a failure is a traceback with the input in it and status 1. A table, then one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.fuzz_inputs import SHARE, Mutator
from benchmarks.fuzz_streams import streams
from benchmarks.in_time import in_time
from devices.codec import PartlyUndecodable, Undecodable
from devices.codecs import route
from devices.readings import Fix
from devices.registry import Device, Registry
from ingest.express import express
from ingest.messages import Message
from ingest.pipeline import STEPS, store
from ingest.steps import ALARM
from ingest.work import Directory, Work
from store.lanes import Lanes

BATCH: Final = 500
BEFORE_STORE: Final = STEPS[: STEPS.index(store)]
DOCS: Final = Path(__file__).parents[1] / "docs" / "payloads.md"


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


def passed_over(message: Message) -> bool:
    """Whether it holds nothing but alarms that came before, as the check of time tells them: they are retained, and of
    the very moment of their reception, which is what an alarm without a time of its own is given."""
    codec = route(message.topic)
    if codec is None or not message.retained:
        return False
    readings = codec.decode(message.topic, message.payload, message.received)
    return all(isinstance(r, Fix) and r.flags & ALARM and r.at == message.received for r in readings)


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
            if codec_said != "nothing" and not passed_over(message):
                raise AssertionError(f"nothing became of {message!r}, of which the codec said {codec_said}")
            fates["no reading in it" if codec_said == "nothing" else "retained alarm of this very moment"] += 1
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
    for part in ("codec", "fates", "reader", "session"):
        for name, value in sorted(found[part].items(), key=lambda item: -item[1]):
            table.add_row(f"{part}: {name}", f"{value:,}")
    say.print(table)
    print(json.dumps({"fuzz": {"seed": given.seed, "cpu_s": round(time.process_time() - begun, 1)} | found}))


if __name__ == "__main__":
    main()
