"""A patrol that is sent somewhere: hears it, answers, goes there, stays, and comes back."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.codecs.patrolgrid import PatrolGridCodec
from devices.readings import SECOND, CommandAck
from devices.site_folder import SiteFolder
from simulators.terminals import Mode
from simulators.world import Command, World

WHEN = 120  # s after the start


def _order(lon: float, lat: float, **more: Any) -> bytes:
    content = {"id": "42", "do": "goto", "lon": lon, "lat": lat, "case": "PG-1", "zh": "去", "en": "go"}
    return json.dumps(content | more).encode()


def _steps(run: Any, device: str, lon: float, lat: float) -> list[tuple[float, float]]:
    """Seconds since the start and metres from a place, of a device's fixes."""
    frame, start = run.world.ground.frame, run.world.start / SECOND
    goal = frame.spot(lon, lat)
    return [(o["t"] - start, math.dist(frame.spot(o["lon"], o["lat"]), goal)) for _, o in run.objects("fix", device)]


@pytest.mark.parametrize(
    ("device", "lon", "lat", "words", "pace", "reach"),
    [
        ("T026", 118.9450, 31.4537, {}, (1.5, 2.3), 30),  # on foot along the shore
        ("T026", 118.9450, 31.4537, {"en": "SOS by T027"}, (2.2, 3.4), 30),  # somebody needs help: run
        ("T033", 118.9610, 31.4720, {}, (1.5, 2.3), 30),  # police from the town
        ("T038", 118.9300, 31.4480, {}, (2.2, 4.8), 30),  # by boat over the water
        ("T038", 118.9452, 31.4535, {"zh": "SOS 求救"}, (5.0, 9.0), 150),  # a boat, to somebody on the bank
    ],
)
def test_who_is_sent_answers_goes_there_stays_and_returns(
    play: Any, shijiu: SiteFolder, device: str, lon: float, lat: float, words: Any, pace: Any, reach: float
) -> None:
    start = 1_795_341_600_000_000
    command = Command(start + WHEN * SECOND, device, _order(lon, lat, **words))
    run = play(shijiu, "quiet", 2_100, commands=[command])
    (ack,) = run.readings(CommandAck)
    assert (ack.device, ack.command, ack.accepted, ack.note) == (device, "42", True, "")
    assert 3 <= (ack.at - start) / SECOND - WHEN <= 11
    steps = _steps(run, device, lon, lat)
    away = next(d for t, d in steps if t > WHEN)
    there = [(t, d) for t, d in steps if d < reach]
    assert away > 150
    assert there, f"never came nearer than {min(d for _, d in steps):.0f} m"
    arrived = there[0][0]
    straight = (away - reach) / (arrived - WHEN - 8)
    assert straight < pace[1]
    fixes = [(o["t"] - start / SECOND, o["spd"]) for _, o in run.objects("fix", device)]
    speeds = sorted(speed for t, speed in fixes if WHEN + 30 < t < arrived - 10)
    assert pace[0] < speeds[len(speeds) // 2] < pace[1]
    assert 230 < [t for t, d in steps if d < reach + 25 and t < arrived + 600][-1] - arrived < 520
    (episode,) = run.of("dispatched")
    assert (episode.subject, episode.note) == (device, "42")
    unit = run.world.terminals.index[device]
    assert run.world.terminals.mode[unit] in (Mode.ROUND, Mode.HOME, Mode.REST)


def test_a_patrol_that_comes_ends_the_fishing(play: Any, shijiu: SiteFolder) -> None:
    alone = play(shijiu, "demo", 500)
    (fishing,) = [e for e in alone.of("fishing") if "angler" in e.note][:1]
    order = Command(alone.world.start + 500 * SECOND, "T022", _order(fishing.lon, fishing.lat))
    helped = play(shijiu, "demo", 1_600, commands=[order])
    ended = min(e.until for e in helped.of("fishing") if e.since == fishing.since)
    there = next(t for t, d in _steps(helped, "T022", fishing.lon, fishing.lat) if d < 30 and t > 500)
    assert 60 <= (ended - helped.world.start) / SECOND - there <= 180


def test_who_comes_to_an_sos_helps(play: Any, shijiu: SiteFolder) -> None:
    alone = play(shijiu, "demo", 700)
    (sos,) = alone.of("sos")
    world = alone.world
    unit = world.terminals.index[sos.subject]
    place = world.bodies.place(world.terminals.slots[unit])
    mates = [u for u in range(len(world.terminals.slots)) if u != unit and not world.terminals.afloat[u]]
    mate = min(mates, key=lambda u: math.dist(world.bodies.place(world.terminals.slots[u]), place))
    order = Command(world.start + 700 * SECOND, world.terminals.devices[mate].code, _order(sos.lon, sos.lat))
    helped = play(shijiu, "demo", 1_400, commands=[order])
    (again,) = [e for e in helped.of("sos") if e.since == sos.since]
    steps = _steps(helped, world.terminals.devices[mate].code, sos.lon, sos.lat)
    arrived = next(t for t, d in steps if d < 30 and t > 700)
    assert 50 <= (again.until - world.start) / SECOND - arrived <= 140
    assert again.until < world.start + 1_500 * SECOND  # sooner than it would have ended by itself
    # Nobody said SOS in the order, but he sees whom he is sent to: he runs.
    running = [o["spd"] for _, o in helped.objects("fix", world.terminals.devices[mate].code)
               if 740 < o["t"] - world.start / SECOND < arrived - 10]  # fmt: skip
    assert sorted(running)[len(running) // 2] > 2.2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"id": "7", "do": "dance"}, "unknown command 'dance'"),
        ({"id": "7"}, "unknown command None"),
        ({"id": "7", "do": "goto"}, "no place: lon None, lat None"),
        ({"id": "7", "do": "goto", "lon": "118", "lat": 31.4}, "no place: lon '118', lat 31.4"),
        ({"id": "7", "do": "goto", "lon": 116.4, "lat": 39.9}, "too far: 966 km from the lake"),
        ({"id": "7", "do": "goto", "lon": 1e400, "lat": 31.4}, "no place: lon inf, lat 31.4"),
    ],
)
def test_an_order_that_cannot_be_followed_is_refused_with_the_reason(
    play: Any, pond: SiteFolder, start: int, content: Any, why: str
) -> None:
    payload = json.dumps(content).replace("Infinity", "1e400").encode()
    run = play(pond, "quiet", 60, commands=[Command(start, "P0", payload)])
    (ack,) = run.readings(CommandAck)
    assert (ack.command, ack.accepted, ack.note) == ("7", False, why)


def test_a_second_order_replaces_the_first(play: Any, pond: SiteFolder, start: int) -> None:
    commands = [
        Command(start + 10 * SECOND, "P0", _order(118.8545, 31.470, id="1")),
        Command(start + 60 * SECOND, "P0", _order(118.8455, 31.470, id="2")),
    ]
    run = play(pond, "quiet", 1_500, commands=commands)
    assert [(a.command, a.accepted) for a in run.readings(CommandAck)] == [("1", True), ("2", True)]
    assert min(d for _, d in _steps(run, "P0", 118.8455, 31.470)) < 30
    assert [e.note for e in sorted(run.of("dispatched"), key=lambda e: e.since)] == ["1", "2"]


def _recall(order: str, name: str = "9") -> bytes:
    return json.dumps({"id": name, "do": "recall", "order": order, "case": "PG-1"}).encode()


def test_who_is_called_back_on_the_way_goes_back_to_the_round(play: Any, pond: SiteFolder, start: int) -> None:
    commands = [
        Command(start + 10 * SECOND, "P0", _order(118.8545, 31.470, id="1")),
        Command(start + 40 * SECOND, "P0", _recall("an older one", "8")),
        Command(start + 60 * SECOND, "P0", _recall("1")),
    ]
    run = play(pond, "quiet", 90, commands=commands)
    assert [(a.command, a.accepted) for a in run.readings(CommandAck)] == [("1", True), ("8", True), ("9", True)]
    (episode,) = run.of("dispatched")
    assert 60 + 3 <= (episode.until - start) / SECOND <= 60 + 11, "the order ends by the recall, and by no other"
    unit = run.world.terminals.index["P0"]
    assert run.world.terminals.mode[unit] in (Mode.ROUND, Mode.HOME, Mode.REST)


def test_an_order_that_is_called_back_unread_is_dropped(play: Any, pond: SiteFolder, start: int) -> None:
    goto, recall = _order(118.8545, 31.470, id="1"), _recall("1")
    world = World(pond, "quiet", 1, start)
    world.terminals.fall_silent(world.terminals.index["P0"], world.tick, world.now, 60, world.diary)
    assert world.order("P0", goto) and world.order("P0", recall)
    sent = world.advance(start + 120 * SECOND)
    answered = [json.loads(m.payload)["id"] for m in sent if m.topic.endswith("/ack")]
    assert "9" in answered
    assert world.terminals.mode[world.terminals.index["P0"]] not in (Mode.ORDER, Mode.THERE)


def test_who_is_in_trouble_or_dead_does_not_go(play: Any, pond: SiteFolder, start: int) -> None:
    world = World(pond, "quiet", 1, start)
    world.advance(start + 60 * SECOND)
    trouble, dead = world.terminals.choose(1)[:2]
    codes = [world.terminals.devices[u].code for u in (trouble, dead)]
    world.terminals.press_sos(trouble, world.tick, world.now, 600, world.diary)
    world.terminals.fall_silent(dead, world.tick, world.now, 300, world.diary)
    for code in codes:
        assert world.order(code, _order(118.8545, 31.470, id=code))
    early = world.advance(start + 180 * SECOND)
    answers = {m.topic.split("/")[3]: msgspec.json.decode(m.payload) for m in early if m.topic.endswith("/ack")}
    assert answers.keys() == {codes[0]}
    assert (answers[codes[0]]["ok"], answers[codes[0]]["note"]) == (False, "in trouble myself")
    assert world.terminals.mode[trouble] == Mode.TROUBLE
    late = world.advance(start + 420 * SECOND)  # the dead terminal is alive again, and the broker still has the order
    acks = [m for m in late if m.topic.endswith("/ack")]
    assert [m.topic.split("/")[3] for m in acks] == [codes[1]]


def test_commands_for_nobody_or_without_an_id_are_not_answered(pond: SiteFolder, start: int) -> None:
    world = World(pond, "quiet", 1, start)
    assert not world.order("P9", _order(118.85, 31.47))
    for payload in (b'{"do": "goto"}', b'{"id": 7}', b"[]", b"", b"\xff"):
        assert not world.order("P0", payload)


SCALARS = (
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(["goto", "recall", 118.85, 31.47])
)
FIELDS = st.dictionaries(
    st.sampled_from(["id", "do", "lon", "lat", "order", "zh", "en"]), SCALARS | st.lists(SCALARS), max_size=6
)
PAYLOADS = st.binary(max_size=40) | (FIELDS | SCALARS).map(lambda content: json.dumps(content).encode())


@settings(max_examples=60)
@given(PAYLOADS)
def test_no_command_can_break_the_world(pond: SiteFolder, payload: bytes) -> None:
    world = World(pond, "quiet", 1, 1_795_341_600_000_000)
    understood = world.order("P0", payload)
    sent = world.advance(world.start + 20 * SECOND)
    for message in sent:
        assert PatrolGridCodec().decode(message.topic, message.payload, message.at)
    assert understood == any(m.topic.endswith("/ack") for m in sent)
