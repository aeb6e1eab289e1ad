"""The lake world: its clock, everybody in it, and the messages their devices send. A pure function of its arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from devices.readings import SECOND
from devices.site_folder import SiteFolder
from simulators.bodies import TICK, Bodies
from simulators.cameras import Cameras, Counters, Heartbeats, watched_crowd
from simulators.crowds import Crowd
from simulators.places import Ground, Spot
from simulators.plot import Plot
from simulators.scenarios import cues
from simulators.scenes import Scenes
from simulators.sensors import Sensors, quantity_of
from simulators.terminals import Terminals
from simulators.truth import Diary
from simulators.vessels import NetBoats
from simulators.visitors import Visitors
from simulators.wire import Message

STEP = int(TICK * SECOND)


class Command(NamedTuple):
    """A message to a terminal's command topic that reaches it at ``at`` (UTC µs of world time)."""

    at: int
    device: str
    payload: bytes


class World:
    """One run of a scenario on a site. The same arguments and orders give the same bytes, whatever the wall clock says.

    Args:
        folder: the site; its active devices are simulated.
        scenario: a name in :data:`simulators.scenarios.SCENARIOS`.
        seed: another seed, other people.
        start: UTC µs of world time at which it begins; cut to whole milliseconds.

    Raises:
        NoLake: the site has no water.
        UnknownScenario: no scenario of this name.
    """

    def __init__(self, folder: SiteFolder, scenario: str, seed: int, start: int) -> None:
        self.start = self.now = start // 1000 * 1000
        self.tick = 0
        self._cues = cues(scenario, seed)
        self._next_cue = next(self._cues, None)
        devices = [d for d in folder.devices if d.active]
        self.ground = Ground(folder.areas, folder.zones, devices)
        self.diary = Diary(self.ground.frame)
        self.bodies = Bodies(seed)
        self.crowds = [Crowd(seed, z, self.ground.frame) for z in folder.zones if z.kind == "crowd_watch"]
        movers = [d for d in devices if d.kind in ("terminal", "vessel")]
        self.terminals = Terminals(seed, movers, self.bodies, self.ground, self.start)
        fixed = [d for d in devices if d.kind in ("camera", "sensor")]
        watched = {d.code: watched_crowd(d, self.crowds, self.ground) for d in fixed if d.kind == "camera"}
        lake = [d for d in fixed if d.kind == "camera" and watched[d.code] is None]
        self.cameras = Cameras(seed, lake, self.ground, self.start)
        counting = [(d, crowd) for d in fixed if (crowd := watched.get(d.code)) is not None]
        self.counters = Counters(seed, [d for d, _ in counting], [c for _, c in counting], self.start)
        self.sensors = Sensors(seed, [d for d in fixed if quantity_of(d)], self.ground, self.start)
        self.heartbeats = Heartbeats(seed, fixed, self.start)
        self.visitors = Visitors(seed, self.bodies, self.ground)
        self.boats = NetBoats(seed, self.bodies, self.ground)
        scenes = Scenes(folder.zones, self.ground, self.cameras, self.terminals.radios.holes)
        self.plot = Plot(
            seed, scenes, self.ground, self.terminals, self.visitors, self.boats, self.crowds, self.sensors, self.diary
        )

    # ── The clock ───────────────────────────────────────────────────────────────────────────────────────────────────
    def advance(self, until: int) -> list[Message]:
        """Let time pass, in whole ticks, up to ``until`` (UTC µs); the messages sent, in order of time."""
        sent: list[Message] = []
        while self.now + STEP <= until:
            sent += self._tick()
        return sent

    def run(self, duration: float, commands: Iterable[Command] = ()) -> Iterator[Message]:
        """The messages of ``duration`` seconds, and at the end the devices' farewell; ``commands`` in order of time.

        What truly happened is in :attr:`diary` afterwards.
        """
        waiting = iter(commands)
        command = next(waiting, None)
        end = self.start + int(duration * SECOND)
        while self.now + STEP <= end:
            while command is not None and command.at <= self.now:
                self.order(command.device, command.payload)
                command = next(waiting, None)
            yield from self._tick()
        yield from self.finish()

    def order(self, device: str, payload: bytes) -> bool:
        """A command reaches a terminal now; False when it is none that could be answered."""
        return self.terminals.order(device, payload)

    def command_topics(self) -> list[str]:
        """The topics on which commands for this world's terminals arrive."""
        return [s.topic("command") for s in self.terminals.radios.speakers if s.device.kind == "terminal"]

    def finish(self) -> list[Message]:
        """Stop: what is still stored is sent, and every living device says that it is offline."""
        radios = self.terminals.radios
        sent = radios.unload(self.now, self.diary)
        sent += [radios.status(unit, self.now, online=False) for unit in np.flatnonzero(radios.alive).tolist()]
        sent += [self.heartbeats.status(i, self.now, online=False) for i in range(len(self.heartbeats.speakers))]
        self.diary.finish(self.now)
        return sent

    def _tick(self) -> list[Message]:
        self.tick += 1
        self.now += STEP
        sent: list[Message] = []
        while self._next_cue is not None and self._next_cue.at <= self.tick:
            sent += self.plot.play(self._next_cue, self.tick, self.now)
            self._next_cue = next(self._cues, None)
        ended = self.bodies.move(self.tick)
        gone = set(ended.tolist())
        self.visitors.tick(self.tick, self.now, gone, self.diary)
        self.boats.tick(self.tick, self.now, gone, self.diary)
        for crowd in self.crowds:
            crowd.tick(self.tick, self.now, self.diary)
        sent += self.terminals.tick(self.tick, self.now, ended, self.diary, self._arrived)
        sent += self.cameras.tick(self.now, self.bodies)
        sent += self.counters.tick(self.now)
        sent += self.sensors.tick(self.tick, self.now, self.diary)
        sent += self.heartbeats.tick(self.now)
        sent.sort(key=lambda m: (m.at, m.topic))
        return sent

    def _arrived(self, spot: Spot, tick: int) -> None:
        """A patrol that was sent has come to ``spot``."""
        self.visitors.disturb(spot, tick)
        self.boats.disturb(spot, tick)
