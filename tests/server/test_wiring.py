"""What is refused before anything starts, and what a worker does beside its work."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest

from server.services import Addresses
from server.settings import Settings
from server.wiring import NotReady, give_memory_back, run


async def test_a_wrong_file_of_holidays_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "holidays.csv"
    file.write_text("day,works\n2027-01-01,perhaps\n", "utf-8")
    nowhere = Addresses("postgresql://127.0.0.1:1/none", "mqtt://127.0.0.1:1")
    with pytest.raises(NotReady, match=r"PATROLGRID_HOLIDAYS: .*line 2: works 'perhaps': expected yes or no"):
        await run(Settings(holidays=str(file)), nowhere, worker=True, console=False)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


async def test_freed_memory_between_what_lives_on_goes_back_to_the_system() -> None:
    kept = [(bytes(60_000), bytes(600)) for _ in range(2_000)]
    small = [few for _, few in kept]
    before = _resident_mb()
    del kept
    left = _resident_mb()
    task = asyncio.create_task(give_memory_back(0.01))
    try:
        async with asyncio.timeout(10.0):
            while _resident_mb() > before - 80.0:
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
    assert left > before - 40.0, "the C library returned it by itself: this test shows nothing"
    assert len(small) == 2_000
