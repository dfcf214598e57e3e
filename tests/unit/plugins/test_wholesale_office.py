"""The office of the wholesale market: markets, stalls and their fees, and messages off bounds."""

from typing import Any

import msgspec
import pytest

from plugins.wholesale_market.deal_messages import OpenDeal, PayDeal, ReportWeighing
from tests.unit.plugins.wholesale_host import TERMS, Market
from zhihui.plugin import InvalidField, NotFound


@pytest.fixture(name="host")
def _host() -> Market:
    return Market(buyer=1_000_000)


def test_what_is_entered_again_is_updated_or_unchanged(host: Market) -> None:
    """The same entry changes nothing, another one takes its place; open deals keep theirs."""
    host.open()
    carrier = {"carrier_id": "c", "account_id": "carrier"}
    assert host.call("register_carrier", **carrier, per_kg_minor=4).status == "unchanged"
    assert host.call("register_carrier", **carrier, per_kg_minor=9).status == "updated"
    assert host.call("register_farmer", farmer_id="f", account_id="farmer").status == "unchanged"
    assert host.call("register_farmer", farmer_id="f", account_id="elsewhere").status == "updated"
    buyer = {"buyer_id": "b", "market_id": "m", "account_id": "buyer"}
    assert host.call("register_buyer", **buyer).status == "unchanged"
    host.pay()
    assert host.parts() == (18_200, 1_000, 400, 400)


def test_a_market_is_opened_once_and_then_changed(host: Market) -> None:
    """The view is what stands; new terms are for what is opened afterwards."""
    view = host.call("get_market", market_id="m")
    market = {"market_id": "m", "terms": TERMS, "fee_account": "fees"}
    market |= {f"{purse}_account": purse for purse in ("advance", "interest")}
    assert host.call("open_market", **market).status == "unchanged"
    assert host.notices == []
    changed = host.call("open_market", **(market | {"terms": TERMS | {"wipe_minor": 100}}))
    assert (changed.status, changed.terms.wipe_minor) == ("updated", 100)
    assert view.terms.wipe_minor == 1
    host.price(price=199)
    assert host.weigh(100_100).amount_minor == 19_900


@pytest.mark.parametrize(
    ("verb", "body", "error"),
    [
        ("get_market", {"market_id": "n"}, NotFound),
        ("get_stall", {"stall_id": "t"}, NotFound),
        ("get_lot", {"lot_id": "l"}, NotFound),
        ("close_lot", {"lot_id": "l"}, NotFound),
        ("register_buyer", {"buyer_id": "x", "market_id": "n", "account_id": "x"}, NotFound),
        ("register_buyer", {"buyer_id": "b", "market_id": "o", "account_id": "x"}, InvalidField),
        ("open_stall", {"stall_id": "t", "market_id": "n", "account_id": "t"}, NotFound),
        ("open_stall", {"stall_id": "s", "market_id": "o", "account_id": "t"}, InvalidField),
        (
            "register_scale",
            {
                "scale_id": "x", "market_id": "m", "division_g": 200, "max_g": 500,
                "verified_until": "2026-06-15",
            },
            InvalidField,
        ),
    ],
)  # fmt: skip
def test_strangers_and_moves_are_refused(
    host: Market, verb: str, body: dict[str, Any], error: type[Exception]
) -> None:
    """What nobody knows is not found; nobody and nothing moves to another market."""
    host.call(
        "open_market", market_id="o", fee_account="o", advance_account="p", interest_account="q",
        terms=TERMS,
    )  # fmt: skip
    with pytest.raises(error):
        host.call(verb, **body)


def test_markets_do_not_mix(host: Market) -> None:
    """A scale or a lot of another market is refused."""
    host.call(
        "open_market", market_id="o", fee_account="o", advance_account="p", interest_account="q",
        terms=TERMS,
    )  # fmt: skip
    host.call("register_buyer", buyer_id="far", market_id="o", account_id="far")
    report = {"deal_id": "d", "scale_id": "platform", "line": 1, "gross_g": 200, "tare_g": 100}
    with pytest.raises(InvalidField, match="in market"):
        host.call("weigh", buyer_id="far", weighed_at=host.now, **report)
    with pytest.raises(InvalidField, match="lot 'lot' is in market"):
        host.call("open_deal", buyer_id="far", deal_id="d", lot_id="lot", unit="kg", price_minor=1)


def test_fee_follows_the_turnover_of_the_month_before(host: Market) -> None:
    """A stall that has sold for ¥1,000 in June pays the lower fee in July, and again not."""
    host.open(600_000)
    host.pay()
    assert host.call("get_stall", stall_id="s").turnover_minor == 120_000
    assert host.price("e").fee_ppm == 20_000
    host.later(days=16)
    host.lot("july")
    assert host.price("f", lot_id="july").fee_ppm == 10_000
    view = host.call("get_stall", stall_id="s")
    assert (view.turnover_minor, view.turnover_before_minor) == (0, 120_000)
    host.later(days=31)
    host.lot("august")
    assert host.price("g", lot_id="august").fee_ppm == 20_000
    host.call(
        "book_sale", stall_id="s", day=host.now.date(), deals=1, weight_g=1, turnover_minor=7,
        commission_minor=0, fee_minor=0,
    )  # fmt: skip
    view = host.call("get_stall", stall_id="s")
    assert (view.turnover_minor, view.turnover_before_minor) == (7, 0)


def test_fee_may_follow_the_running_month() -> None:
    """A market may count what the month has brought so far; an open deal keeps its fee."""
    host = Market(buyer=1_000_000, fee_basis="month_to_date")
    host.open(600_000)
    host.price("early", 100)
    host.pay()
    assert host.price("late").fee_ppm == 10_000
    assert host.deal("early").terms is not None
    host.weigh(100_000, deal="early")
    assert host.pay(deal="early").parts.market_minor == 200


def test_turnover_is_brought_over_once(host: Market) -> None:
    """The turnover of an older system counts when a stall is opened, and not when it is changed."""
    stall = {"stall_id": "t", "market_id": "m", "account_id": "t", "commission_ppm": 0}
    assert host.call("open_stall", **stall, turnover_before_minor=100_000).fee_ppm == 10_000
    changed = host.call("open_stall", **(stall | {"commission_ppm": 10}), turnover_before_minor=0)
    assert (changed.status, changed.fee_ppm) == ("updated", 10_000)
    assert host.call("open_stall", **(stall | {"commission_ppm": 10})).status == "unchanged"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (ReportWeighing, {"gross_g": 12.5}),
        (ReportWeighing, {"gross_g": -1}),
        (ReportWeighing, {"line": 0}),
        (ReportWeighing, {"weighed_at": "2026-06-15T02:00:00"}),
        (ReportWeighing, {"humidity": 3}),
        (OpenDeal, {"unit": "pound"}),
        (OpenDeal, {"price_minor": 0}),
        (OpenDeal, {"loss_ppm": 500_001}),
        (PayDeal, {"method": "cheque"}),
        (PayDeal, {"amount_minor": 0}),
    ],
)
def test_messages_off_their_bounds_are_refused(
    kind: type[msgspec.Struct], change: dict[str, Any]
) -> None:
    """Every field of a message is bounded where it is decoded."""
    whole: dict[str, Any] = {"request_id": "r", "buyer_id": "b", "deal_id": "d"}
    whole |= {
        ReportWeighing: {
            "scale_id": "s", "line": 1, "gross_g": 2, "tare_g": 1,
            "weighed_at": "2026-06-15T02:00:00Z",
        },
        OpenDeal: {"lot_id": "l", "unit": "kg", "price_minor": 1},
        PayDeal: {"lines": 1, "amount_minor": 1, "method": "now"},
    }[kind]  # fmt: skip
    msgspec.convert(whole, kind)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(whole | change, kind)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"terms": TERMS | {"zone": "Mars/Olympus"}}, "terms.zone"),
        ({"terms": TERMS | {"fee_tiers": [{"from_minor": 5, "ppm": 1}]}}, "terms.fee_tiers"),
        ({"advance_account": "fees"}, "advance_account"),
    ],
)
def test_impossible_markets_are_refused(host: Market, change: dict[str, Any], field: str) -> None:
    """A market in no zone, with a hole in its fees, or that lends out its earnings, is refused."""
    market = {"market_id": "n", "terms": TERMS}
    market |= {f"{purse}_account": purse for purse in ("advance", "interest")}
    with pytest.raises(InvalidField) as caught:
        host.call("open_market", **(market | {"fee_account": "fees"} | change))
    assert caught.value.field == field
