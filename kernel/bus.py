"""The bus as a port: what the kernel needs of a message broker."""

from collections.abc import Callable
from typing import Protocol

import msgspec

__all__ = ("Bus", "BusStatistics", "Receiver")

# Called with subject, reply subject ("" for none), payload and raw headers (b"" for none).
# It runs in the connection's read loop: it may only enqueue, and must not raise.
Receiver = Callable[[str, str, bytes, bytes], None]


class BusStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; ``round_trip_s`` is the last one measured, None when it failed."""

    connected: bool
    round_trip_s: float | None
    round_trips_missed: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    reconnects: int


class Bus(Protocol):
    """Publish and subscribe; delivery is at most once."""

    def publish(
        self, subject: str, payload: bytes, *, reply: str = "", headers: bytes = b""
    ) -> None:
        """Send without waiting; raise :class:`~schemas.errors.NotReady` when cut off.

        ``headers`` is a finished header block in the bus's own form, or empty.
        """

    async def subscribe(self, subject: str, receiver: Receiver, *, queue: str = "") -> int:
        """Receive what is sent to ``subject``; with ``queue``, shared within that group."""

    async def unsubscribe(self, subscription: int) -> None:
        """Stop receiving."""

    async def round_trip_s(self, timeout_s: float) -> float:
        """Return the seconds of a round trip on the slowest connection.

        Raise :class:`~schemas.errors.NotReady` when there is none within ``timeout_s``.
        """

    async def watch(self, interval_s: float) -> None:
        """Measure a round trip every ``interval_s`` and mend what does not answer."""

    async def flush(self, timeout_s: float) -> None:
        """Wait until the broker has taken all that was published."""

    def on_disconnect(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever what is in flight may be lost."""

    def statistics(self) -> BusStatistics:
        """Return the counts so far."""
