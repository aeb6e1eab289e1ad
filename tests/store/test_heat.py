"""The heat map: hours that are over are rolled up once, late fixes correct them, and its cells are 100 m."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from detectors.geo import distance
from devices.readings import FIX, SAMPLE, SIGHTING, Flag, rows
from devices.registry import Device
from devices.site import Area, micros
from devices.site_contents import SiteFolder
from store.heat import CELL, HIGH, Box, _Sum, count_hours, heat, hours_counted
from store.readings import apply_retention, write_batch
from store.site_saving import save_site

Pool = AsyncConnectionPool[AsyncConnection]
NORTH, SOUTH = "990101101000", "990101102000"
HOUR = timedelta(hours=1)
THIS = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
LON, LAT = 118.88, 31.47


@pytest.fixture
async def ids(pool: Pool) -> AsyncIterator[dict[str, int]]:
    """A site with two terminals and a camera, and nothing heard of them; their ids by code."""
    areas = (
        Area("990101000000", "区", "District", "district"),
        *(Area(code, "街道", "Street", "street", "990101000000") for code in (NORTH, SOUTH)),
    )
    devices = tuple(
        Device(code, kind, code, code, area, area, role=role, lon=LON, lat=LAT)  # type: ignore[arg-type]
        for code, kind, role, area in (
            ("T1", "terminal", "patrol", NORTH),
            ("T2", "terminal", "police", SOUTH),
            ("C1", "camera", "", NORTH),
        )
    )
    async with pool.connection() as conn:
        await save_site(conn, SiteFolder(name="县", name_en="County", areas=areas, devices=devices))
        for table in ("fixes", "last_positions", "heat", "heat_hours", "heat_late"):
            await conn.execute(f"TRUNCATE {table}".encode())
        found = await (await conn.execute("SELECT code, id FROM devices")).fetchall()
    yield dict(found)


async def send(pool: Pool, device: int, hours_ago: int, minutes: list[float], lon: float = LON, **more: Any) -> None:
    at = [micros(THIS - hours_ago * HOUR + timedelta(minutes=minute)) for minute in minutes]
    fix = {"lat": LAT, "flags": 0} | more
    made = [(device, t, t, lon, fix["lat"], 1.0, 0.0, 5.0, 80.0, fix["flags"]) for t in at]
    async with pool.connection() as conn:
        await write_batch(conn, rows(FIX, made), rows(SIGHTING), rows(SAMPLE))


async def cells(pool: Pool, hours: int, areas: list[str] | None = None, **more: Any) -> list[tuple[int, int]]:
    """(devices, fixes) of each cell of the last so many whole hours."""
    async with pool.connection() as conn:
        found = await heat(conn, THIS - hours * HOUR, THIS, areas=areas, **more)
    return list(zip(found.devices.tolist(), found.fixes.tolist(), strict=True))


async def count(pool: Pool, most: int = 100) -> int:
    async with pool.connection() as conn:
        return len(await count_hours(conn, days=2, most=most, gather=0.0))


async def test_hours_that_are_over_are_counted_once(pool: Pool, ids: dict[str, int]) -> None:
    await send(pool, ids["T1"], 3, [1, 2, 3])
    await send(pool, ids["T2"], 3, [4])
    await send(pool, ids["T1"], 2, [0.0, 59.999])
    await send(pool, ids["T1"], 3, [20], lon=LON + 0.01)
    await send(pool, ids["C1"], 3, [5])
    await send(pool, ids["T1"], 3, [6], flags=int(Flag.SUSPECT))
    assert await cells(pool, 4) == []
    assert await count(pool) >= 2
    assert await cells(pool, 4) == [(3, 6), (1, 1)], "terminal hours: two terminals in one hour, one in the next"
    assert await cells(pool, 2) == [(1, 2)]
    assert await cells(pool, 4, [SOUTH]) == [(1, 1)]
    assert await cells(pool, 4, []) == []
    assert await count(pool) == 0


async def test_only_so_many_hours_at_once_and_the_newest_first(pool: Pool, ids: dict[str, int]) -> None:
    await send(pool, ids["T1"], 5, [1])
    await send(pool, ids["T1"], 2, [1])
    async with pool.connection() as conn:
        counted = await count_hours(conn, days=2, most=2)
        # Just after a full hour the last one is still open.
        assert counted == sorted(counted, reverse=True)
        assert len(counted) == 2
        assert counted[0] >= THIS - 2 * HOUR
        assert await hours_counted(conn, counted[1], counted[0] + HOUR) >= 2
        assert await hours_counted(conn, THIS - 5 * HOUR, THIS - 4 * HOUR) == (THIS - 5 * HOUR in counted)


async def test_a_new_site_does_not_look_for_what_came_before_it(pool: Pool, ids: dict[str, int]) -> None:
    assert await count(pool) == 0, "a worker starts, and nothing has been heard"
    await send(pool, ids["T1"], 30, [1])
    async with pool.connection() as conn:
        # THIS is of when the tests began: an hour may have ended since
        assert set(await count_hours(conn, days=2, most=100)) <= {THIS - n * HOUR for n in (30, 2, 1, 0)}
        assert await hours_counted(conn, THIS - 30 * HOUR, THIS - HOUR) == 29, "they are known all the same"
    assert await cells(pool, 31) == [(1, 1)]


async def test_after_an_update_from_before_the_marks_all_hours_are_looked_at(pool: Pool, ids: dict[str, int]) -> None:
    await send(pool, ids["T1"], 30, [1])
    async with pool.connection() as conn, conn.transaction(force_rollback=True):
        await conn.execute("DELETE FROM heat_late")
        await conn.execute(
            "UPDATE schema_migrations SET applied_at = now() + interval '1 hour' WHERE name = '0017_heat_packed.sql'"
        )
        assert THIS - 30 * HOUR in await count_hours(conn, days=2, most=100)


async def test_after_a_restore_all_hours_are_looked_at(pool: Pool, ids: dict[str, int]) -> None:
    await send(pool, ids["T1"], 30, [1])
    async with pool.connection() as conn:
        await conn.execute("DELETE FROM heat_late")
        await conn.execute("INSERT INTO heat_hours (hour, counted_at) VALUES (%s, now())", (THIS - 31 * HOUR,))
        assert THIS - 30 * HOUR in await count_hours(conn, days=2, most=100)
    assert await cells(pool, 31) == [(1, 1)]


async def test_late_fixes_correct_their_hour(pool: Pool, ids: dict[str, int]) -> None:
    ago = 3 if THIS.hour != 3 else 5  # the first fix of another day has all hours of that day looked at
    await send(pool, ids["T1"], ago, [1])
    await count(pool)
    await send(pool, ids["T2"], ago, [30, 31])
    await send(pool, ids["T2"], ago + 1, [30], lon=LON + 0.01)
    assert await cells(pool, ago + 2) == [(1, 1)]
    assert await count(pool) == 2
    assert sorted(await cells(pool, ago + 2)) == [(1, 1), (2, 3)]
    await send(pool, ids["T2"], ago, [30])  # sent again: nothing new
    assert await count(pool) == 0


async def test_late_fixes_gather_before_their_hour_is_counted_again(pool: Pool, ids: dict[str, int]) -> None:
    await send(pool, ids["T1"], 3, [1])
    await count(pool)
    await send(pool, ids["T2"], 3, [30])
    async with pool.connection() as conn:
        assert await count_hours(conn, days=2) == [], "each count reads the whole hour"
        await conn.execute("UPDATE heat_hours SET counted_at = counted_at - interval '601 s'")
        assert await count_hours(conn, days=2) == [THIS - 3 * HOUR]
    assert await cells(pool, 4) == [(2, 2)]


async def test_a_fix_that_commits_while_its_hour_is_counted_is_not_lost(pool: Pool, ids: dict[str, int]) -> None:
    await send(pool, ids["T1"], 3, [1])
    await count(pool)
    at = micros(THIS - 3 * HOUR + timedelta(minutes=9))
    async with pool.connection() as slow, slow.transaction():
        fix = (ids["T2"], at, at, LON, LAT, 1.0, 0.0, 5.0, 80.0, 0)
        await write_batch(slow, rows(FIX, [fix]), rows(SIGHTING), rows(SAMPLE))
        await send(pool, ids["T1"], 3, [2])
        assert await asyncio.wait_for(count(pool), 10) == 1, "it waits for nobody"
    assert await cells(pool, 4) == [(1, 2)]
    assert await count(pool) == 1
    assert await cells(pool, 4) == [(2, 3)]


async def test_one_process_counts_at_a_time(pool: Pool, ids: dict[str, int]) -> None:
    await send(pool, ids["T1"], 3, [1])
    counts = await asyncio.gather(count(pool), count(pool))
    assert sum(counts) + await count(pool) >= max(counts)
    assert await cells(pool, 4) == [(1, 1)]


@given(st.floats(-180, 180), st.floats(-84.9, 84.9))
def test_cells_are_a_hundred_metres(lon: float, lat: float) -> None:
    y = np.floor(lat / HIGH)
    middle = (y + 0.5) * HIGH
    wide = HIGH / np.cos(np.radians(middle))
    x = np.floor(lon / wide)
    assert abs(distance(lon, middle, (x + 0.5) * wide, middle)) <= CELL * 0.5001
    assert abs(distance(x * wide, middle, (x + 1) * wide, middle) - CELL) < 0.2
    assert abs(distance(lon, y * HIGH, lon, (y + 1) * HIGH) - CELL) < 0.2


async def test_a_cell_lies_where_its_fixes_were(pool: Pool, ids: dict[str, int]) -> None:
    places = [(118.88, 31.47), (-0.0001, -0.0001), (179.9999, 84.0), (-74.0, -54.3)]
    for minute, (lon, lat) in enumerate(places):
        await send(pool, ids["T1"], 3, [minute], lon=lon, lat=lat)
    await send(pool, ids["T1"], 3, [50], lat=89.9)
    await count(pool)
    async with pool.connection() as conn:
        found = await heat(conn, THIS - 4 * HOUR, THIS)
        assert len(found.lon) == len(places)
        for lon, lat in places:
            assert distance(found.lon, found.lat, lon, lat).min() < 71.0
            one = await heat(conn, THIS - 4 * HOUR, THIS, Box(lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01))
            assert one.fixes.tolist() == [1]


async def test_old_hours_go_with_their_fixes(pool: Pool, ids: dict[str, int]) -> None:
    async with pool.connection() as conn:
        await conn.execute("INSERT INTO heat VALUES (now() - interval '30 days', %s, '')", (NORTH,))
        await conn.execute("INSERT INTO heat VALUES (now() - interval '1 day', %s, '')", (NORTH,))
        await conn.commit()
        await apply_retention(conn, 10, 10, 10)
        left = await (await conn.execute("SELECT count(*) FROM heat")).fetchone()
    assert left == (1,)


@given(
    st.lists(
        st.tuples(
            st.integers(-3, 3) | st.integers(-94_000, 94_000), st.integers(-3, 3) | st.integers(-200_000, 200_000)
        ).flatmap(lambda place: st.tuples(st.just(place), st.integers(1, 5), st.integers(1, 9))),
        max_size=30,
    ),
    st.integers(1, 5),
)
def test_sums_near_and_far_are_those_of_a_dictionary(cells_: list[Any], parts: int) -> None:
    total, wanted = _Sum(span=8), dict[tuple[int, int], list[int]]()
    table = np.array([(y, x, devices, fixes) for (y, x), devices, fixes in cells_], ">i4").reshape(-1, 4)
    for part in range(parts):
        total.add(table[part::parts])
    for (y, x), devices, fixes in cells_:
        known = wanted.setdefault((y, x), [0, 0])
        known[0], known[1] = known[0] + devices, known[1] + fixes
    found = np.array(total.cells()).T.tolist()
    assert sorted(found) == sorted([y, x, *counts] for (y, x), counts in wanted.items())
