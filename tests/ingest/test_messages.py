"""Messages as columns are the messages they were made of, however they are joined, cut and chosen from."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.messages import Message, Messages

messages = st.builds(
    Message,
    topic=st.text(st.characters(codec="utf-8"), max_size=9),
    payload=st.binary(max_size=9),
    received=st.integers(0, 1 << 60),
    mid=st.integers(0, 65_535),
    connection=st.integers(0, 99),
    qos=st.integers(0, 1),
    dup=st.booleans(),
    retained=st.booleans(),
    skipped=st.integers(0, 1 << 28),
)
batches = st.lists(messages, max_size=6)


@given(st.lists(batches, max_size=5))
def test_joined(parts: list[list[Message]]) -> None:
    whole = [message for part in parts for message in part]
    joined = Messages.joined([Messages.of(part) for part in parts])
    assert list(joined) == whole
    assert joined.topics == [message.topic for message in whole]
    assert joined.payloads == [message.payload for message in whole]
    assert joined.payload_bytes == sum(len(message.payload) for message in whole)
    assert joined.topic_bytes == sum(len(message.topic.encode()) for message in whole)
    assert joined.retained.tolist() == [message.retained for message in whole]


@given(batches, batches, st.integers(0, 12), st.integers(0, 12), st.data())
def test_cut_and_chosen(first: list[Message], second: list[Message], begin: int, end: int, data: st.DataObject) -> None:
    whole = [*first, *second][begin:end]
    part = Messages.joined([Messages.of(first), Messages.of(second)])[begin:end]
    assert list(part) == whole
    which = data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole)))
    chosen = part.chosen(np.array(which, bool))
    wanted = [message for message, taken in zip(whole, which, strict=True) if taken]
    assert list(chosen) == wanted
    assert len(chosen.data) == chosen.topic_bytes + chosen.payload_bytes, "nothing else is kept for them"
    assert list(Messages.joined([chosen, part])) == wanted + whole
