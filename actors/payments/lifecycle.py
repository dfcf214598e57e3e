"""The life of a payment: which step leads from which status to which, and what it is told as.

::

    new ─▶ in_review ─▶ processing ─▶ guaranteed ─▶ succeeded ─▶ partially_refunded ─▶ refunded
               │              │            │ ▲           │  ▲             │
               │              │            │ └ disputed ◀┘──┴─────────────┘─▶ reversed
               └▶ failed ◀────┘            └▶ voided
    new ─▶ authorized ─▶ partially_captured ─▶ succeeded
               └▶ voided, expired

A payment that nothing holds up leaves statuses out. The whole machine is drawn in
``docs/payments.md``, and a test compares the drawing with the table below.
"""

from typing import Literal, cast, get_args

from schemas.errors import InvalidState
from schemas.payments import PaymentStatus

__all__ = (
    "EVENT_NAMES",
    "FINAL",
    "NEW",
    "STATUSES",
    "TRANSITIONS",
    "Step",
    "event_type",
    "status_after",
)

Step = Literal[
    "review",
    "process",
    "guarantee",
    "authorize",
    "succeed",
    "confirm",
    "decline",
    "fail",
    "void",
    "capture",
    "capture_rest",
    "expire",
    "delay",
    "refund",
    "refund_rest",
    "refund_settle",
    "refund_fail",
    "refund_retry",
    "dispute",
    "release",
    "release_part",
    "resolve_refund",
    "resolve_refund_rest",
    "resolve_void",
    "reverse",
]

# Where every payment begins; nobody ever sees it.
NEW = "new"

STATUSES: tuple[PaymentStatus, ...] = get_args(PaymentStatus)

_HAVE_TIMERS = ("in_review", "guaranteed", "authorized", "partially_captured")
_MAY_WAIT_FOR_A_CHANNEL = ("partially_refunded", "refunded", "disputed", "voided", "reversed")

# (status, step) → status. `release` gives a disputed payment back the status of one of which
# nothing was refunded, `release_part` that of one of which a part was. The steps of a channel's
# refund (`refund_settle`, `refund_fail`, `refund_retry`) leave the status as it is, and so does
# `delay`, by a timer that could not do its work. Who may take a step differs, so what looks alike
# has several names: `fail` is a channel's, `decline` a person's.
TRANSITIONS: dict[tuple[str, Step], PaymentStatus] = {
    ("new", "review"): "in_review",
    ("new", "process"): "processing",
    ("new", "guarantee"): "guaranteed",
    ("new", "authorize"): "authorized",
    ("new", "succeed"): "succeeded",
    ("in_review", "process"): "processing",
    ("in_review", "guarantee"): "guaranteed",
    ("in_review", "authorize"): "authorized",
    ("in_review", "succeed"): "succeeded",
    ("in_review", "decline"): "failed",
    ("in_review", "void"): "voided",
    ("processing", "guarantee"): "guaranteed",
    ("processing", "succeed"): "succeeded",
    ("processing", "fail"): "failed",
    ("processing", "void"): "voided",
    ("guaranteed", "confirm"): "succeeded",
    ("guaranteed", "void"): "voided",
    ("guaranteed", "dispute"): "disputed",
    ("authorized", "capture"): "partially_captured",
    ("authorized", "capture_rest"): "succeeded",
    ("authorized", "void"): "voided",
    ("authorized", "expire"): "expired",
    ("partially_captured", "capture"): "partially_captured",
    ("partially_captured", "capture_rest"): "succeeded",
    ("partially_captured", "void"): "succeeded",
    ("partially_captured", "expire"): "succeeded",
    ("succeeded", "refund"): "partially_refunded",
    ("succeeded", "refund_rest"): "refunded",
    ("succeeded", "dispute"): "disputed",
    ("succeeded", "reverse"): "reversed",
    ("partially_refunded", "refund"): "partially_refunded",
    ("partially_refunded", "refund_rest"): "refunded",
    ("partially_refunded", "dispute"): "disputed",
    ("partially_refunded", "reverse"): "reversed",
    ("disputed", "release"): "succeeded",
    ("disputed", "release_part"): "partially_refunded",
    ("disputed", "resolve_refund"): "partially_refunded",
    ("disputed", "resolve_refund_rest"): "refunded",
    ("disputed", "resolve_void"): "voided",
    **{(status, "delay"): status for status in cast("tuple[PaymentStatus, ...]", _HAVE_TIMERS)},
    **{
        (status, step): status
        for status in cast("tuple[PaymentStatus, ...]", _MAY_WAIT_FOR_A_CHANNEL)
        for step in cast("tuple[Step, ...]", ("refund_settle", "refund_fail", "refund_retry"))
    },
}

# From these nothing leads to another status.
FINAL: frozenset[PaymentStatus] = frozenset(
    status
    for status in STATUSES
    if all(after == status for (before, _), after in TRANSITIONS.items() if before == status)
)

# Step → what comes after `payment.` in the event that tells of it.
EVENT_NAMES: dict[Step, str] = {
    "review": "in_review",
    "process": "processing",
    "guarantee": "guaranteed",
    "authorize": "authorized",
    "succeed": "succeeded",
    "confirm": "succeeded",
    "decline": "failed",
    "fail": "failed",
    "void": "voided",
    "capture": "captured",
    "capture_rest": "captured",
    "expire": "expired",
    "delay": "delayed",
    "refund": "refunded",
    "refund_rest": "refunded",
    "refund_settle": "refund_settled",
    "refund_fail": "refund_failed",
    "refund_retry": "refund_retried",
    "dispute": "disputed",
    "release": "dispute_released",
    "release_part": "dispute_released",
    "resolve_refund": "refunded",
    "resolve_refund_rest": "refunded",
    "resolve_void": "voided",
    "reverse": "reversed",
}


def event_type(step: Step) -> str:
    """Return the type of the event that tells of a step."""
    return f"payment.{EVENT_NAMES[step]}"


def status_after(payment_id: str, status: str, step: Step) -> PaymentStatus:
    """Return the status that a step leads to.

    Raise :class:`~schemas.errors.InvalidState` when the payment's status does not allow the step.
    """
    after = TRANSITIONS.get((status, step))
    if after is None:
        allowed = sorted({before for before, one in TRANSITIONS if one == step})
        raise InvalidState(
            f"payment {payment_id!r} is {status}; this is for one that is {', '.join(allowed)}",
            field="payment_id",
        )
    return after
