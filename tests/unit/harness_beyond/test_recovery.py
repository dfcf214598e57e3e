"""When a service is well again, on histories whose truth is known."""

import random

import pytest

from loadtest.harness.chaos.recovery import commits_recovery, latency_recovery


def _history(outage_s: float, *, rate: int = 20, catch_up: int = 0, noise: int = 0) -> list[int]:
    """Return ten good seconds, an outage, and ten good seconds, in tenths."""
    rng = random.Random(3)  # noqa: S311 - seeded, so that a red test is red again

    def second() -> list[int]:
        return [rate + rng.randint(-noise, noise) for _ in range(10)]

    good = [count for _ in range(10) for count in second()]
    after = [count for _ in range(10) for count in second()]
    if catch_up:
        after[0] += catch_up
    return [*good, *[0] * round(outage_s * 10), *after]


@pytest.mark.parametrize("outage_s", [0.3, 1.7, 6.2])
@pytest.mark.parametrize("noise", [0, 8])
def test_an_outage_is_known_to_a_tenth(outage_s: float, noise: int) -> None:
    """The longest silence and the return of the rate are the outage, within two tenths."""
    counts = _history(outage_s, noise=noise, catch_up=40)
    longest, recovered = commits_recovery(counts, 10.0, 999.0)
    assert longest == pytest.approx(outage_s)
    assert recovered == pytest.approx(outage_s, abs=0.2)


def test_no_outage_is_none() -> None:
    """Where commits never stopped, there is no silence and nothing to wait for."""
    assert commits_recovery(_history(0.0), 10.0, 999.0) == (0.0, 0.0)


def test_a_trickle_is_not_recovery() -> None:
    """A commit now and then ends the silence, and does not end the wait for the old rate."""
    counts = [*[20] * 100, *[0, 1] * 20, *[20] * 50]
    longest, recovered = commits_recovery(counts, 10.0, 999.0)
    assert longest == pytest.approx(0.1)
    assert recovered == pytest.approx(4.0, abs=0.2)


def test_what_does_not_recover_is_said_not_to() -> None:
    """Silence up to the next step, or to the end, has no time of recovery."""
    counts = _history(8.0)
    assert commits_recovery(counts, 10.0, 15.0) == (5.0, None)


def _seconds(*p99s: float | None) -> list[tuple[float, float | None]]:
    return [(float(number), p99) for number, p99 in enumerate(p99s)]


def test_latency_is_well_when_it_stays_well() -> None:
    """The last return counts: a good second between bad ones does not."""
    seconds = _seconds(60, 61, 59, 60, None, 900, 90, 300, 70, 65, 60)
    assert latency_recovery(seconds, 4.0, 999.0) == 4.0


def test_the_next_fault_is_not_this_one_s_doing() -> None:
    """A second that reaches into the next fault says nothing of the one before it."""
    seconds = _seconds(60, 60, 900, 70, 60, 900, 900)
    assert latency_recovery(seconds, 2.0, 5.5) == 1.0


def test_small_latencies_have_a_floor() -> None:
    """Twice of two milliseconds is noise: below a tenth of a second all is well."""
    assert latency_recovery(_seconds(2, 2, 2, 40, 30, 2), 3.0, 999.0) == 0.0


def test_latency_that_stays_bad_never_recovers() -> None:
    """A run that ends in a bad second has no time of recovery."""
    assert latency_recovery(_seconds(60, 60, 900, 70, 900), 2.0, 999.0) is None


def test_without_a_time_before_there_is_nothing_to_return_to() -> None:
    """A fault in the first second has no latency to compare with."""
    assert latency_recovery(_seconds(60, 60), 0.0, 999.0) is None
