"""Bugs on purpose: what a ledger gets wrong in real life, planted in a node that is to be caught.

Each patches the product in the process that calls it, and strikes once in ``every`` payments. There
is no switch for them in the product.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import msgspec

from actors.ledger._state import State
from kernel.actor import Delivery
from kernel.journal import JOURNAL_TYPE, Journal
from schemas.change import Change

__all__ = ("BUGS", "Bug", "plant")

Bug = Literal["lost-update", "double-apply", "lost-acknowledgement"]

BUGS: tuple[Bug, ...] = get_args(Bug)

_PAYMENT = "payment.create"

_decode = msgspec.msgpack.Decoder(Change).decode


def plant(bug: Bug, every: int) -> None:
    """Patch the product in this process; one in ``every`` payments is hit."""
    _PLANTS[bug](_Counter(every))


class _Counter:
    """Tells when it is time again."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._count = 0

    def strikes(self) -> bool:
        self._count += 1
        return self._count % self._every == 0


def _lost_update(counter: _Counter) -> None:
    """Forget a credit in memory: the next entry of the payee goes on from the balance before it."""
    post = State.post

    def forgetting(self: State, debit: str, credit: str, amount: int, *a: Any, **k: Any) -> None:
        post(self, debit, credit, amount, *a, **k)
        account = self.accounts[credit]
        if account is not None and counter.strikes():
            account.posted -= amount

    _replace(State, "post", forgetting)


def _double_apply(counter: _Counter) -> None:
    """Move the money of a payment twice, under one payment."""
    post = State.post

    def doubling(self: State, debit: str, credit: str, amount: int, *a: Any, **k: Any) -> None:
        post(self, debit, credit, amount, *a, **k)
        if counter.strikes():
            post(self, debit, credit, amount, *a, **k)

    _replace(State, "post", doubling)


def _lost_acknowledgement(counter: _Counter) -> None:
    """Acknowledge a payment that is never written: the books are sound, and it is not in them."""
    receive_batch = Journal.receive_batch

    async def losing(self: Journal, deliveries: list[Delivery]) -> None:
        kept = []
        for delivery in deliveries:
            change = _payment(delivery)
            if change is not None and counter.strikes():
                delivery.reply(change.alternatives[0].answer.encode())
            else:
                kept.append(delivery)
        await receive_batch(self, kept)

    _replace(Journal, "receive_batch", losing)


def _payment(delivery: Delivery) -> Change | None:
    if delivery.envelope.type != JOURNAL_TYPE:
        return None
    change = _decode(delivery.envelope.body)
    return change if change.operation == _PAYMENT and change.alternatives else None


def _replace(owner: type, name: str, function: Callable[..., Any]) -> None:
    """Set a method that must be there, so that a bug is not planted where nobody steps."""
    if name not in vars(owner):
        raise AttributeError(f"{owner.__name__} has no {name} of its own to patch any more")
    setattr(owner, name, function)


_PLANTS: dict[Bug, Callable[[_Counter], None]] = {
    "lost-update": _lost_update,
    "double-apply": _double_apply,
    "lost-acknowledgement": _lost_acknowledgement,
}
