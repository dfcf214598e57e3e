"""What the targets share that are a whole node in memory: its run, and what nobody reported."""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import anyio

from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from tests.fuzz.targets import Finding, Tally
from zhihui.node import RunningNode
from zhihui.packs import bundled_packs
from zhihui.simulation.world import World

__all__ = ("OneNode",)


class OneNode:
    """A target whose inputs all go to one node, on virtual time."""

    name: str

    def __init__(self) -> None:
        self._refused = 0
        self._findings: list[Finding] = []
        self._unreported: list[str] = []

    async def prepare(self, clock: VirtualClock, randomness: SeededRandomness) -> None:
        """Make what the node needs before it starts."""

    async def play(self, world: World, node: RunningNode, inputs: Iterator[bytes]) -> int:
        """Give the node all inputs; return how many there were."""
        raise NotImplementedError

    def tally(self, inputs: Iterator[bytes], settings: Mapping[str, str] | None = None) -> Tally:
        """Play all inputs and return what came of them."""
        began_s = time.perf_counter()
        count = 0

        async def main(clock: VirtualClock, randomness: SeededRandomness) -> None:
            nonlocal count
            await self.prepare(clock, randomness)
            asyncio.get_running_loop().set_exception_handler(self._note_unreported)
            async with anyio.create_task_group() as tasks:
                world = World(
                    clock, randomness, tasks, dict(settings or {}), resident=bundled_packs(),
                    steady=True,
                )  # fmt: skip
                node = await world.start("n1")
                count = await self.play(world, node, inputs)
                tasks.cancel_scope.cancel()

        # A warning for every refused input would be a gigabyte.
        logging.disable(logging.CRITICAL)
        try:
            run_virtual(main, seed=1)
        finally:
            logging.disable(logging.NOTSET)
        return Tally(
            target=self.name,
            inputs=count,
            refused=self._refused,
            seconds=time.perf_counter() - began_s,
            findings=tuple(self._findings),
        )

    def check_batch(self, batch: Iterable[bytes], problems: Iterable[str]) -> None:
        """Note these problems of a batch, and what nobody reported while it was under way."""
        unreported, self._unreported = self._unreported, []
        self._findings += [
            Finding(self.name, b"\n----\n".join(batch), f"one of these: {problem}")
            for problem in (*unreported, *problems)
        ]

    def _note_unreported(self, _loop: object, context: dict[str, Any]) -> None:
        self._unreported.append(f"{context.get('message')}: {context.get('exception')!r}")
