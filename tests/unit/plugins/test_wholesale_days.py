"""Random market days: whatever happens in whatever order, the books of everybody agree."""

from collections import Counter
from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.wholesale_market.buyer import find_deal
from plugins.wholesale_market.division import payouts
from schemas.errors import Rejected
from tests.unit.plugins.wholesale_host import ADVANCE, PARTIES, Market

_LIMIT = 90_000

_VERBS = (
    "buy", "buy", "buy", "buy", "buy", "price", "weigh", "pay", "accept", "accept", "reject",
    "cancel", "dispute", "doubt", "doubt", "doubt", "reweigh", "repay", "money", "wait", "leap",
    "leap", "drive_home", "close", "default", "again",
)  # fmt: skip

steps = st.lists(
    st.tuples(st.sampled_from(_VERBS), st.integers(0, 4), st.integers(1, 40)),
    min_size=20,
    max_size=60,
)


class Day(Market):
    """A market on which anything may be tried; what is refused leaves no trace."""

    def __init__(self, random: Random, *, waits: bool, advance: int) -> None:
        super().__init__(buyer=25_000, advance=advance, lot_days=2)
        self.random = random
        self.lent = advance
        self.total = sum(self.balances.values())
        self.lots = ["lot"]
        self.taken_home = self.penalties = self.bought = 0
        self.last: tuple[str, dict[str, Any]] | None = None
        self.call(
            "open_stall", stall_id="s", market_id="m", account_id="stall",
            commission_ppm=50_001, waits=waits,
        )  # fmt: skip
        for scale in ("platform", "referee"):
            self.call(
                "register_scale", scale_id=scale, market_id="m", division_g=1, max_g=5_000_000,
                verified_until="2030-01-01", referee=scale == "referee",
            )  # fmt: skip
        self._open_lot()
        self.credit(_LIMIT)

    def deliver(self, random: Random | None = None) -> None:
        """Let what was sent arrive in any order."""
        super().deliver(random or getattr(self, "random", None))

    def _open_lot(self) -> None:
        # Small ones, whose deposits are soon used up.
        name = f"lot-{len(self.lots)}"
        if self.available("farmer") >= 3_000:
            self.lot(name, 300_000)
            self.lots.append(name)

    def step(self, verb: str, number: int, size: int) -> None:
        """Try one thing; a refusal is an answer."""
        deal = f"d{number}"
        if verb not in ("buy", "price", "weigh"):
            # Any of those that are there.
            names = [one.deal_id for one in self.buyer.deals]
            deal = names[number * size % len(names)] if names else deal
        if verb in ("pay", "doubt", "reweigh") and find_deal(self.buyer, deal) is None:
            return
        try:
            getattr(self, f"_{verb}")(deal, size)
        except (Rejected, msgspec.ValidationError):
            return

    def _buy(self, deal: str, size: int) -> None:
        # A deal from its price to its payment, by a new name.
        self.bought += 1
        deal = f"{deal}-{self.bought}"
        self.price(deal, 97 + size, lot_id=self.lots[-size % 2 - 1], loss_ppm=size * 1_000)
        self.weigh(size * 3_217 + 777, 777, deal=deal)
        self._pay(deal, size)

    def _price(self, deal: str, size: int) -> None:
        self.price(
            deal, 97 + size, lot_id=self.lots[-size % 2 - 1], loss_ppm=size * 1_000,
            unit=("kg", "jin")[size % 3 == 0], revision=1 + size // 8,
        )  # fmt: skip

    def _weigh(self, deal: str, size: int) -> None:
        net = size * 3_217
        self.weigh(net + 777, 777, deal=deal, line=1 + size % 3, revision=1 + size // 10)

    def _pay(self, deal: str, size: int) -> None:
        method = ("now", "guaranteed", "credit", "now")[size % 4]
        before = self.buyer.used_minor
        self.pay(method, deal=deal, else_credit=method == "now" and size > 20)
        assert self.buyer.used_minor in (before, before + self.deal(deal).paid_minor)
        assert self.buyer.used_minor <= max(before, _LIMIT)

    def _accept(self, deal: str, size: int) -> None:
        self.about("accept", deal=deal, discount_minor=(size % 5) * 113)

    def _reject(self, deal: str, _size: int) -> None:
        self.about("reject", deal=deal, reason="x")

    def _cancel(self, deal: str, _size: int) -> None:
        self.about("cancel_deal", deal=deal)

    def _dispute(self, deal: str, _size: int) -> None:
        self.about("dispute", deal=deal, by="seller")

    def _doubt(self, deal: str, size: int) -> None:
        self._dispute(deal, size)
        self._reweigh(deal, size)

    def _reweigh(self, deal: str, size: int) -> None:
        shown = self.deal(deal)
        net = max(1, shown.paid_net_g * (80 + size) // 100)
        result = self.reweigh(net, deal=deal)
        deal_now = self.deal(deal)
        assert deal_now.paid_minor == result.amount_minor
        assert result.amount_minor == shown.paid_minor + result.difference_minor

    def _repay(self, _deal: str, size: int) -> None:
        amount = None if size % 3 == 0 else size * 501
        self.call("repay", buyer_id="b", amount_minor=amount)

    def _money(self, _deal: str, size: int) -> None:
        self.balances["buyer"] += size * 1_000
        self.total += size * 1_000

    def _wait(self, _deal: str, size: int) -> None:
        self.later(minutes=size * 4)

    def _leap(self, _deal: str, size: int) -> None:
        self.leap(hours=size / 2)

    def _drive_home(self, _deal: str, _size: int) -> None:
        money = self.available("farmer")
        self.balances["farmer"] -= money
        self.taken_home += money
        self.total -= money

    def _close(self, _deal: str, size: int) -> None:
        self.call("close_lot", lot_id=self.lots[-size % 2 - 1])
        self._open_lot()

    def _default(self, _deal: str, size: int) -> None:
        body = {"lot_id": self.lots[-size % 2 - 1], "reason": "x", "penalty_minor": size * 50}
        self.penalties += self.call("default_lot", **body).penalty_minor
        self._open_lot()

    def _again(self, _deal: str, size: int) -> None:
        # A timer that fires too early or twice, and finds what it finds.
        if self.timers:
            (collection, key, _), timer = sorted(self.timers.items())[size % len(self.timers)]
            if collection == "buyer":
                self.fire(collection, key, timer.body)
                self.deliver()

    def check(self) -> None:
        """Compare all books with each other."""
        assert sum(self.balances.values()) == self.total
        assert min(self.available(account) for account in self.balances) >= 0
        debts = self.buyer.debts
        advanced = sum(debt.principal_minor for debt in debts if debt.advance_account)
        assert self.balances["advance"] == self.lent - advanced
        assert len({debt.number for debt in debts}) == len(debts)
        told = sum(
            getattr(data, "interest_minor", 0)
            for kind, data in self.heard
            if kind in ("wholesale_market.debts_collected", "wholesale_market.debts_repaid")
        )
        assert self.balances.get("interest", 0) == told
        self._check_sellers()
        self._check_deposits()

    def _check_sellers(self) -> None:
        waiting = {debt.number: debt for debt in self.buyer.debts if not debt.advance_account}
        for debt in waiting.values():
            assert sum(part.amount_minor for part in debt.sellers) == debt.principal_minor
        expected: Counter[str] = Counter()
        for deal in self.buyer.deals:
            if deal.status not in ("paid", "disputed") or deal.terms is None:
                continue
            parts = deal.parts
            assert parts is not None
            assert parts.total_minor == deal.paid_minor
            if deal.number not in waiting:
                expected.update(payouts(deal.terms, parts))
            elif waiting[deal.number].principal_minor != deal.paid_minor:
                # More was weighed and paid at once; the debt is for what was weighed first.
                debt = waiting[deal.number]
                assert debt.principal_minor < deal.paid_minor
                expected.update(payouts(deal.terms, parts))
                for part in debt.sellers:
                    expected[part.account] -= part.amount_minor
        expected["fees"] += self.penalties
        lots = [self.lot_state(name) for name in self.lots]
        expected["farmer"] += 1_000_000 - self.taken_home - self.penalties
        expected["farmer"] += sum(lot.short_minor for lot in lots)
        for account in PARTIES:
            assert self.balances.get(account, 0) == expected[account], account

    def _check_deposits(self) -> None:
        for name in self.lots:
            lot = self.lot_state(name)
            hold = self.holds.get(("lot", name, "deposit"))
            assert (hold is not None) == (lot.deposit == "held")
            assert (0 if hold is None else hold.left_minor) == lot.left_minor
            assert 0 <= lot.captured_minor <= lot.deposit_minor
        held = {deal.hold for deal in self.buyer.deals if deal.status == "held"}
        assert held == {name for kind, _, name in self.holds if kind == "buyer"}
        booked = sum(
            deal.paid_net_g for deal in self.buyer.deals if deal.status in ("paid", "disputed")
        )
        assert sum(self.lot_state(name).sold_g for name in self.lots) == booked


@settings(max_examples=250, deadline=None)
@given(
    steps,
    st.integers(0, 2**16),
    st.booleans(),
    st.sampled_from([0, 30_000, ADVANCE]),
)
def test_books_agree_on_any_day(
    script: list[tuple[str, int, int]], seed: int, waits: bool, advance: int
) -> None:
    """Money is conserved, shares sum to their deals, limits hold, deposits are resolved once."""
    day = Day(Random(seed), waits=waits, advance=advance)  # noqa: S311  reproducible on purpose
    for verb, number, size in script:
        day.step(verb, number, size)
        day.check()
    # At the end of all things everything that was held is free or captured.
    day.balances["buyer"] += 10_000_000
    day.total += 10_000_000
    day.later(days=30)
    day.check()
    assert day.buyer.debts == ()
    assert {name[0] for name in day.holds} <= {"lot"}
    assert all(day.lot_state(name).deposit != "held" for name in day.lots)
