"""Bugs on purpose: a run of a broken node ends with 90, and one of a sound node does not."""

from pathlib import Path

import anyio
import nats
import pytest

from loadtest.harness.plan import RunPlan
from loadtest.harness.replay import read_recording
from loadtest.harness.replay.runner import run_replay
from loadtest.harness.replay.tap import recording_tap
from loadtest.harness.result import ExitCode, RunResult
from loadtest.harness.target import Target
from tests.broken_nodes.bugs import Bug
from tests.broken_nodes.proof import APP, load_node, make_payments, running_node
from zhihui.embedded.nats_server import EmbeddedNats

pytestmark = pytest.mark.anyio

# A run of one second takes five on a busy machine: a node starts, a process that makes load, and
# accounts are opened.
_TIMEOUT_S = 120


def _broken(result: RunResult) -> list[str]:
    return [one.claim for one in result.invariants if not one.ok]


@pytest.mark.timeout(_TIMEOUT_S)
@pytest.mark.parametrize(
    ("bug", "claim"),
    [
        ("lost-update", "Entries are numbered from 1 without gaps, and each continues the balance"),
        ("double-apply", "every payment that was acknowledged moved its amount once"),
        ("lost-acknowledgement", "every payment that was acknowledged is stored once"),
    ],
)
async def test_a_broken_node_is_noticed(
    bug: Bug, claim: str, postgres_dsn: str, module_nats_server: EmbeddedNats, tmp_path: Path
) -> None:
    """The verdict is 90 whatever else was measured, and names the claim that the bug breaks."""
    result = await load_node(
        bug, nats_url=module_nats_server.url, postgres_dsn=postgres_dsn, folder=tmp_path
    )
    assert result.total.counts.ok > 400
    assert result.exit_code == ExitCode.INVARIANT
    assert any(one.startswith(claim) for one in _broken(result)), _broken(result)


@pytest.mark.timeout(_TIMEOUT_S)
async def test_a_sound_node_is_not_accused_and_its_load_can_be_replayed(
    postgres_dsn: str, module_nats_server: EmbeddedNats, tmp_path: Path
) -> None:
    """No claim about a sound node is broken; its load can be replayed, twice as fast."""
    url, recording = module_nats_server.url, tmp_path / "recording.gz"
    async with running_node(None, nats_url=url, postgres_dsn=postgres_dsn, folder=tmp_path):
        async with recording_tap(url, recording) as tap:
            result = await make_payments(url, postgres_dsn)
        plan = RunPlan(scenario="", url=url, app=APP, warmup_s=0.0)
        again = await run_replay(
            plan, recording, speed=2.0, target=Target(url, postgres_dsn), folder=tmp_path
        )
    assert result.total.counts.ok == 600
    assert result.acknowledged.count == 600
    assert len(result.invariants) > 20
    assert _broken(result) == []
    # The accounts were opened under the tap as well: 20 with a deposit each, and 4.
    assert tap.statistics().requests == again.total.counts.sent == 600 + 2 * 20 + 4
    assert again.total.counts.ok == again.total.counts.sent
    assert _broken(again) == []
    paid = {one.name: one.counts.ok for one in again.names}
    assert paid["payment.create"] == 600
    assert again.acknowledged.amount_minor == result.acknowledged.amount_minor


async def test_what_is_recorded_keeps_its_moments(
    module_nats_server: EmbeddedNats, tmp_path: Path
) -> None:
    """A pause between two requests is in the recording; what is no request is not."""
    path = tmp_path / "recording.gz"
    client = await nats.connect(module_nats_server.url)
    try:
        async with recording_tap(module_nats_server.url, path, app="city"):
            await client.publish("zh.v1.city.payment.create", b'{"request_id":"1"}')
            await client.flush()
            await anyio.sleep(0.2)
            for subject in ("zh.v1.campus.payment.create", "zh.evt.v1.city.a.b"):
                await client.publish(subject, b"{}")
            await client.publish("zh.v1.city.payment.create", b'{"request_id":"2"}')
            await client.flush()
    finally:
        await client.close()
    first, second = read_recording(path)
    assert [first.body, second.body] == ['{"request_id":"1"}', '{"request_id":"2"}']
    assert second.at_s - first.at_s >= 0.19
