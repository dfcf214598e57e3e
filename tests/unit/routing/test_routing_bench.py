"""The benchmark's worlds and its verdicts; not its figures, which belong to a machine."""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from actors.channels.routing import Router
from actors.channels.terms import ChannelTerms
from kernel.randomness import SeededRandomness
from loadtest.routing import run_routing_bench
from loadtest.routing.comparison import Comparison, RoutingReport, WorldReport
from loadtest.routing.play import Played, play
from loadtest.routing.policies import Adaptive, BreakerList, Fixed, Oracle, Policy, RoundRobin
from loadtest.routing.weather import draw_weather
from loadtest.routing.world import World, make_world
from schemas.routing import (
    AttemptOutcome,
    ChannelOffer,
    RouteDecision,
    RoutedPayment,
    RoutingRules,
    ScoreWeights,
)
from tests.unit.routing.routing_lab import CHANNELS, router
from zhihui.channel_simulator.profile import Profile
from zhihui.channel_simulator.profiles import PROFILES

_TERMS = tuple(
    ChannelTerms(
        name=name,
        methods=frozenset({"quick", "qr_static", "qr_dynamic", "guaranteed", "seamless"}),
        amount_max_minor=10_000_000, fee_ppm=1_000 * number, refund_within_s=1, refunds_max=1,
    )
    for number, name in enumerate(CHANNELS)
)  # fmt: skip


def _world(*, seed: int = 1, decisions: int = 2_000, profile: Profile | None = None) -> World:
    length_s = 600.0
    behaviour = profile or draw_weather(CHANNELS, seed=seed, length_s=length_s)
    return make_world(
        _TERMS, behaviour, ScoreWeights(), seed=seed, decisions=decisions, length_s=length_s
    )


def test_one_seed_makes_one_world() -> None:
    """The same seed makes the same payments and fates, another one makes others."""
    assert _world(decisions=200) == _world(decisions=200)
    assert _world(decisions=200) != _world(decisions=200, seed=2)


def test_the_simulator_can_play_a_drawn_weather() -> None:
    """A drawn weather is a profile of the channel simulator, word for word."""
    weather = draw_weather(CHANNELS, seed=3, length_s=600.0)
    profile = msgspec.json.decode(msgspec.json.encode(weather), type=Profile)
    for name in CHANNELS:
        theirs, ours = profile.of(name), weather.of(name)
        assert len(theirs.phases) == len(ours.phases) == 120
        assert [one.failure_ppm for one in theirs.phases] == [
            one.failure_ppm for one in ours.phases
        ]


def test_fates_are_as_often_as_the_profile_says() -> None:
    """In each phase of the simulator's profile the payments succeed at that phase's rate."""
    world = _world(decisions=6_000, profile=PROFILES["shifting"])
    tried, worked = Counter[bool](), Counter[bool]()
    for arrival in world.arrivals:
        if arrival.at_s > 450.0:
            continue
        fate = arrival.fates["own_bank"]
        bad = 300.0 <= arrival.at_s < 420.0
        if arrival.at_s >= 120.0:
            if arrival.at_s >= 420.0:
                continue
            tried[bad] += fate.outcome != "declined"
            worked[bad] += fate.outcome == "success"
            assert fate.success_rate == pytest.approx(0.7 if bad else 0.98)
    assert worked[True] / tried[True] == pytest.approx(0.7, abs=0.06)
    assert worked[False] / tried[False] == pytest.approx(0.98, abs=0.02)


def test_nobody_beats_the_oracle() -> None:
    """The oracle has no regret and everybody else has some."""
    world = _world()
    policies: list[Policy] = [Fixed(world, name) for name in CHANNELS]
    policies += [RoundRobin(world), BreakerList(world), Adaptive(router())]
    assert play(world, Oracle()).regret == 0.0
    assert all(play(world, policy).regret > 0.0 for policy in policies)


def test_outcomes_are_learned_when_their_time_has_come() -> None:
    """A policy hears of an outcome after its latency and before the next payment after that."""

    class _Listener:
        def __init__(self, world: World) -> None:
            self._fixed = Fixed(world, "alipay")
            self.now_s = 0.0
            self.heard = 0

        def choose(self, arrival: object) -> str | None:
            self.now_s = arrival.at_s  # type: ignore[attr-defined]
            return self._fixed.choose(arrival)  # type: ignore[arg-type]

        def observe(
            self, channel: str, outcome: AttemptOutcome, latency_s: float, now_s: float
        ) -> None:
            self.heard += 1
            assert now_s - latency_s - 1e-6 <= self.now_s <= now_s

    world = _world(decisions=500)
    listener = _Listener(world)
    play(world, listener)
    assert listener.heard > 450


def test_a_comparison_asks_for_more_than_chance() -> None:
    """Better on average is not enough when the pairs scatter, and enough when they agree."""

    def compared(*differences: float) -> Comparison:
        return Comparison(rival="x", measure="regret", differences=differences)

    assert compared(0.01, 0.012, 0.011).ok
    assert not compared(0.05, -0.03, 0.02).ok
    assert not compared(-0.01, -0.012, -0.011).ok
    assert compared(0.05, -0.03, 0.02).better_in == 2
    # Against a table of Student's t: for two degrees of freedom 4.303.
    assert compared(1.0, 2.0, 3.0).margin == pytest.approx(4.303 / 3**0.5)


class _Stubborn:
    """A router that learns nothing."""

    def choose(
        self, payment: RoutedPayment, offers: Sequence[ChannelOffer], now_s: float
    ) -> RouteDecision:
        return RouteDecision(
            chosen=offers[-1].channel, propensity_ppm=1_000_000, probe=False, alternatives=(),
            candidates=(), rules_version=0,
        )  # fmt: skip

    def observe(
        self, channel: str, outcome: AttemptOutcome, latency_s: float | None, now_s: float
    ) -> None:
        """Learn nothing."""


def test_the_exit_code_is_the_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints every policy and comparison, and is 1 as soon as one of them fails."""
    monkeypatch.chdir(tmp_path)

    def adaptive(rules: RoutingRules, seed: int) -> Router:
        return Router(rules, SeededRandomness(seed))

    code = -1
    for engine in (adaptive, lambda _rules, _seed: _Stubborn()):
        said = io.StringIO()
        code = run_routing_bench(
            Console(file=said, width=200), engine=engine, terms=_TERMS,
            profile=PROFILES["shifting"], seeds=3, decisions=300, rounds=1,
        )  # fmt: skip
        text = said.getvalue()
        assert text.count("adaptive router") == text.count("always alipay") == 2
        assert text.count("paired: ") == 8
        assert code == int("FAIL" in text)
        report = msgspec.json.decode(
            (tmp_path / "build" / "bench-routing.json").read_bytes(), type=RoutingReport
        )
        assert report.ok == (code == 0)
    # The stubborn one always takes the last channel, so it is no better than that fixed one.
    assert code == 1


def _report(**success: float) -> RoutingReport:
    def played(rate: float) -> tuple[Played, ...]:
        return tuple(
            Played(success_rate=rate + luck, cost_ppm=0.0, regret=1.0 - rate - luck,
                   without_channel=0, decisions=1, took_s=1.0)
            for luck in (0.0, 0.01, 0.005)
        )  # fmt: skip

    rates = {"adaptive router": 0.9, "static weights": 0.8, "always a": 0.7, "always b": 0.8}
    world = WorldReport(
        title="w", length_s=1.0,
        played={name: played(success.get(name, rate)) for name, rate in rates.items()},
    )  # fmt: skip
    return RoutingReport(
        seeds=(1, 2, 3), decisions=1, channels=("a", "b"), rules=0, rounds=1, cores=1,
        load_average=0.0, worlds=(world,), times={}, took_s=1.0,
    )  # fmt: skip


def test_the_router_has_to_beat_both_rivals() -> None:
    """One fixed channel or static weights that are as good or better make the verdict a failure."""
    assert _report().ok
    for rival in ("static weights", "always a", "always b"):
        assert not _report(**{rival: 0.9}).ok
        assert not _report(**{rival: 0.95}).ok
