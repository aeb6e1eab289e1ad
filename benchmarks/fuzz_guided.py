"""``make fuzz FUZZ=--guided``: the same checks, driven by what inputs make the code do that it had not done before.

    make fuzz FUZZ="--guided --inputs 1000000 --seed 7"

Atheris (libFuzzer) mutates payloads and streams of the unguided run, keeps those that reach new branches of codecs,
pipeline, reader and session, and mutates these further. An input is ``P``, a topic, a line feed and a payload; or
``S`` and a stream. A failure is a traceback, status 77 and a file ``crash-…`` with the input. A line of JSON at the
end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Final

import atheris  # type: ignore[import-not-found, unused-ignore]  # no wheels for every machine
from rich.console import Console
from rich.progress import Progress

with atheris.instrument_imports(include=["devices", "ingest"]):
    from benchmarks.fuzz import account, decoded, listed, prepared, registry
    from benchmarks.fuzz_inputs import KINDS, NASTY, NOW, TRACKS, Mutator
    from benchmarks.fuzz_session import conversation
    from benchmarks.fuzz_streams import SESSION_EACH, parsed
    from benchmarks.in_time import SLOWEST
    from devices.readings import SECOND
    from ingest.messages import Message

LONGEST: Final = 8_192  # bytes of an input
BEGIN_WITH: Final = 600  # inputs of the unguided run
BATCH: Final = 200  # payloads that go through the pipeline's steps together
PIECES: Final = (1, 7, 61)  # bytes of the pieces into which a stream is cut


class Check:
    """What is asked of every input, and what became of them."""

    def __init__(self, inputs: int, seed: int) -> None:
        self._inputs, self._seed = inputs, seed
        self._known, self._reasons = registry(), listed()
        self._loop = asyncio.new_event_loop()
        self._fates: Counter[str] = Counter()
        self._done = 0
        self._waiting: list[tuple[Message, str]] = []
        self._begun = time.process_time()
        self._progress = Progress(console=Console(stderr=True))
        self._bar = self._progress.add_task("inputs", total=inputs)
        self._progress.start()

    def __call__(self, data: bytes) -> None:
        """Raises whatever is wrong with what becomes of this input."""
        if data[:1] == b"S":
            self._stream(data[1:])
        else:
            topic, _, payload = data[1:].partition(b"\n")
            self._payload(topic.decode("utf-8", "backslashreplace"), payload)
        self._done += 1
        if len(self._waiting) == BATCH or self._done == self._inputs:
            self._steps()
            self._progress.update(self._bar, completed=self._done)
        if self._done == self._inputs:
            self._progress.stop()
            spent = round(time.process_time() - self._begun, 1)
            figures = {"seed": self._seed, "inputs": self._done, "cpu_s": spent, "fates": dict(self._fates)}
            print(json.dumps({"fuzz_guided": figures}), flush=True)

    def _payload(self, topic: str, payload: bytes) -> None:
        message = Message(topic, payload, NOW * SECOND, 1, 1, 1, False, False)
        self._waiting.append((message, decoded(message, self._reasons)))

    def _steps(self) -> None:
        messages, said = [message for message, _ in self._waiting], [said for _, said in self._waiting]
        self._waiting = []
        work = self._loop.run_until_complete(prepared(messages, self._known))
        self._fates.update(account(work, said, self._reasons))

    def _stream(self, stream: bytes) -> None:
        whole = parsed([stream])
        size = PIECES[self._done % len(PIECES)]
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        if parsed(pieces) != whole:
            raise AssertionError(f"the cut into pieces of {size} matters: {stream!r}")
        if zlib.crc32(stream) % SESSION_EACH == 0:  # by the bytes: a kept input does the same again
            quarter = len(stream) // 4 + 1  # a read costs the session turns of the event loop
            quarters = [stream[at : at + quarter] for at in range(0, len(stream), quarter)]
            self._loop.run_until_complete(conversation(quarters))
        self._fates["stream refused" if whole[2] else "stream taken to the end"] += 1


def corpus(folder: Path, seed: int) -> None:
    """Write inputs to begin with."""
    mutator = Mutator(seed)
    for number in range(BEGIN_WITH):
        message = mutator.message()
        made = b"P" + message.topic.encode() + b"\n" + message.payload if number % 3 else b"S" + mutator.stream()
        (folder / f"{number:04}").write_bytes(made[:LONGEST])


def words(file: Path) -> None:
    """Write what is worth inserting anywhere."""
    names = {f'"{name}":' for fields in (*KINDS.values(), TRACKS) for name in fields}
    escaped = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in (*NASTY, *sorted(names)))
    file.write_text("".join(f'"{word}"\n' for word in escaped))


def run(inputs: int, seed: int) -> None:
    """Never returns: the process ends with the last input, or with the first that is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        inputs_folder, dictionary = Path(folder, "inputs"), Path(folder, "words")
        inputs_folder.mkdir()
        corpus(inputs_folder, seed)
        words(dictionary)
        limits = [f"-runs={inputs}", f"-max_len={LONGEST}", f"-timeout={SLOWEST:.0f}", f"-seed={seed % (1 << 32) or 1}"]
        command = [sys.argv[0], *limits, f"-dict={dictionary}", "-print_final_stats=1", "-verbosity=0"]
        atheris.Setup([*command, str(inputs_folder)], Check(inputs, seed))
        atheris.Fuzz()


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))
