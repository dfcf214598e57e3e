"""Messages of the channel service: what became of a payment at the channels, and reconciliation."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.funding import ChannelName
from schemas.identifiers import Identifier, RequestId, Timestamp

__all__ = (
    "RECONCILE_LINES_MAX",
    "ChannelAttempts",
    "ChannelOrderView",
    "ChannelReconciled",
    "GetChannelAttempts",
    "OrderOutcome",
    "RecheckChannelOrder",
    "ReconcileChannel",
    "StatementLine",
)

# Lines of one request: each becomes a row, and a batch of the journal takes thousands.
RECONCILE_LINES_MAX = 200


class GetChannelAttempts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read what became of a payment at the channels."""

    payment_id: Identifier


class ChannelOrderView(msgspec.Struct, frozen=True, kw_only=True):
    """One order at one channel; amounts in minor units.

    ``state`` is 'open' (not determined), 'paid', 'failed', 'closed', 'not_received', 'paid_late'
    (after it had been given up, so that it goes back), or 'replaced' (a refund that failed and is
    sent by a later one). ``code_url`` is what the payer has to scan.
    """

    order_id: str
    kind: str
    channel: str
    reference: str
    channel_reference: str
    amount_minor: int
    currency: str
    state: str
    code: str
    reason: str
    code_url: str
    asked: int
    created_at: Timestamp
    settled_at: Timestamp | None
    next_at: Timestamp | None
    reconciled_at: Timestamp | None


class ChannelAttempts(msgspec.Struct, frozen=True, kw_only=True):
    """All orders of a payment in the order in which they were made, refunds after attempts."""

    payment_id: str
    status: str
    orders: tuple[ChannelOrderView, ...]


class RecheckChannelOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask a channel at once what became of an order, whatever we believe of it."""

    request_id: RequestId
    payment_id: Identifier
    order_id: Identifier


class OrderOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """An order after a turn of its actor; also the data of the events about it.

    ``outcome`` is what the channel said last, empty when it was not asked.
    """

    payment_id: str
    order_id: str
    kind: str
    channel: str
    amount_minor: int
    currency: str
    state: str
    outcome: str = ""
    reason: str = ""


class StatementLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of a channel's books: money taken from a payer, or given back."""

    reference: Annotated[str, Meta(min_length=1, max_length=64)]
    kind: Literal["pay", "refund"]
    amount_minor: Annotated[int, Meta(ge=1)]


class ReconcileChannel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Post the lines of a channel's books that match an order of ours."""

    request_id: RequestId
    channel: ChannelName
    lines: Annotated[tuple[StatementLine, ...], Meta(min_length=1, max_length=RECONCILE_LINES_MAX)]


class ChannelReconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What was posted: amounts in minor units, and the references that were not.

    ``already`` were posted before, ``refused`` match no order of ours that took or gave that money.
    """

    channel: str
    posted: int
    in_minor: int
    out_minor: int
    already: tuple[str, ...]
    refused: tuple[str, ...]
