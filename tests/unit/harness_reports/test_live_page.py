"""The live page steers the run it shows, and says what was done from it."""

import pytest

from loadtest.harness.plan import RunPlan
from loadtest.harness.reports.command import command_of
from loadtest.harness.reports.live_html import live_html
from loadtest.harness.reports.live_page import LivePage
from loadtest.harness.reports.live_state import Command
from tests.unit.harness_reports.sample_run import MARKS, sample_result, samples
from tests.unit.harness_reports.steered import Steered

_PLAN = RunPlan(
    scenario="city_day",
    arrivals="300",
    duration_s=80.0,
    warmup_s=10.0,
    thresholds=("p99<30ms",),
    wait_for_start=True,
)


async def _page(plan: RunPlan = _PLAN) -> tuple[LivePage, Steered]:
    page, control = LivePage(), Steered(plan)
    await page.on_start(control)
    return page, control


@pytest.mark.anyio
async def test_a_run_waits_for_its_button() -> None:
    """It is ready until it is started, and then it says what the run says."""
    page, control = await _page()
    assert LivePage().state(0, 0).state == "connecting"
    assert page.state(0, 0).state == "ready"
    assert page.obey(Command(action="start")).ok
    assert control.told == [("start", None)]
    assert page.state(0, 0).state == "running"


@pytest.mark.anyio
async def test_figures_given_before_the_start_hold_from_the_start() -> None:
    """A run takes no figures before it runs, so the page keeps the last of each until then."""
    page, control = await _page()
    assert page.obey(Command(action="edit", rate=100.0, duration_s=30.0)).ok
    assert page.obey(Command(action="edit", rate=150.0)).ok
    assert control.told == []
    assert page.state(0, 0).planned_s == 40.0
    page.obey(Command(action="start"))
    await page.on_phase(MARKS[0])
    await page.on_phase(MARKS[1])
    assert control.told == [("start", None), ("rate", 150.0), ("duration", 30.0)]


@pytest.mark.anyio
async def test_figures_given_later_hold_at_once() -> None:
    """A run that goes on is told of every figure, and of no other."""
    page, control = await _page()
    page.obey(Command(action="start"))
    await page.on_phase(MARKS[0])
    assert page.obey(Command(action="edit", users=7)).text == "7 users"
    assert control.told[1:] == [("users", 7)]
    assert not page.obey(Command(action="edit")).ok


@pytest.mark.anyio
async def test_what_was_done_is_in_the_notes_of_the_result() -> None:
    """A run that was steered is not the run of its plan, and says so."""
    page, control = await _page()
    page.obey(Command(action="start"))
    control.add(samples(1, 10)[0], MARKS[0])
    page.obey(Command(action="edit", rate=150.0))
    page.obey(Command(action="stop"))
    assert (await page.on_drained(sample_result(11, 4))).notes == (
        "From the live page at 0:00: started",
        "From the live page at 0:01: rate 150/s",
        "From the live page at 0:01: stopped: the load ends now and is judged as it is",
    )
    assert [name for name, _ in control.told] == ["start", "rate", "stop"]


@pytest.mark.anyio
async def test_after_the_end_there_is_the_verdict_and_nothing_to_steer() -> None:
    """The page shows how the run ended, takes no command but one, and offers the report."""
    page, control = await _page()
    assert not page.obey(Command(action="close")).ok
    await page.on_end(sample_result(20, 40))
    state = page.state(0, 0)
    assert state.ending is not None
    assert (state.ending.exit_code, state.ending.kind) == (99, "bad")
    assert state.total == sample_result(20, 40).total
    assert not page.obey(Command(action="stop")).ok
    assert control.told == []
    assert page.obey(Command(action="close")).ok
    await page.wait_closed()


@pytest.mark.anyio
async def test_thresholds_are_judged_so_far() -> None:
    """They are judged from the first measured request on, where there are samples enough."""
    page, control = await _page()
    assert page.state(0, 0).so_far == []
    for sample in samples(12, 20):
        control.add(sample, next((one for one in MARKS if one.start_s == sample.start_s), None))
    page = LivePage()
    await page.on_start(control)
    (threshold,) = page.state(0, 0).so_far
    assert (threshold.expression, threshold.ok) == ("p99<30ms", None)
    assert threshold.measured.startswith("insufficient samples")


def test_the_page_allows_its_own_scripts_only() -> None:
    """Every script and style has the nonce, no handler is inline and nothing comes from outside."""
    text = live_html("the-token", "the-nonce")
    assert text.count("<script") == text.count('nonce="the-nonce">') - text.count("<style")
    assert " on" + "click=" not in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_a_plan_is_shown_as_the_command_that_has_it() -> None:
    """What is as usual is left out, and what a shell would change is quoted."""
    plan = RunPlan(
        scenario="my scenario.py",
        url="nats://user:password@host",
        arrivals="ramp:10-20:5s",
        poisson=True,
        duration_s=90.0,
        thresholds=("p99<30ms",),
        settings={"payers": "1000"},
    )
    assert command_of(plan) == (
        "zhihui load run 'my scenario.py' --arrivals ramp:10-20:5s --duration 90s --poisson "
        "--threshold 'p99<30ms' --set payers=1000"
    )
