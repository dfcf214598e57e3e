"""Coupons (优惠券): issued, used once by a payment, or revoked.

::

    issued ──a payment──▶ used ──the whole payment refunded──▶ issued
       └────revoke──▶ revoked

That a coupon is used once is counted by its own tally, in the commit of the payment that uses it;
that a campaign pays no more than its budget, by the campaign's.
"""

from typing import ClassVar

import msgspec

from actors.entity import Case, EntityActor, Plan, decides, reads
from actors.rewards.discount import check_discount
from actors.rewards.records import COUPON_TABLE
from actors.rewards.sponsors import sponsor_of
from schemas.change import Event
from schemas.errors import InvalidField, InvalidState
from schemas.ledger import Moves, TallyStep
from schemas.rewards import Coupon, GetCoupon, IssueCoupon, RevokeCoupon
from schemas.subjects import OPERATOR_APP

__all__ = ("CouponActor", "campaign_tally", "coupon_tally")

_json = msgspec.json.Encoder()


def coupon_tally(coupon_id: str) -> str:
    """Return the counter of a coupon's uses: 0 or 1."""
    return f"coupon:{coupon_id}"


def campaign_tally(app: str, campaign: str) -> str:
    """Return the counter of what a campaign's coupons have paid."""
    return f"campaign:{app}:{campaign}"


class CouponActor(EntityActor):
    """One coupon; the payment that uses it moves it as well."""

    kind = "coupon"
    table: ClassVar = COUPON_TABLE

    @decides("coupon.issue", IssueCoupon)
    async def issue(self, request: IssueCoupon, case: Case) -> Plan:
        """Make a coupon; nothing is paid for it until it is used."""
        check_discount(request.discount)
        if request.ends_at <= max(request.starts_at, case.now):
            raise InvalidField("it ends before it could be used", field="ends_at")
        sponsor = await sponsor_of(case.store, request.sponsor_account, case.app)
        app = case.app
        if app == OPERATOR_APP:
            if request.for_app is None:
                raise InvalidField("name the app whose customers may use it", field="for_app")
            app = request.for_app
        elif request.for_app not in (None, app):
            raise InvalidField("an app issues coupons to its own customers", field="for_app")
        coupon = Coupon(
            coupon_id=case.ids.new("cpn"),
            campaign=request.campaign,
            budget_minor=request.budget_minor,
            discount=request.discount,
            status="issued",
            starts_at=request.starts_at,
            ends_at=request.ends_at,
            sponsor_account=sponsor,
            holder=request.holder,
            issued_at=case.now,
        )
        return Plan(
            answer=coupon,
            facts=(COUPON_TABLE.fact(coupon.coupon_id, 1, app, coupon),),
            events=(
                Event("coupon.issued", coupon.coupon_id, _json.encode(coupon).decode(), app),
            ),
        )  # fmt: skip

    @reads("coupon.get", GetCoupon)
    async def get(self, request: GetCoupon, case: Case) -> Coupon:
        """Return the coupon as committed."""
        return case.state(Coupon, "coupon", "coupon_id")

    @decides("coupon.revoke", RevokeCoupon)
    async def revoke(self, request: RevokeCoupon, case: Case) -> Plan:
        """Close the coupon's counter, so that no payment under way can still use it."""
        coupon = case.state(Coupon, "coupon", "coupon_id")
        if coupon.status != "issued":
            raise InvalidState(f"coupon {case.key!r} is {coupon.status}")
        revoked = msgspec.structs.replace(coupon, status="revoked")
        close = TallyStep(
            coupon_tally(case.key), count=0, closes=True, code="invalid_state",
            message=f"coupon {case.key!r} was used", field="coupon_id",
        )  # fmt: skip
        return Plan(
            answer=revoked,
            state=revoked,
            moves=Moves(steps=(close,)),
            events=(case.tell("coupon.revoked", case.key, revoked),),
        )
