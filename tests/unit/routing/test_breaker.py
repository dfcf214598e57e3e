"""The circuit breaker, step by step."""

from actors.channels.routing.breaker import Breaker
from actors.channels.routing.channel_health import ChannelHealth
from schemas.routing import BreakerRules, RoutingRules

_RULES = BreakerRules(
    consecutive_failures=3, failure_rate=0.5, samples_min=10, cool_down_s=10.0,
    cool_down_s_max=35.0, probes=2, probe_timeout_s=5.0,
)  # fmt: skip
_FEW = (0.0, 1.0)


def _opened(at_s: float = 0.0) -> Breaker:
    breaker = Breaker(_RULES)
    for _ in range(3):
        breaker.observe("failed", 0.2, _FEW, at_s)
    assert breaker.state(at_s) == "open"
    return breaker


def _half_open(at_s: float = 10.0) -> Breaker:
    breaker = _opened()
    assert breaker.state(at_s) == "half_open"
    return breaker


def test_failures_in_a_row_open_it() -> None:
    """Three failures in a row open it, timeouts among them; an answer in between begins anew."""
    for answer in ("success", "declined"):
        breaker = Breaker(_RULES)
        for outcome in ("failed", "unknown", answer, "failed", "unknown"):
            breaker.observe(outcome, 0.2, _FEW, 1.0)
        assert breaker.state(1.0) == "closed"
        breaker.observe("failed", 0.2, _FEW, 1.0)
        assert breaker.state(1.0) == "open"
        assert breaker.opened_times == 1


def test_a_rate_of_failures_opens_it() -> None:
    """Half of enough outcomes opens it without a row; too few do not."""
    for counts, state in (((4.0, 4.0), "closed"), ((6.0, 5.0), "closed"), ((5.0, 5.0), "open")):
        breaker = Breaker(_RULES)
        breaker.observe("failed", 0.2, counts, 1.0)
        assert breaker.state(1.0) == state


def test_it_cools_down_and_lets_a_few_probes_through() -> None:
    """Open for ten seconds, then two probes at a time; a lost one is given up after a while."""
    breaker = _opened()
    assert breaker.state(9.9) == "open"
    assert breaker.opens_in_s(4.0) == 6.0
    assert breaker.state(10.0) == "half_open"
    breaker.begin_probe(10.0)
    assert breaker.may_probe(10.0)
    breaker.begin_probe(11.0)
    assert not breaker.may_probe(14.9)
    assert breaker.may_probe(15.0)
    assert breaker.probes_under_way(16.0) == 0


def test_enough_answers_to_probes_close_it() -> None:
    """Two probes that were answered close it, even if the payer was refused."""
    breaker = _half_open()
    for outcome in ("success", "declined"):
        breaker.begin_probe(11.0)
        breaker.observe(outcome, 0.5, _FEW, 11.5)
    assert breaker.state(11.5) == "closed"


def test_a_failed_probe_opens_it_for_longer() -> None:
    """Each failed probe doubles the cool-down, up to the longest."""
    breaker, now_s = _half_open(), 10.0
    for longer_s in (20.0, 35.0, 35.0):
        breaker.begin_probe(now_s)
        breaker.observe("unknown", 0.0, _FEW, now_s)
        assert breaker.state(now_s) == "open"
        assert breaker.opens_in_s(now_s) == longer_s
        now_s += longer_s
        assert breaker.state(now_s) == "half_open"


def test_what_began_before_is_no_probe() -> None:
    """Answers to attempts from before the cool-down ended neither close nor open it."""
    breaker = _half_open()
    breaker.begin_probe(10.5)
    for outcome in ("failed", "success", "success", "unknown"):
        breaker.observe(outcome, 3.0, _FEW, 11.0)
    assert breaker.state(11.0) == "half_open"
    assert breaker.probes_under_way(11.0) == 1


def test_without_a_probe_nothing_moves_it() -> None:
    """A half-open circuit that let nothing through learns from nothing."""
    breaker = _half_open()
    for outcome in ("success", "success", "failed"):
        breaker.observe(outcome, 0.0, _FEW, 11.0)
        assert breaker.state(11.0) == "half_open"


def test_an_answer_by_another_way_ends_a_probe() -> None:
    """A callback tells no latency; while a probe waits it is taken for its answer."""
    breaker = _half_open()
    for _ in range(2):
        breaker.begin_probe(11.0)
        breaker.observe("success", None, _FEW, 12.0)
    assert breaker.state(12.0) == "closed"


def test_it_remembers_that_it_has_just_closed() -> None:
    """Opened again soon after, it stays open for twice as long; later, as long as at first."""
    for wait_s, open_s in ((1.0, 20.0), (40.0, 10.0)):
        breaker = _half_open()
        for _ in range(2):
            breaker.begin_probe(10.0)
            breaker.observe("success", 0.0, _FEW, 10.0)
        for _ in range(3):
            breaker.observe("failed", 0.0, _FEW, 10.0 + wait_s)
        assert breaker.state(10.0 + wait_s) == "open"
        assert breaker.opens_in_s(10.0 + wait_s) == open_s


def test_an_outage_is_forgotten_when_it_has_ended() -> None:
    """Neither the failures that opened the circuit nor those that came late count afterwards."""
    for back_s in (12.0, 120.0):
        health = ChannelHealth(RoutingRules(breaker=_RULES), 0.0)
        for _ in range(50):
            health.observe("success", 0.2, 0.0)
        # Most were under way when the circuit opened. In two minutes they leave the window.
        for number in range(30):
            health.observe("unknown", 8.0, 1.0 + number * 0.1)
        assert health.breaker.state(4.0) == "open"
        for _ in range(2):
            assert health.breaker.state(back_s) == "half_open"
            health.breaker.begin_probe(back_s)
            health.observe("success", 0.1, back_s + 0.2)
        assert health.breaker.state(back_s + 0.2) == "closed"
        found = health.estimate(back_s + 0.2)
        assert found.samples == 2.0
        assert found.success_rate > 0.9
