"""A run that sends a recording again."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from loadtest.harness.costs import Pids
from loadtest.harness.plan import RunPlan
from loadtest.harness.replay import replayed
from loadtest.harness.replay.moments import write_moments
from loadtest.harness.replay.requests import requests_of
from loadtest.harness.result import RunResult
from loadtest.harness.runner import run_load
from loadtest.harness.target import Target
from loadtest.harness.watching import books_and_costs

__all__ = ("run_replay",)

# A run ends before what is due at its very end, and the last request is to be in it.
_AFTER_S = 0.05


async def run_replay(
    plan: RunPlan,
    recording: Path,
    *,
    speed: float,
    target: Target,
    folder: Path,
    pids: Callable[[], Pids] = Pids,
    say: Callable[[str], None] = lambda _: None,
) -> RunResult:
    """Send the requests of ``plan.app`` again; ``folder`` holds what is only needed meanwhile."""
    moments = folder / "moments.txt"
    count, last_s = write_moments(requests_of(recording, plan.app), moments, speed=speed)
    say(f"{count:,} requests of {plan.app}, {speed:g} times as fast as they came")
    plan = msgspec.structs.replace(
        plan,
        scenario=str(Path(replayed.__file__)),
        engine="lean",
        arrivals=f"moments:{moments}",
        duration_s=last_s + _AFTER_S,
        settings={**plan.settings, "recording": str(recording.absolute()), "app": plan.app},
    )
    watching = books_and_costs(
        plan, nats_url=target.nats_url, postgres_dsn=target.postgres_dsn, pids=pids
    )
    return await run_load(plan, observers=watching, target=target, say=say)
