"""The way back: which source gets what of a refund, and what each makes of it."""

from collections.abc import Sequence

import msgspec

from actors.entity import Part, merge
from actors.payments.desk import PaymentDesk
from actors.payments.moves import ESCROW, UNCLAIMED, exactly, steps
from actors.payments.records import LegState, PaymentState
from actors.payments.turn import Turn
from kernel.store import Query, Store, Where
from schemas.errors import InvalidField
from schemas.ledger import TransferStep
from schemas.payments import RefundSource

__all__ = ("Return", "Returned", "give_to_sources", "shares_of_refund")


# A coupon comes back when the whole payment has, even if its own part came back before.
_TOLD_OF_THE_END = frozenset({"coupon"})


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """Money that goes back: out of ``debit``, for the refund ``refund_id``.

    ``whole`` tells that nothing of the payment remains then. ``debit_field`` is what the request
    calls the account that pays it.
    """

    debit: str
    refund_id: str
    purpose: str
    whole: bool
    debit_field: str = "payee"


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """The legs after it, what of the change it is, and what each source got.

    ``waits`` tells that a channel has to send a part of it back first.
    """

    legs: tuple[LegState, ...]
    part: Part
    sources: tuple[RefundSource, ...]
    waits: bool


def shares_of_refund(
    legs: Sequence[LegState], amount_minor: int, order: Sequence[int] = ()
) -> dict[int, int]:
    """Return how much of a refund goes to each source, by the sources' numbers.

    It fills one source after the other, each up to what is left there of what it gave: in the
    reverse order of the funding, so that the source that was to pay last gets back first, or in
    ``order``, in which those not named get nothing.
    """
    by_number = {leg.paid.number: leg for leg in legs}
    unknown = [number for number in order if number not in by_number]
    if unknown or len(set(order)) < len(order):
        raise InvalidField(
            f"source_order names {list(order)}; the payment's sources are {sorted(by_number)},"
            " each once at most",
            field="source_order",
        )
    shares: dict[int, int] = {}
    left = amount_minor
    for number in order or sorted(by_number, reverse=True):
        share = min(left, by_number[number].left_minor)
        if share:
            shares[number] = share
            left -= share
    if left:
        raise InvalidField(
            f"the sources named can take back {amount_minor - left} of {amount_minor} minor units",
            field="source_order",
        )
    return shares


async def give_to_sources(
    state: PaymentState, shares: dict[int, int], way: Return, turn: Turn, desk: PaymentDesk
) -> Returned:
    """Return what gives each source its share back.

    The moves are exempt from the limits of account classes: it is the customer's own money that
    comes back, and a day's limit must not keep it away. What comes out of escrow has to leave it:
    if its account was closed meanwhile, or may not hold that much any more, the bank keeps it for
    its owner.
    """
    legs: list[LegState] = []
    parts: list[Part] = []
    given: list[RefundSource] = []
    waits = False
    for leg in state.legs:
        amount = shares.get(leg.paid.number, 0)
        if not (amount or (way.whole and leg.paid.type in _TOLD_OF_THE_END)):
            legs.append(leg)
            continue
        back = await desk.sources[leg.paid.type].refund(
            leg.paid, amount, app=turn.app, payment_id=state.payment_id, refund_id=way.refund_id,
            whole=way.whole, now=turn.now, ids=turn.ids,
        )  # fmt: skip
        credit_to, unclaimed = back.credit_to, 0
        if way.debit == ESCROW and not await _has_room(desk.store, credit_to, amount):
            credit_to, unclaimed = UNCLAIMED, amount
        if amount:
            parts.append(steps(_move(way, credit_to, amount)))
        parts.append(back.after)
        paid = msgspec.structs.replace(
            leg.paid,
            refunded_minor=leg.paid.refunded_minor + amount,
            returned_minor=leg.paid.returned_minor + back.returned_minor,
            record=leg.paid.record if back.record is None else back.record,
        )
        unclaimed_minor = leg.unclaimed_minor + unclaimed
        legs.append(msgspec.structs.replace(leg, paid=paid, unclaimed_minor=unclaimed_minor))
        if amount:
            returned_minor = back.returned_minor
            given.append(
                RefundSource(
                    number=paid.number, amount_minor=amount, returned_minor=returned_minor
                )
            )  # fmt: skip
        waits = waits or paid.type == "channel"
    return Returned(
        legs=tuple(legs), part=merge(*parts), sources=tuple(given), waits=waits
    )  # fmt: skip


async def _has_room(store: Store, account_id: str, amount_minor: int) -> bool:
    """Tell whether an account, as committed, may be credited with so much more."""
    where = (Where("account_id", "=", account_id),)
    account = await store.fetch(
        Query(table="account", columns=("status", "ceiling_minor"), where=where)
    )
    balance = await store.fetch(Query(table="balance", columns=("posted_minor",), where=where))
    if not account or not balance:
        return False
    status, ceiling = account[0]
    within = ceiling is None or balance[0][0] + amount_minor <= ceiling
    return bool(status != "closed" and within)


def _move(way: Return, credit_to: str, amount_minor: int) -> TransferStep:
    fields = (way.debit_field, "payer")
    return exactly(way.debit, credit_to, amount_minor, way.purpose, fields=fields, exempt=True)
