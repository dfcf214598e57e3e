"""Credit at the wholesale market: limits, the advance, closes of the day, interest, arrears."""

from datetime import timedelta

import msgspec
import pytest

from plugins.wholesale_market.buyer import DEALS_MAX, LINES_MAX
from plugins.wholesale_market.debts import DEBTS_MAX
from schemas.errors import Ineligible, InsufficientFunds, LimitExceeded
from tests.unit.plugins.wholesale_host import ADVANCE, MONDAY, Market
from zhihui.plugin import InvalidField, InvalidState

SELLERS = (18_200, 1_000, 400, 400)


def on_credit(*, buyer: int = 0, limit: int = 100_000, terms: str = "day", **more: int) -> Market:
    """Return a market where the buyer has bought for ¥200 on credit."""
    host = Market(buyer=buyer, **more)
    host.credit(limit, terms)
    host.open()
    host.pay("credit")
    return host


def test_the_advance_pays_sellers_at_once() -> None:
    """Sellers have their money when the deal is made; the buyer owes it to the advance."""
    host = Market()
    host.credit(100_000)
    host.open()
    bought = host.pay("credit")
    assert (bought.status, bought.source) == ("on_credit", "advance")
    assert bought.due_at == MONDAY.replace(hour=18)
    assert host.parts() == SELLERS
    assert host.balances["advance"] == ADVANCE - 20_000
    view = host.call("get_buyer", buyer_id="b")
    assert (view.used_minor, view.left_minor, view.owed_minor) == (20_000, 80_000, 20_000)


def test_the_limit_is_never_passed() -> None:
    """The last fen of the limit may be used, one more may not."""
    host = on_credit(limit=40_000)
    host.open(deal="e", net_g=100_000)
    host.open(deal="f", net_g=100)
    assert host.pay("credit", deal="e").status == "on_credit"
    with pytest.raises(LimitExceeded) as caught:
        host.pay("credit", deal="f")
    assert caught.value.field == "amount_minor"
    assert host.buyer.used_minor == 40_000


def test_a_lower_limit_leaves_what_is_owed() -> None:
    """When a limit is lowered below what is used, nothing more is bought, and nothing is lost."""
    host = on_credit()
    changed = host.credit(10_000)
    assert (changed.used_minor, changed.left_minor) == (20_000, 0)
    host.open(deal="e")
    with pytest.raises(LimitExceeded):
        host.pay("credit", deal="e")
    host.credit(0)
    with pytest.raises(Ineligible):
        host.pay("credit", deal="e")


def test_the_close_collects_what_is_due() -> None:
    """At the close of the day the account pays, without interest, and the advance is whole."""
    host = on_credit(buyer=50_000)
    host.later(hours=15)
    assert host.buyer.debts != ()
    host.later(hours=1)
    assert host.buyer.debts == ()
    assert (host.balances["buyer"], host.balances["advance"]) == (30_000, ADVANCE)
    assert host.balances.get("interest", 0) == 0
    assert ("buyer", "b", "due") not in host.timers


def test_a_debt_after_the_close_is_due_at_the_next() -> None:
    """What is bought after 18:00 falls due the day after, with a night's interest."""
    host = Market(buyer=50_000)
    host.credit(100_000)
    host.open()
    host.later(hours=17)
    due = host.pay("credit").due_at
    assert due == MONDAY.replace(day=16, hour=18)
    host.later(hours=24)
    assert host.balances["interest"] == 20


def test_unpaid_credit_becomes_overdue_and_blocks() -> None:
    """A buyer without money is overdue at the close, has no credit, and is on the list."""
    host = on_credit()
    host.open(deal="e")
    host.later(hours=16)
    assert "wholesale_market.debts_overdue" in dict(host.heard)
    view = host.call("get_buyer", buyer_id="b")
    assert (view.status, view.overdue_minor, view.left_minor) == ("blocked", 20_000, 0)
    with pytest.raises(Ineligible, match="overdue"):
        host.pay("credit", deal="e")
    listed = host.call("list_arrears", market_id="m")
    assert (listed.overdue_minor, [one.buyer_id for one in listed.buyers]) == (20_000, ["b"])
    assert listed.buyers[0].since == MONDAY.replace(hour=18)


def test_every_close_tries_again() -> None:
    """Money that comes a day late is taken at the next close, with late interest, and unblocks."""
    host = on_credit()
    host.later(hours=20)
    host.balances["buyer"] = 50_000
    host.later(hours=19)
    assert host.buyer.blocked
    host.later(hours=1)
    assert (host.buyer.debts, host.buyer.blocked) == ((), False)
    # One night at 1 ‰ and 2 ‰ late.
    assert (host.balances["interest"], host.balances["advance"]) == (60, ADVANCE)
    assert host.call("list_arrears", market_id="m").buyers == ()


def test_the_oldest_debt_alone_is_collected() -> None:
    """When not everything can be paid, the oldest debt is, and the rest is overdue."""
    host = on_credit(buyer=25_000)
    host.open(deal="e", net_g=50_000)
    host.pay("credit", deal="e")
    host.later(hours=16)
    assert host.balances["buyer"] == 5_000
    assert [(debt.deal_id, debt.overdue) for debt in host.buyer.debts] == [("e", True)]
    told = dict(host.heard)
    assert told["wholesale_market.debts_collected"].paid_minor == 20_000  # type: ignore[attr-defined]
    assert told["wholesale_market.debts_overdue"].deal_ids == ("e",)  # type: ignore[attr-defined]


def test_weekly_credit_falls_due_on_sunday() -> None:
    """What is bought by the week is collected at the close of Sunday, with six nights' interest."""
    host = on_credit(buyer=50_000, terms="week")
    assert host.buyer.debts[0].due_at == MONDAY.replace(day=21, hour=18)
    host.later(days=6, hours=15)
    assert host.buyer.debts != ()
    host.later(hours=1)
    assert (host.buyer.debts, host.balances["interest"]) == ((), 120)


def test_debts_keep_the_terms_under_which_they_were_made() -> None:
    """Other terms of credit are for what is bought afterwards."""
    host = on_credit(terms="week")
    host.credit(100_000, "day")
    host.open(deal="e")
    host.pay("credit", deal="e")
    assert [debt.due_day.day for debt in host.buyer.debts] == [21, 15]


def test_repayment_pays_interest_first() -> None:
    """After ten nights at 1 ‰ and nine of them late, a part pays the interest, then principal."""
    host = on_credit()
    host.later(days=10)
    host.balances["buyer"] = 50_000
    part = host.call("repay", buyer_id="b", amount_minor=5_000)
    # 20,000 x (10 x 1 ‰ + 10 x 2 ‰), for it was due on the first day.
    assert (part.paid_minor, part.interest_minor, part.owed_minor) == (5_000, 600, 15_600)
    assert part.blocked
    assert (host.balances["interest"], host.balances["advance"]) == (600, ADVANCE - 15_600)
    rest = host.call("repay", buyer_id="b", amount_minor=99_000)
    assert (rest.paid_minor, rest.unused_minor, rest.blocked) == (15_600, 83_400, False)
    assert host.balances["advance"] == ADVANCE
    with pytest.raises(InvalidState, match="nothing"):
        host.call("repay", buyer_id="b")


def test_repayment_needs_the_money() -> None:
    """Without an amount everything is paid, or nothing."""
    host = on_credit(buyer=19_999)
    with pytest.raises(InsufficientFunds):
        host.call("repay", buyer_id="b")
    assert host.buyer.used_minor == 20_000


def waiting(**more: int) -> Market:
    """Return a market without an advance whose stall waits, and a deal on credit."""
    host = Market(advance=0, **more)
    host.call(
        "open_stall", stall_id="s", market_id="m", account_id="stall", commission_ppm=50_000,
        waits=True,
    )  # fmt: skip
    host.credit(100_000)
    host.open()
    assert host.pay("credit").source == "sellers"
    return host


def test_without_an_advance_stalls_may_wait() -> None:
    """Sellers who wait are paid when the buyer pays, all of them at once and without interest."""
    host = waiting(buyer=30_000)
    assert host.parts() == (0, 0, 0, 0)
    assert host.buyer.used_minor == 20_000
    host.later(hours=16)
    assert (host.parts(), host.balances["buyer"]) == (SELLERS, 10_000)


def test_a_debt_to_sellers_is_paid_as_a_whole() -> None:
    """An amount that does not cover it pays none of it."""
    host = waiting(buyer=30_000)
    host.open(deal="e", net_g=25_000)
    host.pay("credit", deal="e")
    with pytest.raises(InvalidField, match="whole"):
        host.call("repay", buyer_id="b", amount_minor=4_999)
    repaid = host.call("repay", buyer_id="b", amount_minor=6_000)
    assert (repaid.paid_minor, repaid.unused_minor, repaid.owed_minor) == (5_000, 1_000, 20_000)


def test_stalls_that_do_not_wait_sell_for_money() -> None:
    """Without an advance there is no credit at a stall that wants its money at once."""
    host = Market(advance=19_999)
    host.credit(100_000)
    host.open()
    with pytest.raises(InsufficientFunds):
        host.pay("credit")
    assert (host.buyer.debts, host.deal().status) == ((), "open")


def test_the_advance_lends_until_it_is_used_up() -> None:
    """The advance is one purse for all: what is left of it decides who pays the sellers."""
    host = Market(advance=20_000)
    host.call(
        "open_stall", stall_id="s", market_id="m", account_id="stall", commission_ppm=50_000,
        waits=True,
    )  # fmt: skip
    host.credit(100_000)
    for deal in ("d", "e"):
        host.open(deal=deal)
    assert [host.pay("credit", deal=deal).source for deal in ("d", "e")] == ["advance", "sellers"]
    assert (host.balances["advance"], host.buyer.used_minor) == (0, 40_000)


def test_debts_are_counted() -> None:
    """A buyer owes for so many deals and no more, whatever the limit."""
    host = Market()
    host.credit(10_000_000)
    for number in range(DEBTS_MAX):
        host.later(minutes=5)
        host.open(1_000, deal=f"d{number}")
        host.pay("credit", deal=f"d{number}")
    host.open(1_000, deal="more")
    with pytest.raises(LimitExceeded, match="owes for"):
        host.pay("credit", deal="more")
    host.balances["buyer"] = 100_000
    assert host.call("repay", buyer_id="b").paid_minor == DEBTS_MAX * 200


def test_a_close_that_comes_twice_collects_once() -> None:
    """The timer of a close that comes again, or for a buyer who owes nothing, changes nothing."""
    host = on_credit(buyer=50_000)
    body = host.timers["buyer", "b", "due"].body
    host.fire("buyer", "b", body)
    assert host.buyer.used_minor == 20_000
    host.later(hours=16)
    balance = host.balances["buyer"]
    host.fire("buyer", "b", body)
    assert host.balances["buyer"] == balance


def test_a_close_that_comes_late_counts_its_days() -> None:
    """If a close is reached a day late, the interest is that of the day on which it is paid."""
    host = on_credit(buyer=50_000)
    host.leap(hours=40)
    assert (host.buyer.debts, host.balances["interest"]) == ((), 60)


def test_the_list_takes_the_newest_of_what_buyers_tell() -> None:
    """News that overtake each other leave the newest; a buyer who paid stays paid."""
    host = Market()
    news = {"market_id": "m", "buyer_id": "b", "since": None}
    newer = host.call("book_arrears", **news, overdue_minor=0, debts=0, number=2)
    older = host.call("book_arrears", **news, overdue_minor=500, debts=1, number=1)
    assert (newer.status, older.status) == ("booked", "stale")
    assert host.call("list_arrears", market_id="m").buyers == ()


def test_the_list_is_bounded_and_says_so() -> None:
    """Those who paid make room for others; beyond the bound they are counted."""
    host = Market()
    for number in range(401):
        debts = 0 if number == 7 else 1
        body = {"buyer_id": f"b-{number}", "overdue_minor": debts, "debts": debts, "number": 1}
        host.call("book_arrears", market_id="m", since=None, **body)
    listed = host.call("list_arrears", market_id="m")
    assert (len(listed.buyers), listed.unlisted) == (400, 0)
    late = {"buyer_id": "late", "overdue_minor": 9, "debts": 1, "number": 1}
    assert host.call("book_arrears", market_id="m", since=None, **late).status == "unlisted"
    assert host.call("list_arrears", market_id="m").unlisted == 1


def test_a_full_page_fits_in_a_document() -> None:
    """The largest page that the bounds allow stays below 64 KiB, with the longest names."""
    host = Market(advance=0)
    host.credit(10**9)
    name = "x" * 61
    # Ids of accounts as the bank gives them out.
    accounts = {who: f"acct_1a22876cfeb7cd61b5242{who:>06}" for who in ("farmer", "stall")}
    host.balances[accounts["farmer"]] = 1_000_000
    host.call("register_farmer", farmer_id="f", account_id=accounts["farmer"])
    host.call(
        "open_stall", stall_id="s", market_id="m", account_id=accounts["stall"], waits=True,
        commission_ppm=50_000,
    )  # fmt: skip
    host.call("register_carrier", carrier_id=name, account_id="c" * 27, per_kg_minor=4)
    host.call(
        "register_scale", scale_id="s" * 64, market_id="m", division_g=1, max_g=99_999_999,
        verified_until="2026-06-15",
    )  # fmt: skip
    host.lot(f"lot{name}")
    for number in range(DEBTS_MAX):
        deal = f"{name}-{number:02d}"
        host.later(minutes=9)
        host.price(deal, lot_id=f"lot{name}", carrier_id=name, loss_ppm=12_345)
        for line in range(1, LINES_MAX // DEALS_MAX + 1):
            host.weigh(1_000_001, 100, deal=deal, line=line, scale_id="s" * 64)
        assert host.pay("credit", deal=deal).source == "sellers"
        host.about("dispute", deal=deal, by="seller")
        host.about(
            "reweigh", deal=deal, scale_id="referee", weighed_at=host.now, gross_g=4_000_000,
            tare_g=0,
        )  # fmt: skip
    assert (len(host.buyer.debts), len(host.buyer.deals)) == (DEBTS_MAX, DEALS_MAX)
    assert len(msgspec.json.encode(host.buyer)) < 64 * 1024


def test_day_statement_of_a_stall() -> None:
    """A little after the close a stall is told what it sold, and begins a new day."""
    host = on_credit()
    host.later(hours=16, minutes=2)
    # One that is on its way at the close is in the statement, and does not put it off.
    host.call(
        "book_sale", stall_id="s", day=MONDAY.date(), deals=0, weight_g=0, turnover_minor=0,
        commission_minor=0, fee_minor=0,
    )  # fmt: skip
    assert host.stall.today.deals == 1
    host.later(minutes=3)
    told = dict(host.heard)["wholesale_market.stall_day_closed"]
    assert msgspec.structs.asdict(told) == {
        "stall_id": "s", "market_id": "m", "day": MONDAY.date(), "deals": 1, "weight_g": 100_000,
        "turnover_minor": 20_000, "commission_minor": 1_000, "fee_minor": 400, "status": "closed",
    }  # fmt: skip
    assert host.stall.today.deals == 0
    assert host.stall.turnover_minor == 20_000
    host.later(days=1)
    assert dict(host.heard)["wholesale_market.stall_day_closed"] is told


def test_a_buyer_stays_in_the_market_and_may_change_the_account() -> None:
    """Debts are collected from the account that stands at the close."""
    host = on_credit()
    host.call("register_buyer", buyer_id="b", market_id="m", account_id="new")
    host.balances["new"] = 50_000
    host.later(hours=16)
    assert host.balances["new"] == 30_000
    with pytest.raises(InvalidState, match="nothing"):
        host.call("repay", buyer_id="b")
    assert host.now == MONDAY + timedelta(hours=16)
