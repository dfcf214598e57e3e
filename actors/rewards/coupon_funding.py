"""Coupons (优惠) as a source of a payment.

The sponsor pays what the coupon takes off, when it is used. A refund goes back to the sponsor, and
gives the amount back to the campaign's budget; the coupon itself comes back only when the whole
payment has been refunded, so that nobody buys for one unit what he returned for a hundred.
"""

from datetime import datetime

import msgspec

from actors.entity import Part, Record, RecordChange
from actors.parts import Parts
from actors.payments.funding import Leg, LegRequest, PaidLeg, RefundLeg
from actors.rewards.coupon_actor import campaign_tally, coupon_tally
from actors.rewards.discount import discount_on
from actors.rewards.program import EXPENSE
from actors.rewards.records import COUPON_TABLE
from actors.rewards.sponsors import fetch_known
from kernel.randomness import IdFactory
from schemas.change import Event
from schemas.errors import Ineligible, InvalidState, NotFound
from schemas.funding import CouponSource
from schemas.ledger import Moves, TallyStep
from schemas.rewards import Coupon

__all__ = ("CouponFunding",)

_FIELD = "funding"

_json = msgspec.json.Encoder()


class _Used(msgspec.Struct, frozen=True):
    """Which coupon a leg used."""

    coupon_id: str


class CouponFunding:
    """See :class:`actors.payments.funding.Funding`."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store

    async def pay(self, wanted: LegRequest) -> Leg:
        """Take off what the coupon is worth on the whole payment."""
        source = wanted.source
        assert isinstance(source, CouponSource)
        found = await COUPON_TABLE.load(self._store, source.coupon_id)
        if found is None or found.app != wanted.app:
            raise NotFound(f"coupon {source.coupon_id!r} does not exist", field=_FIELD)
        coupon = found.state
        amount = min(_worth(coupon, wanted.total_minor, wanted.now), wanted.amount_minor)
        used = msgspec.structs.replace(
            coupon, status="used", payment_id=wanted.payment_id, paid_minor=amount
        )
        once = TallyStep(
            coupon_tally(coupon.coupon_id), count_max=1, closes=True, code="invalid_state",
            message=f"coupon {coupon.coupon_id!r} was used or revoked", field=_FIELD,
        )  # fmt: skip
        budget = TallyStep(
            campaign_tally(found.app, coupon.campaign), amount_minor=amount,
            amount_max=coupon.budget_minor, field=_FIELD,
            message=f"campaign {coupon.campaign!r} has less left of its budget than {amount}",
        )  # fmt: skip
        return Leg(
            amount_minor=amount,
            pay_from=coupon.sponsor_account,
            owner="",
            before=Part(
                moves=Moves(steps=(once, budget)),
                events=(_told("coupon.used", found, used),),
                also=(RecordChange(COUPON_TABLE, found.key, found.version, found.app, used),),
            ),
            record=_json.encode(_Used(coupon.coupon_id)).decode(),
            charged_minor=amount,
            payer=coupon.sponsor_account,
        )

    async def refund(
        self, leg: PaidLeg, amount_minor: int, *, app: str, payment_id: str, refund_id: str,
        whole: bool, now: datetime, ids: IdFactory,
    ) -> RefundLeg:  # fmt: skip
        """Return the money to the sponsor, and the coupon when the payment has come back whole."""
        coupon_id = msgspec.json.decode(leg.record, type=_Used).coupon_id
        found = await COUPON_TABLE.load(self._store, coupon_id)
        assert found is not None, "a leg that was paid used a coupon"
        coupon = found.state
        known = await fetch_known(self._store, (coupon.sponsor_account,))
        is_open = known[coupon.sponsor_account].status != "closed"
        steps = [
            TallyStep(
                campaign_tally(found.app, coupon.campaign), count=0, amount_minor=-amount_minor
            )
        ]
        after = Part(moves=Moves(steps=tuple(steps)))
        if whole:
            restored = msgspec.structs.replace(
                coupon, status="issued", payment_id=None, paid_minor=0
            )
            steps.append(TallyStep(coupon_tally(coupon_id), count=-1, opens=True))
            after = Part(
                moves=Moves(steps=tuple(steps)),
                events=(_told("coupon.restored", found, restored),),
                also=(RecordChange(COUPON_TABLE, found.key, found.version, found.app, restored),),
            )
        return RefundLeg(
            credit_to=coupon.sponsor_account if is_open else EXPENSE,
            after=after,
            returned_minor=amount_minor,
        )


def _worth(coupon: Coupon, total_minor: int, now: datetime) -> int:
    """Return what the coupon takes off, or raise why it takes off nothing."""
    if coupon.status != "issued":
        raise InvalidState(f"coupon {coupon.coupon_id!r} is {coupon.status}", field=_FIELD)
    if not coupon.starts_at <= now < coupon.ends_at:
        raise Ineligible(
            f"coupon {coupon.coupon_id!r} can be used from {coupon.starts_at.isoformat()} until"
            f" {coupon.ends_at.isoformat()}",
            field=_FIELD,
        )
    off = discount_on(coupon.discount, total_minor)
    if not off:
        raise Ineligible(
            f"coupon {coupon.coupon_id!r} takes nothing off {total_minor} minor units; the least"
            f" purchase is {coupon.discount.spend_min_minor}",
            field=_FIELD,
        )
    return off


def _told(type_: str, found: Record[Coupon], coupon: Coupon) -> Event:
    return Event(type_, found.key, _json.encode(coupon).decode(), found.app)
