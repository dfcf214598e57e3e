"""Random lives of points and coupons: every point and every fen is accounted for."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from actors.regulation.calendar import day_of
from actors.rewards.records import PointsState, PointsUse
from schemas.errors import Rejected
from schemas.funding import CouponSource, PointsSource
from schemas.rewards import Coupon, Discount, GrantPoints, IssueCoupon, PointsGranted
from tests.unit.wealth.bank_lab import DAY, START, Bank, Paid

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

_ACTIONS = ("grant", "grant", "coupon", "pay", "pay", "both", "both", "refund", "refund", "days")
_BUDGET = 3_000

_actions = st.lists(
    st.tuples(st.sampled_from(_ACTIONS), st.integers(0, 5), st.integers(1, 2_000)),
    min_size=4,
    max_size=25,
)


class _Life:
    """One customer, a sponsor, a shop, and all that happens between them."""

    def __init__(self) -> None:
        self.bank = Bank()
        self.paid: list[Paid] = []
        self.coupons: list[str] = []

    async def begin(self) -> None:
        """Open the accounts, with some points to begin with."""
        self.sponsor = await self.bank.account(1_000_000)
        self.account = await self.bank.account()
        self.payee = await self.bank.account()
        await self.act("grant", 0, 1_500)

    async def act(self, action: str, number: int, amount: int) -> None:
        """Try one thing; it may be refused."""
        bank = self.bank
        points = PointsSource(account_id=f"{self.account}.points")
        match action:
            case "grant":
                last = None if number == 5 else day_of(bank.clock.now()) + number * DAY
                request = GrantPoints(
                    request_id=bank.number("g"), account_id=self.account, points=amount,
                    sponsor_account=self.sponsor, ends_on=last,
                )  # fmt: skip
                await bank.ask("shop", request, PointsGranted)
            case "coupon":
                self.coupons.append(await self._issue(number, amount))
            case "pay":
                self.paid.append(await bank.pay("shop", self.payee, amount, points))
            case "both" if self.coupons:
                coupon = CouponSource(coupon_id=self.coupons[number % len(self.coupons)])
                self.paid.append(
                    await bank.pay("shop", self.payee, amount, coupon, points, strict=False)
                )
            case "refund" if self.paid:
                await self._refund(number % len(self.paid), amount)
            case _:
                await bank.move_to(bank.clock.now() + number * DAY)
        event(action)

    async def _issue(self, number: int, amount: int) -> str:
        discount = (
            Discount(face_minor=amount, spend_min_minor=number * 100)
            if number % 2
            else Discount(rate_ppm=amount * 500, cap_minor=700)
        )
        request = IssueCoupon(
            request_id=self.bank.number("c"), campaign="all", budget_minor=_BUDGET,
            discount=discount, starts_at=START, ends_at=START + 60 * DAY,
            sponsor_account=self.sponsor,
        )  # fmt: skip
        return (await self.bank.ask("shop", request, Coupon)).coupon_id

    async def _refund(self, index: int, amount: int) -> None:
        """Refund so much, the last leg first, as payments do."""
        paid = self.paid[index]
        amounts = [0] * len(paid.legs)
        for leg in reversed(paid.legs):
            amounts[leg.number] = min(amount, leg.amount_minor - leg.refunded_minor)
            amount -= amounts[leg.number]
        left = sum(leg.amount_minor - leg.refunded_minor for leg in paid.legs) - sum(amounts)
        if sum(amounts):
            self.paid[index] = await self.bank.refund("shop", paid, amounts, whole=not left)

    def check(self) -> None:
        """Points, money, tallies and records agree with one another."""
        bank, wallet = self.bank, f"{self.account}.points"
        batches = bank.state("points_wallet", wallet, PointsState).batches
        assert sum(one.points for one in batches) == bank.posted(wallet)
        assert sum(one.worth_minor for one in batches) == bank.posted("points:reserve")
        sums: dict[str, int] = {}
        for row in bank.rows("account"):
            sums[row["asset"]] = sums.get(row["asset"], 0) + bank.posted(row["account_id"])
        assert set(sums.values()) == {0}
        taken = sum(
            leg.amount_minor - leg.refunded_minor for paid in self.paid for leg in paid.legs
        )
        assert bank.posted(self.payee) == taken
        by_coupon = sum(
            leg.amount_minor - leg.refunded_minor
            for paid in self.paid
            for leg in paid.legs
            if leg.type == "coupon"
        )
        assert bank.tally("campaign:shop:all") == by_coupon <= _BUDGET
        self._check_uses()
        self._check_coupons()

    def _check_uses(self) -> None:
        for paid in self.paid:
            for leg in paid.legs:
                if leg.type != "points":
                    continue
                use_id = msgspec.json.decode(leg.record)["use_id"]
                parts = self.bank.state("points_use", use_id, PointsUse).parts
                assert sum(part.amount_minor for part in parts) == leg.amount_minor
                assert sum(part.returned_minor for part in parts) == leg.refunded_minor
                assert all(0 <= part.returned_minor <= part.amount_minor for part in parts)

    def _check_coupons(self) -> None:
        using: dict[str, int] = {}
        for paid in self.paid:
            if any(leg.refunded_minor < leg.amount_minor for leg in paid.legs):
                for leg in paid.legs:
                    if leg.type == "coupon":
                        coupon_id = msgspec.json.decode(leg.record)["coupon_id"]
                        using[coupon_id] = using.get(coupon_id, 0) + 1
        for coupon_id in self.coupons:
            status = self.bank.state("coupon", coupon_id, Coupon).status
            assert using.get(coupon_id, 0) == (status == "used")


@settings(max_examples=100)
@given(actions=_actions)
async def test_random_lives_conserve_points_and_money(actions: list[Any]) -> None:
    """After each action all agrees, and once all batches have ended nothing is left of them."""
    life = _Life()
    await life.begin()
    for action in actions:
        try:
            await life.act(*action)
        except Rejected as error:
            event(error.code)
        life.check()
    await life.bank.move_to(life.bank.clock.now() + timedelta(days=100))
    life.check()
    wallet = f"{life.account}.points"
    batches = life.bank.state("points_wallet", wallet, PointsState).batches
    assert all(one.ends_at_ms is None for one in batches)
