"""Processes that share partitions on a store in memory, moved step by step."""

import contextlib

from kernel.clock import ManualClock
from kernel.ownership import Ownership
from kernel.partition import PARTITIONS
from schemas.errors import NotReady
from tests.unit.kernel.harness import START, FakeOwnershipStore, Row

__all__ = ("OwnershipLab",)


class OwnershipLab:
    """Processes on one store, moved step by step."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.store = FakeOwnershipStore(self.clock)
        self._number = 0

    def node(self, name: str) -> Ownership:
        """Return another process of this name."""
        self._number += 1
        return Ownership(name, f"{name}-{self._number}", self.store, self.clock)

    async def joined(self, *names: str) -> list[Ownership]:
        """Return nodes that have joined and share equally."""
        nodes = []
        for name in names:
            nodes.append(self.node(name))
            with contextlib.suppress(NotReady):
                await nodes[-1].join(0.0)
            await self.settle(*nodes)
        return nodes

    async def settle(self, *nodes: Ownership, rounds: int = 3) -> None:
        """Let each look a few times, at the same moment."""
        for _ in range(rounds):
            for one in nodes:
                await one._tick()

    async def pass_time(self, seconds: float, *nodes: Ownership) -> None:
        """Let time pass in which these nodes look twice a second."""
        for _ in range(int(seconds * 2)):
            self.clock.advance(0.5)
            for one in nodes:
                await one._tick()

    def check_shares(self, *nodes: Ownership) -> None:
        """Each partition has one owner, the shares are equal, and all see the same."""
        owned, rows = [one.owned() for one in nodes], self.store.rows
        sizes = [len(one) for one in owned]
        assert sum(sizes) == PARTITIONS
        assert max(sizes) - min(sizes) <= 1
        for one, epochs in zip(nodes, owned, strict=True):
            for partition, epoch in epochs.items():
                assert rows[partition] == Row(one._node, epoch)
                assert {other.node_of(partition) for other in nodes} == {one._node}
