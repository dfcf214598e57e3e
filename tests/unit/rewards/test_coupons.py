"""Coupons: one use, one campaign's budget, and the way back."""

from datetime import timedelta
from typing import Any

import anyio
import pytest

from actors.rewards import CouponFunding
from schemas.errors import (
    Ineligible,
    InsufficientFunds,
    InvalidField,
    InvalidState,
    LimitExceeded,
    NotFound,
    Rejected,
)
from schemas.funding import CouponSource, PointsSource
from schemas.rewards import (
    Coupon,
    Discount,
    GetCoupon,
    GrantPoints,
    IssueCoupon,
    PointsGranted,
    RevokeCoupon,
)
from tests.unit.wealth.bank_lab import DAY, START, Bank, Paid

pytestmark = pytest.mark.anyio


async def _issue(bank: Bank, sponsor: str | None, app: str = "shop", **changes: Any) -> Coupon:
    terms: dict[str, Any] = {
        "campaign": "spring",
        "budget_minor": 100_000,
        "discount": Discount(face_minor=500, spend_min_minor=2_000),
        "starts_at": START,
        "ends_at": START + 10 * DAY,
        **changes,
    }
    request = IssueCoupon(request_id=bank.number("c"), sponsor_account=sponsor, **terms)
    return await bank.ask(app, request, Coupon)


async def _get(bank: Bank, coupon: Coupon) -> Coupon:
    return await bank.ask("shop", GetCoupon(coupon_id=coupon.coupon_id), Coupon)


async def _pay(bank: Bank, payee: str, total: int, coupon: Coupon, account: str) -> Paid:
    """Pay with the coupon, and the rest with points."""
    points = PointsSource(account_id=f"{account}.points")
    return await bank.pay(
        "shop", payee, total, CouponSource(coupon_id=coupon.coupon_id), points, strict=False
    )


async def _rich(bank: Bank) -> str:
    """Return an account with points that the bank gave."""
    account = await bank.account()
    request = GrantPoints(request_id=bank.number("g"), account_id=account, points=1_000_000)
    await bank.ask("ops", request, PointsGranted)
    return account


async def test_a_coupon_pays_once() -> None:
    """Its sponsor pays what it takes off, the customer the rest, and there is no second time."""
    bank = Bank()
    sponsor, payee, account = await bank.account(1_000), await bank.account(), await _rich(bank)
    coupon = await _issue(bank, sponsor, holder="Li Lei")
    paid = await _pay(bank, payee, 2_500, coupon, account)
    assert [leg.amount_minor for leg in paid.legs] == [500, 2_000]
    assert (bank.posted(sponsor), bank.posted(payee)) == (500, 2_500)
    used = await _get(bank, coupon)
    assert (used.status, used.payment_id, used.paid_minor) == ("used", paid.payment_id, 500)
    with pytest.raises(InvalidState, match="is used"):
        await _pay(bank, payee, 2_500, coupon, account)
    assert bank.tally("campaign:shop:spring") == 500


async def test_of_racing_payments_one_gets_the_coupon() -> None:
    """Twenty at once with one coupon: one is paid, and the others are refused by its counter."""
    bank = Bank()
    sponsor, payee = await bank.account(100_000), await bank.account()
    coupon = await _issue(bank, sponsor, discount=Discount(face_minor=500))
    outcomes: list[str] = []

    async def pay() -> None:
        try:
            await bank.pay("shop", payee, 500, CouponSource(coupon_id=coupon.coupon_id))
        except Rejected as error:
            outcomes.append(error.code)
        else:
            outcomes.append("paid")

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(pay)
    assert sorted(outcomes) == ["invalid_state"] * 19 + ["paid"]
    assert bank.posted(payee) == 500


async def test_a_campaign_pays_up_to_its_budget() -> None:
    """Coupons beyond the budget are refused, racing ones too; a refund frees what it returns."""
    bank = Bank()
    sponsor, payee = await bank.account(100_000), await bank.account()
    coupons = [
        await _issue(bank, sponsor, budget_minor=1_700, discount=Discount(face_minor=500))
        for _ in range(8)
    ]
    paid: list[Paid] = []
    refused: list[Rejected] = []

    async def use(coupon: Coupon) -> None:
        try:
            source = CouponSource(coupon_id=coupon.coupon_id)
            paid.append(await bank.pay("shop", payee, 500, source))
        except LimitExceeded as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        for coupon in coupons[:7]:
            tasks.start_soon(use, coupon)
    assert (len(paid), len(refused)) == (3, 4)
    assert refused[0].field == "funding"
    await bank.refund("shop", paid[0], [400], whole=False)
    await use(coupons[7])
    assert len(paid) == 4
    assert bank.tally("campaign:shop:spring") == 1_600
    assert bank.posted(sponsor) == 100_000 - 1_600


async def test_only_a_whole_refund_brings_the_coupon_back() -> None:
    """Part of the payment gives the sponsor its part; the whole one makes the coupon new."""
    bank = Bank()
    sponsor, payee, account = await bank.account(1_000), await bank.account(), await _rich(bank)
    coupon = await _issue(bank, sponsor)
    paid = await _pay(bank, payee, 2_500, coupon, account)
    paid = await bank.refund("shop", paid, [300, 0], whole=False)
    assert (await _get(bank, coupon)).status == "used"
    assert bank.posted(sponsor) == 800
    paid = await bank.refund("shop", paid, [200, 2_000], whole=True)
    restored = await _get(bank, coupon)
    assert (restored.status, restored.payment_id, restored.paid_minor) == ("issued", None, 0)
    assert bank.posted(sponsor) == 1_000
    assert bank.tally("campaign:shop:spring") == 0
    again = await _pay(bank, payee, 2_500, coupon, account)
    assert again.legs[0].amount_minor == 500


async def test_a_leg_that_came_back_before_still_brings_the_coupon_back() -> None:
    """When the coupon's money came back first, the end of the payment restores it all the same."""
    bank = Bank()
    sponsor, payee, account = await bank.account(1_000), await bank.account(), await _rich(bank)
    coupon = await _issue(bank, sponsor)
    paid = await _pay(bank, payee, 2_500, coupon, account)
    paid = await bank.refund("shop", paid, [500, 0], whole=False)
    assert (await _get(bank, coupon)).status == "used"
    await bank.refund("shop", paid, [0, 2_000], whole=True)
    assert (await _get(bank, coupon)).status == "issued"
    assert bank.posted(sponsor) == 1_000


async def test_a_percentage_is_of_the_whole_payment() -> None:
    """Ten percent off with a cap, and the bank's marketing pays for the bank's own coupon."""
    bank = Bank()
    payee, account = await bank.account(), await _rich(bank)
    before = bank.posted("expense:marketing")
    discount = Discount(rate_ppm=100_000, cap_minor=800)
    coupon = await _issue(bank, None, "ops", for_app="shop", discount=discount)
    paid = await _pay(bank, payee, 12_345, coupon, account)
    assert paid.legs[0].amount_minor == 800
    assert bank.posted("expense:marketing") == before - 800
    coupon = await _issue(bank, None, "ops", for_app="shop", discount=discount)
    paid = await _pay(bank, payee, 1_239, coupon, account)
    assert paid.legs[0].amount_minor == 123


async def test_conditions_are_conditions() -> None:
    """Too early, too late, too small, too poor a sponsor, or another app's: refused."""
    bank = Bank()
    sponsor, payee, account = await bank.account(400), await bank.account(), await _rich(bank)
    early = await _issue(bank, sponsor, starts_at=START + DAY)
    with pytest.raises(Ineligible, match="can be used from"):
        await _pay(bank, payee, 2_500, early, account)
    coupon = await _issue(bank, sponsor)
    with pytest.raises(Ineligible, match="least purchase is 2000"):
        await _pay(bank, payee, 1_999, coupon, account)
    with pytest.raises(InsufficientFunds):
        await _pay(bank, payee, 2_500, coupon, account)
    with pytest.raises(NotFound):
        await bank.pay("gym", payee, 2_500, CouponSource(coupon_id=coupon.coupon_id))
    with pytest.raises(NotFound):
        await bank.ask("gym", GetCoupon(coupon_id=coupon.coupon_id), Coupon)
    bank.clock.advance(timedelta(days=10).total_seconds())
    with pytest.raises(Ineligible, match="until"):
        await _pay(bank, payee, 2_500, coupon, account)


async def test_a_revoked_coupon_pays_no_more() -> None:
    """Neither can a used one be revoked, nor does one that was read before it was revoked pay."""
    bank = Bank()
    sponsor, payee, account = await bank.account(1_000), await bank.account(), await _rich(bank)
    coupon, other = await _issue(bank, sponsor), await _issue(bank, sponsor)
    await _pay(bank, payee, 2_500, other, account)
    with pytest.raises(InvalidState):
        await bank.ask("shop", RevokeCoupon(request_id="v1", coupon_id=other.coupon_id), Coupon)

    async def revoke() -> None:
        request = RevokeCoupon(request_id="v2", coupon_id=coupon.coupon_id)
        assert (await bank.ask("shop", request, Coupon)).status == "revoked"

    async def pay() -> None:
        with pytest.raises(InvalidState, match="used or revoked"):
            await _pay(bank, payee, 2_500, coupon, account)

    # Both read it as issued; the revocation comes first.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(revoke)
        tasks.start_soon(pay)
    assert (await _get(bank, coupon)).status == "revoked"
    assert bank.posted(sponsor) == 500


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ends_at": START}, "ends_at"),
        ({"discount": Discount()}, "discount.face_minor"),
        ({"for_app": "gym"}, "for_app"),
    ],
)
async def test_a_coupon_that_makes_no_sense_is_refused(changes: dict[str, Any], field: str) -> None:
    """With the field that is wrong."""
    bank = Bank()
    sponsor = await bank.account(1_000)
    with pytest.raises(InvalidField) as refused:
        await _issue(bank, sponsor, **changes)
    assert refused.value.field == field


async def test_the_back_office_says_for_whom() -> None:
    """A coupon of the bank's own belongs to an app, which is told of it."""
    bank = Bank()
    with pytest.raises(InvalidField) as refused:
        await _issue(bank, None, "ops")
    assert refused.value.field == "for_app"
    await _issue(bank, None, "ops", for_app="shop")
    (event,) = [row for row in bank.rows("event") if row["type"] == "coupon.issued"]
    assert event["app"] == "shop"


async def test_a_refund_for_a_sponsor_that_is_gone_goes_to_the_bank() -> None:
    """Money cannot go to a closed account, so the bank's marketing keeps it."""
    bank = Bank()
    sponsor, payee = await bank.account(500), await bank.account()
    coupon = await _issue(bank, sponsor, discount=Discount(face_minor=500))
    paid = await bank.pay("shop", payee, 500, CouponSource(coupon_id=coupon.coupon_id))
    bank.database.put("account", (sponsor,), {"status": "closed"})
    back = await CouponFunding(bank.parts).refund(
        paid.legs[0], 500, app="shop", payment_id=paid.payment_id, refund_id="r", whole=True,
        now=bank.clock.now(), ids=bank.ids,
    )  # fmt: skip
    assert back.credit_to == "expense:marketing"
