"""The plan as it is carried out: what the scenario adds, what is left open, and what cannot be."""

import msgspec

from loadtest.harness.arrivals import parse_arrivals
from loadtest.harness.plan import RunPlan
from loadtest.harness.problems import PlanUnusable
from loadtest.harness.scenario import Scenario
from loadtest.harness.shapes import RateShape
from loadtest.harness.thresholds import parse_threshold

__all__ = ("DURATION_S", "PROCESSES_MAX", "WARMUP_S", "completed_plan")

# What a run takes when nobody says: long enough for three worst windows.
DURATION_S = 30.0

# After two seconds connections, prepared statements and hot pages are warm.
WARMUP_S = 2.0

# More processes than any machine here has cores for.
PROCESSES_MAX = 64


def completed_plan(plan: RunPlan, scenario: Scenario, *, shaped: bool) -> RunPlan:
    """Return what will be done; ``shaped`` when the scenario's shape decides about the load."""
    _check_numbers(plan)
    plan = scenario.completed(plan)
    _check_numbers(plan)
    scenario.check(plan)
    for one in plan.thresholds:
        parse_threshold(one)
    if shaped and scenario.shape is not None:
        # It decides when to end as well, unless that is told. The rate is that before its first
        # tick, and only says that the run is open.
        rate = "constant:1" if issubclass(scenario.shape, RateShape) else None
        return msgspec.structs.replace(
            plan, users=None, arrivals=rate, warmup_s=_or(plan.warmup_s, 0.0)
        )
    duration_s = plan.duration_s
    if plan.arrivals is not None:
        arrivals = parse_arrivals(plan.arrivals)
        if plan.spawn_rate is not None:
            raise PlanUnusable("--spawn-rate is of a closed run, and --arrivals make an open one")
        duration_s = _or(duration_s, arrivals.seconds)
    return msgspec.structs.replace(
        plan,
        users=plan.users if plan.users is not None or plan.arrivals is not None else 1,
        duration_s=_or(duration_s, DURATION_S),
        warmup_s=_or(plan.warmup_s, WARMUP_S),
    )


def _or(value: float | None, default: float | None) -> float | None:
    return default if value is None else value


def _check_numbers(plan: RunPlan) -> None:
    checks = (
        (plan.users is None or plan.users >= 0, "users", plan.users, "0 or more"),
        (plan.spawn_rate is None or plan.spawn_rate > 0, "spawn rate", plan.spawn_rate, "above 0"),
        (plan.duration_s is None or plan.duration_s > 0, "duration", plan.duration_s, "above 0"),
        (plan.warmup_s is None or plan.warmup_s >= 0, "warm-up", plan.warmup_s, "0 or more"),
        (plan.drain_s >= 0, "drain", plan.drain_s, "0 or more"),
        (plan.timeout_s > 0, "timeout", plan.timeout_s, "above 0"),
        (plan.in_flight_max >= 1, "in-flight bound", plan.in_flight_max, "1 or more"),
        (
            1 <= plan.processes <= PROCESSES_MAX,
            "number of processes",
            plan.processes,
            f"from 1 to {PROCESSES_MAX}",
        ),
    )
    for ok, what, value, wanted in checks:
        if not ok:
            raise PlanUnusable(f"the {what} is {value}, and must be {wanted}")
