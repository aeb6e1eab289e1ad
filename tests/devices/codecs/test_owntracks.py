"""OwnTracks, from payload bytes in the form in which the apps send them (OwnTracks booklet, JSON)."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.codec import PartlyUndecodable, Undecodable
from devices.codecs.owntracks import OwnTracksCodec
from devices.readings import Fix, Reading, Sample

CODEC = OwnTracksCodec()
RECEIVED = 1_732_230_001_000_000
TOPIC = "owntracks/zhang/phone"

IOS = (
    b'{"batt":85,"lon":118.880012,"acc":14,"p":100.825,"bs":1,"inrids":[],"vel":5,"vac":9,"lat":31.470034,"t":"t",'
    b'"topic":"owntracks/zhang/phone","conn":"m","m":2,"tst":1732230000,"alt":12,"_type":"location","tid":"ZH","cog":273}'
)
ANDROID = (
    b'{"_type":"location","BSSID":"02:00:00:00:00:00","SSID":"","acc":4,"alt":11,"batt":63,"bs":2,"conn":"w",'
    b'"created_at":1732230002,"lat":31.4700341,"lon":118.8800127,"m":1,"tid":"ne","tst":1732230000,"vac":2,"vel":0}'
)
TRANSITION = (
    b'{"_type":"transition","wtst":1732000000,"lat":31.47,"lon":118.88,"tst":1732230000,"acc":20.5,"tid":"ZH",'
    b'"event":"enter","desc":"\xe6\xb9\x96\xe5\xb2\xb8","t":"c","rid":"6da9cf"}'
)


def decode(payload: bytes, topic: str = TOPIC) -> list[Reading]:
    return list(CODEC.decode(topic, payload, RECEIVED))


def refused(payload: bytes, topic: str = TOPIC) -> Undecodable:
    with pytest.raises(Undecodable) as caught:
        CODEC.decode(topic, payload, RECEIVED)
    assert not isinstance(caught.value, PartlyUndecodable)
    return caught.value


def one_fix(payload: bytes, topic: str = TOPIC) -> Fix:
    (fix,) = decode(payload, topic)
    assert isinstance(fix, Fix)
    return fix


def test_a_location_of_the_ios_app() -> None:
    fix = one_fix(IOS)
    assert fix[:5] == (TOPIC, 1_732_230_000_000_000, RECEIVED, 118.880012, 31.470034)
    assert fix.speed == pytest.approx(5 / 3.6)
    assert fix[6:] == (273.0, 14.0, 85.0, 0)


def test_a_location_of_the_android_app() -> None:
    fix = one_fix(ANDROID)
    assert (fix.lon, fix.lat, fix.speed, fix.accuracy, fix.battery) == (118.8800127, 31.4700341, 0.0, 4.0, 63.0)
    assert math.isnan(fix.heading)


def test_elements_that_are_left_out_are_unknown() -> None:
    fix = one_fix(b'{"_type":"location","lat":31.47,"lon":118.88,"tst":1732230000}')
    assert all(math.isnan(x) for x in fix[5:9])


def test_numbers_as_strings() -> None:
    fix = one_fix(b'{"_type":"location","lat":"31.47","lon":"118.88","tst":"1732230000","vel":"36","batt":"7"}')
    assert (fix.at, fix.lat, fix.speed, fix.battery) == (1_732_230_000_000_000, 31.47, 10.0, 7.0)


def test_what_the_phone_does_not_know_is_unknown() -> None:
    fix = one_fix(b'{"_type":"location","lat":1,"lon":2,"tst":3,"vel":-1,"acc":-1,"cog":-1,"batt":-100}')
    assert all(math.isnan(x) for x in fix[5:9])
    assert one_fix(b'{"_type":"location","lat":1,"lon":2,"tst":3,"cog":360}').heading == 0.0


def test_a_transition_is_a_fix_of_the_same_device() -> None:
    fix = one_fix(TRANSITION, f"{TOPIC}/event")
    assert (fix.device, fix.lon, fix.lat, fix.accuracy) == (TOPIC, 118.88, 31.47, 20.5)


def test_a_last_will_is_now_not_when_the_phone_connected() -> None:
    assert decode(b'{"_type":"lwt","tst":1732200000}') == [Sample(TOPIC, RECEIVED, RECEIVED, "online", 0.0)]


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (f"{TOPIC}/waypoint", b'{"_type":"waypoint","desc":"Home","lat":31.4,"lon":118.8,"rad":50,"tst":1732000000}'),
        (f"{TOPIC}/waypoints", b'{"_type":"waypoints","waypoints":[]}'),
        (f"{TOPIC}/status", b'{"_type":"status","iOS":{"version":"18.1"}}'),
        (f"{TOPIC}/info", b'{"_type":"card","name":"Zhang","tid":"ZH"}'),
        (f"{TOPIC}/cmd", b'{"_type":"cmd","action":"reportLocation"}'),
        (f"{TOPIC}/dump", b'{"_type":"dump","configuration":{"_type":"configuration"}}'),
    ],
)
def test_what_holds_no_reading_is_accepted(topic: str, payload: bytes) -> None:
    assert decode(payload, topic) == []


@pytest.mark.parametrize(
    ("payload", "reason", "detail"),
    [
        (b'{"_type":"beacon","desc":"x","uuid":"CA27","major":1,"minor":2,"tst":1,"prox":1}', "wrong_shape", "beacon"),
        (b'{"_type":"steps","tst":1,"steps":1234,"from":0,"to":1}', "wrong_shape", "steps"),
        (b'{"_type":"encrypted","data":"AAAA"}', "wrong_shape", "encrypted"),
        (b'{"_type":"something new"}', "wrong_shape", "something new"),
        (b'{"lat":1,"lon":2,"tst":3}', "wrong_shape", "_type"),
        (b'{"_type":"location","lat":1,"lon":2}', "wrong_shape", "tst"),
        (b'{"_type":"transition","event":"enter","tst":1,"acc":1}', "wrong_shape", "lat"),
        (b'{"_type":"location","lat":"north","lon":2,"tst":3}', "wrong_shape", "lat"),
        (b'{"_type":"location","lat":1,"lon":2,"tst":"nan"}', "wrong_value", "tst"),
        (b'{"_type":"location","lat":1,"lon":2,"tst":1732230000000}', "wrong_value", "1732230000000"),
        (b"[]", "wrong_shape", "array"),
        (b"", "not_json", ""),
        (b"C2,561ebac3,v,50123456,65987654,0,0,11,0,5232", "not_json", ""),
        (b'{"_type":"location","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "wrong_shape", "deep"),
        (b" " * (1 << 20) + b"{}", "too_large", "1048578"),
    ],
)
def test_what_is_refused_and_why(payload: bytes, reason: str, detail: str) -> None:
    error = refused(payload)
    assert error.reason == reason
    assert detail in error.detail


@pytest.mark.parametrize("wrong", ["owntracks/zhang", "owntracks//phone", "owntracks/zhang/", "other/zhang/phone", ""])
def test_other_topics(wrong: str) -> None:
    assert refused(IOS, wrong).reason == "unknown_topic"


field = st.sampled_from(["_type", "lat", "lon", "tst", "vel", "acc", "cog", "batt", "event", "other"])
value: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["nan", "inf", "-1e400", "12.5", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(field, inner, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from(["location", "transition", "lwt", "waypoint", "beacon"])
message = st.builds(lambda kind, rest: {"_type": kind, **rest}, kinds, st.dictionaries(field, value, max_size=8))


@given(payload=st.binary() | (message | value).map(lambda v: json.dumps(v).encode()))
def test_any_bytes_decode_or_are_undecodable(payload: bytes) -> None:
    try:
        readings = CODEC.decode(TOPIC, payload, RECEIVED)
    except Undecodable as error:
        assert error.reason
        return
    for reading in readings:
        assert -(2**63) < reading.at < 2**63
        if isinstance(reading, Fix):
            assert not (reading.speed < 0 or reading.accuracy < 0 or reading.battery > 100 or reading.heading >= 360)
