"""The faults: what each does to the nodes and the servers, and how it ends."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import msgspec

from loadtest.adversity.cluster import Cluster
from loadtest.adversity.link import Link
from loadtest.adversity.servers import (
    empty_jetstream,
    fill_jetstream,
    stop_postgres,
    terminate_backends,
)

__all__ = ("FAULTS", "Clocks", "Fault", "Scene")

# How long a fault lasts that has a length: longer than a lease, so that ownership is fought over,
# and shorter than it, so that it is not.
_LONG_S, _SHORT_S = 7.0, 1.5
_DELAY_S = 0.1
# By how much a clock is stepped: more than any deadline and any lease, either way.
_STEP_MS = 3_600_000
# What is filled of the disk quota before the load begins; the rest is filled under it.
_PREFILLED_BYTES = 3 * 1024**3 + 900 * 1024**2


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """A program that is a node with a clock that a file moves, and what writes such a file."""

    program: tuple[str, ...]
    write_step: Callable[[Path, int], None]
    folder: Path

    def file(self, node: str) -> Path:
        """Return the path of the file that moves this node's clock."""
        return self.folder / f"{node}.clock"


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault is done to.

    ``busy`` is the node that owns the journal, ``other`` one that does not. ``clocks`` is how nodes
    run whose clocks can be stepped.
    """

    cluster: Cluster
    busy: str
    other: str
    clocks: Clocks


_Inject = Callable[[Scene], Awaitable[None]]
# Before the load, and undone after it: what the fault needs.
_Prepare = Callable[[Scene], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def _nothing(_scene: Scene) -> AsyncIterator[None]:
    yield


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault; it has ended when ``inject`` returns, and ``restore`` is what an operator does."""

    name: str
    inject: _Inject
    restore: _Inject | None = None
    prepare: _Prepare = _nothing


# Nodes.


def _kill(which: str) -> _Inject:
    async def inject(scene: Scene) -> None:
        await scene.cluster.kill(getattr(scene, which))

    return inject


def _start(which: str) -> _Inject:
    async def restore(scene: Scene) -> None:
        await scene.cluster.start(getattr(scene, which))

    return restore


def _pause(seconds: float) -> _Inject:
    async def inject(scene: Scene) -> None:
        pid = scene.cluster.pid(scene.busy)
        os.kill(pid, signal.SIGSTOP)
        try:
            await anyio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    return inject


# Servers.


async def _restart_nats(scene: Scene) -> None:
    await scene.cluster.servers.nats.stop()
    await scene.cluster.servers.nats.start()


async def _kill_nats(scene: Scene) -> None:
    await scene.cluster.servers.nats.kill()
    await anyio.sleep(_SHORT_S)
    await scene.cluster.servers.nats.start()


async def _fast(scene: Scene) -> None:
    await stop_postgres(scene.cluster.servers, "fast")
    await scene.cluster.servers.postgres.start()


async def _immediate(scene: Scene) -> None:
    await stop_postgres(scene.cluster.servers, "immediate")
    await scene.cluster.servers.postgres.start()


async def _kill_postgres(scene: Scene) -> None:
    await scene.cluster.servers.postgres.kill()
    await anyio.sleep(_SHORT_S)
    await scene.cluster.servers.postgres.start()


async def _backends(scene: Scene) -> None:
    await terminate_backends(scene.cluster.servers)


@asynccontextmanager
async def _nearly_full(scene: Scene) -> AsyncIterator[None]:
    url = scene.cluster.servers.nats.url
    await fill_jetstream(url, up_to=_PREFILLED_BYTES)
    yield


async def _fill(scene: Scene) -> None:
    url = scene.cluster.servers.nats.url
    try:
        await fill_jetstream(url)
        await anyio.sleep(_LONG_S)
    finally:
        await empty_jetstream(url)


# Links.


def _over_link(server: str, fault: Callable[[Link], None], seconds: float) -> _Inject:
    """Do something to one link of the busy node for some seconds."""

    async def inject(scene: Scene) -> None:
        link: Link = getattr(scene.cluster.links[scene.busy], server)
        fault(link)
        try:
            await anyio.sleep(seconds)
        finally:
            link.heal()

    return inject


def _slow(link: Link) -> None:
    link.delay(_DELAY_S)


# Clocks.


def _step(milliseconds: int) -> _Inject:
    async def inject(scene: Scene) -> None:
        file = scene.clocks.file(scene.busy)
        scene.clocks.write_step(file, milliseconds)
        try:
            await anyio.sleep(_LONG_S)
        finally:
            scene.clocks.write_step(file, 0)

    return inject


@asynccontextmanager
async def _with_clocks(scene: Scene) -> AsyncIterator[None]:
    """Let all nodes run with clocks that can be stepped: whichever gets the journal will do."""
    for name in sorted(scene.cluster.nodes):
        file = scene.clocks.file(name)
        scene.clocks.write_step(file, 0)
        await scene.cluster.replace(
            name, program=scene.clocks.program, arguments=("--clock-file", str(file))
        )
    yield
    for name in sorted(scene.cluster.nodes):
        await scene.cluster.replace(name)


def _faults_of_links(server: str, label: str) -> tuple[Fault, ...]:
    return (
        Fault(name=f"{label} link cut", inject=_over_link(server, Link.cut, _LONG_S)),
        Fault(name=f"{label} link frozen", inject=_over_link(server, Link.freeze, _LONG_S)),
        Fault(name=f"{label} link slow", inject=_over_link(server, _slow, _LONG_S)),
    )


FAULTS: tuple[Fault, ...] = (
    Fault(name="node with the journal killed", inject=_kill("busy"), restore=_start("busy")),
    Fault(name="another node killed", inject=_kill("other"), restore=_start("other")),
    Fault(name="node stopped past its lease", inject=_pause(_LONG_S)),
    Fault(name="node stopped shortly", inject=_pause(_SHORT_S)),
    Fault(name="NATS restarted", inject=_restart_nats),
    Fault(name="NATS killed", inject=_kill_nats),
    Fault(name="Postgres restarted, fast", inject=_fast),
    Fault(name="Postgres restarted, immediate", inject=_immediate),
    Fault(name="Postgres killed", inject=_kill_postgres),
    Fault(name="Postgres backends ended", inject=_backends),
    *_faults_of_links("nats", "NATS"),
    *_faults_of_links("postgres", "Postgres"),
    Fault(name="JetStream disk quota full", inject=_fill, prepare=_nearly_full),
    Fault(name="clock an hour ahead", inject=_step(_STEP_MS), prepare=_with_clocks),
    Fault(name="clock an hour behind", inject=_step(-_STEP_MS), prepare=_with_clocks),
)
"""All faults, in the order in which they are injected."""
