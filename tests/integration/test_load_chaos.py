"""Faults inside of a run: felt where they happen, measured, and no money lost."""

from pathlib import Path

import pytest

from loadtest.harness.chaos import parse_steps
from loadtest.harness.chaos.observer import chaos_of
from loadtest.harness.chaos.runner import run_chaos
from loadtest.harness.costs import cost_of
from loadtest.harness.plan import RunPlan
from loadtest.harness.problems import PlanUnusable
from loadtest.harness.result import ExitCode

pytestmark = pytest.mark.anyio

_PLAN = RunPlan(
    scenario="payments",
    engine="lean",
    app="load",
    arrivals="50",
    warmup_s=0.5,
    duration_s=7.0,
    settings={"payers": "10", "payees": "2"},
)


@pytest.mark.timeout(180)
async def test_faults_are_measured_and_cost_no_money(tmp_path: Path) -> None:
    """A slow link is in the response times of its phase, a killed node in the commits."""
    steps = parse_steps(["800ms slow postgres 20ms for 1s", "3s kill node for 300ms"])
    result = await run_chaos(_PLAN, steps, folder=tmp_path, nodes=1)

    assert [one for one in result.invariants if not one.ok] == []
    assert result.exit_code != ExitCode.INVARIANT
    slow, killed = chaos_of(result)
    assert (slow.phase, killed.phase) == ("slow postgres 20ms", "kill node")
    assert slow.ended_s - slow.began_s >= 1.0
    # Nobody pays while the only node is away.
    assert killed.recovery.outage_s >= 0.3

    phases = {one.name: one.total for one in result.phases if one.measured}
    assert list(phases)[:4] == [
        "main",
        "slow postgres 20ms",
        "after slow postgres 20ms",
        "kill node",
    ]
    # The commit goes there and comes back, 20 ms each, but for what is on its way at either end.
    assert (phases["slow postgres 20ms"].response.percentile_ms(50.0) or 0.0) >= 39.0
    assert (phases["main"].response.min_ms or 99.0) < 39.0
    costs = {one.phase: one.cost for one in cost_of(result)}
    assert (costs["main"].cpu_us.service or 0.0) > 0.0
    # The node that began is not the one that ended. On a busy machine nothing was done meanwhile.
    assert "kill node" not in costs or costs["kill node"].cpu_us.service is None


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "needs a step"),
        (["8s restart postgres"], "the last step ends at 8 s, and the run at 7 s"),
        (["1s swap parking"], "cannot bring versions"),
    ],
)
async def test_steps_that_cannot_be_done_are_refused(
    texts: list[str], said: str, tmp_path: Path
) -> None:
    """Before anything is started, the message says why."""
    with pytest.raises(PlanUnusable, match=said):
        await run_chaos(_PLAN, parse_steps(texts), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
