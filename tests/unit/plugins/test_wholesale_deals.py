"""Deals at the wholesale market: prices, weighings that come anyhow, payment, acceptance."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from plugins.wholesale_market.buyer import ABANDONED_AFTER, DEALS_MAX, LINES_MAX
from schemas.errors import Ineligible, InsufficientFunds, LimitExceeded, Rejected
from tests.unit.plugins.wholesale_host import ADVANCE, Market
from zhihui.plugin import InvalidField, InvalidState, NotFound


@pytest.fixture(name="host")
def _host() -> Market:
    return Market(buyer=1_000_000)


def test_a_deal_is_paid_to_all_four_at_once(host: Market) -> None:
    """100 kg at ¥2: 5 % to the stall, 2 % to the market, 4 fen a kilogram to the carrier."""
    opened = host.price()
    assert (opened.status, opened.stall_id, opened.fee_ppm) == ("opened", "s", 20_000)
    weighed = host.weigh(110_000, 10_000)
    assert (weighed.status, weighed.net_g, weighed.amount_minor) == ("weighed", 100_000, 20_000)
    paid = host.pay()
    assert (paid.status, paid.source, paid.due_at) == ("paid", "account", None)
    assert host.parts() == (18_200, 1_000, 400, 400)
    assert host.balances["buyer"] == 980_000
    assert len(host.payments) == 1
    assert host.payments[0].reference == "wholesale d lot"


def test_stall_and_lot_are_told(host: Market) -> None:
    """What was sold is in the books of the stall and of the lot."""
    host.open()
    host.pay()
    today = host.stall.today
    assert msgspec.structs.astuple(today) == (1, 100_000, 20_000, 1_000, 400)
    assert host.stall.turnover_minor == 20_000
    assert (host.lot_state().sold_g, host.lot_state().deals) == (100_000, 1)


def test_weighings_may_come_before_the_price(host: Market) -> None:
    """A scale that is quicker than the terminal opens the deal; it costs nothing until priced."""
    first = host.weigh(110_000, 10_000)
    assert (first.status, first.amount_minor, host.deal().status) == ("weighed", 0, "weighing")
    with pytest.raises(InvalidState, match="no price"):
        host.call("pay", buyer_id="b", deal_id="d", lines=1, amount_minor=1, method="now")
    assert host.price().amount_minor == 20_000
    assert host.pay().status == "paid"


def test_lines_add_up_and_are_rounded_once(host: Market) -> None:
    """Three pallets cost what the load costs, with one rounding."""
    host.price(price=1, loss_ppm=10_000)
    for line in (1, 2, 3):
        host.weigh(1_200, 1_000, line=line)
    # 600 g less 6 g, at a fen a kilogram: 0.594 fen. Each pallet alone would cost nothing.
    assert host.deal().due_minor == 1


def test_higher_revision_stands_whichever_comes_first(host: Market) -> None:
    """A correction that overtakes what it corrects stays; what comes after it is stale."""
    host.price()
    assert host.weigh(60_000, revision=2).status == "weighed"
    assert host.weigh(50_000, revision=1).status == "stale"
    assert host.deal().net_g == 60_000
    assert host.weigh(60_000, revision=2).status == "duplicate"
    assert host.weigh(70_000, revision=4).status == "corrected"
    assert host.weigh(65_000, revision=3).status == "stale"
    assert host.deal().due_minor == 14_000
    with pytest.raises(InvalidState, match="other weights"):
        host.weigh(71_000, revision=4)


def test_a_line_is_withdrawn(host: Market) -> None:
    """Nothing on the scale takes a line off; it no longer counts."""
    host.open()
    host.weigh(50_000, line=2)
    gone = host.weigh(0, 0, line=2, revision=2)
    assert (gone.status, gone.lines, gone.amount_minor) == ("withdrawn", 1, 20_000)
    assert host.pay().amount_minor == 20_000


def test_scale_reports_after_the_payment(host: Market) -> None:
    """Once paid, repeats are recognised, and anything new has to go to dispute."""
    at = host.now
    host.price()
    host.weigh(100_000, weighed_at=at)
    host.pay()
    assert host.weigh(100_000, weighed_at=at).status == "duplicate"
    with pytest.raises(InvalidState, match="dispute"):
        host.weigh(90_000, revision=2)
    with pytest.raises(InvalidState, match="dispute"):
        host.weigh(90_000, line=2)
    assert host.deal().paid_minor == 20_000


def test_price_is_agreed_anew_until_paid(host: Market) -> None:
    """A higher revision of the terms stands; the same one with other terms is refused."""
    host.open()
    assert host.price(price=150, revision=3).status == "repriced"
    assert host.price(price=180, revision=2).status == "stale"
    assert host.price(price=150, revision=3).status == "duplicate"
    with pytest.raises(InvalidState, match="other terms"):
        host.price(price=140, revision=3)
    assert host.pay().amount_minor == 15_000
    with pytest.raises(InvalidState, match="paid"):
        host.price(price=100, revision=4)


@pytest.mark.parametrize(
    ("screen", "field"),
    [
        ({"amount_minor": 19_999}, "amount_minor"),
        ({"lines": 2}, "lines"),
    ],
)
def test_only_what_the_screen_showed_is_paid(
    host: Market, screen: dict[str, Any], field: str
) -> None:
    """When a weighing arrives between screen and button, nothing is paid."""
    host.open()
    with pytest.raises(InvalidState) as caught:
        host.pay(**screen)
    assert caught.value.field == field
    assert host.parts() == (0, 0, 0, 0)


def test_a_deal_is_paid_once(host: Market) -> None:
    """A second payment of a deal is refused, whatever its method."""
    host.credit(1_000_000)
    host.open()
    host.pay()
    for method in ("now", "guaranteed", "credit"):
        with pytest.raises(InvalidState):
            host.pay(method)
    assert host.balances["buyer"] == 980_000


def test_nobody_pays_without_money() -> None:
    """An account that does not cover the deal leaves everything as it was."""
    host = Market(buyer=19_999)
    host.open()
    for method in ("now", "guaranteed"):
        with pytest.raises(InsufficientFunds):
            host.pay(method)
    assert host.deal().status == "open"
    assert host.parts() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("report", "error"),
    [
        pytest.param({"gross_g": 100_050}, InvalidField, id="between two divisions"),
        pytest.param({"gross_g": 5_000_100}, InvalidField, id="more than it can show"),
        pytest.param({"gross_g": 1_000, "tare_g": 1_000}, InvalidField, id="nothing on it"),
        pytest.param({"gross_g": 0, "tare_g": 100}, InvalidField, id="less than nothing"),
        pytest.param({"scale_id": "kitchen"}, NotFound, id="a scale nobody knows"),
        pytest.param({"weighed_at": "2026-06-15T12:00:00Z"}, InvalidField, id="from the future"),
        pytest.param({"weighed_at": "1999-06-15T02:00:00Z"}, InvalidField, id="long ago"),
        pytest.param({"weighed_at": "2026-06-14T12:00:00Z"}, InvalidState, id="at noon"),
    ],
)
def test_impossible_weighings_are_refused(
    host: Market, report: dict[str, Any], error: type[Rejected]
) -> None:
    """What the scale cannot have shown at that time is not taken down."""
    host.price()
    with pytest.raises(error):
        host.weigh(**({"gross_g": 100_000} | report))
    assert host.deal().lines == ()


def test_a_scale_works_until_its_verification_ends(host: Market) -> None:
    """The last verified day counts, the next one does not."""
    host.price()
    assert host.weigh(100_000).status == "weighed"
    host.later(hours=24)
    with pytest.raises(InvalidState, match="verification"):
        host.weigh(100_000, line=2)


def test_only_goods_that_passed_are_sold(host: Market) -> None:
    """Without a passed inspection, or after the lot is closed, no deal is opened."""
    host.lot("bad", passed=False)
    with pytest.raises(InvalidState, match="failed"):
        host.price(lot_id="bad")
    with pytest.raises(NotFound):
        host.price(lot_id="none")
    host.call("close_lot", lot_id="lot")
    with pytest.raises(InvalidState, match="closed"):
        host.price()


def test_a_market_may_do_without_inspection() -> None:
    """Where none is required a registered lot is sold, and one that failed is not."""
    host = Market(buyer=1_000_000, inspection_required=False)
    host.call(
        "register_lot", lot_id="raw", market_id="m", stall_id="s", farmer_id="f",
        goods="fish", declared_g=1_000_000,
    )  # fmt: skip
    assert host.price(lot_id="raw").status == "opened"
    host.lot("bad", passed=False)
    with pytest.raises(InvalidState):
        host.price("e", lot_id="bad")


def test_nobody_buys_his_own_goods(host: Market) -> None:
    """The farmer's account cannot be the buyer's."""
    host.call("register_buyer", buyer_id="b", market_id="m", account_id="farmer")
    with pytest.raises(InvalidField, match="own"):
        host.price()


def test_held_money_is_captured_on_acceptance(host: Market) -> None:
    """Guaranteed pay holds at the weighing and pays all four when the goods are accepted."""
    host.open()
    held = host.pay("guaranteed")
    assert (held.status, held.due_at) == ("held", host.now + timedelta(minutes=30))
    assert (host.available("buyer"), host.parts()) == (980_000, (0, 0, 0, 0))
    assert host.stall.turnover_minor == 0
    accepted = host.about("accept")
    assert (accepted.status, accepted.by, accepted.captured_minor) == ("accepted", "buyer", 20_000)
    assert host.parts() == (18_200, 1_000, 400, 400)
    assert (host.holds.keys() & {("buyer", "b", "deal-1")}, host.stall.turnover_minor) == (
        set(), 20_000,
    )  # fmt: skip
    assert ("buyer", "b", "accept-1") not in host.timers


def test_discount_is_given_back(host: Market) -> None:
    """A discount for quality is captured away from everybody in proportion; the rest is free."""
    host.open()
    host.pay("guaranteed")
    accepted = host.about("accept", discount_minor=4_000)
    assert (accepted.captured_minor, accepted.discount_minor) == (16_000, 4_000)
    assert host.parts() == (14_480, 800, 320, 400)
    assert host.available("buyer") == 984_000
    with pytest.raises(InvalidState):
        host.about("accept")


def test_a_discount_is_less_than_the_deal(host: Market) -> None:
    """Goods that are worth nothing are rejected, not discounted."""
    host.open()
    host.pay("guaranteed")
    with pytest.raises(InvalidField, match="reject"):
        host.about("accept", discount_minor=20_000)


def test_rejected_goods_cost_nothing(host: Market) -> None:
    """All of the hold goes back, nothing is booked, and the deal is over."""
    host.open()
    host.pay("guaranteed")
    rejected = host.about("reject", reason="rotten")
    assert (rejected.status, rejected.released_minor) == ("rejected", 20_000)
    assert (host.available("buyer"), host.parts()) == (1_000_000, (0, 0, 0, 0))
    assert host.lot_state().sold_g == 0
    for verb, more in (("accept", {}), ("reject", {"reason": "again"}), ("cancel_deal", {})):
        with pytest.raises(InvalidState):
            host.about(verb, **more)


def test_silence_is_acceptance(host: Market) -> None:
    """After the agreed minutes the goods are accepted, once, and nothing is left to run out."""
    host.open()
    host.pay("guaranteed")
    host.later(minutes=29)
    assert host.deal().status == "held"
    host.later(minutes=1)
    assert host.deal().status == "paid"
    assert host.parts() == (18_200, 1_000, 400, 400)
    timer = host.heard[-1][1]
    assert getattr(timer, "by", None) == "timer"
    with pytest.raises(InvalidState):
        host.about("accept")


def test_a_timer_that_comes_twice_or_late_does_nothing(host: Market) -> None:
    """A timer of a deal that is settled, or of another deal with its number, changes nothing."""
    host.open()
    host.pay("guaranteed")
    body = host.timers["buyer", "b", "accept-1"].body
    host.fire("buyer", "b", msgspec.structs.replace(body, number=7))
    assert host.deal().status == "held"
    host.about("accept")
    before = (dict(host.balances), host.buyer)
    host.fire("buyer", "b", body)
    assert (dict(host.balances), host.buyer) == before


def test_frozen_buyer_is_captured_later(host: Market) -> None:
    """A capture that does not go is tried again at the close of the day."""
    host.open()
    host.pay("guaranteed")
    host.closed.add("buyer")
    host.later(minutes=30)
    assert host.deal().status == "held"
    host.closed.clear()
    host.later(hours=16)
    assert host.deal().status == "paid"


def test_a_cancelled_deal_is_over(host: Market) -> None:
    """Nothing is weighed, priced or paid on a deal that was given up."""
    host.open()
    assert host.about("cancel_deal").status == "cancelled"
    with pytest.raises(InvalidState, match="cancelled"):
        host.price(revision=2)
    with pytest.raises(InvalidState, match="cancelled"):
        host.weigh(1_000, line=9)
    with pytest.raises(InvalidState, match="cancelled"):
        host.pay()
    assert host.price().status == "duplicate"


def test_unknown_buyers_and_deals_are_not_found(host: Market) -> None:
    """Every message about somebody or something unknown says which."""
    with pytest.raises(NotFound) as caught:
        host.call("get_buyer", buyer_id="nobody")
    assert caught.value.field == "buyer_id"
    for verb, more in (
        ("get_deal", {}),
        ("accept", {}),
        ("cancel_deal", {}),
        ("dispute", {"by": "buyer"}),
        ("pay", {"lines": 1, "amount_minor": 1, "method": "now"}),
    ):
        with pytest.raises(NotFound) as caught:
            host.about(verb, **more)
        assert caught.value.field == "deal_id"


def test_view_tells_how_a_deal_stands(host: Market) -> None:
    """A deal is seen with its terms and lines, and once it is paid with its parts."""
    host.weigh(100_000)
    view = host.call("get_deal", buyer_id="b", deal_id="d")
    assert (view.status, view.lot_id, view.amount_minor, view.parts) == ("weighing", None, 0, None)
    host.price()
    host.pay()
    view = host.call("get_deal", buyer_id="b", deal_id="d")
    assert (view.status, view.lot_id, view.amount_minor, view.source) == (
        "paid", "lot", 20_000, "account",
    )  # fmt: skip
    assert view.parts.farmer_minor == 18_200
    assert view.lines[0].scale_id == "platform"


def test_finished_deals_leave_the_page_when_it_is_full(host: Market) -> None:
    """A page takes new deals as long as old ones are over, and keeps those that are not."""
    for number in range(DEALS_MAX):
        host.open(1_000, deal=f"d{number}")
        host.pay(deal=f"d{number}")
    with pytest.raises(LimitExceeded):
        host.price("more")
    host.later(minutes=121)
    host.price("more")
    assert len(host.buyer.deals) == DEALS_MAX
    assert [deal.deal_id for deal in host.buyer.deals][::31] == ["d1", "more"]


def test_abandoned_deals_make_room(host: Market) -> None:
    """What nobody has paid for a day is forgotten first when room is needed."""
    for number in range(DEALS_MAX):
        host.price(f"d{number}")
    with pytest.raises(LimitExceeded):
        host.price("more")
    host.later(hours=ABANDONED_AFTER.total_seconds() / 3600)
    assert host.price("more").status == "opened"


def test_lines_are_bounded_too(host: Market) -> None:
    """A page holds so many weighings; corrections need no room."""
    for line in range(1, LINES_MAX + 1):
        host.weigh(100_000, line=line)
    with pytest.raises(LimitExceeded):
        host.weigh(100_000, line=LINES_MAX + 1)
    assert host.weigh(90_000, line=5, revision=2).status == "corrected"


def test_room_is_not_made_by_forgetting_what_it_is_for(host: Market) -> None:
    """An abandoned deal that is weighed again stays, and another one leaves for it."""
    for deal in ("d", "e"):
        for line in range(1, LINES_MAX // 2 + 1):
            host.weigh(100_000, deal=deal, line=line)
    host.call(
        "register_scale", scale_id="platform", market_id="m", division_g=100, max_g=5_000_000,
        verified_until="2027-06-15",
    )  # fmt: skip
    host.later(hours=24)
    host.weigh(100_000, line=LINES_MAX // 2 + 1)
    assert [(deal.deal_id, len(deal.lines)) for deal in host.buyer.deals] == [
        ("d", LINES_MAX // 2 + 1)
    ]


def test_credit_is_not_for_everybody(host: Market) -> None:
    """Without a limit there is no credit, and with one the money may come from either side."""
    host.open()
    with pytest.raises(Ineligible):
        host.pay("credit")
    with pytest.raises(InvalidField):
        host.pay("credit", else_credit=True)
    assert host.pay(else_credit=True).source == "account"


def test_pay_now_falls_back_to_credit() -> None:
    """With else_credit the account pays what it can cover, and credit the rest of the deals."""
    host = Market(buyer=20_000)
    host.credit(25_000)
    for deal in ("d", "e", "f"):
        host.open(deal=deal)
    assert host.pay(else_credit=True).status == "paid"
    second = host.pay(deal="e", else_credit=True)
    assert (second.status, second.source) == ("on_credit", "advance")
    with pytest.raises(InsufficientFunds):
        host.pay(deal="f", else_credit=True)
    assert host.balances["advance"] == ADVANCE - 20_000
