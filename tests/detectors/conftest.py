"""A small lake by hand, and a run of one detector over what happens there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import shapely

from detectors.base import Batch, Detector, Finding
from detectors.geo import Plane
from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, rows
from devices.registry import Device, Registry
from devices.site import Area, Season, Site, Zone

DAY = 1_781_020_800 * SECOND  # 2026-06-10 00:00 at the site
SPOT = Plane(118.85, 31.45)  # metres east and north of here
NAN = math.nan


class Lake:
    """Times are seconds since 19:00 of 10 June 2026 at the site, places metres from SPOT. Ids: cameras 1-3,
    patrol 4, police 5, a visitor's vessel 6, sensor 7, terminals 20-39."""

    begin = DAY + 19 * 3600 * SECOND

    def __init__(self) -> None:
        zones = [
            self.zone("NF", "no_fishing", -500, -500, 500, 500, "核心禁渔区", "Core ban zone"),
            self.zone("NF-SPRING", "no_fishing", 1000, -500, 2000, 500, "春季禁渔区", "Spring ban zone",
                      season=Season("03-01", "06-10", "04:00", "20:00")),
            self.zone("CW", "crowd_watch", 5000, 0, 5100, 100, "集镇广场", "Market square", capacity=100),
            self.zone("CW-FREE", "crowd_watch", 6000, 0, 6100, 100, "草坪", "Lawn"),
            self.zone("K", "checkpoint", 8000, 0, 8060, 60, "打卡点", "Checkpoint"),
        ]  # fmt: skip
        self.site = Site([Area("A", "湖区", "Lake district", "street")], zones, [], Registry(self.devices()))

    def zone(
        self, code: str, kind: Any, west: float, south: float, east: float, north: float, *names: str, **more: Any
    ) -> Zone:
        corners = [SPOT.lonlat(x, y) for x, y in ((west, south), (east, south), (east, north), (west, north))]
        return Zone(code, kind, *names, "A", shapely.Polygon([(float(x), float(y)) for x, y in corners]), **more)

    def devices(self) -> list[Device]:
        at = dict(zip(("lon", "lat"), map(float, SPOT.lonlat(-600, 0)), strict=True))
        return [
            Device("C1", "camera", "南岸监控", "South camera", "A", "A", id=1, **at),
            Device("C2", "camera", "北岸监控", "North camera", "A", "A", id=2, properties={"watches": ["NF"]}, **at),
            Device("C3", "camera", "广场监控", "Market camera", "A", "A", id=3),
            Device("T4", "terminal", "巡护张三", "Patrol Zhang", "A", "A", role="patrol", interval=10, id=4),
            Device("T5", "terminal", "民警李四", "Officer Li", "A", "A", role="police", interval=10, id=5),
            Device("V6", "vessel", "游船", "Pleasure boat", "A", "A", interval=10, id=6),
            Device("S7", "sensor", "水位计", "Gauge", "A", "A", interval=60, id=7),
            *(Device(f"T{i}", "terminal", f"终端{i}", f"Terminal {i}", "A", "A", role="patrol", interval=10, id=i)
              for i in range(20, 40)),
        ]  # fmt: skip

    def at(self, t: float) -> int:
        return self.begin + round(t * SECOND)

    def seen(
        self,
        label: str,
        times: Iterable[float],
        *places: tuple[float, float],
        camera: int = 1,
        track: str = "",
        count: int = 1,
        confidence: float = 0.8,
        step: tuple[float, float] = (0.0, 0.0),
    ) -> list[tuple[Any, ...]]:
        """Sightings at each time at each place, which moves by ``step`` metres a second; no place: none is told."""
        found = []
        for t in times:
            for x, y in places or [(NAN, NAN)]:
                lon, lat = SPOT.lonlat(x + step[0] * t, y + step[1] * t)
                found.append((camera, self.at(t), self.at(t + 0.5), label, count, confidence, track, lon, lat, ""))
        return found

    def fixes(
        self,
        device: int,
        times: Iterable[float],
        place: tuple[float, float] = (NAN, NAN),
        *,
        step: tuple[float, float] = (0.0, 0.0),
        flags: int = 0,
        battery: float = 80.0,
        late: float = 0.5,
        accuracy: float = 5.0,
    ) -> list[tuple[Any, ...]]:
        """Fixes of a device that moves by ``step`` metres a second, received ``late`` s after."""
        found = []
        for t in times:
            lon, lat = SPOT.lonlat(place[0] + step[0] * t, place[1] + step[1] * t)
            found.append((device, self.at(t), self.at(t + late), lon, lat, 1.0, NAN, accuracy, battery, int(flags)))
        return found

    def samples(self, device: int, times: Iterable[float], quantity: str = "water_level", value: float = 7.6) -> Any:
        return [(device, self.at(t), self.at(t + 0.5), quantity, value) for t in times]

    def watch(
        self,
        detector: Detector[Any],
        *,
        sightings: Sequence[tuple[Any, ...]] = (),
        fixes: Sequence[tuple[Any, ...]] = (),
        samples: Sequence[tuple[Any, ...]] = (),
        ticks: Iterable[float] = (),
    ) -> list[Finding]:
        """What the detector finds, in batches of a second of reception and the ticks in between, and a last tick."""
        arrays = (rows(FIX, list(fixes)), rows(SIGHTING, list(sightings)), rows(SAMPLE, list(samples)))
        moments = sorted({int(r) // SECOND for part in arrays for r in part["received"]})
        steps = [(m * SECOND + SECOND, m) for m in moments] + [(self.at(t), None) for t in ticks]
        state, found, now = detector.start(self.site), [], 0
        for now, second in sorted(steps, key=lambda s: s[0]):
            parts = [part[part["received"] // SECOND == second] for part in arrays]
            found += detector.step(state, Batch(*parts) if second is not None else Batch(), now, self.site)
        found += detector.step(state, Batch(), now + 60 * SECOND, self.site)
        return found


@pytest.fixture(scope="session")
def lake() -> Lake:
    return Lake()
