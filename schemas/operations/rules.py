"""Operations of the rule service."""

import msgspec

from schemas.operation import Operation
from schemas.rules import GetRules, PutRules, Rules

__all__ = ("EVENTS", "OPERATIONS")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        service="rules",
        verb="put",
        request=PutRules,
        result=Rules,
        kind="rule_set",
        key="name",
        mutates=True,
        summary="Replace a rule set by one that is checked first.",
        errors=("not_found",),
        events=("rules.put",),
        operator=True,
    ),
    Operation(
        service="rules",
        verb="get",
        request=GetRules,
        result=Rules,
        kind="rule_set",
        key="name",
        mutates=False,
        summary="Read the rule set in force.",
        errors=("not_found",),
        operator=True,
    ),
)

EVENTS: dict[str, tuple[type[msgspec.Struct], ...]] = {"rules.put": (Rules,)}
