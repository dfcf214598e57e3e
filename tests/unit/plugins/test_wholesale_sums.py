"""The sums of the wholesale market: weights, prices, shares, fees, interest, closes."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from plugins.wholesale_market.debts import (
    Debt,
    accrued,
    collect,
    interest_minor,
    owed_minor,
    principal_minor,
    repayments,
    seller_parts,
)
from plugins.wholesale_market.division import (
    Parts,
    Terms,
    divide,
    pay_parts,
    payouts,
    transfers,
)
from plugins.wholesale_market.market_clock import (
    is_open,
    load_zone,
    month_of,
    next_day_close,
    next_week_close,
)
from plugins.wholesale_market.measures import (
    GRAMS,
    LOSS_PPM_MAX,
    PRICE_MINOR_MAX,
    WEIGHT_G_MAX,
    Unit,
    amount_minor,
    freight_minor,
    half_up,
    payable_g,
)
from plugins.wholesale_market.terms import FeeTier, MarketTerms, check_tiers, fee_ppm

DEAL = Terms(
    lot_id="lot",
    stall_id="s",
    farmer_account="farmer",
    stall_account="stall",
    market_account="fees",
    carrier_account="carrier",
    unit="kg",
    price_minor=200,
    commission_ppm=50_000,
    fee_ppm=20_000,
    per_kg_minor=4,
)

MARKET = MarketTerms(zone="UTC", fee_tiers=(FeeTier(from_minor=0, ppm=0),))


@pytest.mark.parametrize(
    ("net_g", "loss_ppm", "price", "unit", "wipe", "amount"),
    [
        pytest.param(100_000, 0, 200, "kg", 1, 20_000, id="100 kg at 2 yuan"),
        pytest.param(100_000, 0, 100, "jin", 1, 20_000, id="200 jin at 1 yuan"),
        pytest.param(1_250, 0, 2, "kg", 1, 3, id="2.5 fen is 3"),
        pytest.param(1_249, 0, 2, "kg", 1, 2, id="2.498 fen is 2"),
        pytest.param(250, 0, 1, "jin", 1, 1, id="half a fen is one"),
        pytest.param(100_000, 30_000, 200, "kg", 1, 19_400, id="3 % for moisture"),
        pytest.param(50, 10_000, 1_000, "kg", 1, 49, id="half a gram of loss is one"),
        pytest.param(12_345, 0, 128, "kg", 10, 1_580, id="below a jiao is dropped"),
        pytest.param(12_345, 0, 128, "kg", 100, 1_500, id="below a yuan is dropped"),
        pytest.param(0, 30_000, 200, "kg", 1, 0, id="nothing costs nothing"),
    ],
)
def test_price_at_the_edges(
    net_g: int, loss_ppm: int, price: int, unit: Unit, wipe: int, amount: int
) -> None:
    """Each edge of the rule costs what a person works out by hand."""
    assert amount_minor(payable_g(net_g, loss_ppm), price, unit, wipe) == amount


@given(
    st.integers(0, WEIGHT_G_MAX),
    st.integers(0, LOSS_PPM_MAX),
    st.integers(1, PRICE_MINOR_MAX),
    st.sampled_from(["kg", "jin"]),
    st.sampled_from([1, 10, 100]),
)
def test_price_is_that_of_the_decimals(
    net_g: int, loss_ppm: int, price: int, unit: Unit, wipe: int
) -> None:
    """Integers and decimals round the same way, to the gram and to the fen."""
    one = Decimal(1)
    loss = (Decimal(net_g) * loss_ppm / 1_000_000).quantize(one, ROUND_HALF_UP)
    payable = Decimal(net_g) - loss
    fen = (payable / GRAMS[unit] * price).quantize(one, ROUND_HALF_UP)
    assert payable_g(net_g, loss_ppm) == payable
    assert amount_minor(int(payable), price, unit, wipe) == int(fen) // wipe * wipe


def test_quotients_of_nothing_are_refused() -> None:
    """Half up is defined for what is weighed and paid, and for nothing below zero."""
    assert (half_up(1, 2), half_up(0, 3), half_up(5, 10)) == (1, 0, 1)
    for numerator, denominator in ((-1, 2), (1, 0), (1, -2)):
        with pytest.raises(ValueError, match="quotient"):
            half_up(numerator, denominator)


@pytest.mark.parametrize(
    ("amount", "net_g", "parts"),
    [
        pytest.param(20_000, 100_000, (18_200, 1_000, 400, 400), id="whole fen"),
        # Quotas 93, 5 and 2 hundredths of 99: 92.07, 4.95, 1.98.
        pytest.param(99, 0, (92, 5, 2, 0), id="fen go to the largest fractions"),
        # 46.5 and 2.5: equal fractions, the farmer stands first; the market's is 1.0.
        pytest.param(50, 0, (47, 2, 1, 0), id="of equal fractions the farmer's first"),
        pytest.param(100, 1_000_000, (0, 5, 2, 93), id="freight is at most the farmer's part"),
        pytest.param(0, 5_000, (0, 0, 0, 0), id="nothing"),
    ],
)
def test_division_at_the_edges(amount: int, net_g: int, parts: tuple[int, ...]) -> None:
    """Each edge of the division has the parts that a person works out by hand."""
    assert msgspec.structs.astuple(divide(amount, net_g, DEAL)) == parts


rates = st.builds(
    lambda commission, fee, per_kg: replace(
        DEAL, commission_ppm=commission, fee_ppm=fee, per_kg_minor=per_kg
    ),
    st.integers(0, 300_000),
    st.integers(0, 100_000),
    st.integers(0, 1_000),
)
amounts = st.integers(0, 10**13)
weights = st.integers(0, WEIGHT_G_MAX)


@given(amounts, weights, rates)
def test_parts_sum_to_the_deal(amount: int, net_g: int, terms: Terms) -> None:
    """No fen is lost or made, no part is negative, and none is a whole fen from its quota."""
    parts = divide(amount, net_g, terms)
    assert parts.total_minor == amount
    assert min(msgspec.structs.astuple(parts)) >= 0
    assert abs(parts.stall_minor * 1_000_000 - amount * terms.commission_ppm) < 1_000_000
    assert abs(parts.market_minor * 1_000_000 - amount * terms.fee_ppm) < 1_000_000
    freight = freight_minor(net_g, terms.per_kg_minor)
    assert parts.carrier_minor == min(freight, parts.farmer_minor + parts.carrier_minor)


@given(amounts, weights, rates)
def test_shares_are_what_is_not_the_farmers(amount: int, net_g: int, terms: Terms) -> None:
    """The payment to the farmer passes on exactly the other parts, and no empty ones."""
    parts = divide(amount, net_g, terms)
    pay = pay_parts("buyer", terms, parts, "deal")
    assert pay.amount_minor - sum(share.amount_minor for share in pay.shares) == parts.farmer_minor
    assert all(share.amount_minor > 0 and share.payee != pay.payee for share in pay.shares)


def test_one_account_with_two_roles_is_paid_once() -> None:
    """A farmer with a stall of his own keeps his commission, and pays no share to himself."""
    own = replace(DEAL, stall_account="farmer", carrier_account="fees")
    pay = pay_parts("buyer", own, divide(20_000, 100_000, own), "deal")
    assert [(share.payee, share.amount_minor) for share in pay.shares] == [("fees", 800)]


@given(amounts, weights, amounts, weights, rates, st.sampled_from(["buyer", "stall"]))
def test_transfers_turn_one_division_into_another(
    amount: int, net_g: int, other: int, other_g: int, terms: Terms, against: str
) -> None:
    """After the payments every account has what the new division says, and all comes from one."""
    before = payouts(terms, divide(amount, net_g, terms))
    after = payouts(terms, divide(other, other_g, terms))
    have = Counter(before)
    moves = transfers(before, after, against, "again")
    towards = [pay.payee == against for pay in moves]
    assert towards == sorted(towards, reverse=True)
    for pay in moves:
        assert pay.amount_minor > 0
        assert against in (pay.payer, pay.payee)
        have[pay.payer] -= pay.amount_minor
        have[pay.payee] += pay.amount_minor
    assert all(have[account] == after[account] for account in after if account != against)
    assert sum(have.values()) == sum(before.values())


def test_tiers_begin_at_nothing_and_rise() -> None:
    """The fee is that of the highest tier reached; tiers out of order are refused."""
    tiers = tuple(FeeTier(from_minor=start, ppm=ppm) for start, ppm in ((0, 9), (100, 7), (500, 5)))
    check_tiers(tiers)
    assert [fee_ppm(tiers, turnover) for turnover in (-5, 0, 99, 100, 499, 500, 10**12)] == [
        9, 9, 9, 7, 7, 5, 5,
    ]  # fmt: skip
    for wrong in (tiers[1:], (tiers[0], tiers[2], tiers[1]), (tiers[0], tiers[0])):
        with pytest.raises(ValueError, match="begin"):
            check_tiers(wrong)


def at(day: int, hour: float) -> datetime:
    return datetime(2026, 6, day, tzinfo=UTC) + timedelta(hours=hour)


def test_closes_of_day_and_week() -> None:
    """A close is later than what it closes; Sunday's belongs to the week that ends with it."""
    assert next_day_close(MARKET, at(15, 17.9)) == at(15, 18)
    assert next_day_close(MARKET, at(15, 18)) == at(16, 18)
    assert next_week_close(MARKET, at(15, 2)) == at(21, 18)
    assert next_week_close(MARKET, at(21, 17)) == at(21, 18)
    assert next_week_close(MARKET, at(21, 18)) == at(28, 18)
    shanghai = replace(MARKET, zone="Asia/Shanghai")
    assert next_day_close(shanghai, at(15, 9)) == at(15, 10)
    assert next_day_close(shanghai, at(15, 10)) == at(16, 10)


def test_hours_pass_midnight() -> None:
    """From 22:00 to 10:00 is a night; equal ends are always; the zone's wall decides."""
    assert [is_open(MARKET, at(15, hour)) for hour in (21.9, 22, 23.9, 24, 33.9, 34)] == [
        False, True, True, True, True, False,
    ]  # fmt: skip
    by_day = replace(MARKET, opens=time(6), closes=time(14))
    assert [is_open(by_day, at(15, hour)) for hour in (5.9, 6, 13.9, 14)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert is_open(replace(MARKET, opens=time(6), closes=time(6)), at(15, 3))
    assert not is_open(replace(MARKET, zone="Asia/Shanghai"), at(15, 3))


def test_months_are_counted_over_the_year() -> None:
    """December and January are neighbours."""
    assert month_of(date(2027, 1, 1)) == month_of(date(2026, 12, 31)) + 1


@pytest.mark.parametrize("zone", ["Asia/Nowhere", "Asia", "../../etc/passwd", "/etc/localtime"])
def test_unknown_zone_is_refused(zone: str) -> None:
    """A zone that does not exist, or reaches for a file, is one kind of error."""
    with pytest.raises(ValueError, match="no time zone"):
        load_zone(zone)


def debt(principal: int, *, days_due: int = 0, interest: int = 150, overdue: int = 0) -> Debt:
    day = date(2026, 6, 15)
    return Debt(
        deal_id="d",
        number=1,
        principal_minor=principal,
        since=at(15, 2),
        due_at=at(15, 18) + timedelta(days=days_due),
        due_day=day + timedelta(days=days_due),
        accrued_to=day,
        interest_ppm=interest,
        overdue_ppm=overdue,
        advance_account="advance",
    )


def test_interest_at_the_edges() -> None:
    """The day of the purchase is free, a night costs, late nights cost more, half a fen is one."""
    one = debt(1_000_000, days_due=6, interest=100, overdue=300)
    assert [interest_minor(one, date(2026, 6, 15 + days)) for days in (0, 1, 6, 7, 8)] == [
        0, 100, 600, 1_000, 1_400,
    ]  # fmt: skip
    half = debt(5_000, interest=100)
    assert [interest_minor(half, date(2026, 6, 15 + days)) for days in (1, 2, 3)] == [1, 1, 2]
    assert interest_minor(one, date(2026, 6, 1)) == 0


@given(
    st.integers(1, 10**10),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(0, 7),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10**9)), max_size=8),
)
def test_interest_is_that_of_the_decimals(
    principal: int, interest: int, overdue: int, due: int, payments: list[tuple[int, int]]
) -> None:
    """Over any story of partial payments, interest is to the fen what decimals say."""
    left: tuple[Debt, ...] = (debt(principal, days_due=due, interest=interest, overdue=overdue),)
    day, owed, carried = left[0].accrued_to, Decimal(principal), Decimal(0)
    for days, payment in payments:
        for _ in range(days):
            day += timedelta(days=1)
            late = overdue if day > left[0].due_day else 0
            carried += owed * (interest + late) / 1_000_000
        fen = carried.quantize(Decimal(1), ROUND_HALF_UP)
        assert interest_minor(left[0], day) == fen
        assert owed_minor(left, day) == owed + fen
        left, paid = collect(left, day, payment)
        first = min(Decimal(payment), fen)
        back = min(Decimal(payment) - first, owed)
        owed, carried = owed - back, max(Decimal(0), carried - first)
        assert sum(one.interest_minor for one in paid) == first
        assert sum(one.principal_minor for one in paid) == back
        assert principal_minor(left) == owed
        if not left:
            return
        left = (accrued(left[0], day),)


def waiting_for(principal: int) -> dict[str, Any]:
    sellers = seller_parts(DEAL, divide(principal, 0, DEAL))
    return {"advance_account": "", "sellers": sellers, "interest_ppm": 0}


debts = st.lists(
    st.builds(
        lambda principal, due, waits, number: replace(
            debt(principal, days_due=due),
            number=number,
            **(waiting_for(principal) if waits else {}),
        ),
        st.integers(1, 10**8),
        st.integers(0, 6),
        st.booleans(),
        st.integers(1, 10**6),
    ),
    max_size=12,
    unique_by=lambda one: one.number,
)


@given(debts, st.integers(0, 9), st.none() | st.integers(1, 10**9))
def test_a_repayment_loses_nothing(some: list[Debt], days: int, budget: int | None) -> None:
    """What was owed is what was paid and what is left; the payments move exactly that."""
    today = date(2026, 6, 15) + timedelta(days=days)
    owed = owed_minor(some, today)
    left, paid = collect(some, today, budget)
    whole = sum(one.paid_minor for one in paid)
    assert owed == whole + owed_minor(left, today)
    assert budget is None or whole <= budget
    moves = repayments("buyer", "interest", paid)
    assert sum(pay.amount_minor for pay in moves) == whole
    interest = sum(
        share.amount_minor for pay in moves for share in pay.shares if share.payee == "interest"
    )
    assert interest == sum(one.interest_minor for one in paid)
    waiting = [one for one in some if not one.advance_account]
    paid_whole = [one for one in paid if not one.debt.advance_account]
    assert len(waiting) == len(paid_whole) + sum(not one.advance_account for one in left)
    if budget is None:
        assert left == ()


def test_parts_are_what_they_say() -> None:
    """The parts of a deal add up to it."""
    parts = Parts(farmer_minor=1, stall_minor=2, market_minor=3, carrier_minor=4)
    assert parts.total_minor == 10
