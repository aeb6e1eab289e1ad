"""Which worlds of the bank are run, with which seeds, and one of them from its beginning to its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from alerts.rules import Rule, rule_from
from benchmarks.bank_replay import Raised, replay
from benchmarks.bank_score import Score, score_world
from devices.site_folder import SiteFolder, read_folder
from simulators.bank import bank_world
from simulators.bank.stage import Played

FIT_SEEDS: Final = range(1, 1_000)
"""Thresholds were chosen, detectors mended and the simulators made on these."""
SCORE_SEEDS: Final = range(10_001, 11_000)
"""What is reported; some of their worlds were looked at for the cause of an alert, docs/detection.md says how often."""
UNSEEN_SEEDS: Final = range(20_001, 21_000)
"""To check what is reported: no world of these was looked at before the figures were written down."""
SEEDS: Final = {"fit": FIT_SEEDS, "score": SCORE_SEEDS, "unseen": UNSEEN_SEEDS}
COUNTS: Final[Mapping[str, int]] = {
    "shore": 22, "water": 12, "square": 32, "weeks": 3, "rounds": 32, "fence": 22, "radio": 24, "help": 26,
    "forgery": 24, "yesterday": 8, "flood": 12, "gauges": 4, "rhythm": 6,
}  # fmt: skip
"""How many worlds of each chapter: for 200 incidents or more of each detector."""
UNHEARD: Final = frozenset({"gauges", "rhythm", "weeks"})
"""Chapters of weeks, without ``silence``: it looks at all devices every ten seconds, which would cost half of all the
time, and its own chapters are others."""
QUICK: Final = 10  # one world in so many
SITE: Final = Path(__file__).parents[1] / "examples" / "shijiu"


class World(NamedTuple):
    """One world of the bank."""

    chapter: str
    seed: int


@dataclass(slots=True)
class Result:
    """What one world came to. ``played`` and ``raised`` only where they were asked for."""

    scores: dict[str, Score]
    terminal_days: float
    readings: int
    rejects: int
    played: Played | None = None
    raised: list[Raised] = field(default_factory=list)


def worlds(seeds: range, chapters: Sequence[str] | None = None, *, quick: bool = False) -> list[World]:
    """The worlds of some chapters (without: of all), long ones first so that no process ends alone."""
    chosen = {name: count for name, count in COUNTS.items() if chapters is None or name in chapters}
    if chapters and (unknown := set(chapters) - set(chosen)):
        raise SystemExit(f"unknown chapter {sorted(unknown)[0]!r}: expected some of {', '.join(COUNTS)}")
    long = ("weeks", "gauges", "rhythm", "rounds", "yesterday")
    order = sorted(chosen, key=lambda name: (name not in long, name))
    return [
        World(name, seed)
        for name in order
        for seed in seeds[: max(1, chosen[name] // QUICK) if quick else chosen[name]]
    ]


@cache
def example() -> tuple[SiteFolder, tuple[Rule, ...]]:
    """The example's site, and its rules as they are."""
    folder = read_folder(SITE)
    return folder, tuple(rule_from(row) for row in folder.rules)


def run_world(world: World, *, keep: bool = False) -> Result:
    """Make a world, let the product see it, and score it."""
    folder, rules = example()
    played = bank_world(folder, world.chapter, world.seed)
    chosen = [rule for rule in rules if not (rule.detector == "silence" and world.chapter in UNHEARD)]
    outcome = replay(played, chosen)
    scores = score_world(world.chapter, world.seed, played.truth, outcome.raised)
    result = Result(scores, outcome.terminal_days, outcome.readings, outcome.rejects)
    if keep:
        result.played, result.raised = played, outcome.raised
    return result
