"""What a refund of the purchase does to the plan that paid for it.

The principal is reduced from the last term backwards, those that are due coming last of all. So no
amount that the customer was told for a coming term ever rises, the ones that are due stay as they
are, and the plan ends sooner, which costs fewer terms' fees. Spreading it over all terms would keep
the number of terms and change every amount that was told.
"""

import msgspec
from msgspec.structs import replace

from actors.credit.plan import PlanTerm, RepaymentPlan, projected, standing
from actors.regulation.instalments import PPM

__all__ = ("Refund", "refunded")


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """The plan after a refund; of the amount, ``reduced_minor`` pays back the line.

    ``returned_minor`` is the rest: the customer had paid that much of the principal already.
    """

    plan: RepaymentPlan
    reduced_minor: int
    returned_minor: int


def refunded(plan: RepaymentPlan, amount_minor: int) -> Refund:
    """Return what a refund on the plan's day comes to; of a plan that is over, all is returned.

    The fee of the terms that are not charged yet becomes that of the smaller principal, rounded
    down, so it never rises; interest counts what is left from this day on. Charges that stand are
    not given back.
    """
    assert 0 < amount_minor <= plan.principal_minor - plan.refunded_minor
    reduced = min(amount_minor, plan.outstanding_principal) if plan.is_open else 0
    terms = _trimmed(plan, _reduced(plan.terms, reduced))
    after = replace(
        plan,
        terms=terms,
        refunded_minor=plan.refunded_minor + amount_minor,
        returned_minor=plan.returned_minor + amount_minor - reduced,
    )
    if plan.is_open:
        after = replace(after, terms=_repriced(after))
        after = standing(replace(after, terms=projected(after)))
    return Refund(plan=after, reduced_minor=reduced, returned_minor=amount_minor - reduced)


def _reduced(terms: tuple[PlanTerm, ...], amount_minor: int) -> tuple[PlanTerm, ...]:
    """Take the amount from the terms, the last one first, those that are due at the end."""
    rest = amount_minor
    after = list(terms)
    for due in (False, True):
        for index in reversed(range(len(after))):
            term = after[index]
            if term.due is due:
                part = min(rest, term.principal_unpaid)
                rest -= part
                after[index] = replace(term, principal_minor=term.principal_minor - part)
    assert not rest
    return tuple(after)


def _trimmed(plan: RepaymentPlan, terms: tuple[PlanTerm, ...]) -> tuple[PlanTerm, ...]:
    """Drop the terms at the end in which nothing is left to pay, and note those paid by it.

    What is charged stays, and so does the term in which a loan's interest so far will be.
    """
    first = plan.next_term
    kept = list(terms)
    while kept and not kept[-1].due and not kept[-1].principal_minor:
        last = kept[-1]
        under_way = first is not None and last.number == first.number
        if last.charge_unpaid or (under_way and plan.interest_micro >= PPM):
            break
        kept.pop()
    return tuple(
        replace(term, paid_on=plan.today)
        if term.due and not (term.paid_on or term.principal_unpaid or term.charge_unpaid)
        else term
        for term in kept
    )


def _repriced(plan: RepaymentPlan) -> tuple[PlanTerm, ...]:
    """Return the terms of an instalment plan with the fees of what is left of its principal."""
    if plan.conditions.kind == "loan" or plan.conditions.fee_mode == "up_front":
        return plan.terms
    left = plan.principal_minor - plan.refunded_minor
    fee = left * plan.conditions.fee_ppm // PPM
    return tuple(
        term if term.charged else replace(term, charge_minor=min(term.charge_minor, fee))
        for term in plan.terms
    )
