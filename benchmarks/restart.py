"""How long a worker reads the store at its start, with a county's terminals at work all the time.

    python -m benchmarks.restart [--terminals 1436] [--hours 36] [--every 5]

The fixes are written by the database itself, straight to where they are stored. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import time
from pathlib import Path
from typing import Any, Final

import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.ground import Ground, prepared
from server.watch import Watch
from store.database import open_pool
from store.registry import load_duty, load_rules, load_site

FOLDER: Final = Path(".patrolgrid") / "bench"
_WALKS: Final = """
    INSERT INTO fixes
    SELECT d.id, t, t + interval '300 ms',
           118.7 + 0.3 * (d.id * 0.6180339887 %% 1) + 0.005 * sin(d.id + extract(epoch FROM t) / 400) + 3e-5 * random(),
           31.3 + 0.3 * (d.id * 0.7548776662 %% 1) + 0.005 * cos(d.id + extract(epoch FROM t) / 400) + 3e-5 * random(),
           1.2, 90, 5, 80, 0
    FROM generate_series(now() - make_interval(secs => %(begin)s), now() - make_interval(secs => %(end)s),
                         make_interval(secs => %(every)s)) AS t,
         (SELECT id FROM devices WHERE kind = 'terminal') AS d
"""


def fill(ground: Ground, hours: float, every: float) -> int:
    """So many hours of fixes up to now; returns how many there are."""
    with psycopg.connect(ground.database_url, autocommit=True) as conn:
        step = 3600.0
        for n in range(round(hours), 0, -1):
            values = {"begin": n * step, "end": (n - 1) * step + every / 2, "every": every}
            conn.execute(_WALKS.encode(), values)
        conn.execute(
            "INSERT INTO last_positions SELECT DISTINCT ON (device) * FROM fixes"
            " WHERE at > now() - interval '1 minute' ORDER BY device, at DESC"
        )
        conn.execute("VACUUM ANALYZE fixes")
        found = conn.execute("SELECT count(*) FROM fixes").fetchone()
    return int(found[0]) if found else 0


async def start(ground: Ground) -> dict[str, float]:
    """Seconds from the start until detection follows what comes in, and until all that is remembered has been read."""
    async with open_pool(ground.database_url) as pool:
        async with pool.connection() as conn:
            place = await load_site(conn), await load_rules(conn), await load_duty(conn)
        watch = Watch(pool, *place, listening=lambda: False)
        begun, cpu = time.perf_counter(), time.process_time()
        await watch.prime()
        figures = {"detecting_s": time.perf_counter() - begun, "detecting_cpu_s": time.process_time() - cpu}
        while watch.reading:
            await watch.advance()
        figures |= {"complete_s": time.perf_counter() - begun, "complete_cpu_s": time.process_time() - cpu}
    return figures | {"resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    """Fill, start, print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--terminals", type=int, default=1436)
    words.add_argument("--hours", type=float, default=36.0)
    words.add_argument("--every", type=float, default=5.0, help="seconds between two fixes of a terminal")
    given = words.parse_args()
    with prepared(FOLDER, given.terminals) as ground:
        result: dict[str, Any] = {"terminals": given.terminals, "hours": given.hours}
        result["fixes"] = fill(ground, given.hours, given.every)
        result["load_average_before"] = round(os.getloadavg()[0], 2)
        result |= {name: round(value, 1) for name, value in asyncio.run(start(ground)).items()}
    table = Table("figure", "value", title="Reading the store at a worker's start")
    for name, value in result.items():
        table.add_row(name, f"{value}")
    Console(stderr=True).print(table)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
