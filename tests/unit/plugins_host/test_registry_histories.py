"""Random histories of a plugin, compared with a model of a few lines.

The model knows for each generation whether it runs, which one is promoted, which was before and
which is the canary. Messages begin and end at any time in between; each must be answered by the
generation that the model names at its beginning, whatever happens until its end.
"""

import asyncio
import sys
from typing import Any

import anyio.lowlevel
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kernel.plugins.errors import (
    DrainIncomplete,
    GenerationUnknown,
    NothingServes,
    PluginPaused,
    TransitionRefused,
)
from kernel.plugins.generation import State
from kernel.plugins.registry import Registry
from kernel.virtual_time import VirtualClock, VirtualTimeLoop
from tests.unit.plugins_host.lab import TERMS, News, library

_KEYS = [f"book-{number}" for number in range(12)]
_NUMBERS = (1, 2, 3)
_ppm = st.sampled_from((0, 1_000, 300_000, 700_000, 1_000_000))
_REFUSED = (TransitionRefused, GenerationUnknown)


def _draw(data: st.DataObject, likely: list[int]) -> int:
    """Return a number of a generation: mostly one for which the step makes sense."""
    return data.draw(st.sampled_from((*likely, *likely, *likely, *_NUMBERS)), "number")


class _Message:
    """A message in work: it lasts until it is told to end."""

    def __init__(self, key: str, expected: int) -> None:
        self.key = key
        self.expected = expected
        self.end = asyncio.Event()
        self.answered_by: int | None = None


class Histories(RuleBasedStateMachine):
    """See the module."""

    @initialize()
    def begin(self) -> None:
        """Begin with a registry without any plugin."""
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.news = News()
        self.registry = Registry(TERMS, VirtualClock(self.runner.get_loop()), self.news)
        self.slot = self.registry.slot("library")
        self.messages: list[_Message] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.sent = 0
        self.answered = 0
        # The model.
        self.states: dict[int, str] = {}
        self.promoted = self.previous = self.canary = self.ppm = 0
        self.paused = False

    # What the model says.

    def _serving(self, key: str) -> int:
        if self.canary and self.slot.in_share(key, self.ppm):
            return self.canary
        return self.promoted

    def _in_work(self, number: int) -> int:
        return sum(one.expected == number for one in self.messages)

    def _can_serve(self, number: int) -> bool:
        return self.states.get(number) in ("running", "draining")

    def _serves(self, number: int) -> bool:
        return number in (self.promoted, self.canary)

    def _put(self, number: int) -> None:
        self.states[number] = "running"

    def _do(self, coroutine: Any) -> bool:
        """Run a step; tell whether it was done."""

        async def step() -> bool:
            try:
                await coroutine
            except _REFUSED:
                return False
            finally:
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
            return True

        return self.runner.run(step())

    async def _call(self, step: Any, *arguments: Any) -> None:
        step(*arguments)

    # The steps.

    @rule(data=st.data(), edition=st.integers(1, 2))
    def load(self, data: st.DataObject, edition: int) -> None:
        """Load an edition under a number."""
        number = _draw(data, [number for number in _NUMBERS if number not in self.states])
        done = self._do(self.registry.load(library(edition), number))
        assert done == (number not in self.states)
        if done:
            self._put(number)

    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        """Promote a generation."""
        number = _draw(data, [number for number in self.states if number != self.promoted])
        done = self._do(self._call(self.registry.promote, "library", number))
        assert done == self._can_serve(number)
        if done:
            self._put(number)
            if number != self.promoted:
                self.previous, self.promoted = self.promoted, number
            self.canary = self.ppm = 0

    @rule(data=st.data(), ppm=_ppm)
    def set_canary(self, data: st.DataObject, ppm: int) -> None:
        """Give a generation a share of the keys."""
        number = _draw(data, [number for number in self.states if number != self.promoted])
        done = self._do(self._call(self.registry.set_canary, "library", number, ppm))
        known = number in self.states and number != self.promoted
        assert done == (known and (ppm == 0 or self._can_serve(number)))
        if done and ppm:
            self._put(number)
            self.canary, self.ppm = number, ppm
        elif done and number == self.canary:
            self.canary = self.ppm = 0

    @rule()
    def rollback(self) -> None:
        """Go back to the one before."""
        done = self._do(self._call(self.registry.rollback, "library"))
        assert done == self._can_serve(self.previous)
        if done:
            self._put(self.previous)
            self.previous, self.promoted = self.promoted, self.previous
            self.canary = self.ppm = 0

    @precondition(lambda self: self.promoted or self.canary)
    @rule()
    def withdraw(self) -> None:
        """Let nothing serve."""
        self.registry.withdraw("library")
        if self.promoted or self.canary:
            self.previous, self.promoted = self.promoted or self.previous, 0
            self.canary = self.ppm = 0

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        """Pause or resume the plugin."""
        (self.registry.pause if paused else self.registry.resume)("library")
        self.paused = paused

    @rule(data=st.data())
    def drain(self, data: st.DataObject) -> None:
        """Drain a generation, with no patience."""
        number = _draw(data, [number for number in self.states if not self._serves(number)])
        try:
            done = self._do(self.registry.drain("library", number, 0.0))
        except DrainIncomplete:
            assert self._in_work(number)
            if self.states[number] == "running":
                self.states[number] = "draining"
            return
        state = self.states.get(number)
        assert done == (not self._serves(number) and state in ("running", "draining", "faulted"))
        if done:
            assert not self._in_work(number)
            self.states[number] = "stopped"

    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        """Start a generation again."""
        number = _draw(data, [number for number in self.states if self.states[number] == "stopped"])
        done = self._do(self.registry.start("library", number))
        assert done == (self.states.get(number) == "stopped")
        if done:
            self._put(number)

    @rule(data=st.data())
    def unload(self, data: st.DataObject) -> None:
        """Unload a generation."""
        number = _draw(
            data,
            [number for number in self.states if self.states[number] in ("stopped", "faulted")],
        )
        try:
            done = self._do(self.registry.unload("library", number))
        except DrainIncomplete:
            assert self.states[number] == "faulted"
            assert self._in_work(number)
            return
        state = self.states.get(number)
        assert done == (not self._serves(number) and state in ("stopped", "faulted"))
        if done:
            assert not self._in_work(number)
            del self.states[number]
            if self.previous == number:
                self.previous = 0

    @rule(data=st.data())
    def fault(self, data: st.DataObject) -> None:
        """Something is found to be wrong with a generation."""
        number = _draw(data, [number for number in self.states if self._serves(number)])
        known = number in self.states
        serves_alone = number == self.promoted and not self._can_serve(self.previous)
        done = self._do(self._call(self.registry.fault, "library", number, "found"))
        assert done == known
        if not known or serves_alone:
            return
        if number == self.canary:
            self.canary = self.ppm = 0
        elif number == self.promoted:
            self._put(self.previous)
            self.promoted, self.previous = self.previous, 0
            self.canary = self.ppm = 0
        self.states[number] = "faulted"

    # The messages.

    @precondition(lambda self: len(self.messages) < 20)
    @rule(key=st.sampled_from(_KEYS))
    def send(self, key: str) -> None:
        """Send a message; it begins at once and ends later."""
        expected = self._serving(key)
        self.sent += 1
        message = _Message(key, expected)

        async def work() -> None:
            with self.slot.lease(key) as turn:
                generation = self.slot.pick(key)
                self.messages.append(message)
                await message.end.wait()
                # The code is still there, whatever was done meanwhile.
                assert await turn.run(generation.pack.self_test()) is None  # type: ignore[attr-defined]
                message.answered_by = generation.number

        async def begin() -> None:
            task = asyncio.ensure_future(work())
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            if message in self.messages:
                self.tasks.append(task)
                return
            self.answered += 1
            refused = PluginPaused if expected else NothingServes
            assert isinstance(task.exception(), refused), task.exception()

        self.runner.run(begin())
        assert (message in self.messages) == bool(expected and not self.paused)

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """Let one of the messages in work come to its end."""
        message = self.messages.pop(data.draw(st.integers(0, len(self.messages) - 1)))

        async def finish() -> None:
            message.end.set()
            for _ in range(5):
                await anyio.lowlevel.checkpoint()

        self.runner.run(finish())
        assert message.answered_by == message.expected
        self.answered += 1

    # What always holds.

    @invariant()
    def serving_is_as_the_model_says(self) -> None:
        """At most one is promoted, and it is the right one, with its canary."""
        found = self.slot.statistics()
        assert (found.promoted, found.canary, found.canary_ppm) == (
            self.promoted, self.canary, self.ppm,
        )  # fmt: skip
        assert found.previous == self.previous
        states = {one.generation: str(one.state) for one in found.generations}
        assert states == self.states
        for number in filter(None, (self.promoted, self.canary)):
            assert states[number] == State.RUNNING

    @invariant()
    def no_message_is_lost(self) -> None:
        """Each was answered, or is in work in a generation that is still loaded."""
        assert self.sent == self.answered + len(self.messages)
        under_way = {number: one.turns.under_way for number, one in self.slot.generations.items()}
        assert under_way == {number: self._in_work(number) for number in self.states}

    def teardown(self) -> None:
        """End what is in work and unload everything."""
        if not hasattr(self, "runner"):
            return

        async def finish() -> None:
            for message in self.messages:
                message.end.set()
            await asyncio.gather(*self.tasks)
            self.registry.withdraw("library")
            for number, one in list(self.slot.generations.items()):
                if one.state is not State.STOPPED:
                    await self.registry.drain("library", number, 1.0)
                await self.registry.unload("library", number)

        self.runner.run(finish())
        self.tasks.clear()
        self.runner.close()
        # That their memory is free is proven elsewhere: here hypothesis itself remembers modules.
        assert not [name for name in sys.modules if name.startswith("_plugins")]


Histories.TestCase.settings = settings(
    max_examples=200, stateful_step_count=60, deadline=None, derandomize=True, database=None
)
TestHistories = Histories.TestCase
