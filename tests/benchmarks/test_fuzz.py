"""``make fuzz`` in short: some thousand broken payloads and packets, and that the harness notices what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import fuzz, fuzz_inputs, fuzz_streams
from benchmarks import in_time as bound
from devices.codec import Undecodable
from devices.codecs.patrolgrid import PatrolGridCodec
from ingest.messages import Message
from ingest.packets import Parser
from ingest.session import Session

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_payload_raises_hangs_or_is_lost(seed: int) -> None:
    found = fuzz.payloads(1_500, seed)
    assert sum(found["fates"].values()) == sum(found["codec"].values()) == 1_500
    assert {"decoded", "nothing", "not_json", "wrong_shape", "wrong_value", "unknown_topic"} <= found["codec"].keys()
    assert min(found["fates"][fate] for fate in ("readings", "reject", "reject and readings", "no reading in it")) > 10


@pytest.mark.parametrize("seed", [1, 2])
def test_no_stream_raises_hangs_or_depends_on_its_cut(seed: int) -> None:
    found = fuzz_streams.streams(1_000, seed)
    read, talked = found["reader"], found["session"]
    assert min(read[fate] for fate in ("refused with a ProtocolError", "taken to the end")) > 100
    assert read["messages too long, skipped"] > 100
    assert min(talked[fate] for fate in ("ended by the session", "ended by the broker", "all questions answered")) > 50
    assert min(talked[fate] for fate in ("messages that were here already", "messages acknowledged")) > 20
    assert talked["reads that waited for room"] > 0


def test_a_guided_run_accounts_for_every_input_and_finds_what_is_wrong(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    command = [sys.executable, "-m", "benchmarks.fuzz_guided", "400", "3"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    figures = json.loads(next(line for line in run.stdout.splitlines() if line.startswith("{")))["fuzz_guided"]
    assert figures["inputs"] == sum(figures["fates"].values()) == 400

    broken = "import devices.codecs.owntracks as o\no.OwnTracksCodec.decode = lambda *_: 1 / 0\n"
    code = f"{broken}import benchmarks.fuzz_guided as g\ng.run(400, 3)"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert run.returncode != 0
    assert list(tmp_path.glob("crash-*")), "the input is kept"


def test_the_same_seed_draws_the_same() -> None:
    one, other = fuzz_inputs.Mutator(9), fuzz_inputs.Mutator(9)
    assert [one.message() for _ in range(50)] == [other.message() for _ in range(50)]


def test_the_harness_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    good = Message(
        f"pg/v1/{fuzz_inputs.SHARE}/T-1/fix",
        b'{"t":%d,"lon":118.8,"lat":31.4}' % fuzz_inputs.NOW,
        fuzz_inputs.NOW * 10**6,
    )
    reasons = fuzz.listed()
    work = asyncio.run(fuzz.prepared([good], fuzz.registry()))
    assert fuzz.account(work, ["decoded"], reasons) == {"readings": 1}
    with pytest.raises(AssertionError, match="the codec said not_json"):
        fuzz.account(work, ["not_json"], reasons)
    work.fixes.keep(work.fixes.rows["at"] < 0)
    with pytest.raises(AssertionError, match="nothing became of"):
        fuzz.account(work, ["decoded"], reasons)

    def odd(*_: object) -> None:
        raise Undecodable("because", "x")

    monkeypatch.setattr(PatrolGridCodec, "decode", odd)
    with pytest.raises(AssertionError, match="not listed"):
        fuzz.decoded(good, reasons)


def test_of_retained_messages_an_alarm_without_a_time_of_its_own_may_vanish_and_nothing_else() -> None:
    now, reasons = fuzz_inputs.NOW * 10**6, fuzz.listed()
    base = f"pg/v1/{fuzz_inputs.SHARE}/T-1"
    alarm = Message(f"{base}/sos", b'{"t":%d}' % fuzz_inputs.NOW, now, retained=True)
    work = asyncio.run(fuzz.prepared([alarm], fuzz.registry()))
    assert fuzz.account(work, ["decoded"], reasons) == {"retained alarm of this very moment": 1}

    fix = alarm._replace(topic=f"{base}/fix", payload=b'{"t":%d,"lon":118.8,"lat":31.4}' % fuzz_inputs.NOW)
    for kept in (fix, alarm._replace(payload=b'{"t":%d}' % (fuzz_inputs.NOW - 1)), alarm._replace(retained=False)):
        work = asyncio.run(fuzz.prepared([kept], fuzz.registry()))
        assert fuzz.account(work, ["decoded"], reasons) == {"readings": 1}
        work.fixes.keep(work.fixes.rows["at"] < 0)
        with pytest.raises(AssertionError, match="nothing became of"):
            fuzz.account(work, ["decoded"], reasons)


def test_what_hangs_only_where_a_stream_is_cut_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Parser.feed

    def hanging(self: Parser, data: bytes, received: int = 0) -> Any:
        while self._parts:
            pass
        return feed(self, data, received)

    monkeypatch.setattr(Parser, "feed", hanging)
    monkeypatch.setattr(bound, "SLOWEST", 0.05)
    with pytest.raises(TimeoutError, match=r"more than 0\.05 s of CPU: b'"):
        fuzz_streams.streams(100, 1)


def takes_all(self: Session, messages: Any) -> Any:
    return messages


def stays(self: Session, why: str) -> None:
    """As if nothing were wrong."""


def reads_on(self: Session, nbytes: int, before: Callable[..., None] = Session.buffer_updated) -> None:
    before(self, nbytes)
    assert self._transport is not None
    self._transport.resume_reading()


def acknowledges(self: Session, nbytes: int, before: Callable[..., None] = Session.buffer_updated) -> None:
    before(self, nbytes)
    self.acknowledge(np.array([1], np.uint16))


def raises(self: Session, messages: Any) -> Any:
    raise KeyError(7)


@pytest.mark.parametrize(
    ("method", "fault", "seen"),
    [
        ("_fresh", takes_all, "a message too many"),
        ("_fresh", raises, "KeyError"),
        ("abort", stays, "of a stream that ends the session: True"),
        ("buffer_updated", reads_on, "though there is no room"),
        ("buffer_updated", acknowledges, "other acknowledgements"),
    ],
)
def test_a_session_that_breaks_a_promise_is_noticed(
    monkeypatch: pytest.MonkeyPatch, method: str, fault: Callable[..., Any], seen: str
) -> None:
    monkeypatch.setattr(Session, method, fault)
    with pytest.raises(AssertionError, match=seen):
        fuzz_streams.streams(3_000, 1)
