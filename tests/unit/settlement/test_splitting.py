"""Shares that sum to the whole, fen for fen, on the way out and on the way back."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actors.settlement.splitting import apportion, check_rule, refund_split, split
from schemas.errors import InvalidField
from schemas.merchants import PPM, FixedShare, PpmShare, Share, SplitRule
from schemas.money import MAX_AMOUNT_MINOR

_AMOUNTS = st.integers(0, MAX_AMOUNT_MINOR)
_WEIGHTS = st.lists(st.integers(0, PPM), min_size=1, max_size=12).filter(any)


@st.composite
def _rules(draw: st.DrawFn) -> SplitRule:
    ppms = draw(st.lists(st.integers(1, 90_000), max_size=10))
    fixed = draw(st.lists(st.integers(1, 50), max_size=3))
    shares: list[Share] = [PpmShare(account_id=f"p{n}", ppm=ppm) for n, ppm in enumerate(ppms)]
    shares += [FixedShare(account_id=f"f{n}", amount_minor=one) for n, one in enumerate(fixed)]
    return SplitRule(shares=tuple(draw(st.permutations(shares))))


@given(amount=_AMOUNTS, weights=_WEIGHTS)
def test_parts_sum_to_the_amount(amount: int, weights: list[int]) -> None:
    """Parts sum to the amount, and each is its exact quota rounded down or up."""
    parts = apportion(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        quota = Fraction(amount * weight, sum(weights))
        assert abs(part - quota) < 1
        assert part >= 0


@given(amount=_AMOUNTS, weights=_WEIGHTS, data=st.data())
def test_a_larger_weight_never_gets_less(
    amount: int, weights: list[int], data: st.DataObject
) -> None:
    """Of two weights the larger one gets at least as much as the smaller one."""
    parts = dict(enumerate(apportion(amount, weights)))
    one = data.draw(st.sampled_from(range(len(weights))))
    other = data.draw(st.sampled_from(range(len(weights))))
    if weights[one] > weights[other]:
        assert parts[one] >= parts[other]


def test_equal_fractions_go_by_the_order() -> None:
    """The fen that nobody has more right to goes to the share that stands first."""
    assert apportion(100, (1, 1, 1)) == (34, 33, 33)
    assert apportion(101, (1, 1, 1)) == (34, 34, 33)
    assert apportion(1, (1, 2, 2)) == (0, 1, 0)


@pytest.mark.parametrize(("amount", "weights"), [(-1, (1,)), (1, (1, -1)), (1, (0, 0)), (1, ())])
def test_what_cannot_be_apportioned_raises(amount: int, weights: tuple[int, ...]) -> None:
    """A negative amount or weight, or an amount with nowhere to go, is an error of the caller."""
    with pytest.raises(ValueError, match=r"negative|has to go somewhere"):
        apportion(amount, weights)


@given(amount=_AMOUNTS, rule=_rules())
def test_a_split_is_exact(amount: int, rule: SplitRule) -> None:
    """A split either sums to the whole without a negative part, or is refused as too small."""
    fixed = sum(share.amount_minor for share in rule.shares if isinstance(share, FixedShare))
    ppm = sum(share.ppm for share in rule.shares if isinstance(share, PpmShare))
    left = Fraction(amount * (PPM - ppm), PPM) - fixed
    if left <= -1:
        with pytest.raises(InvalidField, match="does not carry"):
            split(amount, rule)
        return
    # Within a fen of nothing, the rounding decides whether it is enough.
    assume(left >= 1)
    parts = split(amount, rule)
    assert sum(parts) == amount
    assert min(parts) >= 0
    for share, part in zip(rule.shares, parts, strict=False):
        if isinstance(share, FixedShare):
            assert part == share.amount_minor
        else:
            assert abs(part - Fraction(amount * share.ppm, PPM)) < 1


def test_a_split_as_a_person_would_do_it() -> None:
    """Of ¥100.00: 5 % to the market, 1 yuan to the carrier, and the farmer has the rest."""
    rule = SplitRule(
        shares=(
            PpmShare(account_id="market", ppm=50_000),
            FixedShare(account_id="carrier", amount_minor=100),
        )
    )
    assert split(10_000, rule) == (500, 100, 9_400)
    with pytest.raises(InvalidField, match="does not carry"):
        split(104, rule)
    assert split(106, rule) == (5, 100, 1)


def test_rules_that_no_amount_fits_are_refused() -> None:
    """Shares above the whole, nothing left for fixed shares, or an account twice."""
    half = PpmShare(account_id="a", ppm=PPM // 2)
    with pytest.raises(InvalidField, match="sum to 1000001"):
        check_rule(SplitRule(shares=(half, PpmShare(account_id="b", ppm=PPM // 2 + 1))))
    whole = (half, PpmShare(account_id="b", ppm=PPM // 2))
    check_rule(SplitRule(shares=whole))
    with pytest.raises(InvalidField, match="sum to 1000000"):
        check_rule(SplitRule(shares=(*whole, FixedShare(account_id="c", amount_minor=1))))
    with pytest.raises(InvalidField, match="twice"):
        check_rule(SplitRule(shares=(half, half)))
    with pytest.raises(InvalidField, match="twice"):
        check_rule(SplitRule(shares=(half,), remainder="a"))


@st.composite
def _refunds(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    original = draw(st.lists(st.integers(0, 10_000), min_size=1, max_size=8).filter(any))
    left = sum(original)
    refunds: list[int] = []
    while left and len(refunds) < 40:
        refunds.append(draw(st.integers(1, left)))
        left -= refunds[-1]
    return original, [*refunds, left] if left else refunds


@given(case=_refunds())
def test_any_sequence_of_refunds_ends_exactly(case: tuple[list[int], list[int]]) -> None:
    """However a whole is refunded, each part gives back exactly what it got, never more before.

    On the way no part is two fen away from its quota.
    """
    original, refunds = case
    returned = [0] * len(original)
    for refund in refunds:
        parts = refund_split(original, returned, refund)
        assert sum(parts) == refund
        assert min(parts) >= 0
        returned = [sum(pair) for pair in zip(returned, parts, strict=True)]
        for got, gave in zip(original, returned, strict=True):
            assert gave <= got
            assert abs(gave - Fraction(got * sum(returned), sum(original))) < 2
    assert returned == original


@given(original=st.lists(st.integers(0, 60), min_size=2, max_size=5).filter(any))
def test_refunds_fen_by_fen_end_exactly(original: list[int]) -> None:
    """A whole that goes back one fen at a time comes from every part, in proportion."""
    returned = [0] * len(original)
    for _ in range(sum(original)):
        parts = refund_split(original, returned, 1)
        returned = [sum(pair) for pair in zip(returned, parts, strict=True)]
        assert all(
            abs(gave - Fraction(got * sum(returned), sum(original))) < 2
            for got, gave in zip(original, returned, strict=True)
        )
    assert returned == original


@given(
    parts=st.lists(
        st.integers(0, 10_000).flatmap(lambda got: st.tuples(st.just(got), st.integers(0, got))),
        min_size=1,
        max_size=8,
    ),
    data=st.data(),
)
def test_refunds_catch_up_with_what_was_out_of_proportion(
    parts: list[tuple[int, int]], data: st.DataObject
) -> None:
    """From any state of earlier refunds no part gives more than it has left, and all end exact."""
    original, returned = [got for got, _ in parts], [gave for _, gave in parts]
    left = sum(original) - sum(returned)
    refund = data.draw(st.integers(0, left))
    given_back = refund_split(original, returned, refund)
    assert sum(given_back) == refund
    after = [sum(pair) for pair in zip(returned, given_back, strict=True)]
    assert all(gave <= got for got, gave in zip(original, after, strict=True))
    last = refund_split(original, after, left - refund)
    assert [sum(pair) for pair in zip(after, last, strict=True)] == original


def test_more_than_what_is_left_is_not_refunded() -> None:
    """A refund above what is left, or a state that cannot be, is an error of the caller."""
    with pytest.raises(ValueError, match="11 of 10"):
        refund_split((5, 5), (1, 1), 9)
    with pytest.raises(ValueError, match="more than it got"):
        refund_split((5, 5), (6, 0), 1)
    with pytest.raises(ValueError, match="one refunded amount"):
        refund_split((5, 5), (1,), 1)
