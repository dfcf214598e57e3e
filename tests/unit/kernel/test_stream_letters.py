"""Dead letters of the intake: each message has one, and whoever buries it learns whether."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from kernel.clock import ManualClock
from kernel.memory_streams import MemoryStreams
from kernel.stream_letters import DEAD_LETTER_SETTINGS, REASON_CHARACTERS_MAX, StreamLetters
from kernel.streams import Outgoing, StreamMessage, StreamSettings
from schemas.errors import ErrorBody
from schemas.requests import CODE_HEADER, REASON_HEADER
from schemas.subjects import DEAD_LETTER_STREAM
from tests.eventually import turns
from tests.unit.kernel.harness import START

pytestmark = pytest.mark.anyio

_ERROR = ErrorBody(code="invalid_field", message="no such\r\n\0Zh-Code: forged")


@asynccontextmanager
async def _letters() -> AsyncIterator[tuple[MemoryStreams, StreamLetters, StreamMessage]]:
    streams = MemoryStreams(ManualClock(START))
    await streams.ensure(StreamSettings(name="IN", subjects=("zh.in.v1.>",)))
    await streams.ensure(DEAD_LETTER_SETTINGS)
    await streams.publish(Outgoing("zh.in.v1.shop.account.open", b"poison"))
    message = await streams.read("IN", 1)
    assert message is not None
    letters = StreamLetters(streams)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(letters.run)
        yield streams, letters, message
        tasks.cancel_scope.cancel()


async def test_a_message_has_one_letter() -> None:
    """Buried again, as after a crash before it left the queue, it stands once."""
    async with _letters() as (streams, letters, message):
        stands: list[bool] = []
        for _ in range(3):
            letters.bury(message, _ERROR, stands.append)
            await turns()
        assert stands == [True, True, True]
        state = await streams.state(DEAD_LETTER_STREAM)
        assert state is not None
        assert state.messages == 1
        letter = await streams.read(DEAD_LETTER_STREAM, 1)
        assert letter is not None
        assert (letter.subject, letter.body) == ("zh.dead.v1.shop.account.open", b"poison")


async def test_a_reason_stays_in_its_header() -> None:
    """What an error says cannot make a header of its own, and has a bound."""
    async with _letters() as (streams, letters, message):
        stands: list[bool] = []
        long = ErrorBody(code="internal", message="x" * 10_000)
        letters.bury(message, _ERROR, stands.append)
        await turns()
        letter = await streams.read(DEAD_LETTER_STREAM, 1)
        assert letter is not None
        assert letter.headers[CODE_HEADER] == "invalid_field"
        assert letter.headers[REASON_HEADER] == "no such Zh-Code: forged"
        await streams.publish(Outgoing("zh.in.v1.shop.account.open", b"other"))
        other = await streams.read("IN", 2)
        assert other is not None
        letters.bury(other, long, stands.append)
        await turns()
        letter = await streams.read(DEAD_LETTER_STREAM, 2)
        assert letter is not None
        assert len(letter.headers[REASON_HEADER]) == REASON_CHARACTERS_MAX


async def test_a_letter_that_does_not_stand_is_told() -> None:
    """While the streams are away nothing is buried, and it is said so; later it can be."""
    async with _letters() as (streams, letters, message):
        stands: list[bool] = []
        streams.cut()
        letters.bury(message, _ERROR, stands.append)
        await turns()
        streams.mend()
        letters.bury(message, _ERROR, stands.append)
        await turns()
        assert stands == [False, True]
