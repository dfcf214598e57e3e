"""One case: a load, one fault in the middle of it, and what came of it."""

import time
from collections.abc import Callable, Sequence

import anyio
import asyncpg
import msgspec
import psutil

from loadtest.adversity.cluster import Cluster, NotInTime, wait_until
from loadtest.adversity.faults import Clocks, Fault, Scene
from loadtest.adversity.judge import Findings, judge_stream, wait_settled
from loadtest.adversity.stream import PaymentStream
from zhihui.client import Client

__all__ = ("IMPATIENT_S", "PATIENT_S", "RECOVERY_S_MAX", "CaseReport", "Stage", "run_case")

RECOVERY_S_MAX = 10.0
# Half of the callers wait until the service is there again, the others give up and find out later.
PATIENT_S = 20.0
IMPATIENT_S = 0.3
# Payments acknowledged before a fault, and after it.
_BEFORE, _AFTER = 300, 200
_GO_ON_S = 30.0
# Until what was kept is paid, and every event has left.
_SETTLED_S = 40.0
# A publisher is no faster than this: the intake is there to hold what comes at once.
_PUBLISH_PAUSE_S = 0.02
# Requests that are handed over to see whether the intake serves.
_PROBES_MAX, _PROBE_EVERY_S = 40, 0.5
_DONE = "SELECT request_id FROM zhihui.payment WHERE request_id = ANY($1)"
# Of all workers, those that publish to the intake.
_PUBLISHERS_SHARE = 3


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What all cases of a run share."""

    cluster: Cluster
    patient: Client
    impatient: Client
    pairs: Sequence[tuple[str, str]]
    workers: int
    clocks: Clocks
    journal: int


class CaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one case.

    ``in_flight`` are the calls that waited when the fault began. ``recovery_s`` is the time from
    its end until everything was served again: a payment of every partition, and one over the
    intake. ``caught_up_s`` is the time from then until all was done that the intake had kept so
    far: what was in the hands of a node that died comes again when its time is over. ``settled_s``
    is how long after the load the last event had left. None is what did not come.
    """

    run: int
    fault: str
    in_flight: int
    fault_s: float
    recovery_s: float | None
    caught_up_s: float | None
    settled_s: float | None
    findings: Findings | None = None
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether all that is claimed holds."""
        found = self.findings
        return (
            not self.problem
            and found is not None
            and found.audit_ok
            and not (found.lost or found.doubled or found.hung or found.wrong)
            and self.recovery_s is not None
            and self.recovery_s <= RECOVERY_S_MAX
            and self.caught_up_s is not None
            and self.settled_s is not None
        )


async def run_case(
    stage: Stage, fault: Fault, *, run: int, number: int, say: Callable[[str], None]
) -> CaseReport:
    """Inject one fault under load, and judge."""
    cluster = stage.cluster
    await cluster.wait_shared()
    async with fault.prepare(await _scene(stage)):
        say(f"{fault.name}: the load begins")
        case = _Case(stage, fault, PaymentStream(stage.pairs, prefix=f"r{run}c{number}"))
        try:
            await case.play(await _scene(stage))
        except NotInTime as error:
            case.problem = str(error)
        settled_s = await wait_settled(case.stream, cluster.dsn, _SETTLED_S)
        payee = stage.pairs[0][1]
        findings = await judge_stream(stage.patient, case.stream, cluster.dsn, payee)
        await _restart_ended(cluster, case)
    return CaseReport(
        run=run,
        fault=fault.name,
        in_flight=case.in_flight,
        fault_s=case.fault_s,
        recovery_s=case.recovery_s,
        caught_up_s=case.caught_up_s,
        settled_s=settled_s,
        findings=findings,
        problem=case.problem,
    )


async def _scene(stage: Stage) -> Scene:
    busy = (await stage.cluster.owners())[stage.journal]
    other = min(name for name in stage.cluster.running() if name != busy)
    return Scene(cluster=stage.cluster, busy=busy, other=other, clocks=stage.clocks)


async def _restart_ended(cluster: Cluster, case: "_Case") -> None:
    """Start what ended without being told to, and note it."""
    for name in sorted(cluster.running()):
        if psutil.Process(cluster.pid(name)).status() == psutil.STATUS_ZOMBIE:
            code = await cluster.nodes[name].wait_exit()
            case.problem = case.problem or f"node {name} ended by itself with exit code {code}"
            await cluster.start(name)


class _Case:
    """The load of one case, and what happens to it."""

    def __init__(self, stage: Stage, fault: Fault, stream: PaymentStream) -> None:
        self._stage = stage
        self._fault = fault
        self.stream = stream
        self.in_flight = 0
        self.fault_s = 0.0
        self.recovery_s: float | None = None
        self.caught_up_s: float | None = None
        self.problem = ""

    async def play(self, scene: Scene) -> None:
        """Keep up the load, and inject the fault in the middle of it."""
        stream, stage = self.stream, self._stage
        publishers = max(stage.workers // _PUBLISHERS_SHARE, 1)
        askers = max((stage.workers - publishers) // 2, 1)
        async with anyio.create_task_group() as tasks:
            for _ in range(askers):
                tasks.start_soon(stream.work, stage.patient, PATIENT_S)
                tasks.start_soon(stream.work, stage.impatient, IMPATIENT_S)
            for number in range(publishers):
                client, limit_s = (
                    (stage.impatient, IMPATIENT_S) if number % 2 else (stage.patient, PATIENT_S)
                )
                tasks.start_soon(stream.publish, client, limit_s, _PUBLISH_PAUSE_S)
            try:
                await self._go_on(_BEFORE, "a load")
                self.in_flight = stream.in_flight
                began_s = time.monotonic()
                await self._fault.inject(scene)
                self.fault_s = time.monotonic() - began_s
                await self._recover()
                if self._fault.restore is not None:
                    await self._fault.restore(scene)
                await self._go_on(_AFTER, "the load goes on")
            finally:
                stream.stopped = True

    async def _go_on(self, count: int, what: str) -> None:
        wanted = self.stream.told + count

        async def enough() -> bool:
            return self.stream.told >= wanted

        await wait_until(enough, what, within_s=_GO_ON_S)

    async def _recover(self) -> None:
        """Measure how long it takes until all is served again, and until nothing is left over."""
        began_s = time.monotonic()
        asked_s = kept_s = 0.0

        async def ask() -> None:
            nonlocal asked_s
            if await self.stream.pay_everywhere(self._stage.patient, PATIENT_S):
                asked_s = time.monotonic() - began_s

        async def hand_over() -> None:
            nonlocal kept_s
            kept_s = await self._intake_serves(began_s)

        async def catch_up() -> None:
            await self._until_done(set(self.stream.kept))
            self.caught_up_s = time.monotonic() - began_s

        async with anyio.create_task_group() as tasks:
            for action in (ask, hand_over, catch_up):
                tasks.start_soon(action)
        if asked_s and kept_s:
            self.recovery_s = max(asked_s, kept_s)

    async def _intake_serves(self, began_s: float) -> float:
        """Return after how long one was done of the requests that are handed over from now on.

        One of them may get into the hands of a node that is just being missed, and only comes back
        from there; so there is not only one.
        """
        stream, stage = self.stream, self._stage
        served_s: list[float] = []

        async def try_one() -> None:
            request_id = await stream.hand_over(stage.patient, stage.pairs[0], PATIENT_S)
            # Nobody is cancelled: a connection to Postgres that is given up half made complains.
            await self._until_done({request_id}, or_else=lambda: bool(served_s))
            served_s.append(time.monotonic() - began_s)

        async with anyio.create_task_group() as tasks:
            for _ in range(_PROBES_MAX):
                if served_s:
                    break
                tasks.start_soon(try_one)
                await anyio.sleep(_PROBE_EVERY_S)
        return served_s[0]

    async def _until_done(
        self, request_ids: set[str], *, or_else: Callable[[], bool] = lambda: False
    ) -> None:
        missing = set(request_ids)
        connection = await asyncpg.connect(self._stage.cluster.dsn)

        async def done() -> bool:
            rows = await connection.fetch(_DONE, list(missing))
            missing.difference_update(row[0] for row in rows)
            return not missing or or_else()

        try:
            await wait_until(done, "what was kept is done", within_s=_SETTLED_S, every_s=0.1)
        finally:
            await connection.close()
