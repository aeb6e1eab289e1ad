"""The whole way out: outbox, sender and a real HTTP receiver that refuses, is slow, goes away and comes back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.channels.apprise_channel import AppriseChannel
from alerts.notice import Channel, Notice, both
from server.deliver import deliver
from store.contacts import save_contacts
from store.notices import enqueue, enqueue_to_unit
from store.outbox import due_notices

Pool = AsyncConnectionPool[AsyncConnection]
EMPTY = dict.fromkeys(("to", "address", "name", "severity", "kinds", "quiet", "digest"), "")


class Receiver:
    """An HTTP server on a port that stays the same when it goes away and comes back."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.status, self.delay, self.port = 200, 0.0, 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._answer(reader, writer)
        finally:
            self._serving.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        status = self.status
        await asyncio.sleep(self.delay)
        if status < 300:
            self.got.append(body["title"])
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()

    def address(self, path: str = "hook") -> str:
        return f"json://127.0.0.1:{self.port}/{path}"


class Orders:
    """The channel of terminals: takes at once."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, float]] = []

    async def send(self, notice: Notice) -> None:
        self.sent.append((notice.target, time.perf_counter()))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.up()
    yield made
    await made.down()


@pytest.fixture
async def contacts(pool: Pool) -> Callable[..., Awaitable[None]]:
    """An empty outbox, and contacts by line."""

    async def save(*lines: dict[str, str]) -> None:
        async with pool.connection() as conn:
            await save_contacts(conn, [{**EMPTY, **line} for line in lines])

    async with pool.connection() as conn:
        await conn.execute("TRUNCATE notices, contact_failures, contacts CASCADE")
    return save


@pytest.fixture
async def tell(pool: Pool) -> Callable[..., Awaitable[None]]:
    async def put(to: str, *marks: str) -> None:
        async with pool.connection() as conn:
            for mark in marks:
                body = both((mark, "文"), (mark, "x"))
                await enqueue_to_unit(conn, to, reason="r", body=body, dedupe=f"{to} {mark}", case_id=None)

    return put


@asynccontextmanager
async def delivering(pool: Pool, **more: Channel) -> AsyncIterator[asyncio.Task[None]]:
    channels: dict[str, Channel] = {"apprise": AppriseChannel(5.0), **more}
    task = asyncio.create_task(deliver(pool, channels, every=0.05))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def until(found: Callable[[], Awaitable[bool]], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not await found():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.05)


async def rows(pool: Pool, columns: str) -> list[Any]:
    async with pool.connection() as conn:
        return await (await conn.execute(f"SELECT {columns} FROM notices ORDER BY id")).fetchall()


async def hurry(pool: Pool) -> None:
    """Let pauses after failures be over; leases stay."""
    async with pool.connection() as conn:
        await conn.execute("UPDATE notices SET next_try = now() WHERE error <> '' AND sent_at IS NULL")


async def test_a_service_that_is_away_gets_everything_once_when_it_is_back(
    pool: Pool, receiver: Receiver, contacts: Any, tell: Any
) -> None:
    await contacts({"to": "@a", "address": receiver.address()})
    await receiver.down()
    await tell("@a", *"12345")
    async with delivering(pool):

        async def refused() -> bool:
            return all(attempts and error for attempts, error in await rows(pool, "attempts, error"))

        await until(refused)
        await receiver.up()

        async def sent() -> bool:
            await hurry(pool)
            return all(at for (at,) in await rows(pool, "sent_at"))

        await until(sent)
        await asyncio.sleep(0.3)
    assert sorted(receiver.got) == [f"{n} / {n}" for n in "12345"]


async def test_an_error_of_the_service_is_tried_again_and_a_refusal_is_not(
    pool: Pool, receiver: Receiver, contacts: Any, tell: Any
) -> None:
    await contacts({"to": "@a", "address": receiver.address()})
    receiver.status = 503
    await tell("@a", "1")
    async with delivering(pool):

        async def tried() -> bool:
            return "503" in (await rows(pool, "error"))[0][0]

        await until(tried)
        receiver.status = 200
        await hurry(pool)

        async def sent() -> bool:
            return (await rows(pool, "sent_at"))[0][0] is not None

        await until(sent)
        receiver.status = 410
        await tell("@a", "2")

        async def ended() -> bool:
            return (await rows(pool, "failed_at"))[1][0] is not None

        await until(ended)
    assert receiver.got == ["1 / 1"]
    assert [attempts for (attempts,) in await rows(pool, "attempts")] == [2, 1]


async def test_four_senders_send_each_once_and_each_contact_in_order(
    pool: Pool, receiver: Receiver, contacts: Any, tell: Any
) -> None:
    await contacts(*({"to": f"@{n}", "address": receiver.address(f"{n}"), "digest": "-"} for n in range(6)))
    marks = [f"{n:02}" for n in range(12)]
    for n in range(6):
        await tell(f"@{n}", *(f"{n}-{mark}" for mark in marks))
    async with delivering(pool), delivering(pool), delivering(pool), delivering(pool):

        async def sent() -> bool:
            return all(at for (at,) in await rows(pool, "sent_at"))

        await until(sent, 40)
    assert len(receiver.got) == len(set(receiver.got)) == 72


async def test_a_slow_service_holds_up_neither_orders_nor_others(
    pool: Pool, receiver: Receiver, contacts: Any, tell: Any
) -> None:
    slow = Receiver()
    await slow.up()
    slow.delay = 3.0
    await contacts({"to": "@slow", "address": slow.address()}, {"to": "@quick", "address": receiver.address()})
    await tell("@slow", *"123456789")
    orders = Orders()
    async with delivering(pool, terminal=orders):

        async def busy() -> bool:
            return (await rows(pool, "attempts"))[0][0] > 0

        await until(busy)
        began = time.perf_counter()
        await tell("@quick", "help")
        async with pool.connection() as conn:
            await enqueue(conn, channel="terminal", target="T1", reason="r", body={}, dedupe="order")

        async def both_sent() -> bool:
            return bool(receiver.got and orders.sent)

        await until(both_sent)
        assert time.perf_counter() - began < 2.0
        assert slow.got == []
    await slow.down()


async def test_a_sender_that_is_stopped_marks_what_was_taken(
    pool: Pool, receiver: Receiver, contacts: Any, tell: Any
) -> None:
    await contacts({"to": "@a", "address": receiver.address()})
    receiver.delay = 1.0
    await tell("@a", "1")
    async with delivering(pool):

        async def busy() -> bool:
            return (await rows(pool, "attempts"))[0][0] > 0

        await until(busy)
    assert receiver.got == ["1 / 1"]
    assert (await rows(pool, "sent_at IS NOT NULL")) == [(True,)]


async def test_only_a_sender_that_dies_between_sending_and_marking_sends_twice(
    pool: Pool, receiver: Receiver, contacts: Any, tell: Any
) -> None:
    """The one window of "at least once": what was taken is not yet marked when the sender is gone."""
    await contacts({"to": "@a", "address": receiver.address()})
    await tell("@a", "1")
    async with pool.connection() as conn:
        (leased,) = await due_notices(conn, lease=0.5)
    await AppriseChannel().send(leased)  # and dies here
    async with delivering(pool):

        async def sent() -> bool:
            return (await rows(pool, "sent_at"))[0][0] is not None

        await until(sent)
    assert receiver.got == ["1 / 1", "1 / 1"]
    assert (await rows(pool, "attempts")) == [(2,)]


async def test_a_storm_arrives_as_one_message(pool: Pool, receiver: Receiver, contacts: Any, tell: Any) -> None:
    await contacts({"to": "@a", "address": receiver.address()})
    async with delivering(pool):
        await tell("@a", *(f"storm {n}" for n in range(60)))

        async def gathered() -> bool:
            async with pool.connection() as conn:
                await conn.execute("UPDATE notices SET next_try = now() WHERE gathers AND attempts = 0")
                cursor = await conn.execute("SELECT count(*) FROM notices WHERE NOT gathers AND sent_at IS NULL")
                return await cursor.fetchone() == (0,)

        await until(gathered)
    assert receiver.got == ["60 条通知合并 / 60 notices in one"]
