"""What ``make faults`` does to the parts: each fault breaks something, waits, and says when it was back.

A fault is told the scene and a source of chance. It returns the moment (s since 1970) from which recovery is counted:
when the part was there again, which for a server that was killed is when it answers, and for a worker when its process
began.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from benchmarks.faults_disk import SmallDisk
from benchmarks.ground import Ground
from benchmarks.processes import Worker, memory
from benchmarks.wire import Wire
from server.private import wait_until, working_in

STOPPED: Final = 10.0  # seconds
LOOK: Final = 0.25  # seconds between looks at the worker


@dataclass
class Scene:
    """The parts: services, a worker that reaches them over wires, and who starts the worker again when it ends.

    Attributes:
        most_away: seconds for which a part is away at the most, and for which it is stopped.
        long_away: seconds for which the database is away in the one fault that is long.
        ended: how often the worker ended by itself.
        most_memory: resident MB of the worker at the most.
    """

    ground: Ground
    worker: Worker
    to_broker: Wire
    to_database: Wire
    most_away: float = STOPPED
    long_away: float = 600.0
    ended: int = 0
    most_memory: float = 0.0
    _hands_off: bool = field(default=False, init=False)

    async def supervise(self) -> None:
        """Start the worker again whenever it has ended, as systemd or Docker would."""
        while True:
            if not self._hands_off:
                if self.worker.running:
                    self.most_memory = max(self.most_memory, memory(self.worker.pid)["most"])
                else:
                    self.ended += 1
                    self.worker.start()
            await asyncio.sleep(LOOK)

    async def kill_worker(self, away: float) -> None:
        """SIGKILL, and a new process after so many seconds."""
        self._hands_off = True
        try:
            self.worker.kill()
            await asyncio.sleep(away)
            self.worker.start()
        finally:
            self._hands_off = False

    @property
    def disk(self) -> SmallDisk:
        """What the database's folder lies on in the runs in which that may be full."""
        return SmallDisk(self.ground.database.folder)

    def database_processes(self) -> list[int]:
        """The server and all its children: those that work in its data folder."""
        return working_in(self.ground.database.data)

    async def raise_database(self) -> None:
        """Start it unless it runs; returns when it answers."""
        await asyncio.to_thread(self.ground.database.up, urlsplit(self.ground.database_url).port or 0)

    async def raise_broker(self) -> None:
        """Start it unless it runs; returns when it answers."""
        wanted = urlsplit(self.ground.mqtt_url).port or 0
        if (port := await asyncio.to_thread(self.ground.broker.up, wanted)) != wanted:
            raise RuntimeError(f"the broker is back on port {port}, not {wanted}: somebody took it meanwhile")


Fault = Callable[[Scene, random.Random], Awaitable[float]]


async def worker_kill(scene: Scene, dice: random.Random) -> float:
    """kill -9 of the worker."""
    await scene.kill_worker(dice.uniform(0.0, min(2.0, scene.most_away)))
    return time.time()


async def database_kill(scene: Scene, dice: random.Random) -> float:
    """kill -9 of PostgreSQL, all its processes at once, as a power cut would."""
    _signal(scene.database_processes(), signal.SIGKILL)
    await asyncio.sleep(dice.uniform(0.0, min(3.0, scene.most_away)))
    await scene.raise_database()
    return time.time()


async def backend_kill(scene: Scene, dice: random.Random) -> float:
    """kill -9 of one of PostgreSQL's backends, as the kernel does when memory is short: the server restarts itself."""
    server = scene.ground.database_pid
    _signal([dice.choice([pid for pid in scene.database_processes() if pid != server])], signal.SIGKILL)
    await asyncio.sleep(0.1)
    await scene.raise_database()
    return time.time()


async def broker_kill(scene: Scene, dice: random.Random) -> float:
    """kill -9 of the broker."""
    _signal([scene.ground.broker_pid], signal.SIGKILL)
    await asyncio.to_thread(wait_until, lambda: scene.ground.broker.pid() is None, 10)
    await asyncio.sleep(dice.uniform(0.0, min(3.0, scene.most_away)))
    await scene.raise_broker()
    return time.time()


async def disk_full(scene: Scene, dice: random.Random) -> float:
    """The database's disk is full for ten seconds: sometimes at once, sometimes after a few more megabytes, so that now
    a table and now the log finds no room. If that ended the server, it is started again when there is room."""
    await asyncio.to_thread(scene.disk.fill, dice.randrange(24 << 20))
    try:
        await asyncio.sleep(scene.most_away)
    finally:
        await asyncio.to_thread(scene.disk.free)
    await scene.raise_database()
    return time.time()


async def database_away(scene: Scene, dice: random.Random) -> float:
    """The database is stopped in order, for minutes."""
    await asyncio.to_thread(scene.ground.database.down)
    await asyncio.sleep(scene.long_away)
    await scene.raise_database()
    return time.time()


async def worker_stop(scene: Scene, dice: random.Random) -> float:
    """SIGSTOP of the worker for ten seconds."""
    return await _stopped([scene.worker.pid], scene.most_away)


async def database_stop(scene: Scene, dice: random.Random) -> float:
    """SIGSTOP of PostgreSQL, all its processes, for ten seconds."""
    return await _stopped(scene.database_processes(), scene.most_away)


async def broker_stop(scene: Scene, dice: random.Random) -> float:
    """SIGSTOP of the broker for ten seconds."""
    return await _stopped([scene.ground.broker_pid], scene.most_away)


async def broker_cut(scene: Scene, dice: random.Random) -> float:
    """The network between worker and broker: connections are reset, new ones refused."""
    return await _cut(scene.to_broker, dice.uniform(scene.most_away / 20, scene.most_away))


async def database_cut(scene: Scene, dice: random.Random) -> float:
    """The network between worker and database: connections are reset, new ones refused."""
    return await _cut(scene.to_database, dice.uniform(scene.most_away / 20, scene.most_away))


async def broker_hole(scene: Scene, dice: random.Random) -> float:
    """The network between worker and broker swallows everything for ten seconds."""
    return await _held(scene.to_broker, scene.most_away)


async def database_hole(scene: Scene, dice: random.Random) -> float:
    """The network between worker and database swallows everything for ten seconds."""
    return await _held(scene.to_database, scene.most_away)


FAULTS: Final[dict[str, Fault]] = {
    fault.__name__.replace("_", "-"): fault
    for fault in (
        worker_kill,
        worker_stop,
        database_kill,
        backend_kill,
        database_stop,
        database_cut,
        database_hole,
        disk_full,
        broker_kill,
        broker_stop,
        broker_cut,
        broker_hole,
    )
}
LONG: Final[dict[str, Fault]] = {"database-away": database_away}
"""Faults that are only tried when they are asked for."""


def _signal(pids: Iterable[int], what: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, what)
        except ProcessLookupError:  # a backend that has ended meanwhile
            continue


async def _stopped(pids: list[int], seconds: float) -> float:
    _signal(pids, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        _signal(pids, signal.SIGCONT)
    return time.time()


async def _cut(wire: Wire, seconds: float) -> float:
    await wire.cut()
    await asyncio.sleep(seconds)
    await wire.mend()
    return time.time()


async def _held(wire: Wire, seconds: float) -> float:
    wire.hold()
    await asyncio.sleep(seconds)
    wire.release()
    return time.time()
