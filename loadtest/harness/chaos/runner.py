"""A run on a stand of its own, with chaos steps in it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from loadtest.harness.chaos.actions import check_possible
from loadtest.harness.chaos.observer import ChaosObserver
from loadtest.harness.chaos.spec import ChaosStep
from loadtest.harness.chaos.swap import PackSwap
from loadtest.harness.control import Observer
from loadtest.harness.plan import RunPlan
from loadtest.harness.problems import PlanUnusable
from loadtest.harness.result import RunResult
from loadtest.harness.runner import run_load
from loadtest.harness.stands import running_stand
from loadtest.harness.target import Target
from loadtest.harness.watching import books_and_costs, pids_of_stand
from loadtest.hotload import Tools

__all__ = ("SETTLE_S", "run_chaos")

# After the last step a run goes on, so that there is a time in which all can be well again.
SETTLE_S = 15.0


async def run_chaos(
    plan: RunPlan,
    steps: tuple[ChaosStep, ...],
    *,
    folder: Path,
    nodes: int = 2,
    tools: Tools | None = None,
    observers: Sequence[Observer] = (),
    say: Callable[[str], None] = lambda _: None,
) -> RunResult:
    """Start servers and ``nodes`` behind links, make the load, and break them meanwhile.

    A plan without a duration ends some seconds after the last step. ``tools`` are what brings
    versions of packs. Raise :class:`PlanUnusable` for a step that cannot be done.
    """
    if not steps:
        raise PlanUnusable("a chaos run needs a step at least, such as: 10s kill node for 2s")
    check_possible(steps, linked=True, swaps=tools is not None)
    last_s = max(step.at_s + (step.for_s or 0.0) for step in steps)
    duration_s = last_s + SETTLE_S if plan.duration_s is None else plan.duration_s
    if duration_s <= last_s:
        raise PlanUnusable(f"the last step ends at {last_s:g} s, and the run at {duration_s:g} s")
    plan = msgspec.structs.replace(plan, duration_s=duration_s)
    names = tuple(f"n{number}" for number in range(1, nodes + 1))
    say(f"starting servers and {nodes} nodes behind links")
    async with running_stand(folder, names=names, linked=True) as stand:
        swap = None
        if tools is not None:
            swap = PackSwap(tools, stand)
            swap.check([step.object for step in steps if step.verb == "swap"])
        watching = books_and_costs(
            plan,
            nats_url=stand.nats_url,
            postgres_dsn=stand.postgres_dsn,
            pids=pids_of_stand(stand),
        )
        return await run_load(
            plan,
            # The books come last: what is broken has to be put right before they are read.
            observers=[*observers, ChaosObserver(steps, stand, swap=swap), *watching],
            target=Target(stand.nats_url, stand.postgres_dsn),
            say=say,
        )
