"""Every node does what the plan says, and a node that joins later ends where the others are.

Each round compares the plan with what there is and does what is missing: load what is not here
(what serves first), switch, drain, unload. Each step is one that may be done again, so a round that
is cut off in the middle leaves nothing to repair. What fails is tried again after a growing pause
while everything else goes on; who served before serves until what replaces it is ready.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import msgspec

from kernel.clock import Clock
from kernel.plugins.archive import read_archive
from kernel.plugins.catalog import DesiredGeneration, DesiredState, PluginCatalog, check_desired
from kernel.plugins.errors import ArchiveInvalid, DrainIncomplete, TransitionRefused
from kernel.plugins.generation import Generation, State
from kernel.plugins.proofs import Proofs
from kernel.plugins.registry import Check, Registry
from kernel.plugins.signature import TrustedKeys
from kernel.plugins.slot import Slot
from schemas.errors import Unavailable, ZhihuiError

__all__ = ("Convergence", "ConvergenceSettings", "ConvergenceStatistics", "Trouble")

_log = logging.getLogger(__name__)

_W = TypeVar("_W")
_Step = Callable[[Slot, int, _W], Awaitable[None]]

# Who serves comes first, then who is about to.
_ORDER = {"promoted": 0, "canary": 1, "loaded": 2, "stopped": 3}


class ConvergenceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How patient it is, in seconds."""

    # A look at one row; whoever changes the plan also wakes the nodes.
    interval_s: float = 1.0
    # The pause after a step that failed, which doubles up to the second.
    retry_s: float = 1.0
    retry_s_max: float = 60.0
    # A turn takes two seconds at most unless its manifest allows more; then it is cut off.
    drain_s_max: float = 30.0
    # How long a round waits for one generation to drain before it looks at the rest again.
    drain_step_s: float = 0.5
    # The collector of cycles stops the process for tens of milliseconds: not after each unload.
    proof_every_s: float = 10.0


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A step that failed and will be tried again; ``attempts`` so far."""

    plugin: str
    generation: int
    error: str
    attempts: int


class ConvergenceStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How far this node is; ``planned`` is the version of the plan that it follows, 0 for none.

    ``refused`` is the version of a plan that contradicts itself, which nobody follows.
    ``unproven`` generations are unloaded and may still be in memory, ``leaked`` ones were held by
    something after all; ``holders`` names what held the last of them.
    """

    planned: int
    refused: int
    converged: bool
    rounds: int
    vetoed: int
    unproven: int
    leaked: int
    holders: tuple[str, ...]
    troubles: tuple[Trouble, ...]


class _Attempts:
    """The failures of the steps of one generation."""

    def __init__(self) -> None:
        self.count = 0
        self.error = ""
        self.next_s = 0.0
        # Whether the last one was for want of the store, and says nothing of the generation.
        self.store_away = False


class Convergence:
    """Bring about the plan on this node. ``keys`` None takes unsigned archives: for development."""

    def __init__(
        self,
        registry: Registry,
        catalog: PluginCatalog,
        clock: Clock,
        *,
        keys: TrustedKeys | None,
        check: Check | None = None,
        settings: ConvergenceSettings | None = None,
    ) -> None:
        """``check`` is the host's part of each self-test."""
        self._registry = registry
        self._catalog = catalog
        self._clock = clock
        self._keys = keys
        self._check = check
        self._settings = settings or ConvergenceSettings()
        self._plan = DesiredState(version=0)
        self._known = False
        self._refused = 0
        self._converged = False
        self._rounds = 0
        self._news = anyio.Event()
        self._first_round = anyio.Event()
        self._attempts: dict[tuple[str, int], _Attempts] = {}
        # Taken out of service here by their guards, whatever the plan still says; and why, as long
        # as the keeper of the plan has not been told.
        self._vetoes: set[tuple[str, int]] = set()
        self._untold: dict[tuple[str, int], str] = {}
        self._draining_since_s: dict[tuple[str, int], float] = {}
        self._proofs = Proofs(clock, self._settings.proof_every_s)
        registry.on_trip(self._tripped)

    async def run(self) -> None:
        """Follow the plan until cancelled."""
        while True:
            await self.round()
            with anyio.move_on_after(self._settings.interval_s):
                await self._news.wait()
            self._news = anyio.Event()

    def wake(self) -> None:
        """Look at the plan at once."""
        self._news.set()

    async def wait_round(self) -> None:
        """Wait until a plan was read and each of its steps was tried, with a store that answers."""
        await self._first_round.wait()

    async def round(self) -> bool:
        """Do what is missing now; tell whether this node then is as the plan says."""
        await self._read()
        if self._known:
            names = {one.name for one in self._plan.generations}
            names.update(slot.name for slot in self._registry.slots())
            async with anyio.create_task_group() as tasks:
                for name in sorted(names):
                    tasks.start_soon(self._converge, name)
            self._attempts = {
                key: one for key, one in self._attempts.items() if not self._is_over(*key)
            }
            self._converged = not self._attempts and all(map(self._is_done, names))
            # A node that serves what it could not load yet would refuse its operations for good.
            if not any(one.store_away for one in self._attempts.values()):
                self._first_round.set()
        self._proofs.look()
        self._rounds += 1
        return self._converged

    # The plan.

    async def _read(self) -> None:
        try:
            for (name, number), reason in list(self._untold.items()):
                await self._catalog.ask_rollback(name, number, reason)
                del self._untold[name, number]
            plan = await self._catalog.read(self._plan.version if self._known else -1)
        except ZhihuiError as error:
            _log.warning("the plan of the plugins cannot be read: %s", error.message)
            return
        if plan is None or 0 < plan.version == self._refused:
            return
        try:
            check_desired(plan)
        except ValueError:
            self._refused = plan.version
            _log.exception("version %d of the plan is not followed", plan.version)
            return
        self._plan = plan
        self._known = True
        # Nobody may take what was done of the plan before for what this one wants.
        self._converged = False
        # A veto is over when the plan no longer asks for what was vetoed.
        serving = {
            (one.name, one.generation)
            for one in plan.generations
            if one.state in ("promoted", "canary")
        }
        self._vetoes &= serving

    def _wanted(self, name: str) -> list[DesiredGeneration]:
        wanted = [one for one in self._plan.generations if one.name == name]
        return sorted(wanted, key=lambda one: (_ORDER[one.state], one.generation))

    def _tripped(self, generation: Generation, reason: str) -> None:
        key = (generation.manifest.name, generation.number)
        self._vetoes.add(key)
        self._untold[key] = reason
        self.wake()

    # The steps.

    async def _converge(self, name: str) -> None:
        slot = self._registry.slot(name)
        wanted = self._wanted(name)
        for step in (self._bring_up, self._put_in_place):
            for one in wanted:
                await self._attempt(slot, one.generation, step, one)
        if slot.promoted is None:
            self._stand_in(slot, wanted)
        if slot.promoted is not None and not any(one.state == "promoted" for one in wanted):
            self._registry.withdraw(name, f"version {self._plan.version} of the plan")
        stays = {one.generation: one for one in wanted}
        for number in sorted(slot.generations):
            await self._attempt(slot, number, self._take_down, stays.get(number))

    def _stand_in(self, slot: Slot, wanted: list[DesiredGeneration]) -> None:
        """Let what served before serve here as well, where what should does not come up.

        The other nodes never stopped serving it. This one was not there then.
        """
        for one in wanted:
            before = slot.generations.get(one.came_after)
            if one.state == "promoted" and before is not None and before.state is State.RUNNING:
                why = f"{slot.name} g{one.generation} does not come up here"
                self._registry.promote(slot.name, before.number, why)

    async def _attempt(self, slot: Slot, number: int, step: _Step[_W], wanted: _W) -> None:
        key = (slot.name, number)
        attempts = self._attempts.get(key)
        if attempts is not None and attempts.next_s > self._clock.monotonic_s():
            return
        try:
            await step(slot, number, wanted)
        except DrainIncomplete:
            # It is under way, and no trouble yet.
            return
        except Exception as error:  # noqa: BLE001 - one plugin must not stop the others
            attempts = self._attempts.setdefault(key, _Attempts())
            attempts.count += 1
            attempts.error = f"{type(error).__name__}: {error}"
            attempts.store_away = isinstance(error, Unavailable)
            doublings = min(attempts.count - 1, 16)
            pause_s = min(self._settings.retry_s * 2**doublings, self._settings.retry_s_max)
            attempts.next_s = self._clock.monotonic_s() + pause_s
            _log.warning("%s g%d, attempt %d: %s", *key, attempts.count, attempts.error)

    async def _bring_up(self, slot: Slot, number: int, wanted: DesiredGeneration) -> None:
        """Have the generation here, running unless it is to stand still."""
        found = slot.generations.get(number)
        if found is None:
            await self._load(wanted)
            return
        if found.sha256 != wanted.sha256:
            raise TransitionRefused(
                f"{found.name} is the archive {found.sha256} here and {wanted.sha256} in the plan; "
                "a number is given once"
            )
        if wanted.state == "stopped" or (slot.name, number) in self._vetoes:
            return
        if found.state is State.DRAINING:
            found.take_back()
        if found.state is State.FAULTED:
            await self._registry.drain(slot.name, number, self._settings.drain_step_s)
        if found.state is State.STOPPED:
            await self._registry.start(slot.name, number, check=self._check)

    async def _load(self, wanted: DesiredGeneration) -> None:
        signed = await self._catalog.fetch(wanted.sha256)
        archive = read_archive(signed.data, sha256=wanted.sha256)
        if archive.manifest.name != wanted.name:
            raise ArchiveInvalid(
                f"the archive {wanted.sha256} is of {archive.manifest.name!r}, "
                f"and the plan says {wanted.name!r}"
            )
        if self._keys is not None:
            self._keys.verify(archive, signed.signature)
        self._proofs.make_room()
        await self._registry.load(archive, wanted.generation, check=self._check)

    async def _put_in_place(self, slot: Slot, number: int, wanted: DesiredGeneration) -> None:
        """Let the generation serve what the plan says."""
        if (slot.name, number) in self._vetoes:
            return
        why = f"version {self._plan.version} of the plan"
        if wanted.state == "promoted":
            if slot.promoted is not slot.find(number):
                self._registry.promote(slot.name, number, why)
            if wanted.paused:
                self._registry.pause(slot.name, why)
            else:
                self._registry.resume(slot.name, why)
        elif wanted.state == "canary":
            self._registry.set_canary(slot.name, number, wanted.canary_ppm, why)

    async def _take_down(self, slot: Slot, number: int, wanted: DesiredGeneration | None) -> None:
        """Take away what the plan does not have any more, unless it is all that serves."""
        found = slot.find(number)
        if found is slot.canary and (wanted is None or wanted.state != "canary"):
            self._registry.set_canary(slot.name, number, 0, "the plan")
        if slot.serves(found) or (wanted is not None and wanted.state != "stopped"):
            return
        if found.state is not State.STOPPED:
            await self._drain(slot, number, found)
        if wanted is None:
            self._proofs.add(await self._registry.unload(slot.name, number))

    async def _drain(self, slot: Slot, number: int, found: Generation) -> None:
        key = (slot.name, number)
        now_s = self._clock.monotonic_s()
        since_s = self._draining_since_s.setdefault(key, now_s)
        if now_s - since_s > self._settings.drain_s_max:
            _log.warning("%s: %d turns are cut off", found.name, found.cut_off())
        await self._registry.drain(*key, self._settings.drain_step_s)
        del self._draining_since_s[key]

    # How far it is.

    def _is_over(self, name: str, number: int) -> bool:
        """Tell whether what failed was done since, or is not wanted any more."""
        slot = self._registry.slot(name)
        for one in self._wanted(name):
            if one.generation == number:
                return self._is_as_wanted(slot, one)
        return number not in slot.generations

    def _is_as_wanted(self, slot: Slot, wanted: DesiredGeneration) -> bool:
        found = slot.generations.get(wanted.generation)
        if found is None or found.sha256 != wanted.sha256:
            return False
        if wanted.state == "promoted":
            return found is slot.promoted and slot.paused == wanted.paused
        if wanted.state == "canary":
            return found is slot.canary and slot.canary_ppm == wanted.canary_ppm
        state = State.RUNNING if wanted.state == "loaded" else State.STOPPED
        return found.state is state and not slot.serves(found)

    def _is_done(self, name: str) -> bool:
        slot = self._registry.slot(name)
        wanted = self._wanted(name)
        return slot.generations.keys() == {one.generation for one in wanted} and all(
            self._is_as_wanted(slot, one) for one in wanted
        )

    def statistics(self) -> ConvergenceStatistics:
        """Return how far this node is."""
        return ConvergenceStatistics(
            planned=self._plan.version,
            refused=self._refused,
            converged=self._converged,
            rounds=self._rounds,
            vetoed=len(self._vetoes),
            unproven=len(self._proofs),
            leaked=self._proofs.leaked,
            holders=self._proofs.holders,
            troubles=tuple(
                Trouble(plugin=name, generation=number, error=one.error, attempts=one.count)
                for (name, number), one in sorted(self._attempts.items())
            ),
        )
