"""Fixes in bulk: what is taken is what the codec makes of each message, and nothing of one reaches into another."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devices.codec import Undecodable
from devices.codecs import fix_columns
from devices.codecs.fix_columns import plain_fixes
from devices.codecs.patrolgrid import PatrolGridCodec
from devices.readings import FIX, Fix, Rows, rows

CODEC = PatrolGridCodec()
NUMBERS = st.one_of(st.integers(-5, 400), st.floats(-1e3, 1e12), st.sampled_from([0, 360, 360.0, 1e300, -1e300]))
FIELDS = st.fixed_dictionaries(
    {
        "t": st.one_of(st.floats(1.7e9, 1.8e9), st.integers(0, 10**12), st.just("2026-11-22T08:00:00+08:00"), NUMBERS),
        "lon": NUMBERS,
        "lat": NUMBERS,
    },
    optional={
        "spd": st.one_of(st.none(), NUMBERS),
        "hdg": st.one_of(st.none(), NUMBERS),
        "acc": st.one_of(st.none(), NUMBERS),
        "bat": st.one_of(st.none(), NUMBERS),
        "crs": st.sampled_from(["wgs84", "gcj02", "bd09", "x"]),
        "sos": st.booleans(),
        "x": st.one_of(st.text(max_size=5), st.lists(st.integers(), max_size=2), st.dictionaries(st.text(), st.none())),
    },
)
PLAIN = b'{"t": 1732230000.123, "lon": 118.88, "lat": 31.47, "spd": 1.2, "hdg": 360, "acc": 4.5, "bat": 88}'
FRAGMENTS = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b'"', b"\\", b":", b"1", b'"t":1', b'"lon":1', b'"lat":1', b"null", b"\xff", b" "]
)
BROKEN = st.one_of(
    st.binary(max_size=12),
    st.lists(FRAGMENTS, max_size=12).map(b"".join),
    st.tuples(st.integers(0, len(PLAIN)), FRAGMENTS).map(lambda cut: PLAIN[: cut[0]] + cut[1] + PLAIN[cut[0] :]),
    st.integers(0, len(PLAIN)).map(lambda end: PLAIN[:end]),
)
PAYLOADS = st.lists(st.one_of(st.just(PLAIN), FIELDS.map(lambda f: json.dumps(f).encode()), BROKEN), max_size=25)


def by_codec(payload: bytes) -> Rows | None:
    """What the codec makes of one message; None when it refuses all or part of it."""
    try:
        readings = CODEC.decode("pg/v1/S/T1/fix", payload, 7)
    except Undecodable:
        return None
    assert all(isinstance(reading, Fix) for reading in readings)
    with np.errstate(over="ignore"):
        table: Any = [(1, *reading[1:]) for reading in readings]
        return rows(FIX, table)


def same(taken: Rows, wanted: Rows) -> None:
    for name in FIX.names or ():
        if name not in ("device", "received"):
            np.testing.assert_array_equal(taken[name], wanted[name], name)


def fixes_of(payloads: list[bytes]) -> tuple[Rows, Any]:
    """The payloads lie among other bytes, as in a stream."""
    size = np.array([len(payload) for payload in payloads], np.int32)
    begin = np.cumsum(size + 3) - size
    return plain_fixes(b"".join(b"2{\xff" + payload for payload in payloads), begin, size)


def taken_by(payloads: list[bytes]) -> set[int]:
    """Which payloads are taken, each with the fixes that the codec makes of it and in their order."""
    fixes, origin = fixes_of(payloads)
    assert len(fixes) == len(origin)
    assert (np.diff(origin) >= 0).all()
    for index in set(origin.tolist()):
        wanted = by_codec(payloads[index])
        assert wanted is not None, payloads[index]
        same(fixes[origin == index], wanted)
    return set(origin.tolist())


@given(PAYLOADS)
@settings(max_examples=400)
@example([b'{"t":1,"lon":1,"lat":1,"x":[0', b'{"a":1}]}', b'{"t":1,"lon":1,"lat":1},{"t":2,"lon":2,"lat":2}'])
@example([b'{"t":1,"lon":1,"lat":1,"x":"}', b'","t":2,"lon":2,"lat":2}'])
@example([b'{"t":1,"lon":1,"lat":1,"x":"\\"}', b'{"t":2,"lon":2,"lat":2}"}'])
@example([b'{"t":1,"lon":1,"lat":1}\n', b' {"t":2,"lon":2,"lat":2}', b"", PLAIN])
@example([b'5{"t":1,"lon":1,"lat":1}', PLAIN])
@example([PLAIN, b'{"t":1,"lon":1,"lat":1}5', b'{"t":1,"lon":1,"lat":1}'])
@example([b'{"t":1 2,"lon":,"lat":1}', b'{"t1":1,"lon":1,"lat":1}', b'{"t":,"lon":1,"lat":1}'])
@example([b'{"t":1,"lon":,"lat":1}', b'{"t":1,"lon":2,"lat":1 7}', b'{"t 1":,"lon":1,"lat":1}'])
@example([b'{"t":1,"lon":1,"lat":1,"t":2}', b'{"t":1.2.3,"lon":1,"lat":1}', b'{"t":01,"lon":+1,"lat":.1}'])
@example([b'{"t":9223372036854775807,"lon":-0,"lat":-0.0}', b'{"t":1,"lon":18446744073709551615,"lat":0.1}'])
@example([b'{"lat":1,"lon":2,"t":3}', PLAIN, b'{"lat":4,"lon":5,"t":6}', b'[{"lat":1,"lon":2,"t":3}]'])
def test_what_is_taken_is_as_the_codec_has_it(payloads: list[bytes]) -> None:
    taken_by(payloads)


@given(st.lists(st.one_of(PAYLOADS.map(lambda some: b"[" + b",".join(some) + b"]"), BROKEN), max_size=6))
@settings(max_examples=200)
@example([b"[]", b"[,]", b"[" + PLAIN + b"]", b"[" + PLAIN + b",]", b"[" + PLAIN + PLAIN + b"]", b"[" + PLAIN])
@example([b"[" + PLAIN + b", " + PLAIN + b"]", b'[{"t":1,"lon":1,"lat":1},{"lon":1,"t":1,"lat":1}]'])
def test_arrays_too(payloads: list[bytes]) -> None:
    taken_by(payloads)


@pytest.mark.parametrize(
    "bad",
    [
        b"{}",
        b"null",
        b'{"t":1e12,"lon":1,"lat":1}',
        b'{"t":1,"lon":1,"lat":1,"spd":-1}',
        b"\xff",
        PLAIN.replace(b"88}", b"8.8.8}"),
        b"[" + PLAIN + b"," + PLAIN.replace(b"1.2", b"-12") + b"]",
        PLAIN.replace(b"118.88", b"1" + b"0" * 20),  # beyond 64 bits
        PLAIN.replace(b"118.88", b"1" + b"0" * 400),
        b" " * (1 << 20) + PLAIN,
    ],
)
def test_one_bad_payload_leaves_the_others_in_the_lane(bad: bytes) -> None:
    payloads = [PLAIN] * 50
    payloads[17] = bad
    assert taken_by(payloads) == set(range(50)) - {17}


def test_plain_ones_are_all_taken() -> None:
    close = PLAIN.replace(b" ", b"")
    array = b"[" + PLAIN + b"," + PLAIN + b"]"
    more = close.replace(b"}", b',"sat":9}')
    assert taken_by([PLAIN, close, array, more] * 40) == set(range(160))
    assert taken_by([b"[" + b",".join([close] * 2_000) + b"]"]) == {0}
    assert taken_by([]) == set()


def test_what_says_more_than_numbers_takes_the_long_way() -> None:
    said = [b'"crs":"wgs84"', b'"sos":false', b'"hdg":null', b'"crs":1']
    assert taken_by([PLAIN[:-1] + b"," + more + b"}" for more in said]) == set()


@given(PAYLOADS, st.integers(1, 300))
@settings(max_examples=100)
def test_pieces_are_as_the_whole(payloads: list[bytes], piece: int) -> None:
    """Where a batch is cut to be parsed shows nowhere."""
    whole, origin = fixes_of(payloads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fix_columns, "_PIECE", piece)
        cut, from_cut = fixes_of(payloads)
    same(cut, whole)
    np.testing.assert_array_equal(from_cut, origin)
