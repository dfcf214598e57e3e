"""Subsidies: spent first, in canteens only, until they expire."""

from typing import Any

import pytest

from plugins.campus.student import GRANTS_MAX
from plugins.campus.subsidy_messages import SubsidyExpires
from tests.unit.plugins.campus_lab import CampusHost, day
from zhihui.plugin import InsufficientFunds, InvalidField, InvalidState, NotFound


@pytest.fixture(name="host")
def _host() -> CampusHost:
    host = CampusHost()
    host.balances |= {"acct-fund": 10_000, "acct-ann": 5_000}
    return host


def revoke(host: CampusHost, grant_id: str, officer: str = "bursar") -> Any:
    return host.call(
        "revoke_subsidy", student_id="ann", grant_id=grant_id, officer_id=officer, reason="error"
    )


def test_subsidy_is_spent_before_own_money(host: CampusHost) -> None:
    """A meal takes the subsidy to its last fen and the rest from the wallet, in one sale."""
    host.grant("ann", "living", 1500)
    assert (host.held("acct-fund"), host.balances["acct-fund"]) == (1500, 10_000)
    first = host.canteen.sell("ann", 1000)
    assert (first.subsidy_minor, first.own_minor) == (1000, 0)
    second = host.canteen.sell("ann", 800)
    assert (second.subsidy_minor, second.own_minor) == (500, 300)
    assert host.balances["acct-canteen-1"] == 1800
    assert (host.balances["acct-fund"], host.holds, host.timers) == (8500, {}, {})


def test_subsidy_is_for_the_canteen_only(host: CampusHost) -> None:
    """A shop takes own money, and none of it is owed by the fund."""
    host.grant("ann", "living", 1500)
    sold = host.shop.sell("ann", 700)
    assert (sold.subsidy_minor, sold.own_minor) == (0, 700)
    host.balances["acct-ann"] = 0
    with pytest.raises(InsufficientFunds):
        host.shop.sell("ann", 1)
    assert host.canteen.sell("ann", 1500).own_minor == 0


def test_subsidy_that_expires_first_is_spent_first(host: CampusHost) -> None:
    """Of two subsidies the one with the earlier end pays, whichever was granted first."""
    host.grant("ann", "term", 1000, days=100)
    host.grant("ann", "week", 300, days=7)
    host.canteen.sell("ann", 400)
    assert [(one.grant_id, one.left_minor) for one in host.student("ann").grants] == [("term", 900)]


def test_rest_goes_back_at_expiry(host: CampusHost) -> None:
    """The timer gives the rest free, and nothing can be spent of it afterwards."""
    host.grant("ann", "living", 1500, days=30)
    host.canteen.sell("ann", 400)
    host.advance(30 * 86_400)
    type_, ended = host.heard[-1]
    assert (type_, ended.returned_minor) == ("campus.subsidy_ended", 1100)  # type: ignore[attr-defined]
    assert (host.available("acct-fund"), host.student("ann").grants) == (9600, ())
    assert host.canteen.sell("ann", 100).own_minor == 100


def test_expired_subsidy_pays_nothing_though_its_timer_is_late(host: CampusHost) -> None:
    """The clock decides, not the timer: from the moment of expiry own money pays."""
    host.grant("ann", "living", 1500, days=30)
    host.clock.advance(30 * 86_400)
    assert host.canteen.sell("ann", 100).subsidy_minor == 0
    record = host.canteen.sale("ann", 100, at=day(29))
    host.canteen.upload(record)
    assert host.held("acct-fund") == 1500
    host.advance(0)
    assert host.held("acct-fund") == 0


def test_timer_that_comes_early_or_twice_takes_nothing(host: CampusHost) -> None:
    """A subsidy ends when its time is over, once; and a hold that is gone stops nothing."""
    host.grant("ann", "living", 1500, days=30)
    body = SubsidyExpires(hold="grant-1")
    host.fire("student", "ann", body)
    assert host.student("ann").grants_minor == 1500
    host.advance(30 * 86_400)
    host.fire("student", "ann", body)
    host.fire("student", "nobody", body)
    assert host.available("acct-fund") == 10_000
    host.grant("ann", "again", 200, days=60)
    host.holds.clear()
    host.advance(31 * 86_400)
    assert host.student("ann").grants == ()


def test_fund_must_cover_a_subsidy(host: CampusHost) -> None:
    """What is granted is there: a fund that is spoken for gives no more."""
    host.grant("ann", "a", 6000)
    with pytest.raises(InsufficientFunds):
        host.grant("ben", "b", 4001)
    assert host.grant("ben", "b", 4000).status == "granted"


def test_subsidy_is_granted_once(host: CampusHost) -> None:
    """A name is never used twice for a student, while it lasts and after it; nor an old date."""
    host.grant("ann", "living", 100, days=1)
    with pytest.raises(InvalidState, match="already"):
        host.grant("ann", "living", 100)
    host.advance(86_400)
    with pytest.raises(InvalidState, match="already"):
        host.grant("ann", "living", 100)
    with pytest.raises(InvalidField):
        host.grant("ann", "new", 100, days=0)
    for number in range(GRANTS_MAX):
        host.grant("ann", f"g-{number}", 1)
    with pytest.raises(InvalidState, match="most"):
        host.grant("ann", "one-more", 1)


def test_officer_revokes_a_subsidy(host: CampusHost) -> None:
    """What is left goes back at once; what was spent stays spent."""
    host.grant("ann", "living", 1500)
    host.canteen.sell("ann", 400)
    with pytest.raises(NotFound):
        revoke(host, "living", "cashier")
    ended = revoke(host, "living")
    assert (ended.status, ended.returned_minor) == ("revoked", 1100)
    assert (host.available("acct-fund"), host.timers) == (9600, {})
    with pytest.raises(InvalidState):
        revoke(host, "living")
    with pytest.raises(NotFound):
        revoke(host, "never")
