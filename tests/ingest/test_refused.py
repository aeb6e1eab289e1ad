"""What is refused is kept with its reason, once; and an SOS is stored all the same."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from typing import Any

import aiomqtt
import pytest
from prometheus_client import REGISTRY

from devices.readings import SECOND, Flag

SHARE = "pg/v1/320118001000"


def now() -> float:
    return round(time.time(), 3)


def fix_json(t: float, lon: float = 118.88, lat: float = 31.47, more: str = "") -> bytes:
    return f'{{"t":{t!r},"lon":{lon!r},"lat":{lat!r}{more}}}'.encode()


REFUSED = [
    (f"{SHARE}/T-1/fix", b"\x00\xffgarbage", "not_json", "malformed"),
    (f"{SHARE}/T-1/fix", b"", "not_json", ""),
    (f"{SHARE}/T-1/fix", b'{"t":1}', "wrong_shape", "lon"),
    (f"{SHARE}/T-1/fix", b'{"t":1,"lon":1,"lat":2,"acc":-1}', "wrong_value", "acc"),
    ("owntracks//phone", b"{}", "unknown_topic", "owntracks//phone"),
    (f"{SHARE}/T-99/fix", b'{"t":@0,"lon":118,"lat":31}', "unknown_device", "T-99"),
    (f"{SHARE}/T-99/command/ack", b'{"id":"1","t":1,"ok":true}', "unknown_device", "T-99"),
    ("owntracks/li/phone", b'{"_type":"lwt","tst":1}', "unknown_device", "owntracks/li/phone"),
    (f"{SHARE}/T-3/fix", b'{"t":@0,"lon":118,"lat":31}', "inactive_device", "T-3"),
    (f"{SHARE}/T-3/command/ack", b'{"id":"1","t":1,"ok":true}', "inactive_device", "T-3"),
    ("pg/v1/320118002000/T-1/fix", b'{"t":@0,"lon":118,"lat":31}', "wrong_area", "'320118001000'"),
    (f"{SHARE}/X-1/command/ack", b'{"id":"1","t":1,"ok":true}', "wrong_area", "'320118002000'"),
    ("pg/v1/elsewhere/S-1/sample", b'{"t":1,"q":"smoke","v":1}', "wrong_area", "elsewhere"),
    (f"{SHARE}/T-1/fix", b'{"t":@3600,"lon":118,"lat":31}', "time_in_future", "received"),
    (f"{SHARE}/T-1/fix", b'{"t":90000000000,"lon":118,"lat":31}', "time_in_future", "4821-12-26"),
    (f"{SHARE}/T-1/fix", b'{"t":@-2678400,"lon":118,"lat":31}', "time_too_old", "received"),
    (f"{SHARE}/S-1/sample", b'{"t":-90000000000,"q":"smoke","v":1}', "time_too_old", "-90000000000 s"),
    (f"{SHARE}/T-1/fix", b'{"t":@0,"lon":0,"lat":0.0}', "place_impossible", "0.0"),
    (f"{SHARE}/T-1/fix", b'{"t":@0,"lon":180.5,"lat":31}', "place_impossible", "180.5"),
    (f"{SHARE}/T-1/fix", b'{"t":@0,"lon":118,"lat":-90.5}', "place_impossible", "-90.5"),
    (f"{SHARE}/C-1/sighting", b'{"t":@0,"label":"net","lon":1e300,"lat":2}', "place_impossible", "1e+300"),
    ("owntracks/zhang/phone", b'{"_type":"location","lat":"nan","lon":1,"tst":@0}', "place_impossible", "nan"),
    (f"{SHARE}/T-1/fix", b"[" + b" " * (1 << 20) + b"]", "too_large", "1048578"),
    (f"{SHARE}/T-1/command/ack", b'{"id":"poison","t":1,"ok":true}', "store_refused", "LookupError"),
]


def at_now(template: bytes) -> bytes:
    """The template with each ``@seconds`` as so many seconds from now."""
    return re.sub(rb"@(-?\d+)", lambda m: b"%.3f" % (time.time() + int(m[1])), template)


async def test_what_is_refused_is_kept_with_its_reason(bench: Any, terminal: aiomqtt.Client, until: Any) -> None:
    def counted() -> dict[str, float]:
        reasons = {reason for _, _, reason, _ in REFUSED}
        return {r: REGISTRY.get_sample_value("patrolgrid_rejects_total", {"reason": r}) or 0.0 for r in reasons}

    before = counted()
    expected = {}
    for topic, template, reason, detail in REFUSED:
        payload = at_now(template)
        await terminal.publish(topic, payload, qos=1)
        expected[topic, payload[:4096]] = (reason, detail)
    await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now()), qos=1)
    await until(lambda: len(bench.handed_on()) == 1)  # the good one
    found = {(r.topic, r.payload): r for r in await bench.rejects()}
    assert found.keys() == expected.keys()
    for key, (reason, detail) in expected.items():
        assert (found[key].reason, found[key].times) == (reason, 1), key
        assert detail in found[key].detail
    assert len(await bench.fixes()) == 1
    assert bench.handed_on("sightings") == bench.handed_on("samples") == []
    rejected = Counter(reason for _, _, reason, _ in REFUSED)
    assert counted() == {reason: before[reason] + rejected[reason] for reason in before}


async def test_a_bad_payload_sent_again_is_counted(bench: Any, terminal: aiomqtt.Client, until: Any) -> None:
    async def counted_twice() -> bool:
        return [r.times for r in await bench.rejects()] == [2]

    await terminal.publish(f"{SHARE}/T-1/fix", b"garbage", qos=1)
    await terminal.publish(f"{SHARE}/T-1/fix", b"garbage", qos=1)
    await until(counted_twice)


async def test_the_good_elements_of_an_array_are_stored(bench: Any, terminal: aiomqtt.Client, until: Any) -> None:
    t = now()
    good, far, none, late = fix_json(t), fix_json(t - 1, 181.0), b'{"t":1}', fix_json(t - 40 * 86_400)
    await terminal.publish(f"{SHARE}/T-1/fix", b"[" + b",".join([good, far, late]) + b"]", qos=1)
    await terminal.publish(f"{SHARE}/T-2/fix", b"[" + b",".join([good, none]) + b"]", qos=1)
    await until(lambda: len(bench.handed_on()) == 2)
    assert [(f["device"], f["flags"]) for f in await bench.fixes()] == [(1, Flag.BACKFILL), (2, Flag.BACKFILL)]
    assert {r.topic[-7:]: r.reason for r in await bench.rejects()} == {
        "T-1/fix": "time_too_old",
        "T-2/fix": "wrong_shape",
    }


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (b'{"t":1,"lon":118.9,"lat":31.4}', "time_too_old"),
        (b'{"t":9e9,"lon":118.9,"lat":31.4}', "time_in_future"),
        (b'{"t":"now"}', "wrong_value"),
        (b'{"t":@0,"lon":0,"lat":0}', "place_impossible"),
    ],
)
async def test_an_sos_with_a_broken_clock_or_place_is_stored_all_the_same(
    bench: Any, terminal: aiomqtt.Client, until: Any, template: bytes, reason: str
) -> None:
    await terminal.publish(f"{SHARE}/T-1/sos", at_now(template), qos=1)
    await until(lambda: len(bench.handed_on()) == 1)
    (alarm,) = await bench.fixes()
    assert alarm["flags"] & Flag.SOS
    assert abs(alarm["at"] / SECOND - time.time()) < 60
    assert bool(alarm["flags"] & Flag.NO_POSITION) == math.isnan(alarm["lon"])
    assert [r.reason for r in await bench.rejects()] == [reason]


async def test_a_retained_sos_is_no_new_alarm_with_every_subscription(
    start: Any, terminal: aiomqtt.Client, until: Any
) -> None:
    for device, body in (("T-1", b'{"t":1}'), ("T-2", b'{"t":"now"}')):
        await terminal.publish(f"{SHARE}/{device}/sos", body, qos=1, retain=True)
    try:
        async with start() as bench:
            await until(lambda: bench.has_rejects(2))
            assert not len(await bench.fixes())
        async with start() as again:
            await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now()), qos=1)
            await until(lambda: len(again.handed_on()) == 1)
            assert [r.times for r in await again.rejects()] == [1, 1]
    finally:
        for device in ("T-1", "T-2"):
            await terminal.publish(f"{SHARE}/{device}/sos", b"", qos=1, retain=True)
