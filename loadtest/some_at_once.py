"""Many calls, some of them under way at a time."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

__all__ = ("each",)

_T = TypeVar("_T")


async def each(one: Callable[[int], Awaitable[_T]], count: int, at_once: int) -> list[_T]:
    """Return what ``one`` returns for each number below ``count``, in their order."""
    found: dict[int, _T] = {}
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            found[number] = await one(number)

    async with anyio.create_task_group() as tasks:
        for _ in range(min(at_once, count)):
            tasks.start_soon(worker)
    return [found[number] for number in range(count)]
