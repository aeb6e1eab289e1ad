"""How many fixes a second one core looks up in, and follows through, 23,000 zones, 400 of them of 2,000 corners.

    python -m benchmarks.fences [--runs 5]

A table, then one JSON line. The zones tile a county of 60 km; terminals walk and drive about in it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, Final

import numpy as np
import shapely
from rich.console import Console
from rich.table import Table

from detectors.base import Batch
from detectors.geo import ZoneIndex
from detectors.geofence import Geofence
from detectors.visits import Visits, visit_rows
from devices.readings import FIX, SECOND, Rows
from devices.registry import Device, Registry
from devices.site import Site, Zone

SIDE: Final = 150  # cells of the tiling to a side
CUT: Final = 100  # cells that are cut in two, which makes 22,600 zones
COMPLEX: Final = 400
CORNERS: Final = 2_000
WEST, SOUTH, WIDE, HIGH = 118.5, 31.2, 0.63, 0.54  # degrees: about 60 km each way
TERMINALS: Final = 10_000
BATCH: Final = 5_000
BEGIN: Final = 1_781_000_000 * SECOND


def zones() -> list[Zone]:
    """A crooked tiling, and on top of it ragged lakes of thousands of corners: every tenth of them is fenced."""
    draw = np.random.default_rng(1)
    x, y = np.meshgrid(np.arange(SIDE + 1.0), np.arange(SIDE + 1.0))
    x = WEST + (x + draw.uniform(-0.3, 0.3, x.shape)) * WIDE / SIDE
    y = SOUTH + (y + draw.uniform(-0.3, 0.3, y.shape)) * HIGH / SIDE
    corners = np.stack([x, y], axis=2)
    rings = np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]], axis=2).reshape(-1, 4, 2)
    west, east = rings[:CUT].copy(), rings[:CUT].copy()
    west[:, 1:3] = east[:, [0, 3]] = (rings[:CUT, [0, 3]] + rings[:CUT, [1, 2]]) / 2
    cells: list[Any] = list(np.asarray(shapely.polygons(np.concatenate([west, east, rings[CUT:]]))))
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    lakes = []
    for _ in range(COMPLEX):
        reach = 0.008 * (1 + 0.2 * np.sin(7 * turn + draw.uniform(0, 6)) + 0.02 * draw.standard_normal(CORNERS))
        middle = WEST + draw.uniform(0.02, WIDE - 0.02), SOUTH + draw.uniform(0.02, HIGH - 0.02)
        ring = np.column_stack([middle[0] + reach * np.cos(turn), middle[1] + reach * np.sin(turn)])
        lakes.append(shapely.make_valid(shapely.Polygon(ring)))
    shapes = [*((cell, "patrol") for cell in cells), *((lake, "no_fishing") for lake in lakes)]
    return [
        Zone(f"Z{i}", "restricted" if i % 10 == 0 else kind, f"区{i}", f"Zone {i}", "", shape)  # type: ignore[arg-type]
        for i, (shape, kind) in enumerate(shapes)
    ]


def movement(batches: int) -> Iterator[Rows]:
    """Batches of fixes of FIX: every terminal's 5 s apart, some on foot, some driving."""
    draw = np.random.default_rng(2)
    lon, lat = WEST + draw.uniform(0, WIDE, TERMINALS), SOUTH + draw.uniform(0, HIGH, TERMINALS)
    course = draw.uniform(0, 2 * np.pi, TERMINALS)
    pace = np.where(draw.random(TERMINALS) < 0.1, 12.0, 1.3) * 5
    for number in range(batches):
        who = (np.arange(BATCH) + number * BATCH) % TERMINALS
        lon[who] += pace[who] * np.sin(course[who]) / 95_000
        lat[who] += pace[who] * np.cos(course[who]) / 111_000
        fixes = np.zeros(BATCH, FIX)
        fixes["device"], fixes["at"] = who + 1, BEGIN + number * 5 * SECOND * BATCH // TERMINALS
        fixes["received"], fixes["accuracy"] = fixes["at"], 5.0
        fixes["lon"] = lon[who] + draw.normal(0, 3 / 95_000, BATCH)
        fixes["lat"] = lat[who] + draw.normal(0, 3 / 111_000, BATCH)
        yield fixes


def fences(runs: int = 5, batches: int = 60) -> dict[str, float]:
    """Fixes per second of CPU (median of runs): looked up, followed as visits, and fenced as well; and the seconds it
    takes to get ready for a changed site."""
    made = zones()
    site = Site(
        [], made, [], Registry(Device(f"T{i}", "terminal", "", "", "", "", id=i) for i in range(1, TERMINALS + 1))
    )
    begun = time.process_time()
    index = ZoneIndex(made)
    ready = time.process_time() - begun
    parts = list(movement(batches))
    figures: dict[str, list[float]] = {"looked_up": [], "visits": [], "visits_and_fences": []}
    for _ in range(runs):
        figures["looked_up"].append(_rate(parts, lambda fixes: index.pairs(fixes["lon"], fixes["lat"])))
        visits, fence = Visits(), Geofence()
        stays, state = visits.start(site), fence.start(site)
        figures["visits"].append(_rate(parts, lambda f: visits.step(stays, f, site)))  # noqa: B023 - called at once
        stays = visits.start(site)

        def both(fixes: Rows) -> Any:
            told = visit_rows(visits.step(stays, fixes, site))  # noqa: B023
            return fence.step(state, Batch(fixes, visits=told), int(fixes["at"].max()), site)  # noqa: B023

        figures["visits_and_fences"].append(_rate(parts, both))
    return {"zones": len(made), "ready_s": round(ready, 2), **{k: round(median(v)) for k, v in figures.items()}}


def _rate(parts: list[Rows], work: Callable[[Rows], Any]) -> float:
    begun = time.process_time()
    for fixes in parts:
        work(fixes)
    return sum(map(len, parts)) / (time.process_time() - begun)


def main() -> None:
    """A table, then one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    figures = fences(parser.parse_args().runs)
    shown = Table("figure", "value", title="Fences: fixes per second on one core")
    for name, value in figures.items():
        shown.add_row(name, f"{value:,}")
    Console(stderr=True).print(shown)
    print(json.dumps({"fences": figures}))


if __name__ == "__main__":
    main()
