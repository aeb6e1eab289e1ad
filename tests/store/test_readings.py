"""Readings into the real TimescaleDB and out again."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, CommandAck, Flag, Rows, rows
from devices.site import micros, moment
from store import stretches
from store.copy_in import COLUMNS, from_arrays, pieces
from store.database import RESUMED, listen
from store.readings import (
    StretchTooLong,
    last_positions,
    mark_suspects,
    newest_received,
    one_per_key,
    stretch,
    track,
    write_batch,
)

T0 = 1_732_230_000 * SECOND
NONE: dict[str, Rows] = {"fixes": rows(FIX), "sightings": rows(SIGHTING), "samples": rows(SAMPLE)}


def fix(
    device: int = 1, at: int = T0, *, received: int | None = None, lon: float = 118.88, flags: int = 0, **more: Any
) -> Any:
    values = {"lat": 31.47, "speed": 1.5, "heading": 90.0, "accuracy": 5.0, "battery": 80.0, **more}
    lat = values.pop("lat")
    if flags & Flag.NO_POSITION:
        lon = lat = math.nan
    return (device, at, at + SECOND if received is None else received, lon, lat, *values.values(), flags)


def fixes(*tuples: Any) -> Rows:
    return rows(FIX, list(tuples))


@pytest.fixture
async def conn(pool: AsyncConnectionPool) -> AsyncIterator[AsyncConnection]:
    """A connection on empty tables; everything is rolled back."""
    async with pool.connection() as connection, connection.transaction(force_rollback=True):
        yield connection


async def write(conn: AsyncConnection, **kinds: Any) -> Any:
    extra = {k: kinds.pop(k) for k in ("rejects", "acks", "record_ack") if k in kinds}
    return await write_batch(conn, **{**NONE, **kinds}, **extra)


async def stored(conn: AsyncConnection) -> Rows:
    return (await stretch(conn, T0 - 3600 * SECOND, T0 + 3600 * SECOND)).fixes


def same(left: Rows, right: Rows) -> bool:
    columns = left.dtype.names or ()  # one by one: between them there are bytes of no meaning
    return left.dtype == right.dtype and all(left[c].tobytes() == right[c].tobytes() for c in columns)


async def test_fixes_come_back_as_they_went_in(conn: AsyncConnection) -> None:
    given_rows = fixes(fix(2, T0 + 5), fix(1, T0 + 7, speed=math.nan, flags=int(Flag.BACKFILL)), fix(1, T0 + 6))
    new = await write(conn, fixes=given_rows)
    found = await stored(conn)
    assert same(found, given_rows[[0, 2, 1]])  # in order of time
    assert same(np.sort(new.fixes, order=["at"]), found)


async def test_what_is_stored_is_not_stored_again(conn: AsyncConnection) -> None:
    await write(conn, fixes=fixes(fix(1), fix(2)))
    again = await write(conn, fixes=fixes(fix(1, lon=100.0, received=T0 + 9), fix(2), fix(3)))
    assert again.fixes["device"].tolist() == [3]
    assert (await stored(conn))["lon"].tolist() == [118.88] * 3
    assert (await stored(conn))["received"].tolist() == [T0 + SECOND] * 3


async def test_repeats_within_a_batch(conn: AsyncConnection) -> None:
    new = await write(conn, fixes=fixes(fix(lon=118.1), fix(lon=118.2), fix(2, lon=118.3), fix(lon=118.4)))
    assert new.fixes["lon"].tolist() == [118.1, 118.3]


async def test_an_alarm_is_merged_into_a_stored_fix(conn: AsyncConnection) -> None:
    await write(conn, fixes=fixes(fix(flags=int(Flag.FROM_GCJ02))))
    new = await write(conn, fixes=fixes(fix(flags=int(Flag.SOS | Flag.NO_POSITION), received=T0 + 9)))
    assert [(r["lon"], r["received"], r["flags"]) for r in new.fixes] == [(118.88, T0 + 9, Flag.FROM_GCJ02 | Flag.SOS)]
    assert same(await stored(conn), new.fixes)
    assert same(await last_positions(conn), new.fixes)
    assert not len((await write(conn, fixes=fixes(fix(flags=int(Flag.SOS | Flag.NO_POSITION))))).fixes)
    more = await write(conn, fixes=fixes(fix(flags=int(Flag.MAN_DOWN | Flag.SOS))))
    assert more.fixes["flags"].tolist() == [Flag.FROM_GCJ02 | Flag.SOS | Flag.MAN_DOWN]


async def test_an_alarm_without_a_place_gains_it(conn: AsyncConnection) -> None:
    lost = fix(flags=int(Flag.SOS | Flag.NO_POSITION), speed=math.nan)
    assert (await write(conn, fixes=fixes(lost))).fixes["flags"].tolist() == [Flag.SOS | Flag.NO_POSITION]
    assert not len(await last_positions(conn))
    new = await write(conn, fixes=fixes(fix(flags=int(Flag.FROM_BD09))))
    assert [(r["lon"], r["speed"], r["flags"]) for r in new.fixes] == [(118.88, 1.5, Flag.SOS | Flag.FROM_BD09)]
    assert same(await last_positions(conn), new.fixes)


async def test_last_positions_of_a_batch_with_new_and_late_devices(conn: AsyncConnection) -> None:
    await write(conn, fixes=fixes(fix(1, T0), fix(2, T0 + 10), fix(3, T0)))
    late, again = fix(2, T0 + 5, lon=118.2), fix(3, T0, flags=int(Flag.SOS))
    await write(conn, fixes=fixes(fix(1, T0 + 20, lon=118.1), late, again, fix(4, T0, lon=118.4)))
    found = {r["device"]: (r["at"], r["lon"], r["flags"]) for r in await last_positions(conn)}
    assert found == {
        1: (T0 + 20, 118.1, 0),
        2: (T0 + 10, 118.88, 0),
        3: (T0, 118.88, Flag.SOS),
        4: (T0, 118.4, 0),
    }


def test_an_alarm_within_a_batch_is_merged() -> None:
    lost = int(Flag.SOS | Flag.NO_POSITION)
    merged = one_per_key(fixes(fix(flags=lost), fix(2), fix(), fix(flags=int(Flag.MAN_DOWN)), fix(2, lon=1.0)))
    assert [(r["device"], r["lon"], r["flags"]) for r in merged] == [
        (1, 118.88, Flag.SOS | Flag.MAN_DOWN),
        (2, 118.88, 0),
    ]


# The farthest moments are so far apart that device and time do not fit into one number.
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from([0, 1, 2, -(1 << 62), 1 << 62]), st.sampled_from([0, 1, 2, 17, 33, 49])
        ),
        max_size=12,
    )
)
def test_one_per_key_keeps_every_alarm_and_every_place(keys: list[tuple[int, int, int]]) -> None:
    every = [fix(device, T0 + at, flags=flags) for device, at, flags in keys]
    kept = one_per_key(fixes(*every))
    assert [(r["device"], r["at"]) for r in kept] == sorted({(f[0], f[1]) for f in every})
    for row in kept:
        group = [f for f in every if (f[0], f[1]) == (row["device"], row["at"])]
        assert row["flags"] & 33 == np.bitwise_or.reduce([f[-1] & 33 for f in group])
        assert math.isnan(row["lon"]) == all(f[-1] & Flag.NO_POSITION for f in group)


async def test_last_positions_follow_event_time(conn: AsyncConnection) -> None:
    await write(conn, fixes=fixes(fix(1, T0 + 10, lon=118.3), fix(1, T0 + 30, lon=118.5), fix(2, T0)))
    await write(conn, fixes=fixes(fix(1, T0 + 20, lon=118.4), fix(1, T0 + 40, flags=int(Flag.SOS | Flag.NO_POSITION))))
    assert [(r["device"], r["at"], r["lon"]) for r in await last_positions(conn)] == [
        (2, T0, 118.88),
        (1, T0 + 30, 118.5),
    ]
    assert (await last_positions(conn, received_after=T0 + SECOND))["device"].tolist() == [1]


async def test_sightings_and_samples(conn: AsyncConnection) -> None:
    seen = rows(
        SIGHTING,
        [
            (7, T0, T0 + 1, "渔网", 2, 0.9, "t1", 118.9, 31.4, "s3://x"),
            (7, T0, T0 + 1, "person", 1, math.nan, "", math.nan, math.nan, ""),
            (7, T0, T0 + 2, "person", 9, 0.5, "", 118.9, 31.4, "twice"),
        ],
    )
    values = rows(SAMPLE, [(8, T0, T0, "water_level", 3.2), (8, T0, T0, "smoke", -0.0), (8, T0, T0, "smoke", 1.0)])
    new = await write(conn, sightings=seen, samples=values)
    assert new.sightings["label"].tolist() == ["渔网", "person"]
    assert new.samples["value"].tolist() == [3.2, 0.0]
    found = await stretch(conn, T0, T0 + 1)
    assert found.sightings.tolist()[0] == (*seen.tolist()[0][:5], pytest.approx(0.9), *seen.tolist()[0][6:])
    assert math.isnan(found.sightings["lon"][1])
    assert found.samples.tolist() == values.tolist()[:2]
    again = await write(conn, sightings=seen, samples=values)
    assert len(again) == 0


async def test_a_stretch_is_half_open_and_of_the_devices_asked_for(conn: AsyncConnection) -> None:
    await write(conn, fixes=fixes(fix(1, T0), fix(2, T0 + 1), fix(3, T0 + 2), fix(1, T0 + 3)))
    assert (await stretch(conn, T0, T0 + 3)).fixes["device"].tolist() == [1, 2, 3]
    assert (await stretch(conn, T0, T0 + 4, devices=[1, 3])).fixes["device"].tolist() == [1, 3, 1]
    assert len(await stretch(conn, T0, T0 + 4, devices=[])) == 0


async def test_a_long_stretch_in_slices(conn: AsyncConnection) -> None:
    await write(conn, fixes=fixes(*(fix(1, T0 + i * 60 * SECOND) for i in (0, 9, 10, 55))))
    async with aclosing(stretches.stretches(conn, T0, T0 + 3600 * SECOND)) as slices:
        cut = [batch.fixes["at"].tolist() async for batch in slices]
    assert cut == [[T0, T0 + 540 * SECOND], [T0 + 600 * SECOND], [T0 + 3300 * SECOND]]


async def test_more_than_a_slice_holds_at_one_moment_is_one_slice(conn: AsyncConnection) -> None:
    """Terminals that report on the full minute; the reader must come through, and not ask for ever shorter slices."""
    await write(conn, fixes=fixes(*(fix(n, T0 + 7) for n in range(1, 9)), fix(1, T0 + 5), fix(1, T0 + 9)))
    async with aclosing(stretches.stretches(conn, T0, T0 + 60 * SECOND, limit=3)) as slices:
        found = [batch.fixes["at"].tolist() async for batch in slices]
    assert [at for batch in found for at in batch] == [T0 + 5, *[T0 + 7] * 8, T0 + 9]
    assert [T0 + 7] * 8 in found


async def test_doubt_changes_the_flag_of_the_fixes_that_are_named(conn: AsyncConnection) -> None:
    """And of none else; of a fix that is not stored nothing comes into being."""
    written = fixes(fix(1, T0), fix(1, T0 + 5), fix(2, T0 + 5, flags=int(Flag.SOS)), fix(2, T0 + 9))
    await write(conn, fixes=written)
    for _ in range(2):
        await mark_suspects(conn, [(1, T0 + 5), (2, T0 + 5), (2, T0 + 6), (3, T0), (1, T0 + 5)])
    found = (await stretch(conn, T0, T0 + 10)).fixes
    doubted = written.take([0, 1, 2, 3])
    doubted["flags"][1:3] |= Flag.SUSPECT
    assert same(found, doubted)


async def test_a_stretch_has_a_bound(conn: AsyncConnection) -> None:
    await write(conn, fixes=fixes(*(fix(1, T0 + i) for i in range(6))))
    assert len(await stretch(conn, T0, T0 + 10, most=6)) == 6
    with pytest.raises(StretchTooLong, match="more than 5 fixes"):
        await stretch(conn, T0, T0 + 10, most=5)


async def test_no_row_of_an_answer_is_large_however_long_the_stretch(
    conn: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection keeps a buffer for the largest row that it was ever sent: eight of them took 512 MB of a worker."""
    written = rows(FIX, [fix(1 + n % 7, T0 + n * 1000) for n in range(25_000)])
    await write(conn, fixes=written)
    sizes: list[int] = []

    def noting(columns: Any, *dtype: Any) -> Rows:
        sizes.append(sum(map(len, columns)))
        return from_arrays(columns, *dtype)

    monkeypatch.setattr(stretches, "from_arrays", noting)
    assert same((await stretch(conn, T0, T0 + 3600 * SECOND)).fixes, written)
    assert len(sizes) > 2
    assert max(sizes) < 1_100_000


async def test_a_track(conn: AsyncConnection) -> None:
    lost = fix(1, T0 + 2, flags=int(Flag.SOS | Flag.NO_POSITION))
    await write(conn, fixes=fixes(fix(1, T0 + 3), lost, fix(1, T0 + 1), fix(2, T0 + 1), fix(1, T0 + 9)))
    assert (await track(conn, 1, T0, T0 + 9))["at"].tolist() == [T0 + 1, T0 + 3]
    assert (await track(conn, 1, T0, T0 + 99, limit=1))["at"].tolist() == [T0 + 1]


async def test_the_newest_received(conn: AsyncConnection) -> None:
    assert await newest_received(conn) is None
    row = await (await conn.execute("SELECT now()")).fetchone()
    assert row is not None
    now = micros(row[0])
    await write(conn, fixes=fixes(fix(1, now - 50 * SECOND, received=now - 40 * SECOND)))
    assert await newest_received(conn) == now - 40 * SECOND
    await write(conn, samples=rows(SAMPLE, [(1, now - 3 * 86_400 * SECOND, now - 30 * SECOND, "smoke", 1.0)]))
    assert await newest_received(conn) == now - 30 * SECOND
    old = now - 400 * 86_400 * SECOND
    await write(conn, sightings=rows(SIGHTING, [(1, old, now - 20 * SECOND, "net", 1, 0.5, "", 1.0, 1.0, "")]))
    assert await newest_received(conn) == now - 20 * SECOND


async def test_nothing_of_a_batch_is_stored_if_a_part_is_refused(conn: AsyncConnection) -> None:
    poison = rows(SIGHTING, [(1, T0, T0, "a\0b", 1, 0.5, "", 1.0, 1.0, "")])
    with pytest.raises(psycopg.DataError):
        await write(conn, fixes=fixes(fix()), sightings=poison)
    lone = rows(SIGHTING, [(1, T0, T0, "\ud800", 1, 0.5, "", 1.0, 1.0, "")])
    with pytest.raises(UnicodeError):
        await write(conn, fixes=fixes(fix()), sightings=lone)
    assert not len(await stored(conn))


async def test_acks_are_recorded_in_the_same_transaction(conn: AsyncConnection) -> None:
    ack = CommandAck("T-1", T0, T0, "41", True)

    async def refuse(inner: AsyncConnection, given_ack: CommandAck) -> None:
        assert (inner, given_ack) == (conn, ack)
        raise LookupError("no such command")

    with pytest.raises(LookupError):
        await write(conn, fixes=fixes(fix()), acks=[ack], record_ack=refuse)
    assert not len(await stored(conn))


async def test_listeners_are_told_of_positions_once_they_are_committed(
    pool: AsyncConnectionPool, database_url: str
) -> None:
    async with aclosing(listen(database_url)) as events:
        assert await asyncio.wait_for(anext(events), 5) == RESUMED
        heard = asyncio.ensure_future(anext(events))
        async with pool.connection() as own:
            await write(own, fixes=fixes(fix(99, flags=int(Flag.SOS | Flag.NO_POSITION))))
            await write(own, fixes=fixes(fix(99, T0 + 1)))
        assert await asyncio.wait_for(heard, 5) == {"kind": "positions"}
        async with pool.connection() as own:
            await own.execute("DELETE FROM fixes WHERE device = 99")
            await own.execute("DELETE FROM last_positions WHERE device = 99")


async def test_a_track_is_read_out_of_the_index_alone(pool: AsyncConnectionPool) -> None:
    many = [fix(70 + n % 5, T0 + n * SECOND, lon=118 + n / 1e4) for n in range(5_000)]
    values = {"device": 70, "since": moment(T0), "until": moment(T0 + 3000 * SECOND), "limit": 500}
    async with pool.connection() as own:
        await write(own, fixes=fixes(*many))
        assert (await track(own, 70, T0, T0 + 3000 * SECOND, 500))["at"].tolist() == [
            T0 + n * SECOND for n in range(0, 2500, 5)
        ]
        await own.commit()
        await own.set_autocommit(True)
        await own.execute("VACUUM ANALYZE fixes")
        plan = "".join(
            line for (line,) in await (await own.execute(b"EXPLAIN ANALYZE " + stretches._TRACK, values)).fetchall()
        )
        chunks = await (await own.execute("SELECT show_chunks('fixes')::oid")).fetchall()
        told = [
            await (await own.execute("SELECT reloptions FROM pg_class WHERE oid = %s", chunk)).fetchone()
            for chunk in chunks
        ]
        await own.execute("DELETE FROM fixes WHERE device BETWEEN 70 AND 74")
        await own.execute("DELETE FROM last_positions WHERE device BETWEEN 70 AND 74")
        await own.set_autocommit(False)
    assert "Index Only Scan" in plan
    assert "Heap Fetches: 0" in plan
    assert "Sort" not in plan
    assert all("autovacuum_vacuum_insert_threshold=20000" in (row or ([],))[0] for row in told), "or none would follow"


async def test_two_writers_of_the_same_readings(pool: AsyncConnectionPool) -> None:
    mine, yours = (fixes(*(fix(50 + i % 9, T0 + i) for i in order)) for order in (range(60), reversed(range(60))))

    async def one(given_rows: Rows) -> int:
        async with pool.connection() as own:
            return len((await write(own, fixes=given_rows)).fixes)

    assert sum(await asyncio.gather(one(mine), one(yours), one(mine))) == 60
    async with pool.connection() as own:
        await own.execute("DELETE FROM fixes WHERE device BETWEEN 50 AND 58")
        await own.execute("DELETE FROM last_positions WHERE device BETWEEN 50 AND 58")


single = st.floats(width=32)
a_fix = st.tuples(
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(10**17), 9 * 10**18),  # PostgreSQL: 4713 BC to 294276 AD
    st.integers(-(10**17), 9 * 10**18),
    st.floats(),
    st.floats(),
    single,
    single,
    single,
    single,
    st.integers(-(2**15), 2**15 - 1),
)


async def test_copied_rows_read_back(pool: AsyncConnectionPool) -> None:
    """What PostgreSQL keeps of a COPY payload is what was sent, whatever the numbers; a plain table takes any time."""

    async def there_and_back(given_rows: Rows) -> tuple[Rows, list[tuple[Any, ...]]]:
        async with pool.connection() as own, own.transaction(force_rollback=True):
            await own.execute("CREATE TEMP TABLE copied (LIKE fixes)")
            async with own.cursor() as cursor, cursor.copy("COPY copied FROM STDIN (FORMAT binary)") as copy:
                for piece in pieces(given_rows):
                    await copy.write(piece)
            cursor = await own.execute("SELECT device, lon, lat, speed, battery, flags FROM copied ORDER BY ctid")
            seen = await cursor.fetchall()
            async with own.cursor(binary=True) as cursor:
                arrays = ", ".join(f"array_agg({c} ORDER BY ctid)" for c in COLUMNS)
                await cursor.execute(f"SELECT {arrays} FROM copied".encode())
                assert cursor.pgresult is not None
                return from_arrays([cursor.pgresult.get_value(0, i) for i in range(len(COLUMNS))]), seen

    loop = asyncio.get_running_loop()

    @given(st.lists(a_fix, max_size=20))
    @settings(max_examples=25)
    def check(tuples: list[Any]) -> None:
        given_rows = rows(FIX, tuples)
        back, seen = asyncio.run_coroutine_threadsafe(there_and_back(given_rows), loop).result()
        assert same(back, given_rows)
        for row, values in zip(given_rows, seen, strict=True):
            np.testing.assert_array_equal([row["device"], row["lon"], row["lat"]], values[:3])
            np.testing.assert_array_equal([row["speed"], row["battery"]], np.array(values[3:5], np.float32))
            assert row["flags"] == values[5]

    await asyncio.to_thread(check)
