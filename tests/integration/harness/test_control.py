"""A run is steered while it goes on, and says when it was not the service that was measured."""

import asyncio
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg

from loadtest.harness.control import Findings, Observer, RunControl
from loadtest.harness.model import PhaseMark, Sample
from loadtest.harness.problems import RunFailed, ScenarioUnusable
from loadtest.harness.result import InvariantVerdict, RunResult
from tests.integration.harness.probe import OK, answering, make_run

pytestmark = pytest.mark.anyio

# Every request costs the generator 10 ms of its processor, and 200 a second are wanted.
_SLOW = """
import time
from loadtest import Flow


class Probe(Flow):
    service, verb = "probe", "ask"

    def body(self, request_id):
        until = time.thread_time() + 0.010
        while time.thread_time() < until:
            pass
        return b'{"request_id":"%b"}' % request_id.encode()
"""

_CLAIMS = """
from loadtest import User, constant, task


class Asker(User):
    wait_time = constant(0.05)

    @task
    async def ask(self):
        await self.client.call("probe", "ask")
        self.expect(self.number != 1, "no user is number one", f"user {self.number}")
"""

_HOOKS = """
from loadtest import User, constant_pacing, events, task

SEEN = []


@events.request.add_listener
def seen(name, outcome, response_ms, service_ms, request_id, **_):
    SEEN.append(f"{name} {outcome} {response_ms >= service_ms} {request_id.count('-')}")


class Asker(User):
    wait_time = constant_pacing(0.1)

    async def on_stop(self):
        with open(self.settings["seen"], "a") as file:
            file.write("\\n".join(SEEN))

    @task
    async def ask(self):
        await self.client.named("question").call("probe", "ask")
"""

_SHAPE = """
from loadtest import LoadShape, User, constant, task


class Stairs(LoadShape):
    def tick(self):
        if self.get_run_time() > 2.5:
            return None
        return (2, 100) if self.get_run_time() < 1.2 else (6, 100)


class Asker(User):
    wait_time = constant(0.05)

    @task
    async def ask(self):
        await self.client.call("probe", "ask")
"""

_BROKEN = """
from loadtest import Flow


class Probe(Flow):
    service, verb = "probe", "ask"

    def body(self, request_id):
        raise RuntimeError("no body today")
"""


class _Steered(Observer):
    """Does what it is told at the first second, and notes what it hears."""

    def __init__(self, do: Any = lambda _: None) -> None:
        self._do = do
        self.control: RunControl | None = None
        self.heard: list[str] = []
        self.samples: list[Sample] = []

    async def on_start(self, control: RunControl) -> None:
        self.control = control
        self.heard.append("start")

    async def on_phase(self, mark: PhaseMark) -> None:
        self.heard.append(mark.name)

    async def on_interval(self, sample: Sample) -> None:
        assert self.control is not None
        if not self.samples:
            self._do(self.control)
        self.samples.append(sample)

    async def on_drained(self, draft: RunResult) -> Findings:
        self.heard.append("drained")
        return Findings(attachments={"seen": len(self.samples)})

    async def on_end(self, result: RunResult) -> None:
        self.heard.append("end")


async def test_a_throttled_generator_makes_the_run_invalid(nats_url: str, tmp_path: Path) -> None:
    """A generator that cannot keep its schedule is found out: 91, whatever the figures say."""
    async with answering(nats_url):
        result = await make_run(
            nats_url, tmp_path, scenario=_SLOW, engine="lean", arrivals="200", duration_s=2.0,
            drain_s=0.5, thresholds=("rate>=1",),
        )  # fmt: skip
    assert result.exit_code == 91
    assert "schedule_missed" in {one.code for one in result.invalid}
    assert result.flow.ok
    assert result.total.counts.scheduled == 400


async def test_observers_hear_all_of_a_run_in_order(nats_url: str, tmp_path: Path) -> None:
    """Start, phases when they begin, each second, drained, end; and what they attach is kept."""
    observer = _Steered()
    async with answering(nats_url) as came:
        result = await make_run(
            nats_url, tmp_path, engine="lean", arrivals="50", warmup_s=1.0, duration_s=2.0,
            observers=(observer,),
        )  # fmt: skip
    assert observer.heard == ["start", "warm-up", "main", "drain", "drained", "end"]
    assert sum(one.counts().sent for one in observer.samples) == len(came) == 150
    assert [one.measured for one in observer.samples[:3]] == [False, True, True]
    assert result.total.counts.sent == 100
    assert result.attachments == {"seen": len(observer.samples)}
    assert result.acknowledged.count == 150


async def test_the_rate_and_the_end_change_while_it_runs(nats_url: str, tmp_path: Path) -> None:
    """A raised rate shows from then on, a longer duration is kept, and neither loses a request."""

    def change(control: RunControl) -> None:
        control.set_rate(200)
        control.set_duration(3.0)

    observer = _Steered(change)
    async with answering(nats_url) as came:
        result = await make_run(
            nats_url, tmp_path, engine="lean", arrivals="20", duration_s=60.0, processes=2,
            observers=(observer,),
        )  # fmt: skip
    assert 2.9 < result.measured_s < 3.1
    # One second of 20, and nearly two of 200.
    assert 250 <= result.total.counts.scheduled <= 430
    assert result.flow.ok
    assert len(came) == result.flow.counts.sent
    assert result.steadiness.ok is None


async def test_an_aborted_run_drains_and_reports(nats_url: str, tmp_path: Path) -> None:
    """An abort ends with 105 and with all figures there are."""
    observer = _Steered(lambda control: control.abort("by the test"))
    async with answering(nats_url):
        result = await make_run(nats_url, tmp_path, users=5, duration_s=60.0, observers=(observer,))
    assert (result.exit_code, result.aborted, result.flow.ok) == (105, True, True)
    assert result.measured_s < 10
    assert result.total.counts.ok > 0
    assert result.notes == ("aborted: by the test",)


async def test_a_run_waits_to_be_started(nats_url: str, tmp_path: Path) -> None:
    """With wait_for_start nothing is sent before somebody says so."""
    waiting = _Steered()
    async with answering(nats_url) as came:

        async def start() -> int:
            while waiting.control is None:  # noqa: ASYNC110 - nothing tells that it is ready
                await asyncio.sleep(0.01)
            before = len(came)
            waiting.control.start()
            return before

        result, before = await asyncio.gather(
            make_run(
                nats_url, tmp_path, engine="lean", arrivals="50", duration_s=1.0,
                wait_for_start=True, observers=(waiting,),
            ),
            start(),
        )  # fmt: skip
    assert before == 0
    assert result.total.counts.sent == 50


async def test_what_a_scenario_expects_decides(nats_url: str, tmp_path: Path) -> None:
    """A broken expectation of a scenario ends the run with 90, with the first detail."""
    async with answering(nats_url):
        result = await make_run(nats_url, tmp_path, scenario=_CLAIMS, users=3, duration_s=1.0)
    assert result.exit_code == 90
    (verdict,) = result.invariants
    assert isinstance(verdict, InvariantVerdict)
    assert (verdict.ok, verdict.claim) == (False, "no user is number one")
    assert "first: user 1" in verdict.detail


async def test_hooks_hear_requests_and_a_pace_counts_from_its_plan(
    nats_url: str, tmp_path: Path
) -> None:
    """A user paced at 0.1 s before a service that takes 0.2 s falls behind, and that is counted."""
    seen = tmp_path / "seen.txt"

    async def slowly(message: Msg) -> None:
        await asyncio.sleep(0.2)
        await message.respond(OK)

    client = await nats.connect(nats_url)
    try:
        await client.subscribe("zh.v1.*.probe.*", cb=slowly)
        await client.flush()
        result = await make_run(
            nats_url, tmp_path, scenario=_HOOKS, users=1, duration_s=2.0,
            settings={"seen": str(seen)},
        )  # fmt: skip
    finally:
        await client.close()
    (name,) = result.names
    assert name.name == "question"
    lines = (await asyncio.to_thread(seen.read_text)).splitlines()
    assert len(lines) == result.flow.counts.ok
    assert set(lines) == {"question ok True 3"}
    assert name.response.max_ms is not None
    assert name.service.max_ms is not None
    assert name.lag.max_ms is not None
    # Each start is 0.1 s later than planned than the one before.
    assert name.lag.max_ms > 500
    assert name.response.max_ms > name.service.max_ms + 300


async def test_a_shape_decides_about_users_and_the_end(nats_url: str, tmp_path: Path) -> None:
    """A LoadShape lets users come step by step, and ends the run when it has nothing to say."""
    observer = _Steered()
    async with answering(nats_url):
        result = await make_run(nats_url, tmp_path, scenario=_SHAPE, observers=(observer,))
    users = [one.users for one in observer.samples if one.measured]
    assert users[0] == 2
    assert max(users) == 6
    assert 2 < result.measured_s < 8
    assert result.flow.ok


async def test_a_flow_that_raises_ends_the_run(nats_url: str, tmp_path: Path) -> None:
    """What a scenario's own code raises is told, and does not hang."""
    with pytest.raises(RunFailed, match="no body today"):
        await make_run(nats_url, tmp_path, scenario=_BROKEN, engine="lean", arrivals="10")


async def test_a_setup_that_raises_names_its_line(nats_url: str, tmp_path: Path) -> None:
    """A wrong setup is the scenario's fault, and its line is told."""
    scenario = _CLAIMS + "\n\nasync def setup(stage):\n    return {}['none']\n"
    with pytest.raises(ScenarioUnusable, match="KeyError") as caught:
        await make_run(nats_url, tmp_path, scenario=scenario, users=1)
    assert caught.value.line == len(scenario.splitlines())
