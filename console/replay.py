"""Puts a stored message on the broker again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4

import aiomqtt

from devices.broker import Broker

Publish = Callable[[str, bytes], Awaitable[None]]
"""Sends (topic, payload) at QoS 1 and returns once the broker has acknowledged; ConnectionError when it did not."""


def publisher(mqtt_url: str, *, timeout: float = 5.0) -> Publish:
    """A :data:`Publish` that opens one connection a message: for a hand's work such as replaying, not for a stream.

    Raises:
        ValueError: ``mqtt_url`` is not ``mqtt[s]://[user:password@]host[:port]``.
    """
    broker = Broker.parse(mqtt_url)

    async def publish(topic: str, payload: bytes) -> None:
        try:
            async with aiomqtt.Client(
                **broker.client_arguments(),
                identifier=f"patrolgrid-replay-{uuid4().hex[:8]}",
                timeout=timeout,
            ) as client:
                await client.publish(topic, payload, qos=1, timeout=timeout)
        except aiomqtt.MqttError as error:
            raise ConnectionError(f"{topic} was not acknowledged by {broker.host}: {error}") from error

    return publish
