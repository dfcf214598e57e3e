"""One process's part of a run: its executor, its engine, and what it reports each second."""

import asyncio
import math
import random
import time
from collections.abc import Callable
from typing import Self

import psutil

from loadtest.harness.arrivals import ArrivalPlan, Schedule, Segment, parse_arrivals
from loadtest.harness.claims import Claims
from loadtest.harness.engines import Engine
from loadtest.harness.executors import ClosedExecutor, Executor, OpenExecutor
from loadtest.harness.flows import Flow
from loadtest.harness.lean_engine import LeanEngine
from loadtest.harness.measured import Meter
from loadtest.harness.pacer import Pacer
from loadtest.harness.recorder import Recorder
from loadtest.harness.scenario import Scenario
from loadtest.harness.unanswered import Unanswered, resolve
from loadtest.harness.users_engine import UsersEngine
from loadtest.harness.wire import (
    Assignment,
    Begin,
    Drained,
    Finished,
    Interval,
    Mark,
    Ready,
    Report,
    SetRate,
    SetUsers,
    Stop,
)
from zhihui.client import Client

__all__ = ("DRAIN", "LoadSession")

# The phase after the load, in which only answers come.
DRAIN = "drain"

_NS_PER_S = 1_000_000_000

_POLL_S = 0.01

# What got no answer is asked for with some patience, even where the load has none.
_ASK_S_MIN = 2.0


class LoadSession:
    """Does what the commands say; ``send`` takes its reports. Use as an async context manager."""

    def __init__(
        self, assignment: Assignment, scenario: Scenario, send: Callable[[Report], None]
    ) -> None:
        self._assignment = assignment
        self._scenario = scenario
        self._send = send
        self._plan = assignment.plan
        self._recorder = Recorder(bytes.fromhex(assignment.plan.tally_key))
        self._unanswered = Unanswered()
        self._claims = Claims()
        self._process = psutil.Process()
        self._index = 0
        self._cpu_s = 0.0
        self._taken_ns = 0
        self._stop_ns: int | None = None
        self._drained = self._over = False
        self._spawned = False

    async def __aenter__(self) -> Self:
        plan = self._plan
        self._pacer = Pacer()
        # What must happen on time even when the load itself is behind.
        self._clock = Pacer()
        self._client = Client(app=plan.app, url=self._assignment.url, timeout_s=plan.timeout_s)
        await self._client.__aenter__()
        self._engine = self._make_engine()
        of = self._assignment.of
        open_run = plan.arrivals is not None
        preallocate = -(-(plan.users or 0) // of) if open_run else 0
        await self._engine.open(preallocate)
        self._executor = self._make_executor(open_run=open_run)
        self._scenario.events.init.fire(process=self._assignment.share)
        self._send(Ready(exact=self._pacer.exact))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._pacer.close()
        self._clock.close()
        await self._engine.close()
        await self._client.__aexit__(*exc)

    def _make_engine(self) -> Engine:
        assignment, plan, scenario = self._assignment, self._plan, self._scenario
        rng = random.Random(f"load-{plan.seed}-{assignment.share}")
        prefix = f"{assignment.run_id}-{assignment.share}"
        in_flight_max = max(plan.in_flight_max // assignment.of, 1)
        if plan.engine == "lean":
            return LeanEngine(
                self._flows(rng),
                self._recorder,
                self._unanswered,
                self._claims,
                self._pacer,
                url=assignment.url,
                app=plan.app,
                allow_host=plan.allow_host,
                prefix=prefix,
                timeout_s=plan.timeout_s,
                in_flight_max=in_flight_max,
                rng=rng,
            )
        meter = Meter(
            self._client,
            self._recorder,
            self._unanswered,
            scenario.events,
            prefix=prefix,
            timeout_s=plan.timeout_s,
        )
        numbers = iter(range(assignment.share, 1 << 62, assignment.of))
        return UsersEngine(
            list(scenario.users),
            meter,
            self._claims,
            self._pacer,
            tags=plan.tags,
            exclude_tags=plan.exclude_tags,
            data=assignment.data,
            settings=plan.settings,
            in_flight_max=in_flight_max,
            rng=rng,
            numbers=lambda: next(numbers),
        )

    def _flows(self, rng: random.Random) -> list[Flow]:
        assignment = self._assignment
        settings = self._plan.settings
        share, of = assignment.share, assignment.of
        return [
            one(assignment.data, settings, rng, share=share, of=of) for one in self._scenario.flows
        ]

    def _make_executor(self, *, open_run: bool) -> Executor:
        assignment = self._assignment
        if open_run:
            return OpenExecutor(self._engine, self._pacer)
        return ClosedExecutor(self._engine, self._pacer, share=assignment.share, of=assignment.of)

    # Commands.

    def begin(self, command: Begin) -> None:
        """Start the load at the moment given."""
        plan, start_ns = self._plan, command.start_ns
        self._start_ns = self._taken_ns = start_ns
        self._cpu_s = time.process_time()
        if isinstance(self._executor, OpenExecutor):
            schedule = Schedule(
                self._arrivals(),
                warmup_s=plan.warmup_s or 0.0,
                poisson=plan.poisson,
                seed=plan.seed,
                share=self._assignment.share,
                of=self._assignment.of,
            )
            self._executor.begin(schedule, start_ns)
        elif not self._assignment.shaped:
            users = plan.users or 1
            self._executor.set_users(users, plan.spawn_rate or float(users), start_ns)
        self._clock.at(start_ns + _NS_PER_S, self._second)

    def _arrivals(self) -> ArrivalPlan:
        specification = self._plan.arrivals
        assert specification is not None
        if self._assignment.shaped:
            # Until the shape's first word.
            return ArrivalPlan(specification="shape", segments=(Segment(math.inf, 0.0, 0.0),))
        return parse_arrivals(specification)

    def mark(self, command: Mark) -> None:
        """Begin a phase at the moment given."""
        self._pacer.at(command.at_ns, lambda _: self._begin_phase(command))

    def _begin_phase(self, command: Mark) -> None:
        self._recorder.begin_phase(command.name, measured=command.measured)
        if isinstance(self._engine, LeanEngine):
            self._engine.new_phase()

    def set_users(self, command: SetUsers) -> None:
        """Change how many users there are, in a closed run."""
        if isinstance(self._executor, ClosedExecutor):
            now_ns = time.perf_counter_ns()
            self._executor.set_users(command.users, command.spawn_rate, now_ns)

    def set_rate(self, command: SetRate) -> None:
        """Change the rate, in an open run."""
        if isinstance(self._executor, OpenExecutor):
            self._executor.set_rate(command.at_ns, command.rate)

    def stop(self, command: Stop) -> None:
        """End the load at the moment given, and drain."""
        if not self._drained:
            self._stop_ns = command.at_ns
            self._executor.stop(command.at_ns)
            self._clock.at(command.at_ns, self._stopped)

    def _stopped(self, due_ns: int) -> None:
        if due_ns != self._stop_ns or self._drained:
            return
        # In the order of moments: arrivals that were due before it are still those of the load.
        self.mark(Mark(at_ns=due_ns, name=DRAIN, measured=False))
        self._engine.end_users()
        self._drained = True
        self._draining = asyncio.get_running_loop().create_task(self._drain(due_ns))

    async def _drain(self, stopped_ns: int) -> None:
        give_up_ns = stopped_ns + int(self._plan.drain_s * _NS_PER_S)
        # Answers come in the loop below all of this; nobody could set an event without a cost.
        while (self._engine.busy or self._executor.pending) and (  # noqa: ASYNC110
            time.perf_counter_ns() < give_up_ns
        ):
            await asyncio.sleep(_POLL_S)
        self._executor.give_up()
        await self._engine.interrupt()
        self._over = True
        self._report()
        self._send(Drained())

    async def resolve(self, within_s: float) -> None:
        """Ask again for what got no answer, and say the last word."""
        resolution = await resolve(
            self._client,
            self._unanswered,
            tally_key=bytes.fromhex(self._plan.tally_key),
            each_s=max(self._plan.timeout_s, _ASK_S_MIN),
            within_s=within_s,
        )
        errors = self._engine.errors if isinstance(self._engine, UsersEngine) else {}
        self._send(Finished(resolution=resolution, claims=self._claims.read(), errors=dict(errors)))

    # Reports.

    def _second(self, due_ns: int) -> None:
        if not self._over:
            self._report()
            self._clock.at(due_ns + _NS_PER_S, self._second)

    def _report(self) -> None:
        now_ns, cpu_s = time.perf_counter_ns(), time.process_time()
        executor = self._executor
        if not self._spawned and isinstance(executor, ClosedExecutor) and executor.complete:
            self._spawned = True
            count = self._engine.user_count
            self._scenario.events.spawning_complete.fire(user_count=count)
        self._send(
            Interval(
                index=self._index,
                seconds=(now_ns - self._taken_ns) / _NS_PER_S,
                names=self._recorder.take(),
                users=self._engine.user_count,
                target_rate=executor.rate_at(now_ns),
                in_flight=self._recorder.in_flight,
                cpu_s=cpu_s - self._cpu_s,
                memory_bytes=self._process.memory_info().rss,
                late=executor.take_late(),
                acknowledged=self._recorder.take_acknowledged(),
            )
        )
        self._index += 1
        self._taken_ns, self._cpu_s = now_ns, cpu_s
