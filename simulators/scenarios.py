"""Scenarios: what is to happen when. A scenario says nothing of where and to whom: the world finds that on its site."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

from simulators.chance import dice

Draw = random.Random
MINUTE: Final = 60.0
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Cue:
    """One thing to begin ``at`` seconds after the start; ``what`` is a kind that ``simulators.plot.Plot`` knows."""

    at: float
    what: str
    settings: Mapping[str, Any] = field(default_factory=dict)


Script = Callable[[int], Iterator[Cue]]


def quiet(seed: int) -> Iterator[Cue]:
    """Patrols, and nothing is wrong."""
    del seed
    return iter(())


def evening(seed: int) -> Iterator[Cue]:
    """Three hours at the lake: anglers and a net boat, walkers, a market that overflows once, an SOS, a dead terminal,
    high water, a fire. Afterwards people have gone home."""
    draw = dice(seed, "evening")
    fixed = [
        Cue(draw.uniform(35, 50) * MINUTE, "net_boat", {"lasts": int(draw.uniform(20, 40) * MINUTE)}),
        Cue(draw.uniform(20, 30) * MINUTE, "busy", {"share": 0.45}),
        Cue(draw.uniform(70, 90) * MINUTE, "crowd", {"share": draw.uniform(0.9, 1.2), "holds": 600}),
        Cue(draw.uniform(55, 65) * MINUTE, "sos", {"lasts": 1500}),
        Cue(draw.uniform(40, 100) * MINUTE, "silence", {"lasts": int(draw.uniform(20, 45) * MINUTE)}),
        Cue(draw.uniform(60, 80) * MINUTE, "high_water", {"metres": draw.uniform(0.25, 0.5)}),
        Cue(draw.uniform(85, 110) * MINUTE, "fire", {"percent": draw.uniform(4.0, 9.0)}),
    ]
    return _together(
        sorted(fixed, key=attrgetter("at")),
        _until(2.6 * HOUR, _every(dice(seed, "evening anglers"), 5 * MINUTE, 15 * MINUTE, 40 * MINUTE, _anglers)),
        _until(2.9 * HOUR, _every(dice(seed, "evening walkers"), 2 * MINUTE, 4 * MINUTE, 12 * MINUTE, _walker)),
    )


def demo(seed: int) -> Iterator[Cue]:
    """For a viewer who starts it with ten minutes of fast history: soon after it has come to the present, anglers have
    sat for five minutes, the market has been too full for one, and a patroller presses the button, one after the other.
    Afterwards life goes on for as long as it runs."""
    opening = [
        Cue(300, "anglers", {"count": 2, "lasts": 1800}),  # they sit down about 50 s later
        # From about 600 s on there are more people than the place holds.
        Cue(507, "crowd", {"share": 1.0, "rise": 150, "holds": 420, "largest": True}),
        Cue(690, "sos", {"lasts": 1200, "mate": 700.0}),
        Cue(15 * MINUTE, "net_boat", {"lasts": 1200}),
        Cue(22 * MINUTE, "sos", {"lasts": 1200, "mate": 700.0}),
        Cue(27 * MINUTE, "silence", {"lasts": 1200}),
    ]
    return _together(
        opening,
        _every(dice(seed, "demo anglers"), 19 * MINUTE, 6 * MINUTE, 14 * MINUTE, _anglers),
        _every(dice(seed, "demo walkers"), 12 * MINUTE, 3 * MINUTE, 8 * MINUTE, _walker),
        _every(dice(seed, "demo net boat"), 50 * MINUTE, 30 * MINUTE, 60 * MINUTE, lambda d: ("net_boat", {
            "lasts": int(d.uniform(15, 35) * MINUTE)})),
        _every(dice(seed, "demo market"), 34 * MINUTE, 22 * MINUTE, 40 * MINUTE, _market),
        _every(dice(seed, "demo sos"), 47 * MINUTE, 20 * MINUTE, 45 * MINUTE, lambda _: ("sos", {"lasts": 1200})),
        _every(dice(seed, "demo silence"), 65 * MINUTE, 35 * MINUTE, 70 * MINUTE, lambda d: ("silence", {
            "lasts": int(d.uniform(15, 40) * MINUTE)})),
        _every(dice(seed, "demo water"), 40 * MINUTE, 3 * HOUR, 6 * HOUR, lambda d: ("high_water", {
            "metres": d.uniform(0.25, 0.5)})),
        _every(dice(seed, "demo fire"), 55 * MINUTE, 2 * HOUR, 4 * HOUR, lambda d: ("fire", {
            "percent": d.uniform(4.0, 9.0)})),
    )  # fmt: skip


SCENARIOS: Final[Mapping[str, Script]] = {"demo": demo, "evening": evening, "quiet": quiet}


class UnknownScenario(ValueError):
    """There is no scenario of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown scenario {name!r}: expected one of {', '.join(SCENARIOS)}")


def cues(scenario: str, seed: int) -> Iterator[Cue]:
    """The cues of a scenario in order of time, possibly without end.

    Raises:
        UnknownScenario: there is none of this name.
    """
    if scenario not in SCENARIOS:
        raise UnknownScenario(scenario)
    return SCENARIOS[scenario](seed)


# ── What scenarios are made of ──────────────────────────────────────────────────────────────────────────────────────
def _every(
    draw: Draw, first: float, least: float, most: float, make: Callable[[Draw], tuple[str, dict[str, Any]]]
) -> Iterator[Cue]:
    """The same kind of thing again and again, ``least`` to ``most`` seconds apart."""
    at = first
    while True:
        yield Cue(at, *make(draw))
        at += draw.uniform(least, most)


def _until(end: float, endless: Iterator[Cue]) -> Iterator[Cue]:
    for cue in endless:
        if cue.at > end:
            return
        yield cue


def _together(*parts: Iterable[Cue]) -> Iterator[Cue]:
    return heapq.merge(*parts, key=attrgetter("at"))


def _anglers(draw: Draw) -> tuple[str, dict[str, Any]]:
    return "anglers", {"count": draw.choice((1, 1, 2, 2, 3)), "lasts": int(draw.uniform(12, 50) * MINUTE)}


def _walker(_: Draw) -> tuple[str, dict[str, Any]]:
    return "walker", {}


def _market(draw: Draw) -> tuple[str, dict[str, Any]]:
    if draw.random() < 0.4:
        return "busy", {"share": draw.uniform(0.35, 0.5)}
    return "crowd", {"share": draw.uniform(0.85, 1.2), "holds": int(draw.uniform(4, 12) * MINUTE)}
