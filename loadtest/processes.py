"""The processes of a measurement: the service under load, and the generator that loads it."""

import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec

from loadtest.plan import Plan, Result, plan_to_arguments
from zhihui.embedded.child import Child, log_tail

__all__ = ("ProcessFailed", "run_command", "run_generator", "running_service")

_READY_DEADLINE_S = 60.0
_STOP_GRACE_S = 20.0

# Beyond warm-up, window and the last answers: start of the interpreter and drawing of the payments.
_GENERATOR_MARGIN_S = 30.0


class ProcessFailed(Exception):
    """A process of the measurement did not do its part; the message quotes its log."""


class _Line(msgspec.Struct, frozen=True):
    """What a process says about itself, one JSON object a line."""

    ready: bool = False
    phase: str = ""


@asynccontextmanager
async def running_service(
    arguments: list[str], *, name: str, log: Path, environment: Mapping[str, str]
) -> AsyncIterator[int]:
    """Run ``python -m …`` until it says that it is ready; yield its pid, stop it at the end."""
    child = Child.spawn(
        [sys.executable, "-m", *arguments],
        log=log,
        # Its servers die with us, so an ordered end would only wait for them.
        death_signal=signal.SIGKILL,
        environment={**os.environ, **environment},
        pipe_output=True,
    )
    try:
        with anyio.move_on_after(_READY_DEADLINE_S) as scope:
            await _wait_ready(child, name, log)
        if scope.cancelled_caught:
            raise ProcessFailed(
                f"{name} was not ready after {_READY_DEADLINE_S:.0f} s. The end of {log}:\n"
                f"{log_tail(log)}"
            )
        async with anyio.create_task_group() as group:
            group.start_soon(child.discard_output)
            yield child.pid
            if child.returncode is not None:
                raise ProcessFailed(f"{name} died under load. The end of {log}:\n{log_tail(log)}")
            group.cancel_scope.cancel()
    finally:
        await child.stop(signal.SIGTERM, _STOP_GRACE_S)


async def run_command(
    arguments: list[str],
    *,
    name: str,
    log: Path,
    environment: Mapping[str, str],
    timeout_s: float,
) -> None:
    """Run ``python -m …`` to its end; raise :class:`ProcessFailed` unless it succeeds."""
    child = Child.spawn(
        [sys.executable, "-m", *arguments],
        log=log,
        death_signal=signal.SIGKILL,
        environment={**os.environ, **environment},
    )
    try:
        with anyio.move_on_after(timeout_s):
            await child.wait()
        if child.returncode != 0:
            raise ProcessFailed(f"{name} failed. The end of {log}:\n{log_tail(log)}")
    finally:
        await child.stop(signal.SIGTERM, _STOP_GRACE_S)


async def run_generator(
    plan: Plan, *, log: Path, on_phase: Callable[[str], Awaitable[None]]
) -> Result:
    """Run the generator in a process of its own; ``on_phase`` hears of each end of the window."""
    child = Child.spawn(
        [sys.executable, "-m", "loadtest.generator", *plan_to_arguments(plan)],
        log=log,
        death_signal=signal.SIGKILL,
        pipe_output=True,
    )
    try:
        with anyio.fail_after(plan.warmup_s + plan.seconds + plan.timeout_s + _GENERATOR_MARGIN_S):
            while line := await child.read_line():
                phase = msgspec.json.decode(line, type=_Line).phase
                if not phase:
                    return msgspec.json.decode(line, type=Result)
                await on_phase(phase)
    finally:
        await child.stop(signal.SIGTERM, _STOP_GRACE_S)
    raise ProcessFailed(f"the generator ended early. The end of {log}:\n{log_tail(log)}")


async def _wait_ready(child: Child, name: str, log: Path) -> None:
    while line := await child.read_line():
        with contextlib.suppress(msgspec.MsgspecError):
            if msgspec.json.decode(line, type=_Line).ready:
                return
    raise ProcessFailed(f"{name} ended instead of starting. The end of {log}:\n{log_tail(log)}")
