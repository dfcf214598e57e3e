"""Checks 4, 5, 11 and 12: what takes too long, is cut off, or happens at an impossible time."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from itertools import cycle
from typing import Any

import anyio

from kernel.clock import SystemClock
from schemas.errors import Internal
from zhihui.author.checks.check import Case, Check, Finding
from zhihui.author.platform import NODE
from zhihui.author.rehearsal import Send, plain_send, tell
from zhihui.author.stage import Stage
from zhihui.author.story import Call

__all__ = ("ClockJump", "Crash", "CutOffCommit", "SlowHandler", "decides")

# A handler that was told to stop may clean up, and nothing else.
_GIVES_WAY_S = 10.0
_KILLED_S = 0.2


def decides(stage: Stage) -> bool:
    """Tell whether it is the pack's own code that is at work now, and not its host."""
    task = asyncio.current_task()
    slot = stage.world.node(NODE).plugins.registry.slot(stage.plugin)
    return any(
        turn._task is task for one in slot.generations.values() for turn in one.turns._running
    )


class SlowHandler(Check):
    """Every read of another document takes longer than a message may, the first time."""

    number = 4
    name = "slow handler past its deadline"
    proves = "a message that takes too long is cut off without a trace, and works when sent again"

    def run(self, case: Case) -> Finding:
        """Slow down what the pack reads."""
        limit_s = case.archive.manifest.limits.handler_ms / 1000
        problems: list[str] = []
        waited = 0

        async def send(stage: Stage, number: int, call: Call) -> Any:
            nonlocal waited

            async def slow(node: str, moment: str) -> None:
                nonlocal waited
                if moment == "load_document" and decides(stage):
                    waited += 1
                    await stage.world.clock.sleep(limit_s + 0.5)

            stage.world.intrude = slow
            caller = await stage.caller(call.app)
            try:
                await caller.ask_raw(
                    call.operation, stage.bytes_of(number, call), limit_s + _GIVES_WAY_S
                )
            except TimeoutError:
                problems.append(
                    f"{call.text(number)} was still in work {_GIVES_WAY_S:g} s after its time of "
                    f"{limit_s:g} s: the pack does not let itself be cancelled"
                )
            stage.world.intrude = None
            return await stage.settle(number, call)

        long = self._computing(case, limit_s)
        if long:
            # A busy machine is slow once; a handler that computes too much is so each time.
            again = self._computing(case, limit_s)
            problems += [again[number] for number in long if number in again]
        problems += case.told(send)
        return Finding.of(
            problems, note=f"{waited} reads were slow" if waited else "no read of other documents"
        )

    @staticmethod
    def _computing(case: Case, limit_s: float) -> dict[int, str]:
        """Return the calls that compute for too long, in real time, by their numbers."""
        problems: dict[int, str] = {}
        clock = SystemClock()

        async def send(stage: Stage, number: int, call: Call) -> Any:
            began_s = clock.monotonic_s()
            answer = await plain_send(stage, number, call)
            took_s = clock.monotonic_s() - began_s
            if took_s > limit_s:
                problems[number] = (
                    f"{call.text(number)} computed for {took_s:.1f} s; the manifest allows "
                    f"{limit_s:g} s (limits.handler_ms)"
                )
            return answer

        tell(case.archive, case.story, send, seed=case.seed)
        return problems


class CutOffCommit(Check):
    """Every commit loses its connection before it stands, or after, or hangs past the deadline."""

    number = 5
    name = "cut off in mid-commit"
    proves = "a message whose commit was cut off, standing or not, takes effect once when repeated"

    # A caller is told after five seconds that there is no answer, and asks again.
    _HANGS_S = 5.5

    def run(self, case: Case) -> Finding:
        """Tell the story once for each way to be cut off."""
        problems: list[str] = []
        for fault, when in (("lost", "before it stood"), ("unheard", "after it stood")):

            async def send(stage: Stage, number: int, call: Call, fault: str = fault) -> Any:
                if call.mutates:
                    stage.world.store(NODE).faults.append(fault)
                answer = await stage.settle(number, call)
                stage.world.store(NODE).faults.clear()
                return answer

            problems += [f"cut off {when}: {one}" for one in case.told(send)]
        problems += [f"cut off by the deadline: {one}" for one in case.told(self._hanging)]
        return Finding.of(problems)

    async def _hanging(self, stage: Stage, number: int, call: Call) -> Any:
        async def hang(node: str, moment: str) -> None:
            if moment == "commit":
                stage.world.intrude = None
                await stage.world.clock.sleep(self._HANGS_S)

        stage.world.intrude = hang
        caller = await stage.caller(call.app)
        with suppress(TimeoutError):
            await caller.ask_raw(call.operation, stage.bytes_of(number, call), self._HANGS_S)
        answer = await stage.settle(number, call)
        stage.world.intrude = None
        return answer


class ClockJump(Check):
    """The machine's clock is set forward by a day and back by more, or by seconds."""

    number = 11
    name = "clock jump"
    proves = "a clock that is set forward or back makes no message fail"

    _JUMPS = (
        (timedelta(hours=26), timedelta(hours=-25), timedelta(hours=-3), timedelta(minutes=90)),
        (timedelta(seconds=-2),),
    )

    def run(self, case: Case) -> Finding:
        """Tell the story with large jumps, then with small ones."""
        problems: list[str] = []
        for jumps in self._JUMPS:
            problems += self._jumping(case, jumps)
        return Finding.of(problems)

    @staticmethod
    def _jumping(case: Case, jumps: tuple[timedelta, ...]) -> list[str]:
        problems: list[str] = []
        coming = cycle(jumps)

        async def send(stage: Stage, number: int, call: Call) -> Any:
            jump = next(coming)
            stage.world.wall.move(jump)
            # Of the story's own time nothing has passed.
            stage.began += jump
            answer = await stage.settle(number, call)
            if not answer["ok"] and answer["error"]["code"] == Internal.code:
                hours = jump / timedelta(hours=1)
                problems.append(
                    f"{call.text(number)} failed after the clock was set by {hours:+.4g} h: "
                    f"{await stage.why_failed()}"
                )
            return answer

        told = tell(case.archive, case.story, send, seed=case.seed)
        return problems or told.troubles()


class Crash(Check):
    """The node is killed while each call is in work: as it decides, and around its commit."""

    number = 12
    name = "crash in mid-message"
    proves = "a node that dies in the middle of a message loses nothing and does nothing twice"

    def run(self, case: Case) -> Finding:
        """Kill the node at each moment in turn."""
        problems: list[str] = []
        for moment, when in (
            ("load_document", "while the pack read a document"),
            ("commit", "before the commit"),
            ("commit done", "after the commit"),
        ):
            problems += [f"killed {when}: {one}" for one in case.told(_killed_at(moment))]
        return Finding.of(problems)


def _killed_at(moment: str) -> Send:
    async def send(stage: Stage, number: int, call: Call) -> Any:
        killed = anyio.Event()

        async def kill(node: str, now: str) -> None:
            if now == moment and not killed.is_set():
                killed.set()
                stage.world.kill(NODE)

        stage.world.intrude = kill
        caller = await stage.caller(call.app)
        answer = None
        with suppress(TimeoutError):
            answer = await caller.ask_raw(
                call.operation, stage.bytes_of(number, call), timeout_s=_KILLED_S
            )
        stage.world.intrude = None
        if killed.is_set():
            await stage.world.start(NODE)
        elif answer is not None and (answer["ok"] or not answer["error"]["retryable"]):
            return answer
        return await stage.settle(number, call)

    return send
