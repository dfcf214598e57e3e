"""The channels' own books: every order and refund, kept in a file of lines.

Each line is an order as it stands after a change, so the last line of an order counts, and a file
that ends in the middle of a line loses that line only. Lines are handed to the operating system at
once and not forced to the disk: the books survive the process, which is what is simulated.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

__all__ = ("Books", "Order", "OrderKind", "OrderState")

OrderKind = Literal["pay", "refund"]
# 'pending' → 'paid', 'declined' or 'closed'; 'declined' → 'closed'; 'paid' → 'reversed' (UnionPay).
# A channel that breaks its word goes from 'declined' or 'closed' to 'paid'. A refund that was paid
# has gone back to the payer.
OrderState = Literal["pending", "paid", "declined", "closed", "reversed"]


class Order(msgspec.Struct, kw_only=True):
    """One order or refund in a channel's books; ``number`` counts those of the channel."""

    channel: str
    number: int
    reference: str
    kind: OrderKind
    amount_minor: int
    state: OrderState
    channel_reference: str
    created_ms: int
    changed_ms: int
    notify_url: str
    at_text: str = ""
    payer: str = ""
    expires_ms: int | None = None
    pay_reference: str = ""
    code: str = ""
    by_payer: bool = False


class Books:
    """All orders, by channel and reference."""

    def __init__(self, path: Path) -> None:
        self._orders: dict[str, dict[str, Order]] = {}
        self._refunds: dict[tuple[str, str], list[Order]] = {}
        # The orders of a channel have numbers from the first time that they were heard of.
        self._numbers: dict[str, dict[str, int]] = {}
        self._encode = msgspec.json.Encoder().encode
        self._load(path)
        self._file = path.open("ab", buffering=0)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def number(self, channel: str, reference: str) -> int:
        """Return the number of an order, which it keeps."""
        numbers = self._numbers.setdefault(channel, {})
        return numbers.setdefault(reference, len(numbers) + 1)

    def get(self, channel: str, reference: str) -> Order | None:
        """Return an order, or None."""
        return self._orders.get(channel, {}).get(reference)

    def by_channel_reference(self, channel: str, channel_reference: str) -> Order | None:
        """Return the order that the channel knows by its own number, which ends in ours."""
        return self.get(channel, channel_reference.partition("-")[2])

    def refunds_of(self, order: Order) -> list[Order]:
        """Return the refunds of a payment."""
        return self._refunds.get((order.channel, order.reference), [])

    def add(self, order: Order) -> None:
        """Take a new order."""
        self._note(order)
        self._write(order)

    def change(self, order: Order, state: OrderState, now_ms: int) -> None:
        """Move an order to another state."""
        order.state = state
        order.changed_ms = now_ms
        self._write(order)

    def orders(self, channel: str) -> Iterator[Order]:
        """Return all orders of a channel in the order in which they came."""
        return iter(list(self._orders.get(channel, {}).values()))

    def _note(self, order: Order) -> None:
        self.number(order.channel, order.reference)
        self._orders.setdefault(order.channel, {})[order.reference] = order
        if order.pay_reference:
            refunds = self._refunds.setdefault((order.channel, order.pay_reference), [])
            if order not in refunds:
                refunds.append(order)

    def _write(self, order: Order) -> None:
        self._file.write(self._encode(order) + b"\n")

    def _load(self, path: Path) -> None:
        if not path.exists():
            return
        decode = msgspec.json.Decoder(Order).decode
        data = path.read_bytes()
        whole, _, torn = data.rpartition(b"\n")
        last: dict[tuple[str, str], Order] = {}
        for line in whole.splitlines():
            order = decode(line)
            last[order.channel, order.reference] = order
        for order in last.values():
            self._note(order)
        if torn:
            # A line that was not finished when the process died; the next one must not join it.
            path.write_bytes(whole + b"\n" if whole else b"")
