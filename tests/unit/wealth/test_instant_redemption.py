"""The cap of instant redemption and who may advance the money."""

from datetime import datetime, timedelta

import msgspec
import pytest

from actors.regulation.calendar import SHANGHAI
from actors.regulation.instant_redemption import INSTANT_REDEMPTION, OWN_BANK, InstantRedemption
from schemas.errors import Ineligible

_LATE = datetime(2026, 11, 25, 23, 59, 59, tzinfo=SHANGHAI)


def test_the_cap_is_that_of_the_guidelines() -> None:
    """¥10,000 a day."""
    assert INSTANT_REDEMPTION.per_day_max_minor == 10_000 * 100


def test_each_investor_fund_channel_and_calendar_day_counts_alone() -> None:
    """A counter changes with any of the four; the day is the calendar day of Shanghai."""
    rule = INSTANT_REDEMPTION
    one = rule.tally_id("li", "MMF1", "app", _LATE)
    assert one == rule.tally_id("li", "MMF1", "app", _LATE.replace(hour=0))
    others = {
        rule.tally_id("han", "MMF1", "app", _LATE),
        rule.tally_id("li", "MMF2", "app", _LATE),
        rule.tally_id("li", "MMF1", "web", _LATE),
        rule.tally_id("li", "MMF1", "app", _LATE + timedelta(seconds=1)),
    }
    assert one not in others
    assert len(others) == 4


def test_only_a_qualified_bank_may_advance() -> None:
    """A payment company is refused, this bank is not; the list is configuration."""
    INSTANT_REDEMPTION.check_advance(OWN_BANK)
    with pytest.raises(Ineligible, match="pay_company"):
        INSTANT_REDEMPTION.check_advance("pay_company")
    InstantRedemption(qualified_banks=("north_bank",)).check_advance("north_bank")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"per_day_max": 1}', type=InstantRedemption)
