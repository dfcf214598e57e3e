"""Funds through the public door of a running node, on real NATS and real Postgres."""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import asyncpg
import pytest

from actors.regulation.calendar import day_of
from kernel.clock import SystemClock
from schemas.errors import Forbidden, Ineligible, InsufficientFunds, LimitExceeded, NotFound
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, running_node

pytestmark = pytest.mark.anyio

_CAP = 1_000_000
# Of one person. What one account asks for is decided one by one, so a race needs several.
_ACCOUNTS = 20
_TIMES = 10

# However busy the machine is that runs the tests.
_PATIENCE_S = 50.0

_names = itertools.count(1)


class _Lab:
    """A node, an app and the back office; each test opens accounts and a fund of its own."""

    def __init__(self, dsn: str, shop: Client, staff: Client) -> None:
        self.dsn = dsn
        self.shop = shop
        self.staff = staff

    async def account(self, funds: int = 0, holder: str = "") -> str:
        """Return a new account with money in it."""
        opened = await self.shop.accounts.open(holder=holder or f"holder {next(_names)}")
        if funds:
            await self.shop.accounts.deposit(opened.account_id, funds, source="external:cash")
        return opened.account_id

    async def fund(self, **terms: Any) -> str:
        """Return a new fund whose units are confirmed at once."""
        code = f"MMF{next(_names)}"
        body = {
            "request_id": f"fund-{code}", "fund": code, "name": "Money", "confirm_days": 0,
            "advance": {"advanced_by": "own_bank", "limit_minor": 100 * _CAP}, **terms,
        }  # fmt: skip
        await self.staff.call("fund", "create", body)
        return code

    async def buy(self, fund: str, cash: str, amount: int) -> Any:
        """Return the order of a subscription."""
        body = {
            "request_id": f"buy-{next(_names)}", "fund": fund, "cash_account": cash,
            "amount_minor": amount,
        }  # fmt: skip
        return await self.shop.call("wealth", "subscribe", body)

    async def redeem(self, units: str, amount: int, **how: Any) -> Any:
        """Return the order of a redemption."""
        body = {
            "request_id": f"redeem-{next(_names)}", "units_account": units, "amount_minor": amount,
            **how,
        }  # fmt: skip
        return await self.shop.call("wealth", "redeem", body)

    async def pay(self, payee: str, amount: int, *funding: dict[str, Any]) -> Any:
        """Return a payment out of these sources."""
        body = {
            "request_id": f"pay-{next(_names)}", "payee": payee, "amount_minor": amount,
            "funding": funding,
        }  # fmt: skip
        return await self.shop.call("payment", "create", body)

    async def posted(self, account_id: str) -> int:
        """Return a balance as the database has it, the bank's own accounts included."""
        rows = await self.fetch(
            "SELECT posted_minor FROM zhihui.balance WHERE account_id = $1", account_id
        )
        return int(rows[0][0])

    async def fetch(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()


@pytest.fixture(scope="module")
async def running(
    module_nats_server: EmbeddedNats, module_postgres_dsn: str
) -> AsyncIterator[_Lab]:
    """One node for all tests."""
    nats, dsn = module_nats_server, module_postgres_dsn
    async with (
        running_node(NodeConfig(name="n1", nats_url=nats.url, postgres_dsn=dsn)),
        Client(app="shop", url=nats.url, timeout_s=_PATIENCE_S) as shop,
        Client(app="ops", url=nats.url, timeout_s=_PATIENCE_S) as staff,
    ):
        yield _Lab(dsn, shop, staff)


@pytest.fixture
async def lab(running: _Lab) -> AsyncIterator[_Lab]:
    """Every test ends with an audit."""
    yield running
    report = await run_audit(running.dsn)
    assert report.ok, [one.offences for one in report.checks if not one.ok]


async def test_units_are_bought_redeemed_and_read(lab: _Lab) -> None:
    """The holding, the order and the fund say what was done, and events tell it."""
    fund, cash = await lab.fund(), await lab.account(50_000)
    order = await lab.buy(fund, cash, 40_000)
    units = order["units_account"]
    with pytest.raises(InsufficientFunds):
        await lab.buy(fund, cash, 10_001)
    waiting = await lab.redeem(units, 15_000)
    paid = await lab.redeem(units, 5_000, instant=True)
    assert (order["status"], waiting["status"], paid["status"]) == (
        "confirmed", "accepted", "paid",
    )  # fmt: skip
    holding = await lab.shop.call("wealth", "get", {"units_account": units})
    assert {name: holding[name] for name in holding if name.endswith("_minor")} == {
        "units_minor": 35_000, "unconfirmed_minor": 0, "redeeming_minor": 15_000,
        "redeemable_minor": 20_000, "instant_minor": 20_000, "income_minor": 0,
        "last_income_minor": 0,
    }  # fmt: skip
    read = await lab.shop.call("wealth", "order", {"order_id": waiting["order_id"]})
    assert read == waiting
    seen = await lab.shop.call("fund", "get", {"fund": fund})
    assert (seen["units_minor"], seen["advanced_minor"]) == (40_000, 5_000)
    assert (await lab.shop.accounts.get(cash)).posted_minor == 15_000
    rows = await lab.fetch(
        "SELECT type, data FROM zhihui.event WHERE app = 'shop' AND type LIKE 'wealth.%'"
        " AND data LIKE $1 ORDER BY seq",
        f"%{units}%",
    )
    assert [row[0] for row in rows] == ["wealth.subscribed", "wealth.redeeming", "wealth.redeemed"]
    assert json.loads(rows[1][1]) == waiting


async def test_the_back_office_alone_makes_funds(lab: _Lab) -> None:
    """An app is refused, and so is an institution that may not advance money."""
    body = {"request_id": "own", "fund": "OWN", "name": "Mine"}
    with pytest.raises(Forbidden):
        await lab.shop.call("fund", "create", body)
    advance = {"advanced_by": "pay_company", "limit_minor": 1}
    with pytest.raises(Ineligible):
        await lab.staff.call("fund", "create", {**body, "advance": advance})
    with pytest.raises(NotFound):
        await lab.shop.call("fund", "get", {"fund": "OWN"})


async def _investor(lab: _Lab, fund: str) -> list[tuple[str, str]]:
    """Return the units and cash accounts of one person: each is an actor of its own."""
    holder = f"investor {next(_names)}"
    found = []
    for _ in range(_ACCOUNTS):
        cash = await lab.account(_CAP, holder)
        found.append(((await lab.buy(fund, cash, _CAP))["units_account"], cash))
    return found


async def test_racing_redemptions_meet_the_cap_exactly(lab: _Lab) -> None:
    """Of 200 instant redemptions of ¥100, out of 20 accounts at once, 100 are paid."""
    fund, clock = await lab.fund(), SystemClock()
    while True:
        accounts = await _investor(lab, fund)
        day = day_of(clock.now())
        outcomes = await _race(lab, [units for units, _ in accounts])
        if day_of(clock.now()) == day:
            break
        # Midnight in Shanghai has cut the race in two; one holds on each day.
    assert (outcomes.count("paid"), outcomes.count("limit_exceeded")) == (100, 100)
    left = [await lab.posted(units) for units, _ in accounts]
    paid = [await lab.posted(cash) for _, cash in accounts]
    assert (sum(left), sum(paid)) == ((_ACCOUNTS - 1) * _CAP, _CAP)
    rows = await lab.fetch(
        "SELECT amount_minor, count FROM zhihui.tally WHERE tally_id LIKE $1",
        f"redeem:%:{fund}:shop:{day.isoformat()}",
    )
    assert (_CAP, 100) in rows


async def _race(lab: _Lab, units: list[str]) -> list[str]:
    outcomes: list[str] = []

    async def lane(account: str) -> None:
        for _ in range(_TIMES):
            try:
                outcomes.append((await lab.redeem(account, 10_000, instant=True))["status"])
            except LimitExceeded as error:
                outcomes.append(error.code)

    async with anyio.create_task_group() as tasks:
        for account in units:
            tasks.start_soon(lane, account)
    return outcomes


async def test_a_request_sent_again_is_the_same_order(lab: _Lab) -> None:
    """Neither money nor units move twice."""
    fund, cash = await lab.fund(), await lab.account(1_000)
    body = {"request_id": "twice", "fund": fund, "cash_account": cash, "amount_minor": 600}
    first = await lab.shop.call("wealth", "subscribe", body)
    assert await lab.shop.call("wealth", "subscribe", body) == first
    assert (await lab.shop.accounts.get(cash)).posted_minor == 400


async def test_a_payment_straight_from_a_holding(lab: _Lab) -> None:
    """Up to the cap the fund pays, the next source the rest; refunds come back as money."""
    fund, cash, payee = await lab.fund(), await lab.account(5 * _CAP), await lab.account()
    units = (await lab.buy(fund, cash, 4 * _CAP))["units_account"]
    wealth = {"type": "wealth", "units_account": units, "cash_account": cash}
    with pytest.raises(LimitExceeded):
        await lab.pay(payee, _CAP + 500, wealth)
    assert await lab.posted(units) == 4 * _CAP
    account = {"type": "account", "account_id": await lab.account(1_000)}
    paid = await lab.pay(payee, _CAP + 500, wealth, account)
    assert [one["amount_minor"] for one in paid["sources"]] == [_CAP, 500]
    assert (paid["status"], await lab.posted(payee)) == ("succeeded", _CAP + 500)
    assert await lab.posted(units) == 3 * _CAP
    assert await lab.posted(cash) == _CAP
    assert await lab.posted(f"fund:{fund}:advance") == -_CAP
    refund = {"request_id": "back", "payment_id": paid["payment_id"], "amount_minor": 10_500}
    await lab.shop.call("payment", "refund", refund)
    assert await lab.posted(account["account_id"]) == 1_000
    assert await lab.posted(cash) == _CAP + 10_000
    assert await lab.posted(units) == 3 * _CAP


async def test_racing_payments_fall_to_the_next_source_at_the_cap(lab: _Lab) -> None:
    """Of 200 payments of ¥100, 20 at a time, 100 are paid by the fund, 100 by the next source."""
    fund, clock = await lab.fund(), SystemClock()
    while True:
        accounts, payee = await _investor(lab, fund), await lab.account()
        next_source = {"type": "account", "account_id": await lab.account(2 * _CAP)}
        day = day_of(clock.now())
        paid_by: list[str] = []

        async def lane(units: str, cash: str, payee: str, then: Any, found: list[str]) -> None:
            wealth = {"type": "wealth", "units_account": units, "cash_account": cash}
            for _ in range(_TIMES):
                paid = await lab.pay(payee, 10_000, wealth, then)
                found += [source["type"] for source in paid["sources"]]

        async with anyio.create_task_group() as tasks:
            for units, cash in accounts:
                tasks.start_soon(lane, units, cash, payee, next_source, paid_by)
        if day_of(clock.now()) == day:
            break
    assert (paid_by.count("wealth"), paid_by.count("account")) == (100, 100)
    assert sum([await lab.posted(units) for units, _ in accounts]) == (_ACCOUNTS - 1) * _CAP
    assert await lab.posted(payee) == 2 * _CAP
