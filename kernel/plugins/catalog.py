"""What should run everywhere: the plan that an operator changes and every node follows."""

from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta

from kernel.plugins.signature import Signature
from kernel.plugins.slot import PPM

__all__ = (
    "DesiredGeneration",
    "DesiredState",
    "PluginCatalog",
    "SignedArchive",
    "Stage",
    "check_desired",
)

Stage = Literal["loaded", "canary", "promoted", "stopped"]


class DesiredGeneration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One generation of a plugin that every node should have.

    ``loaded`` has passed its self-test and serves nothing; ``stopped`` is drained and stays loaded,
    so that it can be gone back to. What is not listed is withdrawn, drained and unloaded.
    """

    name: str
    generation: Annotated[int, Meta(ge=1)]
    sha256: str
    state: Stage
    version: str = ""
    canary_ppm: Annotated[int, Meta(ge=0, le=PPM)] = 0
    # Of the plugin; said by the generation that is promoted.
    paused: bool = False
    # The generation that served before this one was promoted, to which a rollback goes; 0 for none.
    came_after: int = 0
    # Why it is as it is, for people.
    reason: str = ""


class DesiredState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them. ``version`` grows with every change.

    ``numbers`` are the last that were given, by plugin: a number means one archive for ever.
    """

    version: int
    generations: tuple[DesiredGeneration, ...] = ()
    numbers: dict[str, int] = {}


class SignedArchive(msgspec.Struct, frozen=True, kw_only=True):
    """An archive as it was brought, with its signature if it has one."""

    data: bytes
    signature: Signature | None = None


class PluginCatalog(Protocol):
    """Where the plan and the archives are.

    Every method raises :class:`~schemas.errors.NotReady` when it is out of reach.
    """

    async def read(self, seen: int) -> DesiredState | None:
        """Return the plan, or None when it is still at version ``seen``; -1: none was seen yet."""

    async def fetch(self, sha256: str) -> SignedArchive:
        """Return an archive; raise :class:`~schemas.errors.NotFound` when it is not there."""

    async def ask_rollback(self, name: str, generation: int, reason: str) -> None:
        """Say that a node took a generation out of service, so that the plan goes back for all.

        Saying it again, or of one that is not in service by the plan any more, changes nothing.
        """


def check_desired(state: DesiredState) -> None:
    """Raise :class:`ValueError` for a plan that contradicts itself."""
    seen: set[tuple[str, int]] = set()
    serving: set[tuple[str, str]] = set()
    for one in state.generations:
        if (one.name, one.generation) in seen:
            raise ValueError(f"{one.name} g{one.generation} stands in the plan twice")
        seen.add((one.name, one.generation))
        if one.state in ("promoted", "canary"):
            if (one.name, one.state) in serving:
                raise ValueError(f"{one.name} has two generations that are {one.state}")
            serving.add((one.name, one.state))
        if (one.state == "canary") != (one.canary_ppm > 0):
            raise ValueError(
                f"{one.name} g{one.generation} is {one.state} with a share of {one.canary_ppm} ppm;"
                " a canary has a share, and nothing else has one"
            )
    for name, stage in serving:
        if stage == "canary" and (name, "promoted") not in serving:
            raise ValueError(f"{name} has a canary, and no version that serves the other keys")
