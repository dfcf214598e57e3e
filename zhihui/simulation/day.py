"""One simulated day: a bank, its backends and all that goes wrong, from one seed."""

from collections import Counter
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import msgspec

from actors.channels.desk import desk_of
from actors.customers.services import DATA_KEYS_SETTING
from actors.plugins.trust import UNSIGNED_SETTING
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock
from zhihui.channel_simulator.profile import ChannelProfile
from zhihui.simulation.backend import Backend, Record
from zhihui.simulation.faults import Faults, make_schedule
from zhihui.simulation.judge import judge
from zhihui.simulation.outside import Outside
from zhihui.simulation.pausing import PausableLoop, run_pausable
from zhihui.simulation.releases import Releases
from zhihui.simulation.workload import Step, Workload, make_workload
from zhihui.simulation.world import World

__all__ = ("REST_S_MAX", "Result", "play_day")

# The edge answers within five seconds of taking a request, and looks twenty times a second whether
# they are over.
_DEADLINE_S = 5.0
_SLACK_S = 0.1
# Virtual seconds within which everything has to come to rest once nothing goes wrong any more. A
# channel that is not sure is asked for as long as it takes.
REST_S_MAX = 1_200.0
_LOOK_S = 0.5

_MOODY = ChannelProfile(
    latency_median_s=0.05,
    latency_sigma=1.0,
    decline_ppm=60_000,
    failure_ppm=60_000,
    timeout_before_ppm=100_000,
    timeout_after_ppm=150_000,
    late_effect_ppm=60_000,
    late_effect_s=6.0,
    query_timeout_ppm=100_000,
    callback_delay_s=(0.0, 1.5),
    callback_lost_ppm=150_000,
    callback_duplicate_ppm=500_000,
    callback_late_ppm=250_000,
    callback_late_s=8.0,
)


class Result(msgspec.Struct, kw_only=True):
    """What became of a seed; ``wrong`` is empty when all is well."""

    seed: int
    steps: int
    wrong: list[str]
    faults: dict[str, int]
    outcomes: dict[str, int]
    virtual_s: float
    digest: str
    trace: list[str] = []


def play_day(seed: int, steps: int, keys: Path, *, trace: bool = False) -> Result:
    """Play a seed and judge it; ``keys`` is a file of data keys. With a trace if asked for."""

    async def main(clock: VirtualClock, randomness: SeededRandomness, loop: PausableLoop) -> Result:
        async with anyio.create_task_group() as tasks:
            day = _Day(seed, steps, keys, clock, randomness, loop, tasks)
            try:
                await day.play()
            finally:
                # What stands still cannot end.
                for node in day.schedule.nodes:
                    loop.resume(node)
                tasks.cancel_scope.cancel()
                if day.outside is not None:
                    day.outside.books.close()
        result = day.result(trace=trace)
        day.world.forget_code()
        return result

    return run_pausable(main, seed=seed)


class _Day:
    def __init__(
        self, seed: int, steps: int, keys: Path, clock: VirtualClock,
        randomness: SeededRandomness, loop: PausableLoop, tasks: anyio.abc.TaskGroup,
    ) -> None:  # fmt: skip
        self.seed = seed
        self.workload: Workload = make_workload(seed, steps)
        settings = {DATA_KEYS_SETTING: str(keys), UNSIGNED_SETTING: "1"}
        self.world = World(clock, randomness, tasks, settings)
        self.backend = Backend(self.world)
        until_s = self.workload.steps[-1].at_s
        self.schedule = make_schedule(seed, until_s)
        self.faults = Faults(self.world, loop, self.schedule, seed, tasks, self._equip)
        profile = self.workload.profile
        self.outside: Outside | None = None
        if profile.channels:
            self.outside = Outside(None, clock, seed, tasks, _MOODY, self._parts)
        self.releases = Releases(self.world, self.backend, seed) if profile.packs else None
        self.wrong: list[str] = []

    def _parts(self) -> list[Any]:
        return [self.world.node(name)._parts for name in self.world.names()]

    def _equip(self, name: str) -> None:
        """Give a node its ways to the channels."""
        if self.outside is not None:
            desk_of(self.world.node(name)._parts).use(self.outside.channels)

    async def play(self) -> None:
        """Set up, let it all happen, come to rest, and judge."""
        world, backend = self.world, self.backend
        await backend.open()
        for name in self.schedule.nodes:
            await world.start(name)
            self._equip(name)
        backend.expect(self.workload.all_steps)
        for step in self.workload.setup:
            await backend.play(step)
        if self.releases is not None:
            await self.releases.open()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.faults.play)
            if self.releases is not None:
                tasks.start_soon(self.releases.play, self.workload.steps[-1].at_s)
            await self._ask(tasks)
        await self.faults.calm_down()
        await self._rest()

    async def _ask(self, tasks: anyio.abc.TaskGroup) -> None:
        clock = self.world.clock
        begun_s = clock.monotonic_s()
        for step in self.workload.steps:
            await clock.sleep(max(begun_s + step.at_s - clock.monotonic_s(), 0.0))
            tasks.start_soon(self._step, step)

    async def _step(self, step: Step) -> None:
        self.faults.note(f"s{step.number} {step.kind} begins")
        await self.backend.play(step)
        record = self.backend.records[step.number]
        self.faults.note(f"s{step.number} {step.kind}: {record.outcome}")

    async def _rest(self) -> None:
        """Let everything come to its end, and ask for what nobody has heard of."""
        try:
            with anyio.fail_after(REST_S_MAX):
                await self._until_nothing_is_due()
                await self._ask_for_the_unheard()
                await self._until_nothing_is_due()
                if self.schedule.days_after:
                    await self.world.let_pass(timedelta(days=self.schedule.days_after))
                if self.releases is not None:
                    self.wrong += await self.releases.check()
        except TimeoutError:
            self.wrong.append(f"the world did not come to rest within {REST_S_MAX} s")
            self.wrong += [f"waiting for: {one}" for one in self._due()]
            return
        self.wrong += judge(self.world, self.backend.records, self.outside, within_s=self._within_s)

    def _within_s(self, asked_s: float, answered_s: float) -> float:
        """Return how long an answer may take: it and the request may be late on their way."""
        stood_still_s = self.faults.stood_still_s(asked_s, answered_s)
        return _DEADLINE_S + _SLACK_S + stood_still_s + 2 * self.schedule.delay_s_max

    async def _until_nothing_is_due(self) -> None:
        while self._due():
            await self.world.clock.sleep(_LOOK_S)

    def _due(self) -> list[str]:
        world = self.world
        now = world.wall.now()
        due = [f"timer {row['timer_id']}" for row in world.rows("timer")
               if (row["due_at"] - now).total_seconds() < _LOOK_S * 60]  # fmt: skip
        due += [f"channel order {row['order_id']}" for row in world.rows("channel_order")
                if row["state"] == "open"]  # fmt: skip
        return due

    async def _ask_for_the_unheard(self) -> None:
        unheard: list[Record] = [
            one for one in self.backend.records.values()
            if one.asked is not None and one.answer is None and one.step.kind != "read"
        ]  # fmt: skip
        for record in unheard:
            if record.step.kind == "pay":
                await self.backend.look_up(record)
        for record in unheard:
            await self.backend.ask_again(record)

    def result(self, *, trace: bool) -> Result:
        world = self.world
        lines = [f"{at_s:12.6f} {what}" for at_s, what in world.trace]
        rows = [
            f"{row['seq']} {row['request_id']} {row['outcome']}" for row in world.rows("change")
        ]
        text = "\n".join([*lines, *sorted(rows)])
        outcomes = Counter(
            one.outcome or "unknown"
            for one in self.backend.records.values()
            if one.asked is not None
        )
        return Result(
            seed=self.seed,
            steps=len(self.workload.steps),
            wrong=self.wrong,
            faults=dict(sorted(self.faults.counts.items())),
            outcomes=dict(sorted(outcomes.items())),
            virtual_s=world.clock.monotonic_s(),
            digest=blake2b(text.encode(), digest_size=16).hexdigest(),
            trace=lines if trace else [],
        )
