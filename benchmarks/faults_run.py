"""One run of ``make faults``: a worker, a stream and a plan of faults on one ground, and what came of each."""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import psycopg
from rich.console import Console

from benchmarks.faults_parts import FAULTS, LONG, Scene
from benchmarks.faults_store import Alerts, Comparison, alerts, compare, newest_committed, positions_behind
from benchmarks.faults_stream import Stream
from benchmarks.ground import SHARE, Ground
from benchmarks.processes import Worker, memory
from benchmarks.wire import Wire

SETTLE: Final = 180.0  # seconds after which a fault counts as not recovered from
AGAIN: Final = 5.0  # seconds after which what seems lost is lost, if none of it came meanwhile
PROGRESS: Final = 10.0  # seconds between lines of a fault that is long
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
        await asyncio.sleep(self.scene.most_away * self.dice.uniform(0.05, 0.25))
        self.stream.cry(self.scene.most_away * self.dice.uniform(0.0, 0.2))
        began = time.time()
        telling = asyncio.create_task(self._tell())
        try:
            back = await (FAULTS | LONG)[kind](self.scene, self.dice)
            found, since = await self.settle(back), self.compared
        finally:
            telling.cancel()
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
        deadline = time.monotonic() + SETTLE + (until - self.compared) / self.stream.rate
        while await self._newest() < until - 1 and time.monotonic() < deadline:  # noqa: ASYNC110  # a database is asked
            await asyncio.sleep(0.3)
        found, before = await asyncio.to_thread(compare, self.url, self.stream, self.compared, until), -1
        while found.lost not in (0, before):  # older ones may come after newer ones
            await asyncio.sleep(AGAIN)
            before = found.lost
            found = await asyncio.to_thread(compare, self.url, self.stream, self.compared, until)
        return found

    async def _tell(self) -> None:
        """Say now and then how things are in a fault that is long."""
        while True:
            await asyncio.sleep(PROGRESS)
            pids = (self.scene.worker.pid if self.scene.worker.running else 0, self.scene.ground.broker_pid)
            used = [f"{memory(pid)['now']:.0f} MB" if pid else "away" for pid in pids]
            say.print(
                f"     sent {self.stream.sent} ({self.stream.behind:.1f} s behind), stored to {await self._newest()},"
                f" worker {used[0]}, broker {used[1]}",
                highlight=False,
            )

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
            "positions_behind": await asyncio.to_thread(positions_behind, self.url),
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
            "PATROLGRID_SUBSCRIBE_ALL": str(given.broker == "nats").lower(),
        },
        ground.folder / "worker.log",
    )
    scene = Scene(ground, worker, to_broker, to_database, given.away, given.minutes * 60)
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


async def run_plan(
    ground: Ground, plan: Sequence[str], given: argparse.Namespace, dice: random.Random
) -> dict[str, Any]:
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
    return whole | {"outcomes": run.outcomes}
