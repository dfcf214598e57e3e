"""Merchants and settlement on real servers: from the payment to the payout and the CSV."""

import asyncio
import csv
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
from typer.testing import CliRunner

from actors.regulation.calendar import day_of
from kernel.clock import SystemClock
from schemas.errors import Forbidden, InvalidState
from zhihui.audit import run_audit
from zhihui.audit.settlement_checks import SETTLEMENT_CHECKS
from zhihui.client import Client
from zhihui.commands.settlement import settlement
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, running_node

pytestmark = pytest.mark.anyio

_CASH = "external:cash"


class _Market:
    """A stall whose payments are split with the market, and a customer with money."""

    def __init__(self, dsn: str, nats_url: str, shop: Client, office: Client) -> None:
        self.dsn = dsn
        self.nats_url = nats_url
        self.shop = shop
        self.office = office
        self.stall = self.own = self.market = self.customer = ""
        self._numbers = iter(range(1, 1_000_000))

    async def open(self, cycle: str = "T+0") -> None:
        """Open the accounts and the merchant."""
        names = ("stall", "own", "market", "customer")
        opened = [(await self.shop.accounts.open(holder=name)).account_id for name in names]
        self.stall, self.own, self.market, self.customer = opened
        await self.shop.accounts.deposit(self.customer, 100_000_000, source=_CASH)
        shares = [{"type": "ppm", "account_id": self.market, "ppm": 50_000}]
        await self.shop.call(
            "merchant",
            "create",
            {
                "request_id": f"merchant-{self.stall}", "account_id": self.stall,
                "name": "Stall 7",
                "terms": {
                    "cycle": cycle, "settle_to": {"type": "account", "account_id": self.own},
                    "fee": {"ppm": 6_000}, "splits": {"market": {"shares": shares}},
                    "default_split": "market",
                },
            },
        )  # fmt: skip
        # Payments follow within a second.
        await SystemClock().sleep(1.0)

    async def pay(self, amount_minor: int) -> str:
        payment = await self.shop.payments.create(
            payer=self.customer, payee=self.stall, amount_minor=amount_minor
        )
        return payment.payment_id

    async def refund(self, payment_id: str, amount_minor: int) -> None:
        await self.shop.call(
            "payment",
            "refund",
            {
                "request_id": f"refund-{next(self._numbers)}", "payment_id": payment_id,
                "amount_minor": amount_minor, "reason": "returned",
            },
        )  # fmt: skip

    async def run(self, client: Client | None = None) -> dict[str, Any]:
        """Ask for a settlement and wait for its end."""
        found: dict[str, Any] = await (client or self.shop).call(
            "settlement",
            "run",
            {"request_id": f"run-{next(self._numbers)}", "merchant_id": self.stall},
        )
        with anyio.fail_after(20):
            while found["state"] not in ("settled", "failed"):
                await SystemClock().sleep(0.05)
                found = await self.shop.call(
                    "settlement", "get", {"settlement_id": found["settlement_id"]}
                )
        return found

    async def balance(self, account_id: str) -> int:
        return (await self.shop.accounts.get(account_id)).posted_minor

    async def check(self) -> None:
        """The books hold, and so does all that is claimed of settlements."""
        report = await run_audit(self.dsn)
        assert report.ok, [one.offences for one in report.checks if not one.ok]
        connection = await asyncpg.connect(self.dsn)
        try:
            assert await _offences(connection) == {}
        finally:
            await connection.close()


async def _offences(connection: asyncpg.Connection) -> dict[str, list[str]]:
    # As the audit runs them.
    await connection.execute("SET enable_nestloop = off")
    found = {check.name: await connection.fetch(check.sql) for check in SETTLEMENT_CHECKS}
    return {name: [row["row"] for row in rows] for name, rows in found.items() if rows}


@pytest.fixture
async def market(module_nats_server: EmbeddedNats, postgres_dsn: str) -> AsyncIterator[_Market]:
    """A node with a market."""
    url = module_nats_server.url
    config = NodeConfig(name="n1", nats_url=url, postgres_dsn=postgres_dsn)
    async with (
        running_node(config),
        Client(app="shop", url=url) as shop,
        Client(app="ops", url=url) as office,
    ):
        yield _Market(postgres_dsn, url, shop, office)


async def test_from_the_payment_to_the_payout(market: _Market) -> None:
    """Fee and share leave with each payment, a refund brings them back, the net is paid out."""
    await market.open()
    payment_id = await market.pay(10_000)
    # 0.6 % to the bank, 5 % of the rest to the market.
    assert await market.balance(market.market) == 497
    assert await market.balance(market.stall) == 10_000 - 60 - 497
    await market.pay(333)
    await market.refund(payment_id, 5_000)
    net = await market.balance(market.stall)
    # The market gives 249 of its 497 back, for the half fen that it and the stall share.
    assert net == (10_000 - 60 - 497) + (333 - 2 - 17) - (5_000 - 30 - 249)
    found = await market.run()
    assert (found["state"], found["payout_minor"], found["legs"]) == ("settled", net, 3)
    assert await market.balance(market.own) == net
    assert await market.balance(market.stall) == 0
    await market.check()


async def test_a_settlement_beside_two_hundred_payments(market: _Market) -> None:
    """While payments race, settlements take each leg once, and the last one takes the rest."""
    await market.open()
    settled: list[dict[str, Any]] = []

    async def sell() -> None:
        for number in range(25):
            await market.pay(1_000 + number)

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(sell)
        for _ in range(5):
            await SystemClock().sleep(0.05)
            try:
                settled.append(await market.run())
            except InvalidState:
                # There was nothing to settle just then.
                continue
    try:
        settled.append(await market.run())
    except InvalidState:
        assert settled
    assert sum(one["legs"] for one in settled) == 200
    assert await market.balance(market.own) == sum(one["payout_minor"] for one in settled)
    assert await market.balance(market.stall) == 0
    await market.check()


async def test_who_may_settle_by_hand(market: _Market) -> None:
    """D+1 is run by hand by the back office only, which finds nothing before its cut-off."""
    await market.open("D+1")
    await market.pay(10_000)
    with pytest.raises(Forbidden):
        await market.run()
    with pytest.raises(InvalidState):
        await market.run(market.office)


async def test_the_statement_as_a_file(market: _Market, tmp_path: Path) -> None:
    """The CSV has a line for each leg, and the lines add up to the payout."""
    await market.open()
    for amount in range(5_000, 5_010):
        await market.pay(amount)
    found = await market.run()
    day = day_of(SystemClock().now()).isoformat()
    statement, clearing = tmp_path / "statement.csv", tmp_path / "clearing.csv"
    said = await _command(market, "statement", "--merchant", market.stall, "--day", day,
                          "--out", str(statement))  # fmt: skip
    assert said.startswith(f"10 lines for {day}: net ")
    lines = _read(statement)
    assert len(lines) == found["legs"] == 10
    assert sum(_minor(line["net_yuan"]) for line in lines) == found["payout_minor"]
    assert {line["settlement"] for line in lines} == {found["settlement_id"]}
    await _command(market, "clearing", "--of", "shop", "--day", day, "--out", str(clearing))
    totals = {line["role"]: _minor(line["amount_yuan"]) for line in _read(clearing)}
    assert totals["merchant"] == found["payout_minor"]
    assert totals["participant"] == await market.balance(market.market)
    assert sum(totals.values()) == sum(range(5_000, 5_010))


async def test_a_statement_that_cannot_be_written_leaves_no_file(
    market: _Market, tmp_path: Path
) -> None:
    """An unknown merchant is said in one line, and neither a file nor a part of one stays."""
    out = tmp_path / "statement.csv"
    said = await _command(
        market, "statement", "--merchant", "nobody", "--day", "2026-03-04", "--out", str(out),
        code=1,
    )  # fmt: skip
    assert said == "zhihui: not_found: merchant 'nobody' does not exist\n"
    assert list(tmp_path.iterdir()) == []


# What is done to a merchant with two settlements → the checks that have to find it.
_DAMAGE = {
    """UPDATE zhihui.settlement_leg SET fee_minor = fee_minor + 1, net_minor = net_minor - 1
        WHERE gross_minor = 2000""": {"merchant_legs", "settlement_sums"},
    "DELETE FROM zhihui.settlement_leg WHERE gross_minor = 2000": {
        "merchant_legs", "settlement_sums",
    },
    "DELETE FROM zhihui.settlement WHERE number = 1": {"settlement_chain", "settlement_payouts"},
    "UPDATE zhihui.settlement SET after_seq = after_seq - 1 WHERE number = 2": {
        "settlement_chain"
    },
    "UPDATE zhihui.settlement SET carried_out_minor = 5 WHERE number = 1": {
        "settlement_chain", "settlement_sums",
    },
    "UPDATE zhihui.settlement SET payout_minor = payout_minor + 1 WHERE number = 2": {
        "settlement_payouts", "settlement_sums",
    },
    "UPDATE zhihui.settlement_range SET to_seq = to_seq - 1": {
        "settlement_chain", "settlement_sums",
    },
    "UPDATE zhihui.clearing SET amount_minor = 0 WHERE role = 'bank'": {"settlement_sums"},
    """INSERT INTO zhihui.transfer
       SELECT change_seq + 1000, number, debit, credit, amount_minor, asset, purpose
         FROM zhihui.transfer WHERE purpose = 'merchant.payout'""": {"settlement_payouts"},
}  # fmt: skip


async def test_the_audit_finds_what_is_wrong(market: _Market) -> None:
    """Each damage to legs and settlements breaks the claims that it should, and no others."""
    await market.open()
    await market.pay(1_000)
    await market.pay(2_000)
    await market.run()
    await market.pay(3_000)
    await market.run()
    await market.check()
    connection = await asyncpg.connect(market.dsn)
    try:
        # Rows that are never rewritten are, for once.
        await connection.execute("SET session_replication_role = replica")
        for sql, named in _DAMAGE.items():
            transaction = connection.transaction()
            await transaction.start()
            done = await connection.execute(sql)
            assert not done.endswith(" 0"), sql
            assert set(await _offences(connection)) == named, sql
            await transaction.rollback()
    finally:
        await connection.close()


async def _command(market: _Market, *arguments: str, code: int = 0) -> str:
    done = await asyncio.to_thread(
        CliRunner().invoke, settlement, list(arguments), env={"ZHIHUI_NATS_URL": market.nats_url}
    )
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _minor(yuan: str) -> int:
    whole, cents = yuan.split(".")
    return int(whole + cents)
