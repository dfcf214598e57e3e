"""Carries out chaos steps in a run, and adds to its result how long each was felt.

Each step has a phase of its own, from the moment at which it begins until it is put right, and the
time after it is a phase too; so the result has all figures of each.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from loadtest.harness.chaos.actions import Swap, carry_out
from loadtest.harness.chaos.recovery import (
    BUCKET_S,
    Recovery,
    commits_recovery,
    latency_recovery,
)
from loadtest.harness.chaos.spec import ChaosStep
from loadtest.harness.control import Findings, Observer, RunControl
from loadtest.harness.model import PhaseMark, Sample, merge_name_samples
from loadtest.harness.moment import wait_for_moment
from loadtest.harness.result import RunResult
from loadtest.harness.stands import Stand

__all__ = ("CHAOS", "ChaosObserver", "StepReport", "chaos_of")

CHAOS = "chaos"

_CONNECT_TIMEOUT_S = 10.0
_QUERY_TIMEOUT_S = 120.0

# Decided by the node's clock when its batch was, which is some milliseconds before the commit.
_COMMITS = """
SELECT floor(extract(epoch FROM at - $1) / $2)::int AS bucket, count(*) AS commits
  FROM zhihui.change WHERE at >= $1 AND outcome = 'committed' GROUP BY 1 ORDER BY 1
"""


class StepReport(msgspec.Struct, frozen=True, kw_only=True):
    """One step: its phase, when it began and was put right in seconds of the run, its recovery."""

    step: ChaosStep
    phase: str
    began_s: float
    ended_s: float
    recovery: Recovery


class ChaosObserver(Observer):
    """Make one for one run; ``swap`` is what brings other versions of packs, if anything does."""

    def __init__(
        self, steps: tuple[ChaosStep, ...], stand: Stand, *, swap: Swap | None = None
    ) -> None:
        self._steps = steps
        self._stand = stand
        self._swap = swap
        self._control: RunControl | None = None
        self._task: asyncio.Task[None] | None = None
        # Where the run's seconds begin, by the loop's clock and by the wall's.
        self._zero_s = 0.0
        self._zero_at = datetime.now(tz=UTC)
        self._done: list[tuple[ChaosStep, str, float, float]] = []
        self._seconds: list[tuple[float, float | None]] = []

    async def on_start(self, control: RunControl) -> None:
        """Keep the control."""
        self._control = control

    async def on_phase(self, mark: PhaseMark) -> None:
        """Begin when the measured part does."""
        if mark.measured and self._task is None:
            self._task = asyncio.create_task(self._carry_out_all(mark.start_s))

    async def on_interval(self, sample: Sample) -> None:
        """Note the second's p99; raise what a step has raised."""
        names = merge_name_samples(
            sample.names, name="", phase=sample.phase, measured=sample.measured
        )
        p99 = names.response.percentile_ms(99.0) if names.response.count else None
        self._seconds.append((sample.start_s, p99))
        if self._task is not None and self._task.done():
            self._task.result()

    async def on_drained(self, draft: RunResult) -> Findings:
        """Put right what is not yet, and add what each step did, under the key ``chaos``."""
        undone = len(self._steps)
        if self._task is not None:
            # A run that was stopped early still leaves a sound stand behind.
            await self._task
            undone -= len(self._done)
        commits = await self._commits(draft.duration_s)
        reports = [
            self._report(number, commits, draft.duration_s) for number in range(len(self._done))
        ]
        notes = (f"{undone} chaos steps were not carried out",) if undone else ()
        return Findings(attachments={CHAOS: msgspec.to_builtins(reports)}, notes=notes)

    async def on_end(self, result: RunResult) -> None:
        """End what still goes on after an aborted run."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time() - self._zero_s

    async def _carry_out_all(self, start_s: float) -> None:
        assert self._control is not None
        await wait_for_moment(self._control, start_s)
        now_s = self._control.snapshot().elapsed_s
        self._zero_s = asyncio.get_running_loop().time() - now_s
        self._zero_at = datetime.now(tz=UTC) - timedelta(seconds=now_s)
        names: set[str] = set()
        for step in self._steps:
            await asyncio.sleep(max(start_s + step.at_s - self._now_s(), 0.0))
            phase = _unused(step.name, names)
            self._control.mark_phase(phase)
            began_s = self._now_s()
            await carry_out(step, self._stand, self._swap)
            self._control.mark_phase(f"after {phase}")
            self._done.append((step, phase, began_s, self._now_s()))

    def _report(self, number: int, commits: list[int], end_s: float) -> StepReport:
        step, phase, began_s, ended_s = self._done[number]
        following = self._done[number + 1 :]
        until_s = following[0][2] if following else end_s
        outage_s, commits_s = commits_recovery(commits, began_s, until_s)
        return StepReport(
            step=step,
            phase=phase,
            began_s=began_s,
            ended_s=ended_s,
            recovery=Recovery(
                outage_s=outage_s,
                commits_s=commits_s,
                latency_s=latency_recovery(self._seconds, began_s, until_s),
            ),
        )

    async def _commits(self, duration_s: float) -> list[int]:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            self._stand.postgres_dsn, timeout=_CONNECT_TIMEOUT_S
        )
        try:
            rows = await connection.fetch(
                _COMMITS, self._zero_at, BUCKET_S, timeout=_QUERY_TIMEOUT_S
            )
        finally:
            await connection.close()
        counts = [0] * (int(duration_s / BUCKET_S) + 1)
        for row in rows:
            if row["bucket"] < len(counts):
                counts[row["bucket"]] = row["commits"]
        return counts


def chaos_of(result: RunResult) -> tuple[StepReport, ...]:
    """Return the steps that a result holds; none when there were none."""
    return msgspec.convert(result.attachments.get(CHAOS, []), tuple[StepReport, ...])


def _unused(name: str, names: set[str]) -> str:
    """Return the name, with a number when there was one of it already."""
    number, found = 1, name
    while found in names:
        number += 1
        found = f"{name} #{number}"
    names.add(found)
    return found
