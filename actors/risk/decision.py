"""What the rules come to: an outcome, its reasons, and which rules fired.

The strictest demand wins, in this order:

1. ``decline``: the payment is refused for good.
2. ``step_up``: it is refused until it comes again with verification factors. A demand that the
   request's factors satisfy already is none.
3. ``review``: it is made, and waits for a person.
4. ``approve``: it goes ahead.

So whoever has to prove who he is does that first, before a reviewer spends time on it.
"""

from typing import Literal

import msgspec

from actors.risk.rules import Action, Stage, StepUp

__all__ = ("OUTCOMES", "Decision", "Hit", "Outcome", "stricter")

Outcome = Literal["approve", "review", "step_up", "decline"]

# From the mildest to the strictest.
OUTCOMES: tuple[Outcome, ...] = ("approve", "review", "step_up", "decline")
_STRICTNESS = {outcome: rank for rank, outcome in enumerate(OUTCOMES)}


def stricter(one: Outcome, other: Outcome) -> Outcome:
    """Return the stricter of two outcomes."""
    return one if _STRICTNESS[one] >= _STRICTNESS[other] else other


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A rule that fired.

    ``effect`` is the outcome that it asks for by itself; for a shadow rule, the one that it would
    ask for.
    """

    rule_id: str
    kind: str
    stage: Stage
    action: Action
    reason: str
    effect: Outcome


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one check.

    ``reasons`` are the codes of the live rules behind the outcome, the strictest demand first, then
    in the order of the document. ``hits`` are all rules that fired, in the document's order, and
    ``score`` the points of the live ones. ``exempted`` are the rules that a live allow list takes
    back. ``step_up`` says what factors are wanted.
    """

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    hits: tuple[Hit, ...] = ()
    score: int = 0
    exempted: frozenset[str] = frozenset()
    step_up: StepUp | None = None
