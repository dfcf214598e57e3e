"""One run: a platform, a steady load on three packs, and versions that come and go meanwhile."""

import os
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import msgspec
from rich.console import Console

from loadtest.hotload.answers import judge_answers
from loadtest.hotload.books import judge_books, read_books
from loadtest.hotload.campus_lane import TILL_FULL, open_campus
from loadtest.hotload.cycles import CycleReport, Cycles
from loadtest.hotload.fill import REMEMBERED, fill_requests
from loadtest.hotload.load import Load
from loadtest.hotload.market_lane import DEALS_BEFORE, open_market
from loadtest.hotload.memory import Memory, take_memory
from loadtest.hotload.office import NotConverged, Office
from loadtest.hotload.parking_lane import open_parking
from loadtest.hotload.people import Opener
from loadtest.hotload.report import (
    HotloadReport,
    judge_memory,
    judge_offences,
    judge_switches,
    print_report,
)
from loadtest.hotload.schedule import Cycle, make_schedule, version_name
from loadtest.hotload.timeline import Timeline
from loadtest.hotload.traffic import Lane, Outcome
from loadtest.hotload.versions import Tools, Version, make_version
from loadtest.hotload.windows import KINDS, Latencies, Windows, percentile_ms, summarised
from loadtest.machine import Machine, describe_machine
from loadtest.verdicts import Verdict
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.platform import Platform, running_platform

__all__ = ("HotloadPlan", "prove_hotload", "run_hotload")

_BUILD = Path("build")
_APP = "hotload"
_OPENERS: dict[str, Callable[[Opener, int], Awaitable[Sequence[Lane]]]] = {
    "parking": open_parking,
    "campus": open_campus,
    "wholesale_market": open_market,
}
# What is compared is compared within so many cycles: what else the machine does changes slowly.
_BLOCK = 10
# Shares of the time, before the first version comes: until documents have grown to the size that
# they keep, with some more requests; and then for measuring the load alone.
_WARMUP_SHARE, _QUIET_SHARE = 0.18, 0.06
_WARMUP_RATE = 1.25


class HotloadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: ``seconds`` is how long it should take, ``rate`` requests of all packs.

    ``lanes`` are identities of each pack. ``proves_memory`` waits for the proof that all that was
    unloaded is gone, and compares the memory with that after ``memory_at`` versions.
    """

    cycles: int = 100
    seconds: float = 225.0
    rate: float = 60.0
    seed: int = 1
    nodes: int = 1
    lanes: int = 32
    memory_at: int = 10
    proves_memory: bool = True

    @property
    def compares_memory(self) -> bool:
        """Whether there are enough versions for a comparison of the memory."""
        return self.proves_memory and self.cycles > self.memory_at


def run_hotload(plan: HotloadPlan, tools: Tools, *, json: bool, data_dir: Path | None) -> int:
    """Prove it, print the table, write ``build/hotload.json``; return 0 when all verdicts hold.

    The embedded servers run on ``data_dir``; without one, on a directory that is removed when all
    is well.
    """
    console = Console(stderr=json)
    directory = data_dir or _BUILD / f"hotload-{os.getpid()}"
    ok = False
    try:
        report = anyio.run(
            lambda: prove_hotload(
                directory, plan, tools,
                say=lambda text: console.print(text, style="dim", markup=False, highlight=False),
            ),
            backend_options={"use_uvloop": True},
        )  # fmt: skip
        ok = report.ok
    except NotConverged as error:
        console.print(f"The proof could not run: {error}", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        ok = True
        return 130
    finally:
        # After a failure the logs are wanted.
        if data_dir is None and ok:
            shutil.rmtree(directory, ignore_errors=True)
    text = msgspec.json.format(msgspec.json.encode(report)) + b"\n"
    _BUILD.mkdir(exist_ok=True)
    path = _BUILD / "hotload.json"
    path.write_bytes(text)
    if json:
        Console(soft_wrap=True).print(text.decode(), markup=False, highlight=False)
    print_report(report, console)
    console.print(f"All figures: {path}")
    return 0 if report.ok else 1


async def prove_hotload(
    directory: Path, plan: HotloadPlan, tools: Tools, *, say: Callable[[str], None]
) -> HotloadReport:
    """Run everything on ``directory`` and return the report."""
    directory.mkdir(parents=True, exist_ok=True)
    async with running_platform(directory, nodes=plan.nodes) as platform:
        url = platform.servers.nats_url
        async with (
            Client(app=_APP, url=url) as client,
            Office.open(url, tools, directory, plan.nodes) as office,
        ):
            return await _Run(plan, tools, platform, client, office, say).all()


class _Run:
    """One run, from the first version to the report."""

    def __init__(
        self,
        plan: HotloadPlan,
        tools: Tools,
        platform: Platform,
        client: Client,
        office: Office,
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._tools = tools
        self._platform = platform
        self._client = client
        self._office = office
        self._say = say
        self._timeline = Timeline()
        self._windows = Windows(time.monotonic)
        self._reports: list[CycleReport] = []
        self._memory: list[Memory] = []
        self._quiet_from_s = 0.0

    async def all(self) -> HotloadReport:
        """Do all of it."""
        plan = self._plan
        servers = self._platform.servers
        machine = await describe_machine(
            self._platform.data_dir, postgres_dsn=servers.postgres_dsn, nats_url=servers.nats_url
        )
        packs = {one.name: one for one in self._tools.bundled if one.name in _OPENERS}
        # Marked from the start: documents of the first form say nothing.
        forms = [(name, one.state_version + 1) for name, one in packs.items()]
        schedule = make_schedule(forms, plan.cycles)
        self._say(f"making {len(schedule) + len(packs)} versions of {', '.join(packs)}")
        versions = self._made_versions(schedule)
        cycles = Cycles(self._office, self._timeline, self._windows, versions)
        for name in packs:
            await cycles.begin(name, version_name(0))
        self._say("opening accounts, a car park, a school and a market")
        opener = Opener(self._client)
        lanes: dict[str, list[Lane]] = {
            name: [*await _OPENERS[name](opener, _lanes_of(name, plan))] for name in packs
        }
        load = Load(self._client, lanes, rate=plan.rate * _WARMUP_RATE, seed=plan.seed)
        if plan.compares_memory:
            self._say(f"having {REMEMBERED:,} requests remembered, and lists filled")
            await fill_requests(servers.nats_url, REMEMBERED)
            await load.fill("campus", TILL_FULL)
            await load.fill("wholesale_market", DEALS_BEFORE)
        began_s = time.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load.run)
            await self._come_and_go(cycles, schedule, load)
            load.stop()
        seconds = time.monotonic() - began_s
        return await self._judged(machine, load, lanes, opener, seconds)

    def _made_versions(self, schedule: list[Cycle]) -> dict[str, Version]:
        wanted = [(one.pack, one.version, one.mood, one.form) for one in schedule]
        packs = {one.name: one for one in self._tools.bundled if one.name in _OPENERS}
        wanted += [
            (name, version_name(0), "well", one.state_version + 1) for name, one in packs.items()
        ]
        return {
            f"{name} {version}": make_version(
                self._tools, packs[name], version, mood=mood, form=form
            )
            for name, version, mood, form in wanted
        }

    async def _come_and_go(self, cycles: Cycles, schedule: list[Cycle], load: Load) -> None:
        plan = self._plan
        warmup_s, quiet_s = plan.seconds * _WARMUP_SHARE, plan.seconds * _QUIET_SHARE
        self._say(f"the load alone for {warmup_s + quiet_s:.0f} s")
        await anyio.sleep(warmup_s)
        load.change_rate(plan.rate)
        self._quiet_from_s = time.monotonic()
        await anyio.sleep(quiet_s)
        pace_s = (plan.seconds - warmup_s - quiet_s) / max(len(schedule), 1)
        next_s = time.monotonic()
        for cycle in schedule:
            if (cycle.number - 1) % _BLOCK == 0:
                self._windows.begin_block()
            report = await cycles.run(cycle)
            self._reports.append(report)
            self._say(_line(report, load, len(schedule)))
            if plan.compares_memory and cycle.number == plan.memory_at:
                await self._take_memory(cycle.number, proven=False)
                next_s = time.monotonic()
            # One that took longer is not made up for.
            next_s = max(next_s + pace_s, time.monotonic())
            await anyio.sleep(max(next_s - time.monotonic(), 0.0))
        if plan.proves_memory:
            await self._take_memory(len(schedule), proven=True)

    async def _take_memory(self, generations: int, *, proven: bool) -> None:
        if proven:
            self._say("waiting for the proof that all that was unloaded is gone")
        pids = self._platform.node_pids().values()
        taken = await take_memory(self._office, pids, generations, proven=proven)
        self._memory.append(taken)

    # What came of it.

    async def _judged(
        self,
        machine: Machine,
        load: Load,
        lanes: dict[str, list[Lane]],
        opener: Opener,
        seconds: float,
    ) -> HotloadReport:
        dsn = self._platform.servers.postgres_dsn
        # The events of the last messages are written with them; nothing else is waited for.
        books = await read_books(dsn, _APP, opener.opening)
        every = [lane for those in lanes.values() for lane in those]
        offences = judge_books(books, load.outcomes, every, opener.opening)
        answers = judge_answers(load.outcomes, load.resent, self._timeline, offences)
        latencies, ratios = self._latencies(load.outcomes)
        audit = await run_audit(dsn)
        failed = ", ".join(check.name for check in audit.checks if not check.ok)
        views = [one.convergence for one in await self._office.look()]
        holders = tuple(holder for one in views for holder in one.holders)
        wrong = [f"{one.pack} {one.version}: {one.wrong}" for one in self._reports if one.wrong]
        verdicts = [
            *judge_offences(offences.counts, answers),
            Verdict(
                claim="every bad version left the one before serving",
                ok=not wrong,
                detail="; ".join(wrong[:3])
                or f"{sum(one.way == 'bad' for one in self._reports)} bad ones",
            ),
            judge_switches(ratios),
            *judge_memory(self._memory, sum(one.leaked for one in views), holders),
            Verdict(
                claim="the audit of the ledger holds",
                ok=audit.ok,
                detail=failed or f"{len(audit.checks)} checks in {audit.duration_s:.1f} s",
            ),
        ]
        return HotloadReport(
            machine=machine,
            nodes=self._plan.nodes,
            rate=self._plan.rate,
            seed=self._plan.seed,
            seconds=seconds,
            requests=len(load.outcomes),
            cycles=tuple(self._reports),
            answers=answers,
            offences=dict(offences.counts),
            examples=offences.examples,
            latencies=latencies,
            ratios=tuple(ratios),
            memory=tuple(self._memory),
            verdicts=tuple(verdicts),
        )

    def _latencies(self, outcomes: list[Outcome]) -> tuple[dict[str, Latencies], list[float]]:
        """Return the response times by what was going on, and the ratios of the blocks."""
        found: dict[str, dict[int, list[float]]] = {kind: {} for kind in ("quiet", *KINDS)}
        for one in outcomes:
            block, kind = self._windows.kind_at(one.due_s)
            if not block:
                if one.due_s < self._quiet_from_s:
                    continue
                kind = "quiet"
            found[kind].setdefault(block, []).append(one.latency_s)
        latencies = {
            kind: made
            for kind, blocks in found.items()
            if (made := summarised(blocks.values())) is not None
        }
        ratios = [
            percentile_ms(found["switch"][block], 99) / percentile_ms(found["steady"][block], 99)
            for block in sorted(found["switch"].keys() & found["steady"].keys())
        ]
        return latencies, ratios


def _lanes_of(pack: str, plan: HotloadPlan) -> int:
    # A student's document and a till's grow until they hold hundreds of sales.
    return max(plan.lanes // 3, 4) if pack == "campus" else plan.lanes


def _line(report: CycleReport, load: Load, cycles: int) -> str:
    counts = load.counts()
    what = report.way if report.mood == "well" else report.mood.replace("_", " ")
    back = f", back after {report.rollback_s:.1f} s" if report.rollback_s else ""
    waiting = f", {counts.waiting} held up" if counts.waiting else ""
    return (
        f"{report.number:3} of {cycles}  {report.pack:16} {what:17} loaded in {report.load_s:.2f} s"
        f"{back}; {counts.settled:,} requests settled{waiting}"
    )
