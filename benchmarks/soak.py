"""``make soak``: the whole system under a steady load for an hour, to see whether memory and latency stay flat.

    make soak                                        # an hour at 5,000 messages/s from 4,000 terminals
    make soak SOAK="--minutes 2 --rate 2000"
    python -m benchmarks.soak --minutes 60 --rate 5000 --terminals 4000 --data-dir .patrolgrid/soak

Services of its own, a real worker with all detectors, and ``benchmarks.stream`` as the load. A line is printed for each
minute, then a table of spans of five minutes, then one JSON line. It ends by itself, with status 1 if something that
was sent is not stored. On disk it needs about 200 bytes for each message, and leaves nothing behind.

*How it is measured.* Publish to commit: the commit time by PostgreSQL (``track_commit_timestamp``) less the ``t`` of
the fix, which is the moment its sending was due; asked ten seconds after each minute, so whatever is not stored by then
is counted as ``missing`` in that minute, and again at the end. Memory is resident memory, sampled every ten seconds;
its slope is fitted over what comes after the first quarter. CPU is user and system time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.bench import say, show
from benchmarks.ground import SHARE, Ground, prepared
from benchmarks.processes import cpu, cpu_of_family, memory, python
from benchmarks.stream import fixes_before
from benchmarks.worker_parts import worker_on

SAMPLE_EVERY: Final = 10.0
GRACE: Final = 10.0  # seconds in which a fix is committed, or it is missing from its minute
DRAIN: Final = 180.0  # seconds for what is left at the end
BYTES: Final = 200  # on disk for each message
WANTED: Final[dict[str, tuple[str, float]]] = {
    "missing": ("≤", 0),
    "rejects": ("≤", 0),
    "alerts": ("≤", 0),
    "worker_mb_per_hour": ("≤", 20),
    "p50_last_to_first_quarter": ("≤", 1.25),
    "p99_last_to_first_quarter": ("≤", 1.5),
    "publish_to_commit_p99_ms": ("≤", 250),
    "worst_minute_p99_ms": ("≤", 500),
}


@dataclass(frozen=True)
class Sample:
    """The state of the processes at one moment: CPU seconds since their starts, resident MB."""

    at: float
    sent: int
    cpu: dict[str, float]
    mb: dict[str, float]


@dataclass
class Minute:
    """What one minute of event time came to."""

    begin: float
    fixes: int
    p50: float
    p99: float
    missing: int


@dataclass
class Soak:
    """One run."""

    ground: Ground
    worker: int
    rate: float
    since: float
    load: subprocess.Popen[str]
    samples: list[Sample] = field(default_factory=list)
    minutes: list[Minute] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=lambda: {"sent": 0, "acked": 0, "late": 0.0})
    latest: float = 0.0

    def listen(self) -> None:
        """Take what the load says, in a thread of its own."""
        for line in self.load.stdout or ():
            self.said = json.loads(line)
            self.latest = max(self.latest, self.said["late"])

    def run(self, minutes: float) -> None:
        """Sample until the load has ended."""
        listener = threading.Thread(target=self.listen, daemon=True)
        listener.start()
        give_up = self.since + minutes * 60 + DRAIN
        while self.load.poll() is None and time.time() < give_up:
            time.sleep(SAMPLE_EVERY - (time.time() - self.since) % SAMPLE_EVERY)
            self.samples.append(self.sample())
            begin = self.since + 60.0 * len(self.minutes)
            if time.time() >= begin + 60.0 + GRACE:
                self.minutes.append(self.minute(begin))
                self.tell(self.minutes[-1])
        if self.load.wait(1):
            raise RuntimeError(f"the load ended with {self.load.returncode}")
        listener.join(10)
        if len(self.minutes) < minutes:
            time.sleep(GRACE)
            self.minutes.append(self.minute(self.since + 60.0 * len(self.minutes)))

    def sample(self) -> Sample:
        """The processes now."""
        pids = {"worker": self.worker, "database": self.ground.database_pid, "broker": self.ground.broker_pid}
        used = {name: cpu_of_family(pid) if name == "database" else cpu(pid) for name, pid in pids.items()}
        mb = {name: memory(pids[name])["now"] for name in ("worker", "broker")}
        return Sample(time.time(), self.said["sent"], used, mb)

    def minute(self, begin: float) -> Minute:
        """The fixes that were due in one minute: how many are stored, and how long they took."""
        row = self.ground.ask(
            """SELECT count(*), percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
                          ORDER BY extract(epoch FROM pg_xact_commit_timestamp(xmin) - at)::float8)
               FROM fixes WHERE at >= to_timestamp(%s) AND at < to_timestamp(%s)""",
            begin - 1e-4,
            begin + 60.0 - 1e-4,
        )
        first = round((begin - self.since) * self.rate)
        last = min(first + round(60.0 * self.rate), self.said["sent"])
        p50, p99 = ((v or 0.0) * 1e3 for v in row[1] or (0.0, 0.0))
        return Minute(begin, row[0], p50, p99, fixes_before(last) - fixes_before(first) - row[0])

    def tell(self, minute: Minute) -> None:
        """One line for whoever watches."""
        say.print(
            f"{len(self.minutes):4d} min  sent {self.said['sent']:,}  p50 {minute.p50:.0f} ms  p99 {minute.p99:.0f} ms"
            f"  missing {minute.missing}  worker {self.samples[-1].mb['worker']:.0f} MB  load {os.getloadavg()[0]:.1f}"
        )

    def spans(self, length: int) -> list[dict[str, float]]:
        """The figures by spans of so many minutes."""
        rows = []
        for first in range(0, len(self.minutes), length):
            minutes = self.minutes[first : first + length]
            begin, end = minutes[0].begin, minutes[-1].begin + 60.0 + SAMPLE_EVERY / 2
            inside = [s for s in self.samples if begin - SAMPLE_EVERY / 2 <= s.at <= end]
            done = max(1, inside[-1].sent - inside[0].sent)
            row = {"minute": float(first + length), "fixes": sum(m.fixes for m in minutes)}
            row |= {f"{n}_mb": float(np.median([s.mb[n] for s in inside])) for n in inside[0].mb}
            row |= {f"{n}_cpu": (inside[-1].cpu[n] - inside[0].cpu[n]) / done * 1e5 for n in inside[0].cpu}
            row |= {"p50_ms": float(np.median([m.p50 for m in minutes])), "p99_ms": max(m.p99 for m in minutes)}
            rows.append(row)
        return rows

    def slopes(self) -> dict[str, float]:
        """Growth of memory, and of latency from the first quarter to the last."""
        settled = self.samples[len(self.samples) // 4 :]
        hours = [(s.at - self.since) / 3600.0 for s in settled]
        found = {f"{n}_mb_per_hour": float(np.polyfit(hours, [s.mb[n] for s in settled], 1)[0]) for n in settled[0].mb}
        quarter = max(1, len(self.minutes) // 4)
        for name in ("p50", "p99"):
            first, last = (
                float(np.median([getattr(m, name) for m in part]))
                for part in (self.minutes[:quarter], self.minutes[-quarter:])
            )
            found |= {f"{name}_first_quarter_ms": first, f"{name}_last_quarter_ms": last}
            found[f"{name}_last_to_first_quarter"] = last / max(first, 1e-9)
        return found


def stored(ground: Ground, fixes: int, others: int) -> tuple[int, int]:
    """Fixes, and sightings with samples, once all are there or the patience is over."""
    deadline = time.monotonic() + DRAIN
    while True:
        row = ground.ask(
            "SELECT (SELECT count(*) FROM fixes), (SELECT count(*) FROM sightings) + (SELECT count(*) FROM samples)"
        )
        if (row[0] >= fixes and row[1] >= others) or time.monotonic() > deadline:
            return int(row[0]), int(row[1])
        time.sleep(2.0)


def soak(ground: Ground, minutes: float, rate: float, terminals: int) -> dict[str, Any]:
    """Run, show the spans, and give the figures."""
    figures: dict[str, Any] = {"minutes": minutes, "rate": rate, "terminals": terminals, "cores": os.cpu_count()}
    figures["load_average_before"] = os.getloadavg()[0]
    worker = worker_on(ground)
    worker.start()
    load = None
    try:
        worker.wait_until_ready()
        since = float(int(time.time()) + 3)
        words = {"seconds": minutes * 60, "rate": rate, "terminals": terminals, "share": SHARE, "since": since}
        load = python("benchmarks.stream", ground.mqtt_url, *(w for n, v in words.items() for w in (f"--{n}", v)))
        run = Soak(ground, worker.pid, rate, since, load)
        run.run(minutes)
        sent, cycles = run.said["sent"], run.said["sent"] // 100
        fixes, others = stored(ground, fixes_before(sent), 4 * cycles)  # a status is two samples
        time.sleep(3.0)  # for alerts that must not come
        figures |= {"messages": sent, "fixes_sent": fixes_before(sent), "fixes_stored": fixes, "others_stored": others}
        figures["missing"] = fixes_before(sent) - fixes + max(0, 4 * cycles - others)
        figures["missing_after_10_s"] = sum(m.missing for m in run.minutes)
        figures["rejects"] = ground.ask("SELECT count(*) FROM rejects")[0]
        figures["alerts_by_rule"] = ground.ask(
            "SELECT coalesce(jsonb_object_agg(rule, n), '{}') FROM (SELECT rule, count(*) n FROM alerts GROUP BY 1) a"
        )[0]
        figures["alerts"] = sum(figures["alerts_by_rule"].values())
        figures |= {"generator_cpu_s_per_100k": run.said["cpu"] / sent * 1e5, "generator_latest_s": run.latest}
        figures["publish_to_commit_p50_ms"] = float(np.median([m.p50 for m in run.minutes]))
        figures["publish_to_commit_p99_ms"] = float(np.median([m.p99 for m in run.minutes]))
        figures["worst_minute_p99_ms"] = max(m.p99 for m in run.minutes)
        figures |= run.slopes() | {f"worker_{k}_mb": v for k, v in memory(worker.pid).items()}
        figures["spans"] = show_spans(run.spans(5 if minutes >= 15 else 1))
        figures["load_average_after"] = os.getloadavg()[0]
    finally:
        if load is not None and load.poll() is None:
            load.kill()
            load.wait()
        worker.stop()
    return figures


def show_spans(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """The table by spans; p50 is the median of the span's minutes, p99 the worst of them, CPU s per 100k messages."""
    table = Table(*(name.replace("_", " ") for name in rows[0]))
    for row in rows:
        table.add_row(*(f"{value:,.2f}" if "cpu" in name else f"{value:,.0f}" for name, value in row.items()))
    Console(stderr=True, width=110).print(table)
    return [{name: round(value, 2) for name, value in row.items()} for row in rows]


def main() -> None:
    """Run and show."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--minutes", type=float, default=60.0)
    words.add_argument("--rate", type=float, default=5_000.0, help="messages a second")
    words.add_argument("--terminals", type=int, default=4000)
    words.add_argument("--data-dir", type=Path, default=Path(".patrolgrid/soak"))
    given = words.parse_args()
    given.data_dir.mkdir(parents=True, exist_ok=True)
    needed, free = given.minutes * 60 * given.rate * BYTES, shutil.disk_usage(given.data_dir).free
    if needed * 1.5 > free:
        sys.exit(f"{given.data_dir} has {free / 1e9:.1f} GB free; this needs {needed * 1.5 / 1e9:.1f} GB")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    with prepared(given.data_dir, given.terminals, os.environ.get("PATROLGRID_DEBIAN_MIRROR", "")) as ground:
        figures = soak(ground, given.minutes, given.rate, given.terminals)
    sys.exit(0 if show(figures, WANTED) else 1)


if __name__ == "__main__":
    main()
