"""The outbox: in order, nothing lost, and arrays while the broker is away."""

from __future__ import annotations

from collections import defaultdict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.outbox import LARGEST, Outbox, folded
from simulators.wire import Message

LEAVES = st.sampled_from(["fix", "sample", "sighting", "sos", "command/ack", "status"])


@st.composite
def streams(draw: st.DrawFn) -> list[Message]:
    """Messages of some devices, each object with a number of its own; now and then an array."""
    messages, number = [], 0
    for at, (device, leaf, size) in enumerate(
        draw(st.lists(st.tuples(st.sampled_from("ab"), LEAVES, st.integers(1, 3)), max_size=40))
    ):
        objects = [{"n": number + i, "text": "],[{}"} for i in range(size)]
        number += size
        single = leaf in ("sos", "command/ack", "status") or size == 1
        payload = msgspec.json.encode(objects[0] if single else objects)
        messages.append(Message(at, f"pg/v1/1/{device}/{leaf}", payload, leaf == "status"))
    return messages


def _objects(messages: list[Message]) -> dict[str, list[object]]:
    found = defaultdict(list)
    for message in messages:
        content = msgspec.json.decode(message.payload)
        found[message.topic] += content if isinstance(content, list) else [content]
    return found


@given(streams())
def test_folding_keeps_every_reading_in_its_topics_order(messages: list[Message]) -> None:
    before, after = _objects(messages), _objects(folded(messages))
    for topic, objects in before.items():
        assert after[topic] == (objects[-1:] if topic.endswith("status") else objects)
    assert before.keys() == after.keys()
    counts = defaultdict(int)
    for message in folded(messages):
        counts[message.topic] += 1
    assert all(n == 1 for topic, n in counts.items() if not topic.endswith(("sos", "ack")))
    assert folded(folded(messages)) == folded(messages)


def test_arrays_are_limited() -> None:
    payload = b'{"t":1,"x":"' + b"y" * 988 + b'"}'
    many = [Message(i, "pg/v1/1/a/fix", payload) for i in range(200)]
    arrays = folded(many)
    assert 3 < len(arrays) < 6
    assert all(len(m.payload) <= LARGEST for m in arrays)
    assert sum(len(msgspec.json.decode(m.payload)) for m in arrays) == 200


def test_a_status_is_not_sent_again_after_a_later_one() -> None:
    outbox = Outbox()
    first, later = (Message(i, "pg/v1/1/a/status", b'{"n":%d}' % i, True) for i in range(2))
    other = Message(2, "pg/v1/1/b/status", b'{"n":2}', True)
    outbox.put([first, later, other])
    taken = [outbox.take() for _ in range(3)]
    outbox.acknowledged(taken[1][0])
    outbox.lost()
    assert [outbox.take()[1] for _ in range(outbox.waiting)] == [other]
    assert len(outbox) == 1


@given(streams(), st.data())
def test_whatever_is_acknowledged_or_lost_each_message_arrives(messages: list[Message], data: st.DataObject) -> None:
    outbox, arrived = Outbox(), []
    for message in messages:
        outbox.put([message])
        if data.draw(st.booleans()) and outbox.waiting:
            number, taken = outbox.take()
            fate = data.draw(st.sampled_from(["acknowledged", "lost", "flying"]))
            if fate == "acknowledged":
                outbox.acknowledged(number)
                arrived.append(taken)
            elif fate == "lost":
                outbox.lost()
        elif data.draw(st.booleans()):
            outbox.store()
    outbox.lost()
    while outbox.waiting:
        number, taken = outbox.take()
        outbox.acknowledged(number)
        arrived.append(taken)
    assert len(outbox) == 0
    for topic, objects in _objects(messages).items():
        if topic.endswith("status"):
            assert _objects(arrived)[topic][-1] == objects[-1]
        else:
            assert sorted(map(str, _objects(arrived)[topic])) == sorted(map(str, objects))


def test_what_was_in_flight_goes_first_again_and_in_order() -> None:
    outbox = Outbox()
    outbox.put(Message(i, f"pg/v1/1/d{i}/sos", b"{}") for i in range(5))
    numbers = [outbox.take()[0] for _ in range(3)]
    outbox.acknowledged(numbers[1])
    outbox.lost()
    assert [outbox.take()[1].at for _ in range(outbox.waiting)] == [0, 2, 3, 4]
    with pytest.raises(IndexError):
        outbox.take()


def test_storing_often_stays_cheap() -> None:
    outbox = Outbox()
    for i in range(20_000):
        outbox.put([Message(i, f"pg/v1/1/d{i % 40}/fix", b'{"t":1}')])
        outbox.store()
    assert outbox.waiting <= 160
    assert sum(len(o) for o in _objects([outbox.take()[1] for _ in range(outbox.waiting)]).values()) == 20_000
