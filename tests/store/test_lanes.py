"""Many fixes over two connections at once: all or nothing of them, whatever one of the two meets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from detectors.base import Batch
from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, Rows, rows
from store import lanes
from store.lanes import Lanes
from store.readings import one_per_key, stretch, write_batch

T0 = 1_732_230_000 * SECOND
DAY = 86_400 * SECOND
NOBODY, NOTHING = rows(SIGHTING), rows(SAMPLE)


def fixes(devices: range, times: int, since: int = T0) -> Rows:
    made = [
        (device, since + k * SECOND, since + 60 * SECOND, 118.88, 31.47, 1.5, 90.0, 5.0, 80.0, 0)
        for device in devices
        for k in range(times)
    ]
    return rows(FIX, list(made))


@pytest.fixture
async def empty(pool: AsyncConnectionPool) -> None:
    async with pool.connection() as conn:
        await conn.execute("TRUNCATE fixes, sightings, samples, last_positions, rejects")


@pytest.fixture
async def two(pool: AsyncConnectionPool, empty: None) -> AsyncIterator[list[AsyncConnection]]:
    async with pool.connection() as one, pool.connection() as other:
        yield [one, other]


async def write(two: list[AsyncConnection], first: Rows, second: Rows, sightings: Rows = NOBODY) -> Batch:
    every = np.concatenate([first, second])
    return await write_batch(two[0], every, sightings, NOTHING, parts=[first, second], beside=two[1:])


async def stored(pool: AsyncConnectionPool, since: int = T0) -> list[tuple[int, int]]:
    async with pool.connection() as conn:
        found = (await stretch(conn, since, since + 3600 * SECOND)).fixes
    return sorted(zip(found["device"].tolist(), found["at"].tolist(), strict=True))


def keys(*parts: Rows) -> list[tuple[int, int]]:
    return sorted((row["device"].item(), row["at"].item()) for part in parts for row in part)


async def test_both_lanes_are_stored(two: list[AsyncConnection], pool: AsyncConnectionPool) -> None:
    first, second = fixes(range(1, 4), 5), fixes(range(4, 6), 5)
    assert keys((await write(two, first, second)).fixes) == keys(first, second)
    assert await stored(pool) == keys(first, second)
    async with pool.connection() as conn:
        assert await (await conn.execute("SELECT count(*) FROM last_positions")).fetchone() == (5,)


async def test_late_fixes_leave_a_mark_with_each_lane(two: list[AsyncConnection], pool: AsyncConnectionPool) -> None:
    """Who counts an hour between the two commits strikes out only what he could have seen."""
    async with pool.connection() as conn:
        await write_batch(conn, fixes(range(9, 10), 1), NOBODY, NOTHING)  # the chunk is there
        await conn.execute("DELETE FROM fixes")
        await conn.execute("TRUNCATE heat_late")
    await write(two, fixes(range(1, 4), 5), fixes(range(4, 6), 5))
    async with pool.connection() as conn:
        lanes_of = [
            {xmin for (xmin,) in await (await conn.execute(f"SELECT xmin::text FROM {table}".encode())).fetchall()}
            for table in ("fixes", "heat_late")
        ]
    assert lanes_of[0] == lanes_of[1]
    assert len(lanes_of[0]) == 2


async def test_one_connection_takes_both(two: list[AsyncConnection], pool: AsyncConnectionPool) -> None:
    first, second = fixes(range(1, 4), 5), fixes(range(4, 6), 5)
    assert keys((await write(two[:1], first, second)).fixes) == keys(first, second)
    await two[0].commit()
    assert await stored(pool) == keys(first, second)


@pytest.mark.parametrize("again", [0, 1])
async def test_what_is_stored_already_is_not_new(
    two: list[AsyncConnection], pool: AsyncConnectionPool, again: int
) -> None:
    parts = [fixes(range(1, 4), 5), fixes(range(4, 6), 5)]
    known = parts[again][2:4]
    await write_batch(two[0], known, NOBODY, NOTHING)
    await two[0].commit()
    assert keys((await write(two, *parts)).fixes) == sorted(set(keys(*parts)) - set(keys(known)))
    assert await stored(pool) == keys(*parts)


async def test_what_is_refused_leaves_nothing_of_either(two: list[AsyncConnection], pool: AsyncConnectionPool) -> None:
    seen = rows(SIGHTING, [(9, T0, T0, "a\0b", 1, 0.5, "", 118.9, 31.5, "")])
    with pytest.raises((psycopg.DataError, UnicodeError)):
        await write(two, fixes(range(1, 4), 5), fixes(range(4, 6), 5), seen)
    assert await stored(pool) == []


@pytest.mark.parametrize("broken", [0, 1])
async def test_a_lane_whose_connection_breaks_takes_the_other_with_it(
    two: list[AsyncConnection], pool: AsyncConnectionPool, broken: int
) -> None:
    async with pool.connection() as conn:
        await conn.execute("SELECT pg_terminate_backend(%s)", (two[broken].info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        await write(two, fixes(range(1, 4), 5), fixes(range(4, 6), 5))
    assert await stored(pool) == []


async def test_lanes_that_wait_for_each_other_do_not_do_so_for_ever(
    two: list[AsyncConnection], pool: AsyncConnectionPool
) -> None:
    """Both want to make the chunk of a new day: one is locked out until the other has ended, and that waits."""
    await two[0].execute("SELECT drop_chunks('fixes', older_than => now() + interval '1 year')")
    await two[0].commit()
    first, second = fixes(range(1, 4), 5), fixes(range(4, 6), 5)
    async with asyncio.timeout(15):
        assert keys((await write(two, first, second)).fixes) == keys(first, second)
    assert await stored(pool) == keys(first, second)


def test_only_into_days_that_were_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MANY", 10)
    known, batch = Lanes(), fixes(range(1, 6), 4)
    assert len(known.parts(batch)) == 1
    known.written(batch)
    assert len(known.parts(batch)) == 2
    both = one_per_key(np.concatenate([batch, fixes(range(1, 6), 1, T0 + DAY)]))
    assert len(known.parts(both)) == 1
    assert len(known.parts(batch[:9])) == 1  # few


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 9)), min_size=1, max_size=40, unique=True))
def test_each_device_has_one_lane(chosen: list[tuple[int, int]]) -> None:
    batch = fixes(range(1), 1)[:0]
    for device, k in sorted(chosen):
        batch = np.concatenate([batch, fixes(range(device, device + 1), 1, T0 + k * SECOND)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "MANY", 2)
        known = Lanes()
        known.written(batch)
        parts = known.parts(batch)
    assert np.array_equal(np.concatenate(parts), batch)
    assert all(len(part) for part in parts)
    devices = [set(part["device"].tolist()) for part in parts]
    assert len(devices) == (2 if len(batch) > 1 and len(set(batch["device"].tolist())) > 1 else 1)
    assert not set.intersection(*devices) or len(devices) == 1
