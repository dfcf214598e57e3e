"""Restart intensity: how often a thing may fail before it is left alone."""

from kernel.clock import ManualClock
from kernel.supervision import RestartIntensity, RestartPolicy
from tests.unit.kernel.harness import START

_POLICY = RestartPolicy(restarts_max=3, within_s=10.0, pause_s=1.0, pause_s_max=5.0)


def test_pause_only_beyond_the_intensity() -> None:
    """As many restarts as the policy allows cost nothing; the next one pauses."""
    clock = ManualClock(START)
    intensity = RestartIntensity(clock, _POLICY)
    assert [intensity.restarted() for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
    assert intensity.pause_left_s() == 1.0
    assert intensity.restarts == 4


def test_slow_failures_never_pause() -> None:
    """Restarts further apart than the window are forgotten."""
    clock = ManualClock(START)
    intensity = RestartIntensity(clock, _POLICY)
    for _ in range(20):
        assert intensity.restarted() == 0.0
        clock.advance(4.0)


def test_pause_doubles_up_to_its_limit() -> None:
    """While failures go on the pause doubles, and stops at the maximum."""
    clock = ManualClock(START)
    intensity = RestartIntensity(clock, _POLICY)
    for _ in range(3):
        intensity.restarted()
    assert [intensity.restarted() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_pause_passes_and_starts_small_again_after_recovery() -> None:
    """The pause runs out with the clock; after a quiet window the next one is short again."""
    clock = ManualClock(START)
    intensity = RestartIntensity(clock, _POLICY)
    for _ in range(6):
        intensity.restarted()
    assert intensity.pause_left_s() == 4.0
    clock.advance(2.5)
    assert intensity.pause_left_s() == 1.5
    clock.advance(20.0)
    assert intensity.pause_left_s() == 0.0
    assert [intensity.restarted() for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
