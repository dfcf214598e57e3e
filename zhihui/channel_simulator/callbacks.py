"""Callbacks on their way to the merchant: late, twice, out of order, and again until taken."""

import logging
from collections.abc import Callable

import aiohttp
import anyio
import anyio.abc

from kernel.clock import Clock
from zhihui.channel_simulator.books import Order
from zhihui.channel_simulator.dialect import Dialect, Notice

__all__ = ("ANSWER_WITHIN_S", "UNDER_WAY_MAX", "Callbacks")

_log = logging.getLogger(__name__)

# What the merchant has for an answer; WeChat Pay's documentation says five seconds.
ANSWER_WITHIN_S = 5.0
# Requests to the merchant at one time. More wait their turn, and so come later than planned.
UNDER_WAY_MAX = 64


class Callbacks:
    """Send callbacks at their times; see the module."""

    def __init__(self, clock: Clock, tasks: anyio.abc.TaskGroup) -> None:
        self._clock = clock
        self._tasks = tasks
        self._session: aiohttp.ClientSession | None = None
        self._room = anyio.CapacityLimiter(UNDER_WAY_MAX)
        self._numbers: dict[str, int] = {}
        self.sent = 0
        self.taken = 0
        self.given_up = 0

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    def plan(
        self,
        dialect: Dialect,
        order: Order,
        pay: Order | None,
        delays_s: tuple[float, ...],
        retries_s: tuple[float, ...],
    ) -> None:
        """Send what an order has come to after each of the delays, each until it is taken."""
        if not order.notify_url or not delays_s:
            return
        number = self._numbers[dialect.name] = self._numbers.get(dialect.name, 0) + 1
        notice = dialect.notice(order, pay, number, self._clock.now_ms())
        if notice is None:
            return

        def fresh() -> Notice:
            # Signed anew each time, as the time in it may have become too old.
            return dialect.notice(order, pay, number, self._clock.now_ms()) or notice

        for delay_s in delays_s:
            self._tasks.start_soon(self._send, dialect, order.notify_url, fresh, delay_s, retries_s)

    async def _send(
        self,
        dialect: Dialect,
        url: str,
        fresh: Callable[[], Notice],
        delay_s: float,
        retries_s: tuple[float, ...],
    ) -> None:
        for pause_s in (delay_s, *retries_s):
            await self._clock.sleep(pause_s)
            async with self._room:
                if await self._post(dialect, url, fresh()):
                    self.taken += 1
                    return
        self.given_up += 1

    async def _post(self, dialect: Dialect, url: str, notice: Notice) -> bool:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
            )
        self.sent += 1
        try:
            async with self._session.post(
                url, data=notice.body, headers=notice.headers, allow_redirects=False
            ) as response:
                return dialect.is_taken(response.status, await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.debug("a callback to %s was not taken: %r", url, error)
            return False
