"""One sound message of every kind that the service takes, answers or tells, by its name.

The samples are as the service writes them: a result has every field that it always has.
"""

from typing import Any

from tests.conformance.samples import (
    accounts,
    campus,
    channels,
    credit,
    customers,
    mandates,
    parking,
    payments,
    plugins,
    rewards,
    risk,
    routing,
    rules,
    settlement,
    wealth,
    wholesale_market,
)

__all__ = ("EVENTS", "REQUESTS", "RESULTS", "Samples")

Samples = dict[str, dict[str, Any]]

_MODULES = (
    accounts, campus, channels, credit, customers, mandates, parking, payments, plugins, rewards,
    risk, routing, rules, settlement, wealth, wholesale_market,
)  # fmt: skip


def _merged(parts: tuple[Samples, ...]) -> Samples:
    merged = {name: sample for part in parts for name, sample in part.items()}
    assert len(merged) == sum(len(part) for part in parts), "a message has two samples"
    return merged


REQUESTS = _merged(tuple(module.REQUESTS for module in _MODULES))
RESULTS = _merged(tuple(module.RESULTS for module in _MODULES))
EVENTS = _merged(tuple(module.EVENTS for module in _MODULES))
