"""What a session keeps of what came, without a socket."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from benchmarks.fuzz_session import Wire
from ingest import packets
from ingest import session as session_module
from ingest.inbox import Inbox
from ingest.session import Session


async def come(session: Session, wire: Wire, data: bytes) -> None:
    session.get_buffer(-1)[: len(data)] = data
    session.buffer_updated(len(data))
    while not wire.reading:
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "COALESCE", 0.0)
    monkeypatch.setattr(session_module, "BUSY_COALESCE", 0.0)


async def test_what_comes_again_and_again_while_the_database_is_away_is_not_kept() -> None:
    inbox, wire = Inbox(1 << 20, lambda: None), Wire()
    session = Session(inbox, 1)
    session.connection_made(wire)
    first, again = (b"".join(packets.publish("a/b", b"x", mid, dup=dup) for mid in (1, 2)) for dup in (False, True))
    await come(session, wire, first)
    await come(session, wire, again)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(500):
        await come(session, wire, again)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(inbox) == 2
    assert after - before < 20_000
    session.abort("done")


async def test_of_too_long_ones_with_one_id_the_length_tells_which_came_again() -> None:
    inbox, wire = Inbox(1 << 20, lambda: None), Wire()
    session = Session(inbox, 1, 10)
    session.connection_made(wire)
    for size, dup in ((20, False), (20, True), (30, True), (30, True)):
        await come(session, wire, packets.publish("a/b", bytes(size), 1, dup=dup))
    assert [message.skipped for message in inbox.take(9, 1 << 20)] == [20, 30]
    session.abort("done")
