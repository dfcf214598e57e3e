"""The ways in which a deal that was paid is put right after a new weighing.

What was too little is paid by whoever has paid the deal: on credit if it was bought so and the
limit allows it, else by the buyer's account. What was too much goes back the way it came: it lowers
the debt while there is one, and what is more than the debt goes to the buyer's account.

A farmer who has no money left pays out of the deposit of the lot: the other parties give back their
part at once, his part is claimed there for the buyer.
"""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from msgspec.structs import replace

from schemas.effects import Effect
from zhihui.plugin import Cancel, Ineligible, LimitExceeded, Notice, Pay, Plan, Send

from .arrears import arrears_news
from .buyer import Buyer, Deal, put_deal
from .deal_messages import Reweighed
from .debts import Debt, SellerPart, accrued, interest_minor, seller_parts
from .division import Parts, Terms, divide, payouts, transfers
from .lot_messages import ClaimDeposit
from .market_clock import day_of
from .settlement import SENT, bookings, check_credit, due_timer
from .state import Market

__all__ = ("Correction", "correction_ways")


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """A deal as it was paid and as it has to be, on its buyer's page."""

    buyer: Buyer
    deal: Deal
    corrected: Deal
    market: Market
    now: datetime

    @property
    def terms(self) -> Terms:
        """The terms of the deal."""
        assert self.deal.terms is not None
        return self.deal.terms

    @property
    def before(self) -> Parts:
        """How the money was divided."""
        return divide(self.deal.paid_minor, self.deal.paid_net_g, self.terms)

    @property
    def after(self) -> Parts:
        """How it has to be divided."""
        return divide(self.corrected.paid_minor, self.corrected.paid_net_g, self.terms)

    @property
    def sellers(self) -> tuple[SellerPart, ...]:
        """What sellers who have not been paid yet will have."""
        return seller_parts(self.terms, self.after)

    @property
    def difference_minor(self) -> int:
        """What the buyer has to pay more, or less when it is negative."""
        return self.corrected.paid_minor - self.deal.paid_minor

    @property
    def debt(self) -> Debt | None:
        """The debt for the deal, if it is not paid back yet; with its interest up to now."""
        today = day_of(self.market.terms, self.now)
        debts = (debt for debt in self.buyer.debts if debt.number == self.deal.number)
        return next((accrued(debt, today) for debt in debts), None)

    @property
    def reference(self) -> str:
        """The text on everybody's statement."""
        return f"wholesale {self.deal.deal_id} weighed again"

    def flows(self, against: str, *, without: str = "") -> tuple[Pay, ...]:
        """Return the payments that put all parties right, or all but the account ``without``."""
        before, after = payouts(self.terms, self.before), payouts(self.terms, self.after)
        for parts in (before, after):
            parts.pop(without, None)
        return transfers(before, after, against, self.reference)


def correction_ways(correction: Correction) -> tuple[Plan, ...]:
    """Return the ways to put a deal right, the best one first."""
    if correction.difference_minor > 0:
        return tuple(_charges(correction))
    return tuple(_refunds(correction))


def _charges(correction: Correction) -> Iterator[Plan]:
    debt, extra = correction.debt, correction.difference_minor
    if debt is not None and _credit_allows(correction.buyer, extra):
        larger = replace(debt, principal_minor=debt.principal_minor + extra)
        if debt.advance_account:
            yield _way(correction, correction.flows(debt.advance_account), larger)
        else:
            yield _way(correction, (), replace(larger, sellers=correction.sellers))
    yield _way(correction, correction.flows(correction.buyer.account_id), debt)


def _credit_allows(buyer: Buyer, amount_minor: int) -> bool:
    try:
        check_credit(buyer, amount_minor)
    except (Ineligible, LimitExceeded):
        return False
    return True


def _refunds(correction: Correction) -> Iterator[Plan]:
    debt, back = correction.debt, -correction.difference_minor
    if debt is not None and not debt.advance_account:
        # The sellers wait for their money: they wait for less.
        smaller = replace(
            debt,
            principal_minor=debt.principal_minor - back,
            sellers=correction.sellers,
        )
        yield _way(correction, (), smaller)
        return
    yield _returned(correction, debt, back, without="")
    farmer = correction.terms.farmer_account
    before, after = (
        payouts(correction.terms, parts)[farmer] for parts in (correction.before, correction.after)
    )
    if before > after:
        yield _returned(correction, debt, back, without=farmer, claimed_minor=before - after)


def _returned(
    correction: Correction,
    debt: Debt | None,
    back: int,
    *,
    without: str,
    claimed_minor: int = 0,
) -> Plan:
    returned = back - claimed_minor
    account = correction.buyer.account_id
    if debt is None:
        flows = correction.flows(account, without=without)
        return _way(correction, flows, None, claimed_minor=claimed_minor)
    lowered = min(max(returned, 0), debt.principal_minor)
    smaller = replace(debt, principal_minor=debt.principal_minor - lowered)
    if lowered == returned:
        flows = correction.flows(debt.advance_account, without=without)
    else:
        flows = correction.flows(account, without=without)
        if lowered:
            flows = (*flows, _repaid(correction, debt, lowered))
    return _way(correction, flows, smaller, claimed_minor=claimed_minor)


def _repaid(correction: Correction, debt: Debt, amount_minor: int) -> Pay:
    return Pay(
        payer=correction.buyer.account_id,
        payee=debt.advance_account,
        amount_minor=amount_minor,
        reference=correction.reference,
    )


def _way(
    correction: Correction,
    flows: tuple[Pay, ...],
    debt: Debt | None,
    *,
    claimed_minor: int = 0,
) -> Plan:
    buyer, deal, now = correction.buyer, correction.corrected, correction.now
    corrected = _with_debt(put_deal(buyer, deal), deal.number, debt, correction)
    corrected, told = arrears_news(buyer, corrected)
    effects: list[Effect] = [
        *flows,
        Cancel(name=deal.dispute_timer),
        *bookings(
            correction.terms,
            correction.market.terms,
            now,
            weight_g=deal.paid_net_g,
            parts=correction.after,
            weight_before_g=correction.deal.paid_net_g,
            before=correction.before,
            deals=0,
        ),
        *told,
    ]
    if corrected.debts != buyer.debts:
        effects.append(due_timer(corrected, correction.market.terms, now))
    if claimed_minor:
        effects.append(_claim(correction, claimed_minor))
    refund = correction.difference_minor < 0
    result = Reweighed(
        buyer_id=buyer.buyer_id,
        deal_id=deal.deal_id,
        net_before_g=correction.deal.paid_net_g,
        net_g=deal.paid_net_g,
        amount_minor=deal.paid_minor,
        difference_minor=correction.difference_minor,
        claimed_minor=claimed_minor,
        status="refunded" if refund else "charged",
    )
    notice = Notice(type="wholesale_market.deal_reweighed", subject=deal.deal_id, data=result)
    return Plan(state=corrected, effects=tuple(effects), result=result, notices=(notice,))


def _with_debt(buyer: Buyer, number: int, debt: Debt | None, correction: Correction) -> Buyer:
    """Return the buyer with the debt in its place; one that has come to nothing is gone."""
    if debt is None:
        return buyer
    today = day_of(correction.market.terms, correction.now)
    over = not debt.principal_minor and not interest_minor(debt, today)
    debts = tuple(
        debt if one.number == number else one
        for one in buyer.debts
        if not (over and one.number == number)
    )
    return replace(buyer, debts=debts)


def _claim(correction: Correction, amount_minor: int) -> Send:
    return Send(
        verb="claim_deposit",
        body=ClaimDeposit(
            request_id=SENT,
            lot_id=correction.terms.lot_id,
            deal_id=correction.deal.deal_id,
            account_id=correction.buyer.account_id,
            amount_minor=amount_minor,
        ),
    )
