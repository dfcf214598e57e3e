"""The bus over NATS: three connections, so that one kind of traffic cannot stall another.

``control`` carries what is rare (discovery, JetStream administration), ``incoming`` what is
received and ``outgoing`` what is sent. An exception in nats-py's read loop leaves a client that
calls itself connected, so health is a round trip on each connection and nothing else; a
connection that misses several is replaced.
"""

import logging
from collections.abc import Callable
from typing import Any, Self

import anyio
import nats.errors
from nats.js import JetStreamContext

from kernel._nats_connection import DirectConnection
from kernel.address import without_password
from kernel.bus import BusStatistics, Receiver
from kernel.clock import Clock
from kernel.nats_security import NatsSecurity
from schemas.errors import Forbidden, NotReady
from schemas.subjects import PLATFORM_APP, inbox_prefix

__all__ = ("CONNECT_TIMEOUT_S", "RECONNECT_WAIT_S", "ROUND_TRIPS_MISSED_MAX", "NatsBus")

_log = logging.getLogger(__name__)

# A restart of NATS takes about a second; asking often finds it soon and costs nothing. nats-py
# declares an int and takes a float.
RECONNECT_WAIT_S: Any = 0.25
CONNECT_TIMEOUT_S = 5
# One answer lost may be a slow moment; three are a dead connection.
ROUND_TRIPS_MISSED_MAX = 3


class _Subscription:
    __slots__ = ("queue", "receiver", "sid", "subject")

    def __init__(self, subject: str, receiver: Receiver, queue: str, sid: int) -> None:
        self.subject = subject
        self.receiver = receiver
        self.queue = queue
        self.sid = sid


class NatsBus:
    """See :class:`kernel.bus.Bus`. Use as an async context manager.

    Raise :class:`Forbidden` at the start when NATS does not accept the credentials.
    """

    def __init__(
        self, url: str, *, name: str, clock: Clock, security: NatsSecurity | None = None
    ) -> None:
        self._url = url
        self._security = security or NatsSecurity()
        self._name = name
        self._clock = clock
        self._listeners: list[Callable[[], None]] = []
        self._subscriptions: dict[int, _Subscription] = {}
        self._next_subscription = 0
        self._reconnects = 0
        self._round_trip_s: float | None = None
        self._round_trips_missed = 0
        self._closing = False

    async def __aenter__(self) -> Self:
        self.control = await self._connect("control")
        self._incoming = await self._connect("in")
        self._outgoing = await self._connect("out")
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._closing = True
        with anyio.CancelScope(shield=True):
            for connection in (self._outgoing, self._incoming, self.control):
                await _close(connection)

    async def _connect(self, role: str) -> DirectConnection:
        connection = DirectConnection()

        async def disconnected() -> None:
            if not self._closing:
                _log.warning("connection to NATS lost", extra={"role": role})
                for listener in self._listeners:
                    listener()

        async def reconnected() -> None:
            self._reconnects += 1
            _log.info("connection to NATS is back", extra={"role": role})

        async def failed(error: Exception) -> None:
            _log.debug("NATS client: %s", error, extra={"role": role})

        try:
            await connection.connect_secure(
                self._url,
                self._security,
                # No app has this name, so no app's answers are ever sent here.
                inbox_prefix=inbox_prefix(PLATFORM_APP),
                name=f"{self._name}:{role}",
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_WAIT_S,
                connect_timeout=CONNECT_TIMEOUT_S,
                ping_interval=10,
                max_outstanding_pings=2,
                disconnected_cb=disconnected,
                reconnected_cb=reconnected,
                error_cb=failed,
            )
        except (Forbidden, NotReady) as error:
            await _close(connection)
            address = without_password(self._url)
            raise type(error)(f"cannot connect to NATS at {address}: {error.message}") from error
        except (OSError, TimeoutError, nats.errors.Error) as error:
            await _close(connection)
            address = without_password(self._url)
            raise NotReady(f"cannot connect to NATS at {address}: {error}") from error
        return connection

    def publish(
        self, subject: str, payload: bytes, *, reply: str = "", headers: bytes = b""
    ) -> None:
        """Send without waiting; raise :class:`NotReady` when cut off."""
        self._outgoing.publish_nowait(subject, payload, reply, headers)

    async def subscribe(self, subject: str, receiver: Receiver, *, queue: str = "") -> int:
        """Receive what is sent to ``subject`` and return the subscription's number."""
        sid = await self._incoming.subscribe_direct(subject, receiver, queue)
        self._next_subscription += 1
        self._subscriptions[self._next_subscription] = _Subscription(subject, receiver, queue, sid)
        return self._next_subscription

    async def unsubscribe(self, subscription: int) -> None:
        """Stop receiving."""
        known = self._subscriptions.pop(subscription, None)
        if known is not None:
            await self._incoming.unsubscribe_direct(known.sid)

    async def flush(self, timeout_s: float) -> None:
        """Wait until NATS has taken all that was published."""
        await _round_trip(self._outgoing, timeout_s)

    async def round_trip_s(self, timeout_s: float) -> float:
        """Return the seconds of a round trip on the slowest connection."""
        start_s = self._clock.monotonic_s()
        try:
            for connection in (self.control, self._incoming, self._outgoing):
                await _round_trip(connection, timeout_s)
                connection.write_buffer_check()
        except NotReady:
            self._round_trip_s = None
            self._round_trips_missed += 1
            raise
        self._round_trips_missed = 0
        self._round_trip_s = self._clock.monotonic_s() - start_s
        return self._round_trip_s

    async def watch(self, interval_s: float) -> None:
        """Measure a round trip every ``interval_s`` and replace what does not answer."""
        while True:
            await self._clock.sleep(interval_s)
            try:
                await self.round_trip_s(interval_s)
            except NotReady as error:
                _log.warning("no round trip to NATS: %s", error.message)
                if self._round_trips_missed >= ROUND_TRIPS_MISSED_MAX:
                    await self._replace_connections()

    async def _replace_connections(self) -> None:
        """Give up the clients and make new ones; nats-py cannot mend its own dead read loop."""
        try:
            control = await self._connect("control")
            incoming = await self._connect("in")
            outgoing = await self._connect("out")
        except (Forbidden, NotReady) as error:
            _log.warning("NATS is still out of reach: %s", error.message)
            return
        old = (self.control, self._incoming, self._outgoing)
        self.control, self._incoming, self._outgoing = control, incoming, outgoing
        for known in self._subscriptions.values():
            known.sid = await incoming.subscribe_direct(known.subject, known.receiver, known.queue)
        self._reconnects += 1
        self._round_trips_missed = 0
        for listener in self._listeners:
            listener()
        for connection in old:
            await _close(connection)

    def on_disconnect(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever what is in flight may be lost."""
        self._listeners.append(listener)

    def jetstream(self) -> JetStreamContext:
        """Return JetStream's administration over the connection of this moment."""
        return self.control.jetstream()

    def statistics(self) -> BusStatistics:
        """Return the counts of the data connections."""
        both = (self._incoming, self._outgoing)
        return BusStatistics(
            connected=all(connection.is_connected for connection in both),
            round_trip_s=self._round_trip_s,
            round_trips_missed=self._round_trips_missed,
            messages_in=sum(connection.messages_in for connection in both),
            messages_out=sum(connection.messages_out for connection in both),
            bytes_in=sum(connection.bytes_in for connection in both),
            bytes_out=sum(connection.bytes_out for connection in both),
            reconnects=self._reconnects,
        )


async def _round_trip(connection: DirectConnection, timeout_s: float) -> None:
    try:
        await connection.round_trip(timeout_s)
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise NotReady(f"NATS did not answer within {timeout_s} s") from error


async def _close(connection: DirectConnection) -> None:
    try:
        with anyio.move_on_after(2.0):
            await connection.close()
    except (OSError, nats.errors.Error) as error:
        _log.debug("closing a connection to NATS: %s", error)
