"""Reconciliation: the lines of a channel's books that match our orders, posted.

``expected`` is what a channel owes us by our books. Each matched line moves it to the mirror of the
outside, so that what stays in ``expected`` and ``suspense`` is exactly what does not match.
"""

from datetime import datetime
from typing import ClassVar

import msgspec

from actors.channels.orders import (
    ORDERS,
    TOOK_MONEY,
    ChannelOrder,
    expected_account,
    external_account,
)
from actors.entity import Case, EntityActor, Plan, Record, RecordChange, decides
from kernel.store import Where
from schemas.channels import ChannelReconciled, ReconcileChannel, StatementLine
from schemas.ledger import Moves, Posting
from schemas.money import CNY

__all__ = ("BooksActor",)


class BooksActor(EntityActor):
    """The books of one channel; it keeps nothing of its own."""

    kind = "channel_books"
    table: ClassVar = None

    @decides("channel.reconcile", ReconcileChannel)
    async def reconcile(self, request: ReconcileChannel, case: Case) -> Plan:
        """Post what matches, and name what does not."""
        lines = {line.reference: line for line in request.lines}
        found = await ORDERS.search(
            case.store,
            Where("channel", "=", request.channel),
            Where("reference", "in", list(lines)),
        )
        matched: list[Record[ChannelOrder]] = []
        already: list[str] = []
        refused = {*lines}
        for record in found:
            line = lines[record.state.reference]
            if not _matches(record.state, line):
                continue
            refused.discard(line.reference)
            if record.state.reconciled_at is None:
                matched.append(record)
            else:
                already.append(line.reference)
        in_minor = sum(one.state.amount_minor for one in matched if one.state.kind == "pay")
        out_minor = sum(one.state.amount_minor for one in matched if one.state.kind == "refund")
        return Plan(
            answer=ChannelReconciled(
                channel=request.channel,
                posted=len(matched),
                in_minor=in_minor,
                out_minor=out_minor,
                already=tuple(sorted(already)),
                refused=tuple(sorted(refused)),
            ),
            moves=Moves(postings=_postings(request.channel, in_minor, out_minor)),
            also=tuple(_reconciled(one, case.now) for one in matched),
        )


def _matches(order: ChannelOrder, line: StatementLine) -> bool:
    return (
        order.kind == line.kind
        and order.amount_minor == line.amount_minor
        and order.state in TOOK_MONEY
    )


def _postings(channel: str, in_minor: int, out_minor: int) -> tuple[Posting, ...]:
    """Return what came in and what went out, each as one posting."""
    external, expected = external_account(channel), expected_account(channel)
    postings = []
    if in_minor:
        postings.append(Posting(external, expected, in_minor, CNY, purpose="channel.reconciled"))
    if out_minor:
        postings.append(Posting(expected, external, out_minor, CNY, purpose="channel.reconciled"))
    return tuple(postings)


def _reconciled(record: Record[ChannelOrder], at: datetime) -> RecordChange:
    state = msgspec.structs.replace(record.state, reconciled_at=at)
    return RecordChange(ORDERS, record.key, record.version, record.app, state)
