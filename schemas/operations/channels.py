"""Operations of the channel service."""

import msgspec

from schemas.channels import (
    ChannelAttempts,
    ChannelReconciled,
    GetChannelAttempts,
    OrderOutcome,
    RecheckChannelOrder,
    ReconcileChannel,
)
from schemas.operation import Operation

__all__ = ("EVENTS", "OPERATIONS")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        service="channel",
        verb="get",
        request=GetChannelAttempts,
        result=ChannelAttempts,
        kind="channel",
        key="payment_id",
        mutates=False,
        summary="Read what became of a payment at the channels.",
        errors=("not_found",),
    ),
    Operation(
        service="channel",
        verb="recheck",
        request=RecheckChannelOrder,
        result=OrderOutcome,
        kind="channel",
        key="payment_id",
        mutates=True,
        summary="Ask a channel at once what became of an order.",
        errors=("not_found", "channel_unavailable"),
        # As a rule it is the channel's word that makes them, and no request.
        events=(
            "channel.paid",
            "channel.attempt_ended",
            "channel.paid_late",
            "channel.refunded",
            "channel.refund_failed",
        ),
        operator=True,
    ),
    Operation(
        service="channel",
        verb="reconcile",
        request=ReconcileChannel,
        result=ChannelReconciled,
        kind="channel_books",
        key="channel",
        mutates=True,
        summary="Post the lines of a channel's books that match our orders.",
        operator=True,
    ),
)

EVENTS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "channel.paid": (OrderOutcome,),
    "channel.attempt_ended": (OrderOutcome,),
    "channel.paid_late": (OrderOutcome,),
    "channel.refunded": (OrderOutcome,),
    "channel.refund_failed": (OrderOutcome,),
}
