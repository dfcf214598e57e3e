"""时时付: payments straight from a holding, and the cap when many come at once."""

from datetime import datetime

import anyio
import pytest

from actors.payments.funding import LegRequest
from actors.regulation.calendar import SHANGHAI
from actors.regulation.instant_redemption import OWN_BANK
from actors.wealth import WealthFunding
from schemas.errors import InsufficientFunds, InvalidField, LimitExceeded, NotFound, Rejected
from schemas.funding import WealthSource
from schemas.wealth import CreateFund, Fund, FundAdvance, Redeem, Subscribe, WealthOrder
from tests.unit.wealth.bank_lab import Bank

pytestmark = pytest.mark.anyio

_CAP = 1_000_000
_HELD = 3_000_000
_TOMORROW = datetime(2026, 11, 26, 10, tzinfo=SHANGHAI)


async def _holder(bank: Bank) -> WealthSource:
    """Return a holding of a new fund, confirmed, with nothing else on the cash account."""
    advance = FundAdvance(advanced_by=OWN_BANK, limit_minor=10 * _HELD)
    await bank.ask(
        "ops", CreateFund(request_id="f", fund="MMF1", name="Money", advance=advance), Fund
    )
    cash = await bank.account(_HELD)
    request = Subscribe(request_id="s", fund="MMF1", cash_account=cash, amount_minor=_HELD)
    order = await bank.ask("shop", request, WealthOrder)
    await bank.move_to(_TOMORROW)
    return WealthSource(units_account=order.units_account, cash_account=cash)


def _wanted(bank: Bank, source: WealthSource, amount: int, *, strict: bool = False) -> LegRequest:
    return LegRequest(
        app="shop", request_id="r", payment_id="p", number=1, payee="acct9", method="quick",
        source=source, amount_minor=amount, total_minor=amount, now=bank.clock.now(),
        ids=bank.ids, strict=strict,
    )  # fmt: skip


async def test_a_payment_redeems_advances_credits_and_pays_in_one_change() -> None:
    """The payee has the money, the fund owes it to the bank, and the cash account is as before."""
    bank = Bank()
    source = await _holder(bank)
    payee = await bank.account()
    before = len(bank.rows("change"))
    paid = await bank.pay("shop", payee, 250_000, source)
    assert len(bank.rows("change")) == before + 1
    assert bank.posted(payee) == 250_000
    assert bank.posted(source.units_account) == _HELD - 250_000
    assert bank.posted(source.cash_account) == 0
    assert bank.posted("fund:MMF1:advance") == -bank.posted("fund:MMF1:pledged") == -250_000
    entries = [row for row in bank.rows("entry") if row["account_id"] == source.cash_account]
    # In with the deposit, out to the fund, in with the advance, out to the payee.
    assert [row["amount_minor"] for row in entries][-2:] == [250_000, -250_000]
    assert paid.legs[0].charged_minor == 250_000
    (told,) = bank.events("wealth.redeemed")
    assert (told["kind"], told["amount_minor"]) == ("instant", 250_000)


async def test_what_exceeds_the_cap_is_left_to_the_next_source_or_refused() -> None:
    """A leg gives up to the cap; one that has to give all is refused, and nothing has moved."""
    bank = Bank()
    source = await _holder(bank)
    funding = WealthFunding(bank.parts)
    leg = await funding.pay(_wanted(bank, source, _CAP + 1))
    assert leg.amount_minor == _CAP
    with pytest.raises(LimitExceeded) as refused:
        await funding.pay(_wanted(bank, source, _CAP + 1, strict=True))
    assert refused.value.field == "funding"
    payee = await bank.account()
    await bank.pay("shop", payee, _CAP, source)
    assert (await funding.pay(_wanted(bank, source, 5))).amount_minor == 0
    with pytest.raises(InsufficientFunds):
        await funding.pay(_wanted(bank, source, _HELD, strict=True))
    assert bank.posted(source.units_account) == _HELD - _CAP


async def test_a_refund_is_money_and_gives_nothing_back_of_the_cap() -> None:
    """It goes to the cash account; the units stay redeemed and the day's cap used."""
    bank = Bank()
    source = await _holder(bank)
    payee = await bank.account()
    paid = await bank.pay("shop", payee, _CAP, source)
    await bank.refund("shop", paid, [400_000], whole=False)
    assert bank.posted(source.cash_account) == 400_000
    assert bank.posted(source.units_account) == _HELD - _CAP
    leg = await WealthFunding(bank.parts).pay(_wanted(bank, source, 1))
    assert leg.amount_minor == 0


async def test_a_holding_pays_to_its_own_cash_account_only() -> None:
    """Another app's holding does not exist, and another account than its own is refused."""
    bank = Bank()
    source = await _holder(bank)
    other = await bank.account()
    funding = WealthFunding(bank.parts)
    for wrong, kind in (
        (WealthSource(units_account="acct77.MMF1", cash_account=source.cash_account), NotFound),
        (WealthSource(units_account=source.units_account, cash_account=other), InvalidField),
    ):
        with pytest.raises(kind):
            await funding.pay(_wanted(bank, wrong, 1))
    with pytest.raises(NotFound):
        await bank.pay("gym", other, 1, source)


@pytest.mark.parametrize("way", ["redeem", "pay", "both"])
async def test_two_hundred_at_once_meet_the_cap_exactly(way: str) -> None:
    """Of 200 racing redemptions and payments of ¥100 each, the first 100 pass and no other."""
    bank = Bank()
    source = await _holder(bank)
    payee = await bank.account()
    amount = 10_000
    refused: list[Rejected] = []

    async def one(number: int) -> None:
        try:
            if way == "pay" or (way == "both" and number % 2):
                await bank.pay("shop", payee, amount, source)
            else:
                request = Redeem(
                    request_id=f"r{number}", units_account=source.units_account,
                    amount_minor=amount, instant=True,
                )  # fmt: skip
                await bank.ask("shop", request, WealthOrder)
        except LimitExceeded as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(one, number)
    assert len(refused) == 100
    assert bank.posted(source.units_account) == _HELD - _CAP
    assert bank.posted("fund:MMF1:advance") == -_CAP
    assert bank.posted(payee) + bank.posted(source.cash_account) == _CAP
    # They were decided against what the ledger knew, not one after the other.
    assert bank.journal.statistics().batches < 50
