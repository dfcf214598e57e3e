"""The kinds of sources that may pay, by their tags."""

from datetime import datetime

import msgspec

from actors.parts import Parts
from actors.payments.funding import Funding, Leg, LegRequest, PaidLeg, RefundLeg
from actors.payments.profiles import Profiles
from kernel.randomness import IdFactory
from kernel.store import Query, Store, Where
from schemas.funding import AccountSource

__all__ = ("AccountFunding", "Sources", "make_sources", "source_tag")

# The tag of a source → what makes it pay.
Sources = dict[str, Funding]

_FIELD = "funding"


class AccountFunding:
    """An account of the app pays; a refund goes back to it."""

    def __init__(self, store: Store, profiles: Profiles) -> None:
        self._store = store
        self._profiles = profiles

    async def pay(self, wanted: LegRequest) -> Leg:
        """Return a leg of what is wanted, or of what is available when another source follows.

        A strict leg is not looked at twice: whether the account covers it, the ledger knows best.
        """
        source = wanted.source
        assert isinstance(source, AccountSource)
        profile = await self._profiles.owned(source.account_id, wanted.app, _FIELD)
        amount = wanted.amount_minor
        if not wanted.strict:
            amount = min(amount, await self._available(profile.account_id, profile.floor_minor))
        return Leg(
            amount_minor=max(amount, 0),
            pay_from=source.account_id,
            owner=wanted.app,
            payer=source.account_id,
        )

    async def _available(self, account_id: str, floor_minor: int | None) -> int:
        rows = await self._store.fetch(
            Query(
                table="balance",
                columns=("posted_minor", "held_minor"),
                where=(Where("account_id", "=", account_id),),
            )
        )
        posted, held = rows[0] if rows else (0, 0)
        return int(posted - held - (floor_minor or 0))

    async def refund(
        self, leg: PaidLeg, amount_minor: int, *, app: str, payment_id: str, refund_id: str,
        whole: bool, now: datetime, ids: IdFactory,
    ) -> RefundLeg:  # fmt: skip
        """Return the money to the account."""
        return RefundLeg(credit_to=leg.account_id)


def make_sources(parts: Parts, profiles: Profiles) -> Sources:
    """Return all kinds of sources, over the ports of a node."""
    # Here and not above: the services of the other sources import this package's port.
    from actors.channels.channel_funding import ChannelFunding
    from actors.credit.funding import CreditFunding
    from actors.rewards.coupon_funding import CouponFunding
    from actors.rewards.points_funding import PointsFunding
    from actors.wealth.funding import WealthFunding

    return {
        "account": AccountFunding(parts.store, profiles),
        "channel": ChannelFunding(parts),
        "wealth": WealthFunding(parts),
        "credit": CreditFunding(parts.store),
        "points": PointsFunding(parts),
        "coupon": CouponFunding(parts),
    }


def source_tag(source: msgspec.Struct) -> str:
    """Return the tag of a source, which is what a leg calls its type."""
    tag = source.__struct_config__.tag
    assert isinstance(tag, str)
    return tag
