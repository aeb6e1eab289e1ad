"""What a message costs worker and database at 100,000 terminals against 1,000, and what memory the terminals take.

    python -m benchmarks.growth [--repeats 9]

Two workers, each with a database and a broker of its own, take turns: the same number of messages at the same pace,
sent to the one, then to the other, so that whatever else the machine does falls on both. Figures are medians of the
turns, and the growth is the median of each turn's own. A worker's memory is what it holds after the last turn.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console

from benchmarks.ground import SHARE, Ground, prepared
from benchmarks.processes import Worker, cpu, cpu_of_family, memory, python, said

FEW, MANY = 1_000, 100_000
RATE: Final = 10_000.0  # messages a second
say = Console(stderr=True)


@dataclass
class Side:
    """One of the two."""

    terminals: int
    ground: Ground
    worker: Worker
    stored: int = 0
    costs: list[tuple[float, float]] = field(default_factory=list)  # CPU s per 100k messages: of worker, of database

    @property
    def worker_cpu(self) -> list[float]:
        """Of each turn."""
        return [worker for worker, _ in self.costs]

    @property
    def both_cpu(self) -> list[float]:
        """Of each turn, worker and database."""
        return [worker + database for worker, database in self.costs]

    def _used(self) -> tuple[float, float]:
        return cpu(self.worker.pid), cpu_of_family(self.ground.database_pid)

    def turn(self, messages: int) -> None:
        """Send, wait until all is stored and seen by the detectors, and note the cost."""
        since = time.time() + 2.0 + messages * 1e-5
        words = ["--count", messages, "--terminals", self.terminals, "--share", SHARE, "--rate", RATE, "--since", since]
        loading = python("benchmarks.load", self.ground.mqtt_url, *words)
        time.sleep(max(0.0, since - 0.5 - time.time()))
        before = self._used()
        said(loading, 120.0)
        self.stored += messages
        self.worker.wait_for(self.stored, 120.0)
        self.worker.wait_until_idle(60.0)
        worker, database = ((now - then) / messages * 1e5 for now, then in zip(self._used(), before, strict=True))
        self.costs.append((worker, database))


def growth(repeats: int = 9, messages: int = 100_000, data_dir: Path = Path(".patrolgrid/bench")) -> dict[str, Any]:
    """CPU and memory at both sizes, and the ratio of the CPU."""
    with ExitStack() as stack:
        few, many = (_side(stack, data_dir / f"of_{terminals}", terminals) for terminals in (FEW, MANY))
        for side in (few, many):
            side.worker.wait_until_ready()
        for number in range(repeats + 1):
            for side in (few, many):
                side.turn(messages)
            if number == 0:  # caches fill
                few.costs.clear()
                many.costs.clear()
            else:
                costs = (f"{worker:.2f} + {database:.2f}" for worker, database in (few.costs[-1], many.costs[-1]))
                say.print(f"turn {number}: {' and '.join(costs)} CPU s per 100,000 messages, worker + database")
        more = memory(many.worker.pid)["now"] - memory(few.worker.pid)["now"]
        return {
            "worker_cpu_s_per_100k_at_1000": median(few.worker_cpu),
            "worker_cpu_s_per_100k_at_100000": median(many.worker_cpu),
            "worker_cpu_growth": _grown(few.worker_cpu, many.worker_cpu),
            "worker_database_cpu_s_per_100k_at_1000": median(few.both_cpu),
            "worker_database_cpu_s_per_100k_at_100000": median(many.both_cpu),
            "worker_database_cpu_growth": _grown(few.both_cpu, many.both_cpu),
            "worker_mb_at_1000": memory(few.worker.pid)["now"],
            "worker_mb_at_100000": memory(many.worker.pid)["now"],
            "worker_mb_per_10000_terminals": more / (MANY - FEW) * 1e4,
        }


def _grown(few: list[float], many: list[float]) -> float:
    return median(large / small for small, large in zip(few, many, strict=True))


def _side(stack: ExitStack, folder: Path, terminals: int) -> Side:
    say.print(f"a site of {terminals:,} terminals")
    ground = stack.enter_context(prepared(folder, terminals, os.environ.get("PATROLGRID_DEBIAN_MIRROR", "")))
    addresses = {"PATROLGRID_DATABASE_URL": ground.database_url, "PATROLGRID_MQTT_URL": ground.mqtt_url}
    worker = Worker(addresses | {"PATROLGRID_WORKER": "growth", "PATROLGRID_LOG_JSON": "true"}, folder / "worker.log")
    stack.callback(worker.stop)
    worker.start()
    return Side(terminals, ground, worker)


def main() -> None:
    """Measure, and print one JSON line."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--repeats", type=int, default=9)
    words.add_argument("--messages", type=int, default=100_000, help="of one turn")
    given = words.parse_args()
    found = growth(given.repeats, given.messages)
    print(json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
