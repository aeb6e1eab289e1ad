"""``make fuzz`` in short: some thousand broken payloads and packets, and that the harness notices what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import fuzz
from devices.codec import Undecodable
from devices.codecs.patrolgrid import PatrolGridCodec
from ingest.messages import Message

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_payload_raises_hangs_or_is_lost(seed: int) -> None:
    found = fuzz.payloads(1_500, seed)
    assert sum(found["fates"].values()) == sum(found["codec"].values()) == 1_500
    assert {"decoded", "nothing", "not_json", "wrong_shape", "wrong_value", "unknown_topic"} <= found["codec"].keys()
    assert min(found["fates"][fate] for fate in ("readings", "reject", "reject and readings", "no reading in it")) > 10


@pytest.mark.parametrize("seed", [1, 2])
def test_no_stream_raises_hangs_or_depends_on_its_cut(seed: int) -> None:
    found = fuzz.streams(1_000, seed)["reader"]
    assert min(found[fate] for fate in ("refused with a ProtocolError", "taken to the end")) > 100
    assert found["messages too long, skipped"] > 100


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
    one, other = fuzz.Mutator(9), fuzz.Mutator(9)
    assert [one.message() for _ in range(50)] == [other.message() for _ in range(50)]


def test_the_harness_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    good = Message(f"pg/v1/{fuzz.SHARE}/T-1/fix", b'{"t":%d,"lon":118.8,"lat":31.4}' % fuzz.NOW, fuzz.NOW * 10**6)
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
    monkeypatch.setattr(fuzz, "SLOWEST", 0.05)
    with pytest.raises(TimeoutError, match="more than"), fuzz.in_time(lambda: good):
        while True:
            pass
