"""The link that faults are injected with does what it says, and nothing else."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from loadtest.adversity.link import Link, open_link

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def _echo() -> AsyncIterator[Link]:
    """Run a server that says what it hears, behind a link."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1_000):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        async with open_link(server.sockets[0].getsockname()[1]) as link:
            yield link
    finally:
        server.close()


@asynccontextmanager
async def _connected(
    link: Link,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _say(pair: tuple[asyncio.StreamReader, asyncio.StreamWriter], text: bytes) -> bytes:
    reader, writer = pair
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), 5)


async def test_a_sound_link_passes_everything_on() -> None:
    """What is said comes back whole and in order, also much of it."""
    async with _echo() as link, _connected(link) as pair:
        assert await _say(pair, b"hello") == b"hello"
        large = bytes(range(256)) * 2_000
        assert await _say(pair, large) == large
        assert link.statistics().open == 1


async def test_a_cut_link_resets_and_refuses_until_healed() -> None:
    """Both who is connected and who comes are turned away; afterwards all is as before."""
    async with _echo() as link:
        async with _connected(link) as pair:
            await _say(pair, b"hello")
            link.cut()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await _say(pair, b"again")
        async with _connected(link) as pair:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await _say(pair, b"hello")
        assert link.statistics().refused == 1
        assert link.statistics().reset == 1
        link.heal()
        async with _connected(link) as pair:
            assert await _say(pair, b"hello") == b"hello"


async def test_a_frozen_link_keeps_everything_and_says_nothing() -> None:
    """Nothing arrives and nothing ends; when it is healed the same connection goes on."""
    async with _echo() as link, _connected(link) as pair:
        await _say(pair, b"hello")
        link.freeze()
        pair[1].write(b"later")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pair[0].read(1), 0.2)
        link.heal()
        assert await asyncio.wait_for(pair[0].readexactly(5), 5) == b"later"


async def test_a_slow_link_is_slow_in_both_directions() -> None:
    """An answer takes twice the delay, and much of it no longer."""
    async with _echo() as link, _connected(link) as pair:
        link.delay(0.05)
        began_s = time.monotonic()
        assert await _say(pair, b"x" * 50_000) == b"x" * 50_000
        assert time.monotonic() - began_s >= 0.1


async def test_an_address_is_led_through_a_link() -> None:
    """Only the port of an address is another one; its user and its path stay."""
    async with _echo() as link:
        assert link.through("nats://node:secret@127.0.0.1:4222") == (
            f"nats://node:secret@127.0.0.1:{link.port}"
        )
        assert link.through("postgresql://z:p@127.0.0.1:5/db") == (
            f"postgresql://z:p@127.0.0.1:{link.port}/db"
        )
