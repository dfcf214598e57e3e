"""A TCP link that can be cut, frozen and slowed: a proxy in the process that injects the faults."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
import msgspec

__all__ = ("Link", "LinkStatistics", "open_link")

_HOST = "127.0.0.1"
_CHUNK_BYTES = 64 * 1024
# What may be under way in one direction of a slowed connection: a second of a busy node's traffic.
_CHUNKS_MAX = 512
_LOOK_EVERY_S = 0.01


class LinkStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since it was opened; ``refused`` are connections that came while it was cut."""

    connections: int
    open: int
    refused: int
    reset: int
    bytes: int


class Link:
    """What stands between a node and a server; made by :func:`open_link`.

    A link that is cut resets its connections and refuses new ones, as a server's host that lost its
    process does. One that is frozen neither passes nor ends anything, as a cable that was pulled.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._cut = False
        self._delay_s = 0.0
        self._passing = asyncio.Event()
        self._passing.set()
        # Of each connection that is open.
        self._ends: set[asyncio.Event] = set()
        self._connections = self._refused = self._reset = self._bytes = 0
        self.port = 0

    def through(self, url: str) -> str:
        """Return the address ``url`` with the port of this link in it."""
        parts = urlsplit(url)
        user, _, _ = parts.netloc.rpartition("@")
        place = f"{_HOST}:{self.port}"
        return parts._replace(netloc=f"{user}@{place}" if user else place).geturl()

    def cut(self) -> None:
        """Reset all connections, and refuse new ones until healed."""
        self._cut = True
        self._reset += len(self._ends)
        self.close()

    def freeze(self) -> None:
        """Let nothing pass until healed, and tell nobody."""
        self._passing.clear()

    def delay(self, seconds: float) -> None:
        """Let everything arrive that much later, in both directions, until healed."""
        self._delay_s = seconds

    def heal(self) -> None:
        """Be an ordinary link again; what was frozen arrives now."""
        self._cut = False
        self._delay_s = 0.0
        self._passing.set()

    def statistics(self) -> LinkStatistics:
        """Return the counts so far."""
        return LinkStatistics(
            connections=self._connections,
            open=len(self._ends),
            refused=self._refused,
            reset=self._reset,
            bytes=self._bytes,
        )

    # Its connections.

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a connection with one of its own to the server, until either side ends."""
        self._connections += 1
        if self._cut:
            self._refused += 1
            writer.transport.abort()
            return
        end = asyncio.Event()
        self._ends.add(end)
        try:
            upstream_reader, upstream = await asyncio.open_connection(_HOST, self._target_port)
            try:
                await _first_done(
                    self._pump(reader, upstream), self._pump(upstream_reader, writer), _set(end)
                )
            finally:
                upstream.transport.abort()
        except OSError:
            # The server is away, or one side was reset: the other side is told by a reset too.
            pass
        finally:
            self._ends.discard(end)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_MAX)

        async def send() -> None:
            while True:
                due_s, chunk = await chunks.get()
                await asyncio.sleep(max(due_s - loop.time(), 0.0))
                await self._passing.wait()
                if not chunk or writer.is_closing():
                    return
                writer.write(chunk)
                await writer.drain()
                self._bytes += len(chunk)

        async def receive() -> None:
            while True:
                chunk = await reader.read(_CHUNK_BYTES)
                await chunks.put((loop.time() + self._delay_s, chunk))
                if not chunk:
                    # What came before is sent first; the sender ends the pump.
                    await asyncio.Event().wait()

        await _first_done(receive(), send())

    def close(self) -> None:
        """End all connections."""
        for end in self._ends:
            end.set()


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _first_done(*ways: Coroutine[object, object, None]) -> None:
    """Run all until the first of them ends, end the others, and raise what that one raised."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def open_link(target_port: int) -> AsyncIterator[Link]:
    """Open a link to a server on this machine; closed with all its connections at the end."""
    link = Link(target_port)
    server = await asyncio.start_server(link.accept, _HOST, 0)
    link.port = server.sockets[0].getsockname()[1]
    try:
        yield link
    finally:
        server.close()
        link.close()
        # Their ends are heard of in the next turns of the loop.
        with anyio.CancelScope(shield=True):
            while link.statistics().open:  # noqa: ASYNC110 - once, and soon over
                await anyio.sleep(_LOOK_EVERY_S)
