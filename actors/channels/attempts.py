"""What becomes of an attempt: the decisions, without the wire and without the store.

An attempt is written before it is sent. After that only the channel's own word moves it: success,
a refusal or a closing that it confirms, or "not found" after its own deadline. Everything else is
asked again, at growing intervals and for as long as it takes: age alone makes nothing fail.
"""

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Literal

import msgspec

from actors.channels.channel import (
    Channel,
    Closed,
    Failed,
    NotFound,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from actors.channels.orders import (
    ORDERS,
    ChannelOrder,
    OrderState,
    expected_account,
    suspense_account,
    timer_of,
)
from actors.entity import Part, RecordChange, Tell
from kernel.randomness import IdFactory
from schemas.change import Timer, due_ms
from schemas.ledger import Moves, Posting

__all__ = (
    "ATTEMPTS_MAX",
    "BEGIN_FALLBACK_S",
    "BEGIN_TYPE",
    "PAY_KIND",
    "PENDING_S_MAX",
    "REFUND_KIND",
    "RESENDS_MAX",
    "RETRY_S",
    "RETRY_S_MAX",
    "WORK_TYPE",
    "Begin",
    "PayStep",
    "RefundStep",
    "Turn",
    "Work",
    "after_pay",
    "after_refund",
    "close_decided",
    "is_due",
    "new_attempt",
    "new_refund",
    "next_pay_step",
    "next_refund_step",
    "reversed_expectation",
    "timer_for",
)

PAY_KIND = "channel"
REFUND_KIND = "channel_refund"
BEGIN_TYPE = "begin"
WORK_TYPE = "work"

# How often one payment goes to a channel, each time to another one: there are five, and a customer
# who waits for the fourth has left.
ATTEMPTS_MAX = 3
# How often an order that the channel does not know is sent again before its deadline. The first
# request was lost as a rule; what swallowed two more will not take the fourth.
RESENDS_MAX = 2
# The pause before the channel is asked again, doubling up to the longest: half a second is what a
# customer at a counter does not notice, five minutes what a channel in an outage can bear.
RETRY_S = 0.5
RETRY_S_MAX = 300.0
# While a payer has to act, or the channel says that it is at work, it is asked this often at least.
PENDING_S_MAX = 5.0
# An attempt is begun by a message as soon as it stands. This is when its timer begins it if the
# message was lost.
BEGIN_FALLBACK_S = 1.0

_encode = msgspec.msgpack.Encoder().encode

PayStep = Literal["pay", "query", "close", "decide_close"]
RefundStep = Literal["refund", "query"]


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """Begin with an order that stands; its request id is made of the order's."""

    request_id: str
    order_id: str


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an order's timer."""

    order_id: str


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What an outcome comes to: the order as it is now, and whether that decides anything."""

    order: ChannelOrder
    verdict: Literal["wait", "paid", "dead", "stuck"]


# Making orders.


def new_attempt(
    *,
    app: str,
    payment_id: str,
    channel: Channel,
    amount_minor: int,
    method: str,
    payer_token: str,
    description: str,
    now: datetime,
    ids: IdFactory,
) -> tuple[ChannelOrder, Part]:
    """Return a new attempt and all that has to stand with it before anything is sent.

    ``expected`` is debited and ``suspense`` credited, so that suspense is the sum of what is not
    determined. A message begins the attempt once the change stands, and a timer if it is lost.
    """
    terms = channel.terms
    order_id = ids.new("cha")
    order = ChannelOrder(
        order_id=order_id,
        kind="pay",
        payment_id=payment_id,
        channel=terms.name,
        reference=channel.reference(order_id, now),
        amount_minor=amount_minor,
        created_at=now,
        expires_at=now + timedelta(seconds=terms.order_expires_s),
        method=method,
        payer_token=payer_token,
        description=description,
        close_undoes=terms.close_undoes,
        next_at=now + timedelta(seconds=BEGIN_FALLBACK_S),
    )
    posting = Posting(
        expected_account(terms.name), suspense_account(terms.name), amount_minor, order.currency,
        purpose="channel.attempt",
    )  # fmt: skip
    return order, _standing(app, order, (posting,))


def new_refund(
    *,
    app: str,
    paid: ChannelOrder,
    channel: Channel,
    amount_minor: int,
    refund_id: str,
    reason: str,
    now: datetime,
    ids: IdFactory,
) -> tuple[ChannelOrder, Part]:
    """Return a refund of a paid attempt; its money stands in ``suspense`` when the change does."""
    order_id = ids.new("chr")
    order = ChannelOrder(
        order_id=order_id,
        kind="refund",
        payment_id=paid.payment_id,
        channel=paid.channel,
        reference=channel.reference(order_id, now),
        amount_minor=amount_minor,
        created_at=now,
        expires_at=now,
        description=reason,
        next_at=now + timedelta(seconds=BEGIN_FALLBACK_S),
        refund_id=refund_id,
        pay_order_id=paid.order_id,
        pay_reference=paid.reference,
        pay_channel_reference=paid.channel_reference,
        pay_created_at=paid.created_at,
        paid_minor=paid.amount_minor,
    )
    return order, _standing(app, order, ())


def _standing(app: str, order: ChannelOrder, postings: tuple[Posting, ...]) -> Part:
    kind, key = (
        (PAY_KIND, order.payment_id) if order.kind == "pay" else (REFUND_KIND, order.order_id)
    )
    begin = Begin(request_id=f"~begin.{order.order_id}", order_id=order.order_id)
    return Part(
        moves=Moves(postings=postings),
        also=(RecordChange(ORDERS, order.order_id, 0, app, order),),
        timers=(timer_for(app, order),),
        tells=(Tell(kind, key, f"{kind}.{BEGIN_TYPE}", begin, app),),
    )


def timer_for(app: str, order: ChannelOrder) -> Timer:
    """Return the timer of an order, due when its next exchange is."""
    kind, key = (
        (PAY_KIND, order.payment_id) if order.kind == "pay" else (REFUND_KIND, order.order_id)
    )
    assert order.next_at is not None
    body = msgspec.Raw(_encode(Work(order_id=order.order_id)))
    return Timer(
        timer_of(order.order_id), due_ms(order.next_at), kind, key, f"{kind}.{WORK_TYPE}", app, body
    )


def reversed_expectation(order: ChannelOrder, purpose: str) -> Posting:
    """Return the posting that takes an order out of suspense: it will not come, or is back."""
    return Posting(
        suspense_account(order.channel), expected_account(order.channel), order.amount_minor,
        order.currency, purpose=purpose,
    )  # fmt: skip


# Deciding about them.


def is_due(order: ChannelOrder, now: datetime) -> bool:
    """Tell whether an exchange about the order is due; a timer may come late, early and twice."""
    return order.state == "open" and order.next_at is not None and order.next_at <= now


def next_pay_step(order: ChannelOrder, now: datetime) -> PayStep:
    """Return what to ask of the channel next about an attempt.

    ``decide_close`` asks nothing: where a closing undoes payments, that it was begun has to stand
    before it is sent, for whoever goes on after a crash.
    """
    if not order.sent or order.last_step == "resend":
        return "pay"
    wanted = order.closing or now >= order.expires_at
    if order.close_undoes and not order.close_decided:
        # Closing would take a payment back that is only not known to us: ask first, and close what
        # the channel itself says is not decided.
        sure = order.last_step == "query" and not order.unsure
        return "decide_close" if wanted and sure else "query"
    # After a closing that was not confirmed the query says what became of it.
    return "close" if wanted and order.last_step != "close" else "query"


def next_refund_step(order: ChannelOrder) -> RefundStep:
    """Return what to ask of the channel next about a refund."""
    return "refund" if not order.sent or order.last_step == "resend" else "query"


def after_pay(
    order: ChannelOrder,
    step: PayStep,
    outcome: Outcome,
    now: datetime,
    settle_grace_s: int,
    *,
    first: bool = False,
) -> Turn:
    """Return what an outcome makes of an open attempt.

    ``first`` tells that the order was certainly never sent before. Only then is the refusal of a
    request the end of the order: of one that is sent again it may be the second that is refused,
    while the first is still on its way.
    """
    if step == "pay" and not first and isinstance(outcome, Failed):
        outcome = msgspec.structs.replace(outcome, final=False)
    asked = msgspec.structs.replace(
        order,
        asked=order.asked + 1,
        sent=order.sent + (step == "pay"),
        last_step=step,
    )
    match outcome:
        case Succeeded() if order.close_decided:
            # A closing may be on its way that will undo it. Who has begun to undo must go on until
            # that is confirmed: a success that is accepted now may be gone in a moment.
            return _waiting(msgspec.structs.replace(asked, closing=True), now, unsure=False)
        case Succeeded(channel_reference=reference):
            paid = msgspec.structs.replace(asked, channel_reference=reference)
            return _ended(paid, "paid", now, "paid")
        case Failed(code=code, reason=reason, final=True, payer=payer):
            failed = msgspec.structs.replace(
                asked, code=code, last_word=reason, payers_no=asked.payers_no or payer
            )
            return _ended(failed, "failed", now, "dead")
        case Closed():
            return _ended(asked, "failed" if asked.code else "closed", now, "dead")
        case NotFound() if now >= order.expires_at + timedelta(seconds=settle_grace_s):
            return _ended(asked, "not_received", now, "dead")
        case Failed(code=code, reason=reason, payer=payer):
            # Refused, and it may still be paid: only its closing makes that certain.
            asked = msgspec.structs.replace(
                asked, code=code, last_word=reason, closing=True,
                payers_no=asked.payers_no or payer,
            )  # fmt: skip
            return _waiting(asked, now, unsure=False)
        case NotFound() if _worth_resending(order, now):
            return _waiting(msgspec.structs.replace(asked, last_step="resend"), now, unsure=True)
        case NotFound():
            return _waiting(asked, now, unsure=True)
        case Pending(code_url=code_url):
            asked = msgspec.structs.replace(asked, code_url=code_url or asked.code_url)
            return _waiting(asked, now, unsure=False)
        case Unknown(reason=reason):
            asked = msgspec.structs.replace(asked, last_word=reason)
            return _waiting(asked, now, unsure=True)


def _worth_resending(order: ChannelOrder, now: datetime) -> bool:
    """Tell whether an order that the channel does not know may be sent once more.

    It is the same order under the same number, so that it is taken once if both arrive. What is to
    be closed is not sent again, and where the payer acts alone, nobody waits for it any more.
    """
    return (
        order.sent <= RESENDS_MAX
        and not order.closing
        and bool(order.payer_token)
        and now < order.expires_at
    )


def close_decided(order: ChannelOrder, now: datetime) -> Turn:
    """Return the attempt of which the closing is begun, to be sent as soon as this stands."""
    decided = msgspec.structs.replace(order, close_decided=True, closing=True, last_step="decide")
    return _waiting(decided, now, unsure=False)


def after_refund(order: ChannelOrder, step: RefundStep, outcome: Outcome, now: datetime) -> Turn:
    """Return what an outcome makes of an open refund."""
    asked = msgspec.structs.replace(
        order, asked=order.asked + 1, sent=order.sent + (step == "refund"), last_step=step
    )
    match outcome:
        case Succeeded(channel_reference=reference):
            paid = msgspec.structs.replace(asked, channel_reference=reference)
            return _ended(paid, "paid", now, "paid")
        case Failed(code=code, reason=reason, final=True):
            failed = msgspec.structs.replace(asked, code=code, last_word=reason)
            return _ended(failed, "failed", now, "stuck")
        case Failed(code=code, reason=reason):
            again = msgspec.structs.replace(asked, code=code, last_word=reason, last_step="resend")
            return _waiting(again, now, unsure=True)
        case NotFound() | Closed():
            # The channel has no such refund: the same one again is still one refund.
            return _waiting(msgspec.structs.replace(asked, last_step="resend"), now, unsure=True)
        case Pending():
            return _waiting(asked, now, unsure=False)
        case Unknown(reason=reason):
            return _waiting(msgspec.structs.replace(asked, last_word=reason), now, unsure=True)


def _ended(
    order: ChannelOrder,
    state: OrderState,
    now: datetime,
    verdict: Literal["paid", "dead", "stuck"],
) -> Turn:
    ended = msgspec.structs.replace(order, state=state, settled_at=now, next_at=None)
    return Turn(order=ended, verdict=verdict)


def _waiting(order: ChannelOrder, now: datetime, *, unsure: bool) -> Turn:
    """Return the order with the time of its next exchange.

    The pause grows with every exchange that came to nothing; the expiry of an attempt is never
    slept through, since closing it is what makes an end certain.
    """
    longest = RETRY_S_MAX if unsure else PENDING_S_MAX
    grown = order.unsure if unsure else max(order.asked - 1, 0)
    pause_s = min(RETRY_S * 2 ** min(grown, 10), longest) * _spread(order)
    next_at = now + timedelta(seconds=pause_s)
    waiting = msgspec.structs.replace(order, unsure=order.unsure + 1 if unsure else 0)
    if order.kind == "pay":
        if next_pay_step(waiting, now) in ("close", "decide_close"):
            next_at = now + timedelta(milliseconds=1)
        elif now < order.expires_at < next_at:
            next_at = order.expires_at
    return Turn(order=msgspec.structs.replace(waiting, next_at=next_at), verdict="wait")


def _spread(order: ChannelOrder) -> float:
    """Return a factor between 0.8 and 1.2, the order's own.

    After an outage all orders would otherwise ask again in the same instant.
    """
    digest = blake2b(f"{order.order_id}.{order.asked}".encode(), digest_size=2).digest()
    return 0.8 + 0.4 * int.from_bytes(digest, "big") / 65_535
