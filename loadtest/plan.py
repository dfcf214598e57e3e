"""What one run of the generator is told, and what it answers."""

import argparse

import msgspec

from loadtest.workload import Population

__all__ = ("Plan", "Result", "plan_from_arguments", "plan_to_arguments")

_DESCRIPTION = "Load one payment operation in a closed loop and print the result as JSON."


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run."""

    url: str
    subject: str
    in_flight: int = 256
    warmup_s: float = 2.0
    seconds: float = 10.0
    timeout_s: float = 5.0
    seed: int = 1
    population: Population = Population()
    allow_host: str | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    ``ok`` to ``timed_out`` and the latencies (milliseconds) are of the measured window only. The
    totals are of the whole run with warm-up and the wait at the end, so that they can be compared
    with the rows in the database; each of ``total_unknown`` may have been made or not. ``busy``
    counts answers that asked to come again; such a request is sent again under its id, and its
    latency runs from the first sending.
    """

    seconds: float
    warmup_s: float
    in_flight: int
    ok: int
    rejected: int
    busy: int
    failed: int
    timed_out: int
    total_sent: int
    total_ok: int
    total_rejected: int
    total_unknown: int
    per_second: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    cpu_us_each: float
    codes: dict[str, int]


def plan_from_arguments(arguments: list[str]) -> Plan:
    """Read the generator's command line."""
    defaults = Plan(url="", subject="")
    people = defaults.population
    parser = argparse.ArgumentParser(prog="python -m loadtest.generator", description=_DESCRIPTION)
    parser.add_argument("--url", required=True, help="NATS server; this machine only")
    parser.add_argument("--subject", required=True, help="subject of the payment operation")
    parser.add_argument("--in-flight", type=int, default=defaults.in_flight)
    parser.add_argument("--warmup", type=float, default=defaults.warmup_s, help="seconds")
    parser.add_argument("--seconds", type=float, default=defaults.seconds)
    parser.add_argument("--timeout", type=float, default=defaults.timeout_s, help="seconds")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--payers", type=int, default=people.payers)
    parser.add_argument("--payees", type=int, default=people.payees)
    parser.add_argument("--zipf", type=float, default=people.zipf)
    parser.add_argument("--allow-host", help="a host other than this machine that is yours to load")
    given = parser.parse_args(arguments)
    return Plan(
        url=given.url,
        subject=given.subject,
        in_flight=given.in_flight,
        warmup_s=given.warmup,
        seconds=given.seconds,
        timeout_s=given.timeout,
        seed=given.seed,
        population=Population(payers=given.payers, payees=given.payees, zipf=given.zipf),
        allow_host=given.allow_host,
    )


def plan_to_arguments(plan: Plan) -> list[str]:
    """Return the command line that :func:`plan_from_arguments` reads as ``plan``."""
    people = plan.population
    given = {
        "url": plan.url,
        "subject": plan.subject,
        "in-flight": plan.in_flight,
        "warmup": plan.warmup_s,
        "seconds": plan.seconds,
        "timeout": plan.timeout_s,
        "seed": plan.seed,
        "payers": people.payers,
        "payees": people.payees,
        "zipf": people.zipf,
    }
    arguments = [f"--{name}={value}" for name, value in given.items()]
    return arguments if plan.allow_host is None else [*arguments, f"--allow-host={plan.allow_host}"]
