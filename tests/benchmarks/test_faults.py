"""The short form of ``make faults``: worker and database killed, the network cut on both sides, under a small load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KINDS = ("worker-kill", "database-kill", "broker-cut", "database-cut")


def test_nothing_acknowledged_is_lost_doubled_or_disordered(folder: Path) -> None:
    """What took how long is printed and not judged here: a busy machine is no defect."""
    options = ["--count", str(len(KINDS)), "--only", *KINDS, "--rate", "500", "--terminals", "250", "--away", "1"]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", *options, "--data-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(run.stderr[-4000:], run.stdout, sep="\n")
    figures = json.loads(run.stdout.splitlines()[-1])
    assert set(figures["kinds"]) == set(KINDS)
    assert figures["acknowledged"] == figures["messages"] > 500
    assert figures["calls_for_help"] == len(KINDS)
    wrong = (
        "lost",
        "duplicated",
        "out_of_order",
        "lost_alerts",
        "false_alerts",
        "duplicate_alerts",
        "positions_behind",
    )
    assert {name: figures[name] for name in wrong} == dict.fromkeys(wrong, 0)
