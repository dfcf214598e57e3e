"""Credit on real servers: a payment in instalments, its due dates, repayments and refunds."""

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest

from actors.customers.keyring import ensure_keyring
from actors.customers.reference_source import read_reference
from actors.customers.services import DATA_KEYS_SETTING
from kernel.clock import SystemClock
from kernel.randomness import SystemRandomness
from schemas.errors import InsufficientFunds, InvalidState, NotFound
from tests.eventually import eventually
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.node import NodeConfig, running_node
from zhihui.sandbox import SANDBOX_VARIABLE, move_clock

pytestmark = pytest.mark.anyio

_MONTH = timedelta(days=32)
_numbers = itertools.count(1)

_BOOKS = """
SELECT 'account ' || account_id AS row, account_id, NULL::bigint AS change_seq,
       format('owes %s', -posted_minor) AS found,
       format('%s, by its plans', coalesce(owed, 0)) AS expected
  FROM (SELECT account_id, posted_minor FROM zhihui.account JOIN zhihui.balance USING (account_id)
         WHERE type IN ('credit_line', 'credit_charges')) AS a
  FULL JOIN (SELECT line_id AS account_id, sum(principal_minor) AS owed
               FROM zhihui.credit_plan GROUP BY line_id
             UNION ALL
             SELECT line_id || ':charges', sum(charges_minor)
               FROM zhihui.credit_plan GROUP BY line_id) AS p USING (account_id)
 WHERE posted_minor IS DISTINCT FROM -coalesce(owed, 0)
UNION ALL
SELECT 'plan ' || plan_id, line_id, change_seq,
       format('%s, and owes %s', status, principal_minor + charges_minor), 'nothing owed'
  FROM zhihui.credit_plan
 WHERE status NOT IN ('active', 'overdue') AND (principal_minor <> 0 OR charges_minor <> 0)
"""


class _Lab:
    """A customer with an account and an active line, and a shop."""

    def __init__(self, dsn: str, shop: Client, ops: Client) -> None:
        self.dsn = dsn
        self.shop = shop
        self.ops = ops
        self.account = ""
        self.till = ""
        self.line = ""

    async def call(self, operation: str, *, client: Client | None = None, **body: Any) -> Any:
        """Return the result of a request; mutations get an id."""
        service, verb = operation.split(".")
        if verb not in ("get", "plan", "plans", "payoff"):
            body.setdefault("request_id", f"r-{next(_numbers)}")
        return await (client or self.shop).call(service, verb, body)

    async def open(self, kind: str) -> "_Lab":
        """Open everything; return itself."""
        person = read_reference().people[0]
        customer = await self.call(
            "customer.register", name=person.name, id_number=person.id_number, phone=person.phone
        )
        self.account = (await self.shop.accounts.open(holder="Wang")).account_id
        self.till = (await self.shop.accounts.open(holder="Bikes", type="merchant")).account_id
        await self.shop.accounts.deposit(self.account, 1_000_000, source="external:cash")
        line = await self.call(
            "credit.apply", customer_id=customer["customer_id"], kind=kind,
            account_id=self.account, limit_minor=2_000_000,
        )  # fmt: skip
        self.line = line["line_id"]
        await self.call(
            "credit.grant", client=self.ops, line_id=self.line, limit_minor=1_000_000,
            decided_by="clerk",
        )  # fmt: skip
        return self

    async def quoted(self, amount_minor: int, terms: int = 3) -> str:
        """Return a new quote."""
        quote = await self.call(
            "credit.quote", line_id=self.line, amount_minor=amount_minor, terms=terms
        )
        return str(quote["quote_id"])

    async def pay(self, amount_minor: int, quote_id: str, **more: Any) -> Any:
        """Pay the shop from the line."""
        source = {"type": "credit", "line_id": self.line, "quote_id": quote_id}
        return await self.call(
            "payment.create", payee=self.till, amount_minor=amount_minor, funding=[source], **more
        )

    async def plan(self) -> Any:
        """Return the newest plan of the line."""
        found = await self.call("credit.plans", line_id=self.line, limit=100)
        return found["plans"][-1]

    async def posted(self, account_id: str) -> int:
        """Return a balance of the app's."""
        return (await self.shop.accounts.get(account_id)).posted_minor

    async def until_status(self, status: str) -> Any:
        """Wait for the newest plan to have a status, and return it."""

        async def there() -> bool:
            return bool((await self.plan())["status"] == status)

        await eventually(there, f"the plan is {status}")
        return await self.plan()

    async def execute(self, sql: str, *arguments: Any) -> None:
        """Change the database by hand."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(sql, *arguments)
        finally:
            await connection.close()

    async def wrong_books(self) -> list[Any]:
        """Return what owes something else than the plans say."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(_BOOKS)]
        finally:
            await connection.close()


@pytest.fixture
async def lab(postgres_dsn: str, nats_url: str, tmp_path: Path) -> AsyncIterator[_Lab]:
    """A node whose date can be moved, an app and the back office."""
    keys = tmp_path / "keys.json"
    ensure_keyring(keys, SystemRandomness(), SystemClock().now())
    settings = {SANDBOX_VARIABLE: "1", DATA_KEYS_SETTING: str(keys)}
    config = NodeConfig(name="n1", nats_url=nats_url, postgres_dsn=postgres_dsn, settings=settings)
    async with (
        running_node(config),
        Client(app="shop", url=nats_url) as shop,
        Client(app="ops", url=nats_url) as ops,
    ):
        yield _Lab(postgres_dsn, shop, ops)


async def test_a_payment_in_instalments_to_its_end(lab: _Lab) -> None:
    """Drawn with the payment, billed by timers, paid automatically, and the line is free again."""
    await lab.open("instalment")
    await lab.call("credit.autopay", line_id=lab.line, autopay=True)
    await lab.pay(600_000, await lab.quoted(600_000))
    assert await lab.posted(lab.till) == 600_000
    assert (await lab.plan())["payment_id"].startswith("pay")
    for paid in (1, 2, 3):
        await move_clock(lab.ops, _MONTH)

        async def term_is_paid(number: int = paid) -> bool:
            terms = (await lab.plan())["terms"]
            return sum(term["paid_on"] is not None for term in terms) >= number

        await eventually(term_is_paid, f"term {paid} is paid")
        assert await lab.wrong_books() == []
    plan = await lab.until_status("paid")
    fee = sum(term["charge_minor"] for term in plan["terms"])
    assert fee == 600_000 * 6_500 * 3 // 10**6
    assert await lab.posted(lab.account) == 1_000_000 - 600_000 - fee
    line = await lab.call("credit.get", line_id=lab.line)
    assert (line["drawn_minor"], line["available_minor"]) == (0, 1_000_000)
    assert (await run_audit(lab.dsn)).ok


async def test_overdue_repaid_and_refunded(lab: _Lab) -> None:
    """A plan falls overdue, is cured by a repayment that says its split, and is then refunded."""
    await lab.open("instalment")
    payment = await lab.pay(300_000, await lab.quoted(300_000))
    await move_clock(lab.ops, timedelta(days=40))
    late = await lab.until_status("overdue")
    assert late["penalty_minor"] > 0
    with pytest.raises(Exception, match="overdue"):
        await lab.quoted(100_000)
    repaid = await lab.call("credit.repay", line_id=lab.line)
    assert repaid["penalty_minor"] == late["penalty_minor"]
    assert (repaid["charge_minor"], repaid["principal_minor"]) == (1_950, 100_000)
    before = await lab.posted(lab.account)
    await lab.call("payment.refund", payment_id=payment["payment_id"], amount_minor=300_000)
    plan = await lab.until_status("refunded")
    assert (plan["outstanding_minor"], plan["returned_minor"]) == (0, 100_000)
    assert await lab.posted(lab.account) == before + 100_000
    assert await lab.posted(lab.till) == 0
    assert await lab.wrong_books() == []
    assert (await run_audit(lab.dsn)).ok


async def test_a_loan_is_drawn_and_settled_early(lab: _Lab) -> None:
    """Ten days of a loan cost ten days of interest."""
    await lab.open("loan")
    plan = await lab.call("credit.draw", line_id=lab.line, quote_id=await lab.quoted(900_000, 12))
    assert await lab.posted(lab.account) == 1_900_000
    await move_clock(lab.ops, timedelta(days=10))

    async def ten_days() -> bool:
        payoff = await lab.call("credit.payoff", plan_id=plan["plan_id"])
        return bool(payoff["charge_minor"] == 10 * 90)

    await eventually(ten_days, "ten days have passed")
    settled = await lab.call("credit.settle", plan_id=plan["plan_id"], total_minor=900_900)
    assert settled["plans"][0]["status"] == "settled"
    assert await lab.posted(lab.account) == 1_000_000 - 900
    assert await lab.wrong_books() == []


async def test_damage_to_a_plan_is_seen(lab: _Lab) -> None:
    """A plan that says a fen more than the line owes, and one that is over and owes, are named."""
    await lab.open("instalment")
    await lab.pay(300_000, await lab.quoted(300_000))
    plan_id = (await lab.plan())["plan_id"]
    assert await lab.wrong_books() == []
    update = "UPDATE zhihui.credit_plan SET {} WHERE plan_id = $1"
    await lab.execute(update.format("principal_minor = principal_minor + 1"), plan_id)
    assert [row[0] for row in await lab.wrong_books()] == [f"account {lab.line}"]
    await lab.execute(update.format("status = 'paid', principal_minor = 300000"), plan_id)
    assert [row[0] for row in await lab.wrong_books()] == [f"plan {plan_id}"]


async def test_racing_payments_share_a_limit_exactly(lab: _Lab) -> None:
    """Of 30 payments at once on a line for ten, ten are paid; no quote is used twice."""
    await lab.open("instalment")
    quotes = [await lab.quoted(100_000) for _ in range(30)]
    paid: list[str] = []
    refused: list[str] = []

    async def pay(quote_id: str) -> None:
        try:
            await lab.pay(100_000, quote_id)
        except InsufficientFunds:
            refused.append(quote_id)
        else:
            paid.append(quote_id)

    async with anyio.create_task_group() as tasks:
        for quote_id in quotes:
            tasks.start_soon(pay, quote_id)
    assert (len(paid), len(refused)) == (10, 20)
    assert await lab.posted(lab.till) == 1_000_000
    with pytest.raises(InvalidState):
        await lab.pay(100_000, paid[0])
    with pytest.raises(NotFound):
        await lab.shop.accounts.get(lab.line)
    assert await lab.wrong_books() == []
