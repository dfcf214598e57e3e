"""What a payment asks of the ledger: exact moves, one after the other, each with its purpose.

A change takes its postings before its steps, and a part of a payment may have to wait for a step,
such as the capture of a hold. So all moves of a payment with a history are steps, in their order.
Each is explained by a row that the ledger writes itself.
"""

from collections.abc import Iterable

import msgspec

from actors.entity import Part
from actors.payments.records import ReservedTally
from schemas.ledger import Moves, Posting, Step, TallyStep, TransferStep
from schemas.money import CNY

__all__ = (
    "DISPUTE_PURPOSE",
    "ESCROW",
    "HOLD_PURPOSE",
    "PURPOSE_FUND",
    "PURPOSE_REFUND",
    "PURPOSE_RELEASE",
    "PURPOSE_RETURN",
    "PURPOSE_SPLIT",
    "PURPOSE_SPLIT_BACK",
    "UNCLAIMED",
    "as_steps",
    "exactly",
    "given_back",
    "steps",
)

# Keeps what belongs neither to the payer any more nor to the payee yet.
ESCROW = "escrow:guaranteed"
# Keeps what had to leave escrow and has no account to go to, until the bank has found its owner.
UNCLAIMED = "escrow:unclaimed"

# What the holds of payments are for, so that `hold.capture` and `hold.void` cannot take them: of an
# authorised payment at the payer, of a disputed one at the payee.
HOLD_PURPOSE = "payment"
DISPUTE_PURPOSE = "dispute"

# From a source to the payee or into escrow.
PURPOSE_FUND = "payment.fund"
# From escrow to the payee.
PURPOSE_RELEASE = "payment.release"
# From the payee back to a source.
PURPOSE_REFUND = "payment.refund"
# From escrow back to a source.
PURPOSE_RETURN = "payment.return"
# Between the payee and a participant of a split that is the payment's own, and no merchant's.
PURPOSE_SPLIT = "payment.split"
PURPOSE_SPLIT_BACK = "payment.split_back"


def exactly(
    debit: str,
    credit: str,
    amount_minor: int,
    purpose: str,
    *,
    owner: str = "",
    fields: tuple[str, str] = ("payer", "payee"),
    exempt: bool = False,
) -> TransferStep:
    """Return the step that moves this amount, no more and no less."""
    return TransferStep(
        debit, credit, amount_minor, CNY, at_least_minor=amount_minor, owner=owner, name="",
        fields=fields, exempt=exempt, purpose=purpose,
    )  # fmt: skip


def steps(*taken: Step) -> Part:
    """Return the part of a change that takes these steps."""
    return Part(moves=Moves(steps=taken))


def as_steps(part: Part) -> Part:
    """Return the part with its postings as steps before its own, so that it keeps its place."""
    moves = part.moves
    posted = tuple(_as_step(posting) for posting in moves.postings)
    return msgspec.structs.replace(part, moves=Moves(moves.open, (), (*posted, *moves.steps)))


def _as_step(posting: Posting) -> TransferStep:
    return TransferStep(
        posting.debit, posting.credit, posting.amount_minor, posting.asset,
        at_least_minor=posting.amount_minor, owner=posting.owner,
        credit_owner=posting.credit_owner, name="", fields=posting.fields, exempt=posting.exempt,
        purpose=posting.purpose,
    )  # fmt: skip


def given_back(reserved: Iterable[ReservedTally]) -> tuple[TallyStep, ...]:
    """Return the steps that take back what a payment that came to nothing had counted."""
    return tuple(
        TallyStep(one.tally_id, -one.count, -one.amount_minor, name="") for one in reserved
    )
