"""Random days of a fund: nothing is lost, made up, or earned twice."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from actors.regulation.calendar import SHANGHAI, day_of
from actors.regulation.instant_redemption import OWN_BANK
from actors.wealth.money_market import CARRY_PER_FEN
from actors.wealth.records import HoldingState
from schemas.errors import Rejected
from schemas.funding import WealthSource
from schemas.wealth import (
    CreateFund,
    Fund,
    FundAdvance,
    IncomeRun,
    Redeem,
    RunIncome,
    Subscribe,
    WealthOrder,
)
from tests.unit.wealth.bank_lab import Bank, Paid

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

_HOLDERS = 3
_ACTIONS = ("buy", "buy", "redeem", "instant", "instant", "pay", "pay", "refund", "restart")

_action = st.tuples(
    st.sampled_from(_ACTIONS),
    st.integers(0, _HOLDERS - 1),
    st.one_of(st.integers(1, 400_000), st.integers(1, 1_200_000)),
)
# A day: its actions with the hour of each, and the rate that is published for it.
_day = st.tuples(
    st.lists(st.tuples(st.integers(8, 23), _action), min_size=1, max_size=6), st.integers(0, 50_000)
)


class _Life:
    """Holders who buy and sell, and the fund's days."""

    def __init__(self, confirm_days: int) -> None:
        self.bank = Bank()
        self.confirm_days = confirm_days
        self.cash: list[str] = []
        self.paid: list[Paid] = []
        self.orders: list[WealthOrder] = []

    async def begin(self) -> None:
        """Open everything."""
        advance = FundAdvance(advanced_by=OWN_BANK, limit_minor=1_500_000)
        request = CreateFund(
            request_id="f", fund="MMF1", name="M", advance=advance, confirm_days=self.confirm_days
        )
        await self.bank.ask("ops", request, Fund)
        self.cash = [await self.bank.account(5_000_000) for _ in range(_HOLDERS)]
        self.payee = await self.bank.account()
        # So that there is something to redeem from the first day on, except from the last holder.
        for holder in range(_HOLDERS - 1):
            await self.act("buy", holder, 2_000_000)

    async def act(self, action: str, holder: int, amount: int) -> None:
        """Try one thing; it may be refused."""
        bank, cash = self.bank, self.cash[holder]
        name, units = bank.number("q"), f"{cash}.MMF1"
        request: Any
        if action == "buy":
            request = Subscribe(
                request_id=name, fund="MMF1", cash_account=cash, amount_minor=amount
            )
            self.orders.append(await bank.ask("shop", request, WealthOrder))
        elif action in ("redeem", "instant"):
            request = Redeem(
                request_id=name, units_account=units, amount_minor=amount,
                instant=action == "instant",
            )  # fmt: skip
            self.orders.append(await bank.ask("shop", request, WealthOrder))
        elif action == "pay":
            source = WealthSource(units_account=units, cash_account=cash)
            self.paid.append(await bank.pay("shop", self.payee, amount, source))
        elif action == "refund" and self.paid:
            paid = self.paid.pop()
            whole = paid.legs[0].amount_minor
            await bank.refund("shop", paid, [min(amount, whole)], whole=amount >= whole)
        else:
            bank.restart()
        event(action)

    def check(self) -> None:
        """Each asset balances, and so do the fund's money, units and advances."""
        bank = self.bank
        assert bank.posted("fund:MMF1:cash") + bank.posted("fund:MMF1:units") == 0
        assert bank.posted("fund:MMF1:advance") + bank.posted("fund:MMF1:pledged") == 0
        sums: dict[str, int] = {}
        for row in bank.rows("account"):
            sums[row["asset"]] = sums.get(row["asset"], 0) + bank.posted(row["account_id"])
        assert sums.pop("CNY") == sums.pop("UNIT.MMF1") == 0
        for row in bank.rows("tally"):
            if row["tally_id"].startswith("redeem:"):
                assert row["amount_minor"] <= 1_000_000


async def _live(life: _Life, days: list[Any]) -> dict[date, int]:
    """Let the days pass; return the rate of each."""
    bank = life.bank
    rates: dict[date, int] = {}
    for actions, rate in days:
        today = day_of(bank.clock.now())
        for hour, action in sorted(actions):
            at = datetime(today.year, today.month, today.day, hour, tzinfo=SHANGHAI)
            await bank.move_to(max(at, bank.clock.now()))
            try:
                await life.act(*action)
            except Rejected as error:
                event(error.code)
            life.check()
        tomorrow = today + timedelta(days=1)
        await bank.move_to(
            datetime(tomorrow.year, tomorrow.month, tomorrow.day, 7, tzinfo=SHANGHAI)
        )
        request = RunIncome(request_id=f"i{today}", fund="MMF1", day=today, rate=rate)
        await bank.ask("ops", request, IncomeRun)
        await bank.move_to(bank.clock.now() + timedelta(seconds=1))
        rates[today] = rate
        life.check()
    return rates


def _expected(life: _Life, units: str, day: date) -> int:
    """Return what earned on a day, from the orders and the income credited before it."""
    earning: int = sum(
        one["amount_minor"] * (1 if one["kind"] == "subscribe" else -1)
        for type_ in ("wealth.subscribed", "wealth.redeeming", "wealth.redeemed")
        for one in life.bank.events(type_)
        if one["units_account"] == units
        and one["earns_from"] <= day.isoformat()
        and (type_ != "wealth.redeemed" or one["kind"] == "instant")
    )
    earning += sum(
        row["income_minor"]
        for row in life.bank.rows("wealth_income")
        if row["units_account"] == units and row["day"] < day.isoformat()
    )
    return max(earning, 0)


@settings(max_examples=60)
@given(days=st.lists(_day, min_size=2, max_size=7), confirm_days=st.integers(0, 2))
async def test_random_days_conserve_everything(days: list[Any], confirm_days: int) -> None:
    """Money, units and income stand to each other as they must, and T+1 clears all advances."""
    life = _Life(confirm_days)
    await life.begin()
    rates = await _live(life, days)
    bank = life.bank
    for row in bank.rows("wealth_income"):
        day = date.fromisoformat(row["day"])
        assert row["rate"] == rates[day]
        assert row["units_minor"] == _expected(life, row["units_account"], day)
    # Over all days, what the units earned is what was credited and what is carried.
    for holding in bank.rows("wealth_holding"):
        units = holding["units_account"]
        state = bank.state("wealth_holding", units, HoldingState)
        earned = sum(_expected(life, units, day) * rate for day, rate in rates.items())
        assert state.income_minor * CARRY_PER_FEN + state.carried == earned
    await bank.move_to(bank.clock.now() + timedelta(days=15))
    life.check()
    assert bank.posted("fund:MMF1:advance") == 0
    assert all(not row["amount_minor"] for row in bank.rows("tally")
               if row["tally_id"].startswith("advance:"))  # fmt: skip
    for holding in bank.rows("wealth_holding"):
        units = holding["units_account"]
        flows = [row["units_minor"] for row in bank.rows("wealth_flow")
                 if row["units_account"] == units]  # fmt: skip
        assert sum(flows) == bank.posted(units) >= 0
    cleared = sum(row["amount_minor"] for row in bank.rows("fund_clearing"))
    assert cleared == sum(one["amount_minor"] for one in bank.events("wealth.redeemed")
                          if one["kind"] == "instant")  # fmt: skip
