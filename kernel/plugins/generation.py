"""One generation of a plugin: its code, its states, and the work that is pinned to it.

::

    LOADED ──► STARTING ──► RUNNING ◄──► DRAINING ──► STOPPED ──► UNLOADED
      │            ▲                                   │  ▲
      │            └───────────────────────────────────┘  │
      └───────────────────────────────────────────────────┘
    any but UNLOADED ──► FAULTED ──► STOPPED, once nothing is under way

RUNNING means that it passed its self-test and takes work; whether any is sent to it is for the
registry. From DRAINING and STOPPED it may come back, which is what a rollback does.
"""

import enum
import logging
import traceback
import weakref
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol

import anyio
import msgspec

from kernel.clock import Clock
from kernel.pack import Pack
from kernel.plugins.capabilities import Grants
from kernel.plugins.errors import (
    DrainIncomplete,
    PluginPaused,
    SelfTestFailed,
    TransitionRefused,
    is_fault,
)
from kernel.plugins.guard import Guard, GuardPolicy, GuardStatistics
from kernel.plugins.limits import Turn, Turns, TurnStatistics
from kernel.plugins.manifest import Manifest
from kernel.plugins.remains import Remains

__all__ = (
    "NEXT",
    "PAUSED_RETRY_S",
    "Code",
    "Generation",
    "GenerationStatistics",
    "Holder",
    "State",
    "Transition",
)

_log = logging.getLogger(__name__)

# What a caller is told to wait while an operator has paused a plugin, which is minutes as a rule.
PAUSED_RETRY_S = 5.0


class State(enum.StrEnum):
    """Where a generation is in its life."""

    LOADED = "loaded"
    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"
    UNLOADED = "unloaded"
    FAULTED = "faulted"


NEXT: dict[State, frozenset[State]] = {
    State.LOADED: frozenset({State.STARTING, State.STOPPED, State.FAULTED}),
    State.STARTING: frozenset({State.RUNNING, State.FAULTED}),
    State.RUNNING: frozenset({State.DRAINING, State.FAULTED}),
    State.DRAINING: frozenset({State.STOPPED, State.RUNNING, State.FAULTED}),
    State.STOPPED: frozenset({State.STARTING, State.UNLOADED, State.FAULTED}),
    State.FAULTED: frozenset({State.STOPPED}),
    State.UNLOADED: frozenset(),
}


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A generation changed its state; ``before`` is None for one that was just loaded."""

    plugin: str
    generation: int
    version: str
    sha256: str
    before: State | None
    after: State
    reason: str
    at: datetime


class GenerationStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A generation as it stands now."""

    generation: int
    version: str
    sha256: str
    state: State
    paused: bool
    turns: TurnStatistics
    guard: GuardStatistics
    capabilities_refused: int


class Code(Protocol):
    """Where the classes of a generation are."""

    def find(self, reference: str) -> Any:
        """Return what ``module:Name`` names; raise :class:`~kernel.plugins.errors.LoadFailed`."""

    def unload(self) -> Remains:
        """Take it away, and return what proves that it is gone."""


class Holder(Protocol):
    """Somebody who keeps things made of a generation's classes, such as decoded documents."""

    def let_go(self, generation: "Generation") -> None:
        """Forget all of them."""


class Generation:
    """See the module. Made by the registry, which also decides who is sent here."""

    def __init__(
        self,
        manifest: Manifest,
        number: int,
        sha256: str,
        code: Code,
        pack: Pack,
        *,
        grants: Grants,
        clock: Clock,
        policy: GuardPolicy,
        listener: Callable[[Transition], None],
        trip: Callable[["Generation", str], None],
    ) -> None:
        self.manifest = manifest
        self.number = number
        self.sha256 = sha256
        self.grants = grants
        self.name = f"{manifest.name} g{number}"
        # What a host makes of the pack's classes, such as decoders; emptied when it is unloaded.
        self.shelf: dict[Any, Any] = {}
        self._clock = clock
        self._code: Code | None = code
        self._pack: Pack | None = pack
        self._listener = listener
        self._holders: weakref.WeakSet[Holder] = weakref.WeakSet()
        self._paused = False
        self.state = State.LOADED
        self.guard = Guard(policy, clock, lambda reason: trip(self, reason))
        self.turns = Turns(self.name, manifest.limits, clock, self._observe)
        self._shut()
        self._tell(None, "")

    @property
    def pack(self) -> Pack:
        """The pack itself, until it is unloaded."""
        if self._pack is None:
            raise TransitionRefused(f"{self.name} is unloaded")
        return self._pack

    def find(self, reference: str) -> Any:
        """Return what ``module:Name`` names in its code, until it is unloaded."""
        if self._code is None:
            raise TransitionRefused(f"{self.name} is unloaded")
        return self._code.find(reference)

    @property
    def paused(self) -> bool:
        """Whether an operator paused it."""
        return self._paused

    # Work.

    def lease(self) -> Turn:
        """Return a turn to be entered: as long as it lasts the generation stays.

        Entering raises :class:`~kernel.plugins.errors.TooManyTurns`, :class:`PluginPaused`, or
        :class:`TransitionRefused` when it does not run.
        """
        return Turn(self.turns)

    def hold(self, holder: Holder) -> None:
        """Remember, weakly, who must let go of what is made of this generation's classes."""
        self._holders.add(holder)

    def _observe(self, error: BaseException | None, slow: bool) -> None:
        self.guard.record(fault=is_fault(error), slow=slow)

    def _shut(self) -> None:
        """Open or close the door for new turns, as state and pause say."""
        if self.state is not State.RUNNING:
            self.turns.close(
                lambda: TransitionRefused(f"{self.name} is {self.state} and takes no work")
            )
        elif self._paused:
            self.turns.close(
                lambda: PluginPaused(f"{self.name} is paused", retry_after_s=PAUSED_RETRY_S)
            )
        else:
            self.turns.open()

    def pause(self) -> None:
        """Take no new work; what is under way goes on."""
        self._paused = True
        self._shut()

    def resume(self) -> None:
        """Take work again."""
        self._paused = False
        self._shut()

    # States.

    def is_in(self, *states: State) -> bool:
        """Tell whether it is in one of these states."""
        return self.state in states

    def _enter(self, after: State, reason: str = "") -> None:
        if after not in NEXT[self.state]:
            allowed = ", ".join(sorted(NEXT[self.state])) or "nothing"
            raise TransitionRefused(
                f"{self.name} is {self.state} and cannot become {after}, only {allowed}"
            )
        before, self.state = self.state, after
        self._shut()
        self._tell(before, reason)

    def _tell(self, before: State | None, reason: str) -> None:
        self._listener(
            Transition(
                plugin=self.manifest.name,
                generation=self.number,
                version=self.manifest.version,
                sha256=self.sha256,
                before=before,
                after=self.state,
                reason=reason,
                at=self._clock.now(),
            )
        )

    async def start(
        self,
        time_limit_s: float,
        check: Callable[["Generation"], Awaitable[None]] | None = None,
    ) -> None:
        """Run the pack's own self-test, then ``check``; take work when both pass in time.

        Raise :class:`SelfTestFailed`, and then the generation is FAULTED.
        """
        self._enter(State.STARTING)
        failure = f"no end of the self-test after {time_limit_s:g} s"
        try:
            with anyio.move_on_after(time_limit_s) as scope:
                failure = await self._self_test(check)
        except BaseException:
            self.fault("the start was interrupted")
            raise
        if scope.cancelled_caught or failure:
            self.fault(failure)
            raise SelfTestFailed(f"{self.name}: {failure}")
        if self.state is not State.STARTING:
            raise SelfTestFailed(f"{self.name} became {self.state} while it was starting")
        self.guard.reset()
        self._enter(State.RUNNING)

    def start_at_once(self) -> None:
        """Take work without a self-test, as what is part of the running program does."""
        self._enter(State.STARTING)
        self._enter(State.RUNNING)

    async def _self_test(self, check: Callable[["Generation"], Awaitable[None]] | None) -> str:
        """Return what went wrong, as text: an error would hold the pack's frames."""
        own = getattr(self.pack, "self_test", None)
        try:
            if own is not None:
                await own()
            if check is not None:
                await check(self)
        except Exception as error:  # noqa: BLE001 - whatever it does, it is its fault
            _log.warning("%s: %s", self.name, "".join(traceback.format_exception(error)))
            return f"{type(error).__name__}: {error}"
        return ""

    async def drain(self, deadline_s: float) -> None:
        """Take no new work, let what is under way end, and stop.

        Raise :class:`DrainIncomplete` when ``deadline_s`` seconds were not enough: then it is still
        DRAINING, and may be drained again, or cut off.
        """
        if self.state is State.RUNNING:
            self._enter(State.DRAINING)
        elif self.state not in (State.DRAINING, State.FAULTED, State.LOADED):
            raise TransitionRefused(f"{self.name} is {self.state}; there is nothing to drain")
        with anyio.move_on_after(deadline_s):
            await self.turns.wait_idle()
        if self.is_in(State.RUNNING):
            raise TransitionRefused(f"{self.name} was taken back into service")
        if self.turns.under_way:
            raise DrainIncomplete(
                f"{self.name} still has {self.turns.under_way} messages in work after "
                f"{deadline_s:g} s"
            )
        if not self.is_in(State.STOPPED):
            self._enter(State.STOPPED)

    def take_back(self) -> None:
        """Let one that is DRAINING run again."""
        self._enter(State.RUNNING, "taken back into service")

    def cut_off(self) -> int:
        """Cancel what the pack is doing, when draining takes too long; return how many turns.

        Each is answered that it may be sent again. What is being committed still is.
        """
        if self.state not in (State.DRAINING, State.FAULTED):
            raise TransitionRefused(f"{self.name} is {self.state}; only a draining one is cut off")
        return self.turns.cut_off()

    def fault(self, reason: str) -> None:
        """Take it out of service because something is wrong with it."""
        if self.state is not State.FAULTED:
            self._enter(State.FAULTED, reason)

    def unload(self) -> Remains:
        """Let go of the code; the result proves that it is gone.

        It must be STOPPED. Everybody who holds something of it is told to let go.
        """
        self._enter(State.UNLOADED)
        self.turns.stop()
        for holder in list(self._holders):
            holder.let_go(self)
        self._holders.clear()
        self.shelf.clear()
        self._pack = None
        code, self._code = self._code, None
        assert code is not None, "it was unloaded before"
        return code.unload()

    def abandon(self) -> None:
        """Let go of the code in whatever state it is, as when its node ends."""
        self.turns.stop()
        self.shelf.clear()
        self._pack = None
        code, self._code = self._code, None
        if code is not None:
            code.unload()

    def statistics(self) -> GenerationStatistics:
        """Return it as it stands."""
        return GenerationStatistics(
            generation=self.number,
            version=self.manifest.version,
            sha256=self.sha256,
            state=self.state,
            paused=self._paused,
            turns=self.turns.statistics(),
            guard=self.guard.statistics(),
            capabilities_refused=self.grants.refused,
        )
