"""One connection of nats-py, with a short path for messages in and out.

nats-py hands every message through a queue, a task and several objects, about 20 microseconds each
way. The data connections need none of it: this subclass parses the messages of its own
subscriptions straight from the buffer and writes all that was published in a turn of the loop at
once. Everything that happens once (connect, reconnect, authentication, pings) stays nats-py's.
"""

import asyncio
import logging
from typing import Any

from nats.errors import ProtocolError
from nats.protocol.parser import Parser

from kernel.bus import Receiver
from kernel.nats_security import SecureClient
from schemas.errors import Busy, MessageTooLarge, NotReady

__all__ = ("READ_BYTES", "WRITE_BUFFER_BYTES_MAX", "DirectConnection")

_log = logging.getLogger(__name__)

# A peer that stops reading must not grow our memory without bound. 64 MiB is two seconds of the
# heaviest traffic measured.
WRITE_BUFFER_BYTES_MAX = 64 * 1024 * 1024

# What is read at once. A frame of a hundred kilobytes in nats-py's pieces of 32 KiB would be put
# together anew with each of them; twice as much as this waits before the peer has to.
READ_BYTES = 512 * 1024

_CRLF = b"\r\n"


class _DirectParser(Parser):
    """Parse MSG and HMSG here and leave every other protocol line to nats-py."""

    def __init__(self, client: "DirectConnection") -> None:
        super().__init__(client)
        self._client = client
        self._rest = b""

    def reset(self) -> None:
        super().reset()
        self._rest = b""

    async def parse(self, data: bytes = b"") -> None:
        buffer = self._rest + data if self._rest else data
        position = 0
        size = len(buffer)
        while position < size:
            line_end = buffer.find(_CRLF, position)
            if line_end < 0:
                break
            # Split at blanks only: a subject may hold any other byte, and comes from outside.
            if buffer.startswith(b"MSG ", position):
                arguments = buffer[position + 4 : line_end].split(b" ")
                header_size = 0
            elif buffer.startswith(b"HMSG ", position):
                arguments = buffer[position + 5 : line_end].split(b" ")
                header_size = int(arguments.pop(-2))
            else:
                await super().parse(buffer[position : line_end + 2])
                position = line_end + 2
                continue
            start = line_end + 2
            end = start + int(arguments[-1])
            if end + 2 > size:
                break
            position = end + 2
            reply = arguments[2] if len(arguments) == 4 else b""
            if not self._deliver(arguments, reply, buffer, start, start + header_size, end):
                await self._client._process_msg(
                    int(arguments[1]),
                    arguments[0],
                    reply,
                    buffer[start + header_size : end],
                    buffer[start : start + header_size],
                )
        self._rest = buffer[position:]
        if len(self._rest) > self._client.rest_bytes_max:
            raise ProtocolError

    def _deliver(
        self, arguments: list[bytes], reply: bytes, buffer: bytes, start: int, body: int, end: int
    ) -> bool:
        """Hand a message to its receiver; tell whether there is one."""
        client = self._client
        client.messages_in += 1
        client.bytes_in += end - start
        receiver = client.receivers.get(int(arguments[1]))
        if receiver is None:
            return False
        try:
            receiver(
                arguments[0].decode(errors="replace"),
                reply.decode(errors="replace"),
                buffer[body:end],
                buffer[start:body],
            )
        except Exception:  # noqa: BLE001 - see below
            # A receiver must not raise. If one does all the same, that costs this message,
            # and not the read loop, which nats-py would never start again.
            _log.exception("the receiver of a message failed")
        return True


class DirectConnection(SecureClient):
    """A nats-py client whose own subscriptions are called without a queue in between."""

    def __init__(self) -> None:
        super().__init__()
        self._ps = _DirectParser(self)
        self.receivers: dict[int, Receiver] = {}
        self.messages_in = 0
        self.messages_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        # A protocol line and the largest payload the server may send, whatever it announced.
        self.rest_bytes_max = 80 * 1024 * 1024
        self._unsent: list[bytes] = []
        self._write_scheduled = False

    async def _process_connect_init(self) -> None:
        await super()._process_connect_init()
        transport: Any = self._transport
        reader = getattr(transport, "_io_reader", None)
        if reader is not None:
            reader._limit = READ_BYTES
            transport.read = lambda _size: reader.read(READ_BYTES)

    async def subscribe_direct(self, subject: str, receiver: Receiver, queue: str = "") -> int:
        """Subscribe and return the subscription's number."""
        subscription = await self.subscribe(subject, queue=queue, cb=_never_called)
        self.receivers[subscription._id] = receiver
        return int(subscription._id)

    async def unsubscribe_direct(self, sid: int) -> None:
        """End a subscription."""
        self.receivers.pop(sid, None)
        subscription = self._subs.get(sid)
        if subscription is not None and self.is_connected:
            await subscription.unsubscribe()

    def publish_nowait(self, subject: str, payload: bytes, reply: str, headers: bytes) -> None:
        """Queue a message for the end of this turn of the loop."""
        if not self.is_connected:
            raise NotReady("the connection to NATS is down", retry_after_s=0.5)
        if "\r" in subject or "\n" in subject or " " in subject or not subject:
            raise ValueError(f"not a subject: {subject!r}")
        if len(headers) + len(payload) > self._max_payload:
            # The server would close the connection, with all that is under way on it.
            raise MessageTooLarge(
                f"{len(payload)} bytes for {subject!r}; the server takes {self._max_payload}"
            )
        target = f"{subject} {reply}" if reply else subject
        if headers:
            size = len(headers)
            line = f"HPUB {target} {size} {size + len(payload)}\r\n".encode()
            self._unsent += (line, headers, payload, _CRLF)
        else:
            line = f"PUB {target} {len(payload)}\r\n".encode()
            self._unsent += (line, payload, _CRLF)
        self.messages_out += 1
        self.bytes_out += len(payload)
        if not self._write_scheduled:
            self._write_scheduled = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        self._write_scheduled = False
        unsent, self._unsent = self._unsent, []
        transport = self._transport
        if unsent and self.is_connected and transport:
            transport.write(b"".join(unsent))

    async def round_trip(self, timeout_s: float) -> None:
        """Wait until the server has answered a ping sent after all that was published.

        nats-py's own ``flush`` returns at once, as if all were well, when its read loop is dead.
        """
        if not self.is_connected or not self._transport:
            raise NotReady("the connection to NATS is down", retry_after_s=0.5)
        self._write()
        pong: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await self._send_ping(pong)
        await asyncio.wait_for(pong, timeout_s)

    def write_buffer_check(self) -> None:
        """Raise :class:`Busy` when the server has not read what was sent before."""
        transport = self._transport
        writer: Any = getattr(transport, "_io_writer", None)
        if writer is not None:
            waiting = writer.transport.get_write_buffer_size()
            if waiting > WRITE_BUFFER_BYTES_MAX:
                raise Busy(f"{waiting} bytes wait for NATS to read them", retry_after_s=0.5)


async def _never_called(message: Any) -> None:
    raise AssertionError(f"{message} took nats-py's path, though its subscription is direct")
