"""Funds: orders by the calendar, income for every holder, and the clearing of advances."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from actors.customers.records import CUSTOMER_TABLE, CustomerState
from actors.regulation.calendar import SHANGHAI
from actors.regulation.instant_redemption import OWN_BANK
from actors.wealth.records import HoldingState
from schemas.change import Alternative
from schemas.errors import (
    Ineligible,
    InsufficientFunds,
    InvalidField,
    InvalidState,
    LimitExceeded,
    NotFound,
)
from schemas.ledger import Moves, StatusStep, encode_moves
from schemas.wealth import (
    CreateFund,
    Fund,
    FundAdvance,
    GetFund,
    GetHolding,
    GetOrder,
    Holding,
    IncomeRun,
    Redeem,
    RunIncome,
    Subscribe,
    WealthOrder,
)
from tests.unit.wealth.bank_lab import DAY, Bank

pytestmark = pytest.mark.anyio

_FUNDS = 10_000_000


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


async def _bank(**terms: Any) -> Bank:
    """Return a bank with the fund MMF1, which its own bank advances money for."""
    bank = Bank()
    terms = {"advance": FundAdvance(advanced_by=OWN_BANK, limit_minor=100_000_000), **terms}
    await bank.ask("ops", CreateFund(request_id="f1", fund="MMF1", name="Money", **terms), Fund)
    return bank


async def _buy(bank: Bank, cash: str, amount: int, app: str = "shop") -> WealthOrder:
    request = Subscribe(
        request_id=bank.number("s"), fund="MMF1", cash_account=cash, amount_minor=amount
    )
    return await bank.ask(app, request, WealthOrder)


async def _redeem(bank: Bank, units: str, amount: int, **how: Any) -> WealthOrder:
    request = Redeem(request_id=bank.number("r"), units_account=units, amount_minor=amount, **how)
    return await bank.ask("shop", request, WealthOrder)


async def _income(bank: Bank, day: str, rate: int, **how: Any) -> IncomeRun:
    request = RunIncome(
        request_id=bank.number("i"), fund="MMF1", day=date.fromisoformat(day), rate=rate, **how
    )
    return await bank.ask("ops", request, IncomeRun)


async def _holding(bank: Bank, units: str) -> Holding:
    return await bank.ask("shop", GetHolding(units_account=units), Holding)


def _check(bank: Bank) -> None:
    """Money stands for units, units for advances, and no asset came from nowhere."""
    assert bank.posted("fund:MMF1:cash") + bank.posted("fund:MMF1:units") == 0
    assert bank.posted("fund:MMF1:advance") + bank.posted("fund:MMF1:pledged") == 0
    sums: dict[str, int] = {}
    for row in bank.rows("account"):
        sums[row["asset"]] = sums.get(row["asset"], 0) + bank.posted(row["account_id"])
    assert set(sums.values()) == {0}


async def _closed(bank: Bank, account_id: str) -> None:
    step = StatusStep(account_id, "closed")
    await bank.change("shop", Alternative(encode_moves(Moves(steps=(step,))), (), (), "{}"))


async def test_bought_units_are_confirmed_on_t_plus_one() -> None:
    """Units are there at once and cannot be redeemed before they are confirmed."""
    bank = await _bank()
    cash = await bank.account(_FUNDS)
    order = await _buy(bank, cash, 1_000_000)
    assert (order.status, order.ordered_on, order.settles_on, order.earns_from) == (
        "accepted", date(2026, 11, 25), date(2026, 11, 26), date(2026, 11, 26),
    )  # fmt: skip
    before = await _holding(bank, order.units_account)
    assert (before.units_minor, before.unconfirmed_minor, before.redeemable_minor) == (
        1_000_000, 1_000_000, 0,
    )  # fmt: skip
    with pytest.raises(InsufficientFunds):
        await _redeem(bank, order.units_account, 1)
    with pytest.raises(InsufficientFunds):
        await _redeem(bank, order.units_account, 1, instant=True)
    await bank.move_to(_at("2026-11-26T00:00:00"))
    after = await _holding(bank, order.units_account)
    assert (after.unconfirmed_minor, after.redeemable_minor) == (0, 1_000_000)
    assert after.instant_minor == 1_000_000
    read = await bank.ask("shop", GetOrder(order_id=order.order_id), WealthOrder)
    assert read.status == "confirmed"
    assert bank.posted(cash) == _FUNDS - 1_000_000
    _check(bank)


async def test_the_second_order_goes_to_the_same_account() -> None:
    """A cash account has one units account for each fund."""
    bank = await _bank()
    cash = await bank.account(_FUNDS)
    first, second = await _buy(bank, cash, 100), await _buy(bank, cash, 200)
    assert first.units_account == second.units_account
    assert bank.posted(first.units_account) == 300


async def test_income_is_credited_as_units_on_the_day_after() -> None:
    """Units earn from their confirmation; what is below a fen is carried to the next day."""
    bank = await _bank()
    cash = await bank.account(_FUNDS)
    units = (await _buy(bank, cash, 1_000_000)).units_account
    await bank.move_to(_at("2026-11-26T08:00:00"))
    # Bought on the 25th, so that day brings nothing.
    await _income(bank, "2026-11-25", 5_312)
    await bank.move_to(_at("2026-11-27T08:00:00"))
    assert bank.posted(units) == 1_000_000
    await _income(bank, "2026-11-26", 5_312)
    await bank.move_to(_at("2026-11-28T08:00:00"))
    assert bank.posted(units) == 1_000_053
    await _income(bank, "2026-11-27", 9_000)
    await bank.move_to(_at("2026-11-28T09:00:00"))
    # 90 fen on 10,000 units, 0.00477 on the 53 hundredths, 0.12 carried.
    assert bank.posted(units) == 1_000_143
    holding = await _holding(bank, units)
    assert (holding.income_minor, holding.last_income_minor, holding.income_through) == (
        143, 90, date(2026, 11, 27),
    )  # fmt: skip
    told = bank.events("fund.income_distributed")
    assert [(one["holders"], one["income_minor"]) for one in told] == [(0, 0), (1, 53), (1, 90)]
    assert len(bank.events("wealth.income_credited")) == 2
    _check(bank)


async def test_days_are_distributed_in_order_and_when_they_are_over() -> None:
    """A day that is not over, a day that was left out and a day twice are refused."""
    bank = await _bank()
    with pytest.raises(InvalidState, match="not over"):
        await _income(bank, "2026-11-25", 5_000)
    await bank.move_to(_at("2026-11-28T08:00:00"))
    await _income(bank, "2026-11-25", 5_000)
    with pytest.raises(InvalidState, match="being distributed"):
        await _income(bank, "2026-11-26", 5_000)
    await bank.move_to(_at("2026-11-28T08:01:00"))
    for day in ("2026-11-25", "2026-11-27"):
        with pytest.raises(InvalidState, match="2026-11-26 is the next"):
            await _income(bank, day, 5_000)


async def test_a_standing_rate_is_published_every_day() -> None:
    """The timer credits each day when it is over, weekends too; after seven there is a yield."""
    bank = await _bank(standing_rate=5_000)
    cash = await bank.account(_FUNDS)
    units = (await _buy(bank, cash, 1_000_000)).units_account
    await bank.move_to(_at("2026-12-03T12:00:00"))
    fund = await bank.ask("shop", GetFund(fund="MMF1"), Fund)
    assert (fund.income_through, fund.rate) == (date(2026, 12, 2), 5_000)
    assert fund.seven_day_yield_ppm == 18_417
    # Seven days from the 26th on.
    assert bank.posted(units) == 1_000_350
    assert fund.units_minor == 1_000_350
    _check(bank)


async def test_days_of_an_outage_follow_one_another() -> None:
    """When the timer comes days late, all days that are over are distributed, each once."""
    bank = await _bank(standing_rate=5_000)
    cash = await bank.account(_FUNDS)
    units = (await _buy(bank, cash, 1_000_000)).units_account
    (row,) = [row for row in bank.rows("timer") if row["type"] == "fund.income_due"]
    # The service was away from the 25th to the 30th.
    bank.clock.advance((_at("2026-11-30T10:00:00") - bank.clock.now()).total_seconds())
    await bank.fire(row)
    await bank.move_to(_at("2026-11-30T10:00:01"))
    days = [one["day"] for one in bank.events("fund.income_distributed")]
    assert days == [f"2026-11-{day}" for day in range(25, 30)]
    assert bank.posted(units) == 1_000_000 + 4 * 50


async def test_an_ordinary_redemption_earns_until_it_is_paid() -> None:
    """Units stay and earn until T+1, then the money is on the cash account."""
    bank = await _bank(standing_rate=5_000)
    cash = await bank.account(_FUNDS)
    units = (await _buy(bank, cash, 1_000_000)).units_account
    # A Friday after the cut-off: Monday's order, paid on Tuesday.
    await bank.move_to(_at("2026-11-27T15:30:00"))
    order = await _redeem(bank, units, 1_000_000)
    assert (order.ordered_on, order.settles_on) == (date(2026, 11, 30), date(2026, 12, 1))
    await bank.move_to(_at("2026-12-01T08:59:59"))
    assert bank.posted(cash) == _FUNDS - 1_000_000
    waiting = await _holding(bank, units)
    assert (waiting.redeeming_minor, waiting.redeemable_minor) == (1_000_000, 5 * 50)
    await bank.move_to(_at("2026-12-01T09:00:00"))
    assert bank.posted(cash) == _FUNDS
    assert bank.posted(units) == 5 * 50
    await bank.move_to(_at("2026-12-02T07:00:00"))
    # Of the day on which it was paid, the redeemed units earn nothing.
    assert bank.events("fund.income_distributed")[-1]["units_minor"] == 5 * 50
    _check(bank)


async def test_a_redemption_that_cannot_be_paid_is_tried_again() -> None:
    """With a frozen units account it stays unpaid, is told once, and is paid when it can be."""
    bank = await _bank()
    cash = await bank.account(_FUNDS)
    units = (await _buy(bank, cash, 500)).units_account
    await bank.move_to(_at("2026-11-26T10:00:00"))
    order = await _redeem(bank, units, 500)
    freeze = Moves(steps=(StatusStep(units, "frozen"),))
    await bank.change("shop", Alternative(encode_moves(freeze), (), (), "{}"))
    await bank.move_to(_at("2026-12-01T10:00:00"))
    unpaid = await bank.ask("shop", GetOrder(order_id=order.order_id), WealthOrder)
    assert unpaid.status == "unpaid"
    assert len(bank.events("wealth.unpaid")) == 1
    assert (await _holding(bank, units)).redeeming_minor == 500
    thaw = Moves(steps=(StatusStep(units, "open"),))
    await bank.change("shop", Alternative(encode_moves(thaw), (), (), "{}"))
    await bank.move_to(_at("2026-12-02T09:00:00"))
    assert bank.posted(cash) == _FUNDS
    assert len(bank.events("wealth.redeemed")) == 1
    _check(bank)


async def test_an_instant_redemption_is_advanced_and_cleared() -> None:
    """The money is there at once, by the bank's advance, which is back at zero on T+1."""
    bank = await _bank()
    cash = await bank.account(_FUNDS)
    units = (await _buy(bank, cash, 2_000_000)).units_account
    await bank.move_to(_at("2026-11-27T10:00:00"))
    first = await _redeem(bank, units, 300_000, instant=True)
    # After the cut-off of Friday it is Monday's.
    await bank.move_to(_at("2026-11-27T16:00:00"))
    second = await _redeem(bank, units, 400_000, instant=True)
    assert (first.ordered_on, second.ordered_on) == (date(2026, 11, 27), date(2026, 11, 30))
    assert first.status == "paid"
    assert bank.posted(cash) == _FUNDS - 2_000_000 + 700_000
    assert bank.posted("fund:MMF1:advance") == -700_000
    _check(bank)
    await bank.move_to(_at("2026-11-30T09:00:00"))
    assert bank.posted("fund:MMF1:advance") == -400_000
    await bank.move_to(_at("2026-12-01T09:00:00"))
    assert bank.posted("fund:MMF1:advance") == bank.posted("fund:MMF1:pledged") == 0
    assert [one["amount_minor"] for one in bank.events("fund.cleared")] == [300_000, 400_000]
    assert bank.posted("fund:MMF1:cash") == 1_300_000
    _check(bank)


async def test_an_advance_is_cleared_whenever_its_time_has_come() -> None:
    """After an outage all that is due is cleared at once, on a Saturday too."""
    bank = await _bank()
    cash = await bank.account(_FUNDS)
    units = (await _buy(bank, cash, 2_000_000)).units_account
    for day in ("2026-11-26T10:00:00", "2026-11-27T10:00:00", "2026-12-03T10:00:00"):
        await bank.move_to(_at(day))
        await _redeem(bank, units, 100_000, instant=True)
    assert bank.posted("fund:MMF1:advance") == -100_000
    await bank.move_to(_at("2026-12-03T16:00:00"))
    await _redeem(bank, units, 50_000, instant=True)
    (row,) = [row for row in bank.rows("timer") if row["type"] == "fund.clearing_due"]
    # Away on Friday. What was ordered for Friday itself is due on Monday.
    bank.clock.advance((_at("2026-12-05T12:00:00") - bank.clock.now()).total_seconds())
    await bank.fire(row)
    assert bank.posted("fund:MMF1:advance") == -50_000
    _check(bank)


async def test_the_cap_is_for_each_channel_and_day() -> None:
    """¥10,000 a day and sales channel; the channel is the app unless another is named."""
    bank = await _bank()
    cash = await bank.account(_FUNDS)
    units = (await _buy(bank, cash, 5_000_000)).units_account
    await bank.move_to(_at("2026-11-26T10:00:00"))
    await _redeem(bank, units, 999_999, instant=True)
    assert (await _holding(bank, units)).instant_minor == 1
    with pytest.raises(LimitExceeded) as refused:
        await _redeem(bank, units, 2, instant=True)
    assert refused.value.field == "amount_minor"
    await _redeem(bank, units, 1, instant=True)
    await _redeem(bank, units, 1_000_000, instant=True, sales_channel="branch")
    with pytest.raises(InvalidField) as unknown:
        await _redeem(bank, units, 1, instant=True, sales_channel="made_up")
    assert unknown.value.field == "sales_channel"
    await bank.move_to(_at("2026-11-27T00:00:00"))
    await _redeem(bank, units, 1_000_000, instant=True)
    _check(bank)


async def test_the_cap_is_the_persons_whatever_his_accounts() -> None:
    """Two accounts of one holder share the cap, and another holder has his own."""
    bank = await _bank()
    accounts = [await bank.account(_FUNDS, holder=name) for name in ("Li", "Li", "Han")]
    units = [(await _buy(bank, one, 1_000_000)).units_account for one in accounts]
    await bank.move_to(_at("2026-11-26T10:00:00"))
    await _redeem(bank, units[0], 600_000, instant=True)
    with pytest.raises(LimitExceeded):
        await _redeem(bank, units[1], 400_001, instant=True)
    await _redeem(bank, units[2], 1_000_000, instant=True)


async def test_a_person_has_one_cap_in_all_apps() -> None:
    """Customers of two apps who are one person share the cap."""
    bank = await _bank()
    units = {}
    for app, customer in (("shop", "cust_1"), ("gym", "cust_2")):
        state = CustomerState(
            kind="person", party_id="party_1", name="", id_number="", phone="", sealed_owner="",
            name_lookup="", phone_lookup="", phone_version=1, registered_at=bank.clock.now(),
        )  # fmt: skip
        fact = CUSTOMER_TABLE.fact(customer, 1, app, state)
        await bank.change(app, Alternative(encode_moves(Moves()), (fact,), (), "{}"))
        cash = await bank.account(_FUNDS, app=app)
        bank.database.put("account", (cash,), {"customer_id": customer})
        units[app] = (await _buy(bank, cash, 1_000_000, app)).units_account
    await bank.move_to(_at("2026-11-26T10:00:00"))
    await _redeem(bank, units["shop"], 700_000, instant=True, sales_channel="branch")
    over = Redeem(
        request_id="x", units_account=units["gym"], amount_minor=300_001, instant=True,
        sales_channel="branch",
    )  # fmt: skip
    with pytest.raises(LimitExceeded):
        await bank.ask("gym", over, WealthOrder)


async def test_an_account_of_class_iii_cannot_buy() -> None:
    """It may pay and no more."""
    bank = await _bank()
    cash = await bank.account(_FUNDS)
    bank.database.put("account", (cash,), {"class": "III"})
    with pytest.raises(Ineligible, match="class III"):
        await _buy(bank, cash, 100)


async def test_the_bank_advances_up_to_its_limit() -> None:
    """What would pass the limit of the fund's bank is refused, and given back on T+1."""
    bank = await _bank(advance=FundAdvance(advanced_by=OWN_BANK, limit_minor=1_000))
    cash = await bank.account(_FUNDS)
    units = (await _buy(bank, cash, 5_000)).units_account
    await bank.move_to(_at("2026-11-26T10:00:00"))
    await _redeem(bank, units, 1_000, instant=True)
    with pytest.raises(LimitExceeded, match="does not advance"):
        await _redeem(bank, units, 1, instant=True)
    await bank.move_to(_at("2026-11-27T09:00:00"))
    await _redeem(bank, units, 1_000, instant=True)


async def test_only_a_qualified_bank_may_advance() -> None:
    """Another institution is refused, and a fund without an advance has no instant redemption."""
    bank = Bank()
    other = FundAdvance(advanced_by="pay_company", limit_minor=1)
    with pytest.raises(Ineligible) as refused:
        await bank.ask(
            "ops", CreateFund(request_id="f1", fund="MMF1", name="M", advance=other), Fund
        )
    assert refused.value.field == "advanced_by"
    await bank.ask("ops", CreateFund(request_id="f2", fund="MMF1", name="M"), Fund)
    cash = await bank.account(_FUNDS)
    units = (await _buy(bank, cash, 100)).units_account
    await bank.move_to(_at("2026-11-26T10:00:00"))
    assert (await _holding(bank, units)).instant_minor == 0
    with pytest.raises(Ineligible):
        await _redeem(bank, units, 1, instant=True)


async def test_others_neither_see_nor_redeem() -> None:
    """Accounts, holdings and orders of another app are answered like ones that do not exist."""
    bank = await _bank()
    cash = await bank.account(_FUNDS)
    order = await _buy(bank, cash, 100)
    with pytest.raises(NotFound):
        await _buy(bank, cash, 100, app="gym")
    for request, result in (
        (GetHolding(units_account=order.units_account), Holding),
        (GetOrder(order_id=order.order_id), WealthOrder),
        (Redeem(request_id="x", units_account=order.units_account, amount_minor=1), WealthOrder),
    ):
        with pytest.raises(NotFound):
            await bank.ask("gym", request, result)
    with pytest.raises(NotFound):
        await bank.ask(
            "shop",
            Subscribe(request_id="y", fund="NONE", cash_account=cash, amount_minor=1),
            WealthOrder,
        )
    with pytest.raises(InvalidState, match="exists already"):
        await bank.ask("ops", CreateFund(request_id="f9", fund="MMF1", name="Again"), Fund)


async def test_what_a_closed_account_earned_is_paid_out() -> None:
    """Income that is due after the units account was closed goes to the cash account."""
    bank = await _bank()
    cash = await bank.account(_FUNDS)
    units = (await _buy(bank, cash, 1_000_000)).units_account
    await bank.move_to(_at("2026-11-27T08:00:00"))
    await _redeem(bank, units, 1_000_000, instant=True)
    await _closed(bank, units)
    await _income(bank, "2026-11-25", 5_000)
    await bank.move_to(_at("2026-11-27T08:30:00"))
    await _income(bank, "2026-11-26", 5_000)
    await bank.move_to(_at("2026-11-27T08:31:00"))
    assert bank.posted(cash) == _FUNDS + 50
    (told,) = bank.events("wealth.income_credited")
    assert told["credited_to"] == cash
    _check(bank)


async def test_with_units_confirmed_at_once_a_day_trader_earns_nothing() -> None:
    """Where a fund confirms at once, what is bought and redeemed on one day has no income."""
    bank = await _bank(confirm_days=0, standing_rate=5_000)
    cash = await bank.account(_FUNDS)
    order = await _buy(bank, cash, 1_000_000)
    assert (order.status, order.earns_from) == ("confirmed", date(2026, 11, 26))
    await _redeem(bank, order.units_account, 1_000_000, instant=True)
    await bank.move_to(_at("2026-11-28T10:00:00"))
    assert bank.posted(order.units_account) == 0
    state = bank.state("wealth_holding", order.units_account, HoldingState)
    assert (state.earning_minor, state.income_minor) == (0, 0)
    await bank.move_to(bank.clock.now() + 3 * DAY + timedelta(hours=1))
    _check(bank)
