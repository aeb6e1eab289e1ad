"""What a fix costs in each detector, amortised over batches: 10,000 terminals on foot about the example's lake.

    python -m benchmarks.detector_costs [--terminals 10000] [--batch 5000] [--batches 60]

Only CPU seconds of this process are read, so that a busy machine matters less; the figure is the median over batches.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import shapely
from rich.console import Console
from rich.table import Table

from alerts.rules import rule_from
from detectors.base import Batch
from detectors.visits import visit_rows
from devices.readings import FIX, SECOND, Rows
from devices.registry import Device, Registry
from devices.site import Site
from devices.site_folder import read_folder
from server.fold import Fold

EXAMPLE: Final = Path(__file__).parents[1] / "examples" / "shijiu"
BEGIN: Final = 1_781_000_000 * SECOND
WARM: Final = 8  # batches that are not counted: tables grow, caches fill
METRE: Final = (1 / 95_000, 1 / 111_000)  # degrees of longitude and latitude, about


def county(terminals: int) -> Fold:
    """The example's site and rules with so many terminals, each with an interval of 5 s."""
    folder = read_folder(EXAMPLE)
    others = [device for device in folder.devices if device.kind != "terminal"]
    share = next(device.share for device in folder.devices if device.kind == "terminal")
    areas = [area.code for area in folder.areas]
    crowd = [
        Device(
            f"B{i:05d}",
            "terminal",
            f"终端{i}",
            f"Terminal {i}",
            areas[i % len(areas)],
            share,
            role="patrol",
            interval=5.0,
            id=i + 1,
        )
        for i in range(terminals)
    ]
    known = [Device(**{**_plain(d), "id": terminals + i + 1}) for i, d in enumerate(others)]
    site = Site(folder.areas, folder.zones, folder.units, Registry([*crowd, *known]), plans=folder.plans)
    return Fold(site, [rule_from(row) for row in folder.rules])


def _plain(device: Device) -> dict[str, Any]:
    return {name: getattr(device, name) for name in Device.__slots__}


def walk(site: Site, terminals: int, size: int, count: int) -> Iterator[tuple[Rows, int]]:
    """Batches of ``size`` fixes of FIX, every terminal's 5 s apart, with when they were received (UTC µs)."""
    draw = np.random.default_rng(7)
    west, south, east, north = shapely.total_bounds([zone.geometry for zone in site.zones.values()])
    lon, lat = draw.uniform(west, east, terminals), draw.uniform(south, north, terminals)
    course = draw.uniform(0, 2 * np.pi, terminals)
    for number in range(count):
        who = (np.arange(size) + number * size) % terminals
        now = BEGIN + int((number + 1) * size / terminals * 5 * SECOND)
        course[who] += draw.normal(0, 0.2, size)
        lon[who] += 6.0 * np.sin(course[who]) * METRE[0]
        lat[who] += 6.0 * np.cos(course[who]) * METRE[1]
        fixes = np.zeros(size, FIX)
        fixes["device"], fixes["received"] = who + 1, now
        fixes["at"] = now - draw.integers(0, SECOND, size)
        fixes["lon"] = lon[who] + draw.normal(0, 3, size) * METRE[0]
        fixes["lat"] = lat[who] + draw.normal(0, 3, size) * METRE[1]
        fixes["speed"], fixes["heading"] = 1.2, np.degrees(course[who]) % 360
        fixes["accuracy"], fixes["battery"] = 5.0, 80.0 - number / count
        yield np.sort(fixes, order=["device", "at"]), now


def detector_costs(terminals: int = 10_000, size: int = 5_000, batches: int = 60) -> dict[str, float]:
    """µs of CPU per fix: by detector (several rules of one add up), of the visits, and of all together."""
    fold = county(terminals)
    spent: dict[str, list[float]] = defaultdict(list)
    for number, (fixes, now) in enumerate(walk(fold.site, terminals, size, batches + WARM)):
        begun = time.process_time()
        visits = visit_rows(fold.visits.step(fold.stays, fixes, fold.site))
        marks = {"visits": time.process_time() - begun}
        batch = Batch(fixes, visits=visits)
        for watcher in fold.watchers:
            begun = time.process_time()
            watcher.step(batch, now, fold.site)
            marks[watcher.detector.kind] = marks.get(watcher.detector.kind, 0.0) + time.process_time() - begun
        if number >= WARM:
            for name, seconds in {**marks, "all": sum(marks.values())}.items():
                spent[name].append(seconds / size * 1e6)
    return {name: round(median(values), 3) for name, values in spent.items()}


def table(costs: dict[str, float]) -> Table:
    """The costs as people read them."""
    shown = Table("detector 检测器", "µs per fix 每定位点", title="Cost of detection 检测开销")
    for name, cost in sorted(costs.items(), key=lambda item: item[1]):
        shown.add_row(name, f"{cost:.2f}")
    return shown


def main() -> None:
    """A table, then one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--terminals", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=5_000)
    parser.add_argument("--batches", type=int, default=60)
    given = parser.parse_args()
    costs = detector_costs(given.terminals, given.batch, given.batches)
    Console(stderr=True).print(table(costs))
    print(json.dumps({"detector_us_per_fix": costs}))


if __name__ == "__main__":
    main()
