"""A check as the risk actor reads it: what it only hands on stays as it came.

Most of a check is the change that waits for its decision. Taking all of that apart and putting it
together again would cost as much as the decision, so these are the messages of ``schemas`` with
their parts left as bytes.
"""

import msgspec

from schemas.change import Fact
from schemas.errors import ErrorBody
from schemas.ledger import Step, TallyStep
from schemas.risk import RiskFacts

__all__ = (
    "PassedAlternative",
    "PassedChange",
    "PassedCheck",
    "decode_check",
    "encode_facts",
    "with_counts",
    "with_facts",
)

_EMPTY_BYTES = b"\x90"
_EMPTY = msgspec.Raw(_EMPTY_BYTES)


class PassedAlternative(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """See :class:`schemas.change.Alternative`."""

    moves: msgspec.Raw
    facts: msgspec.Raw
    events: msgspec.Raw
    answer: msgspec.Raw
    timers: msgspec.Raw = _EMPTY
    cancels: msgspec.Raw = _EMPTY


class PassedChange(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """See :class:`schemas.change.Change`."""

    app: msgspec.Raw
    request_id: str
    operation: msgspec.Raw
    digest: msgspec.Raw
    alternatives: tuple[PassedAlternative, ...]
    rejection: ErrorBody | None = None
    partition: int = -1
    epoch: int = 0
    refused: msgspec.Raw = _EMPTY


class PassedCheck(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """See :class:`schemas.risk.RiskCheck`."""

    change: PassedChange
    facts: RiskFacts
    reviewed: tuple[PassedAlternative, ...] = ()
    reviewer: str = ""


class _PassedMoves(msgspec.Struct, array_like=True, frozen=True, gc=False):
    open: msgspec.Raw = _EMPTY
    postings: msgspec.Raw = _EMPTY
    steps: msgspec.Raw = _EMPTY


decode_check = msgspec.msgpack.Decoder(PassedCheck).decode

_encode = msgspec.msgpack.Encoder().encode
_decode_moves = msgspec.msgpack.Decoder(_PassedMoves).decode
_decode_steps = msgspec.msgpack.Decoder(tuple[Step, ...]).decode
_decode_facts = msgspec.msgpack.Decoder(tuple[Fact, ...]).decode


def encode_facts(rows: tuple[Fact, ...]) -> msgspec.Raw:
    """Return rows in the form that a change carries."""
    return msgspec.Raw(_encode(rows))


def with_counts(moves: msgspec.Raw, counts: tuple[TallyStep, ...]) -> msgspec.Raw:
    """Return the moves with these steps after their own."""
    asked = _decode_moves(moves)
    steps: tuple[Step, ...] = counts
    if bytes(asked.steps) != _EMPTY_BYTES:
        steps = _decode_steps(asked.steps) + counts
    passed = _PassedMoves(asked.open, asked.postings, msgspec.Raw(_encode(steps)))
    return msgspec.Raw(_encode(passed))


def with_facts(facts: msgspec.Raw, rows: tuple[Fact, ...]) -> msgspec.Raw:
    """Return the facts with these rows after them."""
    return encode_facts(_decode_facts(facts) + rows)
