"""How the sources of a payment share its amount, in the order in which they were named.

A source with an amount gives that. One without gives what those before it and the amounts of those
after it leave; what it cannot give is left to the next one without an amount, and the last of them
has to give all that remains.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from actors.payments.funding import Leg, LegRequest, PaidLeg
from actors.payments.records import LegState
from actors.payments.sources import Sources, source_tag
from kernel.randomness import IdFactory
from schemas.errors import InsufficientFunds, InvalidField, Rejected
from schemas.funding import (
    AccountSource,
    ChannelSource,
    CouponSource,
    CreditSource,
    FundingSource,
    PointsSource,
    WealthSource,
)

__all__ = (
    "FundedLeg",
    "Wanted",
    "check_funding",
    "funding_variants",
    "leg_request",
    "plan_legs",
)

_FIELD = "funding"

# Sources whose place another may take when they lost a race. Not a coupon: who counted on its price
# must not be charged the full one.
_REPLACEABLE = frozenset({"account", "wealth", "credit", "points"})


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be paid, and out of what. ``with_channel`` lets the channel choose and begin."""

    app: str
    request_id: str
    payment_id: str
    payee: str
    method: str
    total_minor: int
    funding: tuple[FundingSource, ...]
    now: datetime
    ids: IdFactory
    with_channel: bool = True


class FundedLeg(msgspec.Struct, frozen=True, kw_only=True):
    """A leg as the payment keeps it, and what the source contributes; None when it comes later."""

    state: LegState
    leg: Leg | None

    @property
    def amount_minor(self) -> int:
        """What the source gives, or will have given."""
        return self.state.paid.amount_minor + self.state.held_minor


def check_funding(funding: Sequence[FundingSource], total_minor: int) -> None:
    """Raise :class:`~schemas.errors.InvalidField` unless the amounts can add up to the total."""
    named = sum(source.amount_minor or 0 for source in funding)
    open_ended = any(source.amount_minor is None for source in funding)
    if named > total_minor or (named < total_minor and not open_ended):
        raise InvalidField(
            f"the sources give {named} minor units, and {total_minor} are to be paid", field=_FIELD
        )
    if sum(isinstance(source, ChannelSource) for source in funding) > 1:
        raise InvalidField("a payment goes through one channel at most", field=_FIELD)
    for position, source in enumerate(funding):
        # Each is read once for the decision, so a second part of it would not see the first.
        if _what(source) in [_what(one) for one in funding[:position]]:
            raise InvalidField(f"source {position + 1} stands there twice", field=_FIELD)


def _what(source: FundingSource) -> tuple[str, str]:
    """Return what identifies the source: its account, its line, its coupon."""
    match source:
        case AccountSource(account_id=name) | PointsSource(account_id=name):
            return "account", name
        case WealthSource(units_account=name):
            return "wealth", name
        case CreditSource(line_id=name):
            return "credit", name
        case CouponSource(coupon_id=name):
            return "coupon", name
        case ChannelSource():
            return "channel", ""


async def plan_legs(
    wanted: Wanted, sources: Sources, without: frozenset[int] = frozenset()
) -> tuple[FundedLeg, ...]:
    """Return what each source gives; those whose turn does not come are left out.

    ``without`` are positions of sources that are passed over. Raise a rejection when the sources
    together do not give enough.
    """
    funding = wanted.funding
    legs: list[FundedLeg] = []
    given = 0
    for position, source in enumerate(funding):
        if position in without:
            continue
        later = [one for place, one in enumerate(funding) if place > position]
        asked = source.amount_minor
        if asked is None:
            asked = wanted.total_minor - given - sum(one.amount_minor or 0 for one in later)
        if asked <= 0:
            continue
        strict = source.amount_minor is not None or not any(
            one.amount_minor is None and place not in without
            for place, one in enumerate(funding)
            if place > position
        )
        one_leg = await _leg(wanted, sources, position + 1, source, asked, strict)
        if strict and one_leg.amount_minor < asked:
            raise InsufficientFunds(
                f"source {position + 1} gives {one_leg.amount_minor} of {asked} minor units",
                field=_FIELD,
            )
        if one_leg.amount_minor:
            legs.append(one_leg)
            given += one_leg.amount_minor
    if given != wanted.total_minor:
        raise InsufficientFunds(
            f"the sources give {given} of {wanted.total_minor} minor units", field=_FIELD
        )
    return tuple(legs)


def leg_request(
    wanted: Wanted, number: int, source: FundingSource, amount_minor: int, *, strict: bool
) -> LegRequest:
    """Return what the source with this number is asked for."""
    return LegRequest(
        app=wanted.app,
        request_id=wanted.request_id,
        payment_id=wanted.payment_id,
        number=number,
        payee=wanted.payee,
        method=wanted.method,
        source=source,
        amount_minor=amount_minor,
        total_minor=wanted.total_minor,
        now=wanted.now,
        ids=wanted.ids,
        strict=strict,
    )


async def _leg(
    wanted: Wanted,
    sources: Sources,
    number: int,
    source: FundingSource,
    asked_minor: int,
    strict: bool,
) -> FundedLeg:
    tag = source_tag(source)
    funding = sources.get(tag)
    if funding is None:
        raise InvalidField(f"nothing can be paid by a source of the type {tag!r}", field=_FIELD)
    if tag == "channel" and not wanted.with_channel:
        paid = PaidLeg(number=number, type=tag, account_id="", amount_minor=0)
        return FundedLeg(state=LegState(source=source, paid=paid, held_minor=asked_minor), leg=None)
    leg = await funding.pay(leg_request(wanted, number, source, asked_minor, strict=strict))
    awaited = tag == "channel"
    paid = PaidLeg(
        number=number,
        type=tag,
        account_id=leg.pay_from,
        amount_minor=0 if awaited else leg.amount_minor,
        record=leg.record,
        charged_minor=leg.charged_minor,
    )
    held_minor = leg.amount_minor if awaited else 0
    return FundedLeg(state=LegState(source=source, paid=paid, held_minor=held_minor), leg=leg)


async def funding_variants(wanted: Wanted, sources: Sources) -> list[tuple[FundedLeg, ...]]:
    """Return the ways in which the sources may pay, the wanted one first.

    What each can give is read before the change is decided, and may be gone by then. So the first
    way is followed by those in which one source was too late, and the one in which all were, as far
    as the sources after them can step in.
    """
    first = await plan_legs(wanted, sources)
    giving = {leg.state.paid.number - 1 for leg in first}
    open_ended = [
        position for position, source in enumerate(wanted.funding) if source.amount_minor is None
    ]
    late = [
        position
        for position in open_ended[:-1]
        if position in giving and source_tag(wanted.funding[position]) in _REPLACEABLE
    ]
    variants = [first]
    ways = [frozenset({position}) for position in late]
    if len(late) > 1:
        ways.append(frozenset(late))
    for without in ways:
        try:
            variants.append(await plan_legs(wanted, sources, without))
        except Rejected:
            # Those after it cannot step in, so the first way's refusal is the answer.
            continue
    return variants
