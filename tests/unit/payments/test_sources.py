"""Payments out of everything a customer may have: all of it at once, and all of it back."""

import pytest

from tests.unit.payments.customer_lab import Customer
from tests.unit.payments.payments_lab import BankLab, play


@pytest.mark.parametrize("method", ["quick", "guaranteed"])
@pytest.mark.parametrize("back", ["whole", "parts", "void"])
def test_everything_pays_and_comes_back(settings: dict[str, str], method: str, back: str) -> None:
    """Coupon, points, credit, a fund and an account pay together; refunded, each has its own."""

    async def story(lab: BankLab) -> None:
        customer = await Customer(lab).open()
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
        customer = await Customer(lab).open()
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
        customer = await Customer(lab).open()
        payee = await lab.account()
        fund = {"type": "wealth", "units_account": customer.units, "cash_account": customer.account}
        body = {"payee": payee, "amount_minor": 1_000_001}
        for source in (fund, {**fund, "amount_minor": 1_000_001}):
            refused = await lab.refusal("payment.create", **body, funding=[source])
            assert refused == "limit_exceeded"

    play(story, settings=settings)


@pytest.mark.parametrize("type_", ["wealth", "points", "coupon", "channel"])
def test_only_money_that_is_here_can_be_held(settings: dict[str, str], type_: str) -> None:
    """An authorisation takes accounts and credit lines, and nothing else."""

    async def story(lab: BankLab) -> None:
        customer = await Customer(lab).open()
        lab.channel()
        sources = [one for one in await customer.all(10_000) if one["type"] == type_]
        refused = await lab.refusal(
            "payment.create", payee=await lab.account(), amount_minor=5, method="authorized",
            funding=sources or [{"type": "channel"}],
        )  # fmt: skip
        assert refused == "invalid_field"

    play(story, settings=settings)
