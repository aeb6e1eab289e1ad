"""Rejects: kept once, counted when sent again, listed by the last seen."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from devices.readings import SECOND
from devices.site import moment
from store.rejects import (
    PAYLOAD_KEPT,
    PAYLOAD_LISTED,
    Reject,
    StoredReject,
    get_reject,
    list_rejects,
    mark_replayed,
    write_rejects,
)

T0 = 1_732_230_000 * SECOND


@pytest.fixture
async def conn(pool: AsyncConnectionPool) -> AsyncIterator[AsyncConnection]:
    """A connection on empty tables; everything is rolled back."""
    async with pool.connection() as connection, connection.transaction(force_rollback=True):
        yield connection


def bad(payload: bytes = b"garbage", *, seconds: int = 0, repeat: bool = False, reason: str = "not_json") -> Reject:
    return Reject("pg/v1/a/T-1/fix", payload, T0 + seconds * SECOND, reason, "why", repeat)


async def the_only(conn: AsyncConnection) -> StoredReject:
    (reject,) = await list_rejects(conn)
    return reject


async def test_a_reject_is_kept_whole(conn: AsyncConnection) -> None:
    await write_rejects(conn, [bad(b"\x00\xff\xfe")])
    reject = await the_only(conn)
    assert reject[1:] == ("pg/v1/a/T-1/fix", b"\x00\xff\xfe", "not_json", "why", moment(T0), moment(T0), 1, None)
    assert await get_reject(conn, reject.id) == reject
    assert await get_reject(conn, reject.id + 1) is None


async def test_sent_again_is_counted_and_delivered_again_is_not(conn: AsyncConnection) -> None:
    await write_rejects(conn, [bad()])
    await write_rejects(conn, [bad(seconds=5, repeat=True), bad(seconds=6, repeat=True)])
    assert (await the_only(conn))[5:8] == (moment(T0), moment(T0), 1)
    await write_rejects(conn, [bad(seconds=7), bad(seconds=9), bad(seconds=8, repeat=True)])
    assert (await the_only(conn))[5:8] == (moment(T0), moment(T0 + 9 * SECOND), 3)


async def test_the_first_that_is_seen_may_be_a_redelivery(conn: AsyncConnection) -> None:
    await write_rejects(conn, [bad(repeat=True), bad(repeat=True)])
    assert (await the_only(conn)).times in (1, 2)
    await write_rejects(conn, [bad(repeat=True)])
    assert (await the_only(conn)).last_seen == moment(T0)


async def test_topic_payload_and_reason_tell_rejects_apart(conn: AsyncConnection) -> None:
    moved = [Reject("a", b"bc", T0, "x"), Reject("ab", b"c", T0, "x"), Reject("a", b"b", T0, "cx")]
    await write_rejects(conn, moved)
    assert len(await list_rejects(conn)) == 3


async def test_what_postgresql_cannot_hold_is_written_out(conn: AsyncConnection) -> None:
    await write_rejects(conn, [Reject("pg/\0/\ud800", b"", T0, "unknown_topic", "\0" * 700)])
    reject = await the_only(conn)
    assert reject.topic == "pg/\\x00/\\ud800"
    assert len(reject.detail) == 500


async def test_a_huge_payload_is_kept_in_part(conn: AsyncConnection) -> None:
    first, second = (b"x" * PAYLOAD_KEPT + end for end in (b"1", b"2"))
    await write_rejects(conn, [bad(first, reason="too_large"), bad(second, reason="too_large")])
    listed = await list_rejects(conn)
    assert [len(r.payload) for r in listed] == [PAYLOAD_LISTED] * 2
    whole = await get_reject(conn, listed[0].id)
    assert whole is not None
    assert len(whole.payload) == PAYLOAD_KEPT
    assert "the first 1048576 of 1048577 bytes" in whole.detail


async def test_listing_in_pages(conn: AsyncConnection) -> None:
    await write_rejects(conn, [bad(b"%d" % i, seconds=i % 3) for i in range(7)])
    pages, before = [], None
    while page := await list_rejects(conn, 3, before):
        pages.append([r.payload for r in page])
        before = page[-1].id
    assert [len(p) for p in pages] == [3, 3, 1]
    assert len({p for page in pages for p in page}) == 7
    assert set(pages[0][:2]) == {b"2", b"5"}


async def test_replayed_and_refused_again(conn: AsyncConnection) -> None:
    await write_rejects(conn, [bad()])
    reject = await the_only(conn)
    assert await mark_replayed(conn, [reject.id, reject.id + 1]) == 1
    assert (await the_only(conn)).replayed_at is not None
    await write_rejects(conn, [bad(seconds=1)])
    assert (await the_only(conn)).replayed_at is None
