"""The own JSON contract, from payload bytes as they lie on the wire."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devices.codec import PartlyUndecodable, Undecodable
from devices.codecs.json_payload import MAX_ELEMENTS, MAX_PAYLOAD
from devices.codecs.patrolgrid import PatrolGridCodec
from devices.crs import from_wgs84
from devices.readings import CommandAck, Fix, Flag, Reading, Sample, Sighting

CODEC = PatrolGridCodec()
RECEIVED = 1_732_230_001_000_000
KINDS = ("fix", "sos", "sighting", "sample", "status", "command/ack")


def topic(kind: str) -> str:
    return f"pg/v1/320118001000/T-017/{kind}"


def decode(kind: str, payload: bytes) -> list[Reading]:
    return list(CODEC.decode(topic(kind), payload, RECEIVED))


def refused(kind: str, payload: bytes) -> Undecodable:
    with pytest.raises(Undecodable) as caught:
        CODEC.decode(topic(kind), payload, RECEIVED)
    return caught.value


def one_fix(payload: bytes, kind: str = "fix") -> Fix:
    (fix,) = decode(kind, payload)
    assert isinstance(fix, Fix)
    return fix


def test_a_fix() -> None:
    fix = one_fix(b'{"t": 1732230000.123, "lon": 118.88, "lat": 31.47, "spd": 1.2, "hdg": 87, "acc": 4.5, "bat": 88}')
    assert fix == Fix("T-017", 1_732_230_000_123_000, RECEIVED, 118.88, 31.47, 1.2, 87.0, 4.5, 88.0, 0)


def test_a_fix_of_what_is_required_alone() -> None:
    fix = one_fix(b'{"t":1732230000,"lon":118.88,"lat":31.47,"hdg":null,"firmware":"2.1","extra":{"a":[1]}}')
    assert fix[:5] == ("T-017", 1_732_230_000_000_000, RECEIVED, 118.88, 31.47)
    assert all(math.isnan(x) for x in (fix.speed, fix.heading, fix.accuracy, fix.battery))


@pytest.mark.parametrize(
    ("t", "at"),
    [
        (b"1732230000.123456", 1_732_230_000_123_456),
        (b"1.732230000123456e9", 1_732_230_000_123_456),
        (b'"2024-11-21T23:00:00.000001Z"', 1_732_230_000_000_001),
        (b'"2024-11-22T07:00:00+08:00"', 1_732_230_000_000_000),
        (b"-1.5", -1_500_000),
    ],
)
def test_times(t: bytes, at: int) -> None:
    assert one_fix(b'{"t":' + t + b',"lon":1,"lat":2}').at == at


def test_a_heading_of_360_is_north() -> None:
    assert one_fix(b'{"t":1,"lon":1,"lat":2,"hdg":360}').heading == 0.0


def test_an_array_is_backfill() -> None:
    fixes = decode("fix", b' \n[{"t":1,"lon":118.1,"lat":31.1},{"t":2,"lon":118.2,"lat":31.2,"sos":true}]')
    assert [(f.at, f.flags) for f in fixes if isinstance(f, Fix)] == [
        (1_000_000, Flag.BACKFILL),
        (2_000_000, Flag.BACKFILL | Flag.SOS),
    ]


@pytest.mark.parametrize(("crs", "flag"), [("gcj02", Flag.FROM_GCJ02), ("bd09", Flag.FROM_BD09)])
def test_other_coordinates_are_converted_and_flagged(crs: Any, flag: Flag) -> None:
    lon, lat = from_wgs84(118.88, 31.47, crs)
    body = f'{{"t":1,"lon":{float(lon)!r},"lat":{float(lat)!r},"crs":"{crs}"}}'.encode()
    fix = one_fix(body)
    assert (fix.lon, fix.lat) == (pytest.approx(118.88, abs=2e-7), pytest.approx(31.47, abs=2e-7))
    assert fix.flags == flag
    both = decode("fix", b"[" + body + b',{"t":2,"lon":118.88,"lat":31.47}]')
    assert [f.flags for f in both if isinstance(f, Fix)] == [flag | Flag.BACKFILL, Flag.BACKFILL]
    (seen,) = decode("sighting", body[:-1] + b',"label":"net"}')
    assert isinstance(seen, Sighting)
    assert (seen.lon, seen.lat) == (fix.lon, fix.lat)


def test_an_impossible_place_is_left_for_the_check_of_places() -> None:
    fix = one_fix(b'{"t":1,"lon":1e300,"lat":-91,"crs":"gcj02"}')
    assert (fix.lon, fix.lat) == (1e300, -91.0)


@pytest.mark.parametrize(
    ("payload", "flags", "placed"),
    [
        (b'{"t":1,"lon":118.9,"lat":31.4}', Flag.SOS, True),
        (b'{"t":1,"kind":"man_down","lon":118.9,"lat":31.4,"acc":12}', Flag.SOS | Flag.MAN_DOWN, True),
        (b'{"t":1}', Flag.SOS | Flag.NO_POSITION, False),
        (b'{"t":1,"lon":118.9,"lat":null,"bat":3}', Flag.SOS | Flag.NO_POSITION, False),
        (b'{"t":1,"kind":"man_down"}', Flag.SOS | Flag.MAN_DOWN | Flag.NO_POSITION, False),
    ],
)
def test_sos(payload: bytes, flags: Flag, placed: bool) -> None:
    fix = one_fix(payload, "sos")
    assert (fix.at, fix.flags, not math.isnan(fix.lon)) == (1_000_000, flags, placed)


@pytest.mark.parametrize(
    ("kind", "payload", "at", "flags"),
    [
        ("sos", b'{"lon":118.9,"lat":31.4}', RECEIVED, Flag.SOS),
        ("sos", b'{"t":"yesterday"}', RECEIVED, Flag.SOS),
        ("sos", b'{"t":1,"lon":"118.9","lat":31.4}', 1_000_000, Flag.SOS),
        ("sos", b'{"t":1,"kind":"help"}', 1_000_000, Flag.SOS),
        ("sos", b'{"t":1,"kind":"man_down","acc":-1}', 1_000_000, Flag.SOS | Flag.MAN_DOWN),
        ("sos", b"{}", RECEIVED, Flag.SOS),
        ("sos", b'{"t":1e300}', RECEIVED, Flag.SOS),
        ("fix", b'{"t":1,"lon":118.9,"lat":31.4,"hdg":-7,"sos":true}', 1_000_000, Flag.SOS),
    ],
)
def test_an_alarm_with_wrong_details_is_still_an_alarm(kind: str, payload: bytes, at: int, flags: Flag) -> None:
    error = refused(kind, payload)
    assert isinstance(error, PartlyUndecodable)
    (fix,) = error.readings
    assert isinstance(fix, Fix)
    assert (fix.at, fix.flags) == (at, flags | Flag.NO_POSITION)
    assert math.isnan(fix.lon)


@pytest.mark.parametrize("payload", [b"", b"help", b"[]x", b"17", b'"sos"', b"null"])
def test_what_is_no_object_is_no_alarm(payload: bytes) -> None:
    assert not isinstance(refused("sos", payload), PartlyUndecodable)


def test_a_broken_alarm_in_an_array() -> None:
    error = refused("sos", b'[{"t":1},{"t":2,"acc":"far"}]')
    assert isinstance(error, PartlyUndecodable)
    assert [(r.at, r.flags) for r in error.readings if isinstance(r, Fix)] == [
        (1_000_000, Flag.SOS | Flag.BACKFILL | Flag.NO_POSITION),
        (2_000_000, Flag.SOS | Flag.BACKFILL | Flag.NO_POSITION),
    ]


def test_a_sighting() -> None:
    payload = '{"t":1,"label":"渔网","n":3,"conf":0.87,"track":"t-9","lon":118.9,"lat":31.4,"snap":"s3://snaps/1.jpg"}'
    (seen,) = decode("sighting", payload.encode())
    assert seen == Sighting("T-017", 1_000_000, RECEIVED, "渔网", 3, 0.87, "t-9", 118.9, 31.4, "s3://snaps/1.jpg")


def test_a_sighting_without_a_place() -> None:
    (seen,) = decode("sighting", b'{"t":1,"label":"person","track":null,"snap":null,"conf":null}')
    assert isinstance(seen, Sighting)
    assert (seen.count, seen.track, seen.snapshot) == (1, "", "")
    assert math.isnan(seen.lon)
    assert math.isnan(seen.confidence)


def test_samples() -> None:
    assert decode("sample", b'[{"t":1,"q":"water_level","v":3.2},{"t":2,"q":"water_level","v":-1e308}]') == [
        Sample("T-017", 1_000_000, RECEIVED, "water_level", 3.2),
        Sample("T-017", 2_000_000, RECEIVED, "water_level", -1e308),
    ]


def test_status() -> None:
    assert decode("status", b'{"t":1,"online":true,"bat":80}') == [
        Sample("T-017", 1_000_000, RECEIVED, "online", 1.0),
        Sample("T-017", 1_000_000, RECEIVED, "battery", 80.0),
    ]


def test_a_last_will_has_no_time_of_its_own() -> None:
    assert decode("status", b'{"online":false}') == [Sample("T-017", RECEIVED, RECEIVED, "online", 0.0)]


def test_a_command_ack() -> None:
    assert decode("command/ack", '{"id":"41","t":1,"ok":true,"note":"马上到"}'.encode()) == [
        CommandAck("T-017", 1_000_000, RECEIVED, "41", True, "马上到")
    ]


@pytest.mark.parametrize(
    ("kind", "payload", "reason", "detail"),
    [
        ("fix", b"", "not_json", ""),
        ("fix", b"lon=118.88", "not_json", ""),
        ("fix", b'{"t":1,"lon":NaN,"lat":2}', "not_json", ""),
        ("fix", b'{"t":1,"lon":1,"lat":2} ', None, ""),
        ("fix", b'{"t":1,"lon":1,"lat":2}{', "not_json", "trailing"),
        ("fix", b"\xef\xbb\xbf{}", "not_json", ""),
        ("sighting", b'{"t":1,"label":"\xff"}', "not_json", "utf-8"),
        ("sighting", b'{"t":1,"label":"\\ud800"}', "not_json", ""),
        ("sighting", b'{"t":1,"label":"\xed\xa0\x80"}', "not_json", "utf-8"),
        ("fix", b"null", "wrong_shape", "null"),
        ("fix", b'"x"', "wrong_shape", "str"),
        ("fix", b'{"lon":1,"lat":2}', "wrong_shape", "`t`"),
        ("fix", b'{"t":1,"lon":"118.88","lat":2}', "wrong_shape", "lon"),
        ("fix", b'{"t":true,"lon":1,"lat":2}', "wrong_shape", "bool"),
        ("fix", b'{"t":1,"lon":1,"lat":2,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "wrong_shape", "deep"),
        ("sighting", b'{"t":1,"label":"net","lon":118.9}', "wrong_shape", "both"),
        ("sighting", b'{"t":1,"label":"net","n":1.5}', "wrong_shape", "n"),
        ("status", b'{"t":1,"online":"yes"}', "wrong_shape", "online"),
        ("fix", b'{"t":1732230000123,"lon":1,"lat":2}', "wrong_value", "1732230000123"),
        ("fix", b'{"t":1e999,"lon":1,"lat":2}', "wrong_value", "t"),
        ("fix", b'{"t":"2024-11-22T07:00:00","lon":1,"lat":2}', "wrong_value", "timezone"),
        ("fix", b'{"t":"2024-11-22T07:00:60Z","lon":1,"lat":2}', "wrong_value", "t"),
        ("fix", b'{"t":1,"lon":1,"lat":2,"acc":-1}', "wrong_value", "acc"),
        ("fix", b'{"t":1,"lon":1,"lat":2,"spd":1e39}', "wrong_value", "spd"),
        ("fix", b'{"t":1,"lon":1,"lat":2,"hdg":360.5}', "wrong_value", "hdg"),
        ("fix", b'{"t":1,"lon":1,"lat":2,"bat":101}', "wrong_value", "bat"),
        ("fix", b'{"t":1,"lon":1,"lat":2,"crs":"utm50"}', "wrong_value", "utm50"),
        ("sighting", b'{"t":1,"label":""}', "wrong_value", "label"),
        ("sighting", b'{"t":1,"label":"' + b"x" * 65 + b'"}', "wrong_value", "64"),
        ("sighting", b'{"t":1,"label":"a\\u0000b"}', "wrong_value", "NUL"),
        ("sighting", b'{"t":1,"label":"a","track":"' + b"x" * 65 + b'"}', "wrong_value", "track"),
        ("sighting", b'{"t":1,"label":"a","snap":"' + b"x" * 513 + b'"}', "wrong_value", "snap"),
        ("sighting", b'{"t":1,"label":"a","n":2147483648}', "wrong_value", "n"),
        ("sighting", b'{"t":1,"label":"a","n":-1}', "wrong_value", "n"),
        ("sighting", b'{"t":1,"label":"a","conf":1.01}', "wrong_value", "conf"),
        ("sample", b'{"t":1,"q":"' + b"x" * 65 + b'","v":1}', "wrong_value", "q"),
        ("sample", b'{"t":1,"q":"smoke","v":1e999}', "wrong_value", "v"),
        ("command/ack", b'{"id":"1","t":1,"ok":true,"note":"' + b"x" * 501 + b'"}', "wrong_value", "note"),
        ("command/ack", b'{"id":1,"t":1,"ok":true}', "wrong_shape", "id"),
        ("fix", b" " * MAX_PAYLOAD + b"{}", "too_large", str(MAX_PAYLOAD)),
        ("fix", b"[" + b"{}," * MAX_ELEMENTS + b"{}]", "too_large", "10001"),
    ],
)
def test_what_is_refused_and_why(kind: str, payload: bytes, reason: str | None, detail: str) -> None:
    if reason is None:
        assert decode(kind, payload)
        return
    error = refused(kind, payload)
    assert not isinstance(error, PartlyUndecodable)
    assert error.reason == reason
    assert detail in error.detail


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[" * 700 + b"S", "wrong_shape"),
        (b'{"x":' * 700 + b"S", "wrong_shape"),
        (b"[" * 300 + b"S", "not_json"),
        (b'[{"x":"[["}' * 40, "not_json"),
    ],
)
def test_the_reason_does_not_depend_on_how_deep_we_are_ourselves(payload: bytes, reason: str) -> None:
    def below(frames: int) -> Undecodable:
        return refused("fix", payload) if frames == 0 else below(frames - 1)

    assert [below(frames).reason for frames in (0, 200, 400)] == [reason] * 3


def test_texts_may_be_as_long_as_stated() -> None:
    zh = "网"
    (seen,) = decode("sighting", json.dumps({"t": 1, "label": zh * 64, "track": zh * 64, "snap": zh * 512}).encode())
    assert isinstance(seen, Sighting)
    assert (len(seen.label), len(seen.track), len(seen.snapshot)) == (64, 64, 512)


def test_the_good_elements_of_an_array_are_kept() -> None:
    error = refused(
        "fix", b'[{"t":1,"lon":118.1,"lat":31.1},{"t":2},{"t":3,"lon":1,"lat":2,"acc":-5},{"t":4,"lon":1,"lat":2}]'
    )
    assert isinstance(error, PartlyUndecodable)
    assert [r.at for r in error.readings] == [1_000_000, 4_000_000]
    assert error.reason == "wrong_shape"
    assert re.match(r"2 of 4 elements; element 1: .*`lon`", error.detail)


def test_an_array_of_nothing_good() -> None:
    error = refused("sample", b'[{"t":1},7]')
    assert not isinstance(error, PartlyUndecodable)
    assert error.detail.startswith("2 of 2 elements; element 0: ")


def test_an_empty_array_is_a_keepalive() -> None:
    assert decode("fix", b"[]") == []


@pytest.mark.parametrize(
    "wrong", ["pg/v1/a/b", "pg/v1/a/b/fixx", "pg/v2/a/b/fix", "pg/v1/a/b/command", "pg/v1//b/fix", ""]
)
def test_other_topics(wrong: str) -> None:
    with pytest.raises(Undecodable) as caught:
        CODEC.decode(wrong, b"{}", RECEIVED)
    assert caught.value.reason == "unknown_topic"


field = st.sampled_from(["t", "lon", "lat", "spd", "hdg", "acc", "bat", "crs", "sos", "kind", "label", "n", "conf"]) | (
    st.sampled_from(["track", "snap", "q", "v", "online", "id", "ok", "note", "other"])
)
value: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["gcj02", "bd09", "wgs84", "man_down", "2024-11-22T07:00:00Z", "a\0b", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(field, inner, max_size=3),
    max_leaves=8,
)
message = st.dictionaries(field, value, max_size=8)
anything = st.binary() | (message | st.lists(message, max_size=4) | value).map(lambda v: json.dumps(v).encode())


@given(kind=st.sampled_from([*KINDS, "command", ""]), payload=anything)
@example(kind="fix", payload=b'{"t":-99999999999.9,"lon":0,"lat":0,"crs":"bd09"}')
@example(kind="fix", payload=b'{"t":"0001-01-01T00:00:00+23:59","lon":0,"lat":0}')
def test_any_bytes_decode_or_are_undecodable(kind: str, payload: bytes) -> None:
    try:
        readings = CODEC.decode(topic(kind), payload, RECEIVED)
    except PartlyUndecodable as error:
        readings = error.readings
    except Undecodable as error:
        assert error.reason
        return
    for reading in readings:
        assert reading.device == "T-017"
        assert -(2**63) < reading.at < 2**63
        for text in (x for x in reading if isinstance(x, str)):
            assert "\0" not in text
            text.encode()
        if isinstance(reading, Fix):
            assert reading.flags & Flag.NO_POSITION or not math.isnan(reading.lon)
            assert not (reading.speed < 0 or reading.accuracy < 0 or reading.battery > 100 or reading.heading >= 360)
        if isinstance(reading, Sighting):
            assert 0 <= reading.count < 2**31
        if isinstance(reading, Sample):
            assert math.isfinite(reading.value)
