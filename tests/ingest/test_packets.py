"""The parser against any packets, cut anywhere, and against any bytes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest import packets
from ingest.messages import Message
from ingest.packets import Control, Parser

MOST = 3_000  # bytes of a PUBLISH that is kept, in these tests

topics = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=80)
publishes = st.builds(
    packets.publish,
    topics,
    st.binary(max_size=60) | st.integers(0, 9_000).map(lambda size: b"x" * size),
    st.integers(0, 65_535),
    dup=st.booleans(),
    retain=st.booleans(),
)
controls = st.sampled_from(
    [b"\x20\x02\x00\x00", b"\x20\x02\x01\x00", b"\x20\x02\x00\x05", b"\xd0\x00", b"\x90\x04\x00\x01\x01\x80",
     b"\xb0\x02\x00\x01", b"\x40\x02\x00\x07", b"\x90\x81\x01" + b"\0\1" + b"\1" * 127]
)  # fmt: skip
plain = st.builds(
    packets.publish,
    st.sampled_from(["pg/v1/a/T1/fix", "pg/v1/a/T2/fix", "x", ""]),
    st.binary(max_size=8) | st.just(b"y" * 150),
    st.integers(1, 65_535),
    dup=st.booleans(),
)
broken = st.sampled_from(
    [b"\x32\x00", b"\x32\x03\x00\x01a", b"\x32\x05\x00\x01a\x00\x00", b"\x32\x85\x00\x00\x01a\x00\x01"]
)
runs = st.lists(plain, min_size=8, max_size=40).map(b"".join)
streams = st.lists(publishes | controls | runs, max_size=12).map(b"".join)


def parsed(pieces: Sequence[bytes]) -> tuple[list[Message], list[Control], str]:
    """All packets of a stream that came in pieces, and what was wrong with it."""
    parser = Parser(MOST, connection=3)
    messages, others = [], []
    for piece in pieces:
        more, control = parser.feed(piece, 9)
        assert more.payloads == [m.payload for m in more]
        for topic, size in zip(more.topics, more.facts["topic_bytes"].tolist(), strict=True):
            assert size == len(topic.encode()) or "\\x" in topic  # no text: named by more bytes than it had
        messages += more
        others += control
    return messages, others, str(parser.broken)


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    """The stream in pieces that begin at these places."""
    begins = sorted({0, *(p % (len(stream) + 1) for p in places)})
    return [stream[a:b] for a, b in zip(begins, [*begins[1:], len(stream)], strict=True)]


@given(streams, st.lists(st.integers(0, 1 << 20), max_size=8))
def test_a_stream_gives_the_same_packets_however_it_is_cut(stream: bytes, places: list[int]) -> None:
    whole = parsed([stream])
    assert whole[2] == "None"
    assert parsed(cut(stream, places)) == whole


@given(runs, broken, runs)
def test_a_run_is_taken_up_to_what_is_wrong_in_it(before: bytes, bad: bytes, after: bytes) -> None:
    whole, one_by_one = parsed([before + bad + after]), parsed([bytes((byte,)) for byte in before + bad + after])
    assert whole == one_by_one
    assert len(whole[0]) >= 8


@settings(max_examples=30)
@given(st.lists(publishes | controls, max_size=4).map(b"".join))
def test_byte_by_byte(stream: bytes) -> None:
    assert parsed([bytes((byte,)) for byte in stream]) == parsed([stream])


@given(topics, st.binary(max_size=400), st.integers(0, 65_535), st.booleans(), st.booleans())
def test_a_publish_comes_out_as_it_went_in(topic: str, payload: bytes, mid: int, dup: bool, retain: bool) -> None:
    (message,), others, wrong = parsed([packets.publish(topic, payload, mid, dup=dup, retain=retain)])
    assert message == Message(topic, payload, 9, mid, 3, int(mid > 0), dup, retain)
    assert (others, wrong) == ([], "None")


@pytest.mark.parametrize("size", [0, 1, 120, 121, 122, 127, 128, 16_376, 16_377, 16_378, 2_097_144, 2_097_146, 3 << 20])
def test_lengths_of_one_to_four_bytes(size: int) -> None:
    after = packets.publish("a", b"after", 2)
    messages, _ = Parser(1 << 28).feed(packets.publish("a/b", b"p" * size, 1) + after)
    assert [(m.topic, len(m.payload), m.mid) for m in messages] == [("a/b", size, 1), ("a", 5, 2)]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4))
@example(b"\x32\xff\xff\xff\xff\x01", [3])
@example(b"\x30\x00", [])
def test_any_bytes_are_parsed_or_refused_and_cuts_do_not_matter(data: bytes, places: list[int]) -> None:
    messages, others, wrong = parsed([data])
    again = parsed(cut(data, places))
    assert again == (messages, others, wrong)
    # Every packet has two bytes at least, so nothing is made of nothing.
    assert len(messages) + len(others) <= len(data) // 2


@given(streams, st.integers(0, 1 << 20), st.integers(1, 255))
def test_a_flipped_byte_never_raises(stream: bytes, place: int, flip: int) -> None:
    if stream:
        broken = bytearray(stream)
        broken[place % len(stream)] ^= flip
        parsed([bytes(broken), b"\x30\x03\x00\x01a"])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x32\xff\xff\xff\xff\x01", "more than four bytes"),
        (b"\x30\x01\x00", "cut short"),
        (b"\x32\x04\x00\x01a\x00", "cut short"),
        (b"\x34\x05\x00\x01a\x00\x01", "not at QoS 0 or 1"),
        (b"\x36\x05\x00\x01a\x00\x01", "not at QoS 0 or 1"),
        (b"\x32\x05\x00\x01a\x00\x00", "packet id 0"),
        (b"\x10\x00", "no broker sends"),
        (b"HTTP/1.1 400 Bad Request", "no broker sends"),
        (b"\xd0\x01\x00", "no broker sends"),
        (b"\xd1\x00", "no broker sends"),
        (b"\x90\x02\x00\x01", "no broker sends"),
        (b"\x90\xff\xff\x7f", "no broker sends"),
        (b"\x36\xff\xff\x7f\x00\x01a\x00\x01", "not at QoS 0 or 1"),
        (b"\x32\xb9\x17\xff\xff", "cut short"),  # an oversized one whose topic is longer than itself
    ],
)
def test_what_no_broker_may_send_breaks_the_stream_but_not_what_came_before(data: bytes, says: str) -> None:
    parser = Parser(MOST)
    messages, _ = parser.feed(packets.publish("a", b"before", 5) + data)
    assert [m.payload for m in messages] == [b"before"]
    assert says in str(parser.broken)
    assert [len(part) for part in parser.feed(packets.publish("a", b"after", 6))] == [0, 0]


def test_an_oversized_publish_is_skipped_without_being_held() -> None:
    size, piece = 200 << 20, bytes(1 << 16)
    head = packets.publish("pg/v1/a/b/fix", b"", 7)
    body = len(head) - 2 + size
    length = bytes((body & 127 | 128, body >> 7 & 127 | 128, body >> 14 & 127 | 128, body >> 21))
    parser = Parser(MOST)
    tracemalloc.start()
    messages, _ = parser.feed(head[:1] + length + head[2:] + piece)
    assert len(messages.data) < 100
    for _ in range(size // len(piece) - 1):
        assert [len(part) for part in parser.feed(piece)] == [0, 0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(messages) == [Message("pg/v1/a/b/fix", b"", 0, 7, 0, 1, False, False, size)]
    assert peak < 1 << 20
    assert [m.payload for m in parser.feed(packets.publish("a", b"after", 8))[0]] == [b"after"]


def test_a_long_packet_in_small_pieces_is_joined_once() -> None:
    stream = packets.publish("a", bytes(1 << 20), 1)
    parser = Parser(2 << 20)
    messages = [m for at in range(0, len(stream), 512) for m in parser.feed(stream[at : at + 512])[0]]
    assert [len(m.payload) for m in messages] == [1 << 20]


def test_a_topic_that_is_no_text_is_still_named() -> None:
    (message,), _, _ = parsed([b"\x30\x04\x00\x02a\xff"])
    assert message.topic == "a\\xff"


@given(st.lists(st.integers(1, 65_535), max_size=20))
def test_pubacks_are_four_bytes_each(mids: list[int]) -> None:
    assert packets.pubacks(mids) == b"".join(b"\x40\x02" + mid.to_bytes(2, "big") for mid in mids)
    _, others, _ = parsed([packets.pubacks(mids)])
    assert others == [Control(packets.PUBACK, mid.to_bytes(2, "big")) for mid in mids]


def test_connect_and_subscribe_are_as_the_standard_has_them() -> None:
    assert packets.connect("id", None, None, 30) == b"\x10\x0e\x00\x04MQTT\x04\x00\x00\x1e\x00\x02id"
    assert (
        packets.connect("id", "u", "p", 30, clean=True)
        == b"\x10\x14\x00\x04MQTT\x04\xc2\x00\x1e\x00\x02id\x00\x01u\x00\x01p"
    )
    assert packets.subscribe(1, ["a/+", "b"]) == b"\x82\x0c\x00\x01\x00\x03a/+\x01\x00\x01b\x01"
    with pytest.raises(ValueError, match="at most 65,535"):
        packets.connect("x" * 65_536, None, None, 30)
