"""The database: a pool of connections, numbered SQL migrations, and events by LISTEN/NOTIFY.

Every session runs with the time zone UTC. Nothing here knows what the tables mean.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

log = structlog.get_logger()

AWAY: Final = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError, PoolTimeout)
"""What a database looks like that is away, or takes nothing at present (read-only after a failover): try again."""

CHANNEL: Final = "patrolgrid"
RESUMED: Final = {"kind": "resumed"}
"""What :func:`listen` yields when it begins to hear: events may have been missed before, so read the state again."""

_MIGRATION_LOCK: Final = 0x70617467  # any number that only PatrolGrid's migrations use as an advisory lock
_NAME: Final = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
_RELISTEN_FIRST, _RELISTEN_MOST = 0.2, 5.0  # seconds


class MigrationError(RuntimeError):
    """The migrations in this version and those in the database do not fit, or one failed. Names the file."""


def conninfo(url: str) -> str:
    """The given address with what every session of ours needs: UTC, and a network that is gone noticed within 30 s."""
    given = conninfo_to_dict(url)
    ours: dict[str, Any] = {
        "application_name": "patrolgrid",
        "connect_timeout": 10,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
    options = f"{given.get('options') or ''} -c timezone=UTC".strip()
    return make_conninfo("", **{**ours, **given, "options": options})


class _Pool(AsyncConnectionPool):
    async def getconn(self, timeout: float | None = None) -> AsyncConnection:  # noqa: ASYNC109  # the pool's own
        """As it is, but for a task that is cancelled just as it is given a connection: psycopg_pool waits by
        ``asyncio.wait_for()``, which swallows that in Python 3.11, and who works until cancelled would go on for ever.
        """
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        conn = await super().getconn(timeout)
        if task and task.cancelling() > before:
            await self.putconn(conn)
            raise asyncio.CancelledError
        return conn


@asynccontextmanager
async def open_pool(
    url: str, min_size: int = 1, max_size: int = 8, *, tried: bool = True
) -> AsyncIterator[AsyncConnectionPool]:
    """A pool of connections to ``url``; it opens also while the database is away and connects when it is back.

    A connection is ``tried`` before it is handed out; who does everything again anyway when it fails need not pay for
    that. With no database to be had, taking one raises :class:`psycopg_pool.PoolTimeout` after 10 s.
    """
    pool = _Pool(
        conninfo(url),
        min_size=min_size,
        max_size=max_size,
        timeout=10.0,
        reconnect_timeout=2.0,  # given up then until the next who wants one, so that what is back is found soon
        check=_Pool.check_connection if tried else None,
        name="patrolgrid",
        open=False,
    )
    await pool.open(wait=False)
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def reading(pool: AsyncConnectionPool) -> AsyncIterator[AsyncConnection]:
    """A connection for questions alone: each is a transaction of its own, so none waits for a BEGIN and a COMMIT."""
    async with pool.connection() as conn:
        await conn.set_autocommit(True)
        try:
            yield conn
        finally:
            if not conn.closed:
                await conn.set_autocommit(False)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of ``store/migrations``."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        """sha256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def own_migrations() -> list[Migration]:
    """The migrations that belong to this version, in order.

    Raises:
        MigrationError: a file's name is not ``NNNN_words.sql``, or two files have one number.
    """
    folder = files("store") / "migrations"
    found = [Migration(f.name, f.read_text("utf-8")) for f in folder.iterdir() if f.name.endswith(".sql")]
    numbers: dict[str, str] = {}
    for migration in found:
        match = _NAME.match(migration.name)
        if match is None:
            raise MigrationError(f"migration {migration.name!r}: the name must be NNNN_words.sql")
        other = numbers.setdefault(match[1], migration.name)
        if other != migration.name:
            raise MigrationError(f"migrations {other!r} and {migration.name!r} have the same number")
    return sorted(found, key=lambda m: m.name)


async def migrate(url: str, migrations: list[Migration] | None = None) -> list[str]:
    """Bring the database to this version; the names of the migrations that were applied now.

    Each file is one transaction. Several processes may call this at once: an advisory lock lets one at a time through.

    Raises:
        MigrationError: an applied migration was changed or is missing here, one is out of order, or one failed.
        psycopg.OperationalError: the database cannot be reached.
    """
    own = own_migrations() if migrations is None else migrations
    async with await AsyncConnection.connect(conninfo(url), autocommit=True) as conn:
        await conn.execute("SELECT pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
        await conn.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            " name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        waiting = _not_applied(own, await _applied(conn))
        for migration in waiting:
            await _apply(conn, migration)
            log.info("migration_applied", name=migration.name)
        return [migration.name for migration in waiting]


async def pending(url: str) -> list[str]:
    """The migrations of this version that the database lacks.

    Raises:
        MigrationError: what was applied does not fit this version.
        psycopg.OperationalError: the database cannot be reached.
    """
    async with await AsyncConnection.connect(conninfo(url), autocommit=True) as conn:
        try:
            applied = await _applied(conn)
        except psycopg.errors.UndefinedTable:
            applied = {}
        return [migration.name for migration in _not_applied(own_migrations(), applied)]


async def _applied(conn: AsyncConnection) -> dict[str, str]:
    cursor = await conn.execute("SELECT name, checksum FROM schema_migrations")
    return dict(await cursor.fetchall())


def _not_applied(own: list[Migration], applied: Mapping[str, str]) -> list[Migration]:
    missing = sorted(set(applied) - {m.name for m in own})
    if missing:
        raise MigrationError(f"the database has {missing[0]!r}, which this version lacks: is a newer version in use?")
    newest = max(applied, default="")
    for migration in own:
        if migration.name not in applied:
            if migration.name < newest:
                raise MigrationError(f"migration {migration.name!r} comes before {newest!r}, which is already applied")
        elif applied[migration.name] != migration.checksum:
            raise MigrationError(f"migration {migration.name!r} was changed after it had been applied: add a new one")
    return [m for m in own if m.name not in applied]


async def _apply(conn: AsyncConnection, migration: Migration) -> None:
    try:
        async with conn.transaction():
            await conn.execute(migration.text.encode())
            await conn.execute(
                "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)", (migration.name, migration.checksum)
            )
    except psycopg.Error as error:
        if conn.broken:
            raise  # the database went away: not the migration's fault
        position = error.diag.statement_position
        line = f" line {migration.text[: int(position)].count(chr(10)) + 1}" if position else ""
        raise MigrationError(f"migration {migration.name!r}{line}: {str(error).strip()}") from error


async def announce(conn: AsyncConnection, **event: object) -> None:
    """Tell all listeners of an event, e.g. ``kind="case", id=7``, if and when the present transaction commits."""
    await conn.execute("SELECT pg_notify(%s, %s)", (CHANNEL, json.dumps(event, separators=(",", ":"))))


async def listen(url: str) -> AsyncIterator[dict[str, Any]]:
    """The events announced from now on, until closed. A lost connection is taken up again for ever.

    Once it hears, at first and after every gap, it yields :data:`RESUMED` (``{"kind": "resumed"}``), as events may have
    been missed before.
    """
    pause = _RELISTEN_FIRST
    while True:
        try:
            async with await AsyncConnection.connect(conninfo(url), autocommit=True) as conn:
                await conn.execute(f"LISTEN {CHANNEL}")
                yield dict(RESUMED)
                pause = _RELISTEN_FIRST
                async for notify in conn.notifies():
                    event = _event(notify.payload)
                    if event is not None:
                        yield event
        except psycopg.OperationalError as error:
            log.warning("listen_lost", error=str(error).strip(), again_in=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RELISTEN_MOST)


def _event(payload: str) -> dict[str, Any] | None:
    """The event in a notification; None, with a warning, for what somebody else sent on our channel."""
    try:
        event = json.loads(payload)
    except ValueError:
        event = None
    if isinstance(event, dict):
        return event
    log.warning("foreign_notification", payload=payload[:200])
    return None
