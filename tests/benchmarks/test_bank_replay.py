"""The messages of a world as they arrive."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from benchmarks.bank_replay import PACKET_IDS, arrivals
from benchmarks.bank_run import example
from devices.readings import SECOND
from ingest.messages import Messages
from simulators.bank.stage import Played
from simulators.bank.weather import weather
from simulators.wire import Message


def test_a_long_world_has_more_messages_than_mqtt_has_packet_ids() -> None:
    sent = tuple(Message(i * SECOND, f"pg/v1/A/T{i % 7}/fix", b"{}") for i in range(PACKET_IDS + 10))
    played = Played("square", 1, example()[0], 0, 1.0, weather(Random(1)), sent, ())
    arrived = arrivals(played)
    assert len(Messages.of(arrived)) == len(sent)
    assert all(one.received <= other.received for one, other in pairwise(arrived))
