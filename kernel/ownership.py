"""Which node may write what: partitions, leases and epochs.

A partition is owned by the node whose name stands in its row. The epoch grows with every change of
owner, and every commit names the epochs it was decided under. So a node that lost a partition
without noticing can still talk, but it can commit nothing.
"""

import logging
from typing import Protocol

import msgspec

from kernel.clock import Clock
from kernel.partition import PARTITIONS
from schemas.errors import NotReady, StaleOwner, ZhihuiError

__all__ = (
    "LEASE_S",
    "RENEW_EVERY_S",
    "Claim",
    "Ownership",
    "OwnershipStatistics",
    "OwnershipStore",
)

_log = logging.getLogger(__name__)

# Long enough to ride out a slow second of the store, short enough that a dead node's partitions
# are served again within five seconds.
LEASE_S = 4.0
RENEW_EVERY_S = 1.0


class Claim(msgspec.Struct, frozen=True):
    """A partition as its row stands: who owns it, under which epoch, for how many more seconds."""

    partition: int
    owner: str
    epoch: int
    lease_left_s: float


class OwnershipStore(Protocol):
    """Where the rows are."""

    async def claim_partitions(self, owner: str, lease_s: float) -> list[Claim]:
        """Take all that is free, expired or already in this name, each under a new epoch.

        Return every partition as it then stands.
        """

    async def renew_partitions(
        self, owner: str, epochs: dict[int, int], lease_s: float
    ) -> set[int]:
        """Extend the leases that are still held under these epochs; return those."""

    async def release_partitions(self, owner: str, epochs: dict[int, int]) -> None:
        """Let go, so that another node need not wait for the leases to end."""


class OwnershipStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What this node owns; ``epoch_max`` is the highest epoch among it."""

    owned: int
    epoch_max: int
    lost: int


class Ownership:
    """The partitions of this node.

    A node restarted under its old name takes over from its former self at once: the new epoch is
    what makes that safe, not the lease.
    """

    def __init__(
        self, node: str, store: OwnershipStore, clock: Clock, *, lease_s: float = LEASE_S
    ) -> None:
        self._node = node
        self._store = store
        self._clock = clock
        self._lease_s = lease_s
        self._epochs: dict[int, int] = {}
        self._lost = 0

    async def acquire_all(self, timeout_s: float) -> None:
        """Wait until this node owns every partition.

        Raise :class:`NotReady`, which names the other owner, when one still holds its lease after
        ``timeout_s``.
        """
        give_up_s = self._clock.monotonic_s() + timeout_s
        while True:
            claims = await self._store.claim_partitions(self._node, self._lease_s)
            others = [claim for claim in claims if claim.owner != self._node]
            if not others:
                self._epochs = {claim.partition: claim.epoch for claim in claims}
                assert len(self._epochs) == PARTITIONS
                return
            if self._clock.monotonic_s() >= give_up_s:
                raise NotReady(
                    f"{len(others)} partitions are owned by node {others[0].owner!r}, which is "
                    f"alive; stop it, or start this node under its name to replace it"
                )
            wait_s = min(max(claim.lease_left_s for claim in others), 1.0)
            await self._clock.sleep(max(wait_s, 0.05))

    async def keep(self) -> None:
        """Renew the leases until cancelled; raise :class:`StaleOwner` when one was lost."""
        while True:
            await self._clock.sleep(RENEW_EVERY_S)
            try:
                held = await self._store.renew_partitions(self._node, self._epochs, self._lease_s)
            except ZhihuiError as error:
                # Nothing is lost yet: the epoch protects the commits, and the next renewal or
                # the next commit tells whether somebody else took over.
                _log.warning("leases were not renewed: %s", error.message)
                continue
            if self._lost or len(held) < len(self._epochs):
                self.lost(set(self._epochs) - held)
                raise StaleOwner(f"node {self._node!r} lost partitions to another node")

    def lost(self, partitions: set[int]) -> None:
        """Note that another node owns these now."""
        for partition in partitions:
            if self._epochs.pop(partition, None) is not None:
                self._lost += 1

    async def release(self) -> None:
        """Let go of everything."""
        epochs, self._epochs = self._epochs, {}
        if epochs:
            await self._store.release_partitions(self._node, epochs)

    def epoch(self, partition: int) -> int | None:
        """Return the epoch under which this node owns ``partition``, or None."""
        return self._epochs.get(partition)

    def node_of(self, partition: int) -> str | None:
        """Return the node that owns ``partition``, or None when this node knows of none."""
        return self._node if partition in self._epochs else None

    def statistics(self) -> OwnershipStatistics:
        """Return what this node owns."""
        return OwnershipStatistics(
            owned=len(self._epochs),
            epoch_max=max(self._epochs.values(), default=0),
            lost=self._lost,
        )
