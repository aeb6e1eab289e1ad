"""Last positions: when they are moved, and that none is left behind for good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, Flag, rows
from devices.site import moment
from store import positions as module
from store.positions import Positions, catch_up
from store.readings import last_positions, mark_suspects, write_batch

T0 = 1_732_230_000 * SECOND
SUSPECT = int(Flag.SUSPECT)
ALL = timedelta(days=36_500)


def fix(device: int = 1, seconds: int = 0, *, lon: float = 118.88, flags: int = 0) -> Any:
    place = (np.nan, np.nan) if flags & Flag.NO_POSITION else (lon, 31.47)
    return (device, T0 + seconds * SECOND, T0 + seconds * SECOND, *place, 1.5, 90.0, 5.0, 80.0, flags)


@pytest.fixture
async def conn(pool: AsyncConnectionPool) -> AsyncIterator[AsyncConnection]:
    """A connection on empty tables; everything is rolled back."""
    async with pool.connection() as connection, connection.transaction(force_rollback=True):
        yield connection


class Bench:
    """A writer whose messages wait, or not, as a test says."""

    def __init__(self, conn: AsyncConnection) -> None:
        self.conn, self.waiting = conn, True
        self.positions = Positions(more=lambda: self.waiting)

    async def write(self, *fixes: Any, more: bool = True) -> None:
        self.waiting = more
        none = rows(SIGHTING), rows(SAMPLE)
        await write_batch(self.conn, rows(FIX, list(fixes)), *none, positions=self.positions)

    async def last(self) -> dict[int, tuple[int, float, int]]:
        """By device: seconds, longitude, flags."""
        found = await last_positions(self.conn)
        return {int(r["device"]): ((int(r["at"]) - T0) // SECOND, float(r["lon"]), int(r["flags"])) for r in found}


@pytest.fixture
async def bench(conn: AsyncConnection) -> Bench:
    """One that has just moved its positions."""
    bench = Bench(conn)
    await bench.write(fix(1), more=False)
    assert await bench.last() == {1: (0, 118.88, 0)}
    return bench


async def test_they_wait_while_more_is_there_and_are_moved_with_the_last(bench: Bench) -> None:
    await bench.write(fix(1, 5, lon=118.5), fix(2, 4))
    await bench.write(fix(1, 3), fix(2, 6, lon=118.6))
    assert await bench.last() == {1: (0, 118.88, 0)}
    await bench.write(fix(3, 1), more=False)
    assert await bench.last() == {1: (5, 118.5, 0), 2: (6, 118.6, 0), 3: (1, 118.88, 0)}
    assert not len(bench.positions.owed)


async def test_a_batch_without_fixes_moves_what_is_owed(bench: Bench) -> None:
    await bench.write(fix(1, 5))
    await bench.write(more=False)
    assert await bench.last() == {1: (5, 118.88, 0)}


async def test_they_wait_no_longer_than_a_second(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.write(fix(1, 5))
    monkeypatch.setattr(module, "EVERY", 0.0)
    await bench.write(fix(2, 1))
    assert await bench.last() == {1: (5, 118.88, 0), 2: (1, 118.88, 0)}


@pytest.mark.parametrize("alarm", [Flag.SOS, Flag.MAN_DOWN])
async def test_a_call_for_help_does_not_wait(bench: Bench, alarm: Flag) -> None:
    await bench.write(fix(1, 5), fix(2, 1, flags=int(alarm)))
    assert await bench.last() == {1: (5, 118.88, 0), 2: (1, 118.88, alarm)}


async def test_a_batch_that_is_not_stored_owes_nothing_and_what_was_owed_stays(bench: Bench) -> None:
    await bench.write(fix(1, 5))
    for more in (True, False):
        bench.waiting = more
        refused = rows(SAMPLE, [(1, T0, T0, "a\0b", 1.0)])
        with pytest.raises(psycopg.DataError, match="NUL"):
            await write_batch(bench.conn, rows(FIX, [fix(1, 7)]), rows(SIGHTING), refused, positions=bench.positions)
        assert bench.positions.owed["at"].tolist() == [T0 + 5 * SECOND]
    await bench.write(more=False)
    assert await bench.last() == {1: (5, 118.88, 0)}


async def test_a_batch_that_was_committed_unheard_moves_what_it_owed(bench: Bench) -> None:
    await bench.write(fix(1, 5), fix(2, 5))
    bench.positions.owed = rows(FIX)  # as if the connection had broken at the commit, or another process had done it
    await bench.write(fix(1, 5), fix(2, 5), fix(3, 5), more=False)
    assert await bench.last() == dict.fromkeys((1, 2, 3), (5, 118.88, 0))


async def test_what_comes_again_moves_what_is_stored_and_not_what_it_says(bench: Bench) -> None:
    await bench.write(fix(1, 5, lon=118.5, flags=int(Flag.SOS)), more=False)
    await bench.write(fix(1, 5, lon=119.5), fix(2, 1), more=False)
    assert await bench.last() == {1: (5, 118.5, Flag.SOS), 2: (1, 118.88, 0)}


async def test_doubt_about_a_position_that_is_owed_is_kept(bench: Bench) -> None:
    await bench.write(fix(1, 5), fix(2, 5), fix(3, 5), fix(3, 6))
    await mark_suspects(bench.conn, [(1, T0), (1, T0 + 5 * SECOND), (2, T0 + 5 * SECOND), (3, T0 + 5 * SECOND)])
    assert await bench.last() == dict.fromkeys((1, 2, 3), (5, 118.88, SUSPECT))
    await bench.write(more=False)
    assert await bench.last() == {1: (5, 118.88, SUSPECT), 2: (5, 118.88, SUSPECT), 3: (6, 118.88, 0)}


async def test_doubt_about_what_is_not_the_last_position_changes_none(bench: Bench) -> None:
    await bench.write(fix(1, 5), fix(2, flags=int(Flag.SOS | Flag.NO_POSITION)), more=False)
    await mark_suspects(bench.conn, [(1, T0), (2, T0)])
    assert await bench.last() == {1: (5, 118.88, 0)}


async def devices(conn: AsyncConnection, count: int) -> list[int]:
    """New ones, by id."""
    made = [await (await conn.execute(ADD, (f"catch-{n}",))).fetchone() for n in range(count)]
    return [row[0] for row in made if row]


async def test_what_a_killed_process_owed_is_caught_up(bench: Bench) -> None:
    behind, new, told, placeless = await devices(bench.conn, 4)
    await bench.write(fix(behind, 1), fix(told, 9), more=False)
    await bench.write(fix(behind, 5), fix(behind, 4), fix(new, 2), fix(told, 3), fix(placeless, 1, flags=16))
    assert (await bench.last())[behind][0] == 1
    assert await catch_up(bench.conn, ALL) == 2
    last = await bench.last()
    assert (last[behind][0], last[new][0], last[told][0]) == (5, 2, 9)
    assert placeless not in last
    assert await catch_up(bench.conn, ALL) == 0


async def test_fixes_of_long_ago_are_not_looked_for(bench: Bench) -> None:
    (behind,) = await devices(bench.conn, 1)
    await bench.write(fix(behind, 1))
    assert await catch_up(bench.conn) == 0


async def test_catching_up_and_a_writer_do_not_block_each_other_for_good(pool: AsyncConnectionPool) -> None:
    """Both lock the rows of last positions in the order of the devices, in whatever order these lie in the table."""
    async with pool.connection() as own:
        ids = await devices(own, 400)
        shuffled = np.random.default_rng(1).permutation(ids).tolist()
        for device in shuffled:
            await own.execute(
                "INSERT INTO last_positions SELECT %s, now() - interval '1 day', now(), 0,0,0,0,0,0,0", (device,)
            )
        now = time.time_ns() // 1000
        made = [(d, now, now, 118.88, 31.47, 1.5, 90.0, 5.0, 80.0, 0) for d in ids]
        positions = Positions(more=lambda: True)
        positions.committed(rows(FIX))
        await write_batch(own, rows(FIX, made), rows(SIGHTING), rows(SAMPLE), positions=positions)

    async def write() -> None:
        async with pool.connection() as conn:
            later = [(d, at + 1, *rest) for d, at, *rest in made]
            await write_batch(conn, rows(FIX, later), rows(SIGHTING), rows(SAMPLE), positions=positions)

    async def catch() -> None:
        async with pool.connection() as conn:
            await catch_up(conn)

    positions = Positions()
    await asyncio.gather(write(), catch(), catch())
    async with pool.connection() as own:
        assert {int(r["at"]) for r in await last_positions(own) if int(r["device"]) in ids} == {now + 1}
        for table in ("fixes", "last_positions"):
            await own.execute(f"DELETE FROM {table} WHERE device = ANY(%s)", (ids,))
        await own.execute("DELETE FROM devices WHERE id = ANY(%s)", (ids,))


ADD = """
WITH area AS (INSERT INTO areas VALUES ('990000000000', '区', 'Area', 'district') ON CONFLICT DO NOTHING)
INSERT INTO devices (code, kind, name, name_en, area, share)
VALUES (%s, 'terminal', '终端', 'Terminal', '990000000000', '990000000000') RETURNING id"""

a_batch = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9), st.sampled_from([0, 0, 1, 16, 17])), max_size=8)
batches = st.lists(st.tuples(a_batch, st.booleans()), max_size=5)


async def test_once_nothing_more_waits_they_are_the_newest_of_all(pool: AsyncConnectionPool) -> None:
    async def newest(made: list[tuple[list[tuple[int, int, int]], bool]]) -> None:
        async with pool.connection() as own, own.transaction(force_rollback=True):
            bench = Bench(own)
            for some, more in made:
                await bench.write(*(fix(device, at, flags=flags) for device, at, flags in some), more=more)
            await bench.write(more=False)
            cursor = await own.execute(
                "SELECT DISTINCT ON (device) device, extract(epoch FROM at)::int8, lon, flags FROM fixes"
                " WHERE flags & 16 = 0 ORDER BY device, at DESC"
            )
            stored = {d: (at - T0 // SECOND, lon, flags) for d, at, lon, flags in await cursor.fetchall()}
            assert await bench.last() == stored

    loop = asyncio.get_running_loop()

    @settings(max_examples=60)
    @given(batches)
    def check(made: list[tuple[list[tuple[int, int, int]], bool]]) -> None:
        asyncio.run_coroutine_threadsafe(newest(made), loop).result()

    await asyncio.to_thread(check)


async def test_what_is_stored_is_looked_up_once_each_however_few_the_server_takes_it_for(conn: AsyncConnection) -> None:
    """Its figures are minutes old and know nothing of the newest fixes: it took 20,000 for one and went through 4,000
    names for each, 8 s in which nothing was stored."""
    nothing = rows(SIGHTING), rows(SAMPLE)
    await write_batch(conn, rows(FIX, [fix(device, at) for device in range(1, 101) for at in range(20)]), *nothing)
    await conn.execute("ANALYZE fixes")
    newer = rows(FIX, [fix(device, at) for device in range(1, 101) for at in range(1000, 1030)])
    await write_batch(conn, newer, *nothing)
    named = {
        "device": list(range(1, 101)),
        "at": [moment(T0 + 1029 * SECOND)] * 100,
        "first": moment(T0 + 1000 * SECOND),
        "last": moment(T0 + 1029 * SECOND),
    }
    plan = await (await conn.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + module._ADD_STORED, named)).fetchone()
    assert plan is not None
    loops = [node["Actual Loops"] for node in _nodes(plan[0][0]["Plan"]) if node["Node Type"] == "Function Scan"]
    assert loops == [1]


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes(child))]
