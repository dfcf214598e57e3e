"""A plugin host that has not heard of the last promotion."""

from collections.abc import Iterator
from contextlib import contextmanager

from kernel.plugins.generation import Generation
from kernel.plugins.slot import Slot
from zhihui.simulation.bugs.replacing import replaced

__all__ = ("old_generation_answers",)


@contextmanager
def old_generation_answers() -> Iterator[None]:
    """Let the generation that served before answer for one key in two."""
    pick = Slot.pick

    def pick_old(self: Slot, key: str) -> Generation:
        before = self.previous
        if before is not None and self.in_share(key, 500_000):
            return before
        return pick(self, key)

    with replaced(Slot, "pick", pick_old):
        yield
