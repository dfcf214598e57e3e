"""Wait for a condition without sleeping for a guess: look often, up to a bound."""

import time
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel

__all__ = ("eventually", "turns")

# Short enough not to be felt, long enough not to eat the machine that the condition needs.
_LOOK_EVERY_S = 0.01


async def eventually(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]],
    what: str,
    *,
    within_s: float = 5.0,
) -> None:
    """Return when ``condition`` holds; fail naming ``what`` when it does not ``within_s``."""
    give_up_s = time.monotonic() + within_s
    while True:
        holds = condition()
        if not isinstance(holds, bool):
            holds = await holds
        if holds:
            return
        assert time.monotonic() < give_up_s, f"not within {within_s} s: {what}"
        await anyio.sleep(_LOOK_EVERY_S)


async def turns(count: int = 10) -> None:
    """Let the loop turn ``count`` times: enough for anything in memory that is under way."""
    for _ in range(count):
        await anyio.lowlevel.checkpoint()
