"""The part of ``make fuzz`` that reads: what becomes of streams, and that it does not depend on how they are cut."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.progress import track

from benchmarks.fuzz_inputs import MOST, NOW, Mutator
from benchmarks.fuzz_session import conversation
from benchmarks.in_time import in_time
from devices.readings import SECOND
from ingest import packets
from ingest.messages import Message
from ingest.packets import Parser

SESSION_EACH: Final = 3  # streams: a session costs three times as much as a parser


def parsed(pieces: Sequence[bytes]) -> tuple[list[Message], list[packets.Control], str]:
    """All packets of a stream that came in pieces, and what was wrong with it."""
    parser, messages, controls = Parser(MOST, 1), list[Message](), list[packets.Control]()
    for piece in pieces:
        more, others = parser.feed(piece, NOW * SECOND)
        messages += more
        controls += others
    return messages, controls, str(parser.broken or "")


def streams(count: int, seed: int, shown: Console | None = None) -> dict[str, Any]:
    """So many streams through the reader, and some through a session; the counts of what became of them."""
    mutator, fates, sessions, slowest = Mutator(seed), Counter[str](), Counter[str](), 0.0
    with asyncio.Runner() as runner:
        for number in track(range(count), "streams", console=shown) if shown else range(count):
            stream = mutator.stream()
            pieces = mutator.pieces(stream)
            begun = time.process_time()
            with in_time(lambda stream=stream: stream):
                messages, controls, wrong = whole = parsed([stream])
                if parsed(pieces) != whole:
                    raise AssertionError(f"the cut matters: {stream!r}")
                if number % SESSION_EACH == 0:
                    sessions.update(runner.run(conversation(pieces)))
            slowest = max(slowest, time.process_time() - begun)
            fates["refused with a ProtocolError" if wrong else "taken to the end"] += 1
            fates["messages"] += len(messages)
            fates["messages too long, skipped"] += sum(message.skipped > 0 for message in messages)
            fates["other packets"] += len(controls)
    return {"streams": count, "slowest_stream_ms": slowest * 1e3, "reader": dict(fates), "session": dict(sessions)}
