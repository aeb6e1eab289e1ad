"""What is refused before anything starts, and what a worker does beside its work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server.services import Addresses
from server.settings import Settings
from server.wiring import NotReady, run


async def test_a_wrong_file_of_holidays_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "holidays.csv"
    file.write_text("day,works\n2027-01-01,perhaps\n", "utf-8")
    nowhere = Addresses("postgresql://127.0.0.1:1/none", "mqtt://127.0.0.1:1")
    with pytest.raises(NotReady, match=r"PATROLGRID_HOLIDAYS: .*line 2: works 'perhaps': expected yes or no"):
        await run(Settings(holidays=str(file)), nowhere, worker=True, console=False)


IN_A_NEW_PROCESS = """
import asyncio, resource
from pathlib import Path
from server.wiring import give_memory_back

def resident_mb():
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() / 1e6

async def main():
    kept = [(bytes(60_000), bytes(600)) for _ in range(2_000)]
    between = [few for _, few in kept]
    held = resident_mb()
    del kept
    freed = resident_mb()
    task = asyncio.create_task(give_memory_back(0.01))
    async with asyncio.timeout(20.0):
        while resident_mb() > held - 80.0:
            await asyncio.sleep(0.01)
    task.cancel()
    print(held - freed, len(between))

asyncio.run(main())
"""


AT_THE_END = """
import ctypes, threading
from server.wiring import keep_one_heap

def resident_mb():
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() / 1e6

if %s:
    keep_one_heap()
bytes(20_000_000)  # once this was freed, the C library keeps as much at the end of a heap
before, done, over = resident_mb(), threading.Event(), threading.Event()

def take():
    taken = [b"x" * (100_000 + n) for n in range(300)]
    del taken
    done.set()
    over.wait()

thread = threading.Thread(target=take)
thread.start()
done.wait()
ctypes.CDLL(None).malloc_trim(0)
print(resident_mb() - before)
over.set()
"""


@pytest.mark.parametrize(("one_heap", "least", "most"), [(True, -99.0, 8.0), (False, 12.0, 99.0)])
def test_what_a_thread_took_for_a_moment_goes_back_to_the_system(one_heap: bool, least: float, most: float) -> None:
    """All of it from one heap; from a heap of the thread's own the end stays, or this test shows nothing."""
    code = "import resource\nfrom pathlib import Path" + AT_THE_END % one_heap
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert least < float(done.stdout) < most


def test_freed_memory_between_what_lives_on_goes_back_to_the_system() -> None:
    """In a process of its own: where others have left gaps, what lives on lies in those."""
    done = subprocess.run([sys.executable, "-c", IN_A_NEW_PROCESS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    returned = float(done.stdout.split()[0])
    assert returned < 40.0, "the C library returned it by itself: this test shows nothing"
