"""The live page: charts of a run that goes on, and the buttons to steer it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec

from loadtest.harness.control import Findings, Observer, RunControl, RunSnapshot
from loadtest.harness.model import PhaseMark, Sample
from loadtest.harness.reports.html_report import html_report
from loadtest.harness.reports.live_history import LiveHistory
from loadtest.harness.reports.live_html import live_html
from loadtest.harness.reports.live_server import LiveServer
from loadtest.harness.reports.live_state import (
    Command,
    Ending,
    Event,
    LiveRunState,
    LiveState,
    Said,
    SoFar,
)
from loadtest.harness.reports.so_far import judge_so_far
from loadtest.harness.reports.words import (
    clock,
    count,
    headline,
    load_of,
    measured,
    rate,
    reasons,
    verdict_kind,
)
from loadtest.harness.result import NameStatistics, RunResult

__all__ = ("LivePage",)

# What was done from the page, most recent last; a page that edits every second is not foreseen.
_EVENTS_MAX = 200
# A snapshot adds up histograms; the page asks once a second.
_SNAPSHOT_EVERY_S = 0.5


class LivePage(Observer):
    """Serves one run while it goes on, and its report after that.

    The server runs in the process that coordinates the run, on its event loop, and not where load
    is made. What was changed from the page is said in the notes of the result.
    """

    def __init__(self, *, port: int = 0) -> None:
        self._history = LiveHistory()
        self._control: RunControl | None = None
        self._result: RunResult | None = None
        self._events: list[Event] = []
        self._measured_s: float | None = None
        # Figures given before the load began, which a run takes only then.
        self._wanted = Command(action="edit")
        # The generators are connected, and somebody has to press the button.
        self._waits = False
        self._seen: RunSnapshot | None = None
        self._seen_at_s = 0.0
        self._closed = anyio.Event()
        self._server = LiveServer(
            page=live_html, state=self.state, command=self.obey, report=self._report, port=port
        )

    @property
    def url(self) -> str:
        """Return the link that opens the page; it has the token, so it is for one person."""
        return self._server.url

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["LivePage"]:
        """Serve the page inside; raises OSError when the port is taken."""
        await self._server.start()
        try:
            yield self
        finally:
            await self._server.stop()

    async def wait_closed(self) -> None:
        """Wait until somebody presses *Close* on the page."""
        await self._closed.wait()

    async def on_start(self, control: RunControl) -> None:
        """Show the run, and its start button where it waits for one."""
        self._control = control
        self._measured_s = control.plan.duration_s
        self._waits = control.plan.wait_for_start
        self._history.compare_with(control.plan.thresholds)

    async def on_phase(self, mark: PhaseMark) -> None:
        """Draw a phase; with the first one the load has begun."""
        self._history.mark(mark)
        self._waits = False
        if self._control is not None:
            wanted, self._wanted = self._wanted, Command(action="edit")
            _change(self._control, wanted)

    async def on_interval(self, sample: Sample) -> None:
        """Draw a second."""
        self._history.add(sample)

    async def on_drained(self, draft: RunResult) -> Findings:
        """Note what was changed from the page: the figures are no longer those of the plan."""
        return Findings(
            notes=tuple(
                f"From the live page at {clock(one.at_s)}: {one.text}" for one in self._events
            )
        )

    async def on_end(self, result: RunResult) -> None:
        """Show the verdict and offer the report."""
        self._result = result

    def state(self, epoch: int, known: int) -> LiveState:
        """Return how the run stands, and the points after those known."""
        first, charts = self._history.since(epoch, known)
        control, last = self._control, self._history.last
        now = self._snapshot()
        warmup_s = control.plan.warmup_s or 0.0 if control is not None else 0.0
        return LiveState(
            state=self._state(now),
            scenario=control.plan.scenario if control else "",
            about=_about(control) if control else "",
            elapsed_s=now.elapsed_s if now else 0.0,
            planned_s=None if self._measured_s is None else self._measured_s + warmup_s,
            measured_s=self._measured_s,
            phase=now.phase if now else "",
            measured=now.measured if now else False,
            open_loop=control is not None and control.plan.arrivals is not None,
            users=now.users if now else 0,
            target_rate=now.target_rate if now else None,
            in_flight=last.in_flight if last else 0,
            total=self._result.total if self._result else now.total if now else None,
            names=self._names(now),
            so_far=self._so_far(now),
            epoch=self._history.epoch,
            first=first,
            charts=charts,
            events=self._events,
            ending=_ending(self._result),
        )

    def _state(self, now: RunSnapshot | None) -> LiveRunState:
        if self._result is not None:
            return "ended"
        if now is None:
            return "connecting"
        return "ready" if self._waits else now.state

    def _snapshot(self) -> RunSnapshot | None:
        """Return how the run stands, asked for once in a while however many pages are open."""
        if self._control is not None:
            now_s = time.perf_counter()
            if self._seen is None or now_s - self._seen_at_s > _SNAPSHOT_EVERY_S:
                self._seen, self._seen_at_s = self._control.snapshot(), now_s
        return self._seen

    def _names(self, now: RunSnapshot | None) -> list[NameStatistics]:
        if self._result is not None:
            return list(self._result.names)
        return list(now.names) if now is not None else []

    def _so_far(self, now: RunSnapshot | None) -> list[SoFar]:
        if now is None or self._control is None or self._result is not None:
            return []
        return [
            SoFar(
                expression=one.expression,
                measured=measured(one).removeprefix("measured "),
                ok=None if one.value is None else one.ok,
            )
            for one in judge_so_far(self._control.plan, now)
        ]

    def obey(self, command: Command) -> Said:
        """Do what the page asks for."""
        if command.action == "close":
            if self._result is None:
                return Said(ok=False, text="the run has not ended; stop it first")
            self._closed.set()
            return Said(ok=True, text="the page is closed, and so is the program")
        if self._control is None:
            return Said(ok=False, text="the generators are not connected yet")
        if self._result is not None:
            return Said(ok=False, text="the run has ended")
        self._seen = None
        if command.action != "edit":
            self._waits = False
        match command.action:
            case "start":
                self._control.start()
                return self._done("started")
            case "stop":
                self._control.stop("stopped from the live page")
                return self._done("stopped: the load ends now and is judged as it is")
            case "abort":
                self._control.abort("aborted from the live page")
                return self._done("aborted")
            case _:
                return self._edit(self._control, command)

    def _edit(self, control: RunControl, command: Command) -> Said:
        done = []
        if command.rate is not None:
            done.append(f"rate {rate(command.rate)}")
        if command.users is not None:
            done.append(f"{count(command.users)} users")
        if command.duration_s is not None:
            self._measured_s = command.duration_s
            done.append(f"measured part {clock(command.duration_s)}")
        if not done:
            return Said(ok=False, text="nothing was changed: no figure was given")
        if self._waits:
            self._wanted = _overlaid(self._wanted, command)
            return self._done(f"{', '.join(done)}, from the start on")
        _change(control, command)
        return self._done(", ".join(done))

    def _done(self, text: str) -> Said:
        assert self._control is not None
        self._events.append(Event(at_s=self._control.snapshot().elapsed_s, text=text))
        del self._events[:-_EVENTS_MAX]
        return Said(ok=True, text=text)

    def _report(self) -> str | None:
        return None if self._result is None else html_report(self._result)


def _change(control: RunControl, command: Command) -> None:
    if command.rate is not None:
        control.set_rate(command.rate)
    if command.users is not None:
        control.set_users(command.users, command.spawn_rate)
    if command.duration_s is not None:
        control.set_duration(command.duration_s)


def _overlaid(old: Command, new: Command) -> Command:
    """Return what is wanted after both; a figure that the new one leaves out stays."""
    given = {
        name: value
        for name in ("rate", "users", "spawn_rate", "duration_s")
        if (value := getattr(new, name)) is not None
    }
    return msgspec.structs.replace(old, **given)


def _about(control: RunControl) -> str:
    return f"run {control.run_id} · engine {control.plan.engine} · {load_of(control.plan)}"


def _ending(result: RunResult | None) -> Ending | None:
    if result is None:
        return None
    return Ending(
        exit_code=result.exit_code,
        headline=headline(result.exit_code),
        kind=verdict_kind(result.exit_code),
        reasons=list(reasons(result)),
    )
