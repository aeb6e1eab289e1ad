"""A table with a history: how fast it answers, and how fast it still takes rows in.

    python -m benchmarks.history [--rows 100000000] [--fill-seconds 180] [--terminals 2000] [--only queries]

Yesterday is filled with the fixes of 2,000 terminals, one each 5 s (34.6 million), as ingest leaves them: in batches
of 4,000 sorted by device, in chunks of a day with their indexes. The 29 days before hold the rest of ``--rows``: as
many of the same terminals as fit. Filling is done inside the database, and stops when its time is over: the figures
say how many rows there were. It needs about 160 bytes of disk for a row and drops all of it afterwards.

*Queries* go through the product's own functions in ``store``. Cold is after a restart of PostgreSQL with its files
put out of the system's cache, each time another terminal; warm is the same question again. *Inserting* takes turns: a
batch of 10,000 rows into the full table, at the end of the day that is full, then one into a table of a fresh database
on the same server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import psycopg
from psycopg import AsyncConnection
from rich.console import Console
from rich.progress import Progress

from benchmarks.ground import generated
from benchmarks.processes import cpu
from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, Rows, rows
from devices.site import micros
from server.services import Services
from store.database import migrate, open_pool
from store.heat import count_hours, heat
from store.readings import last_positions, track, write_batch
from store.site_saving import save_site

TERMINALS: Final = 2_000
EVERY: Final = 5  # seconds between fixes
DAYS: Final = 30
DAY: Final = timedelta(days=1)
TODAY: Final = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
TURNS, WARM_UP, BATCH = 60, 3, 10_000
say = Console(stderr=True)

# Row i of a stretch: batches of two rounds of all terminals, sorted by terminal. They walk about in a county.
FILL: Final = """
INSERT INTO fixes SELECT device, at, at + interval '0.3 s',
    118.5::float8 + x * 0.006::float8 + 0.011::float8 * sin(s * 0.0012::float8 + device) + noise * 5e-8::float8,
    31.2::float8 + y * 0.01::float8 + 0.011::float8 * cos(s * 0.0011::float8 + device) - noise * 5e-8::float8,
    1.3, 90, 5, 80, 0
FROM (SELECT (%(ids)s::int[])[1 + i / 2 %% %(n)s] AS device, i / 2 %% %(n)s %% 100 AS x, i / 2 %% %(n)s / 100 AS y,
             (i / (2 * %(n)s) * 2 * %(every)s + i %% 2 * %(every)s)::float8 AS s, i %% 65536 * 7919 %% 1000 AS noise
      FROM generate_series(0, %(count)s - 1) AS i) AS made,
    LATERAL (SELECT %(begin)s::timestamptz + s * interval '1 s' AS at) AS moment
"""
NEWEST: Final = """
INSERT INTO last_positions SELECT DISTINCT ON (device) * FROM fixes
WHERE at >= %(until)s - interval '1 minute' AND at < %(until)s ORDER BY device, at DESC
"""
# What ingest leaves when it stores a fix of an hour that is over: without a mark the heat map takes the hour for empty.
MARKS: Final = """
INSERT INTO heat_late (hour)
SELECT generate_series(%(day)s::timestamptz, %(day)s + interval '23 hours', interval '1 hour')
"""


@dataclass(frozen=True)
class History:
    """A filled database on services of its own."""

    services: Services
    name: str
    ids: list[int]
    day: int  # rows of yesterday
    rows: int
    fill_s: float

    @property
    def url(self) -> str:
        """Where it is; the port may change with a restart."""
        return f"{self.services.up().database_url.rpartition('/')[0]}/{self.name}"

    def forget(self) -> None:
        """Restart the server and put its files out of the system's cache."""
        data = self.services.postgres().data
        self.services.down()  # which writes everything out
        for path in data.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.services.up()


@contextmanager
def filled(data_dir: Path, terminals: int, wanted: int, seconds: float) -> Iterator[History]:
    """A history of so many rows, or of as many as can be made in so many seconds; taken away afterwards."""
    services = Services(data_dir, mqtt_url="mqtt://unused")
    port = int(services.up().database_url.rpartition(":")[2].partition("/")[0])
    name, database = f"history_{time.time_ns()}", services.postgres()
    url, begun = database.create_database(port, name), time.time()
    try:
        ids = asyncio.run(_prepare(url, terminals))
        with psycopg.connect(url, autocommit=True) as conn, Progress(console=say) as progress:
            conn.execute("SET synchronous_commit = off")
            conn.execute("SET work_mem = '256MB'")
            conn.execute("SET maintenance_work_mem = '1GB'")
            indexes = conn.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'fixes'").fetchall()
            for index, _ in indexes:  # they are built faster afterwards
                conn.execute(f"DROP INDEX {index}".encode())
            day, total = _fill(conn, progress, ids, wanted, begun + seconds * 0.7)
            step = progress.add_task("indexes and statistics", total=len(indexes) + 2)
            for work in (*(built for _, built in indexes), "VACUUM ANALYZE fixes", "CHECKPOINT"):
                conn.execute(work.encode())
                progress.advance(step)
            conn.execute(NEWEST, {"until": TODAY})
            conn.execute(MARKS, {"day": TODAY - DAY})
        yield History(services, name, ids, day, total, time.time() - begun)
    finally:
        database.drop_database(int(services.up().database_url.rpartition(":")[2].partition("/")[0]), name)
        services.down()


async def _prepare(url: str, terminals: int) -> list[int]:
    await migrate(url)
    async with open_pool(url) as pool, pool.connection() as conn:
        await save_site(conn, generated(terminals))
        found = await (await conn.execute("SELECT id FROM devices WHERE kind = 'terminal' ORDER BY id")).fetchall()
    return [number for (number,) in found]


def _fill(conn: psycopg.Connection, progress: Progress, ids: list[int], wanted: int, until: float) -> tuple[int, int]:
    """Yesterday by hours, then the days before; how many rows of yesterday, and in all."""
    per_day = 86_400 // EVERY
    some = ids[: max(0, (wanted - len(ids) * per_day) // ((DAYS - 1) * per_day))]
    stretches = [(TODAY - DAY + timedelta(hours=h), ids, len(ids) * per_day // 24) for h in range(24)]
    stretches += [(TODAY - DAY * d, some, len(some) * per_day) for d in range(2, DAYS + 1) if some]
    step, day, total = progress.add_task("rows", total=sum(count for *_, count in stretches)), 0, 0
    for number, (begin, who, count) in enumerate(stretches):
        if time.time() > until:
            break
        # Planned anew each time: a prepared plan would convert the array once for every row.
        given = {"ids": who, "n": len(who), "every": EVERY, "count": count, "begin": begin}
        conn.execute(FILL.encode(), given, prepare=False)
        day, total = day + (count if number < 24 else 0), total + count
        progress.advance(step, count)
    return day, total


async def timed(ask: Callable[[], Awaitable[object]], times: int) -> list[float]:
    """Milliseconds of each answer."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - begun) * 1e3)
    return took


async def spent(conn: AsyncConnection, ask: Callable[[], Awaitable[object]], times: int) -> float:
    """CPU milliseconds of an answer, of the client and its backend together: they do not depend on who else works."""
    pid = conn.info.backend_pid
    before = cpu(pid) + time.process_time()
    for _ in range(times):
        await ask()
    return (cpu(pid) + time.process_time() - before) / times * 1e3


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection]:
    async with open_pool(url, max_size=1) as pool, pool.connection() as conn:
        await conn.execute("SELECT count(*) FROM devices")  # the server's own catalogue is read
        yield conn


async def _rolled_up(conn: AsyncConnection) -> list[float]:
    """Roll up for the heat map whatever is over; the seconds for each hour of yesterday."""
    took = []
    while True:
        begun = time.perf_counter()
        counted = await count_hours(conn, days=2, most=1)
        if not counted:
            return took
        if TODAY - DAY <= counted[0] < TODAY:
            took.append(time.perf_counter() - begun)


async def _queries(history: History) -> dict[str, Any]:
    since, until = micros(TODAY - DAY), micros(TODAY)
    chosen, cold = history.ids[3 :: max(1, len(history.ids) // 8)], []
    history.forget()
    async with _connected(history.url) as conn:
        await track(conn, history.ids[-1], since - 1, since)  # plans and code are there, no page of the day is
        for device in chosen:
            cold += await timed(lambda d=device: track(conn, d, since, until), 1)
        fixes = await track(conn, chosen[0], since, until)
        warm = await timed(lambda: track(conn, chosen[0], since, until), 20)
        warm_cpu = await spent(conn, lambda: track(conn, chosen[0], since, until), 20)
        latest = await timed(lambda: last_positions(conn), 50)
        found = await last_positions(conn)
        month_since = micros(TODAY - DAYS * DAY)
        month = await timed(lambda: track(conn, history.ids[0], month_since, until, 1_000_000), 5)
        month_cpu = await spent(conn, lambda: track(conn, history.ids[0], month_since, until, 1_000_000), 3)
        points = len(await track(conn, history.ids[0], month_since, until, 1_000_000))
        rolled = await _rolled_up(conn)
        map_cpu = await spent(conn, lambda: heat(conn, TODAY - DAY, TODAY), 10)
        maps = await timed(lambda: heat(conn, TODAY - DAY, TODAY), 20)
        cells = len((await heat(conn, TODAY - DAY, TODAY)).lon)
    return {
        "query_terminals": len(history.ids),
        "query_rows": history.rows,
        "query_rows_of_the_day": history.day,
        "day_track_points": len(fixes),
        "day_track_cold_ms": median(cold),
        "day_track_warm_ms": median(warm),
        "day_track_warm_cpu_ms": warm_cpu,
        "latest_devices": len(found),
        "latest_ms": median(latest),
        "month_track_points": points,
        "month_track_first_ms": month[0],
        "month_track_ms": median(month),
        "month_track_cpu_ms": month_cpu,
        "heat_hour_rolled_up_s": median(rolled),
        "heat_day_cells": cells,
        "heat_day_ms": median(maps),
        "heat_day_cpu_ms": map_cpu,
    }


def batch(ids: Sequence[int], number: int) -> Rows:
    """The next batch of fixes from yesterday's last seconds, of 2,000 terminals five each: newer than what is there,
    and among all rows of that day, as in the evening of a day."""
    each = max(1, BATCH // len(ids))
    apart = EVERY * SECOND // ((TURNS + WARM_UP) * each + 1)
    made = np.zeros(each * len(ids), FIX)
    made["device"] = np.repeat(np.array(ids), each)
    made["at"] = micros(TODAY) - EVERY * SECOND + (number * each + np.tile(np.arange(each), len(ids)) + 1) * apart
    made["received"], made["lon"], made["lat"] = made["at"], 118.8 + made["device"] * 1e-4, 31.4
    return made


async def _inserts(history: History, empty: str) -> dict[str, Any]:
    spent: dict[str, list[tuple[float, float]]] = {"full": [], "empty": []}
    async with _connected(history.url) as full, _connected(empty) as fresh:
        sides = {"full": full, "empty": fresh}
        for number in range(TURNS + WARM_UP):
            fixes = batch(history.ids, number)
            for name, conn in sides.items():
                pid = conn.info.backend_pid
                begun, used = time.perf_counter(), cpu(pid)
                await write_batch(conn, fixes, rows(SIGHTING), rows(SAMPLE))
                await conn.commit()
                if number >= WARM_UP:
                    spent[name].append((time.perf_counter() - begun, cpu(pid) - used))
    wall = {name: BATCH / median(seconds for seconds, _ in costs) for name, costs in spent.items()}
    used = {name: sum(seconds for _, seconds in costs) / len(costs) / BATCH * 1e6 for name, costs in spent.items()}
    return {
        "large_table_rows": history.rows,
        "large_table_insert_per_s": wall["full"],
        "empty_table_insert_per_s": wall["empty"],
        "large_to_empty_insert": wall["full"] / wall["empty"],
        "large_table_database_cpu_s_per_m": used["full"],
        "empty_table_database_cpu_s_per_m": used["empty"],
    }


def history_figures(
    parts: Sequence[str] = ("queries", "large_table"),
    wanted: int = 100_000_000,
    seconds: float = 180.0,
    terminals: int = TERMINALS,
    data_dir: Path = Path(".patrolgrid/bench"),
) -> dict[str, Any]:
    """The figures of ``parts``, of queries and large_table, on one filled database."""
    wanted = wanted if "large_table" in parts else terminals * 86_400 // EVERY
    with filled(data_dir, terminals, wanted, seconds * (2 if len(parts) > 1 else 1)) as history:
        figures: dict[str, Any] = {"history_fill_s": history.fill_s}
        if "queries" in parts:
            figures |= asyncio.run(_queries(history))
        if "large_table" in parts:
            name, database = f"empty_{time.time_ns()}", history.services.postgres()
            port = int(history.url.rpartition(":")[2].partition("/")[0])
            empty = database.create_database(port, name)
            asyncio.run(migrate(empty))
            figures |= asyncio.run(_inserts(history, empty))
            database.drop_database(port, name)
    return figures


def main() -> None:
    """Measure, and print one JSON line."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--rows", type=int, default=100_000_000)
    words.add_argument("--fill-seconds", type=float, default=180.0, help="most seconds of filling, of each part")
    words.add_argument("--only", nargs="+", choices=["queries", "large_table"], default=["queries", "large_table"])
    words.add_argument("--terminals", type=int, default=TERMINALS)
    given = words.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was made is taken away
    figures = history_figures(given.only, given.rows, given.fill_seconds, given.terminals)
    print(json.dumps({name: round(v, 3) if isinstance(v, float) else v for name, v in figures.items()}))


if __name__ == "__main__":
    main()
