"""One run from its plan to its result: what coordinates the processes, and what steers them."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import anyio
import msgspec

from loadtest.harness.assembly import Collected, assemble, judged
from loadtest.harness.claims import add_claims
from loadtest.harness.control import Findings, Observer, RunSnapshot, RunState
from loadtest.harness.generator_machine import describe_generator
from loadtest.harness.invariants.multiset import new_key
from loadtest.harness.model import PhaseMark, Sample
from loadtest.harness.plan import RunPlan
from loadtest.harness.plan_check import completed_plan
from loadtest.harness.problems import RunFailed, ScenarioUnusable
from loadtest.harness.result import RunResult
from loadtest.harness.samples import SampleMerger
from loadtest.harness.scenario import Scenario, load_scenario, set_up
from loadtest.harness.session import DRAIN
from loadtest.harness.shapes import LoadShape, RateShape
from loadtest.harness.stage import Stage
from loadtest.harness.statistics import Totals, name_statistics
from loadtest.harness.target import Target, running_target
from loadtest.harness.unanswered import add_resolutions
from loadtest.harness.wire import (
    Assignment,
    Begin,
    Drained,
    Finished,
    Interval,
    Mark,
    Ready,
    Report,
    Resolve,
    SetRate,
    SetUsers,
    Stop,
    Troubled,
)
from loadtest.harness.workers import Worker
from zhihui.client import Client

__all__ = ("MAIN", "WARMUP", "check_plan", "run_load")

WARMUP = "warm-up"
MAIN = "main"

_NS_PER_S = 1_000_000_000

# A process imports, connects and prepares: seconds on a loaded machine, more for large scenarios.
_READY_S_MAX = 120.0

# All processes must have heard of the start before it comes.
_LEAD_NS = 200_000_000

# Beyond the drain: until the last samples of a busy process have come.
_REPORT_S = 30.0

# For asking again what got no answer.
_RESOLVE_S = 30.0


async def run_load(
    plan: RunPlan,
    *,
    observers: Sequence[Observer] = (),
    data_dir: Path | None = None,
    target: Target | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> RunResult:
    """Make the load that the plan says and return what came of it; ``say`` hears of the progress.

    With ``target`` a service that runs already is loaded. Raise
    :class:`~loadtest.harness.problems.LoadError` when it cannot be brought to a result; a result
    with a bad verdict is a result.
    """
    plan, scenario, shaped = _read(plan)
    async with AsyncExitStack() as stack:
        if target is None:
            target = await stack.enter_async_context(
                running_target(plan, data_dir=data_dir, say=say)
            )
        return await _Run(plan, scenario, target, observers, say, shaped=shaped).run()


def check_plan(plan: RunPlan) -> RunPlan:
    """Return the plan as it will be carried out; raise what is wrong with it or its scenario."""
    return _read(plan)[0]


def _read(plan: RunPlan) -> tuple[RunPlan, Scenario, bool]:
    scenario = load_scenario(plan.scenario)
    # Numbers on the command line win over a shape in the file.
    shaped = scenario.shape is not None and plan.users is None and plan.arrivals is None
    return completed_plan(plan, scenario, shaped=shaped), scenario, shaped


class _Run:
    """One run; a :class:`~loadtest.harness.control.RunControl` as well."""

    def __init__(
        self,
        plan: RunPlan,
        scenario: Scenario,
        target: Target,
        observers: Sequence[Observer],
        say: Callable[[str], None],
        *,
        shaped: bool,
    ) -> None:
        key = plan.tally_key or new_key().hex()
        self._plan = msgspec.structs.replace(plan, tally_key=key)
        self._scenario = scenario
        self._target = target
        self._observers = observers
        self._say = say
        self._run_id = f"load-{secrets.token_hex(6)}"
        self._shape = scenario.shape() if shaped and scenario.shape is not None else None
        self._collected = Collected(
            run_id=self._run_id,
            started_at=datetime.now(tz=UTC).isoformat(timespec="milliseconds"),
            plan=self._plan,
            machine=describe_generator(),
            totals=Totals(),
            shaped=shaped,
        )
        self._workers: list[Worker] = []
        self._merger = SampleMerger(plan.processes)
        self._state: RunState = "ready"
        self._start_ns = 0
        self._end_ns: int | None = None
        self._measured_from_ns = 0
        self._rate: float | None = None
        self._users = 0
        self._recent: Sample | None = None
        self._ready: set[int] = set()
        self._drained: set[int] = set()
        self._finished: dict[int, Finished] = {}
        self._trouble: Exception | None = None
        # Something came, or somebody asked for something.
        self._news = asyncio.Event()
        self._started = not plan.wait_for_start
        self._queue: asyncio.Queue[PhaseMark | Sample | None] = asyncio.Queue()

    # What steers it.

    @property
    def run_id(self) -> str:
        return self._run_id

    @property
    def plan(self) -> RunPlan:
        return self._plan

    @property
    def generator_pids(self) -> tuple[int, ...]:
        return tuple(worker.pid for worker in self._workers)

    def snapshot(self) -> RunSnapshot:
        totals = self._collected.totals
        elapsed_s = self._elapsed_s()
        total, *names = totals.measured()
        seconds = totals.measured_s(elapsed_s)
        begun = [mark for mark in totals.marks if mark.start_s <= elapsed_s]
        mark = begun[-1] if begun else None
        return RunSnapshot(
            state=self._state,
            elapsed_s=elapsed_s,
            phase=mark.name if mark else "",
            measured=bool(mark and mark.measured),
            users=self._recent.users if self._recent else 0,
            target_rate=self._recent.target_rate if self._recent else None,
            total=name_statistics(total, seconds),
            names=tuple(name_statistics(one, seconds) for one in names),
            recent=self._recent,
        )

    def start(self) -> None:
        self._started = True
        self._news.set()

    def stop(self, reason: str = "") -> None:
        if reason:
            self._collected.notes += (f"stopped early: {reason}",)
        self._end_now()

    def abort(self, reason: str = "") -> None:
        self._collected.aborted = True
        if reason:
            self._collected.notes += (f"aborted: {reason}",)
        self._end_now()

    def _end_now(self) -> None:
        self._started = True
        self._end_at(time.perf_counter_ns())

    def _end_at(self, at_ns: int) -> None:
        if self._state in ("draining", "resolving", "judging", "ended"):
            return
        self._end_ns = at_ns
        self._tell(Stop(at_ns=at_ns))
        self._news.set()

    def set_users(self, users: int, spawn_rate: float | None = None) -> None:
        if self._plan.arrivals is None and self._state == "running":
            self._collected.changed = True
            self._users = users
            self._tell(SetUsers(users=users, spawn_rate=spawn_rate or float(max(users, 1))))

    def set_rate(self, per_second: float) -> None:
        if self._plan.arrivals is not None and self._state == "running":
            self._collected.changed = True
            self._change_rate(per_second)

    def _change_rate(self, per_second: float) -> None:
        self._rate = per_second
        at_ns = time.perf_counter_ns() + _LEAD_NS // 4
        self._tell(SetRate(at_ns=at_ns, rate=per_second))

    def set_duration(self, duration_s: float) -> None:
        if self._state == "running":
            end_ns = self._measured_from_ns + int(duration_s * _NS_PER_S)
            self._end_at(max(end_ns, time.perf_counter_ns()))

    def mark_phase(self, name: str, *, measured: bool = True) -> None:
        if self._state == "running":
            self._collected.changed = True
            self._begin_phase(name, time.perf_counter_ns(), measured=measured)

    def _begin_phase(self, name: str, at_ns: int, *, measured: bool) -> None:
        self._tell(Mark(at_ns=at_ns, name=name, measured=measured))
        start_s = (at_ns - self._start_ns) / _NS_PER_S
        mark = PhaseMark(name=name, start_s=start_s, measured=measured)
        self._collected.totals.mark(mark)
        # Observers hear of it when it comes.
        delay_s = max(at_ns - time.perf_counter_ns(), 0) / _NS_PER_S
        asyncio.get_running_loop().call_later(delay_s, self._queue.put_nowait, mark)

    def _elapsed_s(self) -> float:
        if not self._start_ns:
            return 0.0
        return max(time.perf_counter_ns() - self._start_ns, 0) / _NS_PER_S

    def _tell(self, command: SetRate | SetUsers | Stop | Mark | Begin | Resolve) -> None:
        for worker in self._workers:
            worker.send(command)

    # What it does.

    async def run(self) -> RunResult:
        """Do all of it."""
        async with Client(app=self._plan.app, url=self._target.nats_url) as client:
            stage = Stage(
                self._plan,
                client,
                run_id=self._run_id,
                nats_url=self._target.nats_url,
                postgres_dsn=self._target.postgres_dsn,
                say=self._say,
            )
            await self._set_up(stage)
            try:
                result = await self._load(stage)
            finally:
                if self._scenario.teardown is not None:
                    await self._scenario.teardown(stage)
        await self._scenario.events.test_stop.fire_async(result=result)
        for observer in self._observers:
            await observer.on_end(result)
        return result

    async def _set_up(self, stage: Stage) -> None:
        if self._scenario.setup is not None:
            self._say("setting the scenario up")
            stage.data = await set_up(self._scenario, stage)

    async def _load(self, stage: Stage) -> RunResult:
        async with self._processes(stage.data):
            await self._until(lambda: len(self._ready) == len(self._workers), _READY_S_MAX, "start")
            await self._scenario.events.test_start.fire_async(stage=stage)
            for observer in self._observers:
                await observer.on_start(self)
            await self._until(lambda: self._started, None, "")
            watching = asyncio.create_task(self._tell_observers())
            try:
                await self._drive()
            finally:
                self._queue.put_nowait(None)
                await watching
            self._state = "resolving"
            self._tell(Resolve(within_s=_RESOLVE_S))
            await self._until(
                lambda: len(self._finished) == len(self._workers), _RESOLVE_S + _REPORT_S, "end"
            )
        return await self._judge()

    @asynccontextmanager
    async def _processes(self, data: object) -> AsyncIterator[None]:
        """Run the processes that make load."""
        plan = self._plan
        directory = self._target.data_dir or Path("build")
        directory.mkdir(parents=True, exist_ok=True)
        self._state = "starting"
        self._say(f"starting {plan.processes} process{'es' if plan.processes > 1 else ''}")
        listening: list[asyncio.Task[None]] = []
        try:
            for share in range(plan.processes):
                worker = await Worker.spawn(share, directory)
                self._workers.append(worker)
                worker.send(
                    Assignment(
                        run_id=self._run_id,
                        plan=plan,
                        url=self._target.nats_url,
                        share=share,
                        of=plan.processes,
                        shaped=self._shape is not None,
                        data=data,
                    )
                )
                listening.append(asyncio.create_task(self._listen(worker)))
            yield
        finally:
            # Also when we are cancelled: a process that is left goes on loading.
            with anyio.CancelScope(shield=True):
                await asyncio.gather(*(worker.stop() for worker in self._workers))
                for task in listening:
                    task.cancel()
                await asyncio.gather(*listening, return_exceptions=True)

    async def _listen(self, worker: Worker) -> None:
        await worker.listen(self._heard)
        if worker.share not in self._finished:
            self._fail(worker.died())

    def _fail(self, error: Exception) -> None:
        self._trouble = self._trouble or error
        self._news.set()

    def _heard(self, worker: Worker, report: Report) -> None:
        match report:
            case Ready():
                self._ready.add(worker.share)
            case Interval():
                self._merger.add(worker.share, report)
                self._take_samples()
            case Drained():
                self._drained.add(worker.share)
                self._merger.end(worker.share)
                self._take_samples()
            case Finished():
                self._finished[worker.share] = report
            case Troubled():
                kind = ScenarioUnusable if report.usage else RunFailed
                self._fail(kind(report.message))
        self._news.set()

    def _take_samples(self) -> None:
        for sample in self._merger.take(self._collected.totals.marks):
            self._recent = sample
            self._collected.add(sample)
            self._queue.put_nowait(sample)

    async def _until(self, done: Callable[[], bool], within_s: float | None, what: str) -> None:
        """Wait until something is so; raise what went wrong meanwhile."""
        give_up_s = None if within_s is None else time.perf_counter() + within_s
        while True:
            self._news.clear()
            if self._trouble is not None:
                raise self._trouble
            if done():
                return
            left_s = None if give_up_s is None else give_up_s - time.perf_counter()
            if left_s is not None and left_s <= 0:
                raise RunFailed(f"the processes that make load did not {what} in {within_s:.0f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left_s)

    async def _drive(self) -> None:
        """Begin, wait for the end, and for all that is under way then."""
        plan = self._plan
        self._start_ns = time.perf_counter_ns() + _LEAD_NS
        warmup_ns = int((plan.warmup_s or 0.0) * _NS_PER_S)
        self._measured_from_ns = self._start_ns + warmup_ns
        self._state = "running"
        if warmup_ns:
            self._begin_phase(WARMUP, self._start_ns, measured=False)
        self._begin_phase(MAIN, self._measured_from_ns, measured=True)
        self._tell(Begin(start_ns=self._start_ns))
        if plan.duration_s is not None and self._end_ns is None:
            self._end_at(self._measured_from_ns + int(plan.duration_s * _NS_PER_S))
        elif self._end_ns is not None:
            # Ended before it began.
            self._end_at(self._start_ns)
        await self._until_end()
        assert self._end_ns is not None
        self._state = "draining"
        self._collected.duration_s = max(self._end_ns - self._start_ns, 0) / _NS_PER_S
        start_s = self._collected.duration_s
        mark = PhaseMark(name=DRAIN, start_s=start_s, measured=False)
        self._collected.totals.mark(mark)
        self._queue.put_nowait(mark)
        await self._until(
            lambda: len(self._drained) == len(self._workers), plan.drain_s + _REPORT_S, "drain"
        )

    async def _until_end(self) -> None:
        """Wait for the end, and tick the shape meanwhile."""
        tick_ns = self._start_ns
        while True:
            self._news.clear()
            if self._trouble is not None:
                raise self._trouble
            now_ns = time.perf_counter_ns()
            if self._end_ns is not None and now_ns >= self._end_ns:
                return
            if self._shape is not None and now_ns >= tick_ns:
                tick_ns += _NS_PER_S
                self._tick(self._shape)
                continue
            wakes = [at for at in (self._end_ns, tick_ns if self._shape else None) if at]
            left_s = (min(wakes) - now_ns) / _NS_PER_S if wakes else None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left_s)

    def _tick(self, shape: LoadShape | RateShape) -> None:
        if isinstance(shape, RateShape):
            shape.advance(self._elapsed_s())
            rate = shape.tick()
            if rate is None:
                self._end_now()
            elif rate != self._rate:
                self._change_rate(rate)
            return
        shape.advance(self._elapsed_s(), self._users)
        wanted = shape.tick()
        if wanted is None:
            self._end_now()
        elif wanted[0] != self._users:
            self._users = wanted[0]
            self._tell(SetUsers(users=wanted[0], spawn_rate=float(wanted[1])))

    async def _tell_observers(self) -> None:
        try:
            while (one := await self._queue.get()) is not None:
                for observer in self._observers:
                    if isinstance(one, Sample):
                        await observer.on_interval(one)
                    else:
                        await observer.on_phase(one)
        except Exception as error:  # noqa: BLE001 - an observer's fault ends the run, not this task
            self._fail(error)

    async def _judge(self) -> RunResult:
        self._state = "judging"
        collected = self._collected
        finished = [self._finished[share] for share in sorted(self._finished)]
        collected.resolution = add_resolutions([one.resolution for one in finished])
        collected.claims = add_claims(tuple(one.claims for one in finished))
        for one in finished:
            for what, n in one.errors.items():
                collected.errors[what] = collected.errors.get(what, 0) + n
        draft = assemble(collected)
        findings: list[Findings] = [await one.on_drained(draft) for one in self._observers]
        self._state = "ended"
        return judged(draft, tuple(findings))
