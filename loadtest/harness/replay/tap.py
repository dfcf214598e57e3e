"""Records what apps ask of the service, from the side: whoever asks is not slowed.

A copy of each request comes over the bus, so that everything is recorded, whoever sends it: a load
run, a demo, or real backends. It holds what they hold: account ids, names, amounts.
"""

import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import nats
from nats.errors import SlowConsumerError

from loadtest.harness.replay.recording import Header, RecordingWriter
from schemas.subjects import REQUEST_SUBJECTS

if TYPE_CHECKING:
    from nats.aio.msg import Msg

__all__ = ("Tap", "TapStatistics", "record", "recording_tap")

_CONNECT_TIMEOUT_S = 5.0

# What may wait to be written: some seconds of what one service can take.
_PENDING_MESSAGES = 262_144
_PENDING_BYTES = 256 * 1024 * 1024


class TapStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts so far; ``dropped`` tells whether the bus has thrown copies away, ours only."""

    requests: int
    left_out: int
    dropped: bool


class Tap:
    """What :func:`recording_tap` runs."""

    def __init__(self, writer: RecordingWriter) -> None:
        self._writer = writer
        self._dropped = False

    async def take(self, message: "Msg") -> None:
        """Write one request."""
        self._writer.add(time.perf_counter_ns(), message.subject, message.data)

    async def hear_error(self, error: Exception) -> None:
        """Note that the bus has thrown copies away."""
        self._dropped = self._dropped or isinstance(error, SlowConsumerError)

    def statistics(self) -> TapStatistics:
        """Return the counts so far."""
        return TapStatistics(
            requests=self._writer.requests, left_out=self._writer.left_out, dropped=self._dropped
        )


@asynccontextmanager
async def recording_tap(url: str, path: Path, *, app: str = "") -> AsyncIterator[Tap]:
    """Record into ``path`` while the body runs: all apps, or one.

    ``url`` must be that of somebody who may listen to requests, as the nodes may.
    """
    header = Header(started_at=datetime.now(tz=UTC).isoformat(timespec="milliseconds"))
    with RecordingWriter(path, header) as writer:
        tap = Tap(writer)
        client = await nats.connect(
            url, connect_timeout=_CONNECT_TIMEOUT_S, error_cb=tap.hear_error
        )
        try:
            await client.subscribe(
                f"zh.v1.{app}.>" if app else REQUEST_SUBJECTS,
                cb=tap.take,
                pending_msgs_limit=_PENDING_MESSAGES,
                pending_bytes_limit=_PENDING_BYTES,
            )
            await client.flush()
            yield tap
            # What was sent before this moment is here after a round trip.
            await client.flush()
            await client.drain()
        finally:
            await client.close()


async def record(
    url: str,
    path: Path,
    *,
    app: str = "",
    seconds: float | None = None,
    until: Callable[[anyio.CancelScope], Coroutine[Any, Any, None]],
) -> TapStatistics:
    """Record for so many seconds, or until ``until`` cancels the scope that it is given."""
    async with recording_tap(url, path, app=app) as tap, anyio.create_task_group() as group:
        group.start_soon(until, group.cancel_scope)
        await anyio.sleep(float("inf") if seconds is None else seconds)
        group.cancel_scope.cancel()
    # When it has written all that was on its way.
    return tap.statistics()
