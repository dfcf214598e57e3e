"""Whose money it is, through the public door: what an app may touch, and what only the bank may."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from schemas.errors import NotFound
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, running_node

pytestmark = pytest.mark.anyio

_FUNDS = 1_000
_CASH = "external:cash"
_UNIONPAY = "external:unionpay"
_NOBODY = "acct_nobody"


class _Lab:
    """A node with two apps of one account each."""

    def __init__(self, dsn: str, shop: Client, gym: Client, ours: str, theirs: str) -> None:
        self.dsn = dsn
        self.shop = shop
        self.gym = gym
        self.ours = ours
        self.theirs = theirs
        self._expected = {ours: _FUNDS, theirs: _FUNDS}

    async def pay(self, payer: str, payee: str) -> Any:
        return await self.shop.payments.create(payer=payer, payee=payee, amount_minor=5)

    async def deposit(self, account_id: str, source: str) -> Any:
        return await self.shop.accounts.deposit(account_id, 5, source=source)

    def paid(self, amount_minor: int) -> None:
        """Note that our app paid theirs."""
        self._expected[self.ours] -= amount_minor
        self._expected[self.theirs] += amount_minor

    async def check(self) -> None:
        """The books are whole, and nothing moved but what should have."""
        report = await run_audit(self.dsn)
        assert report.ok, [one.offences for one in report.checks if not one.ok]
        connection = await asyncpg.connect(self.dsn)
        try:
            rows = await connection.fetch(
                "SELECT account_id, posted_minor FROM zhihui.balance WHERE posted_minor != 0"
            )
        finally:
            await connection.close()
        held = {row["account_id"]: row["posted_minor"] for row in rows}
        # All money came from one source.
        assert held == {**self._expected, _UNIONPAY: -2 * _FUNDS}


@pytest.fixture(scope="module")
async def lab(module_nats_server: EmbeddedNats, module_postgres_dsn: str) -> AsyncIterator[_Lab]:
    """One node for all rules; each test ends with a check of the books."""
    nats, dsn = module_nats_server, module_postgres_dsn
    config = NodeConfig(name="n1", nats_url=nats.url, postgres_dsn=dsn)
    async with (
        running_node(config),
        Client(app="shop", url=nats.url) as shop,
        Client(app="gym", url=nats.url) as gym,
    ):
        accounts = []
        for client, holder in ((shop, "Li"), (gym, "Wang")):
            account = await client.accounts.open(holder=holder)
            await client.accounts.deposit(account.account_id, _FUNDS, source=_UNIONPAY)
            accounts.append(account.account_id)
        yield _Lab(dsn, shop, gym, *accounts)


_REFUSED: dict[str, tuple[Callable[[_Lab], Awaitable[Any]], str]] = {
    "pay to an account of the bank": (lambda lab: lab.pay(lab.ours, _CASH), "payee"),
    "pay to nobody": (lambda lab: lab.pay(lab.ours, _NOBODY), "payee"),
    "pay from an account of the bank": (lambda lab: lab.pay(_CASH, lab.ours), "payer"),
    "pay from another app": (lambda lab: lab.pay(lab.theirs, lab.ours), "payer"),
    "pay between accounts of the bank": (lambda lab: lab.pay(_CASH, _UNIONPAY), "payer"),
    "deposit for another app": (lambda lab: lab.deposit(lab.theirs, _CASH), "account_id"),
    "deposit for the bank": (lambda lab: lab.deposit(_UNIONPAY, _CASH), "account_id"),
    "deposit for nobody": (lambda lab: lab.deposit(_NOBODY, _CASH), "account_id"),
    "deposit from an unknown source": (
        lambda lab: lab.deposit(lab.ours, "external:nowhere"), "source",
    ),
    "deposit from our own account": (lambda lab: lab.deposit(lab.ours, lab.ours), "source"),
    "deposit from another app": (lambda lab: lab.deposit(lab.ours, lab.theirs), "source"),
    "read another app's account": (lambda lab: lab.shop.accounts.get(lab.theirs), "account_id"),
    "read an account of the bank": (lambda lab: lab.shop.accounts.get(_CASH), "account_id"),
    "another app's statement": (lambda lab: lab.shop.accounts.statement(lab.theirs), "account_id"),
    "statement of the bank": (lambda lab: lab.shop.accounts.statement(_CASH), "account_id"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(_REFUSED))
async def test_account_out_of_reach_does_not_exist(lab: _Lab, name: str) -> None:
    """What an app may not touch is answered as if it were not there, and no money moves."""
    attempt, field = _REFUSED[name]
    with pytest.raises(NotFound) as refused:
        await attempt(lab)
    assert refused.value.field == field
    await lab.check()


async def test_refusal_does_not_tell_what_exists(lab: _Lab) -> None:
    """Another app's account is refused in the very words in which a missing one is."""
    words = []
    for name in (lab.theirs, _NOBODY):
        attempts: tuple[Awaitable[Any], ...] = (
            lab.pay(name, lab.ours), lab.deposit(name, _CASH), lab.shop.accounts.get(name),
            lab.shop.accounts.statement(name),
        )  # fmt: skip
        said = []
        for attempt in attempts:
            with pytest.raises(NotFound) as refused:
                await attempt
            said.append(refused.value.message.replace(name, "*"))
        words.append(said)
    assert words[0] == words[1]
    await lab.check()


async def test_refused_request_stays_refused(lab: _Lab) -> None:
    """The same request again gets the same answer, in its field too."""
    fields = []
    for _ in range(2):
        with pytest.raises(NotFound) as refused:
            await lab.shop.accounts.deposit(lab.theirs, 5, source=_CASH, request_id="again")
        fields.append(refused.value.field)
    assert fields == ["account_id", "account_id"]
    await lab.check()


async def test_another_app_may_be_paid_and_not_asked_about_it(lab: _Lab) -> None:
    """Money may go to any customer; the payment is then the payer's to read, and only theirs."""
    payment = await lab.shop.payments.create(
        payer=lab.ours, payee=lab.theirs, amount_minor=30, request_id="to-the-gym"
    )
    lab.paid(30)
    assert payment.status == "succeeded"
    assert await lab.shop.payments.get(payment.payment_id) == payment
    assert await lab.shop.payments.get(request_id="to-the-gym") == payment
    with pytest.raises(NotFound) as by_payment:
        await lab.gym.payments.get(payment.payment_id)
    with pytest.raises(NotFound) as by_request:
        await lab.gym.payments.get(request_id="to-the-gym")
    assert (by_payment.value.field, by_request.value.field) == ("payment_id", "request_id")
    assert (await lab.gym.accounts.get(lab.theirs)).posted_minor == _FUNDS + 30
    # Of a request of another app the statement shows what it did, and not its id.
    entry = (await lab.gym.accounts.statement(lab.theirs)).entries[-1]
    assert (entry.amount_minor, entry.operation, entry.request_id) == (30, "payment.create", "")
    await lab.check()
