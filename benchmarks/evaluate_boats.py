"""How well the movement of boats tells whether they fish: per fix, on boats that the weights have never seen.

    python -m benchmarks.evaluate_boats FILE.csv

A boat that the shipped weights were fitted on is scored by weights fitted without it (grouped cross-validation), any
other by the shipped weights. Prints a table, then one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.boat_tracks import DATA, Boats, read_boats
from benchmarks.fit_fishing import MODELS, fit_boats
from detectors.geo import Floats, short_distance
from detectors.movement import model
from devices.readings import SECOND

KNOT: Final = 0.514444  # m/s
TARGET: Final = {"balanced_accuracy": 0.91, "f1": 0.93}
FIGURES: Final = ("accuracy", "balanced_accuracy", "precision", "recall", "f1")
WAYS: Final = {
    "speed_rule": "speed ≤ 4.5 kn",
    "causal": "past fixes only",
    "hindsight": "10 min later",
    "causal_other_sets": "past only, its whole set unseen",
    "hindsight_other_sets": "10 min later, its whole set unseen",
}


def evaluate_boats(path: Path) -> dict[str, Any]:
    """Score a file of labelled tracks; plain JSON figures, per set and pooled, for each of :data:`WAYS`.

    Raises:
        WrongBoats: the file is none of boats' tracks.
        OSError: it cannot be read.
    """
    began = time.perf_counter()
    boats, known = read_boats(path), read_boats(DATA)
    seen = set(known.boats.tolist())
    found, learned = boats.features(hindsight=True), known.features(hindsight=True)
    guesses = {"speed_rule": speed_rule(boats)}
    for way in MODELS:
        guesses[way] = _unseen(way, boats, found, boats.boats, known, learned, known.boats) > 0
        guesses[f"{way}_other_sets"] = _unseen(way, boats, found, boats.sets, known, learned, known.sets) > 0
    fitted = sum(boat in seen for boat in np.unique(boats.boats).tolist())
    return {
        "file": path.name,
        "fixes": len(boats),
        "boats": len(np.unique(boats.boats)),
        "boats_of_the_fit": fitted,
        "target": TARGET,
        **{way: _by_set(boats, guess) for way, guess in guesses.items()},
        "seconds": round(time.perf_counter() - began, 1),
    }


def _unseen(
    way: str,
    boats: Boats,
    found: Mapping[str, Floats],
    groups: NDArray[np.str_],
    known: Boats,
    learned: Mapping[str, Floats],
    known_groups: NDArray[np.str_],
) -> Floats:
    """Log-odds of all fixes, those of each group by weights that have not seen it."""
    odds = np.zeros(len(boats))
    for group in np.unique(groups).tolist():
        here, seen = groups == group, known_groups == group
        weights = fit_boats(known, learned, ~seen, MODELS[way]) if seen.any() else model(way)
        odds[here] = weights.log_odds({name: found[name][here] for name in MODELS[way]})
    return odds


def speed_rule(boats: Boats, knots: float = 4.5) -> NDArray[np.bool_]:
    """Fishing is who is not faster than this from the fix before; without a speed: fishing."""
    order = np.lexsort((boats.at, boats.trips))
    lon, lat, at, trip = boats.lon[order], boats.lat[order], boats.at[order], boats.trips[order]
    seconds, same = np.diff(at) / SECOND, np.diff(trip) == 0
    metres = short_distance(lon[:-1], lat[:-1], lon[1:], lat[1:])
    guess = np.ones(len(order), bool)
    guess[order[1:]] = ~(same & (metres > knots * KNOT * seconds) & (seconds > 0))
    return guess


def figures(fishing: NDArray[np.bool_], guess: NDArray[np.bool_]) -> dict[str, float | None]:
    """Of fixes (n,): what is true and what is said. None where there is nothing to divide by."""
    hits, right = int((fishing & guess).sum()), int((~fishing & ~guess).sum())
    yes, no, said = int(fishing.sum()), int((~fishing).sum()), int(guess.sum())

    def share(part: float, whole: float) -> float | None:
        return round(part / whole, 4) if whole else None

    recall, quiet = share(hits, yes), share(right, no)
    return {
        "fixes": yes + no,
        "fishing": share(yes, yes + no),
        "accuracy": share(hits + right, yes + no),
        "balanced_accuracy": round((hits / yes + right / no) / 2, 4)
        if recall is not None and quiet is not None
        else None,
        "precision": share(hits, said),
        "recall": recall,
        "f1": share(2 * hits, yes + said),
    }


def _by_set(boats: Boats, guess: NDArray[np.bool_]) -> dict[str, Any]:
    sets = {
        name: figures(boats.fishing[boats.sets == name], guess[boats.sets == name])
        for name in np.unique(boats.sets).tolist()
    }
    return {"pooled": figures(boats.fishing, guess), "sets": sets}


def boats_table(result: Mapping[str, Any]) -> Table:
    """The figures of :func:`evaluate_boats`; pooled ones below the target in red."""
    unseen = "each by weights fitted without it" if result["boats_of_the_fit"] else "none of them known to the weights"
    table = Table(
        title=f"Is the boat fishing? {result['file']}: {result['fixes']} fixes, {result['boats']} boats, {unseen}"
    )
    for name in ("judged by", "set"):
        table.add_column(name)
    for name in ("fixes", *FIGURES):
        table.add_column(name.replace("_", " "), justify="right")
    for way, words in WAYS.items():
        for name, row in (*result[way]["sets"].items(), ("pooled", result[way]["pooled"])):
            cells = [_cell(figure, row[figure], way if name == "pooled" else "") for figure in FIGURES]
            table.add_row(words if name == next(iter(result[way]["sets"])) else "", name, str(row["fixes"]), *cells)
        table.add_section()
    return table


def _cell(figure: str, value: float | None, way: str) -> str:
    if value is None:
        return "-"
    poor = way in MODELS and value < TARGET.get(figure, 0.0)
    return f"[red]{value:.3f}[/red]" if poor else f"{value:.3f}"


def main(arguments: Sequence[str]) -> None:
    """Score the given file, or without one that of the fit."""
    result = evaluate_boats(Path(arguments[0]) if arguments else DATA)
    Console(width=None if sys.stdout.isatty() else 140).print(boats_table(result))
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
