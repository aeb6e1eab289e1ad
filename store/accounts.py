"""Accounts, log-in and sessions, and the record of who looked at whose track.

What keeps guessing slow: argon2id, the same work whether the name exists or not, and a pause per typed name that grows
with its failures. The failures are in the database, so they hold for all console processes and over a restart.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation
from psycopg.rows import dict_row

from alerts.case import Actor, Refused
from alerts.transitions import Role
from store.passwords import check_password, hash_password, matches, one_time_password

FREE_TRIES: Final = 10  # failures of one name before it has to wait
LONGEST_WAIT: Final = 60.0  # seconds between tries of one name; no more, or anybody could lock anybody out
FORGOTTEN_AFTER: Final = 3600.0  # seconds after which failures no longer count

__all__ = [
    "Account",
    "LogInRefused",
    "account_of",
    "change_password",
    "create_account",
    "get_account",
    "list_accounts",
    "log_in",
    "log_out",
    "one_time_password",
    "record_look",
    "set_active",
    "set_password",
]

_COLUMNS: Final = "a.id, a.name, a.display, a.role, a.unit, a.area, a.one_time, a.active"


@dataclass(frozen=True, slots=True)
class Account:
    """A person who may log in. ``one_time``: the password must be changed before anything else."""

    id: int
    name: str
    display: str
    role: Role
    unit: str | None
    area: str | None
    one_time: bool
    active: bool

    @property
    def actor(self) -> Actor:
        """The account as it acts on cases."""
        return Actor(self.name, self.role, self.unit)


class LogInRefused(Refused):
    """No log-in. ``code`` is wrong_password, one_time_used or too_many_tries, the last with ``wait`` in seconds."""

    def __init__(self, code: str, zh: str, en: str, wait: float = 0.0) -> None:
        super().__init__(code, zh, en)
        self.wait = wait


async def create_account(
    conn: AsyncConnection,
    *,
    name: str,
    display: str,
    role: Role,
    password: str,
    unit: str | None = None,
    area: str | None = None,
    one_time: bool = False,
) -> Account:
    """A new account.

    Raises:
        Refused: the name is taken or no name, the role unknown, a unit account without unit, or a weak password.
        psycopg.errors.ForeignKeyViolation: no such unit or area.
    """
    if not (1 <= len(name) <= 60) or not name.isprintable() or any(c.isspace() for c in name):
        raise Refused(
            "wrong_value", f"账号名“{name}”应为 1 至 60 个字符，不含空格", "a name has 1 to 60 letters, no blanks"
        )
    if role not in get_args(Role) or role == "system":
        raise Refused("wrong_value", f"没有角色“{role}”", f"there is no role {role!r}")
    if role == "unit" and not unit:
        raise Refused("missing", "处置单位账号须指定单位", "an account of role unit needs a unit")
    check_password(name, password)
    hashed = await hash_password(password)
    try:
        async with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(
                "INSERT INTO accounts AS a (name, display, password_hash, role, unit, area, one_time)"  # noqa: S608 - a constant follows
                " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING " + _COLUMNS,
                (name, display, hashed, role, unit, area, one_time),
            )
            row = await cursor.fetchone()
    except UniqueViolation as error:
        raise Refused("taken", f"账号“{name}”已存在", f"there is an account {name!r} already") from error
    assert row is not None
    return Account(**row)


async def list_accounts(conn: AsyncConnection) -> list[Account]:
    """All accounts by name."""
    return await _accounts(conn, "FROM accounts a ORDER BY a.name", ())


async def get_account(conn: AsyncConnection, name: str) -> Account | None:
    """The account of this name."""
    return next(iter(await _accounts(conn, "FROM accounts a WHERE a.name = %s", (name,))), None)


async def set_active(conn: AsyncConnection, account_id: int, active: bool) -> None:
    """Let an account in or shut it out; shutting it out ends its sessions at once."""
    async with conn.transaction():
        await conn.execute("UPDATE accounts SET active = %s WHERE id = %s", (active, account_id))
        if not active:
            await conn.execute("DELETE FROM sessions WHERE account = %s", (account_id,))


async def set_password(conn: AsyncConnection, account_id: int, password: str, *, one_time: bool = False) -> None:
    """Give an account a password, as an admin does; ends its sessions. Raises Refused for a weak one."""
    await _replace_password(conn, account_id, password, one_time=one_time, keep=None)


async def change_password(
    conn: AsyncConnection, account: Account, old: str, new: str, *, keep: str | None = None
) -> None:
    """A person changes the own password. Ends all sessions but the one of the token ``keep``.

    ``old`` may be the one-time password that the present session came from.

    Raises:
        LogInRefused: ``old`` is wrong, or was tried too often.
        Refused: ``new`` is weak or the old one again.
    """
    await _count_try(conn, account.name, datetime.now(UTC))
    cursor = await conn.execute("SELECT password_hash FROM accounts WHERE id = %s AND active", (account.id,))
    row = await cursor.fetchone()
    if not await matches(row[0] if row else None, old):
        raise LogInRefused("wrong_password", "原密码不正确", "the old password is wrong")
    if new == old:
        raise Refused("same_password", "新密码不能与原密码相同", "the new password must differ from the old one")
    await _replace_password(conn, account.id, new, one_time=False, keep=keep)


async def _replace_password(
    conn: AsyncConnection, account_id: int, password: str, *, one_time: bool, keep: str | None
) -> None:
    cursor = await conn.execute("SELECT name FROM accounts WHERE id = %s", (account_id,))
    row = await cursor.fetchone()
    if row is None:
        raise Refused("not_found", f"没有编号为 {account_id} 的账号", f"there is no account {account_id}")
    check_password(row[0], password)
    hashed = await hash_password(password)
    async with conn.transaction():
        await conn.execute(
            "UPDATE accounts SET password_hash = %s, one_time = %s, one_time_used = NULL WHERE id = %s",
            (hashed, one_time, account_id),
        )
        await conn.execute(
            "DELETE FROM sessions WHERE account = %s AND token_hash <> %s", (account_id, _token_hash(keep or ""))
        )
        await conn.execute("DELETE FROM login_failures WHERE name = %s", (row[0],))


async def log_in(
    conn: AsyncConnection, name: str, password: str, *, hours: float = 12.0, now: datetime | None = None
) -> str:
    """A session's token (32 random bytes; only its hash is stored). A one-time password is good for exactly one log-in.

    Raises:
        LogInRefused: wrong name or password (which of them is not said), used up, or too many tries.
    """
    now = now or datetime.now(UTC)
    await _count_try(conn, name, now)
    cursor = await conn.execute("SELECT id, password_hash FROM accounts WHERE name = %s AND active", (_text(name),))
    row = await cursor.fetchone()
    if not await matches(row[1] if row else None, password) or row is None:
        raise LogInRefused("wrong_password", "用户名或密码不正确", "the name or the password is wrong")
    async with conn.transaction():
        # Of two log-ins with one one-time password the second waits here and then finds it used.
        cursor = await conn.execute(
            "UPDATE accounts SET one_time_used = CASE WHEN one_time THEN %s END"
            " WHERE id = %s AND active AND password_hash = %s AND one_time_used IS NULL",
            (now, *row),
        )
        if not cursor.rowcount:
            raise LogInRefused(
                "one_time_used",
                "一次性密码已经用过，请联系管理员",
                "this one-time password has been used: ask an admin",
            )
        return await _open_session(conn, row[0], name, now, hours)


async def _open_session(conn: AsyncConnection, account_id: int, name: str, now: datetime, hours: float) -> str:
    token = secrets.token_urlsafe(32)
    await conn.execute("DELETE FROM sessions WHERE expires <= %s", (now,))
    await conn.execute(
        "INSERT INTO sessions (token_hash, account, created, expires) VALUES (%s, %s, %s, %s)",
        (_token_hash(token), account_id, now, now + timedelta(hours=hours)),
    )
    await conn.execute("DELETE FROM login_failures WHERE name = %s", (_text(name),))
    return token


async def account_of(conn: AsyncConnection, token: str, now: datetime | None = None) -> Account | None:
    """Whose session this is; None when it is unknown, has ended, or the account was shut out."""
    found = await _accounts(
        conn,
        "FROM sessions s JOIN accounts a ON a.id = s.account WHERE s.token_hash = %s AND s.expires > %s AND a.active",
        (_token_hash(token), now or datetime.now(UTC)),
    )
    return next(iter(found), None)


async def log_out(conn: AsyncConnection, token: str) -> None:
    """End a session; no matter if it has ended already."""
    await conn.execute("DELETE FROM sessions WHERE token_hash = %s", (_token_hash(token),))


async def record_look(conn: AsyncConnection, account_id: int, device_id: int, since: datetime, until: datetime) -> None:
    """Somebody looked at the track of a device."""
    await conn.execute(
        "INSERT INTO looks (account, device, since, until) VALUES (%s, %s, %s, %s)",
        (account_id, device_id, since, until),
    )


async def _count_try(conn: AsyncConnection, name: str, now: datetime) -> None:
    """Count a try as failed before it is judged, so that many at once are no way around; success takes it back.

    Raises:
        LogInRefused: the name has to wait.
    """
    async with conn.transaction():
        await conn.execute("DELETE FROM login_failures WHERE last < %s", (now - timedelta(seconds=FORGOTTEN_AFTER),))
        cursor = await conn.execute(
            "INSERT INTO login_failures AS f (name, failures, last) VALUES (%s, 1, %s) ON CONFLICT (name) DO UPDATE"
            " SET failures = f.failures + 1, last = excluded.last"
            " WHERE f.failures < %s OR f.last + make_interval(secs => least(%s, 2.0 ^ least(f.failures - %s, 20)))"
            " <= excluded.last",
            (_text(name), now, FREE_TRIES, LONGEST_WAIT, FREE_TRIES),
        )
        if cursor.rowcount:
            return
        cursor = await conn.execute("SELECT failures, last FROM login_failures WHERE name = %s", (_text(name),))
        failures, last = await cursor.fetchone() or (FREE_TRIES, now)
    pause = min(LONGEST_WAIT, 2.0 ** min(failures - FREE_TRIES, 20))
    wait = max(1.0, pause - (now - last).total_seconds())
    zh, en = f"尝试次数过多，请在 {wait:.0f} 秒后再试", f"too many tries, wait {wait:.0f} s"
    raise LogInRefused("too_many_tries", zh, en, wait)


async def _accounts(conn: AsyncConnection, rest: str, arguments: tuple[Any, ...]) -> list[Account]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} {rest}", arguments)
        return [Account(**row) for row in await cursor.fetchall()]


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _text(name: str) -> str:
    """A typed name as a text column takes it; one that no account can have stays one that no account has."""
    return name.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:100]
