"""Lines, quotes and plans as callers see them."""

from actors.credit.plan import Owed, open_plan
from actors.credit.records import LineState, PlanState, QuoteState
from actors.regulation.calendar import day_of
from schemas.credit import (
    CreditAmounts,
    CreditLine,
    CreditPlan,
    CreditQuote,
    CreditTerm,
    QuotedTerm,
)

__all__ = ("amounts", "public_line", "public_plan", "public_quote")


def amounts(owed: Owed) -> CreditAmounts:
    """Return what is owed, with its sum."""
    return CreditAmounts(
        penalty_minor=owed.penalty_minor,
        charge_minor=owed.charge_minor,
        principal_minor=owed.principal_minor,
        total_minor=owed.total_minor,
    )


def public_line(line_id: str, state: LineState) -> CreditLine:
    """Return a line."""
    return CreditLine(
        line_id=line_id,
        customer_id=state.customer_id,
        kind=state.kind,
        status=state.status,
        limit_minor=state.limit_minor,
        account_id=state.account_id,
        autopay=state.autopay,
        reason=state.reason,
        created_at=state.created_at,
        updated_at=state.updated_at,
    )


def public_quote(quote_id: str, state: QuoteState) -> CreditQuote:
    """Return a quote with the terms of the plan that it would become on its day."""
    conditions = state.conditions
    plan = open_plan(conditions, state.amount_minor, day_of(state.created_at))
    terms = [
        QuotedTerm(
            number=term.number,
            due_on=term.due_on,
            principal_minor=term.principal_minor,
            charge_minor=term.charge_minor,
            total_minor=term.principal_minor + term.charge_minor,
        )
        for term in plan.terms
    ]
    charges = sum(term.charge_minor for term in terms)
    return CreditQuote(
        quote_id=quote_id,
        line_id=state.line_id,
        kind=conditions.kind,
        status="used" if state.is_used else "open",
        amount_minor=state.amount_minor,
        method=conditions.method,
        fee_mode=conditions.fee_mode if conditions.kind == "instalment" else None,
        fee_ppm=conditions.fee_ppm,
        daily_ppm=conditions.daily_ppm,
        terms=terms,
        charges_minor=charges,
        total_minor=state.amount_minor + charges,
        annual_rate_ppm=state.nominal_ppm,
        effective_annual_rate_ppm=state.effective_ppm,
        penalty_ppm_per_day=conditions.penalty_ppm_per_day,
        grace_days=conditions.grace_days,
        created_at=state.created_at,
        expires_at=state.expires_at,
    )


def public_plan(plan_id: str, state: PlanState) -> CreditPlan:
    """Return a plan with its terms."""
    plan = state.plan
    terms = [
        CreditTerm(
            number=term.number,
            due_on=term.due_on,
            due=term.due,
            principal_minor=term.principal_minor,
            charge_minor=term.charge_minor,
            principal_paid_minor=term.principal_paid_minor,
            charge_paid_minor=term.charge_paid_minor,
            paid_on=term.paid_on,
        )
        for term in plan.terms
    ]
    return CreditPlan(
        plan_id=plan_id,
        line_id=state.line_id,
        customer_id=state.customer_id,
        quote_id=state.quote_id,
        payment_id=state.payment_id or None,
        kind=plan.conditions.kind,
        method=plan.conditions.method,
        status=plan.status,
        principal_minor=plan.principal_minor,
        outstanding_minor=plan.outstanding_principal,
        refunded_minor=plan.refunded_minor,
        returned_minor=plan.returned_minor,
        penalty_minor=plan.penalty_minor,
        penalty_paid_minor=plan.penalty_paid_minor,
        payable=amounts(plan.payable),
        terms=terms,
        annual_rate_ppm=state.nominal_ppm,
        started_on=plan.started_on,
        today=plan.today,
    )
