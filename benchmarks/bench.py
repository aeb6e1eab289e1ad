"""``make bench``: how fast the whole system takes messages in, on services of its own. A table, then one JSON line.

    python -m benchmarks.bench [--quick] [--paho] [--terminals 4000]

Every part runs in a process of its own on this machine: load generator, broker, worker with all detectors, database. So
on few cores they compete, and the figures are of the whole machine. What each figure means is in docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.alarms import cry
from benchmarks.case_list import case_list
from benchmarks.detector_costs import detector_costs
from benchmarks.fences import fences
from benchmarks.ground import SHARE, Ground, prepared
from benchmarks.growth import growth
from benchmarks.history import history_figures
from benchmarks.lists import alert_list
from benchmarks.lists import show as show_list
from benchmarks.null import PREFIX
from benchmarks.processes import Worker, cpu, cpu_of_family, memory, python, said

HOUR: Final = 3600.0
ARRAY: Final = 60  # fixes of one store-and-forward message
ROUND: Final = 120.0  # seconds of event time that a flood spans: a quarter of an hour ago, none of it late
PACED: Final = 10_000  # messages a second
CALL_EVERY: Final = 0.2  # seconds between calls for help

FALSE_ALERTS: Final = "SELECT count(*) FROM alerts WHERE kind <> 'sos'"

say = Console(stderr=True)


@dataclass(frozen=True)
class Sizes:
    """How much is sent."""

    messages: int = 1_000_000
    rounds: int = 5
    arrays: int = 30_000
    backlog: int = 517_000
    paced_seconds: float = 15.0
    calls: int = 120
    timeout: float = 300.0


QUICK: Final = Sizes(30_000, 1, 1_500, 40_000, 4.0, 40, 60.0)


@dataclass
class Bench:
    """One run: the ground, a worker, and the figures that have been found."""

    ground: Ground
    sizes: Sizes
    terminals: int
    worker: Worker
    began: float = field(default_factory=time.time)
    figures: dict[str, Any] = field(default_factory=dict)
    stored: int = 0  # by the present worker process

    def load(self, count: int, **words: object) -> Any:
        """Start the generator."""
        options = [word for name, value in words.items() for word in (f"--{name}", value)]
        common = ["--count", count, "--terminals", self.terminals, "--share", SHARE]
        return python("benchmarks.load", self.ground.mqtt_url, *common, *options)

    def costs(self, work: Callable[[], float], messages: int) -> tuple[float, dict[str, float]]:
        """What ``work`` gives, and the CPU seconds per 100k messages of worker, database and broker during it."""
        ground = self.ground
        measure: dict[str, Callable[[], float]] = {
            "worker": lambda: cpu(self.worker.pid),
            "database": lambda: cpu_of_family(ground.database_pid),
            "broker": lambda: cpu(ground.broker_pid),
        }
        before = {name: read() for name, read in measure.items()}
        result = work()
        time.sleep(1.0)  # the detectors are a few batches behind the commits
        return result, {name: (read() - before[name]) / messages * 1e5 for name, read in measure.items()}

    def committed(self, since: float, until: float) -> tuple[int, float, float]:
        """Of the fixes with an event time in this span: how many, and their first and last commit (s since 1970)."""
        row = self.ground.ask(
            """SELECT count(*), extract(epoch FROM min(pg_xact_commit_timestamp(xmin)))::float8,
                      extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8
               FROM fixes WHERE at >= to_timestamp(%s) AND at < to_timestamp(%s)""",
            since - 0.001,  # to_timestamp may round half a µs the other way than the load generator
            until,
        )
        return int(row[0]), float(row[1]), float(row[2])

    def wait_for(self, more: int) -> None:
        """Until the worker has stored so many more fixes."""
        self.stored += more
        self.worker.wait_for(self.stored, self.sizes.timeout)

    def check(self, stored: int, sent: int) -> None:
        """A benchmark that loses something has no figures."""
        if stored != sent:
            raise RuntimeError(f"{sent} fixes were sent, {stored} are stored")


def null_subscriber(bench: Bench, which: str, since: float) -> dict[str, float]:
    """The rate at which the broker hands out to a subscriber that only counts."""
    count = bench.sizes.messages
    subscriber = python("benchmarks.null", bench.ground.mqtt_url, count, which)
    assert subscriber.stdout is not None
    if subscriber.stdout.readline().strip() != "ready":
        subscriber.kill()
        raise RuntimeError("the null subscriber did not subscribe")
    before = cpu(bench.ground.broker_pid)
    loaded = said(bench.load(count, since=since, step=10, prefix=PREFIX), bench.sizes.timeout)
    heard = said(subscriber, bench.sizes.timeout)
    broker = cpu(bench.ground.broker_pid) - before
    costs = {"null": heard["cpu"], "null_broker": broker}
    rate = count / (heard["last"] - loaded["began"])
    return {f"{which}_null_per_s": rate} | {
        f"{which}_{name}_cpu_s_per_100k": seconds / count * 1e5 for name, seconds in costs.items()
    }


def single_fixes(bench: Bench) -> None:
    """As many single-fix messages as go through, in turns with a subscriber that only counts; figures are medians."""
    rounds = []
    for number in range(bench.sizes.rounds):
        counted = null_subscriber(bench, "own", bench.began - 6 * HOUR)
        since = bench.began - 650.0 - 130.0 * (bench.sizes.rounds - number)  # all before the arrays, and not late
        rounds.append(counted | _single_fixes(bench, since))
    bench.figures |= medians(rounds)
    for name in ("own_null_per_s", "committed_per_s"):
        rates = [figures[name] for figures in rounds]
        bench.figures |= {f"{name}_least": min(rates), f"{name}_most": max(rates)}
    bench.figures["ratio"] = median(figures["committed_per_s"] / figures["own_null_per_s"] for figures in rounds)


def _single_fixes(bench: Bench, since: float) -> dict[str, float]:
    count, figures = bench.sizes.messages, dict[str, float]()

    def work() -> float:
        step = ROUND / math.ceil(count / bench.terminals)
        loaded = said(bench.load(count, since=since, step=step), bench.sizes.timeout)
        bench.wait_for(count)
        figures["generator_cpu_s_per_100k"] = loaded["cpu"] / count * 1e5
        figures["frame_bytes"] = loaded["frame_bytes"]
        return float(loaded["began"])

    began, costs = bench.costs(work, count)
    stored, _, last = bench.committed(since, since + ROUND + 5.0)
    bench.check(stored, count)
    figures |= {f"{name}_cpu_s_per_100k": value for name, value in costs.items()}
    both = costs["worker"] + costs["database"]
    return figures | {"worker_database_cpu_s_per_100k": both, "committed_per_s": count / (last - began)}


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each figure over several rounds."""
    return {name: median(figures[name] for figures in rounds) for name in rounds[0]}


def arrays(bench: Bench) -> None:
    """Store and forward: arrays of 60 fixes, in rounds; figures are medians."""
    rounds = [_arrays(bench, bench.began - 640.0 + (ROUND + 5.0) * number) for number in range(bench.sizes.rounds)]
    bench.figures |= medians(rounds)
    rates = [figures["array_fixes_per_s"] for figures in rounds]
    bench.figures |= {"array_fixes_per_s_least": min(rates), "array_fixes_per_s_most": max(rates)}


def _arrays(bench: Bench, since: float) -> dict[str, float]:
    count = bench.sizes.arrays

    def work() -> float:
        step = ROUND / math.ceil(count / bench.terminals) / ARRAY
        loaded = said(bench.load(count, since=since, step=step, array=ARRAY), bench.sizes.timeout)
        bench.wait_for(count * ARRAY)
        return float(loaded["began"])

    began, costs = bench.costs(work, count * ARRAY)
    stored, _, last = bench.committed(since, since + ROUND + 5.0)
    bench.check(stored, count * ARRAY)
    figures = {f"array_{name}_cpu_s_per_100k_fixes": value for name, value in costs.items()}
    return figures | {"array_fixes_per_s": stored / (last - began)}


def backlog(bench: Bench) -> None:
    """What gathered while the worker was down."""
    count, since = bench.sizes.backlog, bench.began - 2.5 * HOUR
    bench.worker.stop()
    loaded = said(bench.load(count, since=since, step=30), bench.sizes.timeout)
    bench.figures["backlog_queued_per_s"] = count / loaded["seconds"]
    bench.stored = 0
    began = time.time()
    bench.worker.start()

    def work() -> float:
        bench.wait_for(count)
        return began

    _, costs = bench.costs(work, count)
    bench.figures |= {f"backlog_{name}_cpu_s_per_100k": value for name, value in costs.items()}
    stored, first, last = bench.committed(since, since + 2 * HOUR)
    bench.check(stored, count)
    bench.figures["backlog_fixes"] = count
    bench.figures["backlog_s"] = last - first
    bench.figures["backlog_s_from_process_start"] = last - began
    bench.worker.wait_until_ready()
    time.sleep(3.0)  # for alerts that must not come
    bench.figures["backlog_alerts"] = bench.ground.ask(FALSE_ALERTS)[0]


def latency(bench: Bench) -> None:
    """From publish to commit at a paced load; the event time of each fix is when its sending was due."""
    count = int(PACED * bench.sizes.paced_seconds)

    def work() -> float:
        loaded = said(bench.load(count, rate=PACED), bench.sizes.timeout)
        bench.wait_for(count)
        bench.figures["generator_late_p99_ms"] = loaded["late_p99"] * 1e3
        return float(loaded["began"])

    since, costs = bench.costs(work, count)
    bench.figures |= {f"paced_{name}_cpu_s_per_100k": value for name, value in costs.items()}
    row = bench.ground.ask(
        """SELECT count(*), percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
                      ORDER BY extract(epoch FROM pg_xact_commit_timestamp(xmin) - at))
           FROM fixes WHERE at >= to_timestamp(%s)""",
        since - 0.001,
    )
    bench.check(row[0], count)
    bench.figures["publish_to_commit_p50_ms"], bench.figures["publish_to_commit_p99_ms"] = (v * 1e3 for v in row[1])


def sos(bench: Bench) -> None:
    """From calls for help to the console's live stream, under the paced load."""
    calls = bench.sizes.calls
    count, since = int(PACED * (calls * CALL_EVERY + 8.0)), time.time() + 8.0
    loading = bench.load(count, rate=PACED, since=since)
    time.sleep(max(0.0, since + 2.0 - time.time()))
    took = cry(bench.ground, bench.terminals, calls, calls * CALL_EVERY)
    said(loading, bench.sizes.timeout)
    bench.wait_for(count + calls)
    bench.figures |= {"sos_calls": calls, "sos_to_sse_p50_ms": took[calls // 2] * 1e3}
    bench.figures["sos_to_sse_p99_ms"] = took[min(calls - 1, int(calls * 0.99))] * 1e3


PARTS: Final = {part.__name__: part for part in (single_fixes, arrays, latency, sos, backlog)}


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


def run(bench: Bench, parts: Sequence[str], *, with_paho: bool) -> dict[str, Any]:
    """These parts, one after the other."""
    if with_paho:
        say.print("a subscriber that only counts, with paho-mqtt")
        bench.figures |= null_subscriber(bench, "paho", bench.began - 6 * HOUR)
    bench.worker.start()
    try:
        bench.worker.wait_until_ready()
        for part in (PARTS[name] for name in parts):
            say.print(f"{part.__name__.replace('_', ' ')}: {(part.__doc__ or '').splitlines()[0]}")
            part(bench)
        used = memory(bench.worker.pid)
        backlogged = "backlog_" if "backlog" in parts else ""
        bench.figures |= {f"{backlogged}worker_rss_{name}_mb": value for name, value in used.items()}
        bench.figures[f"{backlogged}alerts"] = bench.ground.ask(FALSE_ALERTS)[0]
    finally:
        bench.worker.stop()
    return bench.figures


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
    "large_to_empty_insert": ("≥", 0.9),
    "day_track_warm_ms": ("≤", 20),
    "day_track_cold_ms": ("≤", 250),
    "latest_ms": ("≤", 5),
    "heat_day_ms": ("≤", 300),
    "month_track_ms": ("≤", 1000),
    "alert_list_p95_ms": ("≤", 50),
    "case_list_p95_ms": ("≤", 50),
}


def show(figures: dict[str, Any], wanted: dict[str, tuple[str, float]] = WANTED) -> None:
    """The table, then the JSON line. A list stands in the line alone."""
    table = Table("figure", "value", "wanted", "")
    for name, value in figures.items():
        if isinstance(value, list):
            continue
        sign, bound = wanted.get(name, ("", None))
        met = "" if bound is None else "met" if (value <= bound if sign == "≤" else value >= bound) else "NOT met"
        limit = "" if bound is None else f"{sign} {bound}"
        table.add_row(name, f"{value:,.3f}" if isinstance(value, float) else str(value), limit, met)
    Console(width=100).print(table)
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}))


def main() -> None:
    """Run and show."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--quick", action="store_true", help="a small run of about a minute")
    words.add_argument("--paho", action="store_true", help="also a null subscriber on paho-mqtt")
    words.add_argument(
        "--only", nargs="+", choices=[*PARTS, *ALONE], help="these parts; a quick run leaves out the long ones"
    )
    words.add_argument("--terminals", type=int, default=4000)
    words.add_argument("--data-dir", type=Path, default=Path(".patrolgrid/bench"))
    given = words.parse_args()
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
                bench = Bench(ground, sizes, given.terminals, worker_on(ground))
                figures |= run(bench, parts, with_paho=given.paho)
    for name in (name for name in chosen if name in ALONE):
        say.print(f"{name.replace('_', ' ')}: {(ALONE[name].__doc__ or '').splitlines()[0]}")
        figures |= ALONE[name]()
    show(figures)


def worker_on(ground: Ground) -> Worker:
    """A worker with its own log in the benchmark's folder."""
    addresses = {"PATROLGRID_DATABASE_URL": ground.database_url, "PATROLGRID_MQTT_URL": ground.mqtt_url}
    more = {"PATROLGRID_WORKER": "bench", "PATROLGRID_LOG_JSON": "true"}
    return Worker(addresses | more, ground.folder / "worker.log")


if __name__ == "__main__":
    main()
