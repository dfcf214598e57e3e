"""Messages of the credit service: lines, quotes, instalment plans and loans.

Amounts are in minor units, rates in parts per million (ppm). A plan's charge is the fee of an
instalment plan (分期手续费) or the interest of a loan (利息). Days are those of Asia/Shanghai.
"""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText, Timestamp
from schemas.money import CNY, AmountMinor

__all__ = (
    "PLANS_LIMIT_MAX",
    "ApplyForCredit",
    "ChangeCreditLimit",
    "ChangeCreditStatus",
    "CloseCredit",
    "CreditAmounts",
    "CreditCharged",
    "CreditKind",
    "CreditLine",
    "CreditLineDetails",
    "CreditLineStatus",
    "CreditPayoff",
    "CreditPlan",
    "CreditPlanList",
    "CreditPlanStatus",
    "CreditQuote",
    "CreditRefund",
    "CreditRepayment",
    "CreditTerm",
    "DeclineCredit",
    "DrawCredit",
    "FeeMode",
    "GetCredit",
    "GetCreditPayoff",
    "GetCreditPlan",
    "GrantCredit",
    "LineId",
    "ListCreditPlans",
    "LoanMethod",
    "PlanId",
    "PlanRepayment",
    "QuoteCredit",
    "QuoteId",
    "QuotedTerm",
    "Reason",
    "RepayCredit",
    "SetCreditAutopay",
    "SettleCreditPlan",
    "Staff",
)

# A page of plans of 24 terms at about 150 bytes each fits under a NATS message of 1 MiB.
PLANS_LIMIT_MAX = 100

CreditKind = Literal["instalment", "loan"]
FeeMode = Literal["per_term", "up_front"]
CreditLineStatus = Literal["pending", "active", "frozen", "declined", "closed"]
CreditPlanStatus = Literal["active", "overdue", "paid", "settled", "refunded"]
LoanMethod = Literal["equal_principal", "interest_first"]

LineId = Annotated[
    AccountId, Meta(description="Identifier of a credit line, as `credit.apply` returned it.")
]
PlanId = Annotated[Identifier, Meta(description="Identifier of a plan.")]
QuoteId = Annotated[
    Identifier, Meta(description="Identifier of a quote, as `credit.quote` returned it.")
]
Reason = Annotated[ShortText, Meta(min_length=1)]
Staff = Annotated[Identifier, Meta(description="The member of the bank's staff who decided.")]


class ApplyForCredit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a credit line of a customer: for instalments (信用卡分期) or loans (网捷贷).

    ``account_id`` is the customer's account that loans are paid out to and repayments come from.
    With ``autopay`` what becomes due is taken from it. Who is pre-approved (预授信) gets the line
    at once, up to that limit; otherwise it is ``pending`` until the bank decides.
    """

    request_id: RequestId
    customer_id: Identifier
    kind: CreditKind
    account_id: AccountId
    limit_minor: AmountMinor
    autopay: bool = False


class GrantCredit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Grant a line that was applied for, with this limit."""

    request_id: RequestId
    line_id: LineId
    limit_minor: AmountMinor
    decided_by: Staff


class DeclineCredit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Decline a line that was applied for."""

    request_id: RequestId
    line_id: LineId
    reason: Reason
    decided_by: Staff


class ChangeCreditLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give a line another limit. What is drawn beyond it stays drawn, and no more can be."""

    request_id: RequestId
    line_id: LineId
    limit_minor: AmountMinor
    decided_by: Staff


class ChangeCreditStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Freeze a line, which then takes repayments only, or make it active again."""

    request_id: RequestId
    line_id: LineId
    status: Literal["active", "frozen"]
    reason: Reason
    decided_by: Staff


class CloseCredit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Close a line for good; nothing of it may be owed."""

    request_id: RequestId
    line_id: LineId


class SetCreditAutopay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Switch automatic repayment, and name another account of the customer's for the line."""

    request_id: RequestId
    line_id: LineId
    autopay: bool
    account_id: AccountId | None = None


class CreditLine(msgspec.Struct, frozen=True, kw_only=True):
    """A credit line. It is drawn and repaid as often as wanted, within ``limit_minor``.

    ``limit_minor`` is 0 until the line is granted. ``reason`` says why it is declined or frozen.
    """

    line_id: str
    customer_id: str
    kind: CreditKind
    status: CreditLineStatus
    limit_minor: int
    account_id: str
    autopay: bool
    reason: str
    created_at: Timestamp
    updated_at: Timestamp
    currency: str = CNY


class GetCredit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a line as last committed, with what is drawn and what is due."""

    line_id: LineId


class CreditAmounts(msgspec.Struct, frozen=True, kw_only=True):
    """An amount by what it is for; ``charge_minor`` are fees or interest."""

    penalty_minor: int
    charge_minor: int
    principal_minor: int
    total_minor: int


class CreditLineDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A line and what its accounts hold.

    ``drawn_minor`` is the outstanding principal, ``charges_minor`` what is charged and unpaid;
    ``available_minor`` can be drawn. ``payable`` is due by now.
    """

    line: CreditLine
    drawn_minor: int
    charges_minor: int
    available_minor: int
    payable: CreditAmounts
    overdue_plans: int


class QuoteCredit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask what an amount would cost on a line, before anything is drawn.

    ``method`` is for loans: equal principal (等额本金), or interest monthly and the principal at
    the end (先息后本).
    """

    request_id: RequestId
    line_id: LineId
    amount_minor: AmountMinor
    terms: Annotated[int, Meta(ge=1, le=60, description="Monthly terms: 3, 6, 9, 12, 18 or 24.")]
    method: LoanMethod = "equal_principal"


class QuotedTerm(msgspec.Struct, frozen=True, kw_only=True):
    """What is due on a day if every term is paid in time."""

    number: int
    due_on: date
    principal_minor: int
    charge_minor: int
    total_minor: int


class CreditQuote(msgspec.Struct, frozen=True, kw_only=True):
    """The price of an amount, for the customer's consent; naming ``quote_id`` is the consent.

    ``annual_rate_ppm`` is the annualised rate (年化利率): the monthly internal rate of return (IRR)
    times twelve; ``effective_annual_rate_ppm`` is the same compounded. Both count all charges, and
    one of them must be shown before consent. ``fee_ppm`` is of the principal for each term,
    ``daily_ppm`` the interest of a day, ``penalty_ppm_per_day`` what overdue principal costs a day
    once ``grace_days`` are over. ``status`` is ``open`` or ``used``; a quote is used once, before
    ``expires_at``.
    """

    quote_id: str
    line_id: str
    kind: CreditKind
    status: Literal["open", "used"]
    amount_minor: int
    method: LoanMethod
    fee_mode: FeeMode | None
    fee_ppm: int
    daily_ppm: int
    terms: list[QuotedTerm]
    charges_minor: int
    total_minor: int
    annual_rate_ppm: int
    effective_annual_rate_ppm: int
    penalty_ppm_per_day: int
    grace_days: int
    created_at: Timestamp
    expires_at: Timestamp
    currency: str = CNY


class DrawCredit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay out a loan, as quoted, to the line's account."""

    request_id: RequestId
    line_id: LineId
    quote_id: QuoteId


class CreditTerm(msgspec.Struct, frozen=True, kw_only=True):
    """A term of a plan. Before it is due, ``charge_minor`` is what it will cost if all is paid."""

    number: int
    due_on: date
    due: bool
    principal_minor: int
    charge_minor: int
    principal_paid_minor: int
    charge_paid_minor: int
    paid_on: date | None


class CreditPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it stands at the beginning of ``today``.

    ``status`` is ``active``, ``overdue``, or it is over: ``paid`` to its end, ``settled`` early, or
    ``refunded``. ``payment_id`` is the payment that it paid for, null for a loan that was paid out.
    ``principal_minor`` is what was drawn; ``refunded_minor`` of it came back from the payee, and
    ``returned_minor`` of that went to the customer, who had paid it already.
    """

    plan_id: str
    line_id: str
    customer_id: str
    quote_id: str
    payment_id: str | None
    kind: CreditKind
    method: LoanMethod
    status: CreditPlanStatus
    principal_minor: int
    outstanding_minor: int
    refunded_minor: int
    returned_minor: int
    penalty_minor: int
    penalty_paid_minor: int
    payable: CreditAmounts
    terms: list[CreditTerm]
    annual_rate_ppm: int
    started_on: date
    today: date
    currency: str = CNY


class GetCreditPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a plan as last committed."""

    plan_id: PlanId


class ListCreditPlans(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read the plans of a line, oldest first: those after ``after``, at most ``limit``."""

    line_id: LineId
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=PLANS_LIMIT_MAX)] = 20


class CreditPlanList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of plans; ``next_after`` is null on the last page."""

    plans: list[CreditPlan]
    next_after: str | None


class RepayCredit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Repay what is due on a line, or of one plan: all of it, or ``amount_minor``.

    It comes from the line's account unless another account of the app is named. The oldest debt is
    paid first; of a plan its penalty first, then fees or interest, then principal, and principal
    first once it is more than 90 days late.
    """

    request_id: RequestId
    line_id: LineId
    amount_minor: AmountMinor | None = None
    plan_id: PlanId | None = None
    account_id: AccountId | None = None


class PlanRepayment(msgspec.Struct, frozen=True, kw_only=True):
    """What a repayment did for one plan, and the plan's status after it."""

    plan_id: str
    status: str
    penalty_minor: int
    charge_minor: int
    principal_minor: int


class CreditRepayment(msgspec.Struct, frozen=True, kw_only=True):
    """A repayment that stands, and what it was for."""

    line_id: str
    account_id: str
    amount_minor: int
    penalty_minor: int
    charge_minor: int
    principal_minor: int
    plans: list[PlanRepayment]
    repaid_at: Timestamp
    currency: str = CNY


class GetCreditPayoff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask what it costs to end a plan today (提前还款)."""

    plan_id: PlanId


class CreditPayoff(msgspec.Struct, frozen=True, kw_only=True):
    """What ends a plan on ``day``: all principal, and the charges so far.

    Fees of terms that have not begun are not charged; a fee that was charged up front stays.
    """

    plan_id: str
    day: date
    penalty_minor: int
    charge_minor: int
    principal_minor: int
    total_minor: int
    currency: str = CNY


class SettleCreditPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a plan today for the total that `credit.payoff` told; another total is refused.

    It comes from the line's account unless another account of the app is named.
    """

    request_id: RequestId
    plan_id: PlanId
    total_minor: AmountMinor
    account_id: AccountId | None = None


class CreditCharged(msgspec.Struct, frozen=True, kw_only=True):
    """What the daily run added to a plan; ``terms`` are the numbers of those that became due.

    ``payable`` is all that is due and unpaid after it.
    """

    plan_id: str
    line_id: str
    customer_id: str
    day: date
    terms: list[int]
    charge_minor: int
    penalty_minor: int
    payable: CreditAmounts
    currency: str = CNY


class CreditRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund of what a plan paid for: ``reduced_minor`` off the plan, the rest returned."""

    plan_id: str
    line_id: str
    customer_id: str
    payment_id: str
    refund_id: str
    amount_minor: int
    reduced_minor: int
    returned_minor: int
    returned_to: str | None
    currency: str = CNY
