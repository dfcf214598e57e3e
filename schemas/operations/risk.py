"""Operations of the risk service, for the back office."""

import msgspec

from schemas.operation import Operation
from schemas.risk import (
    ExplainRisk,
    GetRiskReport,
    ListReviews,
    Reviews,
    RiskExplanation,
    RiskReport,
)

__all__ = ("EVENTS", "OPERATIONS")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        service="risk",
        verb="reviews",
        request=ListReviews,
        result=Reviews,
        kind="risk_query",
        key="place",
        mutates=False,
        summary="Read the payments that wait for a person, oldest first.",
        operator=True,
    ),
    Operation(
        service="risk",
        verb="explain",
        request=ExplainRisk,
        result=RiskExplanation,
        kind="risk_query",
        key="place",
        mutates=False,
        summary="Read why a payment was let through, asked for more, or refused.",
        errors=("not_found",),
        operator=True,
    ),
    Operation(
        service="risk",
        verb="report",
        request=GetRiskReport,
        result=RiskReport,
        kind="risk_query",
        key="place",
        mutates=False,
        summary="Read what each rule did, shadow rules too, and how long decisions took.",
        operator=True,
    ),
)

EVENTS: dict[str, tuple[type[msgspec.Struct], ...]] = {}
