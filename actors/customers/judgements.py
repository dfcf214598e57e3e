"""What an answer from outside means for a case: pure functions, one for each kind of answer.

Reasons are codes for the app. Which element was wrong is not among them: an app could find out a
person's phone number or card by trying.
"""

from typing import Literal

import msgspec

from actors.customers.identity_source import Company, ElementsAnswer
from actors.customers.policy import OpeningPolicy
from actors.customers.sealing import normal_name
from actors.customers.verification import Verdict
from actors.regulation.account_classes import ClassRules

__all__ = (
    "Judgement",
    "Ruling",
    "judge_company",
    "judge_elements",
    "judge_verdict",
)

Ruling = Literal["pass", "retry", "review", "reject"]


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A ruling with its reason; ``retry`` costs one of the attempts and lets the customer go on."""

    ruling: Ruling
    reason: str = ""
    mismatched: tuple[str, ...] = ()


_PASS = Judgement(ruling="pass")


def judge_elements(answer: ElementsAnswer, rules: ClassRules | None) -> Judgement:
    """Judge the elements of a person; ``rules`` say which cards may be bound, None asks no card."""
    if not answer.matched:
        return Judgement(ruling="reject", reason="elements_mismatch", mismatched=answer.mismatched)
    if rules is not None and rules.card_kinds and answer.card_kind not in rules.card_kinds:
        return Judgement(ruling="reject", reason="card_kind", mismatched=("card_kind",))
    return _PASS


def judge_company(company: Company | None, *, name: str, representative: str) -> Judgement:
    """Judge the claims about a company by what the registry has.

    A company that is not there, or not in business, gets no account. A name or a representative
    that differs may just be new: the registry is days behind, so people look.
    """
    if company is None:
        return Judgement(ruling="reject", reason="company_unknown")
    if company.status != "in_business":
        return Judgement(ruling="reject", reason=f"company_{company.status}")
    if normal_name(company.name) != normal_name(name):
        return Judgement(ruling="review", reason="company_name", mismatched=("company_name",))
    if normal_name(company.representative_name) != normal_name(representative):
        return Judgement(
            ruling="review",
            reason="legal_representative",
            mismatched=("legal_representative",),
        )
    return _PASS


def judge_verdict(verdict: Verdict, policy: OpeningPolicy, attempts_left: int) -> Judgement:
    """Judge what the provider saw; ``attempts_left`` counts those after this one.

    A spoof ends the case. A face that scores too low is another person's, whatever the provider
    calls it. Poor recordings that stay poor are looked at by people.
    """
    if verdict.outcome == "spoof":
        return Judgement(ruling="reject", reason="spoof")
    if verdict.outcome == "low_quality":
        ruling: Ruling = "retry" if attempts_left else "review"
        return Judgement(ruling=ruling, reason="low_quality")
    if verdict.outcome == "mismatch" or verdict.face_ppm < policy.face_review_ppm:
        ruling = "retry" if attempts_left else "reject"
        return Judgement(ruling=ruling, reason="face_mismatch")
    if verdict.face_ppm < policy.face_pass_ppm:
        return Judgement(ruling="review", reason="face_score")
    return _PASS
