"""What goes wrong on a simulated day: a schedule made from the seed, and the hand that does it.

Each seed draws which kinds of faults it has and how often, so that some seeds are quiet but for one
kind, and others have all of them.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Literal

import anyio
import anyio.abc
import msgspec

from kernel.store import CommitUnknown
from schemas.errors import NotReady
from zhihui.simulation.pausing import PausableLoop, context_of
from zhihui.simulation.world import World

__all__ = ("Fault", "FaultKind", "Faults", "Schedule", "make_schedule")

FaultKind = Literal["crash", "crash_in_commit", "pause", "cut_bus", "cut_store"]

_KINDS: tuple[FaultKind, ...] = ("crash", "crash_in_commit", "pause", "cut_bus", "cut_store")
# Seconds between two faults of one day, about.
_EVERY_S = (0.5, 1.2, 3.0)
# A node stands still for less than a lease, about one, or longer than any.
_PAUSE_S = (0.2, 2.0, 4.2, 7.0)
_CUT_S = (0.1, 1.0, 5.0)
_DOWN_S = (0.1, 1.0, 6.0)
# Of a million messages, or commits.
_LOST_PPM = (0, 2_000, 30_000)
_DOUBLED_PPM = (0, 5_000, 60_000)
_DELAYED_PPM = (0, 20_000, 300_000)
_DELAY_S = (0.003, 0.05, 0.8)
# Days that pass when all is well again: long enough for guaranteed payments to be confirmed by
# themselves.
_DAYS_AFTER = (0, 0, 8)
_FAILED_PPM = (0, 10_000, 60_000)
_MILLION = 1_000_000
_LOOK_S = 0.1


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One node fails at a time, and is whole again after ``lasts_s`` seconds."""

    at_s: float
    kind: FaultKind
    node: str
    lasts_s: float


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """All that goes wrong, and how many days pass after it; shares are in parts per million."""

    nodes: tuple[str, ...]
    faults: tuple[Fault, ...]
    lost_ppm: int
    doubled_ppm: int
    delayed_ppm: int
    delay_s_max: float
    commit_failed_ppm: int
    read_failed_ppm: int
    days_after: int


def make_schedule(seed: int, until_s: float) -> Schedule:
    """Return the faults of a day that is ``until_s`` long."""
    random = Random(f"{seed}/faults")  # noqa: S311 - reproducible on purpose
    nodes = tuple(f"n{n + 1}" for n in range(random.choice((2, 2, 3))))
    kinds = [one for one in _KINDS if random.random() < 0.5]
    every_s = random.choice(_EVERY_S)
    faults: list[Fault] = []
    at_s = every_s * random.random()
    while kinds and at_s < until_s:
        kind = random.choice(kinds)
        choices = {"pause": _PAUSE_S, "cut_bus": _CUT_S, "cut_store": _CUT_S}.get(kind, _DOWN_S)
        fault = Fault(
            at_s=at_s, kind=kind, node=random.choice(nodes), lasts_s=random.choice(choices)
        )
        faults.append(fault)
        at_s += every_s * (0.5 + random.random())
    return Schedule(
        nodes=nodes,
        faults=tuple(faults),
        lost_ppm=random.choice(_LOST_PPM),
        doubled_ppm=random.choice(_DOUBLED_PPM),
        delayed_ppm=random.choice(_DELAYED_PPM),
        delay_s_max=random.choice(_DELAY_S),
        commit_failed_ppm=random.choice(_FAILED_PPM),
        read_failed_ppm=random.choice(_FAILED_PPM) // 4,
        days_after=random.choice(_DAYS_AFTER),
    )


class Faults:
    """Does to a world what the schedule says, and counts it.

    ``started`` is called with each node that was started again.
    """

    def __init__(
        self, world: World, loop: PausableLoop, schedule: Schedule, seed: int,
        tasks: anyio.abc.TaskGroup, started: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._world = world
        self._loop = loop
        self._schedule = schedule
        self._random = Random(f"{seed}/fate")  # noqa: S311 - reproducible on purpose
        self._tasks = tasks
        self._started = started
        self._active = False
        self._armed: dict[str, Fault] = {}
        self._busy: set[str] = set()
        self.counts: Counter[str] = Counter()
        # Node, from when, and until when.
        self._pauses: list[tuple[str, float, float]] = []
        world.broker.fate = self._fate
        world.intrude = self._intrude

    def _happens(self, ppm: int) -> bool:
        return self._active and self._random.randrange(_MILLION) < ppm

    def _fate(self, subject: str) -> tuple[float, ...]:
        world, schedule = self._world, self._schedule
        world.trace.append((world.clock.monotonic_s(), subject))
        if self._happens(schedule.lost_ppm):
            self.counts["message_lost"] += 1
            return ()
        times = 1
        if self._happens(schedule.doubled_ppm):
            self.counts["message_doubled"] += 1
            times = 2
        return tuple(self._delay_s() for _ in range(times))

    def _delay_s(self) -> float:
        if not self._happens(self._schedule.delayed_ppm):
            return 0.0
        self.counts["message_delayed"] += 1
        return self._random.random() * self._schedule.delay_s_max

    async def _intrude(self, node: str, moment: str) -> None:
        schedule = self._schedule
        if moment.startswith("commit"):
            armed = node in self._armed and node not in self._busy
            if armed and self._random.random() < 0.5:
                self._kill(self._armed.pop(node), f"crash_at_{moment.replace(' ', '_')}")
                # Nothing of this node goes on.
                await anyio.sleep_forever()
            if self._happens(schedule.commit_failed_ppm):
                self.counts[f"{moment.replace(' ', '_')}_lost"] += 1
                raise CommitUnknown(f"lost at: {moment}")
        elif self._happens(schedule.read_failed_ppm):
            self.counts["read_lost"] += 1
            raise NotReady(f"lost at: {moment}")

    async def play(self) -> None:
        """Let everything go wrong at its time; end with the beginning of the last fault."""
        self._active = True
        begun_s = self._world.clock.monotonic_s()
        for fault in self._schedule.faults:
            left_s = begun_s + fault.at_s - self._world.clock.monotonic_s()
            await self._world.clock.sleep(max(left_s, 0.0))
            self._begin(fault)

    async def calm_down(self) -> None:
        """Let messages pass and commits stand from now on, and wait until all nodes are well."""
        self._active = False
        self._armed.clear()
        while self._busy:
            await self._world.clock.sleep(_LOOK_S)

    def _begin(self, fault: Fault) -> None:
        node = fault.node
        # One fault at a time and node, and never the death of one that is down.
        if node in self._busy or node not in self._world.names():
            return
        match fault.kind:
            case "crash":
                self._kill(fault, "crash")
            case "crash_in_commit":
                self._armed[node] = fault
            case _:
                self._busy.add(node)
                self._spawn(fault)

    def _spawn(self, fault: Fault) -> None:
        self.counts[fault.kind] += 1
        self.note(f"{fault.kind} {fault.node} for {fault.lasts_s} s")
        self._tasks.start_soon(self._interrupt, fault)

    def stood_still_s(self, since_s: float, until_s: float) -> float:
        """Return for how long any one node stood still in that time, at most."""
        total = dict.fromkeys(self._schedule.nodes, 0.0)
        for node, from_s, to_s in self._pauses:
            total[node] += max(min(to_s, until_s) - max(from_s, since_s), 0.0)
        return max(total.values())

    def note(self, what: str) -> None:
        """Write into the trace what happened."""
        self._world.trace.append((self._world.clock.monotonic_s(), f"! {what}"))

    def _kill(self, fault: Fault, name: str) -> None:
        self.counts[name] += 1
        self.note(f"{name} {fault.node}, back after {fault.lasts_s} s")
        self._busy.add(fault.node)
        self._world.kill(fault.node)
        self._tasks.start_soon(self._bring_back, fault)

    async def _bring_back(self, fault: Fault) -> None:
        await self._world.clock.sleep(fault.lasts_s)
        await self._world.restart(fault.node)
        self._started(fault.node)
        self.note(f"{fault.node} is back")
        self._busy.discard(fault.node)

    async def _interrupt(self, fault: Fault) -> None:
        world, node = self._world, fault.node
        match fault.kind:
            case "pause":
                now_s = world.clock.monotonic_s()
                self._pauses.append((node, now_s, now_s + fault.lasts_s))
                self._loop.pause(node)
                await world.clock.sleep(fault.lasts_s)
                self._loop.resume(node)
            case "cut_bus":
                bus = world.bus(node)
                context_of(node).run(bus.cut)
                await world.clock.sleep(fault.lasts_s)
                bus.mend()
            case _:
                store = world.store(node)
                store.cut()
                await world.clock.sleep(fault.lasts_s)
                store.mend()
        self._busy.discard(node)
