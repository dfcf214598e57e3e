"""Lots, their deposits, and disputes about the weight of what was sold of them."""

from typing import Any

import msgspec
import pytest

from schemas.errors import InsufficientFunds
from tests.unit.plugins.wholesale_host import ADVANCE, MONDAY, PARTIES, Market
from zhihui.plugin import InvalidField, InvalidState, NotFound

SELLERS = (18_200, 1_000, 400, 400)


@pytest.fixture(name="host")
def _host() -> Market:
    return Market(buyer=1_000_000)


def sold(host: Market, method: str = "now", **more: Any) -> Market:
    """Sell 100 kg for ¥200 and open a dispute about it."""
    host.open(**more)
    host.pay(method)
    assert host.about("dispute", by="buyer").status == "disputed"
    return host


def test_a_deposit_is_held_and_given_back(host: Market) -> None:
    """¥100 a tonne is held while the lot is there, and free when it is closed."""
    assert host.available("farmer") == 900_000
    closed = host.call("close_lot", lot_id="lot")
    assert (closed.released_minor, closed.captured_minor, closed.by) == (100_000, 0, "request")
    assert (host.available("farmer"), host.lot_state().deposit) == (1_000_000, "resolved")
    with pytest.raises(InvalidState, match="closed"):
        host.call("close_lot", lot_id="lot")
    assert ("lot", "lot", "days") not in host.timers


def test_a_lot_without_money_for_the_deposit_stays_outside(host: Market) -> None:
    """Nothing is entered when the farmer's account does not cover the deposit."""
    with pytest.raises(InsufficientFunds):
        host.lot("big", 99_000_000)
    assert ("lot", "big") not in host.documents
    with pytest.raises(InvalidState, match="already"):
        host.lot("lot")


def test_a_market_without_deposits_holds_nothing() -> None:
    """Where no deposit is wanted a lot comes and goes without a hold."""
    host = Market(deposit_per_tonne_minor=0)
    assert host.holds == {}
    assert host.call("close_lot", lot_id="lot").released_minor == 0
    host.lot("next")
    with pytest.raises(InvalidState, match="nothing is held"):
        host.call("default_lot", lot_id="next", reason="none")


def test_default_takes_a_part_or_all(host: Market) -> None:
    """A penalty goes to the market and the rest back; without an amount it is everything."""
    gone = host.call("default_lot", lot_id="lot", reason="residues", penalty_minor=30_000)
    assert (gone.penalty_minor, gone.released_minor) == (30_000, 70_000)
    assert (host.balances["farmer"], host.available("farmer")) == (970_000, 970_000)
    assert host.balances["fees"] == 30_000
    host.lot("next")
    with pytest.raises(InvalidField, match="left"):
        host.call("default_lot", lot_id="next", reason="x", penalty_minor=100_001)
    assert host.call("default_lot", lot_id="next", reason="x").penalty_minor == 100_000
    over: dict[str, dict[str, Any]] = {
        "close_lot": {},
        "default_lot": {"reason": "x"},
        "inspect_lot": {"passed": True},
    }
    for verb, more in over.items():
        with pytest.raises(InvalidState, match="defaulted"):
            host.call(verb, lot_id="next", **more)


def test_days_of_a_lot_run_out(host: Market) -> None:
    """After its days a lot is closed by itself, and one that failed its inspection is not."""
    host.lot("bad", passed=False)
    host.later(days=3)
    assert (host.lot_state().status, host.lot_state("bad").status) == ("closed", "failed")
    assert host.available("farmer") == 900_000
    assert host.call("default_lot", lot_id="bad", reason="residues").penalty_minor == 100_000


def test_a_lot_waits_for_its_last_dispute(host: Market) -> None:
    """A lot is closed when its last deal can no longer be disputed, by hand and by the timer."""
    host.later(days=2, hours=23, minutes=30)
    host.call(
        "register_scale", scale_id="platform", market_id="m", division_g=100, max_g=5_000_000,
        verified_until="2027-06-15",
    )  # fmt: skip
    host.open()
    host.pay()
    with pytest.raises(InvalidState, match="disputed until"):
        host.call("close_lot", lot_id="lot")
    host.later(minutes=60)
    assert host.lot_state().status == "passed"
    host.later(minutes=125)
    assert host.lot_state().status == "closed"


def test_selling_more_than_came_is_told_once(host: Market) -> None:
    """Beyond 2 % more than declared the inspectors are told, and not again."""
    host.lot("small", 1_000_000)
    for number in range(4):
        host.open(340_000, deal=f"d{number}", lot_id="small")
        host.pay(deal=f"d{number}")
    told = [data for kind, data in host.heard if kind == "wholesale_market.lot_oversold"]
    assert [(one.declared_g, one.sold_g) for one in told] == [(1_000_000, 1_360_000)]  # type: ignore[attr-defined]
    for deal in ("d1", "d3"):
        host.about("dispute", deal=deal, by="buyer")
        host.reweigh(100, deal=deal)
    assert host.lot_state("small").sold_g < 1_000_000
    host.about("dispute", deal="d2", by="seller")
    host.reweigh(700_000, deal="d2")
    assert sum(kind == "wholesale_market.lot_oversold" for kind, _ in host.heard) == 1
    view = host.call("get_lot", lot_id="small")
    assert (view.oversold, view.deals, view.sold_g) == (True, 4, 1_040_200)


def test_a_lower_weight_is_refunded_by_everybody(host: Market) -> None:
    """At 90 kg each party has what 90 kg would have brought it, and the buyer has the rest."""
    sold(host)
    result = host.reweigh(90_000)
    assert (result.status, result.difference_minor, result.amount_minor) == (
        "refunded", -2_000, 18_000,
    )  # fmt: skip
    assert host.parts() == (16_380, 900, 360, 360)
    assert host.balances["buyer"] == 982_000
    assert (host.stall.today.turnover_minor, host.lot_state().sold_g) == (18_000, 90_000)
    assert host.stall.today.deals == 1


def test_a_higher_weight_is_charged(host: Market) -> None:
    """At 110 kg the buyer pays the difference to all four."""
    sold(host)
    result = host.reweigh(110_000)
    assert (result.status, result.difference_minor) == ("charged", 2_000)
    assert host.parts() == (20_020, 1_100, 440, 440)
    assert host.balances["buyer"] == 978_000


@pytest.mark.parametrize("net_g", [100_100, 99_900, 100_000])
def test_the_same_weight_upholds_the_deal(host: Market, net_g: int) -> None:
    """Within 1 ‰ it is the same weight, and nothing moves."""
    sold(host)
    result = host.reweigh(net_g)
    assert (result.status, result.difference_minor, host.parts()) == ("upheld", 0, SELLERS)
    assert host.deal().status == "paid"
    with pytest.raises(InvalidState, match="upheld"):
        host.about("dispute", by="seller")


def test_just_beyond_the_tolerance_counts(host: Market) -> None:
    """A division more than the tolerance is another weight."""
    sold(host)
    assert host.reweigh(99_800).status == "refunded"


def test_disputes_have_their_time(host: Market) -> None:
    """A dispute is opened in time, weighed in time, and lapses by itself."""
    host.open()
    host.pay()
    host.later(minutes=120)
    host.about("dispute", by="seller")
    host.later(minutes=60)
    assert (host.deal().status, host.notices) == ("paid", ["wholesale_market.dispute_lapsed"])
    with pytest.raises(InvalidState, match="lapsed"):
        host.about("dispute", by="buyer")
    # The timer may be late; the referee's time is over all the same.
    host.open(deal="late")
    host.pay(deal="late")
    host.about("dispute", deal="late", by="buyer")
    host.clock.advance(3_601)
    with pytest.raises(InvalidState, match="disputed"):
        host.reweigh(90_000, deal="late")
    with pytest.raises(InvalidState):
        host.reweigh(90_000)
    host.open(deal="e")
    host.pay(deal="e")
    host.later(minutes=121)
    with pytest.raises(InvalidState, match="until"):
        host.about("dispute", deal="e", by="buyer")


def test_only_paid_deals_and_the_referee_scale_count(host: Market) -> None:
    """What is not paid is not disputed; other scales and an empty one settle nothing."""
    host.open()
    with pytest.raises(InvalidState, match="open"):
        host.about("dispute", by="buyer")
    host.pay("guaranteed")
    with pytest.raises(InvalidState, match="held"):
        host.about("dispute", by="buyer")
    host.about("accept")
    host.about("dispute", by="buyer")
    report: dict[str, Any] = {"weighed_at": host.now, "gross_g": 100_000, "tare_g": 10_000}
    with pytest.raises(InvalidField, match="referee"):
        host.about("reweigh", scale_id="platform", **report)
    with pytest.raises(InvalidField, match="nothing"):
        host.about("reweigh", scale_id="referee", **(report | {"gross_g": 0, "tare_g": 0}))
    with pytest.raises(NotFound):
        host.about("reweigh", scale_id="none", **report)


def test_a_discount_stays_after_a_new_weighing(host: Market) -> None:
    """What was taken off for quality is taken off the new price too."""
    host.open()
    host.pay("guaranteed")
    host.about("accept", discount_minor=4_000)
    host.about("dispute", by="buyer")
    assert host.reweigh(90_000).amount_minor == 14_000
    assert sum(host.parts()) == 14_000
    assert host.balances["buyer"] == 986_000


def test_a_farmer_without_money_pays_from_the_deposit(host: Market) -> None:
    """The others give back at once; the farmer's part is claimed from the lot's deposit."""
    sold(host)
    host.balances["farmer"] = 100_000
    assert host.available("farmer") == 0
    result = host.reweigh(90_000)
    assert (result.difference_minor, result.claimed_minor) == (-2_000, 1_820)
    assert host.balances["buyer"] == 982_000
    assert host.balances["farmer"] == 98_180
    assert (host.lot_state().captured_minor, host.lot_state().left_minor) == (1_820, 98_180)
    assert host.stall.today.turnover_minor == 18_000
    host.later(hours=24)
    assert host.call("close_lot", lot_id="lot").released_minor == 98_180


def test_a_deposit_that_is_too_small_is_used_up(host: Market) -> None:
    """What the deposit does not cover is written on the lot, and nobody pays it twice."""
    host.lot("tiny", 100_000)
    sold(host, lot_id="tiny")
    host.balances["farmer"] = 101_000
    host.reweigh(50_000)
    lot = host.lot_state("tiny")
    assert (lot.captured_minor, lot.short_minor, lot.deposit) == (1_000, 8_100, "resolved")
    assert host.balances["buyer"] == 1_000_000 - 20_000 + 900 + 1_000
    host.later(hours=24)
    assert host.call("close_lot", lot_id="tiny").released_minor == 0


def test_a_claim_on_a_frozen_deposit_is_written_down(host: Market) -> None:
    """A deposit that cannot be captured now leaves the claim on the lot."""
    sold(host)
    host.balances["farmer"] = 100_000
    host.sent.clear()
    claim = {"lot_id": "lot", "deal_id": "d", "account_id": "buyer", "amount_minor": 500}
    host.closed.add("farmer")
    assert host.call("claim_deposit", **claim).short_minor == 500
    host.closed.clear()
    assert host.call("claim_deposit", **claim).captured_minor == 500
    assert (host.lot_state().short_minor, host.lot_state().captured_minor) == (500, 500)


def test_a_refund_on_credit_lowers_the_debt() -> None:
    """What was advanced goes back to the advance; the buyer owes less and gets nothing."""
    host = Market()
    host.credit(100_000)
    sold(host, "credit")
    assert host.reweigh(90_000).difference_minor == -2_000
    assert (host.buyer.used_minor, host.balances["buyer"]) == (18_000, 0)
    assert host.balances["advance"] == ADVANCE - 18_000
    assert host.parts() == (16_380, 900, 360, 360)


def test_a_refund_beyond_the_debt_goes_to_the_buyer() -> None:
    """When part of the debt is paid back, the refund ends it and the rest is the buyer's."""
    host = Market(buyer=30_000)
    host.credit(100_000)
    sold(host, "credit")
    host.call("repay", buyer_id="b", amount_minor=19_000)
    host.reweigh(90_000)
    assert (host.buyer.debts, host.balances["buyer"]) == ((), 12_000)
    assert ("buyer", "b", "due") not in host.timers
    assert host.balances["advance"] == ADVANCE
    assert host.parts() == (16_380, 900, 360, 360)


def test_a_refund_after_everything_was_repaid_goes_to_the_buyer() -> None:
    """Once the advance has its money, the sellers owe the buyer."""
    host = Market(buyer=30_000)
    host.credit(100_000)
    sold(host, "credit")
    host.call("repay", buyer_id="b")
    host.reweigh(90_000)
    assert (host.balances["buyer"], host.balances["advance"]) == (12_000, ADVANCE)


def test_a_charge_on_credit_is_within_the_limit() -> None:
    """More weight on credit is advanced as long as the limit allows, else the account pays."""
    host = Market(buyer=5_000)
    host.credit(21_000)
    sold(host, "credit")
    assert host.reweigh(104_000).difference_minor == 800
    assert (host.buyer.used_minor, host.balances["buyer"]) == (20_800, 5_000)
    host.open(1_000, deal="e")
    host.pay("credit", deal="e")
    host.about("dispute", deal="e", by="seller")
    host.reweigh(2_000, deal="e")
    assert (host.buyer.used_minor, host.balances["buyer"]) == (21_000, 4_800)


def test_a_charge_that_nobody_can_pay_leaves_the_dispute_open() -> None:
    """Without money and credit the referee's weight is refused until there is some."""
    host = Market(buyer=20_000)
    sold(host)
    with pytest.raises(InsufficientFunds):
        host.reweigh(110_000)
    assert (host.deal().status, host.parts()) == ("disputed", SELLERS)
    host.balances["buyer"] = 2_000
    assert host.reweigh(110_000).status == "charged"


def test_sellers_that_wait_wait_for_the_right_amount() -> None:
    """A debt to sellers changes with the weight; they are paid what the new weight brings."""
    host = Market(advance=0, buyer=50_000)
    host.call(
        "open_stall", stall_id="s", market_id="m", account_id="stall", commission_ppm=50_000,
        waits=True,
    )  # fmt: skip
    host.credit(21_000)
    sold(host, "credit")
    host.reweigh(90_000)
    assert (host.parts(), host.buyer.used_minor) == ((0, 0, 0, 0), 18_000)
    host.open(10_000, deal="e")
    host.pay("credit", deal="e")
    host.about("dispute", deal="e", by="seller")
    # 2,000 more would pass the limit: the account pays the difference, the debt stays.
    host.reweigh(20_000, deal="e")
    assert (host.buyer.used_minor, host.balances["buyer"]) == (20_000, 48_000)
    host.call("repay", buyer_id="b")
    assert host.parts() == (16_380 + 3_640, 900 + 200, 360 + 80, 360 + 80)


def test_an_overdue_debt_that_a_refund_ends_leaves_the_list() -> None:
    """When a refund pays what was overdue, the buyer is off the list and has credit again."""
    host = Market(reweigh_minutes=1_440)
    host.credit(100_000)
    sold(host, "credit")
    host.later(hours=16)
    assert host.buyer.blocked
    assert len(host.call("list_arrears", market_id="m").buyers) == 1
    host.call(
        "register_scale", scale_id="referee", market_id="m", division_g=1, max_g=5_000_000,
        verified_until="2027-06-15", referee=True,
    )  # fmt: skip
    body: dict[str, Any] = {
        "scale_id": "referee",
        "weighed_at": MONDAY,
        "gross_g": 10_001,
        "tare_g": 10_000,
    }
    assert host.about("reweigh", **body).amount_minor == 0
    assert (host.buyer.debts, host.buyer.blocked) == ((), False)
    assert host.call("list_arrears", market_id="m").buyers == ()
    assert [host.balances.get(account, 0) for account in PARTIES] == [1_000_000, 0, 0, 0]


def test_a_dispute_timer_that_comes_again_does_nothing(host: Market) -> None:
    """The end of a dispute that was weighed already, or of another deal, changes nothing."""
    sold(host)
    body = host.timers["buyer", "b", "dispute-1"].body
    host.reweigh(90_000)
    assert ("buyer", "b", "dispute-1") not in host.timers
    before = (dict(host.balances), host.buyer)
    host.fire("buyer", "b", body)
    host.fire("buyer", "b", msgspec.structs.replace(body, number=9))
    assert (dict(host.balances), host.buyer) == before
