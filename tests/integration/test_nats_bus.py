"""The bus over a real NATS server, against peers that send what they should not."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
import pytest

from kernel.clock import SystemClock
from kernel.nats_bus import NatsBus
from schemas.errors import ZhihuiError
from tests.eventually import eventually
from zhihui.embedded.nats_server import EmbeddedNats

pytestmark = pytest.mark.anyio


class _Inbox:
    def __init__(self) -> None:
        self.messages: list[tuple[str, str, bytes, bytes]] = []

    def __call__(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        if data == b"raise":
            raise RuntimeError("a receiver that breaks its contract")
        self.messages.append((subject, reply, data, headers))

    def bodies(self) -> list[bytes]:
        return [message[2] for message in self.messages]


@asynccontextmanager
async def _bus(url: str) -> AsyncIterator[tuple[NatsBus, _Inbox]]:
    async with NatsBus(url, name="test", clock=SystemClock()) as bus:
        inbox = _Inbox()
        await bus.subscribe("zh.v1.>", inbox)
        await bus.round_trip_s(5.0)
        yield bus, inbox


async def _send_raw(url: str, *commands: bytes) -> None:
    """Speak the protocol by hand, as no client library would."""
    parts = urlsplit(url)
    login = {"verbose": False, "headers": True, "user": parts.username, "pass": parts.password}
    async with await anyio.connect_tcp("127.0.0.1", parts.port or 0) as stream:
        await stream.receive()
        await stream.send(f"CONNECT {json.dumps(login)}\r\n".encode())
        await stream.send(b"".join(commands) + b"PING\r\n")
        received = b""
        while b"PONG" not in received:
            received += await stream.receive()


def _pub(subject: bytes, body: bytes, reply: bytes = b"") -> bytes:
    target = subject + b" " + reply if reply else subject
    return b"PUB %s %d\r\n%s\r\n" % (target, len(body), body)


async def test_messages_arrive_whole_and_in_order(nats_server: EmbeddedNats) -> None:
    """Small and large, with and without headers and reply, in the order in which they were sent."""
    async with _bus(nats_server.url) as (bus, inbox):
        bodies = [b"x" * size for size in (0, 1, 70_000, 5, 1_000_000, 2, 65_536)]
        headers = b"NATS/1.0\r\nA: b\r\n\r\n"
        for number, body in enumerate(bodies):
            bus.publish(
                f"zh.v1.{number}", body, reply="r" if number % 2 else "",
                headers=headers if number % 3 else b"",
            )  # fmt: skip
        await eventually(lambda: len(inbox.messages) == len(bodies), "all messages")
        assert inbox.messages == [
            (f"zh.v1.{n}", "r" if n % 2 else "", body, headers if n % 3 else b"")
            for n, body in enumerate(bodies)
        ]


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param(_pub(b"zh.v1.\xff\xfe.a.b", b"?"), id="subject not UTF-8"),
        pytest.param(_pub(b"zh.v1.a\x0bb.c.d", b"?"), id="vertical tab in the subject"),
        pytest.param(_pub(b"zh.v1.a\x0cb\x0b1.c.d", b"?"), id="form feed in the subject"),
        pytest.param(_pub(b"zh.v1.a\x1c\x85.c.d", b"?"), id="separators in the subject"),
        pytest.param(_pub(b"zh.v1.a", b"?", b"\xff\xff"), id="reply not UTF-8"),
        pytest.param(_pub(b"zh.v1.a", b"?", b"a\x0bb"), id="vertical tab in the reply"),
        pytest.param(_pub(b"zh.v1.a", b"raise"), id="a receiver raises"),
        pytest.param(b"HPUB zh.v1.a 12 13\r\nNATS/1.0\r\n\r\n?\r\n", id="empty headers"),
        pytest.param(b"HPUB zh.v1.a 12 13\r\n\xff\xfe\xfd\xfc123456\r\n?\r\n", id="binary headers"),
    ],
)
async def test_no_message_breaks_the_connection(
    nats_server: EmbeddedNats, poison: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a peer sends, the next message arrives on the same connection."""
    async with _bus(nats_server.url) as (bus, inbox):
        await _send_raw(nats_server.url, poison, _pub(b"zh.v1.good", b"good"))
        await eventually(lambda: b"good" in inbox.bodies(), "the message after the poison")
        await bus.round_trip_s(2.0)
        assert bus.statistics().reconnects == 0
        # And an answer to whatever came in harms nobody either.
        for _, reply, _, _ in inbox.messages:
            if reply:
                try:
                    bus.publish(reply, b"answer")
                except (ZhihuiError, ValueError):
                    continue
        await bus.round_trip_s(2.0)
    assert "encountered error" not in caplog.text


async def test_payload_over_the_servers_limit_is_refused_here(nats_server: EmbeddedNats) -> None:
    """The server would close the connection and lose what is under way, so it is not sent."""
    async with _bus(nats_server.url) as (bus, inbox):
        with pytest.raises(ZhihuiError):
            bus.publish("zh.v1.large", b"x" * (9 * 1024 * 1024))
        bus.publish("zh.v1.good", b"good")
        await eventually(lambda: inbox.bodies() == [b"good"], "the message after it")
        await bus.round_trip_s(2.0)
        assert bus.statistics().reconnects == 0


async def test_restarted_server_is_found_again(nats_server: EmbeddedNats) -> None:
    """After the server was killed and started, listeners were told and messages arrive again."""
    async with _bus(nats_server.url) as (bus, inbox):
        told: list[str] = []
        bus.on_disconnect(lambda: told.append("lost"))
        await nats_server.kill()
        await eventually(lambda: bool(told), "the loss is noticed")
        with pytest.raises(ZhihuiError):
            await bus.round_trip_s(0.5)
        await nats_server.start()

        async def arrives() -> bool:
            try:
                bus.publish("zh.v1.again", b"again")
            except ZhihuiError:
                return False
            return b"again" in inbox.bodies()

        await eventually(arrives, "a message after the restart", within_s=10)
        await bus.round_trip_s(2.0)
