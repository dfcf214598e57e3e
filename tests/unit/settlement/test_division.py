"""The fee, the shares and the rest of a payment, and how a refund takes them back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.settlement.division import Division, divide, give_back
from actors.settlement.splitting import check_rule
from schemas.errors import Ineligible, InvalidField
from schemas.merchants import (
    FeeRate,
    FixedShare,
    MerchantTerms,
    PpmShare,
    ServicePartner,
    SettleToAccount,
    SplitRule,
)

_BANK = FeeRate(ppm=3_800)


def _terms(**changes: object) -> MerchantTerms:
    return MerchantTerms(cycle="D+1", settle_to=SettleToAccount(account_id="own"), **changes)  # type: ignore[arg-type]


_MARKET = _terms(
    fee=FeeRate(ppm=6_000),
    method_fees={"qr_static": FeeRate(ppm=2_000)},
    partner=ServicePartner(partner_id="sp", account_id="partner", ppm=10_000),
    splits={
        "farmer": SplitRule(shares=(PpmShare(account_id="market", ppm=50_000),), remainder="farmer")
    },
    default_split="farmer",
)


def _divide(amount: int, terms: MerchantTerms, method: str = "quick", **more: str) -> Division:
    return divide(amount, "stall", terms, method=method, standard_fee=_BANK, **more)


def _shares(division: Division) -> dict[str, int]:
    return {share.account_id: share.amount_minor for share in division.shares}


def test_a_payment_as_a_person_would_divide_it() -> None:
    """Of ¥100.00 at 0.6 %: 60 fen to the bank, then 1 % and 5 % of the net, the rest to one."""
    division = _divide(10_000, _MARKET)
    assert division.fee_minor == 60
    # Of 9940: 99.4, 497 and 9343.6, whose fraction is the largest.
    assert _shares(division) == {"partner": 99, "market": 497, "farmer": 9_344}
    assert division.kept_minor == 0
    assert _divide(10_000, _MARKET, "qr_static").fee_minor == 20


def test_without_terms_the_merchant_keeps_what_the_standard_fee_leaves() -> None:
    """The bank's standard rate holds where the terms name none, and nobody else gets anything."""
    division = _divide(10_000, _terms())
    assert (division.fee_minor, division.kept_minor, division.shares) == (38, 9_962, ())


def test_a_rule_that_the_merchant_does_not_have_is_refused() -> None:
    """The name of a rule is one of the merchant's."""
    with pytest.raises(InvalidField, match="no split rule 'other'"):
        _divide(100, _MARKET, rule_name="other")


def test_a_channel_has_its_ceiling() -> None:
    """A payment of which a fixed share makes more than 30 % is not divided at the channel."""
    rule = SplitRule(shares=(FixedShare(account_id="a", amount_minor=30),), within=("wechat",))
    terms = _terms(fee=FeeRate(ppm=0), splits={"r": rule}, default_split="r")
    assert _shares(_divide(100, terms)) == {"a": 30}
    with pytest.raises(Ineligible, match="at most 29 of a payment of 99"):
        _divide(99, terms)


@st.composite
def _agreed(draw: st.DrawFn) -> MerchantTerms:
    ppms = draw(st.lists(st.integers(1, 150_000), max_size=5))
    rule = SplitRule(
        shares=tuple(PpmShare(account_id=f"p{n}", ppm=ppm) for n, ppm in enumerate(ppms)),
        remainder=draw(st.sampled_from([None, "rest"])),
    )
    check_rule(rule)
    partner = ServicePartner(partner_id="sp", account_id="partner", ppm=10_000)
    return _terms(
        fee=FeeRate(ppm=draw(st.integers(0, 100_000)), min_minor=draw(st.integers(0, 20))),
        refund_fee=draw(st.booleans()),
        partner=draw(st.sampled_from([None, partner])),
        splits={"r": rule},
        default_split="r",
    )


@given(
    terms=_agreed(),
    captures=st.lists(st.integers(1, 5_000), min_size=1, max_size=3),
    data=st.data(),
)
def test_captures_and_refunds_come_to_nothing(
    terms: MerchantTerms, captures: list[int], data: st.DataObject
) -> None:
    """A payment captured in parts and refunded in parts leaves everyone with what is agreed.

    At every moment the merchant, the participants and the bank have together what was not
    refunded; at the end nobody has anything, but for a fee that is not given back.
    """
    division = _divide(captures[0], terms)
    for amount in captures[1:]:
        division = division.plus(_divide(amount, terms))
    assert division.gross_minor == sum(captures)
    assert division.fee_minor + division.shared_minor + division.kept_minor == sum(captures)
    merchant, fee = division.kept_minor, division.fee_minor
    has = _shares(division)
    left = division.gross_minor
    while left:
        refund = data.draw(st.integers(max(1, left // 4), left))
        given_back = give_back(division, refund)
        division = given_back.after
        left -= refund
        merchant += given_back.fee_minor + given_back.shared_minor - refund
        fee -= given_back.fee_minor
        for account, amount in given_back.shares:
            has[account] -= amount
        assert min(has.values(), default=0) >= 0
        assert merchant + fee + sum(has.values()) == left
        if terms.refund_fee:
            assert merchant >= 0
    assert not any(has.values())
    assert fee == (0 if terms.refund_fee else division.fee_minor)
    assert merchant == -fee
    assert division.returned_minor == division.gross_minor
    with pytest.raises(ValueError, match="a refund of 1"):
        give_back(division, 1)


def test_divisions_of_two_merchants_are_not_one() -> None:
    """Only captures of one payment, which has one payee, are put together."""
    other = divide(1, "other", _terms(), method="quick", standard_fee=_BANK)
    with pytest.raises(ValueError, match="different merchants"):
        _divide(1, _terms()).plus(other)
