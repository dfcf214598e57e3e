"""What each service of the bank is made from: the ports of the node that hosts it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from actors.rules.rule_sets import RuleSets
from kernel.actor import Actor, ActorContext, BatchActor
from kernel.clock import Clock
from kernel.dead_letter import DeadLetters
from kernel.host import BatchHost, HostLimits, KeyedHost
from kernel.node import Node, NodeContext
from kernel.ownership import Ownership
from kernel.randomness import IdFactory, Randomness
from kernel.store import Store

__all__ = ("Parts",)


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of one node, and how its actors are hosted.

    ``settings`` are what the process was told about the services, by name; a service that needs
    none works with its defaults. ``shared`` is what several actors of the node have in common, by
    name, and goes with the node.
    """

    store: Store
    clock: Clock
    ids: IdFactory
    randomness: Randomness
    node: Node
    ownership: Ownership
    dead_letters: DeadLetters
    rules: RuleSets
    settings: Mapping[str, str]
    shared: dict[str, Any] = {}

    def keyed_host(
        self, kind: str, make: Callable[[ActorContext], Actor], limits: HostLimits | None = None
    ) -> KeyedHost:
        """Return a host with one actor for each key; ``make`` gets the actor's context."""
        return KeyedHost(
            make,
            partial(NodeContext, self.node, self.ownership, self.ids),
            kind=kind,
            clock=self.clock,
            dead_letters=self.dead_letters,
            limits=limits,
        )

    def batch_host(
        self, make: Callable[[], BatchActor], limits: HostLimits | None = None
    ) -> BatchHost:
        """Return a host with one actor that takes all that waits."""
        return BatchHost(make, clock=self.clock, dead_letters=self.dead_letters, limits=limits)

    def entity_host(self, actor: Any, limits: HostLimits | None = None) -> KeyedHost:
        """Return a host of an :class:`~actors.entity.EntityActor`, given its class."""
        return self.keyed_host(actor.kind, partial(actor, parts=self), limits)
