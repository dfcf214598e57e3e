"""The simulated world with the bundled packs in it, as the tests play with it."""

from collections.abc import Iterable

import anyio.abc

from kernel.pack import Pack
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock
from zhihui.packs import bundled_packs
from zhihui.simulation.caller import Caller
from zhihui.simulation.world import World as SimulatedWorld

__all__ = ("Caller", "World")


class World(SimulatedWorld):
    """See :class:`zhihui.simulation.world.World`."""

    def __init__(
        self, clock: VirtualClock, randomness: SeededRandomness, tasks: anyio.abc.TaskGroup,
        settings: dict[str, str] | None = None, *, resident: Iterable[Pack] | None = None,
    ) -> None:  # fmt: skip
        """Serve the bundled packs unless told which."""
        packs = bundled_packs() if resident is None else resident
        super().__init__(clock, randomness, tasks, settings, resident=packs)
