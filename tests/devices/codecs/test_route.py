"""Which codec a topic belongs to, and what is subscribed to."""

from __future__ import annotations

import pytest
from paho.mqtt.client import topic_matches_sub

from devices.codecs import CODECS, route, share_of, subscriptions


@pytest.mark.parametrize(
    ("topic", "codec", "share"),
    [
        ("pg/v1/320118001000/T-1/fix", "patrolgrid", "320118001000"),
        ("pg/v1/320118001000/T-1/command/ack", "patrolgrid", "320118001000"),
        ("pg/v1/320118001000/T-1/command", None, None),
        ("pg/v1/320118001000/T-1/fix/more", None, None),
        ("pg/v1/320118001000/fix", None, None),
        ("owntracks/zhang/phone", "owntracks", None),
        ("owntracks/zhang/phone/event", "owntracks", None),
        ("owntracks/zhang", None, None),
        ("frigate/events", None, None),
        ("", None, None),
    ],
)
def test_route(topic: str, codec: str | None, share: str | None) -> None:
    found = route(topic)
    assert (found.name if found else None) == codec
    assert share_of(topic) == share
    subscribed = any(topic_matches_sub(f, topic) for f in subscriptions())
    assert subscribed == (codec is not None)


def test_every_codec_is_subscribed_to_once_for_each_share() -> None:
    filters = subscriptions(["320118001000", "320118002000"])
    assert "pg/v1/320118001000/+/fix" in filters
    assert "pg/v1/320118002000/+/command/ack" in filters
    assert filters.count("owntracks/+/+/#") == 1
    assert len({codec.name for codec in CODECS}) == len(CODECS)
