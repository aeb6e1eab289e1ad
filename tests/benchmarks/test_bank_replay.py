"""The messages of a world as they arrive, and the alerts that come of them."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import cast

import pytest

from alerts.alert import Alert
from benchmarks.bank_replay import PACKET_IDS, Raised, arrivals, take_in
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


@pytest.mark.parametrize(
    ("one", "part", "told"),
    [((50, True), (20, True), (20, True)), ((20, True), (50, True), (20, True)), ((20, False), (50, True), (50, True)),
     ((50, True), (20, False), (50, True)), ((50, False), (20, False), (50, False))],
)  # fmt: skip
def test_of_two_alerts_that_are_one_people_know_since_the_first_news(
    one: tuple[int, bool], part: tuple[int, bool], told: tuple[int, bool]
) -> None:
    alert = cast(Alert, None)  # not looked at
    kept, taken = Raised(alert, *one, 0.0, 0.0), Raised(alert, *part, 0.0, 0.0)
    take_in(kept, taken)
    assert (kept.at, kept.news) == told
