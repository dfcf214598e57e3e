"""What is told when a limit is used up, and how a report reads it again.

The ledger refuses what passes a limit, and all that is kept of that is the answer. So the message
names the rule, in a form that is stable.
"""

import re

from actors.risk.rules import VelocityRule

__all__ = ("limit_message", "read_limit_message")

_MESSAGE = re.compile(r"risk limit ([a-z][a-z0-9-]*) \(([a-z][a-z0-9_]*)\): ")


def limit_message(rule: VelocityRule) -> str:
    """Return what a caller is told."""
    bounds = []
    if rule.count_max is not None:
        bounds.append(f"{rule.count_max} payments")
    if rule.amount_max_minor is not None:
        bounds.append(f"{rule.amount_max_minor} minor units")
    return (
        f"risk limit {rule.id} ({rule.reason}): at most {' and '.join(bounds)} for each "
        f"{rule.per} in {rule.window_s} s"
    )


def read_limit_message(message: str) -> tuple[str, str] | None:
    """Return the rule's id and reason, or None when another limit than one of risk refused."""
    found = _MESSAGE.match(message)
    return None if found is None else (found[1], found[2])
