"""The ceilings of the channels on divided payments."""

import pytest

from actors.regulation.split_ceilings import (
    SplitCeiling,
    SplitCeilings,
    check_division,
    check_rule_within,
)
from schemas.errors import Ineligible, InvalidField
from schemas.merchants import FixedShare, PpmShare, SplitRule


def _rule(receivers: int, ppm: int, *within: str, remainder: str | None = None) -> SplitRule:
    shares = tuple(PpmShare(account_id=f"a{n}", ppm=ppm) for n in range(receivers))
    return SplitRule(shares=shares, within=within, remainder=remainder)


def test_wechat_takes_fifty_receivers_and_alipay_five() -> None:
    """One receiver more than the channel takes is refused when the rule is made."""
    check_rule_within(_rule(50, 6_000, "wechat"))
    check_rule_within(_rule(5, 60_000, "wechat", "alipay"))
    with pytest.raises(InvalidField, match="at most 50 receivers; the rule has 51"):
        check_rule_within(_rule(51, 1, "wechat"))
    with pytest.raises(InvalidField, match="alipay divides a payment among at most 5 receivers"):
        check_rule_within(_rule(6, 1, "wechat", "alipay"))


def test_thirty_percent_is_the_most_that_is_divided() -> None:
    """Shares of 30 % pass, a millionth more does not, and the rest stays with the merchant."""
    check_rule_within(_rule(1, 300_000, "alipay"))
    with pytest.raises(InvalidField, match="at most 300000 ppm"):
        check_rule_within(_rule(1, 300_001, "alipay"))
    with pytest.raises(InvalidField, match="the merchant keeps the rest"):
        check_rule_within(_rule(1, 1, "alipay", remainder="b"))


def test_our_own_ledger_has_no_ceiling() -> None:
    """A rule that no channel has to execute may give everything to anybody."""
    check_rule_within(_rule(60, 16_000, remainder="b"))
    check_division(100, [100], ())


def test_a_channel_that_divides_nothing_is_refused() -> None:
    """UnionPay and the others divide no payments."""
    with pytest.raises(InvalidField, match="'unionpay' divides no payments"):
        check_rule_within(_rule(1, 1, "unionpay"))


def test_fixed_shares_are_measured_at_the_payment() -> None:
    """What a fixed share makes of a payment, the payment tells; the ceiling is rounded down."""
    check_rule_within(
        SplitRule(shares=(FixedShare(account_id="a", amount_minor=99),), within=("wechat",))
    )
    check_division(330, [99], ("wechat",))
    with pytest.raises(Ineligible, match="at most 98 of a payment of 329"):
        check_division(329, [99], ("wechat",))
    with pytest.raises(Ineligible, match="5 receivers"):
        check_division(1_000, [1] * 6, ("alipay",))


def test_a_merchant_that_applied_for_more_has_its_own_ceilings() -> None:
    """The ceilings are configuration."""
    more = SplitCeilings(
        channels={"wechat": SplitCeiling(receivers_max=50, shared_ppm_max=900_000)}
    )
    check_rule_within(_rule(2, 400_000, "wechat"), ceilings=more)
    check_division(100, [80], ("wechat",), more)
