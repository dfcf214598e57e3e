"""A process that makes load: ``python -m loadtest.harness.worker``, told what to do over its input.

Its output is for reports alone; what a scenario prints goes to the log, like its errors.
"""

import asyncio
import contextlib
import gc
import os
import sys
import traceback

import uvloop

from loadtest.harness.problems import ScenarioUnusable
from loadtest.harness.scenario import load_scenario
from loadtest.harness.session import LoadSession
from loadtest.harness.wire import (
    Assignment,
    Begin,
    Command,
    Mark,
    Report,
    Resolve,
    SetRate,
    SetUsers,
    Stop,
    Troubled,
    decode_command,
    frame,
    read_frame,
)
from loadtest.lean import LeanError
from schemas.errors import ZhihuiError

__all__ = ("main",)

# Objects that live through the run are many and those of a request die young: a full collection
# every so often would only walk over the former, in some 20 ms.
_GC_THRESHOLDS = (50_000, 50, 1_000)


class _Pipes:
    """Commands in, reports out."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.WriteTransport) -> None:
        self._reader = reader
        self._transport = transport

    @classmethod
    async def open(cls, output: int) -> "_Pipes":
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=1 << 24)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        # The pipe's buffer may be full; writing must not block the load.
        transport, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(output, "wb", 0))
        return cls(reader, transport)

    async def read(self) -> Command | None:
        body = await read_frame(self._reader)
        return None if body is None else decode_command(body)

    def send(self, report: Report) -> None:
        self._transport.write(frame(report))

    async def close(self) -> None:
        self._transport.close()
        # What is written last still has to leave.
        while self._transport.get_write_buffer_size():  # noqa: ASYNC110 - a transport has no event
            await asyncio.sleep(0.01)


async def _work(output: int) -> None:
    pipes = await _Pipes.open(output)
    # A hook, a wait_time or a flow that raises does so in a call of the loop.
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: _tell_trouble(pipes, context.get("exception"), context["message"])
    )
    try:
        assignment = await pipes.read()
        if not isinstance(assignment, Assignment):
            # The one who started us went away first.
            return
        scenario = load_scenario(assignment.plan.scenario)
        async with LoadSession(assignment, scenario, pipes.send) as session:
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLDS)
            await _obey(pipes, session)
    except ScenarioUnusable as error:
        pipes.send(Troubled(message=str(error), usage=True))
    except (LeanError, ZhihuiError, OSError, TimeoutError) as error:
        pipes.send(Troubled(message=str(error) or type(error).__name__))
    except Exception as error:  # noqa: BLE001 - a scenario's own code, or a fault of ours: say it
        _tell_trouble(pipes, error, "")
    finally:
        await pipes.close()


def _tell_trouble(pipes: _Pipes, error: BaseException | None, message: str) -> None:
    if error is not None:
        traceback.print_exception(error)
        message = f"{type(error).__name__}: {error}"
    pipes.send(Troubled(message=f"the code that makes the load failed: {message}"))


async def _obey(pipes: _Pipes, session: LoadSession) -> None:
    while (command := await pipes.read()) is not None:
        match command:
            case Begin():
                session.begin(command)
            case Mark():
                session.mark(command)
            case SetUsers():
                session.set_users(command)
            case SetRate():
                session.set_rate(command)
            case Stop():
                session.stop(command)
            case Resolve():
                await session.resolve(command.within_s)
                return
            case Assignment():
                raise AssertionError("an assignment comes once")


def main() -> int:
    """Take the output for reports, and do what the input says."""
    output = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_work(output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
