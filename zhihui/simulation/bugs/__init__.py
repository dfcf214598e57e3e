"""Eight builds that are broken on purpose, for as long as a context lasts.

The product has no switches for them: each replaces one function of it by one that leaves out, or
does too early, what the promise depends on. A simulation that does not find them is not worth its
time.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from zhihui.simulation.bugs.channels import failover_on_unknown
from zhihui.simulation.bugs.journal import (
    acknowledgement_before_commit,
    double_apply,
    missing_epoch_check,
)
from zhihui.simulation.bugs.ledger import hold_captured_twice, lost_update
from zhihui.simulation.bugs.packs import old_generation_answers
from zhihui.simulation.bugs.payments import refund_above_captured

__all__ = ("BUGS",)

# Name → how the build is broken.
BUGS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "lost-update": lost_update,
    "double-apply": double_apply,
    "hold-captured-twice": hold_captured_twice,
    "acknowledgement-before-commit": acknowledgement_before_commit,
    "missing-epoch-check": missing_epoch_check,
    "failover-on-unknown": failover_on_unknown,
    "refund-above-captured": refund_above_captured,
    "old-generation-answers": old_generation_answers,
}
