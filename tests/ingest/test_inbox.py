"""What waits: in order, in portions, counted by its bytes; and what is forgotten when a connection is a new one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.inbox import Inbox
from ingest.messages import Message, Messages

messages = st.builds(
    Message,
    topic=st.text("ab/", min_size=1, max_size=5),
    payload=st.binary(max_size=12),
    received=st.just(1),
    mid=st.integers(1, 9),
    connection=st.integers(1, 3),
    qos=st.integers(0, 1),
    dup=st.just(False),
    retained=st.just(False),
    skipped=st.just(0),
)
reads = st.lists(st.lists(messages, min_size=1, max_size=6), max_size=6)


def filled(parts: list[list[Message]], most: int = 1 << 20) -> tuple[Inbox, list[int]]:
    """An inbox, and a list that grows whenever it says that there is room again."""
    told: list[int] = []
    inbox = Inbox(most, lambda: told.append(1))
    for part in parts:
        inbox.add(Messages.of(part))
    return inbox, told


@given(reads, st.lists(st.tuples(st.integers(1, 9), st.integers(1, 40)), max_size=9))
def test_portions(parts: list[list[Message]], portions: list[tuple[int, int]]) -> None:
    inbox, _ = filled(parts)
    left = [message for part in parts for message in part]
    for limit, most_bytes in portions:
        taken = list(inbox.take(limit, most_bytes))
        assert taken == left[: len(taken)]
        left = left[len(taken) :]
        sizes = [len(message.payload) for message in taken]
        assert len(taken) <= limit
        assert sum(sizes[:-1]) < most_bytes, "the last one reaches it"
        assert not left or len(taken) == limit or sum(sizes) >= most_bytes
        assert (len(inbox), inbox.payload) == (len(left), sum(len(message.payload) for message in left))
        assert inbox.arrived.is_set() == bool(left)


@given(reads, st.integers(1, 4))
def test_forgetting(parts: list[list[Message]], connection: int) -> None:
    inbox, _ = filled(parts)
    inbox.forget_before(connection)
    kept = [m for part in parts for m in part if not m.qos or m.connection >= connection]
    assert (len(inbox), inbox.payload) == (len(kept), sum(len(message.payload) for message in kept))
    assert list(inbox.take(1000, 1 << 20)) == kept
    assert inbox.room == 1 << 20


def test_room_is_told_of_once_it_is_there() -> None:
    message = Message("t", bytes(999), 1, 1, 1, 1)
    inbox, told = filled([[message] * 3], most=2_500)
    assert inbox.room < 0
    inbox.take(1, 1 << 20)
    assert (inbox.room <= 0, told) == (True, [])
    inbox.take(1, 1 << 20)
    assert (inbox.room > 0, told) == (True, [1])
