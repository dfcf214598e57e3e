"""Reads the counters at every change of phase, and adds cost and limits to the result."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import psutil

from loadtest.cost import Cost, Reading, cost_each, read_costs
from loadtest.harness.control import Findings, Observer, RunControl
from loadtest.harness.costs.node_statistics import NodeSums, ask_nodes
from loadtest.harness.costs.resources import ProcessTimes, Usage, usage_between
from loadtest.harness.model import PhaseMark
from loadtest.harness.moment import wait_for_moment
from loadtest.harness.result import RunResult

__all__ = ("COST", "CostObserver", "PhaseCost", "Pids", "cost_of")

COST = "cost"

_CONNECT_TIMEOUT_S = 2.0
_READ_TIMEOUT_S = 5.0


class Pids(msgspec.Struct, frozen=True, kw_only=True):
    """The processes of a service at one moment; None for what is not on this machine, or ours."""

    nodes: tuple[int, ...] = ()
    nats: int | None = None
    postgres: int | None = None


class PhaseCost(msgspec.Struct, frozen=True, kw_only=True):
    """One measured phase: what a request that was ok took of everything, and what was the limit."""

    phase: str
    requests: int
    cost: Cost
    usage: Usage


class _Glance(msgspec.Struct, frozen=True, kw_only=True):
    pids: Pids
    reading: Reading
    processes: ProcessTimes
    nodes: NodeSums | None
    generator_s: float


class CostObserver(Observer):
    """See the module. ``pids`` is asked each time, because processes come and go in a run.

    A reading that cannot be had, as while Postgres is away, leaves its phases without a cost.
    """

    def __init__(
        self,
        *,
        nats_url: str,
        postgres_dsn: str,
        pids: Callable[[], Pids],
        fdatasync_us: float | None = None,
    ) -> None:
        self._nats_url = nats_url
        self._postgres_dsn = postgres_dsn
        self._pids = pids
        self._fdatasync_us = fdatasync_us
        self._control: RunControl | None = None
        self._glances: list[tuple[PhaseMark, _Glance | None]] = []
        self._looking: list[asyncio.Task[None]] = []
        self._connection: asyncpg.Connection[Any] | None = None
        self._lock = asyncio.Lock()

    async def on_start(self, control: RunControl) -> None:
        """Keep the control: it knows the processes that make the load."""
        self._control = control

    async def on_phase(self, mark: PhaseMark) -> None:
        """Read all counters when the phase begins, which may be a while from now."""
        self._looking.append(asyncio.create_task(self._look(mark)))

    async def _look(self, mark: PhaseMark) -> None:
        assert self._control is not None
        await wait_for_moment(self._control, mark.start_s)
        # One at a time, and in order: they share a connection.
        async with self._lock:
            self._glances.append((mark, await self._glance()))

    async def on_drained(self, draft: RunResult) -> Findings:
        """Add the cost of each measured phase under the key ``cost``."""
        await asyncio.gather(*self._looking)
        if self._glances and self._glances[-1][0].measured:
            end = PhaseMark(name="", start_s=draft.duration_s, measured=False)
            self._glances.append((end, await self._glance()))
        if self._connection is not None:
            self._connection.terminate()
        phases = self._phases(draft)
        return Findings(attachments={COST: msgspec.to_builtins(phases)} if phases else {})

    def _phases(self, draft: RunResult) -> list[PhaseCost]:
        found = []
        counts = {phase.name: phase.total.counts.ok for phase in draft.phases if phase.measured}
        for (mark, before), (_, after) in zip(self._glances, self._glances[1:], strict=False):
            requests = counts.get(mark.name, 0)
            if not mark.measured or before is None or after is None or not requests:
                continue
            found.append(self._phase_cost(mark.name, requests, before, after))
        return found

    def _phase_cost(self, phase: str, requests: int, before: _Glance, after: _Glance) -> PhaseCost:
        generator_s = max(after.generator_s - before.generator_s, 0.0)
        first, last = _of_the_same(before, after)
        return PhaseCost(
            phase=phase,
            requests=requests,
            cost=cost_each(
                first,
                last,
                payments=requests,
                generator_cpu_us=generator_s / requests * 1e6,
            ),
            usage=usage_between(
                first,
                last,
                processes=(before.processes, after.processes),
                nodes=(before.nodes, after.nodes),
                generator_s=generator_s,
                generators=len(self._control.generator_pids) if self._control else 1,
                fdatasync_us=self._fdatasync_us,
            ),
        )

    async def _glance(self) -> _Glance | None:
        pids = self._pids()
        # First what is over soonest: generators end when a run does. The nodes come last, because
        # that no more of them answer is known only after a silence.
        generator_s = sum(_times(self._control.generator_pids if self._control else ()).values())
        processes = ProcessTimes(
            nodes=_times(pids.nodes), backends=_times(_children(pids.postgres))
        )
        reading = await self._reading(pids)
        if reading is None:
            return None
        nodes = await ask_nodes(self._nats_url)
        if nodes is not None:
            reading = msgspec.structs.replace(reading, statements=nodes.statements)
        return _Glance(
            pids=pids,
            reading=reading,
            processes=processes,
            nodes=nodes,
            generator_s=generator_s,
        )

    async def _reading(self, pids: Pids) -> Reading | None:
        async def read(connection: "asyncpg.Connection[Any]") -> Reading:
            one = await read_costs(
                connection,
                service_pid=None,
                nats_pid=pids.nats,
                postgres_pid=pids.postgres,
                nats_port=urlsplit(self._nats_url).port,
                postgres_port=urlsplit(self._postgres_dsn).port,
            )
            service_s = sum(_times(pids.nodes).values()) if pids.nodes else None
            return msgspec.structs.replace(one, service_s=service_s)

        return await self._with_connection(read)

    async def _with_connection(
        self, read: Callable[["asyncpg.Connection[Any]"], Awaitable[Reading]]
    ) -> Reading | None:
        """Read on the connection there is, or on a new one: a step may have ended the old one."""
        for _ in range(2):
            with contextlib.suppress(
                OSError, asyncpg.PostgresError, asyncpg.InterfaceError, psutil.NoSuchProcess
            ):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(
                        self._postgres_dsn,
                        timeout=_CONNECT_TIMEOUT_S,
                        command_timeout=_READ_TIMEOUT_S,
                    )
                return await read(self._connection)
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
        return None


def _of_the_same(before: _Glance, after: _Glance) -> tuple[Reading, Reading]:
    """Return both readings without what began anew between them: a process that was restarted."""
    unknown: dict[str, Any] = {}
    if before.pids.nodes != after.pids.nodes:
        unknown |= {"service_s": None, "statements": None}
    if before.pids.nats != after.pids.nats:
        unknown |= {"nats_s": None, "nats_wire": None}
    if before.pids.postgres != after.pids.postgres:
        unknown |= {"postgres_s": None, "postgres_wire": None, "wal_fsyncs": None}
    return (
        msgspec.structs.replace(before.reading, **unknown),
        msgspec.structs.replace(after.reading, **unknown),
    )


def cost_of(result: RunResult) -> tuple[PhaseCost, ...]:
    """Return the costs that a result holds, by phase; none when nothing was read."""
    return msgspec.convert(result.attachments.get(COST, []), tuple[PhaseCost, ...])


def _times(pids: Sequence[int]) -> dict[int, float]:
    """Return the CPU seconds of each process that is there."""
    found = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            found[pid] = times.user + times.system
    return found


def _children(pid: int | None) -> tuple[int, ...]:
    if pid is None:
        return ()
    try:
        return tuple(child.pid for child in psutil.Process(pid).children())
    except psutil.NoSuchProcess:
        return ()
