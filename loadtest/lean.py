"""A NATS client for load generation: a request costs it a few microseconds, and it checks little.

It speaks the text protocol itself, writes once per turn of the event loop, listens on one wildcard
inbox and knows its requests by an integer token in the reply subject. It does not reconnect: a lost
connection ends a measurement. It logs in with the user and password of the address and speaks no
TLS. Use nats-py for anything that is not load.
"""

import asyncio
import json
import re
import secrets
from collections.abc import Callable
from typing import cast
from urllib.parse import unquote, urlsplit

__all__ = ("NO_RESPONDERS", "LeanClient", "LeanError", "check_target")

# What a reply callback gets as body when nobody is subscribed to the subject.
NO_RESPONDERS = b""

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})

# Literal tokens only: no wildcards, and nothing that could end a protocol line.
_SUBJECT = re.compile(r"[A-Za-z0-9_$-]+(\.[A-Za-z0-9_$-]+)*")

_CRLF = b"\r\n"

# The longest protocol line the server may send; its own limit is 4 KiB, INFO alone is longer.
_LINE_BYTES_MAX = 64 * 1024

_OnReply = Callable[[int, bytes], None]
_OnLost = Callable[[Exception], None]


class LeanError(Exception):
    """The server refused us, or what was asked of the client is not safe."""


def check_target(url: str, *, allow_host: str | None = None) -> tuple[str, int]:
    """Return host and port of ``url``; raise :class:`LeanError` unless it is this machine.

    Load on a machine that did not expect it is an attack: another host must be named by the person
    who starts the run, in ``allow_host``.
    """
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    host = parts.hostname or ""
    if host not in _LOCAL and host != allow_host:
        raise LeanError(
            f"{host!r} is not this machine: load goes to 127.0.0.1 or localhost only. If {host!r} "
            f"is yours to load, name it: --allow-host {host}"
        )
    return host, parts.port or 4222


class LeanClient(asyncio.Protocol):
    """One connection. Make it with :meth:`connect`.

    ``on_reply(token, body)`` is called for every reply, in the loop; a body of
    :data:`NO_RESPONDERS` means that nobody listens. ``on_lost(error)`` is called once when the
    connection ends without :meth:`close`.
    """

    def __init__(self, on_reply: _OnReply, on_lost: _OnLost, connect_line: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._connect_line = connect_line
        self._inbox = f"_INBOX.{secrets.token_hex(8)}".encode()
        self._token_at = len(self._inbox) + 1
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._rest = b""
        self._closing = False

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        on_reply: _OnReply,
        on_lost: _OnLost,
        timeout_s: float,
        allow_host: str | None = None,
    ) -> "LeanClient":
        """Connect and wait until the server has answered a PING."""
        host, port = check_target(url, allow_host=allow_host)
        line = _connect_line(url)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            _, client = await loop.create_connection(
                lambda: cls(on_reply, on_lost, line), host, port
            )
            await client._ready
        return client

    def prepare(self, subject: str) -> bytes:
        """Check ``subject`` once and return what :meth:`send_nowait` wants for it."""
        if not _SUBJECT.fullmatch(subject):
            raise LeanError(
                f"subject {subject!r} is not one to send to: tokens of letters, digits, _ $ and -, "
                "separated by single dots"
            )
        return b"PUB %b %b." % (subject.encode(), self._inbox)

    def send_nowait(self, prepared: bytes, token: int, body: bytes) -> None:
        """Send a request; its reply comes with ``token``. It leaves at the end of this turn."""
        out = self._out
        if not out:
            self._loop.call_soon(self._flush)
        out.append(b"%b%d %d\r\n%b\r\n" % (prepared, token, len(body), body))

    def close(self) -> None:
        """Flush and close the connection."""
        self._closing = True
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the server speaks first."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, unless it was its own wish."""
        error = exc or ConnectionResetError("the NATS server closed the connection")
        if not self._ready.done():
            self._ready.set_exception(error)
        elif not self._closing:
            self._closing = True
            self._on_lost(error)

    def data_received(self, data: bytes) -> None:
        """Parse all that is complete and keep the rest."""
        if self._rest:
            data = self._rest + data
        position = 0
        while True:
            end = data.find(_CRLF, position)
            if end < 0:
                break
            kind = data[position]
            # M and H are MSG and HMSG; all others are single lines.
            if kind in b"MH":
                after = self._message(data, position, end, headers=kind == ord("H"))
                if after < 0:
                    break
                position = after
            else:
                self._control(data[position:end])
                position = end + 2
        self._rest = data[position:]
        if end < 0 and len(self._rest) > _LINE_BYTES_MAX:
            self._fail(LeanError(f"the server sent a line of over {_LINE_BYTES_MAX} bytes"))

    def _message(self, data: bytes, position: int, end: int, *, headers: bool) -> int:
        """Hand over one message and return the position after it; −1 when it is not all here.

        ``MSG <subject> <sid> <bytes>``, ``HMSG <subject> <sid> <header bytes> <all bytes>``.
        """
        words = data[position:end].split()
        body_at = end + 2
        body_end = body_at + int(words[-1])
        if len(data) < body_end + 2:
            return -1
        if headers:
            # The only headers that come to an inbox unasked are the server's own: no responders.
            body_at += int(words[-2])
        self._on_reply(int(words[1][self._token_at :]), data[body_at:body_end])
        return body_end + 2

    def _control(self, line: bytes) -> None:
        if line == b"PING":
            self._write_control(b"PONG\r\n")
        elif line == b"PONG":
            if not self._ready.done():
                self._ready.set_result(None)
        elif line.startswith(b"INFO "):
            # Sent once at the start and again whenever the cluster changes.
            if b'"tls_required":true' in line:
                # Else the credentials would go out in plain text.
                self._fail(LeanError("the server asks for TLS, which this client does not speak"))
            elif self._connect_line:
                self._write_control(self._connect_line + b"SUB %b.* 1\r\nPING\r\n" % self._inbox)
                self._connect_line = b""
        elif line.startswith(b"-ERR"):
            self._fail(LeanError(f"the NATS server says {line.decode(errors='replace')}"))

    def _fail(self, error: LeanError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
        elif not self._closing:
            self._on_lost(error)
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def _write_control(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()


def _connect_line(url: str) -> bytes:
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    options: dict[str, object] = {
        "verbose": False,
        "pedantic": False,
        "headers": True,
        "no_responders": True,
        "lang": "python-lean",
        "version": "1",
        "protocol": 1,
        "name": "zhihui-loadtest",
    }
    if parts.password is not None:
        options["user"] = unquote(parts.username or "")
        options["pass"] = unquote(parts.password)
    elif parts.username is not None:
        options["auth_token"] = unquote(parts.username)
    return b"CONNECT " + json.dumps(options).encode() + _CRLF
