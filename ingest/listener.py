"""One persistent MQTT session at QoS 1: messages come in bulk, and each is acknowledged only when we say so.

The broker keeps what is not acknowledged and delivers it again. Its packet ids belong to one connection: a batch that
was taken on an older one is never acknowledged, because the same id may by then stand for another message.

MQTT 3.1.1 is spoken, as NATS understands nothing newer. paho's network loop runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from prometheus_client import Counter, Gauge

from devices.codecs import subscriptions

log = structlog.get_logger()

CONNECTED = Gauge("patrolgrid_connected", "1 while the MQTT session is up and all subscriptions are granted")
CONNECTIONS = Counter("patrolgrid_connections_total", "Connections made to the broker")

KEEPALIVE: Final = 60  # seconds
LINGER: Final = 0.02  # seconds; batches form under load, and a lone message is not kept waiting
MOST_HELD: Final = 256 << 20
"""Bytes of messages held and not yet taken. Beyond it we stop reading from the socket, so the broker holds the rest."""
_OVERHEAD: Final = 400  # bytes of a held message beside topic and payload
_ACKS_AT_ONCE: Final = 500  # then other tasks get their turn


class Message(NamedTuple):
    """One message as it came in."""

    topic: str
    payload: bytes
    received: int  # UTC µs, our clock
    mid: int = 0
    connection: int = 0  # on which it came; acknowledged there or not at all
    qos: int = 0
    dup: bool = False  # delivered before, but not acknowledged
    retained: bool = False  # kept by the broker for new subscriptions, so it may be old

    @property
    def repeat(self) -> bool:
        """Whether the broker says that it is not the first time."""
        return self.dup or self.retained


class Listener:
    """The worker's session. ``client_id`` names it at the broker, so it must be the worker's own and stay the same.

    Bounds: a session has at most 65,535 packet ids in flight, so at most so many messages at QoS 1 wait unacknowledged;
    and at most :data:`MOST_HELD` bytes (messages at QoS 0 included) are held before reading stops.
    """

    def __init__(
        self, url: str, client_id: str, filters: Sequence[str] | None = None, *, linger: float = LINGER
    ) -> None:
        """``url`` is ``mqtt[s]://[user:password@]host[:port]``, ``filters`` all codecs' topics unless given.

        Does not connect yet. Raises ValueError for another kind of address.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError(f"broker address {url!r}: expected mqtt[s]://[user:password@]host[:port]")
        self.filters = tuple(subscriptions() if filters is None else filters)
        self.connected = False
        self.changed_at = time.time()  # when ``connected`` last changed, seconds since 1970
        self._linger = linger
        self._address = (parts.hostname, parts.port or (8883 if parts.scheme == "mqtts" else 1883))
        self._waiting: deque[Message] = deque()
        self._held = 0
        self._connection = 0
        self._closing = False
        self._woken = False
        self._lock = threading.RLock()  # guards all of the above between the network thread and the event loop
        self._room = threading.Condition(self._lock)
        self._arrived = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client = self._new_client(client_id, parts.scheme == "mqtts", parts.username, parts.password)

    def _new_client(self, client_id: str, secure: bool, user: str | None, password: str | None) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id, clean_session=False, protocol=MQTTv311, manual_ack=True)
        if secure:
            client.tls_set_context(ssl.create_default_context())
        if user is not None:
            client.username_pw_set(unquote(user), unquote(password) if password is not None else None)
        client.reconnect_delay_set(1, 30)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.on_message = self._on_message
        return client

    async def __aenter__(self) -> Listener:
        """Start connecting; returns at once, and tries for ever."""
        self._loop, self._closing = asyncio.get_running_loop(), False
        self._client.connect_async(*self._address, keepalive=KEEPALIVE)
        self._client.loop_start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send the acknowledgements that are due, disconnect, end the thread. The session stays at the broker."""
        with self._lock:
            self._closing = True
            self._room.notify_all()
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        self._set_connected(False)

    async def take(self, limit: int, most_bytes: int = 8 << 20) -> list[Message]:
        """The messages that have come, in order: at least one, at most ``limit`` or those that reach ``most_bytes``."""
        while True:
            with self._lock:
                if self._waiting:
                    break
                self._woken = False
                self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), 1.0)
            except TimeoutError:
                self._revive()
        if len(self._waiting) < limit:
            await asyncio.sleep(self._linger)
        taken: list[Message] = []
        size = 0
        with self._lock:
            while self._waiting and len(taken) < limit and size < most_bytes:
                message = self._waiting.popleft()
                size += len(message.payload)
                self._held -= _cost(message)
                taken.append(message)
            self._room.notify_all()
        return taken

    async def ack(self, messages: Sequence[Message]) -> None:
        """PUBACK those that came on the present connection; the broker will deliver the others again."""
        for begin in range(0, len(messages), _ACKS_AT_ONCE):
            with self._lock:
                for message in messages[begin : begin + _ACKS_AT_ONCE]:
                    if message.qos and message.connection == self._connection:
                        self._client.ack(message.mid, message.qos)
            await asyncio.sleep(0)

    def _revive(self) -> None:
        """Start the network thread again should it have died; nothing happens while it runs."""
        if not self._closing and self._client.loop_start() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            log.error("mqtt_thread_restarted")

    def _set_connected(self, connected: bool) -> None:
        if connected != self.connected:
            self.connected, self.changed_at = connected, time.time()
        CONNECTED.set(connected)

    # ── in the network thread; nothing may be raised here, as that would end it ─────────────────────────────────────

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            log.error("mqtt_refused", broker=self._address, reason=str(reason))
            return
        with self._lock:
            self._connection += 1
            if flags.session_present:  # what waits here from before comes again, and only then can be acknowledged
                kept = [m for m in self._waiting if not m.qos]
                self._waiting.clear()
                self._waiting.extend(kept)
                self._held = sum(map(_cost, kept))
        CONNECTIONS.inc()
        log.info("mqtt_connected", broker=self._address, session_present=flags.session_present)
        client.subscribe([(f, 1) for f in self.filters])

    def _on_subscribe(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        refused = [f for f, reason in zip(self.filters, reasons, strict=False) if reason.is_failure]
        if refused:
            log.error("mqtt_subscription_refused", filters=refused)
        self._set_connected(not refused)

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        with self._lock:
            self._connection += 1  # from here on nothing that was taken before is acknowledged
        self._set_connected(False)
        if not self._closing:
            log.warning("mqtt_lost", broker=self._address, reason=str(reason))

    def _on_connect_fail(self, client: Client, userdata: Any) -> None:
        log.warning("mqtt_unreachable", broker=self._address)

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        received = time.time_ns() // 1000
        try:
            topic = message.topic
        except UnicodeDecodeError as error:
            topic = error.object.decode("utf-8", "backslashreplace")
        payload = bytes(message.payload)
        with self._room:
            while self._held > MOST_HELD and not self._closing:
                self._room.wait(1.0)
            item = Message(
                topic, payload, received, message.mid, self._connection, message.qos, message.dup, message.retain
            )
            self._held += _cost(item)
            self._waiting.append(item)
            wake, self._woken = not self._woken, True
        if wake and self._loop is not None and not self._closing:
            self._loop.call_soon_threadsafe(self._arrived.set)


def _cost(message: Message) -> int:
    return len(message.payload) + len(message.topic) + _OVERHEAD
