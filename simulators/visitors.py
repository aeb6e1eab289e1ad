"""Who comes to the lake: anglers who sit down where they must not, and walkers who pass by."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Final

from simulators.bodies import Bodies, Carries
from simulators.chance import dice
from simulators.places import Ground, Spot
from simulators.truth import Diary

TALK: Final = 80.0  # metres at which a patrol that has come talks people out of it


@dataclass(slots=True)
class Angler:
    """One of a group: comes, puts up the rod, sits, packs up, goes."""

    slot: int
    ready: int = 0  # tick at which the rod is up; 0 while still coming
    fishing: bool = False
    leaving: bool = False


@dataclass(slots=True)
class Group:
    """Anglers who came together. ``ends`` is the tick at which they pack up, 0 before the first rod is up."""

    zone: str
    home: Spot
    lasts: int
    draw: random.Random
    anglers: list[Angler] = field(default_factory=list)
    ends: int = 0
    episode: int = 0


class Visitors:
    """Anglers and walkers on the bank."""

    def __init__(self, seed: int, bodies: Bodies, ground: Ground) -> None:
        self._seed, self._bodies, self._ground = seed, bodies, ground
        self._groups: list[Group] = []
        self._walkers: dict[int, int] = {}  # slot → number of the episode
        self._count = 0

    # ── Coming ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def anglers(self, spots: list[Spot], zone: str, lasts: int) -> None:
        """Anglers come on foot over land to ``spots``, fish for ``lasts`` seconds and go again."""
        self._count += 1
        draw = dice(self._seed, "anglers", self._count)
        home = self._ground.inland(spots[0], draw.uniform(45.0, 75.0))
        group = Group(zone, home, lasts, draw)
        for number, spot in enumerate(spots):
            start = (home[0] + 2.0 * number, home[1] + 2.0 * number)
            slot = self._bodies.add(f"angler {self._count}.{number}", start, Carries.PERSON)
            self._bodies.send(slot, self._ground.on_foot(start, spot), draw.uniform(1.1, 1.4))
            group.anglers.append(Angler(slot))
        self._groups.append(group)

    def walker(self, here: Spot, there: Spot, now: int, zone: str, diary: Diary) -> None:
        """Somebody walks along the bank from one place to another and is gone."""
        self._count += 1
        draw = dice(self._seed, "walker", self._count)
        slot = self._bodies.add(f"walker {self._count}", here, Carries.PERSON)
        way = self._ground.on_foot(here, there)
        self._bodies.send(slot, way, draw.uniform(1.0, 1.5), pauses=1 / 300.0, weave=2.0)
        self._walkers[slot] = diary.begin("walker", now, here, zone=zone, note="walks along the bank")

    # ── Being here ──────────────────────────────────────────────────────────────────────────────────────────────────
    def tick(self, tick: int, now: int, ended: set[int], diary: Diary) -> None:
        """Move everybody's doings on."""
        for slot in sorted(ended & self._walkers.keys()):
            diary.end(self._walkers.pop(slot), now)
            self._bodies.remove(slot)
        for group in list(self._groups):
            for angler in list(group.anglers):
                self._angler(group, angler, tick, now, ended, diary)
            if not group.anglers:
                self._groups.remove(group)

    def disturb(self, spot: Spot, tick: int) -> None:
        """A patrol has come: whoever is near packs up after a talk."""
        for group in self._groups:
            if group.ends and any(math.dist(self._bodies.place(a.slot), spot) <= TALK for a in group.anglers):
                group.ends = min(group.ends, tick + group.draw.randint(60, 150))

    def near(self, spot: Spot, radius: float) -> bool:
        """Whether a group already sits nearer than ``radius`` metres."""
        return any(math.dist(self._bodies.place(a.slot), spot) < radius for g in self._groups for a in g.anglers)

    def _angler(self, group: Group, angler: Angler, tick: int, now: int, ended: set[int], diary: Diary) -> None:
        if angler.slot in ended:
            if angler.leaving:
                self._bodies.remove(angler.slot)
                group.anglers.remove(angler)
            elif not angler.ready:
                angler.ready = tick + group.draw.randint(10, 30)
        elif angler.ready and not angler.fishing and not angler.leaving and angler.ready <= tick:
            self._begin(group, angler, tick, now, diary)
        elif group.ends and group.ends <= tick and not angler.leaving:
            self._leave(group, angler, now, diary)

    def _begin(self, group: Group, angler: Angler, tick: int, now: int, diary: Diary) -> None:
        angler.fishing = True
        self._bodies.carries[angler.slot] = Carries.PERSON | Carries.ROD
        if not group.ends:
            group.ends = tick + group.lasts
            count = len(group.anglers)
            note = "one angler with a rod" if count == 1 else f"{count} anglers with rods"
            here = self._bodies.place(angler.slot)
            group.episode = diary.begin("fishing", now, here, zone=group.zone, note=note)

    def _leave(self, group: Group, angler: Angler, now: int, diary: Diary) -> None:
        angler.leaving = True
        self._bodies.carries[angler.slot] = Carries.PERSON
        way = self._ground.on_foot(self._bodies.place(angler.slot), group.home)
        self._bodies.send(angler.slot, way, group.draw.uniform(1.1, 1.4))
        if group.episode and all(a.leaving for a in group.anglers):
            diary.end(group.episode, now)
            group.episode = 0
