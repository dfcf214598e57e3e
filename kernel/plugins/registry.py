"""The plugins of a node, and the steps that change which of their generations serves.

Loading, starting and draining take time and serve nobody; switching takes none. So whatever goes
wrong in the former, who served before still does.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from kernel.clock import Clock
from kernel.plugins.archive import Archive
from kernel.plugins.capabilities import Grants
from kernel.plugins.entry import make_pack
from kernel.plugins.errors import (
    GenerationUnknown,
    ManifestInvalid,
    TransitionRefused,
)
from kernel.plugins.generation import Generation, State, Transition
from kernel.plugins.guard import GuardPolicy
from kernel.plugins.imports import ImportRules
from kernel.plugins.loader import load_code
from kernel.plugins.remains import Remains
from kernel.plugins.slot import PPM, Slot, SlotStatistics, number_of
from kernel.plugins.versions import Version

__all__ = (
    "GENERATIONS_MAX",
    "Check",
    "HostTerms",
    "Listener",
    "Registry",
    "RegistryStatistics",
    "Switch",
)

_log = logging.getLogger(__name__)

# Of one plugin on one node: what serves, what came before, the canary, and some that drain.
GENERATIONS_MAX = 8

Check = Callable[[Generation], Awaitable[None]]


class HostTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What the hosting application lays down for all plugins."""

    # The version of the plugin API that it offers.
    api: str
    imports: ImportRules
    capabilities: frozenset[str]
    guard: GuardPolicy = GuardPolicy()
    # A self-test computes; one that waits for something is wrong.
    start_s_max: float = 10.0


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """Another generation serves, or another share: 0 stands for none.

    ``what`` is ``promoted``, ``canary``, ``rolled_back``, ``withdrawn``, ``paused``, ``resumed``,
    or ``unguarded``: the guard asked for a rollback and there was nothing to go back to.
    """

    plugin: str
    what: str
    promoted: int
    canary: int
    canary_ppm: int
    reason: str
    at: datetime


Listener = Callable[[Transition | Switch], None]


class RegistryStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """All plugins of this node, and counts since the start."""

    plugins: tuple[SlotStatistics, ...]
    loaded: int
    load_failures: int
    unloaded: int


class Registry:
    """All plugins of a node, and the steps that change which generation serves.

    A step that cannot be done raises, and who served before it still does.
    """

    def __init__(
        self, terms: HostTerms, clock: Clock, listener: Listener | None = None, *, space: str = ""
    ) -> None:
        """``space`` tells the nodes of a simulated world apart, which live in one process."""
        self._terms = terms
        self._space = space
        self._api = Version(terms.api)
        self._clock = clock
        self._listener = listener
        self._slots: dict[str, Slot] = {}
        self._loading: set[tuple[str, int]] = set()
        self._on_trip: list[Callable[[Generation, str], None]] = []
        self._loaded = 0
        self._load_failures = 0
        self._unloaded = 0

    def slot(self, name: str) -> Slot:
        """Return the slot of a plugin, which is made when it is first asked for."""
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = Slot(name)
        return slot

    def slots(self) -> tuple[Slot, ...]:
        """Return the slots of all plugins, by name."""
        return tuple(self._slots[name] for name in sorted(self._slots))

    def known(self, name: str) -> Slot:
        """Return the slot of a plugin; raise :class:`GenerationUnknown`."""
        slot = self._slots.get(name)
        if slot is None:
            raise GenerationUnknown(f"there is no plugin {name!r} on this node", field="name")
        return slot

    def on_trip(self, listener: Callable[[Generation, str], None]) -> None:
        """Call ``listener`` when a guard has taken a generation out of service."""
        self._on_trip.append(listener)

    # Loading.

    async def load(
        self, archive: Archive, number: int, *, check: Check | None = None
    ) -> Generation:
        """Load an archive as generation ``number`` and start it; it does not serve yet.

        Raise one of the errors of manifest, loading or self-test; then nothing of it stays.
        """
        name = archive.manifest.name
        slot = self.slot(name)
        if number in slot.generations or (name, number) in self._loading:
            raise TransitionRefused(f"{name} has a generation {number} already")
        if len(slot.generations) >= GENERATIONS_MAX:
            raise TransitionRefused(
                f"{name} has {GENERATIONS_MAX} generations on this node; unload some first"
            )
        self._loading.add((name, number))
        try:
            generation = await self._load(archive, number)
        except BaseException:
            self._load_failures += 1
            raise
        finally:
            self._loading.discard((name, number))
        slot.generations[number] = generation
        try:
            await generation.start(self._terms.start_s_max, check)
        except BaseException:
            self._load_failures += 1
            await self._discard(slot, generation)
            raise
        self._loaded += 1
        return generation

    async def _load(self, archive: Archive, number: int) -> Generation:
        manifest = archive.manifest
        if not manifest.runs_on(self._api):
            raise ManifestInvalid(
                f"{manifest.name} {manifest.version} was written for the plugin API "
                f"{manifest.kernel_api}; this host offers {self._api.text}",
                field="kernel_api",
            )
        grants = Grants(manifest, self._terms.capabilities)
        code = await load_code(
            archive, number=number, rules=self._terms.imports, space=self._space, clock=self._clock
        )
        try:
            pack = make_pack(code, manifest)
        except BaseException:
            code.unload()
            raise
        return Generation(
            manifest,
            number,
            archive.sha256,
            code,
            pack,
            grants=grants,
            clock=self._clock,
            policy=self._terms.guard,
            listener=self._tell,
            trip=self._tripped,
        )

    async def _discard(self, slot: Slot, generation: Generation) -> None:
        """Take away one that never served."""
        if generation.state in (State.FAULTED, State.LOADED):
            await generation.drain(0.0)
        if generation.state is State.STOPPED:
            slot.generations.pop(generation.number, None)
            generation.unload()

    async def unload(self, name: str, number: int) -> Remains:
        """Let go of a generation that has stopped; the result proves that it is gone."""
        slot = self.known(name)
        generation = slot.find(number)
        if slot.serves(generation):
            raise TransitionRefused(f"{generation.name} serves and cannot be unloaded")
        if generation.state in (State.FAULTED, State.LOADED):
            await generation.drain(0.0)
        remains = generation.unload()
        del slot.generations[number]
        if slot.previous is generation:
            slot.previous = None
        self._unloaded += 1
        return remains

    async def drain(self, name: str, number: int, deadline_s: float) -> None:
        """Let a generation that does not serve finish what is under way, and stop it."""
        slot = self.known(name)
        generation = slot.find(number)
        if slot.serves(generation):
            raise TransitionRefused(
                f"{generation.name} serves; promote another or withdraw it before it is drained"
            )
        await generation.drain(deadline_s)

    async def start(self, name: str, number: int, *, check: Check | None = None) -> None:
        """Start a generation again that has stopped, with its self-test."""
        await self.known(name).find(number).start(self._terms.start_s_max, check)

    # Switching. None of these waits, so nothing comes between.

    def promote(self, name: str, number: int, reason: str = "") -> None:
        """Let a generation serve all keys from the next message on.

        The one before runs on without work, so that it can be gone back to at once.
        """
        slot = self.known(name)
        generation = slot.find(number)
        if generation is slot.promoted and slot.canary is None:
            return
        self._make_ready(generation)
        if generation is not slot.promoted:
            slot.previous, slot.promoted = slot.promoted, generation
        slot.canary, slot.canary_ppm = None, 0
        self._serve(slot, generation)
        self._switched(slot, "promoted", reason)

    def set_canary(self, name: str, number: int, ppm: int, reason: str = "") -> None:
        """Let a generation serve a share of the keys; a share of 0 withdraws it."""
        if not 0 <= ppm <= PPM:
            raise TransitionRefused(f"{ppm} ppm is no share; it is 0 to {PPM}", field="canary_ppm")
        slot = self.known(name)
        generation = slot.find(number)
        if generation is slot.promoted:
            raise TransitionRefused(f"{generation.name} serves all keys already")
        if ppm == 0:
            if generation is slot.canary:
                slot.canary, slot.canary_ppm = None, 0
                self._switched(slot, "canary", reason)
            return
        if (generation, ppm) == (slot.canary, slot.canary_ppm):
            return
        self._make_ready(generation)
        slot.canary, slot.canary_ppm = generation, ppm
        self._serve(slot, generation)
        self._switched(slot, "canary", reason)

    def rollback(self, name: str, reason: str = "") -> Generation:
        """Let the generation serve again that did before; return it."""
        slot = self.known(name)
        back = slot.previous
        if back is None:
            raise TransitionRefused(f"{name} has no version to go back to; load it and promote it")
        self._make_ready(back)
        slot.previous, slot.promoted = slot.promoted, back
        slot.canary, slot.canary_ppm = None, 0
        slot.rollbacks += 1
        self._serve(slot, back)
        self._switched(slot, "rolled_back", reason)
        return back

    def withdraw(self, name: str, reason: str = "") -> None:
        """Let nothing serve: messages are answered that they may be sent again later."""
        slot = self.known(name)
        if slot.promoted is None and slot.canary is None:
            return
        slot.previous, slot.promoted = slot.promoted or slot.previous, None
        slot.canary, slot.canary_ppm = None, 0
        self._switched(slot, "withdrawn", reason)

    def pause(self, name: str, reason: str = "") -> None:
        """Take no new work for a plugin; what is under way goes on."""
        self._set_paused(self.known(name), paused=True, reason=reason)

    def resume(self, name: str, reason: str = "") -> None:
        """Take work for it again."""
        self._set_paused(self.known(name), paused=False, reason=reason)

    def _set_paused(self, slot: Slot, *, paused: bool, reason: str) -> None:
        if slot.paused == paused:
            return
        slot.paused = paused
        for generation in (slot.promoted, slot.canary):
            if generation is not None:
                self._serve(slot, generation)
        self._switched(slot, "paused" if paused else "resumed", reason)

    def _make_ready(self, generation: Generation) -> None:
        if generation.state is State.DRAINING:
            generation.take_back()
        if generation.state is not State.RUNNING:
            raise TransitionRefused(
                f"{generation.name} is {generation.state} and cannot serve; only a running one can"
            )

    def _serve(self, slot: Slot, generation: Generation) -> None:
        generation.guard.reset()
        if slot.paused:
            generation.pause()
        else:
            generation.resume()

    def close(self) -> None:
        """Let go of all code: the node ends, and others of this process may live on."""
        for slot in self.slots():
            for generation in slot.generations.values():
                generation.abandon()
            slot.generations.clear()

    # What goes wrong.

    def fault(self, name: str, number: int, reason: str) -> None:
        """Take a generation out of service; the one before serves again, if there is one."""
        slot = self.known(name)
        self._out_of_service(slot, slot.find(number), reason)

    def _tripped(self, generation: Generation, reason: str) -> None:
        slot = self.slot(generation.manifest.name)
        _log.error("%s: %s", generation.name, reason)
        if not slot.serves(generation):
            # What it did wrong was begun before; somebody has gone back already.
            return
        if self._out_of_service(slot, generation, reason):
            for listener in self._on_trip:
                listener(generation, reason)

    def _out_of_service(self, slot: Slot, generation: Generation, reason: str) -> bool:
        """Take it out of service; tell whether another one serves instead."""
        if generation is slot.canary:
            slot.canary, slot.canary_ppm = None, 0
            self._switched(slot, "canary", reason)
        elif generation is slot.promoted:
            back = slot.previous
            if back is None or back.state not in (State.RUNNING, State.DRAINING):
                # Half of the answers are better than none.
                self._switched(slot, "unguarded", reason)
                return False
            self.rollback(slot.name, reason)
            slot.previous = None
        generation.fault(reason)
        return True

    def _switched(self, slot: Slot, what: str, reason: str) -> None:
        self._tell(
            Switch(
                plugin=slot.name,
                what=what,
                promoted=number_of(slot.promoted),
                canary=number_of(slot.canary),
                canary_ppm=slot.canary_ppm,
                reason=reason,
                at=self._clock.now(),
            )
        )

    def _tell(self, news: Transition | Switch) -> None:
        _log.info("%s", news)
        if self._listener is not None:
            try:
                self._listener(news)
            except Exception:  # noqa: BLE001 - see below
                # What is told has happened already; nobody who listens can undo it.
                _log.exception("who listens to plugins failed")

    def statistics(self) -> RegistryStatistics:
        """Return all plugins as they stand."""
        return RegistryStatistics(
            plugins=tuple(slot.statistics() for slot in self.slots()),
            loaded=self._loaded,
            load_failures=self._load_failures,
            unloaded=self._unloaded,
        )
