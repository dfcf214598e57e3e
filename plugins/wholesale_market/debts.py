"""What regular buyers owe (赊账): interest by the day, and who is paid back first.

A debt is owed to the market's advance account, which has paid the sellers at once (垫资), or to the
sellers themselves, who wait.

**Interest** runs on advanced money alone. Every day costs the principal of that day times
``interest_ppm``; days after the due one cost ``overdue_ppm`` besides. Days are nights: what is paid
back on the day of the purchase costs nothing. It is kept exactly, in millionths of a fen, and
rounded half up to a fen when it is collected, once for each debt. A part of a fen that the rounding
has left is carried on as long as the debt stands; one that it took too much is not given back.

**Repayment** goes to the debts in the order in which they fall due, in each to the interest before
the principal. A debt to sellers is paid as a whole or not at all.
"""

from collections.abc import Iterable
from datetime import date, datetime

import msgspec
from msgspec.structs import replace

from zhihui.plugin import Pay, Share

from .division import Parts, Terms, payouts
from .measures import PPM, half_up

__all__ = (
    "DEBTS_MAX",
    "Collected",
    "Debt",
    "SellerPart",
    "accrued",
    "collect",
    "in_order",
    "interest_minor",
    "owed_minor",
    "principal_minor",
    "repayments",
    "seller_parts",
)

# Debts of one buyer at a time. It bounds the document and the payments of one repayment; forty
# unpaid loads are weeks of a buyer who comes every day.
DEBTS_MAX = 40


class SellerPart(msgspec.Struct, frozen=True, array_like=True):
    """What one account will have of a debt to sellers."""

    account: str
    amount_minor: int


class Debt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is owed for one deal.

    ``number`` is the deal's on the buyer's page. ``advance_account`` has paid the sellers; when it
    is empty they wait, and ``sellers`` tells what each will have, the farmer first.
    ``accrued_ppm_minor`` is interest in millionths of a fen, up to the day ``accrued_to``.
    """

    deal_id: str
    number: int
    principal_minor: int
    since: datetime
    due_at: datetime
    due_day: date
    accrued_to: date
    accrued_ppm_minor: int = 0
    interest_ppm: int = 0
    overdue_ppm: int = 0
    overdue: bool = False
    advance_account: str = ""
    sellers: tuple[SellerPart, ...] = ()


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid for one debt now."""

    debt: Debt
    interest_minor: int
    principal_minor: int

    @property
    def paid_minor(self) -> int:
        """Return both together."""
        return self.interest_minor + self.principal_minor


def accrued(debt: Debt, today: date) -> Debt:
    """Return the debt with its interest up to today."""
    days = (today - debt.accrued_to).days
    if days <= 0:
        return debt
    late = max(0, (today - max(debt.accrued_to, debt.due_day)).days)
    ppm = days * debt.interest_ppm + late * debt.overdue_ppm
    return replace(
        debt,
        accrued_to=today,
        accrued_ppm_minor=debt.accrued_ppm_minor + debt.principal_minor * ppm,
    )


def seller_parts(terms: Terms, parts: Parts) -> tuple[SellerPart, ...]:
    """Return what the sellers of a deal wait for, the farmer first."""
    return tuple(SellerPart(*part) for part in payouts(terms, parts).items())


def interest_minor(debt: Debt, today: date) -> int:
    """Return the interest that would be collected today, half up to a fen."""
    return half_up(accrued(debt, today).accrued_ppm_minor, PPM)


def principal_minor(debts: Iterable[Debt]) -> int:
    """Return what is owed without interest: what counts against the credit limit."""
    return sum(debt.principal_minor for debt in debts)


def owed_minor(debts: Iterable[Debt], today: date) -> int:
    """Return what would have to be paid today to owe nothing."""
    return sum(debt.principal_minor + interest_minor(debt, today) for debt in debts)


def in_order(debts: Iterable[Debt]) -> tuple[Debt, ...]:
    """Return the debts as they are paid back: by the due time, older ones first."""
    return tuple(sorted(debts, key=lambda debt: (debt.due_at, debt.since)))


def collect(
    debts: Iterable[Debt], today: date, budget_minor: int | None = None
) -> tuple[tuple[Debt, ...], tuple[Collected, ...]]:
    """Return what is left of the debts, and what is paid, out of a budget; None pays everything."""
    left: list[Debt] = []
    paid: list[Collected] = []
    for debt in in_order(debts):
        one, rest = _pay(accrued(debt, today), budget_minor)
        if rest is not None:
            left.append(rest)
        if one.paid_minor:
            paid.append(one)
            budget_minor = None if budget_minor is None else budget_minor - one.paid_minor
    return tuple(left), tuple(paid)


def _pay(debt: Debt, budget_minor: int | None) -> tuple[Collected, Debt | None]:
    interest = half_up(debt.accrued_ppm_minor, PPM)
    whole = debt.principal_minor + interest
    if budget_minor is None or budget_minor >= whole:
        one = Collected(debt=debt, interest_minor=interest, principal_minor=debt.principal_minor)
        return one, None
    if not debt.advance_account:
        return Collected(debt=debt, interest_minor=0, principal_minor=0), debt
    now = min(budget_minor, interest)
    back = budget_minor - now
    rest = replace(
        debt,
        principal_minor=debt.principal_minor - back,
        accrued_ppm_minor=max(0, debt.accrued_ppm_minor - now * PPM),
    )
    return Collected(debt=debt, interest_minor=now, principal_minor=back), rest


def repayments(payer: str, interest_account: str, paid: Iterable[Collected]) -> tuple[Pay, ...]:
    """Return the payments of what was collected, one for each debt.

    The advance account gets its principal with the interest, and passes the interest on at once;
    a farmer who has waited passes on what is the others'.
    """
    return tuple(_repayment(payer, interest_account, one) for one in paid)


def _repayment(payer: str, interest_account: str, one: Collected) -> Pay:
    debt = one.debt
    shares: tuple[Share, ...] = ()
    if debt.sellers:
        shares = tuple(
            Share(payee=part.account, amount_minor=part.amount_minor)
            for part in debt.sellers[1:]
            if part.amount_minor
        )
    elif one.interest_minor and interest_account != debt.advance_account:
        shares = (Share(payee=interest_account, amount_minor=one.interest_minor),)
    return Pay(
        payer=payer,
        payee=debt.sellers[0].account if debt.sellers else debt.advance_account,
        amount_minor=one.paid_minor,
        reference=f"wholesale {debt.deal_id} repaid",
        shares=shares,
    )
