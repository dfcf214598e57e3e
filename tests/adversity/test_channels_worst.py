"""The channels at their worst, on real servers: nothing is paid twice, and nothing is lost."""

import os
from pathlib import Path

import pytest

from loadtest.channels_proof import prove_channels

pytestmark = pytest.mark.anyio

# Enough for every mood of the profile to come up; ZHIHUI_CHANNEL_PAYMENTS=10000 proves it in full.
_PAYMENTS = int(os.environ.get("ZHIHUI_CHANNEL_PAYMENTS", "150"))


@pytest.mark.slow
@pytest.mark.timeout(max(180, _PAYMENTS // 5))
async def test_nothing_is_paid_twice_and_nothing_lost(tmp_path: Path) -> None:
    """By the channels' own books each payment was taken once or not at all, also over a crash."""
    said: list[str] = []
    proof = await prove_channels(
        tmp_path,
        payments=_PAYMENTS,
        in_flight=40,
        kills=1,
        order_expires_s=5,
        # Longer than a channel of this profile takes to break its word.
        quiet_s=3.0,
        report=said.append,
    )
    assert proof.ok, (proof, said[-3:])
    assert proof.succeeded > _PAYMENTS // 2
    # The mood was what it is called: silence before and after the effect, and failed attempts.
    counts = proof.simulator["counts"]
    assert counts["lost"]
    assert counts["unanswered"]
    assert proof.exchanges > proof.attempts
