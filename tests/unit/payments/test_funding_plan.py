"""How sources share an amount, and which of them gets what of a refund."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.payments.funding import Leg, LegRequest, PaidLeg, RefundLeg
from actors.payments.funding_plan import (
    FundedLeg,
    Wanted,
    check_funding,
    funding_variants,
    plan_legs,
)
from actors.payments.records import LegState
from actors.payments.returns import shares_of_refund
from actors.payments.sources import Sources, source_tag
from kernel.clock import ManualClock
from kernel.randomness import IdFactory, SeededRandomness
from schemas.errors import InsufficientFunds, InvalidField
from schemas.funding import (
    AccountSource,
    ChannelSource,
    CouponSource,
    FundingSource,
    WealthSource,
)

pytestmark = pytest.mark.anyio

_NOW = datetime(2026, 11, 25, tzinfo=UTC)


class _Purse:
    """A source with so much in it, by the number of its place."""

    def __init__(self, there: dict[int, int]) -> None:
        self.there = there

    async def pay(self, wanted: LegRequest) -> Leg:
        """Give what is there, or, if that is of no use, say so."""
        amount = min(wanted.amount_minor, self.there.get(wanted.number, 10**9))
        if wanted.strict and amount < wanted.amount_minor:
            raise InsufficientFunds("too little")
        return Leg(amount_minor=amount, pay_from=f"purse-{wanted.number}", owner="shop")

    async def refund(self, leg: PaidLeg, amount_minor: int, **_: object) -> RefundLeg:
        """Take it back."""
        return RefundLeg(credit_to=leg.account_id)


def _sources(there: dict[int, int]) -> Sources:
    purse = _Purse(there)
    return dict.fromkeys(("account", "wealth", "coupon", "channel"), purse)


def _wanted(funding: tuple[FundingSource, ...], total: int) -> Wanted:
    ids = IdFactory(ManualClock(_NOW), SeededRandomness(1))
    return Wanted(
        app="shop", request_id="r", payment_id="pay", payee="mall", method="quick",
        total_minor=total, funding=funding, now=_NOW, ids=ids,
    )  # fmt: skip


def _account(number: int, amount: int | None = None) -> AccountSource:
    return AccountSource(account_id=f"a{number}", amount_minor=amount)


def _wealth(amount: int | None = None) -> WealthSource:
    return WealthSource(units_account="u", cash_account="c", amount_minor=amount)


def _given(legs: tuple[FundedLeg, ...]) -> dict[int, int]:
    return {leg.state.paid.number: leg.amount_minor for leg in legs}


async def _plan(
    funding: tuple[FundingSource, ...], total: int, there: dict[int, int]
) -> dict[int, int]:
    return _given(await plan_legs(_wanted(funding, total), _sources(there)))


async def test_the_rest_goes_on_to_the_next() -> None:
    """A source without an amount gives what it has, and the next one the rest."""
    funding = (_wealth(), _account(1), _account(2))
    assert await _plan(funding, 1_000, {1: 300, 2: 200}) == {1: 300, 2: 200, 3: 500}
    assert await _plan(funding, 250, {1: 300, 2: 200}) == {1: 250}


async def test_amounts_of_later_sources_are_left_to_them() -> None:
    """What a later source is to give by name is not taken by an earlier one."""
    funding = (_account(1), _account(2, 400))
    assert await _plan(funding, 1_000, {}) == {1: 600, 2: 400}
    assert await _plan(funding, 400, {}) == {2: 400}


async def test_an_empty_source_is_left_out() -> None:
    """A source that has nothing is no leg of the payment."""
    assert await _plan((_wealth(), _account(1)), 100, {1: 0}) == {2: 100}


async def test_too_little_is_refused() -> None:
    """The last source that could, or one that was named with an amount, does not have it."""
    with pytest.raises(InsufficientFunds):
        await _plan((_wealth(), _account(1)), 100, {1: 30, 2: 60})
    with pytest.raises(InsufficientFunds):
        await _plan((_wealth(50), _account(1)), 100, {1: 30})


@pytest.mark.parametrize(
    ("funding", "total"),
    [
        ((_account(1, 60), _account(2, 50)), 100),
        ((_account(1, 60), _account(2, 30)), 100),
        ((_account(1, 60), _account(2)), 50),
        ((ChannelSource(), ChannelSource(channel="wechat")), 100),
        ((_account(1, 50), _account(1)), 100),
        ((CouponSource(coupon_id="c"), CouponSource(coupon_id="c"), _account(1)), 100),
    ],
)
def test_amounts_that_cannot_be_right_are_refused(
    funding: tuple[FundingSource, ...], total: int
) -> None:
    """Too much, too little, two channels, or one source twice."""
    with pytest.raises(InvalidField):
        check_funding(funding, total)


async def test_a_lost_race_has_a_way_out() -> None:
    """For each source that may be too late there is a way without it, but none without a coupon."""
    funding = (CouponSource(coupon_id="c"), _wealth(), _account(1), _account(2))
    there = {1: 50, 2: 300, 3: 200}
    ways = await funding_variants(_wanted(funding, 1_000), _sources(there))
    assert [_given(way) for way in ways] == [
        {1: 50, 2: 300, 3: 200, 4: 450},
        {1: 50, 3: 200, 4: 750},
        {1: 50, 2: 300, 4: 650},
        {1: 50, 4: 950},
    ]
    # Where the last one cannot step in, there is no such way.
    ways = await funding_variants(_wanted(funding, 1_000), _sources({**there, 4: 700}))
    assert [_given(way) for way in ways] == [
        {1: 50, 2: 300, 3: 200, 4: 450},
        {1: 50, 2: 300, 4: 650},
    ]


_SOURCES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 300), st.integers(1, 300)), min_size=1, max_size=6
)


@given(_SOURCES, st.integers(1, 1_000))
async def test_the_legs_sum_to_the_payment(drawn: list[tuple[bool, int, int]], total: int) -> None:
    """Whatever the sources have, the legs of every way sum to the total, or nothing is paid."""
    funding = tuple(
        _account(number, amount if named else None)
        for number, (named, _, amount) in enumerate(drawn, 1)
    )
    there = {number: has for number, (_, has, _) in enumerate(drawn, 1)}
    try:
        check_funding(funding, total)
        ways = await funding_variants(_wanted(funding, total), _sources(there))
    except (InvalidField, InsufficientFunds):
        return
    for way in ways:
        gives = _given(way)
        assert sum(gives.values()) == total
        for number, amount in gives.items():
            named, has, asked = drawn[number - 1]
            assert 0 < amount <= has
            assert not named or amount == asked


def _leg(number: int, amount: int, refunded: int) -> LegState:
    source = _account(number)
    paid = PaidLeg(
        number=number, type=source_tag(source), account_id=source.account_id, amount_minor=amount,
        refunded_minor=refunded,
    )  # fmt: skip
    return LegState(source=source, paid=paid)


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500)), min_size=1, max_size=6),
    st.data(),
)
def test_a_refund_fills_the_last_source_first(
    drawn: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Refunds go back in the reverse order, each source up to what it gave, in whatever pieces."""
    legs = [_leg(number, amount, 0) for number, (amount, _) in enumerate(drawn, 1)]
    left = sum(amount for amount, _ in drawn)
    got = dict.fromkeys(range(1, len(legs) + 1), 0)
    while left:
        amount = data.draw(st.integers(1, left))
        shares = shares_of_refund(legs, amount)
        assert sum(shares.values()) == amount
        left -= amount
        for number, share in shares.items():
            got[number] += share
            legs[number - 1] = _leg(number, drawn[number - 1][0], got[number])
        touched = min(shares)
        assert all(leg.left_minor == 0 for leg in legs[touched:])
    assert got == {number: amount for number, (amount, _) in enumerate(drawn, 1)}


def test_a_refund_follows_the_order_that_is_named() -> None:
    """Named sources get back in that order, the others nothing; what does not fit is refused."""
    legs = [_leg(1, 100, 0), _leg(2, 100, 40), _leg(3, 100, 0)]
    assert shares_of_refund(legs, 130, (1, 2)) == {1: 100, 2: 30}
    for order in ((2,), (4, 1), (1, 1, 2)):
        with pytest.raises(InvalidField):
            shares_of_refund(legs, 130, order)
