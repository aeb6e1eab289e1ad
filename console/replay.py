"""Puts a stored message on the broker again."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import aiomqtt

Publish = Callable[[str, bytes], Awaitable[None]]
"""Sends (topic, payload) at QoS 1 and returns once the broker has acknowledged; ConnectionError when it did not."""


def publisher(mqtt_url: str, *, timeout: float = 5.0) -> Publish:
    """A :data:`Publish` that opens one connection a message: for a hand's work such as replaying, not for a stream.

    Raises:
        ValueError: ``mqtt_url`` is not ``mqtt[s]://[user:password@]host[:port]``.
    """
    url = urlsplit(mqtt_url)
    if url.scheme not in ("mqtt", "mqtts") or not url.hostname:
        raise ValueError(f"broker address {mqtt_url!r}: expected mqtt[s]://[user:password@]host[:port]")
    host, secure = url.hostname, url.scheme == "mqtts"

    async def publish(topic: str, payload: bytes) -> None:
        try:
            async with aiomqtt.Client(
                host,
                url.port or (8883 if secure else 1883),
                username=unquote(url.username) if url.username else None,
                password=unquote(url.password) if url.password else None,
                tls_context=ssl.create_default_context() if secure else None,
                identifier=f"patrolgrid-replay-{uuid4().hex[:8]}",
                timeout=timeout,
            ) as client:
                await client.publish(topic, payload, qos=1, timeout=timeout)
        except aiomqtt.MqttError as error:
            raise ConnectionError(f"{topic} was not acknowledged by {host}: {error}") from error

    return publish
