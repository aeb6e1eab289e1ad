"""``make bench``: how fast the whole system takes messages in, on services of its own. A table, then one JSON line.

    python -m benchmarks.bench [--quick] [--libraries paho mqttium] [--only single_fixes …] [--terminals 4000]

Every part runs in a process of its own on this machine: load generator, broker, worker with all detectors, database. So
on few cores they compete, and the figures are of the whole machine. What each figure means is in docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.case_list import case_list
from benchmarks.detector_costs import detector_costs
from benchmarks.fences import fences
from benchmarks.ground import prepared
from benchmarks.growth import growth
from benchmarks.history import history_figures
from benchmarks.lists import alert_list
from benchmarks.lists import show as show_list
from benchmarks.worker_parts import PARTS, QUICK, Bench, Sizes, run, worker_on

say = Console(stderr=True)


def detectors() -> dict[str, Any]:
    """What a fix costs in each detector at 10,000 terminals, µs of CPU."""
    return {f"detector_{name}_us_per_fix": cost for name, cost in detector_costs().items()}


def lists() -> dict[str, Any]:
    """Pages of the alert list at 13,000 live ones, and of the list of cases at a million, over HTTP."""
    alerts, cases = alert_list(), case_list()
    show_list(alerts)
    show_list(cases)
    return {f"{name}_list_p95_ms": found["p95_ms"] for name, found in (("alert", alerts), ("case", cases))}


def outlines() -> dict[str, Any]:
    """Fixes a second against 23,000 fences, and against 400 of 2,000 corners, on one core."""
    return {f"fences_{name}": rate for name, rate in fences().items()}


def history() -> dict[str, Any]:
    """Queries of a day of 2,000 terminals, and inserting into a table of 100 million rows."""
    return history_figures()


ALONE: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    part.__name__: part for part in (detectors, outlines, lists, growth, history)
}
"""Parts that need no worker: each brings up what it needs."""
LONG: Final = ("lists", "growth", "history")  # not in a quick run

WANTED: Final[dict[str, tuple[str, float]]] = {  # as docs/performance.md says
    "ratio": ("≥", 0.95),
    "worker_cpu_s_per_100k": ("≤", 0.6),
    "worker_database_cpu_s_per_100k": ("≤", 1.0),
    "publish_to_commit_p99_ms": ("≤", 250),
    "sos_to_sse_p99_ms": ("≤", 1000),
    "array_fixes_per_s": ("≥", 250_000),
    "backlog_s": ("≤", 15),
    "backlog_alerts": ("≤", 0),
    "alerts": ("≤", 0),
    "detector_all_us_per_fix": ("≤", 2.0),
    "fences_visits_and_fences": ("≥", 300_000),
    "worker_cpu_growth": ("≤", 1.15),
    "worker_database_cpu_growth": ("≤", 1.15),
    "large_to_empty_insert": ("≥", 0.9),
    "day_track_warm_ms": ("≤", 20),
    "day_track_cold_ms": ("≤", 250),
    "latest_ms": ("≤", 5),
    "heat_day_ms": ("≤", 300),
    "month_track_ms": ("≤", 1000),
    "alert_list_p95_ms": ("≤", 50),
    "case_list_p95_ms": ("≤", 50),
}


def show(figures: dict[str, Any], wanted: dict[str, tuple[str, float]] = WANTED) -> bool:
    """The table, then the JSON line, in which alone a list stands; whether all is as wanted."""
    table, all_met = Table("figure", "value", "wanted", ""), True
    for name, value in figures.items():
        if isinstance(value, list):
            continue
        limit = verdict = ""
        if name in wanted:
            sign, bound = wanted[name]
            met = value <= bound if sign == "≤" else value >= bound
            limit, verdict, all_met = f"{sign} {bound}", "met" if met else "NOT met", all_met and met
        table.add_row(name, f"{value:,.3f}" if isinstance(value, float) else str(value), limit, verdict)
    Console(width=100).print(table)
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}))
    return all_met


def main() -> None:
    """Run and show."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--quick", action="store_true", help="a small run of about a minute")
    libraries = ["paho", "mqttium"]  # the second has to be installed
    words.add_argument("--libraries", nargs="+", choices=libraries, default=[], help="also null subscribers on these")
    words.add_argument(
        "--only", nargs="+", choices=[*PARTS, *ALONE], help="these parts; a quick run leaves out the long ones"
    )
    words.add_argument("--touch-memory", action="store_true", help="first write to memory the host may have taken back")
    words.add_argument("--terminals", type=int, default=4000)
    words.add_argument("--data-dir", type=Path, default=Path(".patrolgrid/bench"))
    given = words.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    sizes = QUICK if given.quick else Sizes()
    chosen = given.only or [name for name in (*PARTS, *ALONE) if not (given.quick and name in LONG)]
    figures: dict[str, Any] = {"terminals": given.terminals, "cores": os.cpu_count()}
    figures["load_average_before"] = os.getloadavg()[0]
    # The backlog has services of its own: a broker that has queued half a million messages is not as it was before.
    for parts in (
        [name for name in chosen if name in PARTS and name != "backlog"],
        [name for name in chosen if name == "backlog"],
    ):
        if parts:
            with prepared(given.data_dir, given.terminals, os.environ.get("PATROLGRID_DEBIAN_MIRROR", "")) as ground:
                bench = Bench(ground, sizes, given.terminals, worker_on(ground), given.touch_memory)
                figures |= run(bench, parts, given.libraries)
    try:
        for name in (name for name in chosen if name in ALONE):
            say.print(f"{name.replace('_', ' ')}: {(ALONE[name].__doc__ or '').splitlines()[0]}")
            figures |= ALONE[name]()
    finally:  # what was measured is shown though a later part failed
        show(figures)


if __name__ == "__main__":
    main()
