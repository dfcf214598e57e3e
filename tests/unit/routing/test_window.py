"""The sliding window against a sum over all outcomes, and what it believes when it is empty."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.channels.routing.window import OutcomeWindow
from schemas.routing import AttemptOutcome, WindowRules
from tests.unit.routing.routing_lab import OUTCOMES

_RULES = WindowRules(
    length_s=10.0, buckets=5, half_life_s=4.0, long_half_life_s=20.0, unknown_failure=0.5
)
_WIDTH_S = 2.0
_BAD = {"success": 0.0, "declined": 0.0, "failed": 1.0, "unknown": 0.5}

_events = st.lists(
    st.tuples(st.sampled_from(OUTCOMES), st.integers(0, 40).map(lambda tenths: tenths / 10)),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(_events, st.integers(0, 60).map(float))
def test_counts_are_the_weighted_sum_of_the_window(
    events: list[tuple[AttemptOutcome, float]], wait_s: float
) -> None:
    """The counts are those of the last five buckets, each halved for every half-life of age."""
    window = OutcomeWindow(_RULES, 0.0)
    now_s, told = 0.0, []
    for outcome, later_s in events:
        now_s += later_s
        window.add(outcome, 0.3, now_s)
        told.append((outcome, int(now_s // _WIDTH_S)))
    now_s += wait_s
    good = bad = 0.0
    for outcome, bucket in told:
        age = int(now_s // _WIDTH_S) - bucket
        if age < _RULES.buckets:
            weight = 0.5 ** (age * _WIDTH_S / _RULES.half_life_s)
            good += weight * (outcome == "success")
            bad += weight * _BAD[outcome]
    assert window.counts(now_s) == pytest.approx((good, bad))


def test_nothing_known_is_the_prior() -> None:
    """Before any outcome the prior is believed, and as vaguely as it says."""
    found = OutcomeWindow(_RULES, 0.0).estimate(5.0)
    assert found.success_rate == pytest.approx(_RULES.prior_success)
    assert found.latency_s == pytest.approx(_RULES.prior_latency_s)
    assert found.samples == 0.0
    assert found.sd == pytest.approx(math.sqrt(0.9 * 0.1 / (_RULES.prior_trust + 1)))


def test_what_left_the_window_is_remembered_for_a_while() -> None:
    """After the window the long average is believed, less and less, until the prior is again."""
    window = OutcomeWindow(_RULES, 0.0)
    for _ in range(100):
        window.add("failed", 0.3, 0.0)
    rates = [window.estimate(now_s).success_rate for now_s in (0.0, 12.0, 60.0, 300.0)]
    assert rates[0] < 0.1
    assert rates[0] < rates[1] + 0.01 < rates[2] < rates[3]
    assert rates[3] == pytest.approx(_RULES.prior_success, abs=0.01)
    doubts = [window.estimate(now_s).sd for now_s in (300.0, 3_000.0)]
    assert doubts[0] == pytest.approx(doubts[1], rel=0.02)


def test_a_decline_is_no_failure_of_the_channel() -> None:
    """What lies with the payer moves the latency and not the success rate."""
    window = OutcomeWindow(_RULES, 0.0)
    for _ in range(50):
        window.add("declined", 3.0, 1.0)
    found = window.estimate(1.0)
    assert found.success_rate == pytest.approx(_RULES.prior_success)
    assert found.samples == 0.0
    assert found.latency_s > 2.0


def test_to_forget_leaves_the_long_average() -> None:
    """What is forgotten goes nowhere; what had left the window before stays known."""
    window = OutcomeWindow(_RULES, 0.0)
    for _ in range(40):
        window.add("success", 0.3, 0.0)
    window.counts(20.0)
    known = window.estimate(20.0).success_rate
    for _ in range(40):
        window.add("failed", 0.3, 20.0)
    assert window.estimate(20.0).success_rate < 0.5
    window.forget(3, 20.0)
    assert window.counts(20.0) == (3.0, 0.0)
    assert window.estimate(20.0).success_rate >= known
    window.forget(0, 20.0)
    assert window.estimate(40.0).success_rate == pytest.approx(known, abs=0.05)


def test_other_rules_keep_what_is_known() -> None:
    """Under a window of another shape the estimate is near the one before."""
    window = OutcomeWindow(_RULES, 0.0)
    for number in range(200):
        window.add("success" if number % 4 else "failed", 0.5, number * 0.05)
    before = window.estimate(10.0)
    after = window.under(WindowRules(length_s=120.0, buckets=60), 10.0).estimate(10.0)
    assert after.success_rate == pytest.approx(before.success_rate, abs=0.05)
    assert after.samples == 0.0


def test_a_clock_that_is_set_back_changes_nothing() -> None:
    """An outcome from the past counts in the newest bucket."""
    window = OutcomeWindow(_RULES, 0.0)
    window.add("success", 0.3, 50.0)
    window.add("failed", 0.3, 1.0)
    assert window.counts(1.0) == (1.0, 1.0)
    assert window.counts(50.0) == (1.0, 1.0)
