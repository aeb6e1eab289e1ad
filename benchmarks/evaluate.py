"""How well the detectors find what truly happened: real boats, real tracks on foot, and the simulators' bank of worlds.

    python -m benchmarks.evaluate [--quick] [--seeds fit|score|unseen] [--tracks FILE] [--episode CHAPTER:SEED]

Prints a table for each part, what was missed and what was a false alarm, then one JSON line last. Docs: detection.md.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.bank_run import SEEDS, World, run_world, worlds
from benchmarks.bank_score import Score
from benchmarks.boat_tracks import DATA as BOATS_DATA
from benchmarks.boat_tracks import WrongBoats
from benchmarks.evaluate_boats import boats_table, evaluate_boats
from benchmarks.evaluate_foot import evaluate_foot, print_foot
from benchmarks.foot_tracks import DATA as FOOT_DATA
from benchmarks.foot_tracks import WrongTracks

TARGET: Final = 0.97
BOATS: Final = frozenset({"boat", "lat", "lon", "fishing"})
FOOT: Final = frozenset({"track", "t", "x", "y"})
SHOWN: Final = 15  # misses and false alarms of one detector that are listed; the JSON line holds all


class UnknownTracks(ValueError):
    """A file that holds neither boats nor tracks on foot."""


def kind_of(path: Path) -> Literal["boats", "foot"]:
    """What the tracks in a CSV file (or ``.csv.gz``) are, by its header.

    Raises:
        UnknownTracks: its columns are those of neither; they are named.
        OSError: it cannot be read.
    """
    text = partial(gzip.open, path, "rt") if path.suffix == ".gz" else path.open
    try:
        with text(encoding="utf-8-sig") as lines:
            header = next(csv.reader(lines), [])
    except (UnicodeDecodeError, gzip.BadGzipFile, csv.Error) as error:
        raise UnknownTracks(f"{path}: no CSV text: {error}") from error
    columns = {name.strip() for name in header}
    if {name.split(" ")[0] for name in columns} >= BOATS:
        return "boats"
    if columns >= FOOT:
        return "foot"
    raise UnknownTracks(
        f"{path}: columns {', '.join(sorted(columns)) or 'none'}: expected those of boats (set, boat, trip, gear, time,"
        " lat, lon, fishing) or of tracks on foot (track, t, x, y, truth)"
    )


# ── The bank ────────────────────────────────────────────────────────────────────────────────────────────────────────
def bank(console: Console, chosen: list[World], pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Run worlds of the bank; prints the table and returns the figures."""
    began, scores, days, readings, rejects = time.perf_counter(), dict[str, Score](), 0.0, 0, 0
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"{len(chosen)} worlds", total=len(chosen))
        for result in pool.map(run_world, chosen):
            progress.advance(task)
            for detector, score in result.scores.items():
                scores.setdefault(detector, Score()).add(score)
            days, readings, rejects = days + result.terminal_days, readings + result.readings, rejects + result.rejects
    console.print(bank_table(scores, days))
    for detector, score in scores.items():
        _list(console, detector, score)
    seconds = time.perf_counter() - began
    console.print(
        f"{len(chosen)} worlds, {readings} readings ({rejects} refused), {days:.1f} terminal-days, {seconds:.0f} s"
    )
    return {
        "worlds": len(chosen),
        "readings": readings,
        "rejects": rejects,
        "terminal_days": round(days, 2),
        "seconds": round(seconds, 1),
        "detectors": {detector: figures(score, days) for detector, score in scores.items()},
    }


def bank_table(scores: Mapping[str, Score], days: float) -> Table:
    """One row for each detector."""
    table = Table(title=f"Scenario bank (targets: precision and recall ≥ {TARGET})")
    table.add_column("detector")
    for name in ("incidents", "found", "recall", "alerts", "right", "precision", "p50 s", "p90 s", "alerts/term.-day"):
        table.add_column(name, justify="right")
    for detector, score in scores.items():
        poor = [not figure >= TARGET for figure in (score.recall, score.precision)]
        recall, precision = (
            f"[red]{figure:.3f}[/red]" if low else f"{figure:.3f}"
            for figure, low in zip((score.recall, score.precision), poor, strict=True)
        )
        rate = (score.alerts + score.neither) / days if days else math.nan
        table.add_row(
            detector, str(score.incidents), str(score.found), recall, str(score.alerts), str(score.right), precision,
            f"{score.wait(0.5):.0f}", f"{score.wait(0.9):.0f}", f"{rate:.2f}",
        )  # fmt: skip
    return table


def _list(console: Console, detector: str, score: Score) -> None:
    """What was missed, and what had no cause, with what it takes to see it again."""
    parts = ", ".join(f"{kind} {found}/{total}" for kind, (total, found) in sorted(score.kinds.items()))
    if parts:
        console.print(f"[bold]{detector}[/bold]: {parts}", highlight=False)
    for miss in score.misses[:SHOWN]:
        e = miss.episode
        what = f"{e.kind} {e.subject or e.zone}, {(e.until - e.since) / 60e6:.0f} min: {e.note}"
        console.print(f"  missed  EPISODE={miss.chapter}:{miss.seed}  {what}", highlight=False)
    for false in score.false[:SHOWN]:
        near = f" [{false.near}]" if false.near else ""
        text = f"  false   EPISODE={false.chapter}:{false.seed}  {false.alert.subject}: {false.alert.sentence.en}{near}"
        console.print(text, highlight=False, markup=False)
    more = max(0, len(score.misses) - SHOWN) + max(0, len(score.false) - SHOWN)
    if more:
        console.print(f"  and {more} more", highlight=False)


def figures(score: Score, days: float) -> dict[str, Any]:
    """A detector's part of the JSON line: its counts, and every miss and false alarm with the world it is in."""

    def plain(value: float, digits: int = 4) -> float | None:
        return round(value, digits) if math.isfinite(value) else None

    return {
        "incidents": score.incidents,
        "found": score.found,
        "alerts": score.alerts,
        "right": score.right,
        "neither": score.neither,
        "precision": plain(score.precision),
        "recall": plain(score.recall),
        "detect_p50_s": plain(score.wait(0.5), 1),
        "detect_p90_s": plain(score.wait(0.9), 1),
        "alerts_per_terminal_day": plain((score.alerts + score.neither) / days if days else math.nan, 3),
        "kinds": score.kinds,
        "missed": [
            {"world": f"{m.chapter}:{m.seed}", "kind": m.episode.kind, "subject": m.episode.subject or m.episode.zone}
            for m in score.misses
        ],
        "false": [
            {"world": f"{f.chapter}:{f.seed}", "subject": f.alert.subject, "sentence": f.alert.sentence.en}
            for f in score.false
        ],
    }


def one_world(console: Console, name: str) -> dict[str, Any]:
    """One world again, with its truth and all its alerts."""
    chapter, _, seed = name.partition(":")
    if not seed.isdecimal():
        raise SystemExit(f"EPISODE={name}: expected CHAPTER:SEED, e.g. shore:10001")
    result = run_world(World(chapter, int(seed)), keep=True)
    assert result.played is not None
    console.print(f"{chapter} {seed}: {result.played.weather}", highlight=False)
    for e in sorted(result.played.truth, key=lambda e: e.since):
        span = f"{(e.since - result.played.start) / 60e6:7.1f} … {(e.until - result.played.start) / 60e6:7.1f} min"
        console.print(f"  {span}  {e.kind} {e.subject} {e.zone} {e.note}", highlight=False, markup=False)
    for raised in result.raised:
        alert = raised.alert
        text = f"  {(raised.at - result.played.start) / 60e6:7.1f} min  {alert.rule} {alert.subject} {alert.zone}"
        console.print(f"{text}: {alert.sentence.en}", highlight=False, markup=False)
    for detector, score in result.scores.items():
        _list(console, detector, score)
    return {"world": name, "detectors": {d: figures(s, result.terminal_days) for d, s in result.scores.items()}}


# ── The whole ───────────────────────────────────────────────────────────────────────────────────────────────────────
def main(arguments: Iterable[str] | None = None) -> None:
    """Evaluate, print, and one JSON line last."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--quick", action="store_true", help="a few worlds, about a minute")
    kinds = "score: those never tuned on; unseen: nor looked at"
    words.add_argument("--seeds", choices=SEEDS, default="score", help=kinds)
    words.add_argument("--tracks", type=Path, help="score this file of boats or tracks on foot and nothing else")
    words.add_argument("--episode", help="CHAPTER:SEED: one world of the bank, with all its alerts")
    words.add_argument("--chapters", help="these chapters of the bank and nothing else, with commas")
    words.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="processes")
    given = words.parse_args(None if arguments is None else list(arguments))
    console = Console(width=None if sys.stdout.isatty() else 140, soft_wrap=True)
    if given.episode:
        result = one_world(console, given.episode)
    elif given.tracks:
        result = tracks(console, given.tracks)
    else:
        result = whole(console, given)
    print(json.dumps(result, ensure_ascii=False))


def whole(console: Console, given: argparse.Namespace) -> dict[str, Any]:
    """Boats, tracks on foot and the bank, side by side in the same processes."""
    chapters = given.chapters.split(",") if given.chapters else None
    chosen = worlds(SEEDS[given.seeds], chapters, quick=given.quick)
    result: dict[str, Any] = {}
    with ProcessPoolExecutor(given.jobs) as pool:
        real = {} if chapters else {kind: pool.submit(score, path) for kind, (path, score, _) in REAL.items()}
        found = bank(console, chosen, pool) | {"seeds": given.seeds}
        for kind, future in real.items():
            result[kind] = future.result()
            REAL[kind][2](console, result[kind])
    return result | {"bank": found}


def tracks(console: Console, path: Path) -> dict[str, Any]:
    """Score one file of real tracks and nothing else."""
    try:
        kind = kind_of(path)
        _, score, show = REAL[kind]
        result = score(path)
    except (UnknownTracks, WrongBoats, WrongTracks, OSError) as error:
        raise SystemExit(f"TRACKS: {error}") from error
    show(console, result)
    return {kind: result}


def print_boats(console: Console, result: Mapping[str, Any]) -> None:
    """The table of :func:`evaluate_boats`."""
    console.print(boats_table(result))


REAL: Final[Mapping[str, tuple[Path, Callable[[Path], dict[str, Any]], Callable[[Console, Any], None]]]] = {
    "boats": (BOATS_DATA, evaluate_boats, print_boats),
    "foot": (FOOT_DATA, evaluate_foot, print_foot),
}
"""Real tracks: those kept for development, what scores a file, and what shows the figures."""


if __name__ == "__main__":
    main()
