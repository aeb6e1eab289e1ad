"""Patrols: their rounds along the shore, rest at the station, orders from the centre, and the hour of need."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from devices.registry import Device
from simulators.bodies import Bodies, Carries
from simulators.chance import dice, uniform
from simulators.places import Ground, Line, Spot
from simulators.radio import NEVER, Radios
from simulators.truth import Diary
from simulators.vessels import CRUISE, HURRY, is_boat
from simulators.wire import Message, seconds

HELP: Final = 60.0  # metres within which a colleague who has arrived can help
REPEAT: Final = (10, 20, 40)  # s after which the apparatus repeats an SOS
FARTHEST: Final = 50_000.0  # metres from the middle of the lake to which a patrol goes
EMPTY: Final = 12.0  # percent of the battery with which a patrol goes back to charge it
CHARGED: Final = 60.0  # percent with which it sets out again
LOT: Final = 40  # purpose of draws

Arrived = Callable[[Spot, int], None]


class Mode(IntEnum):
    """What a patrol is doing."""

    REST = 0  # at the station
    ROUND = 1  # on the round
    HOME = 2  # on the way to the station
    ORDER = 3  # on the way to where it was sent
    THERE = 4  # at work there
    TROUBLE = 5  # has pressed the button


@dataclass(slots=True)
class Order:
    """A command from the centre. ``due``: the tick at which the patrol has read it and answers; 0 while unheard."""

    unit: int
    id: str
    content: dict[str, Any]
    due: int = 0


class Terminals:
    """The patrols of a site, columns of shape (n,) in the order of ``devices``."""

    def __init__(self, seed: int, devices: Sequence[Device], bodies: Bodies, ground: Ground, start: int) -> None:
        self._bodies, self._ground, self._start = bodies, ground, start
        self.devices = tuple(devices)
        self.index = {d.code: i for i, d in enumerate(devices)}
        self._dice = [dice(seed, "terminal", d.code) for d in devices]
        self.afloat = np.array([is_boat(d) for d in devices], bool)
        self.routes = [ground.route(d, afloat=is_boat(d)) for d in devices]
        self.mode = np.full(len(devices), Mode.REST)
        self.until = np.zeros(len(devices), np.int64)  # tick at which the present mode ends by itself; 0: not by itself
        self._orders: list[Order] = []
        self._accepted: dict[int, int] = {}  # unit → number of the episode "dispatched"
        self._goes_for: dict[int, str] = {}  # unit → id of the order that it last set out for
        self._repeats: list[tuple[int, int, dict[str, Any]]] = []  # SOS repetitions: tick, unit, content
        self._troubles: dict[int, int] = {}  # unit → number of the episode "sos"
        self._dead: dict[int, tuple[int, int]] = {}  # unit → tick at which it works again, number of the episode
        self._stations: list[Spot] = []
        self.slots: list[int] = []
        for unit in range(len(devices)):
            self._enter(unit)
        self.radios = Radios(seed, devices, self.slots, bodies, ground, start)
        self.radios.holes.keep_clear(self._stations, 60.0)  # no station was built where the network does not reach
        self._by_slot = {slot: unit for unit, slot in enumerate(self.slots)}

    def _enter(self, unit: int) -> None:
        """Place a patrol at the beginning: four of five somewhere on their round, the others at rest."""
        device, draw, route = self.devices[unit], self._dice[unit], self.routes[unit]
        home = self._ground.harbour(route) if self.afloat[unit] else self._ground.station(route)
        self._stations.append((home[0] + draw.uniform(-6, 6), home[1] + draw.uniform(-6, 6)))
        resting, turned, share = draw.random() < 0.2, draw.random() < 0.5, draw.random()
        ahead = _rest_of(route[::-1] if turned else route, share)
        spot = self._stations[unit] if resting else (float(ahead[0, 0]), float(ahead[0, 1]))
        slot = self._bodies.add(f"terminal {device.code}", spot, Carries(0))
        self.slots.append(slot)
        self.mode[unit] = Mode.REST if resting else Mode.ROUND
        self.until[unit] = int(draw.uniform(120, 2000) if resting else draw.uniform(1200, 6000))
        if not resting:
            self._walk(unit, slot, ahead)
        self._show(unit)

    # ── One tick ────────────────────────────────────────────────────────────────────────────────────────────────────
    def tick(self, tick: int, now: int, ended: NDArray[np.int64], diary: Diary, arrived: Arrived) -> list[Message]:
        """Decide what everybody does next; ``ended`` are the slots that came to the end of their way in this tick."""
        for slot in ended.tolist():
            if (unit := self._by_slot.get(slot)) is not None:
                self._reach(unit, tick, now, arrived)
        tired = (self.mode == Mode.ROUND) & (self.radios.battery < EMPTY)
        for unit in np.flatnonzero(tired | ((self.until > 0) & (self.until <= tick))).tolist():
            self._time_out(unit, tick, now, diary)
        self._revive(tick, now, diary)
        sent = self._obey(tick, now, diary)
        for entry in [r for r in self._repeats if r[0] <= tick]:
            self._repeats.remove(entry)
            sent += self.radios.say(entry[1], now, "sos", entry[2] | {"t": seconds(now)})
        return sent + self.radios.tick(now, self.mode == Mode.REST, diary)

    def _reach(self, unit: int, tick: int, now: int, arrived: Arrived) -> None:
        """The end of a way."""
        mode, draw = Mode(int(self.mode[unit])), self._dice[unit]
        if mode is Mode.ROUND:  # the end of the round: turn
            here, route = self._bodies.place(self.slots[unit]), self.routes[unit]
            near_start = math.dist(here, route[0]) <= math.dist(here, route[-1])  # a ring goes on the same way
            self._walk(unit, self.slots[unit], route if near_start else route[::-1])
        elif mode is Mode.HOME:
            self.mode[unit], self.until[unit] = Mode.REST, tick + int(draw.uniform(900, 2400))
            self._show(unit)
        elif mode is Mode.ORDER:
            self.mode[unit], self.until[unit] = Mode.THERE, tick + int(draw.uniform(240, 420))
            here = self._bodies.place(self.slots[unit])
            arrived(here, tick)
            self._help(here, tick)

    def _time_out(self, unit: int, tick: int, now: int, diary: Diary) -> None:
        """A mode has lasted its time."""
        mode, draw = Mode(int(self.mode[unit])), self._dice[unit]
        self.until[unit] = 0
        if mode is Mode.ROUND:
            self.mode[unit] = Mode.HOME
            self._go(unit, self._stations[unit], self._pace(unit))
            return
        if mode is Mode.TROUBLE:
            self.radios.alarm[1, unit] = now
            diary.end(self._troubles.pop(unit), now)
        if unit in self._accepted:
            diary.end(self._accepted.pop(unit), now)
        if mode is Mode.REST and self.radios.battery[unit] < CHARGED:
            self.until[unit] = tick + 300
        elif mode in (Mode.REST, Mode.THERE, Mode.TROUBLE):
            self._set_out(unit, tick + int(draw.uniform(3000, 6600)))

    # ── Walking ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _set_out(self, unit: int, until: int) -> None:
        """Go (back) to the round and on along it."""
        slot, route = self.slots[unit], self.routes[unit]
        here = self._bodies.place(slot)
        ahead = _rest_of(route if self._dice[unit].random() < 0.5 else route[::-1], None, here)
        entry = (float(ahead[0, 0]), float(ahead[0, 1]))
        way = self._ground.by_boat(here, entry) if self.afloat[unit] else self._ground.on_foot(here, entry)
        self.mode[unit], self.until[unit] = Mode.ROUND, until
        self._show(unit)
        self._walk(unit, slot, np.vstack([way, ahead[1:]]))

    def _show(self, unit: int) -> None:
        """Who rests sits indoors; the boat stays in sight."""
        person = Carries(0) if self.mode[unit] == Mode.REST else Carries.PERSON
        self._bodies.carries[self.slots[unit]] = person | (Carries.BOAT if self.afloat[unit] else Carries(0))

    def _walk(self, unit: int, slot: int, way: Line) -> None:
        pauses, weave = (0.0, 8.0) if self.afloat[unit] else (1 / 260.0, 2.5)
        self._bodies.send(slot, way, self._pace(unit), pauses=pauses, weave=weave)

    def _go(self, unit: int, goal: Spot, pace: float) -> None:
        here = self._bodies.place(self.slots[unit])
        way = self._ground.by_boat(here, goal) if self.afloat[unit] else self._ground.on_foot(here, goal)
        self._bodies.send(self.slots[unit], way, pace)

    def _pace(self, unit: int) -> float:
        return self._dice[unit].uniform(*CRUISE) if self.afloat[unit] else self._dice[unit].uniform(1.2, 1.5)

    # ── Orders ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def order(self, device: str, payload: bytes) -> bool:
        """A command from the centre for a terminal; False when it is no command that could be answered."""
        unit = self.index.get(device)
        try:
            content = json.loads(payload)
        except ValueError:
            return False
        if unit is None or not isinstance(content, dict):
            return False
        name = content.get("id")
        if not isinstance(name, str) or not 1 <= len(name) <= 64 or not name.isprintable():
            return False
        self._orders.append(Order(unit, name, content))
        return True

    def _obey(self, tick: int, now: int, diary: Diary) -> list[Message]:
        sent: list[Message] = []
        for order in list(self._orders):
            unit = order.unit
            if not order.due:
                if self.radios.alive[unit] and self.radios.in_reach(np.array([unit])).item():
                    order.due = tick + self._dice[unit].randint(3, 9)  # hear, read, press the key
            elif order in self._orders and order.due <= tick and self.radios.alive[unit]:
                self._orders.remove(order)
                turn_back = order.content.get("do") == "recall"
                note = self._turn_back(order, tick, now, diary) if turn_back else self._accept(order, now, diary)
                answer = {"id": order.id, "t": seconds(now), "ok": not note} | ({"note": note} if note else {})
                sent += self.radios.say(unit, now, "command/ack", answer)
        return sent

    def _accept(self, order: Order, now: int, diary: Diary) -> str:
        """Set out to where an order says; returns "" or why not."""
        unit, content = order.unit, order.content
        lon, lat = content.get("lon"), content.get("lat")
        if content.get("do") != "goto":
            return f"unknown command {content.get('do')!r}"[:200]
        if not all(isinstance(v, int | float) and math.isfinite(v) for v in (lon, lat)):
            return f"no place: lon {lon!r}, lat {lat!r}"[:200]
        if self.mode[unit] == Mode.TROUBLE:
            return "in trouble myself"
        goal = self._ground.frame.spot(float(lon), float(lat))  # type: ignore[arg-type]  # checked above
        if math.hypot(*goal) > FARTHEST:
            return f"too far: {math.hypot(*goal) / 1000:.0f} km from the lake"
        urgent = "SOS" in f"{content.get('zh')}{content.get('en')}".upper() or bool(self._in_trouble(goal, 300.0))
        pace = (HURRY if urgent else CRUISE) if self.afloat[unit] else ((2.5, 3.0) if urgent else (1.7, 2.0))
        if unit in self._accepted:
            diary.end(self._accepted.pop(unit), now)
        self.mode[unit], self.until[unit] = Mode.ORDER, 0
        self._show(unit)
        self._go(unit, goal, self._dice[unit].uniform(*pace))
        self._accepted[unit] = diary.begin("dispatched", now, goal, subject=self.devices[unit].code, note=order.id)
        self._goes_for[unit] = order.id
        return ""

    def _turn_back(self, order: Order, tick: int, now: int, diary: Diary) -> str:
        """Drop the order that another takes back, on the way or unread; returns "" or why not."""
        unit, taken_back = order.unit, order.content.get("order")
        self._orders = [each for each in self._orders if (each.unit, each.id) != (unit, taken_back)]
        if self.mode[unit] in (Mode.ORDER, Mode.THERE) and self._goes_for.get(unit) == taken_back:
            diary.end(self._accepted.pop(unit), now)
            self._set_out(unit, tick + int(self._dice[unit].uniform(3000, 6600)))
        return ""

    # ── Trouble ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def choose(self, lot: int, mate: float = 0.0) -> list[int]:
        """Units on their round on foot, well and heard, in an order that the ``lot`` draws.

        With ``mate``, those come first who have such a colleague within so many metres.
        """
        slots = np.array(self.slots, np.int64)
        x, y = self._bodies.x[slots], self._bodies.y[slots]
        fit = (self.mode == Mode.ROUND) & ~self.afloat & self.radios.alive
        fit &= ~self.radios.holes.cover(x, y, margin=120.0)
        ranked = np.flatnonzero(fit)[np.argsort(uniform(self.radios.keys[fit], LOT, lot))]
        near = [int((np.hypot(x[fit] - x[u], y[fit] - y[u]) <= mate).sum()) > 1 for u in ranked]
        return [int(u) for u, _ in sorted(zip(ranked, near, strict=True), key=lambda pair: not pair[1])]

    def press_sos(self, unit: int, tick: int, now: int, lasts: int, diary: Diary) -> list[Message]:
        """A patroller in trouble presses the button and stays where he is, ``lasts`` seconds unless helped before."""
        slot = self.slots[unit]
        self._bodies.stand(slot)
        self.mode[unit], self.until[unit] = Mode.TROUBLE, tick + lasts
        self.radios.alarm[:, unit] = now, NEVER
        content = {"t": seconds(now), **self.radios.place(unit), "kind": "sos"}
        self._repeats += [(tick + after, unit, content) for after in REPEAT]
        self._troubles[unit] = diary.begin(
            "sos", now, self._bodies.place(slot), subject=self.devices[unit].code, note="a patroller presses the button"
        )
        return self.radios.say(unit, now, "sos", content)

    def fall_silent(self, unit: int, tick: int, now: int, lasts: int, diary: Diary) -> None:
        """A terminal dies while its bearer goes on, and works again ``lasts`` seconds later."""
        self.radios.die(unit)
        spot = self._bodies.place(self.slots[unit])
        number = diary.begin("silence", now, spot, subject=self.devices[unit].code, note="the terminal is dead")
        self._dead[unit] = (tick + lasts, number)

    def _revive(self, tick: int, now: int, diary: Diary) -> None:
        for unit in [u for u, (until, _) in self._dead.items() if until <= tick]:
            diary.end(self._dead.pop(unit)[1], now)
            self.radios.revive(unit, now)

    def _in_trouble(self, spot: Spot, radius: float) -> list[int]:
        near = set(self._bodies.near(spot, radius).tolist())
        return [unit for unit in self._troubles if self.slots[unit] in near]

    def _help(self, spot: Spot, tick: int) -> None:
        for unit in self._in_trouble(spot, HELP):
            self.until[unit] = min(int(self.until[unit]), tick + self._dice[unit].randint(60, 120))


def _rest_of(route: Line, share: float | None, here: Spot | None = None) -> Line:
    """The part of a route from ``share`` (0..1) of its length, or from the place nearest to ``here``, to its end."""
    step = np.diff(route, axis=0)
    length = np.hypot(*step.T)
    reached = np.concatenate([[0.0], np.cumsum(length)])
    if share is not None:
        along = share * reached[-1]
    else:
        assert here is not None
        t = np.clip(((here - route[:-1]) * step).sum(axis=1) / np.maximum(length**2, 1e-9), 0.0, 1.0)
        foot = route[:-1] + t[:, None] * step
        nearest = int(np.argmin(np.hypot(*(here - foot).T)))
        along = reached[nearest] + float(t[nearest]) * length[nearest]
    along = min(along, reached[-1] * 0.999)
    leg = int(np.searchsorted(reached, along, side="right")) - 1
    entry = route[leg] + (along - reached[leg]) / max(length[leg], 1e-9) * step[leg]
    return np.vstack([entry, route[leg + 1 :]])
