"""What each chaos step does to a stand, and how it is put right."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from loadtest.adversity.link import Link
from loadtest.harness.chaos.spec import ChaosStep
from loadtest.harness.problems import PlanUnusable
from loadtest.harness.stands import Stand

__all__ = ("Swap", "carry_out", "check_possible")

# Has every node switch to another version of a pack; returns when all have.
Swap = Callable[[str], Awaitable[None]]

_STOP_GRACE_S = 10.0


def check_possible(steps: tuple[ChaosStep, ...], *, linked: bool, swaps: bool) -> None:
    """Raise :class:`PlanUnusable` for a step that this stand has no means for."""
    for step in steps:
        if step.verb in ("cut", "freeze", "slow") and not linked:
            raise PlanUnusable(f"{step.name}: the nodes of this stand have no links")
        if step.verb == "swap" and not swaps:
            raise PlanUnusable(f"{step.name}: this stand cannot bring versions of packs")


async def carry_out(step: ChaosStep, stand: Stand, swap: Swap | None) -> None:
    """Do the step and put it right; when this returns, the fault is over."""
    async with _doing(step, stand, swap):
        if step.for_s:
            await anyio.sleep(step.for_s)


@asynccontextmanager
async def _doing(step: ChaosStep, stand: Stand, swap: Swap | None) -> AsyncIterator[None]:
    if step.verb == "swap":
        assert swap is not None, "it was checked before the run"
        await swap(step.object)
        yield
    elif step.object == "node":
        async with _node_fault(step.verb, stand):
            yield
    elif step.verb in ("kill", "restart"):
        async with _server_fault(step, stand):
            yield
    else:
        async with _link_fault(step, stand):
            yield


@asynccontextmanager
async def _node_fault(verb: str, stand: Stand) -> AsyncIterator[None]:
    name = await stand.busy_node()
    node = stand.nodes[name]
    if verb == "pause":
        pid = node.pid
        assert pid is not None, "a busy node runs"
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
        return
    if verb == "kill":
        await stand.kill_node(name)
    else:
        await node.stop(_STOP_GRACE_S)
    yield
    await node.start()


@asynccontextmanager
async def _server_fault(step: ChaosStep, stand: Stand) -> AsyncIterator[None]:
    server = stand.nats if step.object == "nats" else stand.postgres
    await (server.kill() if step.verb == "kill" else server.stop())
    yield
    await server.start()


@asynccontextmanager
async def _link_fault(step: ChaosStep, stand: Stand) -> AsyncIterator[None]:
    links = stand.links[await stand.busy_node()]
    link: Link = links.nats if step.object == "nats" else links.postgres
    if step.verb == "cut":
        link.cut()
    elif step.verb == "freeze":
        link.freeze()
    else:
        link.delay(step.delay_s)
    try:
        yield
    finally:
        link.heal()
