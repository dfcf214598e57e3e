"""Clocks: the system's and the one moved by hand."""

import time
from datetime import UTC, timedelta

import pytest

from kernel.clock import ManualClock, SystemClock
from tests.unit.kernel.harness import START


def test_manual_clock_stands_still_until_moved() -> None:
    """Both times move by exactly what they are told."""
    clock = ManualClock(START)
    assert clock.now() == START
    before_ms = clock.now_ms()
    clock.advance(1.5)
    assert clock.now() == START + timedelta(seconds=1.5)
    assert clock.now_ms() == before_ms + 1_500
    assert clock.monotonic_s() == 1.5


@pytest.mark.anyio
async def test_manual_sleep_moves_the_time() -> None:
    """A sleep of an hour takes no time and an hour."""
    clock = ManualClock(START)
    await clock.sleep(3_600)
    assert clock.monotonic_s() == 3_600


def test_system_clock_agrees_with_the_system() -> None:
    """Wall time is now in UTC and aware; both forms of it agree."""
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert abs(clock.now_ms() - time.time() * 1000) < 5_000
    assert abs(clock.now().timestamp() * 1000 - clock.now_ms()) < 5_000
    assert clock.monotonic_s() <= clock.monotonic_s()
