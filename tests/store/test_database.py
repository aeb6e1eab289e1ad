"""Migrations, sessions in UTC, and events."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from store.database import (
    RESUMED,
    Migration,
    MigrationError,
    announce,
    listen,
    migrate,
    open_pool,
    own_migrations,
    pending,
    reading,
)

FIRST = Migration("0001_first.sql", "CREATE TABLE first (x int);\nINSERT INTO first VALUES (1);")
SECOND = Migration("0002_second.sql", "ALTER TABLE first ADD COLUMN y int;")


@pytest.fixture
async def scratch(empty_database_url: str) -> str:
    """A database without tables and without applied migrations."""
    async with await psycopg.AsyncConnection.connect(empty_database_url, autocommit=True) as conn:
        await conn.execute("DROP SCHEMA public CASCADE")
        await conn.execute("CREATE SCHEMA public")
    return empty_database_url


async def test_migrations_are_applied_once_and_in_order(scratch: str) -> None:
    assert await migrate(scratch, [FIRST]) == ["0001_first.sql"]
    assert await migrate(scratch, [FIRST, SECOND]) == ["0002_second.sql"]
    assert await migrate(scratch, [FIRST, SECOND]) == []


async def test_own_migrations_apply_and_apply_again(scratch: str) -> None:
    names = [m.name for m in own_migrations()]
    assert names[0] == "0001_base.sql"
    assert await pending(scratch) == names
    assert await migrate(scratch) == names
    assert await migrate(scratch) == await pending(scratch) == []


async def test_migrations_at_the_same_time_wait_for_each_other(scratch: str) -> None:
    done = await asyncio.gather(*(migrate(scratch, [FIRST, SECOND]) for _ in range(4)))
    assert sorted(name for names in done for name in names) == [FIRST.name, SECOND.name]


async def test_a_changed_migration_is_refused(scratch: str) -> None:
    await migrate(scratch, [FIRST])
    with pytest.raises(MigrationError, match=r"'0001_first\.sql' was changed"):
        await migrate(scratch, [Migration(FIRST.name, FIRST.text + "\n-- harmless?")])


async def test_a_missing_migration_is_refused(scratch: str) -> None:
    await migrate(scratch, [FIRST, SECOND])
    with pytest.raises(MigrationError, match=r"the database has '0002_second\.sql'"):
        await migrate(scratch, [FIRST])


async def test_a_late_migration_is_refused(scratch: str) -> None:
    await migrate(scratch, [Migration("0002_second.sql", "SELECT 1")])
    with pytest.raises(MigrationError, match=r"'0001_first\.sql' comes before '0002_second\.sql'"):
        await migrate(scratch, [FIRST, Migration("0002_second.sql", "SELECT 1")])


async def test_a_failed_migration_names_its_line_and_leaves_nothing(scratch: str) -> None:
    broken = Migration("0001_broken.sql", "CREATE TABLE half (x int);\nSELECT no_such_column\nFROM half;")
    with pytest.raises(MigrationError, match=r"'0001_broken.sql' line 2: .*no_such_column"):
        await migrate(scratch, [broken])
    async with await psycopg.AsyncConnection.connect(scratch) as conn:
        found = await (await conn.execute("SELECT to_regclass('half'), count(*) FROM schema_migrations")).fetchone()
    assert found == (None, 0)


async def test_sessions_run_in_utc(pool: AsyncConnectionPool) -> None:
    async with pool.connection() as conn:
        assert await (await conn.execute("SHOW timezone")).fetchone() == ("UTC",)


async def test_options_of_the_address_are_kept(database_url: str) -> None:
    joint = "&" if "?" in database_url else "?"
    async with (
        open_pool(f"{database_url}{joint}options=-c%20statement_timeout%3D12345") as own,
        own.connection() as conn,
    ):
        assert await (await conn.execute("SHOW statement_timeout")).fetchone() == ("12345ms",)
        assert await (await conn.execute("SHOW timezone")).fetchone() == ("UTC",)


async def test_a_pool_opens_without_a_database() -> None:
    async with open_pool("postgresql://nobody@127.0.0.1:1/none") as away:
        with pytest.raises(PoolTimeout):
            await away.getconn(timeout=0.3)


LISTENERS = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%%' AND backend_start >= %s"


@pytest.mark.parametrize("turns", range(8))
async def test_who_is_cancelled_as_he_gets_a_connection_ends(database_url: str, turns: int) -> None:
    """However many turns of the event loop after the connection was given back: he may be at any point of taking it."""
    async with open_pool(database_url, max_size=1) as pool:

        async def work() -> None:
            async with pool.connection():
                pass
            await asyncio.sleep(60.0)

        async with pool.connection():
            working = asyncio.create_task(work())
            await asyncio.sleep(0.05)
        for _ in range(turns):
            await asyncio.sleep(0)
        working.cancel()
        await asyncio.wait([working], timeout=5.0)
        assert working.cancelled()
        async with pool.connection(timeout=5.0):  # and it was given back
            pass


async def test_an_event_is_heard_after_the_commit_only(pool: AsyncConnectionPool, database_url: str) -> None:
    async with pool.connection() as conn, aclosing(listen(database_url)) as events:
        assert await asyncio.wait_for(anext(events), 5) == RESUMED
        next_event = asyncio.ensure_future(anext(events))
        async with conn.transaction(force_rollback=True):
            await announce(conn, kind="case", id=1)
        async with conn.transaction():
            await announce(conn, kind="case", id=7)
            await asyncio.sleep(0.1)
            assert not next_event.done()
        assert await asyncio.wait_for(next_event, 5) == {"kind": "case", "id": 7}


async def test_listening_resumes_after_a_lost_connection(pool: AsyncConnectionPool, database_url: str) -> None:
    async with pool.connection() as conn, aclosing(listen(database_url)) as events:
        started = await _now(conn)
        assert await asyncio.wait_for(anext(events), 5) == RESUMED
        next_event = asyncio.ensure_future(anext(events))
        await conn.execute(f"SELECT pg_terminate_backend(pid) {LISTENERS}".encode(), (started,))
        assert await asyncio.wait_for(next_event, 5) == RESUMED
        await conn.execute("SELECT pg_notify('patrolgrid', 'not json')")
        await announce(conn, kind="site")
        await conn.commit()
        assert await asyncio.wait_for(anext(events), 5) == {"kind": "site"}


async def _now(conn: psycopg.AsyncConnection) -> object:
    row = await (await conn.execute("SELECT clock_timestamp()")).fetchone()
    await conn.commit()
    return row[0] if row else None


async def test_a_connection_for_reading_goes_back_as_it_was_and_says_itself_that_it_was_lost(database_url: str) -> None:
    async with open_pool(database_url, max_size=1) as own:
        async with reading(own) as conn:
            await conn.execute("SELECT 1")
            assert conn.info.transaction_status.name == "IDLE", "no transaction stays open behind a question"
        async with own.connection() as conn:
            assert not conn.autocommit
        with pytest.raises(psycopg.OperationalError):
            async with reading(own) as conn:
                await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        async with own.connection() as conn:
            assert not conn.autocommit, "another has taken its place"
