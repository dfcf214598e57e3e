"""The load harness: it loads the service from outside and judges it by its ledger.

A scenario file takes all it needs from here: ``from loadtest import User, task, between``.
"""

from loadtest.harness.events import events
from loadtest.harness.flows import Flow
from loadtest.harness.shapes import LoadShape, RateShape
from loadtest.harness.users import (
    User,
    between,
    constant,
    constant_pacing,
    constant_throughput,
    tag,
    task,
)

__all__ = (
    "Flow",
    "LoadShape",
    "RateShape",
    "User",
    "between",
    "constant",
    "constant_pacing",
    "constant_throughput",
    "events",
    "tag",
    "task",
)
