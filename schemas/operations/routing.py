"""Operations of routing."""

import msgspec

from schemas.operation import Operation
from schemas.routing import ExplainRoute, RouteExplanation

__all__ = ("EVENTS", "OPERATIONS")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        service="route",
        verb="explain",
        request=ExplainRoute,
        result=RouteExplanation,
        kind="route",
        key="payment_id",
        mutates=False,
        summary="Read why a payment took its channels, or where one would go now.",
        errors=("not_found",),
        operator=True,
    ),
)

EVENTS: dict[str, tuple[type[msgspec.Struct], ...]] = {}
