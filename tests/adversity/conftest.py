"""Fixtures of the tests in which servers die."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

__all__ = ("no_complaint_of_asyncpg",)


@pytest.fixture
async def no_complaint_of_asyncpg() -> AsyncIterator[None]:
    """Pass over a future that asyncpg forgets when its server dies in the middle of a COPY.

    The commit itself fails as it should; the future says the same once more, to nobody.
    """
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), asyncpg.ConnectionDoesNotExistError):
            return
        assert handler is not None
        handler(loop, context)

    loop.set_exception_handler(handle)
    yield
    gc.collect()
    loop.set_exception_handler(handler)
