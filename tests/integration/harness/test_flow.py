"""Whatever a service does, every request is accounted for once, and its outcome is found."""

from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from loadtest.harness.result import RunResult
from tests.integration.harness.probe import OK, answering, make_run, refusal

pytestmark = pytest.mark.anyio


def _by_id(request_id: str, before: int) -> bytes | None:
    """Answer in every way there is, by the id alone; silence only the first time."""
    kind = crc32(request_id.encode()) % 8
    if kind == 0:
        return refusal("insufficient_funds")
    if kind == 1:
        return refusal("not_ready", retryable=True)
    if kind == 2:
        return refusal("internal")
    if kind == 3:
        return None if before == 0 else OK
    if kind == 4:
        return None if before == 0 else refusal("not_found")
    return OK


def _check(result: RunResult) -> None:
    assert result.flow.ok, result.flow.detail
    for phase in result.phases:
        counts = phase.total.counts
        assert counts.scheduled == counts.sent + counts.dropped
        assert counts.sent == counts.finished
    assert result.acknowledged.count == result.flow.counts.ok


async def test_the_lean_flow_is_conserved(nats_url: str, tmp_path: Path) -> None:
    """Two processes, all kinds of answers and none: each request has one outcome and one only."""
    async with answering(nats_url, _by_id) as came:
        result = await make_run(
            nats_url, tmp_path, engine="lean", arrivals="300", poisson=True, processes=2,
            duration_s=2.0, warmup_s=0.5, timeout_s=0.3,
        )  # fmt: skip
    _check(result)
    counts = result.flow.counts
    assert counts.sent == len(set(came))
    for outcome in ("ok", "rejected", "failed", "timed_out"):
        assert getattr(counts, outcome) > 0, outcome
    assert set(counts.codes) == {
        "insufficient_funds", "not_ready", "internal", "deadline_exceeded"
    }  # fmt: skip
    # What got no answer was asked again, under its id: half of it had been done.
    resolution = result.resolution
    assert resolution.asked == counts.timed_out == len(came) - len(set(came))
    assert resolution.done + resolution.not_done == resolution.asked
    assert min(resolution.done, resolution.not_done) > 0
    assert resolution.acknowledged.count == resolution.done
    assert (resolution.still_unknown, resolution.unknown_ids) == (0, ())
    assert result.total.counts.sent < counts.sent


async def test_the_users_flow_is_conserved(nats_url: str, tmp_path: Path) -> None:
    """The public client's answers are counted under the same names, and resolved alike."""
    async with answering(nats_url, _by_id):
        result = await make_run(
            nats_url, tmp_path, users=30, spawn_rate=100.0, duration_s=1.5, timeout_s=0.4
        )
    _check(result)
    counts = result.flow.counts
    for outcome in ("ok", "rejected", "failed", "timed_out"):
        assert getattr(counts, outcome) > 0, outcome
    assert result.resolution.done > 0
    assert result.resolution.not_done > 0


@pytest.mark.parametrize("engine", ["lean", "users"])
async def test_nobody_answers(nats_url: str, tmp_path: Path, engine: Any) -> None:
    """Where nobody listens every request failed, and the run says so by its threshold."""
    result = await make_run(
        nats_url, tmp_path, engine=engine, arrivals="50", duration_s=1.0, timeout_s=0.3,
        thresholds=("error_rate<1%",),
    )  # fmt: skip
    _check(result)
    assert result.total.counts.sent == 50
    assert result.total.counts.errors == 50
    assert [one.ok for one in result.thresholds] == [False]
    # 91 where the machine was too busy to send them in time.
    assert result.exit_code in (91, 99)


async def test_too_much_under_way_is_dropped_and_counted(nats_url: str, tmp_path: Path) -> None:
    """Arrivals beyond the bound never leave; they are in the flow, and make the run invalid."""
    async with answering(nats_url, lambda _id, before: None if before == 0 else OK):
        result = await make_run(
            nats_url, tmp_path, engine="lean", arrivals="100", duration_s=1.0, timeout_s=5.0,
            drain_s=0.2, in_flight_max=20,
        )  # fmt: skip
    _check(result)
    counts = result.total.counts
    assert (counts.scheduled, counts.sent, counts.dropped) == (100, 20, 80)
    # They were still under way when the drain was over, and all were found to be done.
    assert counts.unknown == 20
    assert result.resolution.done == 20
    assert "arrivals_dropped" in {one.code for one in result.invalid}
    assert result.exit_code == 91
