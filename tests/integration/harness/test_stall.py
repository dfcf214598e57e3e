"""The harness does not lie about a stall: it is in the figures as those who waited felt it."""

import asyncio
import time
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg

from loadtest.harness.result import RunResult
from tests.integration.harness.probe import OK, make_run

pytestmark = pytest.mark.anyio


async def _stalled_run(
    url: str, folder: Path, *, stall_after_s: float, stall_s: float, **plan: Any
) -> tuple[RunResult, int]:
    """Run against a service that answers at once, except for the time of its stall."""
    waiting: list[Msg] = []
    bodies: set[bytes] = set()
    began_s: float | None = None
    release: list[asyncio.Task[None]] = []

    async def release_all() -> None:
        assert began_s is not None
        await asyncio.sleep(began_s + stall_after_s + stall_s - time.perf_counter())
        for message in waiting:
            await message.respond(OK)

    async def answer(message: Msg) -> None:
        nonlocal began_s
        now_s = time.perf_counter()
        if began_s is None:
            began_s = now_s
            release.append(asyncio.get_running_loop().create_task(release_all()))
        bodies.add(message.data)
        if stall_after_s <= now_s - began_s < stall_after_s + stall_s:
            waiting.append(message)
        else:
            await message.respond(OK)

    client = await nats.connect(url)
    try:
        await client.subscribe("zh.v1.*.probe.*", cb=answer)
        await client.flush()
        result = await make_run(url, folder, **plan)
        await asyncio.gather(*release)
    finally:
        await client.close()
    return result, len(bodies)


@pytest.mark.slow
async def test_a_stall_shows_in_every_request_that_it_held_up(
    nats_url: str, tmp_path: Path
) -> None:
    """Two seconds of stall at 200/s over ten: p95 1.50 s, mean 204 ms, and all 2,000 are sent."""
    result, came = await _stalled_run(
        nats_url, tmp_path, stall_after_s=4, stall_s=2,
        engine="lean", arrivals="200", duration_s=10.0,
    )  # fmt: skip
    counts, response = result.total.counts, result.total.response
    assert (counts.scheduled, counts.sent, counts.ok, counts.dropped) == (2000, 2000, 2000, 0)
    assert came == 2000
    assert result.flow.ok
    p95_ms, mean_ms = response.percentile_ms(95), response.mean_ms
    assert p95_ms is not None
    assert mean_ms is not None
    assert abs(p95_ms - 1500) <= 0.03 * 1500
    assert abs(mean_ms - 204) <= 0.05 * 204
    # 2,000 samples are enough for p99 and not for p99.9.
    assert response.percentile_ms(99) is not None
    assert response.percentile_ms(99.9) is None


async def test_users_feel_a_stall_as_well(nats_url: str, tmp_path: Path) -> None:
    """With users who come at a rate, one second of stall in four holds up a quarter of them."""
    result, came = await _stalled_run(
        nats_url, tmp_path, stall_after_s=1.5, stall_s=1, arrivals="100", duration_s=4.0
    )
    counts, response = result.total.counts, result.total.response
    assert counts.sent == counts.ok == came == 400
    p90_ms = response.percentile_ms(90)
    assert p90_ms is not None
    # The longest tenth of 400 are those 40 who waited for more than 0.6 s.
    assert 450 <= p90_ms <= 900
    p50_ms = response.percentile_ms(50)
    assert p50_ms is not None
    assert p50_ms < 200


async def test_a_closed_loop_hides_the_stall(nats_url: str, tmp_path: Path) -> None:
    """The same stall before two users who wait for their answers: they send less, and it vanishes.

    So it is what is measured that differs, and not only a figure.
    """
    result, _ = await _stalled_run(
        nats_url, tmp_path, stall_after_s=1.5, stall_s=1, users=2, duration_s=4.0
    )
    counts, response = result.total.counts, result.total.response
    assert counts.sent < 400
    p95_ms = response.percentile_ms(95)
    assert p95_ms is not None
    assert p95_ms < 450
    assert response.max_ms is not None
    assert response.max_ms > 700
