"""One compact world of the bank: who is in it, what their devices say, and what truly happened."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np

from devices.readings import SECOND
from devices.registry import Device
from devices.site import Plan
from devices.site_folder import SiteFolder
from simulators.bank.journey import Journey, Way
from simulators.bank.terminal import Terminal, Trouble
from simulators.bank.weather import Weather, weather
from simulators.bodies import Bodies, Carries
from simulators.cameras import Cameras, Counters, Heartbeats, watched_crowd
from simulators.chance import dice, name_key
from simulators.crowds import Crowd
from simulators.places import Ground, Line, Spot
from simulators.radio import Patches
from simulators.truth import Diary, Episode
from simulators.wire import Message

LOOK: Final = 2.0  # s between the moments at which cameras are played
DAY: Final = 86_400.0
LOST: Final = 900.0  # s out of reach after which anybody would ask where he is
FIRST: Final = 1_767_196_800_000_000  # 2026-01-01 00:00 +08:00, UTC µs: the year in which the bank's worlds lie
Shown: TypeAlias = tuple[float, float, Carries]
"""From when to when (s) somebody is in sight, and what a camera can make out of him."""


@dataclass(frozen=True)
class Played:
    """One world: its site, its messages in order of time, and the truth. ``seconds`` long from ``start`` (UTC µs)."""

    chapter: str
    seed: int
    folder: SiteFolder
    start: int
    seconds: float
    weather: Weather
    messages: tuple[Message, ...]
    truth: tuple[Episode, ...]


@dataclass(slots=True)
class Extra:
    """A body that no terminal tells of: a walker, an angler, a stranger's boat."""

    name: str
    journey: Journey
    shown: list[Shown] = field(default_factory=list)


class Stage:
    """Where a chapter puts its people, devices and happenings; :meth:`play` lets it all happen.

    Times are seconds since the world's start, places metres of ``ground``'s frame.
    """

    def __init__(self, chapter: str, folder: SiteFolder, seed: int, seconds: float, start: int | None = None) -> None:
        self.chapter, self.seed, self.seconds = chapter, seed, seconds
        self.draw = dice(seed, "bank", chapter)
        self.start = self._lot() if start is None else start
        self.weather = weather(dice(seed, "weather", chapter))
        self.folder = folder
        self.ground = Ground(folder.areas, folder.zones, folder.devices)
        self.diary = Diary(self.ground.frame)
        self.trees = Patches(seed, "trees", self.ground, 700.0, 25.0, 90.0)
        self.holes = Patches(seed, "holes", self.ground, 1_900.0, 18.0, 42.0)
        self.terminals: list[Terminal] = []
        self.extras: list[Extra] = []
        self.fixed: list[Device] = []  # cameras and sensors that take part
        self.crowds: list[Crowd] = []
        self.plans: tuple[Plan, ...] = ()
        self.shares: dict[str, float] = {}  # of a crowd that a camera sees, by its code; 1 without
        self.sources: list[Callable[[], Iterable[Message]]] = []  # whatever else sends
        self.cut: list[Callable[[list[Message]], list[Message]]] = []  # what becomes of messages on their way

    def _lot(self) -> int:
        """Some hour of daylight or evening of some day of the year."""
        return FIRST + int((self.draw.randrange(360) * 24 + self.draw.uniform(6.0, 20.0)) * 3600) * SECOND

    # ── Who is there ────────────────────────────────────────────────────────────────────────────────────────────────
    def dice(self, *names: object) -> random.Random:
        """Dice of its own for one of the chapter's actors."""
        return dice(self.seed, "bank", self.chapter, *names)

    def carry(
        self,
        device: Device,
        journey: Journey,
        since: float = 0.0,
        until: float | None = None,
        trouble: Trouble | None = None,
        shown: Carries = Carries.PERSON,
    ) -> Terminal:
        """A terminal and its bearer, whom cameras see too."""
        terminal = Terminal(device, journey, since, self.seconds if until is None else until, trouble)
        self.terminals.append(terminal)
        if shown:
            self.extras.append(Extra(f"bearer {device.code}", journey, [(terminal.since, terminal.until, shown)]))
        return terminal

    def add(self, name: str, journey: Journey, *shown: Shown) -> None:
        """Somebody without a terminal."""
        self.extras.append(Extra(name, journey, list(shown)))

    def micros(self, at: float) -> int:
        """UTC µs of a time."""
        return self.start + int(at * 1000) * 1000

    def mark(
        self, kind: str, since: float, until: float, spot: Spot, *, subject: str = "", zone: str = "", note: str = ""
    ) -> None:
        """What truly happens from when to when."""
        number = self.diary.begin(kind, self.micros(since), spot, subject=subject, zone=zone, note=note)
        self.diary.end(number, self.micros(min(until, self.seconds)))

    # ── Playing ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def play(self) -> Played:
        """Everything that is sent, in order of time, and what happened."""
        sent: list[Message] = []
        for terminal in self.terminals:
            sent += terminal.messages(self.seed, self.ground, self.start, self.weather, self.trees, self.holes)
            for since, until in terminal.gaps:
                spot, code = terminal.journey.spot(since), terminal.device.code
                kind = "lost_contact" if until - since >= LOST else "coverage_gap"
                self.mark(kind, since, until, spot, subject=code, note=f"{until - since:.0f} s")
        sent += self._fixed()
        for source in self.sources:
            sent += source()
        for cut in self.cut:
            sent = cut(sent)
        sent.sort(key=lambda message: (message.at, message.topic))
        codes = {m.topic.split("/", 4)[3] for m in sent} | {d.code for d in self.fixed}
        codes |= {t.device.code for t in self.terminals}
        known = tuple(d for d in self.folder.devices if d.code in codes)
        # Plans need everybody whom they are for: only a chapter about them keeps any.
        folder = replace(self.folder, devices=known, plans=self.plans, lines={})
        return Played(
            self.chapter,
            self.seed,
            folder,
            self.start,
            self.seconds,
            self.weather,
            tuple(sent),
            tuple(self.diary.take()),
        )

    def _fixed(self) -> list[Message]:
        """What cameras see and count, and the heartbeats of what stands still."""
        cameras = [d for d in self.fixed if d.kind == "camera"]
        counting = [(d, crowd) for d in cameras if (crowd := watched_crowd(d, self.crowds, self.ground)) is not None]
        counters = Counters(self.seed, [d for d, _ in counting], [c for _, c in counting], self.start, self.shares)
        looking = [d for d in cameras if d not in counters.devices]
        beats = Heartbeats(self.seed, self.fixed, self.start)
        sent: list[Message] = []
        if looking:
            sent += self._look(
                Cameras(self.seed, looking, self.ground, self.start, self.weather.haze, self.weather.shake)
            )
        if self.fixed:
            for second in range(1, int(self.seconds) + 1):
                now = self.start + second * SECOND
                for crowd in self.crowds:
                    crowd.tick(second, now, self.diary)
                if counting:
                    sent += counters.tick(now)
                if second % 10 == 0:
                    sent += beats.tick(now)
        self.diary.finish(self.micros(self.seconds))
        return sent

    def _look(self, cameras: Cameras) -> list[Message]:
        at = np.arange(LOOK, self.seconds, LOOK)
        cast = Bodies(self.seed)
        cast.keys = np.array([name_key(self.seed, "body", e.name) for e in self.extras], np.uint64)
        x, y = (np.array(column) for column in zip(*(e.journey.place(at) for e in self.extras), strict=True))
        vx, vy = np.diff(x, axis=1, prepend=x[:, :1]) / LOOK, np.diff(y, axis=1, prepend=y[:, :1]) / LOOK
        carries = np.zeros(x.shape, np.int64)
        for row, extra in enumerate(self.extras):
            for since, until, what in extra.shown:
                carries[row, (at >= since) & (at < until)] = int(what)
        sent: list[Message] = []
        for tick, second in enumerate(at.tolist()):
            cast.x, cast.y, cast.vx, cast.vy = x[:, tick], y[:, tick], vx[:, tick], vy[:, tick]
            cast.carries = carries[:, tick]
            cast.present = cast.carries > 0
            sent += cameras.tick(self.start + int(second * SECOND), cast)
        return sent


# ── What chapters are made of ───────────────────────────────────────────────────────────────────────────────────────
def along(line: Line, share: float) -> Spot:
    """The place at a share (0..1) of a line's length."""
    reached = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = share * reached[-1]
    return float(np.interp(at, reached, line[:, 0])), float(np.interp(at, reached, line[:, 1]))


def stretch(line: Line, begin: float, end: float) -> Line:
    """The part of a line from one share of its length to another; backwards where ``end`` is smaller."""
    low, high = min(begin, end), max(begin, end)
    reached = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))]) / _length(line)
    inner = line[(reached > low) & (reached < high)]
    part = np.vstack([along(line, low), inner, along(line, high)])
    return part if begin <= end else part[::-1]


def _length(line: Line) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def apart(draw: random.Random, spots: Line, count: int, distance: float, taken: Sequence[Spot] = ()) -> list[Spot]:
    """Up to ``count`` of the spots (n, 2), by lot, each farther than ``distance`` m from the others and ``taken``."""
    found: list[Spot] = []
    order = list(range(len(spots)))
    draw.shuffle(order)
    for index in order:
        spot = (float(spots[index, 0]), float(spots[index, 1]))
        if all(np.hypot(spot[0] - x, spot[1] - y) > distance for x, y in [*found, *taken]):
            found.append(spot)
        if len(found) == count:
            break
    return found


def rounds(draw: random.Random, line: Line, seconds: float, begin: float = 0.0) -> Journey:
    """Somebody on patrol along a line, to and fro from a place on it, pausing now and then."""
    share = draw.random()
    way = Way(draw, begin, along(line, share))
    forth = draw.random() < 0.5
    pace = draw.uniform(1.2, 1.5)
    while way.now < begin + seconds:
        goal = 1.0 if forth else 0.0
        if abs(goal - share) > 0.001:
            way.go(stretch(line, share, goal), pace, pauses=1 / 260.0, weave=2.5)
        share, forth = goal, not forth
    return way.journey()
