"""One persistent MQTT session at QoS 1: messages come in bulk, and each is acknowledged only when we say so.

The broker keeps what is not acknowledged and delivers it again. Its packet ids belong to one connection: a batch that
was taken on an older one is never acknowledged, because the same id may by then stand for another message.

MQTT 3.1.1 is spoken, as NATS understands nothing newer, by a small reader of our own (docs/adr/0012): the bytes are cut
in :mod:`ingest.packets`, a connection is a :class:`ingest.session.Session`, and who connects again and again is here.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from devices.broker import Broker, brokers
from devices.codecs import subscriptions
from ingest import packets
from ingest.inbox import Inbox
from ingest.messages import AT_LEAST_ONCE, Message, Messages
from ingest.session import Refused, Session

__all__ = ["Listener"]

log = structlog.get_logger()

CONNECTED = Gauge("patrolgrid_connected", "1 while the MQTT session is up and all subscriptions are granted")
CONNECTIONS = Counter("patrolgrid_connections_total", "Connections made to the broker")

EVERYTHING: Final = "#"
"""The filter of a listener that takes all topics; what no codec has is then not for us, and passed over."""
KEEPALIVE = 30  # seconds
CONNECT_WAIT: Final = 10.0  # seconds for TCP and TLS
PAUSE_FIRST, PAUSE_MOST = 0.2, 2.0  # seconds between attempts; a county has a handful of workers
STEADY: Final = 10.0  # seconds after which a connection that was lost had been a good one
SETTLED: Final = 5.0  # seconds after which a broker has begun to send what waited
LINGER: Final = 0.02  # seconds; batches form under load, and a lone message is not kept waiting
BUSY_LINGER: Final = ((3_000, 0.2), (200, 0.08))
"""Messages of the last batch and, from so many on, seconds: what a transaction and a step of every detector cost by
themselves is then shared by more messages."""
MOST_TAKEN: Final = 8 << 20
"""Bytes of payload in a batch: 90,000 fixes in arrays. What a transaction costs by itself is then shared by more."""
MOST_HELD: Final = 64 << 20
"""Bytes of messages held and not yet taken. Beyond it we stop reading from the socket, so the broker holds the rest."""


class Listener:
    """The worker's session. ``client_id`` names it at the broker, so it must be the worker's own and stay the same.

    Bounds: at most :data:`MOST_HELD` bytes (messages at QoS 0 included) are held before reading stops. What is not
    acknowledged is that and the batches that were taken, however many messages it is: Mosquitto, which we have set no
    limit in flight, gives packet ids again beyond 65,535.

    Attributes:
        connected: whether the session is up and all subscriptions are granted.
        changed_at: when that last changed, seconds since 1970.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        filters: Sequence[str] | None = None,
        *,
        without: Sequence[str] = (),
        linger: float = LINGER,
    ) -> None:
        """``url`` is ``mqtt[s]://[user:password@]host[:port]``, or several, comma-separated, which are tried in turn.

        ``filters`` are all codecs' topics unless given; subscriptions ``without`` are ended, should the session still
        have them from before. Does not connect yet. Raises ValueError for another kind of address.
        """
        self.filters = tuple(subscriptions() if filters is None else filters)
        self._without = tuple(without)
        self._changed: asyncio.Task[None] | None = None
        self._subscribing = asyncio.Lock()
        self._subscribed: tuple[tuple[str, ...], tuple[str, ...]] | None = None  # on this connection
        self.connected = False
        self.changed_at = time.time()
        self._brokers = brokers(url)
        self._client_id = client_id
        self._linger = linger
        self._waiting = Inbox(MOST_HELD, self._room_made)
        self._connections = 0
        self._last_taken = 0
        self._session: Session | None = None
        self._runner: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Listener:
        """Start connecting; returns at once, and tries for ever."""
        self._runner = asyncio.create_task(self._run(), name=f"mqtt {self._client_id}")
        self._runner.add_done_callback(lambda _: self._waiting.arrived.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send the acknowledgements that are due, and disconnect. The session stays at the broker."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])

    async def take(self, limit: int, most_bytes: int = MOST_TAKEN) -> Messages:
        """The messages that have come, in order: at least one, at most ``limit`` or those that reach ``most_bytes``."""
        while True:
            await self._waiting.arrived.wait()
            if not self._waiting and self._runner is not None and self._runner.done():
                await self._runner  # it never ends by itself but with an error, and that must not go unseen
            if len(self._waiting) < limit and self._waiting.payload < most_bytes:
                busy = (seconds for least, seconds in BUSY_LINGER if self._last_taken >= least)
                await asyncio.sleep(max(self._linger, next(busy, 0.0)))
            taken = self._waiting.take(limit, most_bytes)
            self._last_taken = len(taken)
            if taken:  # else what waited was forgotten meanwhile, as the connection was a new one
                return taken

    @property
    def steady(self) -> bool:
        """Whether it has been connected for so long that what waited at the broker is coming or has come."""
        return self.connected and time.time() - self.changed_at >= SETTLED

    @property
    def more(self) -> bool:
        """Whether messages wait to be taken."""
        return len(self._waiting) > 0

    async def ack(self, messages: Sequence[Message]) -> None:
        """PUBACK those that came on the present connection; the broker will deliver the others again."""
        session = self._session
        if session is not None:
            facts = Messages.of(messages).facts
            due = (facts["head"] & AT_LEAST_ONCE != 0) & (facts["connection"] == session.number)
            session.acknowledge(facts["mid"][due])

    def follow(self, filters: Sequence[str], without: Sequence[str]) -> None:
        """Go over to other subscriptions, at once where there is a connection: what is new first, then what is not
        wanted any more. Messages of the latter that wait at the broker still come."""
        self.filters, self._without = tuple(filters), tuple(without)
        if self._session is None or self._subscribing.locked() or self._subscribed is None:
            return  # who subscribes looks again when he has the answer
        if self._subscribed != self._wanted:
            self._changed = asyncio.create_task(self._resubscribe(self._session), name=f"filters {self._client_id}")

    async def _resubscribe(self, session: Session) -> None:
        try:
            await self._subscribe(session)
        except ConnectionError as error:  # the next connection subscribes anyway
            session.abort(f"the subscriptions could not be changed: {error}")

    def _room_made(self) -> None:
        if self._session is not None:
            self._session.read_on()

    def _set_connected(self, connected: bool) -> None:
        if connected != self.connected:
            self.connected, self.changed_at = connected, time.time()
        CONNECTED.set(connected)

    async def _run(self) -> None:
        """Connect, stay, connect again: to the same broker if it was good, else to the next."""
        failures = turn = 0
        while True:
            began = time.monotonic()
            stayed = await self._visit(self._brokers[turn % len(self._brokers)])
            if stayed and time.monotonic() - began > STEADY:
                failures = 0
            else:
                failures, turn = failures + 1, turn + 1
            await asyncio.sleep(pause_after(failures // len(self._brokers)))

    async def _visit(self, broker: Broker) -> bool:
        """One connection from beginning to end; whether there was one."""
        self._connections += 1
        session = Session(self._waiting, self._connections)
        try:
            await self._connect(broker, session)
            reason = await session.last(KEEPALIVE)
        except Refused as error:
            log.error("mqtt_refused", broker=broker.name, reason=str(error))  # noqa: TRY400  # no traceback is wanted
            return False
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that cannot be one
            log.warning("mqtt_unreachable", broker=broker.name, reason=str(error) or type(error).__name__)
            return False
        except asyncio.CancelledError:
            await session.leave()
            raise
        else:
            log.warning("mqtt_lost", broker=broker.name, reason=reason)
            return True
        finally:
            self._session = None
            self._set_connected(False)
            session.abort("the connection was given up")

    async def _connect(self, broker: Broker, session: Session) -> None:
        """TCP, TLS, CONNECT and SUBSCRIBE. Raises OSError when one of them fails, Refused when CONNECT does."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_WAIT):
            tls = broker.tls()
            await loop.create_connection(lambda: session, broker.host, broker.port, ssl=tls)
        self._session, self._subscribed = session, None
        present = await session.greet(packets.connect(self._client_id, broker.user, broker.password, KEEPALIVE))
        if present:  # what waits here from before comes again, and only then can be acknowledged
            self._waiting.forget_before(session.number)
        CONNECTIONS.inc()
        log.info("mqtt_connected", broker=broker.name, session_present=present)
        await self._subscribe(session)

    @property
    def _wanted(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.filters, self._without

    async def _subscribe(self, session: Session) -> None:
        """Until what is wanted is subscribed to: it may change while an answer waits behind a long queue."""
        async with self._subscribing:
            while self._subscribed != (wanted := self._wanted):
                filters, without = wanted
                refused = await session.subscribe(filters)
                if refused:
                    log.error("mqtt_subscription_refused", filters=refused)
                else:  # from here on the broker keeps for us what comes, so it is told before anything else
                    before = set(filters if self._subscribed is None else self._subscribed[0])
                    log.info("mqtt_subscribed", filters=len(filters), new=[f for f in filters if f not in before])
                if without:
                    await session.unsubscribe(without)
                self._subscribed = wanted
                self._set_connected(not refused)


def pause_after(rounds: int) -> float:
    """Seconds to wait after so many rounds in which no broker was any good: doubled each time, up to a bound.

    Half of it is chance, so that many workers do not all come at once when a broker is back.
    """
    longest = min(PAUSE_FIRST * 2.0 ** min(rounds, 16), PAUSE_MOST)
    return random.uniform(longest / 2, longest)  # noqa: S311  # nothing secret about it
