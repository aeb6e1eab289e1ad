"""``make faults``: break each part again and again while messages come, and count what was lost, doubled or disordered.

    python -m benchmarks.faults [--quick] [--count 100] [--seed N] [--rate 5000] [--only worker-kill …]

It has services, a worker with all detectors and a publisher of its own, which notes every PUBACK; afterwards the store
is held against that record. A table, then one JSON line; exit code 1 if a bound is not kept. What the figures mean is
in docs/robustness.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.faults_parts import FAULTS, STOPPED, Scene
from benchmarks.faults_store import Alerts, Comparison, alerts, compare, newest_committed
from benchmarks.faults_stream import Stream
from benchmarks.ground import SHARE, Ground, prepared
from benchmarks.processes import Worker
from benchmarks.wire import Wire

RECOVERY: Final = 10.0  # seconds that are allowed
SETTLE: Final = 180.0  # seconds after which a fault counts as not recovered from
AGAIN: Final = 5.0  # seconds in which what seems lost may still come
NO_ALERTS: Final = Alerts(0, 0, 0)

say = Console(stderr=True, width=120)


@dataclass
class Outcome:
    """What one fault did. Seconds: ``recovery`` until the backlog was committed, ``resumed`` until anything was."""

    kind: str
    away: float
    recovery: float
    resumed: float
    lost: int
    duplicated: int
    out_of_order: int
    false_alerts: int = 0
    duplicate_alerts: int = 0


@dataclass
class Run:
    """One run on one ground: the stream, the scene, and what came of each fault."""

    scene: Scene
    stream: Stream
    dice: random.Random
    outcomes: list[Outcome] = field(default_factory=list)
    compared: int = 0  # messages before this one are held against the store already
    seen: Alerts = NO_ALERTS

    @property
    def url(self) -> str:
        """The database, not over the wire."""
        return self.scene.ground.database_url

    async def break_once(self, kind: str) -> Outcome:
        """One fault at a random moment, its recovery, and the count."""
        await asyncio.sleep(self.dice.uniform(0.5, 2.5))
        self.stream.cry(self.dice.uniform(0.0, 2.0))
        began = time.time()
        back = await FAULTS[kind](self.scene, self.dice)
        found, since = await self.settle(back), self.compared
        acked = self.stream.acked_until(back, since) - since
        late = found.committed[acked[acked < len(found.committed)]] - back
        self.compared += len(found.committed)
        outcome = Outcome(
            kind, back - began, max([0.0, *late[~np.isnan(late)].tolist()]), _first_after(found.committed, back),
            found.lost, found.duplicated, found.out_of_order,
        )  # fmt: skip
        raised = await asyncio.to_thread(alerts, self.url, self.stream, self.stream.cries)
        outcome.false_alerts = raised.false - self.seen.false
        outcome.duplicate_alerts = raised.duplicated - self.seen.duplicated
        self.seen = raised
        self.outcomes.append(outcome)
        return outcome

    async def settle(self, moment: float) -> Comparison:
        """Wait until what was acknowledged at a moment is committed, or will never be, and compare up to there."""
        acked = self.stream.acked_until(moment, self.compared)
        until = int(acked[-1]) + 1 if len(acked) else self.compared
        deadline = time.monotonic() + SETTLE
        while await self._newest() < until - 1 and time.monotonic() < deadline:  # noqa: ASYNC110  # a database is asked
            await asyncio.sleep(0.3)
        found = await asyncio.to_thread(compare, self.url, self.stream, self.compared, until)
        if found.lost:
            await asyncio.sleep(AGAIN)
            found = await asyncio.to_thread(compare, self.url, self.stream, self.compared, until)
        return found

    async def _newest(self) -> int:
        try:
            return await asyncio.to_thread(newest_committed, self.url, self.stream)
        except psycopg.OperationalError:  # it is coming back just now
            return -1

    async def finish(self) -> dict[str, Any]:
        """End the stream, wait for the last message and alert, and compare everything once more."""
        self.stream.stop()
        while not self.stream.done:  # noqa: ASYNC110  # once, at the end
            await asyncio.sleep(0.1)
        self.compared = 0
        whole = await self.settle(time.time())
        cries = [seq for seq in self.stream.cries if seq < len(whole.committed) and not np.isnan(whole.committed[seq])]
        deadline = time.monotonic() + 30
        while (raised := await asyncio.to_thread(alerts, self.url, self.stream, cries)).lost:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.5)
        await asyncio.sleep(3.0)  # for alerts that must not come
        raised = await asyncio.to_thread(alerts, self.url, self.stream, cries)
        return {
            "messages": self.stream.sent,
            "acknowledged": int((~np.isnan(self.stream.acked[: self.stream.sent])).sum()),
            "lost": whole.lost,
            "duplicated": whole.duplicated,
            "out_of_order": whole.out_of_order,
            "calls_for_help": len(cries),
            "lost_alerts": raised.lost,
            "false_alerts": raised.false,
            "duplicate_alerts": raised.duplicated,
            "worker_ended_by_itself": self.scene.ended,
            "worker_rss_most_mb": round(self.scene.most_memory),
        }


def _first_after(committed: np.ndarray, moment: float) -> float:
    later = committed[committed > moment]
    return float(later.min() - moment) if len(later) else 0.0


@asynccontextmanager
async def running(ground: Ground, given: argparse.Namespace, dice: random.Random) -> AsyncIterator[Run]:
    """Wires, a worker that is ready, who watches it, and the stream."""
    to_broker, to_database = Wire(ground.mqtt_url), Wire(ground.database_url)
    await to_broker.mend()
    await to_database.mend()
    worker = Worker(
        {
            "PATROLGRID_DATABASE_URL": to_database.url,
            "PATROLGRID_MQTT_URL": to_broker.url,
            "PATROLGRID_WORKER": "faults",
            "PATROLGRID_LOG_JSON": "true",
        },
        ground.folder / "worker.log",
    )
    scene = Scene(ground, worker, to_broker, to_database, given.away)
    worker.start()
    try:
        await asyncio.to_thread(worker.wait_until_ready)
        stream = Stream(ground.mqtt_url, SHARE, given.rate, given.terminals)
        async with asyncio.TaskGroup() as group:  # one that fails ends the run
            tasks = [group.create_task(stream.run()), group.create_task(scene.supervise())]
            yield Run(scene, stream, dice)
            for task in tasks:
                task.cancel()
    finally:
        await asyncio.to_thread(worker.stop)
        await to_broker.cut()
        await to_database.cut()


async def faults(ground: Ground, plan: Sequence[str], given: argparse.Namespace, dice: random.Random) -> dict[str, Any]:
    """Run the plan; the figures."""
    async with running(ground, given, dice) as run:
        for number, kind in enumerate(plan, 1):
            outcome = await run.break_once(kind)
            say.print(
                f"{number:4}/{len(plan)} {kind:14} away {outcome.away:5.1f} s, recovered in {outcome.recovery:5.2f} s,"
                f" lost {outcome.lost}, doubled {outcome.duplicated}, out of order {outcome.out_of_order}",
                highlight=False,
            )
        whole = await run.finish()
    return whole | {"kinds": by_kind(run.outcomes)}


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
    """Whether every bound is kept: losses by a broker that is no NATS server are measured and not bounded."""
    lossy = figures["broker"] == "mosquitto"
    lost = sum(k["lost"] for name, k in figures["kinds"].items() if not (lossy and name.startswith("broker")))
    wrong = ("duplicated", "lost_alerts", "false_alerts", "duplicate_alerts")
    slow = [name for name, k in figures["kinds"].items() if k["recovery_most_s"] > RECOVERY]
    return not (lost or slow or any(figures[name] for name in wrong))


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
    kinds = given.only or list(FAULTS)
    count = len(kinds) if given.quick else given.count
    plan = [kinds[i % len(kinds)] for i in range(count)]
    dice.shuffle(plan)
    return plan


def main() -> None:
    """Run and show."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--quick", action="store_true", help="each kind of fault once")
    words.add_argument("--count", type=int, default=100, help="how many faults")
    words.add_argument("--only", nargs="+", choices=list(FAULTS), help="these kinds of fault")
    words.add_argument("--broker", choices=("mosquitto", "nats"), default="mosquitto")
    words.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    words.add_argument("--rate", type=int, default=5000, help="messages a second")
    words.add_argument("--away", type=float, default=STOPPED, help="seconds for which a part is away at the most")
    words.add_argument("--terminals", type=int, default=4000)
    words.add_argument("--data-dir", type=Path, default=Path(".patrolgrid/faults"))
    given = words.parse_args()
    dice = random.Random(given.seed)
    plan = planned(given, dice)
    say.print(f"seed {given.seed}: {len(plan)} faults at {given.rate} messages/s", highlight=False)
    figures: dict[str, Any] = {"seed": given.seed, "broker": given.broker, "rate": given.rate, "faults": len(plan)}
    figures |= {"cores": os.cpu_count(), "load_average_before": round(os.getloadavg()[0], 2)}
    with prepared(
        given.data_dir, given.terminals, os.environ.get("PATROLGRID_DEBIAN_MIRROR", ""), given.broker
    ) as ground:
        figures |= uvloop.run(faults(ground, plan, given, dice))
    figures["load_average_after"] = round(os.getloadavg()[0], 2)
    figures["kept"] = kept(figures)
    show(figures)
    sys.exit(0 if figures["kept"] else 1)


if __name__ == "__main__":
    main()
