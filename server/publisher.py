"""One MQTT connection for what the server itself sends: commands to terminals and replayed rejects."""

from __future__ import annotations

import asyncio
from itertools import cycle

import aiomqtt
import structlog

from devices.broker import brokers

log = structlog.get_logger()


class BrokerAway(ConnectionError):
    """The broker did not take the message; try again later."""


class Publisher:
    """Publishes at QoS 1 and returns when the broker has acknowledged; reconnects by itself while :meth:`run` runs.

    Of several brokers, separated by commas, each is tried in its turn.
    """

    def __init__(self, mqtt_url: str, identifier: str) -> None:
        self._brokers = cycle(brokers(mqtt_url))
        self._identifier = identifier
        self._client: aiomqtt.Client | None = None

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        pause = 0.5
        while True:
            try:
                broker = next(self._brokers)
                async with aiomqtt.Client(**broker.client_arguments(), identifier=self._identifier) as client:
                    self._client, pause = client, 0.5
                    async for _ in client.messages:  # nothing is subscribed: this only ends when the connection does
                        pass
            except aiomqtt.MqttError as error:
                log.warning("publisher_disconnected", error=str(error), again_in=pause)
            finally:
                self._client = None
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10.0)

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send at QoS 1.

        Raises:
            BrokerAway: there is no connection, or no acknowledgement within 5 s.
        """
        if self._client is None:
            raise BrokerAway(f"not connected to the broker, {topic} was not sent")
        try:
            await self._client.publish(topic, payload, qos=1, timeout=5.0)
        except aiomqtt.MqttError as error:
            raise BrokerAway(f"{topic} was not acknowledged: {error}") from error


async def end_sessions(mqtt_url: str, client: str) -> list[str]:
    """End a client's session at each of the brokers, which gather messages for it otherwise; their names.

    Raises:
        BrokerAway: one cannot be reached, or will not have the client.
    """
    ended = []
    for broker in brokers(mqtt_url):
        try:
            async with aiomqtt.Client(**broker.client_arguments(), identifier=client, clean_session=True):
                ended.append(broker.name)
        except aiomqtt.MqttError as error:
            raise BrokerAway(f"the session {client!r} at {broker.name} could not be ended: {error}") from error
    return ended
