"""Payments out of everything a customer may have: all of it at once, and all of it back."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.customers.keyring import ensure_keyring
from actors.customers.reference_source import read_reference
from actors.customers.services import DATA_KEYS_SETTING
from kernel.clock import SystemClock
from kernel.randomness import SeededRandomness
from tests.unit.payments.payments_lab import BankLab, play


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what a node needs to keep customers."""
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    ensure_keyring(keys, SeededRandomness(1), SystemClock().now())
    return {DATA_KEYS_SETTING: str(Path(keys))}


class _Customer:
    """A customer with an account, a holding, points, a coupon and a credit line."""

    def __init__(self, lab: BankLab) -> None:
        self.lab = lab
        self.account = ""
        self.units = ""
        self.points = ""
        self.coupon = ""
        self.line = ""

    async def open(self) -> "_Customer":
        """Open all of it; return itself."""
        lab = self.lab
        person = read_reference().people[0]
        customer = await lab.ask(
            "customer.register", name=person.name, id_number=person.id_number, phone=person.phone
        )
        self.account = await lab.account(3_000_000)
        await lab.ask(
            "fund.create", by=lab.ops, fund="YEB", name="Money", confirm_days=0,
            advance={"advanced_by": "own_bank", "limit_minor": 10**9},
        )  # fmt: skip
        bought = await lab.ask(
            "wealth.subscribe", fund="YEB", cash_account=self.account, amount_minor=2_000_000
        )
        self.units = bought["units_account"]
        granted = await lab.ask(
            "points.grant", by=lab.ops, account_id=self.account, points=300, reason="welcome"
        )
        self.points = granted["points_account"]
        now = lab.world.clock.now()
        issued = await lab.ask(
            "coupon.issue", campaign="spring", budget_minor=10_000,
            discount={"face_minor": 500}, starts_at=now.isoformat(),
            ends_at=(now + timedelta(days=1)).isoformat(),
            sponsor_account=await lab.account(10_000),
        )  # fmt: skip
        self.coupon = issued["coupon_id"]
        line = await lab.ask(
            "credit.apply", customer_id=customer["customer_id"], kind="instalment",
            account_id=self.account, limit_minor=1_000_000,
        )  # fmt: skip
        self.line = line["line_id"]
        if line["status"] == "pending":
            await lab.ask(
                "credit.grant", by=lab.ops, line_id=self.line, limit_minor=1_000_000,
                decided_by="clerk",
            )  # fmt: skip
        return self

    async def quote(self, amount_minor: int) -> str:
        """Return a new quote."""
        quoted = await self.lab.ask(
            "credit.quote", line_id=self.line, amount_minor=amount_minor, terms=3
        )
        return str(quoted["quote_id"])

    async def all(self, credit_minor: int) -> list[dict[str, Any]]:
        """Return sources of every kind."""
        return [
            {"type": "coupon", "coupon_id": self.coupon},
            {"type": "points", "account_id": self.points},
            {"type": "credit", "line_id": self.line, "amount_minor": credit_minor,
             "quote_id": await self.quote(credit_minor)},
            {"type": "wealth", "units_account": self.units, "cash_account": self.account},
            {"type": "account", "account_id": self.account},
        ]  # fmt: skip


@pytest.mark.parametrize("method", ["quick", "guaranteed"])
@pytest.mark.parametrize("back", ["whole", "parts", "void"])
def test_everything_pays_and_comes_back(settings: dict[str, str], method: str, back: str) -> None:
    """Coupon, points, credit, a fund and an account pay together; refunded, each has its own."""

    async def story(lab: BankLab) -> None:
        customer = await _Customer(lab).open()
        merchant = await lab.merchant()
        before = lab.balances()
        # More than the fund may give in a day, so that the account gives the rest.
        total = 500 + 300 + 60_000 + 1_000_000 + 40_000
        paid = await lab.ask(
            "payment.create", payee=merchant, amount_minor=total, method=method,
            funding=await customer.all(60_000), verification={"factors": ["sms", "password"]},
        )  # fmt: skip
        given = {one["type"]: one["amount_minor"] for one in paid["sources"]}
        assert given == {
            "coupon": 500, "points": 300, "credit": 60_000, "wealth": 1_000_000, "account": 40_000,
        }  # fmt: skip
        assert paid["payer"] == customer.account
        named = {"payment_id": paid["payment_id"]}
        if back == "void":
            operation = "payment.void" if method == "guaranteed" else "payment.refund"
            await lab.ask(operation, **named)
        else:
            if method == "guaranteed":
                await lab.ask("payment.confirm", **named)
            assert lab.balances()[merchant] == total - total // 100
            pieces = [total] if back == "whole" else [70_000, 1_000_000, total - 1_070_000]
            for piece in pieces:
                await lab.ask("payment.refund", **named, amount_minor=piece)
        after = lab.balances()
        for account in (customer.points, customer.line, merchant, "income:merchant_fee"):
            assert after[account] == before[account], account
        # Units come back as money, and the day's redemption has happened.
        assert after[customer.account] == before[customer.account] + 1_000_000
        assert after[customer.units] == before[customer.units] - 1_000_000
        coupon = await lab.ask("coupon.get", coupon_id=customer.coupon)
        assert coupon["status"] == "issued"

    play(story, settings=settings)


def test_a_coupon_comes_back_with_the_whole_payment(settings: dict[str, str]) -> None:
    """Its part was refunded first: the coupon itself is there again when all the rest is."""

    async def story(lab: BankLab) -> None:
        customer = await _Customer(lab).open()
        account = {"type": "account", "account_id": customer.account}
        paid = await lab.ask(
            "payment.create", payee=await lab.account(), amount_minor=2_000,
            funding=[{"type": "coupon", "coupon_id": customer.coupon}, account],
        )  # fmt: skip
        named = {"payment_id": paid["payment_id"]}
        await lab.ask("payment.refund", **named, amount_minor=500, source_order=[1])
        coupon = {"coupon_id": customer.coupon}
        assert (await lab.ask("coupon.get", **coupon))["status"] == "used"
        await lab.ask("payment.refund", **named, amount_minor=1_500)
        assert (await lab.ask("coupon.get", **coupon))["status"] == "issued"

    play(story, settings=settings)


def test_what_the_fund_cannot_give_is_declined(settings: dict[str, str]) -> None:
    """A fund named with an amount above the day's cap refuses the payment by that reason."""

    async def story(lab: BankLab) -> None:
        customer = await _Customer(lab).open()
        payee = await lab.account()
        fund = {"type": "wealth", "units_account": customer.units, "cash_account": customer.account}
        body = {"payee": payee, "amount_minor": 1_000_001}
        for source in (fund, {**fund, "amount_minor": 1_000_001}):
            refused = await lab.refusal("payment.create", **body, funding=[source])
            assert refused == "limit_exceeded"

    play(story, settings=settings)


def test_credit_is_held_and_drawn_when_it_is_captured(settings: dict[str, str]) -> None:
    """An authorisation holds the line; the plan begins with the capture, which takes it whole."""

    async def story(lab: BankLab) -> None:
        customer = await _Customer(lab).open()
        payee = await lab.account()
        credit = {"type": "credit", "line_id": customer.line, "amount_minor": 60_000,
                  "quote_id": await customer.quote(60_000)}  # fmt: skip
        account = {"type": "account", "account_id": customer.account}
        paid = await lab.ask(
            "payment.create", payee=payee, amount_minor=70_000, method="authorized",
            funding=[account | {"amount_minor": 10_000}, credit],
        )  # fmt: skip
        named = {"payment_id": paid["payment_id"]}
        assert (lab.held(customer.line), lab.balances()[customer.line]) == (60_000, 0)
        await lab.ask("payment.capture", **named, amount_minor=10_000)
        part = await lab.refusal("payment.capture", **named, amount_minor=5_000)
        assert part == "invalid_state"
        await lab.ask("payment.capture", **named)
        assert (lab.held(customer.line), lab.balances()[customer.line]) == (0, -60_000)
        plans = (await lab.ask("credit.plans", line_id=customer.line))["plans"]
        assert [plan["payment_id"] for plan in plans] == [paid["payment_id"]]
        await lab.ask("payment.refund", **named)
        assert lab.balances()[customer.line] == 0
        assert lab.balances()[payee] == 0
        void = await lab.ask(
            "payment.create", payee=payee, amount_minor=60_000, method="authorized",
            funding=[credit | {"quote_id": await customer.quote(60_000)}],
        )  # fmt: skip
        await lab.ask("payment.void", payment_id=void["payment_id"])
        assert lab.held(customer.line) == 0

    play(story, settings=settings)


@pytest.mark.parametrize("type_", ["wealth", "points", "coupon", "channel"])
def test_only_money_that_is_here_can_be_held(settings: dict[str, str], type_: str) -> None:
    """An authorisation takes accounts and credit lines, and nothing else."""

    async def story(lab: BankLab) -> None:
        customer = await _Customer(lab).open()
        lab.channel()
        sources = [one for one in await customer.all(10_000) if one["type"] == type_]
        refused = await lab.refusal(
            "payment.create", payee=await lab.account(), amount_minor=5, method="authorized",
            funding=sources or [{"type": "channel"}],
        )  # fmt: skip
        assert refused == "invalid_field"

    play(story, settings=settings)
