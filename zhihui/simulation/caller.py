"""A backend of the simulated world."""

import asyncio
from typing import Any

import orjson

from kernel.memory_bus import MemoryBus
from schemas.subjects import inbox_prefix, request_subject
from zhihui.simulation.world import World

__all__ = ("ASK_AGAIN_S", "Caller")

# As a client does that was told to come back, seconds.
ASK_AGAIN_S = 0.1


class Caller:
    """A backend that asks over the public subjects, and asks again until it is answered."""

    def __init__(self, world: World, app: str = "shop") -> None:
        self._world = world
        self.app = app
        self._bus = MemoryBus(world.broker)
        self._next = 0
        self._waiting: dict[str, asyncio.Future[Any]] = {}

    async def open(self) -> None:
        """Begin to hear answers."""
        await self._bus.subscribe(f"{inbox_prefix(self.app)}.*", self._on_answer)

    def _on_answer(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        future = self._waiting.get(subject)
        if future is not None and not future.done():
            future.set_result(orjson.loads(data))

    async def ask(self, operation: str, timeout_s: float = 1.0, **body: Any) -> Any:
        """Ask once; return the answer, ``ok`` or not. Raise :class:`TimeoutError`."""
        return await self.ask_raw(operation, orjson.dumps(body), timeout_s)

    async def ask_raw(self, operation: str, body: bytes, timeout_s: float = 1.0) -> Any:
        """Ask once with these bytes, whatever they are."""
        self._next += 1
        inbox = f"{inbox_prefix(self.app)}.{self._next}"
        future = self._waiting[inbox] = asyncio.get_running_loop().create_future()
        service, verb = operation.split(".")
        try:
            self._bus.publish(request_subject(self.app, service, verb), body, reply=inbox)
            async with asyncio.timeout(timeout_s):
                return await future
        finally:
            del self._waiting[inbox]

    async def settle(self, operation: str, body: bytes, *, limit_s: float = 600.0) -> Any:
        """Ask until there is a definite answer, and return it; raise :class:`TimeoutError`."""
        async with asyncio.timeout(limit_s):
            while True:
                try:
                    answer = await self.ask_raw(operation, body)
                except TimeoutError:
                    continue
                if answer["ok"] or not answer["error"]["retryable"]:
                    return answer
                await self._world.clock.sleep(ASK_AGAIN_S)

    async def call(self, operation: str, **body: Any) -> Any:
        """Ask until there is a definite answer, and return its result."""
        while True:
            try:
                answer = await self.ask(operation, **body)
            except TimeoutError:
                continue
            if answer["ok"]:
                return answer["result"]
            assert answer["error"]["retryable"], answer
            await self._world.clock.sleep(ASK_AGAIN_S)
