"""A pack that came with the running program: imported like any module, and there until it ends.

It is for tests and for whoever writes a pack and wants a debugger in it. Its generation has all
states but UNLOADED.
"""

import importlib
from typing import Any

from kernel.clock import Clock
from kernel.pack import Pack
from kernel.plugins.capabilities import Grants
from kernel.plugins.errors import LoadFailed, TransitionRefused
from kernel.plugins.generation import Generation
from kernel.plugins.guard import GuardPolicy
from kernel.plugins.manifest import (
    Collection,
    Manifest,
    PublishedEvent,
    ServedOperation,
)
from kernel.plugins.remains import Remains
from kernel.plugins.slot import Slot

__all__ = ("ResidentCode", "manifest_of", "resident_slot")

_EVENT_DATA = "msgspec:Struct"


class ResidentCode:
    """See :class:`~kernel.plugins.loader.LoadedCode`."""

    def __init__(self, pack: Pack) -> None:
        self.package = type(pack).__module__.rpartition(".")[0]

    def find(self, reference: str) -> Any:
        """Return what ``module:Name`` names; raise :class:`LoadFailed` when there is no such."""
        module, _, attribute = reference.partition(":")
        name = f"{self.package}.{module}" if self.package else module
        try:
            return getattr(importlib.import_module(name), attribute)
        except (ImportError, AttributeError) as error:
            raise LoadFailed(f"{reference!r} names nothing of {self.package}") from error

    def unload(self) -> Remains:
        """Raise :class:`TransitionRefused`: it stays as long as the program does."""
        raise TransitionRefused(f"{self.package} is part of the running program")


def manifest_of(pack: Pack, *, state_version: int = 1) -> Manifest:
    """Return a manifest that says what the code of a pack says."""
    marked = pack.pack_operations()
    timers = pack.pack_timers()
    states = {one.collection: one.state for one in timers}
    states |= {one.collection: one.state for one in marked}
    keys = {one.collection: one.key for one in marked}
    events = {event for one in marked for event in one.events}
    events |= {event for one in timers for event in one.events}
    return Manifest(
        name=pack.name,
        version="0.0.0",
        kernel_api=">=0.0",
        entry=_reference(type(pack)),
        summary=f"The pack {pack.name} of the running program.",
        state_version=state_version,
        capabilities=tuple(sorted(pack.granted)),
        collections=tuple(
            Collection(name=name, key=keys.get(name, "key"), state=_reference(state))
            for name, state in states.items()
        ),
        operations=tuple(
            ServedOperation(
                verb=one.verb,
                collection=one.collection,
                mutates=one.mutates,
                internal=one.internal,
            )
            for one in marked
        ),
        events=tuple(PublishedEvent(type=one, data=(_EVENT_DATA,)) for one in sorted(events)),
    )


def _reference(kind: type) -> str:
    return f"{kind.__module__.rpartition('.')[2]}:{kind.__qualname__}"


def resident_slot(pack: Pack, clock: Clock, manifest: Manifest | None = None) -> Slot:
    """Return a slot that a pack of the running program serves, as generation 1.

    Nobody goes back from it, so its guard only counts.
    """
    manifest = manifest or manifest_of(pack)
    generation = Generation(
        manifest,
        1,
        "",
        ResidentCode(pack),
        pack,
        grants=Grants(manifest, frozenset(manifest.capabilities)),
        clock=clock,
        policy=GuardPolicy(),
        listener=lambda _: None,
        trip=lambda _generation, _reason: None,
    )
    generation.start_at_once()
    slot = Slot(pack.name)
    slot.generations[1] = slot.promoted = generation
    return slot
