"""How to make a run again: the command behind a plan."""

import shlex

from loadtest.harness.plan import RunPlan

__all__ = ("command_of",)


def command_of(plan: RunPlan) -> str:
    """Return the command line that has this plan; options that are as usual are left out.

    Where the load goes is no part of a plan that is kept, so it is none of the command either.
    """
    usual = RunPlan(scenario=plan.scenario)
    words = ["zhihui", "load", "run", plan.scenario]
    for option, value, default in (
        ("--app", plan.app, usual.app),
        ("--engine", plan.engine, usual.engine),
        ("--users", plan.users, usual.users),
        ("--spawn-rate", plan.spawn_rate, usual.spawn_rate),
        ("--arrivals", plan.arrivals, usual.arrivals),
        ("--duration", _seconds(plan.duration_s), None),
        ("--warmup", _seconds(plan.warmup_s), None),
        ("--drain", _seconds(plan.drain_s), _seconds(usual.drain_s)),
        ("--timeout", _seconds(plan.timeout_s), _seconds(usual.timeout_s)),
        ("--processes", plan.processes, usual.processes),
        ("--seed", plan.seed, usual.seed),
        ("--in-flight-max", plan.in_flight_max, usual.in_flight_max),
    ):
        if value is not None and value != default:
            words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    if plan.poisson:
        words.append("--poisson")
    repeated = (
        ("--tags", plan.tags),
        ("--exclude-tags", plan.exclude_tags),
        ("--threshold", plan.thresholds),
        ("--set", tuple(f"{name}={value}" for name, value in plan.settings.items())),
    )
    for option, values in repeated:
        for value in values:
            words += [option, value]
    return shlex.join(words)


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:g}s"
