"""``make faults``: break each part again and again while messages come, and count what was lost, doubled or disordered.

    python -m benchmarks.faults [--quick] [--count 100] [--seed N] [--rate 5000] [--only worker-kill …]

It has services, a worker with all detectors and a publisher of its own, which notes every PUBACK; afterwards the store
is held against that record. A table, then one JSON line; exit code 1 if a bound is not kept. What the figures mean is
in docs/robustness.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.faults_disk import SmallDisk, go_there, why_not
from benchmarks.faults_parts import FAULTS, LONG, STOPPED
from benchmarks.faults_run import Outcome, run_plan, say
from benchmarks.ground import prepared
from server.services import Services

RECOVERY: Final = 10.0  # seconds that are allowed
MEMORY: Final = 512  # resident MB of the worker that are allowed
SMALL: Final = "disk-full"
NEVER: Final = (
    *("duplicated", "lost_alerts", "false_alerts", "duplicate_alerts", "positions_behind"),
    "worker_ended_by_itself",
)


def by_kind(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Sums, and the median and longest recovery, of each kind of fault."""
    kinds = {}
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.kind == kind]
        summed = ("lost", "duplicated", "out_of_order", "false_alerts", "duplicate_alerts")
        kinds[kind] = {
            "count": len(own),
            **{name: sum(getattr(outcome, name) for outcome in own) for name in summed},
            "most_lost_at_once": max(outcome.lost for outcome in own),
            "resumed_most_s": round(max(outcome.resumed for outcome in own), 2),
            "recovery_median_s": round(float(np.median([outcome.recovery for outcome in own])), 2),
            "recovery_most_s": round(max(outcome.recovery for outcome in own), 2),
        }
    return kinds


def kept(figures: dict[str, Any]) -> bool:
    """Whether every bound is kept. What a killed Mosquitto loses is measured and not bounded; nor is what comes out of
    order from NATS, which delivers again, after newer ones, what was not acknowledged in time."""
    nats = figures["broker"] == "nats"
    lossy = set[str]() if nats else {"broker-kill"}
    own = sum(k["lost"] for name, k in figures["kinds"].items() if name in lossy)
    lost = figures["lost"] > own or any(k["lost"] for name, k in figures["kinds"].items() if name not in lossy)
    wrong = [*NEVER, *([] if nats else ["out_of_order"])]
    slow = [name for name, k in figures["kinds"].items() if name not in LONG and k["recovery_most_s"] > RECOVERY]
    fat = figures["worker_rss_most_mb"] > MEMORY
    return not (lost or slow or fat or any(figures[name] for name in wrong))


def show(figures: dict[str, Any]) -> None:
    """The table, then the JSON line."""
    columns = list(next(iter(figures["kinds"].values())))
    table = Table("fault", *(name.replace("_", " ") for name in columns))
    for kind, values in figures["kinds"].items():
        table.add_row(kind, *(str(values[name]) for name in columns))
    Console(width=140).print(table)
    print(json.dumps(figures))


def planned(given: argparse.Namespace, dice: random.Random) -> list[str]:
    """So many faults, each kind as often as the others, in random order."""
    kinds = given.only or [kind for kind in FAULTS if kind not in given.skipped]
    count = len(kinds) if given.quick or set(kinds) <= set(LONG) else given.count
    plan = [kinds[i % len(kinds)] for i in range(count)]
    dice.shuffle(plan)
    return plan


def together(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of runs on several grounds: sums, the most memory, and by kind of fault."""
    figures: dict[str, Any] = {name: sum(part[name] for part in parts) for name in parts[0] if name != "outcomes"}
    figures["worker_rss_most_mb"] = max(part["worker_rss_most_mb"] for part in parts)
    return figures | {"kinds": by_kind([outcome for part in parts for outcome in part["outcomes"]])}


def run(plan: Sequence[str], given: argparse.Namespace, dice: random.Random) -> dict[str, Any]:
    """The figures of a plan. Faults of a full disk have a ground of their own, whose database lies on a small one."""
    full = [kind for kind in plan if kind == SMALL]
    other = [kind for kind in plan if kind != SMALL]
    small = given.data_dir.with_name(f"{given.data_dir.name}-small")
    parts = []
    for part, folder in ((other, given.data_dir), (full, small)):
        if not part:
            continue
        if part is full:
            SmallDisk(Services(folder, mqtt_url="mqtt://unused").postgres().folder).mount()
        with prepared(folder, given.terminals, os.environ.get("PATROLGRID_DEBIAN_MIRROR", ""), given.broker) as ground:
            parts.append(uvloop.run(run_plan(ground, part, given, dice)))
    return together(parts)


def main() -> None:
    """Run and show."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--quick", action="store_true", help="each kind of fault once")
    words.add_argument("--count", type=int, default=100, help="how many faults")
    words.add_argument("--only", nargs="+", choices=[*FAULTS, *LONG], help="these kinds of fault")
    words.add_argument("--minutes", type=float, default=10.0, help="how long the database is away in database-away")
    words.add_argument("--broker", choices=("mosquitto", "nats"), default="mosquitto")
    words.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    words.add_argument("--rate", type=int, default=5000, help="messages a second")
    words.add_argument("--away", type=float, default=STOPPED, help="seconds for which a part is away at the most")
    words.add_argument("--terminals", type=int, default=4000)
    words.add_argument("--data-dir", type=Path, default=Path(".patrolgrid/faults"))
    given = words.parse_args()
    given.skipped = {}
    if SMALL in (given.only or FAULTS):
        if reason := why_not():
            given.skipped[SMALL] = reason
            say.print(f"{SMALL} is left out, as nothing can be mounted here: {reason}", highlight=False)
        else:
            go_there([*sys.argv[1:], "--seed", str(given.seed)])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped then too
    dice = random.Random(given.seed)
    plan = planned(given, dice)
    say.print(f"seed {given.seed}: {len(plan)} faults at {given.rate} messages/s", highlight=False)
    figures: dict[str, Any] = {"seed": given.seed, "broker": given.broker, "rate": given.rate, "faults": len(plan)}
    figures |= {"skipped": given.skipped, "cores": os.cpu_count(), "load_average_before": round(os.getloadavg()[0], 2)}
    figures |= run(plan, given, dice)
    figures["load_average_after"] = round(os.getloadavg()[0], 2)
    figures["kept"] = kept(figures)
    show(figures)
    sys.exit(0 if figures["kept"] else 1)


if __name__ == "__main__":
    main()
