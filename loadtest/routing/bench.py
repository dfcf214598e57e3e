"""The benchmark of routing: many seeded worlds, all policies in each, compared pair by pair."""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
from rich.console import Console

from loadtest.routing.behaviour import Behaviour, Terms
from loadtest.routing.comparison import (
    ADAPTIVE,
    BREAKERS,
    FIXED,
    ORACLE,
    ROUND_ROBIN,
    STATIC,
    RoutingReport,
    WorldReport,
)
from loadtest.routing.play import Played, play
from loadtest.routing.policies import (
    Adaptive,
    BreakerList,
    Engine,
    Fixed,
    Oracle,
    Policy,
    RoundRobin,
    StaticWeights,
)
from loadtest.routing.report import print_routing_report
from loadtest.routing.timing import time_decisions
from loadtest.routing.weather import draw_weather
from loadtest.routing.world import World, make_world
from schemas.routing import EligibilityRule, RoutingRules

__all__ = ("run_routing_bench",)

_BUILD = Path("build")

# In an hour of drawn weather every channel has its outages, as it has on any day. A named profile
# is played once, from its start to where its last phase has settled.
_WEATHER_S = 3600.0
_PROFILE_S = 600.0

# A third of a world is enough for the time of a decision.
_TIMED_SHARE = 3

# Rules that look at every payment and keep none of these from any channel: what they cost is part
# of what a decision costs.
_RULES = tuple(
    EligibilityRule(
        name=f"no-such-app-{number}",
        effect="exclude",
        apps=("no-such-app",),
        amount_max_minor=10_000 * number,
    )
    for number in range(1, 9)
)

_Maker = Callable[[World, int], Policy]


def run_routing_bench(
    console: Console,
    *,
    engine: Callable[[RoutingRules, int], Engine],
    terms: Sequence[Terms],
    profile: Behaviour,
    seed: int = 1,
    seeds: int = 12,
    decisions: int = 12_000,
    rounds: int = 5,
) -> int:
    """Measure, print the tables, write ``build/bench-routing.json``.

    ``engine`` makes a router from rules and a seed, ``terms`` are the channels' own, ``profile`` is
    a profile of the channel simulator. Return 0 when the adaptive router beat the best fixed
    channel and the static weights, in success rate and in regret, by more than chance, else 1.
    """
    began = time.perf_counter()
    rules = RoutingRules(eligibility=_RULES)
    seeds_used = tuple(range(seed, seed + seeds))
    names = [one.name for one in terms]

    def world_of(behaviour: Behaviour, length_s: float, number: int) -> World:
        return make_world(
            terms, behaviour, rules.weights, seed=number, decisions=decisions, length_s=length_s
        )

    def drawn(number: int) -> World:
        return world_of(draw_weather(names, seed=number, length_s=_WEATHER_S), _WEATHER_S, number)

    makers = _makers(names, engine, rules)
    reports = (
        _measure("drawn weather, another for each seed", _WEATHER_S, drawn, seeds_used, makers),
        _measure(
            "the simulator's profile", _PROFILE_S, partial(world_of, profile, _PROFILE_S),
            seeds_used, makers,
        ),
    )  # fmt: skip
    first = make_world(
        terms, draw_weather(names, seed=seed, length_s=_WEATHER_S), rules.weights, seed=seed,
        decisions=max(1, decisions // _TIMED_SHARE), length_s=_WEATHER_S / _TIMED_SHARE,
    )  # fmt: skip
    timed = time_decisions(
        first, {name: partial(make, first, seed) for name, make in makers.items()}, rounds=rounds
    )
    report = RoutingReport(
        seeds=seeds_used,
        decisions=decisions,
        channels=tuple(names),
        rules=len(_RULES),
        rounds=rounds,
        cores=os.cpu_count() or 0,
        load_average=os.getloadavg()[0],
        worlds=reports,
        times=timed,
        took_s=time.perf_counter() - began,
    )
    _BUILD.mkdir(exist_ok=True)
    path = _BUILD / "bench-routing.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    print_routing_report(report, console)
    console.print(f"All figures: {path}", highlight=False)
    return 0 if report.ok else 1


def _makers(
    channels: Sequence[str], engine: Callable[[RoutingRules, int], Engine], rules: RoutingRules
) -> dict[str, _Maker]:
    makers: dict[str, _Maker] = {
        ORACLE: lambda _world, _seed: Oracle(),
        ADAPTIVE: lambda _world, seed: Adaptive(engine(rules, seed)),
        BREAKERS: lambda world, _seed: BreakerList(world),
        STATIC: StaticWeights,
        ROUND_ROBIN: lambda world, _seed: RoundRobin(world),
    }
    for name in channels:
        makers[FIXED + name] = partial(_fixed, name)
    return makers


def _fixed(name: str, world: World, seed: int) -> Policy:
    return Fixed(world, name)


def _measure(
    title: str,
    length_s: float,
    make: Callable[[int], World],
    seeds: Sequence[int],
    makers: dict[str, _Maker],
) -> WorldReport:
    played: dict[str, list[Played]] = {name: [] for name in makers}
    for seed in seeds:
        world = make(seed)
        for name, maker in makers.items():
            played[name].append(play(world, maker(world, seed)))
    return WorldReport(
        title=title,
        length_s=length_s,
        played={name: tuple(results) for name, results in played.items()},
    )
