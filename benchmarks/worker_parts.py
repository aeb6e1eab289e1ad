"""Parts of ``make bench`` that load a worker: floods, arrays, a steady load, calls for help, a backlog."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from rich.console import Console

from benchmarks.alarms import cry
from benchmarks.ground import SHARE, Ground
from benchmarks.null import aside
from benchmarks.processes import Worker, cpu, cpu_of_family, memory, python, said, touch_memory

HOUR: Final = 3600.0
ARRAY: Final = 60  # fixes of one store-and-forward message
ROUND: Final = 120.0  # seconds of event time that a flood spans: a quarter of an hour ago, none of it late
PACED: Final = 10_000  # messages a second
CALL_EVERY: Final = 0.2  # seconds between calls for help
LONE: Final = 40  # messages that come alone

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
    touch: bool = False  # the memory, before each part
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
        self.worker.wait_until_idle(self.sizes.timeout)  # the detectors are some batches behind the commits
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
    loaded = said(bench.load(count, since=since, step=10, root=aside("pg")), bench.sizes.timeout)
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
    p50, p99 = _until_commit(bench, since, count)
    bench.figures |= {"publish_to_commit_p50_ms": p50, "publish_to_commit_p99_ms": p99}


def _until_commit(bench: Bench, since: float, count: int) -> tuple[float, float]:
    """p50 and p99 (ms) of the fixes from ``since`` on, whose event time is when their sending was due."""
    row = bench.ground.ask(
        """SELECT count(*), percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
                      ORDER BY extract(epoch FROM pg_xact_commit_timestamp(xmin) - at))
           FROM fixes WHERE at >= to_timestamp(%s)""",
        since - 0.001,
    )
    bench.check(row[0], count)
    p50, p99 = row[1]
    return p50 * 1e3, p99 * 1e3


def lone(bench: Bench) -> None:
    """From publish to commit of a message that comes alone, four a second."""
    since = float(said(bench.load(LONE, rate=4.0), bench.sizes.timeout)["began"])
    bench.wait_for(LONE)
    bench.figures |= {"lone_to_commit_p50_ms": _until_commit(bench, since, LONE)[0]}


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


PARTS: Final = {part.__name__: part for part in (single_fixes, arrays, latency, lone, sos, backlog)}


def run(bench: Bench, parts: Sequence[str], libraries: Sequence[str]) -> dict[str, Any]:
    """A subscriber that only counts with each of these libraries, then these parts, one after the other."""
    for library in libraries:
        say.print(f"a subscriber that only counts, with {library}")
        bench.figures |= null_subscriber(bench, library, bench.began - 6 * HOUR)
    bench.worker.start()
    try:
        bench.worker.wait_until_ready()
        for part in (PARTS[name] for name in parts):
            if bench.touch:
                bench.figures[f"{part.__name__}_s_per_gb_of_memory_before"] = touch_memory()
            say.print(f"{part.__name__.replace('_', ' ')}: {(part.__doc__ or '').splitlines()[0]}")
            part(bench)
        used = memory(bench.worker.pid)
        backlogged = "backlog_" if "backlog" in parts else ""
        bench.figures |= {f"{backlogged}worker_rss_{name}_mb": value for name, value in used.items()}
        bench.figures[f"{backlogged}alerts"] = bench.ground.ask(FALSE_ALERTS)[0]
    finally:
        bench.worker.stop()
    return bench.figures


def worker_on(ground: Ground) -> Worker:
    """A worker with its own log in the benchmark's folder."""
    addresses = {"PATROLGRID_DATABASE_URL": ground.database_url, "PATROLGRID_MQTT_URL": ground.mqtt_url}
    more = {"PATROLGRID_WORKER": "bench", "PATROLGRID_LOG_JSON": "true"}
    return Worker(addresses | more, ground.folder / "worker.log")
