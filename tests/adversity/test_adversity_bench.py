"""The program that injects faults runs, and sees what it is there to see."""

from pathlib import Path

import msgspec
import pytest

from loadtest.adversity import AdversityPlan, chosen_faults, prove_adversity
from loadtest.adversity.case import CaseReport
from loadtest.adversity.cluster import running_cluster
from loadtest.adversity.judge import Findings, judge_stream
from loadtest.adversity.stream import PaymentStream, open_spread_accounts
from zhihui.client import Client
from zhihui.commands.bench_adversity import adversity_tools

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(180)]


async def test_a_short_run_holds(tmp_path: Path) -> None:
    """Two nodes, one fault: the figures are there and the verdict is that all holds."""
    plan = AdversityPlan(nodes=2, workers=9, only=("backends",))
    report = await prove_adversity(tmp_path, plan, adversity_tools(), say=lambda _: None)
    assert report.ok, report.cases
    (case,) = report.cases
    assert case.in_flight > 0
    assert case.findings is not None
    assert case.findings.acknowledged > 300


async def test_what_is_lost_or_doubled_is_seen(tmp_path: Path) -> None:
    """An acknowledged payment that does not stand, and one that nobody asked for, are found."""
    tools = adversity_tools()
    async with (
        running_cluster(tmp_path, ("n1",), migrate=tools.migrate) as cluster,
        Client(app="adversity", url=cluster.servers.nats.url, timeout_s=15.0) as client,
    ):
        pairs = await open_spread_accounts(client, lambda _: 0, 1)
        stream = PaymentStream(pairs, prefix="s")
        for _ in range(5):
            assert await stream.pay(client, pairs[0], 15.0)
        payee = pairs[0][1]
        sound = await judge_stream(client, stream, cluster.dsn, payee)
        assert (sound.lost, sound.doubled, sound.audit_ok) == (0, 0, True)
        first, payment_id = next(iter(stream.acknowledged.items()))
        stream.acknowledged["s-pay-never"] = "pay_never"
        stream.kept.add("s-intake-never")
        del stream.acknowledged[first]
        spoiled = await judge_stream(client, stream, cluster.dsn, payee)
        assert (spoiled.lost, spoiled.doubled) == (2, 1)
        # One under another payment's id is lost as well.
        stream.acknowledged = {first: f"{payment_id}x"}
        assert (await judge_stream(client, stream, cluster.dsn, payee)).lost == 2


@pytest.mark.parametrize(
    "change",
    [{"lost": 1}, {"doubled": 1}, {"hung": 1}, {"wrong": 1}, {"audit_ok": False}],
    ids=lambda change: next(iter(change)),
)
def test_any_offence_fails_a_case(change: dict[str, int | bool]) -> None:
    """A case holds only when nothing at all is wrong, and in time."""
    found = Findings(
        acknowledged=1, unknown=0, found=0, lost=0, doubled=0, hung=0, wrong=0, audit_ok=True
    )
    case = CaseReport(
        run=1, fault="x", in_flight=1, fault_s=0, recovery_s=1, caught_up_s=1, settled_s=1,
        findings=found,
    )  # fmt: skip
    assert case.ok
    for name in ("recovery_s", "caught_up_s", "settled_s"):
        assert not msgspec.structs.replace(case, **{name: None}).ok
    assert not msgspec.structs.replace(case, recovery_s=10.1).ok
    assert not msgspec.structs.replace(case, findings=msgspec.structs.replace(found, **change)).ok


def test_faults_are_chosen_by_their_names() -> None:
    """Nothing chosen is everything, and what no name holds is nothing."""
    names = [fault.name for fault in chosen_faults(())]
    assert len(names) == len(set(names)) >= 19
    assert {"NATS killed"} < {fault.name for fault in chosen_faults(("nats",))}
    assert chosen_faults(("no such",)) == ()
