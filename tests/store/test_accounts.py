"""Accounts: one-time passwords, sessions, throttling, and no telling who has an account."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.case import Refused
from store import accounts
from store.accounts import (
    Account,
    LogInRefused,
    account_of,
    change_password,
    create_account,
    get_account,
    list_accounts,
    log_in,
    log_out,
    record_look,
    set_active,
    set_password,
)
from store.database import open_pool
from store.passwords import one_time_password

GOOD = "correct horse battery"
NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)


@pytest.fixture
async def conn(pool: AsyncConnectionPool[AsyncConnection]) -> AsyncIterator[AsyncConnection]:
    async with pool.connection() as connection:
        await connection.execute("TRUNCATE accounts, sessions, looks, login_failures CASCADE")
        for row in (
            "areas (code, name, name_en, level) VALUES ('320118000000', '区', 'District', 'district')",
            "units (code, name, name_en, area) VALUES ('fishery', '渔政', 'Fishery', '320118000000')",
        ):
            await connection.execute(f"INSERT INTO {row} ON CONFLICT DO NOTHING")
        await connection.commit()
        await connection.set_autocommit(True)
        yield connection
        await connection.set_autocommit(False)


@pytest.fixture
async def zhang(conn: AsyncConnection) -> Account:
    return await create_account(conn, name="zhang", display="张三", role="operator", password=GOOD)


async def refusal(*arguments: object, **more: object) -> LogInRefused:
    with pytest.raises(LogInRefused) as refused:
        await log_in(*arguments, **more)  # type: ignore[arg-type]
    return refused.value


async def test_log_in_gives_a_session_that_ends(conn: AsyncConnection, zhang: Account) -> None:
    token = await log_in(conn, "zhang", GOOD, hours=2, now=NOW)
    assert await account_of(conn, token, NOW + timedelta(hours=1.99)) == zhang
    assert await account_of(conn, token, NOW + timedelta(hours=2)) is None
    assert await account_of(conn, token + "x", NOW) is None
    assert await account_of(conn, "", NOW) is None
    await log_out(conn, token)
    assert await account_of(conn, token, NOW) is None
    assert (zhang.actor.name, zhang.actor.role) == ("zhang", "operator")


async def test_tokens_are_random_and_only_their_hash_is_stored(conn: AsyncConnection, zhang: Account) -> None:
    tokens = [await log_in(conn, "zhang", GOOD, now=NOW) for _ in range(3)]
    assert len(set(tokens)) == 3 and all(len(token) == 43 for token in tokens)  # 32 bytes in base64
    cursor = await conn.execute("SELECT token_hash FROM sessions")
    assert {row[0] for row in await cursor.fetchall()} == {hashlib.sha256(t.encode()).digest() for t in tokens}
    cursor = await conn.execute("SELECT password_hash FROM accounts")
    assert str(await cursor.fetchone()).startswith("('$argon2id$")


async def test_wrong_name_and_wrong_password_are_the_same_answer(conn: AsyncConnection, zhang: Account) -> None:
    first, second = await refusal(conn, "zhang", "wrong password"), await refusal(conn, "nobody", "wrong password")
    assert (first.code, first.zh, first.en) == (second.code, second.zh, second.en)
    await set_active(conn, zhang.id, False)
    third = await refusal(conn, "zhang", GOOD)
    assert third.en == first.en
    for odd in ("", "zh\x00ang", "\ud800", "x" * 5000):
        assert (await refusal(conn, odd, odd)).code == "wrong_password"


async def test_an_unknown_name_costs_the_same_work(conn: AsyncConnection, zhang: Account) -> None:
    async def cost(name: str) -> float:
        await conn.execute("TRUNCATE login_failures")
        began = time.perf_counter()
        await refusal(conn, name, "wrong password")
        return time.perf_counter() - began

    await cost("warm-up")
    pairs = [(await cost("zhang"), await cost("nobody")) for _ in range(5)]
    known, unknown = zip(*pairs, strict=True)
    assert 0.4 < median(unknown) / median(known) < 2.5, "without the hash it would be far below a tenth"


async def test_hashing_leaves_the_event_loop_free(conn: AsyncConnection, zhang: Account) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    await log_in(conn, "zhang", GOOD, now=NOW)
    ticking.cancel()
    assert ticks > 5


async def test_a_one_time_password_is_good_for_exactly_one_log_in(database_url: str, conn: AsyncConnection) -> None:
    once = one_time_password()
    account = await create_account(conn, name="demo", display="演示", role="admin", password=once, one_time=True)
    assert account.one_time
    async with open_pool(database_url, min_size=5, max_size=5) as pool:

        async def enter() -> str | None:
            async with pool.connection() as own:
                try:
                    return await log_in(own, "demo", once, now=NOW)
                except LogInRefused as refused:
                    assert refused.code == "one_time_used"
                    return None

        tokens = [token for token in await asyncio.gather(*(enter() for _ in range(5))) if token]
    assert len(tokens) == 1
    session = await account_of(conn, tokens[0], NOW)
    assert session is not None and session.one_time
    await change_password(conn, session, once, GOOD, keep=tokens[0])
    changed = await account_of(conn, tokens[0], NOW)
    assert changed is not None and not changed.one_time
    assert (await refusal(conn, "demo", once)).code == "wrong_password"
    assert await log_in(conn, "demo", GOOD, now=NOW)
    assert await log_in(conn, "demo", GOOD, now=NOW), "an ordinary password may be used again and again"


async def test_a_new_one_time_password_works_again(conn: AsyncConnection) -> None:
    once = one_time_password()
    account = await create_account(conn, name="demo", display="演示", role="admin", password=once, one_time=True)
    await log_in(conn, "demo", once, now=NOW)
    again = one_time_password()
    await set_password(conn, account.id, again, one_time=True)
    assert (await refusal(conn, "demo", once)).code == "wrong_password"
    assert await log_in(conn, "demo", again, now=NOW)
    assert (await refusal(conn, "demo", again)).code == "one_time_used"


async def test_a_change_of_password_ends_the_other_sessions(conn: AsyncConnection, zhang: Account) -> None:
    mine, other = [await log_in(conn, "zhang", GOOD, now=NOW) for _ in range(2)]
    with pytest.raises(LogInRefused):
        await change_password(conn, zhang, "not the old one", "a brand new one")
    with pytest.raises(Refused, match="differ"):
        await change_password(conn, zhang, GOOD, GOOD)
    await change_password(conn, zhang, GOOD, "a brand new one", keep=mine)
    assert await account_of(conn, mine, NOW) == zhang
    assert await account_of(conn, other, NOW) is None
    await set_password(conn, zhang.id, "given by an admin")
    assert await account_of(conn, mine, NOW) is None


async def test_shutting_out_ends_the_sessions(conn: AsyncConnection, zhang: Account) -> None:
    token = await log_in(conn, "zhang", GOOD, now=NOW)
    await set_active(conn, zhang.id, False)
    assert await account_of(conn, token, NOW) is None
    await set_active(conn, zhang.id, True)
    assert await account_of(conn, token, NOW) is None
    assert (await get_account(conn, "zhang")) == zhang == (await list_accounts(conn))[0]


@pytest.mark.parametrize("name", ["zhang", "nobody"])
async def test_repeated_failures_of_a_name_have_to_wait(conn: AsyncConnection, zhang: Account, name: str) -> None:
    for failed in range(1, 3):
        assert (await refusal(conn, name, "wrong password", now=NOW)).code == "wrong_password"
        assert await (await conn.execute("SELECT failures FROM login_failures")).fetchone() == (failed,)
    await conn.execute("UPDATE login_failures SET failures = %s", (accounts.FREE_TRIES - 1,))  # hashing is dear
    assert (await refusal(conn, name, "wrong password", now=NOW)).code == "wrong_password"
    waiting = await refusal(conn, name, GOOD, now=NOW)
    assert (waiting.code, waiting.wait) == ("too_many_tries", 1.0)
    assert "1 秒" in waiting.zh and "wait 1 s" in waiting.en
    assert (await refusal(conn, name, "wrong password", now=NOW + timedelta(seconds=1))).code == "wrong_password"
    later = await refusal(conn, name, GOOD, now=NOW + timedelta(seconds=2))
    assert (later.code, later.wait) == ("too_many_tries", 1.0)  # 2 s from the last failure, one of them gone
    assert (await refusal(conn, "somebody-else", "x", now=NOW)).code == "wrong_password"


async def test_waiting_has_a_longest_and_success_and_time_forget_the_failures(
    conn: AsyncConnection, zhang: Account
) -> None:
    await conn.execute("INSERT INTO login_failures VALUES ('zhang', 100000, %s)", (NOW,))
    waiting = await refusal(conn, "zhang", GOOD, now=NOW + timedelta(seconds=0.5))
    assert waiting.code == "too_many_tries" and waiting.wait == accounts.LONGEST_WAIT - 0.5
    assert await log_in(conn, "zhang", GOOD, now=NOW + timedelta(seconds=60))
    assert await (await conn.execute("SELECT count(*) FROM login_failures")).fetchone() == (0,)
    await conn.execute("INSERT INTO login_failures SELECT 'name' || n, 1, %s FROM generate_series(1, 50) n", (NOW,))
    await refusal(conn, "x", "wrong password", now=NOW + timedelta(hours=2))
    assert await (await conn.execute("SELECT count(*) FROM login_failures")).fetchone() == (1,), "invented names go"


async def test_many_tries_at_once_are_no_way_around(database_url: str, conn: AsyncConnection, zhang: Account) -> None:
    await conn.execute("INSERT INTO login_failures VALUES ('zhang', %s, %s)", (accounts.FREE_TRIES - 3, NOW))
    async with open_pool(database_url, min_size=8, max_size=8) as pool:

        async def attempt() -> str:
            async with pool.connection() as own:
                return (await refusal(own, "zhang", "wrong password", now=NOW)).code

        codes = await asyncio.gather(*(attempt() for _ in range(25)))
    assert codes.count("wrong_password") == 3


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"name": "zhang"}, "taken"),
        ({"name": ""}, "wrong_value"),
        ({"name": "a b"}, "wrong_value"),
        ({"name": "a\x00b"}, "wrong_value"),
        ({"name": "x" * 61}, "wrong_value"),
        ({"role": "system"}, "wrong_value"),
        ({"role": "king"}, "wrong_value"),
        ({"role": "unit"}, "missing"),
        ({"password": "short"}, "weak_password"),
        ({"password": "x" * 1001}, "weak_password"),
        ({"name": "operator1", "password": "operator123"}, "weak_password"),
    ],
)
async def test_a_wrong_account_is_refused(
    conn: AsyncConnection, zhang: Account, changed: dict[str, str], code: str
) -> None:
    given = {"name": "li", "display": "李四", "role": "operator", "password": GOOD, **changed}
    with pytest.raises(Refused) as refused:
        await create_account(conn, **given)  # type: ignore[arg-type]
    assert refused.value.code == code and refused.value.zh and refused.value.en.isascii()
    assert len(await list_accounts(conn)) == 1


async def test_an_account_of_a_unit_acts_for_it(conn: AsyncConnection) -> None:
    account = await create_account(conn, name="li", display="李四", role="unit", password=GOOD, unit="fishery")
    assert account.actor.unit == "fishery"


async def test_each_look_at_a_track_is_kept(conn: AsyncConnection, zhang: Account) -> None:
    await record_look(conn, zhang.id, 7, NOW - timedelta(hours=1), NOW)
    cursor = await conn.execute("SELECT account, device, since, until FROM looks")
    assert await cursor.fetchall() == [(zhang.id, 7, NOW - timedelta(hours=1), NOW)]


def test_one_time_passwords_are_long_readable_and_different() -> None:
    made = {one_time_password() for _ in range(200)}
    assert len(made) == 200
    assert all(len(p) == 19 and not set(p) & set("lo01") for p in made)
