"""From a published message to committed rows, over the real broker into the real database."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import aiomqtt
import pytest
from prometheus_client import REGISTRY

from devices.readings import SECOND, Flag
from devices.registry import Registry
from ingest import pipeline
from ingest.listener import EVERYTHING
from ingest.pipeline import STEPS
from store.readings import last_positions, write_batch

SHARE = "pg/v1/320118001000"


def now() -> float:
    return round(time.time(), 3)


def fix_json(t: float, lon: float = 118.88, lat: float = 31.47, more: str = "") -> bytes:
    return f'{{"t":{t!r},"lon":{lon!r},"lat":{lat!r}{more}}}'.encode()


async def test_readings_of_every_kind_arrive(bench: Any, terminal: aiomqtt.Client, until: Any) -> None:
    t = now()
    await terminal.publish(f"{SHARE}/T-1/fix", fix_json(t, more=',"spd":1.5,"bat":70'), qos=1)
    await terminal.publish(
        "owntracks/zhang/phone", f'{{"_type":"location","lat":31.4,"lon":118.8,"tst":{int(t) - 60}}}', qos=1
    )
    await terminal.publish(f"{SHARE}/T-2/fix", b"[" + fix_json(t - 20) + b"," + fix_json(t - 10, 118.89) + b"]", qos=1)
    await terminal.publish(f"{SHARE}/C-1/sighting", f'{{"t":{t!r},"label":"net","n":2}}', qos=1)
    await terminal.publish(f"{SHARE}/C-2/sighting", f'{{"t":{t!r},"label":"rod"}}', qos=1)
    await terminal.publish(f"{SHARE}/S-1/sample", f'{{"t":{t!r},"q":"water_level","v":3.25}}', qos=1)
    await terminal.publish(f"{SHARE}/T-2/status", f'{{"t":{t!r},"online":true,"bat":66}}', qos=1)
    await terminal.publish(f"{SHARE}/T-2/sos", f'{{"t":{t!r}}}', qos=1)
    await terminal.publish(f"{SHARE}/T-2/command/ack", f'{{"id":"41","t":{t!r},"ok":true}}', qos=1)
    await until(lambda: bool(bench.acks) and len(bench.handed_on()) == 5)
    assert bench.acks[0][:5:4] == ("T-2", True)
    at = round(t * 1e6)
    fixes = {(int(f["device"]), int(f["at"])): f for f in await bench.fixes()}
    assert set(fixes) == {(1, at), (1, (int(t) - 60) * SECOND), (2, at - 20 * SECOND), (2, at - 10 * SECOND), (2, at)}
    assert fixes[2, at]["flags"] == Flag.SOS | Flag.NO_POSITION
    assert fixes[2, at - 10 * SECOND]["flags"] == Flag.BACKFILL
    assert fixes[1, at]["speed"] == 1.5
    seen = {int(s["device"]): (s["label"], int(s["count"]), float(s["lon"])) for s in bench.handed_on("sightings")}
    assert seen[4] == ("net", 2, 118.9)
    assert math.isnan(seen[5][2])
    samples = {(int(s["device"]), s["quantity"]): float(s["value"]) for s in bench.handed_on("samples")}
    assert samples == {(6, "water_level"): 3.25, (2, "online"): 1.0, (2, "battery"): 66.0}
    async with bench.pool.connection() as conn:
        last = {int(p["device"]): (int(p["at"]), float(p["lon"])) for p in await last_positions(conn)}
    assert last == {1: (at, 118.88), 2: (at - 10 * SECOND, 118.89)}
    assert await bench.rejects() == []


async def test_duplicates_change_nothing(bench: Any, terminal: aiomqtt.Client, until: Any) -> None:
    payload = fix_json(now())
    for _ in range(3):
        await terminal.publish(f"{SHARE}/T-1/fix", payload, qos=1)
    await terminal.publish(f"{SHARE}/T-2/fix", payload, qos=1)
    await until(lambda: any(f["device"] == 2 for f in bench.handed_on()))
    await terminal.publish(f"{SHARE}/T-1/fix", payload, qos=1)
    await terminal.publish(f"{SHARE}/T-2/fix", fix_json(now()), qos=1)
    await until(lambda: len([f for f in bench.handed_on() if f["device"] == 2]) == 2)
    assert [f["device"] for f in bench.handed_on()].count(1) == 1
    assert [f["device"] for f in await bench.fixes()].count(1) == 1


async def test_an_sos_of_the_same_moment_as_a_fix_is_handed_on(
    bench: Any, terminal: aiomqtt.Client, until: Any
) -> None:
    t = now()
    await terminal.publish(f"{SHARE}/T-1/fix", fix_json(t), qos=1)
    await until(lambda: len(bench.handed_on()) == 1)
    await terminal.publish(f"{SHARE}/T-1/sos", f'{{"t":{t!r}}}', qos=1)
    await until(lambda: len(bench.handed_on()) == 2)
    alarm = bench.handed_on()[1]
    assert (alarm["flags"], alarm["lon"]) == (Flag.SOS, 118.88)
    assert [f["flags"] for f in await bench.fixes()] == [Flag.SOS]


async def test_while_the_detectors_have_one_batch_one_more_is_stored(
    bench: Any, terminal: aiomqtt.Client, until: Any
) -> None:
    gate, hand_on, t = asyncio.Event(), bench.pipeline.pass_on, now()

    async def waiting(batch: Any) -> None:
        await gate.wait()
        await hand_on(batch)

    async def stored(count: int) -> bool:
        return len(await bench.fixes()) == count

    bench.pipeline.pass_on = waiting
    for number in (1, 2, 3):
        await terminal.publish(f"{SHARE}/T-1/fix", fix_json(t + number), qos=1)
        if number < 3:
            await until(lambda wanted=number: stored(wanted))
    await asyncio.sleep(0.5)  # the third waits for the first
    assert await stored(2)
    assert not bench.handed_on()
    assert not bench.pipeline.idle
    gate.set()
    await until(lambda: len(bench.handed_on()) == 3)
    assert [int(fix["at"]) for fix in bench.handed_on()] == [round((t + number) * 1e6) for number in (1, 2, 3)]
    await until(lambda: bench.pipeline.idle)


async def test_storing_many_begins_before_the_next_batch_takes_the_loop(
    bench: Any, terminal: aiomqtt.Client, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    take, write = bench.pipeline.listener.take, write_batch

    async def taking(*limits: int) -> Any:
        happened.append("take")
        return await take(*limits)

    async def writing(*given: Any, **named: Any) -> Any:
        happened.append("write")
        return await write(*given, **named)

    monkeypatch.setattr(pipeline, "MANY", 1)
    monkeypatch.setattr(pipeline, "HEAD_START", 30.0)  # over once it is stored, so nobody waits so long
    monkeypatch.setattr(pipeline, "write_batch", writing)
    monkeypatch.setattr(bench.pipeline.listener, "take", taking)  # one that waits already is not noted
    for number in (1, 2, 3):
        await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now() + number), qos=1)
        await until(lambda wanted=2 * number: len(happened) == wanted)
    assert happened == ["write", "take"] * 3


async def test_a_changed_registry_is_used_from_the_next_batch(
    bench: Any, terminal: aiomqtt.Client, until: Any, registry: Registry
) -> None:
    bench.pipeline.registry = Registry([d for d in registry.devices if d.code != "T-2"])
    await terminal.publish(f"{SHARE}/T-2/fix", fix_json(now()), qos=1)
    await until(lambda: bench.has_rejects(1))
    bench.pipeline.registry = registry
    await terminal.publish(f"{SHARE}/T-2/fix", fix_json(now()), qos=1)
    await until(lambda: len(bench.handed_on()) == 1)


async def test_measures(bench: Any, terminal: aiomqtt.Client, until: Any) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"patrolgrid_{name}", labels) or 0.0

    names = ("batch_messages_count", "commit_seconds_count", "ack_lag_seconds_count")
    before = [value(n) for n in names]
    messages, stored = value("messages_total", codec="patrolgrid"), value("readings_total", kind="fixes")
    await terminal.publish(f"{SHARE}/T-1/fix", b"[" + fix_json(now()) + b"," + fix_json(now() - 9) + b"]", qos=1)
    await until(lambda: len(bench.handed_on()) == 2)
    assert value("connected") == 1.0
    assert all(value(n) > b for n, b in zip(names, before, strict=True))
    assert value("messages_total", codec="patrolgrid") == messages + 1
    assert value("readings_total", kind="fixes") == stored + 2


def test_the_steps_are_in_the_order_that_is_promised() -> None:
    names = [step.__name__ for step in STEPS]
    assert names.index("store") < names.index("acknowledge") < names.index("hand_on")
    assert names[:2] == ["express", "decode"]


async def test_one_that_asked_for_everything_passes_over_what_no_codec_has(
    start: Any, terminal: aiomqtt.Client, until: Any
) -> None:
    async with start(filters=[EVERYTHING]) as bench:
        await terminal.publish(f"{SHARE}/T-1/command", b"not for us", qos=1)
        await terminal.publish("somebody/else", b"nor this", qos=1)
        await terminal.publish(f"{SHARE}/T-1/fix", b"garbage", qos=1)
        await terminal.publish(f"{SHARE}/T-1/fix", fix_json(now()), qos=1)
        await until(lambda: len(bench.handed_on()) == 1)
        assert [reject.reason for reject in await bench.rejects()] == ["not_json"]
    async with start(filters=[EVERYTHING]) as after:  # all of them are acknowledged
        await terminal.publish(f"{SHARE}/T-2/fix", fix_json(now()), qos=1)
        await until(lambda: len(after.handed_on()) == 1)
        assert [reject.times for reject in await after.rejects()] == [1]
