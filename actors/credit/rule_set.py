"""The rules of credit as a document that the back office can replace while the service runs."""

from actors.credit.plan import Conditions
from actors.regulation.instalments import CREDIT_RULES, CreditRules
from actors.rules import RuleSet
from schemas.credit import CreditKind, QuoteCredit
from schemas.errors import InvalidField

__all__ = ("CREDIT_RULE_SET", "check_rules", "conditions_of", "limit_max_minor")


def check_rules(rules: CreditRules) -> None:
    """Raise :class:`~schemas.errors.InvalidField` on what the document's shape cannot tell."""
    terms = [price.terms for price in rules.instalment.prices]
    if len(set(terms)) != len(terms):
        raise InvalidField(f"instalment.prices names a number of terms twice: {terms}",
                           field="rules")  # fmt: skip
    if not all(1 <= one <= 60 for one in rules.loan.terms):
        raise InvalidField(f"loan.terms are {list(rules.loan.terms)}; each must be 1 to 60",
                           field="rules")  # fmt: skip
    for one in rules.pre_approved:
        most = limit_max_minor(rules, one.kind)
        if one.limit_minor > most:
            raise InvalidField(
                f"pre_approved: {one.customer_id!r} has {one.limit_minor}, more than {most}",
                field="rules",
            )


def limit_max_minor(rules: CreditRules, kind: str) -> int:
    """Return the highest limit of a line of that kind, in minor units."""
    return rules.loan.limit_max_minor if kind == "loan" else rules.instalment.limit_max_minor


def conditions_of(rules: CreditRules, kind: CreditKind, request: QuoteCredit) -> Conditions:
    """Return the conditions of a quote; raise on what is not on offer."""
    if kind == "instalment":
        return _instalment_conditions(rules, request)
    loan = rules.loan
    offered = [
        terms
        for terms in loan.terms
        if request.method == "equal_principal" or terms <= loan.terms_max_interest_first
    ]
    _check_offer(request, offered, loan.amount_min_minor)
    return Conditions(
        kind="loan",
        terms=request.terms,
        method=request.method,
        daily_ppm=loan.daily_ppm,
        penalty_ppm_per_day=loan.penalty_ppm_per_day,
        grace_days=rules.repayment.grace_days,
        principal_first_after_days=rules.repayment.principal_first_after_days,
    )


def _instalment_conditions(rules: CreditRules, request: QuoteCredit) -> Conditions:
    instalment = rules.instalment
    if request.method != "equal_principal":
        raise InvalidField("instalments are of equal principal", field="method")
    offered = [price.terms for price in instalment.prices]
    _check_offer(request, offered, instalment.amount_min_minor)
    price = instalment.price(request.terms)
    assert price is not None
    return Conditions(
        kind="instalment",
        terms=request.terms,
        fee_mode=instalment.fee_mode,
        fee_ppm=price.fee_ppm,
        penalty_ppm_per_day=instalment.penalty_ppm_per_day,
        grace_days=rules.repayment.grace_days,
        principal_first_after_days=rules.repayment.principal_first_after_days,
    )


def _check_offer(request: QuoteCredit, offered: list[int], least_minor: int) -> None:
    if request.terms not in offered:
        raise InvalidField(
            f"terms is {request.terms}; offered are {', '.join(map(str, offered))}", field="terms"
        )
    if request.amount_minor < least_minor:
        raise InvalidField(
            f"amount_minor is {request.amount_minor}; the least is {least_minor}",
            field="amount_minor",
        )


CREDIT_RULE_SET = RuleSet(name="credit", shape=CreditRules, default=CREDIT_RULES, check=check_rules)
