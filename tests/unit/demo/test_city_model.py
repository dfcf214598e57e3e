"""The city's own arithmetic against the service's: fees, shares, and what goes back."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from actors.settlement.division import divide, give_back
from schemas.merchants import (
    PPM,
    FeeRate,
    MerchantTerms,
    PpmShare,
    SettleToAccount,
    SplitRule,
)
from schemas.money import MAX_AMOUNT_MINOR
from zhihui.demo.city.market import MERCHANTS, Shop, bought, given_back
from zhihui.demo.city.script import Script

_AMOUNTS = st.integers(1, MAX_AMOUNT_MINOR)
_FEE = FeeRate(ppm=3_800)


@st.composite
def _shops(draw: st.DrawFn) -> Shop:
    ppms = draw(st.lists(st.integers(1, 200_000), max_size=5))
    shares = tuple((f"part{number}", ppm) for number, ppm in enumerate(ppms))
    return Shop(name="shop", cycle="T+1", shares=shares)


def _terms(shop: Shop) -> MerchantTerms:
    shares = tuple(PpmShare(account_id=name, ppm=ppm) for name, ppm in shop.shares)
    return MerchantTerms(
        cycle="T+1",
        settle_to=SettleToAccount(account_id="own"),
        fee=_FEE,
        splits={"usual": SplitRule(shares=shares)},
        default_split="usual",
    )


@given(amount=_AMOUNTS, shop=st.one_of(st.sampled_from(MERCHANTS), _shops()))
def test_fee_shares_and_rest_are_the_whole(amount: int, shop: Shop) -> None:
    """The fee is the rate half up; fee, shares and the merchant's rest are the whole amount."""
    fee, shares = shop.parts(amount)
    assert abs(fee * PPM - amount * 3_800) * 2 <= PPM
    assert fee * PPM * 2 > amount * 3_800 * 2 - PPM
    net = amount - fee
    kept = net - sum(shares.values())
    assert [name for name, _ in shop.shares] == list(shares)
    weights = {**dict(shop.shares), "rest": PPM - sum(ppm for _, ppm in shop.shares)}
    for name, part in {**shares, "rest": kept}.items():
        assert abs(part * PPM - net * weights[name]) < PPM


@given(amount=_AMOUNTS, shop=st.one_of(st.sampled_from(MERCHANTS), _shops()))
def test_the_model_divides_as_the_service_does(amount: int, shop: Shop) -> None:
    """Two programs that share no line come to the same fee and the same shares."""
    fee, shares = shop.parts(amount)
    division = divide(amount, shop.name, _terms(shop), method="quick")
    assert division.fee_minor == fee
    got = {share.account_id: share.amount_minor for share in division.shares}
    assert got == {name: part for name, part in shares.items() if part}
    assert division.kept_minor == amount - fee - sum(shares.values())


@given(amount=st.integers(3, MAX_AMOUNT_MINOR), shop=_shops())
def test_refunds_in_two_parts_give_back_what_the_model_says(amount: int, shop: Shop) -> None:
    """A third and then the rest, as the story refunds, take back the whole fee and every share."""
    fee, shares = shop.parts(amount)
    division = divide(amount, shop.name, _terms(shop), method="quick")
    first = give_back(division, amount // 3)
    second = give_back(first.after, amount - amount // 3)
    assert first.fee_minor + second.fee_minor == fee
    returned: defaultdict[str, int] = defaultdict(int)
    for name, part in (*first.shares, *second.shares):
        returned[name] += part
    assert returned == {name: part for name, part in shares.items() if part}


@given(amount=_AMOUNTS, shop=_shops())
def test_the_model_loses_and_makes_no_money(amount: int, shop: Shop) -> None:
    """A purchase moves money and makes none; given back, everybody has what they had before."""
    script = Script(1)
    bought(script, "anna", shop, amount)
    assert sum(script.money.values()) == 0
    assert script.money["anna"] == -amount
    given_back(script, "anna", shop, amount)
    assert set(script.money.values()) == {0}
