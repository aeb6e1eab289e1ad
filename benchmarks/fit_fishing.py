"""Fit the weights in detectors/movement.toml on labelled tracks: a ridge-regularised logistic regression on curves.

    python -m benchmarks.fit_fishing [FILE.csv] [--write]

Each feature of :mod:`detectors.movement` becomes a curve, linear between the knots (quantiles of the feature) and level
beyond; their sum is the log-odds. Newton's method on the penalised likelihood, NumPy alone, the same result every time.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import tomli_w
from numpy.typing import NDArray

from benchmarks.boat_tracks import DATA, Boats, read_boats, weights
from detectors import movement
from detectors.geo import Floats
from detectors.movement import Model, scaled

SHIPPED: Final = Path(movement.__file__).with_name("movement.toml")
QUANTILES: Final = (0.01, 0.25, 0.5, 0.75, 0.99)  # the first and last are where a curve becomes level
RIDGE: Final = 10.0  # on standardised columns, as so many fixes would weigh
AHEAD: Final = ("pace_next", "pace_next_2min", "pace_around")
CAUSAL: Final = (
    "fastest_1min",
    "fastest_5min",
    "fastest_10min",
    "pace_now",
    "pace_5min",
    "straight_10min",
    "old_places",
)
MODELS: Final[Mapping[str, tuple[str, ...]]] = {"causal": CAUSAL, "hindsight": (*CAUSAL, *AHEAD)}


def fit(found: Mapping[str, Floats], fishing: NDArray[np.bool_], weight: Floats, names: Sequence[str]) -> Model:
    """The model of some features (each of shape (n,), unknown NaN) for labels and weights of shape (n,)."""
    blocks, knots = [], {}
    for name in names:
        knots[name] = _knots(scaled(name, found[name]))
        blocks.append(_hats(scaled(name, found[name]), knots[name]))
    columns = np.hstack(blocks)
    middle, spread = columns.mean(axis=0), columns.std(axis=0) + 1e-9
    slopes = _regress((columns - middle) / spread, fishing, weight)
    base, each = slopes[0], slopes[1:] / spread
    curves, begin = {}, 0
    for name, block in zip(names, blocks, strict=True):
        part = slice(begin, begin := begin + block.shape[1])
        adds = _hats(knots[name], knots[name]) @ each[part] - middle[part] @ each[part]
        curves[name] = (tuple(_unscaled(name, knots[name])), tuple(adds.tolist()))
    return Model(float(base), curves)


def _knots(values: Floats) -> Floats:
    known = values[np.isfinite(values)]
    return np.asarray(np.unique(np.quantile(known, QUANTILES).round(6)))


def _hats(values: Floats, knots: Floats) -> Floats:
    """(n, k): a curve's slope between its knots is the sum of the weights up to there. Unknown: as the mean."""
    inside = np.clip(values, knots[0], knots[-1])
    columns = np.column_stack([np.maximum(inside - knot, 0.0) for knot in knots[:-1]])
    return np.where(np.isfinite(columns), columns, np.nanmean(columns, axis=0))


def _unscaled(name: str, values: Floats) -> list[float]:
    offset = movement.OFFSET.get(name.split("_")[0])
    return [float(value) for value in (values if offset is None else np.exp(values) - offset)]


def _regress(columns: Floats, fishing: NDArray[np.bool_], weight: Floats) -> Floats:
    """Intercept and slopes, by Newton's method."""
    design = np.column_stack([np.ones(len(columns)), columns])
    penalty = np.full(design.shape[1], RIDGE)
    penalty[0] = 0.0
    slopes = np.zeros(design.shape[1])
    for _ in range(50):
        odds = 1.0 / (1.0 + np.exp(-np.clip(design @ slopes, -30, 30)))
        slope = design.T @ (weight * (odds - fishing)) + penalty * slopes
        curvature = design.T @ (design * (weight * odds * (1 - odds))[:, None]) + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        slopes -= step
        if np.abs(step).max() < 1e-7:
            return slopes
    raise ArithmeticError(f"no convergence after 50 steps: the last one was {np.abs(step).max():g}")


def fit_boats(boats: Boats, found: Mapping[str, Floats], chosen: NDArray[np.bool_], names: Sequence[str]) -> Model:
    """The model of some of the fixes (shape (n,), True: used)."""
    some = {name: found[name][chosen] for name in names}
    return fit(some, boats.fishing[chosen], weights(boats.sets[chosen]), names)


def fitted(path: Path = DATA) -> dict[str, Model]:
    """Both models, of all fixes in a file."""
    boats = read_boats(path)
    found = boats.features(hindsight=True)
    return {name: fit_boats(boats, found, np.ones(len(boats), bool), names) for name, names in MODELS.items()}


def text(models: Mapping[str, Model], path: Path) -> str:
    """What is written to movement.toml."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    head = (
        "# Log-odds that a boat is fishing: base plus one curve for each feature of detectors/movement.py, linear\n"
        '# between its points (feature "at" → "adds") on the feature\'s own scale and level beyond. Speeds in m/s,\n'
        "# distances in m.\n"
        f"# Written by: python -m benchmarks.fit_fishing --write\n# Fitted on {path.name}, SHA-256 {digest}\n\n"
    )
    tables = {
        name: {
            "base": round(model.base, 3),
            "curves": {key: {"at": _short(at), "adds": _short(adds)} for key, (at, adds) in model.curves.items()},
        }
        for name, model in models.items()
    }
    return head + tomli_w.dumps(tables).replace("[\n    ", "[").replace(",\n    ", ", ").replace(",\n]", "]")


def _short(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.3f}") for value in values]


def main() -> None:
    """Fit and print, or write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("file", type=Path, nargs="?", default=DATA)
    words.add_argument("--write", action="store_true", help="to detectors/movement.toml, instead of printing")
    given = words.parse_args()
    result = text(fitted(given.file), given.file)
    if given.write:
        SHIPPED.write_text(result, "utf-8")
    else:
        print(result, end="")


if __name__ == "__main__":
    main()
