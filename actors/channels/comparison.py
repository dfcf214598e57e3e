"""A channel's books beside ours: what matches, what one side lacks, and what differs."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

from actors.channels.orders import DEAD, TOOK_MONEY

__all__ = ("BookLine", "Comparison", "Difference", "DifferenceKind", "OurOrder", "compare")

DifferenceKind = Literal["missing_here", "missing_there", "different"]


class BookLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a channel's books, money or not; amounts in minor units.

    ``state`` 'paid' is money: taken from the payer for kind 'pay', given back for 'refund'.
    """

    reference: str
    kind: str
    amount_minor: int
    state: str

    @property
    def moved(self) -> bool:
        """Tell whether money moved."""
        return self.state == "paid"


class OurOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as our books have it."""

    order_id: str
    payment_id: str
    kind: str
    reference: str
    amount_minor: int
    state: str
    reconciled_at: datetime | None

    @property
    def moved(self) -> bool:
        """Tell whether money moved by our books."""
        return self.state in TOOK_MONEY


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing on which the two sides do not agree; either side may lack it.

    ``can_settle`` tells that asking the channel about the order will make us agree: it was not
    determined, or taken for dead, and the channel has the money.
    """

    kind: DifferenceKind
    reference: str
    line: BookLine | None
    order: OurOrder | None

    @property
    def can_settle(self) -> bool:
        """Tell whether asking again will do."""
        if self.line is None or self.order is None or not self.line.moved:
            return False
        same = self.line.amount_minor == self.order.amount_minor
        return same and (self.order.state == "open" or self.order.state in DEAD)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All of one channel. ``matched`` are lines of money that both sides have alike.

    ``open`` are our orders that are not determined, of which the channel has no money either.
    """

    matched: tuple[tuple[BookLine, OurOrder], ...]
    open: tuple[OurOrder, ...]
    differences: tuple[Difference, ...]

    @property
    def unposted(self) -> tuple[BookLine, ...]:
        """The matched lines that no reconciliation has posted yet."""
        return tuple(line for line, order in self.matched if order.reconciled_at is None)

    def of(self, kind: DifferenceKind) -> tuple[Difference, ...]:
        """Return the differences of one kind."""
        return tuple(one for one in self.differences if one.kind == kind)


def compare(lines: Iterable[BookLine], orders: Iterable[OurOrder]) -> Comparison:
    """Compare by the order numbers, which are the same on both sides.

    Money that moved there and not here is *missing here*, the other way round *missing there*;
    moved on both sides, and not alike, is *different*. Orders of which neither side has money
    agree, whatever each calls them.
    """
    theirs = {line.reference: line for line in lines}
    ours = {order.reference: order for order in orders}
    matched: list[tuple[BookLine, OurOrder]] = []
    undetermined: list[OurOrder] = []
    differences: list[Difference] = []
    for reference in sorted(theirs.keys() | ours.keys()):
        line, order = theirs.get(reference), ours.get(reference)
        moved_there = line is not None and line.moved
        moved_here = order is not None and order.moved
        if line is not None and order is not None and moved_there and moved_here:
            if (line.kind, line.amount_minor) == (order.kind, order.amount_minor):
                matched.append((line, order))
                continue
            kind: DifferenceKind = "different"
        elif moved_there:
            kind = "missing_here"
        elif moved_here:
            kind = "missing_there"
        else:
            if order is not None and order.state == "open":
                undetermined.append(order)
            continue
        differences.append(Difference(kind=kind, reference=reference, line=line, order=order))
    return Comparison(
        matched=tuple(matched), open=tuple(undetermined), differences=tuple(differences)
    )
