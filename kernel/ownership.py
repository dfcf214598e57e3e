"""Which node may write what: partitions, leases and epochs.

A partition is owned by the node whose name stands in its row. The epoch grows with every change of
owner, and every commit names the epochs it was decided under. So a node that lost a partition
without noticing can still talk, but it can commit nothing.

Nobody leads. Each node reads the same rows about once a second and moves towards the same picture:
every node that lives owns an equal share. Who has too much lets go, who has too little takes what
is free or whose lease has ended. A word on the bus makes the others look at once.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

import anyio
import msgspec

from kernel.clock import Clock
from kernel.partition import PARTITIONS
from schemas.errors import NotReady, StaleOwner, ZhihuiError

__all__ = (
    "DRAIN_S_MAX",
    "LEASE_S",
    "RENEW_EVERY_S",
    "Claim",
    "Cluster",
    "Ownership",
    "OwnershipStatistics",
    "OwnershipStore",
)

_log = logging.getLogger(__name__)

# Long enough to ride out a slow second of the store, short enough that a dead node's partitions
# are served again within five seconds.
LEASE_S = 4.0
RENEW_EVERY_S = 1.0
# How long a partition on its way to another node may take to finish what is under way there. What
# takes longer is refused by its epoch and asked again.
DRAIN_S_MAX = 1.0
# After a lease of another has ended it is looked at this much later, so that it has really ended.
_EXPIRY_MARGIN_S = 0.02


class Claim(msgspec.Struct, frozen=True):
    """A partition as its row stands: who owns it, under which epoch, for how many more seconds."""

    partition: int
    owner: str
    epoch: int
    lease_left_s: float


class Cluster(msgspec.Struct, frozen=True):
    """All partitions in order, and the names, in order, of the nodes that live and stay.

    ``instance`` is the process that goes by the name of the node that asked; '' when none does.
    """

    instance: str
    nodes: tuple[str, ...]
    claims: tuple[Claim, ...]


class OwnershipStore(Protocol):
    """Where the rows are. The store's own clock measures leases and lives."""

    async def join_cluster(self, node: str, instance: str, lease_s: float) -> None:
        """Let this process go by the name of the node, whoever did so before."""

    async def heartbeat(
        self, node: str, instance: str, lease_s: float, *, leaving: bool = False
    ) -> Cluster:
        """Let the node, and with it all that it holds, live on for ``lease_s``.

        Return everything as it then stands. When another process goes by the name, nothing is
        extended.
        """

    async def claim_partitions(
        self, node: str, instance: str, epochs: dict[int, int], limit: int, lease_s: float
    ) -> Cluster:
        """Take partitions, each under a new epoch, and return everything as it then stands.

        Nothing is taken when another process goes by the name.

        All that stand in this name under other epochs than these are taken: they are what a former
        process of this name left. Of those that are free or whose lease has ended, at most
        ``limit`` are taken, in order.
        """

    async def release_partitions(self, node: str, epochs: dict[int, int]) -> None:
        """Let go of those held under these epochs: another node need not wait for the leases."""

    async def leave_cluster(self, node: str, instance: str) -> None:
        """Forget the node, unless another process goes by its name; it holds nothing any more."""


class OwnershipStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What this node owns, and counts since the start.

    ``epoch_max`` is the highest epoch among what it owns; ``lost`` were taken by others without its
    consent, ``released`` were handed over.
    """

    owned: int
    epoch_max: int
    nodes: int
    without_owner: int
    gained: int
    lost: int
    released: int


class Ownership:
    """The partitions of this node, and what it knows of the others'.

    A node restarted under its old name takes over from its former self at once: the new epoch is
    what makes that safe, not the lease.
    """

    def __init__(
        self,
        node: str,
        instance: str,
        store: OwnershipStore,
        clock: Clock,
        *,
        lease_s: float = LEASE_S,
    ) -> None:
        self._node = node
        self._instance = instance
        self._store = store
        self._clock = clock
        self._lease_s = lease_s
        self._epochs: dict[int, int] = {}
        # Being handed over: still ours to commit under, and taking no more messages.
        self._leaving: set[int] = set()
        self._owners: dict[int, str] = {}
        self._nodes: tuple[str, ...] = ()
        self._next_expiry_s: float | None = None
        self._look = anyio.Event()
        self._turn = anyio.Lock()
        self._is_leaving = False
        self._gained = 0
        self._lost = 0
        self._released = 0
        self._on_gone: list[Callable[[set[str]], None]] = []
        self._on_moved: list[Callable[[], None]] = []
        self._drain: Callable[[set[int]], Awaitable[None]] | None = None

    def on_gone(self, listener: Callable[[set[str]], None]) -> None:
        """Call ``listener`` with the names of nodes that were there and are no more."""
        self._on_gone.append(listener)

    def on_moved(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when this node came, or moved partitions, so that others can look."""
        self._on_moved.append(listener)

    def drain_with(self, drain: Callable[[set[int]], Awaitable[None]]) -> None:
        """Before partitions are handed over, wait for ``drain`` of them."""
        self._drain = drain

    def look(self) -> None:
        """Look at the rows now: somebody says that they changed."""
        self._look.set()

    async def join(self, timeout_s: float) -> None:
        """Become one of the nodes and own a share.

        A node that is alone waits for all partitions, since nobody else would serve them; with
        others there, one partition is enough, and one node too many is content with none. Raise
        :class:`NotReady` when it does not come to that within ``timeout_s``.
        """
        give_up_s = self._clock.monotonic_s() + timeout_s
        await self._store.join_cluster(self._node, self._instance, self._lease_s)
        for listener in self._on_moved:
            listener()
        while True:
            try:
                await self._tick()
            except NotReady as error:
                # One lost connection is no reason to give up what takes seconds anyway.
                if self._clock.monotonic_s() >= give_up_s:
                    raise
                _log.warning("no share yet: %s", error.message)
                await self._clock.sleep(0.1)
                continue
            wanted = PARTITIONS if len(self._nodes) <= 1 else min(self._share(), 1)
            if len(self._epochs) >= wanted:
                return
            if self._clock.monotonic_s() >= give_up_s:
                raise NotReady(
                    f"node {self._node!r} owns {len(self._epochs)} of {PARTITIONS} partitions "
                    f"after {timeout_s:g} s; the others do not let go"
                )
            await self._pause(0.1)

    async def keep(self) -> None:
        """Keep the leases and the shares until cancelled.

        Raise :class:`StaleOwner` when a newer process of the same name has taken over.
        """
        while True:
            await self._pause(RENEW_EVERY_S)
            try:
                await self._tick()
            except ZhihuiError as error:
                if isinstance(error, StaleOwner):
                    raise
                # Nothing is lost yet: the epoch protects the commits, and the next renewal or
                # the next commit tells whether somebody else took over.
                _log.warning("leases were not renewed: %s", error.message)

    async def _pause(self, seconds: float) -> None:
        """Wait until it is time to look, somebody says so, or a lease of another ends."""
        if self._next_expiry_s is not None:
            ends_in_s = self._next_expiry_s - self._clock.monotonic_s() + _EXPIRY_MARGIN_S
            seconds = min(seconds, max(ends_in_s, _EXPIRY_MARGIN_S))
            # Once only: a store that is away then must not be asked without a pause.
            self._next_expiry_s = None
        with anyio.move_on_after(seconds):
            await self._look.wait()
        if self._look.is_set():
            self._look = anyio.Event()

    async def _tick(self) -> None:
        """Look, and move one step towards the equal share."""
        async with self._turn:
            await self._step()

    async def _step(self) -> None:
        cluster = await self._store.heartbeat(
            self._node,
            self._instance,
            self._lease_s,
            leaving=self._is_leaving,
        )
        self._take_in(cluster)
        if self._is_leaving:
            return
        share = self._share()
        surplus = len(self._epochs) - share
        if surplus > 0:
            # The highest numbers: any rule would do, and this one keeps the moves few.
            await self._hand_over(set(sorted(self._epochs)[-surplus:]))
            return
        if any(self._is_takeable(claim, surplus) for claim in cluster.claims):
            before = len(self._epochs)
            self._take_in(
                await self._store.claim_partitions(
                    self._node, self._instance, self._epochs, -surplus, self._lease_s
                ),
                seen={claim.partition: claim.epoch for claim in cluster.claims},
            )
            if len(self._epochs) > before:
                for listener in self._on_moved:
                    listener()

    def _is_takeable(self, claim: Claim, surplus: int) -> bool:
        if claim.partition in self._epochs:
            return False
        if claim.owner == self._node:
            return True  # a former process of this name left it
        return surplus < 0 and (not claim.owner or claim.lease_left_s <= 0)

    def _share(self) -> int:
        """Return how many partitions this node should own: the first ones take the remainder."""
        nodes = self._nodes
        if self._node not in nodes:
            return 0
        share, rest = divmod(PARTITIONS, len(nodes))
        return share + (nodes.index(self._node) < rest)

    def _take_in(self, cluster: Cluster, *, seen: Mapping[int, int] | None = None) -> None:
        """Note who owns what. What this node lost it drops; what it claimed is its own.

        ``seen`` are the epochs just before a claim, which gave new ones to what it took. Whatever
        else stands in this name is a former process's, which may still commit under its epoch.
        """
        if cluster.instance != self._instance:
            raise StaleOwner(f"a newer process took over the name {self._node!r}")
        now_s = self._clock.monotonic_s()
        self._next_expiry_s = None
        epochs: dict[int, int] = {}
        for claim in cluster.claims:
            if claim.owner == self._node:
                claimed = seen is not None and seen.get(claim.partition) != claim.epoch
                if claimed or self._epochs.get(claim.partition) == claim.epoch:
                    epochs[claim.partition] = claim.epoch
            elif claim.owner and claim.lease_left_s > 0:
                ends_s = now_s + claim.lease_left_s
                if self._next_expiry_s is None or ends_s < self._next_expiry_s:
                    self._next_expiry_s = ends_s
        self._gained += len(epochs.keys() - self._epochs.keys())
        self.lost(self._epochs.keys() - epochs.keys())
        self._epochs = epochs
        self._leaving &= epochs.keys()
        self._owners = {
            claim.partition: claim.owner
            for claim in cluster.claims
            if claim.partition in epochs
            or (claim.owner not in ("", self._node) and claim.lease_left_s > 0)
        }
        # Who leaves in order still holds what it hands over, and answers what it was asked.
        holders = {claim.owner for claim in cluster.claims if claim.lease_left_s > 0}
        gone = set(self._nodes) - set(cluster.nodes) - holders - {self._node}
        self._nodes = cluster.nodes
        if gone:
            _log.warning("nodes that are gone: %s", ", ".join(sorted(gone)))
            for listener in self._on_gone:
                listener(gone)

    async def _hand_over(self, partitions: set[int]) -> None:
        """Let another node have these, after what is under way in them is done."""
        if not partitions:
            return
        self._leaving |= partitions
        if self._drain is not None:
            with anyio.move_on_after(DRAIN_S_MAX):
                await self._drain(partitions)
        epochs = {p: self._epochs[p] for p in partitions if p in self._epochs}
        try:
            await self._store.release_partitions(self._node, epochs)
        finally:
            # Whether or not the store has heard it: what was said to be leaving stays so for good
            # only when the rows say it, and until the next look nobody is served from it.
            self._leaving -= partitions
        for partition in epochs:
            self._epochs.pop(partition, None)
            self._owners.pop(partition, None)
        self._released += len(epochs)
        for listener in self._on_moved:
            listener()

    def lost(self, partitions: AbstractSet[int]) -> None:
        """Note that another node owns these now."""
        for partition in set(partitions):
            if self._epochs.pop(partition, None) is not None:
                self._lost += 1
                self._owners.pop(partition, None)
                self._look.set()

    async def hand_over_all(self) -> None:
        """Take part no more, and let go of everything; who owns what is still looked at."""
        async with self._turn:
            self._is_leaving = True
            await self._step()
            await self._hand_over(set(self._epochs))

    async def leave(self) -> None:
        """Be forgotten by the others; the last step."""
        async with self._turn:
            self._is_leaving = True
            if self._epochs:
                await self._hand_over(set(self._epochs))
            await self._store.leave_cluster(self._node, self._instance)

    def epoch(self, partition: int) -> int | None:
        """Return the epoch under which this node owns ``partition``, or None."""
        return self._epochs.get(partition)

    def accepts(self, partition: int) -> bool:
        """Tell whether messages for ``partition`` are to be taken here."""
        return partition in self._epochs and partition not in self._leaving

    def owned(self) -> dict[int, int]:
        """Return the partitions that are served here, with their epochs."""
        return {p: epoch for p, epoch in self._epochs.items() if p not in self._leaving}

    def node_of(self, partition: int) -> str | None:
        """Return the node that owns ``partition``, or None when this node knows of none."""
        return self._owners.get(partition)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that live, as last seen."""
        return self._nodes

    def statistics(self) -> OwnershipStatistics:
        """Return what this node owns."""
        return OwnershipStatistics(
            owned=len(self._epochs),
            epoch_max=max(self._epochs.values(), default=0),
            nodes=len(self._nodes),
            without_owner=PARTITIONS - len(self._owners),
            gained=self._gained,
            lost=self._lost,
            released=self._released,
        )
