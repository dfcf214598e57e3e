"""The risk service through the public door of a running node."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from schemas.errors import (
    Forbidden,
    InvalidField,
    LimitExceeded,
    NotFound,
    RiskDeclined,
    StepUpRequired,
)
from tests.eventually import eventually
from tests.unit.risk.facts import document, rule
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, running_node

pytestmark = pytest.mark.anyio

_FUNDS = 1_000_000
_numbers = itertools.count(1)


class _Lab:
    """A node, the back office and a shop."""

    def __init__(self, dsn: str, ops: Client, shop: Client) -> None:
        self.dsn = dsn
        self.ops = ops
        self.shop = shop

    async def put(self, *rules: dict[str, Any]) -> int:
        """Put rules and wait until they are in force; return their version."""
        body = {"request_id": f"put-{next(_numbers)}", "name": "risk", "rules": document(*rules)}
        version = (await self.ops.call("rules", "put", body))["version"]

        async def in_force() -> bool:
            return bool((await self.report())["rules_version"] == version)

        await eventually(in_force, f"rules {version} in force")
        return int(version)

    async def report(self) -> dict[str, Any]:
        """Return the report of the last hour."""
        until = datetime.now(UTC) + timedelta(minutes=1)
        body = {"since": (until - timedelta(hours=1)).isoformat(), "until": until.isoformat()}
        report: dict[str, Any] = await self.ops.call("risk", "report", body)
        return report

    async def account(self) -> str:
        """Return a new account with money in it."""
        opened = await self.shop.accounts.open(holder="holder")
        await self.shop.accounts.deposit(opened.account_id, _FUNDS, source="external:cash")
        return opened.account_id

    async def pay(self, payer: str, payee: str, amount_minor: int, **fields: Any) -> dict[str, Any]:
        """Pay, as a backend does."""
        body = {"request_id": f"pay-{next(_numbers)}", "payer": payer, "payee": payee,
                "amount_minor": amount_minor, **fields}  # fmt: skip
        paid: dict[str, Any] = await self.shop.call("payment", "create", body)
        return paid


@pytest.fixture
async def lab(postgres_dsn: str, nats_server: EmbeddedNats) -> AsyncIterator[_Lab]:
    """A node of the test's own, whose rules it may change."""
    config = NodeConfig(name="n1", nats_url=nats_server.url, postgres_dsn=postgres_dsn)
    async with (
        running_node(config),
        Client(app="ops", url=nats_server.url) as ops,
        Client(app="shop", url=nats_server.url) as shop,
    ):
        yield _Lab(postgres_dsn, ops, shop)


async def test_rules_are_put_by_the_back_office_alone(lab: _Lab) -> None:
    """A sound document gets the next version; a bad one is told why and changes nothing."""
    assert (await lab.ops.call("rules", "get", {"name": "risk"}))["version"] == 0
    assert await lab.put(rule("amount")) == 1
    bad = {"request_id": "bad", "name": "risk", "rules": document(rule("velocity", count_max=None))}
    with pytest.raises(InvalidField, match="rule 'velocity': neither count_max nor"):
        await lab.ops.call("rules", "put", bad)
    kept = await lab.ops.call("rules", "get", {"name": "risk"})
    assert (kept["version"], kept["rules"]["rules"][0]["id"]) == (1, "amount")
    assert (await lab.report())["rules_version"] == 1
    for service, verb, body in (
        ("rules", "put", {**bad, "rules": document()}),
        ("risk", "report", {}),
        ("risk", "reviews", {}),
        ("risk", "explain", {"subject": "pay_1"}),
    ):
        with pytest.raises(Forbidden):
            await lab.shop.call(service, verb, body)


async def test_a_payment_passes_the_rules(lab: _Lab) -> None:
    """Declined, asked for more, waiting and paid: each is answered, kept and explained."""
    payer, payee = await lab.account(), await lab.account()
    version = await lab.put(
        rule("amount", "no", above_minor=50_000),
        rule("amount", "prove", "step_up", above_minor=10_000),
        rule("amount", "see", "review", above_minor=20_000),
        rule("amount", "trial", stage="shadow", above_minor=100),
    )
    with pytest.raises(RiskDeclined, match="no, prove, see"):
        await lab.pay(payer, payee, 60_000, request_id="big")
    with pytest.raises(StepUpRequired, match="at least 1 of password"):
        await lab.pay(payer, payee, 30_000)
    proof = {"verification": {"factors": ["sms"]}}
    assert (await lab.pay(payer, payee, 30_000, **proof))["status"] == "in_review"
    assert (await lab.pay(payer, payee, 15_000, **proof))["status"] == "succeeded"
    assert (await lab.pay(payer, payee, 50))["status"] == "succeeded"
    found = await lab.ops.call("risk", "explain", {"app": "shop", "request_id": "big"})
    assert (found["outcome"], found["reasons"], found["rules_version"]) == (
        "decline", ["no", "prove", "see"], version,
    )  # fmt: skip
    (review,) = (await lab.ops.call("risk", "reviews", {}))["reviews"]
    assert (review["payer"], review["amount_minor"]) == (payer, 30_000)
    decided = {"request_id": "ok", "payment_id": review["payment_id"], "decision": "approve",
               "reason": "known customer"}  # fmt: skip
    assert (await lab.ops.call("payment", "review", decided))["status"] == "succeeded"
    assert (await lab.ops.call("risk", "reviews", {}))["reviews"] == []
    lines = {one["rule_id"]: one for one in (await lab.report())["rules"]}
    assert lines["trial"]["outcomes"] == {"decline": 1, "step_up": 1, "review": 1, "approve": 1}
    report = await run_audit(lab.dsn)
    assert report.ok, [one for one in report.checks if not one.ok]


async def test_two_hundred_payments_race_at_a_limit(lab: _Lab) -> None:
    """Sent all at once, exactly the allowed ones stand, and the others say which limit it was."""
    payer, payee = await lab.account(), await lab.account()
    await lab.put(rule("velocity", "daily", reason="over_daily", count_max=23))

    async def pay() -> str:
        try:
            await lab.pay(payer, payee, 10)
        except LimitExceeded as error:
            return error.message
        return "paid"

    answers = await asyncio.gather(*(pay() for _ in range(200)))
    assert answers.count("paid") == 23
    told = "risk limit daily (over_daily): at most 23 payments for each customer in 86400 s"
    assert answers.count(told) == 177
    connection = await asyncpg.connect(lab.dsn)
    try:
        assert await connection.fetchval("SELECT count(*) FROM zhihui.payment") == 23
    finally:
        await connection.close()
    (line,) = (await lab.report())["rules"]
    assert (line["rule_id"], line["kind"], line["hits"]) == ("daily", "limit", 177)
    report = await run_audit(lab.dsn)
    assert report.ok, [one for one in report.checks if not one.ok]


async def test_what_nobody_paid_is_not_explained(lab: _Lab) -> None:
    """An id that stands for no movement is not found."""
    with pytest.raises(NotFound):
        await lab.ops.call("risk", "explain", {"subject": "pay_1"})
